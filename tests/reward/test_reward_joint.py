"""Joint models on disk: others open ours, ours open others', and what is broken is refused in a sentence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rrm.core.errors import ConfigError, InputError, LimitError
from rrm.core.place import Place
from rrm.core.protocols import RewardModel
from rrm.core.values import Group, Passage, View
from rrm.reward.committee import Committee
from rrm.reward.joint_model import JointModel, Reading
from rrm.reward.open import open_model
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from tests.reward.joint_problems import EXACT, WORDS, judged, save_decoder, save_encoder, save_tokenizer

CONFIG = TrainConfig(members=3, epochs=1, learning_rate=1e-3, save_every=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(judged(12, 1), str(save_decoder(folder / "base")), folder / "model", CONFIG, seed=0, **EXACT)
    return folder / "model"


@pytest.fixture(scope="module")
def trained_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained-encoder")
    train(judged(12, 1), str(save_encoder(folder / "base")), folder / "model", CONFIG, seed=0, **EXACT)
    return folder / "model"


def groups(seed: int = 5) -> list[Group]:
    """Groups of mixed lengths, one with many outputs."""
    random = np.random.default_rng(seed)
    found = []
    for number, sizes in enumerate([(3, 9, 1), (4,), tuple(range(1, 14))]):
        view = View("", (Passage(" ".join(random.choice(WORDS, 12 + 9 * number))),), 64)
        found.append(
            Group(f"g{number}", Place(), view, tuple(" " + " ".join(random.choice(WORDS, size)) for size in sizes))
        )
    return found


def in_transformers(folder: Path, texts: list[Any], pairs: bool = False) -> np.ndarray:
    """The logits that plain transformers gives a padded batch."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(str(folder), num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    batch = tokenizer([a for a, _ in texts], [b for _, b in texts], return_tensors="pt", padding=True) if pairs else (
        tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    )  # fmt: skip
    kept = {name: batch[name] for name in ("input_ids", "attention_mask", *(("token_type_ids",) if pairs else ()))}
    with torch.no_grad():
        return model(**kept).logits[:, 0].double().numpy()


def test_an_exported_decoder_scores_identically_in_transformers(trained: Path) -> None:
    ours = JointModel.load(trained, **EXACT)
    mine = np.concatenate([each.mean(axis=0) for each in ours.rewards(groups())])
    texts = [group.view.prompt + output + "</s>" for group in groups() for output in group.outputs]
    np.testing.assert_allclose(mine, in_transformers(trained, texts), atol=2e-5)
    assert json.loads((trained / "config.json").read_text())["architectures"] == ["Qwen3ForSequenceClassification"]
    assert ours.members == 3
    assert isinstance(ours, RewardModel)


def test_a_model_that_reads_the_mean_of_an_output_s_states_keeps_doing_so(tmp_path: Path) -> None:
    """Its rewards are the head's of the mean over the output's tokens and the end, each text read by transformers."""
    from transformers import AutoModel, AutoTokenizer

    base = save_decoder(tmp_path / "base")
    train(judged(12, 1), str(base), tmp_path / "model", CONFIG, seed=0, reading=Reading(pooling="mean"), **EXACT)
    ours = JointModel.load(tmp_path / "model", **EXACT)
    assert ours.reading.pooling == "mean"
    model = AutoModel.from_pretrained(str(tmp_path / "model")).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "model"))
    expected = []
    for group in groups():
        for output in group.outputs:
            ids = tokenizer(group.view.prompt + output + "</s>", return_tensors="pt")["input_ids"]
            own = len(tokenizer(output)["input_ids"]) - len(tokenizer("")["input_ids"]) + 1
            with torch.no_grad():
                mean = model(input_ids=ids).last_hidden_state[0, -own:].mean(dim=0)
                expected.append(ours.net.head(mean).double().mean())
    mine = np.concatenate([each.mean(axis=0) for each in ours.rewards(groups())])
    np.testing.assert_allclose(mine, np.array(expected), atol=2e-5)
    with pytest.raises(ConfigError, match="pooling is one of last, mean, got 'max'"):
        Reading(pooling="max")  # type: ignore[arg-type]


def test_joint_models_and_committees_that_are_saved_again_keep_their_digest(trained: Path, tmp_path: Path) -> None:
    ours = JointModel.load(trained, **EXACT)
    assert ours.save(tmp_path / "again") == ours.digest == JointModel.load(tmp_path / "again", **EXACT).digest
    with torch.no_grad():
        ours.net.head.weight[0, 0] += 1
    assert ours.digest != JointModel.load(trained, **EXACT).digest
    both = Committee((JointModel.load(trained, **EXACT), ours))
    assert isinstance(both, RewardModel)
    assert both.save(tmp_path / "both") == both.digest == Committee.load(tmp_path / "both", **EXACT).digest


