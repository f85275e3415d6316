"""Raters who cannot see: what worlds are worth, by comparisons of what was shown, and what these leave open.

What is shown leaves open which world is the case, as a part's summary leaves open whether it is true. A rater goes by
the reward expected under a belief about that. To take such ratings for ratings of what is the case is to teach policies
to look good; where the raters' belief is known, the rewards of worlds follow from the same ratings, up to what no
comparison of what is shown can tell (Lang et al. 2024, arXiv:2402.17747).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog, minimize
from scipy.special import expit

from rrm.core.errors import InputError, ShapeError

_PRIOR_SD = 10.0


@dataclass(frozen=True, eq=False)
class Sight:
    """What raters believe to be the case where they are shown something: probabilities [shown, worlds].

    Who sees everything has the identity. Raises ShapeError unless it is such a table, InputError unless each row is a
    distribution.
    """

    belief: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        belief = np.asarray(self.belief, dtype=np.float64)
        if belief.ndim != 2 or not belief.size:
            raise ShapeError(f"a belief about worlds is a table [shown, worlds], at least one each, got {belief.shape}")
        if not ((belief >= 0).all() and (np.abs(belief.sum(axis=1) - 1) <= 1e-9).all()):
            raise InputError("by each thing that is shown, the probabilities of the worlds must sum to one")
        object.__setattr__(self, "belief", belief)

    @classmethod
    def of_peeks(cls, found: np.ndarray, prior: float | np.ndarray = 0.5) -> "Sight":
        """Return the belief of raters who know what peeks found: `found` [shown, worlds] counts how often.

        A peek looks at what was not shown, such as a span of the source. The mean of a Dirichlet distribution with the
        pseudo-counts of `prior`, a number or [shown, worlds], 0 for a world that what is shown rules out. Raises
        InputError for counts or pseudo-counts below 0, and for a row without any.
        """
        counts = np.asarray(found, dtype=np.float64)
        if counts.ndim != 2 or np.shape(prior) not in ((), counts.shape):
            raise ShapeError(f"what peeks found are counts [shown, worlds], got {counts.shape} with {np.shape(prior)}")
        if not (np.isfinite(counts).all() and (counts >= 0).all() and (np.asarray(prior) >= 0).all()):
            raise InputError("how often peeks found a world, and its prior, must be 0 or more")
        total = counts + prior
        if not (total.sum(axis=1) > 0).all():
            raise InputError("every thing that is shown needs a world that it may be: a peek, or a prior above 0")
        return cls(total / total.sum(axis=1, keepdims=True))

    def wrong_by(self, amount: float, instead: np.ndarray | None = None) -> "Sight":
        """Return a belief that is off by this share of the probability, which goes to what is believed `instead`.

        By default to all worlds evenly; else to those of a table of the same shape. Raises InputError unless the share
        lies in [0, 1].
        """
        if not 0 <= amount <= 1:
            raise InputError(f"a belief is wrong by a share in [0, 1] of its probability, got {amount}")
        other = np.full(self.belief.shape, 1 / self.belief.shape[1]) if instead is None else Sight(instead).belief
        if other.shape != self.belief.shape:
            raise ShapeError(f"what is believed instead is of the shape {self.belief.shape}, got {other.shape}")
        return Sight((1 - amount) * self.belief + amount * other)

    def after(self, outcomes: np.ndarray) -> "Sight":
        """Return what is believed in hindsight: once it is shown, too, what comes of it, by Bayes' rule.

        `outcomes` [worlds, outcomes] say how probably a world comes to what, as raters think. What is shown then is a
        pair, [shown x outcomes, worlds], the outcomes of what is shown first before those of the next; a pair that is
        held for impossible leaves the belief as it was. Raises ShapeError unless there is a row for each world,
        InputError unless it is a distribution.
        """
        table = Sight(outcomes).belief
        if len(table) != self.belief.shape[1]:
            raise ShapeError(f"what comes of {self.belief.shape[1]} worlds is a row each, got {len(table)}")
        joint = self.belief[:, None, :] * table.T[None, :, :]
        total = joint.sum(axis=2, keepdims=True)
        found = np.where(total > 0, joint / np.where(total > 0, total, 1.0), self.belief[:, None, :])
        return Sight(found.reshape(-1, self.belief.shape[1]))

    def expected(self, rewards: np.ndarray) -> np.ndarray:
        """Return what each thing that is shown is worth to a rater, [shown], where worlds are worth `rewards`."""
        rewards = np.asarray(rewards, dtype=np.float64)
        if rewards.shape != self.belief.shape[1:]:
            raise ShapeError(f"rewards are of {self.belief.shape[1]} worlds, got {rewards.shape}")
        return np.asarray(self.belief @ rewards)

    @property
    def contrasts(self) -> np.ndarray:
        """By how much beliefs differ from the first's, [shown - 1, worlds]: all that comparisons can read."""
        return np.asarray(self.belief[1:] - self.belief[:1])


