"""Open items ordered anew by what they are worth, and how it stood each time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from rrm.core.annotation import NextItem, OpenItem, Valuation
from rrm.core.asking import LEFT
from rrm.core.errors import InputError
from rrm.queue.base import Base
from rrm.queue.items import ITEM, LEASE, has_room, is_held
from rrm.store.kinds import read_place
from rrm.store.record import chunks
from rrm.store.tables import table

_VALUATION, _ASKED = table("valuation"), table("asked")
_KEPT = [each.name for each in fields(Valuation)]
_OPEN = select(ITEM.c.id, ITEM.c.sheet, ITEM.c.value, ITEM.c.wanted - ITEM.c.given).where(
    ITEM.c.purpose == "work", ~ITEM.c.closed, ~ITEM.c.settled, ITEM.c.given < ITEM.c.wanted
)
_HELD = select(LEASE.c.item).where(is_held(), LEASE.c.purpose == "work")
_VALUE = update(ITEM).where(ITEM.c.id == bindparam("one")).values(value=bindparam("worth"))
_LAST_ASKED = select(func.max(_ASKED.c.seq)).where(_ASKED.c.request == ITEM.c.id).correlate(ITEM).scalar_subquery()
_NEXT = (
    select(
        ITEM.c.seq,
        ITEM.c.id,
        ITEM.c.place,
        ITEM.c.kind,
        ITEM.c.node,
        ITEM.c.sheet,
        ITEM.c.value,
        ITEM.c.taken - ITEM.c.given,
        _ASKED.c.stream,
        _ASKED.c.value,
    )
    .join(_ASKED, _ASKED.c.seq == _LAST_ASKED, isouter=True)
    .where(has_room())
    .order_by(ITEM.c.value.desc(), ITEM.c.shuffle.desc(), ITEM.c.position)
    .limit(bindparam("most"))
)
_STREAM = select(_ASKED.c.stream).where(_ASKED.c.request == bindparam("one")).order_by(_ASKED.c.seq.desc()).limit(1)


class Valued(Base):
    """The part of the desk that puts what is worth most first; nothing that a rater holds changes."""

    def open_items(self) -> list[OpenItem]:
        """Return the work that wants more answers, in no order."""
        with self._read() as connection:
            return [OpenItem(*row) for row in connection.execute(_OPEN)]

    def held_items(self) -> list[str]:
        """Return the items of work that raters have in their hands, one for each rater who has it."""
        with self._read() as connection:
            return list(connection.execute(_HELD).scalars())

    def revalue(self, values: Mapping[str, float], standing: Valuation) -> None:
        """Have these items go before others by their values, and record how it stands with them.

        InputError for a value that is not finite. Written a thousand at a time, so that raters' turns come between.
        """
        for item, value in values.items():
            if not value - value == 0:
                raise InputError(f"{item}: an item's value is a finite number, got {value!r}")
        for some in chunks(list(values)):
            rows = [{"one": each, "worth": float(values[each])} for each in some]

            def write(connection: Connection, rows: Sequence[dict[str, object]] = rows) -> None:
                connection.execute(_VALUE, rows)

            self._do(write, durable=False)

        def keep(connection: Connection) -> None:
            connection.execute(insert(_VALUATION), [asdict(standing)])

        self._do(keep, durable=False)

    def valuations(self) -> list[Valuation]:
        """Return how it stood each time that open items were valued, the earliest first."""
        asked = select(*(_VALUATION.c[name] for name in _KEPT)).order_by(_VALUATION.c.seq)
        with self._read() as connection:
            return [Valuation(*row) for row in connection.execute(asked)]

    def next_items(self, most: int = 12) -> list[NextItem]:
        """Return the open items that come first by value, and why each was put."""
        with self._read() as connection:
            rows: Sequence[Any] = connection.execute(_NEXT, {"most": most}).all()
        return [NextItem(seq, id_, read_place(place), *known) for seq, id_, place, *known in rows]

    def is_left(self, item: str) -> bool:
        """Whether an item leaves a choice to a person, so that only what stands first in the answer counts."""
        with self._read() as connection:
            return connection.execute(_STREAM, {"one": item}).scalar() == LEFT
