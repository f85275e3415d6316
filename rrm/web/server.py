"""The station's own HTTP server: uvicorn on one socket, with slow clients cut off and a clean end at a signal."""

import asyncio
import ctypes
import gc
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rrm.core.errors import ConfigError
from rrm.web.app import application
from rrm.web.guard import HEADERS, with_headers
from rrm.web.station import LOOPBACK, Station, WebSettings, bracketed

_LONGEST_HEAD = 1 << 16
"""Bytes that a request's line and headers may have."""

_M_ARENA_MAX = -8  # of malloc.h

_END_SECONDS = 5
"""How long requests that are being answered may still take once the server is told to end."""


def serve(station: Station, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once with the address under which pages are reached.

    Port 0 takes a free one. Prints nothing. Raises ConfigError for an address that may not or cannot be
    listened on.
    """
    _share_heaps()
    with listening(station.settings, host, port) as listener:
        Server(station, listener, ready).run([listener])


def check_host(settings: WebSettings, host: str) -> None:
    """Raise ConfigError if others than this machine could reach the server, but nobody said under which URL."""
    if not settings.public_url and host not in LOOPBACK:
        raise ConfigError(
            f"the host {host} is reached from other machines: say under which address with --public-url,"
            " or leave the host at 127.0.0.1"
        )


def _share_heaps() -> None:
    """Have threads share two heaps of the C library, where it is glibc.

    By default it makes one for every thread up to eight for each core, which keep what is free in them apart.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


@contextmanager
def listening(settings: WebSettings, host: str, port: int) -> Iterator[socket.socket]:
    """Hold a listening socket; raise ConfigError where that is not allowed or not possible."""
    check_host(settings, host)
    if not 0 <= port < 65536:
        raise ConfigError(f"cannot listen on port {port}: ports run from 1 to 65535, and 0 takes a free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
        # connections inherit it: else the end of an answer waits 40 ms for the client's word on its beginning
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port} ({error}): choose another with --port") from error
    with listener:
        yield listener


class Server(uvicorn.Server):
    """Uvicorn that says when it is ready, ends at a signal without raising it again, and keeps no access log."""

    def __init__(self, station: Station, listener: socket.socket, ready: Callable[[str], None]) -> None:
        host, port = listener.getsockname()[:2]
        self._address = station.settings.public_url or f"http://{bracketed(host)}:{port}"
        self._ready = ready
        self.app = application(station, port)
        super().__init__(
            uvicorn.Config(
                self.app,
                http=_protocol(station.settings.request_seconds),
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_END_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there for good is not looked through again and again while raters wait
        self._ready(self._address)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, closing connections whose request is not there after so many seconds.

    Uvicorn itself waits for ever for the rest of a request that comes in byte by byte ("slow loris"), and
    takes a head of any length.
    """

    class Impatient(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _head: int | None = 0  # bytes of a head that has not ended, None behind its end
        _ended = False  # a request, by what came last

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start()  # a connection must bring a first request, too

        def data_received(self, data: bytes) -> None:
            self._ended = False
            super().data_received(data)
            if self._head is None or self._ended:
                return
            self._start()  # by empty lines, too, which may stand before a request
            self._head += len(data)
            if self._head > _LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("the request's head is too long")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head = 0
            self._start()

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._head = None

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._head, self._ended = 0, True
            self._stop()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"detail": msg}).encode()
            about = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            lines = [b": ".join(each) for each in with_headers([*about, (b"connection", b"close")], HEADERS)]
            self.transport.write(b"\r\n".join([b"HTTP/1.1 400 Bad Request", *lines, b"", body]))
            self.transport.close()

        def _start(self) -> None:
            if self._deadline is None and not self.transport.is_closing():
                self._deadline = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Impatient
