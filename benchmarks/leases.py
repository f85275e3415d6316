"""How fast items are handed out: leases a second of the desk, beside the commits a second that the disk allows.

A commit that waits for the disk (SQLite, synchronous=FULL) is what a lease would cost that is written by itself:
by one connection, and by 32 that want to at once. "Rows alone" are the rows of leases, 32 in a transaction, written
by nothing but Python's sqlite3: what no desk in Python can pass. Every lease goes to a rater of its own who asks in
one of 32 threads; a rating is a lease and its answer, which waits for the disk. All is measured in turn on the disk
of the system's temporary directory, several times, and the medians are told.
"""

import argparse
import gc
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from secrets import token_hex
from statistics import median
from threading import Barrier, Thread

from rrm.core.annotation import Item, Submission
from rrm.core.place import Place
from rrm.core.values import Comparison, Passage, Request, Shown, View
from rrm.queue import open_desk
from rrm.store import open_store
from tests.postgres import binaries, running

CLIENTS = 32


def commits(folder: Path, clients: int, seconds: float = 1.0) -> float:
    """Return how many rows a second SQLite writes here where each waits for the disk by itself."""
    file = folder / f"commits-{clients}.db"
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE lease (id INTEGER PRIMARY KEY, item TEXT, person TEXT, expires REAL)")
    start = Barrier(clients)

    def write(number: int) -> int:
        with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as raw:
            raw.execute("PRAGMA synchronous = FULL")
            start.wait()
            count, end = 0, time.perf_counter() + seconds
            while time.perf_counter() < end:
                raw.execute("INSERT INTO lease VALUES (NULL, ?, ?, ?)", (f"item-{number}-{count}", "somebody", 1.0))
                count += 1
            return count

    with ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        return sum(pool.map(write, range(clients))) / (time.perf_counter() - began)


def rows_alone(folder: Path, raters: int) -> float:
    """Return how many leases a second sqlite3 writes into a new record, 32 in a transaction, without any thought."""
    open_store(folder).close()
    with open_desk(folder) as desk:
        desk.add_items(items(5_000))
    with closing(sqlite3.connect(folder / "record.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = NORMAL")
        free = raw.execute("SELECT id, question FROM item ORDER BY value DESC, shuffle DESC").fetchmany(raters)
        columns = [column[1] for column in raw.execute("PRAGMA table_info(lease)")]
        names = ", ".join(f'"{name}"' for name in columns)
        new = f"INSERT INTO lease ({names}) VALUES ({', '.join('?' * len(columns))})"
        about = {
            "purpose": "work",
            "attempt": 0,
            "position": 0,
            "order": "[0,1]",
            "guideline": 0,
            "points": 7,
            "state": "live",
            "stands_for": None,
        }
        about |= {"at": time.time(), "expires": time.time() + 600, "position": 0}
        each = [{**about, "item": id_, "sheet": id_, "question": asked, "shown": id_} for id_, asked in free]
        leases = [{**one, "id": id_, "first": id_, "person": token_hex(4)} for one in each for id_ in [token_hex(12)]]
        rows = [[lease[name] for name in columns] for lease in leases]
        began = time.perf_counter()
        for at in range(0, raters, CLIENTS):
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(
                "UPDATE item SET taken = taken + 1 WHERE id = ?", [(id_,) for id_, _ in free[at : at + CLIENTS]]
            )
            raw.executemany(new, rows[at : at + CLIENTS])
            raw.execute("COMMIT")
        return raters / (time.perf_counter() - began)


def items(count: int) -> list[Item]:
    """Return comparisons that want three answers each."""
    view = View("Which is the better summary?", (Passage("The keeper went down to the shore. " * 20),), 100)
    shown = [tuple(Shown(f"output-{number}-{place}", f"text {place}") for place in range(2)) for number in range(count)]
    return [
        Item(Request(f"node-{number}", "source", Place(), "comparison", view, each), wanted=3)
        for number, each in enumerate(shown)
    ]


def rate(persons: Sequence[str], act: Callable[[str], object]) -> float:
    """Return how many of these a second, each person once, by so many clients at once."""
    gc.collect()
    gc.freeze()  # what was made to begin with is not looked through again and again
    done: list[object] = []
    start = Barrier(CLIENTS + 1)

    def work(some: Sequence[str]) -> None:
        start.wait()
        done.extend([act(person) for person in some])

    threads = [Thread(target=work, args=(persons[number::CLIENTS],)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    assert len(done) == len(persons)
    assert all(done)
    return len(persons) / took


def rates(folder: Path, url: str | None, raters: int) -> tuple[float, float]:
    """Return leases and ratings a second in a new record with 5,000 items."""
    open_store(folder, url=url).close()
    with open_desk(folder) as desk, ThreadPoolExecutor(CLIENTS) as pool:
        desk.add_items(items(5_000))
        persons = [person.id for person in pool.map(lambda n: desk.add_person(f"{n}", by="bench"), range(raters))]

        def answer(person: str) -> object:
            lease = desk.claim(person)
            assert lease is not None
            return desk.submit(person, lease.id, [Submission(Comparison(0), lease.first.shown, 1.0)], lease.id)

        return rate(persons, desk.claim), rate(persons, answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure once, with fewer raters")
    options = parser.parse_args()
    times, raters = (1, 300) if options.quick else (5, 1_000)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, running() if binaries() else nullcontext() as server:
        places = {"SQLite": None} | ({} if server is None else {"PostgreSQL": server.url()})
        for number in range(times):
            place = Path(name) / str(number)
            place.mkdir()
            found.setdefault("commits, by one", []).append(commits(place, 1))
            found.setdefault(f"commits, by {CLIENTS}", []).append(commits(place, CLIENTS))
            found.setdefault("rows alone, SQLite", []).append(rows_alone(place / "rows", raters))
            for where, url in places.items():
                leases, ratings = rates(place / where, url, raters)
                found.setdefault(f"leases, {where}", []).append(leases)
                found.setdefault(f"ratings, {where}", []).append(ratings)
    if server is None:
        print("NOTHING WAS MEASURED ON POSTGRESQL: it is not installed")
    print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores, {CLIENTS} clients, {raters} raters, {times} times")
    print(f"{'':20}  {'a second':>9}  {'least':>7}  {'most':>7}  {'to commits':>10}")
    base = found["commits, by one"]
    for what, each in found.items():
        ratio = median(one / commit for one, commit in zip(each, base, strict=True))
        print(f"{what:20}  {median(each):>9,.0f}  {min(each):>7,.0f}  {max(each):>7,.0f}  {ratio:>9.1f}x")


if __name__ == "__main__":
    main()
