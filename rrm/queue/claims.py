"""Who holds which sheet: claiming one at a time, keeping it, and giving it back."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Insert,
    ScalarSelect,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from rrm.core.annotation import DeskSettings, Item, Lease, PersonState, Posed, Purpose, Role, Strategy, shown_hash
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.core.ids import seed_for
from rrm.core.values import Request, Shown
from rrm.queue.allot import ORDER, Allotted, allot, take_more
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.checks import Shape, shape_of
from rrm.queue.ended import ENDED, check_live
from rrm.queue.given import done_so_far
from rrm.queue.guidelines import latest_guideline, read_settings, storable
from rrm.queue.items import (
    ITEM,
    LEASE,
    ME,
    has_room,
    in_new_shape,
    insert_items,
    is_for_me,
    is_held,
    is_touched,
    item_rows,
    items_on,
    not_touched,
    went_back,
)
from rrm.queue.left import Left
from rrm.queue.panels import PANEL
from rrm.queue.people import change_state
from rrm.queue.practice import (
    IS_CHECK,
    count_checks,
    is_apart,
    leads_checks,
    next_practice_state,
    practice_items,
    practice_state,
)
from rrm.store.database import Opened
from rrm.store.database import insert as insert_or_update
from rrm.store.kinds import to_json
from rrm.store.recent import Recent
from rrm.store.record import chunks
from rrm.store.tables import table

DRAFT, FLAG, PERSON, SKIP = table("draft"), table("flag"), table("person"), table("skip")

MOST_CHARACTERS = 20_000
"""Characters that a reason or the text of a flag may have."""

_MOST_CHECKS = 40
"""Checks, drawn at random, among which one is looked for that can be hidden; more would hold up all who wait."""

_CHECKS_KEPT = 1_000

_MAY_RATE: frozenset[Role] = frozenset({"annotator", "adjudicator", "admin"})


def _first(*order: Any) -> "ScalarSelect[int]":
    free = select(ITEM.c.seq).where(has_room(), is_for_me(), not_touched()).order_by(*order).limit(1)
    return free.correlate(None).scalar_subquery()


_FIRST: "Mapping[Strategy, ScalarSelect[int]]" = {strategy: _first(*order) for strategy, order in ORDER.items()}


def _take(place: "ScalarSelect[int]") -> "ReturningUpdate[tuple[str, str, str]]":
    took = update(ITEM).where(ITEM.c.seq == place).values(taken=ITEM.c.taken + 1)
    return took.returning(ITEM.c.id, ITEM.c.sheet, ITEM.c.question)


_TAKE = {strategy: _take(place) for strategy, place in _FIRST.items()}
_LOOK = {
    strategy: select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.group).where(ITEM.c.seq == place)
    for strategy, place in _FIRST.items()
}
_TAKE_ONE = (
    update(ITEM).where(ITEM.c.id == bindparam("one"), has_room()).values(taken=ITEM.c.taken + 1).returning(ITEM.c.id)
)
_FREE = (
    update(ITEM)
    .where(
        ITEM.c.id.in_(select(LEASE.c.item).where(LEASE.c.first == bindparam("one"))),
        ITEM.c.purpose == "work",
    )
    .values(taken=ITEM.c.taken - 1)
)

_WHO = (
    select(
        PERSON.c.id.label("who"),
        PERSON.c.role,
        PERSON.c.state.label("person_state"),
        select(DRAFT.c.sheet).where(DRAFT.c.person == PERSON.c.id).exists().label("drafts"),
        PANEL.c.quota,
        *LEASE.c,
    )
    .join_from(PERSON, LEASE, (LEASE.c.person == PERSON.c.id) & is_held() & (LEASE.c.position == 0), isouter=True)
    .join(PANEL, PERSON.c.panel == PANEL.c.id, isouter=True)
    .where(PERSON.c.id.in_(bindparam("us", expanding=True)))
)
_STATES = select(PERSON.c.id, PERSON.c.role, PERSON.c.state).where(PERSON.c.id.in_(bindparam("us", expanding=True)))
_EXPIRED = (
    select(LEASE.c.first, LEASE.c.person)
    .where(is_held(), LEASE.c.position == 0, LEASE.c.expires <= bindparam("now"))
    .order_by(LEASE.c.stands_for.is_not(None))  # checks last: what they stand for may be free again by then
)
_LEASES = (
    select(LEASE).where(LEASE.c.first.in_(bindparam("these", expanding=True))).order_by(LEASE.c.first, LEASE.c.position)
)
_END = update(LEASE).where(LEASE.c.first.in_(bindparam("these", expanding=True))).values(state=bindparam("ended"))
_END_EACH = update(LEASE).where(LEASE.c.id.in_(bindparam("these", expanding=True))).values(state=bindparam("ended"))
_MEMBERS = (
    select(
        ITEM.c.seq, ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose, ITEM.c.wanted, ITEM.c.taken, ITEM.c.closed
    )
    .where(ITEM.c.sheet.in_(bindparam("sheets", expanding=True)))
    .order_by(ITEM.c.sheet, ITEM.c.position)
)
_TOUCHED_OF = select(LEASE.c.person, LEASE.c.question, LEASE.c.attempt).where(
    LEASE.c.person.in_(bindparam("us", expanding=True)),
    LEASE.c.question.in_(bindparam("questions", expanding=True)),
    is_touched(),
)
_ORDERS = select(LEASE.c.person, LEASE.c.item, LEASE.c.order, LEASE.c.at).where(
    LEASE.c.person.in_(bindparam("us", expanding=True)), LEASE.c.item.in_(bindparam("items", expanding=True))
)
_SINCE = select(func.min(LEASE.c.at)).where(LEASE.c.person == ME, LEASE.c.item == bindparam("one"))
_DRAFTS = select(DRAFT.c.person, DRAFT.c.sheet, DRAFT.c.content).where(
    DRAFT.c.person.in_(bindparam("us", expanding=True)), DRAFT.c.sheet.in_(bindparam("sheets", expanding=True))
)
_DRAFT = select(DRAFT.c.content).where(DRAFT.c.person == ME, DRAFT.c.sheet == bindparam("one"))
_MINE, _INSTEAD = LEASE.alias("before"), ITEM.alias("instead")
_LEFT = select(_MINE.c.first).where(_MINE.c.person == ME, went_back(_MINE))
_STILL_OPEN = (
    _LEFT.join(_INSTEAD, _INSTEAD.c.id == _MINE.c.stands_for)
    .where(_MINE.c.sheet == ITEM.c.sheet, has_room(_INSTEAD), not_touched(_INSTEAD))
    .exists()
    .correlate(ITEM)
)
"""That the item is a check that the person let run out, and what it stood for then is open."""

_DRAFTED = (
    select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose)
    .join_from(DRAFT, ITEM, DRAFT.c.sheet == ITEM.c.sheet)
    .where(DRAFT.c.person == ME, has_room() | and_(leads_checks(), _STILL_OPEN), is_for_me(), not_touched())
    .order_by(DRAFT.c.at.desc(), ITEM.c.position)
    .limit(1)
)
_HAD = select(_MINE.c.id).where(_MINE.c.person == ME)
_CHECKS = select(ITEM.c.id, ITEM.c.sheet, ITEM.c.question, ITEM.c.purpose).where(
    IS_CHECK,
    ITEM.c.purpose == bindparam("purpose"),
    leads_checks(),
    is_for_me(),
    not_touched(),
    ~_HAD.where(_MINE.c.item == ITEM.c.id).exists().correlate(ITEM),
)
_HAS_HAD = _HAD.where(_MINE.c.item == bindparam("one")).limit(1)
_WENT_BACK = (
    select(LEASE.c.first, LEASE.c.stands_for)
    .join_from(LEASE, ITEM, LEASE.c.item == ITEM.c.id)
    .where(LEASE.c.person == ME, went_back(), is_apart(), is_for_me(), not_touched())
    .order_by(
        select(func.min(_MINE.c.at))
        .where(_MINE.c.person == ME, _MINE.c.item == LEASE.c.item)
        .correlate(LEASE)
        .scalar_subquery()
    )
)
"""The checks that the person let run out, those seen first in front, as the work would come again."""

_LAST_LEFT = _LEFT.where(_MINE.c.sheet == bindparam("one")).order_by(_MINE.c.at.desc()).limit(1)
_OPEN = select(ITEM.c.id).where(ITEM.c.id.in_(bindparam("ids", expanding=True)), has_room(), not_touched())
_STAND_FOR = update(LEASE).where(LEASE.c.first == bindparam("one")).values(stands_for=bindparam("work"))
_NEW_LEASE = insert(LEASE).returning(LEASE.c.id)  # which makes it one statement for many rows
_RENEW = update(LEASE).where(LEASE.c.first == bindparam("one")).values(expires=bindparam("until"))
_FORGET_DRAFTS = delete(DRAFT).where(
    tuple_(DRAFT.c.person, DRAFT.c.sheet).in_(
        select(LEASE.c.person, LEASE.c.sheet).where(LEASE.c.id.in_(bindparam("these", expanding=True)))
    )
)


class Turn(NamedTuple):
    """What is one for all that share a transaction; `checks` tells how many items but work there are."""

    now: float
    settings: DeskSettings
    guideline: int
    checks: dict[Purpose, int]


class Chosen(NamedTuple):
    """An item to lease; `fresh` if the rater surely never had its question in hand.

    A check by itself `stands_for` an item of work.
    """

    item: str
    sheet: str
    question: str
    purpose: Purpose = "work"
    attempt: int = 0
    fresh: bool = False
    stands_for: str | None = None

    @property
    def is_alone(self) -> bool:
        return self.sheet == self.item


class _Shaped(NamedTuple):
    """A sheet of checks: its shape, and those of its items to which the answer is known."""

    shape: Shape
    known: list[Item]


class Claims(Base):
    """The part of the desk that knows who holds which sheet."""

    def __init__(self, opened: Opened, clock: Callable[[], float], random: Random) -> None:
        super().__init__(opened, clock, random)
        self._left = Left(self.random)
        self._last_turn: tuple[Any, Turn] | None = None
        self._checks: Recent[_Shaped] = Recent(_CHECKS_KEPT)

    # ---- getting an item ----

    def claim(self, person: str) -> Lease | None:
        """Return the person's live lease, or lease the next sheet; None when there is none for this person.

        Never more leases and live answers than an item wants; never an item whose question the person has
        answered, skipped or holds: of a sheet, only those that are neither; none once a panel's quota is reached.
        Practice comes first; an own draft comes before other items; gold and attention checks are mixed in while
        there is work. AccessError for somebody who gets no items.
        """
        lease = self._do_together(self._claim, person, durable=False)
        self._left.handed_out(person, lease)
        return lease

    def _claim(self, connection: Connection, persons: Sequence[str]) -> "list[Lease | None]":
        """Claim for everybody who waits: what all need is asked for once."""
        turn = self._turn(connection)
        leases: dict[str, Lease | None] = {}
        chosen: dict[str, list[Chosen]] = {}
        full: set[str] = set()  # whose quota is reached
        for person, who in self._who(connection, persons).items():
            leases[person] = None
            if who.id is not None:
                leases[person] = self._as_lease(connection, own_lease(connection, person, who.id))
            elif practice := self._practice(connection, person, turn) if who.person_state == "practising" else None:
                chosen |= _with_sheets(connection, {person: practice})
            elif quota_left(connection, person, who.quota) == 0:
                full.add(person)
            elif some := self._choose(connection, person, who, turn):
                chosen[person] = some
        without = [each for each in leases if leases[each] is None and each not in chosen and each not in full]
        chosen |= self._work(connection, without, turn)
        leases |= self._hand_out(connection, chosen, turn)
        return [leases[person] for person in persons]

    def _choose(self, connection: Connection, person: str, who: Any, turn: Turn) -> list[Chosen]:
        """Choose what somebody who holds nothing gets before other work, and take places of it."""
        drafted = self._drafted(connection, person) if who.drafts else []
        if drafted or not ("gold" in turn.checks or "attention" in turn.checks):
            return drafted
        return self._returned(connection, person, turn) or self._checked(connection, person, turn)

    def _who(self, connection: Connection, persons: Sequence[str]) -> dict[str, Any]:
        """Return who they are with their live leases, if any, in this order; AccessError for who gets no items."""
        found = {row.who: row for row in connection.execute(_WHO, {"us": persons})}
        for person in persons:
            if person not in found:
                raise MissingError(f"there is no person {person!r:.40}")
            _check_may_rate(found[person].role, found[person].person_state)
        return {person: found[person] for person in persons}

    def _turn(self, connection: Connection) -> Turn:
        """Return what is one for this transaction; at its beginning, leases that ran out end."""
        transaction = connection.get_nested_transaction() or connection.get_transaction()
        if self._last_turn is None or self._last_turn[0] is not transaction:
            checks = count_checks(connection)
            turn = Turn(self.clock(), read_settings(connection), latest_guideline(connection), checks)
            for lease, person in connection.execute(_EXPIRED, {"now": turn.now}).all():
                put_back(connection, lease, person, turn.settings.strategy)
            self._last_turn = transaction, turn
        return self._last_turn[1]

    def _practice(self, connection: Connection, person: str, turn: Turn) -> Chosen | None:
        """Return a practice item; None where there are none, and then nobody need practise."""
        if not ("practice" in turn.checks and turn.settings.practice_items):
            return None
        attempt = next_practice_state(practice_state(connection, person, turn.settings)).attempt
        left = practice_items(connection, person, attempt)
        if not left:
            return None
        drafts = set(connection.execute(select(DRAFT.c.sheet).where(DRAFT.c.person == person)).scalars())
        begun = [each for each in left if each.sheet in drafts]
        return Chosen(*self.random.choice(begun or left), "practice", attempt)

    def _drafted(self, connection: Connection, person: str) -> list[Chosen]:
        """Return the open items of the sheet of the person's latest draft."""
        found = connection.execute(_DRAFTED, {"me": person}).one_or_none()
        if found is None:
            return []
        if found.purpose != "work":
            left = connection.execute(_LAST_LEFT, {"me": person, "one": found.sheet}).scalar_one()
            return _left_open(connection, left)
        connection.execute(_TAKE_ONE, {"one": found.id})
        return _with_sheets(connection, {person: Chosen(*found)})[person]

    def _returned(self, connection: Connection, person: str, turn: Turn) -> list[Chosen]:
        """Return a check that went back, where what it stands for would come now: work that went back comes again."""
        left = connection.execute(_WENT_BACK, {"me": person}).all()
        work = connection.execute(_LOOK[turn.settings.strategy], {"me": person}).one_or_none() if left else None
        lease = next((row.first for row in left if work is not None and row.stands_for == work.id), None)
        return [] if lease is None else _left_open(connection, lease)

    def _checked(self, connection: Connection, person: str, turn: Turn) -> list[Chosen]:
        """Return a gold item or attention check if chance has it, and there is one to be hidden in the work.

        Checks are looked up whether or not chance has it: what takes longer for a check would give it away. None comes
        before work that the person had in hand already, which would be missed.
        """
        every: dict[Purpose, int] = {"gold": turn.settings.gold_every, "attention": turn.settings.attention_every}
        shares = {purpose: 1 / every[purpose] for purpose in every if every[purpose] and purpose in turn.checks}
        if not shares:
            return []
        drawn = self.random.random()
        hit = drawn < sum(shares.values())
        purpose = next(iter(shares)) if drawn < next(iter(shares.values())) or not hit else list(shares)[-1]
        checks = connection.execute(_CHECKS, {"me": person, "purpose": purpose}).all()
        some = self.random.sample(checks, min(len(checks), _MOST_CHECKS))
        shaped = self._shaped(connection, [row.sheet for row in some])
        if not (hit and some):
            return []
        work = connection.execute(_LOOK[turn.settings.strategy], {"me": person}).one_or_none()
        if work is None or connection.execute(_HAS_HAD, {"me": person, "one": work.id}).first():
            return []
        return self._hidden(connection, person, some, shaped, work)

    def _hidden(
        self, connection: Connection, person: str, checks: Sequence[Any], shaped: Mapping[str, _Shaped], work: Any
    ) -> list[Chosen]:
        """Return one of these checks in the shape of the work in whose place it comes; none if none can have it."""
        [sheet] = _gathered(connection, {person: Chosen(work.id, work.sheet, work.question)})[0].values()
        requests = self._requests(connection, [each.item for each in sheet])
        shape = shape_of([requests[each.item] for each in sheet], work.group)
        for row in checks:
            if shaped[row.sheet].shape != shape:
                continue
            check = Chosen(row.id, row.sheet, row.question, row.purpose)
            found = _gathered(connection, {person: check})[0][person]
            if len(found) == len(sheet):
                return _instead_of(sheet, found)
        for row in checks:
            for known in shaped[row.sheet].known:
                new = in_new_shape(connection, known, shape, self.random)
                if new and not _has_touched(connection, person, [each["question"] for each in new.rows]):
                    insert_items(connection, new)
                    keys = ("id", "sheet", "question", "purpose")
                    return _instead_of(sheet, [Chosen(*(each[key] for key in keys)) for each in new.rows])
        return []

    def _shaped(self, connection: Connection, sheets: Sequence[str]) -> dict[str, _Shaped]:
        """Return the shapes of sheets of checks, which never change, and what is known of them."""
        found = {each: shaped for each in sheets if (shaped := self._checks.get(each)) is not None}
        missing = [each for each in sheets if each not in found]
        for sheet, items in (items_on(connection, missing) if missing else {}).items():
            shape = shape_of([each.request for each in items], items[0].group)
            found[sheet] = _Shaped(shape, [each for each in items if each.expected is not None])
            self._checks.put(sheet, found[sheet])
        return found

    def _work(self, connection: Connection, persons: Sequence[str], turn: Turn) -> dict[str, list[Chosen]]:
        """Choose work for each of these, as far as there is some for them, and take places of it."""
        strategy = turn.settings.strategy
        one = Allotted({}, set(), list(persons))  # for whom a single statement is cheaper
        found, fresh, undecided = allot(connection, persons, strategy) if len(persons) > 1 else one
        chosen = _with_sheets(
            connection,
            {person: Chosen(row.id, row.sheet, row.question, fresh=person in fresh) for person, row in found.items()},
        )
        for person in undecided:
            taken = connection.execute(_TAKE[strategy], {"me": person}).one_or_none()
            if taken is not None:
                chosen |= _with_sheets(connection, {person: Chosen(taken.id, taken.sheet, taken.question)})
        return chosen

    def _hand_out(self, connection: Connection, chosen: Mapping[str, Sequence[Chosen]], turn: Turn) -> dict[str, Lease]:
        """Lease each person's items, places of which are taken already, in the order in which they were seen before."""
        if not chosen:
            return {}
        requests = self._requests(connection, [each.item for some in chosen.values() for each in some])
        again = [person for person, some in chosen.items() if not some[0].fresh]
        items = [each.item for person in again for each in chosen[person]]
        held = connection.execute(_ORDERS, {"us": again, "items": items}).all() if again else []
        known = {"us": again, "sheets": [chosen[person][0].sheet for person in again]}
        drafts = {(row.person, row.sheet): row.content for row in connection.execute(_DRAFTS, known)} if again else {}
        chance = Random(self.random.getrandbits(64))
        leases, rows = {}, []
        for person, some in chosen.items():
            before = [row for row in held if row.person == person and row.item == some[0].item]
            asked = [requests[each.item] for each in some]
            alone = _shuffled(len(asked[0].shown), chance) if not before else tuple(before[-1].order)
            outputs = _on_page(person, some[0].sheet, asked, alone)
            orders = [alone] if some[0].is_alone else [_order(request, outputs) for request in asked]
            points = turn.settings.rating_points
            posed = tuple(
                Posed(request, each.purpose, order, shown_hash(request, order, turn.guideline, points, outputs))
                for each, request, order in zip(some, asked, orders, strict=True)
            )
            leases[person] = Lease(
                self._new_id("lease"),
                person,
                posed,
                outputs,
                turn.guideline,
                turn.now + turn.settings.lease_seconds,
                drafts.get((person, some[0].sheet)),
                points,
                min([turn.now, *(row.at for row in before)]),
            )
            rows += self._lease_rows(leases[person], some, turn.now)
        connection.execute(_NEW_LEASE, rows)
        return leases

    def _lease_rows(self, lease: Lease, chosen: Sequence[Chosen], now: float) -> list[dict[str, Any]]:
        beside = next((each.item for each in chosen if each.purpose == "work"), None)  # whose fate its sheet shares
        return [
            {
                "id": self._new_id("lease") if position else lease.id,
                "first": lease.id,
                "position": position,
                "item": each.item,
                "sheet": each.sheet,
                "question": each.question,
                "person": lease.person,
                "purpose": each.purpose,
                "attempt": each.attempt,
                "order": to_json(posed.order),
                "guideline": lease.guideline,
                "points": lease.points,
                "shown": posed.shown,
                "at": now,
                "expires": lease.expires,
                "state": "live",
                "stands_for": None if each.purpose == "work" else each.stands_for or beside,
            }
            for position, (each, posed) in enumerate(zip(chosen, lease.questions, strict=True))
        ]

    def _as_lease(self, connection: Connection, rows: Sequence[Any]) -> Lease:
        """Make the value of a lease's rows, with the draft."""
        first = rows[0]
        requests = self._requests(connection, [row.item for row in rows])
        draft = connection.execute(_DRAFT, {"me": first.person, "one": first.sheet}).scalar()
        since = connection.execute(_SINCE, {"me": first.person, "one": first.item}).scalar_one()
        posed = tuple(Posed(requests[row.item], row.purpose, tuple(row.order), row.shown) for row in rows)
        outputs = _on_page(first.person, first.sheet, [each.request for each in posed], tuple(first.order))
        return Lease(
            first.first, first.person, posed, outputs, first.guideline, first.expires, draft, first.points, since
        )

    # ---- keeping it ----

    def lease(self, person: str, lease: str) -> Lease:
        """Return a live lease of this person; ConflictError if it expired or was answered."""
        with self._read() as connection:
            rows = own_lease(connection, person, lease)
            check_live(connection, rows, self.clock())
            return self._as_lease(connection, rows)

    def renew(self, person: str, lease: str) -> float:
        """Put off a live lease's expiry; return the new one. ConflictError once it ran out, taken or not."""

        def put_off(connection: Connection) -> float:
            now = self.clock()
            check_live(connection, own_lease(connection, person, lease), now)
            until = now + self._turn(connection).settings.lease_seconds
            connection.execute(_RENEW, {"one": lease, "until": until})
            return until

        return self._do(put_off, durable=False)

    def save_draft(self, person: str, lease: str, draft: Mapping[str, Any]) -> None:
        """Keep what the rater has so far, even if the lease has expired.

        A draft that was written before the one that is kept, as the number `at` in both tells, changes nothing.
        """
        content = draft_json(draft)

        def save(connection: Connection) -> None:
            [row, *_] = own_lease(connection, person, lease)
            if row.state not in ("live", "expired"):
                raise ConflictError(ENDED[row.state])
            if not _is_older(draft, connection.execute(_DRAFT, {"me": row.person, "one": row.sheet}).scalar()):
                put_draft(connection, row, content, self.clock())

        self._do(save, durable=False)

    # ---- giving it back ----

    def skip(self, person: str, lease: str, reason: str, key: str) -> None:
        """Pass a sheet on: it comes back to others, never to this person. The same `key` again changes nothing."""
        kept, key = storable(reason, "a reason", MOST_CHARACTERS), checked_key(key)

        def pass_on(connection: Connection) -> None:
            mine = (SKIP.c.person == person, SKIP.c.key == key, SKIP.c.position == 0)
            there = connection.execute(select(SKIP.c.lease).where(*mine)).scalar()
            if there is not None:
                check_same(there, lease)
                return
            rows = own_lease(connection, person, lease)
            [row, *_] = rows
            check_live(connection, rows, self.clock())
            places = {id_: item.place for id_, item in item_rows(connection, [each.item for each in rows]).items()}
            about = {"key": key, "person": person, "reason": kept, "at": self.clock()}
            each_about = [
                {"lease": each.id, "position": each.position, "item": each.item, "place": places[each.item]}
                for each in rows
            ]
            connection.execute(insert(SKIP), [about | each for each in each_about])
            end_lease(connection, lease, "skipped")
            forget_drafts(connection, [lease])
            changed = after_practice(connection, row)
            new = {"reason": kept, **changed}
            record_audit(connection, self.clock(), person, "skip", row.item, None, new, row.guideline)

        self._do(pass_on)

    def flag(self, person: str, lease: str, text: str) -> None:
        """Keep what somebody found odd in an item that they have or had."""
        kept = storable(text, "a flag", MOST_CHARACTERS)
        if not kept.strip():
            raise InputError("a flag says what is odd: it is empty")

        def raise_flag(connection: Connection) -> None:
            [row, *_] = own_lease(connection, person, lease)
            now = self.clock()
            connection.execute(insert(FLAG), [{"item": row.item, "person": person, "text": kept, "at": now}])
            record_audit(connection, now, person, "flag", row.item, None, None, row.guideline)

        self._do(raise_flag)


