"""Reward checkpoints: texts become the tokens others make, other programs open what we save, bad ones are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rrm.backbone.classifier import PAD, Classifier, Head, load_classifier
from rrm.backbone.decoder import output_states
from rrm.backbone.layout import AVERAGED, pack
from rrm.core.errors import InputError
from tests.backbone.backbone_decoders import chat_tokenizer

TEXTS = [
    ("the cat sat on a mat .", "dog ran far away"),
    ("the cat sat on a mat .", "home"),
    ("then", "the dog ran away , and then came home again ."),
    ("", "a cat"),
]


def _load(folder: Path, members: int = 1, **options: Any) -> Classifier:
    return load_classifier(str(folder), members, device="cpu", dtype="float32", **options)


def _changed(folder: Path, to: Path, **changes: object) -> Path:
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return to


def _stock(folder: Path) -> tuple[Any, Any]:
    """Open a checkpoint as any other program would."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def _head(classifier: Classifier) -> Head:
    found = classifier.model.get_submodule(classifier.model.rrm_head)
    assert isinstance(found, Head)
    return found


def _rewards(classifier: Classifier, ids: list[np.ndarray]) -> Tensor:
    """Return rewards [outputs, members], from packed rows where the backbone reads them."""
    with torch.no_grad():
        if not classifier.causal:
            found: Tensor = classifier.padded(ids, lambda inputs: classifier.model.eval()(**inputs).logits, "cpu")
            return found
        states: Tensor = _head(classifier)(output_states(classifier.model.base_model, pack([ids[:2], ids[2:]])))
        return states


# ---- texts to tokens ----


@pytest.mark.parametrize("separator", ["", " ", " and then "])
def test_a_decoder_s_tokens_are_those_of_the_whole_text_and_one_that_ends_it(separator: str, tiny_reward: Path) -> None:
    _, tokenizer = _stock(tiny_reward)
    found, _ = _load(tiny_reward).encode(TEXTS, separator)
    for (prompt, output), ids in zip(TEXTS, found, strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == [*tokenizer(prompt + separator + output)["input_ids"], tokenizer.eos_token_id]


def test_a_text_that_brings_its_own_end_gets_no_second_one(tiny_reward: Path) -> None:
    (with_end, without), _ = _load(tiny_reward).encode([("the cat", "sat</s>"), ("the cat", "sat")], " ")
    assert with_end.tolist() == without.tolist() and with_end.tolist().count(2) == 1


def test_a_chat_s_prompt_is_not_begun_twice(tiny_reward: Path) -> None:
    _, tokenizer = _stock(tiny_reward)
    asked = [{"role": "user", "content": "the cat sat"}]
    answered = [*asked, {"role": "assistant", "content": "on a mat"}]
    prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    expected = tokenizer.apply_chat_template(answered, tokenize=True, return_dict=False)
    assert expected.count(1) == 1
    (found,), _ = _load(tiny_reward).encode([(prompt, "on a mat</s>")], "")
    assert found.tolist() == expected


def test_whether_a_text_begins_itself_is_asked_of_each_text(tiny_reward: Path) -> None:
    plain, chat = ("the cat", "sat"), ("<s>the cat", "sat")
    classifier = _load(tiny_reward)
    for texts in ([plain, chat, plain], [chat, plain, chat]):
        found, _ = classifier.encode(texts, " ")
        assert [each.tolist() for each in found] == [[1, 6, 7, 8, 2]] * 3


def test_without_an_end_token_none_is_put(tiny_reward: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_reward, tmp_path / "copy"))
    chat_tokenizer(eos=None).save_pretrained(copy)
    (found,), _ = _load(copy).encode([("the cat", "sat")], " ")
    assert found.tolist() == [1, 6, 7, 8]


def test_an_output_s_own_tokens_and_its_end_are_marked_where_they_are_averaged(tiny_reward: Path) -> None:
    classifier = _load(tiny_reward)
    texts = [("the cat", "sat on"), ("the cat", ""), ("", "sat")]
    plain, _ = classifier.encode(texts, " ")
    marked, _ = classifier.encode(texts, " ", average=True)
    assert [(each & ~AVERAGED).tolist() for each in marked] == [each.tolist() for each in plain]
    own = [int(((each & AVERAGED) > 0).sum()) for each in marked]
    assert own == [3, 1, len(plain[2])]  # two words and the end; the end alone; all there is
    assert all((each[-count:] & AVERAGED).all() for each, count in zip(marked, own, strict=True))


