"""What commands about reward models print for people."""

import json
from collections.abc import Mapping
from typing import Any

from rrm.core.report import Figures, Interval, RewardReport, Short


def lines(values: Mapping[str, Any]) -> str:
    """Return values one a line, after their names; those that are None are left out."""
    known = {name.replace("_", " "): value for name, value in values.items() if value is not None}
    return "\n".join(f"{name}: {each if isinstance(each, str) else json.dumps(each)}" for name, each in known.items())


def training_table(found: Mapping[str, Any], report: RewardReport | None) -> str:
    """Return what a training came to, and below it, where there is one, the table of its report."""
    exports = found["exports"] or (
        "none, as heads on a frozen backbone are no checkpoint that transformers opens; --tune lora or full exports one"
    )
    shown = lines({**found, "exports": exports, "notes": None, "eval": None})  # notes were told as they came
    return shown if report is None else f"{shown}\n\n{reward_table(report)}"


def reward_table(report: RewardReport) -> str:
    """Return the figures in all, by level and by rater, one a line; undefined ones say so."""
    head = report.figures
    rows = [
        f"{'rows':24} {head.n}, of them {head.ties} ties",
        f"{'accuracy':24} {_number(head.accuracy)}{_between(head.interval)}",
        *_most(head),
        f"{'longer output wins':24} {_number(head.longer_wins)}",
        f"{'bag of words':24} {_number(head.bag_of_words, 'not fitted for this model')}",
        f"{'more verbatim wins':24} {_number(head.verbatim, 'no source is shown')}",
        f"{'nll (nats)':24} {_number(head.nll)}",
        f"{'calibration error':24} {_number(head.ece)}{_between(head.ece_interval)}",
    ]
    if len(report.by_level) > 1:
        rows += [_short(f"level {level}", each) for level, each in report.by_level.items()]
    if len(report.by_rater) > 1:
        rows += [_short(f"rater {rater[:16]}", each) for rater, each in report.by_rater.items()]
    return "\n".join(rows)


def _most(head: Figures) -> list[str]:
    """Return the most that a model can be right: known, or estimated from people's votes beside their agreement."""
    if head.noise_ceiling is not None:
        return [f"{'noise ceiling':24} {_number(head.noise_ceiling)}"]
    unknown = "not estimable: too few pairs have several raters"
    return [
        f"{'agreement of raters':24} {_number(head.agreement, unknown)}",
        f"{'best possible, estimated':24} {_number(head.best_possible, unknown)}",
    ]


def _short(name: str, figures: Short) -> str:
    return f"{name:24} {_number(figures.accuracy)} of {figures.n}, nll {_number(figures.nll)}"


def _number(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.3f}"


def _between(interval: Interval | None) -> str:
    return "" if interval is None else f"   95 % interval {interval.low:.3f} to {interval.high:.3f}"
