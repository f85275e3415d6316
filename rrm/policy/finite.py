"""Distributions over finitely many outcomes, by their log-probabilities: what every closed form is about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, rel_entr

from rrm.core.errors import InputError, ShapeError

_ROUNDING = 1e-6  # by which probabilities that were summed in single precision may miss one


@dataclass(frozen=True, eq=False)
class Finite:
    """A distribution over outcomes 0 to k - 1; `log_probs` are in nats, float64 [k], -inf where it never is.

    Raises ShapeError unless they are one row of at least one, InputError unless their probabilities sum to one.
    """

    log_probs: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        log_probs = np.asarray(self.log_probs, dtype=np.float64)
        if log_probs.ndim != 1 or not log_probs.size:
            raise ShapeError(f"a distribution has log-probabilities [outcomes], at least one, got {log_probs.shape}")
        with np.errstate(invalid="ignore"):  # NaN is refused below
            total = float(np.logaddexp.reduce(log_probs))
        if not abs(total) <= _ROUNDING:
            raise InputError(
                f"the probabilities of {log_probs.size} outcomes sum to {np.exp(total):.6g}, not to one: "
                "list every outcome once, with the logarithm of its probability"
            )
        object.__setattr__(self, "log_probs", log_probs - total)

    @classmethod
    def weighted(cls, log_weights: np.ndarray) -> "Finite":
        """Return the distribution proportional to the exponentials of weights [k]; some must be above -inf."""
        log_weights = np.asarray(log_weights, dtype=np.float64)
        total = np.logaddexp.reduce(log_weights) if log_weights.size else -np.inf
        if not np.isfinite(total):
            raise InputError("weights that are all zero, infinite or not numbers make no distribution")
        return cls(np.asarray(log_weights - total))

    @classmethod
    def uniform(cls, k: int) -> "Finite":
        """Return the uniform distribution over k outcomes."""
        return cls(np.full(k, -np.log(k)))

    def __len__(self) -> int:
        return int(self.log_probs.size)

    @cached_property
    def probs(self) -> np.ndarray:
        """The probabilities, [k]; they sum to one."""
        return np.asarray(np.exp(self.log_probs))

    @property
    def possible(self) -> np.ndarray:
        """Which outcomes have a probability above zero, bool [k]."""
        return np.asarray(np.isfinite(self.log_probs))

    def mean(self, values: np.ndarray) -> float:
        """Return the expectation of values [k]; what has probability zero may have any value."""
        return float(self.probs[self.possible] @ np.asarray(values, dtype=np.float64)[self.possible])

    def entropy(self) -> float:
        """Return the entropy, in nats."""
        return float(-(self.probs[self.possible] @ self.log_probs[self.possible]))

    def kl(self, other: "Finite") -> float:
        """Return KL(self || other), in nats; inf where this has an outcome that the other lacks."""
        self._same_outcomes(other)
        return max(0.0, float(rel_entr(self.probs, other.probs).sum()))

    def total_variation(self, other: "Finite") -> float:
        """Return half the sum of the differences between the probabilities, in [0, 1]."""
        self._same_outcomes(other)
        return float(np.abs(self.probs - other.probs).sum() / 2)

    def draw(self, random: np.random.Generator, n: int) -> np.ndarray:
        """Return n outcomes, int64 [n], each by inverting the distribution function at a number of its own."""
        upto = np.cumsum(self.probs)
        return np.asarray(np.searchsorted(upto, random.random(n) * upto[-1], side="right"))

    @classmethod
    def mixture(cls, weights: Sequence[float], parts: "Sequence[Finite]") -> "Finite":
        """Return the mixture of distributions by weights, one a part, that sum to one."""
        if len(weights) != len(parts):
            raise ShapeError(f"{len(parts)} distributions need as many weights, got {len(weights)}")
        with np.errstate(divide="ignore"):
            logs = np.log(np.asarray(weights, dtype=np.float64))
        return cls(np.asarray(logsumexp(logs[:, None] + np.stack([part.log_probs for part in parts]), axis=0)))

    def _same_outcomes(self, other: "Finite") -> None:
        if len(self) != len(other):
            raise ShapeError(f"distributions over {len(self)} and over {len(other)} outcomes are not comparable")


@dataclass(frozen=True)
class Levels:
    """A distribution's outcomes grouped by equal score, the lowest first.

    `level` int64 [k] is the level of each outcome. Of each level, [levels], `log_upto`, `log_below`, `log_from` and
    `log_above` are the logarithms of the probabilities of scoring as much or less, less, as much or more, and more.
    Each is summed from its nearer end, so that the best of very many and the best share of very little are exact.
    """

    level: np.ndarray = field(repr=False)
    log_upto: np.ndarray = field(repr=False)
    log_below: np.ndarray = field(repr=False)
    log_from: np.ndarray = field(repr=False)
    log_above: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, base: Finite, scores: np.ndarray) -> "Levels":
        """Group by scores [k], which must be finite."""
        scores = finite(base, scores)
        values, level = np.unique(scores, return_inverse=True)
        masses = np.full(len(values), -np.inf)
        np.logaddexp.at(masses, level, base.log_probs)
        low = np.concatenate([[-np.inf], np.minimum(np.logaddexp.accumulate(masses), 0.0)])
        high = np.concatenate([np.minimum(np.logaddexp.accumulate(masses[::-1])[::-1], 0.0), [-np.inf]])
        near = low < high  # what lies below a cut is the smaller part
        with np.errstate(divide="ignore"):
            below = np.where(near, low, np.log1p(-np.exp(np.minimum(high, 0.0))))
            above = np.where(near, np.log1p(-np.exp(np.minimum(low, 0.0))), high)
        return cls(level, below[1:], below[:-1], above[:-1], above[1:])

    def share(self, base: Finite, log_masses: np.ndarray) -> Finite:
        """Return the distribution whose levels have masses [levels], shared among equals as the base does."""
        own = np.full(len(log_masses), -np.inf)
        np.logaddexp.at(own, self.level, base.log_probs)
        moved = np.where(np.isfinite(own), log_masses - np.where(np.isfinite(own), own, 0.0), -np.inf)
        return Finite.weighted(base.log_probs + moved[self.level])


def finite(base: Finite, scores: np.ndarray) -> np.ndarray:
    """Return scores, float64 [k]; raise ShapeError unless there are k, InputError where one is not finite."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != base.log_probs.shape:
        raise ShapeError(f"{len(base)} outcomes need as many scores, got {scores.shape}")
    if not np.isfinite(scores).all():
        at = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InputError(f"scores must be finite numbers, got {scores[at]} for outcome {at}")
    return scores