# ---- for the desk's other parts, inside their transactions ----


def _with_sheets(connection: Connection, chosen: Mapping[str, Chosen]) -> dict[str, list[Chosen]]:
    """Return each person's item with the rest of its sheet that wants answers of them, places of which are taken here.

    Those go first come, first served, in the order of the persons.
    """
    found, taken = _gathered(connection, chosen)
    take_more(connection, taken)
    return found


def _gathered(connection: Connection, chosen: Mapping[str, Chosen]) -> tuple[dict[str, list[Chosen]], dict[int, int]]:
    """Return the same with how many places of which items, by their `seq`, that would take beside those chosen."""
    sheets = {each.sheet for each in chosen.values() if not each.is_alone}
    found = {person: [each] for person, each in chosen.items()}
    if not sheets:
        return found, {}
    members: dict[str, list[Any]] = {}
    for row in connection.execute(_MEMBERS, {"sheets": list(sheets)}):
        members.setdefault(row.sheet, []).append(row)
    rows = [row for some in members.values() for row in some]
    questions = sorted({row.question for row in rows})
    us = [person for person, each in chosen.items() if each.sheet in members]
    touched = {tuple(row) for row in connection.execute(_TOUCHED_OF, {"us": us, "questions": questions})}
    taken: dict[int, int] = {}
    for person in us:
        one = chosen[person]
        had = {question for who, question, attempt in touched if who == person and attempt >= one.attempt}
        there = []
        for row in members[one.sheet]:
            if row.id == one.item:
                there.append(one)
            elif row.question not in had and (row.purpose != "work" or _is_open(row, taken.get(row.seq, 0))):
                there.append(Chosen(row.id, row.sheet, row.question, row.purpose, one.attempt, one.fresh))
                if row.purpose == "work":
                    taken[row.seq] = taken.get(row.seq, 0) + 1
        found[person] = there
    return found, taken


