"""The desk's items: what wants answers, and how far that is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from math import isfinite
from random import Random
from typing import Any, NamedTuple, get_args

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.sql import ColumnElement

from rrm.core.annotation import MOST_QUESTIONS, MOST_WANTED, Item, PlaceProgress, Purpose
from rrm.core.errors import ConflictError, InputError, MissingError
from rrm.core.ids import content_id
from rrm.core.kinds import KINDS, ClaimMarks, Hindsight
from rrm.core.place import Place
from rrm.core.values import Request
from rrm.queue import people_tables, tables  # noqa: F401  (makes the tables known)
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.checks import Shape, in_shape, shape_of
from rrm.queue.groups import group_name
from rrm.queue.guidelines import latest_guideline
from rrm.queue.requests import Rows, insert_new, load_request, load_requests, request_rows
from rrm.queue.shown import check_fits, question
from rrm.store.kinds import answer_from, read_place, to_json
from rrm.store.record import chunks
from rrm.store.tables import table

ITEM, LEASE, PLACE, _PERSON = (table(name) for name in ("item", "lease", "place", "person"))
STANDING = func.coalesce(LEASE.c.stands_for, LEASE.c.item)
"""The item whose fate a lease shares: a check's is that of the work for which it stands."""

ME: "BindParameter[str]" = bindparam("me")
"""The person that a statement is about."""

_PURPOSES = get_args(Purpose)
_WORK = ITEM.c.purpose == literal_column("'work'")

_ROWS = select(ITEM).where(ITEM.c.id.in_(bindparam("ids", expanding=True)))
_COMPLETE = or_(ITEM.c.settled, ITEM.c.given >= ITEM.c.wanted)
_PROGRESS = (
    select(
        ITEM.c.place,
        ITEM.c.kind,
        func.count(),
        func.sum(case((_COMPLETE, 1), else_=0), type_=Integer),
        func.sum(ITEM.c.taken - ITEM.c.given, type_=Integer),
        func.sum(ITEM.c.given, type_=Integer),
        func.sum(ITEM.c.wanted, type_=Integer),
        func.max(cast(ITEM.c.closed, Integer)) == 1,
    )
    .where(_WORK)
    .group_by(ITEM.c.place, ITEM.c.kind)
)
_SHAPES, _NEWEST = 8, 200
"""Into how many shapes known answers are brought beforehand, and at how many open sheets is looked for them."""

_NEXT_PLACE = select(func.min(ITEM.c.place)).where(ITEM.c.place > bindparam("last"))
_LAST_PLACE = select(func.max(ITEM.c.place))
_PLACED = select(ITEM.c.id, ITEM.c.place).where(ITEM.c.id.in_(bindparam("ids", expanding=True)))


