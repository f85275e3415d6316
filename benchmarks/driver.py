"""What the driver itself costs: microseconds a node with a policy that returns at once, and the time to resume."""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from statistics import median

import anyio

from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.values import Output
from rrm.engines.here import InThread
from rrm.pipeline.driver import Executors, drive
from rrm.pipeline.plan import Action, AnyAction, AnyResults, AnyStage, Done, Stage, Values
from rrm.store import open_store

SENTENCE = "The keeper of the lamp went down to the shore and found the boat gone."


class AtOnce:
    """A worker that proposes one output at once."""

    def limit(self, step: str) -> int:
        return 0

    def gains(self, step: str) -> bool:
        return False

    def vital(self, step: str) -> bool:
        return False

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        return [(Output(action.slot, SENTENCE, "at once", seed_for(action.slot)),) for action in actions]

    async def call(self, action: AnyAction) -> Values:
        raise NotImplementedError("nothing waits here")


def process(nodes: int, chains: int) -> Generator[AnyStage, AnyResults, int]:
    """Propose at so many nodes: each by itself, or in so many chains, each node reading the one before."""
    slots = tuple(f"node-{number:020d}" for number in range(nodes))
    after = {slots[at]: (slots[at - chains],) for at in range(chains, nodes)} if chains else {}

    def make(slot: str, done: Mapping[str, Done[None, Output]]) -> Action[None]:
        read = [output.id for each in done.values() for output in each.values]
        return Action(content_id("action", "propose", slot, read), "propose", slot, Place(), None)

    results = yield Stage("propose", Place(), slots, make, after)
    return sum(len(each.values) for each in results.values())


def once(directory: Path, nodes: int, chains: int = 0) -> float:
    """Return the seconds of one run in this directory, from opening its record to closing it."""
    gc.collect()
    began = time.perf_counter()
    with open_store(directory) as store:
        made = anyio.run(drive, process(nodes, chains), Executors(propose=InThread(AtOnce())), store)
    assert made == nodes
    return time.perf_counter() - began


def sync_microseconds(directory: Path) -> float:
    """Return what it takes this disk to write a page and say that it is safe."""
    took = []
    with (directory / "sync").open("wb") as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out 100,000 nodes, and measure once")
    parser.add_argument("--dir", type=Path, help="where to write (default: the system's temporary directory)")
    options = parser.parse_args()
    times = 1 if options.quick else 5
    sizes = [(1_000, 0, times), (10_000, 0, times), (1_000, 1, times), (10_000, 8, times)]
    if not options.quick:
        sizes.append((100_000, 0, 1))
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        place = Path(name)
        print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores, fsync {sync_microseconds(place):.0f} us")
        print(f"{'nodes':>8}  {'chains':>6}  {'us a node':>9}  {'least':>7}  {'most':>7}  {'runs':>4}")
        for nodes, chains, runs in sizes:
            took = [once(place / f"{nodes}-{chains}-{number}", nodes, chains) * 1e6 / nodes for number in range(runs)]
            spread = f"{median(took):>9.0f}  {min(took):>7.0f}  {max(took):>7.0f}  {runs:>4}"
            print(f"{nodes:>8}  {chains or 'none':>6}  {spread}")
        took = [once(place / "10000-0-0", 10_000) for _ in range(times)]
        print(f"resume of 10,000 nodes: {median(took):.2f} s ({min(took):.2f} to {max(took):.2f}, {times} runs)")


if __name__ == "__main__":
    main()
