"""Items for many raters who ask at once: what they would get one after another, by few statements for all.

Of a sheet its first item is looked at. One whose first item has what it wants, while others do not, is left to those
who claim one by one.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from rrm.core.annotation import Strategy
from rrm.queue.items import ITEM, LEASE, has_room, is_touched
from rrm.store.tables import table

SPARE = 16
"""Items looked at beyond one for each rater, for those who have touched the first."""

_PERSON = table("person")
_COLUMNS = (
    ITEM.c.seq,
    ITEM.c.id,
    ITEM.c.sheet,
    ITEM.c.question,
    ITEM.c.wanted,
    ITEM.c.taken,
    ITEM.c.shuffle,
    ITEM.c.group,
)
_GROUPS = select(_PERSON.c.id, _PERSON.c.group).where(_PERSON.c.id.in_(bindparam("us", expanding=True)))
_OPEN = (
    select(*_COLUMNS, ITEM.c.value, ITEM.c.disagreement)
    .where(has_room(), ITEM.c.position == 0, ITEM.c.group.in_(bindparam("groups", expanding=True)))
    .limit(bindparam("most"))
)

ORDER: dict[Strategy, tuple[Any, ...]] = {
    "valuable": (ITEM.c.value.desc(), ITEM.c.shuffle.desc()),
    "least-done": (ITEM.c.taken, ITEM.c.shuffle),
    "disagreement": (ITEM.c.disagreement.desc(), ITEM.c.shuffle.desc()),
}
"""Which open item comes first."""

_FIRST = {strategy: _OPEN.order_by(*order) for strategy, order in ORDER.items()}
_KEY: dict[Strategy, Callable[[Any, int], tuple[float, float]]] = {  # the same order, of a row so often taken
    "valuable": lambda row, taken: (-row.value, -row.shuffle),
    "least-done": lambda row, taken: (taken, row.shuffle),
    "disagreement": lambda row, taken: (-row.disagreement, -row.shuffle),
}
_HAD = select(LEASE.c.person, LEASE.c.question, is_touched()).where(
    LEASE.c.question.in_(bindparam("questions", expanding=True)),
    LEASE.c.person.in_(bindparam("us", expanding=True)),
)
_TAKE = (
    update(ITEM)
    .where(ITEM.c.seq.in_(bindparam("these", expanding=True)))
    .values(taken=ITEM.c.taken + bindparam("more"))
)


class InQueue(NamedTuple):
    """An item's place among the open ones; `taken` counts those who were just allotted it."""

    key: tuple[float, float]
    seq: int
    taken: int
    row: Any


class Allotted(NamedTuple):
    """Whose item is which row by person, who has not seen it before, and for whom what was looked at does not tell."""

    rows: dict[str, Any]
    fresh: set[str]
    undecided: list[str]


def allot(connection: Connection, persons: Sequence[str], strategy: Strategy) -> Allotted:
    """Take a place of an item for each of these raters, in turn."""
    most = len(persons) + SPARE
    group_of: dict[str, str] = dict(connection.execute(_GROUPS, {"us": persons}).all())
    groups = sorted({"", *group_of.values()})
    rows = connection.execute(_FIRST[strategy], {"most": most, "groups": groups}).all()
    if not rows:
        return Allotted({}, set(), list(persons))
    asked = {"questions": [row.question for row in rows], "us": persons}
    had = connection.execute(_HAD, asked).all()
    touched = {(person, question) for person, question, still in had if still}
    key = _KEY[strategy]
    places = [InQueue(key(row, row.taken), row.seq, row.taken, row) for row in rows]
    # behind the last place there may be items that were not looked at
    last = places[-1].key if len(rows) == most else (float("inf"), float("inf"))
    allotted: dict[str, Any] = {}
    undecided = []
    for person in persons:
        own = ("", group_of[person])
        found = next(
            (
                at
                for at, place in enumerate(places)
                if place.row.group in own and (person, place.row.question) not in touched
            ),
            None,
        )
        if found is not None and places[found].key <= last:
            place = places.pop(found)
            allotted[person] = place.row
            if place.taken + 1 < place.row.wanted:
                insort(places, InQueue(key(place.row, place.taken + 1), place.seq, place.taken + 1, place.row))
        else:
            undecided.append(person)
    take_more(connection, Counter(row.seq for row in allotted.values()))
    seen = {(person, question) for person, question, _ in had}
    fresh = {person for person, row in allotted.items() if (person, row.question) not in seen}
    return Allotted(allotted, fresh, undecided)


def take_more(connection: Connection, taken: Mapping[int, int]) -> None:
    """Take so many places of items, by their `seq`."""
    for more in set(taken.values()):
        connection.execute(_TAKE, {"these": [seq for seq in taken if taken[seq] == more], "more": more})
