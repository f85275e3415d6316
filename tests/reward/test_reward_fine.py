"""Fine-tuned models a level: adapters on one trunk, folds that never saw what they score, kills, and bad input."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rrm.backbone.classifier import load_classifier
from rrm.backbone.layout import AVERAGED
from rrm.core.errors import ConfigError, InputError, LimitError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import Final, Ratings, Select, Train
from rrm.core.values import OVERALL, Comparison, Feedback, Prediction, Rated
from rrm.reward import train as training
from rrm.reward import train_config
from rrm.reward import tuned as tuned_room
from rrm.reward.adapted import FACTS, TENSORS, AdaptedModel
from rrm.reward.batches import Table
from rrm.reward.calibrated import CalibratedModel
from rrm.reward.cross_fit import CrossFittedModel
from rrm.reward.disperse import upward
from rrm.reward.dispersed import DispersedModel
from rrm.reward.fit import balanced_folds
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.joint_model import JointModel
from rrm.reward.level_heads import by_head, head_of, put_heads
from rrm.reward.tuned import Tuned
from rrm.verify.models import check_learner
from tests.reward.joint_problems import EXACT, judged, save_decoder, save_encoder, save_masked, save_tokenizer

QUICK: dict[str, Any] = {
    "members": 2, "epochs": 8, "learning_rate": 3e-3, "head_rate": 1.0, "rows_per_update": 24, "save_every": 0, **EXACT,
}  # fmt: skip
ONE = {**QUICK, "epochs": 1, "save_every": 1}


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_decoder(tmp_path_factory.mktemp("decoder"))


def fitted(
    learner: RewardLearner,
    rows: Sequence[Rated],
    folder: Path,
    below: RewardModel | None = None,
    level: int = 0,
    before: RewardModel | None = None,
    others: Sequence[Rated] = (),
) -> RewardModel:
    start = Start(below, before, tuple(others))
    return learner.fit(Ratings(Train, tuple(rows)), start, Place(level=level), 0, Workspace(folder))


def right(model: RewardModel, rows: Sequence[Rated]) -> float:
    found = model.predict([row.request.group for row in rows])
    better = [row.feedback.answer.better for row in rows if isinstance(row.feedback.answer, Comparison)]
    return float(
        np.mean([each.rewards[OVERALL].mean(0).argmax() == at for each, at in zip(found, better, strict=True)])
    )


def same(one: Sequence[Prediction], other: Sequence[Prediction]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(a.rewards[OVERALL], b.rewards[OVERALL]) for a, b in pairs)


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_it_learns_what_raters_prefer_on_sources_it_never_saw(decoder: Path, tmp_path: Path, tune: str) -> None:
    learner = Joint(str(decoder), **{**QUICK, "tune": tune, "epochs": 8 if tune == "lora" else 4})
    rows, unseen = judged(50, 1), judged(20, 2)
    model = fitted(learner, rows, tmp_path / "work")
    assert isinstance(learner, RewardLearner) and isinstance(model, RewardModel)
    assert right(model, unseen) > 0.8
    assert right(model, rows) > 0.7  # by the fold that did not see each
    assert all(model.holds_out(row.request.source) for row in rows)
    assert model.save(tmp_path / "saved") == model.digest
    again = Joint(str(decoder), **{**QUICK, "tune": tune, "epochs": 8 if tune == "lora" else 4}).load(
        tmp_path / "saved"
    )
    groups = [row.request.group for row in [*rows[:5], *unseen[:5]]]
    assert again.digest == model.digest and same(again.predict(groups), model.predict(groups))


def test_it_keeps_the_contract_of_a_learner(decoder: Path, tmp_path: Path) -> None:
    check_learner(Joint(str(decoder), **ONE))


def test_a_source_keeps_its_fold_at_the_next_level_which_starts_from_the_same_fold(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, str | None]] = []
    train = training.train

    def watched(**what: Any) -> Any:
        folder, start = what["folder"], what["start"]
        begun.append((folder.name, start and start.digest))
        assert not what["others"]
        assert not {row.request.source for row in what["rated"]} & held[int(folder.name[-1])]
        return train(**what)

    monkeypatch.setattr(tuned_room, "train", watched)
    held: list[set[str]] = [set(), set()]
    learner = Joint(str(decoder), **ONE)
    rows = judged(12, 1)
    leaf = fitted(learner, rows, tmp_path / "leaf")
    held = [{row.request.source for row in rows if leaf.fold(row.request.source) == fold} for fold in (0, 1)]
    assert held[0] and held[1]
    above = fitted(learner, judged(12, 1, length=9), tmp_path / "above", leaf, level=1)
    assert [above.fold(source) for source in held[0]] == [0] * len(held[0])
    inner = leaf.inner.inner  # type: ignore[attr-defined]
    assert isinstance(inner, CrossFittedModel)
    expected = [("fold-0", inner.models[0].digest), ("fold-1", inner.models[1].digest)]
    assert begun[:2] == [("fold-0", None), ("fold-1", None)] and begun[2:] == expected


def test_training_reads_every_row_of_the_folds_once_an_epoch(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(tuned_room, "train", lambda **what: read.append(len(what["rated"])) or training.train(**what))
    rows = judged(12, 1)
    fitted(Joint(str(decoder), **ONE), rows, tmp_path)
    assert sum(read) == len(rows)


def test_who_follows_a_fit_is_told_how_far_it_is_and_its_loss(decoder: Path, tmp_path: Path) -> None:
    said: list[object] = []
    workspace = Workspace(tmp_path, lambda done, total: said.append((done, total)), say=said.append)
    Joint(str(decoder), **ONE).fit(Ratings(Train, tuple(judged(8, 1))), Start(), Place(), 0, workspace)
    losses = [json.loads(line)["loss"] for log in sorted(tmp_path.rglob("log.jsonl")) for line in log.open()]
    assert len(losses) >= 2 and said[::2] == [f"loss {loss:.3f}" for loss in losses]
    assert said[-1] == (len(losses), len(losses))


def test_adapters_share_one_trunk_and_what_is_saved_is_small(decoder: Path, tmp_path: Path) -> None:
    learner = Tuned(str(decoder), **ONE)
    one, two = (fitted(learner, judged(8, seed), tmp_path / f"{seed}") for seed in (1, 2))
    assert isinstance(one, AdaptedModel) and isinstance(two, AdaptedModel)
    assert one.trunk is two.trunk is learner.trunk
    groups = [row.request.group for row in judged(3, 3)]
    first, second = one.predict(groups), two.predict(groups)
    assert not same(first, second)
    assert same(one.predict(groups), first)  # nothing of the other's is left behind
    one.save(tmp_path / "saved")
    files = {file.name: file.stat().st_size for file in (tmp_path / "saved").iterdir()}
    assert files.keys() == {FACTS, TENSORS}
    assert files[TENSORS] < (decoder / "model.safetensors").stat().st_size


def test_what_a_fit_was_calibrated_on_is_not_read_again(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    rewards = JointModel._rewards
    monkeypatch.setattr(
        JointModel, "_rewards", lambda self, groups: read.append(sum(map(len, groups))) or rewards(self, groups)
    )
    rows = judged(8, 1)
    outputs = {(row.request.view.id, shown.text) for row in rows for shown in row.request.shown}
    learner = Joint(str(decoder), **ONE)
    model = fitted(learner, rows, tmp_path / "work")
    assert sum(read) == len(outputs)  # to calibrate and to disperse
    groups = [row.request.group for row in rows]
    found = model.predict(groups)
    assert sum(read) == len(outputs)
    model.save(tmp_path / "saved")
    for one, other in zip(learner.load(tmp_path / "saved").predict(groups), found, strict=True):
        np.testing.assert_allclose(one.rewards[OVERALL], other.rewards[OVERALL], atol=1e-5)
    assert sum(read) == 2 * len(outputs)


@pytest.mark.parametrize("family", ["qwen3", "gpt2", "bert"])
def test_weights_with_adapters_apart_are_those_with_adapters_merged(tmp_path: Path, family: str) -> None:
    if family == "qwen3":
        save_decoder(tmp_path / "backbone")
    elif family == "bert":
        save_encoder(tmp_path / "backbone")
    else:
        from transformers import AutoModelForCausalLM, GPT2Config

        save_decoder(tmp_path / "backbone")
        torch.manual_seed(0)
        sizes = {"vocab_size": 128, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
        config = GPT2Config(**sizes, bos_token_id=1, eos_token_id=2, pad_token_id=3)
        AutoModelForCausalLM.from_config(config).save_pretrained(str(tmp_path / "backbone"))
    rows = judged(8, 1)
    apart = fitted(Tuned(str(tmp_path / "backbone"), **ONE), rows, tmp_path / "apart")
    assert isinstance(apart, AdaptedModel)
    learner = Tuned(str(tmp_path / "backbone"), **ONE)
    settings = replace(learner.config, merge=True)
    folder = tmp_path / "merged"
    merged = training.train(rows, str(tmp_path / "backbone"), folder, settings, 0, learner.reading, **EXACT).model
    groups = [row.request.group for row in judged(5, 2)]
    for one, other in zip(apart.predict(groups), merged.predict(groups), strict=True):
        np.testing.assert_allclose(one.rewards[OVERALL], other.rewards[OVERALL], atol=1e-5)


@pytest.mark.parametrize("family", ["roberta", "bert"])
def test_layers_that_a_checkpoint_lacks_are_learned_served_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """RoBERTa's dense layer before the head, and the pooler of a BERT that was saved as a masked language model."""
    backbone = str(save_masked(tmp_path / "backbone", family))
    rows, groups = judged(8, 1), [row.request.group for row in judged(3, 2)]
    as_trained: list[list[Prediction]] = []

    def watched(**what: Any) -> Any:
        trained = training.train(**what)
        as_trained.append(trained.model.predict(groups))
        return trained

    monkeypatch.setattr(tuned_room, "train", watched)
    learner = Tuned(backbone, **{**ONE, "learning_rate": 1e-2})
    ratings, leaf = Ratings(Train, tuple(rows)), Place()
    model = learner.fit(ratings, Start(), leaf, 12345, Workspace(tmp_path / "leaf"))
    assert isinstance(model, AdaptedModel)
    drawn = {name.removeprefix("drawn."): each for name, each in model.tensors.items() if name.startswith("drawn.")}
    layer = "classifier.dense" if family == "roberta" else "bert.pooler.dense"
    assert drawn.keys() == {f"{layer}.weight", f"{layer}.bias"}
    begun = load_classifier(backbone, 2, seed=12345, **EXACT).model
    assert not any(torch.equal(each, begun.get_parameter(name)) for name, each in drawn.items())  # they learn
    assert same(model.predict(groups), as_trained[0])
    model.save(tmp_path / "saved")
    again = Tuned(backbone, **{**ONE, "learning_rate": 1e-2}).load(tmp_path / "saved")
    assert again.digest == model.digest and same(again.predict(groups), as_trained[0])

    # another seed draws other layers, which do not matter to what goes on from there
    barely = Tuned(backbone, **{**ONE, "learning_rate": 1e-9})
    above = barely.fit(ratings, Start(model), Place(level=1), 6, Workspace(tmp_path / "above"))
    for one, other in zip(above.predict(groups), as_trained[0], strict=True):
        np.testing.assert_allclose(one.rewards[OVERALL], other.rewards[OVERALL], atol=1e-5)


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4])
def test_a_fit_that_was_killed_ends_as_one_that_was_not(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    rows, settings = judged(16, 1), {**QUICK, "epochs": 1, "save_every": 1}
    learner = Joint(str(decoder), **settings)
    expected = fitted(learner, rows, tmp_path / "whole")
    updates = 0

    def killing(done: int, total: int) -> None:
        nonlocal updates
        updates += 1
        if updates == killed_at:
            raise KeyboardInterrupt

    place = Workspace(tmp_path / "killed", killing)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(Ratings(Train, tuple(rows)), Start(), Place(), 0, place)
    trained: list[str] = []
    train = training.train
    monkeypatch.setattr(tuned_room, "train", lambda **what: trained.append(what["folder"].name) or train(**what))
    again = fitted(Joint(str(decoder), **settings), rows, tmp_path / "killed")
    assert again.digest == expected.digest
    assert trained == (["fold-0", "fold-1"] if killed_at < 3 else ["fold-1"])  # what was done is not done again


def at(level: int, rows: Sequence[Rated], contrary: bool = False) -> list[Rated]:
    """The rows as if they had been asked for at a level; `contrary` raters prefer the other output."""
    found = []
    for row in rows:
        answer, request = row.feedback.answer, replace(row.request, place=Place(level=level))
        assert isinstance(answer, Comparison) and answer.better in (0, 1)
        given = Comparison(1 - answer.better if contrary else answer.better)
        found.append(Rated(request, replace(row.feedback, answer=given)))
    return found


def test_on_a_shared_trunk_each_level_has_a_head_of_its_own(decoder: Path, tmp_path: Path) -> None:
    """Raters of one level prefer what those of the other reject."""
    learner = Tuned(str(decoder), **{**QUICK, "epochs": 6}, trunk="shared")
    leaves, above = at(0, judged(40, 1)), at(1, judged(40, 2), contrary=True)
    model = fitted(learner, above, tmp_path / "above", level=1, others=leaves)
    assert isinstance(model, AdaptedModel) and model.joint.members == QUICK["members"]
    assert right(model, at(1, judged(20, 3), contrary=True)) > 0.8
    as_leaf = {f"head.{name}": each for name, each in head_of(model.tensors, 0).items()}
    assert right(AdaptedModel(model.joint, model.trunk, {**model.tensors, **as_leaf}), judged(20, 3)) > 0.8
    assert model.ratings == len(above)
    assert all(model.fold(row.request.source) == -1 for row in [*leaves, *above])
    model.save(tmp_path / "saved")
    assert learner.load(tmp_path / "saved").digest == model.digest


def test_a_shared_trunk_goes_on_from_what_was_trained_last_until_nobody_rates_more(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str | None, int, int]] = []

    def watched(**what: Any) -> Any:
        start = what["start"]
        begun.append((start and start.digest, len(what["rated"]), len(what["others"])))
        return training.train(**what)

    monkeypatch.setattr(tuned_room, "train", watched)
    learner = Tuned(str(decoder), **ONE, trunk="shared")
    leaves, above = at(0, judged(8, 1)), at(1, judged(8, 2))
    leaf = fitted(learner, leaves, tmp_path / "0")
    root = fitted(learner, above, tmp_path / "1", leaf, 1, others=leaves)
    later = fitted(learner, leaves, tmp_path / "2", before=leaf, others=above)
    again = fitted(learner, leaves, tmp_path / "3", before=later, others=above)
    own = fitted(Tuned(str(decoder), **ONE), leaves, tmp_path / "4", others=above)
    n, m = len(leaves), len(above)
    assert begun == [(None, n, 0), (leaf.digest, m, n), (leaf.digest, n, m), (None, n, 0)]
    assert again is later and own.digest == leaf.digest != root.digest
    assert learner.name != Tuned(str(decoder), **ONE).name
    with pytest.raises(ConfigError, match=r"trunk is own \(a model a level\) or shared"):
        Joint(str(decoder), trunk="one")


