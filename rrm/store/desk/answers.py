"""What comes in: answers, on the disk before they are acknowledged, and what their raters take back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import takewhile
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, literal_column, select, update

from rrm.core.annotation import AnswerState, Flag, Given, Lease, OwnProgress, Skipped, Submission
from rrm.core.errors import ConflictError, InputError
from rrm.core.values import Answer, Request
from rrm.store.desk.audit import record_audit
from rrm.store.desk.claims import (
    FLAG,
    SKIP,
    Chosen,
    Claims,
    after_practice,
    check_live,
    check_same,
    checked_key,
    count_left,
    draft_json,
    end_lease,
    forget_draft,
    is_live,
    own_lease,
    put_draft,
    set_lease_state,
)
from rrm.store.desk.disagreement import disagreement
from rrm.store.desk.guidelines import read_settings
from rrm.store.desk.items import ITEM, LEASE
from rrm.store.desk.people import find_person
from rrm.store.desk.practice import GIVEN, is_right, next_standing, practice_standing
from rrm.store.desk.requests import load_request
from rrm.store.desk.shown import as_requested, as_shown, check
from rrm.store.kinds import answer_from, to_json
from rrm.store.tables import table

RETRACTION = table("retraction")

_AT_ONCE = 500  # answers that a reader holds at a time
_ROWS = 50  # rows of them: what lives on is looked through by the garbage collector again and again

_COLUMNS = {**GIVEN.c, "state": func.coalesce(RETRACTION.c.state, "live").label("state")}
_FIELDS = [each.name for each in fields(Given)]
EVERY = select(*(_COLUMNS[name] for name in _FIELDS), GIVEN.c.answer_kind, GIVEN.c.seq, GIVEN.c.lease).join_from(
    GIVEN, RETRACTION, RETRACTION.c.given == GIVEN.c.id, isouter=True
)
"""Answers with what became of them: first the fields of `Given` in their order, then the answer's kind."""

IS_LIVE = RETRACTION.c.seq.is_(None)

_BY_KEY = EVERY.where(GIVEN.c.person == bindparam("me"), GIVEN.c.key == bindparam("key"))
_OF_ITEM = EVERY.where(GIVEN.c.item == bindparam("one")).order_by(GIVEN.c.seq)
_LIVE_OF_ITEM = _OF_ITEM.where(IS_LIVE).with_only_columns(GIVEN.c.answer_kind, GIVEN.c.answer)
_MINE = (
    EVERY.where(GIVEN.c.person == bindparam("me"), GIVEN.c.purpose != "practice", GIVEN.c.lease.is_not(None))
    .order_by(GIVEN.c.seq.desc())
    .limit(bindparam("most"))
)
_MINE_CLOSED = _MINE.with_only_columns(
    RETRACTION.c.state.label("retracted"),
    select(ITEM.c.closed).where(ITEM.c.id == GIVEN.c.item).scalar_subquery().label("closed"),
)
_NEXT: dict[str, Any] = {
    each.name: select(func.coalesce(func.max(each.c.seq), 0) + 1).scalar_subquery() for each in (GIVEN, RETRACTION)
}
_NEW_ANSWER = insert(GIVEN).values(seq=_NEXT["given"])
_NEW_RETRACTION = insert(RETRACTION).values(seq=_NEXT["retraction"])
_ABOUT_ITEM = select(ITEM).where(ITEM.c.id == bindparam("one"))
_COUNT_IN = (
    update(ITEM)
    .where(ITEM.c.id == bindparam("one"), ITEM.c.purpose == literal_column("'work'"))
    .values(
        given=ITEM.c.given + bindparam("come"),
        taken=ITEM.c.taken - bindparam("free"),
        disagreement=bindparam("differ"),
        changed=bindparam("now"),
    )
)


class _Late(NamedTuple):
    """An answer that came too late and was kept as a draft: not raised inside, which would undo the draft."""

    words: str


