"""Kappas: agreement beyond chance of two raters (Cohen), or of as many answers on every unit (Fleiss)."""

import numpy as np

from rrm.agreement.codings import Codings
from rrm.agreement.estimates import NO_PAIRS, Estimate, undefined
from rrm.agreement.resample import estimate


def cohen_kappa(codings: Codings, mass: float = 0.95, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return Cohen's kappa of two raters, over the units that both rated; the interval as alpha's.

    Chance is the product of the two raters' own shares of each value, so a difference between them
    counts as no disagreement to be expected. Undefined with other than two raters, or where both gave
    one and the same value throughout. Source: Cohen (1960), doi:10.1177/001316446002000104.
    """
    kept = codings.pairable[codings.unit]
    raters = codings.pairing_raters
    if not kept.any():
        return undefined(NO_PAIRS)
    if raters != 2:
        return undefined(
            f"undefined: Cohen's kappa is for two raters, here are {raters}", int(codings.pairable.sum()), raters
        )
    order = np.lexsort((codings.rater[kept], codings.unit[kept]))
    value = codings.value[kept][order].reshape(-1, 2)
    cells, pattern = np.unique(value @ [len(codings.values), 1], return_inverse=True)
    first, second = np.divmod(cells, len(codings.values))
    one_hot = np.eye(len(codings.values))

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        agreed = weights @ (first == second) / total
        chance = ((weights @ one_hot[first]) * (weights @ one_hot[second])).sum(axis=1) / total**2
        return _beyond(agreed, chance)

    return estimate(statistic, pattern.ravel(), codings, mass, resamples, seed)


def fleiss_kappa(codings: Codings, mass: float = 0.95, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return Fleiss' kappa, over units of which each has as many values, two or more; the interval as alpha's.

    Who gave a value is not looked at. Units with one value say nothing and are left out. Undefined
    where the others differ in number (alpha takes any), or where all values are equal.
    Source: Fleiss (1971), doi:10.1037/h0031619.
    """
    patterns = codings.patterns
    sizes = np.asarray(patterns.counts.sum(axis=1)).ravel()
    if not len(sizes):
        return undefined(NO_PAIRS)
    least, most = int(sizes.min()), int(sizes.max())
    if least != most:
        why = f"undefined: Fleiss' kappa needs as many answers on every item, here are {least} to {most}"
        return undefined(why, int(codings.pairable.sum()), codings.pairing_raters)
    pairs = np.asarray(patterns.counts.power(2).sum(axis=1)).ravel() - sizes

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        agreed = weights @ pairs / (most * (most - 1)) / total
        shares = np.asarray(patterns.counts.T @ weights.T) / (most * total)
        return _beyond(agreed, (shares**2).sum(axis=0))

    return estimate(statistic, patterns.of, codings, mass, resamples, seed)


def _beyond(agreed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Return the share of what chance leaves to agree on that was agreed on; NaN where chance leaves nothing."""
    found = np.full(len(agreed), np.nan)
    left = chance < 1
    found[left] = (agreed[left] - chance[left]) / (1 - chance[left])
    return found
