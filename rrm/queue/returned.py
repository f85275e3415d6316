"""What its rater had before and gets again: sheets with a draft, and checks that went back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, select, update

from rrm.core.annotation import Strategy
from rrm.queue.drafts import DRAFT
from rrm.queue.items import ITEM, LEASE, ME, has_room, is_for_me, not_touched, went_back
from rrm.queue.leases import end_lease, lease_rows
from rrm.queue.next_work import Chosen, first_open, with_sheets
from rrm.queue.practice import is_apart, leads_checks

_TAKE_ONE = (
    update(ITEM).where(ITEM.c.id == bindparam("one"), has_room()).values(taken=ITEM.c.taken + 1).returning(ITEM.c.id)
)
_MINE, _INSTEAD = LEASE.alias("before"), ITEM.alias("instead")
_LEFT = select(_MINE.c.first).where(_MINE.c.person == ME, went_back(_MINE))
_STILL_OPEN = (
    _LEFT.join(_INSTEAD, _INSTEAD.c.id == _MINE.c.stands_for)
    .where(_MINE.c.sheet == ITEM.c.sheet, has_room(_INSTEAD), not_touched(_INSTEAD))
    .exists()
    .correlate(ITEM)
)
"""That the item is a check that the person let run out, and what it stood for then is open."""

_DRAFTED = (
    select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose)
    .join_from(DRAFT, ITEM, DRAFT.c.sheet == ITEM.c.sheet)
    .where(DRAFT.c.person == ME, has_room() | and_(leads_checks(), _STILL_OPEN), is_for_me(), not_touched())
    .order_by(DRAFT.c.at.desc(), ITEM.c.position)
    .limit(1)
)
_WENT_BACK = (
    select(LEASE.c.first, LEASE.c.stands_for)
    .join_from(LEASE, ITEM, LEASE.c.item == ITEM.c.id)
    .where(LEASE.c.person == ME, went_back(), is_apart(), is_for_me(), not_touched())
    .order_by(
        select(func.min(_MINE.c.at))
        .where(_MINE.c.person == ME, _MINE.c.item == LEASE.c.item)
        .correlate(LEASE)
        .scalar_subquery()
    )
)
"""The checks that the person let run out, those seen first in front, as the work would come again."""

_LAST_LEFT = _LEFT.where(_MINE.c.sheet == bindparam("one")).order_by(_MINE.c.at.desc()).limit(1)
_OPEN = select(ITEM.c.id).where(ITEM.c.id.in_(bindparam("ids", expanding=True)), has_room(), not_touched())
_STAND_FOR = update(LEASE).where(LEASE.c.first == bindparam("one")).values(stands_for=bindparam("work"))


def drafted(connection: Connection, person: str) -> list[Chosen]:
    """Return the open items of the sheet of the person's latest draft."""
    found = connection.execute(_DRAFTED, {"me": person}).one_or_none()
    if found is None:
        return []
    if found.purpose != "work":
        left = connection.execute(_LAST_LEFT, {"me": person, "one": found.sheet}).scalar_one()
        return _left_open(connection, left)
    connection.execute(_TAKE_ONE, {"one": found.id})
    return with_sheets(connection, {person: Chosen(*found)})[person]


def returned(connection: Connection, person: str, strategy: Strategy) -> list[Chosen]:
    """Return a check that went back, where what it stands for would come now: work that went back comes again."""
    left = connection.execute(_WENT_BACK, {"me": person}).all()
    work = first_open(connection, person, strategy) if left else None
    lease = next((row.first for row in left if work is not None and row.stands_for == work.id), None)
    return [] if lease is None else _left_open(connection, lease)


def put_back(connection: Connection, lease: str, person: str, strategy: Strategy) -> None:
    """End a live lease that ran out or was left.

    Where others have taken the work for which checks stood, these then stand for what comes next, as work that was
    kept for its rater would.
    """
    end_lease(connection, lease, "expired")
    rows = lease_rows(connection, [lease])
    if all(row.stands_for is not None for row in rows) and not _open_of(connection, rows):
        work = first_open(connection, person, strategy)
        if work is not None:
            connection.execute(_STAND_FOR, {"one": lease, "work": work.id})


def chosen_again(rows: Sequence[Any]) -> list[Chosen]:
    """Return what the rows of a lease that ended are of, to lease it again."""
    return [
        Chosen(row.item, row.sheet, row.question, row.purpose, row.attempt, stands_for=row.stands_for) for row in rows
    ]


def _left_open(connection: Connection, lease: str) -> list[Chosen]:
    """Return those checks of a lease that went back for which they stand is open."""
    rows = lease_rows(connection, [lease])
    open_ = _open_of(connection, rows)
    return chosen_again([row for row in rows if row.stands_for in open_])


def _open_of(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """Return what is open to its rater of the work for which the rows of a lease stand."""
    asked = {"me": rows[0].person, "ids": [row.stands_for for row in rows]}
    return set(connection.execute(_OPEN, asked).scalars())
