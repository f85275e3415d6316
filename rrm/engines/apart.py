"""Clusters whose library lives in a process apart: what all of them share, on the run's side.

A library moves bytes and keeps processes alive; what they mean, what is done again and what is on record is decided by
`rrm.engines.remote`. The other end of the wire is `rrm.engines.apart_process`. A cluster that is the run's own has a
folder of mode 0700.
"""

import importlib.metadata
import logging
import os
import signal
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from itertools import count
from math import isfinite
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, Any

from rrm.core.errors import ConfigError, InputError, SetupError
from rrm.engines.apart_process import processors, receive, send
from rrm.engines.chair import LEASE_SECONDS
from rrm.engines.crossing import FITS, ON_REQUEST
from rrm.engines.group import LOOPBACK, Ranks
from rrm.engines.here import Worker
from rrm.engines.remote import Remote
from rrm.engines.seats import Seat, Supplies
from rrm.pipeline.driver import Executor

_log = logging.getLogger("rrm.engines")

BEGIN_SECONDS, END_SECONDS = 300.0, 20.0
"""So long a process may take to begin, and to end."""
MOST_BYTES = 2**32 - 1
"""As many as the length of a message's body can tell."""


@dataclass(frozen=True)
class Wanted:
    """Workers as a run file asks for them: `count` processes with so many processors and GPUs each, for `steps`."""

    steps: frozenset[str]
    cpus: int = 1
    gpus: float = 0
    count: int = 1

    @classmethod
    def all_of(cls, workers: object, known: frozenset[str]) -> "list[Wanted]":
        """Read `workers`, who can do the steps that are `known`; raise ConfigError for what asks for nothing."""
        if not isinstance(workers, list | tuple):
            told = "workers is a list of tables of cpus, gpus, count and steps, such as [{ count = 2 }]"
            raise ConfigError(f"[engine] {told}, got {workers!r:.80}")
        return [cls.of(each, known) for each in workers]

    @classmethod
    def of(cls, table: object, known: frozenset[str]) -> "Wanted":
        """Read an entry of `workers`, likewise."""
        if not isinstance(table, Mapping) or not {*table} <= {"cpus", "gpus", "count", "steps"}:
            raise ConfigError(f"[engine] workers are tables of cpus, gpus, count and steps, got {table!r:.80}")
        for name in ("cpus", "count"):
            if type(table.get(name, 1)) is not int or table.get(name, 1) < 1:
                raise ConfigError(f"[engine] workers: {name} is a whole number from 1 up, got {table[name]!r}")
        gpus = table.get("gpus", 0)
        if isinstance(gpus, bool) or not isinstance(gpus, int | float) or not (isfinite(gpus) and gpus >= 0):
            raise ConfigError(f"[engine] workers: gpus is a number from 0 up, got {gpus!r}")
        if gpus > 1 and gpus % 1:
            raise ConfigError(f"[engine] workers: gpus is a whole number, or below 1 a share of one GPU, got {gpus:g}")
        steps = table.get("steps", sorted(known - ON_REQUEST))
        if not isinstance(steps, list | tuple) or not {*steps} <= known:
            can = ", ".join(sorted(known)) or "none of this run's"
            raise ConfigError(f"[engine] workers: steps that workers can do are {can}, got {steps!r}")
        if not steps:
            why, mend = ", whose parts are objects or ask models", "leave them out"
            if known:
                why, mend = "", f"name some of the steps {', '.join(sorted(known))}, or {mend}"
            raise ConfigError(f"[engine] workers would have nothing to do in this run{why}: {mend}")
        return cls(frozenset(steps), table.get("cpus", 1), gpus, table.get("count", 1))


class ApartCluster(ABC):
    """Workers of a library that lives in a process apart; implements `rrm.engines.seats.Cluster`.

    `library` is its name, and `process` the module whose `begin` begins it. The address is None for a cluster of its
    own. Steps are all that there are, or those of the workers that are `wanted`.
    """

    library: str
    process: str

    def __init__(self, at: str | None, worker: str, steps: frozenset[str], wanted: Sequence[Wanted] = ()) -> None:
        self._at, self._worker, self._wanted = at, worker, wanted
        self.steps = frozenset[str]().union(*(each.steps for each in wanted)) if wanted else steps
        self._seats: dict[ApartSeat, Wanted] = {}
        self._folder: Path | None = None
        self._wire: ProcessWire | None = None

    def start(self) -> Sequence["ApartSeat"]:
        asked = self.asked()
        if self._at is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"rrm-{self.library.lower()}-"))  # of mode 0700
            (self._folder / "workers").mkdir()
            self.furnish(self._folder)
        self._wire = ProcessWire(self.library, self.process, self.environment())
        facts = self._wire.begin({"address": self._at, "folder": self._folder and str(self._folder), **asked})
        for wanted in self.workers(facts):
            for _ in range(wanted.count):
                self._seat(wanted, len(self._seats) + 1)
        return list(self._seats)

    def replace(self, seat: Seat) -> "ApartSeat":
        assert isinstance(seat, ApartSeat)
        seat.end()
        return self._seat(self._seats.pop(seat), seat.number)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    @classmethod
    def require_own(cls, wanted: Sequence[Wanted]) -> None:
        """Raise InputError where a cluster of the run's own, on this machine, has no room for workers."""
        gpus = cls.own_gpus() if any(each.gpus for each in wanted) else 0
        remedy = "lower {} or count, or name a cluster that has more by its address"
        require_room(wanted, processors(), gpus, "a cluster of the run's own", remedy)

    @staticmethod
    def own_gpus() -> int:
        """Return how many GPUs a cluster of the run's own has."""
        return 0

    def asked(self) -> Mapping[str, Any]:
        """Return what `begin` is told beside the address and the folder."""
        return {}

    def furnish(self, folder: Path) -> None:  # noqa: B027
        """Lay what a cluster of its own needs into its folder."""

    def environment(self) -> Mapping[str, str]:
        return os.environ

    @abstractmethod
    def workers(self, facts: Mapping[str, Any]) -> Sequence[Wanted]:
        """Return the workers to begin, those wanted or all that there is room for; raise InputError for want of it."""

    def _seat(self, wanted: Wanted, number: int) -> "ApartSeat":
        assert self._wire is not None
        seat = ApartSeat(self._wire, number, wanted.steps, wanted.cpus)
        seat.begin(self._worker, wanted)
        self._seats[seat] = wanted
        return seat


