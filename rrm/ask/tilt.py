"""What improving would give: the best mean score of a distribution over candidates within a KL budget."""

import numpy as np

_STEPS = 40
_FLATTEST, _STEEPEST = np.log(1e-6), np.log(1e6)  # steepness, where scores span one


def tilted(scores: np.ndarray, present: np.ndarray, nats: float) -> np.ndarray:
    """Return the distributions [..., k] over candidates of the best mean score within so many nats of an even one.

    Of scores [..., k], those not `present` (broadcast to them) aside. The best is a tilt, proportional to
    exp(steepness x score): its steepness is found by bisection. Where the budget pays for the best candidate alone,
    that has all of it, shared among equals.
    """
    top = np.where(present, scores, -np.inf).max(axis=-1, keepdims=True)
    span = top - np.where(present, scores, np.inf).min(axis=-1, keepdims=True)
    away = np.where(
        present, (scores - top) / np.where(span > 0, span, 1.0), -np.inf
    )  # 0 for the best, -1 for the worst
    count = present.sum(axis=-1, keepdims=True)
    low, high = (np.full(span.shape, each) for each in (_FLATTEST, _STEEPEST))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        within = _spent(_at(away, middle), count) <= nats
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return _at(away, low)


def best_mean(scores: np.ndarray, present: np.ndarray, nats: float) -> np.ndarray:
    """Return the mean score of each such distribution, [...]; with infinitely many nats the best score."""
    if np.isinf(nats):
        return np.asarray(np.where(present, scores, -np.inf).max(axis=-1))
    return np.asarray((tilted(scores, present, nats) * np.where(present, scores, 0.0)).sum(axis=-1))


def _at(away: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    weights = np.exp(np.exp(steepness) * away)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _spent(shares: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return the KL from an even distribution over so many candidates, in nats, [..., 1]."""
    logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    return np.asarray((shares * logs).sum(axis=-1, keepdims=True) + np.log(count))
