"""Dispersion: how far outputs lie from what their features tell, seen in held-out ratings that share an output."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri

from rrm.core.ids import generator
from rrm.reward.calibrate import Calibration, HeldLogits, cross_fitted, mean_probability

_MOST = 9.0
_PRIOR_INFORMATION = 4.0  # as much as ratings that tell a variance to within a standard error of 0.5
_SURE = 1e-12
_LOWER_END = 0.05


class Dispersion(NamedTuple):
    """Variances, in squared logits, of what features do not tell: of single outputs, and of all beside one view."""

    output: float
    view: float

    @property
    def total(self) -> float:
        """The variance of an output's acceptance around what its features tell."""
        return self.output + self.view


LEAVES, FALL = Dispersion(2.2, 0.8), 0.6
"""What is thought beforehand of a level of leaves, and what share of the variance of a level's outputs is expected a
level above: outputs of higher levels tell more, and differ less. As simulated raters show of summaries of leaves and
of whole books two levels above (0.8)."""

PRIOR = Dispersion(1.5, 0.5)
"""What is thought beforehand of all levels together, as one law for all of them has it: between leaves and books."""


def upward(found: Dispersion, levels: int) -> Dispersion:
    """Return what is thought, before its ratings, of a level that lies so many above the one where this was found.

    Below it, where `levels` is negative, outputs are expected to differ more. What a view shares is kept as it was: it
    has to hold, too, how far a level of few sources is off as a whole.
    """
    return Dispersion(float(min(FALL**levels * found.output, _MOST)), float(found.view))


def standing_in(rated: Iterable[int], level: int) -> int:
    """Return the level that stands in for one: itself if it is rated, or the next below that is, or the lowest of all.

    Levels without ratings are judged by the model of the next below, so of what is believed of them the same holds.
    """
    levels = sorted(rated)
    return max((each for each in levels if each <= level), default=levels[0])


def steepness(variance: float) -> float:
    """Return how much steeper a logit is for one output than on average over outputs that vary so.

    The mean of the logistic of normal logits is the logistic of their mean divided by
    sqrt(1 + pi variance / 8): MacKay (1992), doi:10.1162/neco.1992.4.5.720.
    """
    return float(np.sqrt(1 + np.pi * variance / 8))


def cross_disperse(
    held: HeldLogits, left_out: np.ndarray, calibrations: np.ndarray, priors: Sequence[Dispersion]
) -> np.ndarray:
    """Return dispersions [folds + 1, 2] from the rows and heads that the calibrations are fitted on.

    `priors` [folds + 1] are what is thought of the level before its ratings.
    """
    result = np.empty((len(calibrations), 2))
    for entry, (rows, used) in enumerate(cross_fitted(held, left_out)):
        known, probability = mean_probability(rows, used, Calibration(*calibrations[entry]))
        result[entry] = disperse(rows.where(known), probability, priors[entry])
    return result


def disperse(held: HeldLogits, probability: np.ndarray, prior: Dispersion = PRIOR) -> Dispersion:
    """Estimate the variances by moments of residuals, outcome minus `probability` [rows].

    An output's own effect u moves the residual of a label by w u / k and that of a comparison with
    another output v by w (u - v) / k, where w = p (1 - p) and k is the `steepness`. So for two rows a,
    b the product of residuals is expected to be c w_a w_b var(u) / (k_a k_b), where c sums, over the
    outputs that both are about, the product of the rows' signs: +1 first or alone, -1 second. Where
    there is no effect the product's variance is w_a w_b, so a pair weighs c, and all sum to an
    information of c^2 w_a w_b. Labels of different outputs beside one view likewise give the variance
    that a view shares, which two labels of one output show as well. As k depends on the variances, they
    are found by fixed-point steps from 0. The prior counts as four units of information, and decides
    alone where no rows share anything; each variance is between 0 and 9.
    """
    held, probability = _between_different(held, probability)
    residual, weight = held.outcome - probability, probability * (1 - probability)
    labels = held.second < 0
    own, (alone, mixed, compared) = _shared_outputs(held, labels, residual, weight)
    beside, seen = _shared_views(held, labels, residual, weight)
    found = Dispersion(0.0, 0.0)
    for _ in range(200):
        label, pair = steepness(found.total), steepness(2 * found.output)
        told = alone / label**2 + mixed / (label * pair) + compared / pair**2
        both = alone / label**2 * found.view
        output = (own - both + _PRIOR_INFORMATION * prior.output) / (told + _PRIOR_INFORMATION)
        view = (beside + _PRIOR_INFORMATION * prior.view) / (seen / label**2 + _PRIOR_INFORMATION)
        found = Dispersion(float(np.clip(output, 0, _MOST)), float(np.clip(view, 0, _MOST)))
    return found


