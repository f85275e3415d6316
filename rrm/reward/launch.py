"""A training in several processes, one a GPU, that end with the process that started them.

What is trained lies in the training's folder as JSON. Each process runs `python -m rrm.reward.launch FOLDER`, meets the
others where its environment says (`rrm.reward.rendezvous`), and shares the work with them by accelerate's DDP. All of
them are of this machine, or this process starts the first alone, and other workers one each. They say on their standard
output how far they are, and end when their standard input does, as it does when their parent is killed.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

import torch
from torch import Tensor

from rrm.backbone.load import first_line
from rrm.core.errors import ConfigError, InputError, LimitError, LostRankError, RrmError, ShapeError
from rrm.core.kinds.parts import is_count
from rrm.core.place import Place
from rrm.core.protocols import Ranks
from rrm.core.values import Rated
from rrm.files import read_json, write_json
from rrm.interchange.export import record, to_jsonl, to_records
from rrm.interchange.rows import read_rows
from rrm.reward.adapted import FACTS, TENSORS, AdaptedModel
from rrm.reward.checkpoint import STATE
from rrm.reward.joint_model import Reading
from rrm.reward.rendezvous import Rendezvous, is_lost, join, listening
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from rrm.reward.train_log import Events

ASKED, ROWS, OTHERS, START, LOG = "processes.json", "rows.jsonl.gz", "others.jsonl.gz", "adapters", "processes.log"
_SAYS = "rrm.reward.launch "  # before each line of JSON; whatever else libraries print is left in the log
_PATIENCE_SECONDS = 5.0
_CHECK_SECONDS = 0.2
"""So often the first of a group of workers asks whether the others are still there."""
_KINDS: Mapping[str, type[InputError]] = {
    each.__name__: each for each in (ConfigError, LimitError, LostRankError, ShapeError)
}


def processes_here(device: str) -> int:
    """Return how many processes a training takes by itself: one for each GPU, one on a CPU or a GPU that is named."""
    begun = int(os.environ.get("WORLD_SIZE", "1")) > 1  # by accelerate launch or torchrun: they have shared it out
    return 1 if begun or device not in ("auto", "cuda") else max(1, torch.cuda.device_count())


def check_processes(count: int | None, device: str) -> int | None:
    """Return how many processes are asked for; raise ConfigError for none, too many, or several on one GPU."""
    if count is not None and not is_count(count):
        raise ConfigError(f"[reward] arguments: processes is 1 or more, got {count!r}")
    if count is not None and count > (most := _most_processes(device)):
        raise ConfigError(f"[reward] arguments: processes is at most {most} on this machine, got {count}")
    if count is not None and count > 1 and device.startswith("cuda:"):
        raise ConfigError(f"[reward] arguments: {count} processes cannot share {device}: let device be cuda or auto")
    return count


def _most_processes(device: str) -> int:
    """Return how many processes make sense: one for each GPU; on a CPU a few more than its cores do no harm."""
    on_gpus = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return max(1, torch.cuda.device_count()) if on_gpus else max(8, os.cpu_count() or 1)


def train_in_processes(
    count: int,
    rated: Sequence[Rated],
    name: str,
    folder: Path,
    config: TrainConfig,
    seed: int,
    reading: Reading,
    place: Place,
    device: str,
    dtype: str,
    events: Events,
    start: AdaptedModel | None,
    others: Sequence[Rated] = (),
    ranks: Ranks | None = None,
) -> None:
    """Do what `rrm.reward.train.train` does in `count` processes; the model is then in `folder`.

    They are of this machine, or the first of them, and the other `ranks` are other workers'. Raises what the training
    raised, as one sentence; LostRankError, naming the log, for a process that was lost. When this process is killed, or
    `events` raise, all of them end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    to_jsonl(to_records(rated), folder / ROWS)
    if others:
        to_jsonl(to_records(others), folder / OTHERS)
    if start is not None:
        start.save(folder / START)
    inside = Path(name).is_relative_to(folder)  # a model to start from, which is elsewhere on another machine
    asked = {"name": str(Path(name).relative_to(folder)) if inside else name, "inside": inside, "seed": seed}
    asked |= {"config": asdict(config), "reading": asdict(reading), "place": str(place), "others": bool(others)}
    asked |= {"device": device, "dtype": dtype, "start": start is not None}
    write_json(folder / ASKED, asked)
    with _processes(count, folder, ranks) as processes:
        for said in _said(processes, folder / LOG, ranks):
            if "log" in said:
                events.log(said["log"])
            else:
                events.progress(said["done"], said["total"])


# ---- the side that starts them ----