def _instead_of(work: Sequence[Chosen], checks: Sequence[Chosen]) -> list[Chosen]:
    """Have checks stand for work, question by question."""
    return [check._replace(stands_for=each.item) for check, each in zip(checks, work, strict=True)]


def chosen_again(rows: Sequence[Any]) -> list[Chosen]:
    """Return what the rows of a lease that ended are of, to lease it again."""
    return [
        Chosen(row.item, row.sheet, row.question, row.purpose, row.attempt, stands_for=row.stands_for) for row in rows
    ]


def _left_open(connection: Connection, lease: str) -> list[Chosen]:
    """Return those checks of a lease that went back for which they stand is open."""
    rows = connection.execute(_LEASES, {"these": [lease]}).all()
    open_ = _open_of(connection, rows)
    return chosen_again([row for row in rows if row.stands_for in open_])


def _open_of(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """Return what is open to its rater of the work for which the rows of a lease stand."""
    asked = {"me": rows[0].person, "ids": [row.stands_for for row in rows]}
    return set(connection.execute(_OPEN, asked).scalars())


def _has_touched(connection: Connection, person: str, questions: Sequence[str]) -> bool:
    return connection.execute(_TOUCHED_OF, {"us": [person], "questions": questions}).first() is not None


def _is_open(row: Any, more: int) -> bool:
    return not row.closed and row.taken + more < row.wanted


def _on_page(person: str, sheet: str, requests: Sequence[Request], alone: Sequence[int]) -> tuple[Shown, ...]:
    """Return what a page shows: the outputs of an item `alone` in this order, or all those of a sheet, each once.

    The order of a sheet is drawn for it and the person, so that it is the same each time, whichever of its
    questions are left.
    """
    if sheet == requests[0].id:
        return tuple(requests[0].shown[place] for place in alone)

    def drawn(shown: Shown) -> int:
        return seed_for("order on sheet", sheet, person, shown.output, shown.text)

    return tuple(sorted({shown for request in requests for shown in request.shown}, key=drawn))


def _order(request: Request, page: Sequence[Shown]) -> tuple[int, ...]:
    """Return the places of what a request shows in the order in which a page has it."""
    return tuple(sorted(range(len(request.shown)), key=lambda place: page.index(request.shown[place])))


def _shuffled(count: int, chance: Random) -> tuple[int, ...]:
    order = list(range(count))
    chance.shuffle(order)
    return tuple(order)


def quota_left(connection: Connection, person: str, quota: int | None) -> int | None:
    """Return how many more sheets a panel's participant may answer; None where there is no quota."""
    return max(0, quota - done_so_far(connection, person)) if quota else None


def own_lease(connection: Connection, person: str, lease: str) -> list[Any]:
    """Return a lease's rows, one a question; MissingError if there is none, AccessError if it is somebody else's."""
    return own_leases(connection, {lease: person})[lease]


def own_leases(connection: Connection, persons: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the leases of these persons, each by the lease; raises as `own_lease` says."""
    rows: dict[str, list[Any]] = {}
    for row in connection.execute(_LEASES, {"these": list(persons)}) if persons else ():
        rows.setdefault(row.first, []).append(row)
    for lease, person in persons.items():
        if lease not in rows:
            raise MissingError(f"there is no lease {lease!r:.60}")
        if rows[lease][0].person != person:
            raise AccessError("this item was leased to somebody else")
    return rows


def end_lease(connection: Connection, lease: str, state: str) -> None:
    """End a live lease that brought no answer, and free its places."""
    connection.execute(_FREE, {"one": lease})
    set_lease_state(connection, [lease], state)


def put_back(connection: Connection, lease: str, person: str, strategy: Strategy) -> None:
    """End a live lease that ran out or was left.

    Where others have taken the work for which checks stood, these then stand for what comes next, as work that was
    kept for its rater would.
    """
    end_lease(connection, lease, "expired")
    rows = connection.execute(_LEASES, {"these": [lease]}).all()
    if all(row.stands_for is not None for row in rows) and not _open_of(connection, rows):
        work = connection.execute(_LOOK[strategy], {"me": person}).one_or_none()
        if work is not None:
            connection.execute(_STAND_FOR, {"one": lease, "work": work.id})


def set_lease_state(connection: Connection, leases: Sequence[str], state: str) -> None:
    """Say how whole leases ended; the places stay as they are."""
    for some in chunks(leases):
        connection.execute(_END, {"these": some, "ended": state})


def end_questions(connection: Connection, rows: Sequence[str], state: str) -> None:
    """Say how some questions of leases ended, by the ids of their rows; the places stay as they are."""
    for some in chunks(rows):
        connection.execute(_END_EACH, {"these": some, "ended": state})


def put_draft(connection: Connection, lease: Any, content: str, now: float) -> None:
    """Keep a draft, as JSON, of a lease's rater and sheet."""
    row = {"person": lease.person, "sheet": lease.sheet, "content": content, "at": now}
    connection.execute(_put_draft(connection.dialect.name), [row])


@cache
def _put_draft(dialect: str) -> Insert:
    new = insert_or_update(dialect)(DRAFT)
    changed = {name: new.excluded[name] for name in ("content", "at")}
    return new.on_conflict_do_update(index_elements=["person", "sheet"], set_=changed)


def forget_drafts(connection: Connection, leases: Sequence[str]) -> None:
    """Forget what the raters of these leases had typed for their sheets."""
    connection.execute(_FORGET_DRAFTS, {"these": leases})


def _is_older(draft: Mapping[str, Any], kept: Any) -> bool:
    """Whether a draft was written before another; False where nobody can say."""
    times = [each.get("at") if isinstance(each, Mapping) else None for each in (draft, kept)]
    mine, other = (each if isinstance(each, int | float) and not isinstance(each, bool) else None for each in times)
    return mine is not None and other is not None and mine < other


def draft_json(draft: Mapping[str, Any]) -> str:
    """Return a draft's JSON; raise InputError for what has none."""
    try:
        return to_json(dict(draft))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a draft must have JSON: {error}") from error


def after_practice(connection: Connection, lease: Any) -> dict[str, Any]:
    """Settle a practice that is over; return the person's new state for the audit, if it changed."""
    if lease.purpose != "practice":
        return {}
    settings = read_settings(connection)
    state = connection.execute(select(PERSON.c.state).where(PERSON.c.id == lease.person)).scalar()
    practice = practice_state(connection, lease.person, settings)
    if state != "practising" or not practice.is_over():
        return {}
    new: PersonState
    if practice.is_passed(settings.practice_pass):
        new = "active"
    elif practice.attempt >= settings.practice_tries:
        new = "refused"
    else:
        return {}
    change_state(connection, lease.person, new)
    return {"state": new}


def checked_key(key: str) -> str:
    """Return an idempotency key; raise InputError for what is none."""
    if not (isinstance(key, str) and 1 <= len(key) <= 200 and key.isprintable()):
        raise InputError(f"a key has 1 to 200 printable characters, got {key!r:.60}")
    return key


def check_same(there: str | None, lease: str) -> None:
    """Raise ConflictError where a key was used for another lease."""
    if there != lease:
        raise ConflictError("this key was used for another item: send each answer with a key of its own")


def shut_out(connection: Connection, persons: Collection[str]) -> dict[str, AccessError]:
    """Return those of these who may not answer what they hold any more, with why."""
    found = {}
    for row in connection.execute(_STATES, {"us": persons}):
        try:
            _check_may_rate(row.role, row.state)
        except AccessError as error:
            found[row.id] = error
    return found


def _check_may_rate(role: Role, state: PersonState) -> None:
    if role not in _MAY_RATE:
        raise AccessError("a reader looks on and gets no items: ask an admin for another role")
    if state == "paused":
        raise AccessError("you are paused and get no items for now: ask an admin")
    if state == "refused":
        raise AccessError("practice was not passed, so there are no items: ask an admin")
