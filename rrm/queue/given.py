"""Answers as the record holds them, inside a desk's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Text, and_, bindparam, cast, func, insert, literal_column, select, update

from rrm.core.annotation import Annotation, AnswerState
from rrm.core.errors import InputError
from rrm.core.values import Answer
from rrm.queue.disagreement import disagreement
from rrm.queue.items import ITEM
from rrm.queue.practice import GIVEN
from rrm.store.kinds import answer_from, from_json, read_place, to_json
from rrm.store.record import chunks
from rrm.store.tables import table

RETRACTION, RESTORATION = table("retraction"), table("restoration")

_SHORT = 100
"""Characters of an answer's JSON up to which it is kept: many give the same answer."""

_COLUMNS: dict[str, Any] = {
    **GIVEN.c,
    **{name: cast(GIVEN.c[name], Text).label(name) for name in ("answer", "order", "detail")},
    "state": func.coalesce(RETRACTION.c.state, "live").label("state"),
}
_KIND = len(Annotation._fields)
_PLACE = Annotation._fields.index("place") - Annotation._fields.index("state")  # behind what is read one by one
IS_RETRACTED = and_(
    RETRACTION.c.given == GIVEN.c.id,
    ~select(RESTORATION.c.seq).where(RESTORATION.c.retraction == RETRACTION.c.seq).exists().correlate(RETRACTION),
)
"""That a retraction is of this answer and counts; an answer has at most one."""

EVERY = select(
    *(_COLUMNS[name] for name in Annotation._fields), GIVEN.c.answer_kind, GIVEN.c.seq, GIVEN.c.lease
).join_from(GIVEN, RETRACTION, IS_RETRACTED, isouter=True)
"""Annotations and their states, for `as_annotation`: its fields in their order, then the answer's kind."""

IS_LIVE = RETRACTION.c.seq.is_(None)

_DONE_SO_FAR = EVERY.where(
    and_(GIVEN.c.person == bindparam("me"), GIVEN.c.purpose != "practice", ~GIVEN.c.adjudication),
    GIVEN.c.position == 0,
    IS_LIVE | (RETRACTION.c.state != "undone"),
).with_only_columns(func.count())

_LIVE = (
    EVERY.where(GIVEN.c.item.in_(bindparam("items", expanding=True)), IS_LIVE)
    .with_only_columns(GIVEN.c.item, GIVEN.c.answer_kind, GIVEN.c.answer)
    .order_by(GIVEN.c.seq)
)
_NEXT: dict[str, Any] = {
    each.name: select(func.coalesce(func.max(each.c.seq), 0) + 1).scalar_subquery()
    for each in (GIVEN, RETRACTION, RESTORATION)
}
_NEW_ANSWER = insert(GIVEN).values(seq=_NEXT["given"])
_NEW_RETRACTION = insert(RETRACTION).values(seq=_NEXT["retraction"])
_NEW_RESTORATION = insert(RESTORATION).values(seq=_NEXT["restoration"])
_ADJUDICATED = (
    select(RETRACTION.c.seq)
    .join_from(GIVEN, RETRACTION, IS_RETRACTED)
    .where(GIVEN.c.item == bindparam("one"), RETRACTION.c.state == "adjudicated")
)
_COUNT_IN = (
    update(ITEM)
    .where(ITEM.c.id == bindparam("one"), ITEM.c.purpose == literal_column("'work'"))
    .values(
        given=ITEM.c.given + bindparam("come"),
        taken=ITEM.c.taken - bindparam("free"),
        disagreement=bindparam("differ"),
        changed=bindparam("now"),
    )
)


def done_so_far(connection: Connection, person: str) -> int:
    """Return how many sheets somebody answered, practice and decisions aside, that they did not take back."""
    return int(connection.execute(_DONE_SO_FAR, {"me": person}).scalar_one())


def as_annotation(row: Any) -> Annotation:
    """Make the value of a row of `EVERY`."""
    # by place: to look columns up by name takes longer than all the rest
    id_, item, person, answer, order, guideline, shown, at, active, wall, confidence, detail, *told = row[:_KIND]
    told[_PLACE] = read_place(told[_PLACE])
    read = _short_answer if len(answer) <= _SHORT else _answer
    about = (read(row[_KIND], answer), _order(order), guideline, shown, at, active, wall, confidence, from_json(detail))
    return Annotation(id_, item, person, *about, *told)


def _answer(kind: str, text: str) -> Answer:
    return answer_from(kind, from_json(text))


_short_answer = lru_cache(4_000)(_answer)


@lru_cache(1_000)
def _order(text: str) -> tuple[int, ...]:
    return tuple(from_json(text))


def insert_annotations(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append answers, each as `annotation_row` makes it."""
    connection.execute(_NEW_ANSWER, rows)


def annotation_row(annotation: Annotation, key: str, lease: str | None, attempt: int = 0) -> dict[str, Any]:
    """Return the columns of an answer that is live; raise InputError for one that JSON cannot hold."""
    try:
        answer, detail = to_json(annotation.answer), to_json(dict(annotation.detail))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the answer cannot be recorded: {error}") from error
    return {
        "id": annotation.id,
        "key": key,
        "position": annotation.position,
        "lease": lease,
        "item": annotation.item,
        "sheet": annotation.sheet,
        "person": annotation.person,
        "answer_kind": annotation.answer.kind,
        "answer": answer,
        "order": to_json(annotation.order),
        "guideline": annotation.guideline,
        "shown": annotation.shown,
        "at": annotation.at,
        "seconds": annotation.seconds,
        "wall_seconds": annotation.wall_seconds,
        "confidence": annotation.confidence,
        "detail": detail,
        "purpose": annotation.purpose,
        "place": str(annotation.place),
        "node": annotation.node,
        "kind": annotation.kind,
        "criterion": annotation.criterion,
        "right": annotation.right,
        "adjudication": annotation.adjudication,
        "attempt": attempt,
    }


def retract(connection: Connection, answers: Sequence[str], state: AnswerState, now: float, by: str) -> None:
    """Say of answers that they no longer count."""
    if answers:
        connection.execute(_NEW_RETRACTION, [{"given": id_, "state": state, "at": now, "by": by} for id_ in answers])


def restore(connection: Connection, item: str, now: float, by: str) -> None:
    """Have the answers to an item that a decision had replaced count again."""
    retractions = connection.execute(_ADJUDICATED, {"one": item}).scalars().all()
    if retractions:
        connection.execute(_NEW_RESTORATION, [{"retraction": seq, "at": now, "by": by} for seq in retractions])


def recount(
    connection: Connection, come: Mapping[str, int], now: float, *, frees: bool = False, alone: Collection[str] = ()
) -> None:
    """Count answers that came to items (or went, below 0); how much those left differ is found anew.

    `frees` says that places are set free by as many, `alone` which items never have two answers.
    """
    live = live_answers(connection, [item for item in come if item not in alone])
    about = [
        {"one": item, "come": more, "free": -more if frees else 0, "differ": disagreement(live[item]), "now": now}
        for item, more in come.items()
    ]
    if about:
        connection.execute(_COUNT_IN, about)


def live_answers(connection: Connection, items: Iterable[str]) -> "defaultdict[str, list[Answer]]":
    """Return the answers that count by item, the earliest first."""
    live: defaultdict[str, list[Answer]] = defaultdict(list)
    for some in chunks(list(items)):
        for item, kind, held in connection.execute(_LIVE, {"items": some}):
            live[item].append(answer_from(kind, held))
    return live