def test_the_prompt_s_own_tokens_lie_within_its_span(tiny_reward: Path) -> None:
    texts = [("the cat", " sat"), ("the ca", "t sat"), ("<s>the cat", " sat"), ("", "the cat"), ("the cat ", "sat")]
    found, spans = _load(tiny_reward).encode(texts, "")
    assert spans == [(1, 3), (1, 2), (1, 3), (0, 0), (1, 3)]  # <s> is not the prompt's, nor is `cat` if cut in two
    assert [each.tolist() for each in found] == [
        [1, 6, 7, 8, 2],
        [1, 6, 7, 8, 2],
        [1, 6, 7, 8, 2],
        [1, 6, 7, 2],
        [1, 6, 7, 8, 2],
    ]


def test_lone_surrogates_are_no_obstacle(tiny_reward: Path, tiny_pairs: Path) -> None:
    for folder in (tiny_reward, tiny_pairs):
        broken, asked = (_load(folder).encode([(f"the cat {each}", f"{each} sat")], " ") for each in ("\ud83d", "?"))
        assert broken[0][0].tolist() == asked[0][0].tolist() and broken[1] == asked[1]


def test_no_texts_make_no_tokens(tiny_reward: Path, tiny_pairs: Path) -> None:
    assert _load(tiny_reward).encode([], "") == _load(tiny_pairs).encode([], "") == ([], [])


def test_an_encoder_reads_pairs_as_its_tokenizer_makes_and_pads_them(tiny_pairs: Path) -> None:
    _, tokenizer = _stock(tiny_pairs)
    classifier = _load(tiny_pairs)
    ids, spans = classifier.encode(TEXTS, "ignored")
    prompts, outputs = zip(*TEXTS, strict=True)
    expected = tokenizer(list(prompts), list(outputs), padding=True, return_tensors="pt")
    found = classifier.padded(ids, dict, "cpu")
    assert not classifier.causal and found.keys() == expected.keys() >= {"token_type_ids"}
    for name, each in expected.items():
        assert torch.equal(found[name], each), name
    assert spans == [(1, 8), (1, 8), (1, 2), (0, 0)]
    assert [each.tolist() for each in ids] == [
        tokenizer(prompt, output)["input_ids"] for prompt, output in TEXTS
    ]  # the separator is the tokenizer's own


def test_an_encoder_without_token_types_gets_none(tmp_path: Path, tiny_pairs: Path) -> None:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    copy = Path(shutil.copytree(tiny_pairs, tmp_path / "copy"))
    config = DistilBertConfig(
        vocab_size=32, dim=16, n_layers=2, n_heads=2, hidden_dim=32, num_labels=1, max_position_embeddings=64
    )
    DistilBertForSequenceClassification(config).save_pretrained(copy)
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "DistilBertTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    classifier = _load(copy)
    ids, _ = classifier.encode(TEXTS[:2], "")
    assert classifier.padded(ids, dict, "cpu").keys() == {"input_ids", "attention_mask"}


# ---- the same numbers as in transformers ----


def test_a_decoder_trained_elsewhere_gives_its_numbers_here(tiny_reward: Path) -> None:
    model, tokenizer = _stock(tiny_reward)
    classifier = _load(tiny_reward, trained=True)
    ids, _ = classifier.encode(TEXTS, " ")
    texts = [f"{prompt} {output}</s>" for prompt, output in TEXTS]
    batch = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(_rewards(classifier, ids), expected, atol=1e-5, rtol=0)


def test_an_encoder_trained_elsewhere_gives_its_numbers_here(tiny_pairs: Path) -> None:
    model, tokenizer = _stock(tiny_pairs)
    classifier = _load(tiny_pairs, trained=True)
    prompts, outputs = zip(*TEXTS, strict=True)
    with torch.no_grad():
        expected = model(**tokenizer(list(prompts), list(outputs), padding=True, return_tensors="pt")).logits
    ids, _ = classifier.encode(TEXTS, "")
    torch.testing.assert_close(_rewards(classifier, ids), expected, atol=1e-5, rtol=0)
    classifier.model.train()
    again = classifier.padded(ids, lambda inputs: classifier.model(**inputs).logits, "cpu").detach()
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=0)  # dropout is off


