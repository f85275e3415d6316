"""Ray and Dask, each begun once: a whole run, what listens and who is let in meanwhile, and a worker that is killed."""

import math
import os
import pickletools
import platform
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from io import BytesIO
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

import rrm
from rrm.api.options import Event
from rrm.core.errors import ConfigError, InputError, SetupError
from rrm.engines import address, apart, apart_process, dask, ray_address
from rrm.engines.apart import ApartCluster, Wanted, Wire, require_room
from rrm.engines.apart_process import Process, pass_on, receive, send
from rrm.engines.dask import Dask, DaskCluster
from rrm.engines.dask_process import BegunDask
from rrm.engines.ray import Ray, RayCluster
from rrm.engines.ray_process import BegunRay
from rrm.engines.remote import Remote
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker
from tests.processes import below
from tests.toys import TOYS, Lengths, on_record

ABSENT = "NOTHING IS TESTED ON {0}: it is not installed (pip install 'rrm[{1}]')"


@dataclass
class Seen:
    """What was seen of a run's cluster while it went on."""

    kind: str
    here: dict[str, Any] = field(default_factory=dict)
    there: dict[str, Any] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    listening: set[str] = field(default_factory=set)
    killed: list[int] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    models: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    left: list[Path] = field(default_factory=list)


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


def said(find: Callable[[str], Any], at: str, environment: Mapping[str, str], case: str) -> str:
    """Return what is said to somebody who comes to a cluster with these settings, nothing where that is well."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("RAY_AUTH", "DASK"))]:
            patch.delenv(name)
        patch.setenv("HOME", "/nonexistent")
        patch.setattr(address, "PROBE_SECONDS", 30)  # on a busy machine, too
        for name, value in environment.items():
            patch.setenv(name, value)
        if case == "another Python":
            patch.setattr(platform, "python_version", lambda: "3.9.1")
        if case == "another Ray":
            patch.setattr("importlib.metadata.version", lambda name: "2.61.0")
        try:
            find(at)
        except InputError as error:
            return str(error)
        return ""


def let_in_by_ray(cluster: ApartCluster, seen: Seen) -> None:
    assert cluster._folder is not None and cluster._wire is not None
    token = cluster._folder / "token"
    seen.modes["token"] = stat.S_IMODE(token.stat().st_mode)
    right = {"RAY_AUTH_TOKEN_PATH": str(token)}
    wrong = {"RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
    cases = {"right": right, "another Python": right, "another Ray": right, "none": {}, "wrong": wrong}
    for case, environment in cases.items():
        seen.refused[case] = said(ray_address.find, cluster._wire.at, environment, case)


def let_in_by_dask(cluster: ApartCluster, seen: Seen) -> None:
    from distributed.security import Security

    assert cluster._folder is not None and cluster._wire is not None
    other, files = Security.temporary(), {}
    for name, text in (("CA_FILE", "ca_file"), ("CLIENT__CERT", "client_cert"), ("CLIENT__KEY", "client_key")):
        file = cluster._folder / text
        file.write_text(getattr(other, f"tls_{text}"))
        files[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(file)
    at = cluster._wire.at
    seen.refused["none"] = said(dask.find, at, {}, "none")
    seen.refused["wrong"] = said(dask.find, at, files, "wrong")
    seen.refused["without TLS"] = said(dask.find, at.replace("tls:", "tcp:"), {}, "without TLS")


class Kind(NamedTuple):
    """What is particular to one library: its engine, workers' processes by their command, who is refused how."""

    engine: type[Remote]
    cluster: type[ApartCluster]
    package: str
    command: str
    let_in: Callable[[ApartCluster, Seen], None]
    refused: Mapping[str, str]


KINDS = {
    "ray": Kind(
        Ray,
        RayCluster,
        "ray",
        "ray::Process",
        let_in_by_ray,
        {
            "right": "",
            "none": "asks for a token, and there is none here",
            "wrong": "does not accept the token of RAY_AUTH_TOKEN",
            "another Python": "and this process Python 3.9.1",
            "another Ray": "and this process Ray 2.61.0",
        },
    ),
    "dask": Kind(
        Dask,
        DaskCluster,
        "distributed",
        "spawn_main",
        let_in_by_dask,
        {
            "none": "one that does not let us in (there are no credentials here)",
            "wrong": "one that does not let us in (",
            "without TLS": "one that does not let us in (",
        },
    ),
}


