"""Intervals for any learner: as wide as held-out ratings show that outputs differ from what its model says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import OVERALL, Group, Prediction
from rrm.reward.calibrate import IDENTITY, mean_probability
from rrm.reward.disperse import LEAVES, Dispersion, disperse, effects, spread, upward
from rrm.reward.held import acceptance_logits, held_logits
from rrm.reward.model import LevelModel, preferred
from rrm.reward.wrap import (
    INNER,
    by_fold,
    by_others,
    check_learner,
    checked,
    entry,
    fold_of,
    inside,
    of_kind,
    read_facts,
    saved,
    shared,
    unwrapped,
)


@dataclass(frozen=True, eq=False)
class DispersedModel:
    """A level's model whose members differ as outputs do that its features cannot tell apart.

    Implements `rrm.core.protocols.RewardModel`. The mean over the members stays what it was. By fold: the
    dispersion of a source's fold was fitted without it; None is that for new sources. The inner model's
    members are repeated until there are at least `members`.
    """

    inner: RewardModel = field(repr=False)
    dispersions: Mapping[int | None, Dispersion]
    members: int
    level: int

    @property
    def anchored(self) -> bool:
        return self.inner.anchored

    @property
    def digest(self) -> str:
        return content_id("dispersed", self.inner.digest, by_fold(self.dispersions), self.members, self.level)

    def at(self, level: int) -> "DispersedModel":
        """Return the model as it serves at another level, which has no ratings."""
        found = {fold: upward(each, level - self.level) for fold, each in self.dispersions.items()}
        return replace(self, dispersions=found, level=level)

    def fold(self, source: str) -> int | None:
        return self.inner.fold(source)

    def holds_out(self, source: str) -> bool:
        return self.inner.holds_out(source)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return the inner model's predictions, their acceptance spread over the members."""
        return [self._dispersed(*each) for each in zip(groups, self.inner.predict(groups), strict=True)]

    def _dispersed(self, group: Group, said: Prediction) -> Prediction:
        own = said.rewards[OVERALL].shape[0]
        times = -(-self.members // own)
        rewards = np.tile(said.rewards[OVERALL], (times, 1))
        dispersion = entry(self, group.source, self.dispersions)
        noise = effects(group.view.id, group.outputs, len(rewards))
        if not self.anchored:
            accepted = preferred(rewards, np.sqrt(dispersion.output) * noise, 2 * dispersion.output)
            return Prediction.overall(rewards, accepted)
        logits = np.tile(acceptance_logits(said), (times, 1))
        return Prediction.overall(rewards, spread(logits, np.sqrt(dispersion.total) * noise, dispersion.total))

    def save(self, folder: Path) -> str:
        self.inner.save(folder / INNER)
        facts = {"dispersions": by_fold(self.dispersions), "members": self.members, "level": self.level}
        return saved(folder, self.digest, facts)


def undispersed(model: RewardModel) -> RewardModel:
    """Return a model without its own dispersion: its members differ by what they were fitted to alone."""
    if isinstance(model, DispersedModel):
        return undispersed(model.inner)
    if isinstance(model, LevelModel):
        return replace(model, dispersion=np.zeros_like(model.dispersion))
    return model


@plain_arguments
@dataclass(frozen=True)
class Dispersed:
    """Widens intervals by how far outputs lie from what a learner's model says of them (see `rrm.reward.disperse`).

    For the sources of a fold that is told from the other folds' ratings. Works best on calibrated models, and on
    models that hold something out: what held-out ratings do not show is taken from the usual.
    """

    learner: RewardLearner
    members: int = 24

    def __post_init__(self) -> None:
        check_learner(self.learner, "Dispersed")
        if self.members < 2:
            raise ConfigError(f"Dispersed needs 2 members or more, got {self.members}")

    @property
    def name(self) -> str:
        return f"dispersed({self.learner.name}, members={self.members})"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        lower = of_kind(DispersedModel, start.below)
        if not ratings.rows:
            return shared(lower, place).at(place.level)
        inner = self.learner.fit(ratings, unwrapped(DispersedModel, start), place, seed, inside(workspace))
        known: Mapping[int | None, Dispersion] = lower.dispersions if lower else {None: LEAVES}
        found: dict[int | None, Dispersion] = {}
        for fold, rows in by_others(held_logits(inner, ratings.rows), known):
            told, probability = mean_probability(rows, np.ones(rows.logits.shape, dtype=bool), IDENTITY)
            prior = upward(known.get(fold, known[None]), place.level - (lower.level if lower else 0))
            found[fold] = disperse(rows.where(told), probability, prior)
        return DispersedModel(inner, found, self.members, place.level)

    def load(self, folder: Path) -> DispersedModel:
        facts = read_facts(folder, ("dispersions", "members", "level"))
        found = {fold_of(fold): Dispersion(**numbers) for fold, numbers in facts["dispersions"].items()}
        model = DispersedModel(self.learner.load(folder / INNER), found, facts["members"], facts["level"])
        return checked(model, folder, facts)
