"""Ratings made elsewhere, recorded as answers: looked up and written many at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from rrm.core.annotation import Annotation
from rrm.core.errors import ConflictError, InputError, MissingError
from rrm.core.values import Answer, Rated
from rrm.queue.disagreement import disagreement
from rrm.queue.given import annotation_row, insert_annotations, live_answers
from rrm.queue.items import ITEM, LEASE, in_words, is_touched, item_rows
from rrm.queue.people import free_id
from rrm.store.kinds import read_place
from rrm.store.record import chunks
from rrm.store.tables import table

_PERSON = table("person")

_FROM = "elsewhere: "
"""What stands before a rater's label of elsewhere in the place of a participant id, so that no panel's id is equal."""

_COUNT_IN = (
    update(ITEM)
    .where(ITEM.c.id == bindparam("one"))
    .values({name: bindparam(f"new_{name}") for name in ("wanted", "taken", "given", "disagreement", "changed")})
)


def record_entered(connection: Connection, rated: Sequence[Rated], now: float, new_id: Callable[[str], str]) -> int:
    """Record ratings, each with a lease that has ended, and return how many are new; raises as `Places.enter` says."""
    items = item_rows(connection, list({each.request.id for each in rated}))
    rated = _under_pseudonyms(connection, rated, now)
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


def _under_pseudonyms(connection: Connection, rated: Sequence[Rated], now: float) -> list[Rated]:
    """Return ratings under the pseudonyms of those who gave them; who is not there yet is added, paused.

    What stands in the ratings may be an address: unless it is a pseudonym of this record, it is kept as the
    participant id and, where nobody has it, as the name. `forget` erases both; nothing else is derived from it.
    """
    pseudonyms: dict[str, str] = {}
    for some in chunks(sorted({each.feedback.rater for each in rated})):
        pseudonyms |= {id_: id_ for id_ in _there(connection, _PERSON.c.id, some)}
        before = _there(connection, _PERSON.c.participant, [_FROM + label for label in some])
        pseudonyms |= {label.removeprefix(_FROM): id_ for label, id_ in before.items()}
        taken = _there(connection, _PERSON.c.name, some)
        new = {label: free_id(connection, _PERSON.c.id, "p") for label in some if label not in pseudonyms}
        about = {"role": "annotator", "kind": "person", "state": "paused", "password": None, "created": now}
        rows = [
            {"id": id_, "name": None if label in taken else label, "participant": _FROM + label, **about}
            for label, id_ in new.items()
        ]
        if rows:
            connection.execute(insert(_PERSON), rows)
        pseudonyms |= new
    return [_of(each, pseudonyms[each.feedback.rater]) for each in rated]


def _there(connection: Connection, column: Any, labels: Sequence[str]) -> dict[str, str]:
    """Return the pseudonyms of those whose column holds one of these labels."""
    rows = connection.execute(select(column.label("known"), _PERSON.c.id).where(column.in_(labels)))
    return {row.known: row.id for row in rows}


def _of(rated: Rated, rater: str) -> Rated:
    return Rated(rated.request, replace(rated.feedback, rater=rater))


# ---- rows ----


def _lease(rated: Rated, item: Any, now: float, id_: str) -> dict[str, Any]:
    what = {"item": item.id, "sheet": item.sheet, "question": item.question}
    who = {"id": id_, "first": id_, "position": 0, **what, "person": rated.feedback.rater}
    order = list(range(len(rated.request.shown)))
    told = {"purpose": "work", "attempt": 0, "order": order, "guideline": 0, "points": 0, "shown": ""}
    return {**who, **told, "at": now, "expires": now, "state": "answered"}


def _annotation(rated: Rated, item: Any, now: float, id_: str) -> Annotation:
    feedback, order = rated.feedback, tuple(range(len(rated.request.shown)))
    about = (0, "", now, feedback.seconds, 0.0, feedback.confidence, {"entered": True})
    what = ("live", "work", read_place(item.place), item.node, item.kind)
    asked = {"sheet": item.sheet, "criterion": rated.request.criterion}
    return Annotation(id_, item.id, feedback.rater, feedback.answer, order, *about, *what, **asked)  # type: ignore[arg-type]


def _counted(item: Any, answers: Sequence[Answer], new: int, now: float) -> dict[str, Any]:
    taken = item.taken + new
    known = {"new_wanted": max(item.wanted, taken), "new_taken": taken, "new_given": item.given + new}
    return {"one": item.id, **known, "new_disagreement": disagreement(answers), "new_changed": now}
