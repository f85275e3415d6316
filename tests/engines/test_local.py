"""Workers that are processes of this machine: a whole run, one that is killed or stopped, and what is left of them."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api import look
from rrm.api.options import Event
from rrm.api.runfile import with_engine
from rrm.core.errors import InputError, SetupError
from rrm.core.ids import seed_for
from rrm.engines import local
from rrm.engines.apart import ProcessWire, Wanted
from rrm.engines.local import Local, LocalCluster, Placed, place
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker, check_engine
from tests.engines.asking import DEADLY, DRIVER, Model
from tests.engines.begetting import begun
from tests.engines.test_calls import ASKING, calls_of
from tests.processes import below
from tests.toys import TOYS, on_record

ELSEWHERE = "rrm.verify.engines:MadeUpElsewhere"
PROPOSING = Wanted(frozenset({"propose"}))
TWO = {"plugin": "local", "arguments": {"workers": [{"count": 2}]}}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(local, "processors", lambda: 2)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(processes: list[int]) -> bool:
    """Wait a while for processes to end; return whether they have."""
    until = time.monotonic() + 60
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, processes))


def test_a_run_by_processes_is_the_same_though_one_is_killed_and_goes_on_without_them(tmp_path: Path) -> None:
    rrm.run(rrm.run_file(TOYS), tmp_path / "here", quiet=True)
    killed: list[int] = []
    seen: list[Any] = []

    def on_event(event: Event) -> None:
        if event.stage.startswith("propose") and event.finished and not killed:
            workers = [
                each for each in below(os.getpid()) if "local_process" in Path(f"/proc/{each}/cmdline").read_text()
            ]
            seen.extend(workers)
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])
        if killed and event.stage.startswith("score"):
            raise KeyboardInterrupt

    with pytest.raises(rrm.Interrupted):
        rrm.run(rrm.run_file({**TOYS, "engine": TWO}), tmp_path / "away", quiet=True, on_event=on_event)
    assert len(seen) == 2 and gone(seen)
    rrm.run(rrm.run_file(TOYS), tmp_path / "away", quiet=True)
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")
    assert look.status(tmp_path / "away")["workers"] == []
    assert not list(tmp_path.glob("rrm-local-*"))


@pytest.mark.slow
def test_calls_of_models_are_made_by_processes_one_of_which_is_killed(tmp_path: Path) -> None:
    rrm.run(rrm.run_file(ASKING), tmp_path / "here", quiet=True)
    killed: list[int] = []

    def on_event(event: Event) -> None:
        if event.stage.startswith("rate") and event.done and not killed:
            killed.extend(
                each for each in below(os.getpid()) if "local_process" in Path(f"/proc/{each}/cmdline").read_text()
            )
            os.kill(killed[0], signal.SIGKILL)

    workers = {"plugin": "local", "arguments": {"workers": [{"count": 2, "steps": ["call"]}]}}
    rrm.run(rrm.run_file({**ASKING, "engine": workers}), tmp_path / "away", quiet=True, on_event=on_event)
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")
    calls, spent = calls_of(tmp_path / "away")
    lost = [call for call in calls if call.ending == "lost"]
    assert len(killed) == 2 and len(lost) <= 8
    assert spent["calls"] == len(calls) == len(calls_of(tmp_path / "here")[0]) + len(lost)


@pytest.mark.slow
def test_a_call_that_kills_its_process_again_and_again_is_refused_and_no_other_loses_a_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rrm.run(rrm.run_file(ASKING), tmp_path / "here", quiet=True)
    deadly = min(calls_of(tmp_path / "here")[0], key=lambda call: call.at)
    monkeypatch.setenv(DEADLY, str(seed_for("sample", Model().seed, deadly.sample) % 2**31))
    monkeypatch.setenv(DRIVER, str(os.getpid()))
    table = {**ASKING, "assistants": {"model": {**ASKING["assistants"]["model"], "attempts": 1}}}
    workers = {"plugin": "local", "arguments": {"workers": [{"count": 2, "steps": ["call"]}]}}
    rrm.run(rrm.run_file({**table, "engine": workers}), tmp_path / "away", quiet=True)
    calls, spent = calls_of(tmp_path / "away")
    lost = Counter((call.user, call.sample) for call in calls if call.ending == "lost")
    assert lost.pop((deadly.user, deadly.sample)) in (3, 4), "three times alone, and maybe once with others"
    assert max(lost.values(), default=1) == 1
    assert all(call.attempt == 1 for call in calls) and spent["calls"] == len(calls)
    assert len(on_record(tmp_path / "away")["Failure"]) == 1


def test_processes_of_this_machine_keep_the_contract() -> None:
    worker = MadeUpWorker()
    workers = [{"count": 2, "steps": ["propose", "fit"]}]
    held = check_engine(Local(worker, {}, MadeUpSupplies(worker), workers), worker, 60)
    assert held.part == Local.name
    assert set(worker.done) == {"stays-1", "stays-2"}, "the rest was done by them"


def test_who_names_the_local_engine_has_none_of_its_workers_and_others_keep_theirs() -> None:
    asked = rrm.run_file({**TOYS, "engine": TWO})
    assert with_engine(asked, "local").engine.arguments == {}
    assert with_engine(asked, None) == asked
    on_ray = rrm.run_file({**TOYS, "engine": {**TWO, "plugin": "ray"}})
    assert with_engine(on_ray, "ray") == on_ray


def test_without_workers_everything_stays_here() -> None:
    worker = MadeUpWorker()
    check_engine(Local(worker, {}, MadeUpSupplies(worker)), worker, 60)
    assert worker.done["node-1"]
    with pytest.raises(InputError, match="workers must be told of a run"):
        Local(worker, workers=[{}])


@pytest.mark.parametrize(
    ("workers", "gpus", "sentence"),
    [
        ([{"count": 3}], 0, "ask for 3 processors in all, and this machine has 2: lower cpus or count, or do without"),
        ([{"gpus": 1}], 0, "ask for 1 GPU in all, and this machine has 0: lower gpus or count, or do without workers"),
        ([{"gpus": 0.6, "count": 2}], 1, r"ask for 1\.2 GPUs in all, and this machine has 1: lower gpus"),
        ([{"gpus": 0.7}, {"gpus": 0.4}], 2, ""),
        ([{"gpus": 0.6, "count": 3}], 2, "GPUs none has 0.6 of itself left for one more of them: lower gpus or count"),
        ([{"gpus": 0.4}, {"gpus": 0.8, "count": 2}], 2, "this machine's 2 GPUs none has 0.4 of itself left"),
        (3, 0, r"workers is a list of tables of cpus, gpus, count and steps, such as \[{ count = 2 }\], got 3"),
        ([{"steps": []}], 0, "nothing to do in this run: name some of the steps fit, propose, or leave them out"),
    ],
)
def test_workers_for_whom_this_machine_has_no_room_are_refused(
    workers: list[dict[str, Any]], gpus: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "visible_gpus", lambda: list(map(str, range(gpus))))
    monkeypatch.setattr(local, "processors", lambda: 3 if gpus == 2 else 2)
    worker = MadeUpWorker()
    with pytest.raises(InputError, match=sentence) if sentence else nullcontext():
        Local(worker, {}, MadeUpSupplies(worker), workers)


def test_gpus_are_dealt_whole_first_and_shares_fill_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "processors", lambda: 9)
    monkeypatch.setattr(local, "visible_gpus", lambda: ["4", "5", "7"])
    steps = frozenset({"score"})
    placed = place([Wanted(steps), Wanted(steps, gpus=0.5, count=2), Wanted(steps, gpus=2)])
    assert [each.gpus for each in placed] == [("4", "5"), ("7",), ("7",), ()]


def test_a_process_sees_its_gpus_and_a_folder_of_the_users_alone() -> None:
    cluster = LocalCluster(ELSEWHERE, [Placed(PROPOSING, ("3", "5")), Placed(PROPOSING, ())])
    try:
        cluster.start()
        told = []
        for wire in cluster._begun.values():
            environment = Path(f"/proc/{wire._process.pid}/environ").read_bytes().split(b"\0")
            told.append(dict(each.decode().split("=", 1) for each in environment if each))
            assert os.getsid(wire._process.pid) == wire._process.pid, "Ctrl-C would reach it"
        assert [each["CUDA_VISIBLE_DEVICES"] for each in told] == ["3,5", ""]
        assert stat.S_IMODE(Path(told[0]["TMPDIR"]).stat().st_mode) == 0o700
    finally:
        cluster.close()
    assert not Path(told[0]["TMPDIR"]).exists()


BEGUN = f"""
import sys, time
from rrm.engines.apart import Wanted
from rrm.engines.local import LocalCluster, Placed
cluster = LocalCluster("{ELSEWHERE}", [Placed(Wanted(frozenset()), ())] * 2)
cluster.start()
print(cluster._folder, *(wire._process.pid for wire in cluster._begun.values()), flush=True)
time.sleep(600)
"""


def test_whoever_is_killed_leaves_no_process_and_no_folder() -> None:
    with subprocess.Popen([sys.executable, "-c", BEGUN], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        folder, *workers = driver.stdout.readline().split()
        assert len(workers) == 2 and all(alive(int(each)) for each in workers)
        driver.kill()
    assert gone([int(each) for each in workers])
    assert not Path(folder).exists()


def test_who_asks_a_stopped_process_does_not_wait_and_its_end_says_the_signal() -> None:
    wire = ProcessWire("the process of worker 1", "rrm.engines.local_process", os.environ)
    wire.begin({"address": None, "folder": "/nonexistent"})
    os.kill(wire._process.pid, signal.SIGSTOP)
    answered = wire.ask({"do": "answer", "seat": 1}, bytes(2**24))  # far more than a pipe holds
    assert not answered.done()
    wire.kill()
    with pytest.raises(ConnectionError, match="the process of worker 1 has ended by signal 9"):
        answered.result(60)


def test_a_worker_that_fails_says_why_and_ends_with_its_own_folder_and_children_alone() -> None:
    cluster = begun(2)
    try:
        (seat, wire), (other, _) = cluster._begun.items()
        child, read, folder = seat.submit(b"").result(60).split()
        beside = other.submit(b"").result(60).split()
        assert read == b"0" and folder != beside[2]
        wire.tell({"do": "nothing that it knows"})
        assert wire._reaped(60) == 1
        assert gone([int(child)]), "those that it began end, too"
        assert not Path(folder.decode()).exists() and Path(beside[2].decode()).exists()
        assert other.submit(b"").result(60)
    finally:
        cluster.close()
    assert gone([int(beside[0])])


BEGETTING = """
import time
from tests.engines.begetting import begun
cluster = begun(1)
print(next(iter(cluster._begun)).submit(b"").result(60).decode(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("module", "seconds", "why"),
    [
        ("tests.engines.begins_never", 0.5, r"in 0\.5 seconds it did not begin"),
        ("tests.engines.begins_badly", 60.0, r"its process has ended: ImportError: libmissing\.so is not here"),
    ],
)
def test_a_process_that_does_not_begin_is_ended_and_says_why(module: str, seconds: float, why: str) -> None:
    wire = ProcessWire("the process of worker 1", module, os.environ)
    with pytest.raises(SetupError, match=why):
        wire.begin({"address": None, "folder": None}, seconds)
    wire.kill()
    assert gone([wire._process.pid])


@pytest.mark.slow
def test_who_interrupts_a_run_does_not_wait_for_a_process_that_hangs_while_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging: list[int] = []

    class Hanging(ProcessWire):
        def __init__(self, library: str, module: str, environment: Any) -> None:
            super().__init__(library, "tests.engines.begins_never" if hanging else module, environment)
            hanging.append(self._process.pid)

        def begin(self, asked: Any, seconds: float = 0) -> Any:
            if self._process.pid != hanging[0]:
                os.kill(os.getpid(), signal.SIGINT)
            return super().begin(asked, 1e6)

    def on_event(event: Event) -> None:
        if event.stage.startswith("propose") and event.done and len(hanging) == 1:
            os.kill(hanging[0], signal.SIGKILL)

    monkeypatch.setattr(local, "ProcessWire", Hanging)
    engine = {"plugin": "local", "arguments": {"workers": [{"steps": ["propose"]}]}}
    slow = {**TOYS, "policy": {**TOYS["policy"], "plugin": "tests.engines.slow_parts:Slow"}, "engine": engine}
    with pytest.raises(rrm.Interrupted):
        rrm.run(rrm.run_file(slow), tmp_path / "away", quiet=True, on_event=on_event)
    assert len(hanging) == 2 and gone(hanging), "the one that hangs was ended, not waited for"


def test_workers_that_begin_while_the_run_ends_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = LocalCluster(ELSEWHERE, [Placed(PROPOSING, ())])

    class Slow(ProcessWire):
        def begin(self, asked: Any, seconds: float = 0) -> Any:
            cluster.close()  # as another thread does
            return super().begin(asked, 60)

    monkeypatch.setattr(local, "ProcessWire", Slow)
    monkeypatch.setattr(local.time, "sleep", lambda seconds: None)
    with pytest.raises(SetupError, match="the run has ended"):
        cluster.start()
    assert not cluster._begun and not cluster._beginning


def test_all_workers_are_asked_to_end_before_any_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Told(ProcessWire):
        def end(self) -> None:
            told.append("end")
            super().end()

        def close(self, seconds: float = 0) -> None:
            told.append("wait")
            super().close(seconds)

    monkeypatch.setattr(local, "ProcessWire", Told)
    cluster = LocalCluster(ELSEWHERE, [Placed(PROPOSING, ())] * 2)
    cluster.start()
    cluster.close()
    assert told[:3] == ["end", "end", "wait"]


def test_whoever_is_killed_leaves_none_of_its_workers_children() -> None:
    with subprocess.Popen([sys.executable, "-c", BEGETTING], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        child = int(driver.stdout.readline().split()[0])
        assert alive(child)
        driver.kill()
    assert gone([child])


def test_a_place_whose_process_could_not_be_replaced_can_be_replaced_later(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = LocalCluster(ELSEWHERE, [Placed(PROPOSING, ())])
    try:
        (seat,) = cluster.start()
        with monkeypatch.context() as patch:
            patch.setattr(local, "TRIES", 1)
            patch.setattr(sys, "executable", "/nonexistent")
            with pytest.raises(SetupError, match="No such file"):
                cluster.replace(seat)
        assert cluster.replace(seat).name == "worker 1"
    finally:
        cluster.close()


@pytest.mark.parametrize("refusals", [2, 4])
def test_a_process_that_cannot_be_begun_is_tried_again(
    refusals: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = [OSError(12, "Cannot allocate memory")] * refusals

    class Refused(ProcessWire):
        def __init__(self, *arguments: Any) -> None:
            if left:
                raise left.pop()
            super().__init__(*arguments)

    monkeypatch.setattr(local, "ProcessWire", Refused)
    monkeypatch.setattr(local.time, "sleep", lambda seconds: None)
    cluster = LocalCluster(ELSEWHERE, [Placed(PROPOSING, ())])
    try:
        if refusals == local.TRIES:
            with pytest.raises(SetupError, match=r"worker 1's process cannot be begun: .*Cannot allocate memory; give"):
                cluster.start()
        else:
            cluster.start()
    finally:
        cluster.close()
    assert caplog.text.count("worker 1's process cannot be begun") == refusals
