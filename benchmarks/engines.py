"""Workers elsewhere beside this process: when they are ready, what a piece of work costs, calls side by side.

    python -m benchmarks.engines --json rows.json

By processes of this machine alone (Local), and by Ray and Dask on its loopback interface. *Ready* is the time until
every worker has answered its first message, with workers that load no model. *Instant actions* are made-up proposals
whose worker answers at once, with their codec and an SQLite record, a second: in this process, and by two workers
elsewhere; medians, side by side. Beside them is told what the run's process takes of a processor for each, which is
their bound where every process has a core, and which other work on the machine changes less than seconds. *Calls* of
50 ms wait in the run's process, as those of language models do, 64 at once; the ideal is their time over 64. Rows are
name, value, limit, passed; the limits were set for Ray, and the others are held to them, too.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import anyio

from benchmarks.scale import Row, tell
from rrm.core.ids import content_id
from rrm.engines.dask import Dask
from rrm.engines.local import Local
from rrm.engines.ray import Ray
from rrm.pipeline.driver import Engine, drive
from rrm.pipeline.plan import AnyAction, AnyResults, AnyStage, Values
from rrm.store import open_store
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker, made_of, stage_of

READY, SHARE, CALLS = 10.0, 0.7, 1.35
"""Most seconds until a cluster is ready, least share of this process's actions a second, most of calls' ideal time."""

CALL_SECONDS, AT_ONCE = 0.05, 64
ENGINES: dict[str, Callable[..., Engine]] = {"Local": Local, "Ray": Ray, "Dask": Dask}


class Calling(MadeUpWorker):
    """A worker whose proposals wait for somebody."""

    def limit(self, step: str) -> int:
        return AT_ONCE

    async def call(self, action: AnyAction) -> Values:
        await anyio.sleep(CALL_SECONDS)
        made = made_of(action)
        assert not isinstance(made, Exception)
        return made


def only(stage: AnyStage) -> Generator[AnyStage, AnyResults, AnyResults]:
    return (yield stage)


class Took(NamedTuple):
    """How long something took, and this process of a processor."""

    seconds: float
    processor: float


def took(engine: Engine, place: Path, count: int, level: int) -> Took:
    """Return how long a stage of so many made-up actions takes on a record of its own."""
    stage = stage_of([content_id("node", number) for number in range(count)], level=level)
    with open_store(place) as record:
        began = Took(time.perf_counter(), time.process_time())
        anyio.run(drive, only(stage), engine, record)
        return Took(time.perf_counter() - began.seconds, time.process_time() - began.processor)


def measure(name: str, place: Path, count: int, repeats: int, workers: int, calls: int) -> list[Row]:
    """Measure an engine on a cluster that is begun once."""
    engine = ENGINES[name](MadeUpWorker(), {}, MadeUpSupplies(MadeUpWorker()), workers=[{"count": workers}])
    here, calling = Local(MadeUpWorker()), ENGINES[name](Calling(), {}, MadeUpSupplies(MadeUpWorker()))
    try:
        ready = took(engine, place / "ready", 64, 0).seconds  # a piece of one action for every worker, and more
        without, away = list[Took](), list[Took]()
        for number in range(repeats):
            without.append(took(here, place / f"here-{number}", count, 1))
            away.append(took(engine, place / f"away-{number}", count, 1))
        waited = median(took(calling, place / f"calls-{number}", calls, 2).seconds for number in range(repeats))
    finally:
        engine.close()
    of_here, of_away = (count / median(each.seconds for each in times) for times in (without, away))
    processor = [1e6 / count * median(each.processor for each in times) for times in (without, away)]
    share, ideal = of_away / of_here, waited / (calls * CALL_SECONDS / AT_ONCE)
    return [
        Row.of(f"{name}: seconds until ready", ready, READY),
        Row.of(f"{name}: {count} instant actions a second, this process beside it", of_here),
        Row.of(f"{name}: {count} instant actions a second, {workers} workers", of_away),
        replace(Row.of(f"{name}: its share of this process's", share, SHARE), passed=share >= SHARE),
        Row.of(f"{name}: microseconds of a processor an action, this process beside it", processor[0]),
        Row.of(
            f"{name}: microseconds of a processor an action, the run's process with {workers} workers", processor[1]
        ),
        Row.of(f"{name}: {calls} calls of 50 ms, {AT_ONCE} at once: times the ideal", ideal, CALLS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--engine", nargs="+", choices=sorted(ENGINES), default=sorted(ENGINES), help="all, if left out"
    )
    parser.add_argument("--actions", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="1,000 actions, 200 calls, once")
    options = parser.parse_args()
    count, repeats, calls = (1_000, 1, 200) if options.quick else (options.actions, options.repeats, options.calls)
    print(f"python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    rows = []
    for name in options.engine:
        with tempfile.TemporaryDirectory() as place:
            rows += measure(name, Path(place), count, repeats, options.workers, calls)
    tell(rows, options.json)


if __name__ == "__main__":
    main()
