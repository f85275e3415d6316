"""Which Dask cluster an address names and who may use it, and a run on one that somebody else began."""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rrm
from rrm.api.options import Event
from rrm.core.errors import InputError, RrmError
from rrm.engines import address, dask
from rrm.engines.apart import Wanted
from rrm.engines.dask_process import BegunDask
from tests import dask_cluster
from tests.engines.test_apart import ABSENT
from tests.processes import below
from tests.toys import TOYS, on_record

ABSENT_DASK = ABSENT.format("DASK", "dask")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("tcp://127.0.0.1:1", r"no Dask cluster can be reached at 127\.0\.0\.1:1: connection refused; begin it with"),
        ("tls://[::1]:1", r"no Dask cluster can be reached at \[::1\]:1: "),
        ("127.0.0.1:8786", r"address is \"local\" or a scheduler's tls://host:port"),
        ("tls://127.0.0.1:70000", r"address is \"local\" or a scheduler's tls://host:port"),
        ("tls://nobody.invalid:8786", r"there is no machine nobody\.invalid"),
        ("tcp://10.1.2.3:8786", r"tcp://10\.1\.2\.3:8786 is beyond this machine, where Dask is used with TLS alone"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(given: str, sentence: str) -> None:
    with pytest.raises(RrmError, match=sentence):
        dask.find(given)


def test_who_listens_and_says_nothing_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason=ABSENT_DASK)
    monkeypatch.setattr(address, "PROBE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"what answers at {at} is no Dask scheduler, .* \(no answer\)"):
            dask.find(at)


@pytest.mark.parametrize(
    ("listens", "covered"),
    [
        (["tls://10.1.2.3:8786", "tls://10.1.2.4:40000"], True),
        (["tcp://127.0.0.1:8786", "tcp://[::1]:40000"], True),
        (["tcp://10.1.2.3:8786"], False),
        (["tcp://127.0.0.1:8786", "tcp://10.1.2.4:40000"], False),
        (["ws://127.0.0.1:8786"], False),
    ],
)
def test_a_cluster_that_listens_beyond_this_machine_in_the_clear_is_refused(
    monkeypatch: pytest.MonkeyPatch, listens: list[str], covered: bool
) -> None:
    monkeypatch.setattr(dask, "require_answer", lambda *_: None)
    monkeypatch.setattr(dask, "probe", lambda *_: None)
    monkeypatch.setattr(dask, "told", lambda *_: {"listens": listens})
    with nullcontext() if covered else pytest.raises(InputError, match="is beyond this machine, where Dask is used"):
        assert dask.find("tcp://127.0.0.1:8786") == "tcp://127.0.0.1:8786"


STUB = """
class Security:
    def get_connection_args(self, role): return {{}}

class rpc:
    def __init__(self, *_, **__): pass
    async def __aenter__(self): return self
    async def __aexit__(self, *_): pass
    async def identity(self): return {identity}
    async def versions(self): return {{"packages": {{"distributed": "{dask}", "python": "{python}"}}}}
"""


@pytest.mark.parametrize(
    ("nanny", "covered"), [(None, True), ("tcp://127.0.0.1:40001", True), ("tcp://10.1.2.4:40001", False)]
)
def test_a_nanny_that_listens_beyond_this_machine_in_the_clear_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nanny: str | None, covered: bool
) -> None:
    pytest.importorskip("distributed", reason=ABSENT_DASK)
    at = "tcp://127.0.0.1:8786"
    identity = {"address": at, "workers": {"tcp://127.0.0.1:40000": {"nanny": nanny}}}
    (tmp_path / "distributed").mkdir()
    for name in ("__init__", "core", "security"):
        text = STUB.format(identity=identity, dask=version("distributed"), python=platform.python_version())
        (tmp_path / "distributed" / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(dask, "require_answer", lambda *_: None)
    with nullcontext() if covered else pytest.raises(InputError, match=r"10\.1\.2\.4:40001 is beyond this machine"):
        assert dask.find(at) == at


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"Dask": "2026.9.0"}, r"has Dask 2026\.9\.0, and this process Dask \d"),
        ({"Python": "3.9.1.final.0"}, r"has Python 3\.9\.1\.final\.0, and this process Python \d"),
    ],
)
def test_a_cluster_of_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], sentence: str
) -> None:
    pytest.importorskip("distributed", reason=ABSENT_DASK)
    monkeypatch.setattr(dask, "require_answer", lambda *_: None)
    monkeypatch.setattr(dask, "probe", lambda *_: None)
    monkeypatch.setattr(dask, "told", lambda *_: {"Python": f"{platform.python_version()}.final.0", **found})
    with pytest.raises(InputError, match=sentence):
        dask.find("tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ([{"count": 3}], False),
        ([{}, {"cpus": 4}, {"gpus": 1}], False),
        ([{"count": 4}], True),
        ([{"cpus": 4, "count": 2}], True),
        ([{"gpus": 2}], True),
    ],
)
def test_each_worker_must_be_one_of_the_clusters(asked: list[dict[str, Any]], refused: bool) -> None:
    wanted = [Wanted(frozenset(), **each) for each in asked]
    with pytest.raises(InputError, match="are left for that: ask for fewer") if refused else nullcontext():
        dask.require_each(wanted, [[4, 0], [1, 0], [2, 1]])  # type: ignore[list-item]