@pytest.mark.parametrize("trunk", ["own", "shared"])
def test_each_member_of_a_whole_model_goes_on_from_its_own_head(decoder: Path, tmp_path: Path, trunk: str) -> None:
    settings = {**ONE, "tune": "full", "trunk": trunk, "epochs": 2}
    leaves, above = at(0, judged(8, 1)), at(1, judged(8, 2), contrary=True)
    leaf = fitted(Tuned(str(decoder), **settings), leaves, tmp_path / "leaf")
    barely = Tuned(str(decoder), **{**settings, "learning_rate": 1e-12})
    root = fitted(barely, above, tmp_path / "root", leaf, 1, others=leaves)
    groups = [row.request.group for row in judged(3, 3)]
    for one, other in zip(root.predict(groups), leaf.predict(groups), strict=True):
        assert np.ptp(one.rewards[OVERALL], axis=0).min() > 1e-3  # members do not start alike
        np.testing.assert_allclose(one.rewards[OVERALL], other.rewards[OVERALL], atol=1e-5)


def test_whole_models_on_a_shared_trunk_keep_the_heads_of_all_levels(decoder: Path, tmp_path: Path) -> None:
    settings = {**ONE, "tune": "full", "trunk": "shared", "epochs": 2}
    leaves, above = at(0, judged(8, 1)), at(1, judged(8, 2), contrary=True)
    leaf = fitted(Tuned(str(decoder), **settings), leaves, tmp_path / "leaf")
    learner = Tuned(str(decoder), **settings)
    root = fitted(learner, above, tmp_path / "root", leaf, 1, others=leaves)
    assert isinstance(leaf, JointModel) and isinstance(root, JointModel)
    own, other = root.net.head.weight.detach(), root.other_heads["heads.0.weight"]
    assert leaf.other_heads == {} and root.other_heads.keys() == {"heads.0.weight"}
    assert float((own - other).abs().max()) > 1e-3  # each level has taught its own
    root.save(tmp_path / "saved")
    again = learner.load(tmp_path / "saved")
    assert isinstance(again, JointModel)
    assert again.digest == root.digest and torch.equal(again.other_heads["heads.0.weight"], other)
    assert replace(root, other_heads={}).digest != root.digest
    barely = Tuned(str(decoder), **{**settings, "learning_rate": 1e-12})
    later = fitted(barely, leaves, tmp_path / "later", before=again, others=above)
    assert isinstance(later, JointModel)
    torch.testing.assert_close(later.net.head.weight.detach(), other, atol=1e-6, rtol=0)
    torch.testing.assert_close(later.other_heads["heads.1.weight"], own, atol=1e-6, rtol=0)


