"""Open work and what a rater gets of it: the item that comes first, with the rest of its sheet."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, ScalarSelect, bindparam, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from rrm.core.annotation import Purpose, Strategy
from rrm.queue.allot import ORDER, Allotted, allot, take_more
from rrm.queue.items import ITEM, LEASE, has_room, is_for_me, is_touched, not_touched


def _first(*order: Any) -> "ScalarSelect[int]":
    free = select(ITEM.c.seq).where(has_room(), is_for_me(), not_touched()).order_by(*order).limit(1)
    return free.correlate(None).scalar_subquery()


_FIRST: "Mapping[Strategy, ScalarSelect[int]]" = {strategy: _first(*order) for strategy, order in ORDER.items()}


def _take(place: "ScalarSelect[int]") -> "ReturningUpdate[tuple[str, str, str]]":
    took = update(ITEM).where(ITEM.c.seq == place).values(taken=ITEM.c.taken + 1)
    return took.returning(ITEM.c.id, ITEM.c.sheet, ITEM.c.question)


_TAKE = {strategy: _take(place) for strategy, place in _FIRST.items()}
_LOOK = {
    strategy: select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.group).where(ITEM.c.seq == place)
    for strategy, place in _FIRST.items()
}
_MEMBERS = (
    select(
        ITEM.c.seq, ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose, ITEM.c.wanted, ITEM.c.taken, ITEM.c.closed
    )
    .where(ITEM.c.sheet.in_(bindparam("sheets", expanding=True)))
    .order_by(ITEM.c.sheet, ITEM.c.position)
)
_TOUCHED_OF = select(LEASE.c.person, LEASE.c.question, LEASE.c.attempt).where(
    LEASE.c.person.in_(bindparam("us", expanding=True)),
    LEASE.c.question.in_(bindparam("questions", expanding=True)),
    is_touched(),
)


class Chosen(NamedTuple):
    """An item to lease; `fresh` if the rater surely never had its question in hand.

    A check by itself `stands_for` an item of work.
    """

    item: str
    sheet: str
    question: str
    purpose: Purpose = "work"
    attempt: int = 0
    fresh: bool = False
    stands_for: str | None = None

    @property
    def is_alone(self) -> bool:
        return self.sheet == self.item


def choose_work(connection: Connection, persons: Sequence[str], strategy: Strategy) -> dict[str, list[Chosen]]:
    """Choose work for each of these, as far as there is some for them, and take places of it."""
    one = Allotted({}, set(), list(persons))  # for whom a single statement is cheaper
    found, fresh, undecided = allot(connection, persons, strategy) if len(persons) > 1 else one
    chosen = with_sheets(
        connection,
        {person: Chosen(row.id, row.sheet, row.question, fresh=person in fresh) for person, row in found.items()},
    )
    for person in undecided:
        taken = connection.execute(_TAKE[strategy], {"me": person}).one_or_none()
        if taken is not None:
            chosen |= with_sheets(connection, {person: Chosen(taken.id, taken.sheet, taken.question)})
    return chosen


def first_open(connection: Connection, person: str, strategy: Strategy) -> Any:
    """Return the work that would come next, with its group, taking no place of it; None where there is none."""
    return connection.execute(_LOOK[strategy], {"me": person}).one_or_none()


def with_sheets(connection: Connection, chosen: Mapping[str, Chosen]) -> dict[str, list[Chosen]]:
    """Return each person's item with the rest of its sheet that wants answers of them, places of which are taken here.

    Those go first come, first served, in the order of the persons.
    """
    found, taken = gathered(connection, chosen)
    take_more(connection, taken)
    return found


def gathered(connection: Connection, chosen: Mapping[str, Chosen]) -> tuple[dict[str, list[Chosen]], dict[int, int]]:
    """Return the same with how many places of which items, by their `seq`, that would take beside those chosen."""
    sheets = {each.sheet for each in chosen.values() if not each.is_alone}
    found = {person: [each] for person, each in chosen.items()}
    if not sheets:
        return found, {}
    members: dict[str, list[Any]] = {}
    for row in connection.execute(_MEMBERS, {"sheets": list(sheets)}):
        members.setdefault(row.sheet, []).append(row)
    rows = [row for some in members.values() for row in some]
    questions = sorted({row.question for row in rows})
    us = [person for person, each in chosen.items() if each.sheet in members]
    touched = {tuple(row) for row in connection.execute(_TOUCHED_OF, {"us": us, "questions": questions})}
    taken: dict[int, int] = {}
    for person in us:
        one = chosen[person]
        had = {question for who, question, attempt in touched if who == person and attempt >= one.attempt}
        there = []
        for row in members[one.sheet]:
            if row.id == one.item:
                there.append(one)
            elif row.question not in had and (row.purpose != "work" or _is_open(row, taken.get(row.seq, 0))):
                there.append(Chosen(row.id, row.sheet, row.question, row.purpose, one.attempt, one.fresh))
                if row.purpose == "work":
                    taken[row.seq] = taken.get(row.seq, 0) + 1
        found[person] = there
    return found, taken


def has_touched(connection: Connection, person: str, questions: Sequence[str]) -> bool:
    return connection.execute(_TOUCHED_OF, {"us": [person], "questions": questions}).first() is not None


def _is_open(row: Any, more: int) -> bool:
    return not row.closed and row.taken + more < row.wanted
