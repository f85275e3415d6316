"""A worker elsewhere: a run's parts opened in a process that has no record, to do what it is sent.

It is told of the run by its settings. Whatever else an action needs, a model or a policy by digest or a source, it asks
for and keeps in a folder that all workers of a machine share, so that a model comes to each machine once.
"""

import fcntl
import gc
import json
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from tempfile import gettempdir, mkdtemp
from typing import IO, Any
from weakref import finalize

from pydantic import TypeAdapter

from rrm.api import folder_parts
from rrm.api.folder_parts import Content, content_of, inside
from rrm.api.lent import Caller
from rrm.api.look import BEGAN, WORK
from rrm.api.ranks import Lead, RankWork
from rrm.api.runfile import run_file
from rrm.api.supplies import DEVICE, GPU, device, made_of, needed
from rrm.api.wiring import PRECISION, Parts
from rrm.api.worker import MODELS, RunWorker
from rrm.core.errors import InputError, StoreError, in_one_line
from rrm.core.ids import content_id
from rrm.core.task import Source
from rrm.core.values import Fitted, Improvement
from rrm.engines.crossing import ELSEWHERE, FITS, Line, Raised, message, read_actions, read_message, write_results
from rrm.files import durable
from rrm.pipeline.plan import AnyAction, Values
from rrm.store.lock import RunLock
from rrm.store.record import SqlStore, open_store

_ROWS: dict[str, TypeAdapter[Any]] = {
    "improvement": TypeAdapter(list[Improvement]),
    "fitted": TypeAdapter(list[Fitted]),
}
_SOURCE = TypeAdapter(Source)
_DONE: TypeAdapter[tuple[Fitted, Content]] = TypeAdapter(tuple[Fitted, Content])

_log = logging.getLogger("rrm")

LEFT_SECONDS = 3600.0
"""A record that no worker has open is removed once it is so old: one that is being made is not open yet."""
FIT_SECONDS = 7 * 24 * 3600.0
"""What a fit would go on from is removed once it is so old and no worker is at it: a run may be resumed days later."""
MOST_LINES = 2000
"""So many of the last lines that were logged come with an answer."""
SIGN_LINES = 50
"""A sign of life has so many of the last lines that were logged."""