def look(cluster: ApartCluster, seen: Seen) -> None:
    """Look at a cluster that is under way, and kill one of its workers."""
    assert cluster._folder is not None and cluster._wire is not None
    seen.left.append(cluster._folder)
    seen.modes["folder"] = stat.S_IMODE(cluster._folder.stat().st_mode)
    ours = cluster._wire._process.pid
    family = [ours, *below(ours)]
    seen.listening = listening(family)
    KINDS[seen.kind].let_in(cluster, seen)
    workers = [each for each in family if KINDS[seen.kind].command in Path(f"/proc/{each}/cmdline").read_text()]
    os.kill(workers[0], signal.SIGKILL)
    seen.killed.append(workers[0])


def not_here(*_: object) -> None:
    raise AssertionError("it is fitted by a worker")


def models_of(run: Path) -> dict[str, bytes]:
    """Return the files of a run's fitted models."""
    files = [each for each in (run / "models").rglob("*") if each.is_file()]
    return {str(each.relative_to(run)): each.read_bytes() for each in files}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in this process."""
    folder = tmp_path_factory.mktemp("here")
    rrm.run(rrm.run_file(TOYS), folder, quiet=True)
    return folder


@pytest.fixture(scope="module", params=sorted(KINDS))
def seen(request: pytest.FixtureRequest, here: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The same run on a cluster that fits, too, one of whose workers is killed when it has done something."""
    kind = KINDS[request.param]
    pytest.importorskip(kind.package, reason=ABSENT.format(request.param.upper(), request.param))
    folder, found, clusters = tmp_path_factory.mktemp(request.param), Seen(request.param, on_record(here)), []
    start = kind.cluster.start

    def starting(cluster: ApartCluster) -> Any:
        clusters.append(cluster)
        return start(cluster)

    def on_event(event: Event) -> None:
        if event.stage.startswith("propose") and event.finished and not found.killed:
            look(clusters[0], found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind.cluster, "start", starting)
        patch.setattr(Lengths, "fit", not_here)
        steps = ["decompose", "propose", "score", "fit"]
        engine = {"plugin": request.param, "arguments": {"workers": [{"count": 2, "steps": steps}]}}
        rrm.run(rrm.run_file({**TOYS, "engine": engine}), folder, on_event=on_event)
    found.there, found.models = on_record(folder), (models_of(here), models_of(folder))
    return found


def test_a_run_elsewhere_is_the_same_though_a_worker_is_killed(seen: Seen) -> None:
    assert seen.there == seen.here
    assert seen.killed


def test_models_fitted_elsewhere_are_those_of_this_process_bit_for_bit(seen: Seen) -> None:
    fitted, arrived = seen.models
    assert len(fitted) >= 3
    assert arrived == fitted


def test_everything_listens_on_loopback_alone(seen: Seen) -> None:
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert seen.listening
    assert seen.listening <= loopback


def test_its_folder_is_the_users_alone_and_goes_with_the_run(seen: Seen) -> None:
    assert seen.modes.pop("folder") == 0o700
    assert set(seen.modes.values()) <= {0o600}
    assert not seen.left[0].exists()


def test_who_comes_without_its_credentials_or_with_another_program_is_refused_in_a_sentence(seen: Seen) -> None:
    for case, sentence in KINDS[seen.kind].refused.items():
        assert sentence in seen.refused[case], case
        assert bool(sentence) == bool(seen.refused[case]), case


def pickled(data: bytes) -> tuple[set[str], set[str]]:
    """Return the texts that a pickle has, and those of its operations that would call something."""
    operations = list(pickletools.genops(data))
    texts = {argument for _, argument, _ in operations if isinstance(argument, str)}
    return texts, {code.name for code, _, _ in operations} & {"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"}