@contextmanager
def _processes(count: int, folder: Path, ranks: Ranks | None) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the processes of a training; at the end, whatever ends it, none of them is left."""
    host, token = (ranks.host, ranks.token) if ranks else ("127.0.0.1", secrets.token_hex(16))
    here, started = 1 if ranks else count, list[subprocess.Popen[str]]()
    with (folder / LOG).open("w", encoding="utf-8") as log:
        try:
            with listening(host) as heard:
                at = Rendezvous(host, heard.getsockname()[1], count, token)
                if ranks is not None:
                    ranks.begin(folder, at.port)
                for rank in range(here):
                    told = at.environment(rank, rank, here, None if rank else heard.fileno())
                    started.append(_begun(folder, told, log, None if ranks else here, heard.fileno()))
            yield started
        finally:
            for process in started:
                _end(process)


def _begun(
    folder: Path, told: Mapping[str, str], log: IO[str], here: int | None, *passed: int
) -> "subprocess.Popen[str]":
    """Begin a process of a training, with open files to pass on.

    So many `here` share the machine's processors, unless the environment says threads; None has as many as this worker.
    """
    each = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // (here or 1)))}
    environment = {**each, **os.environ} if here else {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 this module by this interpreter
        [sys.executable, "-W", "ignore", "-m", "rrm.reward.launch", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, pass_fds=passed,
        env={**environment, "PYTHONPATH": path, **told}, start_new_session=True,
    )  # fmt: skip


class FollowingRank:
    """One rank of a training whose first is another worker's: its process here, in a folder that has what that has."""

    def __init__(self, folder: Path, rank: int, at: Rendezvous) -> None:
        at.require_reached()
        for first in folder.glob(f"{STATE}/step-*/0.safetensors"):  # replicas are alike
            first.with_name(f"{rank}.safetensors").write_bytes(first.read_bytes())
        self._which, self._log = (rank, at.count), folder / LOG
        with self._log.open("w", encoding="utf-8") as log:
            self._process = _begun(folder, at.environment(rank, 0, 1), log, None)
        assert self._process.stdout is not None
        self._lines: SimpleQueue[tuple[int, str | None]] = SimpleQueue()
        threading.Thread(target=_pass_on, args=(rank, self._process.stdout, self._lines), daemon=True).start()

    def failure(self) -> InputError | None:
        """Return what the process failed with; None while it goes on, and where it has ended well."""
        while not self._lines.empty():
            _, line = self._lines.get()
            if line is not None and line.startswith(_SAYS) and "error" in (said := _read(line)):
                return _error(said)
        code = self._process.poll()
        return LostRankError(_ended(self._which[0], code, self._which[1], self._log)) if code else None

    def end(self) -> None:
        _end(self._process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and what it started: by the end of its input, or by force where that does not do."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _said(
    processes: Sequence[subprocess.Popen[str]], log: Path, ranks: Ranks | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what processes say until all have ended well; raise what one of them failed with, or other ranks did."""
    lines: SimpleQueue[tuple[int, str | None]] = SimpleQueue()
    for rank, process in enumerate(processes):
        assert process.stdout is not None
        threading.Thread(target=_pass_on, args=(rank, process.stdout, lines), daemon=True).start()
    running = len(processes)
    while running:
        if ranks is not None:
            ranks.check()
        try:
            rank, line = lines.get(timeout=_CHECK_SECONDS if ranks else None)
        except Empty:
            continue
        if line is None:
            running -= 1
            if code := processes[rank].wait():
                raise LostRankError(_ended(rank, code, ranks.count if ranks else len(processes), log))
        elif line.startswith(_SAYS):
            said = _read(line)
            if "error" in said:
                raise _error(said)
            yield said


def _pass_on(rank: int, output: IO[str], lines: "SimpleQueue[tuple[int, str | None]]") -> None:
    for line in output:
        lines.put((rank, line))
    lines.put((rank, None))


def _read(line: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(line.removeprefix(_SAYS))
    return said


def _ended(rank: int, code: int, count: int, log: Path) -> str:
    why = f"was ended by signal {-code}, perhaps for memory" if code < 0 else f"ended with exit status {code}"
    return f"process {rank + 1} of {count} of the training {why}: what it said last is in {log}"


def _error(said: Mapping[str, str]) -> InputError:
    return _KINDS.get(said["error"], InputError)(said["message"])


# ---- the side that trains ----


@dataclass(frozen=True)
class _Start:
    """The adapters that a training starts from, without the backbone that they are for."""

    digest: str
    seen: tuple[str, ...]
    tensors: Mapping[str, Tensor]


def _start(folder: Path) -> _Start:
    from safetensors.torch import load_file

    facts = read_json(folder / FACTS)
    return _Start(facts["digest"], tuple(facts["seen"]), load_file(str(folder / TENSORS)))


def _rows(file: Path) -> list[Rated]:
    return [record(row) for _, row in read_rows(file)]


def _config(asked: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig(**{**asked, "lora_modules": tuple(asked["lora_modules"])})


def work(folder: Path) -> None:
    """Train what a folder says, as one of several processes; say how far it is, and what it failed with."""
    first = os.environ.get("RANK", "0") == "0"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    events = Events(lambda done, total: _say(done=done, total=total), lambda line: _say(log=line))
    try:
        asked = read_json(folder / ASKED)
        join(asked["device"].startswith("cpu") or not torch.cuda.is_available())
        rated = _rows(folder / ROWS)
        others = _rows(folder / OTHERS) if asked["others"] else []
        name = str(folder / asked["name"]) if asked["inside"] else asked["name"]
        train(
            rated, name, folder, _config(asked["config"]), asked["seed"], Reading(**asked["reading"]),
            Place.parse(asked["place"]), asked["device"], asked["dtype"], events if first else Events(),
            _start(folder / START) if asked["start"] else None, others,
        )  # fmt: skip
    except RrmError as error:
        _say(error=type(error).__name__, message=str(error))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        cause = f"{type(error).__name__}: {first_line(error)}".partition(" This is typically")[0]
        kind, what = (LostRankError, "lost another") if is_lost(error) else (InputError, "failed")
        _say(error=kind.__name__, message=f"a process of the training {what}, {cause}; its log is {folder / LOG}")
        os._exit(1)  # at once: what ends a process group waits for ranks that are gone


def _say(**what: object) -> None:
    sys.stdout.write(f"{_SAYS}{json.dumps(what)}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock would be missed when this process ends first
        pass
    os._exit(1)


if __name__ == "__main__":
    signal.signal(
        signal.SIGUSR1, signal.SIG_IGN
    )  # a queue may tell all processes of a job, and ours answers to its parent
    work(Path(sys.argv[1]))
