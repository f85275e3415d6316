"""Loading Hugging Face checkpoints without running anybody's code: safetensors and plain configs only."""

import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from rrm.backbone.alone import alone
from rrm.backbone.hub import model_folder
from rrm.backbone.offline import OFFLINE, is_offline
from rrm.backbone.tokens import HuggingFaceTokenizer, load_tokenizer
from rrm.core.errors import InputError

PRECISIONS = ("float32", "bfloat16")
DTYPES = ("auto", *PRECISIONS)
_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a config and safetensors, the digest of both (16 hexadecimal digits), and a vector's size."""

    name: str
    folder: Path
    dimensions: int

    @cached_property
    def digest(self) -> str:
        """All weights are read for it, so it is worked out when it is first asked for, and once for the same files."""
        files = [self.folder / "config.json", *sorted(self.folder.glob("*.safetensors"))]
        states = [file.stat() for file in files]
        return _digest(
            tuple((file, state.st_size, state.st_mtime_ns) for file, state in zip(files, states, strict=True))
        )

    @property
    def tokenizer(self) -> HuggingFaceTokenizer:
        """The checkpoint's fast tokenizer; loading it again costs nothing."""
        return load_tokenizer(self.name if is_offline(self.name) else str(self.folder))


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Return the digest of files, each with its size and time: with others they are read again."""
    digest = blake2b(digest_size=8)
    for file, _, _ in files:
        with file.open("rb") as opened:
            digest.update(file_digest(opened, "sha256").digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Backbone:
    """A loaded model in evaluation mode on its device; `positions` is the most tokens it reads at once."""

    model: Any
    positions: int
    autocast: bool


def find_checkpoint(name: str) -> Checkpoint:
    """Find `minilm`, `smollm`, a folder, or a Hugging Face name (its cached copy first, else it is downloaded).

    Raises InputError if there is none (`rrm.backbone.hub`), if it has no safetensors, or if its config asks for code:
    an `auto_map`, or keys ending in `_internal`, which some versions of transformers obeyed
    even with trust_remote_code=False (CVE-2026-4372).
    """
    folder = OFFLINE[name]() if is_offline(name) else model_folder(name, "backbone", _FILES, "*.safetensors")
    config = _config(name, folder)
    suspicious = sorted({key for key in _keys(config) if key == "auto_map" or key.endswith("_internal")})
    if suspicious:
        raise InputError(f"the config of backbone {name!r} asks to run code ({', '.join(suspicious)}): refused")
    if not any(folder.glob("*.safetensors")):
        raise InputError(f"backbone {name!r} has no .safetensors file in {folder}: convert it first")
    sizes = [config[key] for key in ("hidden_size", "n_embd", "d_model", "dim") if isinstance(config.get(key), int)]
    if not sizes:
        raise InputError(f"the config of backbone {name!r} does not say its hidden_size: text models only")
    return Checkpoint(name, folder, sizes[0])


ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "electra", "deberta-v2", "modernbert"})
"""Kinds of models that are known not to be causal without asking transformers, whose import takes seconds."""


@alone
def is_decoder(checkpoint: Checkpoint) -> bool:
    """Say whether a checkpoint is a causal model, which reads a text from one end; an encoder is none."""
    if _config(checkpoint.name, checkpoint.folder).get("model_type") in ENCODERS:
        return False
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(checkpoint.folder), trust_remote_code=False)
    except Exception as error:  # an unknown kind of model, or a config that contradicts itself
        raise InputError(f"the config of {checkpoint.name!r} cannot be read: {first_line(error)}") from error
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING


@alone
def load_backbone(checkpoint: Checkpoint, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load the trunk (no head) of an encoder or a causal model; InputError if it cannot be read."""
    import torch
    from transformers import AutoModel

    place, autocast = resolve(device, dtype)
    with quiet():
        try:
            model, found = AutoModel.from_pretrained(
                str(checkpoint.folder), trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
                output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # a damaged file fails in as many ways as there are libraries below
            raise InputError(f"backbone {checkpoint.name!r} cannot be read: {first_line(error)}") from error
    whole(checkpoint.name, found["missing_keys"])
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    model = model.eval().requires_grad_(False).to(place)
    positions = int(getattr(model.config, "max_position_embeddings", None) or 512)
    return Backbone(model, positions, autocast)


def whole(name: str, missing: Iterable[str]) -> None:
    """Raise InputError for weights that a checkpoint lacks, which would be drawn anew whenever it is loaded.

    A pooler is not read, and may be missing.
    """
    if lacks := sorted(key for key in missing if "pooler" not in key):
        raise InputError(f"{name!r} is no whole checkpoint: it has no {', '.join(lacks[:3])}")


def fitting(name: str, mismatched: Collection[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    """Raise InputError for weights of a checkpoint that have other shapes than its config says."""
    if mismatched:
        key, kept, made = min(mismatched)
        raise InputError(
            f"{name!r} does not fit its config: {key} has the shape {list(kept)}, and {list(made)} by the config"
        )


def resolve(device: str, dtype: str) -> tuple[str, bool]:
    """Return the torch device and whether matrix products run in bfloat16.

    `auto` takes CUDA where there is one, and bfloat16 on CUDA and on CPUs with instructions for it;
    elsewhere it would be slower than float32, not faster.
    """
    import torch

    if dtype not in DTYPES:
        raise InputError(f"dtype is one of {', '.join(DTYPES)}, got {dtype!r}")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        kind = torch.device(place).type
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"no device {device!r} here: {first_line(error)}") from error
    if kind == "meta":
        raise InputError("device 'meta' holds no numbers, so nothing is computed there: name another, or auto")
    if dtype != "auto":
        return place, dtype == "bfloat16"
    return place, cpu_has_bfloat16() if kind == "cpu" else kind == "cuda"


def cpu_has_bfloat16() -> bool:
    """Say whether this processor multiplies matrices of bfloat16 by instructions (AVX512-BF16 or AMX)."""
    import torch

    has: Mapping[str, Any] = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("amx_tile"))


def precision_name(autocast: bool) -> str:
    """Return the `dtype` that stands for matrix products in bfloat16, or for those in float32."""
    return "bfloat16" if autocast else "float32"


def _config(name: str, folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return dict(config)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"backbone {name!r} has no readable config.json in {folder}") from error


def _keys(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars, reporting new heads, and warning of names that other libraries still use."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
