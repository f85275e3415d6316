"""How long raters really take: minutes a question by kind, level, rater and how close its outputs are, as measured.

Counted minutes (`rrm.feedback.minutes`) are what budgets are in. What raters took of their own time says how many
times that a question takes, and what is asked by value a minute goes by the latter.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

_SD = 0.5
"""How far kinds, levels and raters differ beforehand, in logarithms of minutes."""

_EVERYTHING_SD = 1.0
"""How far all of them together are from what is counted, beforehand."""

_STEPS = 25
_ANSWERED = 4
"""As if so many more questions of each kind and level had been put and answered."""


class Timed(NamedTuple):
    """An answer: what was asked at which level of whom, its minutes as counted, and those that it took.

    `closeness` is from 0 to 1, how little the outputs differ as judged, None where nobody judged them.
    """

    kind: str
    level: int
    rater: str
    closeness: float | None
    counted: float
    took: float


@dataclass(frozen=True)
class Pace:
    """How many times the counted minutes a question takes, an answer to it included, by kind and level.

    `closeness` is the slope of the logarithm, around `middle`; a question of a kind or level that nobody was timed at
    goes by `usual` alone. `answered` are the shares of questions put that were answered: what is skipped is taken to
    cost as much as what is answered, and tells nothing.
    """

    usual: float = 0.0
    kinds: dict[str, float] = field(default_factory=dict)
    levels: dict[int, float] = field(default_factory=dict)
    raters: dict[str, float] = field(default_factory=dict)
    closeness: float = 0.0
    middle: float = 0.5
    answered: dict[tuple[str, int], float] = field(default_factory=dict)

    def factor(self, kind: str, level: int, closeness: float | None = None) -> float:
        """Return what counted minutes are multiplied by, of a rater as they are in the middle."""
        away = 0.0 if closeness is None else self.closeness * (closeness - self.middle)
        log = self.usual + self.kinds.get(kind, 0.0) + self.levels.get(level, 0.0) + away
        return float(np.exp(log)) / self.answered.get((kind, level), 1.0)


def learned(
    timed: Sequence[Timed], put: Iterable[tuple[str, int]] = (), unanswered: Iterable[tuple[str, int]] = ()
) -> Pace:
    """Return the pace that answers show; `put` are kind and level of every question, `unanswered` of those skipped.

    The expected ratio of minutes taken to those counted is a product: a factor each for kind, level and rater, and one
    that is exponential in closeness. They are the most probable ones of a Poisson quasi-likelihood, with which totals
    agree, their logarithms normal around zero with sd .5, and 1 for what all share. Without an answer that was timed,
    what is counted holds.
    """
    asked, skipped = Counter(put), Counter(unanswered)
    answered = {each: 1 - skipped[each] / (asked[each] + _ANSWERED) for each in asked}
    usable = [each for each in timed if each.counted > 0 and 0 <= each.took < np.inf]
    if not usable:
        return Pace(answered=answered)
    kinds, levels = sorted({each.kind for each in usable}), sorted({each.level for each in usable})
    raters = sorted({each.rater for each in usable})
    close = np.array([np.nan if each.closeness is None else each.closeness for each in usable])
    middle = 0.5 if np.isnan(close).all() else float(np.nanmean(close))
    columns = [np.ones(len(usable)), np.where(np.isnan(close), 0.0, close - middle)]
    columns += [np.array([each.kind == kind for each in usable]) for kind in kinds]
    columns += [np.array([each.level == level for each in usable]) for level in levels]
    columns += [np.array([each.rater == rater for each in usable]) for rater in raters]
    found = _fit(
        np.column_stack(columns).astype(np.float64),
        np.array([each.took / each.counted for each in usable]),
        np.array([each.counted for each in usable]),
    )
    usual, slope, *own = found.tolist()
    by_kind, by_level = dict(zip(kinds, own, strict=False)), dict(zip(levels, own[len(kinds) :], strict=False))
    by_rater = dict(zip(raters, own[len(kinds) + len(levels) :], strict=True))
    return Pace(usual, by_kind, by_level, by_rater, slope, middle, answered)


def _fit(design: np.ndarray, ratio: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the most probable coefficients of the logarithm of the ratio, by Newton's method with halved steps."""
    weight = counted / counted.mean()
    precision = np.full(design.shape[1], 1 / _SD**2)
    precision[0] = 1 / _EVERYTHING_SD**2

    def loss(at: np.ndarray) -> float:
        log = design @ at
        return float(weight @ (np.exp(log) - ratio * log) + 0.5 * precision @ at**2)

    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        expected = np.exp(design @ found)
        slope = design.T @ (weight * (expected - ratio)) + precision * found
        step = np.linalg.solve((design.T * (weight * expected)) @ design + np.diag(precision), slope)
        size = 1.0
        while size > 1e-6 and not loss(found - size * step) <= loss(found):
            size /= 2
        found = found - size * step
    return found
