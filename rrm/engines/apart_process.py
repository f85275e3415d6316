"""The process that a cluster's library lives in, apart from the run's: it passes messages on and answers back.

So signals for the run do not reach the cluster, a library that ends does not end the run's process, and whatever ends
the run, a cluster of its own goes too: the process sees the end of its input. It imports nothing but the library.
"""

import importlib
import json
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from shutil import rmtree
from typing import IO, Any, Protocol

_LENGTHS = struct.Struct("!II")

BUSY = b"{}\n"
"""The sign of life of a worker that is at work, and says nothing more of it."""


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
    return (json.loads(told), body) if (len(told), len(body)) == (of_head, of_body) else None


class Process:
    """What answers in a worker's process; all that it takes and returns are bytes."""

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
        """Return nothing from a worker that has nothing to do, else how it goes."""
        sign: bytes = (BUSY if self._worker is None else self._worker.sign()) if self._busy else b""
        return sign


class Begun(Protocol):
    """A cluster that has begun, by its library.

    `facts` are plain values that the run's process is told of it, `warnings` sentences that it has yet to be told: they
    go with the next answer.

    Seats are named by numbers; `worker` is the import string of what answers in a seat's process. What is asked of a
    seat that was ended raises KeyError, or fails.
    """

    facts: Mapping[str, Any]
    warnings: list[str]

    def begin(self, seat: int, worker: bytes, cpus: int, gpus: float) -> None: ...

    def answer(self, seat: int, asked: bytes) -> "Future[bytes]": ...

    def beat(self, seat: int) -> "Future[bytes]": ...

    def end(self, seat: int) -> None:
        """End a seat's process, whatever it does; it may be gone, and its machine with it."""
        ...

    def close(self, error: BaseException | None) -> None:
        """End with the run, or over an error of this process alone."""
        ...


def serve(begin: Callable[..., Begun]) -> None:
    """Do as the run's process says on the standard input, until that ends."""
    messages, out = os.fdopen(os.dup(sys.stdin.fileno()), "rb"), os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())  # nobody else takes messages, such as a plug-in's `input`
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no message
    asked, _ = receive(messages) or ({}, b"")
    try:
        _serve(messages, out, begin, asked)
    finally:  # also where the run ended while the cluster began, so that nobody takes what is sent
        if asked.get("folder") is not None:
            rmtree(asked["folder"], ignore_errors=True)


def processors() -> int:
    """Return how many processors this process may use, or all where a system, such as macOS, does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(messages: IO[bytes], out: IO[bytes], begin: Callable[..., Begun], asked: Mapping[str, Any]) -> None:
    try:
        begun = begin(**asked)
    except Exception as error:
        send(out, {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})
        return
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(each, lambda *_: None)  # they are for the run; processes begun from here on may be ended by them
    try:
        send(out, begun.facts)
        _fall_silent()
        pass_on(messages, out, begun)
    except BaseException as error:
        begun.close(error)
        raise
    begun.close(None)


def _fall_silent() -> None:
    """Have nothing kept of what libraries print, for weeks, once it has begun: nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(nowhere, stream.fileno())


def pass_on(asked: IO[bytes], out: IO[bytes], begun: Begun) -> None:
    """Have the messages of a stream answered on another, until it ends."""
    turn = threading.Lock()

    def answered(number: int, future: "Future[bytes]") -> None:
        error = future.exception()
        head: dict[str, Any] = {"number": number}
        if error is not None:
            head["failed"] = type(error).__name__
        with turn, suppress(OSError):  # nobody waits any more
            if begun.warnings:
                head["warnings"] = [begun.warnings.pop(0) for _ in range(len(begun.warnings))]
            send(out, head, b"" if error is not None else future.result())

    while (received := receive(asked)) is not None:
        head, body = received
        match head["do"], head["seat"]:
            case "begin", seat:
                begun.begin(seat, body, head["cpus"], head["gpus"])
            case "end", seat:
                begun.end(seat)
            case do, seat:
                try:
                    future = begun.answer(seat, body) if do == "answer" else begun.beat(seat)
                except KeyError as error:  # it was ended while this was on its way
                    future = Future()
                    future.set_exception(error)
                future.add_done_callback(partial(answered, head["number"]))
