"""What comes in: answers, on the disk before they are acknowledged, and what their raters take back."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import takewhile
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, Select, and_, bindparam, case, func, select, tuple_

from rrm.core.annotation import Annotation, Ending, Exit, Flag, Lease, OwnProgress, Skipped, Submission
from rrm.core.errors import ConflictError, InputError, RrmError
from rrm.core.kinds import is_right
from rrm.core.place import Place
from rrm.core.values import Answer, Request
from rrm.queue.audit import audit_row, record_audit, record_audits
from rrm.queue.claims import Claims
from rrm.queue.drafts import draft_json, forget_drafts, put_draft
from rrm.queue.ended import check_live, is_live, lost
from rrm.queue.given import (
    EVERY,
    RESTORATION,
    RETRACTION,
    annotation_row,
    as_annotation,
    insert_annotations,
    recount,
    retract,
)
from rrm.queue.guidelines import read_settings
from rrm.queue.items import ITEM, LEASE, STANDING, has_room, in_words, item_rows
from rrm.queue.keys import check_same, checked_key
from rrm.queue.leases import end_questions, own_lease, own_leases, set_lease_state
from rrm.queue.panels import panel_of
from rrm.queue.people import find_person
from rrm.queue.practice import GIVEN, next_practice_state, practice_state
from rrm.queue.returned import chosen_again, put_back
from rrm.queue.rights import after_practice, may_answer, shut_out, who_asks
from rrm.queue.shown import as_requested, as_shown, check
from rrm.store.kinds import answer_from, read_place
from rrm.store.tables import table

_AT_ONCE = 500  # answers that a reader holds at a time
_ROWS = 50  # rows of them: what lives on is looked through by the garbage collector again and again
_LATELY = 200  # answers that the median of active seconds is of

_BY_KEY = (
    EVERY.where(tuple_(GIVEN.c.person, GIVEN.c.key).in_(bindparam("keys", expanding=True)))
    .add_columns(GIVEN.c.key)
    .order_by(GIVEN.c.position)
)
_OF_ITEM = EVERY.where(GIVEN.c.item == bindparam("one")).order_by(GIVEN.c.seq)
_MINE = (
    EVERY.where(
        GIVEN.c.person == bindparam("me"),
        GIVEN.c.purpose != "practice",
        GIVEN.c.lease.is_not(None),
        GIVEN.c.position == 0,
    )
    .add_columns(GIVEN.c.key)
    .order_by(GIVEN.c.seq.desc())
    .limit(bindparam("most"))
)
_MINE_CLOSED = (
    _MINE.with_only_columns(
        GIVEN.c.id,
        RETRACTION.c.state.label("retracted"),
        ITEM.c.closed,
        ITEM.c.settled,
    )
    .outerjoin(LEASE, LEASE.c.id == GIVEN.c.lease)
    .outerjoin(ITEM, ITEM.c.id == STANDING)
)
_DECIDED = (
    select(LEASE.c.id)
    .join_from(LEASE, ITEM, ITEM.c.id == STANDING)
    .where(LEASE.c.id.in_(bindparam("leases", expanding=True)), ITEM.c.settled)
)
"""Leases whose answers are past taking back, because somebody decided: of a check, on the work for which it stood."""
_LEASE_OF = select(LEASE.c.first, STANDING.label("standing")).where(LEASE.c.id == bindparam("one"))
_DONE = EVERY.where(
    and_(GIVEN.c.person == bindparam("me"), GIVEN.c.purpose != "practice", ~GIVEN.c.adjudication),
    RETRACTION.c.state.is_(None) | (RETRACTION.c.state == "adjudicated"),
)
_DONE_SO_FAR = _DONE.with_only_columns(
    func.coalesce(func.sum(case((GIVEN.c.position == 0, 1), else_=0), type_=Integer), 0),
    func.coalesce(func.sum(GIVEN.c.seconds), 0.0),
)
_DONE_LATELY = (
    _DONE.where(GIVEN.c.seconds.is_not(None))
    .order_by(GIVEN.c.seq.desc())
    .limit(_LATELY)
    .with_only_columns(GIVEN.c.key, GIVEN.c.seconds)
)


_FLAG, _SKIP, _VALUATION = table("flag"), table("skip"), table("valuation")
_STOPPED = (
    select(and_(_VALUATION.c.stopped, ~select(ITEM.c.seq).where(has_room()).exists()))
    .order_by(_VALUATION.c.seq.desc())
    .limit(1)
)


class _Asked(NamedTuple):
    """The answers to a lease's questions, in their order, that somebody waits to see recorded."""

    person: str
    lease: str
    submissions: Sequence[Submission]
    key: str
    drafts: Sequence[dict[str, Any]]  # the same, as a draft has them


