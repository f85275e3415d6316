"""Checks hidden in work: gold and attention items, each in the shape of the work in whose place it comes."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from rrm.core.annotation import Item, Purpose
from rrm.queue.base import Base
from rrm.queue.checks import Shape, shape_of
from rrm.queue.items import ITEM, LEASE, ME, in_new_shape, insert_items, is_for_me, items_on, not_touched
from rrm.queue.next_work import Chosen, first_open, gathered, has_touched
from rrm.queue.practice import IS_CHECK, leads_checks
from rrm.queue.turns import Turn
from rrm.store.database import Opened
from rrm.store.recent import Recent

_MOST_CHECKS = 40
"""Checks, drawn at random, among which one is looked for that can be hidden; more would hold up all who wait."""

_CHECKS_KEPT = 1_000

_MINE = LEASE.alias("before")
_HAD = select(_MINE.c.id).where(_MINE.c.person == ME)
_CHECKS = select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose).where(
    IS_CHECK,
    ITEM.c.purpose == bindparam("purpose"),
    leads_checks(),
    is_for_me(),
    not_touched(),
    ~_HAD.where(_MINE.c.item == ITEM.c.id).exists().correlate(ITEM),
)
_HAS_HAD = _HAD.where(_MINE.c.item == bindparam("one")).limit(1)


class _Shaped(NamedTuple):
    """A sheet of checks: its shape, and those of its items to which the answer is known."""

    shape: Shape
    known: list[Item]


class HiddenChecks(Base):
    """The part of the desk that mixes checks in while there is work."""

    def __init__(self, opened: Opened, clock: Callable[[], float], random: Random) -> None:
        super().__init__(opened, clock, random)
        self._checks: Recent[_Shaped] = Recent(_CHECKS_KEPT)

    def _checked(self, connection: Connection, person: str, turn: Turn) -> list[Chosen]:
        """Return a gold item or attention check if chance has it, and there is one to be hidden in the work.

        Checks are looked up whether or not chance has it: what takes longer for a check would give it away. None comes
        before work that the person had in hand already, which would be missed.
        """
        every: dict[Purpose, int] = {"gold": turn.settings.gold_every, "attention": turn.settings.attention_every}
        shares = {purpose: 1 / every[purpose] for purpose in every if every[purpose] and purpose in turn.checks}
        if not shares:
            return []
        drawn = self.random.random()
        hit = drawn < sum(shares.values())
        purpose = next(iter(shares)) if drawn < next(iter(shares.values())) or not hit else list(shares)[-1]
        checks = connection.execute(_CHECKS, {"me": person, "purpose": purpose}).all()
        some = self.random.sample(checks, min(len(checks), _MOST_CHECKS))
        shaped = self._shaped(connection, [row.sheet for row in some])
        if not (hit and some):
            return []
        work = first_open(connection, person, turn.settings.strategy)
        if work is None or connection.execute(_HAS_HAD, {"me": person, "one": work.id}).first():
            return []
        return self._hidden(connection, person, some, shaped, work)

    def _hidden(
        self, connection: Connection, person: str, checks: Sequence[Any], shaped: Mapping[str, _Shaped], work: Any
    ) -> list[Chosen]:
        """Return one of these checks in the shape of the work in whose place it comes; none if none can have it."""
        [sheet] = gathered(connection, {person: Chosen(work.id, work.sheet, work.question)})[0].values()
        requests = self._requests(connection, [each.item for each in sheet])
        shape = shape_of([requests[each.item] for each in sheet], work.group)
        for row in checks:
            if shaped[row.sheet].shape != shape:
                continue
            check = Chosen(row.id, row.sheet, row.question, row.purpose)
            found = gathered(connection, {person: check})[0][person]
            if len(found) == len(sheet):
                return _instead_of(sheet, found)
        for row in checks:
            for known in shaped[row.sheet].known:
                new = in_new_shape(connection, known, shape, self.random)
                if new and not has_touched(connection, person, [each["question"] for each in new.rows]):
                    insert_items(connection, new)
                    keys = ("id", "sheet", "question", "purpose")
                    return _instead_of(sheet, [Chosen(*(each[key] for key in keys)) for each in new.rows])
        return []

    def _shaped(self, connection: Connection, sheets: Sequence[str]) -> dict[str, _Shaped]:
        """Return the shapes of sheets of checks, which never change, and what is known of them."""
        found = {each: shaped for each in sheets if (shaped := self._checks.get(each)) is not None}
        missing = [each for each in sheets if each not in found]
        for sheet, items in (items_on(connection, missing) if missing else {}).items():
            shape = shape_of([each.request for each in items], items[0].group)
            found[sheet] = _Shaped(shape, [each for each in items if each.expected is not None])
            self._checks.put(sheet, found[sheet])
        return found


def _instead_of(work: Sequence[Chosen], checks: Sequence[Chosen]) -> list[Chosen]:
    """Have checks stand for work, question by question."""
    return [check._replace(stands_for=each.item) for check, each in zip(checks, work, strict=True)]
