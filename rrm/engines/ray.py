"""An engine on Ray: workers are processes that Ray starts, on this machine or on those of a cluster.

Ray moves bytes and keeps processes alive; what they mean, what is done again and what is on record is decided by
`rrm.engines.remote`. It lives in a process of its own (`rrm.engines.ray_process`). A cluster that is the run's own is
on the loopback interface alone, in a folder of mode 0700, with a token.
"""

import importlib.metadata
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from itertools import count
from pathlib import Path
from shutil import rmtree
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import IO, Any

from rrm.core.errors import ConfigError, InputError, SetupError
from rrm.engines import ray_address
from rrm.engines.local import Worker
from rrm.engines.ray_process import receive, send
from rrm.engines.remote import LEASE_SECONDS, Remote, Seat, Supplies
from rrm.pipeline.driver import Executor

_log = logging.getLogger("rrm.engines")

OLDEST = (2, 60)
"""The oldest Ray, by its first two numbers, whose listeners and tokens were looked at."""
END_SECONDS = 20.0
"""So long Ray may take to end."""


@dataclass(frozen=True)
class Wanted:
    """Workers as a run file asks for them: `count` processes with so many processors and GPUs each, for `steps`."""

    steps: frozenset[str]
    cpus: int = 1
    gpus: float = 0
    count: int = 1

    @classmethod
    def of(cls, table: object, known: frozenset[str]) -> "Wanted":
        """Read an entry of `workers`; raise ConfigError for one that asks for nothing that there is."""
        if not isinstance(table, Mapping) or not {*table} <= {"cpus", "gpus", "count", "steps"}:
            raise ConfigError(f"[engine] workers are tables of cpus, gpus, count and steps, got {table!r:.80}")
        for name in ("cpus", "count"):
            if type(table.get(name, 1)) is not int or table.get(name, 1) < 1:
                raise ConfigError(f"[engine] workers: {name} is a whole number from 1 up, got {table[name]!r}")
        gpus = table.get("gpus", 0)
        if isinstance(gpus, bool) or not isinstance(gpus, int | float) or gpus < 0:
            raise ConfigError(f"[engine] workers: gpus is a number from 0 up, got {gpus!r}")
        steps = table.get("steps", sorted(known))
        if not isinstance(steps, list | tuple) or not {*steps} <= known:
            can = ", ".join(sorted(known)) or "none of this run's"
            raise ConfigError(f"[engine] workers: steps that workers can do are {can}, got {steps!r}")
        return cls(frozenset(steps), table.get("cpus", 1), gpus, table.get("count", 1))


