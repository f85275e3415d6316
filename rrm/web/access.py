"""Who may do what: sessions in a cookie, and the roles that every route declares."""

import re
from hashlib import blake2b
from secrets import token_urlsafe
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import HTTPException, Path, Request, Response

from rrm.core.annotation import ROLES, Person, Role
from rrm.web.limits import WINDOW, address_key
from rrm.web.station import Gate

SESSION_SECONDS, KEPT_SECONDS = 7 * 24 * 3600, 90 * 24 * 3600
HOMES: dict[Role, str] = {
    "annotator": "/work",
    "adjudicator": "/admin/adjudicate",
    "admin": "/admin",
    "reader": "/admin",
}
"""The page on which each role's work begins."""

Id = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id in a route's path."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,200}")


class Allow:
    """A dependency that lets in sessions of some roles and hands the endpoint the person.

    Without a session it answers 401, with another role 403; a page sends the browser to /login or to
    the role's own page instead.
    """

    def __init__(self, gate: Gate, roles: tuple[Role, ...], page: bool) -> None:
        assert roles and set(roles) <= set(ROLES), f"roles are {', '.join(ROLES)}, got {roles}"
        self.roles = roles
        self._gate = gate
        self._page = page

    def __call__(self, request: Request) -> Person:
        person = visitor(self._gate, request)
        if person is None:
            if self._page:
                raise _elsewhere("/login")
            raise HTTPException(
                401, "there is no session: log in with your name and password, or open your invitation link"
            )
        if person.role not in self.roles:
            if self._page:
                raise _elsewhere(HOMES[person.role])
            raise HTTPException(403, f"this is not for the role {person.role}: it takes {' or '.join(self.roles)}")
        return person


def allow(gate: Gate, *roles: Role) -> Allow:
    """Return the dependency that lets in these roles: `Annotated[Person, Depends(allow(gate, "admin"))]`."""
    return Allow(gate, roles, page=False)


def visit(gate: Gate, *roles: Role) -> Allow:
    """Return the same for a page, which sends away whom it does not let in."""
    return Allow(gate, roles, page=True)


def public() -> None:
    """The dependency by which a route says that anybody may use it."""


def visitor(gate: Gate, request: Request) -> Person | None:
    """Return whose session the request belongs to, or None; count it, and raise HTTPException 429 beyond the limit."""
    token = session_token(gate, request)
    if token is None:
        return None
    person, key = gate.sessions.who(token), digest(token)
    if person is None and gate.limits.take("dead session", key, 1) == 0:
        # one that is sent again and again, as by a page left open, counts once: else it shuts its neighbours out
        limit(gate, "unknown sessions", address(gate, request), 10 * gate.settings.attempts_a_minute)
    limit(gate, "requests", key, gate.settings.requests_a_minute)
    return person


def limit(gate: Gate, name: str, key: str, most: int, window: float = WINDOW) -> None:
    """Count a request; raise HTTPException 429 with Retry-After if there were `most` within `window` seconds."""
    wait = gate.limits.take(name, key, most, window)
    if wait:
        span = "a minute" if window == WINDOW else f"in {window / 60:g} minutes"
        sentence = f"that is more than {most} {span}: wait {wait} seconds"
        raise HTTPException(429, sentence, headers={"Retry-After": str(wait)})


def digest(text: str) -> str:
    """Return what a secret or a name is counted under, so that no memory holds it."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def address(gate: Gate, request: Request) -> str:
    """Return what the client is counted under.

    That is the address of the connection; where this is a trusted proxy's, the last of X-Forwarded-For that
    is no trusted proxy's. Other headers that name an address, and this one from anybody else, are not believed.
    """
    client = request.client.host if request.client else ""
    if gate.settings.trusts(client):
        named = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        client = next(
            (each for name in reversed(named) if (each := name.strip()) and not gate.settings.trusts(each)), client
        )
    return address_key(client)


def cookie_name(gate: Gate, request: Request) -> str:
    """Return the session cookie's name.

    Browsers send cookies of 127.0.0.1 to every port, so two stations on one machine differ in the name.
    """
    if gate.settings.secure:
        return "__Host-rrm"
    if gate.settings.public_url:
        return f"rrm-{urlsplit(gate.settings.public_url).port or 80}"  # one for all servers behind a proxy
    server = request.scope.get("server")
    return f"rrm-{server[1] if server else 0}"


def session_token(gate: Gate, request: Request) -> str | None:
    """Return the token in the session cookie, None where there is none of a token's form."""
    token = request.cookies.get(cookie_name(gate, request), "")
    return token if _TOKEN.fullmatch(token) else None


def begin_session(gate: Gate, request: Request, response: Response, token: str, keep: bool) -> None:
    """Give the browser a new session, with `keep` a long one, and end the one that it had, whoever's that was."""
    end_session(gate, request)
    response.set_cookie(
        cookie_name(gate, request),
        token,
        max_age=KEPT_SECONDS if keep else SESSION_SECONDS,
        path="/",
        secure=gate.settings.secure,
        httponly=True,
        samesite="lax",
    )


def end_session(gate: Gate, request: Request) -> None:
    """End the session of this request, if there is one."""
    token = session_token(gate, request)
    if token is not None:
        gate.sessions.log_out(token)


def forget_session(gate: Gate, request: Request, response: Response) -> None:
    """Have the browser drop its session cookie."""
    response.delete_cookie(
        cookie_name(gate, request), path="/", secure=gate.settings.secure, httponly=True, samesite="lax"
    )


def device_of(gate: Gate, request: Request) -> str:
    """Return what this browser is known by, the same after a log-out; a new random name for one that has none."""
    told = request.cookies.get(f"{cookie_name(gate, request)}-device", "")
    return told if _TOKEN.fullmatch(told) else token_urlsafe(16)


def remember_device(gate: Gate, request: Request, response: Response, device: str) -> None:
    """Have the browser keep what it is known by, so that nobody practises anew under another participant id."""
    name = f"{cookie_name(gate, request)}-device"
    secure = gate.settings.secure
    response.set_cookie(name, device, max_age=KEPT_SECONDS, path="/", secure=secure, httponly=True, samesite="lax")


def invitation(gate: Gate, request: Request, token: str) -> str:
    """Return the link that a token is given out as; its fragment never reaches a log or a Referer."""
    base = gate.settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}/join#{token}"


def _elsewhere(path: str) -> HTTPException:
    return HTTPException(303, "this page is for others", headers={"Location": path})
