"""Runs under faults: python -m benchmarks.chaos [--faults 200] [--only KIND ...] [--seeds 0,1] [--json FILE].

Each kind of fault is done to whole runs, small ones, while they go on; where one ends a run, the same command is given
again. At the end its record must be that of a run that nothing happened to: every value of every kind, and which action
made it, bit for bit. Whatever the driver took for recorded must be on record after each fault. In the kinds that begin
with `people` raters answer over HTTP, and each answer that was acknowledged must be on record once, as it was sent, and
no other. Rows are appended to a file as runs end, and a run whose row is there is not done again.

What is real and what is not. Processes are killed with SIGKILL, the database's too, disks are full (a tmpfs that is too
small), connections are refused (the port between driver and database is closed). Workers are processes of this machine
(`Local` with `workers`), but for the kind `node`, where two machines are network and mount namespaces of their own that
run Dask with TLS. A partition is a worker that is stopped (SIGSTOP) for four leases: nothing comes from it, and then
everything, late. Two minutes are four leases of 30 seconds; here a lease has two seconds. Clocks that jump are the
driver's `time.time` alone. Results doubled and late are those of the tests' losing cluster.
"""

import argparse
import asyncio
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy

import rrm
import rrm.api.elsewhere
import rrm.engines.local
from benchmarks.chaos_people import Pages, compared, raters, wait
from rrm.core.errors import RrmError
from rrm.engines.apart_process import processors
from rrm.store import open_store
from rrm.store.record import SqlStore
from tests.dask_cluster import credentials, workers
from tests.engines.fake import Fake
from tests.postgres import ABSENT, Pair, binaries, running, stop
from tests.processes import below
from tests.toys import TOYS, on_record

LEAST = 15
"""So many faults of each kind at least."""
PATIENCE = 240.0
"""After so many seconds without a sign of it a run hangs."""
LEASE = 2.0
"""Seconds, where a run in earnest has 30: what waits for leases to end is waited for so much less."""
LEASES = 4
"""For so many leases a worker that is cut off is silent."""
SHUT_SECONDS = 0.5
"""For so long connections are refused."""

REFUSED = 4
"""The exit code of a run that ended with an error of rrm's."""
NET = "10.97.0"
"""The network of the two machines and this one."""
PAGES, PEOPLE, QUESTIONS = 3, 8, 3_000
"""Over how many `rrm annotate` how many people answer what."""
THINK = 0.1, 0.4
"""Seconds that they take for an answer, from and to."""
FAULTS = 20
"""So many faults are done to people in one play."""
Within = Callable[[], Callable[[], object]]
"""Done in a driver's process before the run; what it returns is done after it."""
FIRST, STEP = 560, 24
"""Kilobytes of the disk that is full at first, and by how many it grows each time."""


@dataclass
class Row:
    """What came of a run: how many faults it met, whether it ended as one without, and what was lost or doubled."""

    kind: str
    seed: int
    faults: int
    equal: bool
    acknowledged: int
    lost: int
    commands: int
    seconds: float
    doubled: int = 0


# ---- a run in a process of its own, which can be killed ----


