"""What to ask next of generated books: gold of the chosen root output against rater minutes, by four ways of asking.

    python -m benchmarks.ask_books --json rows.jsonl

Worlds (copied, reframed) x seeds are cells. In a cell all ways see the same sources, trees, candidates and raters, and
the same first minutes (`benchmarks.ask_books_cell`). *RLHF*, fitting all feedback on training sources and then choosing
at the targets, is what they come to; *assistance* (`benchmarks.ask_books_assist`) may ask about targets and leave
choices to a person. Rows of targets are appended to the results file with the commit; cells on file are not measured
again, and the tables are made from that file alone (`--table`).
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ask_books_assist import ALLOWED, EVIDENCE, assisted
from benchmarks.ask_books_cell import START, WAYS, WORLDS, Cell, Size, rows_of, spent
from benchmarks.carry import commit
from benchmarks.rows import Row
from rrm.pipeline.steps import Run
from rrm.store.record import SqlStore, open_store

Target = Mapping[str, Any]
"""A row of one target, or of a cell's cost, as it is on file."""

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS = (7301, 7302, 7303)


@dataclass(frozen=True)
class Plan:
    name: str
    size: Size
    seeds: tuple[int, ...]


FULL = Plan("full", Size(), SEEDS)
QUICK = Plan("quick", Size(words=500, train=2, targets=2, minutes=(60.0, 125.0)), (1,))


# ---- cells ----


def measured(world: str, seed: int, size: Size, folder: Path, store: SqlStore) -> list[dict[str, Any]]:
    """Return the rows of a cell: of every way after all minutes, of bounds, then of assistance beside them."""
    began = time.process_time()
    cell = Cell.opened(world, seed, size, folder, store)
    rows: list[dict[str, Any]] = []
    stages: dict[str, dict[float, Run]] = {}
    for way in WAYS:
        run = cell.start
        stages[way] = {START: run}
        for minutes in size.minutes:
            run = stages[way][minutes] = cell.until(run, way, minutes)
            rows += rows_of(cell, way, minutes, run)
        told(f"{world} {seed} {way}", began)
    everything = cell.until(stages["random"][size.minutes[-1]], "random", 1e6)
    rows += [{**row, "part": "bounds"} for row in rows_of(cell, "all questions", spent(everything), everything)]
    for tree in cell.targets:
        gold = cell.gold[tree.graph.root]
        bounds = {"a candidate at random": gold.mean(), "best candidate": gold.max()}
        rows += [{"part": "bounds", "way": name, "source": tree.source, "gold": float(x)} for name, x in bounds.items()]
    rows += assisted(cell, stages)
    told(f"{world} {seed} assistance", began)
    counted = {"part": "cost", "tokens": cell.tokens, "seconds": round(time.process_time() - began)}
    return [{"world": world, "seed": seed, **row} for row in [*rows, counted]]


def told(what: str, began: float) -> None:
    print(f"{what}: {time.process_time() - began:.0f} processor seconds", file=sys.stderr, flush=True)


