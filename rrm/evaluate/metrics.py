"""How well predicted probabilities of comparisons meet their outcomes, with intervals clustered by source.

Throughout, `probability` is float [rows], that the first output shown is the better one, and
`outcome` is float [rows]: 1 if the rater chose the first, 0 the second, 0.5 for a tie.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata, t

from rrm.core.errors import InputError, ShapeError
from rrm.core.ids import generator
from rrm.core.report import Bin, Correlation, Interval

LEAST_PROBABILITY = 1e-12
"""NLL never takes a probability for smaller than this, so that one row costs at most 28 nats."""

LEAST_SOURCES = 3
"""Fewer sources than this give no interval of a share: how far they differ is not to be told from two."""


class Accuracy(NamedTuple):
    """Share of the untied rows predicted rightly (None without any), and how many were and were not tied."""

    value: float | None
    rows: int
    ties: int


class Calibration(NamedTuple):
    """Equal-mass bins, the expected calibration error, and its 95 % interval (None: fewer than two clusters)."""

    bins: tuple[Bin, ...]
    ece: float
    interval: Interval | None


def hits(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return 1 for each right prediction, 0 for each wrong one, 0.5 where the prediction is exactly 0.5.

    The outcome must not be a tie, of which no prediction is right or wrong.
    """
    probability, outcome = _rows(probability, outcome)
    return np.where(probability == 0.5, 0.5, ((probability > 0.5) == (outcome > 0.5)).astype(float))


