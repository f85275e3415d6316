"""Model calls that workers make for the run's process, which alone has the cache, the purse and the record.

A call is a lease of one: the run's process has put it on record and paid for it when a worker is sent it, a worker
makes no other, and what comes of it is on record before it counts. So what is paid twice is at most what lost workers
had under way, and a worker that hears nothing more calls nobody.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from math import ceil, inf

import anyio
from anyio import to_thread

from rrm.core.errors import LostCallError, SetupError, in_one_line
from rrm.engines.chair import BEATS, MOST_LOST, Chair, Crew, LostError
from rrm.engines.crossing import CALL, Sign, message
from rrm.engines.here import Concurrently
from rrm.engines.seats import Doing, Seat
from rrm.pipeline.driver import Work

WAIT_SECONDS = 0.1
"""A worker that is at calls is asked so often what came of them, and sent others."""


@dataclass(eq=False)
class _Call:
    """A call on its way, and what came of it."""

    asked: str
    number: int
    said: str = ""
    error: Exception | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)

    def end(self, said: str = "", error: Exception | None = None) -> None:
        self.said, self.error = said, error
        self.ended.set()


class Calling:
    """Does the actions of a step that waits for language models here, while workers make the calls.

    Of the calls that a lost worker had under way one may have been its end. All are made again, each as the only one of
    a worker, so the next loss tells which it was.
    """

    _numbers = count()  # of all steps, for a worker makes no call twice

    def __init__(self, crew: Crew, here: Concurrently) -> None:
        self._crew, self._here = crew, here
        self._waiting: deque[_Call] = deque()
        self._under_way: dict[Chair, dict[int, _Call]] = {}
        self._lost: Counter[str] = Counter()  # of what was under way at a lost worker, the losses over it alone
        self._fresh = anyio.Event()
        self._over: Exception | None = None

    async def execute(self, work: Work) -> None:
        if work.plan.finished or not await self._crew.begun(work):
            return
        chairs = self._crew.chairs(CALL)
        self._under_way = {chair: {} for chair in chairs}
        self._crew.supplies.lend(self._call)
        try:
            async with anyio.create_task_group() as serving:
                for chair in chairs:
                    serving.start_soon(chair.listen, _hear)
                    serving.start_soon(self._serve, chair, work)
                serving.start_soon(self._note)
                serving.start_soon(self._let_go, work)
                await self._here.execute(work)
                serving.cancel_scope.cancel()
        finally:
            self._crew.supplies.lend(None)
            self._crew.note([])

    async def _call(self, asked: str) -> str:
        """Have a worker make a call; raise LostCallError where it was lost, and nobody knows how far it was."""
        if self._over is not None:
            raise self._over
        call = _Call(asked, next(self._numbers))
        self._waiting.append(call)
        self._fresh.set()
        try:
            await call.ended.wait()
        finally:
            if call in self._waiting:  # nobody waits for it any more
                self._waiting.remove(call)
        if call.error is not None:
            raise call.error
        return call.said

    async def _serve(self, chair: Chair, work: Work) -> None:
        """Have one worker make calls; what ends it ends the run, once the calls that are left know."""
        try:
            while True:
                if await chair.opened(self._crew, CALL):
                    await self._talk_on(chair)
        except Exception as error:
            work.stop(error)
            self._end(error, self._under_way[chair].values())

    async def _let_go(self, work: Work) -> None:
        """Once the work is stopped and no worker is open, have nothing wait for one: to begin may take long."""
        await work.pause(inf)
        while self._crew.works(CALL):
            await anyio.sleep(WAIT_SECONDS)
        self._end(SetupError("[engine] the run was stopped before a worker made this call"))

    def _end(self, error: Exception, under_way: Iterable[_Call] = ()) -> None:
        """End the calls that no worker has yet, all that are still to come, and those of one that are `under_way`."""
        self._over = self._over or error
        for call in (*self._waiting, *under_way):
            call.end(error=self._over)

    async def _talk_on(self, chair: Chair) -> None:
        """Send a worker calls and take in what came of them; where it is lost they fail, and its place is filled."""
        seat, under_way, known = chair.seat, self._under_way[chair], list[int]()
        try:
            while True:
                while not (self._waiting or under_way):
                    if self._fresh.is_set():
                        self._fresh = anyio.Event()
                    await self._fresh.wait()
                begun = self._taken(under_way)
                if not under_way:
                    await anyio.sleep(0)  # others have them
                    continue
                known = await self._talk(chair, begun, known)
        except LostError as error:
            await self._lose(chair, seat, error)

    async def _lose(self, chair: Chair, seat: Seat, error: LostError) -> None:
        """End the calls that a lost worker had under way, and fill its place."""
        under_way, why = self._under_way[chair], in_one_line(error)
        for call in under_way.values():
            self._lost[call.asked] += error.weight if len(under_way) == 1 else 0
            if again := self._lost[call.asked] < MOST_LOST:
                said = f"{seat.name} was lost while it made a call, which may have been paid for: {why}"
            else:
                said = f"worker after worker was lost over a call that may have been paid for, the last one thus: {why}"
            call.end(error=LostCallError(said, again))
        under_way.clear()
        host = chair.host
        if await chair.fill(seat, why):
            self._crew.hosts.lost(host, seat.name)

    def _taken(self, under_way: dict[int, _Call]) -> list[_Call]:
        """Take as many of the waiting calls for a worker as make its share of all, or one that was lost, alone."""
        if any(call.asked in self._lost for call in under_way.values()):
            return []
        lost = [call for call in self._waiting if call.asked in self._lost]
        if lost:
            begun = [] if under_way else lost[:1]
        else:
            most = ceil((len(self._waiting) + self._all_under_way) / max(1, sum(each.open for each in self._under_way)))
            begun = list(islice(self._waiting, max(0, most - len(under_way))))
        for call in begun:
            self._waiting.remove(call)
        under_way.update((call.number, call) for call in begun)
        return begun

    @property
    def _all_under_way(self) -> int:
        return sum(map(len, self._under_way.values()))

    async def _talk(self, chair: Chair, begun: Sequence[_Call], known: Sequence[int]) -> list[int]:
        """Send calls and what is `known` of earlier ones, and return the numbers of those that have ended by now."""
        head = {"calls": [call.number for call in begun], "known": list(known), "wait": WAIT_SECONDS}
        asked = message(head, json.dumps([call.asked for call in begun]).encode())
        said = await chair.call(asked, at_work=len(self._under_way[chair]) > len(begun))
        for number, text in said.items():
            if (call := self._under_way[chair].pop(number, None)) is not None:
                self._lost.pop(call.asked, None)
                call.end(text)
        return list(said)

    async def _note(self) -> None:
        """Now and then note who makes calls."""
        since: dict[Chair, float] = {}
        noted: list[Doing] = []
        while True:
            await anyio.sleep(self._crew.lease / BEATS)
            since = {chair: since.get(chair, time.time()) for chair, calls in self._under_way.items() if calls}
            doing = [
                Doing(chair.seat.name, chair.host, CALL, len(self._under_way[chair]), at) for chair, at in since.items()
            ]
            if doing != noted:
                noted = doing
                await to_thread.run_sync(self._crew.note, noted)


def _hear(sign: Sign) -> None:
    """Of a call there is nothing to be said."""