def on_file(path: Path, plan: Plan) -> list[Target]:
    """Return the rows of a plan that a results file holds."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["plan"] == plan.name]


# ---- from rows of targets to rows of the benchmark ----

BOTH = "both"


def golds(rows: Sequence[Target], world: str, **what: Any) -> dict[tuple[str, int, str], float]:
    """Return the gold of what was chosen, by world, seed and target, in rows that have all of `what`."""
    return {
        (row["world"], row["seed"], row["source"]): row["gold"]
        for row in rows
        if world in (BOTH, row["world"]) and "gold" in row and all(row.get(key) == value for key, value in what.items())
    }


def gap(ours: Mapping[tuple[str, int, str], float], other: Mapping[tuple[str, int, str], float]) -> list[float]:
    """Return differences over the targets that have both."""
    return [ours[target] - other[target] for target in sorted(ours.keys() & other.keys())]


def summary(rows: Sequence[Target]) -> Iterator[Row]:
    """Yield the benchmark's rows: gold by way and minutes, and differences by target with their paired intervals."""
    minutes = sorted({row["minutes"] for row in rows if row["part"] == "asking"})
    worlds = [world for world in (*WORLDS, BOTH) if golds(rows, world)]
    for world in worlds:
        random = {each: golds(rows, world, part="asking", way="random", minutes=each) for each in minutes}
        for way in WAYS:
            for each in minutes:
                here = golds(rows, world, part="asking", way=way, minutes=each)
                name = f"{world}, {way}, {each:g} minutes"
                yield Row.of("asking", name, list(here.values()))
                if way != "random":
                    line = ">= -0.01" if way == "value" else None
                    yield Row.of("asking", f"{name}, less random", gap(here, random[each]), line)
        if {500.0, 1000.0} <= set(minutes):
            half = golds(rows, world, part="asking", way="value", minutes=500.0)
            found = gap(half, random[1000.0])
            yield Row.of("asking", f"{world}, value at 500 less random at 1000 minutes", found, ">= 0")
        for way in dict.fromkeys(row["way"] for row in rows if row["part"] == "bounds"):
            yield Row.of("bounds", f"{world}, {way}", list(golds(rows, world, part="bounds", way=way).values()))
        yield from _assistance(rows, world)


def _assistance(rows: Sequence[Target], world: str) -> Iterator[Row]:
    for minutes in sorted({row["minutes"] for row in rows if row["part"] == "assistance"}):
        rlhf = golds(rows, world, part="asking", way="value", minutes=minutes)
        for allowed in ALLOWED:
            for way in ("random", "value"):
                here = golds(rows, world, part="assistance", way=way, minutes=minutes, allowed=allowed)
                name = f"{world}, {way}, {allowed}, {minutes:g} minutes"
                yield Row.of("assistance", name, list(here.values()))
                line = ">= -0.02" if way == "value" else None
                yield Row.of("assistance", f"{name}, less RLHF with value", gap(here, rlhf), line)


# ---- tables ----


def table(rows: Sequence[Target]) -> Iterator[str]:
    """Yield the lines of the tables."""
    found = {(row.part, row.name): row for row in summary(rows)}
    count = len(golds(rows, BOTH, part="bounds", way="best candidate"))
    yield f"Measured at {', '.join(sorted({row['commit'] for row in rows}))}; {count} targets."
    yield ""
    yield "| world | minutes | " + " | ".join(WAYS) + " | value less random | at most .01 below |"
    yield "|---" * (len(WAYS) + 4) + "|"
    for world in (*WORLDS, BOTH):
        for minutes in sorted({row["minutes"] for row in rows if row["part"] == "asking"}):
            if ("asking", f"{world}, value, {minutes:g} minutes") not in found:
                continue
            cells = [_two(found["asking", f"{world}, {way}, {minutes:g} minutes"].value) for way in WAYS]
            less = found["asking", f"{world}, value, {minutes:g} minutes, less random"]
            yield f"| {world} | {minutes:,.0f} | {' | '.join(cells)} | {_spread(less)} | {_kept(less)} |"
    yield ""
    bounds = [row for row in found.values() if row.part == "bounds" and row.name.startswith(f"{BOTH}, ")]
    aim = [row for row in found.values() if row.name == f"{BOTH}, value at 500 less random at 1000 minutes"]
    told = [f"{row.name.removeprefix(f'{BOTH}, ')} {_two(row.value)}" for row in bounds]
    told += [f"value at 500 minutes less random at 1,000 {_spread(row)}" for row in aim]
    yield "; ".join(told) + "."
    yield ""
    yield "| minutes | asked by | RLHF | " + " | ".join(f"{each} | less RLHF with value" for each in ALLOWED) + " |"
    yield "|---" * 9 + "|"
    for minutes in sorted({row["minutes"] for row in rows if row["part"] == "assistance"}):
        for way in ("random", "value"):
            cells = [_two(found["asking", f"{BOTH}, {way}, {minutes:g} minutes"].value)]
            for allowed in ALLOWED:
                name = f"{BOTH}, {way}, {allowed}, {minutes:g} minutes"
                less = found["assistance", f"{name}, less RLHF with value"]
                cells += [_two(found["assistance", name].value), _spread(less)]
            yield f"| {minutes:,.0f} | {way} | {' | '.join(cells)} |"
    yield ""
    yield f"| allowed | minutes | asked by | minutes spent | left to a person | questions | {EVIDENCE} |"
    yield "|---" * 7 + "|"
    groups: dict[tuple[int, float, str], dict[tuple[str, int], Target]] = defaultdict(dict)
    for row in rows:
        if row["part"] == "assistance":
            key = ALLOWED.index(row["allowed"]), row["minutes"], row["way"]
            groups[key][row["world"], row["seed"]] = row
    for (at, minutes, way), cells_ in sorted(groups.items()):
        acts = [np.mean([each["acts"].get(act, 0) for each in cells_.values()]) for act in ("leave", "ask", EVIDENCE)]
        taken = np.mean([each["spent"] for each in cells_.values()])
        means = " | ".join(f"{each:.1f}" for each in acts)
        yield f"| {ALLOWED[at]} | {minutes:,.0f} | {way} | {taken:.0f} | {means} |"
    yield ""
    yield from _beliefs(rows)


