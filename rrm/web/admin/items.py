"""Looking through the items and what was answered to them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Query

from rrm.core import values
from rrm.core.annotation import Annotation, ItemState, Person
from rrm.core.desk import DeskReader
from rrm.core.place import Place
from rrm.web.access import Id, allow
from rrm.web.admin.viewing import Number, names_for
from rrm.web.kinds import answer_json, summary
from rrm.web.places import Wording
from rrm.web.shown import is_partial, output_json, question_json, view_json
from rrm.web.station import Gate

SEARCHED_AT_ONCE = 2_500
"""In how many items one request looks for a text; with `next` the page goes on, and nobody waits for a rare one."""


def router(gate: Gate, desk: DeskReader) -> APIRouter:
    """Return the routes that look through the items."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/items")
    def items(
        _: Viewer,
        place: Annotated[str | None, Query(max_length=40)] = None,
        state: ItemState | None = None,
        kind: Annotated[str | None, Query(max_length=40)] = None,
        node: Annotated[str | None, Query(max_length=100)] = None,
        text: Annotated[str | None, Query(max_length=200)] = None,
        after: Number = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        up_to = after + SEARCHED_AT_ONCE if text else None
        at = Place.parse(place) if place is not None else None
        conditions: dict[str, Any] = {"place": at, "state": state, "kind": kind, "node": node, "text": text}
        found = desk.search_items(**conditions, after=after, up_to=up_to, limit=limit + 1)
        following = None
        if len(found) > limit:
            following = found[limit - 1].seq
        elif up_to is not None and desk.search_items(after=up_to, limit=1):
            following = up_to
        worded = Wording(desk)
        rows = [{**asdict(each), **worded(each.place)} for each in found[:limit]]
        return {"items": rows, "next": following, "places": [worded(each) for each in worded.places]}

    @routes.get("/items/{item}")
    def item(item: Id, viewer: Viewer) -> dict[str, Any]:
        found = desk.item(item)
        order = range(len(found.request.shown))
        expected = answer_json(found.expected, order) if found.expected is not None else None
        return {
            **shown_item(desk, found.request),
            "purpose": found.purpose,
            "wanted": found.wanted,
            "value": found.value,
            "expected": expected,
            "explanation": found.explanation,
            "given": given(desk, viewer, item),
        }

    return routes


def shown_item(desk: DeskReader, request: values.Request) -> dict[str, Any]:
    """Return what a rater's page shows of an item, but outputs in the request's own order."""
    settings = desk.settings()
    return {
        "item": request.id,
        **view_json(request.view),
        "outputs": [output_json(each, request.kind == values.ClaimMarks.kind) for each in request.shown],
        **question_json(request, is_partial(desk, request)),
        "max_tokens": request.view.max_tokens,
        "points": settings.rating_points,
        "markdown": settings.markdown,
        **Wording(desk)(request.place),
        "node": request.node,
    }


def given(desk: DeskReader, viewer: Person, item: str) -> list[dict[str, Any]]:
    """Return the answers to an item, of every state, with places in the request's own order."""
    names = names_for(desk, viewer)
    return [_answer(each, names) for each in desk.item_answers(item)]


def _answer(annotation: Annotation, names: Mapping[str, str]) -> dict[str, Any]:
    order = range(len(annotation.order))
    return {
        "id": annotation.id,
        "person": annotation.person,
        "name": names.get(annotation.person),
        "answer": answer_json(annotation.answer, order, annotation.detail),
        "summary": summary(annotation.answer, order),
        "order": list(annotation.order),
        "state": annotation.state,
        "at": annotation.at,
        "seconds": annotation.seconds,
        "confidence": annotation.confidence,
        "guideline": annotation.guideline,
        "right": annotation.right,
        "adjudication": annotation.adjudication,
    }
