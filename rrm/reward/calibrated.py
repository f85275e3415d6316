"""Calibration for any learner: a temperature and an intercept, fitted to what its model says of held-out ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import expit

from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import OVERALL, Group, Prediction
from rrm.reward.calibrate import IDENTITY, Calibration, calibrate
from rrm.reward.held import acceptance_logits, held_logits
from rrm.reward.model import preferred
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
class CalibratedModel:
    """A model whose logits have a temperature and an intercept; implements `rrm.core.protocols.RewardModel`.

    By fold: that of a source's fold was fitted without it; None is that for new sources.
    """

    inner: RewardModel = field(repr=False)
    calibrations: Mapping[int | None, Calibration]

    @property
    def anchored(self) -> bool:
        return self.inner.anchored

    @property
    def digest(self) -> str:
        return content_id("calibrated", self.inner.digest, by_fold(self.calibrations))

    def fold(self, source: str) -> int | None:
        return self.inner.fold(source)

    def holds_out(self, source: str) -> bool:
        return self.inner.holds_out(source)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return the inner model's predictions with calibrated rewards and acceptance."""
        return [self._calibrated(*each) for each in zip(groups, self.inner.predict(groups), strict=True)]

    def _calibrated(self, group: Group, said: Prediction) -> Prediction:
        slope, intercept = entry(self, group.source, self.calibrations)
        rewards = slope * said.rewards[OVERALL]
        if not self.anchored:
            return Prediction.overall(rewards, preferred(rewards, np.zeros_like(rewards), 0.0))
        return Prediction.overall(rewards, expit(slope * acceptance_logits(said) + intercept))

    def save(self, folder: Path) -> str:
        self.inner.save(folder / INNER)
        return saved(folder, self.digest, {"calibrations": by_fold(self.calibrations)})


@dataclass(frozen=True)
class Calibrated:
    """Fits a temperature and an intercept to what a learner's model says of ratings whose sources it holds out.

    For the sources of a fold they are fitted to the other folds' ratings. (The models that predict those were
    fitted on the fold: its ratings reach these two numbers that way and no other.) A model that holds nothing
    out is left as it is.
    """

    learner: RewardLearner

    def __post_init__(self) -> None:
        check_learner(self.learner, "Calibrated")

    @property
    def name(self) -> str:
        return f"calibrated({self.learner.name})"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        if not ratings.rows:
            return shared(start.below, place)
        lower = of_kind(CalibratedModel, start.below)
        inner = self.learner.fit(ratings, unwrapped(CalibratedModel, start), place, seed, inside(workspace))
        held = held_logits(inner, ratings.rows)
        known: Mapping[int | None, Calibration] = lower.calibrations if lower else {None: IDENTITY}
        found: dict[int | None, Calibration] = {}
        for fold, rows in by_others(held, known):
            prior = known.get(fold, known[None])
            found[fold] = calibrate(rows, np.ones(rows.logits.shape, dtype=bool), prior)
        return CalibratedModel(inner, found)

    def load(self, folder: Path) -> CalibratedModel:
        facts = read_facts(folder, ("calibrations",))
        found = {fold_of(fold): Calibration(**numbers) for fold, numbers in facts["calibrations"].items()}
        return checked(CalibratedModel(self.learner.load(folder / INNER), found), folder, facts)
