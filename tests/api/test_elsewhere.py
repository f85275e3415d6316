"""A worker elsewhere, whatever its plug-ins say, its machine loses, and other code left there."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import rrm
from rrm.api import elsewhere
from rrm.api.elsewhere import MOST_LINES, Elsewhere, Signs, machine_folder
from rrm.api.supplies import RunSupplies, made_of
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Fitted
from rrm.engines.crossing import Answered, message, read_message
from rrm.files import read_json, write_json
from rrm.pipeline.plan import Action, AnyAction
from tests.engines.fake import Fake
from tests.toys import TOYS, on_record

NAME = "models/model"
FIT: AnyAction = Action("fit-1", "fit", "slot", Place(), None)
FITTED = Fitted(Place(), "model", "digest", 3)
AWAY = {"plugin": "tests.engines.fake:Fake", "arguments": {"count": 1, "steps": ["score", "fit"]}}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Fake, "clusters", [])


class Machine:
    """A machine on which workers make one fit, which fails while it is `failing`; `fits` are how many were made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fits, self.workers, self.failing = folder, 0, 0, False

    def worker(self) -> Elsewhere:
        self.workers += 1
        scratch = self.folder / f"scratch-{self.workers}"
        scratch.mkdir()

        def compute(actions: list[AnyAction]) -> list[Any]:
            self.fits += 1
            if self.failing:
                return [ValueError("diverged")]
            write_json(worker.work / FIT.id / "checkpoint.json", {"step": 1})
            write_json(scratch / NAME / "model.json", {"fit": self.fits})
            return [(FITTED,)]

        worker: Any = SimpleNamespace(folder=self.folder, compute=compute)
        made = Elsewhere()
        made._worker = worker
        made._store = SimpleNamespace(path=scratch / "record.db")  # type: ignore[assignment]
        return made

    @property
    def left(self) -> set[str]:
        return {each.name for each in (self.folder / "work").iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_sign_says_what_a_plug_in_said_as_plain_values() -> None:
    worker = Elsewhere()
    worker._signs.within(np.int64(3), torch.tensor(10))  # type: ignore[arg-type]
    worker._signs.say(torch.tensor([0.5], dtype=torch.float32))  # type: ignore[arg-type]
    head, _ = read_message(worker.sign())
    assert (head["within"], head["said"]) == ([3, 10], "tensor([0.5000])")


def test_a_worker_is_at_work_whatever_its_plug_in_says_of_it() -> None:
    worker = Elsewhere()
    for nothing in (float("nan"), None, "half"):
        worker._signs.within(nothing, 10)  # type: ignore[arg-type]
        assert worker.sign() == message({})


def test_a_line_that_cannot_be_written_ends_no_work_and_lines_are_so_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rrm"), "propagate", False)  # pytest's own handler raises
    signs, log = Signs(), logging.getLogger("rrm.tests")
    with signs.listening() as lines:
        log.warning("%d", "not a number")
        for number in range(MOST_LINES + 1):
            log.warning("line %d", number)
    assert len(lines) == MOST_LINES
    assert lines[-1][3] == f"line {MOST_LINES}"
    assert "not a number" in capsys.readouterr().err


def test_a_fit_counts_as_done_where_its_model_is_there_as_it_was_saved(machine: Machine) -> None:
    assert machine.worker()._fitted([FIT]) == [(FITTED,)]
    assert machine.worker()._fitted([FIT]) == [(FITTED,)]
    assert machine.fits == 1, "the answer was lost, and the model was there"
    (machine.folder / NAME / "model.json").write_text("{")
    assert machine.worker()._fitted([FIT]) == [(FITTED,)]
    assert read_json(machine.folder / NAME / "model.json") == {"fit": 2}
    rmtree(machine.folder / NAME)
    assert machine.worker()._fitted([FIT]) == [(FITTED,)]
    assert read_json(machine.folder / NAME / "model.json") == {"fit": 3}


def test_a_model_that_is_gone_is_said_to_be(machine: Machine) -> None:
    worker = machine.worker()
    worker._fitted([FIT])
    asked = message({"content": NAME})
    assert list(read_message(worker.answer(asked))[0]["content"]) == ["model.json"]
    rmtree(machine.folder / NAME)
    assert "is gone" in read_message(worker.answer(asked))[0]["error"]["said"]


def test_what_a_fit_left_goes_when_its_model_has_arrived(machine: Machine) -> None:
    worker = machine.worker()
    worker._fitted([FIT])
    other = machine.worker()
    other._fitted([Action("fit-2", "fit", "slot", Place(), None)])
    worker._opened[0].work = other._opened[1].path.parent  # it works apart by now, at another fit
    assert {"fit-1", "fit-1.json", "fit-1.lock"} <= machine.left
    worker.answer(message({"fetched": NAME}))
    assert not {"fit-1", "fit-1.json", "fit-1.lock"} & machine.left


def test_a_fit_that_failed_is_no_longer_one_process_own(machine: Machine) -> None:
    machine.failing = True
    worker, other = machine.worker(), machine.worker()
    [failed] = worker._fitted([FIT])
    assert isinstance(failed, ValueError)
    assert machine.left == set()
    assert other._work_of(FIT.id) == machine.folder / "work"


def test_a_lock_that_was_removed_this_moment_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, removed = fcntl.flock, list[Path]()

    def late(lock: Any, how: int) -> None:
        if not removed:
            removed.append(Path(lock.name))
            removed[0].unlink()
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    first = elsewhere._locked(tmp_path, "fit")
    assert first is not None and removed
    assert elsewhere._locked(tmp_path, "fit") is None


def test_what_fits_left_goes_after_a_week_unless_a_process_is_at_it(machine: Machine) -> None:
    folder = machine.folder / "run-1"
    work = folder / "work"
    for fit in ("old", "new", "held"):
        write_json(work / fit / "checkpoint.json", {})
        write_json(work / f"{fit}.json", {})
        (work / f"{fit}.lock").touch()
        (work / f".{fit}.json.1").touch()
    for entry in work.iterdir():
        if "new" not in entry.name:
            os.utime(entry, (0, 0))
    with (work / "held.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        elsewhere._remove_left(machine.folder)
    assert {each.name.lstrip(".").partition(".")[0] for each in work.iterdir()} == {"new", "held"}
    assert len(list(work.iterdir())) == 8


def test_what_other_code_made_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supplies: list[RunSupplies] = []
    fetch = RunSupplies.fetch
    monkeypatch.setattr(RunSupplies, "fetch", lambda self, values: supplies.append(self) or fetch(self, values))
    rrm.run(rrm.run_file({**TOYS, "engine": AWAY}), tmp_path / "away", quiet=True)

    def folders() -> set[str]:
        Elsewhere().answer(supplies[0].opening(1, False))
        return {each.name for each in machine_folder().iterdir()}

    [own] = folders()
    monkeypatch.setattr(elsewhere, "made_of", lambda run: {**made_of(run), "rrm": "another"})
    assert len(folders() - {own}) == 1


def test_a_broken_model_in_the_place_of_one_that_arrives_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = RunSupplies.fetch

    def over_broken(self: RunSupplies, values: Any) -> Any:
        for fitted in values:
            if isinstance(fitted, Fitted):
                (self._worker.folder / "models" / fitted.path).mkdir(parents=True)
                (self._worker.folder / "models" / fitted.path / "model.json").write_text("{")
        return fetch(self, values)

    rrm.run(rrm.run_file(TOYS), tmp_path / "here", quiet=True)
    monkeypatch.setattr(RunSupplies, "fetch", over_broken)
    rrm.run(rrm.run_file({**TOYS, "engine": AWAY}), tmp_path / "away", quiet=True)
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")
    models = list((tmp_path / "here" / "models").iterdir())
    assert models
    for model in models:
        for file in model.iterdir():
            assert (tmp_path / "away" / "models" / model.name / file.name).read_bytes() == file.read_bytes()


@pytest.fixture
def supplies(tmp_path: Path) -> Iterator[RunSupplies]:
    held = object.__new__(RunSupplies)
    held._worker = SimpleNamespace(folder=tmp_path / "run", work=tmp_path / "run" / "work")  # type: ignore[assignment]
    yield held
    assert not list(tmp_path.rglob("heads.bin")), "nothing that was refused stays"


@pytest.mark.parametrize("path", ["../work/fit-1", "../policies/policy", "a/b", "/a", ".", "..", "", "nul\0"])
def test_a_model_goes_nowhere_but_right_below_the_models(supplies: RunSupplies, path: str) -> None:
    with pytest.raises(InputError, match=r"is not the name of one folder|no file can be called"):
        next(supplies.fetch((Fitted(Place(), path, "digest", 1),)))


@pytest.mark.parametrize(
    ("content", "part", "sentence"),
    [
        ({"heads.bin": [3, "0" * 32, "more"]}, b"", "does not say what a folder holds"),
        ({"../heads.bin": [3, "0" * 32]}, b"abc", "leads out of the folder"),
        ({"heads.bin": [3, "0" * 32]}, b"abc", r"models/model did not arrive whole: heads\.bin"),
        ({"heads.bin": [3, "0" * 32]}, bytes(2**23 + 1), "8388609 bytes, and 8388608 at most"),
    ],
)
def test_what_a_worker_says_of_a_model_is_checked(
    supplies: RunSupplies, content: dict[str, Any], part: bytes, sentence: str
) -> None:
    asking = supplies.fetch((FITTED,))
    answered: Answered = {"of": NAME, "content": content}, b""
    next(asking)
    with pytest.raises(InputError, match=sentence):
        while True:
            asked, _ = read_message(asking.send(answered))
            answered = {"keep": NAME, "file": asked["file"], "at": asked["at"]}, part
