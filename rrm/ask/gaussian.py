"""A Gaussian belief about the weights of linear rewards: exact for answers that are quantities, moments for choices."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, softmax, xlogy

from rrm.core.errors import InputError, ShapeError

_POINTS, _MASS = np.polynomial.hermite_e.hermegauss(41)
_MASS = _MASS / _MASS.sum()


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Weights with a `mean` [d] and a `covariance` [d, d].

    Raises ShapeError where they do not fit, InputError for numbers that are not finite, a covariance that is not
    symmetric or has a direction of negative variance, or one without any spread: who is certain has nothing to ask.
    """

    mean: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        mean, covariance = (np.asarray(each, dtype=np.float64) for each in (self.mean, self.covariance))
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ShapeError(f"a belief is a mean [d] and a covariance [d, d], got {mean.shape}, {covariance.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise InputError("a belief's mean and covariance must be finite numbers")
        if not np.allclose(covariance, covariance.T, rtol=1e-9, atol=1e-12):
            raise InputError("a belief's covariance must be symmetric")
        least, most = np.linalg.eigvalsh(covariance)[[0, -1]] if len(mean) else (0.0, 0.0)
        if most <= 0 or least < -1e-9 * most:
            raise InputError("a belief must have spread in some direction and a negative variance in none")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", (covariance + covariance.T) / 2)

    def __len__(self) -> int:
        return len(self.mean)

    @cached_property
    def factor(self) -> np.ndarray:
        """A matrix [d, d] whose product with its own transpose is the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def means(self, directions: np.ndarray) -> np.ndarray:
        """Return the expected values along directions [..., d], [...]."""
        return np.asarray(directions @ self.mean)

    def variances(self, directions: np.ndarray) -> np.ndarray:
        """Return the variances along directions [..., d], [...]."""
        return np.asarray(np.maximum(((directions @ self.covariance) * directions).sum(axis=-1), 0.0))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Return draws [count, d]."""
        return np.asarray(self.mean + np.random.default_rng(seed).normal(size=(count, len(self))) @ self.factor.T)

    def after_quantity(self, direction: np.ndarray, value: float, noise: float) -> "Gaussian":
        """Return the belief after a quantity was told: `value` along a direction [d], with a noise of this sd.

        Exact, and the same in whatever order answers come. Raises InputError for a value that is not finite or noise
        that is not positive.
        """
        if not (np.isfinite(value) and 0 < noise < np.inf):
            raise InputError(f"an answer is a finite number with positive noise, got {value} with {noise}")
        spread, variance = self._along(direction)
        total = variance + noise**2
        return self._moved(spread, (value - float(direction @ self.mean)) / total, 1 / total)

    def after_choice(self, direction: np.ndarray, first: bool, noise: float) -> "Gaussian":
        """Return the belief after one of two was chosen: the first, with probability sigma(along / noise).

        `direction` [d] is what the first has more than the second. The posterior's mean and variance along it are
        matched (assumed density filtering, Minka 2001), so the belief depends on the order of the answers, by up to
        half a standard deviation: fit again on all of them now and then. Raises InputError unless noise is positive.
        """
        if not 0 < noise < np.inf:
            raise InputError(f"the noise of a choice must be positive, got {noise}")
        spread, variance = self._along(direction)
        if variance == 0:
            return self
        step, left = choice_moments(float(direction @ self.mean), variance, first, noise)
        return self._moved(spread, step / variance, (variance - left) / variance**2)

    def _along(self, direction: np.ndarray) -> tuple[np.ndarray, float]:
        direction = np.asarray(direction, dtype=np.float64)
        if direction.shape != (len(self),) or not np.isfinite(direction).all():
            raise ShapeError(f"a direction has {len(self)} finite numbers, got shape {direction.shape}")
        spread = self.covariance @ direction
        return spread, max(0.0, float(direction @ spread))

    def _moved(self, spread: np.ndarray, step: float, shrink: float) -> "Gaussian":
        covariance = self.covariance - shrink * np.outer(spread, spread)
        moved = object.__new__(Gaussian)  # what was checked stays right
        object.__setattr__(moved, "mean", self.mean + step * spread)
        object.__setattr__(moved, "covariance", (covariance + covariance.T) / 2)
        return moved


def choice_moments(mean: float, variance: float, first: bool, noise: float = 1.0) -> tuple[float, float]:
    """Return by how much the mean moves, and the variance left, once one of two was chosen, by quadrature in 41 points.

    The first is chosen with probability sigma(along / noise), and along is normal with these moments.
    """
    steps = np.sqrt(variance) * _POINTS
    mass = softmax(np.log(_MASS) + log_expit((mean + steps if first else -mean - steps) / noise))
    step = float(mass @ steps)
    return step, float(mass @ np.square(steps - step))


class Choices(NamedTuple):
    """What is expected of choices between two, each [...].

    `first` is the probability of the first; `up` and `down` are by how many standard deviations the mean along the
    direction moves when the first and the second is chosen; `told` is the mutual information, in nats.
    """

    first: np.ndarray
    up: np.ndarray
    down: np.ndarray
    told: np.ndarray


def choices(means: np.ndarray, variances: np.ndarray, noise: np.ndarray) -> Choices:
    """Return what is expected of choices whose directions have these moments, [...], by quadrature in 41 points.

    The first is chosen with probability sigma(along / noise). Both steps together move nothing: p up + (1 - p) down
    = 0.
    """
    along = (means[..., None] + np.sqrt(variances)[..., None] * _POINTS) / noise[..., None]
    p = expit(along)
    first, other = p @ _MASS, expit(-along) @ _MASS
    moved = (p * _POINTS) @ _MASS
    tiny = np.finfo(np.float64).tiny
    told = entropy(first, other) - entropy(p, expit(-along)) @ _MASS
    return Choices(first, moved / np.maximum(first, tiny), -moved / np.maximum(other, tiny), np.maximum(told, 0.0))


def entropy(p: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the entropy of yes or no, in nats, of probabilities and their complements."""
    return np.asarray(-(xlogy(p, p) + xlogy(other, other)))
