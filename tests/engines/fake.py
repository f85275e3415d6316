"""A cluster of threads, whose messages and workers fare as a seed says."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from rrm.engines.crossing import ON_REQUEST, message, read_message
from rrm.engines.group import LOOPBACK, Ranks
from rrm.engines.here import Worker
from rrm.engines.remote import Remote
from rrm.engines.seats import Seat, Supplies
from rrm.pipeline.driver import Executor

LEASE = 1.0
"""Seconds after which a worker in these tests is lost: a busy machine may not get round to one for a second."""

WELL: Mapping[str, float] = {"answer": 1}
BADLY: Mapping[str, float] = {"answer": 60, "double": 8, "delay": 8, "swap": 2, "lose": 0.5, "fail": 2, "die": 0.5}
"""How messages fare, by weight."""


class FakeSeat:
    """A worker in threads of this process."""

    threads = 1

    def __init__(self, number: int, worker: str, steps: frozenset[str], fates: Mapping[str, float], seed: str) -> None:
        module, _, name = worker.partition(":")
        self.name, self.number, self.steps = f"worker {number}", number, steps
        self.fared: list[str] = []
        self.told = 0  # so often it was told of the run
        self.dies_over, self.deadly, self.host = 0, "", ""
        self._worker: Any = getattr(import_module(module), name)()
        self._fates, self._random = dict(fates), random.Random(seed)
        self._late: list[tuple[Future[bytes], bytes]] = []
        self._turn = threading.Lock()
        self._busy = self._gone = False

    def submit(self, asked: bytes) -> "Future[bytes]":
        answered: Future[bytes] = Future()
        threading.Thread(target=self._answer, args=(answered, asked), daemon=True).start()
        return answered

    def beat(self) -> "Future[bytes]":
        sign: Future[bytes] = Future()
        if not self._gone:
            sign.set_result(worker.sign() if self._busy and (worker := self._worker) else b"")
        return sign

    def end(self) -> None:
        self._gone = True

    def _answer(self, answered: "Future[bytes]", asked: bytes) -> None:
        with self._turn:
            if self._worker is None:
                return
            fate = self._random.choices(list(self._fates), list(self._fates.values()))[0]
            self.fared.append(fate)
            self.told += asked.startswith(b'{"open"')
            self._busy = True
            for _ in range(2 if fate == "double" else 1):
                answer = self._of_host(self._worker.answer(asked))
            self._busy = False
            if fate == "delay":
                time.sleep(0.02)
            crashes = bool(self.deadly) and asked.startswith(b'{"calls"') and self.deadly.encode() in asked
            if fate == "die" or len(self.fared) == self.dies_over or crashes:
                self._gone = True
            if self._gone:
                self._worker = None  # and with it what the process held
                if self.host == "bad" or crashes:
                    answered.set_exception(ConnectionError("it has crashed"))
            if self._gone or fate == "lose":
                return
            if fate == "fail":
                answered.set_exception(RuntimeError("the wire is cut"))
                return
            if fate == "swap" and not self._late:
                self._late.append((answered, answer))  # comes with the next one's
                return
            pairs = [(answered, answer), *self._late]
            self._late = []
            for (future, _), (_, said) in zip(pairs, reversed(pairs), strict=True):
                future.set_result(said)

    def _of_host(self, answer: bytes) -> bytes:
        """Have a worker that is opened say that it runs on the seat's machine, where it has one."""
        head, body = read_message(answer)
        return message({**head, "host": self.host}, body) if self.host and "opened" in head else answer


class FakeCluster:
    """Workers in threads; implements `rrm.engines.seats.Cluster`.

    Those that are `lost`, by number, end over their third message, and so many in their place are `silent`, as on a
    machine that cannot be reached any more. `hosts` are machines, by number; on the one called bad all end soon. A
    call with what is `deadly` in it ends whoever is to make it.
    """

    def __init__(
        self,
        supplies: Supplies,
        steps: frozenset[str],
        count: int,
        fates: Mapping[str, float],
        seed: int,
        lost: Sequence[int] = (),
        silent: int = 0,
        hosts: Mapping[int, str] | None = None,
        deadly: str = "",
    ) -> None:
        self._hosts, self._deadly = hosts or {}, deadly
        self._supplies, self._count, self._fates, self._seed = supplies, count, fates, seed
        self._lost, self._silent = lost, silent
        self.steps = steps
        self.seats: list[FakeSeat] = []
        self.closed = 0

    def start(self) -> Sequence[Seat]:
        return [self._seat(number) for number in range(self._count)]

    def replace(self, seat: Seat) -> Seat:
        assert isinstance(seat, FakeSeat)
        seat.end()
        return self._seat(seat.number)

    def close(self) -> None:
        self.closed += 1

    def done_on(self, host: str) -> int:
        """Return how often workers on a machine were asked to do something, beside being told of the run."""
        return sum(len(seat.fared) - seat.told for seat in self.seats if seat.host == host)

    def _seat(self, number: int) -> FakeSeat:
        seed = f"{self._seed} {len(self.seats)}"
        self.seats.append(FakeSeat(number, self._supplies.worker, self.steps, self._fates, seed))
        self.seats[-1].host = self._hosts.get(number, "good" if self._hosts else "")
        self.seats[-1].deadly = self._deadly
        if self.seats[-1].host == "bad":
            self.seats[-1].dies_over = 7  # to be told of the run and given what it lacks, and a piece or two
        before = sum(seat.number == number and len(seat.fared) >= seat.dies_over > 0 for seat in self.seats)
        if number in self._lost and before <= self._silent:
            self.seats[-1].dies_over = 1 if before else 3
        return self.seats[-1]


class Fake(Remote):
    """An engine on such a cluster; `clusters` are all that were made."""

    clusters: list[FakeCluster] = []  # noqa: RUF012

    def __init__(
        self,
        worker: Worker,
        others: Mapping[str, Executor],
        supplies: Supplies,
        count: int = 2,
        badly: bool = False,
        fates: Mapping[str, float] | None = None,
        seed: int = 0,
        steps: Sequence[str] = (),
        lost: Sequence[int] = (),
        silent: int = 0,
        hosts: Mapping[int, str] | None = None,
        deadly: str = "",
        clock: Callable[[], float] = time.monotonic,
        ranks: int = 1,
        network: str = LOOPBACK,
    ) -> None:
        done = frozenset(steps) or supplies.steps - ON_REQUEST
        how = fates or (BADLY if badly else WELL)
        self.cluster = FakeCluster(supplies, done, count, how, seed, lost, silent, hosts, deadly)
        self.clusters.append(self.cluster)
        lease = LEASE if badly or fates or lost else 60
        super().__init__(worker, others, supplies, self.cluster, lease, clock, Ranks(ranks, network))
