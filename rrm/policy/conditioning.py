"""Conditions the anchor on the rating: what it would write, given that the output is rated so.

Bayes: p(x given bin) = p(x) p(bin given x) / p(bin); the bins' conditionals, weighed by p(bin), are the anchor again.
Where the rating is a function of the output, KL(conditional || anchor) = -log p(bin). Conditioning instead of
maximising: Chen et al. (2021), Decision transformer, arXiv:2106.01345; quantiles as tokens: Lu et al. (2022), Quark,
arXiv:2205.13636, whose bins by rank split equal scores among bins: here ties stay together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.special import logsumexp

from rrm.core.errors import InputError
from rrm.core.protocols import Improved, Policy, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.policy.finite import Finite, Levels, finite
from rrm.policy.reweighted import Reweighting
from rrm.policy.scoring import check, scores


@dataclass(frozen=True)
class Conditioning(Reweighting):
    """Asks for outputs rated at least `rating`, or as high as the budget of KL allows at each node (None).

    A rating above all that were seen is refused unless `beyond` allows it: nobody knows what is up there. Where no
    output reaches the rating, or too few do for the budget, the best that the budget allows are asked for.
    """

    rating: float | None = None
    beyond: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rating is not None and not 0 <= self.rating <= 1:
            raise InputError(f"the rating asked for is a mean acceptance in [0, 1], got {self.rating}")

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        """Return the anchor conditioned; see `Optimiser`. Raises InputError for a rating beyond those seen."""
        check(seen, kl_budget)
        if self.rating is not None and not self.beyond:
            rated = scores(for_improving(score), [each.group for each in seen if each.outputs])
            highest = max((float(got.max()) for got in rated), default=-inf)
            if self.rating > highest:
                raise InputError(
                    f"a rating of {self.rating:g} was never seen, the highest was {highest:.3f}: ask for less, "
                    "or set beyond = true"
                )
        return super().improve(sampler, anchor, seen, score, kl_budget, seed, workspace)

    def rule(self, kl_budget: float) -> "RatedAtLeast":
        """Return the rule that conditions within the budget."""
        return RatedAtLeast(1.0 if self.rating is None else self.rating, kl_budget)


@dataclass(frozen=True)
class RatedAtLeast:
    """Conditions on a score of at least `rating`, or of the highest one whose probability is exp(-most) or more."""

    rating: float
    most: float = inf

    @property
    def name(self) -> str:
        return f"rated {self.rating!r} {self.most!r}"

    def __call__(self, base: Finite, scores: np.ndarray, texts: Sequence[str]) -> Finite:
        levels = Levels.of(base, scores)
        affordable = np.flatnonzero(-levels.log_from <= self.most + 1e-12)
        wanted = np.flatnonzero(np.unique(scores) >= self.rating)
        lowest = min(affordable.max(), wanted.min() if wanted.size else inf)
        return conditional(base, (levels.level >= lowest).astype(np.float64))


def conditional(base: Finite, likelihood: np.ndarray) -> Finite:
    """Return p(x given event), proportional to base times p(event given x), `likelihood` [k] in [0, 1].

    Raises InputError where the event is impossible.
    """
    likelihood = finite(base, likelihood)
    if ((likelihood < 0) | (likelihood > 1)).any():
        raise InputError("a likelihood lies in [0, 1]")
    if not likelihood[base.possible].any():
        raise InputError("an event that no outcome can bring about cannot be conditioned on")
    with np.errstate(divide="ignore"):
        return Finite.weighted(base.log_probs + np.log(likelihood))


def evidence(base: Finite, likelihood: np.ndarray) -> float:
    """Return log p(event), in nats."""
    with np.errstate(divide="ignore"):
        return float(logsumexp(base.log_probs + np.log(finite(base, likelihood))))


def bins(base: Finite, scores: np.ndarray, count: int) -> np.ndarray:
    """Return the rating bin of each outcome, int64 [k], 0 the lowest: quantiles of the score under the base.

    Equal scores share a bin, that of the middle of their probability, so that some bins may stay empty.
    Raises InputError unless there is at least one bin.
    """
    if count < 1:
        raise InputError(f"ratings are cut into one bin or more, got {count}")
    levels = Levels.of(base, scores)
    middle = (np.exp(levels.log_below) + np.exp(levels.log_upto)) / 2
    return np.asarray(np.minimum((middle * count).astype(np.int64), count - 1)[levels.level])
