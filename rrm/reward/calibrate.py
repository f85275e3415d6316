"""Calibration: one temperature and one intercept, fitted on predictions about sources nobody was fitted on."""

from collections.abc import Iterator
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
    of rewards; `fold` [rows] the source's. `first` and `second` [rows] number the outputs, `second`
    -1 for acceptance, and `view` [rows] what they stood beside.
    """

    logits: np.ndarray
    outcome: np.ndarray
    anchor: np.ndarray
    fold: np.ndarray
    first: np.ndarray
    second: np.ndarray
    view: np.ndarray

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


def mean_probability(held: HeldLogits, used: np.ndarray, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows some head `used` knows something of, boolean [rows], and their mean probabilities [known]."""
    counts = used & np.isfinite(held.logits)
    known = counts.any(axis=1)
    counts = counts[known]
    logits = calibration.slope * np.where(counts, held.logits[known], 0.0)
    each = expit(logits + calibration.intercept * held.anchor[known, None])
    return known, np.where(counts, each, 0.0).sum(axis=1) / counts.sum(axis=1)


def cross_fitted(held: HeldLogits, left_out: np.ndarray) -> Iterator[tuple[HeldLogits, np.ndarray]]:
    """Yield folds + 1 times the rows and heads to fit on: for the sources of each fold, and for new sources.

    `left_out` [heads, folds] says which folds each head was not fitted on. Those for fold f are the
    other folds' rows, as predicted by heads that left out both that fold and f, so nothing in it
    has seen fold f; the last are all rows, by the heads that left out just theirs.
    """
    one = left_out.sum(axis=1) == 1
    for fold in range(left_out.shape[1]):
        others = held.where(held.fold != fold)
        yield others, left_out[:, fold][None, :] & left_out.T[others.fold] & ~one[None, :]
    yield held, left_out.T[held.fold] & one[None, :]


def cross_calibrate(
    held: HeldLogits, left_out: np.ndarray, priors: np.ndarray, slope_sd: float = 0.7, sd: float = 1.0
) -> np.ndarray:
    """Return calibrations [folds + 1, 2]: row f for the sources of fold f, the last one for new sources."""
    parts = zip(cross_fitted(held, left_out), priors, strict=True)
    return np.array([calibrate(rows, used, Calibration(*prior), slope_sd, sd) for (rows, used), prior in parts])
