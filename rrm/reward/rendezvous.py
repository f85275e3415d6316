"""Where the ranks of a process group meet: at a socket of the first that is bound to one address, by a token.

The store that torch.distributed makes by itself listens on every interface. Neither it nor gloo asks who comes, so
before anything else is exchanged each rank proves that it knows the token. What they exchange is in the clear.
"""

import hmac
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network

import psutil
import torch
from torch import distributed

from rrm.core.errors import InputError, LostRankError

REACH_SECONDS = 5.0
"""So long a rank's machine may take to reach the first's."""
JOIN_SECONDS = 120.0
"""So long ranks wait for each other to begin: they import for seconds, on a busy machine for many."""
WAIT_SECONDS = 600.0
"""So long a rank waits for another one at a gradient, or while the first saves the model."""
_LISTENS, _TOKEN = "RRM_LISTENS", "RRM_TOKEN"


@dataclass(frozen=True)
class Rendezvous:
    """The address at which `count` ranks meet, and the token that each of them knows."""

    host: str
    port: int
    count: int
    token: str

    def require_reached(self) -> None:
        """Raise LostRankError where nobody listens, as seen from this machine."""
        try:
            socket.create_connection((self.host, self.port), REACH_SECONDS).close()
        except OSError as error:
            why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
            raise LostRankError(f"the first rank cannot be reached at {self.host}:{self.port}: {why}") from error

    def environment(self, rank: int, local_rank: int, local_count: int, listens: int | None = None) -> dict[str, str]:
        """Return what the process of a rank is told; `listens` is the first's open socket, by its number."""
        interface = _interface(_source(self.host))
        told: dict[str, object] = {
            "RANK": rank, "WORLD_SIZE": self.count, "LOCAL_RANK": local_rank, "LOCAL_WORLD_SIZE": local_count,
            "MASTER_ADDR": self.host, "MASTER_PORT": self.port, _TOKEN: self.token,
            "GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface,
        }  # fmt: skip
        if listens is not None:
            told[_LISTENS] = listens
        return {name: str(value) for name, value in told.items()}


def listening(host: str) -> socket.socket:
    """Return a socket that listens on a free port of one address."""
    return socket.create_server((host, 0))


def own_address(network: IPv4Network) -> str:
    """Return this machine's address in a network; raise InputError where it has none."""
    found: list[str] = [
        each.address
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family == socket.AF_INET and IPv4Address(each.address) in network
    ]
    if not found:
        raise InputError(f"{socket.gethostname()} has no address in the network {network}")
    return min(found)


def join(cpu: bool) -> None:
    """Make this process the rank that its environment says, and have all ranks prove that they know the token.

    Raises LostRankError where another one does not come or does not know it.
    """
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if not cpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    heard = None if rank else int(os.environ.pop(_LISTENS))
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        host, port, count, rank == 0, timedelta(seconds=JOIN_SECONDS), wait_for_workers=False, master_listen_fd=heard
    )
    backend = "gloo" if cpu else "cpu:gloo,cuda:nccl"
    wait = timedelta(seconds=WAIT_SECONDS)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=wait)
    _prove(os.environ.pop(_TOKEN).encode(), rank, count)


def is_lost(error: BaseException) -> bool:
    """Say whether an error is that another rank does not answer, as torch.distributed and gloo say it."""
    return isinstance(error, distributed.DistError) or "gloo/" in str(error)


def _prove(token: bytes, rank: int, count: int) -> None:
    """Have every rank answer all ranks' challenges with the token's key; raise LostRankError for a wrong answer."""
    challenge = b"".join(_gathered(os.urandom(32), count))
    answers = _gathered(_answer(token, challenge, rank), count)
    wrong = [at for at in range(count) if not hmac.compare_digest(answers[at], _answer(token, challenge, at))]
    if wrong:
        raise LostRankError(f"rank {wrong[0] + 1} of {count} does not know the token of this training")


def _answer(token: bytes, challenge: bytes, rank: int) -> bytes:
    return hmac.digest(token, challenge + rank.to_bytes(4, "big"), "sha256")


def _gathered(own: bytes, count: int) -> list[bytes]:
    found = [torch.zeros(len(own), dtype=torch.uint8) for _ in range(count)]
    distributed.all_gather(found, torch.tensor(list(own), dtype=torch.uint8))
    return [bytes(each.tolist()) for each in found]


def _source(host: str) -> str:
    """Return the address from which this machine would send to a host; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, 9))
        address: str = sender.getsockname()[0]
        return address


def _interface(address: str) -> str:
    """Return the name of the network interface that has an address."""
    names = [
        name for name, addresses in psutil.net_if_addrs().items() if any(each.address == address for each in addresses)
    ]
    if not names:
        raise InputError(f"{socket.gethostname()} has no network interface with the address {address}")
    return str(names[0])
