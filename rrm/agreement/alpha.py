"""Krippendorff's alpha: agreement beyond chance of any number of raters, any of whose answers may be missing."""

import numpy as np
from scipy.sparse import csr_array

from rrm.agreement.codings import Codings
from rrm.agreement.estimates import NO_PAIRS, Estimate, undefined
from rrm.agreement.resample import estimate
from rrm.core.kinds.answer import Metric


def alpha(
    codings: Codings, metric: Metric = "nominal", mass: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Return Krippendorff's alpha with a bootstrap interval over units, or over their clusters.

    alpha = 1 - observed / expected disagreement: 1 is perfect, 0 chance, below 0 worse than chance.
    Chance is drawing two of the n values given to pairable units without putting the first back, hence
    n - 1: with few values it is more than the product of shares that kappas use, so that alpha is
    higher than Fleiss' kappa by (1 - kappa) / n. Undefined with no unit that has two values, or where
    all values are equal: then nobody could have disagreed.

    The interval is a bootstrap of whole units with their chance recomputed, since values of one unit
    depend on each other; that of Hayes and Krippendorff (2007), doi:10.1080/19312450709336664, draws
    pairs and keeps chance fixed. With three raters, a fifth of whose answers are missing, it covers the
    truth 93 to 96 times in 100, from 20 units up.

    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections C to E. With mid-ranks
    R_c = sum over g <= c of n_g - n_c / 2, its ordinal distance between c and k is (R_c - R_k)^2.
    Raises InputError for values that are no numbers, unless the metric is nominal.
    """
    values = np.zeros(len(codings.values)) if metric == "nominal" else codings.numbers()
    patterns = codings.patterns
    if not len(patterns.of):
        return undefined(NO_PAIRS)
    return estimate(
        lambda weights: _alphas(weights, patterns.counts, values, metric), patterns.of, codings, mass, resamples, seed
    )


def _alphas(weights: np.ndarray, counts: csr_array, values: np.ndarray, metric: Metric) -> np.ndarray:
    """Return alpha [draws] of patterns that occur `weights` [draws, patterns] times; NaN without variation."""
    size = np.asarray(counts.sum(axis=1)).ravel()
    total = weights @ size
    given = np.asarray(counts.T @ weights.T)  # n_c: values, draws
    if metric == "nominal":
        squares = np.asarray(counts.power(2).sum(axis=1)).ravel()
        observed = weights @ ((size**2 - squares) / (size - 1))
        expected = total**2 - (given**2).sum(axis=0)
    else:
        scale = given.cumsum(axis=0) - given / 2 if metric == "ordinal" else (values - values.mean())[:, None]
        sums, squares = counts @ scale, counts @ scale**2  # patterns, draws (or 1)
        within = 2 * (size[:, None] * squares - sums**2) / (size - 1)[:, None]
        observed = np.einsum("dp,pd->d", weights, np.broadcast_to(within, weights.T.shape))
        expected = 2 * (total * (given * scale**2).sum(axis=0) - (given * scale).sum(axis=0) ** 2)
    varied = (given > 0).sum(axis=0) > 1
    found = np.full(len(weights), np.nan)
    found[varied] = 1 - (total[varied] - 1) * observed[varied] / expected[varied]
    return found
