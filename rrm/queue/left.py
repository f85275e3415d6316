"""How many items are left for somebody, without counting them for every answer."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from rrm.core.annotation import Lease
from rrm.queue.items import ITEM, LEASE, ME, has_room, is_held, is_touched, not_touched
from rrm.store.recent import Recent

_COUNTED_SECONDS = 10.0
"""For so long what is left for somebody is not counted anew."""

_PERSONS_KEPT = 1_000

_ROOM = select(func.count()).select_from(ITEM).where(has_room())
_ROOM_TOUCHED = (
    select(func.count(ITEM.c.seq.distinct()))
    .join_from(LEASE, ITEM, LEASE.c.question == ITEM.c.question)
    .where(LEASE.c.person == ME, is_touched(), has_room())
)
_MAY_COME_BACK = (
    select(func.count(ITEM.c.seq.distinct()))
    .join_from(LEASE, ITEM, LEASE.c.item == ITEM.c.id)
    .where(LEASE.c.person != ME, is_held(), LEASE.c.purpose == "work")
    .where(ITEM.c.taken >= ITEM.c.wanted, ~ITEM.c.closed, not_touched())
)
_HOLDS = select(LEASE.c.id).where(LEASE.c.person == ME, is_held())
_LEFT = select(_ROOM.scalar_subquery() - _ROOM_TOUCHED.scalar_subquery() + _MAY_COME_BACK.scalar_subquery())


class _Counted(NamedTuple):
    """What was left at a time, less what was handed out since; and which lease the person holds."""

    at: float
    left: int
    lease: str | None


class Left:
    """How many items are left for each person: counted anew after a while, and between that counted down.

    To count takes the longer the more the person has done: twelve milliseconds after 3,000 items.
    """

    def __init__(self) -> None:
        self._known: Recent[_Counted] = Recent(_PERSONS_KEPT)

    def count(self, connection: Connection, person: str, now: float) -> int:
        """Return how many items with a question that the person has not touched have room, or others hold all of it."""
        known = self._known.get(person)
        if known is None or not known.at <= now < known.at + _COUNTED_SECONDS:
            left = connection.execute(_LEFT, {"me": person}).scalar_one()
            known = _Counted(now, left, connection.execute(_HOLDS, {"me": person}).scalar())
            self._known.put(person, known)
        return known.left

    def handed_out(self, person: str, lease: Lease | None) -> None:
        """Note what a person who asked for an item got, perhaps the one that was held already."""
        known = self._known.get(person)
        if known is not None and lease is None:
            self.forget(person)  # for whom nothing is left is told exactly
        elif known is not None and lease is not None and lease.id != known.lease:
            one = 1 if lease.purpose == "work" else 0
            self._known.put(person, _Counted(known.at, max(0, known.left - one), lease.id))

    def forget(self, person: str) -> None:
        """Have what is left for this person counted anew."""
        self._known.forget(person)
