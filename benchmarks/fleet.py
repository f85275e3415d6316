"""A fleet simulated: the real recursion, driver and record; workers and people on a virtual clock.

    python -m benchmarks.fleet --novels 1000 --workers 1000 --json rows.json

So many novels of so many leaves are targets, four more are learned from. What an action makes comes at once from the
stand-ins that forecasts use; how long it takes is drawn: log-normal, so that a few take many times as long as most.
Workers are lost at a rate, fall silent, and after a lease what they had is given to others. People answer in working
hours: what is asked by day comes back by the next morning. Real are the graph, its dependencies, the order of
work, the driver's own processor seconds, its commits and the record's growth; simulated are the workers, the network
and time. *Possible* is what no order of work could beat: of each stage the longer of its longest chain and of its work
shared evenly. That a stage waits for another is part of the method: a level's model needs its last rating.
"""

import argparse
import heapq
import math
import os
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from benchmarks.scale import Row, tell
from rrm.api.runfile import run_file
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts
from rrm.core.ids import generator
from rrm.core.task import Source
from rrm.pipeline.driver import Executor, Result, Work, drive
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.rehearse import USUAL, StandIns
from rrm.store import open_store
from rrm.store.record import SqlStore

HOUR, DAY = 3600.0, 86_400.0
SECONDS = {"decompose": 5.0, "propose": 20.0, "score": 4.0, "support": 4.0, "fit": 600.0}
"""Mean seconds of an action of a step on a worker, drafts by a language model the longest; of any other step one."""
SPREAD = 1.0
"""Standard deviation of the logarithm of an action's time: one in a hundred takes ten times the median."""
LEASE = 60.0
"""After so many silent seconds a worker is taken for lost, and another takes its place."""
PEOPLE = ("rate", "rate-splits")
UTILISATION, BUSY = 0.9, 0.25
"""Least share of what is possible, and most of the machines' time that the driver may be busy."""


@dataclass(frozen=True)
class Novels:
    """So many texts of so many leaves' words, each another; what they say matters to nobody here."""

    count: int
    leaves: int
    words_a_leaf: int = 18
    first: int = 0

    @property
    def name(self) -> str:
        return f"novels({self.count}, {self.leaves}, {self.words_a_leaf}, {self.first})"

    def sources(self) -> list[Source]:
        words = self.leaves * self.words_a_leaf
        return [self._source(number, words) for number in range(self.first, self.first + self.count)]

    def _source(self, number: int, words: int) -> Source:
        # a sentence of nine words; the second tells novels apart
        sentences = (f"It was {number} again when the tide came in." for _ in range(math.ceil(words / 9)))
        return Source(f"novel {number}", " ".join(sentences))


class End(NamedTuple):
    """When an attempt at an action ends, the number that tells equal ends apart, and whether its worker is `lost`."""

    at: float
    number: int
    action: AnyAction
    tries: int
    lost: bool


