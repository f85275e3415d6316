"""The bootstrap over units or their clusters, as weights of patterns: a unit drawn twice counts twice."""

from collections.abc import Callable, Iterator
from math import sqrt

import numpy as np
from scipy.sparse import csr_array
from scipy.special import ndtr, stdtrit

from rrm.agreement.codings import Codings
from rrm.agreement.estimates import NO_VARIATION, ONE_CLUSTER, Estimate, undefined
from rrm.core.ids import generator

MOST_GROUPS = 1000
"""More clusters than this are dealt at random to so many groups, which are drawn instead: the spread of a mean
is the same, known to within 2 % (Wolter, Introduction to Variance Estimation, 2007, section 2.2)."""

_BLOCK = 4_000_000
"""Most weights held at once."""


def estimate(
    statistic: Callable[[np.ndarray], np.ndarray],
    pattern: np.ndarray,
    codings: Codings,
    mass: float,
    resamples: int,
    seed: int,
) -> Estimate:
    """Return a statistic of the pairable units with its interval; undefined where it is not finite.

    Where no unit has a disagreement a bootstrap would say that none can be. There the lower end is 1
    less the largest share of clusters answered as if by chance that would still show none with
    probability (1 - mass) / 2.
    """
    units, raters, cluster = len(pattern), codings.pairing_raters, codings.patterns.cluster
    value = float(statistic(np.bincount(pattern).astype(np.float64)[None])[0])
    if not np.isfinite(value):
        return undefined(NO_VARIATION, units, raters)
    ends = bootstrap_interval(statistic, pattern, cluster, mass, resamples, seed)
    if ends is None:
        return Estimate(value, None, None, units, raters, ONE_CLUSTER)
    if codings.unanimous == units:
        ends = ((1 - mass) / 2) ** (1 / count_clusters(pattern, cluster)), 1.0
    return Estimate(value, *ends, units, raters)


def count_clusters(pattern: np.ndarray, cluster: np.ndarray | None) -> int:
    return len(pattern) if cluster is None else int(cluster.max(initial=-1)) + 1


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    pattern: np.ndarray,
    cluster: np.ndarray | None,
    mass: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the percentile interval of a statistic of weighted patterns, None with fewer than two clusters.

    `pattern` and `cluster` [units] are numbered from 0 without gaps. `statistic` is given weights
    [draws, patterns], how often each pattern was drawn, and returns [draws]; draws in which it is not
    finite are left out. Percentiles are expanded for a small number of clusters (Hesterberg, 2015,
    doi:10.1080/00031305.2015.1089789, section 5.1).
    """
    clusters = count_clusters(pattern, cluster)
    if clusters < 2:
        return None
    found = np.concatenate([statistic(weights) for weights in _weights(pattern, cluster, resamples, seed)])
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    tail = float(ndtr(-sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, (1 + mass) / 2)))
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _weights(pattern: np.ndarray, cluster: np.ndarray | None, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of draws [draws, patterns]."""
    drawn_by = generator("agreement", seed)
    patterns = int(pattern.max()) + 1
    block = max(1, _BLOCK // patterns)
    if cluster is None and patterns <= MOST_GROUPS:
        # units of one pattern are alike, so that only the number of each is drawn
        shares = np.bincount(pattern, minlength=patterns) / len(pattern)
        for start in range(0, resamples, block):
            yield drawn_by.multinomial(len(pattern), shares, min(block, resamples - start)).astype(np.float64)
        return
    group = np.arange(len(pattern)) if cluster is None else cluster
    groups = int(group.max()) + 1
    if groups > MOST_GROUPS:
        group, groups = drawn_by.permutation(groups)[group] % MOST_GROUPS, MOST_GROUPS
    made_of = csr_array((np.ones(len(pattern)), (pattern, group)), shape=(patterns, groups))
    for start in range(0, resamples, block):
        draws = drawn_by.multinomial(groups, np.full(groups, 1 / groups), min(block, resamples - start))
        yield np.ascontiguousarray((made_of @ draws.T.astype(np.float64)).T)
