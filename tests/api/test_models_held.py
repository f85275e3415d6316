"""Which of a run's reward models are held in memory, and when one is loaded again."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import rrm
from rrm.api import worker
from rrm.api.wiring import Parts
from rrm.api.worker import MODELS, Models
from rrm.core.place import Place
from rrm.core.values import Fitted
from tests.toys import LengthModel, Lengths, toys


class Watched(Lengths):
    """Notes what is loaded."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, folder: Path) -> LengthModel:
        self.loaded.append(folder.name)
        return super().load(folder)


def on_record(folder: Path, level: int) -> tuple[Fitted, int]:
    """A model on record, and the bytes of its file."""
    model, path = LengthModel(Place(level=level), ["a", "b"]), folder / MODELS / str(level)
    path.mkdir(parents=True)
    model.save(path)
    size = (path / "lengths.json").stat().st_size
    return Fitted(model.place, str(level), model.digest, 0, "", "train", True), size


def test_the_models_that_were_used_last_are_held_and_others_loaded_again(tmp_path: Path) -> None:
    (zero, size), (one, _), (two, _) = (on_record(tmp_path, level) for level in range(3))
    learner = Watched()
    models = Models(cast("Parts", SimpleNamespace(learner=learner)), tmp_path, most_bytes=2 * size)
    for fitted in (zero, one, zero, two, zero, two, one):
        assert models.load(fitted).digest == fitted.digest
    assert learner.loaded == ["0", "1", "2", "1"]  # 0 was used again when 2 came, so 1 went


def test_a_model_that_is_larger_than_the_room_is_held_alone(tmp_path: Path) -> None:
    (zero, _), (one, _) = (on_record(tmp_path, level) for level in range(2))
    learner = Watched()
    models = Models(cast("Parts", SimpleNamespace(learner=learner)), tmp_path, most_bytes=1)
    for fitted in (zero, zero, one, one, zero):
        models.load(fitted)
    assert learner.loaded == ["0", "1", "0"]


@pytest.mark.parametrize("room", [1, None])
def test_a_run_ends_alike_with_little_room_and_loads_nothing_with_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int | None
) -> None:
    learner = Watched()
    if room is not None:
        monkeypatch.setattr(worker, "MODEL_BYTES", room)
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(reward={"plugin": learner}, rounds=2))
    expected = rrm.run(out=tmp_path / "expected", quiet=True, **toys(reward={"plugin": Lengths()}, rounds=2))
    assert report.levels == expected.levels
    assert bool(learner.loaded) is (room == 1)
