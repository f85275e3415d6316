"""The record of a run: actions, their results and their cost, appended and read."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine, Insert, Integer, Select, bindparam, cast, func, select

from rrm.core.calls import CallCount
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import REPLIES, Entry
from rrm.core.values import Failure, Feedback
from rrm.store.database import Access, Opened, insert, open_database, refuse_nul
from rrm.store.kinds import IN_ORDER, KINDS, Kind, kind_of, read_place, to_json
from rrm.store.outage import PATIENCE_SECONDS
from rrm.store.tables import table

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 10_000  # values in one IN (...); SQLite takes 32,766


class Done(Protocol):
    """A finished piece of work: `id` covers all that determined its result."""

    @property
    def id(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def place(self) -> Place: ...
    @property
    def slot(self) -> str: ...


class Event(NamedTuple):
    """Something that happened, `at` seconds since 1970."""

    at: float
    kind: str
    data: Any


class StepCount(NamedTuple):
    """How many actions of a step are done at a place, and how many of those failed."""

    step: str
    place: Place
    done: int
    failed: int


class Made(NamedTuple):
    """That an action (by id) of a step made, at a place and under its slot there, the value with this id."""

    action: str
    step: str
    place: Place
    slot: str
    value: str


def open_store(
    directory: Path | str,
    access: Access = "run",
    busy_seconds: float = 30.0,
    url: str | None = None,
    patience: float | None = None,
) -> "SqlStore":
    """Open the record in a run's directory.

    "run" makes it where there is none, upgrades an older one (a file after a backup beside it, a PostgreSQL
    database without: `pg_dump` is the way) and holds the lock until closed; "append" adds answers beside a
    running run; "read" only looks. `busy_seconds` is how long to wait for another program's write, `patience` how many
    seconds a database that was there may be away before that is an error: by default five minutes, or none to look.

    A new record is a file of the directory or, with `url` (postgresql://user@host/database), a schema of its
    own in that database; the directory then says where, and nobody need give the URL again. A password in
    `url` serves this opening only and is not written down: give it by PGPASSWORD, ~/.pgpass or a service.

    Raises LockedError if another process carries the run on, NewerStoreError, InputError for a URL that does
    not fit, and StoreError for a missing, foreign or damaged record or a database out of reach.
    """
    waits = (0.0 if access == "read" else PATIENCE_SECONDS) if patience is None else patience
    return SqlStore(open_database(Path(directory), access, busy_seconds, url, waits))


def _again(reads: Callable[Concatenate["SqlStore", P], T]) -> Callable[Concatenate["SqlStore", P], T]:
    """Have a method that only reads begin anew where its connection is lost."""

    @wraps(reads)
    def ridden(store: "SqlStore", /, *args: P.args, **named: P.kwargs) -> T:
        return store.opened.outage.ride(lambda: reads(store, *args, **named))

    return ridden


class SqlStore:
    """An open record, made by `open_store`; a context manager. Any thread may use it.

    Whatever a method wrote is on the disk when it returns, all of it or none. Nothing recorded is
    ever changed: recording a value that is there changes nothing. Also an `rrm.core.protocols.Store`,
    `Cache` and `CallRecord`. Every method raises StoreError when the record cannot be read or written, InputError
    for a value that could not be read back as it is. `path` is the file that is the record or says where it is,
    `opened` its database.
    """

    def __init__(self, opened: Opened) -> None:
        self.path = opened.location.path
        self.opened = opened
        self._engine = opened.engine
        self._new = _statements(opened.engine.dialect.name)
        self._as_sent: dict[tuple[str, tuple[str, ...]], str] = {}  # by table and columns
        self._checked: dict[int, Columns] = {}  # by the identity of values, which the columns hold

    def __enter__(self) -> "SqlStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hasten(self) -> None:
        """Wait no more for a database that is away: what asks it raises UnreachableError at once."""
        self.opened.outage.hasten()

    def close(self) -> None:
        """Close the record and free the lock."""
        self.opened.close()

    # ---- actions and what they made ----

    def complete(self, results: Sequence[tuple[Done, Sequence[Any]]]) -> None:
        """Record finished actions with their values, in order.

        The first result of an action stands; one that holds nothing but failures may be followed
        by another attempt, and then the latest stands.
        """
        rows = [(action, [self._row(value) for value in values]) for action, values in results]

        def write(connection: Connection) -> None:
            self._insert(connection, (row for _, made in rows for row in made))
            attempts = _attempts(connection, [action.id for action, _ in rows])
            seq = connection.execute(_LAST).scalar() or 0
            actions, links = [], []
            for action, made in rows:
                failed = bool(made) and all(kind.type is Failure for kind, _, _ in made)
                attempt, open_ = attempts.get(action.id, (0, True))
                if not open_:
                    continue
                attempts[action.id] = (attempt + 1, failed)
                seq += 1
                about = {"id": action.id, "step": action.step, "place": str(action.place), "slot": action.slot}
                actions.append({"seq": seq, "attempt": attempt + 1, "failed": failed, **about})
                links += [
                    {"action": seq, "position": position, "kind": kind.name, "value": row["id"]}
                    for position, (kind, row, _) in enumerate(made)
                ]
            self._add(connection, "action", actions)
            self._add(connection, "link", links)

        self.opened.write(write)

    def check(self, values: Sequence[Any]) -> None:
        """Record nothing; raise InputError for values that could not be recorded. They are about to be completed."""
        rows = [_row(value) for value in values]
        for kind, row, _ in rows:
            refuse_nul(self._engine, kind.name, [row])
        self._checked.update((id(columns[2]), columns) for columns in rows)

    @_again
    def results(self, step: str, place: Place) -> dict[str, tuple[Any, ...]]:
        """Return the values of all finished actions of a step at a place, in whatever round, by action id, in order."""
        action, link = table("action"), table("link")
        here = (action.c.step == step, action.c.place.endswith(f"/{place.subject}/{place.level}"))
        with self.opened.reading() as connection:
            finished = connection.execute(select(action.c.id, action.c.seq).where(*here).order_by(action.c.seq))
            latest = dict(finished.all())
            links = select(link).join(action).where(*here)
            linked = connection.execute(links.order_by(link.c.action, link.c.position)).all()
            values = {
                kind.name: load_values(
                    connection, kind, links.where(link.c.kind == kind.name).with_only_columns(link.c.value)
                )
                for kind in _named({name for _, _, name, _ in linked})
            }
        made: dict[int, list[Any]] = defaultdict(list)
        for seq, _, name, value in linked:
            made[seq].append(values[name][value])
        return {id_: tuple(made[seq]) for id_, seq in latest.items()}

    @_again
    def counts(self) -> list[StepCount]:
        """Return how many actions of each step are done at each place, in the order in which they began."""
        step, place, failed = _ACTION.c.step, _ACTION.c.place, _ALL_FAILED
        last = select(step, place, failed.label("failed"), func.min(_ACTION.c.seq).label("first"))
        each = last.group_by(_ACTION.c.id, step, place).subquery().c
        counted = select(each.step, each.place, func.count(), func.sum(each.failed, type_=Integer))
        with self.opened.reading() as connection:
            grouped = counted.group_by(each.step, each.place).order_by(func.min(each.first))
            return [
                StepCount(done_step, read_place(where), done, failures)
                for done_step, where, done, failures in connection.execute(grouped)
            ]

    @_again
    def sizes(self) -> dict[str, int]:
        """Return how many rows each table of actions and values holds: it grows with all that a run does or is told."""
        counted = {each: select(func.count()).select_from(table(each)) for each in _GROWING}
        with self.opened.reading() as connection:
            return {name: connection.execute(count).scalar_one() for name, count in counted.items()}

    @_again
    def made(self, kind: type) -> list[Made]:
        """Return which actions made the values of a kind, in the order of recording; several may have made one."""
        action, link = table("action"), table("link")
        columns = (action.c.id, action.c.step, action.c.place, action.c.slot, link.c.value)
        asked = select(*columns).join(link, link.c.action == action.c.seq).where(link.c.kind == _held(kind).name)
        with self.opened.reading() as connection:
            rows = connection.execute(asked.order_by(action.c.seq, link.c.position))
            return [Made(id_, step, read_place(where), slot, value) for id_, step, where, slot, value in rows]

    # ---- values by themselves ----

    def append(self, values: Sequence[Any]) -> None:
        """Record values that no action made, such as the sources, the requests to people, their answers."""
        rows = [_row(value) for value in values]
        self.opened.write(lambda connection: self._insert(connection, rows))

    def load(self, kind: type) -> list[Any]:
        """Return all recorded values of a kind, in the order of recording."""
        return list(self.by_id(kind).values())

    @_again
    def by_id(self, kind: type) -> dict[str, Any]:
        """Return what `load` does, by the ids under which the values stand on record."""
        with self.opened.reading() as connection:
            return load_values(connection, _held(kind))

    @_again
    def load_where(self, kind: type, column: str, values: Sequence[str]) -> list[Any]:
        """Return the recorded values of a kind that have one of these in a column (`id` is one), as `load` does."""
        rows = table(_held(kind).name)
        with self.opened.reading() as connection:
            return [
                value
                for some in chunks(values)
                for value in load_values(
                    connection, _held(kind), select(rows.c.id).where(rows.c[column].in_(some))
                ).values()
            ]

    @_again
    def answers(self, requests: Sequence[str]) -> dict[str, list[Feedback]]:
        """Return the feedback to those of these requests that have any, each in the order of recording."""
        feedback = table("feedback")
        found: dict[str, list[Feedback]] = defaultdict(list)
        with self.opened.reading() as connection:
            for some in chunks(requests):
                ids = select(feedback.c.id).where(feedback.c.request.in_(some))
                for value in load_values(connection, KINDS[Feedback], ids).values():
                    found[value.request].append(value)
        return dict(found)

    # ---- what happened, what it cost, what was settled ----

    def add_event(self, kind: str, data: Any) -> None:
        """Append an event with JSON data, at the present time."""
        row = {"at": time.time(), "kind": kind, "data": _json(data, f"event {kind}")}
        self.opened.write(lambda connection: self._add(connection, "event", [row]))

    @_again
    def events(self, kind: str | None = None) -> list[Event]:
        """Return the events of a kind, or all, in the order of recording."""
        event = table("event")
        asked = select(event.c.at, event.c.kind, event.c.data).order_by(event.c.seq)
        with self.opened.reading() as connection:
            found = connection.execute(asked if kind is None else asked.where(event.c.kind == kind))
            return [Event(*row) for row in found]

    def spend(self, amounts: Mapping[str, float]) -> None:
        """Append that so much of each kind (seconds, calls, tokens, money) was used."""
        now = time.time()
        rows = [{"at": now, "kind": kind, "amount": amount} for kind, amount in amounts.items()]
        if rows:
            self.opened.write(lambda connection: self._add(connection, "spent", rows))

    def enter(self, entries: Sequence[Entry]) -> None:
        """Append what model calls used and how they went, and keep their replies, all or none."""
        amounts: Counter[str] = Counter()
        for entry in entries:
            amounts.update(entry.amounts)
        now = time.time()
        spent = [{"at": now, "kind": kind, "amount": amount} for kind, amount in amounts.items() if amount]
        replies = {key: value for entry in entries for key, value in entry.replies.items()}
        calls = [_row(call) for entry in entries for call in entry.calls]

        def write(connection: Connection) -> None:
            self._insert(connection, calls)
            self._add(connection, "spent", spent)
            self._add(connection, "cache", _cache_rows(REPLIES, replies))

        self.opened.write(write)

    @_again
    def call_counts(self) -> list[CallCount]:
        """Return how many model calls each part of the run made, by what they came to, those of the cache left out."""
        call = table("call").c
        kinds = (call.asker, call.ending, call.noticed)
        asked = select(*kinds, func.count()).where(~call.cached).group_by(*kinds).order_by(func.min(call.seq))
        with self.opened.reading() as connection:
            return [CallCount(*row) for row in connection.execute(asked)]

    @_again
    def spent(self) -> dict[str, float]:
        """Return the sum of what was ever used, by kind, over all restarts."""
        spent = table("spent")
        with self.opened.reading() as connection:
            sums = select(spent.c.kind, func.sum(spent.c.amount)).group_by(spent.c.kind)
            return dict(sorted(connection.execute(sums).all()))

    def settle(self, name: str, value: Any) -> None:
        """Set once and for all; setting the same again is fine, another value raises InputError."""
        text = _json(value, name)

        def write(connection: Connection) -> None:
            self._add(connection, "meta", [{"name": name, "value": text}])
            if to_json(_setting(connection, name)) != text:
                raise InputError(f"{self.path.parent} was begun with another {name}: use a new directory")

        self.opened.write(write)

    @_again
    def setting(self, name: str) -> Any:
        """Return what was set under a name, None if nothing was."""
        with self.opened.reading() as connection:
            return _setting(connection, name)

    # ---- the cache ----

    @_again
    def get_many(self, table_name: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of the keys that are there with their values."""
        cache = table("cache")
        found: dict[str, bytes] = {}
        with self.opened.reading() as connection:
            for some in chunks(keys):
                asked = select(cache.c.key, cache.c.value).where(cache.c.table_name == table_name)
                found.update(connection.execute(asked.where(cache.c.key.in_(some))).all())
        return found

    def put_many(self, table_name: str, items: Mapping[str, bytes]) -> None:
        """Keep values by key; a later value takes the place of an earlier one."""
        if items:
            rows = _cache_rows(table_name, items)
            self.opened.write(lambda connection: self._add(connection, "cache", rows))

    # ---- within ----

    def _add(self, connection: Connection, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows of a table, of the same columns: plain values and JSON as text, which no type need convert."""
        if rows:
            refuse_nul(self._engine, name, rows)
            into = name, tuple(rows[0])
            if into not in self._as_sent:
                self._as_sent[into] = _as_sent(self._new[name], into[1], self._engine)
            connection.exec_driver_sql(self._as_sent[into], rows)

    def _row(self, value: Any) -> "Columns":
        """Return the columns of a value, those that `check` made where it did."""
        return self._checked.pop(id(value)) if id(value) in self._checked else _row(value)

    def _insert(self, connection: Connection, rows: Iterable["Columns"]) -> None:
        """Insert the rows that are not there yet, and first the values that they refer to."""
        new: dict[str, dict[str, dict[str, Any]]] = {kind.name: {} for kind in IN_ORDER}
        waiting = list(rows)[::-1]
        while waiting:
            kind, row, value = waiting.pop()
            if row["id"] not in new[kind.name]:
                new[kind.name][row["id"]] = row
                for column, referred in kind.references.items():
                    if row[column] not in new[referred.name]:
                        held = getattr(value, column)
                        waiting.append((referred, referred.row(held), held))
        for name, by_id in new.items():
            self._add(connection, name, list(by_id.values()))


# Statements that every batch needs are built once: building costs more than running.


@cache
def _statements(dialect: str) -> dict[str, Insert]:
    """Return how a row gets into each table; what is there stays, but in the cache."""
    new = insert(dialect)
    made: dict[str, Insert] = {name: new(table(name)) for name in ("action", "link", "event", "spent")}
    for kind in IN_ORDER:
        made[kind.name] = new(table(kind.name)).on_conflict_do_nothing(index_elements=["id"])
    made["meta"] = new(table("meta")).on_conflict_do_nothing()
    put = new(table("cache"))
    key = ["table_name", "key"]
    made["cache"] = put.on_conflict_do_update(index_elements=key, set_={"value": put.excluded.value})
    return made


def _as_sent(statement: Insert, columns: Sequence[str], engine: Engine) -> str:
    """Return an INSERT of columns as an engine's driver takes it, with parameters by name."""
    schemas = engine.get_execution_options().get("schema_translate_map")
    named: dict[str, Any] = {"schema_translate_map": schemas, "render_schema_translate": True} if schemas else {}
    return str(statement.compile(engine, column_keys=columns, **named))


_ACTION = table("action")
_GROWING = ("action", "link", *(kind.name for kind in IN_ORDER))
_ALL_FAILED = func.min(cast(_ACTION.c.failed, Integer))  # PostgreSQL has no least truth value
_LAST = select(func.max(_ACTION.c.seq))
_ATTEMPTS = (
    select(_ACTION.c.id, func.count(), _ALL_FAILED)
    .where(_ACTION.c.id.in_(bindparam("ids", expanding=True)))
    .group_by(_ACTION.c.id)
)

Columns = tuple[Kind, dict[str, Any], Any]
"""A kind, the columns of a value of it, and the value."""


def _held(kind: type) -> Kind:
    """Return how a record holds a kind of value; raise InputError if it holds none such."""
    if kind not in KINDS:
        raise InputError(f"a record holds no {kind.__name__}, only {', '.join(each.__name__ for each in KINDS)}")
    return KINDS[kind]


def _row(value: Any) -> Columns:
    kind = kind_of(value)
    return kind, kind.row(value), value


def _attempts(connection: Connection, actions: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """Return, of those that are on record, the number of attempts and whether all have failed."""
    found: dict[str, tuple[int, bool]] = {}
    for some in chunks(actions):
        for id_, attempts, failed in connection.execute(_ATTEMPTS, {"ids": some}):
            found[id_] = (attempts, bool(failed))
    return found


def load_values(connection: Connection, kind: Kind, ids: "Select[tuple[str]] | None" = None) -> dict[str, Any]:
    """Return the values of a kind by id, in the order of recording: all, or those that `ids` selects."""
    rows = table(kind.name)
    asked = select(rows.c.id, *(rows.c[name] for name in kind.columns)).order_by(rows.c.seq)
    if ids is not None:
        asked = asked.where(rows.c.id.in_(ids))
    referred = {
        column: load_values(connection, other, asked.order_by(None).with_only_columns(rows.c[column]))
        for column, other in kind.references.items()
    }
    parts = connection.execute(asked).partitions(_AT_ONCE)
    return {id_: kind.value(id_, row, referred) for rows in parts for id_, *row in rows}


def _cache_rows(table_name: str, items: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [{"table_name": table_name, "key": key, "value": value} for key, value in items.items()]


def _named(names: set[str]) -> list[Kind]:
    return [kind for kind in KINDS.values() if kind.name in names]


def _setting(connection: Connection, name: str) -> Any:
    meta = table("meta")
    return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()


def _json(value: Any, what: str) -> str:
    try:
        return to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be recorded: {error}") from error


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut values into pieces that a statement can take."""
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
