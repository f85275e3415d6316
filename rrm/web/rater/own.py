"""What raters see of themselves: who they are, how far they have come, their last answers."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Path, Query

from rrm.agreement.hours import hours, time_zone
from rrm.core.annotation import Annotation, Person
from rrm.core.desk import DeskReader, RaterDesk
from rrm.web.access import allow
from rrm.web.fields import Nothing
from rrm.web.guidelines import for_group, guideline_html
from rrm.web.kinds import answer_json
from rrm.web.station import Gate

HISTORY = 10
"""How many of the sheets that they have answered a rater sees."""


def router(gate: Gate, rater: RaterDesk, read: DeskReader) -> APIRouter:
    """Return the routes by which people see how they stand."""
    routes = APIRouter()
    Anybody: TypeAlias = Annotated[Person, Depends(allow(gate, "annotator", "adjudicator", "admin", "reader"))]
    Rater: TypeAlias = Annotated[Person, Depends(allow(gate, "annotator", "adjudicator", "admin"))]

    @routes.get("/me")
    def me(person: Anybody) -> dict[str, Any]:
        settings, guideline = read.settings(), read.guideline()
        return {
            "id": person.id,
            "name": person.name,
            "role": person.role,
            "state": person.state,
            "progress": asdict(rater.own_progress(person.id)),
            "guideline": {
                "version": guideline.version,
                "html": guideline_html(for_group(guideline.text, person.group)),
            },
            "settings": {"rating_points": settings.rating_points, "markdown": settings.markdown},
        }

    @routes.get("/history")
    def history(person: Rater) -> list[dict[str, Any]]:
        last = deque(_sheets(each for each in read.answers(person=person.id) if _remembered(each)), maxlen=HISTORY)
        own = [each for sheet in reversed(last) for each in sheet]
        asked = read.asked([each.item for each in own])
        return [
            {
                "item": each.item,
                "kind": each.kind,
                "criterion": asked[each.item].criterion,
                "answer": answer_json(each.answer, each.order, each.detail),
                "at": each.at,
            }
            for each in own
        ]

    @routes.get("/hours")
    def own_hours(person: Rater, zone: Annotated[str, Query(max_length=60)] = "UTC") -> list[dict[str, Any]]:
        skips = [each for each in read.skips() if each.person == person.id]
        return [each.row() for each in hours(read.answers(person=person.id), skips, time_zone(zone))]

    @routes.get("/messages")
    def messages(person: Rater) -> list[dict[str, Any]]:
        return [{"number": each.number, "at": each.at, "text": each.text} for each in rater.inbox(person.id)]

    @routes.post("/messages/{number}/read")
    def put_away(number: Annotated[int, Path(ge=1, le=2**31 - 1)], person: Rater, _: Nothing) -> dict[str, Any]:
        rater.put_away(person.id, number)
        return {}

    return routes


def _sheets(answers: Iterable[Annotation]) -> Iterator[list[Annotation]]:
    """Yield the answers that were handed in together."""
    sheet: list[Annotation] = []
    for each in answers:
        if sheet and not each.position:
            yield sheet
            sheet = []
        sheet.append(each)
    if sheet:
        yield sheet


def _remembered(annotation: Annotation) -> bool:
    """Whether a rater sees an answer: whatever was decided since, for no decision is about a known answer."""
    stands = annotation.state in ("live", "adjudicated")
    return stands and annotation.purpose != "practice" and not annotation.adjudication