@dataclass(eq=False)
class Fleet:
    """An engine of simulated workers and people; `now` is its clock, in seconds since the run began.

    `busy` adds up what workers were at work on what was kept; `took` and `possible` have, by step, how long its stages
    took and the least that they could. `simulated` is the processor time of all that a fleet would have done elsewhere.
    """

    answer: StandIns
    workers: int
    lost_an_hour: float
    seed: int
    now: float = 0.0
    busy: float = 0.0
    simulated: float = 0.0
    lost: int = 0
    took: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    possible: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    name: str = "fleet"

    def executor(self, step: str) -> Executor:
        return Simulated(self, math.inf if step in PEOPLE else self.workers)

    def close(self) -> None:
        """Nothing is held."""

    def ends(self, action: AnyAction, tries: int, number: int) -> End:
        """Return when somebody is done with what he takes up now, or is taken for lost."""
        if action.step in PEOPLE:  # in the working hours of the next day
            hours = generator("answered", self.seed, action.id).uniform(9, 17)
            return End((self.now // DAY + 1) * DAY + hours * HOUR, number, action, tries, False)
        seconds, there = self.seconds(action), self._until_lost(action, tries)
        if there < seconds:
            return End(self.now + there + LEASE, number, action, tries, True)
        self.busy += seconds
        return End(self.now + seconds, number, action, tries, False)

    def seconds(self, action: AnyAction) -> float:
        """Return how long an action takes whoever does it, by its id alone."""
        mean = DAY if action.step in PEOPLE else SECONDS.get(action.step, 1.0)
        return float(mean * generator("seconds", self.seed, action.id).lognormal(-(SPREAD**2) / 2, SPREAD))

    def _until_lost(self, action: AnyAction, tries: int) -> float:
        if not self.lost_an_hour:
            return math.inf
        draw = generator("lost", self.seed, action.id, tries).exponential()
        return float(draw * HOUR / -math.log1p(-self.lost_an_hour))


@dataclass(eq=False)
class Simulated:
    """Does a stage's actions as so many would: what is ready first is begun first, and handed in as it ends."""

    fleet: Fleet
    idle: float

    async def execute(self, work: Work) -> None:
        fleet, began, before, numbers = self.fleet, self.fleet.now, self.fleet.busy, count()
        ready: deque[tuple[AnyAction, int]] = deque()
        under_way: list[End] = []
        longest: dict[str, float] = {}
        while True:
            taken = work.take_nowait() if ready or under_way else await work.take(math.inf)
            ready.extend((action, 0) for action in taken)
            if not ready and not under_way:
                break
            here = time.thread_time()
            while ready and self.idle:
                action, tries = ready.popleft()
                heapq.heappush(under_way, fleet.ends(action, tries, next(numbers)))
                self.idle -= 1
            results = self._ended(under_way, ready, work.plan.stage.after, longest)
            fleet.simulated += time.thread_time() - here
            await work.give(results)
        step = work.plan.stage.step
        fleet.took[step] += fleet.now - began
        chain = max(longest.values(), default=0.0)
        fleet.possible[step] += max(chain, (fleet.busy - before) / fleet.workers)

    def _ended(
        self,
        under_way: list[End],
        ready: "deque[tuple[AnyAction, int]]",
        after: Mapping[str, Sequence[str]],
        longest: dict[str, float],
    ) -> list[Result]:
        """Go on to the next end, and to all within a tenth of a second; return what was done by then."""
        fleet, results = self.fleet, list[Result]()
        until = under_way[0].at + 0.1
        while under_way and under_way[0].at <= until:
            end = heapq.heappop(under_way)
            fleet.now = end.at
            self.idle += 1
            if end.lost:
                fleet.lost += 1
                ready.appendleft((end.action, end.tries + 1))
                continue
            results.append((end.action, fleet.answer(end.action)))
            slot = end.action.slot
            before = max((longest.get(each, 0.0) for each in after.get(slot, ())), default=0.0)
            longest[slot] = before + fleet.seconds(end.action)
        return results


class Counted:
    """A record that counts its commits."""

    def __init__(self, record: SqlStore) -> None:
        self._record = record
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    def complete(self, batch: Sequence[Any]) -> None:
        self.commits += 1
        self._record.complete(batch)


@dataclass(frozen=True)
class Library:
    """So many novels of so many leaves; with `context` each output reads those before it."""

    novels: int
    leaves: int
    context: bool


def settings(library: Library) -> dict[str, Any]:
    """Return the run: texts without sense, leaves of two sentences in sixes; stand-ins answer for all its parts."""
    chunks = {"leaf_tokens": 24, "fan_in": [6], "max_tokens": [40, 60], "context": library.context}
    few = {"count": 4, "leaves": library.leaves, "first": library.novels}
    quality = {"quality": "tasks.synthetic_book:perceived_quality"}
    return {
        "name": "fleet",
        "train": {"plugin": "benchmarks.fleet:Novels", "arguments": few},
        "target": {
            "plugin": "benchmarks.fleet:Novels",
            "arguments": {"count": library.novels, "leaves": library.leaves},
        },
        "decomposer": {"plugin": "decomposers.chunks:Chunks", "arguments": chunks},
        "policy": {"plugin": "rrm.policy.careless:Careless", "outputs": 3, "root_outputs": 4},
        "rater": {"plugin": "rrm.raters.simulated:SimulatedRaters", "arguments": quality},
    }


def measure(place: Path, library: Library, workers: int, lost_an_hour: float) -> list[Row]:
    """Run a library through a fleet, and return what it took of virtual time and of real work."""
    parts = Parts(run_file(settings(library)))
    plan = recursion_of(parts)
    fleet = Fleet(StandIns(plan, parts.decomposer, USUAL), workers, lost_an_hour, seed=0)
    folder = place / f"{library.novels}-{library.leaves}-{library.context}"
    with open_store(folder) as store:
        record = Counted(store)
        began = time.process_time()
        outcome = anyio.run(drive, recursion(plan), fleet, record)
        driver = time.process_time() - began - fleet.simulated
    nodes = sum(len(tree.graph) for tree in outcome.forest.trees)
    machines, possible = (
        sum(each for step, each in times.items() if step not in PEOPLE) for times in (fleet.took, fleet.possible)
    )
    name = f"{library.novels} x {library.leaves}{' with context' if library.context else ''}"
    told = {
        "nodes": nodes,
        "virtual hours, people's nights included": fleet.now / HOUR,
        "virtual hours of machines": machines / HOUR,
        "utilisation": fleet.busy / workers / machines,
        "lost and done again": fleet.lost,
        "driver, processor seconds": driver,
        "driver, microseconds a node": 1e6 * driver / nodes,
        "commits": record.commits,
        "record, bytes a node": (folder / "record.db").stat().st_size / nodes,
    }
    told |= {f"{step}, virtual hours": each / HOUR for step, each in sorted(fleet.took.items()) if each > HOUR / 60}
    rows = [Row.of(f"{name}: {what}", value) for what, value in told.items()]
    share = possible / machines
    rows.append(Row(f"{name}: possible over taken, at least", share, UTILISATION, share >= UTILISATION))
    return [*rows, Row.of(f"{name}: driver busy, at most", driver / machines, BUSY)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--novels", type=int, default=1000)
    parser.add_argument("--leaves", type=int, default=80, help="of a novel")
    parser.add_argument(
        "--context", choices=("both", "with", "without"), default="both", help="outputs read earlier ones"
    )
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--lost", type=float, default=0.02, help="share of the workers that is lost an hour")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--quick", action="store_true", help="20 novels, 30 workers")
    options = parser.parse_args()
    novels, workers = (20, 30) if options.quick else (options.novels, options.workers)
    contexts = {"both": (True, False), "with": (True,), "without": (False,)}[options.context]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"python {sys.version.split()[0]}, {load}; {workers:,} simulated workers", file=sys.stderr)
        for context in contexts:
            rows += measure(Path(name), Library(novels, options.leaves, context), workers, options.lost)
    tell(rows, options.json)


if __name__ == "__main__":
    main()
