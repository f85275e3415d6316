"""A record in a schema of a PostgreSQL database: sessions, turns, the lock, and what PostgreSQL says in words."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from rrm.core.errors import InputError, LockedError, RrmError, StoreError
from rrm.store.kinds import from_json, to_json
from rrm.store.location import Location

MARK = "RRM1"
"""The comment on every schema that is a record of rrm."""

_PATIENCE = 3.0  # seconds in which a server notices that the process that held a lock is gone


def connect(location: Location, access: str, busy_seconds: float) -> Engine:
    """Return an engine whose sessions see only the run's schema; every commit is on the disk before it counts.

    Who only reads cannot write, whatever the database would let the user do.
    """
    try:
        import psycopg  # noqa: F401  (the driver, which not everybody has)
    except ImportError as error:
        raise InputError("a record on PostgreSQL needs psycopg: pip install 'rrm[postgres]'") from error
    url = location.secret or location.url
    assert url is not None
    settings = {
        "search_path": f'"{location.schema}"',
        "synchronous_commit": "on",
        "lock_timeout": f"{max(1, round(busy_seconds * 1000))}ms",
        "default_transaction_read_only": "on" if access == "read" else "off",
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"client_encoding": "utf8", "connect_timeout": url.query.get("connect_timeout", "10")},
        max_overflow=-1,
        json_serializer=lambda held: held if isinstance(held, str) else to_json(held),  # as on SQLite
        json_deserializer=lambda raw: from_json(raw if isinstance(raw, str) else str(raw, "utf-8")),
    )
    event.listen(engine, "connect", _setting(settings))
    event.listen(engine, "begin", _turns(_key(location, "turn")))
    return engine


def _setting(settings: dict[str, str]) -> Callable[..., None]:
    asked = "SELECT " + ", ".join("set_config(%s, %s, false)" for _ in settings)

    def settle(session: Any, _: object) -> None:
        session.autocommit = True  # a setting made in a transaction could be rolled back
        session.execute(asked, [each for pair in settings.items() for each in pair])
        session.autocommit = False

    return settle


def _turns(key: int) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        """Let a writer take its turn before its first look, as on SQLite: then two cannot decide on the same."""
        options = connection.get_execution_options()
        if options.get("writes"):
            quick = "" if options.get("durable", True) else ", set_config('synchronous_commit', 'off', true)"
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key}){quick}")

    return begin


@contextmanager
def lock(location: Location) -> Iterator[None]:
    """Hold the run for this process in the database too, where other machines see it; raise LockedError."""
    engine = connect(location, "append", _PATIENCE)
    held = None
    try:
        try:
            held = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            _take(held, location)
        except DBAPIError as error:
            raise in_words(location, error) from error
        yield
    finally:
        if held is not None:
            held.detach()  # closed for good and not kept in the pool: with its session the lock ends
            held.close()
        engine.dispose()


_LASTING = {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}


def _take(connection: Connection, location: Location) -> None:
    """Take the lock in a session that does not end for being idle, but does when its machine is gone."""
    key = _key(location, "run")
    set_one = text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")
    holder = f"rrm process {os.getpid()} on {socket.gethostname()}"
    for name, value in {"application_name": holder, "idle_session_timeout": "0", **_LASTING}.items():
        connection.execute(set_one, {"name": name, "value": value})
    try:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({key})")
    except OperationalError as error:
        if _state(error) != "55P03":
            raise
        raise LockedError(f"{location} is in use by {_holder(connection, key)}: wait until it ends") from None


def _holder(connection: Connection, key: int) -> str:
    high, low = key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF
    asked = (
        "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' "
        "AND granted AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1"
    )
    name = connection.exec_driver_sql(asked, (high, low)).scalar()
    return str(name).removeprefix("rrm ") if name else "another process"


def _key(location: Location, what: str) -> int:
    """Return the number of an advisory lock, which is all that PostgreSQL knows one by."""
    name = f"{location.schema} {what}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)


def revision(connection: Connection, location: Location) -> str | None:
    """Return the schema's revision, None if there is no such schema; raise StoreError if rrm did not make it."""
    asked = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
    found = connection.exec_driver_sql(asked, (location.schema,)).one_or_none()
    if found is None:
        return None
    if found[0] != MARK or connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar() is None:
        raise StoreError(f"{location}: schema {location.schema} is not a record of rrm; nothing was changed")
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def save(location: Location, found: str | None) -> None:
    """Copy nothing before an upgrade: pg_dump is the way to keep a copy of a database."""


def make(connection: Connection, location: Location) -> None:
    """Make the schema of a new run, and mark it."""
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise StoreError(f"{location}: the database holds texts in {encoding}; make one with ENCODING 'UTF8'")
    connection.exec_driver_sql(f'CREATE SCHEMA "{location.schema}"')
    connection.exec_driver_sql(f"COMMENT ON SCHEMA \"{location.schema}\" IS '{MARK}'")


_LOST = "the connection to the database was lost; what was recorded before is safe, resume"
_STATES = {
    "53100": "the disk of the database is full; make room and resume, what was recorded before is safe",
    "53300": "the database has too many connections; end some and resume",
    "55P03": "another program keeps it locked; end that program and resume",
    "25006": "it is read-only; open it for writing, or name the server that takes writes",
    "40001": "other programs changed the same at once; do it again, nothing was changed",
    "40P01": "other programs changed the same at once; do it again, nothing was changed",
    "42501": "the database refuses it to this user; grant the rights, CREATE on the database among them",
    "42P01": "tables of the record are gone; put back a dump",
    "3F000": "the record's schema is gone; put back a dump",
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": "the server is just starting or stopping; wait and resume",
}
_APPEND_ONLY = "a record is append-only: nothing in it may be changed or removed"
_WORDS = {  # said while connecting, when there is no state yet
    "password": "the database asks for a password, which is never kept with the run; "
    "give the right one by PGPASSWORD, ~/.pgpass or a service",
    "authentication failed": "the database does not let this user in; check the user's name and pg_hba.conf",
    "no pg_hba.conf entry": "the database does not let this user in; check the user's name and pg_hba.conf",
    'role "': "the database does not let this user in; check the user's name and pg_hba.conf",
    "does not exist": "the server has no such database; make it with createdb and resume",
    "too many clients": _STATES["53300"],
    "starting up": _STATES["57P03"],
    "shutting down": _STATES["57P03"],
    "No space left": _STATES["53100"],
}
_AWAY = "the database server cannot be reached; check that it runs, its address and the network"


def in_words(place: object, error: DBAPIError) -> RrmError:
    """Return what to raise in the place of an error of PostgreSQL."""
    message, state = str(error.orig).strip(), _state(error)
    if "NUL (0x00)" in message:
        return InputError(f"{place}: a text holds a NUL character, which PostgreSQL cannot hold: take it out")
    if state is not None:
        words = _APPEND_ONLY if "append-only" in message else _STATES.get(state)
    else:
        words = next((_WORDS[sign] for sign in _WORDS if sign in message), None)
        if words is None and isinstance(error, OperationalError):
            words = _AWAY if error.statement is None else _LOST
    return StoreError(f"{place}: {words or f'PostgreSQL says: {message}'}")


def _state(error: DBAPIError) -> str | None:
    """Return the five characters that PostgreSQL names its error by; while connecting there are none."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
