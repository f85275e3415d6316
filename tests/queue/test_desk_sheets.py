"""Sheets: the questions about one view are leased, answered, passed on and taken back together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from rrm.core.annotation import MOST_QUESTIONS, Annotation, Item, Lease, Purpose, Submission, shown_hash
from rrm.core.errors import ConflictError, InputError
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Passage, Ranking, Rated, Rating, Request, Shown
from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import VIEW, claimed, raters, work

OUTPUTS = tuple(Shown(f"output-{letter}", letter) for letter in "ABC")
FIRST = Place(level=0)


def sheet(name: str = "one", *, wanted: int = 1, purpose: Purpose = "work", level: int = 0) -> list[Item]:
    """Compare A and B, rank all three, rate A twice over: as a whole, and for its accuracy."""
    view = replace(VIEW, passages=(Passage(f"The source {name}."),))
    asked: list[tuple[str, str, tuple[Shown, ...], Answer | None]] = [
        ("comparison", "overall", OUTPUTS[:2], Comparison(0)),
        ("ranking", "overall", OUTPUTS, None),
        ("rating", "overall", OUTPUTS[:1], None),
        ("rating", "accuracy", OUTPUTS[:1], Rating(6)),
    ]
    return [
        Item(
            Request(f"node-{name}", "tale", Place(level=level), kind, view, shown, criterion=criterion),
            purpose,
            wanted=wanted,
            expected=None if purpose == "work" else known,
            sheet=name,
        )
        for kind, criterion, shown, known in asked
    ]


def submissions(lease: Lease, seconds: float = 2.0) -> list[Submission]:
    """Answers to all of a lease's questions: what stands first is best, and everything is a 5."""
    answers: dict[str, Answer] = {"comparison": Comparison(0), "ranking": Ranking((0, 1, 2)), "rating": Rating(5)}
    return [Submission(answers[each.request.kind], each.shown, seconds) for each in lease.questions]


def answer(desk: SqlDesk, lease: Lease, key: str | None = None) -> list[Annotation]:
    return desk.submit(lease.person, lease.id, submissions(lease), key or f"key of {lease.id}")


# ---- handing out ----


def test_a_sheet_is_one_lease_with_its_questions_in_order(either_desk: SqlDesk) -> None:
    items = sheet()
    assert either_desk.add_items(items) == 4
    [ann, bob] = raters(either_desk, 2)
    lease = claimed(either_desk, ann)
    assert [each.request for each in lease.questions] == [each.request for each in items]
    assert either_desk.claim(ann) == lease == either_desk.lease(ann, lease.id)
    assert either_desk.claim(bob) is None
    assert either_desk.own_progress(bob).left == 1  # which may come back


def test_all_questions_show_outputs_in_the_order_of_the_page(desk: SqlDesk) -> None:
    desk.add_items(sheet(wanted=60))
    orders = Counter()
    for person in raters(desk, 60):
        lease = claimed(desk, person)
        orders[tuple(each.text for each in lease.outputs)] += 1
        for each in lease.questions:
            assert list(each.outputs) == [shown for shown in lease.outputs if shown in each.request.shown]
            assert each.shown == shown_hash(each.request, each.order, lease.guideline, lease.points, lease.outputs)
    assert len(orders) == 6  # every order of three
    assert set(sheet()[0].request.shown) < set(OUTPUTS)


def test_the_hash_covers_what_else_stands_on_the_page() -> None:
    request = sheet()[0].request
    alone = shown_hash(request, (0, 1), 1, 7)
    assert alone == shown_hash(request, (0, 1), 1, 7, OUTPUTS[:2])
    assert (
        len({alone, shown_hash(request, (0, 1), 1, 7, OUTPUTS), shown_hash(request, (0, 1), 1, 7, OUTPUTS[::-1])}) == 3
    )


