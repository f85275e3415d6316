"""Reward models of one's own in a few lines: weights, and what they say of an output."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import expit

from rrm.core.errors import PluginError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import Group, Prediction, Rated
from rrm.feedback.table import tabulate
from rrm.reward.model import SEEN_BY_ALL, preferred
from rrm.reward.wrap import checked, read_facts, saved, shared


class PlainLearner(ABC):
    """Learns one array of weights; implements `rrm.core.protocols.RewardLearner`.

    A subclass has a `name` that covers every setting, and says how weights are `learned` and what they give
    `rewards`. Its models saw every source that they were fitted on, are as calibrated as its rewards are, and
    have one member: wrap them in `CrossFitted`, `Calibrated` and `Dispersed`.
    """

    name: str

    @abstractmethod
    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        """Return weights, in any shape, learned from ratings; there is at least one."""

    @abstractmethod
    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        """Return the reward of each of a group's outputs, in logits, [k]."""

    def drawn_rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        """Return what each of several weights [draws, ...] gives, [draws, k]; a subclass may be quicker."""
        return np.array([self.rewards(each, group) for each in weights], dtype=np.float64)

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Return a model of the ratings; without any, the model below."""
        rows = for_fitting(ratings).rows
        if not rows:
            return shared(start.below, place)
        weights = np.asarray(self.learned(rows, seed), dtype=np.float64)
        if not np.isfinite(weights).all():
            raise PluginError(f"the weights that {self.name} learned are not finite")
        return PlainModel(self, weights, tuple(sorted({row.request.source for row in rows})), tabulate(rows).anchors)

    def load(self, folder: Path) -> "PlainModel":
        facts = read_facts(folder, ("weights", "shape", "seen", "anchored"))
        weights = np.array(facts["weights"], dtype=np.float64).reshape(facts["shape"])
        return checked(PlainModel(self, weights, tuple(facts["seen"]), facts["anchored"]), folder, facts)


@dataclass(frozen=True, eq=False)
class PlainModel:
    """Weights with the learner that can read them; implements `rrm.core.protocols.RewardModel`."""

    learner: PlainLearner = field(repr=False)
    weights: np.ndarray = field(repr=False)
    seen: tuple[str, ...] = field(repr=False)
    anchored: bool = False

    @property
    def digest(self) -> str:
        return content_id("plain", self.learner.name, self.weights.tolist(), self.seen, self.anchored)

    def fold(self, source: str) -> int | None:
        return SEEN_BY_ALL if source in self.seen else None

    def holds_out(self, source: str) -> bool:
        return source not in self.seen

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the weights say; raise PluginError for rewards that are not one finite number an output."""
        return [self._said(group) for group in groups]

    def _said(self, group: Group) -> Prediction:
        rewards = np.asarray(self.learner.rewards(self.weights, group), dtype=np.float64)
        if rewards.shape != (len(group.outputs),):
            wanted = f"one reward for each of {len(group.outputs)} outputs"
            raise PluginError(f"{self.learner.name} must return {wanted}, got an array of shape {rewards.shape}")
        if not np.isfinite(rewards).all():
            raise PluginError(f"{self.learner.name} returned rewards that are not finite")
        one = rewards[None, :]
        return Prediction.overall(one, expit(one) if self.anchored else preferred(one, np.zeros_like(one), 0.0))

    def save(self, folder: Path) -> str:
        facts = {"weights": self.weights.ravel().tolist(), "shape": list(self.weights.shape)}
        return saved(folder, self.digest, {**facts, "seen": list(self.seen), "anchored": self.anchored})