@pytest.mark.parametrize("kind", ["tiny_reward", "tiny_base", "tiny_pairs"])
def test_a_saved_ensemble_opens_elsewhere_as_its_members_mean(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    classifier = _load(request.getfixturevalue(kind), members=3)
    with torch.no_grad():
        _head(classifier).weight.add_(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)))
    ids, _ = classifier.encode(TEXTS, " ")
    expected = _rewards(classifier, ids).mean(1, keepdim=True)
    classifier.save(tmp_path / "saved")
    assert expected.shape == (4, 1) and float(expected.std()) > 0.1

    model, tokenizer = _stock(tmp_path / "saved")
    batch = {"input_ids": [each.tolist() for each in ids]}
    if not classifier.causal:
        types = classifier.padded(ids, dict, "cpu")["token_type_ids"]
        batch["token_type_ids"] = [row[: len(each)].tolist() for row, each in zip(types, ids, strict=True)]
    with torch.no_grad():
        padded = model(**tokenizer.pad(batch, padding_side="right", return_tensors="pt")).logits
    torch.testing.assert_close(padded, expected, atol=1e-5, rtol=0)
    again = _load(tmp_path / "saved", trained=True)
    torch.testing.assert_close(_rewards(again, ids), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(_rewards(classifier, ids).mean(1, keepdim=True), expected)  # saving changes nothing


def test_what_is_saved_names_no_attention_of_ours(tiny_reward: Path, tmp_path: Path) -> None:
    _load(tiny_reward).save(tmp_path / "saved")
    assert "rrm" not in (tmp_path / "saved" / "config.json").read_text()
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"] and config["pad_token_id"] == 3


def test_a_missing_padding_token_is_added_with_a_row_of_its_own(tiny_base: Path) -> None:
    classifier = _load(tiny_base)
    assert classifier.tokenizer.pad_token == PAD
    pad = classifier.tokenizer.pad_token_id
    assert pad == classifier.model.config.pad_token_id == 24 != classifier.tokenizer.eos_token_id
    assert classifier.model.get_input_embeddings().num_embeddings == 25


def test_a_spare_row_of_the_vocabulary_takes_the_padding_token(tiny_reward: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_reward, tmp_path / "copy"))
    chat_tokenizer(pad=None).save_pretrained(copy)
    classifier = _load(copy)
    assert classifier.model.get_input_embeddings().num_embeddings == 32
    assert classifier.tokenizer.pad_token_id == classifier.model.config.pad_token_id == 24


# ---- heads ----


def test_a_new_head_is_drawn_by_the_seed_and_its_members_apart(tiny_base: Path) -> None:
    one, again, other = (_head(_load(tiny_base, members=4, seed=seed)).weight for seed in (1, 1, 2))
    assert one.shape == (4, 16) and torch.equal(one, again)
    assert bool((one != other).any(dim=1).all())
    assert float(torch.pdist(one.detach()).min()) > 0.05
    widths = one.detach().std(dim=1)
    assert float(widths.max() / widths.min()) < 2  # the first, which transformers drew, is as wide as the others


def test_members_of_a_trained_head_start_from_it(tiny_reward: Path) -> None:
    model, _ = _stock(tiny_reward)
    head = _head(_load(tiny_reward, members=3, trained=True))
    assert torch.equal(head.weight, model.score.weight.expand(3, 16)) and head.bias is None


def test_an_encoder_s_head_keeps_its_bias(tiny_pairs: Path) -> None:
    model, _ = _stock(tiny_pairs)
    head = _head(_load(tiny_pairs, members=2))
    assert torch.equal(head.bias, model.classifier.bias.expand(2))


def test_a_head_computes_in_float32_under_autocast_too() -> None:
    head = Head(16, 2)
    states = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    expected = (states @ head.weight.T + head.bias).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = head(states)
        half = head(states.bfloat16()).detach()
    assert found.dtype == half.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    assert float((half - expected).abs().max()) < 0.05
    assert head.double()(states.double()).dtype == torch.float64


def test_bfloat16_is_asked_for_by_name_and_weights_stay_in_float32(tiny_reward: Path) -> None:
    classifier = load_classifier(str(tiny_reward), device="cpu", dtype="bfloat16")
    assert classifier.autocast and not _load(tiny_reward).autocast
    assert {each.dtype for each in classifier.model.parameters()} == {torch.float32}


# ---- how much is read at once ----