class Elsewhere:
    """Answers the messages of a run's process; implements the other end of `rrm.engines.remote`."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._has: set[str] = set()
        self._signs = Signs()
        self._locks: dict[str, IO[bytes]] = {}
        self._made: dict[str, tuple[str, Path]] = {}
        self._worker: RunWorker | None = None
        self._store: SqlStore | None = None

    def sign(self) -> bytes:
        """Return how it goes; called while a message is being answered, from another thread.

        A worker is at work whatever its plug-ins say of it: what cannot be told is left out.
        """
        try:
            return message(self._signs.told())
        except Exception:
            return message({})

    def answer(self, asked: bytes) -> bytes:
        """Do what a message says, and return what came of it; an error is an answer, too."""
        try:
            return self._answer(*read_message(asked))
        except Exception as error:
            return message({"error": asdict(Raised.of(error))})

    def _answer(self, head: dict[str, object], body: bytes) -> bytes:
        match head:
            case {"open": int(threads), "log": int(level)}:
                return self._open(threads, level, body)
            case {"do": str(id_), "step": str(step)}:
                return self._do(id_, step, body)
            case {"calls": list(numbers), "known": list(known), "wait": int() | float() as seconds}:
                return self._talk(numbers, known, seconds, body)
            case {"source": str(id_)}:
                self._sources[id_] = _SOURCE.validate_json(body)
            case {"rows": str(kind)}:
                self._opened[1].append(_ROWS[kind].validate_json(body))
            case {"keep": str(folder), "file": str(name), "at": int(at)}:
                self._keep(folder, name, at, body)
            case {"whole": str(folder), "content": dict(content)}:
                self._finish(folder, folder_parts.read_content(content))
            case {"content": str(folder)}:
                return message({"of": folder, "content": content_of(inside(self._opened[0].folder, folder))})
            case {"send": str(folder), "file": str(name), "at": int(at)}:
                return folder_parts.part_of(self._sent(folder), folder, name, at)
            case {"has": str(name)}:
                self._has.add(name)
            case {"ranks": str()}:
                return self._shared(head, body)
            case {"drain": True}:
                self._drain()
            case {"fetched": str(folder)}:
                self._let_go(folder)
            case _:
                raise InputError(f"a worker is asked to {', '.join(head) or 'do nothing'}, which it cannot")
        return message({"kept": True})

    @property
    def _opened(self) -> tuple[RunWorker, SqlStore]:
        if self._worker is None or self._store is None:
            raise InputError("a worker was asked for something before it was told of a run")
        return self._worker, self._store

    def _open(self, threads: int, level: int, body: bytes) -> bytes:
        import torch

        torch.set_num_threads(threads)
        if level < _log.getEffectiveLevel():
            _log.setLevel(level)
        spec = json.loads(body)
        settings = run_file(spec["run"], learns=False)
        run = replace(settings, folder=None if spec["folder"] is None else Path(spec["folder"]))
        made = made_of(run)
        same = {**spec, "run": {**spec["run"], "assistants": {}}}  # for those, too, who make calls
        folder = machine_folder() / content_id("run", same, made)  # what other code began is not gone on with
        folder.mkdir(mode=0o700, exist_ok=True)
        _remove_left(folder.parent)
        scratch = mkdtemp(prefix="scratch-", dir=folder)
        finalize(self, rmtree, scratch, ignore_errors=True)
        self._store = open_store(scratch)
        for name, value in ((BEGAN, spec["began"]), (PRECISION, spec["precision"])):
            if value is not None:
                self._store.settle(name, value)
        self._worker = RunWorker(Parts(run, self._store, brought=self._sources), folder, self._signs, Path(scratch))
        return message({"opened": {**made, DEVICE: device()}, "host": gethostname()})

    def _do(self, id_: str, step: str, body: bytes) -> bytes:
        worker, _ = self._opened
        actions = read_actions(step, body)
        names = dict.fromkeys(name for action in actions for name in needed(action))
        if lacking := [name for name in names if not self._there(name)]:
            return message({"needs": lacking})
        with self._signs.listening() as told:
            results = self._fitted(actions) if step in FITS else worker.compute(actions)
        return message({"done": id_, "log": told}, write_results(step, results))

    def _talk(self, numbers: Sequence[int], known: Sequence[int], seconds: float, body: bytes) -> bytes:
        """Begin model calls, and return what came of those that have ended and are not `known` to the run's process."""
        said = self._caller.talk(dict(zip(numbers, json.loads(body), strict=True)), known, seconds)
        return message({"said": list(said)}, json.dumps(list(said.values())).encode())

    @cached_property
    def _caller(self) -> Caller:
        return Caller(self._opened[0].parts)

    def _shared(self, head: dict[str, object], body: bytes) -> bytes:
        """Answer what concerns a fit that several workers share."""
        if head["ranks"] == "lead":
            for action in read_actions(str(head["step"]), body):
                if lacking := [name for name in dict.fromkeys(needed(action)) if not self._there(name)]:
                    return message({"needs": lacking})
        return self._ranks.answer(head, body)

    @cached_property
    def _ranks(self) -> RankWork:
        return RankWork(self._opened[1].path.parent, self._fit_with, self._signs.told)

    def _fit_with(self, action: AnyAction, lead: Lead) -> tuple[Values | Exception, list[Line]]:
        """Fit a model as the first of several ranks."""
        worker, _ = self._opened
        worker.ranks = lead
        try:
            with self._signs.listening() as told:
                return self._fit(action, lead.work), told
        finally:
            worker.ranks = None

    def _drain(self) -> None:
        """Let go of what is held on a GPU: the parts and all that they loaded, which are opened anew when needed."""
        if self._worker is None or self._store is None or device() != GPU:
            return
        import torch

        old, self._worker = self._worker, None
        parts = Parts(old.parts.run, self._store, brought=self._sources)
        self._worker = RunWorker(parts, old.folder, self._signs, self._store.path.parent)
        if (caller := self.__dict__.pop("_caller", None)) is not None:
            caller.end()
        del old, caller
        gc.collect()
        torch.cuda.empty_cache()

    def _fitted(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        """Fit models, which are whole where the machine's workers find them, or are not there."""
        return [self._fit(action, self._work_of(action.id)) for action in actions]

    def _fit(self, action: AnyAction, work: Path) -> Values | Exception:
        """Fit a model where it works, unless that was done on this machine and the answer was lost."""
        worker, _ = self._opened
        worker.work = work
        work.mkdir(parents=True, exist_ok=True)
        done = worker.work / f"{action.id}.json"
        if (fitted := self._fitted_before(done)) is None:
            [values] = worker.compute([action])
            if isinstance(values, Exception):
                self._release(action.id)
                return values
            [fitted] = values
            name = f"{MODELS}/{fitted.path}"
            content = content_of(self._partial(name))
            self._finish(name, content)
            durable(done, _DONE.dump_json((fitted, content)))
        self._made[f"{MODELS}/{fitted.path}"] = action.id, worker.work
        return (fitted,)

    def _fitted_before(self, done: Path) -> Fitted | None:
        """Return what was fitted on this machine, None unless its model is here as it was saved."""
        try:
            fitted, content = _DONE.validate_json(done.read_bytes())
            there = content_of(inside(self._opened[0].folder, f"{MODELS}/{fitted.path}"))
        except (FileNotFoundError, ValueError):
            return None
        return fitted if there == content else None

    def _let_go(self, name: str) -> None:
        """Forget what a fit would have gone on from: its model has arrived."""
        if (made := self._made.pop(name, None)) is not None:
            id_, work = made
            rmtree(work / id_, ignore_errors=True)
            (work / f"{id_}.json").unlink(missing_ok=True)
            self._release(id_)

    def _release(self, id_: str) -> None:
        if (lock := self._locks.pop(id_, None)) is not None:
            _unlock(lock)

    def _work_of(self, id_: str) -> Path:
        """Return where a fit works: what was lost on this machine goes on there, unless a process is still at it."""
        shared = self._opened[0].folder / WORK
        shared.mkdir(exist_ok=True)
        if id_ not in self._locks:
            if (lock := _locked(shared, id_)) is None:
                apart = self._opened[1].path.parent / WORK
                apart.mkdir(exist_ok=True)
                return apart
            self._locks[id_] = lock
        return shared

    def _there(self, name: str) -> bool:
        """Whether a thing is here: brought to this process or, a model, to another one of the machine."""
        kind, _, which = name.partition("/")
        return name in self._has or (kind == "model" and (self._opened[0].folder / MODELS / which).is_dir())

    def _keep(self, folder: str, name: str, at: int, part: bytes) -> None:
        """Write a part of a file into a folder that is not whole yet."""
        folder_parts.keep(self._partial(folder), name, at, part)

    def _finish(self, folder: str, content: Content) -> None:
        """Have a folder appear, whole; where another worker of the machine was first, its own is as good."""
        folder_parts.finish(self._partial(folder), inside(self._opened[0].folder, folder), content)

    def _sent(self, folder: str) -> Path:
        """Return where a folder is that is sent: models lie where all workers of the machine find them."""
        of_all = folder.partition("/")[0] == MODELS
        return inside(self._opened[0].folder if of_all else self._opened[1].path.parent, folder)

    def _partial(self, folder: str) -> Path:
        return inside(self._opened[1].path.parent, folder)


def machine_folder() -> Path:
    """Return the folder that a user's workers share on this machine; raise StoreError where it is somebody else's."""
    folder = Path(gettempdir(), f"rrm-workers-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise StoreError(f"{folder} must be a folder that is yours alone (mode 0700): remove it")
    return folder


def _locked(work: Path, id_: str) -> IO[bytes] | None:
    """Return the lock of a fit, None where another process is at it."""
    file = work / f"{id_}.lock"
    while True:
        lock = file.open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                return lock
        lock.close()  # whoever held it has removed it this moment


def _unlock(lock: IO[bytes]) -> None:
    """Let go of a lock, and remove its file before anybody else has it."""
    Path(lock.name).unlink(missing_ok=True)
    lock.close()


def _remove_left(folder: Path) -> None:
    """Remove what workers left that were killed, and no process holds the lock of: their records, and old fits."""
    for work in folder.glob(f"run-*/{WORK}"):
        _remove_fits(work)
    for scratch in folder.glob("run-*/scratch-*"):
        with suppress(FileNotFoundError):  # another worker removes it
            if time.time() - scratch.stat().st_mtime > LEFT_SECONDS and not RunLock(scratch).is_held():
                rmtree(scratch, ignore_errors=True)


def _remove_fits(work: Path) -> None:
    """Remove what fits would go on from, and that they are done, where long nobody asked for it."""
    fits: dict[str, list[Path]] = {}
    for entry in work.iterdir():
        fits.setdefault(entry.name.lstrip(".").partition(".")[0], []).append(entry)
    for id_, entries in fits.items():
        with suppress(FileNotFoundError):  # another worker removes it
            old = time.time() - max(each.stat().st_mtime for each in entries) > FIT_SECONDS
            if old and (lock := _locked(work, id_)) is not None:
                rmtree(work / id_, ignore_errors=True)
                for entry in entries:
                    if entry.suffix != ".lock" and entry.is_file():
                        entry.unlink()
                _unlock(lock)


class Signs:
    """How a worker's work goes, and what rrm's parts log meanwhile; implements `rrm.pipeline.progress.Within`.

    A sign has the last lines alone, an answer all of its own.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._within: tuple[int, int] | None = None
        self._said = ""
        self._lines: list[Line] = []
        self._logged = 0

    def within(self, done: int, total: int) -> None:
        with self._turn:
            self._within = done, total

    def say(self, words: str) -> None:
        with self._turn:
            self._said = str(words)

    def told(self) -> dict[str, object]:
        with self._turn:
            within = self._within and tuple(map(int, self._within))  # a plug-in's own may be numpy's
            return {"within": within, "said": self._said, "log": self._lines[-SIGN_LINES:]}

    @contextmanager
    def listening(self) -> Iterator[list[Line]]:
        """Collect what is logged for the run's own log, and how the work goes that begins now."""
        with self._turn:
            self._within, self._said, self._lines = None, "", []
            lines = self._lines
        listener = _Listener(self._log)
        _log.addHandler(listener)
        try:
            yield lines
        finally:
            _log.removeHandler(listener)

    def _log(self, name: str, level: int, said: str) -> None:
        with self._turn:
            self._logged += 1
            self._lines.append((self._logged, name, level, said))
            del self._lines[:-MOST_LINES]


class _Listener(logging.Handler):
    def __init__(self, log: Callable[[str, int, str], None]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, ELSEWHERE):  # it was logged by another worker, and is told where it came from
            return
        try:
            self._log(record.name, record.levelno, in_one_line(Exception(record.getMessage())))
        except Exception:
            self.handleError(record)
