"""Loading checkpoints: what is accepted, and what is refused in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rrm.backbone import load
from rrm.backbone.encoder import FrozenEncoder
from rrm.backbone.load import ENCODERS, find_checkpoint, is_decoder, load_backbone, resolve
from rrm.core.errors import InputError


def _copy(folder: Path, to: Path, **changes: object) -> str:
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return str(to)


@pytest.mark.parametrize("key", ["auto_map", "_attn_implementation_internal", "_experts_implementation_internal"])
def test_a_config_that_could_run_code_is_refused_by_the_key_s_name(key: str, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=key):
        find_checkpoint(_copy(tiny_bert, tmp_path / "copy", **{key: "evil--repo/code.Class"}))


def test_such_a_key_is_found_at_any_depth(tiny_bert: Path, tmp_path: Path) -> None:
    nested = {"text_config": {"deeper": [{"_thing_internal": "x"}]}}
    with pytest.raises(InputError, match="_thing_internal"):
        find_checkpoint(_copy(tiny_bert, tmp_path / "copy", **nested))


def test_a_folder_without_safetensors_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    copy = Path(_copy(tiny_bert, tmp_path / "copy"))
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        find_checkpoint(str(copy))


def test_damaged_weights_are_refused_in_one_line(tiny_bert: Path, tmp_path: Path) -> None:
    copy = Path(_copy(tiny_bert, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_backbone(find_checkpoint(str(copy)), "cpu", "float32")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_lacks_a_layer_is_no_encoder(tiny_bert: Path, tmp_path: Path) -> None:
    folder = Path(_copy(tiny_bert, tmp_path / "part"))
    weights = load_file(folder / "model.safetensors")
    lost = "encoder.layer.1."
    kept = {name: each for name, each in weights.items() if lost not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"is no whole checkpoint: it has no encoder\.layer\.1"):
        load_backbone(find_checkpoint(str(folder)), "cpu", "float32")


@pytest.mark.parametrize("content", [None, "{", "[1, 2]", "{}"])
def test_a_missing_or_broken_config_is_refused(content: str | None, tiny_bert: Path, tmp_path: Path) -> None:
    copy = Path(_copy(tiny_bert, tmp_path / "copy"))
    (copy / "config.json").unlink()
    if content is not None:
        (copy / "config.json").write_text(content)
    with pytest.raises(InputError, match="config"):
        find_checkpoint(str(copy))


def test_a_missing_folder_is_refused_without_asking_the_network() -> None:
    with pytest.raises(InputError, match="no folder"):
        FrozenEncoder("./no/such/folder")


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_not_taken_for_the_folder_that_one_is_in(name: str) -> None:
    with pytest.raises(InputError, match="the name of the backbone is empty: name `minilm`"):
        find_checkpoint(name)


def test_the_digest_changes_with_a_single_weight(tiny_bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(_copy(tiny_bert, tmp_path / "copy"))
    (copy / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    before = find_checkpoint(str(tiny_bert)).digest
    assert find_checkpoint(str(copy)).digest == before
    weights = load_file(copy / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert find_checkpoint(str(copy)).digest != before


def test_causal_models_are_told_from_encoders(tiny_bert: Path, tiny_llama: Path) -> None:
    assert is_decoder(find_checkpoint(str(tiny_llama)))
    assert not is_decoder(find_checkpoint(str(tiny_bert)))


def test_the_encoders_known_by_name_are_those_that_transformers_takes_for_no_causal_models() -> None:
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    for kind in ENCODERS:
        config = CONFIG_MAPPING[kind]
        assert config in MODEL_FOR_MASKED_LM_MAPPING or config not in MODEL_FOR_CAUSAL_LM_MAPPING, kind


def test_a_model_of_an_unknown_kind_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    copy = _copy(tiny_bert, tmp_path / "copy", model_type="never-heard-of")
    with pytest.raises(InputError, match="config") as caught:
        is_decoder(find_checkpoint(copy))
    assert "\n" not in str(caught.value)


def test_devices_and_dtypes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="dtype"):
        resolve("cpu", "float8")
    with pytest.raises(InputError, match="no device"):
        resolve("abacus", "auto")
    with pytest.raises(InputError, match="device 'meta' holds no numbers"):
        resolve("meta", "auto")


def test_asking_for_a_dtype_decides_it() -> None:
    assert resolve("cpu", "bfloat16") == ("cpu", True)
    assert resolve("cpu", "float32") == ("cpu", False)
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve("auto", "auto")[0] == expected


@pytest.mark.parametrize(("instructions", "precision"), [(False, "float32"), (True, "bfloat16")])
def test_auto_takes_bfloat16_only_where_the_processor_has_instructions_for_it(
    instructions: bool, precision: str, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "cpu_has_bfloat16", lambda: instructions)
    assert resolve("cpu", "auto") == ("cpu", instructions)
    assert resolve("cpu", "float32") == ("cpu", False)
    assert resolve("cpu", "bfloat16") == ("cpu", True)
    auto = FrozenEncoder(str(tiny_bert), device="cpu")
    assert auto.precision == precision
    assert auto.name == FrozenEncoder(str(tiny_bert), device="cpu", dtype=precision).name
    assert auto.backbone.autocast is instructions


@pytest.mark.parametrize(
    ("capabilities", "found"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
    ],
)
def test_instructions_for_bfloat16_are_found_by_their_names(
    capabilities: dict[str, bool], found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert load.cpu_has_bfloat16() is found