def test_more_members_than_there_were_heads_take_turns_and_fewer_take_means() -> None:
    head = torch.nn.Linear(1, 6, bias=False)
    kept = {"head.weight": torch.tensor([[1.0], [2.0]]), "heads.0.weight": torch.tensor([[3.0], [4.0]])}
    put_heads(head, kept, (1, 0), 3)
    assert head.weight.flatten().tolist() == [1.0, 2.0, 1.0, 3.0, 4.0, 3.0]
    fewer = torch.nn.Linear(1, 2, bias=False)
    put_heads(fewer, kept, (1, 0), 1)
    assert fewer.weight.flatten().tolist() == [1.5, 3.5]


def test_what_its_own_head_says_of_each_item() -> None:
    rewards = torch.arange(12.0).reshape(4, 3)  # two heads of two members, three items
    found = by_head(rewards, torch.tensor([0, 1, 0]), 2)
    assert found.tolist() == [[0.0, 7.0, 2.0], [3.0, 10.0, 5.0]]


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_a_round_goes_on_from_the_round_before_and_not_from_the_level_below(
    decoder: Path, tmp_path: Path, tune: str
) -> None:
    learner = Tuned(str(decoder), **{**ONE, "tune": tune})
    leaf = fitted(learner, judged(8, 1), tmp_path / "leaf")
    before = fitted(learner, judged(8, 2), tmp_path / "before", leaf, level=1)
    going_on = fitted(learner, judged(8, 3), tmp_path / "on", leaf, level=1, before=before)
    assert going_on.digest == fitted(learner, judged(8, 3), tmp_path / "alone", level=1, before=before).digest
    assert going_on.digest != fitted(learner, judged(8, 3), tmp_path / "anew", leaf, level=1).digest
    assert fitted(learner, judged(8, 2), tmp_path / "nothing new", leaf, level=1, before=before) is before
    assert all(going_on.fold(row.request.source) == -1 for row in judged(8, 2))  # what it starts from has seen them


