"""Fits by several workers as one process group: the same twice, killed or not, and what cannot be is refused."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import rrm
from rrm.api import elsewhere, ranks
from rrm.api.forecast import forecast
from rrm.api.kept_states import KeptStates
from rrm.core.errors import ConfigError, InputError, PluginError, Terminated
from rrm.core.values import Scored
from rrm.engines.apart import Wanted, ranks_of
from rrm.engines.group import Ranks
from rrm.reward import launch
from rrm.reward.launch import FollowingRank
from rrm.store import open_store
from tests.engines.fake import Fake
from tests.engines.test_remote_runs import FAKE, files_of
from tests.reward.joint_problems import save_decoder
from tests.toys import TOYS, on_record

FIT = {"steps": ["fit"], "ranks": 2}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Fake, "clusters", [])


def run(table: dict[str, Any], out: Path, engine: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    asked = {} if engine is None else {"engine": {**engine, "arguments": {**FIT, **arguments}}}
    rrm.run(rrm.run_file({**table, **asked}), out, quiet=True)
    return on_record(out)


# ---- a fine-tuned level ----


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of one level, whose model is fine-tuned in some eighty updates."""
    decoder = save_decoder(tmp_path_factory.mktemp("decoder"))
    arguments = {"backbone": str(decoder), "members": 2, "epochs": 30, "rows_per_update": 4, "save_every": 10}
    arguments |= {"device": "cpu", "dtype": "float32"}
    reward = {"plugin": "rrm.reward.tuned:Tuned", "arguments": arguments}
    return {**TOYS, "decomposer": {"plugin": "tests.engines.slow_parts:Undivided"}, "reward": reward}


@pytest.fixture(scope="module")
def undisturbed(tuned: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    run(tuned, out, FAKE)
    return out


@pytest.fixture
def followers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FollowingRank]]:
    begun: list[FollowingRank] = []

    class Following(FollowingRank):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            begun.append(self)

    monkeypatch.setattr(ranks, "FollowingRank", Following)
    yield begun
    assert all(each._process.poll() is not None for each in begun), "a rank is left behind"


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each training that is begun, whether it goes on from a checkpoint."""
    found: list[bool] = []
    begin = ranks.Lead.begin

    def beginning(self: ranks.Lead, folder: Path, port: int) -> None:
        found.append((folder / "state" / "state.json").is_file())
        begin(self, folder, port)

    monkeypatch.setattr(ranks.Lead, "begin", beginning)
    return found


def once_kept(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Do something once the first checkpoint is in the run's folder."""
    kept = KeptStates.name
    named: list[int] = []

    def name(self: KeptStates, content: Any, count: int) -> None:
        kept(self, content, count)
        named.append(count)
        if len(named) == 1:
            [state] = [file for file in content if file.endswith("state.json")]
            assert (self._folder / content[state][1]).is_file()
            do()

    monkeypatch.setattr(KeptStates, "name", name)


