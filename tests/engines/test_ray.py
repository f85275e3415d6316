"""Ray, begun once: a whole run on it, what listens and who is let in meanwhile, and a worker that is killed."""

import os
import pickletools
import platform
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api.options import Event
from rrm.core.errors import ConfigError, InputError, SetupError
from rrm.engines import ray_address, ray_process
from rrm.engines.ray import Ray, RayCluster, Wanted, Wire, _require_enough
from rrm.engines.ray_process import Process, send
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker
from tests.engines.test_remote_runs import on_record
from tests.toys import TOYS

ABSENT = "NOTHING IS TESTED ON RAY: it is not installed (pip install 'rrm[ray]')"
ON_RAY = {**TOYS, "engine": {"plugin": "ray", "arguments": {"workers": [{"count": 2}]}}}


@dataclass
class Seen:
    """What was seen of a run's Ray while it went on."""

    here: dict[str, Any] = field(default_factory=dict)
    there: dict[str, Any] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    listening: set[str] = field(default_factory=set)
    killed: list[int] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    left: list[Path] = field(default_factory=list)


def below(process: int) -> Iterator[int]:
    """Yield the processes that one has begun, and theirs."""
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield int(child)
            yield from below(int(child))


def listening(processes: list[int]) -> set[str]:
    """Return the addresses, in hexadecimal digits, at which processes listen for others."""
    sockets = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(str(link.readlink()))
            except OSError:  # closed meanwhile
                continue
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def let_in(at: str, seen: Seen, case: str, **environment: str) -> None:
    """Note what is said to somebody who comes to a cluster with these settings, if anything."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", "/nonexistent")
        patch.setattr(ray_address, "PROBE_SECONDS", 30)  # on a busy machine, too
        for name, value in environment.items():
            patch.setenv(name, value)
        if case == "another Python":
            patch.setattr(platform, "python_version", lambda: "3.9.1")
        if case == "another Ray":
            patch.setattr("importlib.metadata.version", lambda name: "2.61.0")
        try:
            ray_address.find(at)
            seen.refused[case] = ""
        except InputError as error:
            seen.refused[case] = str(error)


def look(cluster: RayCluster, seen: Seen) -> None:
    """Look at a cluster that is under way, and kill one of its workers."""
    assert cluster._folder is not None and cluster._wire is not None
    token = cluster._folder / "token"
    seen.left.append(cluster._folder)
    seen.modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (cluster._folder, token)}
    ours = cluster._wire._process.pid
    family = [ours, *below(ours)]
    seen.listening = listening(family)
    at = cluster._wire.at
    for case in ("right", "another Python", "another Ray"):
        let_in(at, seen, case, RAY_AUTH_TOKEN_PATH=str(token))
    let_in(at, seen, "none")
    let_in(at, seen, "wrong", RAY_AUTH_TOKEN="0123456789abcdef0123456789abcdef")
    workers = [each for each in family if "ray::Process" in Path(f"/proc/{each}/cmdline").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    seen.killed.append(workers[0])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The same run here and on Ray, one of whose workers is killed when it has done something."""
    pytest.importorskip("ray", reason=ABSENT)
    folder, found, clusters = tmp_path_factory.mktemp("ray"), Seen(), []
    rrm.run(rrm.run_file(TOYS), folder / "here", quiet=True)
    found.here = on_record(folder / "here")
    start = RayCluster.start

    def starting(cluster: RayCluster) -> Any:
        clusters.append(cluster)
        return start(cluster)

    def on_event(event: Event) -> None:
        if event.stage.startswith("propose") and event.finished and not found.killed:
            look(clusters[0], found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayCluster, "start", starting)
        rrm.run(rrm.run_file(ON_RAY), folder / "there", on_event=on_event)
    found.there = on_record(folder / "there")
    return found


def test_a_run_on_ray_is_the_same_though_a_worker_is_killed(seen: Seen) -> None:
    assert seen.there == seen.here
    assert seen.killed


def test_everything_listens_on_loopback_alone(seen: Seen) -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert seen.listening
    assert seen.listening <= loopback


def test_its_folder_and_token_are_the_users_alone_and_go_with_the_run(seen: Seen) -> None:
    assert sorted(seen.modes.values()) == [0o600, 0o700]
    assert not seen.left[0].exists()


def test_who_comes_without_its_token_or_with_another_program_is_refused_in_a_sentence(seen: Seen) -> None:
    assert seen.refused["right"] == ""
    assert "asks for a token, and there is none here" in seen.refused["none"]
    assert "does not accept the token of RAY_AUTH_TOKEN" in seen.refused["wrong"]
    assert "and this process Python 3.9.1" in seen.refused["another Python"]
    assert "and this process Ray 2.61.0" in seen.refused["another Ray"]


def test_ray_pickles_nothing_of_ours_but_the_name_of_a_class(seen: Seen) -> None:
    from ray import cloudpickle
    from ray._private.serialization import SerializationContext

    operations = list(pickletools.genops(cloudpickle.dumps(Process)))
    texts = [argument for code, argument, _ in operations if isinstance(argument, str)]
    assert {"rrm.engines.ray_process", "Process"} == {text for text in texts if "rrm" in text or text == "Process"}
    assert not any(code.name in ("REDUCE", "BUILD", "NEWOBJ") for code, _, _ in operations)
    assert SerializationContext(None).serialize(b"a message").metadata == b"RAW"


