"""Draws of several normal variables that lie evenly, the same at every call."""

from functools import lru_cache

import numpy as np
from scipy.stats import norm
from scipy.stats.qmc import Sobol


@lru_cache(maxsize=32)
def normal(k: int, draws: int) -> np.ndarray:
    """Return draws [draws, k] (an even number, twice a power of two), each with its opposite: their mean is exact."""
    half = norm.ppf(Sobol(k, seed=0).random(draws // 2))
    return np.concatenate([half, -half])


def root(covariance: np.ndarray) -> np.ndarray:
    """Return a square root r [k, k] of a covariance, r r^T; what is negative by rounding counts as zero."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
