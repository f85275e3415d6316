"""Many raters at once, on both databases: no item in too many hands, none over-collected, nobody twice."""

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import SystemRandom

import pytest
from sqlalchemy import func, insert, select, update

from rrm.core.annotation import Item, Lease, Posed, shown_hash
from rrm.queue import SqlDesk, open_desk
from rrm.queue.requests import load_request
from rrm.store import open_store
from rrm.store.database import open_database, transaction
from rrm.store.kinds import to_json
from rrm.store.tables import table
from tests.queue import desk_load
from tests.queue.desk_load import Tenure, faults_in, most_at_once, rate_together
from tests.queue.desk_problems import raters, work


class NaiveDesk(SqlDesk):
    """A desk that reads which item is free, and then writes that it is taken, as though it were alone."""

    def claim(self, person: str) -> Lease | None:
        item, lease = table("item"), table("lease")
        with self._read() as connection:
            mine = select(lease).where(lease.c.person == person)
            held = connection.execute(mine.where(lease.c.state == "live")).one_or_none()
            if held is not None:
                return self._as_lease(connection, [held])
            had = mine.with_only_columns(lease.c.item).where(lease.c.state.not_in(["expired", "undone"]))
            free = select(item).where(item.c.taken < item.c.wanted, item.c.id.not_in(had))
            found = connection.execute(free.order_by(item.c.taken, item.c.seq).limit(1)).one_or_none()
            if found is None:
                return None
            request = load_request(connection, found.id)
        now, order = self.clock(), tuple(range(len(request.shown)))
        posed = Posed(request, "work", order, shown_hash(request, order, 0, 7))
        made = Lease(self._new_id("lease"), person, (posed,), request.shown, 0, now + 1.0)
        about = {"id": made.id, "first": made.id, "position": 0, "item": found.id, "sheet": found.id}
        about |= {"question": found.question, "person": person, "purpose": "work"}
        about |= {"attempt": 0, "order": to_json(order), "guideline": 0, "points": 7, "shown": posed.shown}
        with transaction(self._opened.engine, self._opened.location, writes=True) as connection:
            connection.execute(insert(lease), [about | {"at": now, "expires": made.expires, "state": "live"}])
            connection.execute(update(item).where(item.c.seq == found.seq).values(taken=found.taken + 1))
        return made


def open_naive_desk(folder: Path) -> SqlDesk:
    return NaiveDesk(open_database(folder, "append", 30.0), time.time, SystemRandom())