def test_many_at_once_get_what_they_would_get_one_by_one(desk: SqlDesk) -> None:
    desk.add_items([*sheet("one", wanted=2), *sheet("two", wanted=2), *work(1, 2)])
    people = raters(desk, 7)
    with desk._opened.engine.begin() as connection:
        leases = desk._claim(connection, people)
    sizes = Counter(len(lease.questions) if lease else 0 for lease in leases)
    assert sizes == {4: 4, 1: 2, 0: 1}
    assert Counter(lease.first.request.node for lease in leases if lease) == {
        "node-one": 2, "node-two": 2, "node-1": 1, "node-2": 1,
    }  # fmt: skip


def test_sheets_are_what_is_left_and_done(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items([*sheet("one"), *sheet("two"), *work(1)])
    [ann] = raters(desk, 1)
    for done in range(3):
        clock.now += 60  # so that it is counted anew
        progress = desk.own_progress(ann)
        assert (progress.done, progress.left, progress.undoable) == (done, 3 - done, done)
        lease = claimed(desk, ann)
        desk.submit(ann, lease.id, submissions(lease), lease.id)
    assert desk.own_progress(ann).median_seconds == 8.0  # of a sheet of four


def test_of_a_sheet_only_those_come_that_still_want_answers(desk: SqlDesk) -> None:
    items = sheet()
    desk.add_items(items)
    elsewhere = Rated(items[0].request, Feedback(items[0].request.id, "zoe", Comparison(0)))
    assert desk.enter([elsewhere], "test") == 1
    [ann] = raters(desk, 1)
    assert desk.own_progress(ann).left == 1
    lease = claimed(desk, ann)
    assert [each.request for each in lease.questions] == [each.request for each in items[1:]]
    answer(desk, lease)
    assert desk.claim(ann) is None and desk.freeze_complete(FIRST, quiet=False)


def test_nobody_gets_a_question_twice_by_way_of_another_sheet(desk: SqlDesk) -> None:
    """Copies of a question may stand on sheets that begin otherwise."""
    first = sheet("one")
    copy = replace(first[2].request, copy=1)
    other = replace(first[0].request, shown=(OUTPUTS[0], OUTPUTS[2]))
    desk.add_items([*first, Item(other, sheet="two"), Item(copy, sheet="two")])
    [ann] = raters(desk, 1)
    lease = claimed(desk, ann)
    answer(desk, lease)
    had = [each.request for each in lease.questions]
    then = [each.request for each in claimed(desk, ann).questions]
    asked = Counter(replace(each, copy=0).id for each in [*had, *then])
    assert max(asked.values()) == 1 and len(asked) == 5  # one copy of it, and all else


# ---- answering ----


def test_answers_of_a_sheet_are_recorded_together_or_not_at_all(either_desk: SqlDesk) -> None:
    either_desk.add_items(sheet())
    [ann] = raters(either_desk, 1)
    lease = claimed(either_desk, ann)
    sent = submissions(lease)
    unfit = [*sent[:3], replace(sent[3], answer=Label(True))]
    for wrong in (unfit, sent[:3], [*sent, sent[0]]):
        with pytest.raises(InputError):
            either_desk.submit(ann, lease.id, wrong, "k")
    with pytest.raises(ConflictError, match="load it again"):
        either_desk.submit(ann, lease.id, [*sent[:3], replace(sent[3], shown=sent[0].shown)], "k")
    assert list(either_desk.answers()) == []
    given = either_desk.submit(ann, lease.id, sent, "k")
    assert given == either_desk.submit(ann, lease.id, sent, "k") == list(either_desk.answers())
    assert [each.item for each in given] == [each.request.id for each in lease.questions]
    assert [each.position for each in given] == [0, 1, 2, 3]
    assert len({each.sheet for each in given}) == 1
    assert [each.criterion for each in given] == ["overall", "overall", "overall", "accuracy"]
    with pytest.raises(ConflictError, match="answered already"):
        either_desk.submit(ann, lease.id, sent, "another")


def test_places_are_those_of_each_question(desk: SqlDesk) -> None:
    desk.add_items(sheet(wanted=20))
    for person in raters(desk, 20):
        lease = claimed(desk, person)
        given = answer(desk, lease)
        texts = [each.text for each in lease.outputs]
        assert isinstance(given[0].answer, Comparison) and isinstance(given[1].answer, Ranking)
        assert given[0].answer.better == (0 if texts.index("A") < texts.index("B") else 1)
        assert ["ABC"[place] for place in given[1].answer.best_first] == texts


def test_late_answers_are_kept_as_a_draft_of_all(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(sheet())
    [ann] = raters(desk, 1)
    lease = claimed(desk, ann)
    clock.now += 1_000
    with pytest.raises(ConflictError, match="kept as a draft"):
        answer(desk, lease)
    assert list(desk.answers()) == []
    again = claimed(desk, ann)
    assert again.questions == lease.questions and again.draft is not None
    assert [each["answer"]["kind"] for each in again.draft["answers"]] == ["comparison", "ranking", "rating", "rating"]
    answer(desk, again)
    assert len(list(desk.answers())) == 4


def test_a_frozen_place_takes_no_part_of_a_sheet(desk: SqlDesk) -> None:
    desk.add_items(sheet())
    [ann] = raters(desk, 1)
    lease = claimed(desk, ann)
    assert desk.freeze(FIRST, "boss") == 0
    with pytest.raises(ConflictError, match="frozen"):
        answer(desk, lease)
    assert list(desk.answers()) == [] and desk.claim(ann) is None


def test_the_run_gets_the_answers_with_their_criteria(desk: SqlDesk) -> None:
    desk.add_items(sheet())
    [ann] = raters(desk, 1)
    answer(desk, claimed(desk, ann))
    desk.freeze(FIRST, "boss")
    assert desk.take_up(FIRST) == 4
    found = desk.taken([each.request.id for each in sheet()])
    assert [rated.feedback.criterion for [rated] in found.values()] == ["overall", "overall", "overall", "accuracy"]


# ---- passing on and taking back ----


def test_a_sheet_is_passed_on_as_a_whole(either_desk: SqlDesk) -> None:
    either_desk.add_items(sheet())
    [ann, bob] = raters(either_desk, 2)
    lease = claimed(either_desk, ann)
    for _ in range(2):
        either_desk.skip(ann, lease.id, "too long", "key")
    assert [each.item for each in either_desk.skips()] == [each.request.id for each in lease.questions]
    assert either_desk.claim(ann) is None
    assert len(claimed(either_desk, bob).questions) == 4


def test_undo_takes_a_whole_sheet_back_and_leases_it_with_its_answers(either_desk: SqlDesk) -> None:
    either_desk.add_items([*sheet("one"), *sheet("two")])
    [ann] = raters(either_desk, 1)
    lease = claimed(either_desk, ann)
    given = answer(either_desk, lease)
    held = claimed(either_desk, ann)
    last = either_desk.own_progress(ann).last
    assert last == given[0].id
    again = either_desk.undo(ann, last)
    assert again.questions == lease.questions and again.draft is not None
    assert again.draft["answers"][1]["answer"] == {"kind": "ranking", "best_first": [0, 1, 2], "tied": []}
    assert again == either_desk.undo(ann, last)  # whose reply was lost
    assert {each.state for each in either_desk.answers()} == {"undone"}
    answer(either_desk, again)
    assert claimed(either_desk, ann).questions == held.questions
    assert Counter(each.state for each in either_desk.answers()) == {"undone": 4, "live": 4}


def test_what_an_admin_takes_back_is_asked_of_others_and_what_was_settled_is_not(desk: SqlDesk) -> None:
    items = sheet(wanted=2)
    desk.add_items(items)
    [ann, bob, cleo] = raters(desk, 3)
    dee = desk.add_person("Dee", "adjudicator", by="test").id
    for person in (ann, bob):
        answer(desk, claimed(desk, person))
    desk.adjudicate(dee, items[3].request.id, Submission(Rating(2), ""), "decision")
    assert desk.requeue(ann, "boss") == 3
    assert [each.request for each in claimed(desk, cleo).questions] == [each.request for each in items[:3]]


# ---- checks ----


def test_a_sheet_with_known_answers_counts_once_and_judges_what_is_known(desk: SqlDesk) -> None:
    known = [*sheet("known", purpose="gold"), *sheet("seen", purpose="attention")]
    desk.add_items([*sheet("work"), *known])  # so that every draw is a check
    desk.change_settings({"gold_every": 2, "attention_every": 2}, "test")
    [ann] = raters(desk, 1)
    purposes = []
    while (lease := desk.claim(ann)) is not None:
        given = answer(desk, lease)
        purposes += [each.purpose for each in given]
        if lease.first.purpose != "work":
            assert [each.right is None for each in given] == [False, True, True, False]
    assert set(purposes) >= {"work"} and len(purposes) in (8, 12) and max(Counter(purposes).values()) == 4


def test_known_answers_can_stand_among_the_questions_of_a_working_sheet(desk: SqlDesk) -> None:
    mixed = sheet(wanted=2)
    mixed[1] = replace(mixed[1], purpose="gold", expected=Ranking((0, 1, 2)))
    desk.add_items(mixed)
    [ann, bob] = raters(desk, 2)
    assert desk.own_progress(ann).left == 1
    for person in (ann, bob):
        lease = claimed(desk, person)
        assert [each.purpose for each in lease.questions] == ["work", "gold", "work", "work"]
        assert answer(desk, lease)[1].right is not None
        assert desk.claim(person) is None
    assert desk.freeze(FIRST, "boss") == 6


def test_practice_counts_sheets_and_judges_answers(desk: SqlDesk) -> None:
    desk.add_items([*work(1), *(each for n in range(3) for each in sheet(f"try-{n}", purpose="practice"))])
    desk.change_settings({"practice_items": 2, "practice_pass": 0.4}, "test")
    ann = desk.add_person("Ann", by="test").id
    desk.set_state(ann, "practising", "test")
    lease = claimed(desk, ann)
    right = [Comparison(lease.first.order.index(0)), Ranking((0, 1, 2)), Rating(1), Rating(6)]
    sent = [replace(each, answer=given) for each, given in zip(submissions(lease), right, strict=True)]
    desk.submit(ann, lease.id, sent, "first")
    progress = desk.own_progress(ann)
    assert (progress.practice_done, progress.practice_items, progress.practice_right) == (1, 2, 2)
    answer(desk, claimed(desk, ann))
    assert desk.person(ann).state == "active"


# ---- what a sheet can be ----


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"request": replace(sheet()[1].request, view=VIEW)}, "several views"),
        ({"request": replace(sheet()[1].request, place=Place(level=1))}, "several places"),
        ({"purpose": "practice"}, "mixes practice"),
        ({"request": replace(sheet()[0].request, copy=1)}, "one question twice"),
        ({"request": replace(sheet()[1].request, shown=(OUTPUTS[0], OUTPUTS[0]))}, "one output twice"),
    ],
)
def test_what_no_sheet_can_be_is_refused_by_name(desk: SqlDesk, change: dict[str, object], words: str) -> None:
    items = sheet()
    items[1] = replace(items[1], **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words):
        desk.add_items(items)
    assert desk.places() == []