def test_ray_pickles_nothing_of_ours_but_the_name_of_a_class() -> None:
    pytest.importorskip("ray", reason=ABSENT.format("RAY", "ray"))
    from ray import cloudpickle
    from ray._private.serialization import SerializationContext

    texts, calls = pickled(cloudpickle.dumps(Process))
    assert {"rrm.engines.apart_process", "Process"} == {each for each in texts if "rrm" in each or each == "Process"}
    assert not calls
    assert SerializationContext(None).serialize(b"a message").metadata == b"RAW"


def test_dask_pickles_nothing_of_ours_but_the_names_of_functions_and_bytes() -> None:
    pytest.importorskip("distributed", reason=ABSENT.format("DASK", "dask"))
    from distributed.protocol import pickle
    from distributed.protocol.serialize import serialize

    from rrm.engines.dask_process import answer, beat, forget

    for function in (answer, beat, forget):
        assert pickled(pickle.dumps(function)) == ({"rrm.engines.dask_process", function.__name__}, set())
    assert pickled(pickle.dumps((b"a seat", b"a worker", b"a message"))) == (set(), set())
    assert serialize(b"an answer")[0]["serializer"] == "dask", "what is returned is not pickled"


# ---- without a cluster ----


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_without_its_library_the_remedy_is_said(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(SetupError, match=rf"{kind.title()} is not installed: pip install 'rrm\[{kind}\]'"):
        KINDS[kind].engine(MadeUpWorker(), {}, MadeUpSupplies(MadeUpWorker()))  # type: ignore[call-arg]


@pytest.mark.parametrize(("kind", "old", "oldest"), [("ray", "2.9.3", r"2\.60"), ("dask", "2024.8.1", r"2026\.8")])
def test_an_old_library_is_refused(kind: str, old: str, oldest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: old)
    with pytest.raises(SetupError, match=rf"{kind.title()} is {old}, and {oldest} or newer is needed"):
        KINDS[kind].engine(MadeUpWorker(), {}, MadeUpSupplies(MadeUpWorker()))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"cpu": 4}, "workers are tables of cpus, gpus, count and steps"),
        ({"cpus": 0}, "cpus is a whole number from 1 up, got 0"),
        ({"count": True}, "count is a whole number from 1 up, got True"),
        ({"gpus": -1}, "gpus is a number from 0 up, got -1"),
        ({"gpus": math.nan}, "gpus is a number from 0 up, got nan"),
        ({"gpus": math.inf}, "gpus is a number from 0 up, got inf"),
        ({"gpus": 1.5}, r"gpus is a whole number, or below 1 a share of one GPU, got 1\.5"),
        ({"steps": []}, "nothing to do in this run: name some of the steps propose, score, or leave them"),
        ({"steps": ["fit"]}, r"steps that workers can do are propose, score, got \['fit'\]"),
    ],
)
def test_workers_that_cannot_be_are_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Wanted.all_of([table], frozenset({"propose", "score"}))


def test_workers_of_whose_steps_a_run_has_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="in this run, whose parts are objects or ask models: leave them out"):
        Wanted.all_of([{"count": 2}], frozenset())


