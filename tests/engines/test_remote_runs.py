"""Whole runs whose computing is done elsewhere: what is on record is what this process alone would have made."""

import errno
import logging
import os
import tempfile
import threading
import time
from concurrent.futures import Future
from copy import deepcopy
from pathlib import Path
from socket import gethostname
from types import SimpleNamespace
from typing import Any

import pytest

import rrm
from rrm.api import elsewhere, folder_parts, front, look, supplies
from rrm.api.options import EventWatcher
from rrm.api.plugins import load
from rrm.api.runfile import Part, RunFile
from rrm.api.supplies import RunSupplies, made_of
from rrm.core.errors import InputError, SetupError, StoreError
from rrm.core.place import Place
from rrm.engines import chair
from rrm.engines.crossing import ELSEWHERE
from rrm.pipeline.plan import Action
from rrm.pipeline.stages import OutputsJob
from rrm.store.lock import RunLock
from tests.engines.fake import Fake, FakeSeat
from tests.engines.slow_parts import Stepwise
from tests.scenarios import MEAN, SMALL
from tests.toys import TOYS, on_record

FAKE = {"plugin": "tests.engines.fake:Fake"}
SLOWLY = {**TOYS, "policy": {**TOYS["policy"], "plugin": "tests.engines.slow_parts:Slow"}}
FITS = ["score", "fit", "fit-splits"]
STEPWISE = {**TOYS, "reward": {"plugin": "tests.engines.slow_parts:Stepwise"}}
IMPROVED: dict[str, Any] = {
    "rounds": 2,
    "improve": {"plugin": "rrm.policy.best_of_n:BestOfN", "kl_budget": 0.5},
}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Fake, "clusters", [])


def done_elsewhere() -> int:
    return sum(len(seat.fared) for cluster in Fake.clusters for seat in cluster.seats)


def run(table: dict[str, Any], out: Path, engine: dict[str, Any] | None = None) -> dict[str, Any]:
    rrm.run(rrm.run_file({**table, **({"engine": engine} if engine else {})}), out, quiet=True)
    return on_record(out)


@pytest.mark.slow
def test_a_run_with_models_and_improved_policies_is_the_same_elsewhere(tmp_path: Path) -> None:
    table = deepcopy(SMALL) | IMPROVED | {"compose": MEAN, "flat": False}
    table["train"]["arguments"] |= {"count": 2, "words": 500}
    table["target"] = {**table["target"], "trees": 1}
    here = run(table, tmp_path / "here")
    away = run(table, tmp_path / "away", {**FAKE, "arguments": {"count": 3}})
    assert done_elsewhere() > 30
    for kind, values in here.items():
        assert away[kind] == values, kind


def test_a_run_goes_on_with_another_engine_and_back(tmp_path: Path) -> None:
    table = {**TOYS, "decomposer": {"plugin": "tests.toys:Growing"}}
    here = run(table, tmp_path / "here")
    assert run(table, tmp_path / "away", FAKE) == here
    before = done_elsewhere()
    assert before > 5
    rrm.run(rrm.run_file(table), tmp_path / "away", quiet=True)
    rrm.run(rrm.run_file({**table, "engine": FAKE}), tmp_path / "away", quiet=True)
    rrm.resume(tmp_path / "away", engine="local", quiet=True)
    assert on_record(tmp_path / "away") == here
    assert done_elsewhere() == before, "a finished run needs no workers"


def test_a_run_is_resumed_with_the_engine_that_it_last_had_or_another(tmp_path: Path) -> None:
    run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"count": 1}})
    for engine, clusters in ((None, 2), ("local", 2), (None, 2), (FAKE["plugin"], 3)):
        rrm.resume(tmp_path / "away", engine=engine, quiet=True)
        assert len(Fake.clusters) == clusters
    assert [cluster._count for cluster in Fake.clusters] == [1, 1, 2], "another engine's arguments are not kept"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.mark.slow
def test_models_fitted_elsewhere_are_those_of_this_process_bit_for_bit(tmp_path: Path) -> None:
    table = deepcopy(SMALL) | {"flat": False, "reward": {"dtype": "float32"}}
    table["train"]["arguments"] |= {"count": 2, "words": 500}
    table["target"] = {**table["target"], "trees": 1}
    here = run(table, tmp_path / "here")
    away = run(table, tmp_path / "away", {**FAKE, "arguments": {"count": 2, "steps": FITS}})
    fitted = files_of(tmp_path / "here" / "models")
    assert len(fitted) >= 8 and any("claims" in name for name in fitted)
    assert files_of(tmp_path / "away" / "models") == fitted
    for kind, values in here.items():
        assert away[kind] == values, kind


def test_fits_on_a_bad_cluster_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_parts, "PART_BYTES", 64)
    here = run(TOYS, tmp_path / "here")
    badly = {**FAKE, "arguments": {"count": 2, "badly": True, "steps": FITS}}
    assert run(TOYS, tmp_path / "away", badly) == here
    assert files_of(tmp_path / "away" / "models") == files_of(tmp_path / "here" / "models")


