"""Sentences of sources are encoded while outputs are proposed: what is on record is as if they were not."""

import threading
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.wiring import Parts
from rrm.api.worker import Models
from rrm.backbone.encoder import FrozenEncoder
from rrm.core.errors import InputError
from rrm.reward.frozen import Frozen
from tests.engines.fake import Fake
from tests.reward.joint_problems import save_encoder
from tests.scenarios import MEAN, SMALL
from tests.toys import on_record

AHEAD = "rrm prefetch"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small run with a tiny encoder."""
    arguments = {"backbone": str(save_encoder(tmp_path_factory.mktemp("encoder"))), "members": 2, "folds": 2}
    table = deepcopy(SMALL) | {"flat": False, "compose": MEAN, "reward": {"device": "cpu", "arguments": arguments}}
    table["target"]["trees"] = 1
    return table


@pytest.fixture(scope="module")
def alone(table: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the run where nothing is read ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "prefetching", None)
        return run(table, tmp_path_factory.mktemp("alone") / "run")


def run(table: dict[str, Any], out: Path) -> dict[str, Any]:
    rrm.run(rrm.run_file(table), out, quiet=True)
    return on_record(out)


def threads_ahead() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == AHEAD]


@pytest.fixture
def by_thread(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, str]]]:
    """What is encoded and by which encoder, by the name of the thread that does."""
    encoded: dict[str, list[tuple[str, str]]] = {}
    encode = FrozenEncoder.encode

    def watched(self: FrozenEncoder, texts: Sequence[str]) -> np.ndarray:
        encoded.setdefault(threading.current_thread().name, []).extend((self.name, text) for text in texts)
        return encode(self, texts)

    monkeypatch.setattr(FrozenEncoder, "encode", watched)
    return encoded


def test_a_run_that_reads_ahead_leaves_the_record_of_one_that_does_not_and_encodes_nothing_twice(
    table: dict[str, Any], alone: dict[str, Any], tmp_path: Path, by_thread: dict[str, list[tuple[str, str]]]
) -> None:
    assert run(table, tmp_path / "run") == alone
    everything = [each for encoded in by_thread.values() for each in encoded]
    assert len(everything) == len(set(everything))
    assert len(by_thread[AHEAD]) > len(everything) / 2 and not threads_ahead()


def test_what_goes_wrong_ahead_ends_the_run_where_it_is_needed_and_the_same_call_goes_on(
    table: dict[str, Any], alone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = FrozenEncoder.encode

    def failing(self: FrozenEncoder, texts: Sequence[str]) -> np.ndarray:
        if threading.current_thread().name == AHEAD:
            raise OSError("no memory for it")
        return encode(self, texts)

    with monkeypatch.context() as patch, pytest.raises(rrm.RrmError, match="no memory for it"):
        patch.setattr(FrozenEncoder, "encode", failing)
        run(table, tmp_path / "run")
    assert not threads_ahead()
    assert run(table, tmp_path / "run") == alone


def test_a_run_that_ends_early_reads_nothing_more_ahead(
    table: dict[str, Any], alone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(models: Models, *rest: Any) -> None:
        raise InputError("stopped here")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="stopped here"):
        patch.setattr(Models, "keep", stopped)
        run(table, tmp_path / "run")
    assert not threads_ahead()
    assert run(table, tmp_path / "run") == alone


def test_where_others_score_nothing_is_read_ahead_here(
    table: dict[str, Any], alone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "clusters", [])
    monkeypatch.setattr(Frozen, "prefetch", lambda self, passages: pytest.fail("read ahead"))
    assert run({**table, "engine": {"plugin": "tests.engines.fake:Fake"}}, tmp_path / "run") == alone
    assert Fake.clusters