def test_a_sheet_has_no_more_questions_than_a_screen_takes(desk: SqlDesk) -> None:
    request = sheet()[2].request
    items = [Item(replace(request, criterion=f"c{n}"), sheet="long") for n in range(MOST_QUESTIONS + 1)]
    with pytest.raises(InputError, match="make it two sheets"):
        desk.add_items(items)
    desk.add_items(items[1:])


# ---- whatever happens ----


@pytest.mark.parametrize("seed", range(6))
def test_no_question_is_answered_more_often_than_it_wants_whatever_happens(
    desk: SqlDesk, clock: Clock, seed: int
) -> None:
    """Every one of some hundred moves at random: claim, answer, let run out, pass on, take back, requeue."""
    chance = Random(seed)
    items = [each for n in range(6) for each in sheet(f"s{n}", wanted=1 + n % 3)] + work(*range(4), wanted=2)
    desk.add_items(items)
    people = raters(desk, 5)
    held: dict[str, Lease] = {}
    for move in range(150):
        person, what = chance.choice(people), chance.random()
        try:
            lease = held.get(person) or desk.claim(person)
            if lease is None:
                continue
            held[person] = lease
            if what < 0.5:
                held.pop(person)
                desk.submit(person, lease.id, submissions(lease), f"move-{move}")
            elif what < 0.6:
                held.pop(person)
                desk.skip(person, lease.id, "no", f"move-{move}")
            elif what < 0.7:
                clock.now += 1_000
                held.clear()
            elif what < 0.85:
                held[person] = desk.undo(person)
            elif what < 0.88:
                desk.requeue(person, "boss")
        except ConflictError:
            held.pop(person, None)
        live = Counter(each.item for each in desk.answers() if each.state == "live")
        assert all(live[each.request.id] <= each.wanted for each in items)
        by_rater = Counter((each.item, each.person) for each in desk.answers() if each.state == "live")
        assert max(by_rater.values(), default=1) == 1


