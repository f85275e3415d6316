"""Opening the database of a record, whichever it is: transactions, schema, upgrades, and errors in words.

`rrm.store.sqlite` and `rrm.store.postgres` hold what differs, function by function.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as insert_sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rrm.core.errors import InputError, NewerStoreError, RrmError, StoreError
from rrm.store import postgres, sqlite
from rrm.store.hold import Marks, claim, driving, refuse_driven, release
from rrm.store.location import FILE, Location, exists, keep, locate
from rrm.store.lock import RunLock
from rrm.store.outage import Outage
from rrm.store.tables import REVISION

if TYPE_CHECKING:
    from alembic.config import Config

Access = Literal["run", "append", "read"]
"""Carry the run on, under its lock / add answers beside a running run / look only."""

MIGRATIONS = Path(__file__).parent / "migrations"

T = TypeVar("T")

_log = logging.getLogger("rrm.store")
_ONE_UPGRADE = threading.Lock()  # alembic knows one connection at a time in a process, whatever the thread


@dataclass(frozen=True, eq=False)
class Opened:
    """An open database, where it is, and the locks to free at the end; any thread may use it.

    `marks` number what is written in a database that a network lies before.
    """

    engine: Engine
    location: Location
    held: ExitStack
    outage: Outage
    marks: Marks | None = None
    gate: threading.Lock = field(default_factory=threading.Lock)

    def write(self, work: Callable[[Connection], T], durable: bool = True) -> T:
        """Return what `work` returns, once what it wrote in one transaction (see `transaction`) is committed.

        While the database is away it is tried again, as long as the outage may last: `work` may be carried out twice,
        with the first time undone, but never committed twice, also where the answer to a commit was lost.
        """
        made: list[T] = []
        with self.gate:
            turn = self.marks.next() if self.marks else 0

            def once() -> T:
                with transaction(self.engine, self.location, writes=True, durable=durable) as connection:
                    if self.marks is None or self.marks.mark(connection, turn):
                        made[:] = [work(connection)]
                    return made[0]  # where the mark was there, what the transaction returned that left it

            return self.outage.ride(once)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, of one moment of the record; begun once the database can be reached."""
        with ExitStack() as begun:
            yield self.outage.ride(lambda: begun.enter_context(transaction(self.engine, self.location)))

    def close(self) -> None:
        """Free the locks, and let go of the database."""
        self.outage.hasten()
        self.held.close()
        self.engine.dispose()


class _Dialect(Protocol):
    """What `rrm.store.sqlite` and `rrm.store.postgres` have in common."""

    def connect(self, location: Location, access: str, busy_seconds: float) -> Engine: ...
    def revision(self, connection: Connection, location: Location) -> str | None: ...
    def save(self, location: Location, found: str | None) -> None: ...
    def make(self, connection: Connection, location: Location) -> None: ...


def open_database(
    directory: Path,
    access: Access,
    busy_seconds: float,
    url: str | None = None,
    patience: float = 0.0,
    driver: Opened | None = None,
    tells: bool = False,
) -> Opened:
    """Open the database of the record in a run's directory, as `rrm.store.open_store` says.

    What is written on behalf of a `driver` is refused once another has taken its run over, and waits as it does.
    """
    held = ExitStack()
    if access == "run":
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{directory} cannot be made: {error.strerror}") from error
        held.enter_context(RunLock(directory))
    try:
        location = locate(directory, url)
        if access == "run":
            _warn_of_network(location)
            _prepare(location, busy_seconds)
        elif not exists(location):
            raise StoreError(f"{directory} holds no run: there is no {FILE} in it")
        elif _outdated(location, access, busy_seconds):
            _refuse_unwritable(location, directory)
            with RunLock(directory):
                _prepare(location, busy_seconds)
        engine = connect(location, access, busy_seconds)
        outage = driver.outage if driver else Outage(patience, tells)
        if location.url is None:
            return Opened(engine, location, held, outage)
        if access == "run":
            held.callback(engine.dispose)
            return _driving(engine, location, held, outage)
        epoch = driver.marks.epoch if driver and driver.marks else None
        return Opened(engine, location, held, outage, Marks.beside(location, epoch))
    except BaseException:
        held.close()
        raise


def _warn_of_network(location: Location) -> None:
    kind = sqlite.network_file_system(location.path.parent) if location.url is None else None
    if kind is not None:
        _log.warning(
            "%s lies on a network file system (%s), where its locks hold on one machine only: let no other machine"
            " run, rate or look there at the same time, or keep the record in a database (--store postgresql://...)",
            location,
            kind,
        )


def _driving(engine: Engine, location: Location, held: ExitStack, outage: Outage) -> Opened:
    """Become the driver of the run, as other machines see it, too, and be heard of until the end.

    Raises LockedError where another is at work.
    """
    with transaction(engine, location, writes=True) as connection:
        marks = claim(connection, location)
        synchronous = connection.exec_driver_sql("SHOW synchronous_standby_names").scalar()
    if location.has_standby and not synchronous:
        _log.warning(
            "%s: the database has no synchronous standby: one that takes over may lack what was committed last, which"
            " the run then does again",
            location,
        )

    def leave() -> None:
        # a server that is away is told nothing: others see by themselves
        with suppress(StoreError), transaction(engine, location, writes=True) as connection:
            release(connection, marks.epoch)

    opened = Opened(engine, location, held, outage, marks)
    held.callback(leave)
    held.enter_context(driving(location, marks, lambda: opened.write(lambda _: None, durable=False)))
    return opened


