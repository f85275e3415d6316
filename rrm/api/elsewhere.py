"""A worker elsewhere: a run's parts opened in a process that has no record, to do what it is sent.

It is told of the run by its settings. Whatever else an action needs, a model or a policy by digest or a source, it asks
for and keeps in a folder that all workers of a machine share, so that a model comes to each machine once.
"""

import json
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from typing import Any
from weakref import finalize

from pydantic import TypeAdapter

from rrm.api.look import BEGAN
from rrm.api.runfile import run_file
from rrm.api.supplies import made_of, needed
from rrm.api.wiring import PRECISION, Parts
from rrm.api.worker import MODELS, RunWorker
from rrm.core.errors import InputError, StoreError, in_one_line
from rrm.core.ids import content_id
from rrm.core.task import Source
from rrm.core.values import Fitted, Improvement
from rrm.engines.crossing import Raised, message, read_actions, read_message, write_results
from rrm.store.lock import RunLock
from rrm.store.record import SqlStore, open_store

_ROWS: dict[str, TypeAdapter[Any]] = {
    "improvement": TypeAdapter(list[Improvement]),
    "fitted": TypeAdapter(list[Fitted]),
}
_SOURCE = TypeAdapter(Source)

LEFT_SECONDS = 3600.0
"""A record that no worker has open is removed once it is so old: one that is being made is not open yet."""


class Elsewhere:
    """Answers the messages of a run's process; implements the other end of `rrm.engines.remote`."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._has: set[str] = set()
        self._worker: RunWorker | None = None
        self._store: SqlStore | None = None

    def answer(self, asked: bytes) -> bytes:
        """Do what a message says, and return what came of it; an error is an answer, too."""
        try:
            return self._answer(*read_message(asked))
        except Exception as error:
            return message({"error": asdict(Raised.of(error))})

    def _answer(self, head: dict[str, object], body: bytes) -> bytes:
        match head:
            case {"open": int(threads)}:
                return self._open(threads, body)
            case {"do": str(id_), "step": str(step)}:
                return self._do(id_, step, body)
            case {"source": str(id_)}:
                self._sources[id_] = _SOURCE.validate_json(body)
            case {"rows": str(kind)}:
                self._opened[1].append(_ROWS[kind].validate_json(body))
            case {"keep": str(folder), "file": str(name), "at": int(at)}:
                self._keep(folder, name, at, body)
            case {"whole": str(folder), "sizes": dict(sizes)}:
                self._finish(folder, sizes)
            case {"has": str(name)}:
                self._has.add(name)
            case _:
                raise InputError(f"a worker is asked to {', '.join(head) or 'do nothing'}, which it cannot")
        return message({"kept": True})

    @property
    def _opened(self) -> tuple[RunWorker, SqlStore]:
        if self._worker is None or self._store is None:
            raise InputError("a worker was asked for something before it was told of a run")
        return self._worker, self._store

    def _open(self, threads: int, body: bytes) -> bytes:
        import torch

        torch.set_num_threads(threads)
        spec = json.loads(body)
        folder = machine_folder() / content_id("run", spec)
        folder.mkdir(mode=0o700, exist_ok=True)
        settings = run_file(spec["run"], learns=False)
        run = replace(settings, folder=None if spec["folder"] is None else Path(spec["folder"]))
        _remove_left(folder.parent)
        scratch = mkdtemp(prefix="scratch-", dir=folder)
        finalize(self, rmtree, scratch, ignore_errors=True)
        self._store = open_store(scratch)
        for name, value in ((BEGAN, spec["began"]), (PRECISION, spec["precision"])):
            if value is not None:
                self._store.settle(name, value)
        self._worker = RunWorker(Parts(run, self._store, brought=self._sources), folder)
        return message({"opened": made_of(run)})

    def _do(self, id_: str, step: str, body: bytes) -> bytes:
        worker, _ = self._opened
        actions = read_actions(step, body)
        names = dict.fromkeys(name for action in actions for name in needed(action))
        if lacking := [name for name in names if not self._there(name)]:
            return message({"needs": lacking})
        with _listening() as told:
            results = worker.compute(actions)
        return message({"done": id_, "log": told}, write_results(step, results))

    def _there(self, name: str) -> bool:
        """Whether a thing is here: brought to this process or, a model, to another one of the machine."""
        kind, _, which = name.partition("/")
        return name in self._has or (kind == "model" and (self._opened[0].folder / MODELS / which).is_dir())

    def _keep(self, folder: str, name: str, at: int, part: bytes) -> None:
        """Write a part of a file into a folder that is not whole yet."""
        file = _inside(self._partial(folder), name)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("r+b" if at else "wb") as opened:
            if opened.seek(0, os.SEEK_END) < at:
                raise InputError(f"what stands in {folder}/{name} before its byte {at} did not arrive")
            opened.seek(at)
            opened.write(part)

    def _finish(self, folder: str, sizes: Mapping[str, int]) -> None:
        """Have a folder appear, whole; where another worker of the machine was first, its own is as good."""
        whole, partial = _inside(self._opened[0].folder, folder), self._partial(folder)
        if not whole.is_dir():
            files = {name: _inside(partial, name) for name in sizes}
            lacking = [name for name, file in files.items() if not file.is_file() or file.stat().st_size != sizes[name]]
            if lacking:
                raise InputError(f"{folder} did not arrive whole: {', '.join(lacking)}")
        whole.parent.mkdir(exist_ok=True)
        try:
            partial.rename(whole)
        except OSError:
            if not whole.is_dir():
                raise
            rmtree(partial, ignore_errors=True)

    def _partial(self, folder: str) -> Path:
        return _inside(self._opened[1].path.parent, folder)


def machine_folder() -> Path:
    """Return the folder that a user's workers share on this machine; raise StoreError where it is somebody else's."""
    folder = Path(gettempdir(), f"rrm-workers-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise StoreError(f"{folder} must be a folder that is yours alone (mode 0700): remove it")
    return folder


def _remove_left(folder: Path) -> None:
    """Remove the records of workers that were killed: those that no process holds the lock of."""
    for scratch in folder.glob("run-*/scratch-*"):
        with suppress(FileNotFoundError):  # another worker removes it
            if time.time() - scratch.stat().st_mtime > LEFT_SECONDS and not RunLock(scratch).is_held():
                rmtree(scratch, ignore_errors=True)


def _inside(folder: Path, name: str) -> Path:
    """Return a path in a folder; raise InputError for one that leads out of it."""
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents:
        raise InputError(f"{name!r} leads out of the folder of a worker")
    return path


@contextmanager
def _listening() -> Iterator[list[tuple[str, int, str]]]:
    """Collect what rrm's parts warn of, for the run's own log."""
    told: list[tuple[str, int, str]] = []
    listener = _Listener(told)
    logger = logging.getLogger("rrm")
    logger.addHandler(listener)
    try:
        yield told
    finally:
        logger.removeHandler(listener)


class _Listener(logging.Handler):
    def __init__(self, told: list[tuple[str, int, str]]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append((record.name, record.levelno, in_one_line(Exception(record.getMessage()))))
