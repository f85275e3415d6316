"""Killed in the midst of work, again and again: what was acknowledged is there, once, as it was sent."""

import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Annotation, Item
from rrm.core.values import Comparison, Rating
from rrm.queue import open_desk
from tests.web.insisting import Rater
from tests.web.live import Restarting
from tests.web.stations import desk_in, items_of

CLIENTS = 8
WANTED = 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def sheets(number: int, criteria: Sequence[str]) -> list[Item]:
    """Items to compare two outputs, each on a sheet with ratings of the first one by these criteria."""
    asked = items_of(["comparison"], each=number, wanted=WANTED)
    return [
        replace(item, request=request, sheet=item.request.id)
        for item in asked
        for request in (
            item.request,
            *(
                replace(item.request, kind="rating", shown=item.request.shown[:1], criterion=criterion)
                for criterion in criteria
            ),
        )
    ]


def work_under_kills(directory: Path, kills: int, acknowledged: int, criteria: Sequence[str] = ()) -> list[Rater]:
    """Have raters answer while the server is killed after every `acknowledged / kills` answers, more or less."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with desk_in(directory, sheets(acknowledged // WANTED + 50 * CLIENTS, criteria)) as desk:
        people = [desk.add_person(f"rater {number}", by="test") for number in range(CLIENTS)]
        sessions = [desk.join(desk.invite(person.id, "test")) for person in people]
    raters = [Rater(f"rater-{number}", [address], session) for number, session in enumerate(sessions)]
    server, stop, chance = Restarting(directory, port), threading.Event(), random.Random(7)
    threads = [threading.Thread(target=rater.work, args=(stop,), daemon=True) for rater in raters]
    try:
        assert server.start() == address
        for thread in threads:
            thread.start()
        for _ in range(kills):
            target = done(raters) + acknowledged // kills * chance.uniform(0.7, 1.3)
            wait_until(lambda target=target: done(raters) >= target or any(rater.failed for rater in raters))
            time.sleep(chance.uniform(0, 0.01))  # anywhere between two answers
            server.kill()
            assert server.start() == address
        wait_until(lambda: done(raters) >= acknowledged or any(rater.failed for rater in raters))
        stop.set()
        for thread in threads:
            thread.join(60)
        server.kill()
    finally:
        stop.set()
        server.close()
    assert [fault for rater in raters for fault in rater.failed] == []
    assert sum(rater.late for rater in raters) == 0  # no kill costs anybody a lease
    return raters


def done(raters: list[Rater]) -> int:
    return sum(len(rater.acknowledged) for rater in raters)


def wait_until(so: Any) -> None:
    while not so():
        time.sleep(0.001)


def check_record(directory: Path, raters: list[Rater], questions: int = 1) -> None:
    """What is on record is what was acknowledged: the same answers, each once, no item by more than it wants.

    Of a sheet there are the answers to all its questions, or none.
    """
    acknowledged = {id: answer for rater in raters for id, answer in rater.acknowledged.items()}
    with open_desk(directory) as desk:
        every = list(desk.answers())
        together: dict[tuple[str, str], list[Annotation]] = {}
        for each in every:
            together.setdefault((each.sheet, each.person), []).append(each)
        assert {len(some) for some in together.values()} == {questions}
        given = [some[0] for some in together.values()]
        for some in together.values():
            assert [each.position for each in some] == list(range(questions))
            _, better = acknowledged[some[0].id]
            assert [each.answer for each in some[1:]] == [Rating(1 + better, 7)] * (questions - 1)
        assert len(every) == len({each.id for each in every})
        assert {each.id: each.item for each in given} == {id: item for id, (item, _) in acknowledged.items()}
        for each in given:
            assert isinstance(each.answer, Comparison)
            assert each.answer.better == each.order[acknowledged[each.id][1]]
        assert len({(each.item, each.person) for each in given}) == len(given)
        per_item: dict[str, int] = {}
        for each in given:
            per_item[each.item] = per_item.get(each.item, 0) + 1
        assert max(per_item.values()) <= WANTED


def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(tmp_path: Path) -> None:
    raters = work_under_kills(tmp_path, kills=3, acknowledged=240)
    assert done(raters) >= 240
    assert sum(rater.repeated for rater in raters) > 0  # some were indeed cut off
    check_record(tmp_path, raters)


def test_of_a_sheet_all_answers_are_there_or_none_when_the_server_is_killed(tmp_path: Path) -> None:
    raters = work_under_kills(tmp_path, kills=3, acknowledged=120, criteria=("overall", "accuracy", "coverage"))
    assert done(raters) >= 120
    check_record(tmp_path, raters, questions=4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_under_ten_thousand_ratings_lose_and_double_none(tmp_path: Path) -> None:
    raters = work_under_kills(tmp_path, kills=100, acknowledged=10_000)
    assert done(raters) >= 10_000
    assert sum(rater.repeated for rater in raters) >= 100
    check_record(tmp_path, raters)
