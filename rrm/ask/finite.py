"""Beliefs over finitely many worlds: what a question tells, and what it is worth, by enumeration.

A question is its table of answers: log-probabilities [answers, worlds], in nats, of each answer in each world.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from rrm.core.errors import InputError, ShapeError
from rrm.policy.finite import Finite


def information(belief: Finite, answers: np.ndarray) -> float:
    """Return what a question tells about the world, in nats: the mutual information of answer and world.

    H[E p] - E[H p], which active learning calls BALD (Houlsby et al. 2011, arXiv:1112.5745). Raises as `posteriors`.
    """
    total, after = _answered(belief, answers)
    return max(0.0, float(sum(np.exp(p) * posterior.kl(belief) for p, posterior in zip(total, after, strict=True))))


def decision_gain(belief: Finite, answers: np.ndarray, values: np.ndarray) -> float:
    """Return by how much a question raises the expected value of the best decision: EVOI, never below zero.

    `values` [decisions, worlds] is what each decision is worth in each world; the decision is made on the expected
    value after the answer (Raiffa and Schlaifer 1961). Raises as `posteriors`, and ShapeError for other worlds.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(belief) or not len(values):
        raise ShapeError(f"values are [decisions, {len(belief)} worlds], at least one decision, got {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("the value of every decision in every world must be a finite number")
    total, after = _answered(belief, answers)
    informed = sum(np.exp(p) * _best(posterior, values) for p, posterior in zip(total, after, strict=True))
    return max(0.0, float(informed) - _best(belief, values))


def posteriors(belief: Finite, answers: np.ndarray) -> tuple[np.ndarray, list[Finite]]:
    """Return the probability of every answer that can be given, and the belief after it, by Bayes' rule.

    Raises ShapeError for tables of other worlds, InputError where the answers' probabilities do not sum to one.
    """
    total, after = _answered(belief, answers)
    return np.exp(total), after


def gains_a_minute(gains: Sequence[float], minutes: Sequence[float]) -> np.ndarray:
    """Return gains by the minutes that they cost, [questions]; raises InputError for a question without a price."""
    prices = np.asarray(minutes, dtype=np.float64)
    if not ((prices > 0) & np.isfinite(prices)).all():
        raise InputError("every question costs some minutes: a price must be a positive number")
    return np.asarray(np.asarray(gains, dtype=np.float64) / prices)


def _answered(belief: Finite, answers: np.ndarray) -> tuple[np.ndarray, list[Finite]]:
    table = np.asarray(answers, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(belief):
        raise ShapeError(f"a question is a table [answers, {len(belief)} worlds], got {table.shape}")
    with np.errstate(invalid="ignore"):
        off = np.abs(logsumexp(table, axis=0))
    if not (off <= 1e-9).all():
        raise InputError("the probabilities of a question's answers must sum to one in every world")
    joint = table + belief.log_probs
    total = logsumexp(joint, axis=1)
    given = np.isfinite(total)
    return total[given], [Finite.weighted(row) for row in joint[given]]


def _best(belief: Finite, values: np.ndarray) -> float:
    return float((values @ belief.probs).max())
