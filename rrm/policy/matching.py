"""Matches moments: of all policies whose features have the means asked for, the one nearest to the anchor.

It is anchor exp(lambda . features) / Z, and lambda the minimum of the convex log Z(lambda) - lambda . targets. Khalifa,
Elsahar and Dymetman (2021), A distributional approach to controlled text generation, arXiv:2012.11635. Newton's step
alone diverges; here it is halved until the dual falls (Boyd and Vandenberghe 2004, section 9.5).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.special import logsumexp

from rrm.core.errors import InputError, ShapeError
from rrm.core.text import words
from rrm.policy.finite import Finite, finite
from rrm.policy.reweighted import Reweighting, at_most

Feature = Callable[[np.ndarray, Sequence[str]], np.ndarray]
"""Of the scores [k] and texts of k outputs, a number each, float64 [k]."""

FEATURES: Mapping[str, Feature] = {
    "acceptance": lambda scores, texts: np.asarray(scores, dtype=np.float64),
    "words": lambda scores, texts: np.array([len(words(text)) for text in texts], dtype=np.float64),
}
"""Features whose means can be asked for, by name."""


@dataclass(frozen=True)
class Matching(Reweighting):
    """Brings the mean of each feature to its target at every node, such as {"acceptance": 0.8, "words": 12}.

    A node at which the targets cannot be had, or not within the budget of KL, goes towards them as far as it can.
    """

    targets: Mapping[str, float] = field(default_factory=lambda: {"acceptance": 1.0}, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.targets if name not in FEATURES]
        if unknown or not self.targets or not np.isfinite(list(self.targets.values())).all():
            raise InputError(
                f"targets are finite numbers by feature, of {', '.join(FEATURES)}, got {dict(self.targets)}"
            )

    def rule(self, kl_budget: float) -> "Matched":
        """Return the rule that matches within the budget."""
        return Matched(tuple(sorted(self.targets.items())), kl_budget)


@dataclass(frozen=True)
class Matched:
    """The nearest distribution with these means of features, or a share of its lambda, as far as `most` nats allow."""

    targets: tuple[tuple[str, float], ...]
    most: float = inf

    @property
    def name(self) -> str:
        return f"matched {self.targets!r} {self.most!r}"

    def __call__(self, base: Finite, scores: np.ndarray, texts: Sequence[str]) -> Finite:
        features = np.stack([FEATURES[name](scores, texts) for name, _ in self.targets], axis=1)
        goal, start = np.array([value for _, value in self.targets]), base.probs @ features
        goal = start + reachable(base, features, goal) * (goal - start)

        found = matched(base, features, goal)
        if found.distribution.kl(base) <= self.most:
            return found.distribution
        direction = features @ found.steepness
        steps = at_most(lambda step: Finite.weighted(base.log_probs + step * direction).kl(base), self.most, 0.5)
        return Finite.weighted(base.log_probs + steps * direction)


class Moments(NamedTuple):
    """The distribution that matches, and its lambda, float64 [features]."""

    distribution: Finite
    steepness: np.ndarray


def matched(base: Finite, features: np.ndarray, targets: np.ndarray, tolerance: float = 1e-10) -> Moments:
    """Return the distribution nearest to the base whose `features` [k, features] have the means `targets` [features].

    Near is by KL, which is lambda . targets - log Z. Raises InputError where no distribution over the base's
    outcomes, all of them possible, has these means.
    """
    features, targets = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if features.ndim != 2 or features.shape != (len(base), targets.size):
        raise ShapeError(
            f"{len(base)} outcomes and {targets.size} targets need features of that shape, got {features.shape}"
        )
    for column in features.T:
        finite(base, column)
    scale = np.where(np.ptp(features[base.possible], axis=0) > 0, np.ptp(features[base.possible], axis=0), 1.0)
    centred = (features - targets) / scale
    steepness = np.zeros(targets.size)

    def dual(at: np.ndarray) -> float:
        return float(logsumexp(base.log_probs + centred @ at))

    for _ in range(200):
        found = Finite.weighted(base.log_probs + centred @ steepness)
        gradient = found.probs @ centred
        if np.abs(gradient).max() <= tolerance:
            return Moments(found, steepness / scale)
        spread = (centred - gradient).T @ (found.probs[:, None] * (centred - gradient))
        step = -np.linalg.lstsq(spread, gradient, rcond=1e-12)[0]
        length, now, slope = 1.0, dual(steepness), float(gradient @ step)
        # near the minimum the dual falls by less than a float can tell: there Newton's step is right as it is
        while length > 1e-12 and dual(steepness + length * step) > now + 1e-4 * length * slope + 1e-14 * (1 + abs(now)):
            length /= 2
        steepness = steepness + length * step
    raise InputError(
        f"no policy over these {len(base)} outcomes has the feature means {targets.tolist()}: "
        f"they go from {features[base.possible].min(axis=0).tolist()} to {features[base.possible].max(axis=0).tolist()}"
    )


def reachable(base: Finite, features: np.ndarray, targets: np.ndarray, margin: float = 0.02) -> float:
    """Return the share, at most 1, of the way from the base's means to the targets that a distribution can go.

    It stays away from the border of what can be had by `margin` of the way to it: on the border itself all but a few
    outcomes have probability 0. `features` are [k, features].
    """
    inside = features[base.possible]
    start = base.probs @ features
    if features.shape[1] == 1:
        way = float(targets[0] - start[0])
        furthest = float((inside.max() if way > 0 else inside.min()) - start[0])
        return 1.0 if not way else min(1.0, (1 - margin) * furthest / way)
    # maximise s over weights w >= 0 with sum w = 1 and sum w f = start + s (targets - start)
    equalities = np.vstack([np.column_stack([inside.T, start - targets]), np.append(np.ones(len(inside)), 0.0)])
    limits = [(0.0, None)] * len(inside) + [(0.0, 1 / (1 - margin))]
    cost = np.append(np.zeros(len(inside)), -1.0)
    found = linprog(cost, A_eq=equalities, b_eq=np.append(start, 1.0), bounds=limits)
    return min(1.0, (1 - margin) * float(found.x[-1])) if found.success else 0.0


class Nearest(NamedTuple):
    """The member of the base's exponential tilts nearest to a policy, and what it cannot explain."""

    tilt: Finite
    steepness: np.ndarray
    residual: float
    outside: float


def nearest_tilt(policy: Finite, base: Finite, features: np.ndarray) -> Nearest:
    """Return the tilt base exp(lambda . features) / Z nearest to a policy: is it a conditional of its base?

    The tilt that minimises KL(policy || tilt) is the one with the policy's feature means (features [k, features]).
    `residual` is that KL, in nats, of the policy within the base's support; `outside` is the policy's mass where the
    base has none. Raises InputError where the policy lies outside altogether, or its means on the border of what
    tilts can have.
    """
    inside = policy.possible & base.possible
    if not inside.any():
        raise InputError("the policy has no outcome in common with its base")
    outside = float(policy.probs[~base.possible].sum())
    within = Finite.weighted(np.where(inside, policy.log_probs, -inf))
    found = matched(base, features, within.probs @ np.asarray(features, dtype=np.float64))
    return Nearest(found.distribution, found.steepness, within.kl(found.distribution), outside)
