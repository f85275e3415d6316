"""The tables of `benchmarks.carry`: rank correlations by column, what composing adds, and the lines it is held against.

All of it is made from the rows of the results file.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from benchmarks.carry_cell import WORLDS
from rrm.core.report import Interval
from rrm.evaluate.metrics import cluster_interval

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
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


# ---- the lines that were set beforehand ----


class Cell(NamedTuple):
    """What was measured of a world at a length and a budget: rows of targets, and their means by column."""

    world: str
    words: int
    rows: Sequence[Row]
    of: Mapping[str, Mapping[str, Any]]

    @property
    def copied(self) -> bool:
        return self.world == "copied"

    def value(self, column: str, name: str) -> float:
        """Return a mean; NaN, which keeps no line, where there is none."""
        found = self.of[column][name] if column in self.of else None
        return float("nan") if found is None else float(found)

    def beyond(self, column: str) -> tuple[float, Interval | None]:
        """Return by how much composed scores are above a column's, with the paired interval."""
        return difference(self.rows, "composed", column) or (float("nan"), None)


class Verdict(NamedTuple):
    """A figure in words, and whether it keeps its line; None where no line was set."""

    told: str
    kept: bool | None


def _above_own(cell: Cell) -> Verdict:
    mean, interval = cell.beyond("own")
    return Verdict(_two(mean, True), mean >= 0.1 and interval is not None and interval.low > 0)


def _composed(cell: Cell) -> Verdict:
    rho = cell.value("composed", "rho")
    least = 0.6 if not cell.copied else 0.85 if cell.words >= 8000 else None
    return Verdict(_two(rho), None if least is None else rho >= least)


def _above_flat(cell: Cell) -> Verdict:
    mean, _ = cell.beyond("flat_equal")
    return Verdict(_two(mean, True), mean >= (-0.01 if cell.copied and cell.words < 8000 else 0))


def _above_verbatim(cell: Cell) -> Verdict:
    mean, _ = cell.beyond("verbatim")
    return Verdict(_two(mean, True), mean >= (-0.01 if cell.copied else 0.2))


def _within(cell: Cell) -> Verdict:
    composed, own = (cell.value(column, "rho_within") for column in ("composed", "own"))
    return Verdict(f"{_two(composed)} over {_two(own)}", composed > own)


def _way_to_truth(cell: Cell) -> Verdict:
    composed, own, truth = (cell.value(column, "rho") for column in ("composed", "own", "truth_per_claim"))
    share = (composed - own) / (truth - own) if truth > own else float("nan")
    return Verdict(_two(share), share >= (0.6 if cell.copied else 0.3))


def _held(cell: Cell) -> Verdict:
    held = cell.value("composed", "coverage")
    low, high = (0.85, 0.95) if cell.copied else (0.8, 0.97)
    return Verdict(_two(held), low <= held <= high)


def _bias(cell: Cell) -> Verdict:
    bias = cell.value("composed", "bias")
    return Verdict(_two(bias, True), abs(bias) <= (0.05 if cell.copied else 0.1))


def _blamed(cell: Cell) -> Verdict:
    first, three = (cell.value("composed", name) for name in ("blame_first", "blame_three"))
    least = (0.9, 0.98) if cell.copied else (0.5, 0.75)
    return Verdict(f"{_two(first)}, {_two(three)}", first >= least[0] and three >= least[1])


LINES: tuple[tuple[str, float | None, Callable[[Cell], Verdict]], ...] = (
    ("composed - own: +.10, interval above 0", None, _above_own),
    ("composed at least .85 copied (from 8,000), .60 reframed", None, _composed),
    ("composed >= flat at equal minutes (copied, 2,000: within .01)", None, _above_flat),
    ("the same at 4,000 minutes", 4000.0, _above_flat),
    ("composed - verbatim: -.01 copied, +.20 reframed", None, _above_verbatim),
    ("within a tree above own", None, _within),
    ("share of the way to truth per claim: .6 copied, .3 reframed", None, _way_to_truth),
    ("90 % intervals hold .85 to .95 copied, .80 to .97 reframed", None, _held),
    ("bias within .05 copied, .10 reframed", None, _bias),
    ("guilty leaf first, in three: .90, .98 copied; .50, .75 reframed", None, _blamed),
)
"""Each line with its budget in minutes, None for all questions, and how it is told and held."""


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table of what was set beforehand, copied and reframed: kept or not, by length."""
    groups: dict[tuple[str, int, float | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row["world"] in ("copied", "reframed"):
            groups[row["world"], row["words"], row["minutes"]].append(row)
    found = _by_cell(list(summaries(chain.from_iterable(groups.values()))))
    sizes = sorted({(world, words) for world, words, _ in groups})
    yield "| line | " + " | ".join(f"{world}, {words:,}" for world, words in sizes) + " |"
    yield "|---|" + "---|" * len(sizes)
    for name, minutes, held in LINES:
        keys = [(*size, minutes) for size in sizes]
        told = [_told(Cell(*key[:2], groups[key], found[key]), held) if key in found else "-" for key in keys]
        yield f"| {name} | {' | '.join(told)} |"


def _told(cell: Cell, held: Callable[[Cell], Verdict]) -> str:
    told, kept = held(cell)
    n = f" (n {cell.of['composed']['n']})"
    return f"({told}){n}" if kept is None else f"{told}: {'yes' if kept else '**no**'}{n}"
