"""A worker of this machine, in its own process; see `rrm.engines.local` and `rrm.engines.apart_process`."""

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from shutil import rmtree
from typing import Any

from rrm.engines.apart_process import Process


class Alone:
    """The one seat of a worker's process; implements `rrm.engines.apart_process.Begun`.

    When nobody can ask any more, the process ends, whatever it is at, and the `folder` of all such workers goes: they
    have the same run, which has ended.
    """

    def __init__(self, folder: str) -> None:
        self.facts: Mapping[str, Any] = {"at": f"process {os.getpid()}"}
        self.warnings: list[str] = []
        self._folder = folder

    def begin(self, seat: int, worker: bytes, cpus: int, gpus: float) -> None:
        self._process, self._thread = Process(worker), ThreadPoolExecutor(1)

    def answer(self, seat: int, asked: bytes) -> "Future[bytes]":
        return self._thread.submit(self._process.answer, asked)

    def beat(self, seat: int) -> "Future[bytes]":
        sign: Future[bytes] = Future()
        sign.set_result(self._process.beat())
        return sign

    def end(self, seat: int) -> None:
        """Whoever began the process ends it."""

    def close(self) -> None:
        rmtree(self._folder, ignore_errors=True)
        os._exit(0)


def begin(address: None, folder: str) -> Alone:
    """Begin what is the run's own, in its folder; an address there is none."""
    return Alone(folder)