@pytest.mark.parametrize(
    ("asked", "has", "sentence"),
    [
        ({}, (0, 0), "ask for 1 processor in all, and the cluster has 0: lower cpus or count, or add machines to it"),
        ({"cpus": 3, "count": 2}, (4, 0), "ask for 6 processors in all, and the cluster has 4"),
        ({"gpus": 1, "count": 3}, (8, 2), "ask for 3 GPUs in all, and the cluster has 2: lower gpus or count"),
        ({"gpus": 0.1, "count": 10}, (10, 1), ""),
    ],
)
def test_workers_for_whom_a_cluster_has_no_room_are_refused(
    asked: dict[str, Any], has: tuple[float, float], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) if sentence else nullcontext():
        require_room([Wanted(frozenset(), **asked)], *has)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_workers_for_whom_this_machine_has_no_room_are_refused_before_anything_is_done(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def workers(**asked: Any) -> Remote:
        made = MadeUpWorker()
        return KINDS[kind].engine(made, {}, MadeUpSupplies(made), workers=[asked])  # type: ignore[call-arg]

    monkeypatch.setattr(apart, "require_installed", lambda *_: None)
    monkeypatch.setattr(apart, "processors", lambda: 2)
    monkeypatch.setattr("rrm.engines.ray.visible_gpus", lambda: ["0"])
    workers(cpus=2).close()
    gpus = {"ray": 1, "dask": 0}[kind]
    for asked, key, has in (({"count": 3}, "cpus", 2), ({"gpus": 1, "count": 2}, "gpus", gpus)):
        with pytest.raises(InputError, match=f"and a cluster of the run's own has {has}: lower {key} or count"):
            workers(**asked)


BEGUN_TOO_LATE = """
from types import SimpleNamespace
from rrm.engines.apart_process import serve
serve(lambda **_: SimpleNamespace(facts={"at": ""}, close=lambda error: None))
"""


def test_a_cluster_that_has_begun_when_its_run_is_gone_leaves_no_folder(tmp_path: Path) -> None:
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
    assert apart_process.processors() == os.cpu_count()


def test_what_the_listener_gave_up_is_not_given_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(wire: Wire, head: dict[str, Any], body: bytes = b"") -> None:
        wire._asked.pop(head["number"]).set_exception(ConnectionError("Ray has ended"))
        raise SetupError("[engine] Ray has ended")

    monkeypatch.setattr(Wire, "tell", ended)
    wire = object.__new__(Wire)
    wire._numbers, wire._asked = count(), {}
    assert isinstance(wire.ask({}).exception(), ConnectionError)


@pytest.mark.parametrize("length", [0, 3, 8, 11, 40])
def test_a_message_that_is_cut_anywhere_is_the_end(length: int) -> None:
    whole = BytesIO()
    send(whole, {"number": 1, "failed": "OSError"})
    assert len(whole.getvalue()) > length
    assert receive(BytesIO(whole.getvalue()[:length])) is None


def test_what_is_asked_fails_where_the_listener_ends_over_what_is_no_answer() -> None:
    back = BytesIO()
    send(back, {"no": "number"})
    back.seek(0)
    wire = Wire("Ray", BytesIO(), back)
    answered = wire.ask({"do": "answer"})
    with pytest.raises(KeyError):
        wire._listen()
    assert isinstance(answered.exception(0), ConnectionError)
    assert isinstance(wire.ask({"do": "answer"}).exception(0), SetupError)


@pytest.mark.parametrize(("kind", "asked"), [(BegunRay, "answer"), (BegunRay, "beat"), (BegunDask, "answer")])
def test_what_is_asked_of_a_seat_that_was_ended_fails_alone(kind: type[BegunRay | BegunDask], asked: str) -> None:
    begun, messages, answers = object.__new__(kind), BytesIO(), BytesIO()
    vars(begun).update(_actors={}, _workers={}, _found={}, _client=SimpleNamespace(), warnings=["once"])
    for number in range(2):
        send(messages, {"do": asked, "seat": 7, "number": number})
    messages.seek(0)
    pass_on(messages, answers, begun)
    answers.seek(0)
    assert receive(answers) == ({"number": 0, "failed": "KeyError", "warnings": ["once"]}, b"")
    assert receive(answers) == ({"number": 1, "failed": "KeyError"}, b"")


def test_a_message_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MOST_BYTES", 3)
    wire = Wire("Dask", BytesIO(), BytesIO())
    with pytest.raises(SetupError, match=r"Dask: 4 bytes are more than one message may have"):
        wire.tell({"do": "answer"}, b"four")
    assert isinstance(wire.ask({"do": "answer"}, b"four").exception(0), SetupError)


def test_what_a_clusters_process_warns_of_is_said(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire("Dask", BytesIO(), BytesIO())
    wire._take({"number": 0, "warnings": ["somebody listens in the clear"]}, b"")
    assert caplog.messages == ["somebody listens in the clear"]
