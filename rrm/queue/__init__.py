"""The desk: hands out items of a record to raters and takes in their answers, whatever happens meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom
from types import TracebackType

from rrm.queue.consents import Consents
from rrm.queue.guidelines import Guidelines
from rrm.queue.items import Items
from rrm.queue.messages import Messages
from rrm.queue.people import People
from rrm.queue.places import Places
from rrm.queue.search import Search
from rrm.queue.shown import as_requested, as_shown
from rrm.queue.valued import Valued
from rrm.queue.wanted import Wanted
from rrm.store.database import open_database
from rrm.store.record import SqlStore

__all__ = ["SqlDesk", "as_requested", "as_shown", "open_desk"]


class SqlDesk(Items, Places, People, Consents, Guidelines, Wanted, Messages, Search, Valued):
    """An open desk, made by `open_desk`; a context manager. An `rrm.core.desk.Desk`, with `enter` and `taken`."""

    def __enter__(self) -> "SqlDesk":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_desk(
    directory: Path | str,
    *,
    clock: Callable[[], float] = time.time,
    random: Random | None = None,
    busy_seconds: float = 30.0,
    patience: float = 0.0,
    driver: SqlStore | None = None,
    tells: bool = False,
) -> SqlDesk:
    """Open the desk of a record that is there, on its own or for the driver of a run.

    `clock` returns seconds since 1970. `random` draws orders, gold items and ids; by default it is the
    system's own, which nobody can foresee. `busy_seconds` is how long to wait for another program's write,
    `patience` how many seconds a database that was there may be away before that is an error, and `tells` has it be
    logged, in a line, also where nobody waits.
    Raises StoreError where there is no record, and what `rrm.store.open_store` raises.
    """
    by = driver.opened if driver else None
    opened = open_database(Path(directory), "append", busy_seconds, patience=patience, driver=by, tells=tells)
    return SqlDesk(opened, clock, random or SystemRandom())