def by_item(draft: Mapping[str, Any] | None) -> dict[str, Any]:
    return {each["item"]: each["answer"] for each in (draft or {})["answers"]}


def shown_by_item(draft: Mapping[str, Any] | None) -> dict[str, str]:
    return {each["item"]: each["shown"] for each in (draft or {})["answers"]}


@pytest.mark.parametrize("late", [False, True], ids=["undone", "late"])
def test_a_draft_says_of_each_answer_which_question_it_is_to_also_once_one_of_them_is_retired(
    either_desk: SqlDesk, clock: Clock, late: bool
) -> None:
    either_desk.add_items(items := sheet())
    [ann] = raters(either_desk, 1)
    lease = claimed(either_desk, ann)
    if late:
        clock.now = lease.expires
        with pytest.raises(ConflictError, match="kept as a draft"):
            answer(either_desk, lease)
    else:
        answer(either_desk, lease)
        either_desk.undo(ann)
    either_desk.retire([items[1].request.id], "test")
    again = claimed(either_desk, ann)
    left = [each.request.id for each in again.questions]
    assert left == [items[at].request.id for at in (0, 2, 3)]
    kinds = [by_item(again.draft)[each]["kind"] for each in left]
    assert kinds == ["comparison", "rating", "rating"]
    shown = shown_by_item(again.draft)
    assert shown == {each.request.id: each.shown for each in lease.questions}
    # The retired question alone was about C, so that the page is another: the page compares what it showed.
    assert [shown[each.request.id] == each.shown for each in again.questions] == [False, False, False]