class ApartSeat:
    """A worker's process, by a library that lives in a process apart; implements `rrm.engines.seats.Seat`."""

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
    """The way to a process where seats are, by two streams: what is asked, and a future for each answer.

    A thread writes, for a process that is stopped takes nothing, and whoever asks must find out that it is silent.
    """

    def __init__(self, library: str, to: IO[bytes], back: IO[bytes]) -> None:
        self._library, self._to, self._back = library, to, back
        self._told: SimpleQueue[tuple[Mapping[str, Any], bytes] | None] = SimpleQueue()
        self._numbers = count()
        self._asked: dict[int, Future[bytes]] = {}
        self._ended = False
        self.at = ""  # the cluster's address
        threading.Thread(target=self._write, name=f"rrm to {library}", daemon=True).start()

    def begin(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Have the cluster begin, and return what is told of it; raise SetupError where it cannot."""
        self.tell(asked)
        head, _ = receive(self._back) or ({"error": "its process has ended"}, b"")
        if "error" in head:
            raise SetupError(f"[engine] {self._library} cannot be started: {head['error']}")
        threading.Thread(target=self._listen, name=f"rrm {self._library}", daemon=True).start()
        self.at = head["at"]
        _log.info("%s is at %s", self._library, self.at)
        return head

    def tell(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """Send what has no answer; raise SetupError once the process has ended."""
        if self._ended:
            raise self._over()
        if len(body) > MOST_BYTES:
            raise SetupError(f"[engine] {self._library}: {len(body):,} bytes are more than one message may have")
        self._told.put((head, body))

    def ask(self, head: Mapping[str, Any], body: bytes = b"") -> "Future[bytes]":
        answered: Future[bytes] = Future()
        number = next(self._numbers)
        self._asked[number] = answered
        try:
            self.tell({**head, "number": number}, body)
            if self._ended:
                raise self._over()
        except SetupError as error:
            if self._asked.pop(number, None) is not None:  # else the listener has said so
                answered.set_exception(error)
        return answered

    def end(self) -> None:
        """Ask nothing more, so that the process ends; `close` waits for that."""
        self._told.put(None)

    def close(self) -> None:
        self.end()

    def _write(self) -> None:
        with suppress(OSError):  # the process has ended, which the listener says to who waits
            while (told := self._told.get()) is not None:
                send(self._to, *told)
        with suppress(OSError):
            self._to.close()

    def _over(self) -> SetupError:
        return SetupError(f"[engine] {self._library} has ended; give the same command again to go on")

    def _ended_how(self) -> str:
        return f"{self._library} has ended"

    def _listen(self) -> None:
        try:
            with suppress(OSError):  # such as a connection that is reset
                while (received := receive(self._back)) is not None:
                    self._take(*received)
        finally:  # also where what came is no message, for nobody listens any more
            self._ended = True
            for number in list(self._asked):
                if (answered := self._asked.pop(number, None)) is not None:
                    answered.set_exception(ConnectionError(self._ended_how()))

    def _take(self, head: Mapping[str, Any], body: bytes) -> None:
        for sentence in head.get("warnings", ()):
            _log.warning("%s", sentence)
        answered = self._asked.pop(head["number"], None)
        if answered is None:
            return
        if "failed" in head:
            answered.set_exception(ConnectionError(f"{self._library} lost it ({head['failed']})"))
        else:
            answered.set_result(body)


class ProcessWire(Wire):
    """The way to a process that a library lives in, which is begun, and ends with it."""

    def __init__(self, library: str, module: str, environment: Mapping[str, str]) -> None:
        said = f"from rrm.engines.apart_process import serve; from {module} import begin; serve(begin)"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # what it says until it has begun
        self._process = Popen(  # noqa: S603
            [sys.executable, "-c", said],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._said,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._reaping = threading.Lock()
        super().__init__(library, self._process.stdin, self._process.stdout)

    def begin(self, asked: Mapping[str, Any], seconds: float = BEGIN_SECONDS) -> dict[str, Any]:
        """As any wire, but kill a process that says nothing for so long, and say what it said when it ended."""
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            self.kill()

        late = threading.Timer(seconds, end)
        late.daemon = True
        late.start()
        try:
            return super().begin(asked)
        except SetupError as error:
            if overdue.is_set():
                raise SetupError(f"{error}: in {seconds:g} seconds it did not begin") from error
            self._said.seek(0)
            last = self._said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise SetupError(f"{error}: {last}" if last else str(error)) from error
        finally:
            late.cancel()
            self._said.close()

    def close(self, seconds: float = END_SECONDS) -> None:
        self.end()
        try:
            self._reaped(seconds)
        except TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and those that it began, whatever they do."""
        with self._reaping:
            if self._process.returncode is None:  # its number is not given to another before it is waited for
                self._kill_group()
                self._process.wait()
        self.end()

    def _reaped(self, seconds: float) -> int:
        """Wait for the process's end, and kill those that it left behind; return its code."""
        with self._reaping:
            if (code := self._process.returncode) is None:
                code = self._process.wait(seconds)
                self._kill_group()  # at once, while nobody else has its number
            return code

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of those that have ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ended_how(self) -> str:
        """Say also by which signal it has ended, if by any: one that took too much memory is killed."""
        with suppress(TimeoutExpired):
            if (code := self._reaped(1)) < 0:
                return f"{super()._ended_how()} by signal {-code}"
        return super()._ended_how()


class Apart(Remote, ABC):
    """Has what computes done by workers of a library that lives in a process apart, a `cluster`'s.

    A subclass names the library's `package` and the `oldest` that will do.
    """

    package: str
    oldest: tuple[int, int]
    cluster: type[ApartCluster]

    def __init__(
        self,
        worker: Worker,
        others: Mapping[str, Executor],
        supplies: Supplies,
        address: str = "local",
        workers: Sequence[Mapping[str, Any]] = (),
        ranks: int = 1,
        network: str = LOOPBACK,
    ) -> None:
        require_installed(self.cluster.library, self.package, self.oldest)
        wanted = Wanted.all_of(workers, supplies.steps)
        group = ranks_of(wanted, ranks, network, address)
        at = self.find(address)
        if at is None:
            self.cluster.require_own(wanted)
        cluster = self.cluster(at, supplies.worker, supplies.steps - ON_REQUEST, wanted)
        super().__init__(worker, others, supplies, cluster, LEASE_SECONDS, ranks=group)

    @staticmethod
    @abstractmethod
    def find(address: str) -> str | None:
        """Return which cluster an address names, None for one of the run's own; raise InputError for none to be had."""


def ranks_of(wanted: Sequence[Wanted], ranks: object, network: object = LOOPBACK, address: str = "local") -> Ranks:
    """Return how fits are shared among workers; raise ConfigError for more ranks than do fits, or a network in vain."""
    fitting = [sum(each.count for each in wanted if step in each.steps) for step in FITS]
    group = Ranks.of(ranks, network, min((count for count in fitting if count), default=0))
    if address == "local" and not group.loopback:
        raise ConfigError(
            f"[engine] network = {group.network} is beyond this machine, and a cluster of the run's own is on it alone:"
            " leave it out, or name a cluster by its address"
        )
    return group


def require_room(
    wanted: Sequence[Wanted],
    cpus: float,
    gpus: float,
    where: str = "the cluster",
    remedy: str = "lower {} or count, or add machines to it",
) -> None:
    """Raise InputError where there is not what all workers together ask for, who would wait for ever."""
    asked_cpus = sum(each.cpus * each.count for each in wanted)
    asked_gpus = round(sum(each.gpus * each.count for each in wanted), 4)  # as fine as Ray counts
    for key, asked, has, what in (("cpus", asked_cpus, cpus, "processor"), ("gpus", asked_gpus, gpus, "GPU")):
        if asked > has:
            told = f"workers ask for {asked:g} {what}{'' if asked == 1 else 's'} in all, and {where} has {has:g}"
            raise InputError(f"[engine] {told}: {remedy.format(key)}")


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, by CUDA's names."""
    import torch

    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        [str(each) for each in range(count)] if named is None else [each.strip() for each in named.split(",")][:count]
    )


def require_installed(library: str, package: str, oldest: tuple[int, int]) -> None:
    """Raise SetupError where a library is missing, or older than one whose listeners were looked at."""
    try:
        version = importlib.metadata.version(package)  # a folder of that name would pass for a package
    except PackageNotFoundError:
        raise SetupError(f"[engine] {library} is not installed: pip install 'rrm[{library.lower()}]'") from None
    if tuple(int(each) for each in version.split(".")[:2]) < oldest:
        raise SetupError(f"[engine] {library} is {version}, and {'.'.join(map(str, oldest))} or newer is needed")
