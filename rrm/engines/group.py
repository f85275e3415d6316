"""Fits that several workers do as one process group: the first leads, and each of the others is a further rank.

A lost rank ends the group. The fit is begun again by its action's id, from the last state that was brought here.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from rrm.core.errors import ConfigError, InputError, LostRankError, PluginError, in_one_line
from rrm.engines.chair import BEATS, MOST_LOST, Chair, Crew, EndedError, LostError
from rrm.engines.crossing import Answered, Sign, message, read_results, write_actions
from rrm.engines.here import Worker, recordable
from rrm.engines.seats import Doing, Seat
from rrm.engines.under_way import heard
from rrm.pipeline.driver import Work
from rrm.pipeline.plan import AnyAction, Values

_log = logging.getLogger("rrm.engines")

T = TypeVar("T")

LOOPBACK = "127.0.0.0/8"
ASK_SECONDS = 0.2
"""Who leads is asked so often how it goes."""
LEAVE_SECONDS = 10.0
"""So long ranks may take to end what they do when a group is over; nobody waits longer."""
ALONE_SECONDS = 10.0
"""So long after a rank has failed the first may take to say of what; then the group is taken for lost."""


@dataclass(frozen=True)
class Ranks:
    """How many workers share a fit, and the IPv4 network by which they reach each other."""

    count: int = 1
    network: str = LOOPBACK

    @classmethod
    def of(cls, count: object, network: object, fitting: int) -> "Ranks":
        """Return what a run file asks for, where so many workers do fits; raise ConfigError for what cannot be."""
        if type(count) is not int or count < 1:
            raise ConfigError(f"[engine] ranks is a whole number from 1 up, got {count!r:.80}")
        if count > max(1, fitting):
            raise ConfigError(
                f"[engine] ranks = {count} share a fit among as many workers, and {fitting} have the step fit: lower"
                ' ranks, or give more workers steps = ["fit"]'
            )
        try:
            named = IPv4Network(network if isinstance(network, str) else "")
        except ValueError as error:
            told = 'network is the IPv4 network on which ranks reach each other, such as "10.0.0.0/24"'
            raise ConfigError(f"[engine] {told}, got {network!r:.80}") from error
        return cls(count, str(named))

    @property
    def loopback(self) -> bool:
        return IPv4Network(self.network).is_loopback


ALONE = Ranks()
"""A fit by one worker."""


class RankError(Exception):
    """A group is over: a rank of it failed, or its worker was lost; `lost` is whose place is to be filled."""

    def __init__(self, why: str, weight: int, lost: tuple[Chair, Seat] | None = None) -> None:
        super().__init__(why)
        self.weight, self.lost = weight, lost


class InGroup:
    """Does fits, one at a time, each by several workers together."""

    def __init__(self, crew: Crew, worker: Worker, ranks: Ranks) -> None:
        self._crew, self._worker, self._ranks = crew, worker, ranks

    async def execute(self, work: Work) -> None:
        if work.plan.finished or not await self._crew.begun(work):
            return
        async with anyio.create_task_group() as listening:
            for chair in self._crew.chairs(work.plan.stage.step):
                listening.start_soon(chair.listen, lambda sign: heard(work, sign))
            try:
                while taken := await work.take():
                    await self._do(work, taken[0])
            except Exception as error:
                work.stop(error)
            finally:
                self._crew.note([])
            listening.cancel_scope.cancel()

    async def _do(self, work: Work, action: AnyAction) -> None:
        """Have a fit done and put on record, unless the work is stopped before."""
        made = await self._fitted(work, action)
        if made is None:
            return
        results, ended = recordable(self._worker, [action], [made])
        if ended is not None:
            work.stop(ended)
        await work.give(results)
        if not isinstance(made, Exception):
            await to_thread.run_sync(self._crew.supplies.forget_state, action.id)

    async def _fitted(self, work: Work, action: AnyAction) -> Values | Exception | None:
        """Return what came of a fit, which group after group tries; None where the work is stopped."""
        weight, why = 0, ""
        while weight < MOST_LOST:
            if not (chairs := await self._open(work)):
                return None
            group = _Group(self._crew, chairs, self._ranks, action, work)
            try:
                return await group.fit()
            except RankError as error:
                weight = error.weight + (0 if group.got_further else weight)
                why = in_one_line(error)
                _log.warning("%s: the fit is begun again from its last state: %s", work.plan.stage.title, why)
                if error.lost is not None:
                    await self._fill(*error.lost, why)
        return PluginError(f"group after group of workers was lost over it, the last one thus: {why}")

    async def _fill(self, chair: Chair, seat: Seat, why: str) -> None:
        host = chair.host
        if await chair.fill(seat, why):
            self._crew.hosts.lost(host, seat.name)

    async def _open(self, work: Work) -> list[Chair]:
        """Return as many workers as ranks, once they are open; none where the work is stopped before."""
        step = work.plan.stage.step
        chairs = self._crew.chairs(step)
        async with anyio.create_task_group() as opening:
            for chair in chairs:
                opening.start_soon(self._keep_opening, work, chair)
            while not work.stopping:
                ready = sorted(
                    (each for each in chairs if each.open), key=lambda each: not self._crew.gives(each, step)
                )
                if len(ready) >= self._ranks.count:
                    opening.cancel_scope.cancel()
                    return ready[: self._ranks.count]
                await anyio.sleep(self._crew.lease / BEATS)
            opening.cancel_scope.cancel()
        return []

    async def _keep_opening(self, work: Work, chair: Chair) -> None:
        try:
            while not await chair.opened(self._crew, work.plan.stage.step):
                pass
        except Exception as error:
            work.stop(error)


class _Group:
    """One try of a fit: the workers that are its ranks, the first of whom leads.

    It has `got_further` once more of the fit is here than when it began.
    """

    def __init__(self, crew: Crew, chairs: Sequence[Chair], ranks: Ranks, action: AnyAction, work: Work) -> None:
        self._crew, self._chairs, self._ranks, self._action, self._work = crew, chairs, ranks, action, work
        self._lead, self._others = chairs[0], chairs[1:]
        self._token = secrets.token_hex(16)
        self._since = time.time()
        self._noted: list[Doing] = []
        self._saved: Mapping[str, Any] | None = None
        self.got_further = False

    async def fit(self) -> Values | Exception | None:
        """Return what came of the fit, None where the work is stopped; raise RankError where a rank is lost."""
        supplies, id_ = self._crew.supplies, self._action.id
        over: RankError | None = None
        try:
            await self._drain()
            for chair in self._chairs:
                await self._of(chair, self._left(chair))
            state = await to_thread.run_sync(supplies.state, id_, self._ranks.count)
            self._saved = state and {file: [*facts] for file, facts in state.items()}
            await self._begin()
            return await self._attend()
        except RankError as error:
            over = error
            raise
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + LEAVE_SECONDS):
                await self._leave(over.lost[0] if over is not None and over.lost else None)

    async def _begin(self) -> None:
        head: dict[str, Any] = {
            "ranks": "lead",
            "fit": self._action.id,
            "step": self._action.step,
            "state": self._saved,
        }
        head |= {"of": self._ranks.count, "network": self._ranks.network, "token": self._token}
        await self._of(self._lead, self._lead.tell(message(head, write_actions([self._action]))))

    async def _attend(self) -> Values | Exception | None:
        """Ask all ranks how it goes until the first has ended, and bring them and this machine what they need."""
        gathered, since = 0, 0.0
        failed: Exception | None = None
        while not self._work.stopping:
            head, body = await self._ask(self._lead, {"ranks": "ask", "wait": ASK_SECONDS})
            if "done" in head:
                return await self._ended(head, body)
            self._require(self._lead, {"gathering", "saved"} <= head.keys())
            await self._hear(Sign.of(head))
            if (gathering := head["gathering"]) and gathering["number"] > gathered:
                await self._gather(gathering)
                gathered = gathering["number"]
            if head["saved"] not in (None, self._saved):
                keeping = self._crew.supplies.keep_state(self._action.id, self._ranks.count, head["saved"])
                await self._of(self._lead, self._lead.fetched(keeping))
                self._saved, self.got_further = head["saved"], True
            for chair in self._others:
                told, _ = await self._ask(chair, {"ranks": "ask", "wait": 0})
                self._require(chair, {"failed", "lost"} <= told.keys())
                if told["failed"] and failed is None:
                    why, since = f"{chair.seat.name} on {chair.host}: {told['failed']}", time.monotonic()
                    failed = RankError(why, EndedError.weight) if told["lost"] else InputError(f"[engine] {why}")
            if isinstance(failed, RankError) and time.monotonic() - since > ALONE_SECONDS:
                raise failed
            if failed is not None and time.monotonic() - since > ALONE_SECONDS:
                return failed
        return None

    async def _ended(self, head: Mapping[str, Any], body: bytes) -> Values | Exception:
        """Return what the first rank made or raised, its files here; raise RankError where another one was lost."""
        results = read_results(self._action.step, body) if head["done"] == self._action.id else []
        self._require(self._lead, len(results) == 1)
        if isinstance(results[0], LostRankError):
            raise RankError(in_one_line(results[0]), EndedError.weight)
        if not isinstance(results[0], Exception):
            await self._of(self._lead, self._lead.fetched(self._crew.supplies.fetch(results[0])))
            for chair in self._chairs:
                self._crew.hosts.done(chair.host)
        return results[0]

    async def _gather(self, gathering: Mapping[str, Any]) -> None:
        """Bring the other ranks what the first has of a training, have them begin it, and the first go on."""
        begin = {key: gathering.get(key) for key in ("folder", "content", "at", "device")}
        for asked in self._crew.supplies.parts_of(str(begin["folder"]), begin["content"]):
            head, part = await self._of(self._lead, self._lead.tell(asked))
            self._require(self._lead, {"keep", "file", "at"} <= head.keys())
            for chair in self._others:
                await self._of(chair, chair.tell(message({key: head[key] for key in ("keep", "file", "at")}, part)))
        begin |= {"ranks": "follow", "of": self._ranks.count, "token": self._token}
        for rank, chair in enumerate(self._others, 1):
            await self._ask(chair, {**begin, "rank": rank})
        await self._ask(self._lead, {"ranks": "gathered", "number": gathering["number"]})

    async def _drain(self) -> None:
        """Have all workers let go of what they hold on a GPU; one still at what another has done is ended for it."""
        for chair in self._crew.all_chairs:
            seat = chair.seat
            if chair.behind:
                await chair.fill(seat, "a fit needs what it holds, and another has done its piece")
            elif chair.open:
                try:
                    await chair.tell(message({"drain": True}))
                except LostError as error:
                    if chair in self._chairs:
                        raise RankError(in_one_line(error), error.weight, (chair, seat)) from error
                    await chair.fill(seat, in_one_line(error))

    async def _hear(self, sign: Sign) -> None:
        """Pass on how the first rank goes, and keep it for who asks."""
        heard(self._work, sign)
        self._lead.how = sign.how
        step, at = self._action.step, self._since
        doing = [Doing(each.seat.name, each.host, step, 1, at, sign.how) for each in self._chairs]
        if doing != self._noted:
            self._noted = doing
            await to_thread.run_sync(self._crew.note, doing)

    async def _leave(self, lost: Chair | None) -> None:
        """Have all ranks end what they still do; who does not is lost, and found to be so when it is next asked."""

        async def leave(chair: Chair) -> None:
            try:
                await self._left(chair)
            except LostError as error:
                _log.info("%s", in_one_line(error))

        async with anyio.create_task_group() as leaving:
            for chair in self._chairs:
                if chair is not lost:
                    leaving.start_soon(leave, chair)

    async def _left(self, chair: Chair) -> None:
        """Have a rank end what it does of the fit; raise LostError for one that does not."""
        try:
            await chair.tell(message({"ranks": "leave", "fit": self._action.id, "keeps": chair is self._lead}))
        except InputError as error:
            raise LostError(in_one_line(error)) from error

    def _require(self, chair: Chair, answered: bool) -> None:
        if not answered:
            raise RankError(f"{chair.seat.name} answers what it was not asked", LostError.weight, (chair, chair.seat))

    async def _ask(self, chair: Chair, head: Mapping[str, Any]) -> Answered:
        return await self._of(chair, chair.tell(message(head)))

    async def _of(self, chair: Chair, asked: Awaitable[T]) -> T:
        """Return what a worker answers; raise RankError where it is lost, or cannot reach the first."""
        seat = chair.seat
        try:
            return await asked
        except LostRankError as error:
            raise RankError(f"{seat.name} on {chair.host}: {in_one_line(error)}", EndedError.weight) from error
        except LostError as error:
            raise RankError(in_one_line(error), error.weight, (chair, seat)) from error
