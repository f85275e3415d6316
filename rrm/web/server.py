"""The station's own HTTP server: uvicorn on one socket, with slow clients cut off and a clean end at a signal."""

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rrm.core.errors import ConfigError
from rrm.web.app import application
from rrm.web.guard import HEADERS, with_headers
from rrm.web.station import LOOPBACK, Station, WebSettings, bracketed

_END_SECONDS = 5
"""How long requests that are being answered may still take once the server is told to end."""


def serve(station: Station, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once with the address under which pages are reached.

    Port 0 takes a free one. Prints nothing. Raises ConfigError for an address that may not or cannot be
    listened on.
    """
    with listening(station.settings, host, port) as listener:
        Server(station, listener, ready).run([listener])


def check_host(settings: WebSettings, host: str) -> None:
    """Raise ConfigError if others than this machine could reach the server, but nobody said under which URL."""
    if not settings.public_url and host not in LOOPBACK:
        raise ConfigError(
            f"the host {host} is reached from other machines: say under which address with --public-url,"
            " or leave the host at 127.0.0.1"
        )


@contextmanager
def listening(settings: WebSettings, host: str, port: int) -> Iterator[socket.socket]:
    """Hold a listening socket; raise ConfigError where that is not allowed or not possible."""
    check_host(settings, host)
    if not 0 <= port < 65536:
        raise ConfigError(f"cannot listen on port {port}: ports run from 1 to 65535, and 0 takes a free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
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


def _protocol(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol, closing connections whose request is not there after so many seconds.

    Uvicorn itself waits for ever for the rest of a request that comes in byte by byte ("slow loris").
    """

    class Impatient(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start()

        def handle_events(self) -> None:
            super().handle_events()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"detail": msg}).encode()
            headers = with_headers([(b"content-type", b"application/json"), (b"connection", b"close")], HEADERS)
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _watch(self) -> None:
            """Have a deadline while a request is on its way, by a part of its head or before the end of its body."""
            state, begun = self.conn.their_state, bool(self.conn.trailing_data[0])
            if state is h11.SEND_BODY or (state is h11.IDLE and begun):
                self._start()
            elif state is not h11.IDLE or self.cycle is not None:  # a connection must bring a first request, too
                self._stop()

        def _start(self) -> None:
            if self._deadline is None and not self.transport.is_closing():
                self._deadline = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Impatient
