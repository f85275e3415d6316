"""How steeply answers follow what models predicted of them, and whether that is the same of chosen questions."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from rrm.core.asking import LAPSE_SD, USUAL_LAPSE
from rrm.core.report import AskedSlope, Interval, UnweightedFits

LEAST = 20
"""Of fewer answers nothing is told."""

_EDGE = 0.01
_SD = 3.0
"""How far from 1 a slope lies beforehand, so that few answers that all came out as predicted have one."""

_STEPS, _STILL, _SURE = 50, 1e-9, 1e-12
_NORMAL = 1.96
_FOUR_OF_FIVE = 2.8  # of five differences of so many standard errors four are told from none, at 95 %


def answer_slope(
    probability: np.ndarray, outcome: np.ndarray, sources: Sequence[Hashable], level: bool = False, lapse: float = 0.0
) -> AskedSlope | None:
    """Return the slope of what came about (0 or 1, [n]) in the logits of its predicted probabilities [n].

    1 where predictions are as sure as they are right, less where they are surer. Logistic, through the origin, as which
    output was shown first is nobody's doing; with `level` (of labels and ratings) raters may be stricter than predicted
    throughout. A `lapse` is the share of answers given blindly, which flatten large logits more than small ones. Its
    error is the larger of the likelihood's and the sandwich over `sources` [n]. None of fewer than `LEAST` answers, and
    where nothing was predicted.
    """
    x = _columns(probability, level)
    if x is None:
        return None
    found = _fitted(x, outcome, lapse)
    _, at = np.unique(np.array([str(each) for each in sources]), return_inverse=True)
    scores = np.zeros((at.max() + 1, x.shape[1]))
    np.add.at(scores, at, found.scores)
    clustered = found.inverse @ scores.T @ scores @ found.inverse
    return _slope(len(x), float(found.weights[0]), float(np.sqrt(max(found.inverse[0, 0], clustered[0, 0]))))


def lapse_of(probability: np.ndarray, outcome: np.ndarray, level: bool = False) -> float:
    """Return the most probable share of blind answers, as `answer_slope` takes them, around what is usual of raters.

    It is told by answers whose logits differ in size, so slopes that are compared take that of all their answers.
    """
    x = _columns(probability, level)
    if x is None:
        return 0.0

    def cost(moved: float) -> float:
        found = _fitted(x, outcome, _lapse(moved))
        return float(moved**2 / 2 - found.log_likelihood + (found.weights[0] - 1) ** 2 / (2 * _SD**2))

    return _lapse(float(minimize_scalar(cost, bounds=(-3.0, 3.0), method="bounded", options={"xatol": 0.01}).x))


def _lapse(moved: float) -> float:
    return float(expit(logit(USUAL_LAPSE) + LAPSE_SD * moved))


def _columns(probability: np.ndarray, level: bool) -> np.ndarray | None:
    """Return what answers may follow, [n, 1 or 2]: predicted logits, and a level; None where these tell nothing."""
    logits = logit(np.clip(probability, _EDGE, 1 - _EDGE))
    if len(logits) < LEAST or not np.abs(logits).max() > 1e-9:
        return None
    return np.column_stack([logits, np.ones(len(logits))]) if level else logits[:, None]


class _Fitted(NamedTuple):
    """Weights of columns [k], the inverse of their information [k, k], and scores of answers [n, k] there."""

    weights: np.ndarray
    inverse: np.ndarray
    scores: np.ndarray
    log_likelihood: float


def _fitted(x: np.ndarray, outcome: np.ndarray, lapse: float) -> _Fitted:
    """Fit answers by Fisher's scoring, each blind with probability `lapse`."""
    before = np.eye(x.shape[1])[0]
    found, prior = before.copy(), np.eye(x.shape[1]) / _SD**2
    for _ in range(_STEPS):
        sighted = expit(x @ found)
        likely = lapse / 2 + (1 - lapse) * sighted
        variance = np.maximum(likely * (1 - likely), _SURE)
        rise = (1 - lapse) * sighted * (1 - sighted)
        scores = x * (rise * (outcome - likely) / variance)[:, None]
        information = (x.T * (rise**2 / variance)) @ x + prior
        step = np.linalg.solve(information, scores.sum(axis=0) - prior @ (found - before))
        if np.abs(step).max() < _STILL:
            break
        found = found + np.clip(step, -1.0, 1.0)
    happened = np.where(outcome > 0, likely, 1 - likely)
    return _Fitted(found, np.linalg.inv(information), scores, float(np.log(np.maximum(happened, _SURE)).sum()))


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
