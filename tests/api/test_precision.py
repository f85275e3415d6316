"""A run computes its vectors in one precision, whichever processors it runs on one after the other."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api.wiring import PRECISION
from rrm.api.worker import Models
from rrm.backbone import load
from rrm.core.errors import InputError
from rrm.core.protocols import RewardModel
from rrm.core.values import Fitted
from rrm.pipeline.stages import FitJob
from rrm.store.record import open_store
from tests.reward.joint_problems import save_encoder
from tests.scenarios import SMALL

PRECISIONS = {False: "float32", True: "bfloat16"}
"""What `auto` comes to without and with instructions for bfloat16."""


def on_processor(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    """Let everything take this processor for one with, or without, instructions for bfloat16."""
    monkeypatch.setattr(load, "cpu_has_bfloat16", lambda: bfloat16)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small run on CPU with a backbone so tiny that bfloat16 is quick without instructions, too."""
    backbone = save_encoder(tmp_path_factory.mktemp("encoder"))
    arguments = {"backbone": str(backbone), "members": 2, "folds": 2}
    table = deepcopy(SMALL) | {"flat": False, "reward": {"device": "cpu", "arguments": arguments}}
    table["target"]["trees"] = 1
    return table


def begin(table: dict[str, Any], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until one model is fitted and saved, and stop there."""
    keep = Models.keep

    def keep_and_stop(models: Models, model: RewardModel, job: FitJob) -> Fitted:
        keep(models, model, job)
        raise InputError("stopped here")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="stopped here"):
        patch.setattr(Models, "keep", keep_and_stop)
        rrm.run(rrm.run_file(table), out, quiet=True)


def encoders(out: Path) -> set[str]:
    """Return the precisions of the encoders that a folder's models name."""
    files = list((out / "models").glob("*/model.json"))
    return {json.loads(file.read_text())["encoder"].rpartition(":")[2] for file in files}


@pytest.mark.parametrize("began", [False, True], ids=["without", "with"])
def test_a_run_goes_on_elsewhere_in_the_precision_that_it_began_with(
    table: dict[str, Any], began: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    on_processor(monkeypatch, began)
    begin(table, out, monkeypatch)
    with open_store(out, "read") as record:
        assert record.setting(PRECISION) == PRECISIONS[began]

    on_processor(monkeypatch, not began)
    report = rrm.resume(out, quiet=True)
    assert len(report.levels) > 1  # so a model was fitted on either processor
    assert encoders(out) == {PRECISIONS[began]}

    book = tmp_path / "book.txt"
    book.write_text("It was a dark night. " * 40)
    rrm.apply(out, [book], tmp_path / "applied", quiet=True)
    assert encoders(tmp_path / "applied") == {PRECISIONS[began]}


def test_another_precision_than_that_on_record_is_refused_in_a_sentence(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_processor(monkeypatch, True)
    begin(table, tmp_path / "run", monkeypatch)
    exact = deepcopy(table)
    exact["reward"]["dtype"] = "float32"
    with pytest.raises(InputError, match=r"run was begun in bfloat16 and cannot go on in float32: leave .* auto"):
        rrm.run(rrm.run_file(exact), tmp_path / "run", quiet=True)
    same = deepcopy(table)
    same["reward"]["dtype"] = "bfloat16"  # what `auto` came to, by its name
    begin(same, tmp_path / "run", monkeypatch)


def test_a_run_that_goes_on_with_a_device_that_is_not_there_is_refused_before_anything_is_done(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(table, tmp_path / "run", monkeypatch)
    elsewhere = deepcopy(table)
    elsewhere["reward"]["device"] = "cuda:99"
    stages: list[Any] = []
    with pytest.raises(InputError, match="no device 'cuda:99' here"):
        rrm.run(rrm.run_file(elsewhere), tmp_path / "run", quiet=True, on_event=stages.append)
    assert not stages
