"""A head a criterion: which ratings each is fitted to, and where it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import (
    OVERALL,
    Comparison,
    Feedback,
    Group,
    Passage,
    Prediction,
    Rated,
    Rating,
    Request,
    Shown,
    View,
)
from rrm.evaluate.held_out import held_out
from rrm.reward.criteria import ByCriterion, CriteriaModel
from rrm.reward.features import FeatureReader
from rrm.reward.frozen import Frozen
from tests.reward.reward_problems import WordEncoder, rate, rate_length

VIEW = View("Summarise.", (Passage("A source."),), 20)


def rated(text: str, criterion: str, value: int, level: int = 0) -> Rated:
    request = Request("n", "s", Place(level=level), "rating", VIEW, (Shown(text, text),), criterion=criterion)
    return Rated(request, Feedback(request.id, "ann", Rating(value, 7), criterion=criterion))


@dataclass
class Noted:
    """A learner that notes what it was given, and whose models are the names of its fits."""

    name: str = "noted"
    fits: list[tuple[list[int], Any]] = field(default_factory=list)

    def fit(self, ratings: Ratings[Train], start: Start, place: Place, seed: int, workspace: Workspace) -> Any:
        values = [row.feedback.answer.value for row in ratings.rows]  # type: ignore[union-attr]
        self.fits.append((values, start.below))
        return f"model {len(self.fits)}"

    def load(self, folder: Path) -> Any: ...


def test_other_criteria_begin_at_the_overall_head_of_their_own_level(tmp_path: Path) -> None:
    learner = Noted()
    rows = (rated("a", "overall", 5), rated("a", "accuracy", 2), rated("b", "overall", 6), rated("a", "coverage", 7))
    by = ByCriterion(learner)  # type: ignore[arg-type]
    model = by.fit(Ratings(Train, rows), Start(), Place(), 0, Workspace(tmp_path))
    assert learner.fits == [([5, 6], None), ([2], "model 1"), ([7], "model 1")]
    assert isinstance(model, CriteriaModel) and list(model.models) == ["overall", "accuracy", "coverage"]
    above = (rated("c", "overall", 1, 1), rated("c", "accuracy", 4, 1), rated("c", "coherence", 3, 1))
    learner.fits.clear()
    by.fit(Ratings(Train, above), Start(model), Place(level=1), 0, Workspace(tmp_path))
    assert learner.fits == [
        ([1], "model 1"),  # the level below, by the same criterion
        ([4], "model 2"),
        ([3], "model 1"),  # a new criterion: the overall head here, which was just fitted
        ([], "model 3"),
    ]


def said_by(criterion: str, rows: list[Rated]) -> tuple[Rated, ...]:
    return tuple(replace(row, feedback=replace(row.feedback, criterion=criterion)) for row in rows)


class Words(Frozen):
    """Heads on an encoder that needs no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["reader"] = FeatureReader(WordEncoder())


def accuracy(model: RewardModel, criterion: str, rows: list[Rated]) -> float:
    """Share of comparisons that a criterion's head, or the overall one, orders as raters did."""
    predictions = model.predict([row.request.group for row in rows])
    right = [
        (found.rewards[criterion].mean(axis=0).argmax() == row.feedback.answer.better)  # type: ignore[union-attr]
        for found, row in zip(predictions, rows, strict=True)
    ]
    return float(np.mean(right))


def fitted(rows: tuple[Rated, ...], folder: Path) -> RewardModel:
    return ByCriterion(Words()).fit(Ratings(Train, rows), Start(), Place(), 0, Workspace(folder))


@pytest.mark.slow
def test_a_criterion_that_says_otherwise_leaves_the_overall_head(tmp_path: Path) -> None:
    """Length is judged by its own ratings, where they are many, though the overall head knows nothing of it."""
    overall, own = rate(8, 20, seed=0), rate_length(8, 20, seed=1)
    fresh = rate_length(30, 10, seed=2)
    both = fitted((*said_by("overall", overall), *said_by("length", own)), tmp_path)
    alone = Words().fit(Ratings(Train, tuple(own)), Start(), Place(), 0, Workspace(tmp_path))
    assert accuracy(both, "length", fresh) > accuracy(both, "overall", fresh) + 0.04
    assert accuracy(both, "length", fresh) > accuracy(alone, "overall", fresh) - 0.04


@dataclass(frozen=True)
class Prefers:
    """A model that gives the first of two outputs a reward of its own, and the other none; only what is asked of it."""

    first: float

    def holds_out(self, source: str) -> bool:
        return True

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        said = np.array([[self.first, 0.0]])
        return [Prediction({OVERALL: said}, {OVERALL: expit(said)}) for _ in groups]


def test_answers_held_out_are_predicted_by_the_head_of_their_criterion() -> None:
    model = CriteriaModel({OVERALL: Prefers(2.0), "length": Prefers(-2.0)})  # type: ignore[dict-item]
    row = next(each for each in rate_length(1, 1, seed=0) if isinstance(each.feedback.answer, Comparison))
    rows = [row, *said_by("length", [row]), *said_by("unknown", [row])]
    assert [round(each.probability, 4) for each in held_out(rows, model)] == [0.8808, 0.1192, 0.8808]