class _Kept(NamedTuple):
    """Why an answer was kept as a draft alone: not raised inside, which would undo the draft."""

    why: RrmError


class Answers(Claims):
    """The part of the desk that takes answers in and tells them."""

    # ---- taking in and back ----

    def submit(self, person: str, lease: str, submissions: Sequence[Submission], key: str) -> list[Annotation]:
        """Record the answers to all questions of a lease, in their order, or none.

        The same `key` again returns the same answers. Answers that come too late, or from somebody who may not rate
        any more, are kept as a draft.

        InputError for an answer that does not fit its item, ConflictError for answers to another page than was
        leased and for those that come too late: after the lease ran out, taken or not, or the place was frozen.
        AccessError for somebody who was paused in the meantime.
        """
        key = checked_key(key)
        drafts = [_drafted(each.shown, each.answer, each.confidence, each.detail) for each in submissions]
        draft_json({"answers": drafts})  # which raises for what cannot be kept
        taken = self._do_together(self._take, _Asked(person, lease, submissions, key, drafts))
        if isinstance(taken, _Kept):
            raise taken.why
        return taken

    def _take(self, connection: Connection, asked: Sequence[_Asked]) -> "list[list[Annotation] | _Kept]":
        """Take answers in for everybody who waits, by few statements for all."""
        keys = [(each.person, each.key) for each in asked]
        if len(asked) > min(len(set(keys)), len({each.lease for each in asked})):  # sent twice at once
            return [taken for each in asked for taken in self._take(connection, [each])]
        there: dict[tuple[str, str], list[Any]] = {}
        for row in connection.execute(_BY_KEY, {"keys": keys}):
            there.setdefault((row.person, row.key), []).append(row)
        new = {each.lease: each.person for each in asked if (each.person, each.key) not in there}
        leases, out = own_leases(connection, new), shut_out(connection, set(new.values()))
        now = self.clock()
        taken: dict[str, list[Annotation] | _Kept] = {}
        fit: list[tuple[_Asked, Sequence[Any]]] = []
        for each in asked:
            if rows := there.get((each.person, each.key)):
                check_same(rows[0].lease, each.lease)
                taken[each.lease] = list(map(as_annotation, rows))
            elif why := _late(connection, leases[each.lease], each, now) or out.get(each.person):
                _put_drafts(connection, leases[each.lease], each.drafts, now)
                taken[each.lease] = _Kept(why)
            else:
                fit.append((each, leases[each.lease]))
        taken |= self._record(connection, fit, now)
        return [taken[each.lease] for each in asked]

    def _record(
        self, connection: Connection, fit: Sequence[tuple[_Asked, Sequence[Any]]], now: float
    ) -> dict[str, list[Annotation]]:
        """Record answers to live leases, of which there are rows, by the ids of the leases."""
        if not fit:
            return {}
        items = [row.item for _, rows in fit for row in rows]
        requests, about = self._requests(connection, items), item_rows(connection, items)
        annotations: dict[str, list[Annotation]] = {}
        new, come = [], Counter[str]()
        for asked, rows in fit:
            annotations[asked.lease] = [
                self._annotation(submission, row, requests[row.item], about[row.item], now)
                for submission, row in zip(asked.submissions, rows, strict=True)
            ]
            for row, annotation in zip(rows, annotations[asked.lease], strict=True):
                new.append(annotation_row(annotation, asked.key, row.id, row.attempt))
                come[row.item] += row.purpose == "work"
        insert_annotations(connection, new)
        set_lease_state(connection, list(annotations), "answered")
        forget_drafts(connection, list(annotations))
        come = +come
        recount(connection, come, now, alone={item for item in come if about[item].wanted == 1})
        record_audits(connection, [self._told(connection, rows[0], annotations[asked.lease]) for asked, rows in fit])
        return annotations

    def _told(self, connection: Connection, lease: Any, annotations: Sequence[Annotation]) -> dict[str, Any]:
        """Settle what the answers end, and return what the audit says of them."""
        [first, *more] = [each.id for each in annotations]
        new = {"answer": first} | ({"more": more} if more else {}) | after_practice(connection, lease)
        return audit_row(annotations[0].at, lease.person, "answer", lease.item, None, new, lease.guideline)

    def _annotation(self, submission: Submission, lease: Any, request: Request, item: Any, now: float) -> Annotation:
        check(submission, request, lease.points)
        answer = as_requested(submission.answer, lease.order)
        expected = None if item.expected is None else answer_from(item.expected["kind"], item.expected["of"])
        return Annotation(
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
            request.place,
            request.node,
            request.kind,
            None if expected is None else is_right(answer, expected),
            sheet=lease.sheet,
            position=lease.position,
            criterion=request.criterion,
        )

    def undo(self, person: str, answer: str | None = None) -> Lease:
        """Take the person's last answers back (of the last `undo_limit` sheets, place not frozen) and lease them again.

        Those are taken back that were handed in together and still count. With the id of an `answer`, the first of
        its sheet, those, if they are the last; if they were taken back just before, as by a request whose reply was
        lost, the lease that this made is returned again.

        What was taken back is the new lease's draft: {"answers": [{"item": ..., "shown": ..., "answer": ...,
        "confidence": ..., "detail": ...}, ...]}, one a question, places as shown. `item` says of which question: the
        new lease may have fewer. What the person holds goes back, its draft is kept. Practice cannot be undone: its
        result was told. ConflictError if there is nothing to take back, or another answer is the last.
        """

        def take_back(connection: Connection) -> tuple[Lease, bool]:
            turn = self._turn(connection)
            held = who_asks(connection, [person])[person]
            mine = connection.execute(_MINE, {"me": person, "most": turn.settings.undo_limit}).all()
            decided = _decided(connection, mine)
            last = next((row for row in mine if row.state == "live" and row.lease not in decided), None)
            if answer is not None and (last is None or last.id != answer):
                return self._taken_back_before(connection, answer, mine, held), True
            if last is None:
                words = f"of the last {turn.settings.undo_limit} answers there is none left to take back"
                raise ConflictError(words if mine else "there is no answer to take back")
            lease, standing = connection.execute(_LEASE_OF, {"one": last.lease}).one()
            item = item_rows(connection, [standing])[standing]
            if item.closed:
                where = in_words(connection, read_place(item.place))
                raise ConflictError(f"{where} is frozen: its answers cannot be taken back any more")
            if held.id is not None:
                put_back(connection, held.id, person, turn.settings.strategy)
            together = connection.execute(_BY_KEY, {"keys": [(person, last.key)]}).all()
            decided = _decided(connection, together)
            live = (row for row in together if row.state == "live" and row.lease not in decided)
            back = {row.lease: as_annotation(row) for row in live}
            retract(connection, [each.id for each in back.values()], "undone", turn.now, person)
            old = [row for row in own_lease(connection, person, lease) if row.id in back]
            end_questions(connection, list(back), "undone")
            recount(connection, {each.item: -1 for each in back.values() if each.purpose == "work"}, turn.now)
            _put_drafts(connection, old, [_as_it_was(back[row.id]) for row in old], turn.now)
            again = self._lease_again(connection, old)
            record_audit(connection, turn.now, person, "undo", last.item, last.id, again.id, turn.guideline)
            return again, held.id is not None

        again, held = self._do(take_back)
        self._left.taken_back(person, again, held)
        return again

    def _taken_back_before(self, connection: Connection, answer: str, mine: Sequence[Any], held: Any) -> Lease:
        """Return the lease that taking an answer back made, if nothing came since."""
        named = next((row for row in mine if row.id == answer), None)
        if named is None or named.state != "undone" or held.id is None or held.sheet != named.sheet:
            raise ConflictError("this is not your last answer any more: look at your last answers")
        return self._as_lease(connection, own_lease(connection, held.person, held.id))

    def _lease_again(self, connection: Connection, old: Sequence[Any]) -> Lease:
        """Lease the items of an old lease's rows to the same person; their places were never freed."""
        chosen = {old[0].person: chosen_again(old)}
        return self._hand_out(connection, chosen, self._turn(connection))[old[0].person]

    # ---- telling ----

    def answers(self, *, after: int = 0, place: Place | None = None, person: str | None = None) -> Iterator[Annotation]:
        """Yield answers in order of recording, of every state, from a bounded window of memory.

        `after` skips as many of the earliest ones (of this place and person), for readers that go on where
        they stopped.
        """
        asked = EVERY.where(GIVEN.c.seq > bindparam("last")).order_by(GIVEN.c.seq).limit(_AT_ONCE)
        if place is not None:
            asked = asked.where(GIVEN.c.place == str(place))
        if person is not None:
            asked = asked.where(GIVEN.c.person == person)
        whole = place is None and person is None  # then `seq`, which has no gaps, is the number to skip
        page, last = (asked, after) if whole else (asked.offset(after), 0)
        while True:
            annotations: list[Annotation] = []
            with self._read() as connection:
                for rows in connection.execute(page, {"last": last}).partitions(_ROWS):
                    annotations += map(as_annotation, rows)
                    last = rows[-1].seq
            yield from annotations
            if len(annotations) < _AT_ONCE:
                return
            page = asked

    def item_answers(self, item: str) -> list[Annotation]:
        with self._read() as connection:
            return [as_annotation(row) for row in connection.execute(_OF_ITEM, {"one": item})]

    def skips(self) -> list[Skipped]:
        columns = (_SKIP.c.item, _SKIP.c.person, _SKIP.c.reason, _SKIP.c.at, _SKIP.c.place, LEASE.c.at.label("since"))

        def skipped(item: str, person: str, reason: str, at: float, place: str, since: float) -> Skipped:
            return Skipped(item, person, reason, at, read_place(place), max(0.0, at - since))

        asked = select(*columns).join_from(_SKIP, LEASE, _SKIP.c.lease == LEASE.c.id)
        return self._all(asked.order_by(_SKIP.c.seq), skipped)

    def flags(self) -> list[Flag]:
        columns = (_FLAG.c.item, _FLAG.c.person, _FLAG.c.text, _FLAG.c.at, _FLAG.c.seq)
        return self._all(select(*columns).order_by(_FLAG.c.seq), Flag)

    def _all(self, asked: "Select[Any]", value: Callable[..., Any]) -> list[Any]:
        with self._read() as connection:
            return [value(*row) for row in connection.execute(asked)]

    def answer_count(self) -> int:
        """Return how many answers of every state and changes of state there are: it grows with every change."""
        with self._read() as connection:
            changes = (GIVEN, RETRACTION, RESTORATION)
            counts = [connection.execute(select(func.max(each.c.seq))).scalar() for each in changes]
        return sum(count or 0 for count in counts)

    def own_progress(self, person: str) -> OwnProgress:
        """Return how far this person is; what others did in the last seconds may still be missing from `left`.

        It counts copies of a question one by one, though only one will come.
        """
        with self._read() as connection:
            state = find_person(connection, person).state
            settings = read_settings(connection)
            count, seconds = connection.execute(_DONE_SO_FAR, {"me": person}).one()
            lately: Counter[str] = Counter()
            for key, took in connection.execute(_DONE_LATELY, {"me": person}):
                lately[key] += took
            left = self._left.count(connection, person, self.clock(), settings)
            panel = panel_of(connection, person)
            most = may_answer(connection, person, panel.quota if panel is not None else 0, settings)
            done = OwnProgress(
                count,
                left if most is None else min(left, most),
                seconds,
                median(lately.values()) if lately else None,
                *_undoable(connection, person, settings.undo_limit),
            )
            if state != "practising":
                return done
            practice = practice_state(connection, person, settings)
            if not practice.items:
                return done
            now = next_practice_state(practice)
            tries = max(1, settings.practice_tries - now.attempt + 1)
            return OwnProgress(**asdict(done) | _practising(now.done, now.right, now.items, tries))

    def ending(self, person: str) -> Ending | None:
        """Return how the work of somebody ends for whom there are no items; None where it does not end for good.

        Who came by a panel leaves by its exits, anybody else with the completion code of the settings.
        """
        with self._read() as connection:
            state, panel = find_person(connection, person).state, panel_of(connection, person)
            if state == "refused":
                return Ending("screened_out", panel.screen_out if panel is not None else Exit())
            code = read_settings(connection).completion_code
        progress = self.own_progress(person)
        if state == "paused" or progress.practising or progress.left:
            return None
        exit_ = panel.completion if panel is not None else Exit(code)
        return Ending("complete", exit_, settled=self._settled())

    def _settled(self) -> bool:
        """Whether asking stopped because nothing was worth a minute any more, and nothing was laid since."""
        with self._read() as connection:
            return bool(connection.execute(_STOPPED).scalar())