class Driver:
    """A command that carries a run on, in a process of its own, which tells actions when they are on record."""

    def __init__(
        self, table: Mapping[str, Any], folder: Path, store: str | None, log: Path, within: Within | None
    ) -> None:
        self._told, write = os.pipe()
        self._rest = b""
        self.acknowledged: list[str] = []
        self._over = False
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _carry_on(table, folder, store, log, within, write)
        os.close(write)

    def wait_for(self, count: int, seconds: float = PATIENCE) -> bool:
        """Wait until so many more actions are on record; return whether the process is still there."""
        wanted = len(self.acknowledged) + count
        until = time.monotonic() + seconds
        while not self._over and len(self.acknowledged) < wanted:
            if not select.select([self._told], [], [], max(0.0, until - time.monotonic()))[0]:
                return True
            data = os.read(self._told, 65536)
            self._over = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.acknowledged += [line.decode() for line in lines]
        return not self._over

    def kill(self) -> bool:
        """Kill the process; return whether it had not ended by itself."""
        os.kill(self.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait until the process has ended, and return its exit code, negative for a signal."""
        if self._code is None:
            if self.wait_for(sys.maxsize):
                os.kill(self.pid, signal.SIGKILL)
                raise RuntimeError(f"a run did not end for {PATIENCE:g} seconds")
            os.close(self._told)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


def _carry_on(
    table: Mapping[str, Any], folder: Path, store: str | None, log: Path, within: Within | None, write: int
) -> NoReturn:
    """Do what a command does, and end this process: 0, or 4 with what is said of an error of rrm's."""
    complete, code = SqlStore.complete, 1

    def completed(store: SqlStore, results: Any) -> None:
        complete(store, results)
        os.write(write, "".join(f"{action.id}\n" for action, _ in results).encode())

    SqlStore.complete = completed  # type: ignore[method-assign]
    said = log.open("a")
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    try:
        done = within() if within else None
        rrm.run(rrm.run_file(dict(table)), folder, store=store, quiet=True)
        if done:
            done()
        code = 0
    except (RrmError, OSError) as error:  # what the command line ends with in a sentence, too
        print(f"{type(error).__name__}: {error}", flush=True)
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


class Play:
    """A run of one kind and seed: its folder, its commands, and what they said was on record."""

    def __init__(self, kind: str, seed: int, place: Path) -> None:
        self.kind, self.seed, self.place = kind, seed, place
        self.random = random.Random(f"{kind} {seed}")
        self.table: dict[str, Any] = {**TOYS, "seed": seed}
        self.faults = self.commands = 0
        self.equal, self.doubled = False, 0
        self.folder = place / "run"
        self.acknowledged = self.lost = 0
        self._acknowledged: set[str] = set()
        self._lost: set[str] = set()

    def slow(self, seconds: float) -> None:
        """Have a proposal take so long."""
        self.table["policy"] = {**self.table["policy"], "arguments": {"seconds": seconds}}

    def begin(
        self, within: Within | None = None, engine: Mapping[str, Any] | None = None, store: str | None = None
    ) -> Driver:
        """Give the command that begins the run or goes on with it."""
        self.commands += 1
        changes = {} if engine is None else {"engine": engine}
        return Driver({**self.table, **changes}, self.folder, store, self.place / "log", within)

    def look(self, driver: Driver) -> None:
        """Look whether what a driver has said until now is on record."""
        self._acknowledged |= set(driver.acknowledged)
        if self._acknowledged:
            with open_store(self.folder, "read") as store, store.opened.engine.connect() as connection:
                actions = set(
                    connection.execute(sqlalchemy.text(f"SELECT id FROM {_named(self.folder)}action")).scalars()
                )
            self._lost |= self._acknowledged - actions
            self.acknowledged, self.lost = len(self._acknowledged), len(self._lost)

    def finish(self, driver: Driver) -> None:
        """Wait for a driver that must end well, and compare what is on record with a run that nothing happens to."""
        if code := driver.end():
            log = (self.place / "log").read_text()[-3000:]
            raise RuntimeError(f"{self.kind}, seed {self.seed}: exit code {code}\n{log}")
        self.look(driver)
        self.equal = on_record(self.folder) == undisturbed(self.seed)

    def people(self, url: str, fault: Callable[[Pages], None]) -> None:
        """Have people answer while a fault is done again and again, and look what is on record in the end."""
        with raters(self.folder, url, PAGES, PEOPLE, QUESTIONS, THINK) as (pages, several):
            while self.faults < FAULTS and wait(several, self.random.randint(5, 20)):
                time.sleep(self.random.uniform(0, 0.05))
                fault(pages)
                self.faults += 1
            wait(several, 20)
        self.commands = PAGES
        found = compared(self.folder, several)
        self.equal, self.doubled = found.equal, found.doubled
        self.acknowledged, self.lost = found.acknowledged, found.lost

    def row(self, seconds: float) -> Row:
        counted = self.acknowledged, self.lost, self.commands
        return Row(self.kind, self.seed, self.faults, self.equal, *counted, round(seconds, 1), self.doubled)


@cache
def undisturbed(seed: int) -> dict[str, Any]:
    """Return what is on record of a run that nothing happens to; done here, where runs find all imported."""
    with tempfile.TemporaryDirectory() as name:
        rrm.run(rrm.run_file({**TOYS, "seed": seed}), Path(name, "run"), quiet=True)
        return on_record(Path(name, "run"))


def _named(folder: Path) -> str:
    """Return how a database calls a run's tables, before their names."""
    file = folder / "record.url"
    return f"{file.read_text().splitlines()[1]}." if file.exists() else ""


# ---- kinds of faults ----


def driver(play: Play) -> None:
    """Kill the driver at any moment, again and again."""
    while True:
        under_way = play.begin()
        there = under_way.wait_for(play.random.randint(1, 12))
        time.sleep(play.random.uniform(0, 0.05))
        if not (there and under_way.kill()):
            break
        play.faults += 1
        play.look(under_way)
    play.finish(under_way)


def worker(play: Play) -> None:
    """Kill a worker, again and again, while others go on."""
    play.slow(0.05)
    under_way = play.begin(engine=_processes())
    while under_way.wait_for(play.random.randint(3, 8)):
        time.sleep(play.random.uniform(0, 0.02))
        play.faults += _sent(play, under_way, signal.SIGKILL) is not None
        play.look(under_way)
    play.finish(under_way)


def partition(play: Play) -> None:
    """Cut a worker off for four leases, and then have all that it was sent and has to say arrive."""
    play.slow(1.0)
    under_way = play.begin(hurried, engine=_processes())
    while under_way.wait_for(play.random.randint(2, 6)):
        silent = _sent(play, under_way, signal.SIGSTOP)
        if silent is not None:
            play.faults += 1
            under_way.wait_for(sys.maxsize, LEASES * LEASE)
            with suppress(ProcessLookupError):  # another has taken its place
                os.kill(silent, signal.SIGCONT)
        play.look(under_way)
    play.finish(under_way)


def node(play: Play) -> None:
    """Kill all processes of one of two machines, and begin it again."""
    play.slow(1.0)
    with machines(play.place) as (address, both):
        arguments = {"address": address, "workers": [{"count": 2}]}
        under_way = play.begin(engine={"plugin": "dask", "arguments": arguments})
        while under_way.wait_for(play.random.randint(4, 8)):
            machine = play.random.choice(both)
            if machine.at_work():
                machine.kill()
                play.faults += 1
                machine.begin()
            play.look(under_way)
        play.finish(under_way)


def database(play: Play) -> None:
    """Kill PostgreSQL, and start it again while the run waits."""
    with running() as server, ExitStack() as again:
        under_way = play.begin(store=server.url())
        while under_way.wait_for(play.random.randint(1, 12)):
            time.sleep(play.random.uniform(0, 0.05))
            stop(server, signal.SIGKILL)
            play.faults += 1
            time.sleep(play.random.uniform(0, 0.5))
            server = again.enter_context(running(server.folder, server.port))
            play.look(under_way)
        play.finish(under_way)


def standby(play: Play) -> None:
    """Kill PostgreSQL, and promote its standby, for which all commits wait."""
    play.slow(2.0)
    with ExitStack() as stack:
        pair = Pair(stack)
        under_way = play.begin(store=pair.url())
        while under_way.wait_for(play.random.randint(1, 12)):
            time.sleep(play.random.uniform(0, 0.05))
            pair.fail_over()
            play.faults += 1
            play.look(under_way)
            pair.renew()
        play.finish(under_way)


def refused(play: Play) -> None:
    """Have the connections between driver and PostgreSQL cut, and new ones refused for a while."""
    with running() as server, door(server.port) as (port, keeper):
        under_way = play.begin(store=server.url().replace(f":{server.port}/", f":{port}/"))
        while under_way.wait_for(play.random.randint(1, 12)):
            time.sleep(play.random.uniform(0, 0.05))
            os.kill(keeper, signal.SIGUSR1)
            play.faults += 1
            under_way.wait_for(sys.maxsize, 2 * SHUT_SECONDS)
            play.look(under_way)
        play.finish(under_way)


def disk(play: Play) -> None:
    """Have the disk be full, and give it a little more room each time."""
    full = play.place / "disk"
    full.mkdir()
    play.folder = full / "run"
    size = FIRST
    _run("mount", "-t", "tmpfs", "-o", f"size={size}k", "rrm-chaos", str(full))
    try:
        while (under_way := play.begin()).end() == REFUSED:
            play.faults += 1
            play.look(under_way)
            size += STEP
            _run("mount", "-o", f"remount,size={size}k", str(full))
        _run("mount", "-o", f"remount,size={size + 4096}k", str(full))  # for who reads it
        play.finish(under_way)
    finally:
        _run("umount", "--lazy", str(full))


def clock(play: Play) -> None:
    """Have the driver's clock jump by up to three days, forward and back, between any two looks at it."""
    told = play.place / "jumps"

    def jumping() -> Callable[[], object]:
        real, jumps, off = time.time, 0, 0.0

        def now() -> float:
            nonlocal jumps, off
            if play.random.random() < 0.5:
                jumps, off = jumps + 1, play.random.uniform(-3, 3) * 86_400
            return real() + off

        time.time = now
        return lambda: told.write_text(str(jumps))

    play.finish(play.begin(jumping))
    play.faults = int(told.read_text())


def _losing(play: Play, fates: Mapping[str, float], counted: tuple[str, ...]) -> None:
    """Have messages to the workers of the tests' losing cluster, and their answers, fare in one way."""
    told = play.place / "fared"

    def fared() -> Counter[str]:
        return Counter(fate for cluster in Fake.clusters for seat in cluster.seats for fate in seat.fared)

    engine = {"plugin": "tests.engines.fake:Fake", "arguments": {"fates": fates, "seed": play.seed}}
    play.finish(play.begin(lambda: lambda: told.write_text(json.dumps(fared())), engine=engine))
    play.faults = sum(json.loads(told.read_text()).get(fate, 0) for fate in counted)


def doubled(play: Play) -> None:
    """Have a third of what workers are asked be done twice."""
    _losing(play, {"answer": 2, "double": 1}, ("double",))


def late(play: Play) -> None:
    """Have a third of the answers come late, some of them after the next one."""
    _losing(play, {"answer": 4, "delay": 1, "swap": 1}, ("delay", "swap"))


def people_pages(play: Play) -> None:
    """Kill one of the `rrm annotate` that people ask, and begin it again."""
    with running() as server:
        play.people(server.url(), lambda pages: pages.kill(play.random.randrange(PAGES)))


def people_database(play: Play) -> None:
    """Kill PostgreSQL while people answer, and start it again."""
    with ExitStack() as stack:
        server = stack.enter_context(running())

        def restart(_: Pages) -> None:
            stop(server, signal.SIGKILL)
            time.sleep(play.random.uniform(0, 0.5))
            stack.enter_context(running(server.folder, server.port))

        play.people(server.url(), restart)


def people_standby(play: Play) -> None:
    """Kill PostgreSQL while people answer, and promote its standby, for which all commits wait."""
    with ExitStack() as stack:
        pair = Pair(stack)

        def fail_over(_: Pages) -> None:
            pair.fail_over()
            pair.renew()

        play.people(pair.url(), fail_over)


_RUNS = (driver, worker, node, partition, database, standby, refused, disk, clock, doubled, late)
_PEOPLE = (people_pages, people_database, people_standby)
KINDS: dict[str, Callable[[Play], None]] = {each.__name__: each for each in (*_RUNS, *_PEOPLE)}


def lacking(kind: str) -> str | None:
    """Return why a kind of fault cannot be done on this machine, None where it can."""
    if kind in ("database", "standby", "refused", *(each.__name__ for each in _PEOPLE)) and binaries() is None:
        return ABSENT
    if kind == "node" and not _allowed("unshare", "--net", "--mount", "true"):
        return "no namespaces of networks and mounts are allowed (try as root)"
    if kind == "disk" and not _allowed("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"):
        return "no tmpfs may be mounted (try as root)"
    return None


# ---- what faults are done to ----


def _processes() -> dict[str, Any]:
    return {"plugin": "local", "arguments": {"workers": [{"count": processors()}]}}


def hurried() -> Callable[[], object]:
    """Have a driver's workers be taken for lost after a short lease."""
    rrm.engines.local.LEASE_SECONDS = LEASE
    return lambda: None


def _sent(play: Play, driver: Driver, number: int) -> int | None:
    """Send a signal to one of a driver's workers, and return which, if there is any."""
    workers = sorted(filter(_alive, below(driver.pid)))
    if not workers:
        return None
    chosen = play.random.choice(workers)
    os.kill(chosen, number)
    return chosen


def _alive(process: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def door(to: int) -> Iterator[tuple[int, int]]:
    """Have a port that leads to another, and is shut for a while at SIGUSR1; yields it and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_keep(port, to, write))
        finally:
            os._exit(0)
    os.read(read, 1)
    try:
        yield port, pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def _keep(port: int, to: int, opened: int) -> None:
    through = set[asyncio.StreamWriter]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection("127.0.0.1", to)
        through.update((writer, to_there))
        await asyncio.gather(pass_on(reader, to_there), pass_on(from_there, writer))

    shut = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, shut.set)
    while True:
        listening = await asyncio.start_server(come_in, "127.0.0.1", port)
        os.write(opened, b"1")
        await shut.wait()
        shut.clear()
        listening.close()
        for each in through:
            each.transport.abort()
        through.clear()
        await asyncio.sleep(SHUT_SECONDS)


class Machine:
    """A machine: a namespace of networks, and of mounts in which the run's folder is hidden, with one Dask worker."""

    def __init__(self, number: int, place: Path, bridge: str, known: list[str]) -> None:
        self._place, self._known = place, known
        self._name, self._host = f"{bridge}-{number}", f"{NET}.{number + 1}"
        self._folder = place / self._name
        self._folder.mkdir()
        self._wire, there = f"{bridge}w{number}", f"{bridge}v{number}"
        _run("ip", "netns", "add", self._name)
        _run("ip", "link", "add", self._wire, "type", "veth", "peer", "name", there, "netns", self._name)
        _run("ip", "link", "set", self._wire, "master", bridge, "up")
        for command in (f"addr add {self._host}/24 dev {there}", f"link set {there} up", "link set lo up"):
            _run("ip", "-n", self._name, *command.split())

    def begin(self) -> None:
        hide = f"mount -t tmpfs none {self._place}/run && mount -t tmpfs none /dev/shm"
        own = f"HOME={self._folder} TMPDIR={self._folder}"
        worker = (
            f"{sys.executable} -m dask worker {' '.join(self._known)} --host {self._host} --no-dashboard --nthreads 1"
        )
        inside = ["unshare", "--mount", "sh", "-c", f"{hide} && {own} exec {worker} --local-directory {self._folder}"]
        self._begun = subprocess.Popen(
            ["ip", "netns", "exec", self._name, *inside], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def processes(self) -> list[int]:
        return [int(each) for each in _run("ip", "netns", "pids", self._name).split()]

    def at_work(self) -> bool:
        with suppress(FileNotFoundError, ProcessLookupError):
            return any("libtorch" in Path(f"/proc/{each}/maps").read_text() for each in self.processes())
        return False

    def kill(self) -> None:
        self._begun.kill()
        self._begun.wait()
        while processes := [*filter(_alive, self.processes())]:
            for each in processes:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        _run("ip", "link", "delete", self._wire)  # the kernel would take its time
        _run("ip", "netns", "delete", self._name)


@contextmanager
def machines(place: Path) -> Iterator[tuple[str, list[Machine]]]:
    """Have two machines, and a scheduler on this one, with TLS between them; yields its address and the machines."""
    bridge = f"rrm{os.getpid() % 10_000}"
    options, environment = credentials(place)
    os.environ |= environment
    told = place / "scheduler"
    known = ["--scheduler-file", str(told), *options]
    scheduler = [sys.executable, "-m", "dask", "scheduler", "--protocol", "tls", "--host", f"{NET}.1", "--port", "0"]
    (place / "run").mkdir()
    with ExitStack() as stack:
        _run("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(_run, "ip", "link", "delete", bridge)
        _run("ip", "addr", "add", f"{NET}.1/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        begun = subprocess.Popen([*scheduler, "--no-dashboard", *known], stderr=subprocess.DEVNULL)
        stack.callback(begun.wait)
        stack.callback(begun.kill)
        while not told.exists():
            time.sleep(0.1)
        both = [Machine(number, place, bridge, known) for number in (1, 2)]
        for each in both:
            stack.callback(each.close)
            each.begin()
        address = json.loads(told.read_text())["address"]
        while len(workers(address)) < len(both):
            time.sleep(0.1)
        yield address, both


def _allowed(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- all of them ----


def measure(kind: str, seed: int) -> Row:
    """Play one run of a kind."""
    if KINDS[kind] in _RUNS:
        undisturbed(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rrm-chaos-") as name:
        play = Play(kind, seed, Path(name))
        KINDS[kind](play)
        return play.row(time.monotonic() - began)


def measured(file: Path) -> list[Row]:
    """Return the rows of a file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Row(**json.loads(line)) for line in lines]


def table(rows: list[Row]) -> str:
    """Return what came of each kind, as lines of a table."""
    lines = [
        "| kind | runs | faults | ended as one undisturbed | acknowledged | lost | doubled | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        if own := [row for row in rows if row.kind == kind]:
            names = ("faults", "equal", "acknowledged", "lost", "doubled")
            sums = [sum(getattr(row, name) for row in own) for name in names]
            seconds = round(sum(row.seconds for row in own))
            lines.append(f"| {kind} | {len(own)} | {' | '.join(map(str, sums))} | {seconds} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="in all; of each kind at least 15")
    parser.add_argument(
        "--only", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND", help=", ".join(KINDS)
    )
    parser.add_argument(
        "--seeds", type=lambda text: tuple(map(int, text.split(","))), help="these runs of each kind alone"
    )
    parser.add_argument(
        "--rows", type=Path, default=Path("chaos.jsonl"), help="where rows are kept: what is there is not done"
    )
    parser.add_argument("--json", type=Path, help="where to write all rows in the end")
    asked = parser.parse_args()
    wanted = max(LEAST, -(-asked.faults // len(KINDS)))
    for kind in asked.only:
        if (why := lacking(kind)) is not None:
            print(f"NOT DONE: {kind}: {why}", file=sys.stderr)
            continue
        for seed in asked.seeds or count():
            own = [row for row in measured(asked.rows) if row.kind == kind]
            if asked.seeds is None and sum(row.faults for row in own) >= wanted:
                break
            if seed not in {row.seed for row in own}:
                row = measure(kind, seed)
                with asked.rows.open("a") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
                print(row, file=sys.stderr, flush=True)
    rows = measured(asked.rows)
    print(table(rows))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    sys.exit(0 if all(row.equal and not row.lost and not row.doubled for row in rows) else 1)


if __name__ == "__main__":
    main()
