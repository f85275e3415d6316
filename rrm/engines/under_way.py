"""A stage that workers elsewhere are doing: cut into pieces by content, which are leased, lost and given again."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from statistics import median
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from rrm.core.errors import PluginError, in_one_line
from rrm.engines.chair import BEATS, MOST_LOST, Chair, Crew, LostError
from rrm.engines.crossing import Piece, Sign
from rrm.engines.here import CallThread, Worker, recordable
from rrm.engines.seats import Doing, Seat
from rrm.pipeline.driver import Work
from rrm.pipeline.plan import AnyAction, AnyStage, Values

_log = logging.getLogger("rrm.engines")

PIECES = 64
"""Into about so many pieces a stage is cut, however many workers there are: what a batch holds follows from content."""
MOST_AT_ONCE = 256
MEASURED, LATE = 5, 3
"""Once so many pieces of a stage were done, one that takes so many times their median, by action, is late."""
AHEAD = 2
"""Pieces that a worker is sent at once, so that it need not wait for the next one."""


class UnderWay:
    """A stage that workers are doing: its pieces on their way, who has each, and how often it was lost."""

    def __init__(self, work: Work, crew: Crew, chairs: Sequence[Chair], worker: Worker) -> None:
        self._work, self._crew, self._chairs, self._worker = work, crew, chairs, worker
        self._step = work.plan.stage.step
        self._cutter = _Cutter(work.plan.stage)
        self._lost: Counter[str] = Counter()
        self._leases: dict[str, list[_Lease]] = {}
        self._came: set[str] = set()
        self._took: list[float] = []  # by an action, of each piece that came
        self._waiting: set[anyio.CancelScope] | None = set()
        self._put, self._ready = _stream()
        self._put_here, self._ready_here = _stream()

    def hear(self, sign: Sign) -> None:
        heard(self._work, sign)

    async def deal(self) -> None:
        """Cut what can be done into pieces until nothing more comes, and have everybody stop then."""
        try:
            while actions := await self._work.take(inf):
                self._send(actions)
        finally:
            self._put.close()
            self._put_here.close()
            waiting, self._waiting = self._waiting or (), None
            for scope in waiting:
                scope.cancel()

    def _send(self, actions: Iterable[AnyAction]) -> None:
        away: list[AnyAction] = []
        here: list[AnyAction] = []
        for action in actions:
            (here if self._crew.supplies.stays(action) else away).append(action)
        for put, some in ((self._put, away), (self._put_here, here)):
            for piece in self._cutter.cut(some):
                put.send_nowait(piece)

    async def serve(self, chair: Chair) -> None:
        """Have one worker do piece after piece; while it cannot be opened, or is given nothing, others have them."""
        try:
            while await self._ready_to_work(chair):
                piece = await self._ready.receive()
                if self._work.stopping:
                    return
                if chair.open and self._crew.gives(chair, self._step):
                    await self._have_done(piece, chair)
                else:
                    self._put.send_nowait(piece)
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return
        except Exception as error:  # here, so that the others finish what they are doing
            self._work.stop(error)

    async def _ready_to_work(self, chair: Chair) -> bool:
        """Wait until a worker is open and given work, however long; return whether the stage still has some then."""
        with self._while_dealing():
            while not self._work.stopping:
                if await chair.opened(self._crew, self._step):
                    if self._crew.gives(chair, self._step):
                        return True
                    await anyio.sleep(self._crew.lease / BEATS)
        return False

    @contextmanager
    def _while_dealing(self) -> Iterator[None]:
        """Have what is waited for within left as soon as nothing more can come."""
        with anyio.CancelScope() as scope:
            if self._waiting is None:
                scope.cancel()
            else:
                self._waiting.add(scope)
            try:
                yield
            finally:
                if self._waiting is not None:
                    self._waiting.discard(scope)

    async def _have_done(self, piece: Piece, chair: Chair) -> None:
        """Have a worker do a piece; what it makes is dropped where another was faster."""
        seat, lease = chair.seat, _Lease(piece, chair, self._crew.clock())
        holders = self._leases.setdefault(piece.id, [])
        holders.append(lease)
        results: list[Values | Exception] | None = None
        lost: LostError | None = None
        try:
            with lease.scope:
                results = await chair.do(piece)
        except LostError as error:
            lost = error
        finally:
            holders.remove(lease)
        if lost is not None:
            await self._lose(piece, chair, seat, lost)
        elif results is not None:
            self._crew.hosts.done(chair.host)
            self._took.append((self._crew.clock() - lease.since) / len(piece.actions))
            await self._take_in(piece, results)

    async def attend(self, serving: TaskGroup) -> None:
        """Now and then note who does what, give what takes far longer than the stage's others to a second one, and have
        the places filled of those that fell silent over what another has done meanwhile.
        """
        noted: list[Doing] = []
        try:
            with self._while_dealing():
                while not self._work.stopping:
                    await anyio.sleep(self._crew.lease / BEATS)
                    if (doing := self._doing()) != noted:
                        noted = doing
                        await to_thread.run_sync(self._crew.note, noted)
                    for lease, chair in self._late():
                        told = "%s has %s for long: %s is given it, too, and what comes first counts"
                        _log.info(told, lease.chair.seat.name, _named(lease.piece), chair.seat.name)
                        serving.start_soon(self._stopping, self._have_done, lease.piece, chair)
                    for chair in self._chairs:
                        if chair.behind and chair.silence:
                            serving.start_soon(self._stopping, self._fill, chair, chair.seat, chair.silence)
        finally:
            if noted:
                self._crew.note([])

    def _doing(self) -> list[Doing]:
        held = [lease for holders in self._leases.values() for lease in holders]
        return [
            Doing(each.chair.seat.name, each.chair.host, self._step, len(each.piece.actions), each.at, each.chair.how)
            for each in held
        ]

    def _late(self) -> list[tuple["_Lease", Chair]]:
        """Return what is late while nothing waits for a worker, each with one that has nothing to do."""
        if len(self._took) < MEASURED or self._ready.statistics().current_buffer_used:
            return []
        now, limit = self._crew.clock(), LATE * median(self._took)
        late = [
            holders[0]
            for holders in self._leases.values()
            if len(holders) == 1 and (now - holders[0].since) / len(holders[0].piece.actions) > limit
        ]
        free = [each for each in self._chairs if each.open and each.idle and self._crew.gives(each, self._step)]
        return list(zip(late, free, strict=False))

    async def _stopping(self, do: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Do something for a worker beside what it serves; an error ends the stage."""
        try:
            await do(*arguments)
        except Exception as error:
            self._work.stop(error)

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
        """Put what a piece made on record, and have what it unlocks done meanwhile; the first result counts."""
        if piece.id in self._came:
            return
        self._came.add(piece.id)
        for lease in self._leases.get(piece.id, ()):
            lease.scope.cancel()
        given, ended = recordable(self._worker, piece.actions, results)
        if ended is not None:
            self._work.stop(ended)
        done = [(action, values) for action, values in given if not isinstance(values, Exception)]
        if len(done) == len(piece.actions) and not self._work.stopping:
            self._send(self._work.go_on(done))
        await self._work.give(given)

    async def _lose(self, piece: Piece, chair: Chair, seat: Seat, error: LostError) -> None:
        """Give a piece to another worker, unless it seems to end whoever does it, and fill the place."""
        why = in_one_line(error)
        self._lost[piece.id] += error.weight
        if piece.id not in self._came and not self._leases[piece.id]:
            if self._lost[piece.id] < MOST_LOST:
                if not self._work.stopping:
                    self._put.send_nowait(piece)
            else:
                given_up = PluginError(f"worker after worker was lost over it, the last one thus: {why}")
                await self._take_in(piece, [given_up] * len(piece.actions))
        await self._fill(chair, seat, why)

    async def _fill(self, chair: Chair, seat: Seat, why: str) -> None:
        """Fill a worker's place, and count it as lost on its machine, unless that was done already."""
        host = chair.host
        with self._while_dealing():
            if await chair.fill(seat, why):
                self._crew.hosts.lost(host, seat.name)


def heard(work: Work, sign: Sign) -> None:
    """Pass on how far a worker's action is, and how it goes."""
    if work.watcher is not None and sign.said:
        work.watcher.say(sign.said)
    if work.watcher is not None and sign.within:
        work.watcher.within(*sign.within)


@dataclass(eq=False)
class _Lease:
    """A piece that a worker has, since when by the run's clock, and how what it makes is no longer waited for.

    `at` is the time of day, in seconds after 1970.
    """

    piece: Piece
    chair: Chair
    since: float
    at: float = field(default_factory=time.time)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


def _named(piece: Piece) -> str:
    first, others = piece.actions[0], len(piece.actions) - 1
    return f"{first.step} {first.slot}" + (f" and {others} more" if others else "")


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


def _stream() -> tuple[MemoryObjectSendStream[Piece], MemoryObjectReceiveStream[Piece]]:
    return anyio.create_memory_object_stream[Piece](inf)