def test_a_roberta_s_positions_begin_behind_its_padding(tmp_path: Path, tiny_pairs: Path) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    copy = Path(shutil.copytree(tiny_pairs, tmp_path / "copy"))
    config = RobertaConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=1,
        max_position_embeddings=20, pad_token_id=1,
    )  # fmt: skip
    model = RobertaForSequenceClassification(config).eval()
    model.save_pretrained(copy)
    positions = _load(copy).positions
    assert positions == 18
    model(input_ids=torch.full((1, positions), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, positions + 1), 5))


def test_where_a_longer_neighbour_would_turn_a_text_s_positions_only_short_texts_are_read(
    tmp_path: Path, tiny_reward: Path
) -> None:
    from transformers import Phi3Config, Phi3ForSequenceClassification

    copy = Path(shutil.copytree(tiny_reward, tmp_path / "copy"))
    rotary = {
        "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4,
        "factor": 4.0,
    }  # fmt: skip
    config = Phi3Config(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=1,
        max_position_embeddings=64, original_max_position_embeddings=16, pad_token_id=3, rope_parameters=rotary,
    )  # fmt: skip
    Phi3ForSequenceClassification(config).save_pretrained(copy)
    assert _load(copy).positions == 16


# ---- refusals, in one sentence each ----


def _two_labels(folder: Path, to: Path) -> Path:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    copy = Path(shutil.copytree(folder, to))
    config = LlamaConfig.from_pretrained(folder)
    config.num_labels = 2
    LlamaForSequenceClassification(config).save_pretrained(copy)
    return copy


def _custom_code(folder: Path, to: Path) -> Path:
    return _changed(folder, to, auto_map={"AutoModel": "evil--repo/code.Class"})


def _pad_is_end(folder: Path, to: Path) -> Path:
    copy = Path(shutil.copytree(folder, to))
    tokenizer = chat_tokenizer(pad=None)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(copy)
    return copy


def _no_tokenizer(folder: Path, to: Path) -> Path:
    copy = Path(shutil.copytree(folder, to))
    for file in copy.glob("tokenizer*"):
        file.unlink()
    return copy


def _slow_tokenizer(folder: Path, to: Path) -> Path:
    copy = _no_tokenizer(folder, to)
    (copy / "vocab.json").write_text(json.dumps({"<unk>": 0, "the": 1, "cat": 2}))
    (copy / "merges.txt").write_text("#version: 0.2\nt h\n")
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CTRLTokenizer", "unk_token": "<unk>"}))
    return copy


def _damaged_weights(folder: Path, to: Path) -> Path:
    copy = Path(shutil.copytree(folder, to))
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-100])
    return copy


def _a_layer_lost(folder: Path, to: Path) -> Path:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, to))
    weights = {name: each for name, each in load_file(copy / "model.safetensors").items() if "layers.1." not in name}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def _other_head(folder: Path, to: Path) -> Path:
    from transformers import XLNetConfig, XLNetForSequenceClassification

    copy = Path(shutil.copytree(folder, to))
    config = XLNetConfig(vocab_size=32, d_model=16, n_layer=1, n_head=2, d_inner=32, num_labels=1)
    XLNetForSequenceClassification(config).save_pretrained(copy)
    return copy


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_two_labels, "classifies into 2 labels"),
        (_custom_code, "auto_map"),
        (_pad_is_end, "pads with its end-of-sequence token '</s>'"),
        (_no_tokenizer, "has no tokenizer that can be read: save it with a tokenizer.json"),
        (_slow_tokenizer, "only a slow tokenizer"),
        (_damaged_weights, "cannot be read"),
        (_a_layer_lost, "no whole checkpoint: it has no model.layers.1"),
        (_other_head, r"XLNetForSequenceClassification\) has no single linear head with one label"),
    ],
)
def test_a_checkpoint_that_cannot_be_a_reward_model_is_refused(
    spoil: Callable[[Path, Path], Path], said: str, tiny_reward: Path, tmp_path: Path
) -> None:
    copy = spoil(tiny_reward, tmp_path / "copy")
    with pytest.raises(InputError, match=said) as caught:
        _load(copy)
    assert "\n" not in str(caught.value) and str(copy) in str(caught.value)


def test_a_language_model_is_no_trained_reward_model(tiny_base: Path) -> None:
    with pytest.raises(InputError, match=r"no trained reward model: it has no score\.weight"):
        _load(tiny_base, trained=True)


def test_a_language_model_with_the_usual_two_labels_unused_is_accepted(tiny_base: Path, tmp_path: Path) -> None:
    copy = _changed(tiny_base, tmp_path / "copy", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert _head(_load(copy)).out_features == 1