def _between_different(held: HeldLogits, probability: np.ndarray) -> tuple[HeldLogits, np.ndarray]:
    told = held.first != held.second
    return held.where(told), probability[told]


def _shared_outputs(
    held: HeldLogits, labels: np.ndarray, residual: np.ndarray, weight: np.ndarray
) -> tuple[float, tuple[float, float, float]]:
    """Return the sum of c e_a e_b over pairs of rows that share outputs, and their information.

    Information is that of two labels, of a label and a comparison, and of two comparisons.
    """
    pairs = ~labels
    first, second, w = held.first[pairs], held.second[pairs], weight[pairs]
    items = int(max(held.first.max(initial=-1), held.second.max(initial=-1))) + 1
    signed = np.bincount(held.first, residual, items) - np.bincount(second, residual[pairs], items)
    by_label = np.bincount(held.first[labels], weight[labels], items)
    by_pair = np.bincount(first, w, items) + np.bincount(second, w, items)
    _, same = np.unique(np.minimum(first, second) * items + np.maximum(first, second), return_inverse=True)
    twice = np.bincount(same.ravel(), w)
    product = (signed**2).sum() - (residual[labels] ** 2).sum() - 2 * (residual[pairs] ** 2).sum()
    alone = (by_label**2).sum() - (weight[labels] ** 2).sum()
    mixed = 2 * (by_label * by_pair).sum()
    # Two comparisons of the same outputs have c = 2 or -2: four units, of which two are counted by output.
    compared = (by_pair**2).sum() + 2 * (twice**2).sum() - 4 * (w**2).sum()
    return float(product) / 2, (float(alone) / 2, float(mixed) / 2, float(compared) / 2)


def _shared_views(
    held: HeldLogits, labels: np.ndarray, residual: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Return the sum of e_a e_b over labels of different outputs beside one view, and their information."""

    def between(value: np.ndarray) -> float:
        by_view = np.bincount(held.view[labels], value[labels])
        by_output = np.bincount(held.first[labels], value[labels])
        return float((by_view**2).sum() - (by_output**2).sum()) / 2

    return between(residual), between(weight)


def effects(view: str, texts: tuple[str, ...], count: int) -> np.ndarray:
    """Return standard normal effects of outputs, float64 [count, texts].

    An output's are the normal quantiles at (rank + 0.5) / count in an order drawn from the view's
    id and the text, so they are independent between outputs and equal for equal texts. Their
    mean is 0, and they are stretched so that the central 90 % of so few is that of the normal.
    """
    grid = ndtri((np.arange(count) + 0.5) / count)
    if count > 1:
        grid = grid * (ndtri(_LOWER_END) / np.quantile(grid, _LOWER_END))
    orders = [generator("dispersion", view, text).permutation(count) for text in texts]
    return np.asarray(grid[np.array(orders, dtype=np.int64).reshape(len(texts), count)].T)


def spread(logits: np.ndarray, noise: np.ndarray, variance: float) -> np.ndarray:
    """Return the logistic of logits plus noise, [members, ...], with the mean that they had without noise.

    Logits are made steeper to be those of one output, and are then shifted by the same amount in
    all members until the mean over the members, the calibrated probability, is what it was.
    """
    wanted = _log_odds(expit(logits).mean(axis=0))
    moved = steepness(variance) * logits + noise
    for _ in range(200):
        off = wanted - _log_odds(expit(moved).mean(axis=0))
        moved = moved + off
        if np.abs(off).max(initial=0.0) < 1e-10:
            break
    return np.asarray(expit(moved))


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probability, _SURE, 1 - _SURE)))
