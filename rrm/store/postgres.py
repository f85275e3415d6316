"""A record in a schema of a PostgreSQL database: connections, turns, and what PostgreSQL says in words."""

import time
from collections.abc import Callable, Mapping
from hashlib import blake2b

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from rrm.core.errors import InputError, RrmError, StoreError, UnreachableError
from rrm.store.kinds import from_json, to_json
from rrm.store.location import Location

MARK = "RRM1"
"""The comment on every schema that is a record of rrm."""

_ALIVE = {
    "connect_timeout": "4",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
"""How soon a server that does not answer any more is given up, unless the URL says otherwise."""

_LOOK_SECONDS = 0.01  # until it is looked again whether a connection was given back
_IDLE = "60s"  # after which the server ends a transaction whose writer is gone, and with it the writer's turn


class SharingPool(QueuePool):
    """The connections of a process: where the database has none left for it, one of its own is waited for."""

    def connect(self) -> PoolProxiedConnection:
        until = time.monotonic() + self.timeout()
        while True:
            try:
                return super().connect()
            except Exception as error:
                has = self.checkedin() + self.checkedout()
                if not has or time.monotonic() >= until or not any(sign in str(error) for sign in _CROWDED):
                    raise
            time.sleep(_LOOK_SECONDS)  # what is in the pool may be the place of a connection that is gone
            while not self.checkedin() and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)


def connect(location: Location, access: str, busy_seconds: float) -> Engine:
    """Return an engine on the run's schema; every commit is on the disk before it counts.

    A pooler may give every transaction another session, so none is told anything that must outlive a transaction:
    tables are named with their schema, settings end with the transaction, and no statement is prepared. Who only
    reads cannot write, whatever the database would let the user do.
    """
    try:
        import psycopg  # noqa: F401  (the driver, which not everybody has)
    except ImportError as error:
        raise InputError("a record on PostgreSQL needs psycopg: pip install 'rrm[postgres]'") from error
    url = location.secret or location.url
    assert url is not None
    usual = {name: value for name, value in _ALIVE.items() if name not in url.query}
    if location.has_standby and access != "read" and "target_session_attrs" not in url.query:
        usual["target_session_attrs"] = "read-write"
    reading = {"postgresql_readonly": True} if access == "read" else {}
    kept, more = (1, 4) if access == "run" else (8, 0)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"client_encoding": "utf8", "prepare_threshold": None, **usual},
        poolclass=SharingPool,
        pool_size=kept,
        max_overflow=more,
        pool_pre_ping=True,
        execution_options={"schema_translate_map": {None: location.schema}, **reading},
        json_serializer=lambda held: held if isinstance(held, str) else to_json(held),  # as on SQLite
        json_deserializer=lambda raw: from_json(raw if isinstance(raw, str) else str(raw, "utf-8")),
    )
    event.listen(engine, "begin", _beginning(location, busy_seconds))
    return engine


def _beginning(location: Location, busy_seconds: float) -> Callable[[Connection], None]:
    usual = {"search_path": f'"{location.schema}"', "lock_timeout": f"{max(1, round(busy_seconds * 1000))}ms"}
    turn = f"SELECT pg_advisory_xact_lock({_key(location, 'turn')})"

    def begin(connection: Connection) -> None:
        """Make the settings of this transaction, and let a writer take its turn before its first look, as on SQLite."""
        options = connection.get_execution_options()
        asked = _settings(usual)
        if options.get("writes"):
            on = "on" if options.get("durable", True) else "off"
            asked = _settings(usual | {"synchronous_commit": on, "idle_in_transaction_session_timeout": _IDLE})
            asked += f"; {turn}"  # in one message: the server is asked once
        connection.exec_driver_sql(asked, execution_options={"no_parameters": True})

    return begin


