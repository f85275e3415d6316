"""The tables of items, of who holds them, and of what came in."""

from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import JSON, Field

from rrm.store.tables import WHOLE, Row

ROOM = "purpose = 'work' AND taken < wanted AND NOT closed"
"""The items that may be leased for the run, word for word as in the indexes that find them."""

TOUCHED = "state NOT IN ('expired', 'undone')"
"""The leases whose question their rater holds, has answered or has passed on."""

HELD = "state = 'live'"

WENT_BACK = "state = 'expired' AND stands_for IS NOT NULL"
"""The leases of checks that ran out, or were put back when their rater took an answer back."""


def where(condition: str) -> dict[str, Any]:
    """Return what makes an index hold only the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class ItemRow(Row, table=True):
    """A request that wants answers. Of work, `taken` of `wanted` places are used: `given` by answers, else by leases.

    Items of one `sheet` are about one view and handed out together, in the order of their `position`; one that is
    alone has its own id there. `question` is the request's id with copy 0, `shuffle` its place among equals (one for
    a sheet), `changed` when an answer came or went. `closed` work is at a frozen place; a `settled` item has an
    adjudicator's decision. One of a `group` is for the raters of that group alone.
    """

    __table_args__ = (
        CheckConstraint(
            "purpose <> 'work' OR (0 <= given AND given <= taken AND taken <= wanted)", name="ck_item_room"
        ),
        Index("ix_item_valuable", "value", "shuffle", **where(ROOM)),
        Index("ix_item_least_done", "taken", "shuffle", **where(ROOM)),
        Index("ix_item_disagreement", "disagreement", "shuffle", **where(ROOM)),
        Index("ix_item_room", "sheet", "group", **where(ROOM)),
        Index("ix_item_check", "purpose", **where("purpose <> 'work'")),
        Index("ix_item_place", "place", "kind"),
        Index("ix_item_question", "question"),
        Index("ix_item_sheet", "sheet", "position"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True, foreign_key="request.id")
    sheet: str
    position: int
    question: str
    purpose: str
    place: str
    kind: str
    node: str
    wanted: int
    taken: int
    given: int
    value: float
    disagreement: float
    shuffle: float
    closed: bool
    settled: bool
    changed: float
    expected: Any = Field(sa_type=JSON)
    explanation: str
    group: str = Field(default="", sa_column_kwargs={"server_default": ""})


class LeaseRow(Row, table=True):
    """An item in somebody's hands, or how that ended: live, expired, answered, skipped, undone or requeued.

    Items of one `sheet` are leased together, and end together but for answers that are taken back: `first` is the
    id of the lease whose `position` is 0, by which people know it. `attempt` tells tries at practice apart, from 1;
    it is 0 for all else. `order`, `guideline`, `points` and `shown` are how the item is shown. A gold item or attention
    check `stands_for` the work in whose place it came or, if it went back when others had taken that, for what was
    next: when that is closed or retired, so is the check, or it could be told.
    """

    __table_args__ = (
        Index("uq_lease_question", "question", "person", "attempt", unique=True, **where(TOUCHED)),
        Index("uq_lease_held", "person", "position", unique=True, **where(HELD)),
        Index("ix_lease_expires", "expires", **where(HELD)),
        Index("ix_lease_person", "person", "item"),
        Index("ix_lease_item", "item", **where(HELD)),
        Index("ix_lease_first", "first"),
        Index("ix_lease_went_back", "person", **where(WENT_BACK)),
    )
    id: str = Field(primary_key=True)
    first: str
    position: int
    item: str = Field(foreign_key="item.id")
    sheet: str
    question: str
    person: str
    purpose: str
    attempt: int
    order: Any = Field(sa_type=JSON)
    guideline: int
    points: int
    shown: str
    at: float
    expires: float
    state: str
    stands_for: str | None = None


class DraftRow(Row, table=True):
    """What somebody had typed; they get the sheet in the same order again, so that its places stay right."""

    person: str = Field(primary_key=True)
    sheet: str = Field(primary_key=True)
    content: Any = Field(sa_type=JSON)
    at: float


class PlaceRow(Row, table=True):
    """A place that was frozen once: since when, None if it is open again, and when the run took it up."""

    place: str = Field(primary_key=True)
    frozen: float | None
    taken_up: float | None


class GivenRow(Row, table=True):
    """An answer. `seq` counts from 1 without gaps; `right` is None where no answer is known or none is judged.

    Answers that were handed in together, to items of one `sheet`, have one `key`, and `position`s from 0.
    """

    __table_args__ = (
        UniqueConstraint("person", "key", "position"),
        Index("ix_given_item", "item"),
        Index("ix_given_person", "person", "seq"),
        Index("ix_given_place", "place", "seq"),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    key: str
    position: int
    lease: str | None = Field(unique=True)
    item: str = Field(foreign_key="item.id")
    sheet: str
    person: str
    answer_kind: str
    answer: Any = Field(sa_type=JSON)
    order: Any = Field(sa_type=JSON)
    guideline: int
    shown: str
    at: float
    seconds: float | None
    wall_seconds: float
    confidence: float | None
    detail: Any = Field(sa_type=JSON)
    purpose: str
    place: str
    node: str
    kind: str
    right: bool | None
    criterion: str
    adjudication: bool
    attempt: int


class RetractionRow(Row, table=True):
    """That an answer no longer counts, and why: undone, requeued or adjudicated. `seq` counts from 1 without gaps."""

    seq: int | None = Field(default=None, primary_key=True)
    given: str = Field(index=True, foreign_key="given.id")
    state: str
    at: float
    by: str


class RestorationRow(Row, table=True):
    """That a retraction counts no more: the decision behind it was taken back. `seq` counts from 1 without gaps."""

    seq: int | None = Field(default=None, primary_key=True)
    retraction: int = Field(unique=True, foreign_key="retraction.seq")
    at: float
    by: str


class SkipRow(Row, table=True):
    """That somebody passed an item on; those of one sheet, passed on together, have one `key`."""

    __table_args__ = (UniqueConstraint("person", "key", "position"),)
    seq: int | None = Field(default=None, primary_key=True)
    key: str
    position: int
    lease: str = Field(unique=True)
    item: str = Field(foreign_key="item.id")
    person: str
    reason: str
    at: float
    place: str


class MessageRow(Row, table=True):
    """What raters are told: all of them, or `person` in reply to a `flag`."""

    seq: int | None = Field(default=None, primary_key=True)
    at: float
    by: str
    person: str | None
    flag: int | None
    text: str


class SeenRow(Row, table=True):
    """That somebody has put a message away."""

    __table_args__ = (Index("ix_seen_person", "person"),)
    seq: int | None = Field(default=None, primary_key=True)
    person: str
    message: int
    at: float


class ValuationRow(Row, table=True):
    """How it stood when open items were ordered by value: see `rrm.core.annotation.Valuation`."""

    seq: int | None = Field(default=None, primary_key=True, sa_type=WHOLE)
    at: float
    answers: int = Field(sa_type=WHOLE)
    open: int = Field(sa_type=WHOLE)
    minutes: float
    predicted: float
    expected: float
    gain: float
    stopped: bool
    refit: bool


class FlagRow(Row, table=True):
    """What somebody found odd."""

    seq: int | None = Field(default=None, primary_key=True)
    item: str = Field(foreign_key="item.id")
    person: str
    text: str
    at: float
