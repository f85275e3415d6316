"""The engine whose computing is done elsewhere: pieces of work leased to a cluster's workers, by what they are.

All that can be seen of a cluster is behind two small protocols, `Cluster` and `Seat`; `rrm.engines.apart` has those of
Ray and Dask. The record is the only state: a piece whose worker is gone or silent is given to another, and what comes
late is dropped.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from math import ceil, inf
from typing import Any, Protocol

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from rrm.core.errors import InputError, PluginError, SetupError, in_one_line
from rrm.engines.crossing import ELSEWHERE, Answered, Piece, message, read_message, read_results, write_actions
from rrm.engines.local import CallThread, InThread, Local, Worker, recordable
from rrm.pipeline.driver import Executor, Work
from rrm.pipeline.plan import AnyAction, AnyStage, Values

_log = logging.getLogger("rrm.engines")

LEASE_SECONDS = 30.0
"""A worker that gave no sign of working for so long is taken for lost, and its pieces are given to others."""
BEATS = 15
"""So many times a lease a worker is asked for a sign."""
STARTS = 4
"""So many leases a process may take until its first sign of life."""
MOST_TRIES = 3
"""So many processes are tried before the first worker works, and so many times one is given what it asks for."""
MOST_LOST, ENDED = 12, 4
"""After so many losses a piece is given up; a worker that ended over it, not just fell silent, counts as four."""
PIECES = 64
"""Into about so many pieces a stage is cut, however many workers there are: what a batch holds follows from content."""
MOST_AT_ONCE = 256
AHEAD = 2
"""Pieces that a worker is sent at once, so that it need not wait for the next one."""


class Seat(Protocol):
    """A process elsewhere that answers messages, one after another; `name` is for messages.

    It does the actions of `steps`, with so many `threads`. What `submit` returns may fail, for whatever reason, or
    never be done: the process is then taken for lost.
    """

    name: str
    steps: frozenset[str]
    threads: int

    def submit(self, message: bytes) -> "Future[bytes]": ...

    def beat(self) -> "Future[bytes]":
        """Ask for a sign of life, which comes while a message is being answered, too, and then has something in it."""
        ...


class Cluster(Protocol):
    """Where seats are; `steps` are those that any of them does. Calls may take their time, and are made in a thread."""

    steps: frozenset[str]

    def start(self) -> Sequence[Seat]:
        """Return the seats, each with a process that knows nothing yet; raise RrmError where there are none."""
        ...

    def replace(self, seat: Seat) -> Seat:
        """End a seat's process, whatever it does, and return the seat with another."""
        ...

    def close(self) -> None:
        """End all processes; called once, however the run ends, and also where `start` failed."""
        ...


class Supplies(Protocol):
    """What workers elsewhere need to be told of a run; `rrm.api.supplies.RunSupplies` is one.

    `worker` is the import string of a class without arguments whose `answer` takes and returns bytes. `steps` are
    those that they can do.
    """

    worker: str
    steps: frozenset[str]

    def opening(self, threads: int) -> bytes:
        """Return the first message."""
        ...

    def check(self, seat: str, facts: Mapping[str, str]) -> None:
        """Raise InputError where a worker is not made of what this process is made of."""
        ...

    def stays(self, action: AnyAction) -> bool:
        """Say whether an action of one of the steps needs what only this process has."""
        ...

    def parts(self, name: str) -> Iterator[bytes]:
        """Return the messages by which a worker gets what it asked for."""
        ...

    def fetch(self, values: Values) -> Generator[bytes, Answered, None]:
        """Yield the messages that ask a worker for the files that what it made stands for, and be sent its answers.

        Whoever made `values` is asked at once; at the end the files are here, durably. Raises InputError for an answer
        to something else.
        """
        ...


class LostError(Exception):
    """A worker is silent, was gone already, or answers what it was not asked."""


class EndedError(LostError):
    """A worker's process, or the way to it, has ended over what it was doing."""


class Remote:
    """Has what computes done by the workers of a cluster, and everything else in this process, as `Local` does.

    The cluster starts when there is something for it to do: a finished run needs none. A worker that owes an answer and
    gave no sign of working for the seconds of a `lease` is taken for lost.
    """

    def __init__(
        self, worker: Worker, others: Mapping[str, Executor], supplies: Supplies, cluster: Cluster, lease: float
    ) -> None:
        self._local, self._worker = Local(worker, others), worker
        self._supplies, self._cluster, self._lease = supplies, cluster, lease
        self._chairs: list[_Chair] = []
        self.worked = False  # whether any worker was ever open

    @property
    def name(self) -> str:
        return f"{type(self).__module__}:{type(self).__qualname__}"

    def executor(self, step: str) -> Executor:
        here = self._local.executor(step)
        away = step in self._supplies.steps & self._cluster.steps and isinstance(here, InThread)
        return Away(self, self._worker) if away else here

    def close(self) -> None:
        self._cluster.close()

    def stays(self, action: AnyAction) -> bool:
        return self._supplies.stays(action)

    async def chairs(self, step: str) -> "list[_Chair]":
        """Return the places of workers for a step; raise what the cluster cannot be had for."""
        if not self._chairs:
            seats = await to_thread.run_sync(self._cluster.start)
            self._chairs = [_Chair(seat, self._cluster, self._supplies, self._lease) for seat in seats]
        return [chair for chair in self._chairs if step in chair.steps]

    def works(self, step: str) -> bool:
        """Say whether any worker for a step is open now."""
        return any(chair.open for chair in self._chairs if step in chair.steps)


