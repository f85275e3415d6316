"""What is one for all who share a transaction of the writer, and what ends as it begins."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from rrm.core.annotation import DeskSettings, Purpose
from rrm.queue.base import Base
from rrm.queue.guidelines import latest_guideline, read_settings
from rrm.queue.items import LEASE, is_held
from rrm.queue.practice import count_checks
from rrm.queue.returned import put_back
from rrm.store.database import Opened

_EXPIRED = (
    select(LEASE.c.first, LEASE.c.person)
    .where(is_held(), LEASE.c.position == 0, LEASE.c.expires <= bindparam("now"))
    .order_by(LEASE.c.stands_for.is_not(None))  # checks last: what they stand for may be free again by then
)


class Turn(NamedTuple):
    """What is one for all that share a transaction; `checks` tells how many items but work there are."""

    now: float
    settings: DeskSettings
    guideline: int
    checks: dict[Purpose, int]


class Turns(Base):
    """The part of the desk that knows in which transaction it is."""

    def __init__(self, opened: Opened, clock: Callable[[], float], random: Random) -> None:
        super().__init__(opened, clock, random)
        self._last_turn: tuple[Any, Turn] | None = None

    def _turn(self, connection: Connection) -> Turn:
        """Return what is one for this transaction; at its beginning, leases that ran out end."""
        transaction = connection.get_nested_transaction() or connection.get_transaction()
        if self._last_turn is None or self._last_turn[0] is not transaction:
            checks = count_checks(connection)
            turn = Turn(self.clock(), read_settings(connection), latest_guideline(connection), checks)
            for lease, person in connection.execute(_EXPIRED, {"now": turn.now}).all():
                put_back(connection, lease, person, turn.settings.strategy)
            self._last_turn = transaction, turn
        return self._last_turn[1]