# ---- without Ray ----


def test_without_ray_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(SetupError, match=r"Ray is not installed: pip install 'rrm\[ray\]'"):
        Ray(MadeUpWorker(), {}, MadeUpSupplies())


def test_an_old_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.3")
    with pytest.raises(SetupError, match=r"Ray is 2\.9\.3, and 2\.60 or newer is needed"):
        Ray(MadeUpWorker(), {}, MadeUpSupplies())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", r"no Ray cluster can be reached at 127\.0\.0\.1:1: connection refused"),
        ("ray://head:10001", r"address is \"local\", \"auto\" or a cluster's host:port"),
        ("nobody.invalid:6379", r"there is no machine nobody\.invalid"),
        ("auto", "finds no Ray cluster that was started here"),
    ],
)
def test_an_address_where_nobody_is_is_refused(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(InputError, match=sentence):
        ray_address.find(address)


def test_beyond_this_machine_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(InputError, match="beyond this machine, where Ray is used with a token alone"):
        ray_address._require_fit(ray_address.Address("10.1.2.3", 6379, loopback=False))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"cpu": 4}, "workers are tables of cpus, gpus, count and steps"),
        ({"cpus": 0}, "cpus is a whole number from 1 up, got 0"),
        ({"count": True}, "count is a whole number from 1 up, got True"),
        ({"gpus": -1}, "gpus is a number from 0 up, got -1"),
        ({"steps": ["fit"]}, r"steps that workers can do are propose, score, got \['fit'\]"),
    ],
)
def test_workers_that_cannot_be_are_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Wanted.of(table, frozenset({"propose", "score"}))


@pytest.mark.parametrize(
    ("asked", "has", "sentence"),
    [
        ({}, {}, "for 1 processors and 0 GPUs in all, and the cluster has 0 and 0: ask for fewer, or add machines"),
        ({"cpus": 3, "count": 2}, {"CPU": 4.0}, "for 6 processors and 0 GPUs in all, and the cluster has 4 and 0"),
        ({"gpus": 1, "count": 3}, {"CPU": 8.0, "GPU": 2.0}, "for 3 processors and 3 GPUs in all, and .* 8 and 2"),
        ({"gpus": 0.1, "count": 10}, {"CPU": 10.0, "GPU": 1.0}, ""),
    ],
)
def test_workers_for_whom_a_cluster_has_no_room_are_refused(
    asked: dict[str, Any], has: dict[str, float], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) if sentence else nullcontext():
        _require_enough([Wanted(frozenset(), **asked)], has)


BEGUN_TOO_LATE = """
import sys, types
from rrm.engines import ray_process
sys.modules["ray"] = types.SimpleNamespace(shutdown=lambda: None)
ray_process._begin = lambda **_: {"at": "", "has": {}}
ray_process.main()
"""


def test_a_ray_that_has_begun_when_its_run_is_gone_leaves_no_folder(tmp_path: Path) -> None:
    folder, asked, (read, write) = tmp_path / "rrm-ray", BytesIO(), os.pipe()
    folder.mkdir()
    (folder / "token").touch()
    send(asked, {"address": None, "folder": str(folder)})
    os.close(read)  # nobody takes what it says
    command = [sys.executable, "-c", BEGUN_TOO_LATE]
    done = subprocess.run(command, input=asked.getvalue(), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert b"BrokenPipeError" in done.stderr
    assert not folder.exists()


def test_processors_are_counted_where_a_system_does_not_say_which_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert ray_process._processors() == os.cpu_count()


def test_a_host_of_colons_stands_in_brackets() -> None:
    for told in ("[::1]:6379", "127.0.0.1:6379"):
        assert str(ray_address._parsed(told)) == told


def test_no_probe_is_left_where_the_first_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[subprocess.Popen[str]] = []

    def ask(at: ray_address.Address, with_token: bool) -> "subprocess.Popen[str]":
        said = "pass" if with_token else "import time; time.sleep(600)"
        probes.append(subprocess.Popen([sys.executable, "-c", said], stdout=subprocess.PIPE, text=True))
        return probes[-1]

    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123")
    monkeypatch.setattr(ray_address, "_ask", ask)
    with pytest.raises(SetupError, match="is no Ray cluster"):
        ray_address._require_fit(ray_address.Address("10.1.2.3", 6379, loopback=False))
    left = [probe for probe in probes if probe.returncode is None]
    for probe in probes:
        probe.kill()
    assert len(probes) == 2 and not left


def test_what_the_listener_gave_up_is_not_given_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(wire: Wire, head: dict[str, Any], body: bytes = b"") -> None:
        wire._asked.pop(head["number"]).set_exception(ConnectionError("Ray has ended"))
        raise SetupError("[engine] Ray has ended")

    monkeypatch.setattr(Wire, "tell", ended)
    wire = object.__new__(Wire)
    wire._numbers, wire._asked = count(), {}
    assert isinstance(wire.ask({}).exception(), ConnectionError)
