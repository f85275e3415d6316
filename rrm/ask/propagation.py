"""What several answers tell together, whatever order they came in: expectation propagation.

Taking answers in one after another, with moments matched each time, depends on their order. Here each answer's part is
found again with all others taken in, until none moves (Minka 2001, arXiv:1301.2294).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SiteOf = Callable[[int, float, float], tuple[float, float]]
"""(number of the answer, mean and variance of what it reads without it) -> precision and pull of what it tells."""

_SWEEPS = 100
_SETTLED = 1e-10
"""No standard deviation of what is read moves by more than this share of it in the last sweep."""


class Told(NamedTuple):
    """What each of m answers tells of what it reads, exp(pull r - precision r^2 / 2): both [m]."""

    precision: np.ndarray
    pull: np.ndarray


def propagated(mean: np.ndarray, covariance: np.ndarray, site_of: SiteOf) -> Told:
    """Return what m answers tell, whose readings have this mean [m] and covariance [m, m] before any of them.

    An answer that leaves a reading's variance as it was, or that is about one without variance, tells nothing.
    """
    precision, pull = np.zeros(len(mean)), np.zeros(len(mean))
    mean, covariance = mean.copy(), covariance.copy()
    for _ in range(_SWEEPS):
        moved = 0.0
        for at in range(len(mean)):
            variance = covariance[at, at]
            others = 1 - precision[at] * variance
            if not (variance > 0 and others > 0):
                continue
            found = site_of(at, float((mean[at] - pull[at] * variance) / others), float(variance / others))
            more, further = found[0] - precision[at], found[1] - pull[at]
            whole = 1 + more * variance
            step = (further - more * mean[at]) / whole
            moved = max(moved, abs(more) * variance, abs(step) * np.sqrt(variance))
            row = covariance[at].copy()
            mean += step * row
            covariance -= more / whole * np.outer(row, row)
            precision[at], pull[at] = found
        if moved < _SETTLED:
            break
    return Told(precision, pull)