def connect(location: Location, access: Access, busy_seconds: float) -> Engine:
    """Return an engine on the record; every commit is on the disk before it counts."""
    return _dialect(location).connect(location, access, busy_seconds)


def _dialect(location: Location) -> _Dialect:
    return sqlite if location.url is None else postgres


def insert(dialect: str) -> Callable[[Table], Insert]:
    """Return what makes an INSERT with `on_conflict_...` in the dialect of this name."""
    if dialect == "sqlite":
        return insert_sqlite
    from sqlalchemy.dialects.postgresql import insert as insert_postgres

    return cast("Callable[[Table], Insert]", insert_postgres)  # whose own class has the same methods


# ---- transactions ----

_SNAPSHOT: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ"},
    "sqlite": {},  # which shows one moment to every transaction
}
_WRITES: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"isolation_level": "READ COMMITTED"},  # so that who waited for a turn sees what was done before it
    "sqlite": {},
}


@contextmanager
def transaction(engine: Engine, place: object, writes: bool = False, durable: bool = True) -> Iterator[Connection]:
    """One transaction: all of it, durable at the end, or none. Raises StoreError, which names the place.

    Those that only read see one moment of the record. Those that write take turns with all other
    programs, and wait for no disk at the end if not `durable`: a power cut (no kill) may then undo them.
    """
    own = _WRITES if writes else _SNAPSHOT
    options = {**own[engine.dialect.name], "writes": writes, "durable": durable}
    with errors_in_words(place), engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def errors_in_words(place: object) -> Iterator[None]:
    """Turn what a database raises into a StoreError that says what is the matter and how to mend it."""
    try:
        yield
    except DBAPIError as error:
        raise _in_words(place, error) from error
    except sqlite3.Error as error:
        raise sqlite.in_words(place, error) from error
    except PoolTimeout as error:
        raise StoreError(
            f"{place}: all connections to the database that a process keeps are in use; try again"
        ) from error


def _in_words(place: object, error: DBAPIError) -> RrmError:
    if isinstance(error.orig, sqlite3.Error):
        return sqlite.in_words(place, error.orig)
    return postgres.in_words(place, error)


def refuse_nul(engine: Engine, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise InputError for a text with a NUL character in these rows of table `name`, if the database holds none."""
    if engine.dialect.name == "sqlite":
        return
    for row in rows:
        for column, value in row.items():
            if isinstance(value, str) and "\0" in value:
                words = "PostgreSQL cannot hold the NUL character in it; take it out"
                raise InputError(f"{name}.{column} cannot be recorded: {words}")


# ---- schema and upgrades ----


def _outdated(location: Location, access: Access, busy_seconds: float) -> bool:
    engine = connect(location, access, busy_seconds)  # by whom it is used: a standby may have no such schema yet
    try:
        return revision(engine, location) != REVISION
    finally:
        engine.dispose()


def _refuse_unwritable(location: Location, directory: Path) -> None:
    """Raise StoreError where a record cannot be brought up to date, as nothing may be written beside it."""
    if not os.access(directory, os.W_OK):
        raise StoreError(
            f"{location}: another version of rrm made it, and it is brought up to date only where its folder may be"
            f" written; copy {directory} to where you may write, and look at the copy"
        )


def _prepare(location: Location, busy_seconds: float) -> None:
    engine = connect(location, "run", busy_seconds)
    try:
        bring_up_to_date(engine, location)
    finally:
        engine.dispose()


def bring_up_to_date(engine: Engine, location: Location) -> None:
    """Make the schema where there is nothing yet, or upgrade an older one.

    A file is copied beside itself before an upgrade; a PostgreSQL database is not: `pg_dump` is the way.
    Needs the run's lock. Raises NewerStoreError or, for a record that is foreign, damaged or from before
    the first migration, StoreError.
    """
    found = revision(engine, location)
    if found == REVISION:
        return
    from alembic import command  # slow to import, and seldom needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if found is not None:
        _refuse_unknown(config, location, found)
    elif location.url is not None and exists(location):
        raise StoreError(f"{location}: the database has no schema {location.schema}; put back a dump of it")
    with errors_in_words(location):
        _dialect(location).save(location, found)
    if found is not None:
        _log.info("%s: upgrading its schema from %s to %s", location, found, REVISION)
    # one transaction for all migrations, so that a kill leaves the old schema whole
    with transaction(engine, location, writes=True) as connection:
        if found is None:
            _dialect(location).make(connection, location)
        elif location.url is not None and postgres.has_table(connection, "writer"):
            refuse_driven(connection, location)
        config.attributes["connection"] = connection
        with _ONE_UPGRADE:
            command.upgrade(config, "head")
    if location.url is not None and found is None:
        keep(location)  # last: what the folder names is there


def revision(engine: Engine, location: Location) -> str | None:
    """Return the schema's revision, None for an empty file; raise StoreError if rrm did not make it."""
    with transaction(engine, location) as connection:
        return _dialect(location).revision(connection, location)


def _refuse_unknown(config: "Config", location: Location, found: str) -> None:
    """Raise NewerStoreError for a revision that no migration knows, StoreError for one from before them all."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    scripts = ScriptDirectory.from_config(config)
    try:
        scripts.get_revision(found)
    except CommandError as error:
        if found < (scripts.get_base() or ""):
            layout = f"schema {found}, where this one reads {scripts.get_base()} and later"
            raise StoreError(
                f"{location} has a layout from before rrm's first release ({layout}): name a new directory and"
                " run again, or open it with the rrm that wrote it"
            ) from error
        known = f"schema {found}, where this one knows up to {REVISION}"
        raise NewerStoreError(f"{location} was written by a newer rrm ({known}): update rrm") from error
