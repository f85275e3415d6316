"""An engine on Dask: workers are those of a Dask cluster, of the run's own on this machine or of another one.

A cluster that is the run's own is on the loopback interface alone, and lets in who has the key that was made for it.
"""

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rrm.core.errors import ConfigError, InputError
from rrm.engines.address import Address, probe, require_answer, require_same, told
from rrm.engines.apart import Apart, ApartCluster, Wanted
from rrm.engines.apart_process import processors
from rrm.engines.dask_process import covered

OLDEST = (2026, 8)
"""The oldest Dask, by its first two numbers, whose listeners and pickles were looked at."""

_BEGIN = "dask scheduler --host 127.0.0.1"
_PROBE = """
import asyncio, json, sys
from distributed.core import rpc
from distributed.security import Security

async def ask():
    address, seconds, security = sys.argv[1], int(sys.argv[2]), Security()
    if address.startswith("tls") and not (security.tls_ca_file and security.tls_client_cert):
        return {"refused": "there are no credentials here"}
    try:
        async with rpc(address, connection_args=security.get_connection_args("client"), timeout=seconds) as at:
            has, made = await asyncio.wait_for(asyncio.gather(at.identity(), at.versions()), seconds)
    except TimeoutError:
        return {"refused": "no answer"}
    except Exception as error:
        while error.__cause__ or error.__context__:
            error = error.__cause__ or error.__context__
        return {"refused": " ".join(f"{type(error).__name__}: {error}".split())}
    packages = dict(made["packages"])
    nannies = [each["nanny"] for each in has["workers"].values() if each["nanny"]]
    listens = [has["address"], *has["workers"], *nannies]
    return {"Dask": packages["distributed"], "Python": packages["python"], "listens": listens}

print(json.dumps(asyncio.run(ask())))
"""


class DaskCluster(ApartCluster):
    """Workers on Dask."""

    library, process = "Dask", "rrm.engines.dask_process"

    def asked(self) -> Mapping[str, Any]:
        return {"threads": [each.cpus for each in self._wanted for _ in range(each.count)]}

    def workers(self, facts: Mapping[str, Any]) -> Sequence[Wanted]:
        if self._at is None:
            return self._wanted or [Wanted(self.steps, count=processors())]
        if not facts["has"]:
            raise InputError(f"[engine] the Dask cluster at {self._at} has no workers: begin them with `dask worker`")
        require_each(self._wanted, facts["has"])
        return self._wanted or [Wanted(self.steps, cpus) for cpus, _ in facts["has"]]


def require_each(wanted: Sequence[Wanted], has: Sequence[tuple[int, float]]) -> None:
    """Raise InputError unless each wanted worker is one of those with so many threads and GPUs, as they are given."""
    free = sorted(map(tuple, has))
    for each in wanted:
        for number in range(each.count):
            found = next((one for one in free if one[0] >= each.cpus and one[1] >= each.gpus), None)
            if found is None:
                raise InputError(
                    f"[engine] workers ask for {each.count} of {each.cpus} threads and {each.gpus:g} GPUs, and of the"
                    f" cluster's {len(has)} workers {number} are left for that: ask for fewer, or begin more, a worker"
                    ' with a GPU by `dask worker --resources "GPU=1"`'
                )
            free.remove(found)


def find(address: str) -> str | None:
    """Return a scheduler's address, None for "local", one of its own; raise InputError where none can be used."""
    if address == "local":
        return None
    match = re.fullmatch(r"(?P<how>tcp|tls)://(?P<host>\[[0-9a-fA-F:]+\]|[^:/\s]+):(?P<port>\d{1,5})", address)
    if match is None or not 0 < int(match["port"]) < 2**16:
        raise ConfigError(
            '[engine] address is "local" or a scheduler\'s tls://host:port, on this machine tcp://127.0.0.1:port, got'
            f" {address!r:.80}"
        )
    at = Address.of(match["host"], int(match["port"]))
    _require_covered([f"{match['how']}://{at}"])
    require_answer(at, "Dask", _BEGIN)
    found = told("Dask", address, probe(_PROBE, address, os.environ))
    if "refused" in found:
        raise InputError(
            f"[engine] what answers at {address} is no Dask scheduler, or one that does not let us in"
            f" ({found['refused']}): mend the address, or set distributed.comm.tls in Dask's configuration to its"
            " credentials"
        )
    own = {"Dask": importlib.metadata.version("distributed"), "Python": platform.python_version()}
    require_same(address, found, own)
    listens = found["listens"]
    assert isinstance(listens, list)
    _require_covered(listens)
    return address


def _require_covered(addresses: Sequence[str]) -> None:
    """Raise InputError for a listener beyond this machine without TLS."""
    for each in addresses:
        if not covered(each):
            raise InputError(
                f"[engine] {each} is beyond this machine, where Dask is used with TLS alone, for whoever reaches it"
                " could run code: begin scheduler and workers with tls:// and credentials, or with --host 127.0.0.1"
            )


class Dask(Apart):
    """Has what computes done by Dask's workers.

    `address` is "local", a cluster of its own on this machine that ends with the run, or a scheduler's
    tcp://host:port or tls://host:port. `workers` are tables of `cpus` (which are its threads), `gpus` (of a worker's
    resource of the name GPU), `count` and the `steps` that they do; left out, there is one for each of Dask's workers,
    in a cluster of its own one of one thread for each processor. With `ranks` so many of them share a fit, and reach
    each other by their addresses in the IPv4 `network`.
    """

    package, oldest, cluster = "distributed", OLDEST, DaskCluster
    find = staticmethod(find)
