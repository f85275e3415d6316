"""Many raters at one desk at once: what each of them does and sees, and whether that may have been.

Every rater writes down from when to when an item was surely theirs, by the clock that all programs of a machine
share: from after the desk handed it out until before they passed it on, until it ran out, or for good once they
answered. What the desk did lies around these times, so where they overlap too often the desk handed out too much.
"""

import itertools
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Barrier, Event, Thread
from typing import Any, NamedTuple

from sqlalchemy import Connection

from rrm.core.annotation import Item, Lease, Submission
from rrm.core.errors import ConflictError, StoreError
from rrm.core.values import Comparison
from rrm.queue import SqlDesk, open_desk
from rrm.queue.writer import Writer


class Tenure(NamedTuple):
    """That an item was somebody's `since` (seconds) `until`; `how` it ended: answered, skipped, expired, broken."""

    item: str
    person: str
    since: float
    until: float
    how: str


def rate(desk: SqlDesk, person: str, chance: Random, patience: float, seen: list[Tenure]) -> None:
    """Answer items until all are complete; now and then pass one on, let one run out, or take an answer back.

    What was seen is added to `seen`. After `patience` seconds it counts as broken that there is no end to it.
    """
    stop = time.time() + patience
    for number in itertools.count():
        if time.time() > stop:
            seen.append(Tenure("none", person, stop, stop, f"broken: {person} waits in vain"))
            return
        lease = desk.claim(person)
        since = time.time()
        if lease is not None:
            seen += deal_with(desk, lease, since, chance, f"{person} {number}")
        elif all(level.complete == level.items for level in desk.progress()):
            return
        else:
            time.sleep(0.02)


def deal_with(desk: SqlDesk, lease: Lease, since: float, chance: Random, key: str) -> list[Tenure]:
    """Do what a rater may do with a sheet that is theirs, and return what came of each of its items."""
    person, what = lease.person, chance.random()

    def ended(until: float, how: str) -> list[Tenure]:
        return [Tenure(each.request.id, person, since, until, how) for each in lease.questions]

    def answers(of: Lease, better: int | None) -> list[Submission]:
        return [Submission(Comparison(better), each.shown, 1.0) for each in of.questions]

    if 0.01 < what < 0.015:  # go away, and come back too late
        time.sleep(max(0.0, lease.expires - time.time()) + 0.01)
    until = time.time()
    try:
        if what < 0.01:
            desk.skip(person, lease.id, "not mine", key)
            return ended(until, "skipped")
        desk.submit(person, lease.id, answers(lease, chance.randrange(2)), key)
        if what > 0.99:
            again = desk.undo(person)
            desk.submit(person, again.id, answers(again, None), f"{key} again")
        return ended(float("inf"), "answered")
    except ConflictError:  # it ran out, on purpose or because the machine was busy
        return ended(lease.expires, "expired")
    except StoreError as error:
        return ended(lease.expires, f"broken: {error}")  # nothing came of it: it is held


def rate_together(desk: SqlDesk, persons: Sequence[str], seed: int, patience: float = 1800.0) -> list[Tenure]:
    """Let each person rate in a thread of their own, all from the same moment on."""
    seen: list[Tenure] = []
    faults: list[BaseException] = []
    start = Barrier(len(persons))

    def work(person: str) -> None:
        try:
            start.wait()
            rate(desk, person, Random(f"{seed} {person}"), patience, seen)
        except BaseException as fault:
            faults.append(fault)

    threads = [Thread(target=work, args=(person,)) for person in persons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = time.time()
    return seen + [Tenure("none", "somebody", now, now, f"broken: {fault!r}") for fault in faults]


def faults_in(seen: Iterable[Tenure], items: Sequence[Item]) -> list[str]:
    """Return in words all that must never be, and [] if nothing of it was."""
    by_item: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in seen:
        by_item[tenure.item].append(tenure)
    found = [tenure.how for each in by_item.values() for tenure in each if tenure.how.startswith("broken")]
    for item in items:
        tenures = by_item[item.request.id]
        most = most_at_once(tenures)
        if most > item.wanted:
            found.append(f"{item.request.id} was held by {most} at once and wants {item.wanted}")
        answered = [tenure.person for tenure in tenures if tenure.how == "answered"]
        if len(answered) != item.wanted:
            found.append(f"{item.request.id} has {len(answered)} answers and wants {item.wanted}")
        closed = Counter(tenure.person for tenure in tenures if tenure.how in ("answered", "skipped"))
        found += [f"{person} had {item.request.id} {times} times" for person, times in closed.items() if times > 1]
    return found


def most_at_once(tenures: Iterable[Tenure]) -> int:
    """Return by how many an item was held at the same moment, at most; what ends makes room for what begins then."""
    changes = sorted(change for tenure in tenures for change in ((tenure.since, 1), (tenure.until, -1)))
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most


def main(folder: str, out: str, seed: str, *persons: str) -> None:
    """Rate in this process and write what was seen to a file."""
    with open_desk(folder) as desk:
        Path(out).write_text(json.dumps(rate_together(desk, persons, int(seed))))


if __name__ == "__main__":
    main(*sys.argv[1:])


@contextmanager
def all_at_once(writer: Writer) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Keep the writer busy until all calls that are made wait for it, and then let them through together."""
    go, begun = Event(), Event()

    def busy(_: Connection) -> None:
        begun.set()
        assert go.wait(60)

    threads: list[Thread] = []

    def call(what: Callable[[], Any]) -> None:
        threads.append(Thread(target=what))
        waiting = writer._jobs.qsize()
        threads[-1].start()
        while writer._jobs.qsize() == waiting:
            assert threads[-1].is_alive()

    first = Thread(target=lambda: writer.do(busy, False))
    first.start()
    assert begun.wait(60)
    yield call
    go.set()
    for thread in (first, *threads):
        thread.join(60)
