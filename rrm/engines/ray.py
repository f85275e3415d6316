"""An engine on Ray: workers are processes that Ray starts, on this machine or on those of a cluster.

A cluster that is the run's own is on the loopback interface alone, with a token.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rrm.engines import ray_address
from rrm.engines.apart import Apart, ApartCluster, Wanted, require_room, visible_gpus

OLDEST = (2, 60)
"""The oldest Ray, by its first two numbers, whose listeners and tokens were looked at."""


class RayCluster(ApartCluster):
    """Workers on Ray."""

    library, process = "Ray", "rrm.engines.ray_process"

    @staticmethod
    def own_gpus() -> int:
        return len(visible_gpus())

    def furnish(self, folder: Path) -> None:
        (folder / "token").touch(0o600)  # in a folder of its own, for Ray opens the folders that it makes to everybody
        (folder / "token").write_text(secrets.token_hex(32))

    def environment(self) -> Mapping[str, str]:
        known = self._at is not None and ray_address.token()
        return {**os.environ, "RAY_AUTH_MODE": "token"} if known else os.environ

    def workers(self, facts: Mapping[str, Any]) -> Sequence[Wanted]:
        cpus, gpus = facts["has"].get("CPU", 0), facts["has"].get("GPU", 0)
        workers = self._wanted or [Wanted(self.steps, count=max(1, int(cpus)))]
        require_room(workers, cpus, gpus)
        return workers


class Ray(Apart):
    """Has what computes done by Ray's workers.

    `address` is "local", a cluster of its own on this machine that ends with the run; "auto", the one that was
    started here; or a cluster's host:port. `workers` are tables of `cpus` (which are its threads), `gpus`, `count` and
    the `steps` that they do; left out, there is one of one thread for each processor. With `ranks` so many of them
    share a fit, and reach each other by their addresses in the IPv4 `network`.
    """

    package, oldest, cluster = "ray", OLDEST, RayCluster
    find = staticmethod(ray_address.find)
