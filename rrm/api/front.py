"""`rrm.run` and its kin: from a script, a notebook, a thread or a server, one run or several at once.

Nothing here loads torch before it is needed, and a run has a thread and an event loop of its own wherever another
loop is running, so that nobody's loop is kept waiting.
"""

import asyncio
import threading
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module, resources
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel
from anyio import CancelScope, RunFinishedError, from_thread
from sniffio import AsyncLibraryNotFoundError, current_async_library

from rrm.api.options import Event, EventWatcher, Options
from rrm.api.runfile import RunFile, read_run_file, run_file, run_of, with_engine
from rrm.core.errors import ConfigError, InputError, Interrupted, Terminated
from rrm.core.report import Report

T = TypeVar("T")
Settings = RunFile | str | Path | None
Work = Callable[[ModuleType, Any], Awaitable[T]]
"""Given the module `rrm.api.runs` and a watcher, does a run's work in the event loop of its thread."""


SMALLER_DEMO = {"count": 4, "words": 1000, "trees": 1}
"""Books to learn from, words of a book, and trees of each, where a demo fine-tunes a model of every level."""


def demo_file(
    seed: int,
    reward: str = "frozen",
    backbone: str | None = None,
    books: int | None = None,
    engine: str | None = None,
) -> RunFile:
    """Return the settings of `rrm demo`: the seed makes the books, too.

    `reward` is "frozen", "joint", a fine-tuned model a level, or "blend", the sum of both; `backbone` is what frozen or
    fine-tuned models read with, of a sum the fine-tuned ones; `books` are learned from; `engine`, by name, does the
    work. With fine-tuned models it is smaller (`SMALLER_DEMO`). Raises ConfigError for any other `reward`, and for
    fewer than 4 books: of one alone, once the judge of role select has its share, nothing could be held out.
    """
    table = tomllib.loads(resources.files("rrm.api").joinpath("demo.toml").read_text("utf-8"))
    plugins = {
        "frozen": "rrm.reward.frozen:Frozen",
        "joint": "rrm.reward.joint:Joint",
        "blend": "rrm.reward.blend:Blend",
    }
    if reward not in plugins:
        raise ConfigError(f"--reward is {', '.join(plugins)}, got {reward!r}")
    if reward != "frozen" or backbone is not None:
        table["reward"] = {"plugin": plugins[reward], "arguments": {"backbone": backbone} if backbone else {}}
    if reward != "frozen":
        for part in (table["train"], table["target"]):
            part["arguments"]["words"], part["trees"] = SMALLER_DEMO["words"], SMALLER_DEMO["trees"]
        books = SMALLER_DEMO["count"] if books is None else books
    changes = (f"seed={seed}", f"train.arguments.seed={2 * seed}", f"target.arguments.seed={2 * seed + 1}")
    if books is not None and books < 4:
        raise ConfigError(f"--books must be 4 or more, got {books}: some are held out, and some are another judge's")
    settings = run_file(table, (*changes, *([] if books is None else [f"train.arguments.count={books}"])))
    return with_engine(settings, engine)


def run(
    settings: Settings = None,
    out: str | Path = "runs/run",
    *,
    again: str = "the same call",
    wait: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    store: str | None = None,
    strict: bool = False,
    on_event: Callable[[Event], None] | None = None,
    **parts: Any,
) -> Report:
    """Run in a folder, or go on where it stopped, and return the report.

    `settings` is what `run_file` makes, or a run file's path; or leave it out and give the parts as objects:
    `run(out=..., train=sources, target=sources, decomposer=Mine(), policy=..., rater=...)`, with `outputs`, `rounds`
    and all other keys of a run file as keywords. The folder then holds the record (unless `store` is the
    PostgreSQL URL that a new one has), the models, `report.json` and `report.html`. `on_event` is told how far it
    is; `quiet` prints nothing; `strict` makes every note on the sources an error. Raises Waiting where people have yet
    to answer (unless `wait`), Interrupted after Ctrl-C, SIGTERM or SIGUSR1, InputError if the folder holds another run.
    Works in notebooks and threads too; where an event loop is running, `await run_async(...)` does not keep it waiting.
    """
    asked, options = _settings(settings, parts), Options(again, wait, retry_failed, store, strict)
    return _wait_for(_running(asked, Path(out), options), quiet, on_event, again)


async def run_async(
    settings: Settings = None,
    out: str | Path = "runs/run",
    *,
    wait: bool = False,
    retry_failed: bool = False,
    store: str | None = None,
    strict: bool = False,
    on_event: Callable[[Event], None] | None = None,
    **parts: Any,
) -> Report:
    """Run as `run` does, beside whatever else the event loop has to do; several runs may go on at once.

    `on_event` is called in the loop. Cancelled, the run stops once what is being worked on is on record, and the
    same call resumes later.
    """
    asked, options = _settings(settings, parts), Options("the same call", wait, retry_failed, store, strict)
    return await _beside(_running(asked, Path(out), options), on_event)