class Away:
    """Does the actions of a step by the workers of a cluster; those that must stay, in a thread of this process."""

    def __init__(self, remote: Remote, worker: Worker) -> None:
        self._remote, self._worker = remote, worker

    async def execute(self, work: Work) -> None:
        if work.plan.finished:
            return
        chairs = await self._remote.chairs(work.plan.stage.step)
        stage = _UnderWay(work, self._remote, self._worker)
        async with anyio.create_task_group() as listening:
            for chair in chairs:
                listening.start_soon(chair.listen, stage.hear)
            async with anyio.create_task_group() as serving:
                serving.start_soon(stage.deal)
                serving.start_soon(stage.serve_here)
                for chair in chairs:
                    for _ in range(AHEAD):
                        serving.start_soon(stage.serve, chair)
            listening.cancel_scope.cancel()


class _UnderWay:
    """A stage that workers are doing: its pieces on their way, and how often each was lost."""

    def __init__(self, work: Work, remote: Remote, worker: Worker) -> None:
        self._work, self._remote, self._worker = work, remote, worker
        self._cutter = _Cutter(work.plan.stage)
        self._lost: Counter[str] = Counter()
        self._opening: set[anyio.CancelScope] | None = set()
        self._put, self._ready = _stream()
        self._put_here, self._ready_here = _stream()

    def hear(self, head: Mapping[str, Any]) -> None:
        """Pass on how far a worker's action is, and how it goes."""
        watcher = self._work.watcher
        if watcher is not None and head.get("said"):
            watcher.say(head["said"])
        if watcher is not None and head.get("within"):
            watcher.within(*head["within"])

    async def deal(self) -> None:
        """Cut what can be done into pieces until nothing more comes, and have everybody stop then."""
        try:
            while actions := await self._work.take(inf):
                self._send(actions)
        finally:
            self._put.close()
            self._put_here.close()
            opening, self._opening = self._opening or (), None
            for scope in opening:
                scope.cancel()

    def _send(self, actions: Iterable[AnyAction]) -> None:
        away: list[AnyAction] = []
        here: list[AnyAction] = []
        for action in actions:
            (here if self._remote.stays(action) else away).append(action)
        for put, some in ((self._put, away), (self._put_here, here)):
            for piece in self._cutter.cut(some):
                put.send_nowait(piece)

    async def serve(self, chair: "_Chair") -> None:
        """Have one worker do piece after piece; while it cannot be opened others have them."""
        try:
            while await self._opened(chair):
                piece = await self._ready.receive()
                if self._work.stopping:
                    return
                if chair.open:
                    await self._have_done(piece, chair)
                else:
                    self._put.send_nowait(piece)
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return
        except Exception as error:  # here, so that the others finish what they are doing
            self._work.stop(error)

    async def _opened(self, chair: "_Chair") -> bool:
        """Wait until a worker is open, however long, and return whether the stage still has work then."""
        if self._opening is None:
            return False
        with anyio.CancelScope() as scope:
            self._opening.add(scope)
            while not self._work.stopping:
                if await chair.opened(self._remote, self._work.plan.stage.step):
                    return True
        return False

    async def _have_done(self, piece: Piece, chair: "_Chair") -> None:
        seat = chair.seat
        try:
            await self._take_in(piece, await chair.do(piece))
        except LostError as error:
            await self._lose(piece, chair, seat, error)

    async def serve_here(self) -> None:
        """Do what must stay."""
        thread = CallThread()
        try:
            async for piece in self._ready_here:
                if self._work.stopping:
                    return
                await self._take_in(piece, await thread.call(partial(self._worker.compute, piece.actions)))
        except Exception as error:
            self._work.stop(error)
        finally:
            thread.end()

    async def _take_in(self, piece: Piece, results: Sequence[Values | Exception]) -> None:
        """Put what a piece made on record, and have what it unlocks done meanwhile."""
        given, ended = recordable(self._worker, piece.actions, results)
        if ended is not None:
            self._work.stop(ended)
        done = [(action, values) for action, values in given if not isinstance(values, Exception)]
        if len(done) == len(piece.actions) and not self._work.stopping:
            self._send(self._work.go_on(done))
        await self._work.give(given)

    async def _lose(self, piece: Piece, chair: "_Chair", seat: Seat, error: LostError) -> None:
        """Give a piece to another worker, unless it seems to end whoever does it, and fill the place."""
        why = in_one_line(error)
        self._lost[piece.id] += ENDED if isinstance(error, EndedError) else 1
        if self._lost[piece.id] < MOST_LOST:
            if not self._work.stopping:
                self._put.send_nowait(piece)
        else:
            given_up = PluginError(f"worker after worker was lost over it, the last one thus: {why}")
            await self._take_in(piece, [given_up] * len(piece.actions))
        await chair.fill(seat, why)


