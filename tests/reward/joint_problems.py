"""A tiny decoder with a tokenizer, and judgements that it can learn: the better output has more good words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Passage, Ranking, Rated, Rating, Request, Shown, View

WORDS = tuple(f"w{number}" for number in range(120))
GOOD = frozenset(WORDS[:12])
EXACT: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
"""Where and how what is compared exactly is computed, whatever the processor has instructions for."""


def save_tokenizer(folder: Path, pad: bool = True, pad_is_eos: bool = False) -> Any:
    """Write a word tokenizer with bos, eos and (unless `pad` says no) a padding token; return it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: at for at, word in enumerate(["<unk>", "<s>", "</s>", "<pad>", *WORDS])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    if pad:
        special["pad_token"] = "</s>" if pad_is_eos else "<pad>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def save_decoder(folder: Path, positions: int = 128, pad: bool = True, **changes: Any) -> Path:
    """Write a tiny random Qwen3 with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": positions, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": 3 if pad else None,
    }  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(Qwen3Config(**{**settings, **changes})).save_pretrained(str(folder))
    save_tokenizer(folder, pad)
    return folder


def save_encoder(folder: Path) -> Path:
    """Write a tiny random BERT with a tokenizer that reads pairs."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import BertProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: at for at, word in enumerate(["[UNK]", "[CLS]", "[SEP]", "[PAD]", *WORDS])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **names).save_pretrained(str(folder))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, pad_token_id=3,
    )  # fmt: skip
    BertModel(config).save_pretrained(str(folder))
    return folder


def save_masked(folder: Path, family: str) -> Path:
    """Write a tiny random "roberta" or "bert" as it was pretrained, without what is between its trunk and a head."""
    import torch
    from transformers import AutoModelForMaskedLM, BertConfig, RobertaConfig

    save_encoder(folder)
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 70, "pad_token_id": 3, "type_vocab_size": 2,
    }  # fmt: skip
    config = RobertaConfig(**sizes, bos_token_id=1, eos_token_id=2) if family == "roberta" else BertConfig(**sizes)
    AutoModelForMaskedLM.from_config(config).save_pretrained(str(folder))
    return folder


def worth(text: str) -> int:
    """Return how many good words a text has."""
    return sum(word in GOOD for word in text.split())


def judged(sources: int, seed: int, outputs: int = 4, kind: str = "comparison", length: int = 6) -> list[Rated]:
    """Judgements that make no mistakes: all decided pairs, one ranking, or a rating of every output."""
    random = np.random.default_rng(seed)
    rows: list[Rated] = []
    for number in range(sources):
        name = f"s{seed}-{number}"
        view = View("", (Passage(" ".join(random.choice(WORDS, 15))),), 64)
        pool = [" ".join(random.choice(WORDS[:24] if random.random() < 0.5 else WORDS, length)) for _ in range(outputs)]
        texts = list(dict.fromkeys(pool))
        rows += [
            _rated(name, view, [texts[place] for place in shown], answer) for shown, answer in _answers(texts, kind)
        ]
    return rows


def _answers(texts: Sequence[str], kind: str) -> list[tuple[list[int], Answer]]:
    every = range(len(texts))
    if kind == "ranking":
        return [(list(every), Ranking(tuple(sorted(every, key=lambda at: -worth(texts[at])))))]
    if kind == "rating":
        return [([at], Rating(min(worth(texts[at]), 6) + 1)) for at in every]
    if kind == "label":
        return [([at], Label(worth(texts[at]) > 1)) for at in every]
    pairs = [(first, second) for second in every for first in range(second)]
    return [
        ([first, second], Comparison(0 if worth(texts[first]) > worth(texts[second]) else 1))
        for first, second in pairs
        if worth(texts[first]) != worth(texts[second])
    ]


def _rated(source: str, view: View, texts: Sequence[str], answer: Answer) -> Rated:
    shown = tuple(Shown(f"o{at}", text) for at, text in enumerate(texts))
    request = Request(f"n-{source}", source, Place(), answer.kind, view, shown)
    return Rated(request, Feedback(request.id, "r", answer))
