"""Ratings made elsewhere, recorded as answers: looked up and written many at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from rrm.core.annotation import Annotation
from rrm.core.errors import ConflictError, InputError, MissingError
from rrm.core.values import Answer, Rated
from rrm.queue.claims import PERSON
from rrm.queue.disagreement import disagreement
from rrm.queue.given import annotation_row, insert_annotations, live_answers
from rrm.queue.items import ITEM, LEASE, in_words, is_touched, item_rows
from rrm.store.kinds import read_place
from rrm.store.record import chunks

_COUNT_IN = (
    update(ITEM)
    .where(ITEM.c.id == bindparam("one"))
    .values({name: bindparam(f"new_{name}") for name in ("wanted", "taken", "given", "disagreement", "changed")})
)


def record_entered(connection: Connection, rated: Sequence[Rated], now: float, new_id: Callable[[str], str]) -> int:
    """Record ratings, each with a lease that has ended, and return how many are new; raises as `Places.enter` says."""
    items = item_rows(connection, list({each.request.id for each in rated}))
    touched = _touched(connection, {item.question for item in items.values()})
    leases, annotations = [], []
    answers: dict[str, list[Answer]] = defaultdict(list)
    for each in rated:
        item, rater = _open_item(connection, items, each.request.id), each.feedback.rater
        if item.settled or (item.question, rater) in touched:
            continue
        touched.add((item.question, rater))
        leases.append(_lease(each, item, now, new_id("lease")))
        answer = _annotation(each, item, now, new_id("given"))
        annotations.append(annotation_row(answer, f"entered {each.feedback.id}", leases[-1]["id"]))
        answers[item.id].append(each.feedback.answer)
    if annotations:
        _add_raters(connection, {lease["person"] for lease in leases}, now)
        connection.execute(insert(LEASE), leases)
        before = live_answers(connection, answers)
        insert_annotations(connection, annotations)
        counted = [_counted(items[id_], before[id_] + new, len(new), now) for id_, new in answers.items()]
        connection.execute(_COUNT_IN, counted)
    return len(annotations)


# ---- what is there ----


def _open_item(connection: Connection, items: dict[str, Any], id_: str) -> Any:
    item = items.get(id_)
    if item is None:
        raise MissingError(f"there is no item {id_!r:.60}: add it before its ratings")
    if item.purpose != "work":
        raise InputError(f"{item.id} is for {item.purpose}: ratings made elsewhere are for work only")
    if item.closed:
        where = in_words(connection, read_place(item.place))
        raise ConflictError(f"{where} is frozen: {item.id} takes no more answers")
    return item


def _touched(connection: Connection, questions: Iterable[str]) -> set[tuple[str, str]]:
    """Return the questions that somebody holds, has answered or has passed on, each with who that is."""
    asked = select(LEASE.c.question, LEASE.c.person).where(is_touched())
    found = (connection.execute(asked.where(LEASE.c.question.in_(some))) for some in chunks(list(questions)))
    return {(question, person) for rows in found for question, person in rows}


def _add_raters(connection: Connection, raters: Iterable[str], now: float) -> None:
    """Add those who are not there yet, under the ids and, where they are free, the names that stand in the ratings."""
    for some in chunks(sorted(raters)):
        known, names = (
            set(connection.execute(select(column).where(column.in_(some))).scalars())
            for column in (PERSON.c.id, PERSON.c.name)
        )
        about = {"role": "annotator", "kind": "person", "state": "paused", "participant": None, "password": None}
        new = [{"id": each, "name": None if each in names else each} for each in some if each not in known]
        if new:
            connection.execute(insert(PERSON), [{**each, **about, "created": now} for each in new])


# ---- rows ----


def _lease(rated: Rated, item: Any, now: float, id_: str) -> dict[str, Any]:
    who = {"id": id_, "item": item.id, "question": item.question, "person": rated.feedback.rater}
    order = list(range(len(rated.request.shown)))
    told = {"purpose": "work", "attempt": 0, "order": order, "guideline": 0, "points": 0, "shown": ""}
    return {**who, **told, "at": now, "expires": now, "state": "answered"}


def _annotation(rated: Rated, item: Any, now: float, id_: str) -> Annotation:
    feedback, order = rated.feedback, tuple(range(len(rated.request.shown)))
    about = (0, "", now, feedback.seconds, 0.0, feedback.confidence, {"entered": True})
    what = ("live", "work", read_place(item.place), item.node, item.kind)
    return Annotation(id_, item.id, feedback.rater, feedback.answer, order, *about, *what)  # type: ignore[arg-type]


def _counted(item: Any, answers: Sequence[Answer], new: int, now: float) -> dict[str, Any]:
    taken = item.taken + new
    known = {"new_wanted": max(item.wanted, taken), "new_taken": taken, "new_given": item.given + new}
    return {"one": item.id, **known, "new_disagreement": disagreement(answers), "new_changed": now}
