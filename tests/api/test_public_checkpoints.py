"""Reward checkpoints that others made score as their cards say: as plain transformers does behind their template."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rrm.api.chat import chat_template
from rrm.api.scoring import Opening, score
from rrm.core.errors import InputError
from rrm.interchange.joins import Columns

ASKED = [{"role": "user", "content": "Where is it?"}]
BRIEF = [{"role": "system", "content": "Be brief."}, *ASKED]
TALK = [*ASKED, {"role": "assistant", "content": "Here."}, {"role": "user", "content": "Sure?"}]
PROMPTS = [ASKED, BRIEF, TALK]
HERE, THERE = ([{"role": "assistant", "content": text}] for text in ("It is here.", "Over there, I think."))
TURNS = [*HERE, TALK[2], *THERE]

_EACH = "{% for m in messages %}"
_DONE = "{% endfor %}{% if add_generation_prompt %}"
CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + _EACH
    + "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n" + _DONE + "<|im_start|>assistant\n{% endif %}"
)  # fmt: skip
THINKS = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
TEMPLATES = {
    "a mark that ends the sequence": "{{ bos_token }}" + _EACH + "<{{ m.role }}> {{ m.content }}{{ eos_token }}" + _DONE
    + "<assistant> {% endif %}",
    "a mark of its own and a line break": CHATML,
    "a prompt that asks for thoughts": THINKS,
    "words that are no tokens": _EACH + "### {{ m.role }}: {{ m.content | trim }}\n\n" + _DONE
    + "### assistant:{% endif %}",
    "no mark at all": "{{ bos_token }}" + _EACH + "[{{ m.role }}] {{ m.content }}" + _DONE + "[assistant] {% endif %}",
}  # fmt: skip


def letters_tokenizer(template: str | None, begins: bool) -> Any:
    """Return a fast tokenizer of single bytes, in which every mark and line break counts."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: at for at, token in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if begins:
        backend.post_processor = TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=specials[4:],
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


def reward_model(
    folder: Path, template: str | None, begins: bool = True, family: str = "Llama", labels: int = 1
) -> Path:
    """Write a tiny random checkpoint for sequence classification as others publish them."""
    import transformers

    torch.manual_seed(5)
    sizes: dict[str, Any] = {
        "vocab_size": 270, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 512, "pad_token_id": 3,
        "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.4, "num_labels": labels,
    }  # fmt: skip
    config = getattr(transformers, f"{family}Config")(**sizes)
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(folder)
    letters_tokenizer(template, begins).save_pretrained(folder)
    return folder


def scores(folder: Path, rows: list[dict[str, Any]], **options: Any) -> list[Any]:
    lines: list[str] = []
    score(Opening(folder, "cpu", "float32"), rows, None, lines.append, lambda note: None, **options)
    return [json.loads(line)["score"] for line in lines]


