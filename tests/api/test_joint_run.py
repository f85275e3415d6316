"""Fine-tuned models at every level of a run: the whole path on a model of random weights."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import rrm
from rrm.api import front
from rrm.api.front import demo_file
from rrm.api.runfile import RunFile
from rrm.cli.main import app
from rrm.core.errors import ConfigError
from rrm.reward.dispersed import DispersedModel
from rrm.reward.model import LevelModel
from rrm.reward.summed import SummedModel


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
