"""Fine-tuned models at every level of a run: the whole path on a model of random weights."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import rrm
from rrm.api import front
from rrm.api.front import demo_file
from rrm.api.runfile import Part, RewardPart, RunFile
from rrm.cli.main import app
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked, Belief
from rrm.core.errors import ConfigError, InputError, PluginError
from rrm.reward.dispersed import DispersedModel
from rrm.reward.joint import Joint
from rrm.reward.model import LevelModel
from rrm.reward.summed import SummedModel
from rrm.store.record import open_store
from tests.reward.wrapper_problems import SharedWords


def small(rounds: int = 1, trunk: str = "own", reward: str = "joint") -> RunFile:
    run = demo_file(0, reward, "tiny")
    arguments = {**run.reward.arguments, "members": 4, "epochs": 1, "trunk": trunk}
    return replace(
        run,
        rounds=rounds, select=None, improve=None, flat=False,
        train=replace(run.train, arguments={**run.train.arguments, "count": 4, "words": 500}, trees=1),
        target=replace(run.target, arguments={**run.target.arguments, "words": 500}, trees=1),
        reward=replace(run.reward, arguments=arguments, dtype="float32"),
    )  # fmt: skip


def test_every_level_has_a_fine_tuned_model_of_its_own_that_held_its_sources_out(tmp_path: Path) -> None:
    report = rrm.run(small(), tmp_path, quiet=True)
    assert [level.level for level in report.levels] == [0, 1, 2]
    assert all(level.n_train > 0 and level.accuracy is not None for level in report.levels)
    loaded = rrm.load(tmp_path)
    assert loaded.scores["mean"].between(0, 1).all()
    models = [loaded.model(rrm.Place(level=level)).reward_model for level in range(3)]
    assert len({model.digest for model in models}) == 3
    sources = {node.source for node in loaded.nodes.itertuples() if node.role == "train"}
    assert sources and all(model.holds_out(source) for model in models for source in sources)
    assert {models[0].fold(source) for source in sources} == {0, 1}
    assert all(models[level].fold(source) == models[0].fold(source) for level in (1, 2) for source in sources)
    assert 0 < loaded.score("Anna went to the mill.").own.mean < 1
    assert not (tmp_path / "work").exists()  # what fits could have gone on from


@pytest.mark.slow
def test_levels_that_share_a_trunk_hold_the_same_sources_out_in_both_rounds(tmp_path: Path) -> None:
    report = rrm.run(small(rounds=2, trunk="shared"), tmp_path, quiet=True)
    loaded = rrm.load(tmp_path)
    sources = {node.source for node in loaded.nodes.itertuples() if node.role == "train"}
    folds = []
    for number in (0, 1):
        for level in range(3):
            model = loaded.model(rrm.Place(number, level=level)).reward_model
            folds.append({source: model.fold(source) for source in sources})
    assert len(report.rounds) == 2 and set(folds[0].values()) == {0, 1}
    assert all(each == folds[0] for each in folds)


def test_every_level_has_a_sum_of_frozen_heads_and_a_fine_tuned_model(tmp_path: Path) -> None:
    report = rrm.run(small(reward="blend"), tmp_path, quiet=True)
    assert all(level.n_train > 0 and level.accuracy is not None for level in report.levels)
    loaded = rrm.load(tmp_path)
    assert loaded.scores["mean"].between(0, 1).all()
    sources = {node.source for node in loaded.nodes.itertuples() if node.role == "train"}
    for level in range(3):
        sum_ = loaded.model(rrm.Place(level=level)).reward_model.inner.inner
        assert isinstance(sum_, SummedModel) and all(sum_.holds_out(source) for source in sources)
        frozen, joint = sum_.parts
        assert isinstance(frozen, LevelModel) and isinstance(joint, DispersedModel)
        assert np.isfinite(sum_.terms[None].weights).all()
    assert 0 < loaded.score("Anna went to the mill.").own.mean < 1


def asking(reward: str = "joint") -> RunFile:
    run = small(rounds=2, reward=reward)
    assert run.rater is not None
    part, mean = Part("rrm.ask:Value", {"waves": 2}), Part("rrm.compose.composers:Mean")
    return replace(run, rater=replace(run.rater, sampler=part, budget={"minutes": 40.0}), compose=mean)


def test_a_run_asks_by_what_fine_tuned_models_leave_open_and_killed_in_a_wave_goes_on_with_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe, calls = Joint.believe, list[int]()

    def killed(self: Joint, *of: Any) -> Belief:
        calls.append(1)
        if len(calls) == 2:  # when the second wave is chosen, the first one is on record
            raise InputError("no more today")
        return believe(self, *of)

    monkeypatch.setattr(Joint, "believe", killed)
    with pytest.raises(InputError, match="no more today"):
        rrm.run(asking(), tmp_path / "killed", quiet=True)
    with open_store(tmp_path / "killed", "read") as store:
        first = store.load(Asked)
    assert first and {each.stream for each in first} == {BY_VALUE, AT_RANDOM}
    resumed = rrm.run(asking(), tmp_path / "killed", quiet=True).asking
    later = len(calls) - 2
    whole = rrm.run(asking(), tmp_path / "whole", quiet=True).asking
    assert later == len(calls) - 2 - later - 1  # what was chosen is not chosen again
    assert resumed is not None and whole is not None and resumed.by_value == whole.by_value > 0
    for one, other in zip(resumed.waves, whole.waves, strict=True):
        assert (one.minutes, one.gold) == (other.minutes, other.gold)
        assert (one.expected, one.gain, one.hour) == pytest.approx((other.expected, other.gain, other.hour), abs=1e-6)
    chosen = []
    for folder in ("killed", "whole"):
        with open_store(tmp_path / folder, "read") as store:
            chosen.append(store.load(Asked))
    assert [each.request for each in chosen[0]] == [each.request for each in chosen[1]]
    assert chosen[0][: len(first)] == first


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        (Part("rrm.reward.tuned:Tuned", {"backbone": "tiny"}), r"which rrm.reward.tuned:Tuned does not say"),
        (Part("rrm.reward.claimwise:Claimwise"), "which rrm.reward.claimwise:Claimwise does not say"),
        (Part("rrm.reward.frozen:Frozen", {"separate": True}), "fitted apart, .*: leave out `separate`, or leave the"),
        (
            Part("rrm.reward.blend:Blend", {"learners": [SharedWords(), SharedWords(2.0)]}),
            "none of its learners has a last layer on a trunk: make rrm.reward.frozen:Frozen one of them, or leave",
        ),
    ],
)
def test_who_leaves_nothing_to_ask_for_is_refused_before_anybody_is_asked(
    tmp_path: Path, reward: Part, told: str
) -> None:
    run = asking()
    with pytest.raises((ConfigError, PluginError), match=told):
        rrm.run(replace(run, reward=RewardPart(reward.plugin, reward.arguments)), tmp_path, quiet=True)
    assert not (tmp_path / "report.json").exists()


def test_another_way_to_judge_is_refused() -> None:
    with pytest.raises(ConfigError, match="--reward is frozen, joint, blend, got 'both'"):
        demo_file(0, "both")


def test_a_demo_of_few_books_learns_from_so_many_and_of_too_few_is_refused() -> None:
    run = demo_file(3, "joint", "tiny", books=5)
    assert run.train is not None and run.train.arguments["count"] == 5
    with pytest.raises(ConfigError, match="--books must be 4 or more, got 3"):
        demo_file(3, books=3)


def test_a_demo_with_fine_tuned_models_is_smaller_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[RunFile] = []

    def refusing(run: RunFile, directory: Path, again: str) -> None:
        ran.append(run)
        raise ConfigError(again)

    monkeypatch.setattr(front, "run", refusing)
    for reward, told in (("frozen", ""), ("joint", "4 books of 1,000 words"), ("blend", "4 books of 1,000 words")):
        chosen = [] if reward == "frozen" else ["--reward", reward, "--backbone", "tiny"]
        said = CliRunner().invoke(app, ["demo", *chosen, "--out", "d"])
        assert isinstance(said.exception, ConfigError)
        assert str(said.exception) == " ".join(["rrm demo --seed 0", *chosen, "--out d"])
        assert told in said.stderr and ("smaller" in said.stderr) == (reward != "frozen")
    sizes = [(run.train.arguments["count"], run.train.arguments["words"], run.train.trees) for run in ran if run.train]
    assert sizes == [(10, 2000, 2), (4, 1000, 1), (4, 1000, 1)]
    targets = [(run.target.arguments["words"], run.target.trees) for run in ran if run.target]
    assert targets == [(2000, 4), (1000, 1), (1000, 1)]


@pytest.mark.slow
def test_the_demo_can_be_tried_with_fine_tuned_models(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rrm", "demo", "--reward", "joint", "--backbone", "tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(rrm.load(tmp_path).report.rounds) == 2
