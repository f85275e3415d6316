"""A database whose standby takes over: runs, assistants and pages go on with the one that takes writes."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rrm
from rrm.api.annotate import station_desk
from rrm.api.assist import rate_items
from rrm.core.errors import UnreachableError
from rrm.core.values import Comparison, Feedback, Output, Request
from rrm.queue import open_desk
from rrm.store import open_store
from rrm.web.station import Station
from tests.api.test_people_run import rate_all
from tests.postgres import ABSENT, Pair, binaries
from tests.toys import TOYS
from tests.web.insisting import Rater
from tests.web.live import running
from tests.web.stations import PLENTY, items_of

PEOPLE = {"plugin": "people", "arguments": {"grace_seconds": 0}, "per_node": {"comparison": 1, "label": 1}}
WAITS = {**TOYS, "rater": PEOPLE}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def pair() -> Iterator[Pair]:
    if binaries() is None:
        pytest.skip(ABSENT)
    with ExitStack() as stack:
        yield Pair(stack)


class First:
    """Prefers what is shown first; has a standby promoted before its third answer."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._asked = pair, 0

    def rate(self, request: Request, seed: int) -> Feedback:
        self._asked += 1
        if self._asked == 3:
            self._pair.fail_over()
        return Feedback(request.id, "first", Comparison(0))


def test_an_assistant_and_its_record_ride_through_a_promoted_standby(
    tmp_path: Path, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with station_desk(tmp_path, pair.url(), waits=True) as desk:
        assert "has no synchronous standby" not in caplog.text
        desk.add_items(items_of(["comparison"], each=10))
        caplog.clear()
        assert rate_items(desk, "judge", First(pair))["answers"] == 10
    with open_desk(tmp_path) as desk:
        assert len({each.item for each in desk.answers()}) == len(list(desk.answers())) == 10
    told = [each.getMessage() for each in caplog.records if each.name == "rrm.store"]
    assert not told or (len(told) == 2 and "answers again after" in told[1]), told


def test_a_run_that_waits_for_people_goes_on_with_the_standby(tmp_path: Path, pair: Pair) -> None:
    ended: list[object] = []

    def go_on() -> None:
        try:
            ended.append(rrm.run(rrm.run_file(WAITS), out, store=pair.url(), wait=True, quiet=True))
        except BaseException as error:
            ended.append(error)

    out = tmp_path / "run"
    run = threading.Thread(target=go_on, daemon=True)
    run.start()
    until = time.monotonic() + 300
    while not _answered(out) and not ended and time.monotonic() < until:
        time.sleep(0.2)
    pair.fail_over()
    while not ended and time.monotonic() < until:
        _answered(out)
        time.sleep(0.2)
    [report] = ended
    assert isinstance(report, rrm.Report), report
    with open_store(out, "read") as store:
        assert report.ratings == len(store.load(Feedback)) > 20


def _answered(out: Path) -> int:
    """Have somebody answer what there is, and return how much that was."""
    try:
        with open_desk(out) as desk:
            known = next((each.id for each in desk.persons()), None)
            return rate_all(desk, known or desk.add_person("anna", by="test").id)
    except (rrm.StoreError, OSError):  # not there yet
        return 0


def test_pages_refuse_what_they_cannot_keep_and_come_back_with_the_standby(
    tmp_path: Path, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with station_desk(tmp_path, pair.url(), tells=True) as desk:
        desk.add_items(items_of(["comparison"], each=40))
        session = desk.join(desk.invite(desk.add_person("anna", by="test").id, "test"))
        with running(Station(desk, PLENTY)) as address:
            rater, stop = Rater("anna", [address], session, think=(0.02, 0.02)), threading.Event()
            work = threading.Thread(target=rater.work, args=(stop,), daemon=True)
            work.start()
            rater.wait_for(5)
            pair.fail_over()
            work.join(120)
            assert not work.is_alive(), f"{len(rater.acknowledged)} acknowledged after 120 s"
    assert rater.failed == []
    assert rater.repeated > 0
    told = [each.getMessage() for each in caplog.records if each.name in ("rrm.store", "rrm.web")]
    assert len(told) == 2 and "refused until it is back" in told[0] and "answers again" in told[1], told
    with open_desk(tmp_path) as desk:
        assert {each.id for each in desk.answers()} == set(rater.acknowledged)
        assert len(rater.acknowledged) + rater.late >= 40


def test_nothing_is_asked_of_a_standby_that_is_not_promoted_but_to_look(tmp_path: Path, pair: Pair) -> None:
    outputs = [Output("node", "text", "test", number) for number in range(3)]
    with open_store(tmp_path, url=pair.url()) as store:
        store.append(outputs)
        until = time.monotonic() + 60
        while pair.standby.execute("SELECT pg_last_wal_replay_lsn()") != pair.primary.execute(
            "SELECT pg_current_wal_lsn()"
        ):
            assert time.monotonic() < until
            time.sleep(0.05)
    pair.primary.process.kill()
    pair.primary.process.wait()
    with open_store(tmp_path, "read") as store:
        assert store.load(Output) == outputs
    with pytest.raises(UnreachableError):
        open_desk(tmp_path)
