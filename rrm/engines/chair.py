"""The places of workers: the process that sits there now, its lease, and what is asked of it."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from rrm.core.errors import InputError, LostRankError, SetupError, StoreError, in_one_line
from rrm.engines.crossing import (
    CALL,
    ELSEWHERE,
    FITS,
    Answered,
    Line,
    Piece,
    Raised,
    Sign,
    message,
    read_message,
    read_results,
    write_actions,
)
from rrm.engines.hosts import Hosts
from rrm.engines.seats import Cluster, Doing, Seat, Supplies
from rrm.pipeline.driver import Work
from rrm.pipeline.plan import Values

_log = logging.getLogger("rrm.engines")

LEASE_SECONDS = 30.0
"""A worker that gave no sign of working for so long is taken for lost, and its pieces are given to others."""
BEATS = 15
"""So many times a lease a worker is asked for a sign."""
STARTS = 4
"""So many leases a process may take until its first sign of life."""
MOST_TRIES = 3
"""So many processes are tried before the first worker works, and so many times one is given what it asks for."""


MOST_LOST = 12
"""What workers were lost over is given up at so many losses, by their weight."""


class LostError(Exception):
    """A worker is silent, was gone already, or answers what it was not asked."""

    weight = 1


class EndedError(LostError):
    """A worker's process, or the way to it, has ended over what it was doing."""

    weight = 4


