"""Cross-fitting for any learner: a source is scored by a model that never saw it.

Wrappers are learners, so they nest: `Dispersed(Calibrated(CrossFitted(Mine())))`, or in a run file

    [reward]
    plugin = "rrm.reward.cross_fit:CrossFitted"
    arguments = { learner = "mine:Mine", folds = 4 }
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import Group, Prediction
from rrm.reward.fit import balanced_folds
from rrm.reward.model import SEEN_BY_ALL
from rrm.reward.wrap import check_learner, checked, of_kind, read_facts, saved, share_of, shared, together

Told = TypeVar("Told")


@dataclass(frozen=True, eq=False)
class CrossFittedModel:
    """A model for each fold, fitted without its sources; implements `rrm.core.protocols.RewardModel`.

    `seen` maps each source that was fitted on to its fold, or to SEEN_BY_ALL where there was one source alone.
    """

    models: tuple[RewardModel, ...] = field(repr=False)
    seen: Mapping[str, int] = field(repr=False)

    @property
    def anchored(self) -> bool:
        return all(model.anchored for model in self.models)

    @property
    def digest(self) -> str:
        return content_id("cross-fitted", [model.digest for model in self.models], dict(self.seen))

    def fold(self, source: str) -> int | None:
        return self.seen.get(source)

    def holds_out(self, source: str) -> bool:
        return self.seen.get(source) != SEEN_BY_ALL

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the model of its source's fold says of each group; of a new source, what all say together."""
        return [together(each) for each in self.each(groups, lambda model, some: model.predict(some))]

    def each(
        self, groups: Sequence[Group], of: Callable[[RewardModel, Sequence[Group]], Sequence[Told]]
    ) -> list[list[Told]]:
        """Return of every group what each model tells that may speak of its source, in one call a model."""
        found: list[list[Told]] = [[] for _ in groups]
        for fold, model in enumerate(self.models):
            places = [at for at, group in enumerate(groups) if self.seen.get(group.source, fold) in (fold, SEEN_BY_ALL)]
            for at, told in zip(places, of(model, [groups[at] for at in places]) if places else [], strict=True):
                found[at].append(told)
        return found

    def save(self, folder: Path) -> str:
        for fold, model in enumerate(self.models):
            model.save(folder / _folder(fold))
        return saved(folder, self.digest, {"folds": len(self.models), "seen": dict(self.seen)})


@plain_arguments
@dataclass(frozen=True)
class CrossFitted:
    """Fits a learner's model once for each fold of the sources, without that fold.

    So a source that was fitted on is scored by the one model that never saw it, and a new source by all of them.
    Folds are those of the level below and of the round before; sources that neither knows are dealt by the seed.
    A fold's model starts from the same fold's, below and before. With a single source nothing can be held out.
    """

    learner: RewardLearner
    folds: int = 4

    def __post_init__(self) -> None:
        check_learner(self.learner, "CrossFitted")
        if self.folds < 2:
            raise ConfigError(f"CrossFitted needs 2 folds or more, got {self.folds}")

    @property
    def name(self) -> str:
        return f"cross-fitted({self.learner.name}, folds={self.folds})"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        rows = for_fitting(ratings).rows
        if not rows:
            return shared(start.below, place)
        below, before = of_kind(CrossFittedModel, start.below), of_kind(CrossFittedModel, start.before)
        sources = {row.request.source for row in rows}
        elsewhere = {row.request.source for row in start.others} - sources
        dealt = balanced_folds(sources, seed, self.folds)
        count = max(dealt.values()) + 1 if below is None else len(below.models)
        dealt |= balanced_folds(elsewhere, seed, count) if elsewhere else {}
        known = {} if below is None else below.seen
        if before is not None and not _agree(before, known, count):
            before = None  # it was fitted to what is held out now
        known = {**(before.seen if before else {}), **known}
        seen = {source: known.get(source, fold % count if count > 1 else SEEN_BY_ALL) for source, fold in dealt.items()}
        models = []
        for fold in range(count):
            kept, others = (
                tuple(row for row in part if seen[row.request.source] != fold) for part in (rows, start.others)
            )
            begin = Start(below and below.models[fold], before and before.models[fold], others)
            progress = share_of(workspace.progress, fold, count)
            inside = replace(workspace, folder=workspace.folder / _folder(fold), progress=progress)
            # all of a level's sources may lie in one fold: its model is the one before, or the one below serves here
            model = begin.before if not kept else None
            models.append(model or self.learner.fit(Ratings(ratings.role, kept), begin, place, seed, inside))
        return CrossFittedModel(tuple(models), dict(sorted({**known, **seen}.items())))

    def load(self, folder: Path) -> CrossFittedModel:
        facts = read_facts(folder, ("folds", "seen"))
        models = tuple(self.learner.load(folder / _folder(fold)) for fold in range(facts["folds"]))
        return checked(CrossFittedModel(models, facts["seen"]), folder, facts)


def _agree(before: CrossFittedModel, known: Mapping[str, int], count: int) -> bool:
    """Say whether a model has as many folds, and held out in each what is held out there now."""
    return len(before.models) == count > 1 and all(known.get(source, at) == at for source, at in before.seen.items())


def _folder(fold: int) -> str:
    return f"fold-{fold}"
