"""A finished run on the terminal: the levels as a table, the root as a sentence."""

from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.table import Table

from rrm.core.report import Interval, LevelReport, Report


def print_summary(report: Report, directory: Path) -> None:
    """Print what came of a run, and where to look further."""
    console = Console(highlight=False, markup=False)
    nodes = ", ".join(f"{count} at level {level}" for level, count in enumerate(report.nodes_per_level))
    console.print(f"{report.train_sources} training sources, {report.target_sources} targets; nodes: {nodes}")
    console.print(f"{report.outputs} outputs, {report.ratings} ratings, {report.seconds:.0f} s")
    console.print(_levels(report))
    for target in report.targets:
        if target.chosen is None or target.chosen.composed is None:
            console.print(f"{target.title}: no root output; see the failures in the report")
            continue
        low, high = target.chosen.composed_interval or Interval(target.chosen.composed, target.chosen.composed)
        console.print(f"{target.title}: {target.chosen.composed:.3f} (90 % interval {low:.3f} to {high:.3f})")
        if target.gold_of_chosen is not None and target.gold_mean is not None and target.gold_best is not None:
            told = f"{target.gold_of_chosen:.3f}; mean of all {target.gold_mean:.3f}, best {target.gold_best:.3f}"
            console.print(f"  true quality of the chosen output {told}")
        console.print("  " + shorten(target.chosen.text, 400), soft_wrap=False)
    for line in (*report.warnings, *report.failures[:5]):
        console.print(f"! {line}")
    console.print(f"report: {directory / 'report.html'}")


def _levels(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("level", "ratings", "tested", "accuracy", "95 %", "ceiling", "longer", "words", "NLL", "ECE"):
        table.add_column(title, justify="right")
    for level in report.levels:
        table.add_row(f"{level.level}{' (shared)' if level.shared_head else ''}", *_row(level))
    if report.flat:
        table.add_row("flat", *_row(report.flat))
    return table


def _row(level: LevelReport) -> list[str]:
    interval = f"{level.interval.low:.2f}-{level.interval.high:.2f}" if level.interval else "-"
    numbers = (level.noise_ceiling, level.longer_wins, level.bag_of_words, level.nll, level.ece)
    shown = ["-" if number is None else f"{number:.2f}" for number in (level.accuracy, *numbers)]
    return [str(level.n_train), str(level.n_test), shown[0], interval, *shown[1:]]
