"""How people come and go: invitations, passwords, sessions, and the limits on trying."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias
from unicodedata import normalize

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import Field

from rrm.core.annotation import Person, shortest_password
from rrm.core.desk import Rules, Sessions
from rrm.core.errors import AccessError, InputError
from rrm.web.access import (
    HOMES,
    address,
    allow,
    begin_session,
    device_of,
    digest,
    end_session,
    forget_session,
    limit,
    public,
    remember_device,
)
from rrm.web.fields import Body, Nothing
from rrm.web.limits import WINDOW
from rrm.web.station import Gate

_CROWD = 20
"""How many people try to come in from one address at once, such as that of a university or of a proxy."""

_HOUR = 3600.0


class Joining(Body):
    """A token of an invitation or a panel, what came with a panel's link, and the id of the text agreed to.

    `keep` asks for a long session, on a device of one's own; `key` is made up by the page, and the same when it
    asks again because no reply came.
    """

    token: Annotated[str, Field(min_length=1, max_length=200)]
    participant: Annotated[str, Field(max_length=200)] | None = None
    proof: Annotated[str, Field(max_length=200)] | None = None
    agreed: Annotated[str, Field(max_length=100)] | None = None
    key: Annotated[str, Field(min_length=16, max_length=100)] | None = None
    keep: bool = False


class LoggingIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=1_024)]
    keep: bool = False


class Choosing(Body):
    password: Annotated[str, Field(min_length=1, max_length=1_024)]


def router(gate: Gate, sessions: Sessions, rules: Rules) -> APIRouter:
    """Return the routes by which people come and go."""
    routes = APIRouter()
    Anybody: TypeAlias = Annotated[Person, Depends(allow(gate, "annotator", "adjudicator", "admin", "reader"))]

    @routes.post("/join", dependencies=[Depends(public)])
    def join(body: Joining, request: Request, response: Response) -> dict[str, Any]:
        if rules.settings().consent and body.agreed is None:
            raise InputError("the consent text has not been agreed to: read it and tick the box first")
        participant = (body.participant or "").strip() or None
        device = device_of(gate, request)
        with _Attempt(gate, _join_limits(gate, request)):
            told = {"proof": body.proof, "device": device, "agreed": body.agreed, "key": body.key}
            token = sessions.join(body.token, participant, keep=body.keep, **told)
        if participant is not None:
            remember_device(gate, request, response, device)
        return _enter(gate, request, response, token, body.keep)

    @routes.post("/login", dependencies=[Depends(public)])
    def login(body: LoggingIn, request: Request, response: Response) -> dict[str, Any]:
        with _Attempt(gate, _log_in_limits(gate, request, body.name)):
            token = sessions.log_in(body.name, body.password, keep=body.keep)
        return _enter(gate, request, response, token, body.keep)

    @routes.post("/password")
    def password(person: Anybody, body: Choosing) -> dict[str, Any]:
        sessions.choose_password(person.id, body.password)
        return {}

    @routes.post("/logout")
    def logout(_: Anybody, __: Nothing, request: Request, response: Response) -> dict[str, Any]:
        end_session(gate, request)
        forget_session(gate, request, response)
        return {}

    return routes


class _Limit(NamedTuple):
    """So many of a name and key within `window` seconds; `late` counts an attempt only once it has failed."""

    name: str
    key: str
    most: int
    window: float = WINDOW
    late: bool = False


def _join_limits(gate: Gate, request: Request) -> list[_Limit]:
    """Return the limits of joining. A good link is let in whatever others behind its address have tried."""
    key, most = address(gate, request), gate.settings.attempts_a_minute
    return [_Limit("joins", key, _CROWD * most), _Limit("failed joins", key, most, late=True)]


def _log_in_limits(gate: Gate, request: Request, name: str) -> list[_Limit]:
    """Return the limits of logging in: by address and name; by name, wherever from; and, for the work, by address."""
    key, most, called = address(gate, request), gate.settings.attempts_a_minute, digest(normalize("NFC", name).strip())
    by_name = _Limit("log-ins of anybody", called, 4 * most, _HOUR)
    return [_Limit("log-ins", f"{key} {called}", most), by_name, _Limit("crowd's log-ins", key, _CROWD * most)]


class _Attempt:
    """Counts an attempt to come in against its limits, and takes those that succeed out of the counts again."""

    def __init__(self, gate: Gate, limits: Sequence[_Limit]) -> None:
        self._gate, self._limits = gate, limits

    def __enter__(self) -> None:
        self._count(late=False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            for each in self._limits:
                if not each.late:
                    self._gate.limits.give_back(each.name, each.key)
        elif isinstance(error, AccessError):
            self._count(late=True)
            raise HTTPException(401, str(error)) from error

    def _count(self, late: bool) -> None:
        for each in self._limits:
            if each.late == late:
                limit(self._gate, each.name, each.key, each.most, each.window)


def _enter(gate: Gate, request: Request, response: Response, token: str, keep: bool) -> dict[str, Any]:
    """Return where to go next, and whether to ask first for a password, with which somebody comes back in."""
    person = gate.sessions.who(token)
    assert person is not None, "a session that was made just now"
    begin_session(gate, request, response, token, keep)
    lacks_one = not person.has_password and person.participant is None  # a panel's link leads in again
    choose = shortest_password(person.role) if lacks_one else None
    return {"next": HOMES[person.role], "name": person.name, "choose": choose}
