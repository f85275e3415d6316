"""Leases as the record holds them, inside a desk's transaction: whose they are, and how they end."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from rrm.core.errors import AccessError, MissingError
from rrm.queue.items import ITEM, LEASE
from rrm.store.record import chunks

_FREE = (
    update(ITEM)
    .where(
        ITEM.c.id.in_(select(LEASE.c.item).where(LEASE.c.first == bindparam("one"))),
        ITEM.c.purpose == "work",
    )
    .values(taken=ITEM.c.taken - 1)
)
_LEASES = (
    select(LEASE).where(LEASE.c.first.in_(bindparam("these", expanding=True))).order_by(LEASE.c.first, LEASE.c.position)
)
_END = update(LEASE).where(LEASE.c.first.in_(bindparam("these", expanding=True))).values(state=bindparam("ended"))
_END_EACH = update(LEASE).where(LEASE.c.id.in_(bindparam("these", expanding=True))).values(state=bindparam("ended"))


def own_lease(connection: Connection, person: str, lease: str) -> list[Any]:
    """Return a lease's rows, one a question; MissingError if there is none, AccessError if it is somebody else's."""
    return own_leases(connection, {lease: person})[lease]


def own_leases(connection: Connection, persons: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the leases of these persons, each by the lease; raises as `own_lease` says."""
    rows: dict[str, list[Any]] = {}
    for row in lease_rows(connection, list(persons)) if persons else ():
        rows.setdefault(row.first, []).append(row)
    for lease, person in persons.items():
        if lease not in rows:
            raise MissingError(f"there is no lease {lease!r:.60}")
        if rows[lease][0].person != person:
            raise AccessError("this item was leased to somebody else")
    return rows


def lease_rows(connection: Connection, leases: Sequence[str]) -> Sequence[Any]:
    """Return the rows of leases, one a question, each lease's in its order."""
    return connection.execute(_LEASES, {"these": leases}).all()


def end_lease(connection: Connection, lease: str, state: str) -> None:
    """End a live lease that brought no answer, and free its places."""
    connection.execute(_FREE, {"one": lease})
    set_lease_state(connection, [lease], state)


def set_lease_state(connection: Connection, leases: Sequence[str], state: str) -> None:
    """Say how whole leases ended; the places stay as they are."""
    for some in chunks(leases):
        connection.execute(_END, {"these": some, "ended": state})


def end_questions(connection: Connection, rows: Sequence[str], state: str) -> None:
    """Say how some questions of leases ended, by the ids of their rows; the places stay as they are."""
    for some in chunks(rows):
        connection.execute(_END_EACH, {"these": some, "ended": state})
