"""Workers that are processes of this machine, each begun within milliseconds, so that they can be killed by the dozen.

A hatchery has imported everything and forks one worker for each connection; for `benchmarks.chaos`.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socketserver import ForkingMixIn, StreamRequestHandler, UnixStreamServer
from typing import Any

from rrm.core.errors import SetupError
from rrm.engines.apart import ApartSeat, Wanted, Wire
from rrm.engines.apart_process import Process, pass_on, receive, send
from rrm.engines.local import Worker
from rrm.engines.remote import Remote
from rrm.engines.seats import Seat, Supplies
from rrm.pipeline.driver import Executor

TRIES = 9
LEASE = 1.0
"""Seconds, where a run in earnest has 30: what waits for leases to end is waited for so much less."""


class Hatchery(ForkingMixIn, UnixStreamServer):
    """Forks a worker for each connection to a socket."""

    def __init__(self, at: Path) -> None:
        super().__init__(str(at), Hatched)


class Hatched(StreamRequestHandler):
    """What a worker does: answers one driver until that is gone."""

    def handle(self) -> None:
        receive(self.rfile)
        send(self.wfile, {"at": str(os.getpid())})
        pass_on(self.rfile, self.wfile, Alone())


class Alone:
    """The one seat of a worker's process; implements `rrm.engines.apart_process.Begun`."""

    facts: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def begin(self, seat: int, worker: bytes, cpus: int, gpus: float) -> None:
        self._process, self._thread = Process(worker), ThreadPoolExecutor(1)

    def answer(self, seat: int, asked: bytes) -> "Future[bytes]":
        return self._thread.submit(self._process.answer, asked)

    def beat(self, seat: int) -> "Future[bytes]":
        sign: Future[bytes] = Future()
        sign.set_result(self._process.beat())
        return sign

    def end(self, seat: int) -> None:
        os._exit(0)

    def close(self) -> None:
        """Nothing is held."""


class Hatchlings(Remote):
    """An engine whose workers are those of the hatchery at a socket."""

    def __init__(
        self, worker: Worker, others: Mapping[str, Executor], supplies: Supplies, at: str, count: int = 2
    ) -> None:
        super().__init__(worker, others, supplies, HatchedCluster(supplies, at, count), LEASE)


class HatchedCluster:
    """Workers of a hatchery; implements `rrm.engines.seats.Cluster`."""

    def __init__(self, supplies: Supplies, at: str, count: int) -> None:
        self._supplies, self._at, self._count = supplies, at, count
        self.steps = supplies.steps
        self._wires: dict[Seat, Wire] = {}

    def start(self) -> Sequence[Seat]:
        return [self._seat(number) for number in range(self._count)]

    def replace(self, seat: Seat) -> Seat:
        assert isinstance(seat, ApartSeat)
        seat.end()
        return self._seat(seat.number)

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()

    def _seat(self, number: int) -> Seat:
        """Return a seat with a worker that has spoken; one that is killed before is none."""
        for _ in range(TRIES):
            with suppress(OSError, SetupError):
                return self._hatched(number)
        raise SetupError(f"the hatchery at {self._at} has no worker that lives")

    def _hatched(self, number: int) -> Seat:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._at)
        wire = Wire("a worker", connection.makefile("wb"), connection.makefile("rb"))
        connection.close()  # the two files hold it
        wire.begin({})
        seat = ApartSeat(wire, number, self.steps, 1)
        seat.begin(self._supplies.worker, Wanted(self.steps))
        self._wires[seat] = wire
        return seat
