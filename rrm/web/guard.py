"""The guard around the station: which requests come in at all, and which headers every answer has.

Host          one of the names under which the server is reached, else 400 (DNS rebinding)
unsafe method from one of our own pages, by Origin or else Sec-Fetch-Site, else 403 (cross-site requests)
              with a strict JSON body, else 415, 413, 400 or 422
any failure   500 with a fixed sentence; the log names the route and where it failed, never what was sent
"""

import json
import logging
import traceback
from collections.abc import Iterable

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rrm.web.body import Refused, check_body
from rrm.web.station import WebSettings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every answer says, unless it says something else about caching itself."""

FAILED = "the server failed at this; nothing was changed, and its log says where"

_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_MOST_QUERY, _MOST_PATH = 8192, 2048
_WORTH_A_THREAD = 32_768  # bytes of a body that would hold up everybody else while it is checked

_log = logging.getLogger("rrm.web")


class Guard:
    """Lets in what may come in, and puts the headers on whatever goes out."""

    def __init__(self, app: ASGIApp, settings: WebSettings, port: int) -> None:
        self._app = app
        self._settings = settings
        self._hosts = frozenset(each.encode() for each in settings.hosts(port))
        self._origins = frozenset(each.encode() for each in settings.origins(port))
        self._headers = dict(HEADERS)
        if settings.secure:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = with_headers(message.get("headers", ()), self._headers)
            await send(message)

        try:
            self._check_head(scope)
            if scope["method"] not in SAFE:
                receive = await self._checked(receive)
            await self._app(scope, receive, answer)
        except Refused as refused:
            await _refuse(answer, refused)
        except Gone:
            return
        except Exception as error:
            _log.error("%s %s failed: %s", scope["method"], route_of(scope), _where(error))
            if not started:  # else the answer stays unfinished, and the connection is closed
                await _refuse(answer, Refused(500, FAILED))

    def _check_head(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if [value.lower() for name, value in headers if name == b"host"] not in [[host] for host in self._hosts]:
            raise Refused(400, "this server does not answer under that name: open the link that you were given")
        if len(scope["query_string"]) > _MOST_QUERY or len(scope["path"]) > _MOST_PATH:
            raise Refused(414, "that address is too long")
        if "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            raise Refused(400, "the address holds a NUL character")
        if any(name in _OVERRIDES for name, _ in headers):
            raise Refused(403, "this server does not let headers stand for another method")
        length = _only(headers, b"content-length")
        if length is not None and length.isdigit() and int(length[:20]) > self._settings.body_bytes:
            raise self._too_big()
        if scope["method"] not in SAFE:
            self._check_origin(headers)

    def _check_origin(self, headers: list[tuple[bytes, bytes]]) -> None:
        origins = [value for name, value in headers if name == b"origin"]
        own = len(origins) == 1 and origins[0] in self._origins
        if not own and (origins or _only(headers, b"sec-fetch-site") != b"same-origin"):
            raise Refused(403, "only this server's own pages may change anything")
        kind = (_only(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Refused(415, "a request that changes anything is of the type application/json")

    async def _checked(self, receive: Receive) -> Receive:
        """Read the whole body, check it, and return it to be received once more."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._settings.body_bytes:
                raise self._too_big()
        if len(body) > _WORTH_A_THREAD:
            await anyio.to_thread.run_sync(check_body, bytes(body), self._settings)
        else:
            check_body(bytes(body), self._settings)
        return _again(bytes(body), receive)

    def _too_big(self) -> Refused:
        return Refused(413, f"a request has at most {self._settings.body_bytes} bytes")


class Gone(Exception):
    """The client went away before its request was complete."""


def with_headers(headers: Iterable[tuple[bytes, bytes]], more: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with those of `more` that it does not have itself."""
    headers = list(headers)
    present = {name.lower() for name, _ in headers}
    return headers + [(name.encode(), value.encode()) for name, value in more.items() if name.encode() not in present]


def route_of(scope: Scope) -> str:
    """Return the route's pattern, which holds no id and nothing that anybody sent."""
    return str(getattr(scope.get("route"), "path", "no route"))


def _only(headers: list[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    found = [value for name, value in headers if name == wanted]
    return found[0] if len(found) == 1 else None


def _again(body: bytes, receive: Receive) -> Receive:
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return parts.pop() if parts else await receive()

    return received


async def _refuse(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.sentence}).encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the rest of its body is not read
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _where(error: BaseException) -> str:
    """Return the exception's class and the lines that it came through, without its message, which may quote texts."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    lines = ", ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    cause = error.__cause__
    return f"{type(error).__name__} at {lines}" + (f"; from {_where(cause)}" if cause is not None else "")
