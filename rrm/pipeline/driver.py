"""Doing what a plan says: execute a stage's actions, put every result on record, and go on.

A stage's results are on record before anything that reads them begins, so a run that is killed
and started again goes through the same stages, finds what is on record, and does the rest.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import inf
from typing import Any, Protocol, TypeVar, runtime_checkable

import anyio
import anyio.lowlevel
from anyio import CancelScope, EndOfStream, WouldBlock, move_on_after, to_thread

from rrm.core.errors import BudgetError, InputError, PluginError, RrmError, SetupError, StoreError, Waiting, in_one_line
from rrm.core.place import Place
from rrm.core.values import Failure
from rrm.pipeline.collecting import collecting_seldom
from rrm.pipeline.plan import AnyAction, AnyResults, AnyStage, Plan, Values
from rrm.pipeline.progress import Watcher

_log = logging.getLogger("rrm.pipeline")

T = TypeVar("T")
Result = tuple[AnyAction, Values | Exception]
"""An action with what it made, or the exception that it raised."""

Recorded = tuple[AnyAction, Values]

DRAIN_SECONDS = 10.0
"""How long an interrupted run waits for what is being worked on."""

TERMINATING = (signal.SIGTERM, signal.SIGUSR1)
"""Signals after which a run ends, to go on later; a cluster's queue gives the second when a job's time is nearly up."""

CAUSE_CHARS = 1000
"""As much of an exception's message as a failure keeps; a model's answer may be quoted in it whole."""

FATAL = (BudgetError, SetupError, StoreError, Waiting)
"""These end the run; any other exception of an action is recorded as that action's failure."""

PATIENCE = 8
"""So many actions of a step may fail, none of the step having ever succeeded, before that ends the run."""


class Record(Protocol):
    """Where the results of actions go and come from; `rrm.store.SqlStore` is one.

    `complete` is durable on return, all or none; it raises InputError for values that cannot be recorded,
    and so does `check`, which records nothing. `results` returns the values of all finished actions of a
    step at a place, in whatever round, by action id. `hasten` says that nobody wants to wait for a record that is away.
    """

    def complete(self, results: Sequence[Recorded]) -> None: ...

    def check(self, values: Sequence[Any]) -> None: ...

    def results(self, step: str, place: Place) -> dict[str, Values]: ...

    def hasten(self) -> None: ...


class Executor(Protocol):
    """Does actions of one step: takes them from `work` and gives back what they made, until none come."""

    async def execute(self, work: "Work") -> None: ...


@runtime_checkable
class Engine(Protocol):
    """Who does the work of a run: one executor for each step. `rrm.engines.local.Local` is one.

    A run file names a class that is made with its arguments and, by these names, with what it takes of the run's
    `worker`, the executors of steps that `others` do, and the `supplies` of workers elsewhere. Its `name` is for
    messages, and stands in no id.
    """

    @property
    def name(self) -> str: ...

    def executor(self, step: str) -> Executor:
        """Return who does a step's actions; raise InputError where nobody does."""
        ...

    def close(self) -> None:
        """Let go of whatever is held; called once, however the run ends."""
        ...


class Executors(dict[str, Executor]):
    """An engine that is a table of executors by step."""

    name = "executors"

    def executor(self, step: str) -> Executor:
        if step not in self:
            raise InputError(f"nobody carries out the step {step}: there are {', '.join(self)}")
        return self[step]

    def close(self) -> None:
        """Nothing is held."""


