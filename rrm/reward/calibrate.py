"""Calibration: one temperature and one intercept, fitted on predictions about sources nobody was fitted on."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


class Calibration(NamedTuple):
    """A calibrated logit is `slope` times the raw one, plus `intercept` where it is one of acceptance."""

    slope: float
    intercept: float


IDENTITY = Calibration(1.0, 0.0)


class HeldLogits(NamedTuple):
    """Raw logits of held-out rows by every head, [rows, heads]; NaN where a head knows nothing.

    `outcome` [rows] is 1, 0 or between; `anchor` [rows] is 1 for acceptance and 0 for differences
    of rewards; `fold` [rows] the source's.
    """

    logits: np.ndarray
    outcome: np.ndarray
    anchor: np.ndarray
    fold: np.ndarray

    def where(self, rows: np.ndarray) -> "HeldLogits":
        return HeldLogits(*(each[rows] for each in self))


def calibrate(
    held: HeldLogits, used: np.ndarray, prior: Calibration = IDENTITY, slope_sd: float = 0.7, sd: float = 1.0
) -> Calibration:
    """Fit slope and intercept to the rows by the likelihood of the mean probability of the heads `used`.

    `used` is boolean [rows, heads]; rows without a head that knows something are left out. The mean
    over heads is what is reported, so that is what must be calibrated. A weak Gaussian prior (on the
    slope's logarithm and the intercept, centred on `prior`) decides where rows are few. Sources:
    Platt (1999); Guo et al. (2017), arXiv:1706.04599.
    """
    counts = used & np.isfinite(held.logits)
    rows = counts.any(axis=1)
    if not rows.any():
        return prior
    weights = counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    logits = np.where(counts, held.logits, 0.0)[rows]
    outcome, anchor = held.outcome[rows], held.anchor[rows]
    centre = np.array([np.log(prior.slope), prior.intercept])

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        slope, intercept = np.exp(at[0]), at[1]
        each = expit(slope * logits + intercept * anchor[:, None])
        mean = np.clip((weights * each).sum(axis=1), 1e-9, 1 - 1e-9)
        fit = -(outcome * np.log(mean) + (1 - outcome) * np.log1p(-mean)).sum()
        pull = (mean - outcome) / (mean * (1 - mean))
        inner = weights * each * (1 - each) * pull[:, None]
        gradient = np.array([(inner * logits).sum() * slope, (inner.sum(axis=1) * anchor).sum()])
        off = (at - centre) / np.array([slope_sd, sd])
        return fit + 0.5 * float(off @ off), gradient + off / np.array([slope_sd, sd])

    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=[(-4, 4), (-8, 8)])
    return Calibration(float(np.exp(found.x[0])), float(found.x[1]))


def cross_calibrate(held: HeldLogits, left_out: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Return calibrations [folds + 1, 2]: row f for the sources of fold f, the last one for new sources.

    `left_out` [heads, folds] says which folds each head was not fitted on. Row f is fitted on the
    other folds' rows, as predicted by heads that left out both that fold and f, so nothing in it
    has seen fold f; the last row on all rows, by the heads that left out just theirs.
    """
    folds = left_out.shape[1]
    result = np.array(priors, dtype=np.float64)
    one = left_out.sum(axis=1) == 1
    for fold in range(folds):
        others = held.where(held.fold != fold)
        both = left_out[:, fold][None, :] & left_out.T[others.fold] & ~one[None, :]
        result[fold] = calibrate(others, both, Calibration(*priors[fold]))
    result[folds] = calibrate(held, left_out.T[held.fold] & one[None, :], Calibration(*priors[folds]))
    return result
