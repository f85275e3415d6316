"""Does previous context earn the minutes that raters read it in? The same budgets with it and without it.

The policy reads it in both cases, and outputs are the same.

Worlds and sizes are as in `benchmarks.carry`, seeds are others, and the flat baseline is left out. Under a budget
whatever is read beside a node's own passages is paid for by questions that are not put. Gold is exact and is known to
the evaluation alone; intervals of 95 % resample targets, and the difference is paired.
"""

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rrm
from benchmarks.carry_cell import WORLDS, Size, settings
from rrm.core.report import Correlation, Report
from rrm.evaluate.metrics import cluster_interval

SEEDS = (611, 612)
FIGURES = ("composed", "more without", "own", "gold of the chosen")


class Told(NamedTuple):
    """What a run came to: ratings and minutes, and of each target rank correlations with gold and the chosen's gold.

    Of a target without an outcome they are NaN.
    """

    ratings: int
    minutes: float
    composed: tuple[float, ...]
    own: tuple[float, ...]
    gold: tuple[float, ...]


def measured(world: str, words: int, seed: int, size: Size, minutes: float | None, context: bool) -> Told:
    """Carry a run out in a folder that is left behind by nobody."""
    run = settings(world, words, seed, size, minutes)
    run = replace(run, previous_context="all" if context else "policy", flat=False)
    with tempfile.TemporaryDirectory() as folder:
        return told(rrm.run(run, Path(folder), quiet=True))


def told(report: Report) -> Told:
    targets = report.targets
    composed = tuple(_rho(each.composed_correlation) for each in targets)
    own = tuple(_rho(each.own_correlation) for each in targets)
    gold = tuple(math.nan if each.gold_of_chosen is None else each.gold_of_chosen for each in targets)
    return Told(report.cost.ratings, report.cost.minutes, composed, own, gold)


def _rho(found: Correlation | None) -> float:
    """Return a rank correlation, 0 where all scores are equal, NaN where there is none."""
    return math.nan if found is None else found.value or 0.0


def rows(key: str, runs: dict[bool, list[Told]]) -> Iterator[str]:
    """Yield a row of the table for runs with context and one for those without, which tells the difference, too."""
    for context, found in sorted(runs.items(), reverse=True):
        composed = np.concatenate([each.composed for each in found])
        means = [np.nanmean(np.concatenate(each)) for each in ([run.own for run in found], [run.gold for run in found])]
        more = "–"
        if not context and True in runs:
            gain = composed - np.concatenate([each.composed for each in runs[True]])
            gain = gain[~np.isnan(gain)]  # of targets that both ways have
            interval = cluster_interval(gain, np.arange(len(gain)), lambda drawn: float(drawn.mean()), 0.95, 2000, 0)
            more = f"{gain.mean():+.2f}" + (f" ({interval.low:+.2f} to {interval.high:+.2f})" if interval else "")
        counted = f"{sum(each.ratings for each in found):,} | {sum(each.minutes for each in found):,.0f}"
        figures = f"{np.nanmean(composed):.2f} | {more} | {means[0]:.2f} | {means[1]:.3f}"
        yield f"| {key} | {'shown' if context else 'not shown'} | {counted} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells, one seed and budget")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), default=SEEDS)
    parser.add_argument("--worlds", type=lambda text: tuple(text.split(",")), default=("copied", "reframed"))
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--minutes", type=lambda text: tuple(map(float, text.split(","))), default=(1000.0,))
    options = parser.parse_args()
    if unknown := set(options.worlds) - WORLDS.keys():
        parser.error(f"no world called {', '.join(sorted(unknown))}: there are {', '.join(WORLDS)}")
    size = Size(train=4, train_trees=1, targets=2, trees=2) if options.quick else Size()
    seeds = options.seeds[:1] if options.quick else options.seeds
    head = ("world, words, minutes a run", "previous context", "ratings", "minutes", *FIGURES)
    print(f"| {' | '.join(head)} |")
    print("|---" * len(head) + "|")
    for world in options.worlds:
        for minutes in options.minutes[:1] if options.quick else options.minutes:
            job = world, options.words
            runs = {
                context: [measured(*job, seed, size, minutes, context) for seed in seeds] for context in (True, False)
            }
            for row in rows(f"{world}, {options.words:,}, {minutes:,.0f}", runs):
                print(row, flush=True)


if __name__ == "__main__":
    main()
