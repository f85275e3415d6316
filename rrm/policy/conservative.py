"""Scores that an ensemble agrees on: what single members over-score is not worth going to.

Coste et al. (2023), Reward model ensembles help mitigate overoptimization, arXiv:2310.02743: worst-case (the least of
the members) and uncertainty-weighted (mean less lambda times the variance between members).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import logit

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import Improved, Optimiser, Policy, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.values import Group, Prediction

How = Literal["worst", "uncertain"]

_EDGE = 1e-6  # probabilities are kept this far from 0 and 1 where their logits are taken


@dataclass(frozen=True)
class Conservative:
    """Improves by another optimiser, against what an ensemble's members agree on.

    `how` is "worst", the least acceptance of the members, or "uncertain", the mean less `weight` times the variance
    between them.
    """

    optimiser: Optimiser
    how: How = "worst"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.how not in JOINS or not 0 <= self.weight < float("inf"):
            raise InputError(
                f"`how` is one of {', '.join(JOINS)} and the weight 0 or more, got {self.how!r}, {self.weight}"
            )

    @property
    def name(self) -> str:
        return content_id("conservative", self.optimiser.name, self.how, self.weight)

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
        """Return what the other optimiser makes of the cautious scores; see `Optimiser`."""
        return self.optimiser.improve(sampler, anchor, seen, self._cautious(score), kl_budget, seed, workspace)

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return what the other optimiser saved in a folder; see `Optimiser`."""
        return self.optimiser.load(folder, anchor, self._cautious(score))

    def _cautious(self, score: Scorer[Train]) -> "Cautious":
        return Cautious(for_improving(score), self.how, self.weight)


@dataclass(frozen=True)
class Cautious:
    """A scorer of one member: what the members of another agree on; implements `rrm.core.roles.Scorer`."""

    scorer: Scorer[Train]
    how: How
    weight: float

    @property
    def name(self) -> str:
        return content_id("cautious", self.scorer.name, self.how, self.weight)

    @property
    def role(self) -> type[Train]:
        return self.scorer.role

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return each group's joined acceptances, [1, k], by criterion."""
        return [self._joined(found) for found in self.scorer.score(groups)]

    def _joined(self, found: Prediction) -> Prediction:
        accepted = {each: JOINS[self.how](p, self.weight)[None] for each, p in found.acceptance.items()}
        rewards = {each: logit(np.clip(p, _EDGE, 1 - _EDGE)) for each, p in accepted.items()}
        return Prediction(rewards, accepted)


def worst(acceptance: np.ndarray, weight: float = 1.0) -> np.ndarray:
    """Return the least over members: [members, k] to [k]."""
    return np.asarray(acceptance.min(axis=0))


def uncertain(acceptance: np.ndarray, weight: float = 1.0) -> np.ndarray:
    """Return the mean over members less `weight` times their variance, at least 0: [members, k] to [k].

    At weight 0 it is the mean.
    """
    return np.asarray(np.maximum(acceptance.mean(axis=0) - weight * acceptance.var(axis=0), 0.0))


JOINS: Mapping[How, Callable[[np.ndarray, float], np.ndarray]] = {"worst": worst, "uncertain": uncertain}
"""How members' acceptances are joined."""
