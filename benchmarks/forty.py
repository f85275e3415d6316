"""Forty raters over three `rrm annotate` while their database restarts, and more runs than it has connections.

python -m benchmarks.forty [--only raters|runs] [--raters 40] [--seconds 60] [--away 10] [--runs 100] [--json FILE]

(a) Raters answer over HTTP, each request at any of the three servers, as behind a proxy; each takes ten to thirty
seconds over an item. PostgreSQL is killed with -9 and begun again after so many seconds. How long they wait for the
next item is told of those who asked before, while the database was away or came back, and in the minute after. All of
what was acknowledged must be on record once.
(b) So many runs are opened over a PostgreSQL with max_connections = 100, each by an engine of its own, and write and
read by two threads at once: how many are refused, in which words, and whether the others end with all that they wrote.
Raters, servers and database share the machine; the runs share one process.
"""

import argparse
import json
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.chaos_people import compared, done, raters, wait
from benchmarks.rows import Row, single
from rrm.core.errors import StoreError
from rrm.core.place import Place
from rrm.core.values import Output
from rrm.store import SqlStore, open_store
from tests.postgres import running, stop

PAGES, THINK, QUESTIONS = 3, (10.0, 30.0), 2_000
CONNECTIONS, TURNS = 100, 10


class Done(NamedTuple):
    """An action of a run."""

    id: str
    step: str = "propose"
    place: Place = Place()
    slot: str = "node"


def quantiles(name: str, waits: Sequence[float]) -> list[Row]:
    """Return the median and the 95th percentile of waits, in milliseconds."""
    found = np.quantile(np.array(waits) * 1e3, (0.5, 0.95))
    return [
        single("raters", f"next item, {name}, {q}, ms", float(each), n=len(waits))
        for q, each in zip(("p50", "p95"), found, strict=True)
    ]


def restarted(people: int, seconds: float, away: float) -> list[Row]:
    """Have raters answer over a database that goes away for a while."""
    with tempfile.TemporaryDirectory(prefix="rrm-forty-") as name, ExitStack() as stack:
        server = stack.enter_context(running())
        folder = Path(name, "run")
        with raters(folder, server.url(), PAGES, people, QUESTIONS, THINK) as (_, several):
            wait(several, people)
            began = time.monotonic()
            time.sleep(seconds)
            killed = time.monotonic()
            stop(server, signal.SIGKILL)
            time.sleep(away)
            stack.enter_context(running(server.folder, server.port))
            back = time.monotonic()
            time.sleep(seconds)
            ended = time.monotonic()
        waits = [each for rater in several for each in rater.waits]
        found = compared(folder, several)
    at = lambda since, until: [took for asked, took in waits if since <= asked < until]  # noqa: E731
    rows = [
        *quantiles("before the restart", at(began, killed - 1)),
        *quantiles(f"while it was away ({back - killed:.0f} s)", at(killed, back)),
        *quantiles(f"{seconds:.0f} s after", at(back, ended)),
        single("raters", "longest wait, s", max(took for _, took in waits), n=len(waits)),
        single("raters", "answers acknowledged", found.acknowledged, n=people),
        single("raters", "lost", found.lost, "<= 0", n=found.acknowledged),
        single("raters", "doubled", found.doubled, "<= 0", n=found.acknowledged),
    ]
    assert done(several) == found.acknowledged
    return rows


def crowded(runs: int) -> list[Row]:
    """Have more runs than connections at work at once."""
    with (
        tempfile.TemporaryDirectory(prefix="rrm-forty-") as name,
        running(connections=CONNECTIONS) as server,
        ExitStack() as held,
    ):
        stores, refused = dict[int, SqlStore](), Counter[str]()
        for number in range(runs):
            try:
                stores[number] = held.enter_context(open_store(Path(name, str(number)), url=server.url()))
            except StoreError as error:
                refused[str(error).partition(": ")[2]] += 1
        faults: list[str] = []

        def work(number: int, thread: int) -> None:
            try:
                for turn in range(TURNS):
                    id_ = f"{number} {thread} {turn}"
                    stores[number].complete([(Done(id_), [Output(id_, "text", "policy", 0)])])
                    stores[number].results("propose", Place())
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(number, thread)) for number in stores for thread in range(2)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        whole = sum(len(store.load(Output)) == 2 * TURNS for store in stores.values())
    for words, count in refused.items():
        print(f"{count} refused: {words}")
    for words in sorted(set(faults))[:3]:
        print(f"failed: {words}")
    return [
        single("runs", f"opened, of {runs}", len(stores), n=runs),
        single("runs", "refused at the start, in one sentence", refused.total(), n=runs),
        single("runs", "share of those opened that ended whole", whole / len(stores), ">= 1", n=len(stores)),
        single("runs", "seconds for all", took, n=len(stores)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["raters", "runs"])
    parser.add_argument("--raters", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60.0, help="before and after the restart")
    parser.add_argument("--away", type=float, default=10.0, help="seconds until the database is begun again")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[Row] = []
    if asked.only != "runs":
        rows += restarted(asked.raters, asked.seconds, asked.away)
    if asked.only != "raters":
        rows += crowded(asked.runs)
    for row in rows:
        print(row)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