def _practising(done: int, right: int, items: int, tries: int) -> dict[str, Any]:
    counts = {"practice_done": done, "practice_right": right, "practice_items": items, "tries_left": tries}
    return {"practising": True, **counts}


# ---- inside transactions ----


def _late(connection: Connection, rows: Sequence[Any], asked: _Asked, now: float) -> ConflictError | None:
    """Return what to say of answers whose lease ran out; raise ConflictError for those that come for nothing."""
    lease = rows[0]
    if not is_live(lease, now) and lease.state in ("live", "expired"):
        why, again = lost(connection, rows, now)
        kept = "claim again to go on with it" if again else "it counts no more"
        return ConflictError(f"{why}: your answer is kept as a draft, {kept}")
    check_live(connection, rows, now)
    if len(asked.submissions) != len(rows):
        raise InputError(f"this sheet has {len(rows)} questions, and {len(asked.submissions)} answers came")
    if any(submission.shown != row.shown for submission, row in zip(asked.submissions, rows, strict=True)):
        raise ConflictError("the page did not show this item as it was leased: load it again")
    return None


def _undoable(connection: Connection, person: str, most: int) -> tuple[int, str | None]:
    """Return how many answers `undo` would take back, one after another, and which is the first."""
    mine = connection.execute(_MINE_CLOSED, {"me": person, "most": most})
    live = [row for row in mine if row.retracted is None and not row.settled]
    ids = [row.id for row in takewhile(lambda row: not row.closed, live)]
    return len(ids), ids[0] if ids else None


def _decided(connection: Connection, mine: Sequence[Any]) -> set[str]:
    return set(connection.execute(_DECIDED, {"leases": [row.lease for row in mine]}).scalars())


def _drafted(shown: str, answer: Answer, confidence: float | None, detail: Any) -> dict[str, Any]:
    """Return an answer, places as shown, as a page's draft has it; `shown` is the hash of what its rater saw."""
    told = {"kind": answer.kind, **asdict(answer)}
    return {"shown": shown, "answer": told, "confidence": confidence, "detail": dict(detail)}


def _as_it_was(annotation: Annotation) -> dict[str, Any]:
    answer = as_shown(annotation.answer, annotation.order)
    return _drafted(annotation.shown, answer, annotation.confidence, annotation.detail)


def _put_drafts(connection: Connection, rows: Sequence[Any], drafts: Sequence[dict[str, Any]], now: float) -> None:
    """Keep answers to the questions of a lease, in its order, as the draft of its sheet.

    Each is kept with its item, as questions of the sheet may be gone, or taken by others, when it comes back.
    """
    answers = [{"item": row.item, **draft} for row, draft in zip(rows, drafts, strict=False)]
    put_draft(connection, rows[0], draft_json({"answers": answers}), now)
