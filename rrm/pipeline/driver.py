"""Doing what a plan says: execute a stage's actions, put every result on record, and go on.

A stage's results are on record before anything that reads them begins, so a run that is killed
and started again goes through the same stages, finds what is on record, and does the rest.
"""

import signal
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping, Sequence
from math import inf
from types import FrameType
from typing import Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio import CancelScope, EndOfStream, WouldBlock, move_on_after, to_thread

from rrm.core.errors import BudgetError, InputError, StoreError, Waiting
from rrm.core.values import Failure
from rrm.pipeline.plan import Action, Plan, Results, Stage, Values
from rrm.pipeline.progress import Watcher

T = TypeVar("T")
Result = tuple[Action, Values]

DRAIN_SECONDS = 10.0
"""How long an interrupted run waits for what is being worked on."""

CAUSE_CHARS = 1000
"""As much of an exception's message as a failure keeps; a model's answer may be quoted in it whole."""

FATAL = (BudgetError, StoreError, Waiting)
"""These end the run; any other exception of an action is recorded as that action's failure."""


class Record(Protocol):
    """Where the results of actions go and come from; `rrm.store.SqlStore` is one.

    `complete` is durable on return, all or none; it raises InputError for values that cannot be
    recorded. `results` returns the values of all finished actions of a step and level, by action id.
    """

    def complete(self, results: Sequence[Result]) -> None: ...

    def results(self, step: str, level: int) -> dict[str, Values]: ...


class Executor(Protocol):
    """Does actions of one step: takes them from `work` and gives back what they made, until none come."""

    async def execute(self, work: "Work") -> None: ...


async def drive(
    process: Generator[Stage, Results, T],
    executors: Mapping[str, Executor],
    record: Record,
    progress: Watcher | None = None,
    retry_failed: bool = False,
) -> T:
    """Carry out the stages that a process yields, send it their results, and return what it returns.

    What is on record is not done again; with `retry_failed` that holds only for what did not fail.
    An action that raises is recorded as a `Failure` and the rest goes on. BudgetError, StoreError
    and Waiting end the run once what was being worked on is on record. So does cancellation, and
    with it Ctrl-C (see `run`), but it waits no longer than `DRAIN_SECONDS`.
    """
    known: dict[tuple[str, int], dict[str, Values]] = {}
    results: Results | None = None
    try:
        while True:
            try:
                stage = process.send(results)  # type: ignore[arg-type]  # the first is None, as for any generator
            except StopIteration as end:
                returned: T = end.value
                return returned
            if stage.step not in executors:
                raise InputError(f"nobody carries out the step {stage.step}: there are {', '.join(executors)}")
            place = (stage.step, stage.level)
            if place not in known:
                recorded = await to_thread.run_sync(record.results, *place)
                known[place] = {
                    id_: values for id_, values in recorded.items() if not (retry_failed and failed(values))
                }
            work = Work(Plan(stage, known[place]), record, known[place], progress)
            results = await _carry_out(work, executors[stage.step])
    finally:
        process.close()


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run in a new event loop, where Ctrl-C and SIGTERM cancel `main`, and a second one ends it at once.

    Raises KeyboardInterrupt after Ctrl-C, SystemExit(143) after SIGTERM. Call it from the main thread.
    """
    terminated = False

    def terminate(_: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        interrupt = signal.getsignal(signal.SIGINT)  # by now the event loop's own
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        return anyio.run(main)
    except KeyboardInterrupt:
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def failed(values: Values) -> bool:
    """Whether an action made nothing but failures."""
    return bool(values) and all(isinstance(value, Failure) for value in values)


class Work:
    """The actions of one stage on their way: executors `take` those that are ready and `give` results."""

    def __init__(
        self, plan: Plan, record: Record, known: MutableMapping[str, Values], progress: Watcher | None = None
    ) -> None:
        self.plan = plan
        self.error: BaseException | None = None
        self._record, self._known, self._progress = record, known, progress
        self._put, self._ready = anyio.create_memory_object_stream[Action](inf)
        self._given: list[Result] = []
        self._batches = 0
        self._turn = anyio.Lock()
        self._stopped = anyio.Event()
        self._hand_out()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is handed out, because of an error or a cancellation."""
        return self._stopped.is_set()

    async def take(self, limit: float = 1) -> list[Action]:
        """Wait for actions that can be done, and return up to `limit`; none when there will be no more."""
        if self.stopping:
            return []
        try:
            return [await self._ready.receive(), *self.take_nowait(limit - 1)]
        except EndOfStream:
            return []

    def take_nowait(self, limit: float = inf) -> list[Action]:
        """Return up to `limit` actions that can be done at this moment."""
        actions: list[Action] = []
        while len(actions) < limit and not self.stopping:
            try:
                actions.append(self._ready.receive_nowait())
            except (WouldBlock, EndOfStream):
                break
        return actions

    async def give(self, results: Sequence[Result]) -> None:
        """Put results on record; on return they are durable, and what they unlocked can be taken.

        Those that several give while the disk is busy are recorded together.
        """
        self._given += results
        batch_number = self._batches
        with CancelScope(shield=True):
            async with self._turn:
                if batch_number == self._batches:  # else who came before recorded these as well
                    self._batches += 1
                    batch, self._given = self._given, []
                    self._advance(await to_thread.run_sync(self._write, batch))

    def stop(self, error: BaseException | None = None) -> None:
        """Hand out nothing more; the first error given here is what the run ends with."""
        self.error = self.error or error
        self._stopped.set()
        self._put.close()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until nothing more is handed out."""
        with move_on_after(seconds):
            await self._stopped.wait()

    def begin(self) -> None:
        if self._progress is not None:
            total = len(self.plan.stage.slots)
            self._progress.start(self.plan.stage.title, total, total - self.plan.left)

    def end(self) -> None:
        self._put.close()
        self._ready.close()
        if self._progress is not None:
            self._progress.finish()

    def _write(self, batch: list[Result]) -> list[Result]:
        """Record a batch, and in the place of values that cannot be recorded, that they cannot."""
        try:
            self._record.complete(batch)
            return batch
        except InputError as error:
            if len(batch) > 1:
                return [each for result in batch for each in self._write([result])]
            ((action, values),) = batch
            if failed(values):
                raise
            return self._write([(action, (failure(action, error),))])

    def _advance(self, batch: list[Result]) -> None:
        left = self.plan.left
        for action, values in batch:
            self._known[action.id] = values
            self.plan.done(action, values)
        self._hand_out()
        if self._progress is not None:
            self._progress.advance(left - self.plan.left)

    def _hand_out(self) -> None:
        ready = self.plan.ready()
        if not self.stopping:
            for action in ready:
                self._put.send_nowait(action)
            if self.plan.finished:
                self._put.close()


async def _carry_out(work: Work, executor: Executor) -> Results:
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
                draining.deadline = anyio.current_time() + DRAIN_SECONDS
                with CancelScope(shield=True):
                    await ended.wait()
                raise
    finally:
        work.end()
    if work.error is not None:
        raise work.error
    return work.plan.results


def failure(action: Action, error: BaseException) -> Failure:
    """Say in one sentence why an action failed."""
    cause = " ".join(str(error).split()) or "it gives no reason"
    cause = cause[:CAUSE_CHARS].encode(errors="replace").decode()
    return Failure(action.slot, action.step, type(error).__name__, cause)
