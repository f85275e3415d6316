"""Samples as the anchor does, from the best share q of what it proposes: the quantilizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from rrm.core.errors import InputError
from rrm.policy.finite import Finite, Levels
from rrm.policy.reweighted import Reweighting


@dataclass(frozen=True)
class Quantilizer(Reweighting):
    """Keeps the best share `q` of the anchor's mass, or the share that the budget of KL allows (None): exp(-budget).

    Whatever an output may cost that the scorer does not see, the expected cost is at most 1 / q times the anchor's.
    Taylor (2016), Quantilizers: a safer alternative to maximizers for limited optimization, AAAI workshop.
    """

    q: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.q is not None and not 0 < self.q <= 1:
            raise InputError(f"a quantilizer's share q lies in (0, 1], got {self.q}")

    def rule(self, kl_budget: float) -> "Quantilized":
        """Return the rule; raise InputError if the KL of the `q` that was set may exceed the budget."""
        q = exp(-kl_budget) if self.q is None else self.q
        if -log(q) > kl_budget + 1e-12:
            raise InputError(
                f"the best {q:g} may be {-log(q):.3f} nats from the anchor, more than the budget of {kl_budget:g}: "
                f"set q to at least {exp(-kl_budget):.4g}, or leave it out"
            )
        return Quantilized(q)


@dataclass(frozen=True)
class Quantilized:
    """The best share q, see `quantilized`."""

    q: float

    @property
    def name(self) -> str:
        return f"quantilized {self.q!r}"

    @property
    def most(self) -> float:
        return -log(self.q)

    def __call__(self, base: Finite, scores: np.ndarray, texts: Sequence[str]) -> Finite:
        return quantilized(base, scores, self.q)


def quantilized(base: Finite, scores: np.ndarray, q: float) -> Finite:
    """Return base / q above a threshold of the score, and 0 below it.

    What scores the threshold itself is split, as the base shares it, so that the mass is one. The result has the
    greatest mean score of all distributions that are nowhere more than 1 / q times the base, and KL <= log(1 / q)
    with equality where nothing is split. Raises InputError unless 0 < q <= 1.
    """
    if not 0 < q <= 1:
        raise InputError(f"a quantilizer's share q lies in (0, 1], got {q}")
    levels = Levels.of(base, scores)
    upper, lower = (np.exp(np.minimum(log_mass - log(q), 0.0)) for log_mass in (levels.log_from, levels.log_above))
    with np.errstate(divide="ignore"):
        return levels.share(base, np.log(upper - lower))