def test_a_draft_of_an_undone_sheet_fits_the_questions_left_of_it_where_the_page_shows_the_same_outputs(
    either_desk: SqlDesk,
) -> None:
    either_desk.add_items(items := sheet())
    [ann] = raters(either_desk, 1)
    answer(either_desk, claimed(either_desk, ann))
    either_desk.undo(ann)
    either_desk.retire([items[0].request.id], "test")
    again = claimed(either_desk, ann)
    assert [each.request.id for each in again.questions] == [items[at].request.id for at in (1, 2, 3)]
    shown = shown_by_item(again.draft)
    assert all(shown[each.request.id] == each.shown for each in again.questions)


# ---- no longer asked ----


@pytest.mark.parametrize("later", [0, 10_000], ids=["at once", "after the lease would have run out"])
def test_who_held_a_sheet_of_which_a_question_is_retired_is_told_that_and_goes_on_with_the_rest(
    desk: SqlDesk, clock: Clock, later: float
) -> None:
    items = sheet()
    desk.add_items(items)
    [ann] = raters(desk, 1)
    lease = claimed(desk, ann)
    desk.retire([items[2].request.id], "test")
    clock.now += later
    with pytest.raises(ConflictError, match="1 of these 4 questions want no more answers: claim again"):
        desk.renew(ann, lease.id)
    with pytest.raises(ConflictError, match="1 of these 4 questions want no more answers: your answer is kept"):
        answer(desk, lease)
    rest = claimed(desk, ann)
    assert [each.request for each in rest.questions] == [items[at].request for at in (0, 1, 3)]
    assert rest.draft is not None
    desk.retire([each.request.id for each in items], "test")
    with pytest.raises(ConflictError, match="no more answers are wanted here"):
        answer(desk, rest)