async def drive(
    process: Generator[AnyStage, AnyResults, T],
    engine: Engine,
    record: Record,
    progress: Watcher | None = None,
    retry_failed: bool = False,
) -> T:
    """Carry out the stages that a process yields, send it their results, and return what it returns.

    What is on record is not done again; with `retry_failed` that holds only for what did not fail.
    An action that raises is recorded as a `Failure` and the rest goes on, once any action of its step has
    succeeded. Where none ever did, the first `PATIENCE` failures (or a stage of nothing else) end the run with
    their cause, which every action would meet, and are not recorded: mended, the same call goes on. BudgetError,
    SetupError, StoreError and Waiting end the run once what was being worked on is on record. So does
    cancellation, and with it Ctrl-C (see `run`), but it waits no longer than `DRAIN_SECONDS`.
    """
    known: dict[tuple[str, Place], dict[str, Values]] = {}
    proven: set[str] = set()
    results: AnyResults | None = None
    with collecting_seldom(), closing(process):
        while True:
            try:
                stage = process.send(results)  # type: ignore[arg-type]  # the first is None, as for any generator
            except StopIteration as end:
                returned: T = end.value
                return returned
            executor = engine.executor(stage.step)
            level = (stage.step, replace(stage.place, round=0))
            if level not in known:
                recorded = await to_thread.run_sync(record.results, *level)
                known[level] = {
                    id_: values for id_, values in recorded.items() if not (retry_failed and failed(values))
                }
                if any(not failed(values) for values in recorded.values()):
                    proven.add(stage.step)
            work = Work(Plan(stage, known[level]), record, known[level], progress, stage.step in proven)
            results = await _carry_out(work, executor)
            if work.proven:
                proven.add(stage.step)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run in a new event loop, where Ctrl-C and signals of TERMINATING cancel `main`, and a second one ends it at once.

    Raises KeyboardInterrupt after Ctrl-C, SystemExit(143) after those signals. Call it from the main thread.
    """
    terminated = False

    def terminate(task: asyncio.Task[object]) -> None:
        # Not by way of SIGINT, which a shell lets its background commands ignore.
        nonlocal terminated
        if terminated:
            raise KeyboardInterrupt
        terminated = True
        task.cancel()

    async def listening() -> T:
        # With a handler of its own the loop is woken by every signal, SIGINT too: the system may give one to a thread
        # that is at work, and the loop, which waits for that thread, would not see it before the action is done.
        task = asyncio.current_task()
        assert task is not None
        for number in TERMINATING:
            asyncio.get_running_loop().add_signal_handler(number, terminate, task)
        return await main()

    before = {number: signal.getsignal(number) for number in TERMINATING}
    try:
        return anyio.run(listening)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def failed(values: Values) -> bool:
    """Whether an action made nothing but failures."""
    return bool(values) and all(isinstance(value, Failure) for value in values)


class Work:
    """The actions of one stage on their way: executors `take` those that are ready and `give` results."""

    def __init__(
        self,
        plan: Plan,
        record: Record,
        known: MutableMapping[str, Values],
        progress: Watcher | None = None,
        proven: bool = True,
    ) -> None:
        self.plan = plan
        self.proven = proven
        """Whether some action of the step has succeeded, so that a failure is the action's own."""
        self.error: BaseException | None = None
        self._held: list[tuple[AnyAction, Exception]] = []
        self._passed: set[str] = set()
        self._under_way = 0
        """How many actions were handed out, and are neither on record nor held back."""
        self._shown = 0
        """How many were left to do when progress was last told."""
        self._record, self._known, self.watcher = record, known, progress
        self._put, self._ready = anyio.create_memory_object_stream[AnyAction](inf)
        self._given: list[Recorded] = []
        self._batches = 0
        self._turn = anyio.Lock()
        self._stopped = anyio.Event()
        self._hand_out()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is handed out, because of an error or a cancellation."""
        return self._stopped.is_set()

    async def take(self, limit: float = 1) -> list[AnyAction]:
        """Wait for actions that can be done, and return up to `limit`; none when there will be no more."""
        if self.stopping:
            return []
        try:
            return [await self._ready.receive(), *self.take_nowait(limit - 1)]
        except EndOfStream:
            return []

    def take_nowait(self, limit: float = inf) -> list[AnyAction]:
        """Return up to `limit` actions that can be done at this moment."""
        actions: list[AnyAction] = []
        while len(actions) < limit and not self.stopping:
            try:
                actions.append(self._ready.receive_nowait())
            except (WouldBlock, EndOfStream):
                break
        return actions

    def go_on(self, results: Sequence[Recorded]) -> list[AnyAction]:
        """Return what these results unlock, for who made them to do at once; `give` then records all of it together.

        So a chain does not wait for the disk at every link. It is for work that is lost at no cost but time, and for
        one executor at a time. Nothing is returned where a result cannot be recorded: what reads it waits for `give`.
        """
        try:
            self._record.check([value for _, values in results for value in values])
        except InputError:
            return []
        for action, values in results:
            self._passed.add(action.id)
            self.plan.done(action, values)
        unlocked = self.plan.ready()
        self._under_way += len(unlocked)
        return unlocked

    async def give(self, results: Sequence[Result]) -> None:
        """Put results on record; on return they are durable, and what they unlocked can be taken.

        Those that several give while the disk is busy are recorded together. An exception is recorded as a
        failure once any action of the step has succeeded.
        """
        for action, values in results:
            if isinstance(values, Exception):
                self._hold(action, values)
            else:
                self._given.append((action, values))
        batch_number = self._batches
        with CancelScope(shield=True):
            async with self._turn:
                if batch_number == self._batches:  # else who came before recorded these as well
                    self._batches += 1
                    batch, self._given = self._given, []
                    written, refused = await to_thread.run_sync(self._write, batch)
                    for action, error in refused:
                        self._hold(action, error)
                    self.proven = self.proven or any(not failed(values) for _, values in written)
                    if self.proven and self._held:
                        written += await to_thread.run_sync(self._write_failures, self._let_go())
                    self._advance(written)

    def _hold(self, action: AnyAction, error: Exception) -> None:
        """Hold a failure back, which is the action's own only once some action of the step has succeeded."""
        self._held.append((action, error))
        self._under_way -= 1

    def _let_go(self) -> list[tuple[AnyAction, Exception]]:
        held, self._held = self._held, []
        self._under_way += len(held)
        return held

    def stop(self, error: BaseException | None = None) -> None:
        """Hand out nothing more; the first error given here is what the run ends with."""
        if error is not None and self.error is None:
            _log.warning("%s: stopped early: %s", self.plan.stage.title, error)
        self.error = self.error or error
        self._stopped.set()
        self._put.close()

    def hasten(self) -> None:
        """Wait no more for a record that cannot be reached just now."""
        self._record.hasten()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until nothing more is handed out."""
        with move_on_after(seconds):
            await self._stopped.wait()

    def begin(self) -> None:
        _log.info("%s: begins, %d of %d to do", self.plan.stage.title, self.plan.left, len(self.plan.stage.slots))
        self._shown = self.plan.left
        if self.watcher is not None:
            total = len(self.plan.stage.slots)
            self.watcher.start(self.plan.stage.title, total, total - self.plan.left)

    def end(self) -> None:
        self._put.close()
        self._ready.close()
        _log.info("%s: ends, %d left to do", self.plan.stage.title, self.plan.left)
        if self.watcher is not None:
            self.watcher.finish()

    def _write(self, batch: list[Recorded]) -> tuple[list[Recorded], list[tuple[AnyAction, Exception]]]:
        """Record a batch; return what of it is on record, and the actions whose values cannot be recorded, and why."""
        if not batch:
            return [], []
        try:
            self._record.complete(batch)
            return batch, []
        except InputError as error:
            if len(batch) > 1:
                each = [self._write([result]) for result in batch]
                return [one for written, _ in each for one in written], [one for _, refused in each for one in refused]
            ((action, values),) = batch
            if failed(values):
                raise
            return [], [(action, error)]

    def _write_failures(self, held: Sequence[tuple[AnyAction, Exception]]) -> list[Recorded]:
        return self._write([(action, (failure(action, error),)) for action, error in held])[0]

    def _advance(self, batch: list[Recorded]) -> None:
        for action, values in batch:
            self._known[action.id] = values
            self._under_way -= 1
            if action.id not in self._passed:
                self.plan.done(action, values)
        self._hand_out()
        if self.watcher is not None:
            self.watcher.advance(self._shown - self.plan.left)
            self._shown = self.plan.left

    def _hand_out(self) -> None:
        ready = self.plan.ready()
        while not (ready or self._under_way) and self._pass_failures():
            ready = self.plan.ready()
        if self._held and (len(self._held) >= PATIENCE or self.plan.finished):
            self.stop(_met_by_all(self.plan, self._held[0][1]))
        if not self.stopping:
            for action in ready:
                self._put.send_nowait(action)
            self._under_way += len(ready)
            if self.plan.finished:
                self._put.close()

    def _pass_failures(self) -> bool:
        """Let what waits for held failures go on, as if they were on record; return whether there were any."""
        fresh = [(action, error) for action, error in self._held if action.id not in self._passed]
        for action, error in fresh:
            self._passed.add(action.id)
            self.plan.done(action, (failure(action, error),))
        return bool(fresh)


async def _carry_out(work: Work, executor: Executor) -> AnyResults:
    """Execute a stage to its end, or as far as it goes when an error or a cancellation stops it."""
    draining = CancelScope(shield=True)
    ended = anyio.Event()

    async def execute() -> None:
        try:
            with draining:
                await executor.execute(work)
        except Exception as error:
            work.stop(error)
        finally:
            ended.set()

    work.begin()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(execute)
            try:
                await ended.wait()
            except anyio.get_cancelled_exc_class():
                work.stop()
                work.hasten()
                draining.deadline = anyio.current_time() + DRAIN_SECONDS
                with CancelScope(shield=True):
                    await ended.wait()
                raise
    finally:
        work.end()
    if work.error is not None:
        raise work.error
    return work.plan.results


def failure(action: AnyAction, error: BaseException) -> Failure:
    """Say in one sentence why an action failed."""
    cause = in_one_line(error)
    cause = cause[:CAUSE_CHARS].encode(errors="replace").decode()
    _log.warning("%s %s failed for good: %s", action.step, action.slot, cause)
    return Failure(action.slot, action.step, type(error).__name__, cause)


def _met_by_all(plan: Plan, error: Exception) -> Exception:
    """Return what a run ends with whose actions of a step all fail: the first one's error, with what to do."""
    step, cause = plan.stage.step, in_one_line(error)
    sentence = f"every {step} fails: {cause[:CAUSE_CHARS]}; mend that and give the same command again"
    if isinstance(error, RrmError):
        return type(error)(sentence)
    return PluginError(sentence.replace(": ", f": {type(error).__name__}: ", 1))