def prepared(
    folder: Path, url: str | None, clients: int, items: int, overlap: int, sheet: int = 1
) -> tuple[list[str], list[Item]]:
    """Make a run with so many raters, and items on sheets of so many.

    Its leases run out after a second, for those who go away.
    """
    open_store(folder, url=url).close()
    wanted = work(*range(items), wanted=overlap)
    if sheet > 1:
        wanted = [replace(item, sheet=str(number // sheet)) for number, item in enumerate(wanted)]
    with open_desk(folder) as desk:
        persons = raters(desk, clients)
        desk.add_items(wanted)
        desk.change_settings({"lease_seconds": 1.0}, "test")
    return persons, wanted


def in_processes(folder: Path, persons: list[str], processes: int) -> list[Tenure]:
    """Let the raters work in so many programs, each with its own desk."""
    script = Path(desk_load.__file__)
    files = [folder / f"seen-{number}.json" for number in range(processes)]
    running = [
        subprocess.Popen([sys.executable, script, folder, file, str(number), *persons[number::processes]])
        for number, file in enumerate(files)
    ]
    assert [process.wait() for process in running] == [0] * processes
    return [Tenure(*each) for file in files for each in json.loads(file.read_text())]


def check_load(
    folder: Path, url: str | None, clients: int, items: int, overlap: int, processes: int = 1, sheet: int = 1
) -> None:
    persons, wanted = prepared(folder, url, clients, items, overlap, sheet)
    if processes > 1:
        seen = in_processes(folder, persons, processes)
    else:
        with open_desk(folder) as desk:
            seen = rate_together(desk, persons, 0)
    assert faults_in(seen, wanted) == []
    ends = Counter(tenure.how for tenure in seen)
    if items >= 1_000:  # in a small load chance may leave them out
        assert ends["skipped"] > 0
        assert ends["expired"] > 0
    check_record(folder, items, overlap, seen)


def check_record(folder: Path, items: int, overlap: int, seen: list[Tenure]) -> None:
    """Check what the database itself says at the end, by other questions than the desk asks."""
    item, lease = table("item"), table("lease")
    with open_desk(folder) as desk:
        live = [given for given in desk.answers() if given.state == "live"]
        undone = [given for given in desk.answers() if given.state == "undone"]
        with desk._read() as connection:
            places = connection.execute(
                select(item.c.wanted, item.c.taken, item.c.given, func.count()).group_by(
                    item.c.wanted, item.c.taken, item.c.given
                )
            ).all()
            leases = Counter(
                dict(connection.execute(select(lease.c.state, func.count()).group_by(lease.c.state)).all())
            )
    answered = {(tenure.item, tenure.person) for tenure in seen if tenure.how == "answered"}
    assert {(given.item, given.person) for given in live} == answered
    assert len(answered) == len(live) == items * overlap
    assert set(Counter(given.item for given in live).values()) == {overlap}
    assert [tuple(row) for row in places] == [(overlap, overlap, overlap, items)]
    assert len(undone) == leases["undone"]
    assert undone or items < 1_000, "of so many answers some are taken back"
    assert leases["answered"] == items * overlap
    assert leases["skipped"] + leases["expired"] == len(seen) - len(live)
    assert "live" not in leases


def test_no_item_is_in_too_many_hands_with_eight_raters_at_once(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 8, 200, 2)


def test_no_item_is_in_too_many_hands_with_raters_in_two_programs(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 8, 200, 2, processes=2)


@pytest.mark.slow
def test_no_item_is_in_too_many_hands_with_32_raters_5000_items_and_overlap_3(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 32, 5000, 3)


def test_no_item_on_a_sheet_is_in_too_many_hands_with_eight_raters_at_once(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 8, 400, 2, sheet=4)


@pytest.mark.slow
def test_no_item_on_a_sheet_is_in_too_many_hands_in_four_programs(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 32, 5000, 3, processes=4, sheet=5)


@pytest.mark.slow
def test_no_item_is_in_too_many_hands_with_32_raters_in_four_programs(tmp_path: Path, url: str | None) -> None:
    check_load(tmp_path, url, 32, 5000, 3, processes=4)


def test_a_naive_claim_does_not_pass_this_test(tmp_path: Path, url: str | None) -> None:
    for number in range(5):  # on a busy machine raters may happen to come one after another
        folder = tmp_path / str(number)
        persons, wanted = prepared(folder, url, 8, 200, 2)
        with open_naive_desk(folder) as desk:
            faults = faults_in(rate_together(desk, persons, 0, patience=3.0), wanted)  # it may never come to an end
        if [fault for fault in faults if "at once and wants 2" in fault]:
            return
    pytest.fail("nobody had what two others had")


def tenure(person: str, since: float, until: float, how: str) -> Tenure:
    return Tenure(work(1)[0].request.id, person, since, until, how)


def test_what_must_not_be_is_found_in_what_raters_saw() -> None:
    one, ever = work(1, wanted=1), float("inf")
    good = [tenure("a", 1, 2, "skipped"), tenure("b", 2, 4, "expired"), tenure("c", 4, ever, "answered")]
    assert (faults_in(good, one), most_at_once(good)) == ([], 1)
    bad = [tenure("a", 1, 2, "skipped"), tenure("b", 1.9, 4, "expired"), tenure("c", 4, ever, "answered")]
    assert faults_in(bad, one) == [f"{one[0].request.id} was held by 2 at once and wants 1"]
    twice = [tenure("a", 1, 2, "skipped"), tenure("a", 3, ever, "answered")]
    assert faults_in(twice, one) == [f"a had {one[0].request.id} 2 times"]
    assert faults_in(good[:2], one) == [f"{one[0].request.id} has 0 answers and wants 1"]
    assert faults_in([*good, Tenure("none", "d", 1, 1, "broken: a pipe")], one) == ["broken: a pipe"]