def first_better(sight: Sight, rewards: np.ndarray, pairs: np.ndarray, rationality: float = 1.0) -> np.ndarray:
    """Return the probability that the first of each pair [pairs, 2] of things shown is preferred, [pairs].

    sigma(rationality (E[reward | first] - E[reward | second])): a Boltzmann-rational choice by expected rewards.
    """
    worth = sight.expected(rewards)
    first, second = _places(sight, pairs).T
    return np.asarray(expit(rationality * (worth[first] - worth[second])))


def shown_after(shown: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """Return how probably each world is shown as what with what outcome, [worlds, shown x outcomes].

    `shown` [worlds, shown] and `outcomes` [worlds, outcomes] are each world's own: those of rollouts by a model, which
    may be wrong, where raters are shown these (Liang et al. 2025, arXiv:2501.08617). Raises ShapeError unless both are
    of the same worlds.
    """
    before, later = Sight(shown).belief, Sight(outcomes).belief
    if len(before) != len(later):
        raise ShapeError(f"what is shown and what comes of it are of the same worlds, got {len(before)}, {len(later)}")
    return np.asarray((before[:, :, None] * later[:, None, :]).reshape(len(before), -1))


def rewards_from(
    sight: Sight, pairs: np.ndarray, first: np.ndarray, rationality: float = 1.0, prior_sd: float = _PRIOR_SD
) -> np.ndarray:
    """Return the most probable rewards of worlds, [worlds], by comparisons of what was shown.

    `pairs` [pairs, 2] are places among what is shown, `first` [pairs] how often or how probably the first was
    preferred. Rewards are Gaussian around zero beforehand, with `prior_sd`: what comparisons leave open stays zero.
    With a belief that sees everything, the identity, these are the rewards that a learner fits who takes what is shown
    for what is the case. Raises InputError for shares outside [0, 1].
    """
    share = np.asarray(first, dtype=np.float64)
    places = _places(sight, pairs)
    if share.shape != places.shape[:1] or not ((share >= 0) & (share <= 1)).all():
        raise InputError("how often the first of each pair was preferred must be a share in [0, 1], one a pair")
    if not (0 < rationality < np.inf and 0 < prior_sd < np.inf):
        raise InputError("rationality and prior_sd must be positive numbers")
    rows = rationality * (sight.belief[places[:, 0]] - sight.belief[places[:, 1]])
    ridge = np.eye(rows.shape[1]) / prior_sd**2

    def loss(rewards: np.ndarray) -> tuple[float, np.ndarray]:
        logit = rows @ rewards
        value = float(np.sum(np.logaddexp(0, logit) - share * logit)) + 0.5 * float(rewards @ ridge @ rewards)
        return value, rows.T @ (expit(logit) - share) + ridge @ rewards

    def curvature(rewards: np.ndarray) -> np.ndarray:
        chosen = expit(rows @ rewards)
        return np.asarray((rows.T * (chosen * (1 - chosen))) @ rows + ridge)

    start = np.zeros(rows.shape[1])
    return np.asarray(minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9}).x)


def left_open(sight: Sight) -> np.ndarray:
    """Return directions of rewards that no comparison of what is shown tells anything about, [k, worlds].

    An orthonormal basis of the kernel of the belief's contrasts, without the constant, which matters to no decision.
    """
    told = np.vstack([sight.contrasts, np.ones((1, sight.belief.shape[1]))])
    return np.asarray(null_space(told, rcond=1e-9).T)


def between(sight: Sight, rewards: np.ndarray, difference: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the least and the most by which one policy may be better than another, for all that raters say.

    `difference` [worlds] is how much more often the one brings each world about than the other. Of all rewards in
    [low, high] under which everything shown is compared as under `rewards`, two linear programs find the extremes.
    Where they lie on both sides of zero, no number of such ratings tells which policy is better: only peeks do. Raises
    InputError where `rewards` lie outside of the range.
    """
    rewards, difference = (np.asarray(each, dtype=np.float64) for each in (rewards, difference))
    told = sight.contrasts
    if rewards.shape != difference.shape or rewards.shape != told.shape[1:]:
        raise ShapeError(
            f"rewards and differences are of {told.shape[1]} worlds, got {rewards.shape}, {difference.shape}"
        )
    if not ((rewards >= low) & (rewards <= high)).all():
        raise InputError(f"rewards must lie in [{low}, {high}]")
    equal = {"A_eq": told, "b_eq": told @ rewards} if len(told) else {}
    least, most = (linprog(sign * difference, bounds=(low, high), **equal).fun for sign in (1, -1))
    return float(least), float(-most)


def _places(sight: Sight, pairs: np.ndarray) -> np.ndarray:
    places = np.asarray(pairs)
    if places.ndim != 2 or places.shape[1] != 2 or not np.issubdtype(places.dtype, np.integer):
        raise ShapeError(f"pairs are whole numbers [pairs, 2], got {places.shape} of {places.dtype}")
    if ((places < 0) | (places >= len(sight.belief))).any():
        raise InputError(f"pairs name what is shown by its place, 0 to {len(sight.belief) - 1}")
    return places
