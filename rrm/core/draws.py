"""A belief made of draws: rewards as several members have them, each with a weight that answers move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rrm.core.errors import InputError, ShapeError
from rrm.core.values import Answer, Comparison, Group, Label, Rated

LEAST = 500
"""So many draws must count before a decision's gain is told by them: fewer overrate their own maximum."""

LEAST_SHARE = 0.25
"""Where fewer of the draws count than this share, models are to be fitted anew."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Rewards of any outputs by d draws, of weights in proportion to the exponentials of `log_weights` [d].

    `rewards` returns every draw's rewards of all groups' outputs, [d, n], as `rrm.core.asking.Belief` has them, which
    this implements. Raises InputError for fewer than two draws, and for weights that are no numbers or all zero.
    """

    rewards: Callable[[Sequence[Group]], np.ndarray] = field(repr=False)
    log_weights: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        logs = np.asarray(self.log_weights, dtype=np.float64)
        if logs.ndim != 1 or len(logs) < 2:
            raise InputError(f"a belief is made of two draws or more, got log-weights of shape {logs.shape}")
        if not np.isfinite(logs.max()) or np.isnan(logs).any():
            raise InputError("the weights of a belief's draws must be numbers, and one of them above zero")
        object.__setattr__(self, "log_weights", logs)

    def __len__(self) -> int:
        return len(self.log_weights)

    @cached_property
    def weights(self) -> np.ndarray:
        """The weights, [d]; they sum to one."""
        return shares(self.log_weights)

    @property
    def effective(self) -> float:
        """As how many draws of equal weight these count (Kish's effective sample size)."""
        return effective(self.log_weights)

    def drawn(self, groups: Sequence[Group]) -> np.ndarray:
        """Return every draw's rewards, [d, n]; raise ShapeError unless there are so many, InputError for other than
        finite ones."""
        found = np.asarray(self.rewards(groups), dtype=np.float64)
        count = sum(len(group.outputs) for group in groups)
        if found.shape != (len(self), count):
            raise ShapeError(f"{len(self)} draws of {count} outputs' rewards are wanted, got shape {found.shape}")
        if not np.isfinite(found).all():
            raise InputError("what is believed is not finite: draws of rewards hold numbers that are not finite")
        return found

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        return np.asarray(self.weights @ self.drawn(groups))

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        ours = self.drawn(groups)
        theirs = ours if others is groups else self.drawn(others)
        left, right = (each - self.weights @ each for each in (ours, theirs))
        return np.asarray((left * self.weights[:, None]).T @ right)

    def after(self, rated: Sequence[Rated]) -> "Draws":
        """Return the belief once these ratings were given, whatever their order: each draw by how likely it has them.

        Exact, but for what `first_chosen` does not tell, such as ties and points of a scale, which count as not given.
        """
        told = [(row, first) for row in rated if (first := first_chosen(row.feedback.answer)) is not None]
        if not told:
            return self
        reads = self.drawn([row.request.group for row, _ in told])
        logs, at = self.log_weights.copy(), 0
        for row, first in told:
            count = len(row.request.shown)
            along = reads[:, at] - (reads[:, at + 1] if count > 1 else 0.0)
            logs += row.weight * log_chosen(along, first)
            at += count
        return replace(self, log_weights=logs)


def first_chosen(answer: Answer) -> bool | None:
    """Return whether the first of two was chosen, or the output found good; None where it was neither."""
    if isinstance(answer, Comparison) and answer.better is not None:
        return answer.better == 0
    return answer.good if isinstance(answer, Label) else None


def log_chosen(along: np.ndarray, first: bool) -> np.ndarray:
    """Return the log-probability of a choice where the first has so many logits more than the other, [...]."""
    return np.asarray(-np.logaddexp(0.0, -along if first else along))


def shares(log_weights: np.ndarray) -> np.ndarray:
    """Return weights [d] that sum to one."""
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def effective(log_weights: np.ndarray) -> float:
    """Return as how many draws of equal weight draws of these weights count, from 1 to d."""
    return float(1 / np.square(shares(log_weights)).sum())
