"""A worker of this machine, in its own process; see `rrm.engines.local` and `rrm.engines.apart_process`."""

import os
import signal
import traceback
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from typing import Any

from rrm.engines.apart_process import Process


class Alone:
    """The one seat of a worker's process; implements `rrm.engines.apart_process.Begun`.

    When nobody can ask any more, the process ends, whatever it is at, with those that it began, and so does the folder
    that its `folder` is in, which all such workers share: they have the same run, which has ended. A process that ends
    by itself takes its own folder alone, and whoever began it ends those that it began.
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

    def close(self, error: BaseException | None) -> None:
        if error is not None:
            traceback.print_exception(error)
            rmtree(self._folder, ignore_errors=True)
            os._exit(1)
        rmtree(Path(self._folder).parent, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)


def begin(address: None, folder: str) -> Alone:
    """Begin what is the run's own, in its folder; an address there is none."""
    return Alone(folder)