def test_a_fit_whose_rank_is_killed_goes_on_from_the_runs_folder_and_learns_what_one_process_does(
    tuned: dict[str, Any],
    followers: list[FollowingRank],
    resumed: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once_kept(monkeypatch, lambda: followers[0]._process.kill())
    run(tuned, tmp_path / "killed", FAKE)
    assert len(followers) == 2 and resumed == [False, True]
    assert not (tmp_path / "killed" / "work").exists(), "what is on record is not gone on from"
    run(tuned, tmp_path / "here")
    assert_alike(tmp_path / "killed", tmp_path / "here")


@pytest.mark.slow
def test_a_run_that_is_ended_ends_its_ranks_and_goes_on_from_its_folder(
    tuned: dict[str, Any],
    undisturbed: Path,
    followers: list[FollowingRank],
    resumed: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once_kept(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Terminated):
        run(tuned, tmp_path / "ended", FAKE)
    assert [each._process.poll() is None for each in followers] == [False]
    assert run(tuned, tmp_path / "ended", FAKE) == on_record(undisturbed)
    assert resumed == [False, True]
    assert files_of(tmp_path / "ended" / "models") == files_of(undisturbed / "models")


@pytest.mark.slow
def test_another_number_of_ranks_begins_anew_and_learns_the_same(
    tuned: dict[str, Any], undisturbed: Path, tmp_path: Path
) -> None:
    run(tuned, tmp_path / "three", FAKE, ranks=3, count=3)
    run(tuned, tmp_path / "again", FAKE, ranks=3, count=3)
    assert files_of(tmp_path / "three" / "models") == files_of(tmp_path / "again" / "models")
    assert_alike(tmp_path / "three", undisturbed)


def assert_alike(folder: Path, other: Path) -> None:
    """Hold two runs to the same scores, up to the order in which gradients were summed."""
    scores, others = ({each.output: each.acceptance for each in scored(each)} for each in (folder, other))
    assert scores.keys() == others.keys()
    for output, accepted in others.items():
        np.testing.assert_allclose(scores[output], accepted, atol=1e-3)


def scored(folder: Path) -> list[Scored]:
    with open_store(folder, "read") as record:
        return list(record.load(Scored))


# ---- what else may happen ----


def test_a_fit_that_trains_nothing_is_done_by_the_first_and_workers_may_be_bad(tmp_path: Path) -> None:
    here = run(TOYS, tmp_path / "here")
    assert run(TOYS, tmp_path / "away", FAKE) == here
    fates = {"answer": 100, "double": 10, "delay": 10, "lose": 0.5, "fail": 0.5, "die": 0.5}
    assert run(TOYS, tmp_path / "badly", FAKE, count=3, fates=fates) == here
    assert files_of(tmp_path / "badly" / "models") == files_of(tmp_path / "here" / "models")
    fared = {fate for seat in Fake.clusters[-1].seats for fate in seat.fared}
    assert fared >= {"double", "delay"}


def test_holders_of_a_gpu_let_go_of_it_for_a_fit_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []
    drain = elsewhere.Elsewhere._drain

    def draining(self: elsewhere.Elsewhere) -> None:
        before = len(self._opened[0].models._held)
        drain(self)
        held.append((before, len(self._opened[0].models._held)))

    monkeypatch.setattr(elsewhere.Elsewhere, "_drain", draining)
    arguments: dict[str, Any] = {"count": 2, "steps": ["fit", "score"]}
    table = {**TOYS, "decomposer": {"plugin": "tests.toys:Growing"}}
    here = run(table, tmp_path / "here")
    assert run(table, tmp_path / "processors", FAKE, **arguments) == here
    assert all(before == after for before, after in held) and any(before for before, _ in held), (
        "nobody needs a processor"
    )
    held.clear()
    monkeypatch.setattr(elsewhere, "device", lambda: "a GPU")
    assert run(table, tmp_path / "gpus", FAKE, **arguments) == here
    assert any(before for before, _ in held) and not any(after for _, after in held)


def test_a_rank_that_reaches_nobody_ends_the_run_with_a_sentence(
    tuned: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(socket.socket):
        """Bound, and nobody listens."""

    def deaf(host: str) -> socket.socket:
        bound = Deaf()
        bound.bind((host, 0))
        return bound

    monkeypatch.setattr(launch, "listening", deaf)
    began = time.monotonic()
    sentence = r"worker 1 on .*: the first rank cannot be reached at 127\.0\.0\.1:\d+: connection refused"
    with pytest.raises(
        PluginError, match=f"group after group of workers was lost over it, the last one thus: {sentence}"
    ):
        run(tuned, tmp_path / "run", FAKE)
    assert time.monotonic() - began < 60


def test_ranks_on_devices_of_two_kinds_are_refused(
    tuned: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = iter(["a GPU", "a processor"])
    monkeypatch.setattr(ranks, "device", lambda: next(kinds))
    sentence = (
        "worker 1 cannot share a fit: it computes on a processor, and the first rank on a GPU: let workers of one"
    )
    with pytest.raises(InputError, match=sentence):
        run(tuned, tmp_path / "run", FAKE)


def test_workers_without_an_address_in_the_network_are_refused(tuned: dict[str, Any], tmp_path: Path) -> None:
    sentence = r"worker 0 cannot share a fit: .* has no address in the network 203\.0\.113\.0/24"
    with pytest.raises(InputError, match=sentence):
        run(tuned, tmp_path / "run", FAKE, network="203.0.113.0/24")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ranks": 0}, "ranks is a whole number from 1 up, got 0"),
        ({"ranks": "two"}, "ranks is a whole number.*, got 'two'"),
        ({"ranks": 2}, "ranks = 2 share a fit among as many workers, and 1 have the step fit: lower ranks, or give"),
        ({"ranks": 2, "workers": [{"count": 2, "steps": ["score"]}]}, "among as many workers, and 0 have the step fit"),
        (
            {"ranks": 2, "workers": [{"steps": ["fit"]}, {"count": 2, "steps": ["fit-splits"]}]},
            "among as many workers, and 1 have the step fit",
        ),
        ({"ranks": 2, "workers": []}, "among as many workers, and 0 have the step fit"),
    ],
)
def test_ranks_for_whom_there_are_no_workers_are_refused(
    arguments: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    engine = {"plugin": "local", "arguments": {"workers": [{"steps": ["fit"]}], **arguments}}
    with pytest.raises(ConfigError, match=sentence):
        rrm.run(rrm.run_file({**TOYS, "engine": engine}), tmp_path / "run", quiet=True)
    if arguments.get("workers") != []:
        with pytest.raises(ConfigError, match=sentence):
            forecast(rrm.run_file({**TOYS, "engine": engine}))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("far", "network is the IPv4 network on which ranks reach each other, such as .*, got 'far'"),
        ("10.0.0.5/24", "network is the IPv4 network on which ranks reach each other, such as .*, got '10.0.0.5/24'"),
        (None, "network is the IPv4 network on which ranks reach each other, such as .*, got None"),
        ("10.0.0.0/24", "is beyond this machine, and a cluster of the run's own is on it alone: leave it out, or name"),
    ],
)
def test_networks_that_cannot_be_are_refused(network: object, sentence: str) -> None:
    wanted = [Wanted(frozenset({"fit"}), count=2)]
    with pytest.raises(ConfigError, match=sentence):
        ranks_of(wanted, 2, network)
    assert ranks_of(wanted, 2, "10.0.0.0/24", "10.0.0.5:6379") == Ranks(2, "10.0.0.0/24")


# ---- processes of this machine ----


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fits_of_folds_by_processes_one_of_which_is_killed_are_the_same(tuned: dict[str, Any], tmp_path: Path) -> None:
    arguments = {**tuned["reward"]["arguments"], "epochs": 10, "save_every": 2}
    table = {**tuned, "reward": {"plugin": "rrm.reward.joint:Joint", "arguments": arguments}}
    engine = {"plugin": "local", "arguments": {"workers": [{"count": 2, "steps": ["fit"]}], "ranks": 2}}
    here = run({**table, "engine": engine}, tmp_path / "here")
    killed: list[int] = []

    def kill(event: Any) -> None:
        """Kill a worker once something is in the run's folder to go on from."""
        kept = list((tmp_path / "killed" / "work").glob("*/state.json"))
        if kept and not killed:
            worker = next(each for each in psutil.Process().children() if "local_process" in " ".join(each.cmdline()))
            worker.kill()
            killed.append(worker.pid)

    settings = rrm.run_file({**table, "engine": engine})
    rrm.run(settings, tmp_path / "killed", quiet=True, on_event=kill)
    assert killed
    assert on_record(tmp_path / "killed") == here
    assert files_of(tmp_path / "killed" / "models") == files_of(tmp_path / "here" / "models")
