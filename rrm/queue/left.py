"""How many sheets are left for somebody, without counting them for every answer, and without telling checks apart.

Gold items and attention checks are no part of what is left, so an exact count would stand still when one is handed
out, and give it away. A person is therefore told an estimate that falls by one with every sheet, whatever it is for.
An item that is alone is a sheet of its own.
"""

from math import ceil
from random import Random
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from rrm.core.annotation import DeskSettings, Lease
from rrm.queue.items import ITEM, LEASE, ME, has_room, is_for_me, is_held, is_touched, not_touched
from rrm.queue.practice import IS_CHECK, count_checks, leads_checks
from rrm.store.recent import Recent

_COUNTED_SECONDS = 10.0
"""For so long what is left for somebody is not counted anew."""

_LASTS = (40, 60)
"""After how many items, at random between these, an estimate is made anew."""

_PERSONS_KEPT = 1_000

_OTHER = ITEM.alias("other")
_STILL = (
    select(_OTHER.c.seq)
    .where(_OTHER.c.sheet == ITEM.c.sheet, has_room(_OTHER), not_touched(_OTHER))
    .exists()
    .correlate(ITEM)
)
"""That the item's sheet has others, which want answers of the person."""

_ROOM = select(func.count(ITEM.c.sheet.distinct())).where(has_room(), is_for_me())
_ROOM_TOUCHED = (
    select(func.count(ITEM.c.sheet.distinct()))
    .join_from(LEASE, ITEM, LEASE.c.question == ITEM.c.question)
    .where(LEASE.c.person == ME, is_touched(), has_room(), is_for_me(), or_(ITEM.c.sheet == ITEM.c.id, ~_STILL))
)
_MAY_COME_BACK = (
    select(func.count(ITEM.c.sheet.distinct()))
    .join_from(LEASE, ITEM, LEASE.c.item == ITEM.c.id)
    .where(LEASE.c.person != ME, is_held(), LEASE.c.purpose == "work")
    .where(ITEM.c.taken >= ITEM.c.wanted, ~ITEM.c.closed, is_for_me(), not_touched())
)
_CHECKS = (
    select(ITEM.c.purpose, func.count())
    .where(IS_CHECK, ITEM.c.purpose.in_(["gold", "attention"]), leads_checks(), is_for_me(), not_touched())
    .group_by(ITEM.c.purpose)
)
_HOLDS = select(LEASE.c.id).where(LEASE.c.person == ME, is_held(), LEASE.c.position == 0)
_LEFT = select(_ROOM.scalar_subquery() - _ROOM_TOUCHED.scalar_subquery() + _MAY_COME_BACK.scalar_subquery())


_FEWER = 10
"""By so many an estimate falls short of the truth by chance alone, where fewer checks came than expected."""


class _Told(NamedTuple):
    """What a person was told `at` a time: the estimate, for how many more items it lasts, and the lease then held."""

    at: float
    left: int
    lasts: int
    lease: str | None


class Left:
    """How many sheets are left for each person, as far as the person may know.

    To count takes the longer the more the person has done: twelve milliseconds after 3,000 items.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._told: Recent[_Told] = Recent(_PERSONS_KEPT)

    def count(self, connection: Connection, person: str, now: float, settings: DeskSettings) -> int:
        """Return an estimate of how many sheets will come; 0 if and only if there are none for a person who holds none.

        What others have done since is told after ten seconds, if it is more than the person's own checks explain.
        """
        told = self._told.get(person)
        if told is not None and told.at <= now < told.at + _COUNTED_SECONDS:
            return told.left
        work = connection.execute(_LEFT, {"me": person}).scalar_one()
        left = work + _checks_to_come(connection, person, work, settings)
        may_be_own = told is not None and told.left - _FEWER <= left <= told.left + _LASTS[1]
        if told is None or not (may_be_own and _has_checks(connection)):
            told = _Told(now, left, self._random.randint(*_LASTS), connection.execute(_HOLDS, {"me": person}).scalar())
        self._told.put(person, told._replace(at=now))
        return told.left

    def handed_out(self, person: str, lease: Lease | None) -> None:
        """Note what a person who asked for an item got, perhaps the one that was held already."""
        told = self._told.get(person)
        if told is None:
            return
        if lease is None:
            self.forget(person)  # for whom nothing is left is told exactly
        elif lease.first.purpose != "practice" and lease.id != told.lease:
            if told.lasts > 1:
                self._told.put(person, _Told(told.at, max(0, told.left - 1), told.lasts - 1, lease.id))
            else:
                self.forget(person)

    def taken_back(self, person: str, lease: Lease, held: bool) -> None:
        """Note that a person took an answer back, and got its item again in the place of the one `held`, if any."""
        told = self._told.get(person)
        if told is not None:
            self._told.put(person, told._replace(left=told.left + held, lease=lease.id))

    def forget(self, person: str) -> None:
        """Have what is left for this person counted anew."""
        self._told.forget(person)


def _has_checks(connection: Connection) -> bool:
    counts = count_checks(connection)
    return bool(counts.get("gold") or counts.get("attention"))


def _checks_to_come(connection: Connection, person: str, work: int, settings: DeskSettings) -> int:
    """Return how many checks are expected among the items to come; none without work to hide them in."""
    there: dict[str, int] = dict(connection.execute(_CHECKS, {"me": person}).all()) if work else {}
    every = {"gold": settings.gold_every, "attention": settings.attention_every}
    share = sum((1 / every[purpose] for purpose in there if every[purpose]), 0.0)
    expected = ceil(work * share / (1 - share)) if share < 1 else sum(there.values())
    return min(sum(there.values()), expected)