def test_an_exported_encoder_scores_identically_in_transformers(trained_encoder: Path) -> None:
    ours = JointModel.load(trained_encoder, **EXACT)
    mine = np.concatenate([each.mean(axis=0) for each in ours.rewards(groups())])
    texts = [(group.view.prompt, output) for group in groups() for output in group.outputs]
    np.testing.assert_allclose(mine, in_transformers(trained_encoder, texts, pairs=True), atol=2e-5)


@pytest.mark.parametrize("folder", ["trained", "trained_encoder"])
def test_bfloat16_scores_are_near_those_in_float32(folder: str, request: pytest.FixtureRequest) -> None:
    place = request.getfixturevalue(folder)
    exact = np.concatenate(JointModel.load(place, **EXACT).rewards(groups()), axis=1)
    half = np.concatenate(JointModel.load(place, device="cpu", dtype="bfloat16").rewards(groups()), axis=1)
    assert 0 < np.abs(half - exact).max() < 8 * 2**-8 * np.abs(exact).max()  # 2**-8: half a unit in the last place of 1


def test_a_checkpoint_trained_by_trl_scores_here_as_in_transformers(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    base = save_decoder(tmp_path / "base")
    rows = [
        {"prompt": row.request.view.prompt, "chosen": " " + a, "rejected": " " + b}
        for row in judged(6, 1)
        for a, b in [[shown.text for shown in row.request.shown]]
    ]
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path / "trl"), max_steps=4, per_device_train_batch_size=4, report_to="none", bf16=False,
        use_cpu=True, learning_rate=1e-3, save_strategy="no",
    )  # fmt: skip
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1, dtype=torch.float32)
    trainer = trl.RewardTrainer(
        model=model, args=arguments, train_dataset=datasets.Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(str(base)),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(tmp_path / "trl"))
    ours = open_model(tmp_path / "trl", **EXACT)
    mine = np.concatenate([each[0] for each in ours.rewards(groups())])
    texts = [group.view.prompt + output + "</s>" for group in groups() for output in group.outputs]
    np.testing.assert_allclose(mine, in_transformers(tmp_path / "trl", texts), atol=2e-5)


def test_scores_do_not_depend_on_company_or_batch(trained: Path) -> None:
    model = JointModel.load(trained, **EXACT)
    together = model.rewards(groups())
    for group, found in zip(groups(), together, strict=True):
        for place, output in enumerate(group.outputs):
            alone = model.rewards([Group(group.source, Place(), group.view, (output,))])[0]
            np.testing.assert_allclose(alone[:, 0], found[:, place], atol=1e-5)


def test_equal_texts_are_read_once_and_score_alike(trained: Path) -> None:
    model = JointModel.load(trained, **EXACT)
    group = groups()[0]
    seen: list[int] = []
    found = model.rewards(
        [group, Group("x", Place(), group.view, group.outputs[:2] * 2)], lambda done, total: seen.append(total)
    )
    assert set(seen) == {3}
    np.testing.assert_array_equal(found[1][:, 0], found[1][:, 2])