class Ray(Remote):
    """Has what computes done by Ray's workers.

    `address` is "local", a cluster of its own on this machine that ends with the run; "auto", the one that was
    started here; or a cluster's host:port. `workers` are tables of `cpus` (which are its threads), `gpus`, `count` and
    the `steps` that they do; left out, there is one of one thread for each processor.
    """

    def __init__(
        self,
        worker: Worker,
        others: Mapping[str, Executor],
        supplies: Supplies,
        address: str = "local",
        workers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        _require_ray()
        wanted = [Wanted.of(each, supplies.steps) for each in workers]
        cluster = RayCluster(ray_address.find(address), supplies.worker, supplies.steps, wanted)
        super().__init__(worker, others, supplies, cluster, LEASE_SECONDS)


class RayCluster:
    """Workers on Ray, which lives in a process apart; implements `rrm.engines.remote.Cluster`.

    The address is None for a cluster of its own.
    """

    def __init__(
        self, at: ray_address.Address | None, worker: str, steps: frozenset[str], wanted: Sequence[Wanted] = ()
    ) -> None:
        self._at, self._worker, self._wanted = at, worker, wanted
        self.steps = frozenset[str]().union(*(each.steps for each in wanted)) if wanted else steps
        self._seats: dict[RaySeat, Wanted] = {}
        self._folder: Path | None = None
        self._wire: Wire | None = None

    def start(self) -> Sequence["RaySeat"]:
        environment = dict(os.environ)
        if self._at is None:
            self._folder = _own_folder()
        elif ray_address.token():
            environment["RAY_AUTH_MODE"] = "token"
        self._wire = Wire(environment)
        asked = {"address": self._at and str(self._at), "folder": self._folder and str(self._folder)}
        resources = self._wire.begin(asked)
        all_wanted = self._wanted or [Wanted(self.steps, count=max(1, int(resources.get("CPU", 0))))]
        _require_enough(all_wanted, resources)
        for wanted in all_wanted:
            for _ in range(wanted.count):
                self._seat(wanted, len(self._seats) + 1)
        return list(self._seats)

    def replace(self, seat: Seat) -> "RaySeat":
        assert isinstance(seat, RaySeat)
        seat.end()
        return self._seat(self._seats.pop(seat), seat.number)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    def _seat(self, wanted: Wanted, number: int) -> "RaySeat":
        assert self._wire is not None
        seat = RaySeat(self._wire, number, wanted.steps, wanted.cpus)
        seat.begin(self._worker, wanted)
        self._seats[seat] = wanted
        return seat


class RaySeat:
    """A worker's process on Ray; implements `rrm.engines.remote.Seat`."""

    _keys = count()

    def __init__(self, wire: "Wire", number: int, steps: frozenset[str], threads: int) -> None:
        self.name, self.number = f"worker {number}", number
        self.steps, self.threads = steps, threads
        self._wire, self._key = wire, next(self._keys)

    def begin(self, worker: str, wanted: Wanted) -> None:
        self._wire.tell({"do": "begin", "seat": self._key, "cpus": wanted.cpus, "gpus": wanted.gpus}, worker.encode())

    def submit(self, message: bytes) -> "Future[bytes]":
        return self._wire.ask({"do": "answer", "seat": self._key}, message)

    def beat(self) -> "Future[bytes]":
        return self._wire.ask({"do": "beat", "seat": self._key})

    def end(self) -> None:
        with suppress(SetupError):
            self._wire.tell({"do": "end", "seat": self._key})


class Wire:
    """The way to the process that Ray lives in: what is asked, and a future for each answer."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = Popen(
            [sys.executable, "-c", "from rrm.engines.ray_process import main; main()"],
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
        self._turn = threading.Lock()
        self._numbers = count()
        self._asked: dict[int, Future[bytes]] = {}
        self._ended = False
        self.at = ""  # the cluster's address

    def begin(self, asked: Mapping[str, Any]) -> dict[str, float]:
        """Have Ray begin, and return what its cluster has; raise SetupError where it cannot."""
        self.tell(asked)
        head, _ = receive(self._from) or ({}, b"")
        if "at" not in head:
            why = head.get("error") or f"its process ended with code {self._process.wait()}"
            raise SetupError(f"[engine] Ray cannot be started: {why}")
        threading.Thread(target=self._listen, name="rrm ray", daemon=True).start()
        resources: dict[str, float] = head["has"]
        self.at = head["at"]
        _log.info("Ray at %s has %g processors and %g GPUs", self.at, resources.get("CPU", 0), resources.get("GPU", 0))
        return resources

    def tell(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Send what has no answer; raise SetupError once Ray's process has ended."""
        with self._turn:
            try:
                send(self._to, head, body)
            except (OSError, ValueError) as error:
                raise SetupError("[engine] Ray has ended; give the same command again to go on") from error

    def ask(self, head: Mapping[str, Any], body: bytes = b"") -> "Future[bytes]":
        answered: Future[bytes] = Future()
        number = next(self._numbers)
        self._asked[number] = answered
        try:
            self.tell({**head, "number": number}, body)
            if self._ended:
                raise SetupError("[engine] Ray has ended; give the same command again to go on")
        except SetupError as error:
            if self._asked.pop(number, None) is not None:  # else the listener has said so
                answered.set_exception(error)
        return answered

    def close(self) -> None:
        with suppress(OSError):
            self._to.close()
        try:
            self._process.wait(END_SECONDS)
        except TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _listen(self) -> None:
        while (received := receive(self._from)) is not None:
            head, body = received
            answered = self._asked.pop(head["number"], None)
            if answered is None:
                continue
            if "failed" in head:
                answered.set_exception(ConnectionError(f"Ray lost it ({head['failed']})"))
            else:
                answered.set_result(body)
        self._ended = True
        for number in list(self._asked):
            if (answered := self._asked.pop(number, None)) is not None:
                answered.set_exception(ConnectionError("Ray has ended"))

    @property
    def _to(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _from(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout


def _require_enough(wanted: Sequence[Wanted], resources: Mapping[str, float]) -> None:
    """Raise InputError where a cluster has not what all workers together ask for, who would wait for ever."""
    cpus = sum(each.cpus * each.count for each in wanted)
    gpus = round(sum(each.gpus * each.count for each in wanted), 4)  # as fine as Ray counts
    has_cpus, has_gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    if cpus > has_cpus or gpus > has_gpus:
        raise InputError(
            f"[engine] workers ask for {cpus:g} processors and {gpus:g} GPUs in all, and the cluster has {has_cpus:g}"
            f" and {has_gpus:g}: ask for fewer, or add machines to it"
        )


def _own_folder() -> Path:
    """Make the folder of a cluster of its own, its token within; Ray opens the folders that it makes to everybody."""
    folder = Path(tempfile.mkdtemp(prefix="rrm-ray-"))  # of mode 0700
    (folder / "workers").mkdir()
    (folder / "token").touch(0o600)
    (folder / "token").write_text(secrets.token_hex(32))
    return folder


def _require_ray() -> None:
    """Raise SetupError where there is no Ray, or one that is too old."""
    try:
        version = importlib.metadata.version("ray")  # a folder of that name would pass for a package
    except PackageNotFoundError:
        raise SetupError("[engine] Ray is not installed: pip install 'rrm[ray]'") from None
    if tuple(int(each) for each in version.split(".")[:2]) < OLDEST:
        raise SetupError(f"[engine] Ray is {version}, and {'.'.join(map(str, OLDEST))} or newer is needed")