def test_a_fit_whose_worker_is_lost_goes_on_and_is_heard_of_as_if_it_were_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, int, int]] = []

    class Hearing(EventWatcher):
        def within(self, done: int, total: int) -> None:
            heard.append((said[-1], done, total))
            at_work[:] = at_work or [row for row in look.status(tmp_path / "away")["workers"] if row["how"]]
            if done == 2 and at_work:
                Stepwise.heard.set()

        def say(self, words: str) -> None:
            said.append(words)

    said, at_work = [""], list[dict[str, Any]]()
    monkeypatch.setattr(front, "EventWatcher", Hearing)
    monkeypatch.setattr(Stepwise, "steps", 0)
    monkeypatch.setattr(Stepwise, "heard", threading.Event())
    caplog.set_level(logging.INFO, "rrm")
    arguments = {"count": 1, "lost": [0], "steps": ["fit"]}  # its first fit is what the worker ends over
    settings = rrm.run_file({**STEPWISE, "engine": {**FAKE, "arguments": arguments}})
    report = rrm.run(settings, tmp_path / "away", quiet=True, on_event=lambda event: None)
    assert len(Fake.clusters[-1].seats) == 2
    assert Stepwise.steps == 4 * len(report.levels), "what was done when a worker was lost was done again"
    assert ("loss 3", 2, 4) in heard
    assert (at_work[0]["worker"], at_work[0]["host"], at_work[0]["step"]) == ("worker 0", gethostname(), "fit")
    assert at_work[0]["how"] in ("25%, loss 4", "50%, loss 3")
    assert look.status(tmp_path / "away")["workers"] == []
    told = [each.getMessage() for each in caplog.records if hasattr(each, ELSEWHERE)]
    assert sorted(told)[-4:] == [f"round 1, level {len(report.levels) - 1}: step {step}" for step in range(4)]
    assert run(STEPWISE, tmp_path / "here") == on_record(tmp_path / "away")


def test_what_a_fit_goes_on_from_is_one_process_own(tmp_path: Path) -> None:
    def worker(number: int) -> elsewhere.Elsewhere:
        made = elsewhere.Elsewhere()
        (tmp_path / f"scratch-{number}").mkdir()
        made._worker = SimpleNamespace(folder=tmp_path)  # type: ignore[assignment]
        made._store = SimpleNamespace(path=tmp_path / f"scratch-{number}" / "record.db")  # type: ignore[assignment]
        return made

    first, second = worker(1), worker(2)
    assert first._work_of("fit") == first._work_of("fit") == second._work_of("other")
    assert second._work_of("fit").parent == tmp_path / "scratch-2", "the first may still be at it"
    del first
    assert second._work_of("fit").parent == tmp_path


@pytest.mark.timeout(100)
def test_steps_that_no_worker_does_are_done_here(tmp_path: Path) -> None:
    here = run(TOYS, tmp_path / "here")
    assert run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"count": 1, "steps": ["score"]}}) == here
    assert done_elsewhere() > 3


def test_a_run_on_a_bad_cluster_is_the_same(tmp_path: Path) -> None:
    here = run(TOYS, tmp_path / "here")
    for seed in range(2):
        badly = {**FAKE, "arguments": {"count": 2, "badly": True, "seed": seed}}
        assert run(TOYS, tmp_path / f"away-{seed}", badly) == here


def test_the_others_go_on_where_no_process_can_be_had_in_a_workers_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = "worker 1 cannot be opened, the others go on and another is begun: it gave no sign"
    answer = FakeSeat._answer

    def until_said(seat: FakeSeat, answered: "Future[bytes]", asked: bytes) -> None:
        """Have the other worker, once it is open, work on until that is said of the one that was lost."""
        lost = [each for each in Fake.clusters[-1].seats if each.number == 1 and each._gone]
        while lost and seat.number == 0 and seat.fared and not seat._gone and said not in caplog.text:
            seat._busy = True
            time.sleep(0.05)
        answer(seat, answered, asked)

    monkeypatch.setattr(chair, "STARTS", 1)
    monkeypatch.setattr(FakeSeat, "_answer", until_said)
    here = run(SLOWLY, tmp_path / "here")
    assert run(SLOWLY, tmp_path / "away", {**FAKE, "arguments": {"lost": [1], "silent": 10**6}}) == here
    assert said in caplog.text


def test_a_step_whose_only_workers_are_gone_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chair, "STARTS", 1)
    here = run(TOYS, tmp_path / "here")
    assert run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"count": 1, "lost": [0], "silent": 4}}) == here
    assert len(Fake.clusters[-1].seats) >= 6
    assert " waits for it and another is begun" in caplog.text


