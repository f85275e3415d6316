"""How items are handed out and answers come in."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends
from pydantic import Field

from rrm.core.annotation import MOST_QUESTIONS, Annotation, Lease, Person, Submission, consent_id
from rrm.core.desk import DeskReader, RaterDesk
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.web.access import Id, allow, limit
from rrm.web.fields import Body, Detail, Key, Nothing, Reason
from rrm.web.guidelines import for_group, guideline_html
from rrm.web.kinds import AnswerBody, Made, Question, answer_json, to_answer
from rrm.web.rater.wider import Wider
from rrm.web.shown import is_partial, lease_json
from rrm.web.station import Gate

_LONGEST_WORK = 7 * 24 * 3600.0  # seconds of active time that one answer can claim


class Drafting(Body):
    """Whatever the page needs to go on where the rater stopped; a text in `text` has its tokens counted."""

    draft: dict[str, Any]


class Answer(Body):
    """An answer to one question. `seconds` is active time, of a further question what it took beyond the one before."""

    shown: Annotated[str, Field(min_length=1, max_length=100)]
    answer: AnswerBody
    seconds: Annotated[float, Field(ge=0, le=_LONGEST_WORK)] | None = None
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    detail: Detail = Field(default_factory=dict)


class Answering(Body):
    """The answers to all questions of a lease, in their order; the same `key` again means the same answers."""

    key: Key
    answers: Annotated[list[Answer], Field(min_length=1, max_length=MOST_QUESTIONS)]


class Skipping(Body):
    key: Key
    reason: Reason


class Undoing(Body):
    """Which answer is taken back: a page names it, so that none is taken back twice; without, the last."""

    answer: Annotated[str, Field(max_length=100)] | None = None


class Agreeing(Body):
    """The id of the consent text that was shown and agreed to."""

    agreed: Annotated[str, Field(min_length=1, max_length=100)]


class Acknowledging(Body):
    """The version of the guidelines that was read."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Flagging(Body):
    text: Reason


@dataclass(frozen=True)
class Work:
    """What the routes of leases work with; `count` and `clock` are those of the station."""

    rater: RaterDesk
    read: DeskReader
    count: Callable[[str], int] | None
    wider: Wider
    clock: Callable[[], float]


def router(gate: Gate, work: Work) -> APIRouter:
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
        found = work.wider(lease.first.request.id)
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
        annotations = desk.submit(person.id, id, _submissions(work, person, id, body.answers), body.key)
        is_practice = annotations[0].purpose == "practice"
        practice = [_told(work, each) for each in annotations] if is_practice else None
        return {"id": annotations[0].id, "practice": practice, "next": _claimed(work, person)}

    @routes.post("/leases/{id}/skip")
    def skip(id: Id, person: Rater, body: Skipping) -> dict[str, Any]:
        limit(gate, "answers", person.id, gate.settings.answers_a_minute)
        desk.skip(person.id, id, body.reason, body.key)
        return {"next": _claimed(work, person)}

    @routes.post("/leases/{id}/flag")
    def flag(id: Id, person: Rater, body: Flagging) -> dict[str, Any]:
        desk.flag(person.id, id, body.text)
        return {}

    @routes.post("/consent")
    def consent(person: Rater, body: Agreeing) -> dict[str, Any]:
        desk.agree(person.id, body.agreed)
        return {}

    @routes.post("/guidelines/read")
    def acknowledge(person: Rater, body: Acknowledging) -> dict[str, Any]:
        desk.acknowledge(person.id, body.version)
        return {}

    @routes.post("/undo")
    def undo(person: Rater, body: Undoing) -> dict[str, Any]:
        return {"lease": _shown(work, desk.undo(person.id, body.answer))}

    return routes


def _claimed(work: Work, person: Person) -> dict[str, Any]:
    """Return the person's lease; without one, what to read first, that all is done, or why there is none."""
    asks = _asks(work, person)
    try:
        lease = None if asks is not None else work.rater.claim(person.id)
    except AccessError:  # paused, or practice was not passed: the ending or the reason says which
        lease = None
    ending = work.rater.ending(person.id) if lease is None and asks is None else None
    person, progress = work.read.person(person.id), work.rater.own_progress(person.id)  # practice may have ended
    return {
        "lease": _shown(work, lease) if lease is not None else None,
        "progress": asdict(progress),
        "asks": asks,
        "done": asdict(ending) if ending is not None else None,
        "reason": _why_none(person) if lease is None and ending is None and asks is None else None,
    }


def _asks(work: Work, person: Person) -> dict[str, Any] | None:
    """Return what has to be agreed to or read before the next item: one thing at a time."""
    unread = work.rater.unread(person.id)
    if unread.consent is not None:
        return {"consent": {"id": consent_id(unread.consent), "text": unread.consent}, "guideline": None}
    if unread.guideline is not None:
        latest, last = work.read.guideline(), work.read.guideline(unread.guideline)
        text, before = (for_group(each.text, person.group) for each in (latest, last))
        shown = {"version": latest.version, "html": guideline_html(text), "text": text}
        return {"consent": None, "guideline": {**shown, "read": last.version, "before": before}}
    return None


def _why_none(person: Person) -> str:
    if person.state == "paused":
        return "you are paused: there are no items for you until an admin lets you go on"
    return "other raters hold all that is left for you just now: ask again in a minute"


def _shown(work: Work, lease: Lease) -> dict[str, Any]:
    requests = [posed.request for posed in lease.questions]
    partial = {each.id for each in requests if is_partial(work.read, each)}
    return lease_json(lease, work.clock(), work.wider(lease.first.request.id) is not None, partial)


def _submissions(work: Work, person: Person, id: str, answers: Sequence[Answer]) -> list[Submission]:
    """Return what was sent, checked against the items.

    Items that are no longer at hand cannot be checked against; the desk then refuses the answers as too
    late, or knows the key and returns what it was given before.
    """
    try:
        lease = work.rater.lease(person.id, id)
    except ConflictError:
        points = work.read.settings().rating_points
        return [_submission(each, each.answer.made(points), each.seconds) for each in answers]
    if len(answers) != len(lease.questions):
        raise InputError(f"this sheet has {len(lease.questions)} questions, and {len(answers)} answers came")
    # by the server's clock nobody can have worked for longer than the sheet was at hand
    left = max(0.0, work.clock() - lease.since)
    submissions = []
    for each, posed in zip(answers, lease.questions, strict=True):
        texts = [shown.text for shown in posed.outputs]
        asked = Question(posed.request, texts, lease.points, work.count, is_partial(work.read, posed.request))
        made = to_answer(each.answer, asked)
        seconds = None if each.seconds is None else min(each.seconds, left)
        left -= seconds or 0.0
        submissions.append(_submission(each, made, seconds))
    return submissions


def _submission(sent: Answer, made: Made, seconds: float | None) -> Submission:
    return Submission(made.answer, sent.shown, seconds, sent.confidence, {**sent.detail, **made.detail})


def _told(work: Work, annotation: Annotation) -> dict[str, Any]:
    """Return what a rater is told after a practice item: the known answer, with places as they were shown."""
    item = work.read.item(annotation.item)
    expected = answer_json(item.expected, annotation.order) if item.expected is not None else None
    return {"right": annotation.right, "expected": expected, "explanation": item.explanation}
