"""The process that Ray lives in, apart from the run's: it passes messages on and answers back, and ends with the run.

So signals for the run do not reach Ray, a Ray that ends does not end the run's process, as it would its own, and
whatever ends the run, the cluster goes too: the process sees the end of its input. It imports nothing but Ray.
"""

import importlib
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import IO, Any

STORE_BYTES = 80 * 2**20
"""Of Ray's own store, through which nothing but messages goes."""

_LENGTHS = struct.Struct("!II")


def send(stream: IO[bytes], head: Mapping[str, Any], body: bytes = b"") -> None:
    """Write a head, plain JSON values, and a body to a stream."""
    told = json.dumps(head).encode()
    stream.write(_LENGTHS.pack(len(told), len(body)) + told + body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return the next head and body of a stream, None at its end."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    of_head, of_body = _LENGTHS.unpack(lengths)
    told, body = stream.read(of_head), stream.read(of_body)
    return (json.loads(told), body) if len(body) == of_body else None


class Process:
    """A worker's process, as an actor of Ray; all that it takes and returns are bytes, which Ray does not pickle."""

    def __init__(self, worker: bytes) -> None:
        self._named = worker.decode()
        self._worker: Any = None
        self._busy = False

    def answer(self, asked: bytes) -> bytes:
        """Answer by the worker, which is imported when it is first asked, so that signs of life come before."""
        self._busy = True
        try:
            if self._worker is None:
                module, _, name = self._named.partition(":")
                self._worker = getattr(importlib.import_module(module), name)()
            answer: bytes = self._worker.answer(asked)
            return answer
        finally:
            self._busy = False

    def beat(self) -> bytes:
        return b"busy" if self._busy else b""


def main() -> None:
    """Do as the run's process says on the standard input, until that ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what Ray prints is no message
    asked, _ = receive(sys.stdin.buffer) or ({}, b"")
    try:
        _serve(out, asked)
    finally:  # also where the run ended while Ray began, so that nobody takes what is sent
        if asked.get("folder") is not None:
            rmtree(asked["folder"], ignore_errors=True)


def _serve(out: IO[bytes], asked: Mapping[str, Any]) -> None:
    try:
        begun = _begin(**asked)
    except Exception as error:
        send(out, {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})
        return
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(each, signal.SIG_IGN)  # they are for the run
    try:
        send(out, begun)
        _pass_on(out)
    finally:
        import ray

        ray.shutdown()


def _begin(address: str | None, folder: str | None) -> dict[str, Any]:
    """Begin a cluster in a folder, or come to the one at an address; return where it is and what it has."""
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
            num_cpus=_processors(),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(Path(folder, "ray")),
            **quiet,
        )
    return {"at": ray.get_runtime_context().gcs_address, "has": ray.cluster_resources()}


def _processors() -> int:
    """Return how many processors this process may use, or all where a system, such as macOS, does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pass_on(out: IO[bytes]) -> None:
    import ray

    turn, actors = threading.Lock(), dict[int, Any]()

    def answered(number: int, future: "Future[bytes]") -> None:
        error = future.exception()
        head = {"number": number} if error is None else {"number": number, "failed": type(error).__name__}
        with turn, suppress(OSError):  # nobody waits any more
            send(out, head, b"" if error is not None else future.result())

    while (received := receive(sys.stdin.buffer)) is not None:
        head, body = received
        seat = head["seat"]
        if head["do"] == "begin":
            kind = ray.remote(num_cpus=head["cpus"], num_gpus=head["gpus"], concurrency_groups={"life": 1})(Process)
            actors[seat] = kind.options(max_restarts=0, max_task_retries=0).remote(body)
        elif head["do"] == "end":
            with suppress(Exception):  # it may be gone, and its machine with it
                ray.kill(actors.pop(seat), no_restart=True)
        else:
            asked = actors[seat].answer.remote(body) if head["do"] == "answer" else _beat(actors[seat])
            asked.future().add_done_callback(partial(answered, head["number"]))


def _beat(actor: Any) -> Any:
    return actor.beat.options(concurrency_group="life").remote()
