"""How many answers items want: raised for all or for those on which raters differ, and no more for retired ones."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from rrm.core.annotation import MOST_WANTED
from rrm.core.errors import InputError, MissingError
from rrm.core.place import Place
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.guidelines import latest_guideline
from rrm.queue.items import ITEM, LEASE, STANDING, is_held, item_rows
from rrm.queue.leases import end_lease
from rrm.store.record import chunks

_OPEN = and_(ITEM.c.purpose == "work", ~ITEM.c.closed, ~ITEM.c.settled)


def is_disputed() -> ColumnElement[bool]:
    """That an item is complete, open, not adjudicated, and its raters differ."""
    return and_(_OPEN, ITEM.c.given >= ITEM.c.wanted, ITEM.c.disagreement > 0)


class Wanted(Base):
    """The part of the desk that asks for more answers to items that are there, or for none."""

    def want(self, answers: int, by: str, *, place: Place | None = None, disputed: bool = False) -> int:
        """Have open work items want so many answers, where they want fewer; return how many items changed.

        Those of one `place`, or of all; with `disputed` only those that are complete and on which raters differ.
        What is frozen or adjudicated stays as it is. InputError for a number that cannot be, or a place without items.
        """
        if isinstance(answers, bool) or not isinstance(answers, int) or not 1 <= answers <= MOST_WANTED:
            raise InputError(f"an item wants 1 to {MOST_WANTED:,} answers, got {answers!r:.40}")
        which = and_(is_disputed() if disputed else _OPEN, ITEM.c.wanted < answers)
        if place is not None:
            which = and_(which, ITEM.c.place == str(place))

        def ask(connection: Connection) -> int:
            now = self.clock()
            if (
                place is not None
                and not connection.execute(select(exists().where(ITEM.c.place == str(place)))).scalar()
            ):
                raise InputError(f"no item is of place {place}: `rrm items DIR list` names those that there are")
            count = connection.execute(select(func.count()).select_from(ITEM).where(which)).scalar_one()
            connection.execute(update(ITEM).where(which).values(wanted=answers, changed=now))
            told = {"answers": answers, "items": count, "disputed": disputed}
            subject = "items" if place is None else str(place)
            record_audit(connection, now, by, "want answers", subject, None, told, latest_guideline(connection))
            return int(count)

        return self._do(ask)

    def retire(self, items: Sequence[str], by: str) -> int:
        """Have items want no more answers than they have; return how many changed.

        Who holds one loses it, with its sheet, and keeps the draft. The answers that were given stand. To `want` more
        brings an item back. MissingError for one that is not there, InputError for one that is no work; then
        none changes.
        """

        def end(connection: Connection) -> int:
            rows = item_rows(connection, items)
            for each in items:
                if each not in rows:
                    raise MissingError(f"there is no item {each!r:.60}")
                if rows[each].purpose != "work":
                    raise InputError(f"{each} is for {rows[each].purpose}: only work is retired")
            open_ = [id for id, row in rows.items() if not row.closed and row.given < row.wanted]
            now = self.clock()
            for some in chunks(open_):
                held = select(LEASE.c.first).distinct().where(STANDING.in_(some), is_held())
                for lease in connection.execute(held).scalars().all():
                    end_lease(connection, lease, "expired")
                connection.execute(update(ITEM).where(ITEM.c.id.in_(some)).values(wanted=ITEM.c.given, changed=now))
            version = latest_guideline(connection)
            for each in open_:
                record_audit(connection, now, by, "retire item", each, None, None, version)
            return len(open_)

        return self._do(end)