class Items(Base):
    """The part of the desk that keeps the items."""

    def add_items(self, items: Sequence[Item]) -> int:
        """Record items that are new, with their requests; return how many were. An item that is there stays.

        Those with one name of a sheet are put together, as far as they are new, in their order.
        So a question that was laid in an earlier round stays at that round's place, with the answers it got.
        ConflictError for new work at a place that is frozen already, InputError for an item or a sheet that cannot
        be: all are added, or none.
        """
        by_id = {item.request.id: item for item in items}
        for item in by_id.values():
            _check(item)
        check_sheets(by_id.values())
        made = new_items(list(by_id.values()), self.random)

        def add(connection: Connection) -> int:
            there = set(those_there(connection, list(by_id)))
            new = [row for row in made.rows if row["id"] not in there]
            if not new:
                return 0
            closed = {str(place) for place in frozen_places(connection)}
            late = next((row for row in new if row["purpose"] == "work" and row["place"] in closed), None)
            if late is not None:
                where = in_words(connection, read_place(late["place"]))
                raise ConflictError(f"{where} is frozen: reopen it before adding {late['id']}")
            insert_items(connection, made._replace(rows=new))
            shape_checks(connection, self.random)
            about = {"items": len(new), "places": sorted({row["place"] for row in new})}
            record_audit(
                connection, self.clock(), "system", "add items", "items", None, about, latest_guideline(connection)
            )
            return len(new)

        return self._do(add)

    def item(self, id: str) -> Item:
        with self._read() as connection:
            return load_item(connection, id)

    def places(self) -> list[Place]:
        """Return the places that there are items at, in order."""
        found = []
        with self._read() as connection:  # from one to the next by the index: to look at all items takes longer
            last = ""
            while (place := connection.execute(_NEXT_PLACE, {"last": last}).scalar()) is not None:
                found.append(read_place(place))
                last = place
        return sorted(found)

    def placed(self, items: Sequence[str]) -> dict[str, Place]:
        """Return the places of those of these items that are there: where each was laid first."""
        with self._read() as connection:
            rows = [row for some in chunks(items) for row in connection.execute(_PLACED, {"ids": some})]
        return {row.id: read_place(row.place) for row in rows}

    def checks(self) -> list[str]:
        """Return the ids of the gold items and attention checks, which are mixed in unseen."""
        unseen = select(ITEM.c.id).where(ITEM.c.purpose != literal_column("'work'"), ITEM.c.purpose != "practice")
        with self._read() as connection:
            return list(connection.execute(unseen).scalars())

    def idle_checks(self) -> int:
        """Count the gold items and attention checks that nobody gets, since they fit no shape of the open work.

        0 while there is no open work. Looks at its newest sheets.
        """
        with self._read() as connection:
            checks = connection.execute(_CHECK_SHEETS).scalars().all()
            newest = connection.execute(_NEWEST_OPEN).scalars().all() if checks else ()
            if not newest:
                return 0
            shapes = set(map(_shape, items_on(connection, newest).values()))
            sheets = list(items_on(connection, checks).values())
        fitting: dict[tuple[object, ...], bool] = {}
        for sheet in sheets:
            fits_whole = _shape(sheet) in shapes
            for each in sheet:
                if each.expected is not None:
                    fits = fits_whole or any(in_shape(each, shape, 0) for shape in shapes)
                    fitting[_asked(each)] = fitting.get(_asked(each), False) or fits
        return sum(not fits for fits in fitting.values())

    def progress(self) -> list[PlaceProgress]:
        """Return the work items' progress, by place and kind; an adjudicated item counts as complete."""
        with self._read() as connection:
            found = [PlaceProgress(read_place(row[0]), *row[1:]) for row in connection.execute(_PROGRESS)]
        return sorted(found, key=lambda each: (each.place, each.kind))


# ---- for the desk's other parts, inside their transactions ----


class NewItems(NamedTuple):
    """What is to be inserted of items: their rows, the names of their sheets by id, and their requests."""

    rows: Rows
    names: dict[str, str]
    views: Rows
    requests: Rows


def new_items(items: Sequence[Item], random: Random) -> NewItems:
    names = {item.request.id: item.sheet for item in items}
    return NewItems([_row(item, random) for item in items], names, *request_rows(item.request for item in items))


def insert_items(connection: Connection, new: NewItems) -> None:
    """Insert rows of items that are not there yet, those with one name of a sheet together."""
    _put_together(new.rows, new.names)
    insert_new(connection, "view", new.views)
    insert_new(connection, "request", new.requests)
    connection.execute(insert(ITEM), new.rows)


def in_new_shape(connection: Connection, known: Item, shape: Shape, random: Random) -> NewItems | None:
    """Return new items with the known answer of one that together have a shape; None where they cannot have it."""
    copies = (in_shape(known, shape, copy) for copy in count(1))  # there is one for each shape that it came in
    made = next(
        some for some in copies if some is None or not any(those_there(connection, [each.request.id for each in some]))
    )
    if made is None:
        return None
    new = new_items(made, random)
    for row, each in zip(new.rows, made, strict=True):  # whatever its shape, nobody gets a question twice
        row["question"] = question(replace(each.request, view=known.request.view))
    return new


def shape_checks(connection: Connection, random: Random) -> None:
    """Have known answers in the usual shapes of open work: to make them as they are handed out would take its time."""
    checks = connection.execute(_CHECK_SHEETS).scalars().all()
    if not checks:
        return
    newest = connection.execute(_NEWEST_OPEN).scalars().all()
    usual = Counter(map(_shape, items_on(connection, newest).values()))
    sheets = [(_shape(sheet), sheet) for sheet in items_on(connection, checks).values()]
    there = {(_asked(each), shape) for shape, sheet in sheets for each in sheet}
    known = {_asked(each): each for _, sheet in reversed(sheets) for each in sheet if each.expected is not None}
    fitting = (shape for shape, _ in usual.most_common() if any(in_shape(each, shape, 0) for each in known.values()))
    for shape in islice(fitting, _SHAPES):
        for asked, each in known.items():
            new = None if (asked, shape) in there else in_new_shape(connection, each, shape, random)
            if new is not None:
                insert_items(connection, new)


