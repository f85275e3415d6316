"""The executors of this process: a thread that computes, calls that wait side by side, people through the record."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio import RunFinishedError, from_thread, to_thread

from rrm.core.errors import InputError, Waiting
from rrm.core.values import Rated, Request
from rrm.pipeline.driver import FATAL, Executor, Result, Work
from rrm.pipeline.plan import AnyAction, Plan, Values
from rrm.pipeline.stages import RateJob

T = TypeVar("T")

BATCH_SECONDS = 0.4
"""Batches grow and shrink so that one takes about so long: what is done is on record within a second."""
LONG_SECONDS = 20.0
"""The same for steps that gain by large batches: what a kill undoes can be computed again, at no cost but time."""

MOST_AT_ONCE = 256


class Worker(Protocol):
    """Does the actions of a run where it was opened.

    `limit(step)` is how many calls of a step may wait for somebody side by side; 0 says that the step
    computes, and takes batches. `vital` steps end the run when they fail. `gains` says that a step gains so much by
    large batches that they may take longer.
    """

    def limit(self, step: str) -> int: ...

    def vital(self, step: str) -> bool: ...

    def gains(self, step: str) -> bool: ...

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        """Return what each action made, or what it raised; raise what ends the run."""
        ...

    async def call(self, action: AnyAction) -> Values:
        """Return what an action made."""
        ...


class Here:
    """Does the work of a run in this process, with one worker; `others` do the steps that they are named for."""

    def __init__(self, worker: Worker, others: Mapping[str, Executor]) -> None:
        self._worker, self._others = worker, others

    def executor(self, step: str) -> Executor:
        if step in self._others:
            return self._others[step]
        limit = self._worker.limit(step)
        return Concurrently(self._worker, limit) if limit else InThread(self._worker)


class InThread:
    """One thread that does batches of actions, for work that computes.

    A batch goes on record as a whole, with what it unlocks in the stage (the next links of chains, which then wait for
    no disk) as long as there is time; batches grow while they take less than `BATCH_SECONDS` (`LONG_SECONDS` for
    steps that gain by them), and shrink when they take longer. An error of a vital step ends the run: it is not
    recorded as an action's failure.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def execute(self, work: Work) -> None:
        thread = CallThread()
        size = 1
        try:
            while batch := await work.take(size):
                long = LONG_SECONDS if self._worker.gains(batch[0].step) else BATCH_SECONDS
                began = time.monotonic()
                results, ended = await thread.call(partial(self._chains, work, batch, began + long / 2))
                took = time.monotonic() - began
                size = min(2 * size, MOST_AT_ONCE) if took < long / 2 else max(1, size // 2 if took > long else size)
                if ended is not None:
                    work.stop(ended)
                await work.give(results)
        finally:
            thread.end()

    def _chains(self, work: Work, batch: Sequence[AnyAction], until: float) -> tuple[list[Result], Exception | None]:
        """Do a batch, then what it unlocks, and so on until this time; return all results, and what ends the run."""
        results: list[Result] = []
        while batch:
            made, ended = self._compute(batch)
            results += made
            done = [(action, values) for action, values in made if not isinstance(values, Exception)]
            if len(done) < len(batch) or time.monotonic() >= until or work.stopping:
                return results, ended
            batch = work.go_on(done)
        return results, None

    def _compute(self, batch: Sequence[AnyAction]) -> tuple[list[Result], Exception | None]:
        return recordable(self._worker, batch, self._worker.compute(batch))


def recordable(
    worker: Worker, batch: Sequence[AnyAction], made: Sequence[Values | Exception]
) -> tuple[list[Result], Exception | None]:
    """Return what of a batch can go on record, and what ends the run."""
    results: list[Result] = []
    ended: Exception | None = None
    for action, values in zip(batch, made, strict=True):
        if isinstance(values, FATAL) or (isinstance(values, Exception) and worker.vital(action.step)):
            ended = ended or values
        else:
            results.append((action, values))
    return results, ended


class Concurrently:
    """Up to `limit` actions at once, for work that waits for somebody, such as a language model."""

    def __init__(self, worker: Worker, limit: int) -> None:
        if limit < 1:
            raise InputError(f"the number of actions at once must be at least 1, got {limit}")
        self._worker, self._limit = worker, limit

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

    async def _do(self, action: AnyAction) -> Values | Exception:
        try:
            return tuple(await self._worker.call(action))
        except FATAL:
            raise
        except Exception as error:
            return error


class Answers(Protocol):
    """Where people find requests and leave their answers; `rrm.api.people.People` is one.

    `answers` returns, for those requests that need no more, the feedback that they got, each with the
    request as its rater saw it; nothing where people closed a place without.
    """

    def append(self, values: Sequence[Request]) -> None: ...

    def answers(self, requests: Sequence[str]) -> Mapping[str, Sequence[Rated]]: ...


class FromPeople:
    """People, who find the requests in the record and leave their feedback there.

    An action's values are what `Answers` gives for its request. With `wait`, looks every `poll_seconds`;
    without, raises Waiting as soon as all that is in has been taken up and something is missing.
    """

    def __init__(self, answers: Answers, wait: bool = False, poll_seconds: float = 2.0) -> None:
        self._answers, self._wait, self._poll_seconds = answers, wait, poll_seconds

    async def execute(self, work: Work) -> None:
        asked: dict[str, list[AnyAction]] = {}
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


def _request(action: AnyAction) -> Request:
    if not isinstance(action.job, RateJob):
        raise InputError(f"people answer requests, not {type(action.job).__name__}: {action.step} {action.slot}")
    return action.job.request


def _waiting_for(plan: Plan) -> str:
    total = len(plan.stage.slots)
    ratings = "1 rating" if plan.left == 1 else f"{plan.left} ratings"
    return (
        f"waiting for {ratings} of {plan.stage.about or plan.stage.place.title}, {total - plan.left} of {total} are in"
    )


class CallThread:
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
