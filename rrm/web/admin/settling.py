"""Settling what raters disagree on: the adjudicator's routes."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends
from pydantic import Field

from rrm.core.annotation import Person, Submission, shown_hash
from rrm.core.desk import Adjudication, DeskReader
from rrm.core.errors import MissingError
from rrm.web.access import Id, allow
from rrm.web.admin.items import given, shown_item
from rrm.web.fields import Body, Detail, Key
from rrm.web.kinds import AnswerBody, Question, to_answer
from rrm.web.places import Wording
from rrm.web.shown import is_partial
from rrm.web.station import Gate

_MOST_DISPUTED = 100


class Deciding(Body):
    """A decision on a disputed item, places in the request's own order; the same `key` again means the same one."""

    key: Key
    answer: AnswerBody
    detail: Detail = Field(default_factory=dict)


class Undoing(Body):
    decision: Annotated[str, Field(min_length=1, max_length=100)]


def router(gate: Gate, desk: DeskReader, disputes: Adjudication, count: Callable[[str], int] | None) -> APIRouter:
    """Return the adjudicator's routes."""
    routes = APIRouter(prefix="/disputed")
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "adjudicator", "admin", "reader"))]
    Judge: TypeAlias = Annotated[Person, Depends(allow(gate, "adjudicator", "admin"))]

    @routes.get("")
    def disputed(viewer: Viewer) -> dict[str, Any]:
        found = disputes.disputed(_MOST_DISPUTED)
        requests, worded = desk.requests([id for id, _ in found]), Wording(desk)
        own = disputes.rated_by(viewer.id, list(requests))
        items = [
            {
                "item": id,
                "disagreement": value,
                **worded(requests[id].place),
                "kind": requests[id].kind,
                "own": id in own,
            }
            for id, value in sorted(found, key=lambda row: row[0] in own)  # others' first
        ]
        return {"items": items, "total": disputes.disputed_count()}

    @routes.get("/{item}")
    def one(item: Id, viewer: Viewer) -> dict[str, Any]:
        found = desk.item(item)
        if found.purpose != "work":
            raise MissingError(f"there is no item {item!r:.60} to settle")
        return {**shown_item(desk, found.request), "given": given(desk, viewer, item)}

    @routes.post("/{item}/decide")
    def decide(item: Id, judge: Judge, body: Deciding) -> dict[str, Any]:
        request, points = desk.item(item).request, desk.settings().rating_points
        texts = [each.text for each in request.shown]
        made = to_answer(body.answer, Question(request, texts, points, count, is_partial(desk, request)))
        shown = shown_hash(request, range(len(texts)), desk.guideline().version, points)
        submission = Submission(made.answer, shown, detail={**body.detail, **made.detail})
        return {"id": disputes.adjudicate(judge.id, item, submission, body.key).id}

    @routes.post("/{item}/undo")
    def undo(item: Id, judge: Judge, body: Undoing) -> dict[str, Any]:
        if body.decision not in {each.id for each in desk.item_answers(item)}:
            raise MissingError("there is no such decision on this item")
        disputes.undo_decision(judge.id, body.decision)
        return {}

    return routes
