"""Raters who ask at once get what they would get one after another."""

from pathlib import Path
from random import Random

import pytest

from rrm.core.annotation import Item, Lease, Strategy
from rrm.queue import SqlDesk, allot
from rrm.store.database import transaction
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import choosing, new_desk, raters, request, submit


def claim_at_once(desk: SqlDesk, persons: list[str]) -> list[Lease | None]:
    with transaction(desk._opened.engine, desk._opened.location, writes=True) as connection:
        return desk._claim(connection, persons)


def claim_in_turn(desk: SqlDesk, persons: list[str]) -> list[Lease | None]:
    return [desk.claim(person) for person in persons]


def some_items(chance: Random) -> list[Item]:
    """Items of few different values, so that the order among equals counts; some are copies of one question."""
    numbers = [(number, copy) for number in range(15) for copy in range(chance.choice([1, 1, 3]))]
    return [
        Item(request(number, copy=copy), wanted=chance.randint(1, 4), value=float(chance.randrange(3)))
        for number, copy in numbers
    ]


@pytest.mark.parametrize("strategy", ["valuable", "least-done", "disagreement"])
def test_those_who_ask_at_once_get_what_they_would_get_in_turn(
    tmp_path: Path, url: str | None, strategy: Strategy
) -> None:
    compare(tmp_path, url, strategy)


@pytest.mark.parametrize("spare", [0, 3])
@pytest.mark.parametrize("strategy", ["valuable", "least-done", "disagreement"])
def test_so_do_those_for_whom_more_items_must_be_looked_at(
    tmp_path: Path, strategy: Strategy, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allot, "SPARE", spare)
    compare(tmp_path, None, strategy)


def compare(folder: Path, url: str | None, strategy: Strategy) -> None:
    found = []
    for claim in (claim_in_turn, claim_at_once):
        chance = Random(5)
        with new_desk(folder / claim.__name__, Clock(), url, seed=7) as desk:
            desk.add_items(some_items(chance))
            desk.change_settings({"strategy": strategy}, "test")
            persons = raters(desk, 9)
            rounds = []
            while any(leases := claim(desk, persons)):
                rounds.append([lease and lease.first.request.id for lease in leases])
                for lease in leases:  # most answer, in their own order, and differ
                    if lease is not None and chance.random() < 0.8:
                        submit(desk, lease, choosing(lease, chance.randrange(2)))
            found.append(rounds)
    assert len(found[0]) > 5
    assert found[0] == found[1]
