"""What a rater's page asks of the server: to come in, to be handed an item, and to have an answer kept."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple, TypeAlias
from unicodedata import normalize

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import AfterValidator, Field

from rrm.core.annotation import Annotation, Lease, OwnProgress, Person, Submission, shortest_password
from rrm.core.desk import Catalogue, DeskReader, RaterDesk, Rules, Sessions
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.web.access import (
    HOMES,
    Id,
    address,
    allow,
    begin_session,
    digest,
    end_session,
    forget_session,
    limit,
    public,
)
from rrm.web.guidelines import guideline_html
from rrm.web.kinds import (
    DETAILS,
    AnswerBody,
    Body,
    Question,
    answer_json,
    lease_json,
    shown_texts,
    to_answer,
)
from rrm.web.limits import WINDOW
from rrm.web.station import Gate, Station

_CROWD = 20
"""How many people try to come in from one address at once, such as that of a university or of a proxy."""

_HOUR = 3600.0

HISTORY = 10
"""How many of the own answers a rater sees."""

_LONGEST_WORK = 7 * 24 * 3600.0  # seconds of active time that one answer can claim

Key = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"\S")]
Scalar: TypeAlias = bool | int | float | Annotated[str, Field(max_length=1_000)] | None


def _not_ours(detail: dict[str, Scalar]) -> dict[str, Scalar]:
    if taken := detail.keys() & DETAILS:
        raise ValueError(f"{min(taken)} is worked out by the server")
    return detail


Detail = Annotated[dict[Annotated[str, Field(max_length=50)], Scalar], Field(max_length=20), AfterValidator(_not_ours)]
"""What a page adds to an answer, such as the time away from it."""


class Nothing(Body):
    """A body that says nothing more than its route."""


class Joining(Body):
    """A token of an invitation or a panel, the participant id that came with the link, and consent.

    `keep` asks for a long session, on a device of one's own.
    """

    token: Annotated[str, Field(min_length=1, max_length=200)]
    participant: Annotated[str, Field(max_length=200)] | None = None
    agreed: bool = False
    keep: bool = False


class LoggingIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=1_024)]
    keep: bool = False


class Choosing(Body):
    password: Annotated[str, Field(min_length=1, max_length=1_024)]


class Drafting(Body):
    """Whatever the page needs to go on where the rater stopped; a text in `text` has its tokens counted."""

    draft: dict[str, Any]


class Answering(Body):
    """An answer; the same `key` again means the same answer. `seconds` is active time."""

    key: Key
    shown: Annotated[str, Field(min_length=1, max_length=100)]
    answer: AnswerBody
    seconds: Annotated[float, Field(ge=0, le=_LONGEST_WORK)] | None = None
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    detail: Detail = Field(default_factory=dict)


class Skipping(Body):
    key: Key
    reason: Reason


class Undoing(Body):
    """Which answer is taken back: a page names it, so that none is taken back twice; without, the last."""

    answer: Annotated[str, Field(max_length=100)] | None = None


class Flagging(Body):
    text: Reason


@dataclass(frozen=True)
class _Work:
    """What the routes of leases work with; `count` and `clock` are those of the station."""

    rater: RaterDesk
    read: DeskReader
    count: Callable[[str], int] | None
    wider: "_Wider"
    clock: Callable[[], float]


class _Wider:
    """What stands around a request's source: told of all items or of none.

    Checks from a file have none. So nobody is told it while there is such a check, which it would give away.
    """

    def __init__(self, of: Callable[[str], tuple[str, str, str] | None] | None, items: Catalogue) -> None:
        self._of, self._items = of, items
        self._looked: tuple[frozenset[str], bool] = frozenset(), True

    def __call__(self, request: str) -> tuple[str, str, str] | None:
        return self._of(request) if self._of is not None and self._is_told(self._of) else None

    def _is_told(self, of: Callable[[str], tuple[str, str, str] | None]) -> bool:
        checks = frozenset(self._items.checks())
        if self._looked[0] != checks:
            self._looked = checks, all(of(each) is not None for each in checks)
        return self._looked[1]


def router(station: Station) -> APIRouter:
    """Return the rater's routes."""
    routes = APIRouter(prefix="/api")
    desk = station.desk
    routes.include_router(_doors(station.gate, desk, desk, desk))
    routes.include_router(
        _leases(station.gate, _Work(desk, desk, station.count, _Wider(station.wider, desk), station.clock))
    )
    return routes


def _doors(gate: Gate, sessions: Sessions, rater: RaterDesk, rules: Rules) -> APIRouter:
    """Return the routes by which people come and go."""
    routes = APIRouter()
    Anybody: TypeAlias = Annotated[Person, Depends(allow(gate, "annotator", "adjudicator", "admin", "reader"))]

    @routes.post("/join", dependencies=[Depends(public)])
    def join(body: Joining, request: Request, response: Response) -> dict[str, Any]:
        if rules.settings().consent and not body.agreed:
            raise InputError("the consent text has not been agreed to: read it and tick the box first")
        participant = (body.participant or "").strip() or None
        with _Attempt(gate, _join_limits(gate, request)):
            token = sessions.join(body.token, participant, keep=body.keep)
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

    @routes.get("/me")
    def me(person: Anybody) -> dict[str, Any]:
        settings, guideline = rules.settings(), rules.guideline()
        return {
            "id": person.id,
            "name": person.name,
            "role": person.role,
            "state": person.state,
            "progress": asdict(rater.own_progress(person.id)),
            "guideline": {"version": guideline.version, "html": guideline_html(guideline.text)},
            "settings": {"rating_points": settings.rating_points},
        }

    return routes