def test_a_run_whose_workers_never_come_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chair, "STARTS", 0.5)
    monkeypatch.setattr(FakeSeat, "_answer", lambda *_: None)
    with pytest.raises(SetupError, match=r"worker \d cannot be opened: it gave no sign of working"):
        run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"lost": [0]}})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"torch": "2.12.0"}, r"worker \d has torch 2\.12\.0, and this process torch .*: results would differ"),
        ({"tests.toys:Words": "0"}, r"worker \d has tests\.toys:Words 0, and this process tests\.toys:Words \w+"),
    ],
)
def test_a_worker_made_of_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], sentence: str
) -> None:
    monkeypatch.setattr(elsewhere, "made_of", lambda settings: {**made_of(settings), **changed})
    with pytest.raises(InputError, match=sentence):
        run(TOYS, tmp_path / "away", FAKE)


def test_a_worker_that_computes_on_another_kind_of_device_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(elsewhere, "device", lambda: "a GPU")
    monkeypatch.setattr(supplies, "device", lambda: "a processor")
    run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"count": 1}})
    assert "worker 0 computes on a GPU, and this process on a processor: what they make may differ" in caplog.text


def test_a_worker_without_a_plug_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(settings: RunFile) -> dict[str, str]:
        return {"tests.nowhere:Words": str(load("tests.nowhere:Words"))}

    monkeypatch.setattr(elsewhere, "made_of", lacking)
    with pytest.raises(InputError, match=r"cannot do this run's work: 'tests\.nowhere:Words' cannot be imported"):
        run(TOYS, tmp_path / "away", FAKE)


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        ("all", r"\[engine\] worker 0 cannot keep it: .*No space left on device"),
        ("middle", r"worker 0 cannot keep it: what stands in models/\S+ before its byte 16 did not arrive"),
        ("end", r"worker 0 cannot keep it: models/\S+ did not arrive whole: "),
    ],
)
def test_a_model_that_did_not_arrive_whole_is_never_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, sentence: str
) -> None:
    keep = elsewhere.Elsewhere._keep

    def losing(self: elsewhere.Elsewhere, folder: str, name: str, at: int, part: bytes) -> None:
        if lost == "all":
            raise OSError(errno.ENOSPC, "No space left on device")
        if at == 0 or (lost == "middle" and at > 8):
            keep(self, folder, name, at, part)

    monkeypatch.setattr(folder_parts, "PART_BYTES", 8)
    monkeypatch.setattr(elsewhere.Elsewhere, "_keep", losing)
    with pytest.raises(SetupError, match=sentence):
        run(TOYS, tmp_path / "away", {**FAKE, "arguments": {"count": 1}})
    assert not list(tmp_path.glob("rrm-workers-*/*/models/*"))


def test_a_full_disk_where_a_fitted_model_arrives_ends_the_run_in_a_sentence_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = folder_parts.keep

    def full(partial: Path, *rest: Any) -> None:
        if "arriving-" in str(partial):
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(partial, *rest)

    engine = {**FAKE, "arguments": {"count": 1, "steps": FITS}}
    with monkeypatch.context() as patch:
        patch.setattr(folder_parts, "keep", full)
        with pytest.raises(
            StoreError, match=r"what a worker made cannot be kept here: .*No space left on device; mend"
        ):
            run(TOYS, tmp_path / "away", engine)
    assert run(TOYS, tmp_path / "away", engine) == run(TOYS, tmp_path / "here")


def test_what_killed_workers_had_open_is_removed_and_what_others_have_open_is_not(tmp_path: Path) -> None:
    others = elsewhere.machine_folder() / "run-1"
    folders = {name: others / f"scratch-{name}" for name in ("killed", "unlocked", "new", "at-work")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["killed"] / "run.lock").touch()
    (folders["new"] / "run.lock").touch()
    with RunLock(folders["at-work"]):
        for name in ("killed", "unlocked", "at-work"):
            os.utime(folders[name], (0, 0))
        run(TOYS, tmp_path / "away", FAKE)
    assert {name for name, folder in folders.items() if folder.exists()} == {"new", "at-work"}


def test_a_part_whose_inner_part_is_given_the_only_assistant_stays() -> None:
    alone: Any = SimpleNamespace(assistants={"only": None}, folder=None)
    asking, plain = "rrm.policy.language_model:LanguageModelPolicy", "tests.toys:Words"
    for arguments, crosses in (
        ({}, True),
        ({"inner": {"plugin": plain}}, True),
        ({"inner": {"plugin": plain, "arguments": {"parts": [{"plugin": asking}]}}}, False),
        ({"learner": asking}, False),
    ):
        assert supplies._crosses(alone, Part(plain, arguments)) == crosses, arguments


def test_what_a_policy_was_improved_against_is_read_once() -> None:
    asked: list[Any] = []
    held = object.__new__(RunSupplies)
    held._composed = {}
    held._worker = SimpleNamespace(asks_composed=lambda policy: not asked.append(policy))  # type: ignore[assignment]
    job = OutputsJob(SimpleNamespace(), SimpleNamespace(id="policy"))  # type: ignore[arg-type]
    action = Action("id", "propose", "slot", Place(), job)
    assert held.stays(action) and held.stays(action)
    assert len(asked) == 1
