"""Doing what a plan says: execute a stage's actions, put every result on record, and go on.

A stage's results are on record before anything that reads them begins, so a run that is killed
and started again goes through the same stages, finds what is on record, and does the rest.
"""

import signal
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping, Sequence
from contextvars import copy_context
from functools import partial
from math import inf
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio import CancelScope, EndOfStream, RunFinishedError, WouldBlock, from_thread, move_on_after, to_thread

from rrm.core.errors import BudgetError, InputError, StoreError, Waiting
from rrm.core.values import Failure, Request
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


class Answers(Protocol):
    """Where people find requests and leave their answers; `rrm.store.SqlStore` is one.

    `answers` returns, for those requests that need no more, what stands on record about them: feedback,
    each after the request as its rater saw it where that is another than was asked.
    """

    def append(self, values: Sequence[Any]) -> None: ...

    def answers(self, requests: Sequence[str]) -> Mapping[str, Sequence[Any]]: ...


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


# ---- who does the actions ----


class InThread:
    """One thread that does `batch` actions at a time, for work that computes.

    A batch goes on record as a whole, so with slow actions it should be small. `prepare` is called
    with each batch first, for what is cheaper done together. An error there ends the run, and so
    does any error of a `vital` action: it is not recorded as that action's failure. When the run is
    interrupted the batch ends after the action that is being done.
    """

    def __init__(
        self,
        function: Callable[[Action], Sequence[Any]],
        batch: int = 256,
        prepare: Callable[[Sequence[Action]], None] | None = None,
        vital: bool = False,
    ) -> None:
        self._function, self._batch, self._prepare, self._vital = function, batch, prepare, vital

    async def execute(self, work: Work) -> None:
        thread = _Thread()
        try:
            while batch := await work.take(self._batch):
                results, error = await thread.call(partial(self._do, batch, work))
                if results:
                    await work.give(results)
                if error is not None:
                    work.stop(error)
        finally:
            thread.end()

    def _do(self, batch: Sequence[Action], work: Work) -> tuple[list[Result], BaseException | None]:
        results: list[Result] = []
        if self._prepare is not None:
            try:
                self._prepare(batch)
            except Exception as error:
                return results, error
        for action in batch:
            if work.stopping:
                break
            try:
                results.append((action, tuple(self._function(action))))
            except FATAL as error:
                return results, error
            except Exception as error:
                if self._vital:
                    return results, error
                results.append((action, (failure(action, error),)))
        return results, None


class Concurrently:
    """Up to `limit` actions at once, for work that waits for somebody, such as a language model."""

    def __init__(self, function: Callable[[Action], Awaitable[Sequence[Any]]], limit: int) -> None:
        if limit < 1:
            raise InputError(f"the number of actions at once must be at least 1, got {limit}")
        self._function, self._limit = function, limit

    async def execute(self, work: Work) -> None:
        async with anyio.create_task_group() as workers:
            for _ in range(min(self._limit, work.plan.left)):
                workers.start_soon(self._work, work)

    async def _work(self, work: Work) -> None:
        try:
            while taken := await work.take():
                await work.give([(action, await self._do(action)) for action in taken])
        except Exception as error:  # here, so that the others finish what they are doing
            work.stop(error)

    async def _do(self, action: Action) -> Values:
        try:
            return tuple(await self._function(action))
        except FATAL:
            raise
        except Exception as error:
            return (failure(action, error),)


class FromPeople:
    """People, who find the requests in the record and leave their feedback there.

    An action's payload is its `Request`; its values are what `Answers` gives for it, which is nothing
    where people closed a level without it. With `wait`, looks every `poll_seconds`; without, raises
    Waiting as soon as all that is in has been taken up and something is missing.
    """

    def __init__(self, answers: Answers, wait: bool = False, poll_seconds: float = 2.0) -> None:
        self._answers, self._wait, self._poll_seconds = answers, wait, poll_seconds

    async def execute(self, work: Work) -> None:
        asked: dict[str, list[Action]] = {}
        while not work.stopping:
            fresh = work.take_nowait() if asked else await work.take(inf)
            if not fresh and not asked:
                return
            for action in fresh:
                asked.setdefault(_request(action).id, []).append(action)
            if fresh:
                await to_thread.run_sync(self._answers.append, [_request(action) for action in fresh])
            answers = await to_thread.run_sync(self._answers.answers, list(asked))
            if answers:
                await work.give([(each, tuple(found)) for id_, found in answers.items() for each in asked.pop(id_)])
            elif self._wait:
                await work.pause(self._poll_seconds)
            else:
                raise Waiting(_waiting_for(work.plan))


def _request(action: Action) -> Request:
    if not isinstance(action.payload, Request):
        raise InputError(f"people answer requests, not {type(action.payload).__name__}: {action.step} {action.slot}")
    return action.payload


def _waiting_for(plan: Plan) -> str:
    total = len(plan.stage.slots)
    ratings = "1 rating" if plan.left == 1 else f"{plan.left} ratings"
    return f"waiting for {ratings} of level {plan.stage.level}, {total - plan.left} of {total} are in"


def failure(action: Action, error: BaseException) -> Failure:
    """Say in one sentence why an action failed."""
    cause = " ".join(str(error).split()) or "it gives no reason"
    cause = cause[:CAUSE_CHARS].encode(errors="replace").decode()
    return Failure(action.slot, action.step, type(error).__name__, cause)


class _Thread:
    """A thread that makes one call after another. A daemon, so that a second Ctrl-C need not wait for it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._token = anyio.lowlevel.current_token()
        threading.Thread(target=self._run, name="rrm actions", daemon=True).start()

    async def call(self, function: Callable[[], T]) -> T:
        call = _Call(function)
        self._calls.put(call)
        await call.ended.wait()
        if call.error is not None:
            raise call.error
        value: T = call.value
        return value

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while call := self._calls.get():
            try:
                call.value = call.context.run(call.function)
            except BaseException as error:
                call.error = error
            try:
                from_thread.run_sync(call.ended.set, token=self._token)
            except RunFinishedError:  # interrupted twice: nobody waits any more
                return


class _Call:
    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.context = copy_context()
        self.ended = anyio.Event()
        self.value: Any = None
        self.error: BaseException | None = None