def _beliefs(rows: Sequence[Target]) -> Iterator[str]:
    """Yield what is believed of root outputs, and what is true."""
    heads = ("spread", "true_spread", "deliver", "true_deliver", "left", "true_left")
    yield "| minutes | " + " | ".join(each.replace("_", " ") for each in heads) + " |"
    yield "|---" * 7 + "|"
    here = [row for row in rows if row["part"] == "belief"]
    for minutes in sorted({row["minutes"] for row in here}):
        means = [np.mean([row[each] for row in here if row["minutes"] == minutes]) for each in heads]
        yield f"| {minutes:,.0f} | {' | '.join(f'{each:.2f}' for each in means)} |"


def _two(value: float, signed: bool = False) -> str:
    """Return a figure with three digits and without its leading zero."""
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def _spread(row: Row) -> str:
    assert row.low is not None
    assert row.high is not None
    return f"{_two(row.value, True)} ({_two(row.low, True)} to {_two(row.high, True)})"


def _kept(row: Row) -> str:
    return "yes" if row.passed else "**no**"


def _alternating(seeds: Sequence[int], worlds: Sequence[str]) -> list[tuple[int, str]]:
    """Return all cells, each seed in one world, then each in the next, so that few cells are of many seeds."""
    return [(seed, worlds[(at + turn) % len(worlds)]) for turn in range(len(worlds)) for at, seed in enumerate(seeds)]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells; a minute each")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), help="other seeds: 1,2,3")
    parser.add_argument("--worlds", type=lambda text: tuple(text.split(",")), default=WORLDS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where finished cells are kept")
    parser.add_argument("--work", type=Path, help="where cells are resumed from (default: a folder for this call)")
    parser.add_argument("--json", type=Path, help="write the rows: part, name, value, low, high, pass_line, passed")
    parser.add_argument("--table", action="store_true", help="measure nothing: print the tables of what is on file")
    options = parser.parse_args(given)
    plan = QUICK if options.quick else FULL
    if unknown := set(options.worlds) - set(WORLDS):
        parser.error(f"no world called {', '.join(sorted(unknown))}: there are {', '.join(WORLDS)}")
    seeds, rows = options.seeds or plan.seeds, on_file(options.results, plan)
    made = commit()  # before results are appended, which would count as a change
    with tempfile.TemporaryDirectory() as temporary:
        for seed, world in _alternating(seeds, options.worlds):
            if options.table or any((row["world"], row["seed"]) == (world, seed) for row in rows):
                continue
            folder = (options.work or Path(temporary)) / f"{plan.name}-{world}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            with open_store(folder) as store:
                found = measured(world, seed, plan.size, folder, store)
            new = [{**row, "plan": plan.name, "commit": made} for row in found]
            with options.results.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
            rows += new
    wanted = [row for row in rows if row["seed"] in seeds and row["world"] in options.worlds]
    if not wanted:
        print("nothing is on file for these cells yet")
        return
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in summary(wanted)), "utf-8")
    print("\n".join(table(wanted)))


if __name__ == "__main__":
    main()
