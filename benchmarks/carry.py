"""Does it carry to the root? Root outputs of books ranked by composed scores, beside every baseline, at equal minutes.

Worlds (copied, reframed, retold) x lengths x seeds are cells; each is a process that can be resumed; its rows are
appended to the results file, budget by budget, with the commit that they were measured at. What is on file is not
measured again.
The tables are made from that file alone (`--table`). Gold is exact and is known to the evaluation alone.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.carry_cell import WORLDS, Size
from benchmarks.carry_plot import draw
from rrm.core.report import Interval
from rrm.evaluate.metrics import cluster_interval

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS = (501, 502, 503)
COLUMNS = (
    "composed", "own", "flat_equal", "flat_unlimited", "verbatim", "source_free_importance", "oracle_raters",
    "truth_per_claim", "control_provenance", "control_leaf_labels", "control_children",
)  # fmt: skip
"""Every column of the benchmark's rule, in its order."""
ADDED = (
    "world, words, minutes",
    "composed - own",
    "composed - flat_equal",
    "composed - verbatim",
    "within a tree: composed, own",
    "90 % intervals hold, bias",
    "false root sentences, born below",
    "guilty leaf first, in three",
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Which cells there are: lengths with the size of a cell, and budgets in rater minutes (None: all questions)."""

    sizes: Mapping[int, Size]
    budgets: tuple[float | None, ...]
    seeds: tuple[int, ...]
    name: str


FULL = Plan({2000: Size(), 8000: Size(), 24_000: Size(targets=4)}, (250.0, 1000.0, 4000.0, None), SEEDS, "full")
QUICK = Plan({2000: Size(train=4, train_trees=1, targets=2, trees=2)}, (250.0, None), SEEDS[:1], "quick")


# ---- cells ----


def measure(
    world: str, words: int, seed: int, plan: Plan, budgets: Sequence[float | None], work: Path
) -> Iterator[list[Row]]:
    """Yield the rows of a cell, budget by budget.

    It is measured in a process of its own, which goes on where one that was killed stopped; raises CalledProcessError
    where it fails.
    """
    folder = work / f"{plan.name}-{world}-{words}-{seed}"
    job = {
        "world": world, "words": words, "seed": seed, "size": asdict(plan.sizes[words]),
        "budgets": budgets, "folder": str(folder),
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.carry_cell", json.dumps(job)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def commit() -> str:
    """Return the commit that is checked out, with a plus where files differ from it."""
    named = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    return named.strip() + "+" * bool(changed.strip())


def on_file(path: Path, plan: Plan) -> list[Row]:
    """Return the rows of a plan that a results file holds."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["plan"] == plan.name]


# ---- from rows of targets to rows of the benchmark ----


def summaries(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield a row for every world, size, budget and column: means over targets, rho with its bootstrap interval."""
    groups: dict[tuple[str, int, float | None, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["world"], row["words"], row["minutes"], row["column"]].append(row)
    for (world, words, minutes, column), here in sorted(groups.items(), key=_order):
        rho = _values(here, "rho")
        interval = _interval(rho)
        blamed = sum(row["blamed"] for row in here)
        yield {
            "world": world, "words": words, "minutes": minutes, "column": column,
            "spent": _mean(_values(here, "spent")), "n": len(here), "seed_count": len({row["seed"] for row in here}),
            "rho": _mean(rho), "rho_low": interval.low if interval else None,
            "rho_high": interval.high if interval else None, "rho_within": _mean(_values(here, "rho_within")),
            "gold_of_chosen": _mean(_values(here, "gold_of_chosen")), "gold_mean": _mean(_values(here, "gold_mean")),
            "gold_best": _mean(_values(here, "gold_best")),
            "coverage": _mean(_values(here, "covered")), "bias": _mean(_values(here, "bias")),
            "blame_first": sum(row["blame_first"] for row in here) / blamed if blamed else None,
            "blame_three": sum(row["blame_three"] for row in here) / blamed if blamed else None,
        }  # fmt: skip


def _order(group: tuple[tuple[str, int, float | None, str], list[Row]]) -> tuple[int, int, float, int]:
    world, words, minutes, column = group[0]
    return list(WORLDS).index(world), words, float("inf") if minutes is None else minutes, COLUMNS.index(column)


def _values(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows if row[name] is not None], dtype=float)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(values: np.ndarray) -> Interval | None:
    return cluster_interval(values, np.arange(len(values)), lambda drawn: float(drawn.mean()), 0.95, 2000, 0)


def difference(rows: Sequence[Row], column: str, other: str) -> tuple[float, Interval | None] | None:
    """Return the mean difference of two columns' rho over the targets that have both, with its paired interval."""
    by_target: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row["rho"] is not None:
            by_target[row["seed"], row["source"]][row["column"]] = row["rho"]
    both = np.array([each[column] - each[other] for each in by_target.values() if {column, other} <= each.keys()])
    return (float(both.mean()), _interval(both)) if len(both) else None


# ---- tables ----


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the tables: rank correlations by column, then what composing adds, coverage and blame."""
    found = list(summaries(rows))
    columns = [column for column in COLUMNS if any(row["column"] == column for row in found)]
    yield f"Measured at {', '.join(sorted({row['commit'] for row in rows}))}; {_targets(found)}."
    yield ""
    yield "| world, words, minutes | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * len(columns)
    cells = _by_cell(found)
    for key, by_column in cells.items():
        yield f"| {_named(key)} | " + " | ".join(_rho(by_column.get(column)) for column in columns) + " |"
    yield ""
    yield "| " + " | ".join(ADDED) + " |"
    yield "|---" * len(ADDED) + "|"
    for key, by_column in cells.items():
        here = [row for row in rows if (row["world"], row["words"], row["minutes"]) == key]
        gaps = [_gap(difference(here, "composed", other)) for other in ("own", "flat_equal", "verbatim")]
        composed, own = by_column["composed"], by_column["own"]
        within = f"{_two(composed['rho_within'])}, {_two(own['rho_within'])}"
        held = f"{_two(composed['coverage'])}, {_two(composed['bias'], True)}"
        blamed = f"{_two(composed['blame_first'])}, {_two(composed['blame_three'])}"
        yield f"| {_named(key)} | {' | '.join(gaps)} | {within} | {held} | {_births(here)} | {blamed} |"


def _by_cell(found: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int, float | None], dict[str, Mapping[str, Any]]]:
    cells: dict[tuple[str, int, float | None], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in found:
        cells[row["world"], row["words"], row["minutes"]][row["column"]] = row
    return cells


def _targets(found: Sequence[Mapping[str, Any]]) -> str:
    n = sorted({row["n"] for row in found})
    return f"{n[0]} to {n[-1]} targets a row" if n[0] != n[-1] else f"{n[0]} targets a row"


def _births(rows: Sequence[Row]) -> str:
    """Return the share of root sentences that are false, and of these the share that became so below the root."""
    one = [row for row in rows if row["column"] == "own"]
    told, false, below = (sum(row[name] for row in one) for name in ("told", "false", "false_below"))
    return f"{_two(false / told if told else None)}, {_two(below / false if false else None)}"


def _named(key: tuple[str, int, float | None]) -> str:
    world, words, minutes = key
    return f"{world}, {words:,}, {'all' if minutes is None else f'{minutes:,.0f}'}"


def _rho(row: Mapping[str, Any] | None) -> str:
    if row is None or row["rho"] is None:
        return "-"
    if row["rho_low"] is None:
        return _two(row["rho"])
    return f"{_two(row['rho'])} ({_two(row['rho_low'])} to {_two(row['rho_high'])})"


def _gap(found: tuple[float, Interval | None] | None) -> str:
    if found is None:
        return "-"
    mean, interval = found
    return _two(mean, True) + (f" ({_two(interval.low, True)} to {_two(interval.high, True)})" if interval else "")


def _two(value: float | None, signed: bool = False) -> str:
    """Return a figure with two digits and without its leading zero."""
    if value is None:
        return "-"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def _budgets(text: str) -> tuple[float | None, ...]:
    return tuple(None if each == "all" else float(each) for each in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells of 2,000 words; minutes, not hours")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), help="other seeds: 1,2,3")
    parser.add_argument("--worlds", type=lambda text: tuple(text.split(",")), default=tuple(WORLDS))
    parser.add_argument("--words", type=lambda text: tuple(map(int, text.split(","))), help="only these lengths")
    parser.add_argument("--minutes", type=_budgets, help="only these budgets: 250,all")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where finished cells are kept")
    parser.add_argument("--work", type=Path, help="where cells are resumed from (default: a folder for this call)")
    parser.add_argument("--json", type=Path, help="write a row for every world, size, budget and column")
    parser.add_argument("--plot", type=Path, help="draw rank correlations against minutes (.png, .svg)")
    parser.add_argument("--table", action="store_true", help="measure nothing: print the tables of what is on file")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if unknown := set(options.worlds) - WORLDS.keys():
        parser.error(f"no world called {', '.join(sorted(unknown))}: there are {', '.join(WORLDS)}")
    if unknown_sizes := set(options.words or ()) - plan.sizes.keys():
        named, known_sizes = (", ".join(map(str, sorted(each))) for each in (unknown_sizes, plan.sizes))
        parser.error(f"no cells of {named} words: there are {known_sizes}")
    seeds, sizes = options.seeds or plan.seeds, options.words or tuple(plan.sizes)
    rows = on_file(options.results, plan)
    with tempfile.TemporaryDirectory() as temporary:
        for words, seed, world in ((a, b, c) for a in sizes for b in seeds for c in options.worlds):
            known = {
                row["minutes"] for row in rows if (row["world"], row["words"], row["seed"]) == (world, words, seed)
            }
            budgets = [each for each in options.minutes or plan.budgets if each not in known]
            if options.table or not budgets:
                continue
            made = commit()
            for measured in measure(world, words, seed, plan, budgets, options.work or Path(temporary)):
                new = [{**row, "plan": plan.name, "commit": made} for row in measured]
                with options.results.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
                rows += new
    wanted = [row for row in rows if row["words"] in sizes and row["seed"] in seeds and row["world"] in options.worlds]
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in summaries(wanted)), "utf-8")
    if options.plot and wanted:
        draw(summaries(wanted), options.plot)
    if not wanted:
        print("nothing is on file for these cells yet")
        return
    print("\n".join(table(wanted)))


if __name__ == "__main__":
    main()
