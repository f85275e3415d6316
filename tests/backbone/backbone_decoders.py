"""Tiny decoders with random weights, their tokenizer, groups of tokens, and what reading one text at a time gives."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Groups = list[list[np.ndarray]]

_SIZES: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
_GPT2: dict[str, Any] = {
    "vocab_size": 100, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
_WINDOW = 6
"""Tokens that a windowed layer looks back; all sources but one below are longer."""

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", _SIZES | {"num_key_value_heads": 2}),
    "qwen2": ("Qwen2Config", _SIZES | {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3Config", _SIZES | {"num_key_value_heads": 2, "head_dim": 16}),
    "gemma": ("GemmaConfig", _SIZES | {"num_key_value_heads": 1, "head_dim": 8}),
    "gemma2": ("Gemma2Config", _SIZES | {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": _WINDOW}),
    "gemma3": ("Gemma3TextConfig", _SIZES | {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": _WINDOW}),
    "mistral": ("MistralConfig", _SIZES | {"num_key_value_heads": 2, "sliding_window": _WINDOW}),
    "gpt2": ("GPT2Config", _GPT2),
    "neox": ("GPTNeoXConfig", _SIZES),
    "phi": ("PhiConfig", _SIZES),
    "olmo2": ("Olmo2Config", _SIZES),
}
"""Config class and arguments by family."""


def decoder(family: str, attention: str | None = None, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """Return a decoder without head; the same weights at every call, dropout off, transformers' choice of attention."""
    import transformers

    name, arguments = FAMILIES[family]
    config = getattr(transformers, name)(**copy.deepcopy(arguments | changes))
    torch.manual_seed(1)
    return transformers.AutoModel.from_config(config, attn_implementation=attention).to(dtype).eval()


def group(random: np.random.Generator, source: int, outputs: Iterable[int]) -> list[np.ndarray]:
    """Return sequences, int32, of one random source of so many tokens and behind it outputs of so many each."""
    shared = random.integers(3, 100, source)
    return [np.concatenate([shared, random.integers(3, 100, size)]).astype(np.int32) for size in outputs]


def ragged(seed: int = 0) -> Groups:
    """Return groups of 3, 1, 2 and 2 outputs, the last without a shared source."""
    random = np.random.default_rng(seed)
    sizes = [(11, (4, 7, 3)), (5, (6,)), (9, (4, 4)), (0, (3, 5))]
    return [group(random, source, outputs) for source, outputs in sizes]


def flat(groups: Groups) -> list[np.ndarray]:
    return [sequence for each in groups for sequence in each]


def read_alone(model: Any, sequences: Sequence[np.ndarray]) -> Tensor:
    """Return the last token's state of each sequence, [sequences, size], each read by itself as transformers does."""
    ids = [torch.from_numpy(each.astype(np.int64))[None] for each in sequences]
    return torch.stack([model(input_ids=each, use_cache=False).last_hidden_state[0, -1] for each in ids])


def chat_tokenizer(pad: str | None = "<pad>", eos: str | None = "</s>") -> Any:
    """Return a fast tokenizer of whole words that begins texts with <s>, and has a chat template that does too."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    text = "user assistant the cat sat on a mat dog ran far away and then came home again . , ca t"
    specials = [each for each in ("<unk>", "<s>", "</s>", pad) if each is not None]
    vocabulary = {word: at for at, word in enumerate([*specials, *text.split()])}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token=eos, pad_token=pad
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for each in messages %}{{ each.role }} {{ each.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    return tokenizer