def resume(
    directory: str | Path,
    *,
    again: str = "the same call",
    wait: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    engine: str | None = None,
) -> Report:
    """Go on with the run in a folder, as its record says it was begun; raises what `run` raises.

    An `engine`, by its short name or import string, does the work in the place of the one that did it last.
    """
    options = Options(again, wait, retry_failed)

    async def go(runs: ModuleType, watcher: Any) -> Report:
        settings = with_engine(runs.settings_on_record(Path(directory)), engine)
        report: Report = await runs.run_in_loop(settings, Path(directory), options, watcher)
        return report

    return _wait_for(go, quiet, None, again)


def apply(
    directory: str | Path,
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    again: str = "the same call",
    quiet: bool = False,
    strict: bool = False,
    engine: str | None = None,
) -> Report:
    """Propose, score, choose and compose on new sources (book files) with a finished run's models: one run of them all.

    The new folder has the models, too, and stands by itself. `apply_each` takes many sources one after another.
    `strict` makes every note on the sources an error. What computes is done here, wherever the run was, or by an
    `engine`, by its short name or import string.
    """
    options, paths = Options(again, strict=strict), [Path(source) for source in sources]

    def go(runs: ModuleType, watcher: Any) -> Awaitable[Report]:
        work: Awaitable[Report] = runs.apply_in_loop(Path(directory), paths, Path(out), options, watcher, engine)
        return work

    return _wait_for(go, quiet, None, again)


# ---- how a run gets its loop ----


def _settings(settings: Settings, parts: Mapping[str, Any]) -> RunFile:
    if settings is None:
        return run_of(parts)
    if parts:
        raise InputError(f"give settings or parts, not both: {', '.join(parts)} would have no effect")
    return settings if isinstance(settings, RunFile) else read_run_file(Path(settings))


def _running(settings: RunFile, out: Path, options: Options) -> Work[Report]:
    def go(runs: ModuleType, watcher: Any) -> Awaitable[Report]:
        work: Awaitable[Report] = runs.run_in_loop(settings, out, options, watcher)
        return work

    return go


def _wait_for(work: Work[T], quiet: bool, on_event: Callable[[Event], None] | None, again: str) -> T:
    """Do a run's work in a loop of its own, and wait for it: here, or in a thread where a loop is running here."""

    def main(scope: "_Stop[T]") -> T:
        runs = import_module("rrm.api.runs")
        watcher = EventWatcher(on_event) if on_event else None if quiet else runs.terminal_watcher()
        return scope.run(lambda: work(runs, watcher))

    stop: _Stop[T] = _Stop()
    try:
        if not _in_a_loop():
            return main(stop)
        thread = _InThread(lambda: main(stop))
        thread.join()
        return thread.result()
    except KeyboardInterrupt:
        stop.now()
        raise Interrupted(f"stopped; nothing recorded is lost, resume with: {again}") from None
    except SystemExit as error:
        if error.code != Terminated.exit_code:
            raise
        raise Terminated(f"terminated; nothing recorded is lost, resume with: {again}") from None


async def _beside(work: Work[T], on_event: Callable[[Event], None] | None) -> T:
    """Do a run's work in a thread with a loop of its own, while this loop goes on; cancelled, stop it and wait."""
    here = anyio.lowlevel.current_token()
    ended, stop = anyio.Event(), _Stop[T]()

    def tell(event: Event) -> None:
        if on_event is not None:
            with suppress(RunFinishedError):  # the loop that listened has ended
                from_thread.run_sync(on_event, event, token=here)

    def main() -> T:
        try:
            runs = import_module("rrm.api.runs")
            return stop.run(lambda: work(runs, EventWatcher(tell) if on_event else None))
        finally:
            with suppress(RunFinishedError):  # nobody waits any more
                from_thread.run_sync(ended.set, token=here)

    thread = _InThread(main)
    try:
        await ended.wait()
    except BaseException:
        stop.now()
        with CancelScope(shield=True):
            await ended.wait()
        raise
    return thread.result()


class _InThread(Generic[T]):
    """A thread that makes one call; a daemon, so that a second Ctrl-C need not wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rrm run", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._values.append(self._call())
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        while self._thread.is_alive():  # in short waits, so that Ctrl-C is handled
            self._thread.join(0.2)

    def result(self) -> T:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._values[0]


class _Stop(Generic[T]):
    """Runs work in a new loop, which another thread may tell to stop."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._stopped = False
        self._stop: Callable[[], object] = _nothing

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        found: list[T] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            with CancelScope() as scope:
                with self._turn:
                    self._stop = partial(loop.call_soon_threadsafe, scope.cancel)
                    if self._stopped:
                        scope.cancel()
                found.append(await work())

        if threading.current_thread() is threading.main_thread():
            import_module("rrm.pipeline.driver").run(main)
        else:
            anyio.run(main, backend="asyncio")
        if not found:
            raise Interrupted("stopped; nothing recorded is lost, the same call resumes")
        return found[0]

    def now(self) -> None:
        """Have the work stopped, from any thread, once what is being worked on is on record; waits for nothing.

        To wait here would be to wait for each other where the work tells its events to this very thread.
        """
        with self._turn:
            self._stopped = True
            stop = self._stop
        with suppress(RuntimeError):  # its loop has ended by itself
            stop()


def _nothing() -> None:
    """The work has not begun."""


def _in_a_loop() -> bool:
    try:
        current_async_library()
    except AsyncLibraryNotFoundError:
        return False
    return True