class Answers(Claims):
    """The part of the desk that takes answers in and tells them."""

    # ---- taking in and back ----

    def submit(self, person: str, lease: str, submission: Submission, key: str) -> Given:
        """Record an answer; the same `key` again returns the same answer. The draft of a late one is kept.

        InputError for an answer that does not fit the item, ConflictError for one to another page than was
        leased and for one that comes too late: after the lease ran out, taken or not, or the level was frozen.
        """
        key = checked_key(key)
        draft = draft_json(_as_draft(submission.answer, submission.confidence, submission.detail))

        def take(connection: Connection) -> Given | _Late:
            there = connection.execute(_BY_KEY, {"me": person, "key": key}).one_or_none()
            if there is not None:
                check_same(there.lease, lease)
                return as_given(there)
            row, now = own_lease(connection, person, lease), self.clock()
            if not is_live(row, now) and row.state in ("live", "expired"):
                put_draft(connection, row, draft, now)
                return _Late(_late_words(connection, row))
            check_live(row, now)
            if submission.shown != row.shown:
                raise ConflictError("the page did not show this item as it was leased: load it again")
            request = load_request(connection, row.item)
            check(submission, request, row.points)
            return self._record(connection, row, request, submission, key, now)

        taken = self._do(take)
        if isinstance(taken, _Late):
            raise ConflictError(taken.words)
        return taken

    def _record(
        self, connection: Connection, lease: Any, request: Request, submission: Submission, key: str, now: float
    ) -> Given:
        item = connection.execute(_ABOUT_ITEM, {"one": lease.item}).one()
        answer = as_requested(submission.answer, lease.order)
        expected = None if item.expected is None else answer_from(item.expected["kind"], item.expected["of"])
        given = Given(
            self._new_id("given"),
            lease.item,
            lease.person,
            answer,
            tuple(lease.order),
            lease.guideline,
            lease.shown,
            now,
            submission.seconds,
            max(0.0, now - lease.at),
            submission.confidence,
            submission.detail,
            "live",
            lease.purpose,
            request.level,
            request.node,
            request.kind,
            None if expected is None else is_right(answer, expected),
        )
        insert_given(connection, [given_row(given, key, lease.id, lease.attempt)])
        set_lease_state(connection, [lease.id], "answered")
        forget_draft(connection, lease)
        if lease.purpose == "work":
            recount(connection, lease.item, now, come=1, alone=item.wanted == 1)
        new = {"answer": given.id}
        if lease.purpose == "practice":
            new |= after_practice(connection, lease, self._turn(connection).settings)
        record_audit(connection, now, lease.person, "answer", lease.item, None, new, lease.guideline)
        return given

    def undo(self, person: str) -> Lease:
        """Take the person's last answer back (one of the last `undo_limit`, level not frozen) and lease its item again.

        The answer taken back is the new lease's draft, as {"answer": ..., "confidence": ..., "detail": ...},
        places as shown. What the person holds goes back, its draft is kept. Practice cannot be undone:
        its result was told. ConflictError if there is nothing to take back.
        """

        def take_back(connection: Connection) -> Lease:
            turn = self._turn(connection)
            held = self._who(connection, [person])[person]
            mine = connection.execute(_MINE, {"me": person, "most": turn.settings.undo_limit}).all()
            last = next((row for row in mine if row.state == "live"), None)
            if last is None:
                words = f"of the last {turn.settings.undo_limit} answers there is none left to take back"
                raise ConflictError(words if mine else "there is no answer to take back")
            if connection.execute(_ABOUT_ITEM, {"one": last.item}).one().closed:
                raise ConflictError(f"level {last.level} is frozen: its answers cannot be taken back any more")
            if held.id is not None:
                end_lease(connection, held, "expired")
            retract(connection, [last.id], "undone", turn.now, person)
            old = connection.execute(select(LEASE).where(LEASE.c.id == last.lease)).one()
            set_lease_state(connection, [old.id], "undone")
            if last.purpose == "work":
                recount(connection, last.item, turn.now, come=-1)
            answer = as_shown(answer_from(last.answer_kind, last.answer), last.order)
            content = draft_json(_as_draft(answer, last.confidence, last.detail))
            put_draft(connection, old, content, turn.now)
            again = self._lease_again(connection, old)
            record_audit(connection, turn.now, person, "undo", last.item, last.id, again.id, turn.guideline)
            return again

        return self._do(take_back)

    def _lease_again(self, connection: Connection, old: Any) -> Lease:
        """Lease the item of an old lease to the same person, whose place was never freed."""
        chosen = Chosen(old.item, old.question, old.purpose, old.attempt)
        return self._hand_out(connection, {old.person: chosen}, self._turn(connection))[old.person]

    # ---- telling ----

    def answers(self, *, after: int = 0, level: int | None = None, person: str | None = None) -> Iterator[Given]:
        """Yield answers in order of recording, of every state, from a bounded window of memory.

        `after` skips as many of the earliest ones (of this level and person), for readers that go on where
        they stopped.
        """
        asked = EVERY.where(GIVEN.c.seq > bindparam("last")).order_by(GIVEN.c.seq).limit(_AT_ONCE)
        if level is not None:
            asked = asked.where(GIVEN.c.level == level)
        if person is not None:
            asked = asked.where(GIVEN.c.person == person)
        whole = level is None and person is None  # then `seq`, which has no gaps, is the number to skip
        page, last = (asked, after) if whole else (asked.offset(after), 0)
        while True:
            given: list[Given] = []
            with self._read() as connection:
                for rows in connection.execute(page, {"last": last}).partitions(_ROWS):
                    given += map(as_given, rows)
                    last = rows[-1].seq
            yield from given
            if len(given) < _AT_ONCE:
                return
            page = asked

    def item_answers(self, item: str) -> list[Given]:
        with self._read() as connection:
            return [as_given(row) for row in connection.execute(_OF_ITEM, {"one": item})]

    def skips(self) -> list[Skipped]:
        columns = (SKIP.c.item, SKIP.c.person, SKIP.c.reason, SKIP.c.at, SKIP.c.level)
        return self._all(select(*columns).order_by(SKIP.c.seq), Skipped)

    def flags(self) -> list[Flag]:
        return self._all(select(FLAG.c.item, FLAG.c.person, FLAG.c.text, FLAG.c.at).order_by(FLAG.c.seq), Flag)

    def _all(self, asked: "Select[Any]", value: Callable[..., Any]) -> list[Any]:
        with self._read() as connection:
            return [value(*row) for row in connection.execute(asked)]

    def answer_count(self) -> int:
        """Return how many answers of every state and changes of state there are: it grows with every change."""
        with self._read() as connection:
            counts = [connection.execute(select(func.max(each.c.seq))).scalar() for each in (GIVEN, RETRACTION)]
        return sum(count or 0 for count in counts)

    def own_progress(self, person: str) -> OwnProgress:
        """Return how far this person is; `left` counts copies of a question one by one, though only one will come."""
        with self._read() as connection:
            state = find_person(connection, person).state
            settings = read_settings(connection)
            counts = and_(GIVEN.c.person == person, GIVEN.c.purpose != "practice", ~GIVEN.c.adjudication)
            stands = RETRACTION.c.state.is_(None) | (RETRACTION.c.state == "settled")
            seconds = connection.execute(EVERY.where(counts, stands).with_only_columns(GIVEN.c.seconds)).scalars().all()
            known = [each for each in seconds if each is not None]
            done = OwnProgress(
                len(seconds),
                count_left(connection, person),
                sum(known, 0.0),
                median(known) if known else None,
                _undoable(connection, person, settings.undo_limit),
            )
            standing = practice_standing(connection, person, settings)
            if state != "practising" or not standing.items:
                return done
            now = next_standing(standing)
            tries = max(1, settings.practice_tries - now.attempt + 1)
            return OwnProgress(**asdict(done) | _practising(now.done, now.right, now.items, tries))