def out_of_memory(kind: str) -> Exception:
    if kind == "gpu":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize(
    ("folder", "kind"),
    [pytest.param("trained", "gpu", marks=pytest.mark.slow), ("trained", "cpu"), ("trained_encoder", "gpu")],
)
def test_what_does_not_fit_in_memory_is_scored_in_smaller_batches(
    folder: str, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    model = JointModel.load(request.getfixturevalue(folder), **EXACT)
    several = [replace(group, source=f"{seed}") for seed in range(2) for group in groups(seed)]
    expected = model.rewards(several)
    rewards, sizes = JointModel._rewards, []

    def small(self: JointModel, read: list[list[Any]]) -> Any:
        sizes.append(sum(map(len, read)))
        if sizes[-1] > 3:
            raise out_of_memory(kind)
        return rewards(self, read)

    monkeypatch.setattr(JointModel, "_rewards", small)
    seen: list[int] = []
    found = model.rewards(several, lambda done, total: seen.append(done))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert seen[-1] == sum(len(group.outputs) for group in several)
    said = [record.message for record in caplog.records]
    assert any("out of memory with" in line for line in said)
    if folder == "trained_encoder":  # all later batches are made smaller at once
        assert len(said) == len(set(said)) <= 5


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_an_output_that_no_memory_suffices_for_is_refused_in_a_sentence(
    trained: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model = JointModel.load(trained, **EXACT)

    def fail(*_: object) -> None:
        raise out_of_memory(kind)

    monkeypatch.setattr(JointModel, "_rewards", fail)
    with pytest.raises(
        LimitError, match=r"not enough memory to score one output with its source \(\d+ tokens\): lower"
    ):
        model.predict(groups())


def test_an_error_of_another_kind_is_not_taken_for_one_of_memory(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = JointModel.load(trained, **EXACT)

    def fail(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(JointModel, "_rewards", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        model.predict(groups())


def test_members_differ_and_their_mean_is_what_others_see(trained: Path) -> None:
    found = JointModel.load(trained, **EXACT).rewards(groups())[2]
    assert found.shape == (3, 13)
    assert found.std(axis=0).min() > 0


def test_a_committee_joins_its_members(trained: Path, tmp_path: Path) -> None:
    for member in range(2):
        train(judged(8, 1), str(trained), Committee.folder(tmp_path, member), TrainConfig(members=1, epochs=1), member,
              **EXACT)  # fmt: skip
    Committee.found(tmp_path, 2)
    both = open_model(tmp_path, **EXACT)
    assert isinstance(both, Committee)
    found = both.rewards(groups())
    assert [each.shape for each in found] == [(2, 3), (2, 1), (2, 13)]
    np.testing.assert_array_equal(found[0][1], both.models[1].rewards(groups())[0][0])
    assert both.acceptance(groups())[0].mean(axis=1) == pytest.approx([0.5, 0.5])
    assert both.seen


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        if file.is_file():
            (to / file.name).write_bytes(file.read_bytes())
    return to


@pytest.mark.parametrize("file", ["model.safetensors", "heads.safetensors", "rrm.json"])
def test_a_tampered_checkpoint_is_refused(trained: Path, tmp_path: Path, file: str) -> None:
    place = copied(trained, tmp_path / "copy")
    content = bytearray((place / file).read_bytes())
    content[-20] ^= 1 if file != "rrm.json" else 0
    if file == "rrm.json":
        content = bytearray(bytes(content).replace(b'"ratings": ', b'"ratings": 1'))
    (place / file).write_bytes(bytes(content))
    with pytest.raises(InputError, match="changed after it was written"):
        open_model(place, **EXACT)


def test_a_checkpoint_with_two_labels_is_refused(trained: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(str(trained), num_labels=2, ignore_mismatched_sizes=True)
    model.save_pretrained(str(tmp_path))
    save_tokenizer(tmp_path)
    with pytest.raises(InputError, match="classifies into 2 labels; a reward model has one"):
        open_model(tmp_path, **EXACT)


def test_a_language_model_without_a_head_is_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no trained reward model: it has no score\.weight"):
        open_model(save_decoder(tmp_path / "base"), **EXACT)


def test_a_config_that_brings_code_is_refused(trained: Path, tmp_path: Path) -> None:
    place = copied(trained, tmp_path / "copy")
    (place / "rrm.json").unlink()
    config = json.loads((place / "config.json").read_text()) | {"auto_map": {"AutoModel": "evil.Model"}}
    (place / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="asks to run code"):
        open_model(place, **EXACT)


def test_an_empty_folder_is_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no reward model in"):
        open_model(tmp_path)


def test_a_model_without_a_padding_token_gets_one(tmp_path: Path) -> None:
    base = save_decoder(tmp_path / "base", pad=False, vocab_size=124)
    trained = train(judged(6, 1), str(base), tmp_path / "out", CONFIG, seed=0, **EXACT)
    tokenizer = trained.model.classifier.tokenizer
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    mine = np.concatenate([each.mean(axis=0) for each in trained.model.rewards(groups())])
    texts = [group.view.prompt + output + "</s>" for group in groups() for output in group.outputs]
    np.testing.assert_allclose(mine, in_transformers(tmp_path / "out", texts), atol=2e-5)


def test_padding_with_the_end_of_sequence_is_refused(tmp_path: Path) -> None:
    base = save_decoder(tmp_path / "base")
    save_tokenizer(base, pad_is_eos=True)
    with pytest.raises(InputError, match="pads with its end-of-sequence token"):
        train(judged(6, 1), str(base), tmp_path / "out", CONFIG, seed=0, **EXACT)


def test_training_goes_on_from_an_earlier_model(trained: Path, tmp_path: Path) -> None:
    before = JointModel.load(trained, **EXACT).rewards(groups())[0].mean(axis=0)
    barely = TrainConfig(members=1, epochs=1, learning_rate=1e-9, validation=0.0)
    again = train(judged(6, 1), str(trained), tmp_path, barely, seed=0, reading=Reading(), **EXACT)
    np.testing.assert_allclose(again.model.rewards(groups())[0][0], before, atol=1e-4)
