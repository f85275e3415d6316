"""Several criteria, one model each: any learner made to learn what raters say by each criterion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import OVERALL, Group, Prediction, Rated
from rrm.files import read_json, write_json

FACTS = "criteria.json"


@dataclass(frozen=True, eq=False)
class CriteriaModel:
    """A model for each criterion, the overall one first; implements `rrm.core.protocols.RewardModel`."""

    models: Mapping[str, RewardModel] = field(repr=False)

    @property
    def anchored(self) -> bool:
        return all(model.anchored for model in self.models.values())

    @property
    def digest(self) -> str:
        return content_id("criteria", [[criterion, model.digest] for criterion, model in self.models.items()])

    def fold(self, source: str) -> int | None:
        folds = [model.fold(source) for model in self.models.values()]
        return next((fold for fold in folds if fold is not None), None)

    def holds_out(self, source: str) -> bool:
        return all(model.holds_out(source) for model in self.models.values())

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what each criterion's model says, by criterion."""
        said = {criterion: model.predict(groups) for criterion, model in self.models.items()}
        return [
            Prediction(
                {criterion: found[at].rewards[OVERALL] for criterion, found in said.items()},
                {criterion: found[at].acceptance[OVERALL] for criterion, found in said.items()},
            )
            for at in range(len(groups))
        ]

    def save(self, folder: Path) -> str:
        for criterion, model in self.models.items():
            model.save(folder / _folder(criterion))
        write_json(folder / FACTS, {"criteria": list(self.models)})
        return self.digest


@dataclass(frozen=True)
class ByCriterion:
    """Fits a learner's model once for each criterion that raters used; with one alone, it is that model.

    The criterion `overall` is fitted first. Any other begins with the model of the same criterion at the level below,
    or else with the overall one at its own place, and is drawn to it as strongly as its own ratings say, as levels
    are: what raters say by accuracy is mostly what they say of the whole, and a few ratings tell where it is not.
    """

    learner: RewardLearner

    @property
    def name(self) -> str:
        return self.learner.name

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Fit each criterion's rows, starting from the same criterion's model below, or else the overall one here.

        Where there is no overall rating at the place, from the overall model below.
        """
        found = {row.feedback.criterion for row in ratings.rows}
        lower, earlier = _models(start.below), _models(start.before)
        criteria = sorted(found | set(lower) or {OVERALL}, key=lambda each: (each != OVERALL, each))
        models: dict[str, RewardModel] = {}
        for criterion in criteria:
            centre = lower.get(criterion) or models.get(OVERALL) or lower.get(OVERALL)
            others = _rows(start.others, criterion)
            begin = replace(start, below=centre, before=earlier.get(criterion), others=others)
            inside = replace(workspace, folder=workspace.folder / _folder(criterion))
            models[criterion] = self.learner.fit(
                Ratings(ratings.role, _rows(ratings.rows, criterion)), begin, place, seed, inside
            )
        return models[OVERALL] if list(models) == [OVERALL] else CriteriaModel(models)

    def load(self, folder: Path) -> RewardModel:
        if not (folder / FACTS).is_file():
            return self.learner.load(folder)
        criteria = read_json(folder / FACTS).get("criteria")
        if not isinstance(criteria, list):
            raise InputError(f"{folder / FACTS} names no criteria")
        return CriteriaModel({criterion: self.learner.load(folder / _folder(criterion)) for criterion in criteria})


def overall(model: RewardModel) -> RewardModel:
    """Return the model of the criterion `overall`: of one alone, that."""
    return _models(model)[OVERALL]


def _models(known: RewardModel | None) -> Mapping[str, RewardModel]:
    """Return a model's own by criterion: one alone is the overall one."""
    if isinstance(known, CriteriaModel):
        return known.models
    return {} if known is None else {OVERALL: known}


def _rows(rated: Sequence[Rated], criterion: str) -> tuple[Rated, ...]:
    """Return the rows of a criterion, as if it were the only one."""
    return tuple(
        replace(row, feedback=replace(row.feedback, criterion=OVERALL))
        for row in rated
        if row.feedback.criterion == criterion
    )


def _folder(criterion: str) -> str:
    """Return the name of a criterion's folder, whatever letters the criterion has."""
    return criterion if criterion.isidentifier() else content_id("criterion", criterion)