def accuracy(probability: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> Accuracy:
    """Return the (weighted) share of rows predicted rightly: tied rows are left out and counted."""
    probability, outcome = _rows(probability, outcome)
    decided = outcome != 0.5
    weight = np.ones(len(outcome)) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != outcome.shape or (weight < 0).any():
        raise ShapeError(f"weights must be non-negative, one per row: {weight.shape} for {outcome.shape}")
    total = weight[decided].sum()
    value = float(hits(probability[decided], outcome[decided]) @ weight[decided] / total) if total > 0 else None
    return Accuracy(value, int(decided.sum()), int((~decided).sum()))


def nll(probability: np.ndarray, outcome: np.ndarray) -> float | None:
    """Return the mean negative log-likelihood in nats; a tie is one half of each outcome. None without rows."""
    probability, outcome = _rows(probability, outcome)
    if not len(outcome):
        return None
    first = np.log(np.maximum(probability, LEAST_PROBABILITY))
    second = np.log(np.maximum(1 - probability, LEAST_PROBABILITY))
    return float(-(outcome * first + (1 - outcome) * second).mean())


def cluster_interval(
    values: np.ndarray,
    clusters: Sequence[str] | np.ndarray,
    statistic: Callable[[np.ndarray], float],
    mass: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Return the bootstrap interval of a statistic of rows that come in clusters (sources).

    Whole clusters are drawn with replacement; `values` is [rows, ...] and `statistic` is given the
    rows of each draw. Draws in which it is not finite are left out. The percentiles are expanded
    for a small number of clusters (Hesterberg 2015, doi:10.1080/00031305.2015.1089789, section
    5.1). None with fewer than two clusters, where nothing can be said.
    """
    values = np.asarray(values)
    names, where = np.unique(np.asarray(clusters), return_inverse=True)
    if len(where) != len(values):
        raise ShapeError(f"one cluster per row is needed: {len(where)} for {len(values)} rows")
    if len(names) < 2:
        return None
    return _percentiles(_draws(values, where, statistic, resamples, seed), mass, len(names))


def wilson(share: float, rows: int, mass: float = 0.95) -> Interval:
    """Return the binomial interval of a share of so many independent rows (Wilson 1927, doi:10.2307/2276774)."""
    z2 = float(ndtri((1 + mass) / 2)) ** 2
    centre = share + z2 / (2 * rows)
    half = sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows**2)))
    return Interval(*(min(1.0, max(0.0, (centre + side) / (1 + z2 / rows))) for side in (-half, half)))


def share_interval(
    hits: np.ndarray, clusters: Sequence[str] | np.ndarray, mass: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """Return the interval of a share of rows, each 0, 1 or one half, that come in clusters (sources).

    It is the bootstrap's over clusters, and reaches on either side at least as far as the binomial interval of as many
    independent rows: few clusters can agree by chance, and rows of one source never say more than independent ones.
    None with fewer than `LEAST_SOURCES` clusters.
    """
    if len(np.unique(np.asarray(clusters))) < LEAST_SOURCES:
        return None
    drawn = cluster_interval(hits, clusters, lambda rows: float(rows.mean()), mass, resamples, seed)
    plain = wilson(float(np.mean(hits)), len(hits), mass)
    return Interval(min(drawn.low, plain.low), max(drawn.high, plain.high)) if drawn else plain


def folded(probability: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the output held better, in [0.5, 1], and the outcome from its side.

    Which output is shown first is an accident (recorded preferences often put the chosen one
    first), so calibration is measured on folded rows, which do not depend on it.
    """
    probability, outcome = _rows(probability, outcome)
    turned = np.where(probability < 0.5, 1 - outcome, outcome)
    return np.maximum(probability, 1 - probability), np.where(probability == 0.5, 0.5, turned)


def calibration(
    probability: np.ndarray,
    outcome: np.ndarray,
    bins: int = 10,
    clusters: Sequence[str] | np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration | None:
    """Return equal-mass bins with the expected calibration error and its bootstrap interval.

    Equal predictions share a bin, so neither depends on the order of the rows. By default every
    row is a cluster. A resample is further from calibration than what it was drawn from, by about
    as much as the estimate is from the truth; so the interval is the reflected one (Davison and
    Hinkley 1997, section 5.2), not below 0 and not short of the estimate. In simulations of 200
    and 1,000 rows it covers the truth 87 to 95 times in 100; a perfect calibration, which is an
    edge, 58 times. None without rows.
    """
    probability, outcome = _rows(probability, outcome)
    if bins < 1:
        raise InputError(f"calibration needs one bin or more, got {bins}")
    if not len(outcome):
        return None
    found = _bins(probability, outcome, bins)
    ece = _error(found)
    rows = np.column_stack([probability, outcome])
    names = np.arange(len(rows)) if clusters is None else np.asarray(clusters)
    drawn = cluster_interval(
        rows, names, lambda each: _error(_bins(each[:, 0], each[:, 1], bins)), 0.95, resamples, seed
    )
    interval = Interval(max(0.0, 2 * ece - drawn.high), max(ece, 2 * ece - drawn.low)) if drawn else None
    return Calibration(tuple(Bin(float(p), float(o), int(n)) for p, o, n in found), ece, interval)


def spearman(x: np.ndarray, y: np.ndarray, resamples: int = 1000, seed: int = 0, mass: float = 0.95) -> Correlation:
    """Return Spearman's rank correlation (average ranks for ties) with a bootstrap interval over the points.

    Undefined, and None, with fewer than three points or where one side is constant. The points
    are drawn as if independent, which root candidates of one tree are not quite.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"two lists of equal length are needed, got shapes {x.shape} and {y.shape}")
    n = len(x)
    if n < 3 or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return Correlation(None, None, n)
    drawn = generator("spearman", seed).integers(n, size=(resamples, n))
    value = float(_rank_correlations(x[None], y[None])[0])
    return Correlation(value, _percentiles(_rank_correlations(x[drawn], y[drawn]), mass, n), n)


def coverage(intervals: Sequence[Interval] | np.ndarray, truth: np.ndarray) -> float | None:
    """Return the share of the true values [n] that lie in their intervals [n, 2], ends included; None for none."""
    truth = np.asarray(truth, dtype=float)
    ends = np.asarray(intervals, dtype=float).reshape(-1, 2)
    if len(ends) != len(truth):
        raise ShapeError(f"one interval per true value is needed: {len(ends)} for {len(truth)}")
    return float(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()) if len(truth) else None


def _rows(probability: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probability, outcome = np.asarray(probability, dtype=float), np.asarray(outcome, dtype=float)
    if probability.shape != outcome.shape or probability.ndim != 1:
        raise ShapeError(f"one probability per outcome is needed, got shapes {probability.shape} and {outcome.shape}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("probabilities must lie in [0, 1]")
    if not np.isin(outcome, (0.0, 0.5, 1.0)).all():
        raise InputError("outcomes are 1 (the first is better), 0 (the second) or 0.5 (a tie)")
    return probability, outcome


def _draws(
    values: np.ndarray, where: np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int, seed: int
) -> np.ndarray:
    order = np.argsort(where, kind="stable")
    sizes = np.bincount(where)
    chosen = generator("cluster_interval", seed).integers(len(sizes), size=(resamples, len(sizes)))
    if (sizes == 1).all():
        return np.array([statistic(values[order[draw]]) for draw in chosen])
    members = np.split(order, np.cumsum(sizes)[:-1])
    return np.array([statistic(values[np.concatenate([members[each] for each in draw])]) for draw in chosen])


def _percentiles(draws: np.ndarray, mass: float, clusters: int) -> Interval | None:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return None
    tail = float(ndtr(-sqrt(clusters / (clusters - 1)) * t.ppf((1 + mass) / 2, clusters - 1)))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _bins(probability: np.ndarray, outcome: np.ndarray, bins: int) -> np.ndarray:
    """Return the filled bins, [bins, 3]: mean probability, mean outcome, rows."""
    ordered = np.sort(probability)
    edges = np.unique(ordered[np.arange(1, bins) * len(ordered) // bins])
    place = np.searchsorted(edges, probability, side="right")
    rows = np.bincount(place)
    filled = rows > 0
    sums = [np.bincount(place, each)[filled] / rows[filled] for each in (probability, outcome)]
    return np.column_stack([*sums, rows[filled]])


def _error(bins: np.ndarray) -> float:
    return float(np.abs(bins[:, 0] - bins[:, 1]) @ bins[:, 2] / bins[:, 2].sum())


def _rank_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each row of x with the same row of y, [rows]; NaN where one is constant."""
    ranks_x, ranks_y = (rankdata(each, axis=1) - (each.shape[1] + 1) / 2 for each in (x, y))
    scale = np.sqrt((ranks_x**2).sum(1) * (ranks_y**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((ranks_x * ranks_y).sum(1) / scale)
