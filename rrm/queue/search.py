"""Looking through the desk's items page by page, at who is at work, and up many requests at once."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, case, cast, exists, func, or_, select, true

from rrm.core.annotation import AtWork, ItemRow, ItemState, ItemText
from rrm.core.asking import Asked
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import KINDS as ANSWERS
from rrm.core.values import Request
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.guidelines import latest_guideline
from rrm.queue.requests import load_requests
from rrm.store.kinds import read_place, to_json
from rrm.store.record import chunks
from rrm.store.tables import table

MOST_ROWS = 500
"""The most that one page of a search holds."""

LONGEST_TEXT = 200
"""Letters of the text that is searched for; databases bound patterns too."""

_EXCERPT = 160  # letters
_RECENT = 5_000  # answers among which somebody at work is looked for

_ITEM, _REQUEST, _VIEW = (table(name) for name in ("item", "request", "view"))
_GIVEN, _LEASE = table("given"), table("lease")
_WORK = _ITEM.c.purpose == "work"
_DONE = and_(_WORK, or_(_ITEM.c.settled, _ITEM.c.given >= _ITEM.c.wanted))
_IN_STATE: dict[ItemState, ColumnElement[bool]] = {
    "open": and_(~_ITEM.c.closed, ~_DONE),
    "complete": and_(~_ITEM.c.closed, _DONE),
    "frozen": _ITEM.c.closed,
}
_ANSWERS = select(func.count()).where(_GIVEN.c.item == _ITEM.c.id).scalar_subquery()
_LEASES = select(func.count()).where(_LEASE.c.item == _ITEM.c.id, _LEASE.c.state == "live").scalar_subquery()
_ROW: tuple[Any, ...] = (
    _ITEM.c.seq,
    _ITEM.c.id,
    _ITEM.c.place,
    _ITEM.c.kind,
    _ITEM.c.node,
    _ITEM.c.purpose,
    case((_ITEM.c.closed, "frozen"), (_DONE, "complete"), else_="open"),
    _ITEM.c.wanted,
    case((_WORK, _ITEM.c.given), else_=_ANSWERS),
    case((_WORK, _ITEM.c.taken - _ITEM.c.given), else_=_LEASES),
    func.substr(_VIEW.c.instruction, 1, _EXCERPT),
    func.coalesce(func.substr(_REQUEST.c.shown[0]["text"].as_string(), 1, _EXCERPT), ""),
)
_ASKED = select(_REQUEST.c.id, _REQUEST.c.source, _REQUEST.c.shown, _REQUEST.c.criterion).where(
    _REQUEST.c.id.in_(bindparam("ids", expanding=True))
)

_WHY = select(*(table("asked").c[each.name] for each in fields(Asked))).order_by(table("asked").c.seq)


class Search(Base):
    """The part of the desk that looks through what is there."""

    def search_items(
        self,
        *,
        place: Place | None = None,
        state: ItemState | None = None,
        kind: str | None = None,
        node: str | None = None,
        text: str | None = None,
        after: int = 0,
        up_to: int | None = None,
        limit: int = 50,
    ) -> list[ItemRow]:
        """Return the next items behind number `after`, in the order of recording, that meet every condition given.

        With `up_to` nothing behind that number is looked at, which bounds how long a rare text is searched for.

        `node` is the beginning of a node's id. `text` stands in the instruction, the context, a passage or
        an output; capital and small letters are alike (on SQLite those of ASCII), and no sign is special.
        Raises InputError for an unknown state or kind, and for a longer text or page than there may be.
        """
        if state is not None and state not in get_args(ItemState):
            raise InputError(f"there is no state {state!r:.40}; there are {', '.join(get_args(ItemState))}")
        if kind is not None and kind not in ANSWERS:
            raise InputError(f"there is no kind {kind!r:.40}; there are {', '.join(ANSWERS)}")
        if not 1 <= limit <= MOST_ROWS:
            raise InputError(f"a page has 1 to {MOST_ROWS} items, got {limit}")
        if text is not None and len(text) > LONGEST_TEXT:
            raise InputError(f"the text to search for may have {LONGEST_TEXT} letters, got {len(text)}")
        wanted = [_ITEM.c.seq > after]
        wanted += [] if up_to is None else [_ITEM.c.seq <= up_to]
        wanted += [] if place is None else [_ITEM.c.place == str(place)]
        wanted += [] if state is None else [_IN_STATE[state]]
        wanted += [] if kind is None else [_ITEM.c.kind == kind]
        wanted += [] if not node else [_ITEM.c.node.startswith(node, autoescape=True)]
        with self._read() as connection:
            wanted += [] if not text else [_says(connection, text)]
            joined = _ITEM.join(_REQUEST, _REQUEST.c.id == _ITEM.c.id).join(_VIEW, _VIEW.c.id == _REQUEST.c.view)
            asked = select(*_ROW).select_from(joined).where(*wanted).order_by(_ITEM.c.seq).limit(limit)
            return [ItemRow(row[0], row[1], read_place(row[2]), *row[3:]) for row in connection.execute(asked)]

    def requests(self, ids: Sequence[str]) -> dict[str, Request]:
        """Return those of these requests that are on record, by id."""
        found: dict[str, Request] = {}
        with self._read() as connection:
            for some in chunks(ids):
                found |= load_requests(connection, some)
        return found

    def asked(self, ids: Sequence[str]) -> dict[str, ItemText]:
        """Return what exported answers tell of those of these requests that are on record, by id."""
        found: dict[str, ItemText] = {}
        with self._read() as connection:
            for some in chunks(ids):
                for id_, source, shown, criterion in connection.execute(_ASKED, {"ids": some}):
                    found[id_] = ItemText(source, tuple([each["text"] for each in shown]), criterion)
        return found

    def why(self) -> dict[str, Asked]:
        """Return why items were put to raters, by their ids: those that a sampler chose, or drew beside these."""
        with self._read() as connection:
            return {row[0]: Asked(*row) for row in connection.execute(_WHY)}

    def at_work(self, since: float) -> list[AtWork]:
        """Return who holds an item or has answered one since a time (seconds since 1970), the latest first."""
        held = select(_LEASE.c.person, _LEASE.c.item, _LEASE.c.at)
        held = held.where(_LEASE.c.state == "live", _LEASE.c.position == 0, _LEASE.c.expires > self.clock())
        # by seq, which has an index: the answers of a whole run are too many to look at each time
        recent = select(_GIVEN.c.person, _GIVEN.c.at).order_by(_GIVEN.c.seq.desc()).limit(_RECENT).subquery()
        last = select(recent.c.person, func.max(recent.c.at)).where(recent.c.at >= since).group_by(recent.c.person)
        with self._read() as connection:
            holding = {person: (item, at) for person, item, at in connection.execute(held)}
            answered = dict(connection.execute(last).all())
        here = [
            AtWork(person, *holding.get(person, (None, None)), answered.get(person))
            for person in holding.keys() | answered.keys()
        ]
        return sorted(here, key=lambda each: (-max(each.since or 0.0, each.last or 0.0), each.person))

    def note(self, by: str, what: str, subject: str) -> None:
        """Append an audit entry about what was done beside the desk, such as starting the run."""

        def write(connection: Connection) -> None:
            record_audit(connection, self.clock(), by, what, subject, guideline=latest_guideline(connection))

        self._do(write)


def _says(connection: Connection, text: str) -> ColumnElement[bool]:
    """Return the condition that an item shows this text somewhere."""
    return or_(
        _VIEW.c.instruction.icontains(text, autoescape=True),
        _VIEW.c.context.icontains(text, autoescape=True),
        _in_one(connection, _VIEW.c.passages, text),
        _in_one(connection, _REQUEST.c.shown, text),
    )


def _in_one(connection: Connection, column: Any, text: str) -> ColumnElement[bool]:
    """Return the condition that a JSON list holds an object whose `text` has this text in it.

    The whole JSON is looked through first, which is quick, and only what has the text somewhere is taken apart.
    """
    whole = cast(column, Text).icontains(to_json(text)[1:-1], autoescape=True)
    if connection.dialect.name == "postgresql":
        each = func.json_array_elements(column).table_valued("value").lateral()
        said: Any = func.json_extract_path_text(each.c.value, "text")
    else:
        each = func.json_each(column).table_valued("value")
        said = func.json_extract(each.c.value, "$.text")
    return and_(whole, exists(select(true()).select_from(each).where(said.icontains(text, autoescape=True))))
