"""Ray, in the process that it lives in; see `rrm.engines.apart_process`."""

import os
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from rrm.engines.apart_process import Process, processors

STORE_BYTES = 80 * 2**20
"""Of Ray's own store, through which nothing but messages goes."""


class BegunRay:
    """A cluster of Ray's, whose actors are workers; implements `rrm.engines.apart_process.Begun`."""

    def __init__(self) -> None:
        import ray

        self.facts: Mapping[str, Any] = {"at": ray.get_runtime_context().gcs_address, "has": ray.cluster_resources()}
        self.warnings: list[str] = []
        self._actors: dict[int, Any] = {}

    def begin(self, seat: int, worker: bytes, cpus: int, gpus: float) -> None:
        import ray

        kind = ray.remote(num_cpus=cpus, num_gpus=gpus, concurrency_groups={"life": 1})(Process)
        self._actors[seat] = kind.options(max_restarts=0, max_task_retries=0).remote(worker)

    def answer(self, seat: int, asked: bytes) -> "Future[bytes]":
        answered: Future[bytes] = self._actors[seat].answer.remote(asked).future()
        return answered

    def beat(self, seat: int) -> "Future[bytes]":
        sign: Future[bytes] = self._actors[seat].beat.options(concurrency_group="life").remote().future()
        return sign

    def end(self, seat: int) -> None:
        import ray

        with suppress(Exception):
            ray.kill(self._actors.pop(seat), no_restart=True)

    def close(self, error: BaseException | None) -> None:
        import ray

        ray.shutdown()


def begin(address: str | None, folder: str | None) -> BegunRay:
    """Begin a cluster in a folder, or come to the one at an address."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if folder is not None:
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(Path(folder, "token")),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # with which all of its processes listen on 127.0.0.1 alone
            "TMPDIR": str(Path(folder, "workers")),
        }
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if folder is None:
        ray.init(address=address, **quiet)
    else:
        ray.init(
            address="local",
            num_cpus=processors(),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(Path(folder, "ray")),
            **quiet,
        )
    return BegunRay()
