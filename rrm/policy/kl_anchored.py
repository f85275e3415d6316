"""Maximises reward less beta times the KL to the anchor: the optimum of KL-anchored RL, in closed form.

    J(pi) = E_pi[r] - beta KL(pi || anchor) = beta log Z - beta KL(pi || optimum),  optimum = anchor exp(r / beta) / Z

Korbak, Perez and Buckley (2022), RL with KL penalties is better viewed as Bayesian inference, arXiv:2205.11275.
With the logarithm of the acceptance as reward and beta = 1 the optimum is the anchor's conditional on being accepted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
from scipy.special import logsumexp

from rrm.core.errors import InputError, ShapeError
from rrm.policy.finite import Finite
from rrm.policy.reweighted import Reweighting, at_most

Reward = Literal["acceptance", "log_acceptance"]


def _log(acceptance: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(acceptance))


REWARDS: Mapping[Reward, Callable[[np.ndarray], np.ndarray]] = {"acceptance": np.asarray, "log_acceptance": _log}
"""Rewards of an output by the probability of its acceptance: bounded, or a log-probability (-inf for what is never)."""


@dataclass(frozen=True)
class KLAnchored(Reweighting):
    """Tilts the anchor by exp(reward / `beta`), or at each node as far as the budget of KL allows (None).

    With a `beta`, a node where it would spend more than the budget gets the beta that just does not.
    """

    beta: float | None = None
    reward: Reward = "acceptance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta is not None and not 0 < self.beta < inf:
            raise InputError(f"the weight beta of the KL is a positive number, got {self.beta}")
        if self.reward not in REWARDS:
            raise InputError(f"the reward is one of {', '.join(REWARDS)}, got {self.reward!r}")

    def rule(self, kl_budget: float) -> "Tilted":
        """Return the rule that tilts within the budget."""
        return Tilted(self.beta or 0.0, self.reward, kl_budget)


@dataclass(frozen=True)
class Tilted:
    """The tilt by `beta`, or by the least larger one that spends at most `most` nats."""

    beta: float
    reward: Reward = "acceptance"
    most: float = inf

    @property
    def name(self) -> str:
        return f"tilted {self.beta!r} {self.reward} {self.most!r}"

    def __call__(self, base: Finite, scores: np.ndarray, texts: Sequence[str]) -> Finite:
        rewards = REWARDS[self.reward](scores)
        if self.most == inf:
            return tilted(base, rewards, self.beta)
        return tilted(base, rewards, max(self.beta, beta_within(base, rewards, self.most)))


def tilted(base: Finite, rewards: np.ndarray, beta: float) -> Finite:
    """Return base exp(rewards / beta) / Z; at beta = 0 the base among the best, at inf the base itself.

    A reward of -inf excludes an outcome. Rewards in [a, b] keep every likelihood ratio below exp((b - a) / beta).
    Raises InputError for rewards that are NaN or inf, for a negative beta, and where every outcome is excluded.
    """
    rewards = _rewards(base, rewards)
    if not beta >= 0:
        raise InputError(f"the weight beta of the KL is 0 or more, got {beta}")
    best = rewards[base.possible].max()
    if best == -inf:
        raise InputError("every outcome has a reward of -inf: none is left to choose")
    if beta == 0:
        return Finite.weighted(np.where(rewards == best, base.log_probs, -inf))
    if beta == inf:
        return Finite.weighted(np.where(rewards > -inf, base.log_probs, -inf))
    # only what the base never proposes is better than the best: the clip keeps inf - inf out
    return Finite.weighted(base.log_probs + np.minimum(rewards - best, 0.0) / beta)


def objective(policy: Finite, base: Finite, rewards: np.ndarray, beta: float) -> float:
    """Return J = E[reward] - beta KL(policy || base), in units of the reward."""
    return policy.mean(rewards) - beta * policy.kl(base)


def optimum(base: Finite, rewards: np.ndarray, beta: float) -> float:
    """Return the greatest J that there is, beta log Z, in units of the reward."""
    return float(beta * logsumexp(base.log_probs + _rewards(base, rewards) / beta))


def beta_within(base: Finite, rewards: np.ndarray, kl: float) -> float:
    """Return the least beta at which the tilt spends at most `kl` nats; 0 where even the best alone does not."""
    rewards = _rewards(base, rewards)
    if tilted(base, rewards, 0).kl(base) <= kl:
        return 0.0
    inside = rewards[base.possible & (rewards > -inf)]
    spread = float(inside.max() - inside.min())
    least = tilted(base, rewards, inf).kl(base)
    if least <= kl and spread:
        return 1 / at_most(
            lambda steepness: tilted(base, rewards, 1 / steepness if steepness else inf).kl(base), kl, 1 / spread
        )
    if least > kl:
        raise InputError(
            f"leaving out what has no chance of acceptance takes {least:.3f} nats of {kl:g}: raise the budget"
        )
    return inf


def _rewards(base: Finite, rewards: np.ndarray) -> np.ndarray:
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.shape != base.log_probs.shape:
        raise ShapeError(f"{len(base)} outcomes need as many rewards, got {rewards.shape}")
    if np.isnan(rewards).any() or (rewards == inf).any():
        raise InputError("rewards must be numbers below infinity")
    return rewards
