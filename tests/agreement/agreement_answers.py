"""Answers on record, made by hand, for tests of agreement."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from rrm.core.annotation import Annotation, AnswerState, Purpose
from rrm.core.place import Place
from rrm.core.values import Answer

FIRST = Place()

_ids = count()


def told(
    person: str,
    item: str,
    answer: Answer,
    *,
    kind: str | None = None,
    order: tuple[int, ...] = (0, 1),
    seconds: float | None = None,
    state: AnswerState = "live",
    purpose: Purpose = "work",
    place: Place = FIRST,
    node: str | None = None,
    right: bool | None = None,
    adjudication: bool = False,
    shown: str = "shown-0",
    detail: Mapping[str, Any] | None = None,
) -> Annotation:
    """An answer, recorded after all that were made before it; its node is the item's own by default."""
    number = next(_ids)
    return Annotation(
        id=f"given-{number}",
        item=item,
        person=person,
        answer=answer,
        order=order,
        guideline=1,
        shown=shown,
        at=float(number),
        seconds=seconds,
        wall_seconds=seconds or 1.0,
        confidence=None,
        detail=detail or {},
        state=state,
        purpose=purpose,
        place=place,
        node=node or item,
        kind=kind or answer.kind,
        right=right,
        adjudication=adjudication,
    )