class _Cutter:
    """Cuts a stage's actions into pieces by where their slots stand, those that wait for another one by one.

    So the same stage has the same pieces, however many workers there are and whoever is free.
    """

    def __init__(self, stage: AnyStage) -> None:
        self._at = {slot: number for number, slot in enumerate(stage.slots)}
        self._after = stage.after
        self._size = min(MOST_AT_ONCE, ceil(len(stage.slots) / PIECES))

    def cut(self, actions: Iterable[AnyAction]) -> list[Piece]:
        together: dict[str | int, list[AnyAction]] = {}
        for action in actions:
            alone = bool(self._after.get(action.slot))
            together.setdefault(action.slot if alone else self._at[action.slot] // self._size, []).append(action)
        return [Piece(tuple(some)) for some in together.values()]


class _Chair:
    """A worker's place: the process that sits there now, and when it was last known to work or to have nothing to do.

    Its lease runs while it owes an answer. Signs that it works renew the lease, and so do answers; that it lives is not
    enough, for an answer may have been lost on the way.
    """

    def __init__(self, seat: Seat, cluster: Cluster, supplies: Supplies, lease: float) -> None:
        self.seat = seat
        self._cluster, self._supplies, self._lease = cluster, supplies, lease
        self._renewed = time.monotonic()
        self._owed = 0
        self._living: Seat | None = None
        self._opened: Seat | None = None
        self._failed = 0
        self._ended: Seat | None = None
        self._logged: set[int] = set()
        self._turn = anyio.Lock()

    @property
    def steps(self) -> frozenset[str]:
        return self.seat.steps

    async def listen(self, hear: Callable[[Mapping[str, Any]], None]) -> None:
        """Ask for signs of life, for ever, and pass on what they say."""
        while True:
            seat = self.seat
            beat = _awaited(seat.beat())
            while not beat.done() and self.seat is seat:
                await asyncio.wait([beat], timeout=self._lease / BEATS)
            if beat.done() and beat.exception() is None and (beat.result() or self._living is not seat):
                self._living = seat
                self._renewed = time.monotonic()
                if beat.result() and self.seat is seat:
                    head, _ = read_message(beat.result())
                    self._tell(head.get("log", ()))
                    hear(head)
            await anyio.sleep(self._lease / BEATS)

    @property
    def _patience(self) -> float:
        """The seconds for which the process may be silent, more of them until it first lives."""
        return self._lease if self._living is self.seat else STARTS * self._lease

    @property
    def open(self) -> bool:
        """Whether the process that sits there now knows of the run."""
        return self._opened is self.seat

    async def opened(self, remote: Remote, step: str) -> bool:
        """Tell the process of the run, and return whether it knows of it now; else another is about to sit there.

        Raises SetupError where no worker ever got so far, and InputError for one that cannot do the run's work.
        """
        async with self._turn:
            if self.open:
                return True
            try:
                head, _ = await self._ask(self._supplies.opening(self.seat.threads))
            except LostError as error:
                await self._try_another(remote, step, in_one_line(error))
                return False
            if "error" in head:
                raise InputError(f"[engine] {self.seat.name} cannot do this run's work: {head['error']['said']}")
            self._supplies.check(self.seat.name, head["opened"])
            self._opened, self._failed, remote.worked = self.seat, 0, True
            return True

    async def _try_another(self, remote: Remote, step: str, why: str) -> None:
        """Have another process sit there; raise SetupError where that was tried in vain and nobody ever worked."""
        self._failed += 1
        if not remote.worked and self._failed == MOST_TRIES:
            raise SetupError(f"[engine] {self.seat.name} cannot be opened: {why}")
        meanwhile = "the others go on" if remote.works(step) else f"{step} waits for it"
        _log.warning("%s cannot be opened, %s and another is begun: %s", self.seat.name, meanwhile, why)
        await self._replace()

    async def do(self, piece: Piece) -> list[Values | Exception]:
        """Have a piece done, and return what its actions made; raise LostError where nothing comes of it."""
        asked = message({"do": piece.id, "step": piece.step}, write_actions(piece.actions))
        head, body = await self._ask(asked)
        if "needs" in head:
            async with self._turn:
                head, body = await self._supplied(asked)
        self._tell(head.get("log", ()))
        if "error" in head:
            raise LostError(f"{self.seat.name} cannot do it: {head['error']['said']}")
        results = read_results(piece.step, body) if head.get("done") == piece.id else []
        if len(results) != len(piece.actions):
            raise LostError(f"{self.seat.name} answers what it was not asked")
        for values in results:
            if not isinstance(values, Exception):
                await self._fetched(values)
        return results

    async def _fetched(self, values: Values) -> None:
        """Have the files here that what a worker made stands for."""
        asking = self._supplies.fetch(values)
        answered: Answered | None = None
        while (asked := await to_thread.run_sync(_next, asking, answered)) is not None:
            answered = await self._ask(asked)
            if "error" in answered[0]:
                raise LostError(f"{self.seat.name} cannot send it: {answered[0]['error']['said']}")

    def _tell(self, lines: Iterable[tuple[int, str, int, str]]) -> None:
        """Log what a worker logged, each line once, as if it had been here."""
        for number, name, level, said in lines:
            if number not in self._logged:
                self._logged.add(number)
                logging.getLogger(name).log(level, "%s", said, extra={ELSEWHERE: True})

    async def fill(self, seat: Seat, why: str) -> None:
        """Have another process take the place of one that was lost, unless that was done already."""
        async with self._turn:
            if self.seat is not seat:
                return
            _log.warning("%s is gone, another takes its place: %s", seat.name, why)
            await self._replace()

    async def _replace(self) -> None:
        self.seat = await to_thread.run_sync(self._cluster.replace, self.seat)
        self._renewed, self._logged = time.monotonic(), set()

    async def _supplied(self, asked: bytes) -> tuple[dict[str, Any], bytes]:
        """Ask again with whatever is asked for in return."""
        for _ in range(MOST_TRIES):
            head, body = await self._ask(asked)
            if "needs" not in head:
                return head, body
            for name in head["needs"]:
                parts = self._supplies.parts(name)
                while (part := await to_thread.run_sync(next, parts, None)) is not None:
                    self._require_kept((await self._ask(part))[0])
        raise LostError(f"{self.seat.name} asks for what it was given: {', '.join(head['needs'])}")

    def _require_kept(self, head: Mapping[str, Any]) -> None:
        if "error" in head:
            raise SetupError(f"[engine] {self.seat.name} cannot keep it: {head['error']['said']}")
        if not head.get("kept"):
            raise LostError(f"{self.seat.name} answers what it was not asked")

    async def _ask(self, asked: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a message; raise LostError for a worker that is gone, or silent for a lease."""
        seat = self.seat
        if not self._owed:
            self._renewed = time.monotonic()
        self._owed += 1
        try:
            answer, sign = _awaited(seat.submit(asked)), _awaited(seat.beat())
            while not answer.done():
                await asyncio.wait([answer], timeout=self._lease / BEATS)
                if not answer.done() and self.seat is not seat:
                    raise LostError("another took its place meanwhile")
                if not answer.done() and time.monotonic() - self._renewed > self._patience:
                    raise LostError(f"it gave no sign of working for {self._patience:g} seconds")
            found = read_message(answer.result())
        except LostError:
            raise
        except Exception as error:
            raise self._over(seat, sign)(f"{type(error).__name__}: {in_one_line(error)}") from error
        finally:
            self._owed -= 1
        self._renewed = time.monotonic()
        return found

    def _over(self, seat: Seat, sign: "asyncio.Future[bytes]") -> type[LostError]:
        """Return how what was asked of a process that ended counts: of all that it was asked, one thing was its end.

        Nothing was if it gave no sign of life since it was asked: it, or its whole machine, was gone already.
        """
        lived = sign.done() and sign.exception() is None
        if not lived or self._ended is seat:
            return LostError
        self._ended = seat
        return EndedError


def _awaited(answer: "Future[bytes]") -> "asyncio.Future[bytes]":
    """Return an answer to be waited for; nothing is said of one that fails when nobody waits for it any more."""
    waited = asyncio.wrap_future(answer)
    waited.add_done_callback(lambda done: done.cancelled() or done.exception())
    return waited


def _next(asking: Generator[bytes, Answered, None], answered: Answered | None) -> bytes | None:
    """Return what is asked next, None at the end; raise LostError for an answer to something else."""
    try:
        return asking.send(answered)  # type: ignore[arg-type]  # the first is None, as for any generator
    except StopIteration:
        return None
    except InputError as error:
        raise LostError(in_one_line(error)) from error


def _stream() -> tuple[MemoryObjectSendStream[Piece], MemoryObjectReceiveStream[Piece]]:
    return anyio.create_memory_object_stream[Piece](inf)
