"""What composing comes to against minutes: a panel a world and length, drawn from the rows of `benchmarks.carry`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DRAWN = {
    # column: what it is called, its colour, its line
    "composed": ("composed", "#0072b2", "-"),
    "flat_equal": ("flat, equal minutes", "#d55e00", "-"),
    "own": ("the root's own", "#5b6570", "--"),
    "verbatim": ("share of copied sentences", "#009e73", ":"),
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.titlesize": 9.5,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": "#d8dde2", "legend.frameon": False,
}  # fmt: skip


def draw(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write a picture of the benchmark's rows: rank correlation with gold by minutes, with 95 % intervals.

    All questions stand at the right end of each panel, with as many minutes as they took.
    """
    found = [row for row in rows if row["column"] in DRAWN and row["rho_low"] is not None]
    worlds = list(dict.fromkeys(row["world"] for row in found))
    sizes = sorted({row["words"] for row in found})
    with rc_context(_STYLE):
        figure = Figure(figsize=(3.1 * len(sizes) + 0.4, 2.1 * len(worlds) + 0.5), dpi=110, layout="constrained")
        grid = figure.subplots(len(worlds), len(sizes), squeeze=False, sharey=True, sharex="col")
        for axes, world in zip(grid, worlds, strict=True):
            for panel, words in zip(axes, sizes, strict=True):
                alike = [row for row in found if row["words"] == words]
                _panel(panel, [row for row in alike if row["world"] == world], _budgets(alike))
                panel.set_title(f"{world}, {words:,} words")
            axes[0].set_ylabel("rank correlation")
        for panel in grid[-1]:
            panel.set_xlabel("minutes of raters")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(DRAWN))
        figure.savefig(path, metadata={"Software": None} if path.suffix == ".png" else {"Date": None})


def _budgets(rows: Sequence[Mapping[str, Any]]) -> dict[float | None, str]:
    """Return what there is a budget of, ascending, and how each is called; None, all questions, with their minutes."""
    known = sorted({row["minutes"] for row in rows} - {None})
    everything = [row["spent"] for row in rows if row["minutes"] is None]
    named: dict[float | None, str] = {each: f"{each:,.0f}" for each in known}
    return {**named, None: f"all:\n{round(median(everything), -2):,.0f}"} if everything else named


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], budgets: Mapping[float | None, str]) -> None:
    for column, (label, colour, line) in DRAWN.items():
        here = {row["minutes"]: row for row in rows if row["column"] == column}
        at = [place for place, each in enumerate(budgets) if each in here]
        known = [here[each] for each in budgets if each in here]
        axes.plot(at, [row["rho"] for row in known], line, marker="o", ms=3.5, color=colour, label=label)
        if line == "-":
            low, high = ([row[name] for row in known] for name in ("rho_low", "rho_high"))
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(range(len(budgets)), list(budgets.values()))
    axes.set_xlim(-0.3, len(budgets) - 0.7)
    axes.set_ylim(-0.3, 1)
    axes.grid(axis="y")