def _practising(done: int, right: int, items: int, tries: int) -> dict[str, Any]:
    counts = {"practice_done": done, "practice_right": right, "practice_items": items, "tries_left": tries}
    return {"practising": True, **counts}


# ---- for the desk's other parts, inside their transactions ----


def as_given(row: Any) -> Given:
    """Make the value of a row of `EVERY`."""
    # by place: to look columns up by name takes longer than all the rest
    id_, item, person, answer, order, *told = row[: len(_FIELDS)]
    return Given(id_, item, person, answer_from(row[len(_FIELDS)], answer), tuple(order), *told)


def insert_given(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append answers, each as `given_row` makes it."""
    connection.execute(_NEW_ANSWER, rows)


def given_row(given: Given, key: str, lease: str | None, attempt: int = 0) -> dict[str, Any]:
    """Return the columns of an answer that is live; raise InputError for one that JSON cannot hold."""
    try:
        answer, detail = to_json(given.answer), to_json(dict(given.detail))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the answer cannot be recorded: {error}") from error
    return {
        "id": given.id,
        "key": key,
        "lease": lease,
        "item": given.item,
        "person": given.person,
        "answer_kind": given.answer.kind,
        "answer": answer,
        "order": to_json(given.order),
        "guideline": given.guideline,
        "shown": given.shown,
        "at": given.at,
        "seconds": given.seconds,
        "wall_seconds": given.wall_seconds,
        "confidence": given.confidence,
        "detail": detail,
        "purpose": given.purpose,
        "level": given.level,
        "node": given.node,
        "kind": given.kind,
        "right": given.right,
        "adjudication": given.adjudication,
        "attempt": attempt,
    }


def retract(connection: Connection, given: Sequence[str], state: AnswerState, now: float, by: str) -> None:
    """Say of answers that they no longer count."""
    for id_ in given:
        connection.execute(_NEW_RETRACTION, {"given": id_, "state": state, "at": now, "by": by})


def recount(connection: Connection, item: str, now: float, *, come: int, free: int = 0, alone: bool = False) -> None:
    """Count answers that came (or went, below 0) and places set free in; how much those left differ is found anew.

    `alone` says that the item never has two answers.
    """
    differ = 0.0 if alone else disagreement(live_answers(connection, item))
    connection.execute(_COUNT_IN, {"one": item, "come": come, "free": free, "differ": differ, "now": now})


def live_answers(connection: Connection, item: str) -> list[Answer]:
    return [answer_from(kind, held) for kind, held in connection.execute(_LIVE_OF_ITEM, {"one": item})]


def _undoable(connection: Connection, person: str, most: int) -> int:
    """Return how many answers `undo` would take back, one after another."""
    mine = connection.execute(_MINE_CLOSED, {"me": person, "most": most})
    live = (row.closed for row in mine if row.retracted is None)
    return sum(1 for _ in takewhile(lambda closed: not closed, live))


def _as_draft(answer: Answer, confidence: float | None, detail: Any) -> dict[str, Any]:
    return {"answer": {"kind": answer.kind, **asdict(answer)}, "confidence": confidence, "detail": dict(detail)}


def _late_words(connection: Connection, lease: Any) -> str:
    item = connection.execute(_ABOUT_ITEM, {"one": lease.item}).one()
    if item.closed:
        return f"level {item.level} was frozen in the meantime: your answer is kept as a draft and counts no more"
    return "the lease of this item had run out: your answer is kept as a draft, claim again to go on with it"