def test_a_level_without_ratings_is_served_by_the_one_below(decoder: Path, tmp_path: Path) -> None:
    learner = Joint(str(decoder), **ONE)
    leaf = fitted(learner, judged(8, 1), tmp_path / "leaf")
    above = fitted(learner, [], tmp_path / "above", leaf, level=1)
    assert isinstance(leaf, DispersedModel) and isinstance(above, DispersedModel)
    assert above.inner.digest == leaf.inner.digest and above.level == 1
    assert above.dispersions == {fold: upward(each, 1) for fold, each in leaf.dispersions.items()}
    with pytest.raises(InputError, match="level 0 has no ratings to fit on, and no model below it"):
        fitted(learner, [], tmp_path / "none")


def test_a_fold_whose_ratings_are_ties_alone_is_served_by_the_model_below(
    decoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner = Joint(str(decoder), **ONE)
    rows = judged(8, 1)
    leaf = fitted(learner, rows, tmp_path / "leaf")
    tied = [Rated(row.request, Feedback(row.request.id, "r", Comparison(None))) for row in rows]
    one, other = sorted({row.request.source for row in rows}, key=lambda source: (leaf.fold(source) or 0, source))[::7]
    assert {leaf.fold(one), leaf.fold(other)} == {0, 1}
    some = [row for row in rows if row.request.source == one] + [row for row in tied if row.request.source == other]
    root = fitted(learner, some, tmp_path / "root", leaf, level=1)
    folds = [_cross_fitted(model).models for model in (leaf, root)]
    assert [above is below for below, above in zip(*folds, strict=True)].count(True) == 1
    assert "tell no output from another, so an earlier model serves" in caplog.text


def test_at_the_lowest_level_a_fold_of_ties_alone_is_learned_from_as_frozen_models_do(
    decoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner, rows = Joint(str(decoder), **ONE), judged(10, 1)
    tied = [Rated(row.request, Feedback(row.request.id, "r", Comparison(None))) for row in rows]
    fold = balanced_folds(sorted({row.request.source for row in rows}), 0, 2)
    some = [row if fold[row.request.source] else tie for row, tie in zip(rows, tied, strict=True)]
    model = fitted(learner, some, tmp_path / "some")
    assert all(model.fold(row.request.source) == fold[row.request.source] for row in rows)
    count = sum(fold[row.request.source] == 0 for row in rows)
    assert caplog.text.count("that a model learns from are ties") == 1
    assert f"level 0: all {count} ratings that a model learns from are ties" in caplog.text
    with pytest.raises(InputError, match=r"level 0: every comparison is a tie, .*: have more outputs compared"):
        fitted(learner, tied, tmp_path / "none")


def _cross_fitted(model: RewardModel) -> CrossFittedModel:
    assert isinstance(model, DispersedModel) and isinstance(model.inner, CalibratedModel)
    assert isinstance(model.inner.inner, CrossFittedModel)
    return model.inner.inner


def test_a_role_s_ratings_reach_it_as_they_reach_any_learner(decoder: Path, tmp_path: Path) -> None:
    rows = tuple(judged(8, 1))
    learner = Joint(str(decoder), **ONE)
    with pytest.raises(InputError, match="nothing is fitted on ratings of role final"):
        learner.fit(Ratings(Final, rows), Start(), Place(), 0, Workspace(tmp_path / "final"))
    assert learner.fit(Ratings(Select, rows), Start(), Place(), 0, Workspace(tmp_path / "select")).fold("new") is None


def test_its_name_covers_what_changes_a_model(decoder: Path, tmp_path: Path) -> None:
    other = save_decoder(tmp_path / "other", num_hidden_layers=1)
    bfloat16 = {**ONE, "dtype": "bfloat16"}
    changes: list[dict[str, Any]] = [
        {},
        {"folds": 3},
        {"epochs": 2},
        {"tune": "full"},
        {"lora_rank": 4},
        {"max_length": 99},
    ]
    learners = [Joint(str(decoder), **{**ONE, **each}) for each in changes]
    learners += [Joint(str(other), **ONE), Joint(str(decoder), **bfloat16)]
    assert len({learner.name for learner in learners}) == len(learners)
    assert Joint(str(decoder), **ONE).name == learners[0].name


# ---- bad input ----


def test_texts_that_are_too_long_are_cut_only_where_that_is_asked_for(decoder: Path, tmp_path: Path) -> None:
    rows = judged(8, 1)
    with pytest.raises(LimitError, match=r"have more than max_length = 20 tokens"):
        fitted(Joint(str(decoder), max_length=20, **ONE), rows, tmp_path / "refused")
    assert fitted(Joint(str(decoder), max_length=20, long_sources="truncate", **ONE), rows, tmp_path / "cut").digest


def test_a_loss_that_is_no_number_stops_at_its_step_and_the_state_before_is_gone_on_from_at_another_rate(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients, steps = training._gradients, []

    def diverging(*args: Any) -> tuple[float, Table]:
        loss, table = gradients(*args)
        steps.append(args[4].step)
        return (loss if steps[-1] != 3 else float("nan")), table

    rows, wild = judged(8, 1), {**ONE, "epochs": 4, "learning_rate": 1e-2}
    with monkeypatch.context() as patched:
        patched.setattr(training, "_gradients", diverging)
        for _ in range(2):
            with pytest.raises(
                InputError,
                match=r"loss of update 3 is not finite, .* lower learning_rate .* after update 1 is kept in .*state",
            ):
                fitted(Tuned(str(decoder), **wild), rows, tmp_path)
    assert steps == [1, 2, 3, 2, 3]
    assert json.loads((tmp_path / "state" / "state.json").read_text())["step"] == 1
    with pytest.raises(InputError, match="is the state of a training with other data"):
        fitted(Tuned(str(decoder), **{**wild, "lora_rank": 4}), rows, tmp_path)
    tame = {**wild, "learning_rate": 1e-3}
    model = fitted(Tuned(str(decoder), **tame), rows, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 9))
    assert [line["learning_rate"] <= 1e-3 for line in log] == [False, *[True] * 7]
    assert model.digest != fitted(Tuned(str(decoder), **tame), rows, tmp_path / "anew").digest


def test_a_fit_shorter_than_what_lies_between_checkpoints_keeps_a_state_of_each_quarter(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = training._gradients

    def diverging(*args: Any) -> tuple[float, Table]:
        loss, table = gradients(*args)
        return (loss if args[4].step != 7 else float("nan")), table

    rows, usual = judged(8, 1), {name: value for name, value in ONE.items() if name != "save_every"}
    learner = Tuned(str(decoder), **{**usual, "epochs": 4})
    assert learner.config.save_every == 50
    with monkeypatch.context() as patched:
        patched.setattr(training, "_gradients", diverging)
        with pytest.raises(InputError, match=r"loss of update 7 is not finite, .* the state after update 4 is kept"):
            fitted(learner, rows, tmp_path / "diverged")
        with pytest.raises(InputError, match="no state from before is kept, so it begins anew"):
            fitted(Tuned(str(decoder), **{**usual, "epochs": 4, "save_every": 0}), rows, tmp_path / "none")
    tame = Tuned(str(decoder), **{**usual, "epochs": 4, "learning_rate": 1e-4})
    assert fitted(tame, rows, tmp_path / "diverged").digest != fitted(tame, rows, tmp_path / "anew").digest


@pytest.mark.parametrize(("epochs", "kept"), [(1, [1]), (3, [2, 4]), (4, [2, 4, 6])])
def test_a_short_fit_keeps_three_states_at_most(
    epochs: int, kept: list[int], decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(training.TrainCheckpoints, "save", lambda self, state, *rest: saved.append(state.step))
    usual = {name: value for name, value in ONE.items() if name != "save_every"}
    fitted(Tuned(str(decoder), **{**usual, "epochs": epochs}), judged(8, 1), tmp_path)
    assert saved == kept


@pytest.mark.parametrize(("rows", "where"), [(24, "of update 2"), (1000, "after the last update")])
def test_what_diverges_is_refused_with_nothing_kept_and_begun_anew(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, where: str
) -> None:
    monkeypatch.setitem(train_config.MOST, "head_rate", 1e38)
    wild = {**ONE, "epochs": 1, "head_rate": 1e30, "rows_per_update": rows}
    message = rf"the (loss|gradient) {where} is not finite, .* no state from before is kept, so it begins anew"
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            fitted(Tuned(str(decoder), **wild), judged(8, 1), tmp_path)
    assert not (tmp_path / "state").exists()
    assert fitted(Tuned(str(decoder), **{**wild, "head_rate": 1.0}), judged(8, 1), tmp_path).digest


def test_weights_that_are_not_finite_are_neither_kept_nor_served(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of words that no text has change no loss: each is infinite from the second update on."""
    step, steps = torch.optim.AdamW.step, []

    def overflowing(self: torch.optim.AdamW, closure: None = None) -> None:
        step(self, closure)
        steps.append(1)
        if len(steps) == 2:
            words = next(each for each in self.param_groups[0]["params"] if len(each) == 128)  # one row a word
            words.data[1] = float("inf")  # the tokenizer begins no text with it

    monkeypatch.setattr(torch.optim.AdamW, "step", overflowing)
    learner = Tuned(str(decoder), **{**ONE, "tune": "full", "epochs": 4})
    with pytest.raises(InputError, match=r"the weights of update 3 are not finite, .* after update 1 is kept"):
        fitted(learner, judged(8, 1), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rank": 3},
            r"\[reward\] arguments: there is no 'rank'; beside those .* are batch_tokens, checkpointing, clip",
        ),
        ({"folds": 1}, r"\[reward\] folds must be 2 or more, got 1"),
        ({"tune": "some"}, "a joint model tunes lora or full, got 'some'"),
        ({"long_sources": "cut"}, "long_sources is one of refuse, truncate, windows, got 'cut'"),
        ({"members": 0}, "members, epochs, .* are at least 1"),
        ({"epochs": True}, "are at least 1, but epochs is True"),
        ({"lora_rank": 2.5}, "are at least 1, but lora_rank is 2.5"),
        ({"max_length": 0}, "max_length is a whole number from 8 up, or left out, got 0"),
        ({"max_length": 7}, "max_length is a whole number from 8 up, or left out, got 7"),
        ({"max_length": 2.5}, "max_length is a whole number, got 2.5"),
        ({"max_length": 129}, r"max_length is 129, but '.*' reads at most 128 tokens"),
        ({"batch_tokens": 0}, "batch_tokens is a whole number from 1 up, or left out, got 0"),
        (
            {"learning_rate": "high"},
            "head_rate and clip are numbers above 0, but learning_rate is 'high'",
        ),
        ({"clip": 0}, "numbers above 0, but clip is 0"),
        ({"warmup": True}, "validation and warmup lie from 0 up to, not including, 1, but warmup is True"),
        ({"validation": 1}, "not including, 1, but validation is 1"),
        ({"weight_decay": -1}, "weight_decay is a number from 0 up, got -1"),
        ({"save_every": 1.5}, "save_every is a whole number from 0 up, got 1.5"),
        ({"checkpointing": "yes"}, "are true or false, but checkpointing is 'yes'"),
        ({"lora_modules": "q_proj"}, "lora_modules is a list of names, got 'q_proj'"),
        ({"lora_modules": ("q_proj",), "tune": "full"}, "lora_modules would do nothing where all weights learn"),
        ({"lora_modules": ("nothing",)}, "there are no modules nothing to adapt in a Qwen3ForSequenceClassification"),
        ({"lora_modules": ("q_proj", "score")}, "there are no modules score to adapt"),
        ({"lora_modules": ("",)}, "there are no modules '' to adapt"),
        (
            {"lora_modules": ("mlp",)},
            "mlp of a Qwen3ForSequenceClassification is a module Qwen3MLP, and adapters are for",
        ),
        ({"lora_modules": ("embed_tokens",)}, "is a module Embedding, and adapters are for linear layers"),
        ({"learning_rate": 1e300}, "learning_rate is at most 1, got 1e\\+300"),
        ({"lora_rank": 10**9}, "lora_rank is at most 1,024, got 1000000000"),
        ({"members": 10**6}, "members is at most 1,000, got 1000000"),
        ({"head_rate": 1e30}, "head_rate is at most 10,000, got 1e\\+30"),
        ({"weight_decay": 1e9}, "weight_decay is at most 10, got 1000000000.0"),
        ({"clip": 1e-30}, "clip is at least 0.0001, or nothing is learned, got 1e-30"),
        ({"device": "meta"}, "device 'meta' holds no numbers"),
        ({"processes": 10**6}, r"processes is at most \d+ on this machine, got 1000000"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_rated(
    decoder: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, InputError), match=message):
        Joint(str(decoder), **{**ONE, **settings})


def test_a_backbone_that_cannot_be_tuned_is_refused_before_anything_is_rated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        Joint(str(tmp_path / "nowhere"))
    base = save_decoder(tmp_path / "base")
    save_tokenizer(base, pad_is_eos=True)
    with pytest.raises(InputError, match="pads with its end-of-sequence token"):
        Joint(str(base))
    (base / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no tokenizer that can be read"):
        Joint(str(base))


def _changed_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    file = save_decoder(folder) / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_weights_that_cannot_be_loaded_are_refused_before_anything_is_rated(tmp_path: Path) -> None:
    base = save_decoder(tmp_path / "text")
    (base / "model.safetensors").write_text("hello")
    with pytest.raises(InputError, match=r"text' cannot be read as a one-label classifier: .*header"):
        Joint(str(base))
    name = "model.layers.0.mlp.up_proj.weight"
    base = _changed_weights(tmp_path / "lacks", lambda weights: weights.pop(name))
    with pytest.raises(InputError, match=f"is no whole checkpoint: it has no {name}"):
        Joint(str(base))
    base = _changed_weights(tmp_path / "narrow", lambda weights: weights.update({name: torch.zeros(3, 32)}))
    with pytest.raises(InputError, match=rf"{name} has the shape \[3, 32\], and \[64, 32\] by the config"):
        Joint(str(base))


def test_a_decoder_that_cannot_share_a_source_is_refused_before_anything_is_rated(tmp_path: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    base = save_decoder(tmp_path / "bloom")
    BloomForCausalLM(BloomConfig(vocab_size=128, hidden_size=32, n_layer=2, n_head=4)).save_pretrained(str(base))
    with pytest.raises(InputError, match="BloomModel brings an attention of its own and cannot share a source"):
        Joint(str(base))


def test_a_source_that_the_backbone_is_too_short_for_is_refused_with_what_can_be_done(
    decoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        LimitError,
        match=r"more than the 16 tokens that the backbone reads \(the longest \d+\): shorten them, or ask for",
    ):
        fitted(Joint(str(save_decoder(tmp_path / "short", positions=16)), **ONE), judged(8, 1), tmp_path / "fit")


def test_a_model_of_another_kind_or_changed_files_are_refused(decoder: Path, tmp_path: Path) -> None:
    rows, learner = judged(8, 1), Tuned(str(decoder), **ONE)
    model = fitted(learner, rows, tmp_path / "work")
    model.save(tmp_path / "saved")
    with pytest.raises(InputError, match="starts from its own kind, not from a CrossFittedModel"):
        fitted(learner, rows, tmp_path / "w", CrossFittedModel((model,), {}), level=1)
    with pytest.raises(InputError, match="as many members, and low-rank adapters"):
        fitted(Tuned(str(decoder), **{**ONE, "members": 3}), rows, tmp_path / "w", model, level=1)
    other = save_decoder(tmp_path / "other", num_hidden_layers=1)
    with pytest.raises(InputError, match="is for the backbone"):
        Tuned(str(other), **ONE).load(tmp_path / "saved")
    facts = json.loads((tmp_path / "saved" / FACTS).read_text())
    (tmp_path / "saved" / FACTS).write_text(json.dumps({**facts, "anchor": 9.0}))
    with pytest.raises(InputError, match="was changed after it was written"):
        learner.load(tmp_path / "saved")
    (tmp_path / "saved" / FACTS).write_text(json.dumps({"backbone": facts["backbone"]}))
    with pytest.raises(InputError, match=r"adapted\.json does not say reading, place, .*: it is no such model"):
        learner.load(tmp_path / "saved")
    (tmp_path / "saved" / FACTS).write_text(json.dumps(facts))
    shutil.copy(tmp_path / "saved" / FACTS, tmp_path / "saved" / TENSORS)
    with pytest.raises(InputError, match="cannot be read"):
        learner.load(tmp_path / "saved")
    with pytest.raises(InputError, match="is a trained reward model, whose heads would be dropped"):
        Frozen(str(tmp_path / "saved"))


def test_full_models_are_whole_checkpoints_and_start_from_the_level_below(decoder: Path, tmp_path: Path) -> None:
    learner = Tuned(str(decoder), **{**ONE, "tune": "full"})
    leaf = fitted(learner, judged(8, 1), tmp_path / "leaf")
    above = fitted(learner, judged(8, 2), tmp_path / "above", leaf, level=1)
    assert isinstance(leaf, JointModel) and isinstance(above, JointModel)
    assert set(above.seen) == {row.request.source for row in [*judged(8, 1), *judged(8, 2)]}
    elsewhere = fitted(learner, judged(8, 2), tmp_path / "moved" / "above", leaf, level=1)
    assert elsewhere.digest == above.digest


def test_no_token_is_of_the_instruction_and_of_the_output(decoder: Path) -> None:
    learner = Tuned(str(decoder), **QUICK)
    view = judged(1, 1)[0].request.view
    view = replace(view, instruction=view.instruction + ".")
    model = JointModel(learner.trunk.net, learner.trunk.classifier, learner.reading)
    ((whole,),) = model.windows([(view, "... and so on")])
    tokens = learner.trunk.classifier.tokenizer
    asked, said = (tokens(text)["input_ids"] for text in (view.prompt, "... and so on"))
    assert (whole & ~AVERAGED).tolist() == [*asked, *said, tokens.eos_token_id]
    assert np.flatnonzero(whole & AVERAGED).tolist() == list(range(len(asked), len(whole)))
