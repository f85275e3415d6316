"""Dask, in the process that its client lives in and in those of its workers; see `rrm.engines.apart_process`.

Messages are sent as Dask's `run`, beside its graph of tasks: who is asked is known, a worker that ends is told of at
once, and nothing is done again behind our back. Dask pickles the name of a function, and `bytes` among its arguments.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from rrm.core.errors import InputError
from rrm.engines.address import Address
from rrm.engines.apart_process import Process, processors

OWN = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.reuse-broadcast-comm": True,
}
"""Dask's settings for a cluster of a run's own: no pages, and connections that are kept."""
LOOK_SECONDS = 0.3
"""After so long the cluster is asked again which workers it has."""
END_SECONDS = 5.0
"""So long a worker's process may take to end before it is killed."""

_here: dict[bytes, tuple[Process, ThreadPoolExecutor]] = {}
"""In a worker's process: what answers, by run and seat, and the thread in which it does."""


async def answer(seat: bytes, worker: bytes, asked: bytes) -> bytes:
    """Answer in a worker's process, one message after another, while signs of life are given."""
    if seat not in _here:
        _here[seat] = Process(worker), ThreadPoolExecutor(1)
    process, thread = _here[seat]
    return await asyncio.get_running_loop().run_in_executor(thread, process.answer, asked)


def beat(seat: bytes) -> bytes:
    return _here[seat][0].beat() if seat in _here else b""


def covered(address: str) -> bool:
    """Say whether a listener asks for credentials or is on this machine alone, for who reaches it can run code."""
    how, _, where = address.partition("://")
    try:
        return how == "tls" or (how == "tcp" and Address.of(where.rpartition(":")[0], 0).loopback)
    except InputError:  # a name that nobody here knows
        return False


def forget(run: bytes) -> bytes:
    """Have a worker's process hold nothing of a run any more."""
    for seat in [seat for seat in _here if seat.startswith(run)]:
        _here.pop(seat)[1].shutdown(wait=False, cancel_futures=True)
    return b""


class BegunDask:
    """A cluster of Dask's, each of whose workers has one seat; implements `rrm.engines.apart_process.Begun`."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self._client, self._cluster, self._run = client, cluster, uuid4().hex.encode()
        self._workers: dict[int, bytes] = {}
        self._found: dict[int, Future[str]] = {}
        self._taken: set[str] = set()
        self._refused: set[str] = set()
        self.warnings: list[str] = []
        self._has: dict[str, tuple[int, float]] = {}  # of those that may have a seat: processors and GPUs, by address
        self._go(self._look()).result()
        self._looking = self._go(self._look_on())
        self.facts: Mapping[str, Any] = {"at": client.scheduler.address, "has": sorted(self._has.values())}

    def begin(self, seat: int, worker: bytes, cpus: int, gpus: float) -> None:
        self._workers[seat] = worker
        self._found[seat] = self._go(self._find(seat, cpus, gpus))

    def answer(self, seat: int, asked: bytes) -> "Future[bytes]":
        return self._go(self._do(seat, answer, self._workers[seat], asked))

    def beat(self, seat: int) -> "Future[bytes]":
        return self._go(self._do(seat, beat))

    def end(self, seat: int) -> None:
        del self._workers[seat]
        found = self._found.pop(seat)
        if found.done() and not found.exception():
            self._go(self._end(found.result()))

    def close(self, error: BaseException | None) -> None:
        if self._cluster is None:
            with suppress(Exception):  # a cluster that is gone holds nothing
                self._go(self._forget()).result(END_SECONDS)
        self._looking.cancel()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _go(self, work: Awaitable[Any]) -> "Future[Any]":
        async def done() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._client.loop.asyncio_loop)

    async def _look(self) -> None:
        workers = (await self._client.scheduler.identity())["workers"]
        bare = {at: [one for one in (at, each["nanny"]) if one and not covered(one)] for at, each in workers.items()}
        self._has = {
            at: (each["nthreads"], each["resources"].get("GPU", 0)) for at, each in workers.items() if not bare[at]
        }
        self._warn({one for some in bare.values() for one in some})
        self._taken &= self._has.keys()  # a worker may come back at the address of one that is gone

    def _warn(self, bare: set[str]) -> None:
        """Tell of listeners in the clear, each once, for their workers get nothing to do."""
        new = sorted(bare - self._refused)
        self._refused |= bare
        self.warnings += [
            f"Dask's {each} is beyond this machine and without TLS, so its worker gets nothing to do: begin it with"
            " tls:// and credentials"
            for each in new
        ]

    async def _look_on(self) -> None:
        """Keep what is known of the workers fresh, for who calls one that is gone is let wait by Dask."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(Exception):  # who asks it for something is told
                await self._look()

    async def _find(self, seat: int, cpus: int, gpus: float) -> str:
        """Return the smallest worker that has enough and no seat yet, once there is one."""
        while seat in self._workers:
            enough = [at for at, (threads, has) in self._has.items() if threads >= cpus and has >= gpus]
            if free := [at for at in enough if at not in self._taken]:
                found = min(free, key=lambda at: (self._has[at], at))
                self._taken.add(found)
                return found
            await asyncio.sleep(LOOK_SECONDS)
        raise ConnectionError("nobody waits for it any more")

    async def _do(self, seat: int, function: Callable[..., Any], *arguments: bytes) -> bytes:
        at = await asyncio.wrap_future(self._found[seat])
        name = self._run + str(seat).encode()
        asked = asyncio.ensure_future(self._client.run(function, name, *arguments, workers=[at]))
        while not asked.done():
            await asyncio.wait([asked], timeout=LOOK_SECONDS)
            if not asked.done() and at not in self._has:
                asked.cancel()
                raise ConnectionError("the worker has left the cluster")
        said: bytes = asked.result()[at]
        return said

    async def _end(self, at: str) -> None:
        """Have a worker's process killed, by the nanny who then begins another, or where it has none, end itself."""
        asked = {"workers": [at], "timeout": END_SECONDS, "wait_for_workers": False, "on_error": "return"}
        await self._client.scheduler.restart_workers(**asked, client=self._client.id, stimulus_id="rrm")
        self._has.pop(at, None)  # the other may be there before we look again
        self._taken.discard(at)

    async def _forget(self) -> None:
        left = [at for at in self._has if at in self._taken]
        await self._client.run(forget, self._run, workers=left, on_error="ignore")


def begin(address: str | None, folder: str | None, threads: Sequence[int]) -> BegunDask:
    """Begin a cluster in a folder, with workers of so many threads each, or come to the one at an address."""
    if folder is not None:
        os.environ["TMPDIR"] = str(Path(folder, "workers"))
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster
    from distributed.security import Security

    if folder is None:
        return BegunDask(Client(address, set_as_default=False), None)
    dask.config.set({**OWN, "temporary-directory": str(Path(folder, "workers"))})
    security = Security.temporary()
    own = {"host": "127.0.0.1", "protocol": "tls://", "security": security, "dashboard": False}
    each = {**own, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
    cluster = SpecCluster(
        scheduler={"cls": Scheduler, "options": {**own, "port": 0, "dashboard_address": "127.0.0.1:0"}},
        workers={
            number: {"cls": Nanny, "options": {**each, "nthreads": count}}
            for number, count in enumerate(threads or [1] * processors())
        },
        security=security,
    )
    return BegunDask(Client(cluster, set_as_default=False), cluster)
