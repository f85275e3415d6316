"""Members that are trained apart: their own weights and starts, kills inside one of them, and bad settings."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rrm.core.errors import ConfigError, InputError
from rrm.core.machine import ReadingLoad
from rrm.core.protocols import RewardModel, Workspace
from rrm.core.values import OVERALL, Group
from rrm.reward import tuned as tuned_room
from rrm.reward.adapted import AdaptedModel
from rrm.reward.apart import Apart, ApartModel
from rrm.reward.joint import Joint
from rrm.reward.joint_model import JointModel
from rrm.reward.train import train
from rrm.reward.tuned import Tuned
from rrm.verify.models import check_learner
from tests.reward.joint_problems import EXACT, judged, save_decoder
from tests.reward.wrapper_problems import SharedWords, fitted

QUICK: dict[str, Any] = {"members": 2, "epochs": 1, "rows_per_update": 24, "save_every": 1, **EXACT}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_decoder(tmp_path_factory.mktemp("decoder")))


def folds_of(model: Any) -> tuple[ApartModel, ...]:
    """Return the ensemble of each fold, inside of what disperses, calibrates and cross-fits them."""
    models: tuple[ApartModel, ...] = model.inner.inner.models
    return models


def rewards(model: RewardModel, groups: Sequence[Group]) -> list[np.ndarray]:
    return [said.rewards[OVERALL] for said in model.predict(groups)]


@pytest.mark.parametrize(("ensemble", "kind"), [("adapters", AdaptedModel), ("trunks", JointModel)])
def test_members_have_no_weight_in_common_and_are_saved_and_opened(
    decoder: str, tmp_path: Path, ensemble: Any, kind: type
) -> None:
    rows, new = judged(8, 1), [row.request.group for row in judged(2, 2)]
    learner = Joint(decoder, ensemble=ensemble, **QUICK)
    model = fitted(learner, rows, Workspace(tmp_path / "work"))
    for fold in folds_of(model):
        assert [type(each) for each in fold.models] == [kind, kind]
        one, other = (_weights(each) for each in fold.models)
        assert one.keys() == other.keys() and not any(np.array_equal(one[name], other[name]) for name in one)
        parts = [rewards(each, new) for each in fold.models]
        assert [len(each) for each in parts[0]] == [1] * len(new)
        np.testing.assert_allclose(np.concatenate([each[0] for each in parts]), rewards(fold, new[:1])[0], atol=1e-6)
    assert rewards(model.inner.inner, new)[0].shape[0] == 4  # type: ignore[attr-defined]
    seen = rows[0].request.group
    assert model.holds_out(seen.source) and rewards(model.inner.inner, [seen])[0].shape[0] == 2  # type: ignore[attr-defined]
    model.save(tmp_path / "saved")
    again = Joint(decoder, ensemble=ensemble, **QUICK).load(tmp_path / "saved")
    assert again.digest == model.digest
    for one_group, other_group in zip(rewards(model, new), rewards(again, new), strict=True):
        np.testing.assert_allclose(one_group, other_group, atol=1e-5)


def _weights(model: Any) -> dict[str, np.ndarray]:
    """Return what a model learned: adapters and heads, or those of all its weights that gradients reach."""
    if isinstance(model, AdaptedModel):
        return {name: each.numpy() for name, each in model.tensors.items()}
    return {name: each.detach().numpy() for name, each in model.net.named_parameters() if each.ndim > 1}


def test_each_member_starts_from_its_own_of_the_level_below(
    decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = Joint(decoder, ensemble="adapters", **QUICK)
    leaf = fitted(learner, judged(8, 1), Workspace(tmp_path / "leaf"))
    begun: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        tuned_room, "train",
        lambda **what: begun.append((*what["folder"].parts[-2:], what["start"].digest)) or train(**what),
    )  # fmt: skip
    fitted(learner, judged(8, 1, length=9), Workspace(tmp_path / "above"), leaf)
    expected = [
        (f"fold-{fold}", f"member-{at}", model.digest)
        for fold, ensemble in enumerate(folds_of(leaf))
        for at, model in enumerate(ensemble.models)
    ]
    assert begun == expected
    assert all(one[2] != other[2] for one, other in combinations(begun, 2))


def test_a_fit_that_was_killed_goes_on_inside_the_member_in_which_it_was(
    decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, told = judged(8, 1), []

    def killing(done: int, total: int) -> None:
        told.append((done, total))
        if done > 0.8 * total:
            raise KeyboardInterrupt

    expected = fitted(Joint(decoder, ensemble="adapters", **QUICK), rows, Workspace(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        fitted(Joint(decoder, ensemble="adapters", **QUICK), rows, Workspace(tmp_path / "killed", killing))
    assert [done / total for done, total in told] == sorted(done / total for done, total in told)
    trained: list[tuple[str, str]] = []
    monkeypatch.setattr(tuned_room, "train", lambda **what: trained.append(what["folder"].parts[-2:]) or train(**what))
    again = fitted(Joint(decoder, ensemble="adapters", **QUICK), rows, Workspace(tmp_path / "killed"))
    assert again.digest == expected.digest and trained == [("fold-1", "member-1")]


def test_it_keeps_the_contract_of_a_learner() -> None:
    check_learner(Apart(SharedWords(), 2))


def test_heads_on_one_trunk_are_the_default_and_machine_time_counts_members_that_are_trained_apart(
    decoder: str,
) -> None:
    load = ReadingLoad(10, 100, 40, 20, 0, ("one two three",) * 12, 36)
    one, apart = (Joint(decoder, ensemble=way, **QUICK).machine_time(load).tokens for way in ("heads", "adapters"))
    assert apart == 2 * one
    assert isinstance(Joint(decoder, **QUICK).tuned, Tuned) and Joint(decoder, **QUICK).trainings == 1
    assert Joint(decoder, ensemble="adapters", **EXACT).trainings == 5
    assert len({Joint(decoder, ensemble=way, **QUICK).name for way in ("heads", "adapters", "trunks")}) == 3


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"ensemble": "trees"}, "ensemble is one of heads, adapters, trunks, got 'trees'"),
        ({"ensemble": "trunks", "members": 1}, "an ensemble of trunks has 2 members or more, got 1"),
        ({"ensemble": "adapters", "members": "2"}, "an ensemble of adapters has 2 members or more, got '2'"),
        ({"ensemble": "trunks", "tune": "lora"}, "an ensemble of trunks needs tune = 'full', got 'lora'"),
        ({"ensemble": "adapters", "tune": "full"}, "an ensemble of adapters needs tune = 'lora', got 'full'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(decoder: str, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Joint(decoder, **settings)


def test_a_start_of_another_ensemble_is_refused(decoder: str, tmp_path: Path) -> None:
    heads = fitted(Joint(decoder, **QUICK), judged(6, 1), Workspace(tmp_path / "heads"))
    with pytest.raises(InputError, match="ApartModel starts from its own kind"):
        fitted(Joint(decoder, ensemble="adapters", **QUICK), judged(6, 1), Workspace(tmp_path / "apart"), heads)
