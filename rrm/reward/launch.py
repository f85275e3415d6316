"""A training in several processes of its own, one a GPU, that end with the process that started them.

What is trained lies in the training's folder as JSON. Each process runs `python -m rrm.reward.launch FOLDER`, where
accelerate finds the others by the environment, as under `torchrun`, and shares the work by DDP. They say on their
standard output how far they are, and end when their standard input does, as it does when their parent is killed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import torch
from torch import Tensor

from rrm.backbone.load import first_line
from rrm.core.errors import ConfigError, InputError, LimitError, RrmError, ShapeError
from rrm.core.kinds.parts import is_count
from rrm.core.place import Place
from rrm.core.values import Rated
from rrm.files import read_json, write_json
from rrm.interchange.export import record, to_jsonl, to_records
from rrm.interchange.rows import read_rows
from rrm.reward.adapted import FACTS, TENSORS, AdaptedModel
from rrm.reward.joint_model import Reading
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from rrm.reward.train_log import Events

ASKED, ROWS, OTHERS, START, LOG = "processes.json", "rows.jsonl.gz", "others.jsonl.gz", "adapters", "processes.log"
_SAYS = "rrm.reward.launch "  # before each line of JSON; whatever else libraries print is left in the log
_PATIENCE_SECONDS = 5.0
_KINDS: Mapping[str, type[InputError]] = {each.__name__: each for each in (ConfigError, LimitError, ShapeError)}


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
) -> None:
    """Do what `rrm.reward.train.train` does in `count` processes; the model is then in `folder`.

    Raises what the training raised, as one sentence; InputError for a process that ended otherwise, naming the log.
    When this process is killed, or `events` raise, all of them end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    to_jsonl(to_records(rated), folder / ROWS)
    if others:
        to_jsonl(to_records(others), folder / OTHERS)
    if start is not None:
        start.save(folder / START)
    asked = {"name": name, "config": asdict(config), "seed": seed, "reading": asdict(reading), "place": str(place)}
    asked |= {"device": device, "dtype": dtype, "start": start is not None, "others": bool(others)}
    write_json(folder / ASKED, asked)
    with _processes(count, folder) as processes:
        for said in _said(processes, folder / LOG):
            if "log" in said:
                events.log(said["log"])
            else:
                events.progress(said["done"], said["total"])


# ---- the side that starts them ----


@contextmanager
def _processes(count: int, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the processes of a training; at the end, whatever ends it, none of them is left."""
    command = [sys.executable, "-W", "ignore", "-m", "rrm.reward.launch", str(folder)]
    started: list[subprocess.Popen[str]] = []
    with (folder / LOG).open("w", encoding="utf-8") as log:
        try:
            port = _free_port()
            for rank in range(count):
                process = subprocess.Popen(  # noqa: S603 this module by this interpreter
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    env=_environment(rank, count, port), start_new_session=True,
                )  # fmt: skip
                started.append(process)
            yield started
        finally:
            for process in started:
                _end(process)


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    threads = max(1, (os.cpu_count() or 1) // count)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    return {
        "OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1",
        **{name: str(value) for name, value in group.items()},
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and what it started: by the end of its input, or by force where that does not do."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _said(processes: Sequence[subprocess.Popen[str]], log: Path) -> Iterator[dict[str, Any]]:
    """Yield what processes say until all have ended well; raise what one of them failed with."""
    lines: SimpleQueue[tuple[int, str | None]] = SimpleQueue()
    for rank, process in enumerate(processes):
        assert process.stdout is not None
        threading.Thread(target=_pass_on, args=(rank, process.stdout, lines), daemon=True).start()
    running = len(processes)
    while running:
        rank, line = lines.get()
        if line is None:
            running -= 1
            if code := processes[rank].wait():
                raise InputError(_ended(rank, code, len(processes), log))
        elif line.startswith(_SAYS):
            said = json.loads(line.removeprefix(_SAYS))
            if "error" in said:
                raise _error(said)
            yield said


def _pass_on(rank: int, output: IO[str], lines: "SimpleQueue[tuple[int, str | None]]") -> None:
    for line in output:
        lines.put((rank, line))
    lines.put((rank, None))


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
        rated = _rows(folder / ROWS)
        others = _rows(folder / OTHERS) if asked["others"] else []
        train(
            rated, asked["name"], folder, _config(asked["config"]), asked["seed"], Reading(**asked["reading"]),
            Place.parse(asked["place"]), asked["device"], asked["dtype"], events if first else Events(),
            _start(folder / START) if asked["start"] else None, others,
        )  # fmt: skip
    except RrmError as error:
        _say(error=type(error).__name__, message=str(error))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        cause = f"{type(error).__name__}: {first_line(error)}"
        _say(error="InputError", message=f"a process of the training failed, {cause}; its log is {folder / LOG}")
        sys.exit(1)


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