def _shape(sheet: Sequence[Item]) -> Shape:
    return shape_of([each.request for each in sheet], sheet[0].group)


def _asked(item: Item) -> tuple[object, ...]:
    """Tell questions apart, but for the budgets of their views."""
    request = item.request
    return request.node, request.kind, request.criterion, request.shown, replace(request.view, max_tokens=0)


def has_room(item: Any = ITEM) -> ColumnElement[bool]:
    """What `tables.ROOM` says, so that the indexes over the items with room serve."""
    is_work: ColumnElement[bool] = item.c.purpose == literal_column("'work'")
    return and_(is_work, item.c.taken < item.c.wanted, literal_column(f"NOT {item.name}.closed"))


_CHECK_SHEETS = select(ITEM.c.sheet).where(
    ITEM.c.purpose != literal_column("'work'"), ITEM.c.purpose != "practice", ITEM.c.position == 0
)
_NEWEST_OPEN = select(ITEM.c.sheet).where(has_room(), ITEM.c.position == 0).order_by(ITEM.c.seq.desc()).limit(_NEWEST)


def is_touched(lease: Any = LEASE) -> ColumnElement[bool]:
    """What `tables.TOUCHED` says."""
    ended: ColumnElement[bool] = lease.c.state.not_in([literal_column("'expired'"), literal_column("'undone'")])
    return ended


def went_back(lease: Any = LEASE) -> ColumnElement[bool]:
    """What `tables.WENT_BACK` says."""
    return and_(lease.c.state == literal_column("'expired'"), lease.c.stands_for.is_not(None))


def is_held() -> ColumnElement[bool]:
    """What `tables.HELD` says."""
    return LEASE.c.state == literal_column("'live'")


def not_touched(item: Any = ITEM) -> ColumnElement[bool]:
    """That the person `me` never had the item's question in hand, or let it run out."""
    lease = LEASE.alias("mine")
    mine = select(lease.c.id).where(lease.c.question == item.c.question, lease.c.person == ME, is_touched(lease))
    return ~mine.exists().correlate(item)


_OWN_GROUP = select(_PERSON.c.group).where(_PERSON.c.id == ME).correlate(None).scalar_subquery()


def is_for_me(item: Any = ITEM) -> ColumnElement[bool]:
    """That the item is for all, or for the group of the person `me`."""
    return or_(item.c.group == literal_column("''"), item.c.group == _OWN_GROUP)


def load_item(connection: Connection, id: str) -> Item:
    """Return an item; raise MissingError if there is none."""
    row = connection.execute(select(ITEM).where(ITEM.c.id == id)).one_or_none()
    if row is None:
        raise MissingError(f"there is no item {id!r:.60}")
    return _as_item(row, load_request(connection, id))


def items_on(connection: Connection, sheets: Sequence[str]) -> dict[str, list[Item]]:
    """Return the items of sheets in their order, by the sheet."""
    asked = select(ITEM).order_by(ITEM.c.sheet, ITEM.c.position)
    rows = [row for some in chunks(sheets) for row in connection.execute(asked.where(ITEM.c.sheet.in_(some)))]
    requests: dict[str, Request] = {}
    for ids in chunks([row.id for row in rows]):
        requests |= load_requests(connection, ids)
    found: dict[str, list[Item]] = {}
    for row in rows:
        found.setdefault(row.sheet, []).append(_as_item(row, requests[row.id]))
    return found


def _as_item(row: Any, request: Request) -> Item:
    expected = None if row.expected is None else answer_from(row.expected["kind"], row.expected["of"])
    return Item(request, row.purpose, row.wanted, row.value, expected, row.explanation, group=row.group)


