"""A reward model of one's own that goes wrong, in a whole run: one sentence that names it, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.core.errors import InputError, RrmError
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Workspace
from rrm.core.roles import R, Ratings
from rrm.core.values import Group, Prediction, Rated
from rrm.reward.calibrated import Calibrated
from rrm.reward.dispersed import Dispersed
from rrm.reward.plain import PlainLearner
from tests.scenarios import SMALL


class Lengths(PlainLearner):
    """Rewards length, or says what a test has it say."""

    def __init__(self, name: str) -> None:
        self.name = name

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        if self.name == "unlearned":
            return np.array([np.nan])
        if self.name == "broken" and any(row.request.place.level for row in rated):
            raise ZeroDivisionError("no lengths at this level")
        if self.name == "refused" and any(row.request.place.level for row in rated):
            raise InputError("there are no lengths here")
        return np.array([0.01])

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        lengths = np.array([len(text) for text in group.outputs]) * weights[0]
        if self.name == "not-a-number":
            return lengths * np.nan
        return {"one": lengths[:1].mean(), "table": lengths[:, None]}.get(self.name, lengths)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Whole:
    """A model of one's own from scratch that says whatever it is given to say."""

    says: Any
    anchored: bool = True
    digest: str = "whole"

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        return self.says(groups)  # type: ignore[no-any-return]

    def fold(self, source: str) -> int | None:
        return None

    def holds_out(self, source: str) -> bool:
        return True

    def save(self, folder: Path) -> str:
        folder.mkdir(parents=True)
        return self.digest


class Scratch:
    """A learner of one's own from scratch."""

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model = name, model

    def fit(
        self, ratings: Ratings[R], below: RewardModel | None, place: Place, seed: int, workspace: Workspace
    ) -> RewardModel:
        return self.model  # type: ignore[no-any-return]

    def load(self, folder: Path) -> RewardModel:
        return self.model  # type: ignore[no-any-return]


def constant(acceptance: float, k: int | None = None) -> Any:
    """What scores every output of a group, or k of them, alike."""

    def predict(groups: Sequence[Group]) -> list[Prediction]:
        shapes = [(1, k or len(group.outputs)) for group in groups]
        return [Prediction.overall(np.zeros(shape), np.full(shape, acceptance)) for shape in shapes]

    return predict


def failing(groups: Sequence[Group]) -> list[Prediction]:
    raise KeyError("river")


def texts(groups: Sequence[Group]) -> list[str]:
    return ["good"] * len(groups)


WRONG: dict[str, tuple[Any, str]] = {
    "weights that are not finite": (Lengths("unlearned"), "weights that unlearned learned are not finite"),
    "NaN": (Lengths("not-a-number"), "not-a-number returned rewards that are not finite"),
    "one reward for all": (Lengths("one"), r"one must return one reward for each of \d outputs, got .* shape \(\)"),
    "a table": (Lengths("table"), r"table must return one reward for each of \d outputs, got .* shape \(\d, 1\)"),
    "raises at the second level": (
        Lengths("broken"),
        "Lengths failed at .*level 1: ZeroDivisionError: no lengths at this level",
    ),
    "refuses at the second level": (
        Lengths("refused"),
        r"^\[reward\] Lengths failed at round 1, level 1: there are no lengths here$",
    ),
    "wrapped twice": (
        Dispersed(Calibrated(Lengths("refused"))),
        r"^\[reward\] Dispersed failed at round 1, level 1: there are no lengths here$",
    ),
    "no model": (Scratch("nothing", None), r"\[reward\] Scratch must return a reward model, got NoneType"),
    "out of [0, 1]": (Scratch("sure", Whole(constant(1.5))), r"Scratch fitted cannot be used: .* must lie in \[0, 1\]"),
    "NaN from scratch": (
        Scratch("nan", Whole(constant(float("nan")))),
        "fitted cannot be used: .* must be finite",
    ),
    "too many scores": (Scratch("many", Whole(constant(0.5, 7))), r"Scratch fitted scores 7 outputs of \d"),
    "raises while it scores": (Scratch("failing", Whole(failing)), "Scratch fitted cannot be used: KeyError: 'river'"),
    "no list": (Scratch("none", Whole(lambda groups: None)), "Scratch fitted must return a list of Predictions"),
    "too few predictions": (
        Scratch("few", Whole(lambda groups: [])),
        "fitted returned 0 predictions for 1 groups",
    ),
    "no predictions": (
        Scratch("texts", Whole(texts)),
        "Scratch fitted must return a list of Predictions",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_learner_that_goes_wrong_stops_the_run_with_one_sentence_that_names_it(wrong: str, tmp_path: Path) -> None:
    learner, sentence = WRONG[wrong]
    table = {**SMALL, "flat": False, "reward": learner}
    with pytest.raises(RrmError, match=sentence) as stopped:
        rrm.run(out=tmp_path / "run", quiet=True, **table)
    assert "\n" not in str(stopped.value)


def test_a_learner_named_in_a_run_file_is_called_as_it_is_there(tmp_path: Path) -> None:
    arguments = {"learner": {"plugin": f"{__name__}:Lengths", "arguments": {"name": "refused"}}}
    table = {**SMALL, "flat": False, "reward": {"plugin": "rrm.reward.calibrated:Calibrated", "arguments": arguments}}
    with pytest.raises(InputError, match=r"^\[reward\] rrm\.reward\.calibrated:Calibrated failed at round"):
        rrm.run(out=tmp_path / "run", quiet=True, **table)


def test_a_learner_that_keeps_the_rules_ends_the_run(tmp_path: Path) -> None:
    table = {**SMALL, "flat": False, "reward": Lengths("lengths")}
    report = rrm.run(out=tmp_path / "run", quiet=True, **table)
    assert report.targets[0].chosen is not None
    assert [level.n_test for level in report.levels] == [0, 0, 0]  # nothing is held out without CrossFitted
    assert {level.own for level in report.levels} == {None}
