"""Ensembles of models that are trained apart: each learns from its own seed, and no weight is common to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import Group, Prediction
from rrm.reward.wrap import checked, of_kind, read_facts, saved, share_of, shared, together


@dataclass(frozen=True, eq=False)
class ApartModel:
    """Models of the same ratings, whose members are all of theirs; implements `rrm.core.protocols.RewardModel`."""

    models: tuple[RewardModel, ...] = field(repr=False)

    @property
    def anchored(self) -> bool:
        return all(model.anchored for model in self.models)

    @property
    def digest(self) -> str:
        return content_id("apart", [model.digest for model in self.models])

    def fold(self, source: str) -> int | None:
        return self.models[0].fold(source)

    def holds_out(self, source: str) -> bool:
        return all(model.holds_out(source) for model in self.models)

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the members of all models say of each group, in the models' order."""
        return [together(said) for said in zip(*(model.predict(groups) for model in self.models), strict=True)]

    def save(self, folder: Path) -> str:
        for at, model in enumerate(self.models):
            model.save(folder / _folder(at))
        return saved(folder, self.digest, {"models": len(self.models)})


@dataclass(frozen=True)
class Apart:
    """Fits a learner's model `count` times, from seeds of its own; implements `rrm.core.protocols.RewardLearner`.

    Each starts from its own of the level below and of the round before, so that they stay apart. Fine-tuned models that
    differ in all that training draws disagree more where ratings say little than heads on one trunk do (Coste et al.,
    2023, arXiv:2310.02743), and take as many trainings and readings as there are.
    """

    learner: RewardLearner
    count: int

    @property
    def name(self) -> str:
        return f"apart({self.learner.name}, {self.count})"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        if not ratings.rows:
            return shared(start.below, place)
        below, before = of_kind(ApartModel, start.below), of_kind(ApartModel, start.before)
        models = []
        for at in range(self.count):
            begin = replace(start, below=below and below.models[at], before=before and before.models[at])
            progress = share_of(workspace.progress, at, self.count)
            inside = replace(workspace, folder=workspace.folder / _folder(at), progress=progress)
            models.append(self.learner.fit(ratings, begin, place, seed_for("member", seed, at), inside))
        return ApartModel(tuple(models))

    def load(self, folder: Path) -> ApartModel:
        facts = read_facts(folder, ("models",))
        return checked(
            ApartModel(tuple(self.learner.load(folder / _folder(at)) for at in range(facts["models"]))), folder, facts
        )


def _folder(at: int) -> str:
    return f"member-{at}"