def _leases(gate: Gate, work: _Work) -> APIRouter:
    """Return the routes by which items are handed out and answers come in."""
    routes = APIRouter()
    desk = work.rater
    Rater: TypeAlias = Annotated[Person, Depends(allow(gate, "annotator", "adjudicator", "admin"))]

    @routes.post("/claim")
    def claim(person: Rater, _: Nothing) -> dict[str, Any]:
        return _claimed(work, person)

    @routes.get("/leases/{id}/wider")
    def wider(id: Id, person: Rater) -> dict[str, Any]:
        lease = desk.lease(person.id, id)
        found = work.wider(lease.request.id)
        if found is None:
            raise MissingError("what stands around this source is not on record")
        return dict(zip(("before", "text", "after"), found, strict=True))

    @routes.post("/leases/{id}/renew")
    def renew(id: Id, person: Rater, _: Nothing) -> dict[str, Any]:
        return {"expires_in": max(0.0, desk.renew(person.id, id) - work.clock())}

    @routes.put("/leases/{id}/draft")
    def draft(id: Id, person: Rater, body: Drafting) -> dict[str, Any]:
        desk.save_draft(person.id, id, body.draft)
        text = body.draft.get("text")
        return {"tokens": work.count(text) if work.count is not None and isinstance(text, str) else None}

    @routes.post("/leases/{id}/answer")
    def answer(id: Id, person: Rater, body: Answering) -> dict[str, Any]:
        limit(gate, "answers", person.id, gate.settings.answers_a_minute)
        annotation = desk.submit(person.id, id, _submission(work, person, id, body), body.key)
        practice = _told(work, annotation) if annotation.purpose == "practice" else None
        return {"id": annotation.id, "practice": practice, "next": _claimed(work, person)}

    @routes.post("/leases/{id}/skip")
    def skip(id: Id, person: Rater, body: Skipping) -> dict[str, Any]:
        limit(gate, "answers", person.id, gate.settings.answers_a_minute)
        desk.skip(person.id, id, body.reason, body.key)
        return {"next": _claimed(work, person)}

    @routes.post("/leases/{id}/flag")
    def flag(id: Id, person: Rater, body: Flagging) -> dict[str, Any]:
        desk.flag(person.id, id, body.text)
        return {}

    @routes.post("/undo")
    def undo(person: Rater, body: Undoing) -> dict[str, Any]:
        return {"lease": _shown(work, desk.undo(person.id, body.answer))}

    @routes.get("/history")
    def history(person: Rater) -> list[dict[str, Any]]:
        own = (each for each in work.read.answers(person=person.id) if _remembered(each))
        return [
            {
                "item": each.item,
                "kind": each.kind,
                "answer": answer_json(each.answer, each.order, each.detail),
                "at": each.at,
            }
            for each in reversed(deque(own, maxlen=HISTORY))
        ]

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


def _claimed(work: _Work, person: Person) -> dict[str, Any]:
    """Return the person's lease, new or old; without one, that all is done or why there is nothing just now."""
    try:
        lease = work.rater.claim(person.id)
    except AccessError:  # paused, or practice was not passed: `_why_none` says which
        lease = None
    person, progress = work.read.person(person.id), work.rater.own_progress(person.id)  # practice may have ended
    done = lease is None and _done(person, progress)
    code = work.read.settings().completion_code or None if done else None
    return {
        "lease": _shown(work, lease) if lease is not None else None,
        "progress": asdict(progress),
        "done": {"completion_code": code} if done else None,
        "reason": _why_none(person, progress) if lease is None and not done else None,
    }


def _done(person: Person, progress: OwnProgress) -> bool:
    """Return whether nothing is left for good for somebody who may rate."""
    return person.state in ("active", "practising") and not progress.practising and progress.left == 0


def _why_none(person: Person, progress: OwnProgress) -> str:
    if person.state == "paused":
        return "you are paused: there are no items for you until an admin lets you go on"
    if person.state == "refused":
        return "the practice items were not passed, so there are no items for you; an admin can let you in"
    return "other raters hold all that is left for you just now: ask again in a minute"


def _shown(work: _Work, lease: Lease) -> dict[str, Any]:
    return lease_json(lease, work.clock(), work.wider(lease.request.id) is not None)


def _submission(work: _Work, person: Person, id: str, body: Answering) -> Submission:
    """Return what was sent, checked against the item.

    An item that is no longer at hand cannot be checked against; the desk then refuses the answer as too
    late, or knows the key and returns what it was given before.
    """
    seconds = body.seconds
    try:
        lease = work.rater.lease(person.id, id)
    except ConflictError:
        made = body.answer.made(work.read.settings().rating_points)
    else:
        made = to_answer(body.answer, Question(lease.request, shown_texts(lease), lease.points, work.count))
        # by the server's clock nobody can have worked for longer than the item was at hand
        seconds = None if seconds is None else min(seconds, max(0.0, work.clock() - lease.since))
    return Submission(made.answer, body.shown, seconds, body.confidence, {**body.detail, **made.detail})


def _told(work: _Work, annotation: Annotation) -> dict[str, Any]:
    """Return what a rater is told after a practice item: the known answer, with places as they were shown."""
    item = work.read.item(annotation.item)
    expected = answer_json(item.expected, annotation.order) if item.expected is not None else None
    return {"right": annotation.right, "expected": expected, "explanation": item.explanation}


def _remembered(annotation: Annotation) -> bool:
    return annotation.state == "live" and annotation.purpose != "practice" and not annotation.adjudication
