"""A fit in processes of its own: the losses of one process, progress, kills on either side, and what failed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rrm.core.errors import ConfigError, InputError, LimitError
from rrm.core.place import Place
from rrm.core.protocols import Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import OVERALL, Rated
from rrm.reward import launch
from rrm.reward.adapted import AdaptedModel
from rrm.reward.tuned import Tuned
from tests.reward.joint_problems import EXACT, judged, save_decoder

ONE: dict[str, Any] = {
    "members": 2, "epochs": 1, "learning_rate": 3e-3, "head_rate": 1.0, "rows_per_update": 12, "save_every": 1, **EXACT,
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_decoder(tmp_path_factory.mktemp("decoder"))


def fitted(
    learner: Tuned,
    rows: list[Rated],
    work: Workspace,
    below: AdaptedModel | None = None,
    others: tuple[Rated, ...] = (),
) -> AdaptedModel:
    model = learner.fit(Ratings(Train, tuple(rows)), Start(below, others=others), Place(), 0, work)
    assert isinstance(model, AdaptedModel)
    return model


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def alive(folder: Path) -> list[int]:
    """The processes whose command line names a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in each.read_bytes():
                found.append(int(each.parent.name))
        except OSError:
            pass
    return [process for process in found if process != os.getpid()]


@pytest.fixture(scope="module")
def shared(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AdaptedModel, Path, list[tuple[int, int]]]:
    """What two processes fitted to twelve rows, where they did, and what they told of how far they were."""
    told: list[tuple[int, int]] = []
    folder = tmp_path_factory.mktemp("shared") / "two"
    work = Workspace(folder, lambda done, total: told.append((done, total)))
    return fitted(Tuned(str(decoder), processes=2, **ONE), judged(12, 1), work), folder, told


def test_two_processes_fit_what_one_does_and_tell_how_far_they_are(
    decoder: Path, shared: tuple[AdaptedModel, Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    rows, unseen = judged(12, 1), [row.request.group for row in judged(4, 2)]
    model, folder, told = shared
    one, two = Tuned(str(decoder), **ONE), Tuned(str(decoder), processes=2, **ONE)
    assert one.name == two.name
    alone = fitted(one, rows, Workspace(tmp_path / "one"))
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "one"), atol=1e-5)
    count = len(losses(tmp_path / "one"))
    assert told == [(step, count) for step in range(1, count + 1)]
    for a, b in zip(alone.predict(unseen), model.predict(unseen), strict=True):
        np.testing.assert_allclose(a.rewards[OVERALL], b.rewards[OVERALL], atol=1e-3)
    assert model.ratings == alone.ratings and not alive(folder)
    assert fitted(two, rows, Workspace(folder)).digest == model.digest  # what was done is not done again


@pytest.mark.slow
def test_the_level_below_and_ratings_of_other_levels_reach_the_processes(
    decoder: Path, shared: tuple[AdaptedModel, Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    others = tuple(replace(row, request=replace(row.request, place=Place(level=1))) for row in judged(6, 2))
    one, two = (Tuned(str(decoder), trunk="shared", processes=count, **ONE) for count in (1, 2))
    below = fitted(one, judged(8, 3), Workspace(tmp_path / "below"))
    alone = fitted(one, judged(6, 1), Workspace(tmp_path / "one"), below, others)
    told = fitted(two, judged(6, 1), Workspace(tmp_path / "two"), below, others)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), atol=1e-5)
    assert told.tensors.keys() == alone.tensors.keys() >= {"heads.1.weight"}
    assert told.seen == alone.seen and not alive(tmp_path)


@pytest.mark.slow
def test_a_fit_that_is_stopped_ends_its_processes_and_goes_on_from_its_checkpoint(
    decoder: Path, shared: tuple[AdaptedModel, Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    rows, learner = judged(12, 1), Tuned(str(decoder), processes=2, **ONE)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(learner, rows, Workspace(tmp_path / "cut", stop))
    assert not alive(tmp_path)
    told: list[int] = []
    again = fitted(learner, rows, Workspace(tmp_path / "cut", lambda done, total: told.append(done)))
    assert told[0] >= 2  # the state after the first update was written before the second step was taken
    whole, folder, _ = shared
    np.testing.assert_allclose(losses(tmp_path / "cut"), losses(folder), atol=1e-6)
    assert again.ratings == whole.ratings


_FITS = """
import sys
from pathlib import Path
from rrm.core.place import Place
from rrm.core.protocols import Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.reward.tuned import Tuned
from tests.reward.joint_problems import judged
learner = Tuned(sys.argv[1], processes=2, device="cpu", members=2, epochs=200, save_every=0)
told = Workspace(Path(sys.argv[2]), lambda done, total: print(done, flush=True))
learner.fit(Ratings(Train, tuple(judged(12, 1))), Start(), Place(), 0, told)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_parent_that_is_killed_leaves_no_process_behind(decoder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _FITS, str(decoder), str(tmp_path / "work")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert parent.stdout is not None and parent.stdout.readline() == "1\n"
    assert len([each for each in alive(tmp_path / "work") if each != parent.pid]) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 120
    while alive(tmp_path / "work") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(tmp_path / "work")


def test_what_a_process_failed_with_is_raised_as_a_sentence(decoder: Path, tmp_path: Path) -> None:
    long = Tuned(str(decoder), processes=2, max_length=20, **ONE)
    with pytest.raises(LimitError, match=r"have more than max_length = 20 tokens") as refused:
        fitted(long, judged(4, 1), Workspace(tmp_path / "long"))
    assert "\n" not in str(refused.value)
    broken = tmp_path / "broken"
    broken.mkdir()
    with pytest.raises(
        InputError, match=r"^process \d of 2 of the training ended with exit status \d+: .*processes\.log"
    ):
        for _ in launch._said([_process(broken, "import sys; sys.exit(3)"), _process(broken, "")], broken / launch.LOG):
            pass
    with pytest.raises(InputError, match="was ended by signal 9, perhaps for memory"):
        for _ in launch._said([_process(broken, "import os; os.kill(os.getpid(), 9)")] * 2, broken / launch.LOG):
            pass


def _process(folder: Path, program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": 0}, "processes is 1 or more, got 0"),
        ({"processes": 1.5}, "Tuned: processes is a whole number, got 1.5"),
        ({"processes": "two"}, "Tuned: processes is a whole number, got 'two'"),
        ({"processes": 2, "device": "cuda:1"}, "2 processes cannot share cuda:1: let device be cuda or auto"),
    ],
)
def test_processes_that_cannot_be_are_refused(decoder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tuned(str(decoder), **settings)


def test_by_itself_a_training_takes_a_process_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [launch.processes_here(device) for device in ("auto", "cuda", "cuda:1", "cpu")] == [4, 4, 1, 1]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch.processes_here("auto") == 1
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert launch.processes_here("auto") == 1