def item_rows(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """Return the rows of those of these items that are there, by id."""
    found = (connection.execute(_ROWS, {"ids": some}) for some in chunks(ids))
    return {row.id: row for rows in found for row in rows}


def those_there(connection: Connection, ids: Sequence[str]) -> Iterator[str]:
    """Yield those of these ids that items have."""
    for some in chunks(ids):
        yield from connection.execute(select(ITEM.c.id).where(ITEM.c.id.in_(some))).scalars()


def frozen_places(connection: Connection) -> set[Place]:
    return set(map(read_place, connection.execute(select(PLACE.c.place).where(PLACE.c.frozen.is_not(None))).scalars()))


def in_words(connection: Connection, place: Place) -> str:
    """Say a place to people: without the round, as long as all items are of the first one."""
    last: str | None = connection.execute(_LAST_PLACE).scalar()
    return place.words(several=last is not None and read_place(last).round > 0)


def _row(item: Item, random: Random) -> dict[str, Any]:
    request = item.request
    return {
        "id": request.id,
        "sheet": request.id,
        "position": 0,
        "question": question(request),
        "purpose": item.purpose,
        "place": str(request.place),
        "kind": request.kind,
        "node": request.node,
        "wanted": item.wanted,
        "taken": 0,
        "given": 0,
        "value": float(item.value),
        "disagreement": 0.0,
        "shuffle": random.random(),
        "closed": False,
        "settled": False,
        "changed": 0.0,
        "expected": to_json(None if item.expected is None else {"kind": item.expected.kind, "of": item.expected}),
        "explanation": item.explanation,
        "group": item.group,
    }


def check_sheets(items: Iterable[Item]) -> None:
    """Raise InputError unless the items of each sheet can be put to a rater on one screen."""
    sheets: dict[str, list[Item]] = {}
    for item in items:
        if item.sheet:
            sheets.setdefault(item.sheet, []).append(item)
    for name, together in sheets.items():
        _check_sheet(f"the sheet {name!r:.60}", together)


def _check_sheet(name: str, items: Sequence[Item]) -> None:
    if len(items) > MOST_QUESTIONS:
        raise InputError(f"{name} has {len(items)} questions, and a screen takes {MOST_QUESTIONS}: make it two sheets")
    if len({item.request.view.id for item in items}) > 1:
        raise InputError(f"{name} has questions about several views: those of one sheet share instruction and source")
    work = [item for item in items if item.purpose == "work"]
    if len({item.request.place for item in work}) > 1:
        raise InputError(f"{name} has questions at several places: those of one sheet are closed together")
    if len({item.group for item in items}) > 1:
        raise InputError(f"{name} has questions for several groups of raters: those of one sheet are for one")
    practice = [item for item in items if item.purpose == "practice"]
    if practice and len(practice) < len(items):
        raise InputError(f"{name} mixes practice with other questions: let all of a sheet be practice, or none")
    if len({item.request.aids for item in items}) > 1:
        raise InputError(
            f"{name} shows what came of outputs, or the support or critiques of them, beside questions that are to be"
            " answered without: make it two sheets"
        )
    for item in items:
        if len(set(item.request.shown)) < len(item.request.shown):
            raise InputError(f"{name}: {item.request.id} shows one output twice")
    if len(items) > len({question(item.request) for item in items}):
        raise InputError(f"{name} asks one question twice")


def _put_together(rows: Sequence[dict[str, Any]], names: Mapping[str, str]) -> None:
    """Give the rows of each sheet, of which there are names by item, one id, one place among equals, and an order."""
    sheets: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if names[row["id"]]:
            sheets.setdefault(names[row["id"]], []).append(row)
    for together in sheets.values():
        if len(together) > 1:
            sheet = content_id("sheet", [row["id"] for row in together])
            for position, row in enumerate(together):
                row.update(sheet=sheet, position=position, shuffle=together[0]["shuffle"])


def _check(item: Item) -> None:
    name = item.request.id
    if item.purpose not in _PURPOSES:
        raise InputError(f"{name}: an item's purpose is one of {', '.join(_PURPOSES)}, got {item.purpose!r:.40}")
    whole = isinstance(item.wanted, int) and not isinstance(item.wanted, bool)
    if not (whole and 1 <= item.wanted <= MOST_WANTED):
        raise InputError(f"{name}: an item wants 1 to {MOST_WANTED:,} answers, got {item.wanted!r:.40}")
    group_name(item.group)
    if not isfinite(item.value):
        raise InputError(f"{name}: an item's value is a finite number, got {item.value!r}")
    if not item.request.shown and KINDS[item.request.kind].shows[0]:
        raise InputError(f"{name}: a {item.request.kind} needs an output that is shown")
    told = {each.consequence is not None for each in item.request.shown}
    if (item.request.kind == Hindsight.kind) in {not each for each in told}:
        raise InputError(f"{name}: what came of outputs is shown in hindsight, and there of each output")
    if item.request.kind != ClaimMarks.kind and any(each.critique for each in item.request.shown):
        raise InputError(f"{name}: what a critic wrote is shown to those who mark claims, and to nobody else")
    if item.expected is not None:
        try:
            check_fits(item.expected, item.request)
        except InputError as error:
            raise InputError(f"{name}: its expected answer does not fit: {error}") from error
