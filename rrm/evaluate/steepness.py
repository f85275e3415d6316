"""How steeply answers follow what models predicted of them, and whether that is the same of chosen questions."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import expit, logit

from rrm.core.report import AskedSlope, Interval, UnweightedFits

LEAST = 20
"""Of fewer answers nothing is told."""

_EDGE = 0.01
_SD = 3.0
"""How far from 1 a slope lies beforehand, so that few answers that all came out as predicted have one."""

_STEPS = 50
_NORMAL = 1.96
_FOUR_OF_FIVE = 2.8  # of five differences of so many standard errors four are told from none, at 95 %


def steepness(
    probability: np.ndarray, outcome: np.ndarray, sources: Sequence[Hashable], level: bool = False
) -> AskedSlope | None:
    """Return the slope of what came about (0 or 1, [n]) in the logits of its predicted probabilities [n].

    1 where predictions are as sure as they are right, less where they are surer. Logistic, through the origin, as which
    output was shown first is nobody's doing; with `level` (of labels and ratings) raters may be stricter than predicted
    throughout. Its error is the larger of the likelihood's and the sandwich over `sources` [n]. None of fewer than
    `LEAST` answers, and where nothing was predicted.
    """
    logits = logit(np.clip(probability, _EDGE, 1 - _EDGE))
    if len(logits) < LEAST or not np.abs(logits).max() > 1e-9:
        return None
    x = np.column_stack([logits, np.ones(len(logits))]) if level else logits[:, None]
    before = np.eye(x.shape[1])[0]
    found, prior = before.copy(), np.eye(x.shape[1]) / _SD**2
    for _ in range(_STEPS):
        likely = expit(x @ found)
        information = (x.T * (likely * (1 - likely))) @ x + prior
        step = np.linalg.solve(information, x.T @ (outcome - likely) - prior @ (found - before))
        found = found + np.clip(step, -1.0, 1.0)
    inverse = np.linalg.inv(information)
    _, at = np.unique(np.array([str(each) for each in sources]), return_inverse=True)
    scores = np.zeros((at.max() + 1, x.shape[1]))
    np.add.at(scores, at, x * (outcome - likely)[:, None])
    clustered = inverse @ scores.T @ scores @ inverse
    return _slope(len(logits), float(found[0]), float(np.sqrt(max(inverse[0, 0], clustered[0, 0]))))


def pooled(slopes: Sequence[AskedSlope | None]) -> AskedSlope | None:
    """Return the mean of those slopes that are known, each counting by its precision; None where none is."""
    known = [each for each in slopes if each is not None]
    weights = np.array([1 / _error(each) ** 2 for each in known])
    if not known:
        return None
    slope = float(weights @ np.array([each.slope for each in known]) / weights.sum())
    return _slope(sum(each.n for each in known), slope, float(1 / np.sqrt(weights.sum())))


def unweighted_fits(slopes: Sequence[tuple[AskedSlope | None, AskedSlope | None]]) -> UnweightedFits | None:
    """Return by how much slopes of chosen and of drawn questions differ, where `slopes` has both, kind by kind.

    Differences count by their precision, so that what was chosen may be of other kinds than what was drawn. Where
    models are right about raters the slopes are the same, whatever the choice went by, as long as they read it, too.
    None where no kind has both.
    """
    both = [(chosen, drawn) for chosen, drawn in slopes if chosen is not None and drawn is not None]
    if not both:
        return None
    weights = np.array([1 / (_error(chosen) ** 2 + _error(drawn) ** 2) for chosen, drawn in both])
    weights = weights / weights.sum()
    of = []
    for stream in zip(*both, strict=True):
        error = float(np.sqrt(np.square(weights) @ np.square([_error(each) for each in stream])))
        of.append(_slope(sum(each.n for each in stream), float(weights @ [each.slope for each in stream]), error))
    chosen, drawn = of
    apart = _slope(0, chosen.slope - drawn.slope, float(np.hypot(_error(chosen), _error(drawn))))
    return UnweightedFits(chosen, drawn, apart.slope, apart.interval, _FOUR_OF_FIVE * _error(apart))


def _slope(n: int, slope: float, error: float) -> AskedSlope:
    return AskedSlope(n, slope, Interval(slope - _NORMAL * error, slope + _NORMAL * error))


def _error(slope: AskedSlope) -> float:
    return (slope.interval.high - slope.interval.low) / (2 * _NORMAL)