def by_card(folder: Path, talk: list[dict[str, Any]]) -> float:
    """Return what a card's own few lines give: the template of the whole, and the model's logit."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer.apply_chat_template(talk, tokenize=True, return_dict=False)
    with torch.no_grad():
        return float(model(torch.tensor([ids])).logits[0, 0])


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("begins", [True, False])
def test_a_chat_model_scores_what_its_template_makes_of_the_whole(tmp_path: Path, template: str, begins: bool) -> None:
    folder = reward_model(tmp_path, TEMPLATES[template], begins)
    rows = [{"prompt": prompt, "chosen": HERE, "rejected": TURNS} for prompt in PROMPTS]
    found = scores(folder, rows)
    for prompt, each in zip(PROMPTS, found, strict=True):
        assert each["chosen"] == pytest.approx(by_card(folder, [*prompt, *HERE]), abs=1e-4)
        assert each["rejected"] == pytest.approx(by_card(folder, [*prompt, *TURNS]), abs=1e-4)
    whole = [{"chosen": [*prompt, *HERE], "rejected": [*prompt, *TURNS]} for prompt in PROMPTS]
    assert [each["chosen"] for each in scores(folder, whole)] == pytest.approx([each["chosen"] for each in found])


def test_a_text_of_the_template_is_scored_as_its_messages_are(tmp_path: Path) -> None:
    folder = reward_model(tmp_path, CHATML)
    render = chat_template(folder)
    assert render is not None
    prompt = render(ASKED)
    plain = {"prompt": prompt, "completion": render([*ASKED, *HERE])[len(prompt) :]}
    one, other = scores(folder, [plain, {"prompt": ASKED, "completion": HERE}])
    assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("family", ["Qwen2", "Mistral", "GPTNeoX"])
def test_decoders_of_other_families_score_as_their_cards_say(tmp_path: Path, family: str) -> None:
    folder = reward_model(tmp_path, CHATML, family=family)
    (found,) = scores(folder, [{"prompt": BRIEF, "completion": HERE}])
    assert found == pytest.approx(by_card(folder, [*BRIEF, *HERE]), abs=1e-4)


def test_an_encoder_whose_head_has_a_bias_reads_prompt_and_reply_as_a_pair(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertForSequenceClassification

    folder = reward_model(tmp_path, None, family="Bert")
    model: Any = BertForSequenceClassification.from_pretrained(folder)
    torch.nn.init.constant_(model.classifier.bias, 0.7)
    model.save_pretrained(folder)
    (found,) = scores(folder, [{"prompt": "Where is it?", "completion": "Here."}])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = float(plain(**tokenizer("Where is it?", "Here.", return_tensors="pt")).logits[0, 0])
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_checkpoint_of_several_labels_is_refused_by_name(tmp_path: Path) -> None:
    folder = reward_model(tmp_path, CHATML, labels=5)
    with pytest.raises(InputError, match=f"'{folder}' classifies into 5 labels; a reward model has one"):
        scores(folder, [{"prompt": ASKED, "completion": HERE}])


def test_calls_that_a_template_passes_over_are_written_as_words(tmp_path: Path) -> None:
    folder = reward_model(tmp_path, CHATML)
    called = [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": {}}}]}]
    in_words = [{"role": "assistant", "content": "look({})"}]
    one, other = scores(folder, [{"prompt": ASKED, "completion": each} for each in (called, in_words)])
    assert one == other != scores(folder, [{"prompt": ASKED, "completion": HERE}])[0]
    with pytest.raises(InputError, match="row 1: the model's chat template shows no calls of tools: in 1 text"):
        scores(folder, [{"prompt": ASKED, "completion": called}], strict=True)


def test_a_template_that_shows_calls_is_given_them_whole(tmp_path: Path) -> None:
    shows = CHATML.replace("{{ m.content }}", "{{ m.content }}{% for c in m.tool_calls %}{{ c | tojson }}{% endfor %}")
    folder = reward_model(tmp_path, shows)
    called = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]}]
    (found,) = scores(folder, [{"prompt": ASKED, "completion": called}])
    assert found == pytest.approx(by_card(folder, [*ASKED, *called]), abs=1e-4)


def test_notes_of_scoring_say_what_was_taken_for_what(tmp_path: Path) -> None:
    folder = reward_model(tmp_path, CHATML)
    rows = [{"source": "mix", "chosen": [*prompt, *HERE], "rejected": [*prompt, *THERE]} for prompt in PROMPTS]
    notes: list[str] = []
    found = score(Opening(folder, "cpu", "float32"), rows, None, lambda line: None, notes.append)
    assert [each.split(": ", 1)[1] for each in notes] == found["notes"]
    assert found["notes"][0].startswith("`source` holds 1 short label over 3 prompts")
    assert found["notes"][1].startswith("rows without a prompt: 3")
    with pytest.raises(InputError, match=r"the data set given: `source` holds .*refused by --strict"):
        scores(folder, rows, strict=True)
    with pytest.raises(InputError, match=r"row 1: rows without a prompt: 1; .*refused by --strict"):
        scores(folder, rows, strict=True, columns=Columns(source_column="source"))