def test_a_cluster_without_workers_is_refused() -> None:
    cluster = dask.DaskCluster("tls://10.1.2.3:8786", "", frozenset())
    with pytest.raises(InputError, match="has no workers: begin them with `dask worker`"):
        cluster.workers({"has": []})


# ---- who is in a cluster, as its process sees it ----


def seeing(workers: dict[str, Any]) -> BegunDask:
    """Return a cluster whose scheduler has these workers, for two seats that have none yet."""

    async def identity() -> dict[str, Any]:
        return {"workers": dict(workers)}

    async def restart_workers(**_: object) -> None:
        """Another comes at once, at the same address."""

    scheduler = SimpleNamespace(identity=identity, restart_workers=restart_workers)
    begun = object.__new__(BegunDask)
    vars(begun).update(
        _client=SimpleNamespace(scheduler=scheduler, id=""),
        _has={},
        _taken=set(),
        _workers={1: b"", 2: b""},
        _refused=set(),
        warnings=[],
    )
    return begun


AT = "tls://10.1.2.3:40000"
WORKER = {"nthreads": 1, "resources": {}, "nanny": "tls://10.1.2.3:40001"}


@pytest.mark.parametrize("ended", [True, False])
def test_a_worker_that_comes_back_at_its_address_has_a_seat_again(ended: bool) -> None:
    async def play() -> None:
        workers = {AT: WORKER}
        begun = seeing(workers)
        await begun._look()
        assert await begun._find(1, 1, 0) == AT
        if ended:
            await begun._end(AT)
        else:
            workers.clear()
            await begun._look()
        assert AT not in begun._has
        workers[AT] = WORKER
        await begun._look()
        assert await asyncio.wait_for(begun._find(2, 1, 0), 5) == AT

    asyncio.run(play())


@pytest.mark.parametrize(
    ("at", "nanny", "has"),
    [
        (AT, WORKER["nanny"], True),
        (AT, None, True),
        ("tcp://127.0.0.1:40000", "tcp://127.0.0.1:40001", True),
        (AT, "tcp://10.1.2.3:40001", False),
        ("tcp://10.1.2.3:40000", None, False),
        ("tcp://nobody.invalid:40000", None, False),
    ],
)
def test_who_joins_later_and_listens_beyond_this_machine_in_the_clear_has_no_seat_which_is_said_once(
    at: str, nanny: str | None, has: bool
) -> None:
    begun = seeing({at: {**WORKER, "nanny": nanny}})
    for _ in range(2):
        asyncio.run(begun._look())
        assert list(begun._has) == ([at] if has else [])
    bare = nanny if at == AT else at
    assert begun.warnings == (
        []
        if has
        else [
            f"Dask's {bare} is beyond this machine and without TLS, so its worker gets nothing to do: begin it with"
            " tls:// and credentials"
        ]
    )


# ---- a cluster that somebody else began ----


@contextmanager
def begun(*command: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-m", "dask", *command], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def until(there: Callable[[], bool]) -> None:
    """Wait until something is so, on a busy machine, too, and fail where it never is."""
    for _ in range(1200):
        if there():
            return
        time.sleep(0.1)
    pytest.fail("waited in vain")


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Dask's options for credentials; this process has the same."""
    pytest.importorskip("distributed", reason=ABSENT_DASK)
    options, environment = dask_cluster.credentials(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return options


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_run_goes_on_on_a_cluster_with_tls_and_back_though_a_worker_is_killed(
    tmp_path: Path, credentials: list[str], nanny: str
) -> None:
    rrm.run(rrm.run_file(TOYS), tmp_path / "here", quiet=True)
    told, killed = tmp_path / "scheduler", list[int]()
    known = ["--scheduler-file", str(told), *credentials]

    def at_work() -> list[int]:
        family = [process for pid in pids for process in (pid, *below(pid))]
        return [each for each in family if "libtorch" in Path(f"/proc/{each}/maps").read_text()]

    def on_event(event: Event) -> None:
        if event.stage.startswith("propose") and event.finished and not killed:
            until(lambda: len(at_work()) == 2)
            killed.append(at_work()[0])
            os.kill(killed[0], signal.SIGKILL)

    with ExitStack() as stack:
        begin = lambda *command: stack.enter_context(begun(*command))  # noqa: E731
        begin("scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *known)
        until(told.exists)
        worker = ["worker", *known, "--host", "127.0.0.1", "--no-dashboard", nanny, "--nthreads", "1"]
        pids = [begin(*worker, "--local-directory", str(tmp_path / f"worker-{number}")) for number in range(3)]
        at = json.loads(told.read_text())["address"]
        until(lambda: len(dask_cluster.workers(at)) == 3)
        assert dask.find(at) == at
        engine = {"plugin": "dask", "arguments": {"address": at, "workers": [{"count": 2}]}}
        rrm.run(rrm.run_file({**TOYS, "engine": engine}), tmp_path / "there", on_event=on_event)
        rrm.resume(tmp_path / "there", engine="local", quiet=True)
    assert killed
    assert on_record(tmp_path / "there") == on_record(tmp_path / "here")
