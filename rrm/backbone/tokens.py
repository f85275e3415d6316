"""Tokenizers: exact token counts and offsets, from MiniLM's or any Hugging Face tokenizer."""

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from rrm.backbone.alone import alone
from rrm.backbone.hub import model_folder
from rrm.backbone.offline import OFFLINE, is_offline
from rrm.core.errors import InputError

_FILES = ["*.json", "*.txt", "*.model"]


class HuggingFaceTokenizer:
    """A fast tokenizer without special tokens, truncation or padding."""

    def __init__(self, backend: Any, name: str) -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.name = f"{name}#{blake2b(backend.to_str().encode(), digest_size=4).hexdigest()}"

    def count(self, text: str) -> int:
        return len(self._backend.encode(valid(text), add_special_tokens=False).ids)

    def ends(self, text: str) -> np.ndarray:
        offsets = self._backend.encode(valid(text), add_special_tokens=False).offsets
        return np.asarray([end for _, end in offsets], dtype=np.int64)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, the model's special tokens included."""
        return [encoding.ids for encoding in self._backend.encode_batch([*map(valid, texts)], add_special_tokens=True)]

    def cut(self, text: str, limit: int) -> str:
        """Return the text's first `limit` tokens, or all of it if it has no more."""
        ends = self.ends(text)
        return text if len(ends) <= limit else text[: int(ends[limit - 1])] if limit > 0 else ""


@lru_cache(maxsize=8)
@alone
def load_tokenizer(name: str = "minilm") -> HuggingFaceTokenizer:
    """Load `minilm`, `smollm`, a tokenizer.json, or a Hugging Face name or folder.

    Raises InputError if there is none, or only a slow one.
    """
    from tokenizers import Tokenizer

    file = Path(name).expanduser() if name.endswith(".json") else _folder(name) / "tokenizer.json"
    if file.is_file():
        return HuggingFaceTokenizer(Tokenizer.from_file(str(file)), name)
    if name.endswith(".json"):
        raise InputError(f"no file {name}: give a tokenizer.json, a folder with one, or a Hugging Face name")
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(str(file.parent), trust_remote_code=False).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"no fast tokenizer in {name!r}: name a model that has a tokenizer.json") from error
    return HuggingFaceTokenizer(backend, name)


def _folder(name: str) -> Path:
    if not is_offline(name):
        return model_folder(name, "tokenizer", _FILES, "tokenizer*")
    try:
        return OFFLINE[name]()
    except InputError as error:
        raise InputError(f"tokens are counted by the tokenizer of {name!r}, but {error}") from error


def valid(text: str) -> str:
    """Return the text with each lone surrogate, which UTF-8 cannot hold, as a question mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
