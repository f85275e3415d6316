"""Opening the SQLite file of a record: pragmas, schema, upgrades with a backup, and its errors in words."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from rrm.core.errors import NewerStoreError, StoreError
from rrm.store.kinds import from_json, to_json
from rrm.store.tables import APPLICATION_ID, REVISION

if TYPE_CHECKING:
    from alembic.config import Config

Access = Literal["run", "append", "read"]
"""Carry the run on, under its lock / add answers beside a running run / look only."""

MIGRATIONS = Path(__file__).parent / "migrations"


def connect(path: Path, access: Access, busy_seconds: float) -> Engine:
    """Return an engine on the file; writers sync every commit to the disk before it counts."""
    settled = access == "read" and not os.access(path.parent, os.W_OK) and not _log(path).exists()
    mode = {"run": "rwc", "append": "rw", "read": "ro"}[access] + ("&immutable=1" if settled else "")
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connection() -> sqlite3.Connection:
        made = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        made.execute("PRAGMA foreign_keys = ON")
        made.execute("PRAGMA synchronous = FULL")
        return made

    engine = create_engine(
        "sqlite://",
        creator=connection,
        poolclass=QueuePool,
        max_overflow=-1,
        # text stands for JSON that `to_json` made already, so that nothing is written twice
        json_serializer=lambda held: held if isinstance(held, str) else to_json(held),
        json_deserializer=from_json,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Begin for real, which pysqlite leaves off; a writer takes its turn here and not half way."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: Engine, path: Path, writes: bool = False) -> Iterator[Connection]:
    """One transaction: all of it, durable at the end, or none. Raises StoreError."""
    with errors_in_words(path), engine.connect().execution_options(writes=writes) as connection, connection.begin():
        yield connection


@contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a StoreError that says what is the matter and how to mend it."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(_in_words(path, str(error.orig))) from error
    except sqlite3.Error as error:
        raise StoreError(_in_words(path, str(error))) from error


_WORDS = (
    ("full", "the disk is full; make room and resume, what was recorded before is safe"),
    ("locked", "another program keeps it locked; end that program and resume"),
    ("readonly", "it is read-only; make it and its directory writable and resume"),
    ("unable to open", "it cannot be opened; check that the directory exists and its permissions"),
    ("malformed", "it is damaged; put back a copy, nothing was changed"),
    ("not a database", "it is not a record of rrm; name another directory, nothing was changed"),
    ("append-only", "a record is append-only: nothing in it may be changed or removed"),
)


def _in_words(path: Path, message: str) -> str:
    return f"{path}: " + next((words for sign, words in _WORDS if sign in message), f"SQLite says: {message}")


def bring_up_to_date(engine: Engine, path: Path) -> None:
    """Make the schema in an empty file, or upgrade an older one after a backup beside it.

    Needs the run's lock. Raises NewerStoreError or, for a foreign or damaged file, StoreError.
    """
    found = revision(engine, path)
    if found == REVISION:
        return
    from alembic import command  # slow to import, and seldom needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if found is None:
        with errors_in_words(path), closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    else:
        _refuse_newer(config, path, found)
        _back_up(path, path.with_name(f"{path.name}.backup-{found}"))
    # one transaction for all migrations, so that a kill leaves the old schema whole
    with transaction(engine, path, writes=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revision(engine: Engine, path: Path) -> str | None:
    """Return the schema's revision, None for an empty file; raise StoreError if rrm did not make it."""
    with transaction(engine, path) as connection:
        if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            return None
        if connection.exec_driver_sql("PRAGMA application_id").scalar_one() != APPLICATION_ID:
            raise StoreError(_in_words(path, "not a database"))
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def _back_up(path: Path, backup: Path) -> None:
    """Copy the database as it stands, what is still in its write-ahead log included."""
    unfinished = backup.with_name(backup.name + ".part")
    unfinished.unlink(missing_ok=True)
    with errors_in_words(path), closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(unfinished)) as copy:
        old.backup(copy)
    unfinished.replace(backup)


def _refuse_newer(config: "Config", path: Path, found: str) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError as error:
        known = f"schema {found}, where this one knows up to {REVISION}"
        raise NewerStoreError(f"{path} was written by a newer rrm ({known}): update rrm") from error


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
