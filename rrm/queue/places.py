"""Settling: decisions on disputed items, closing places, and what the run takes up."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, cast, func, insert, literal_column, select, update

from rrm.core.annotation import Annotation, Submission
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.core.place import Place
from rrm.core.values import Feedback, Rated, Request
from rrm.queue.answers import Answers
from rrm.queue.audit import record_audit
from rrm.queue.entered import record_entered
from rrm.queue.given import (
    EVERY,
    IS_LIVE,
    RETRACTION,
    annotation_row,
    as_annotation,
    insert_annotations,
    recount,
    restore,
    retract,
)
from rrm.queue.guidelines import latest_guideline, read_settings, storable
from rrm.queue.items import ITEM, LEASE, PLACE, STANDING, frozen_places, in_words, is_held, item_rows
from rrm.queue.keys import check_same, checked_key
from rrm.queue.leases import end_lease, end_questions
from rrm.queue.people import find_person
from rrm.queue.practice import GIVEN
from rrm.queue.requests import (
    feedback_rows,
    insert_new,
    load_feedback,
    load_request,
    load_requests,
    request_rows,
)
from rrm.queue.shown import as_shown, check, check_fits
from rrm.queue.wanted import is_disputed
from rrm.store.kinds import read_place
from rrm.store.record import chunks
from rrm.store.tables import table

_AT_ONCE = 5_000  # answers made feedback at a time

_PERSON = table("person")
_WORK = ITEM.c.purpose == literal_column("'work'")
_HERE = and_(_WORK, ITEM.c.place == bindparam("here"))
_STAND = and_(GIVEN.c.place == bindparam("here"), GIVEN.c.purpose == "work", IS_LIVE)
"""The answers of a place that count: live ones, and decisions in the place of adjudicated ones."""

_HOW_MANY = EVERY.where(_STAND).with_only_columns(func.count())
_ABOUT_PLACE = select(
    func.count(), func.max(ITEM.c.changed), func.min(cast(ITEM.c.settled | (ITEM.c.given >= ITEM.c.wanted), Integer))
).where(_HERE)


_IS_DISPUTED = is_disputed()
_RATED = EVERY.with_only_columns(GIVEN.c.item).where(
    GIVEN.c.person == bindparam("me"),
    GIVEN.c.item.in_(bindparam("these", expanding=True)),
    ~GIVEN.c.adjudication,
    RETRACTION.c.state.is_(None) | (RETRACTION.c.state == "adjudicated"),
)
_OTHER_JUDGES = select(_PERSON.c.id).where(
    _PERSON.c.id != bindparam("me"), _PERSON.c.role.in_(["adjudicator", "admin"]), _PERSON.c.state != "paused"
)


class Places(Answers):
    """The part of the desk that adjudicates and closes levels."""

    # ---- disputes ----

    def disputed(self, limit: int = 100) -> list[tuple[str, float]]:
        """Return complete, unfrozen, not adjudicated work items whose answers differ: id and disagreement.

        Those that differ most come first.
        """
        asked = select(ITEM.c.id, ITEM.c.disagreement).where(_IS_DISPUTED)
        with self._read() as connection:
            found = connection.execute(asked.order_by(ITEM.c.disagreement.desc(), ITEM.c.seq).limit(limit))
            return [(row.id, row.disagreement) for row in found]

    def disputed_count(self) -> int:
        """Return how many items are disputed."""
        with self._read() as connection:
            return connection.execute(select(func.count()).select_from(ITEM).where(_IS_DISPUTED)).scalar_one()

    def rated_by(self, person: str, items: Sequence[str]) -> set[str]:
        """Return those of these items that the person has answered, decisions not counted."""
        with self._read() as connection:
            return {item for some in chunks(items) for item in connection.execute(_RATED, _who(person, some)).scalars()}

    def adjudicate(self, person: str, item: str, submission: Submission, key: str) -> Annotation:
        """Record a decision that stands in the place of the item's answers, which are kept as "adjudicated".

        Places in the answer are in the request's own order; `shown` is kept as it is sent. The same `key`
        again returns the same decision. ConflictError unless the item is complete, unfrozen and unsettled, and for
        somebody who has answered it while another adjudicator or admin has not.
        """
        key, shown = checked_key(key), storable(submission.shown, "what was shown", 200)

        def decide(connection: Connection) -> Annotation:
            _check_may_decide(connection, person)
            there = connection.execute(EVERY.where(GIVEN.c.person == person, GIVEN.c.key == key)).one_or_none()
            if there is not None:
                check_same(there.item, item)
                return as_annotation(there)
            request, now = load_request(connection, item), self.clock()
            settings, version = read_settings(connection), latest_guideline(connection)
            check(submission, request, settings.rating_points)
            _check_is_open_to_decision(connection, item)
            _check_is_impartial(connection, person, item)
            order = tuple(range(len(request.shown)))
            about = (version, shown, now, submission.seconds, 0.0, submission.confidence, submission.detail)
            sheet = item_rows(connection, [item])[item].sheet
            asked = ("live", "work", request.place, request.node, request.kind, None, True, sheet, 0, request.criterion)
            annotation = Annotation(self._new_id("given"), item, person, submission.answer, order, *about, *asked)  # type: ignore[arg-type]
            live = EVERY.where(GIVEN.c.item == item, IS_LIVE).with_only_columns(GIVEN.c.id)
            adjudicated = connection.execute(live).scalars().all()
            retract(connection, adjudicated, "adjudicated", now, person)
            insert_annotations(connection, [annotation_row(annotation, key, None)])
            connection.execute(update(ITEM).where(ITEM.c.id == item).values(settled=True, changed=now))
            record_audit(connection, now, person, "adjudicate", item, list(adjudicated), annotation.id, version)
            return annotation

        return self._do(decide)

    def undo_decision(self, person: str, decision: str) -> None:
        """Take a decision back, so that the answers it replaced count again; a second time changes nothing.

        AccessError for another's decision, unless an admin asks; ConflictError once its place is frozen.
        """

        def take_back(connection: Connection) -> None:
            _check_may_decide(connection, person)
            found = connection.execute(EVERY.where(GIVEN.c.id == decision, GIVEN.c.adjudication)).one_or_none()
            if found is None:
                raise MissingError(f"there is no decision {decision!r:.60}")
            if found.person != person and find_person(connection, person).role != "admin":
                raise AccessError("this decision is somebody else's: an admin can take it back")
            if found.state != "live":
                return
            if item_rows(connection, [found.item])[found.item].closed:
                where = in_words(connection, read_place(found.place))
                raise ConflictError(f"{where} is frozen: its decisions cannot be taken back any more")
            now = self.clock()
            retract(connection, [found.id], "undone", now, person)
            restore(connection, found.item, now, person)
            connection.execute(update(ITEM).where(ITEM.c.id == found.item).values(settled=False, changed=now))
            version = latest_guideline(connection)
            record_audit(connection, now, person, "undo decision", found.item, found.id, None, version)

        self._do(take_back)

    # ---- places ----

    def freeze(self, place: Place, by: str) -> int:
        """Close a place: nothing about its work items changes any more; return how many live answers it has.

        Who holds one of its items can no longer answer it. A place that is frozen already stays as it is;
        MissingError for one without items.
        """

        def close(connection: Connection) -> int:
            if place not in frozen_places(connection):
                if not connection.execute(_ABOUT_PLACE, {"here": str(place)}).one()[0]:
                    raise MissingError(f"{in_words(connection, place)} has no items")
                held = select(LEASE.c.first).distinct().join_from(LEASE, ITEM, ITEM.c.id == STANDING)
                for lease in connection.execute(held.where(is_held(), _HERE), {"here": str(place)}).scalars().all():
                    end_lease(connection, lease, "expired")
                self._freeze(connection, place, by)
            return _standing(connection, place)

        return self._do(close)

    def _freeze(self, connection: Connection, place: Place, by: str) -> None:
        now = self.clock()
        connection.execute(update(ITEM).where(_HERE).values(closed=True), {"here": str(place)})
        known = connection.execute(select(PLACE.c.place).where(PLACE.c.place == str(place))).scalar()
        if known is None:
            connection.execute(insert(PLACE), [{"place": str(place), "frozen": now, "taken_up": None}])
        else:
            connection.execute(update(PLACE).where(PLACE.c.place == str(place)).values(frozen=now))
        new = {"answers": _standing(connection, place)}
        record_audit(
            connection, now, by, "freeze place", in_words(connection, place), None, new, latest_guideline(connection)
        )

    def freeze_complete(self, place: Place, quiet: bool = True) -> bool:
        """Freeze a place if all its items are complete; return whether it is frozen.

        If it must be `quiet`, only once nothing has changed there for `grace_seconds`. Without the setting
        `auto_freeze`, and where there are no items, nothing is frozen. Nobody holds any of the items then; a check that
        stands for one stays in its rater's hands, as the last item of work would.
        """
        with self._read() as connection:  # which is asked often, and seldom has anything to write
            if place in frozen_places(connection):
                return True
            if not self._is_ripe(connection, place, quiet):
                return False

        def close(connection: Connection) -> bool:
            if place in frozen_places(connection):
                return True
            ripe = self._is_ripe(connection, place, quiet)
            if ripe:
                self._freeze(connection, place, "system")
            return ripe

        return self._do(close)

    def _is_ripe(self, connection: Connection, place: Place, quiet: bool) -> bool:
        settings = read_settings(connection)
        items, changed, complete = connection.execute(_ABOUT_PLACE, {"here": str(place)}).one()
        rested = bool(items) and (not quiet or self.clock() >= changed + settings.grace_seconds)
        return bool(settings.auto_freeze and rested and complete)

    def frozen(self) -> set[Place]:
        with self._read() as connection:
            return frozen_places(connection)

    def take_up(self, place: Place, attentive: Mapping[str, float] | None = None) -> int:
        """Make a frozen place's live answers, decisions in the place of adjudicated ones, the record's feedback.

        Each answer's confidence is the one its rater gave, times how `attentive` the rater is (1 for those
        not named). Returns how many there are; doing it again changes nothing. ConflictError if the place is
        not frozen.
        """

        def take(connection: Connection) -> int:
            about = connection.execute(select(PLACE).where(PLACE.c.place == str(place))).one_or_none()
            if about is None or about.frozen is None:
                raise ConflictError(
                    f"{in_words(connection, place)} is not frozen: freeze it before its answers are taken up"
                )
            if about.taken_up is None:
                now = self.clock()
                for some in _standing_answers(connection, place):
                    _put_on_record(connection, as_rated(connection, some), attentive or {})
                connection.execute(update(PLACE).where(PLACE.c.place == str(place)).values(taken_up=now))
                new, version = {"answers": _standing(connection, place)}, latest_guideline(connection)
                record_audit(
                    connection, now, "system", "take up place", in_words(connection, place), None, new, version
                )
            return _standing(connection, place)

        return self._do(take)

    def taken(self, items: Sequence[str]) -> dict[str, list[Rated]]:
        """Return, of those of these items whose place was taken up and that have any, what they came to.

        Each rating stands with the request as its rater saw it (see `as_rated`).
        """
        found: dict[str, list[Rated]] = {}
        with self._read() as connection:
            up = select(PLACE.c.place).where(PLACE.c.taken_up.is_not(None))
            stand = EVERY.where(GIVEN.c.purpose == "work", IS_LIVE, GIVEN.c.place.in_(up)).order_by(GIVEN.c.seq)
            for some in chunks(items):
                annotations = [as_annotation(row) for row in connection.execute(stand.where(GIVEN.c.item.in_(some)))]
                rated = as_rated(connection, annotations)
                recorded = load_feedback(connection, [each.feedback.id for each in rated])
                for of, each in zip(annotations, rated, strict=True):
                    found.setdefault(of.item, []).append(Rated(each.request, recorded[each.feedback.id]))
        return found

    def reopen(self, place: Place, by: str) -> None:
        """Open a frozen place again; ConflictError once it was taken up."""

        def open_(connection: Connection) -> None:
            about = connection.execute(select(PLACE).where(PLACE.c.place == str(place))).one_or_none()
            if about is None or about.frozen is None:
                raise ConflictError(f"{in_words(connection, place)} is not frozen")
            if about.taken_up is not None:
                raise ConflictError(f"the run has taken {in_words(connection, place)} up: it stays frozen")
            now = self.clock()
            connection.execute(update(PLACE).where(PLACE.c.place == str(place)).values(frozen=None))
            connection.execute(update(ITEM).where(_HERE).values(closed=False, changed=now), {"here": str(place)})
            record_audit(
                connection,
                now,
                by,
                "reopen place",
                in_words(connection, place),
                None,
                None,
                latest_guideline(connection),
            )

        self._do(open_)

    # ---- one rater's answers ----

    def requeue(self, person: str, by: str) -> int:
        """Take back all of a rater's answers at unfrozen places, so that others rate the items; return how many.

        Practice stays, and so do decisions and what a decision has adjudicated. Answers to checks that stood for open
        work are taken back with it, or they alone would be left to their rater; they tell of the rater all the same.
        Only those to work are counted. The rater gets none of the items again.
        """

        def take_back(connection: Connection) -> int:
            find_person(connection, person)
            mine = and_(GIVEN.c.person == person, GIVEN.c.purpose != "practice", ~GIVEN.c.adjudication, IS_LIVE)
            asked = EVERY.join(LEASE, LEASE.c.id == GIVEN.c.lease).join(ITEM, ITEM.c.id == STANDING)
            columns = (GIVEN.c.id, GIVEN.c.item, GIVEN.c.lease, GIVEN.c.purpose)
            taken = connection.execute(asked.where(mine, ~ITEM.c.closed).with_only_columns(*columns)).all()
            now = self.clock()
            retract(connection, [row.id for row in taken], "requeued", now, by)
            end_questions(connection, [row.lease for row in taken], "requeued")
            rows = [row for row in taken if row.purpose == "work"]
            gone = Counter(row.item for row in rows)
            recount(connection, {item: -count for item, count in gone.items()}, now, frees=True)
            version = latest_guideline(connection)
            record_audit(connection, now, by, "requeue person", person, None, {"answers": len(rows)}, version)
            return len(rows)

        return self._do(take_back)

    def enter(self, rated: Sequence[Rated], by: str) -> int:
        """Record ratings made elsewhere as answers to items that are there; return how many were new.

        Places are in the requests' own order. A rater whose pseudonym is not among the persons is added under
        a new one, paused, and found again by the label in the ratings. An item that has all it wanted then wants
        one more. A question that the rater has touched already gets no second answer. All are recorded, or none:
        MissingError for an item that is not there, InputError for one that is no work or an answer that does not
        fit, ConflictError for a frozen place.
        """
        for each in rated:
            storable(each.feedback.rater, "a rater", 128)
            if each.feedback.request != each.request.id:
                raise InputError(f"a rating of {each.feedback.request} came with the request {each.request.id}")
            check_fits(each.feedback.answer, each.request)

        def record(connection: Connection) -> int:
            now = self.clock()
            new = record_entered(connection, rated, now, self._new_id)
            if new:
                version = latest_guideline(connection)
                record_audit(connection, now, by, "enter ratings", "items", None, {"answers": new}, version)
            return new

        return self._do(record)


# ---- inside a transaction ----


def _standing(connection: Connection, place: Place) -> int:
    return connection.execute(_HOW_MANY, {"here": str(place)}).scalar_one()


def _standing_answers(connection: Connection, place: Place) -> Iterator[list[Annotation]]:
    """Yield the answers of a place that count, some at a time."""
    asked = EVERY.where(_STAND, GIVEN.c.seq > bindparam("last")).order_by(GIVEN.c.seq).limit(_AT_ONCE)
    last = 0
    while rows := connection.execute(asked, {"here": str(place), "last": last}).all():
        yield [as_annotation(row) for row in rows]
        last = rows[-1].seq


def as_rated(connection: Connection, annotations: Sequence[Annotation]) -> list[Rated]:
    """Return answers as feedback, each to the request exactly as its rater saw it.

    That has the outputs in the order shown and names the guidelines' version, so that a leaning to what
    stands first can be told from a liking for the output.
    """
    asked: dict[str, Request] = {}
    for some in chunks(sorted({each.item for each in annotations})):
        asked |= load_requests(connection, some)
    rated = []
    for each in annotations:
        request = asked[each.item]
        shown = tuple(request.shown[position] for position in each.order)
        seen = replace(request, shown=shown, guideline=f"v{each.guideline}")
        answer = as_shown(each.answer, each.order)
        rated.append(Rated(seen, Feedback(seen.id, each.person, answer, each.seconds, each.confidence, seen.criterion)))
    return rated


def _put_on_record(connection: Connection, rated: Sequence[Rated], attentive: Mapping[str, float]) -> None:
    views, requests = request_rows(each.request for each in rated)
    insert_new(connection, "view", views)
    insert_new(connection, "request", requests)
    insert_new(connection, "feedback", feedback_rows(_weighed(each.feedback, attentive) for each in rated))


def _weighed(feedback: Feedback, attentive: Mapping[str, float]) -> Feedback:
    share = attentive.get(feedback.rater, 1.0)
    if share == 1:
        return feedback
    return replace(feedback, confidence=share * (1.0 if feedback.confidence is None else feedback.confidence))


def _check_may_decide(connection: Connection, person: str) -> None:
    found = find_person(connection, person)
    if found.role not in ("adjudicator", "admin"):
        raise AccessError("only adjudicators and admins decide on disputed items")
    if found.state == "paused":
        raise AccessError("you are paused and decide nothing for now: ask an admin")


def _check_is_impartial(connection: Connection, person: str, item: str) -> None:
    """Raise ConflictError for somebody who has answered the item while another judge has not."""
    if not connection.execute(_RATED, _who(person, [item])).first():
        return
    others = connection.execute(_OTHER_JUDGES, {"me": person}).scalars().all()
    if any(not connection.execute(_RATED, _who(other, [item])).first() for other in others):
        raise ConflictError("you have rated this item yourself: another adjudicator or admin decides on it")


def _who(person: str, items: Sequence[str]) -> dict[str, Any]:
    return {"me": person, "these": items}


def _check_is_open_to_decision(connection: Connection, item: str) -> None:
    row = item_rows(connection, [item]).get(item)
    if row is None:
        raise MissingError(f"there is no item {item!r:.60}")
    if row.purpose != "work":
        raise InputError(f"{item} is for {row.purpose}: its answer is known, there is nothing to decide")
    if row.closed:
        raise ConflictError(
            f"{in_words(connection, read_place(row.place))} is frozen: nothing about its items changes any more"
        )
    if row.settled:
        raise ConflictError("somebody has decided on this item already")
    if row.given < row.wanted:
        raise ConflictError(f"this item has {row.given} of {row.wanted} answers: wait for the rest")