def _settings(settings: Mapping[str, str]) -> str:
    """Return the statement that makes settings for the transaction that it is in."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


def _key(location: Location, what: str) -> int:
    """Return the number of an advisory lock, which is all that PostgreSQL knows one by."""
    name = f"{location.schema} {what}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)


def revision(connection: Connection, location: Location) -> str | None:
    """Return the schema's revision, None if there is no such schema; raise StoreError if rrm did not make it."""
    asked = "SELECT obj_description(oid, 'pg_namespace'), has_schema_privilege(oid, 'USAGE') FROM pg_namespace"
    found = connection.exec_driver_sql(f"{asked} WHERE nspname = %s", (location.schema,)).one_or_none()
    if found is None:
        return None
    if not found[1]:  # whose tables would look as if they were gone
        raise StoreError(f"{location}: the database refuses it to this user; grant the rights on {location.schema}")
    if found[0] != MARK or not has_table(connection, "alembic_version"):
        raise StoreError(f"{location}: schema {location.schema} is not a record of rrm; nothing was changed")
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def has_table(connection: Connection, name: str) -> bool:
    """Whether the run's schema has a table of this name."""
    return connection.exec_driver_sql(f"SELECT to_regclass('{name}')").scalar() is not None


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
_AWAY = "the database server cannot be reached; check that it runs, its address and the network"
_FULL = "the database has too many connections; end some and resume"
_STARTING = "the server is just starting or stopping; wait and resume"
_STATES = {
    "53100": "the disk of the database is full; make room and resume, what was recorded before is safe",
    "53300": _FULL,
    "55P03": "another program keeps it locked; end that program and resume",
    "25006": "it is read-only; open it for writing, or name the server that takes writes",
    "25P03": _LOST,
    "40001": "other programs changed the same at once; do it again, nothing was changed",
    "40P01": "other programs changed the same at once; do it again, nothing was changed",
    "42501": "the database refuses it to this user; grant the rights on the schema of the record, again after each"
    " upgrade (docs/scale.md, Rights); who makes or upgrades a record needs CREATE on the database",
    "42P01": "tables of the record are gone; put back a dump",
    "3F000": "the record's schema is gone; put back a dump",
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _STARTING,
}
_APPEND_ONLY = "a record is append-only: nothing in it may be changed or removed"
_UNKNOWN = "sslmode asks for a certificate that an authority known here vouches for; name its file by sslrootcert"
_CROWDED = ("too many clients", "remaining connection slots", "too many connections")
_WORDS = {  # said while connecting, when there is no state yet
    "password": "the database asks for a password, which is never kept with the run; "
    "give the right one by PGPASSWORD, ~/.pgpass or a service",
    "authentication failed": "the database does not let this user in; check the user's name and pg_hba.conf",
    "no pg_hba.conf entry": "the database does not let this user in; check the user's name and pg_hba.conf",
    "does not support SSL": "the server has no TLS, which sslmode asks for; turn it on there, or ask for less",
    "root certificate": _UNKNOWN,
    "certificate verify failed": _UNKNOWN,
    "does not match host name": "the server's certificate is of another host; name the one that it is of in the URL",
    'role "': "the database does not let this user in; check the user's name and pg_hba.conf",
    "does not exist": "the server has no such database; make it with createdb and resume",
    **dict.fromkeys(_CROWDED, _FULL),
    "starting up": _STARTING,
    "shutting down": _STARTING,
    "recovery mode": _STARTING,
    "No space left": _STATES["53100"],
}
_PASSING = {_LOST, _AWAY, _FULL, _STARTING}
"""What may be over in a moment."""


def in_words(place: object, error: DBAPIError) -> RrmError:
    """Return what to raise in the place of an error of PostgreSQL."""
    message, state = str(error.orig).strip(), _state(error)
    if "NUL (0x00)" in message:
        return InputError(f"{place}: a text holds a NUL character, which PostgreSQL cannot hold: take it out")
    if state is not None:
        words = _APPEND_ONLY if "append-only" in message else _STATES.get(state)
    else:
        words = next((_WORDS[sign] for sign in _WORDS if sign in message), None)
    if words is None and isinstance(error, OperationalError) and (state is None or error.connection_invalidated):
        words = _AWAY if error.statement is None else _LOST
    sentence = f"{place}: {words or f'PostgreSQL says: {message}'}"
    return UnreachableError(sentence) if words in _PASSING else StoreError(sentence)


def _state(error: DBAPIError) -> str | None:
    """Return the five characters that PostgreSQL names its error by; while connecting there are none."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
