"""The engine of this process: a thread that computes, calls that wait side by side, people through the record."""

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio
import anyio.lowlevel
from anyio import RunFinishedError, from_thread, to_thread

from rrm.core.errors import InputError, Waiting
from rrm.core.values import Request
from rrm.pipeline.driver import FATAL, Result, Work, failure
from rrm.pipeline.plan import Action, Plan, Values

T = TypeVar("T")


class Answers(Protocol):
    """Where people find requests and leave their answers; `rrm.store.SqlStore` is one.

    `answers` returns, for those requests that need no more, what stands on record about them: feedback,
    each after the request as its rater saw it where that is another than was asked.
    """

    def append(self, values: Sequence[Any]) -> None: ...

    def answers(self, requests: Sequence[str]) -> Mapping[str, Sequence[Any]]: ...


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