class Chair:
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
        self._outrun: set[asyncio.Future[bytes]] = set()
        self._coming: asyncio.Future[Seat] | None = None
        self.host = ""  # the machine on which the process runs that was opened last
        self.how = ""  # in a few words, how what it does goes
        self._logged: set[int] = set()
        self._turn = anyio.Lock()

    @property
    def steps(self) -> frozenset[str]:
        return self.seat.steps

    async def listen(self, hear: Callable[[Sign], None]) -> None:
        """Ask for signs of life, for ever, and pass on what they say."""
        if not self._owed:  # nobody listened meanwhile
            self._renewed = time.monotonic()
        while True:
            seat = self.seat
            beat = _awaited(seat.beat)
            while not beat.done() and self.seat is seat:
                await asyncio.wait([beat], timeout=self._lease / BEATS)
            if beat.done() and beat.exception() is None and (beat.result() or self._living is not seat):
                self._living = seat
                self._renewed = time.monotonic()
                if beat.result() and self.seat is seat:
                    sign = Sign.read(beat.result())
                    self._tell(sign.log)
                    self.how = sign.how
                    hear(sign)
            await anyio.sleep(self._lease / BEATS)

    @property
    def _patience(self) -> float:
        """The seconds for which the process may be silent, more of them until it first lives."""
        return self._lease if self._living is self.seat else STARTS * self._lease

    @property
    def silence(self) -> str:
        """That the process, which owes an answer or is behind, is silent for too long; nothing while it is not."""
        silent = time.monotonic() - self._renewed > self._patience
        return f"it gave no sign of working for {self._patience:g} seconds" if silent else ""

    @property
    def open(self) -> bool:
        """Whether the process that sits there now knows of the run, and no other is about to."""
        return self._opened is self.seat and self._coming is None

    @property
    def idle(self) -> bool:
        """Whether the process owes no answer."""
        return not (self._owed or self._outrun)

    @property
    def behind(self) -> bool:
        """Whether the process is still at what another has done meanwhile."""
        return bool(self._outrun)

    async def opened(self, crew: "Crew", step: str) -> bool:
        """Tell the process of the run, and return whether it knows of it now; else another is about to sit there.

        Raises SetupError where no worker ever got so far, and InputError for one that cannot do the run's work.
        """
        async with self._turn:
            if self._coming is not None:
                await self._replace()
            if self.open:
                return True
            try:
                head, _ = await self._ask(self._supplies.opening(self.seat.threads, CALL in self.steps))
            except LostError as error:
                await self._try_another(crew, step, in_one_line(error))
                return False
            if "error" in head:
                raise InputError(f"[engine] {self.seat.name} cannot do this run's work: {head['error']['said']}")
            self._supplies.check(self.seat.name, head["opened"])
            self._opened, self._failed, crew.worked = self.seat, 0, True
            self.host = str(head.get("host", ""))
            return True

    async def _try_another(self, crew: "Crew", step: str, why: str) -> None:
        """Have another process sit there; raise SetupError where that was tried in vain and nobody ever worked."""
        self._failed += 1
        if not crew.worked and self._failed == MOST_TRIES:
            raise SetupError(f"[engine] {self.seat.name} cannot be opened: {why}")
        meanwhile = "the others go on" if crew.works(step) else f"{step} waits for it"
        _log.warning("%s cannot be opened, %s and another is begun: %s", self.seat.name, meanwhile, why)
        await self._replace()

    async def do(self, piece: Piece) -> list[Values | Exception]:
        """Have a piece done, and return what its actions made; raise LostError where nothing comes of it."""
        asked = message({"do": piece.id, "step": piece.step}, write_actions(piece.actions))
        head, body = await self._answered(asked)
        if "error" in head:
            raise LostError(f"{self.seat.name} cannot do it: {head['error']['said']}")
        results = read_results(piece.step, body) if head.get("done") == piece.id else []
        if len(results) != len(piece.actions):
            raise LostError(f"{self.seat.name} answers what it was not asked")
        if piece.step in FITS:
            for values in results:
                if not isinstance(values, Exception):
                    await self.fetched(self._supplies.fetch(values))
        return results

    async def tell(self, asked: bytes) -> Answered:
        """Return the answer to a message, for which a worker is given what it asks for.

        Raises LostError where nothing comes of it, LostRankError for a rank that reaches no other, and InputError for
        what the worker cannot do.
        """
        head, body = await self._answered(asked)
        if "error" in head:
            raised = Raised(**head["error"])
            if isinstance(raised.error, LostRankError):
                raise raised.error
            raise InputError(f"[engine] {self.seat.name} cannot share a fit: {raised.said}")
        return head, body

    async def _answered(self, asked: bytes) -> Answered:
        """Return the answer to a message, for which a worker is given what it asks for, and log what it logged."""
        head, body = await self._ask(asked)
        if "needs" in head:
            async with self._turn:
                head, body = await self._supplied(asked)
        self._tell(Sign.of(head).log)
        return head, body

    async def call(self, asked: bytes, at_work: bool) -> dict[int, str]:
        """Have model calls made, and return what came of those that have ended, by their numbers.

        `at_work` says that it was already making some. Raises LostError where nothing comes of it.
        """
        head, body = await self._ask(asked, at_work)
        if "error" in head:
            raise LostError(f"{self.seat.name} cannot make calls: {head['error']['said']}")
        if "said" not in head:
            raise LostError(f"{self.seat.name} answers what it was not asked")
        return dict(zip(head["said"], json.loads(body), strict=True))

    async def fetched(self, asking: Generator[bytes, Answered, None]) -> None:
        """Have a worker asked for files, until they are here; raise LostError where nothing comes of it."""
        answered: Answered | None = None
        while (asked := await to_thread.run_sync(_next, asking, answered)) is not None:
            answered = await self._ask(asked)
            if "error" in answered[0]:
                raise LostError(f"{self.seat.name} cannot send it: {answered[0]['error']['said']}")

    def _tell(self, lines: Iterable[Line]) -> None:
        """Log what a worker logged, each line once, as if it had been here."""
        for number, name, level, said in lines:
            if number not in self._logged:
                self._logged.add(number)
                logging.getLogger(name).log(level, "%s", said, extra={ELSEWHERE: True})

    async def fill(self, seat: Seat, why: str) -> bool:
        """Have another process take the place of one that was lost; return whether that was not done already."""
        async with self._turn:
            if self.seat is not seat:
                return False
            _log.warning("%s is gone, another takes its place: %s", seat.name, why)
            await self._replace()
            return True

    async def _replace(self) -> None:
        """Have another process sit there; it goes on beginning where it is not waited for to the end."""
        if self._coming is None:
            begins = partial(self._cluster.replace, self.seat)
            self._coming = asyncio.ensure_future(to_thread.run_sync(begins, abandon_on_cancel=True))
            self._coming.add_done_callback(self._seated)
        await asyncio.shield(self._coming)

    def _seated(self, coming: asyncio.Future[Seat]) -> None:
        self._coming = None
        if not coming.cancelled() and coming.exception() is None:
            self.seat = coming.result()
            self._renewed, self._logged, self._outrun = time.monotonic(), set(), set()

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

    async def _ask(self, asked: bytes, at_work: bool = False) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a message; raise LostError for a worker that is gone, or silent for a lease.

        One that was `at_work` when it was asked cannot have been gone already, before it had anything to do.
        """
        seat = self.seat
        if self.idle:
            self._renewed = time.monotonic()
        self._owed += 1
        sign, answer = _awaited(seat.beat), _awaited(partial(seat.submit, asked))  # what it is asked may end it at once
        try:
            while not answer.done():
                await asyncio.wait([answer], timeout=self._lease / BEATS)
                if not answer.done() and self.seat is not seat:
                    raise LostError("another took its place meanwhile")
                if not answer.done() and self.silence:
                    raise LostError(self.silence)
            found = read_message(answer.result())
        except LostError:
            raise
        except asyncio.CancelledError:  # another was faster
            if not answer.done() and self.seat is seat:
                self._outrun.add(answer)
                answer.add_done_callback(self._outrun.discard)
            raise
        except Exception as error:
            lived = at_work or (sign.done() and sign.exception() is None)
            raise self._over(seat, lived)(f"{type(error).__name__}: {in_one_line(error)}") from error
        finally:
            self._owed -= 1
        self._renewed = time.monotonic()
        return found

    def _over(self, seat: Seat, lived: bool) -> type[LostError]:
        """Return how what was asked of a process that ended counts: of all that it was asked, one thing was its end.

        Nothing was unless it has `lived` since it was asked: else it, or its whole machine, was gone already.
        """
        if not lived or self._ended is seat:
            return LostError
        self._ended = seat
        return EndedError


class Crew:
    """The places of all workers, and which of them are given work."""

    def __init__(self, cluster: Cluster, supplies: Supplies, lease: float, clock: Callable[[], float]) -> None:
        self.lease, self.clock, self.supplies = lease, clock, supplies
        self.hosts = Hosts(lease, clock)
        self.worked = False  # whether any worker was ever open
        self._cluster = cluster
        self._chairs: list[Chair] = []
        self._unnoted = False

    async def begun(self, work: Work) -> bool:
        """Have the cluster begin unless it has, and return whether it has: not where the work is stopped meanwhile.

        Raises what the cluster cannot be had for.
        """
        if not self._chairs:
            seats = asyncio.ensure_future(to_thread.run_sync(self._cluster.start, abandon_on_cancel=True))
            seats.add_done_callback(_retrieved)
            while not seats.done():
                await asyncio.wait([seats], timeout=self.lease / BEATS)
                if work.stopping and not seats.done():
                    return False
            self._chairs = [Chair(seat, self._cluster, self.supplies, self.lease) for seat in seats.result()]
        return True

    def chairs(self, step: str) -> list[Chair]:
        """Return the places of workers for a step, once the cluster has begun."""
        return [chair for chair in self._chairs if step in chair.steps]

    @property
    def all_chairs(self) -> Sequence[Chair]:
        """The places of all workers, none before the cluster has begun."""
        return self._chairs

    def works(self, step: str) -> bool:
        """Say whether any worker for a step is open now."""
        return any(chair.open for chair in self._chairs if step in chair.steps)

    def gives(self, chair: Chair, step: str) -> bool:
        """Say whether a worker that is open is given work of a step.

        One whose machine is set aside, or that is still at what another has done, is only where nobody better is open.
        """
        open_ = [each for each in self._chairs if each.open and step in each.steps]
        return self._good(chair) or not any(map(self._good, open_))

    def _good(self, chair: Chair) -> bool:
        return not chair.behind and not self.hosts.aside(chair.host)

    def note(self, doing: Sequence[Doing]) -> None:
        """Keep what workers do; where that cannot be written, say so once and go on."""
        try:
            self.supplies.note(doing)
        except (OSError, ValueError) as error:  # such as a full disk, or a name that UTF-8 cannot write
            if not self._unnoted:
                _log.warning("the status of this run lacks what its workers do: %s", in_one_line(error))
            self._unnoted = True


def _awaited(ask: Callable[[], "Future[bytes]"]) -> "asyncio.Future[bytes]":
    """Ask, and return the answer to be waited for; where asking itself fails, the answer has.

    Nothing is said of one that fails when nobody waits for it any more.
    """
    try:
        waited = asyncio.wrap_future(ask())
    except Exception as error:
        waited = asyncio.get_running_loop().create_future()
        waited.set_exception(error)
    waited.add_done_callback(_retrieved)
    return waited


def _retrieved(done: "asyncio.Future[Any]") -> None:
    """Have nothing said of an error that nobody waits for."""
    if not done.cancelled():
        done.exception()


def _next(asking: Generator[bytes, Answered, None], answered: Answered | None) -> bytes | None:
    """Return what is asked next, None at the end.

    Raises LostError for an answer to something else, and StoreError where this machine cannot keep what came.
    """
    try:
        return asking.send(answered)  # type: ignore[arg-type]  # the first is None, as for any generator
    except StopIteration:
        return None
    except InputError as error:
        raise LostError(in_one_line(error)) from error
    except StoreError:
        raise
    except OSError as error:
        why = f"what a worker made cannot be kept here: {in_one_line(error)}"
        raise StoreError(f"[engine] {why}; mend that and give the same command again") from error
