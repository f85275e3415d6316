"""Answers that come in: which fit, how they are kept, and how they are taken back."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rrm.core.annotation import Annotation, Item, Submission
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError, StoreError
from rrm.core.place import Place
from rrm.core.values import (
    KINDS,
    Answer,
    ClaimMarks,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Hindsight,
    Label,
    Ranking,
    Rating,
    Reject,
)
from rrm.queue import SqlDesk, as_requested, as_shown
from tests.queue.desk_house import Clock
from tests.queue.desk_load import all_at_once
from tests.queue.desk_problems import answer_all, choosing, claimed, known, rate, raters, request, submit, work

ABOVE = Place(level=1)

# ---- taking in ----

FITTING: dict[str, list[Answer]] = {
    "comparison": [Comparison(0), Comparison(1, 1.0), Comparison(None), Reject("both are bad")],
    "hindsight": [Hindsight(0), Hindsight(1, 1.0), Hindsight(None), Reject("both are bad")],
    "ranking": [Ranking((0,)), Ranking((2, 0, 1)), Reject("no language of mine")],
    "rating": [Rating(1), Rating(7), Reject("")],
    "label": [Label(True), Label(False), Reject("\x00 is allowed in JSON")],
    "correction": [Correction("better"), Correction(""), Reject("漢字")],
    "demonstration": [Demonstration("my own 🦊"), Reject("r")],
    "critique": [Critique("wrong", ((0, 1),), (0,)), Critique("x"), Reject("r")],
    "claims": [ClaimMarks(((0, 1),), (), ("the fire",)), ClaimMarks(), Reject("r")],
    "reject": [Reject("broken"), Label(True)],
}
OUTPUTS = {"comparison": 2, "hindsight": 2, "ranking": 3, "demonstration": 0}


def test_every_kind_is_tried() -> None:
    assert set(FITTING) == set(KINDS)


@pytest.mark.parametrize("kind", FITTING)
def test_an_answer_that_fits_is_kept_as_it_was_given(either_desk: SqlDesk, kind: str, clock: Clock) -> None:
    answers = FITTING[kind]
    item = Item(request(1, kind, outputs=OUTPUTS.get(kind, 1)), wanted=len(answers))
    either_desk.add_items([item])
    assert either_desk.item(item.request.id) == item
    for person, answer in zip(raters(either_desk, len(answers)), answers, strict=True):
        lease = claimed(either_desk, person)
        clock.now += 5
        sent = Submission(answer, lease.first.shown, 3.5, 0.25, {"source_spans": [[0, 1, 2]], "away": 1.5})
        [given] = either_desk.submit(person, lease.id, [sent], "k")
        assert as_shown(given.answer, given.order) == answer
        assert (given.order, given.shown, given.guideline) == (lease.first.order, lease.first.shown, 0)
        assert (given.at, given.wall_seconds, given.seconds, given.confidence) == (clock(), 5.0, 3.5, 0.25)
        assert given.detail == {"source_spans": [[0, 1, 2]], "away": 1.5}
        assert (given.place, given.node, given.kind, given.purpose) == (Place(), "node-1", kind, "work")
        assert (given.state, given.right, given.adjudication) == ("live", None, False)
    recorded = list(either_desk.answers())
    assert [as_shown(each.answer, each.order) for each in recorded] == answers
    assert recorded[-1] == given
    assert either_desk.item_answers(item.request.id) == recorded


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("comparison", Rating(3)),
        ("comparison", Comparison(0, 1.5)),
        ("comparison", Comparison(0, float("nan"))),
        ("comparison", Label(True)),
        ("comparison", Comparison(True)),
        ("ranking", Ranking((0, 3))),
        ("rating", Rating(3, 5)),
        ("label", Comparison(0)),
        ("correction", Demonstration("mine")),
        ("correction", Correction("half \ud800 a character")),
        ("critique", Critique("x", ((0, 2),))),
        ("critique", Critique("x", ((1, 0),))),
        ("critique", Critique("x", (), (1,))),
        ("claims", ClaimMarks(((0, 2),))),
        ("claims", ClaimMarks((), ((1, 1),))),
        ("demonstration", Demonstration("x" * 200_001)),
        ("reject", Label(False)),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_item_stays_leased(
    desk: SqlDesk, kind: str, answer: Answer
) -> None:
    desk.add_items([Item(request(1, kind, outputs=OUTPUTS.get(kind, 1)))])
    (ann,) = raters(desk, 1)
    lease = claimed(desk, ann)
    with pytest.raises(InputError):
        submit(desk, lease, answer)
    assert desk.claim(ann) == lease
    assert desk.answer_count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": -1.0},
        {"seconds": float("inf")},
        {"confidence": 0.0},
        {"confidence": 1.5},
        {"confidence": float("nan")},
        {"detail": {"nan": float("nan")}},
        {"detail": {"a set": {1}}},
    ],
)
def test_what_comes_with_an_answer_must_make_sense(desk: SqlDesk, wrong: dict[str, Any]) -> None:
    desk.add_items(work(1))
    lease = claimed(desk, raters(desk, 1)[0])
    with pytest.raises(InputError):
        desk.submit(lease.person, lease.id, [replace(Submission(Comparison(0), lease.first.shown), **wrong)], "k")


def test_places_on_the_page_become_places_in_the_request() -> None:
    order = (2, 0, 1)  # the page shows output 2 first
    assert as_requested(Ranking((0, 2)), order) == Ranking((2, 1))
    assert as_requested(Critique("x", ((0, 1),), (0, 1)), order) == Critique("x", ((0, 1),), (0, 2))
    assert as_requested(Comparison(0, 0.5), (1, 0)) == Comparison(1, 0.5)
    assert as_requested(Comparison(None), (1, 0)) == Comparison(None)
    for answer in (Ranking((0, 2)), Critique("x", (), (0, 1))):
        assert as_shown(as_requested(answer, order), order) == answer


def test_the_same_key_returns_the_same_answer_and_records_nothing(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, 2, wanted=2))
    ann, bob = raters(either_desk, 2)
    first = claimed(either_desk, ann)
    given = submit(either_desk, first, key="once")
    before = len(either_desk.audit())
    assert submit(either_desk, first, Comparison(None), key="once") == given
    assert either_desk.answer_count() == 1
    assert len(either_desk.audit()) == before
    second = claimed(either_desk, ann)
    with pytest.raises(ConflictError, match="key of its own"):
        submit(either_desk, second, key="once")
    with pytest.raises(ConflictError, match="answered already"):
        submit(either_desk, first, key="twice")
    assert submit(either_desk, claimed(either_desk, bob), key="once").person == bob
    for key in ("", "x" * 201, "\n"):
        with pytest.raises(InputError, match="key"):
            submit(either_desk, second, key=key)


def test_each_thing_that_a_rater_does_stands_in_the_audit_once(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2, 3))
    (ann,) = raters(desk, 1)

    def audited(call: Callable[[], Any]) -> list[str]:
        before = len(desk.audit())
        call()
        return [f"{each.by} {each.what} {each.subject}" for each in desk.audit()[: len(desk.audit()) - before]]

    lease = claimed(desk, ann)
    item = lease.first.request.id
    assert audited(lambda: desk.claim(ann)) == []
    assert audited(lambda: desk.renew(ann, lease.id)) == []
    assert audited(lambda: desk.save_draft(ann, lease.id, {})) == []
    assert audited(lambda: desk.flag(ann, lease.id, "odd")) == [f"{ann} flag {item}"]
    assert audited(lambda: submit(desk, lease)) == [f"{ann} answer {item}"]
    assert audited(lambda: desk.undo(ann)) == [f"{ann} undo {item}"]
    again = claimed(desk, ann)
    assert audited(lambda: desk.skip(ann, again.id, "", "k")) == [f"{ann} skip {item}"]
    assert audited(lambda: desk.add_items(work(4))) == ["system add items items"]
    assert audited(lambda: desk.add_items(work(4))) == []


# ---- what is known ----


def test_an_answer_to_a_known_item_is_right_or_wrong_in_the_requests_own_order(desk: SqlDesk) -> None:
    desk.change_settings({"gold_every": 2, "attention_every": 0}, "test")
    desk.add_items([*known("gold", *range(100, 140), better=1), *work(*range(40))])
    (ann,) = raters(desk, 1)
    number = 0
    while (lease := desk.claim(ann)) is not None:
        given = submit(desk, lease, choosing(lease, number % 2))
        assert given.right is (None if given.purpose == "work" else number % 2 == 1)
        number += 1
    assert len([each for each in desk.answers() if each.purpose == "gold"]) > 5


# ---- taking back ----


def test_undo_gives_the_item_back_with_what_was_answered_as_it_was_shown(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(1))
    ann, bob = raters(either_desk, 2)
    lease = claimed(either_desk, ann)
    sent = Submission(Comparison(1, 0.5), lease.first.shown, 2.0, 0.75, {"away": 1})
    [given] = either_desk.submit(ann, lease.id, [sent], "k")
    again = either_desk.undo(ann)
    assert (again.first.request, again.first.order, again.first.purpose) == (
        lease.first.request,
        lease.first.order,
        "work",
    )
    assert again.id != lease.id
    assert again.expires == clock() + 900
    answer = {"kind": "comparison", "better": 1, "strength": 0.5}
    of = {"item": lease.first.request.id, "shown": lease.first.shown}
    assert again.draft == {"answers": [{**of, "answer": answer, "confidence": 0.75, "detail": {"away": 1}}]}
    assert either_desk.claim(bob) is None
    assert either_desk.claim(ann) == again
    assert [each.state for each in either_desk.answers()] == ["undone"]
    assert submit(either_desk, lease, key="k") == given._replace(state="undone")  # a page that sends once more
    submit(either_desk, again, Comparison(0), key="k2")
    assert [each.state for each in either_desk.item_answers(lease.first.request.id)] == ["undone", "live"]
    assert either_desk.answer_count() == 3


def test_undo_goes_back_answer_by_answer_as_far_as_it_may(desk: SqlDesk) -> None:
    desk.change_settings({"undo_limit": 3}, "test")
    desk.add_items(work(*range(6)))
    (ann,) = raters(desk, 1)
    with pytest.raises(ConflictError, match="no answer"):
        desk.undo(ann)
    items = []
    for _ in range(5):
        lease = claimed(desk, ann)
        items.append(lease.first.request.id)
        submit(desk, lease)
    claimed(desk, ann)
    for left in (3, 2, 1):
        assert desk.own_progress(ann).undoable == left
        assert desk.undo(ann).first.request.id == items.pop()
    assert desk.own_progress(ann).undoable == 0
    with pytest.raises(ConflictError, match="last 3"):
        desk.undo(ann)
    (progress,) = desk.progress()
    assert (progress.answers, progress.held) == (2, 1)


def test_what_is_held_while_undoing_is_free_for_others_and_keeps_its_draft(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2))
    ann, bob = raters(desk, 2)
    submit(desk, claimed(desk, ann))
    held = claimed(desk, ann)
    desk.save_draft(ann, held.id, {"note": "mine"})
    again = desk.undo(ann)
    with pytest.raises(ConflictError, match="went back in the meantime"):
        submit(desk, held, key="late")
    theirs = claimed(desk, bob)
    assert theirs.first.request == held.first.request
    assert theirs.draft is None
    desk.skip(bob, theirs.id, "", "k")
    submit(desk, again, key="k2")
    back = claimed(desk, ann)
    assert back.first.request == held.first.request
    assert back.draft is not None


def test_what_is_frozen_settled_or_anothers_cannot_be_undone(desk: SqlDesk) -> None:
    desk.add_items([*work(1, wanted=2), *work(2, wanted=1)])
    ann, bob = raters(desk, 2)
    dee = desk.add_person("Dee", "adjudicator", by="test").id
    for person, better in ((ann, 0), (bob, 1)):
        while (lease := desk.claim(person)) is not None:
            submit(desk, lease, choosing(lease, better))
    ((disputed, _),) = desk.disputed()
    desk.adjudicate(dee, disputed, Submission(Comparison(0), ""), "k")
    with pytest.raises(ConflictError, match="no answer"):
        desk.undo(dee)
    undone = 0
    for person in (ann, bob):
        try:
            undone += desk.undo(person).first.request.id != disputed
        except ConflictError as error:
            assert "left to take back" in str(error)
    assert undone == 1
    desk.freeze(Place(), "test")
    for person in (ann, bob):
        with pytest.raises(ConflictError):
            desk.undo(person)


def test_undoing_the_last_answer_at_a_frozen_place_says_so(desk: SqlDesk) -> None:
    desk.add_items(work(1))
    (ann,) = raters(desk, 1)
    answer_all(desk, ann)
    desk.freeze(Place(), "test")
    with pytest.raises(ConflictError, match="level 0 is frozen"):
        desk.undo(ann)
    assert desk.own_progress(ann).undoable == 0
    desk.set_state(ann, "paused", "test")
    with pytest.raises(AccessError, match="paused"):
        desk.undo(ann)


def test_what_somebody_holds_who_is_paused_is_not_taken_and_kept_as_a_draft(either_desk: SqlDesk) -> None:
    desk = either_desk
    desk.add_items(work(1, 2))
    ann, bob = raters(desk, 2)
    held, other = claimed(desk, ann), claimed(desk, bob)
    desk.set_state(ann, "paused", "test")
    with pytest.raises(AccessError, match="paused"):
        submit(desk, held, Comparison(1))
    submit(desk, other)
    assert [each.person for each in desk.answers()] == [bob]
    desk.set_state(ann, "active", "test")
    again = claimed(desk, ann)
    assert again.first.request == held.first.request
    assert again.draft is not None and again.draft["answers"][0]["answer"]["better"] == 1
    assert submit(desk, again).state == "live"


def test_answers_that_come_together_fare_as_they_would_one_after_another(either_desk: SqlDesk) -> None:
    desk = either_desk
    desk.add_items([*work(0, wanted=2), *work(1, 2)])
    leases = [claimed(desk, person) for person in raters(desk, 4)]
    came: dict[tuple[int, str], list[Annotation | Exception]] = defaultdict(list)

    def send(who: int, key: str, shown: str | None = None) -> None:
        lease = leases[who]
        sent = Submission(choosing(lease, 0), lease.first.shown if shown is None else shown, 1.0)
        try:
            came[who, key] += desk.submit(lease.person, lease.id, [sent], key)
        except ConflictError as error:
            came[who, key].append(error)

    calls = [(0, "key"), (1, "key"), (2, "key"), (0, "key"), (2, "another key"), (3, "key", "another page")]
    with all_at_once(desk._writer) as call:
        for each in calls:
            call(lambda each=each: send(*each))
    first, again = came[0, "key"]
    assert first == again
    assert [type(came[who, key][0]) for who, key in ((1, "key"), (2, "key"))] == [Annotation, Annotation]
    assert "answered already" in str(came[2, "another key"][0])
    assert "did not show this item" in str(came[3, "key"][0])
    assert sorted(each.person for each in desk.answers()) == sorted(lease.person for lease in leases[:3])
    assert sum(level.answers for level in desk.progress()) == 3
    assert [entry.what for entry in desk.audit()].count("answer") == 3
    submit(desk, leases[3])
    assert [(level.complete, level.answers, level.wanted) for level in desk.progress()] == [(3, 4, 4)]


# ---- telling ----


def test_answers_come_in_order_from_where_a_reader_stopped(desk: SqlDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.queue.answers._AT_ONCE", 4)
    desk.add_items([*work(*range(5), wanted=2), *work(*range(10, 14), level=1)])
    ann, bob = raters(desk, 2)
    answer_all(desk, ann)
    answer_all(desk, bob)
    every = list(desk.answers())
    assert len(every) == 14
    assert [each.at for each in every] == sorted(each.at for each in every)
    for after in (0, 3, 4, 13, 14, 20):
        assert list(desk.answers(after=after)) == every[after:]
    first = [each for each in every if each.place == Place()]
    assert list(desk.answers(place=Place())) == first
    assert list(desk.answers(place=Place(), after=7)) == first[7:]
    assert list(desk.answers(person=bob)) == [each for each in every if each.person == bob]
    assert list(desk.answers(person=bob, place=ABOVE)) == [
        each for each in every if (each.person, each.place) == (bob, ABOVE)
    ]


def test_own_progress_counts_what_stands_and_what_may_come(desk: SqlDesk) -> None:
    desk.add_items([*work(*range(4), wanted=2), Item(request(0, copy=1), wanted=2)])
    ann, bob = raters(desk, 2)
    start = desk.own_progress(ann)
    assert (start.done, start.left, start.seconds, start.median_seconds, start.undoable) == (0, 5, 0.0, None, 0)
    for seconds in (1.0, 2.0, 9.0):
        lease = claimed(desk, ann)
        desk.submit(ann, lease.id, [Submission(Comparison(0), lease.first.shown, seconds)], f"k{seconds}")
    lease = claimed(desk, ann)
    desk.submit(ann, lease.id, [Submission(Comparison(0), lease.first.shown)], "no time")
    assert desk.claim(ann) is None
    done = desk.own_progress(ann)
    assert (done.done, done.left, done.seconds, done.median_seconds) == (4, 0, 12.0, 2.0)
    desk.undo(ann)
    assert desk.own_progress(ann).done == 3
    assert desk.own_progress(bob).left == 5
    with pytest.raises(MissingError):
        desk.own_progress("p-nobody")


def test_an_undo_that_names_its_answer_takes_back_that_one_alone(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2, 3))
    (ann,) = raters(desk, 1)
    given = [submit(desk, claimed(desk, ann), key=f"k{number}") for number in range(3)]
    ids = [each.id for each in desk.answers(person=ann)]
    assert desk.own_progress(ann).last == ids[-1] and len(given) == 3
    with pytest.raises(ConflictError, match="not your last answer"):
        desk.undo(ann, ids[0])
    again = desk.undo(ann, ids[-1])
    assert desk.undo(ann, ids[-1]) == again  # asked again, as its reply was lost
    assert [each.state for each in desk.answers(person=ann)] == ["live", "live", "undone"]
    assert desk.undo(ann, ids[1]).first.request.id != again.first.request.id
    with pytest.raises(ConflictError):
        desk.undo(ann, ids[-1])


def test_what_is_left_is_counted_down_until_it_is_counted_anew(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(work(*range(6)))
    ann, bob = raters(desk, 2)
    assert desk.own_progress(ann).left == 6
    first = claimed(desk, ann)
    assert claimed(desk, ann) == first
    assert desk.own_progress(ann).left == 5
    submit(desk, claimed(desk, bob), key="b")
    assert desk.own_progress(ann).left == 5  # what others did is not known yet
    clock.now += 10
    assert desk.own_progress(ann).left == 4
    submit(desk, first, key="a")
    second = claimed(desk, ann)
    assert desk.own_progress(ann).left == 3
    desk.undo(ann)  # gives the second item back
    assert desk.own_progress(ann).left == 4
    submit(desk, claimed(desk, ann), key="again")
    for number in range(4):
        submit(desk, claimed(desk, ann), key=str(number))
        assert desk.own_progress(ann).left == 3 - number
    assert second.first.request.id in {each.item for each in desk.answers(person=ann)}
    assert desk.claim(ann) is None
    assert desk.own_progress(ann).left == 0


# ---- items ----


def test_an_item_that_is_there_stays(desk: SqlDesk) -> None:
    assert desk.add_items([*work(1, 2), *work(2, wanted=9)]) == 2
    assert desk.add_items([*work(1, wanted=5), *work(3)]) == 1
    assert desk.item(request(1).id).wanted == 1
    with pytest.raises(MissingError, match="no item"):
        desk.item("request-none")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"wanted": 0}, "wants 1 to"),
        ({"wanted": True}, "wants 1 to"),
        ({"wanted": 10_000}, "wants 1 to"),
        ({"value": float("nan")}, "finite"),
        ({"purpose": "fun"}, "purpose"),
        ({"expected": Rating(3)}, "does not fit"),
        ({"request": request(1, outputs=0)}, "needs an output"),
    ],
)
def test_an_item_that_cannot_be_is_refused_with_all_others(desk: SqlDesk, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        desk.add_items([*work(5), replace(work(1)[0], **wrong)])
    assert desk.progress() == []


# ---- the second line of defence ----


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE item SET taken = wanted + 1", "ck_item_room"),
        ("UPDATE lease SET state = 'live' WHERE state = 'answered'", "lease"),
        ("UPDATE lease SET person = (SELECT max(person) FROM lease), state = 'answered'", "lease"),
        ("UPDATE given SET person = 'x'", "append-only"),
        ("DELETE FROM given", "append-only"),
        ("DELETE FROM retraction", "append-only"),
        ("UPDATE skip SET reason = 'x'", "append-only"),
        ("UPDATE flag SET text = 'x'", "append-only"),
    ],
)
def test_the_database_itself_refuses_what_may_never_be(either_desk: SqlDesk, statement: str, words: str) -> None:
    either_desk.add_items(work(1, 2, 3, wanted=2))
    for person in raters(either_desk, 2):
        submit(either_desk, claimed(either_desk, person))
        either_desk.flag(person, claimed(either_desk, person).id, "odd")
        either_desk.skip(person, claimed(either_desk, person).id, "", "k")
        either_desk.undo(person)
        submit(either_desk, claimed(either_desk, person), key="k2")
        claimed(either_desk, person)
    before = list(either_desk.answers())
    with pytest.raises(StoreError, match=words):
        either_desk._do(lambda connection: connection.exec_driver_sql(statement))
    assert list(either_desk.answers()) == before


def test_ratings_are_on_their_scale(desk: SqlDesk) -> None:
    desk.change_settings({"rating_points": 5}, "test")
    desk.add_items([Item(request(1, "rating", outputs=1))])
    (ann,) = raters(desk, 1)
    with pytest.raises(InputError, match="5 points"):
        rate(desk, ann, {"node-1": 7})
    submit(desk, claimed(desk, ann), Rating(4, 5))
