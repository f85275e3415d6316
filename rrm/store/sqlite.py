"""A record in an SQLite file: pragmas, turns, backups, and what SQLite says in words."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from rrm.core.errors import RrmError, StoreError
from rrm.store.kinds import from_json, to_json
from rrm.store.location import Location
from rrm.store.tables import APPLICATION_ID

_MODE = 0o600
"""Who may open a record: its owner. It holds names, hashes of passwords, and known answers."""

_LOG_PAGES = 10_000
"""Pages of the write-ahead log (40 MB) after which they go to the file: a page that many commits touch goes once."""


def connect(location: Location, access: str, busy_seconds: float) -> Engine:
    """Return an engine on the file; writers sync every commit to the disk before it counts."""
    path = location.path
    settled = access == "read" and not os.access(path.parent, os.W_OK) and not _is_log_left(path)
    mode = {"run": "rwc", "append": "rw", "read": "ro"}[access] + ("&immutable=1" if settled else "")
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connection() -> sqlite3.Connection:
        made = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        made.execute("PRAGMA foreign_keys = ON")
        made.execute("PRAGMA synchronous = FULL")
        made.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        return made

    if access == "read" and not settled and not os.access(path.parent, os.W_OK):
        _refuse_unread_log(location)
    engine = create_engine(
        "sqlite://",
        creator=connection,
        poolclass=QueuePool,
        max_overflow=-1,
        paramstyle="named",  # as on PostgreSQL
        # text stands for JSON that `to_json` made already, so that nothing is written twice
        json_serializer=lambda held: held if isinstance(held, str) else to_json(held),
        json_deserializer=from_json,
    )
    event.listen(engine, "begin", _begin)
    return engine


_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.glusterfs"}
    | {"fuse.sshfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs"}
)


def network_file_system(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the kind of the network file system that a folder lies on, None where it lies on none or nobody knows."""
    try:
        lines = [line.split() for line in mounts.read_text("utf-8", "surrogateescape").splitlines()]
    except OSError:  # no Linux
        return None
    # the point of a mount is the fifth word, spaces and the like as octal numbers; its kind stands behind a dash
    points = [(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line[4]), line) for line in lines]
    above = [(Path(point), line) for point, line in points if directory.resolve().is_relative_to(point)]
    if not above:
        return None
    _, line = max(enumerate(above), key=lambda each: (len(each[1][0].parts), each[0]))[1]  # the deepest, and the last
    kind = line[line.index("-") + 1]
    return kind if kind in _NETWORK else None


def _begin(connection: Connection) -> None:
    """Begin for real, which pysqlite leaves off; a writer takes its turn here and not half way."""
    options = connection.get_execution_options()
    if options.get("writes"):
        level = "FULL" if options.get("durable", True) else "NORMAL"
        if connection.info.get("synchronous", "FULL") != level:
            connection.exec_driver_sql(f"PRAGMA synchronous = {level}")  # SQLite takes it only here
            connection.info["synchronous"] = level
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def revision(connection: Connection, location: Location) -> str | None:
    """Return the schema's revision, None for an empty file; raise StoreError if rrm did not make it."""
    if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        return None
    if connection.exec_driver_sql("PRAGMA application_id").scalar_one() != APPLICATION_ID:
        raise StoreError(f"{location}: {_WORDS['not a database']}")
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def save(location: Location, found: str | None) -> None:
    """Copy an older record before its upgrade; let a new one be read while it is written."""
    path = location.path
    if found is None:
        path.chmod(_MODE)  # the log and its index beside it take the file's mode
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # which no transaction may hold
    else:
        _back_up(path, path.with_name(f"{path.name}.backup-{found}"))


def make(connection: Connection, location: Location) -> None:
    """Mark the new file."""
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _back_up(path: Path, backup: Path) -> None:
    """Copy the database as it stands, what is still in its write-ahead log included."""
    unfinished = backup.with_name(backup.name + ".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(unfinished)) as copy:
        old.backup(copy)
    unfinished.chmod(_MODE)
    unfinished.replace(backup)


_WORDS = {
    "full": "the disk is full; make room and resume, what was recorded before is safe",
    "locked": "another program keeps it locked; end that program and resume",
    "readonly": "it is read-only; make it and its directory writable and resume",
    "unable to open": "it cannot be opened; check that the directory exists and its permissions",
    "malformed": "it is damaged; put back a copy, nothing was changed",
    "not a database": "it is not a record of rrm; name another directory, nothing was changed",
    "append-only": "a record is append-only: nothing in it may be changed or removed",
}


def in_words(place: object, error: Exception) -> RrmError:
    """Return what to raise in the place of an error of SQLite."""
    message = str(error)
    words = next((words for sign, words in _WORDS.items() if sign in message), f"SQLite says: {message}")
    return StoreError(f"{place}: {words}")


def _is_log_left(path: Path) -> bool:
    """Whether commits lie in the write-ahead log that may not be in the file yet."""
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _refuse_unread_log(location: Location) -> None:
    """Raise StoreError where the write-ahead log cannot be read: without its index, which nobody can write here."""
    path = location.path
    index = path.with_name(path.name + "-shm")
    if not os.access(index, os.R_OK):
        raise StoreError(
            f"{location}: the program that wrote it left its latest entries in {path.name}-wal, which is taken in"
            f" only where its folder may be written; copy {path.parent} to where you may write, and look at the copy"
        )
