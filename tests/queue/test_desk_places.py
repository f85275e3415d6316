"""Settling: disputes, closing places, and what the run takes up."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rrm.core.annotation import Item, PlaceProgress, Submission
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.core.place import Place
from rrm.core.values import Comparison, Correction, Feedback, Label, Rated, Rating, Reject, Request
from rrm.queue import SqlDesk, as_shown
from rrm.store import open_store
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import answer_all, choosing, claimed, known, new_desk, raters, request, submit, work

FIRST, ABOVE = Place(), Place(level=1)


def disagreeing(desk: SqlDesk, count: int = 2) -> list[str]:
    """Let raters answer all there is, each otherwise than the one before, and return who they are."""
    people = raters(desk, count)
    for place, person in enumerate(people):
        while (lease := desk.claim(person)) is not None:
            submit(desk, lease, choosing(lease, place % 2))
    return people


def decide(desk: SqlDesk, person: str, item: str, key: str = "decision") -> str:
    return desk.adjudicate(person, item, Submission(Comparison(1), "", 20.0), key).id


# ---- how far it is ----


def test_progress_counts_by_place_and_kind(either_desk: SqlDesk) -> None:
    rating = Item(request(5, "rating", outputs=1), wanted=1)
    either_desk.add_items([*work(1, 2, wanted=2), rating, *work(3, level=1), *known("gold", 9)])
    either_desk.change_settings({"strategy": "valuable"}, "test")
    ann, bob, cleo = raters(either_desk, 3)
    either_desk.add_items(work(6, wanted=3, value=9.0))
    submit(either_desk, claimed(either_desk, ann))
    submit(either_desk, claimed(either_desk, bob))
    claimed(either_desk, cleo)
    assert either_desk.progress() == [
        PlaceProgress(FIRST, "comparison", 3, 0, 1, 2, 7, False),
        PlaceProgress(FIRST, "rating", 1, 0, 0, 0, 1, False),
        PlaceProgress(ABOVE, "comparison", 1, 0, 0, 0, 1, False),
    ]
    either_desk.freeze(ABOVE, "test")
    assert [each.frozen for each in either_desk.progress()] == [False, False, True]


# ---- disputes ----


def test_disputed_are_complete_items_whose_answers_differ_the_most_differing_first(desk: SqlDesk) -> None:
    ratings = [Item(request(number, "rating", outputs=1), wanted=2) for number in range(4)]
    desk.add_items(ratings)
    low = {"node-0": 1, "node-1": 3, "node-2": 4, "node-3": 5}
    high = {"node-0": 7, "node-1": 4, "node-2": 4}
    ann, bob = raters(desk, 2)
    while (lease := desk.claim(ann)) is not None:
        submit(desk, lease, Rating(low[lease.first.request.node]))
    while (lease := desk.claim(bob)) is not None and len(high) > 0:
        if lease.first.request.node in high:
            submit(desk, lease, Rating(high.pop(lease.first.request.node)))
        else:
            desk.skip(bob, lease.id, "", "k")
    assert desk.disputed() == [(request(0, "rating", outputs=1).id, 1.0), (request(1, "rating", outputs=1).id, 1 / 6)]
    assert desk.disputed(limit=1) == desk.disputed()[:1]


def test_a_decision_stands_in_the_place_of_the_answers_which_are_kept(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(1, wanted=2))
    ann, bob = disagreeing(either_desk)
    dee = either_desk.add_person("Dee", "adjudicator", by="test").id
    item = request(1).id
    given = either_desk.adjudicate(dee, item, Submission(Comparison(1), "", 20.0, None, {"why": "see"}), "k")
    assert (given.answer, given.order, given.adjudication, given.state) == (Comparison(1), (0, 1), True, "live")
    assert (given.person, given.seconds, given.detail, given.at) == (dee, 20.0, {"why": "see"}, clock())
    first, second, third = either_desk.item_answers(item)
    assert [each.state for each in (first, second)] == ["adjudicated", "adjudicated"]
    assert [each.person for each in (first, second)] == [ann, bob]
    assert third == given
    assert either_desk.disputed() == []
    assert either_desk.adjudicate(dee, item, Submission(Comparison(0), ""), "k") == given
    assert either_desk.own_progress(ann).done == 1
    (entry,) = [each for each in either_desk.audit() if each.what == "adjudicate"]
    assert (entry.by, entry.subject, entry.old, entry.new) == (dee, item, [first.id, second.id], given.id)
    with pytest.raises(ConflictError, match="decided"):
        decide(either_desk, dee, item, "another key")


def test_a_decision_that_is_taken_back_leaves_all_as_it_was(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, 2, wanted=2))
    people = disagreeing(either_desk)
    dee, eve = (either_desk.add_person(name, "adjudicator", by="test").id for name in ("Dee", "Eve"))
    item, before = request(1).id, either_desk.item_answers(request(1).id)
    count = either_desk.answer_count()
    for turn in range(2):  # and may be decided and taken back again
        decision = decide(either_desk, dee, item, f"decision {turn}")
        with pytest.raises(AccessError, match="somebody else's"):
            either_desk.undo_decision(eve, decision)
        either_desk.undo_decision(dee, decision)
        either_desk.undo_decision(dee, decision)
        given = [each for each in either_desk.item_answers(item) if not each.adjudication]
        assert given == before
        assert item in dict(either_desk.disputed()) and either_desk.disputed_count() == 2
    assert either_desk.answer_count() > count
    assert [either_desk.own_progress(each).done for each in people] == [2, 2]
    last = decide(either_desk, dee, item, "at last")
    either_desk.freeze(FIRST, "test")
    with pytest.raises(ConflictError, match="frozen"):
        either_desk.undo_decision(dee, last)
    with pytest.raises(MissingError):
        either_desk.undo_decision(dee, before[0].id)
    assert either_desk.take_up(FIRST) == 3


def test_who_rated_an_item_does_not_decide_on_it_while_somebody_else_can(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2, wanted=2))
    people = disagreeing(desk)
    item = request(1).id
    dee = desk.add_person("Dee", "adjudicator", by="test").id
    judging = desk.add_person("Jo", "adjudicator", by="test").id
    desk.add_items(work(3, wanted=2))
    ann = people[0]
    for person, choice in ((judging, 0), (ann, 1)):
        desk.change_settings({"practice_items": 0}, "test")
        lease = claimed(desk, person)
        submit(desk, lease, choosing(lease, choice), key=f"{person} 3")
    assert desk.rated_by(judging, [item, request(3).id]) == {request(3).id}
    with pytest.raises(ConflictError, match="rated this item yourself"):
        decide(desk, judging, request(3).id)
    decide(desk, judging, item, "another's")
    desk.set_state(dee, "paused", "test")
    assert decide(desk, judging, request(3).id)


def test_only_whom_it_is_for_decides_and_only_on_what_is_complete_and_open(desk: SqlDesk) -> None:
    desk.add_items([*work(1, 2, wanted=2), *known("gold", 3)])
    ann, bob = raters(desk, 2)
    dee = desk.add_person("Dee", "adjudicator", by="test").id
    item = request(1).id
    with pytest.raises(AccessError, match="adjudicators"):
        decide(desk, ann, item)
    with pytest.raises(MissingError):
        decide(desk, dee, "request-none")
    with pytest.raises(InputError, match="gold"):
        decide(desk, dee, request(3).id)
    with pytest.raises(ConflictError, match="0 of 2"):
        decide(desk, dee, item)
    answer_all(desk, ann)
    answer_all(desk, bob)
    with pytest.raises(InputError, match="comparison"):
        desk.adjudicate(dee, item, Submission(Rating(3), ""), "k")
    desk.set_state(dee, "paused", "test")
    with pytest.raises(AccessError, match="paused"):
        decide(desk, dee, item)
    desk.set_state(dee, "active", "test")
    desk.freeze(FIRST, "test")
    with pytest.raises(ConflictError, match="frozen"):
        decide(desk, dee, item)


# ---- freezing ----


def test_nothing_about_a_frozen_place_changes(either_desk: SqlDesk) -> None:
    either_desk.add_items([*work(1, 2, wanted=2), *work(3, level=1)])
    ann, bob = raters(either_desk, 2)
    either_desk.change_settings({"strategy": "valuable"}, "test")
    submit(either_desk, claimed(either_desk, ann))
    held = claimed(either_desk, bob)
    if held.first.request.place == ABOVE:
        either_desk.skip(bob, held.id, "", "away")
        held = claimed(either_desk, bob)
    assert either_desk.freeze(FIRST, "boss") == len([each for each in either_desk.answers() if each.place == FIRST])
    before = list(either_desk.answers())
    with pytest.raises(ConflictError, match="level 0 was frozen in the meantime: your answer is kept as a draft"):
        submit(either_desk, held)
    assert list(either_desk.answers()) == before
    with pytest.raises(ConflictError, match="level 0 is frozen: reopen it"):
        either_desk.add_items(work(4))
    assert either_desk.add_items(work(1)) == 0  # as a run does that goes on
    assert either_desk.requeue(ann, "boss") == len([each for each in before if each.place == ABOVE])
    assert either_desk.frozen() == {FIRST}
    audited = len(either_desk.audit())
    either_desk.freeze(FIRST, "boss")
    assert len(either_desk.audit()) == audited
    while (lease := either_desk.claim(bob)) is not None:
        assert lease.first.request.place == ABOVE
        submit(either_desk, lease)
    with pytest.raises(MissingError, match="level 7"):
        either_desk.freeze(Place(level=7), "boss")


def test_a_place_freezes_by_itself_when_it_is_complete_and_has_been_quiet(either_desk: SqlDesk, clock: Clock) -> None:
    assert not either_desk.freeze_complete(FIRST)
    either_desk.add_items([*work(1, 2), *known("gold", 3)])
    (ann,) = raters(either_desk, 1)
    submit(either_desk, claimed(either_desk, ann))
    clock.now += 1_000
    assert not either_desk.freeze_complete(FIRST)
    submit(either_desk, claimed(either_desk, ann))
    clock.now += 29.9
    assert not either_desk.freeze_complete(FIRST)
    submit(either_desk, either_desk.undo(ann), key="again")
    clock.now += 29.9
    assert not either_desk.freeze_complete(FIRST)
    either_desk.change_settings({"auto_freeze": False}, "test")
    clock.now += 0.1
    assert not either_desk.freeze_complete(FIRST)
    either_desk.change_settings({"auto_freeze": True}, "test")
    assert either_desk.freeze_complete(FIRST)
    assert either_desk.freeze_complete(FIRST)
    frozen = [each for each in either_desk.audit() if each.what == "freeze place"]
    assert [(each.by, each.subject, each.new) for each in frozen] == [("system", "level 0", {"answers": 2})]


def test_a_place_that_is_opened_again_goes_on_until_the_run_has_taken_it_up(desk: SqlDesk) -> None:
    desk.add_items(work(1, wanted=2))
    ann, bob = raters(desk, 2)
    submit(desk, claimed(desk, ann))
    held = claimed(desk, bob)
    desk.save_draft(bob, held.id, {"note": "mine"})
    desk.freeze(FIRST, "boss")
    assert desk.claim(bob) is None
    desk.reopen(FIRST, "boss")
    with pytest.raises(ConflictError, match="not frozen"):
        desk.reopen(FIRST, "boss")
    with pytest.raises(ConflictError, match="not frozen"):
        desk.take_up(FIRST)
    again = claimed(desk, bob)
    assert (again.first.order, again.draft) == (held.first.order, {"note": "mine"})
    submit(desk, again)
    assert desk.freeze(FIRST, "boss") == 2
    assert desk.take_up(FIRST) == 2
    with pytest.raises(ConflictError, match="taken level 0 up"):
        desk.reopen(FIRST, "boss")


# ---- taking up ----


def test_the_run_gets_live_answers_and_decisions_in_the_place_of_settled_ones(
    tmp_path: Path, either_desk: SqlDesk
) -> None:
    either_desk.change_settings({"gold_every": 2, "attention_every": 0}, "test")
    either_desk.add_items([*work(1, 2, wanted=2), *work(3, wanted=3), *known("gold", *range(10, 20))])
    people = disagreeing(either_desk)
    dee = either_desk.add_person("Dee", "adjudicator", by="test").id
    decide(either_desk, dee, request(1).id)
    either_desk.submit(people[0], either_desk.undo(people[0]).id, *again(either_desk, people[0]))
    either_desk.freeze(FIRST, "boss")
    stand = [each for each in either_desk.answers() if each.purpose == "work" and each.state == "live"]
    assert either_desk.take_up(FIRST) == len(stand) == either_desk.take_up(FIRST)
    with open_store(tmp_path / "run", "read") as record:
        feedback = record.load(Feedback)
    assert len(feedback) == len(stand)
    assert {(each.rater, each.seconds) for each in feedback} == {(each.person, each.seconds) for each in stand}
    assert [each.answer for each in feedback] == [as_shown(each.answer, each.order) for each in stand]
    assert [each.rater for each in feedback if each.rater == dee] == [dee]
    taken = either_desk.taken([request(number).id for number in (1, 2, 3, 10, 99)])
    assert [each.feedback.rater for each in taken[request(1).id]] == [dee]
    assert {each.feedback for item in taken.values() for each in item} == set(feedback)
    assert set(taken) == {request(1).id, request(2).id, request(3).id}
    (entry,) = [each for each in either_desk.audit() if each.what == "take up place"]
    assert entry.new == {"answers": len(stand)}


def again(desk: SqlDesk, person: str) -> tuple[list[Submission], str]:
    """What to send for the item that the person holds, that both outputs are bad."""
    lease = claimed(desk, person)
    return [Submission(Reject("both are bad"), lease.first.shown, 4.0, None, {"both_bad": True})], "once more"


def test_what_the_run_gets_names_outputs_as_the_rater_saw_them(desk: SqlDesk) -> None:
    desk.add_items(work(*range(30)))
    (ann,) = raters(desk, 1)
    answer_all(desk, ann, Comparison(0))  # always the one that is shown first
    desk.freeze(FIRST, "boss")
    assert desk.taken([request(0).id]) == {}  # nothing before the run takes it up
    desk.take_up(FIRST)
    orders = {each.item: each.order for each in desk.answers()}
    assert set(orders.values()) == {(0, 1), (1, 0)}
    for item, (rated,) in desk.taken([request(number).id for number in range(30)]).items():
        texts = ["AB"[place] for place in orders[item]]
        assert [each.text for each in rated.request.shown] == texts
        assert rated.feedback.answer == Comparison(0)
        assert rated.feedback.request == rated.request.id


# ---- one rater's answers ----


def test_requeued_answers_make_room_for_others_and_not_for_the_same_rater(either_desk: SqlDesk) -> None:
    either_desk.change_settings({"gold_every": 2}, "test")
    either_desk.add_items([*work(1, 2, 3, wanted=2), *known("gold", *range(10, 20))])
    ann, _ = disagreeing(either_desk)
    dee = either_desk.add_person("Dee", "adjudicator", by="test").id
    decide(either_desk, dee, request(1).id)
    before = {each.item for each in either_desk.answers(person=ann) if each.purpose == "work"}
    assert len(before) == 3
    assert either_desk.requeue(ann, "boss") == 2
    states = {each.item: each.state for each in either_desk.answers(person=ann) if each.purpose == "work"}
    assert states == {request(1).id: "adjudicated", request(2).id: "requeued", request(3).id: "requeued"}
    assert {each.state for each in either_desk.answers(person=ann) if each.purpose == "gold"} <= {"requeued"}
    assert either_desk.disputed() == []
    assert either_desk.claim(ann) is None
    (cleo,) = [either_desk.add_person("Cleo", by="test").id]
    answer_all(either_desk, cleo)
    live = [each for each in either_desk.answers() if each.state == "live" and each.purpose == "work"]
    assert sorted(each.item for each in live if each.person == cleo) == sorted([request(2).id, request(3).id])
    (entry,) = [each for each in either_desk.audit() if each.what == "requeue person"]
    assert (entry.by, entry.subject, entry.new) == ("boss", ann, {"answers": 2})
    with pytest.raises(MissingError):
        either_desk.requeue("p-nobody", "boss")


def test_ratings_made_elsewhere_become_answers(either_desk: SqlDesk) -> None:
    items = [Item(request(number, "label", outputs=1), wanted=1) for number in range(3)]
    either_desk.add_items(items)
    rated = [
        Rated(item.request, Feedback(item.request.id, rater, Label(True), 3.0, 0.5))
        for item in items
        for rater in ("p-elsewhere", "p-other")
    ]
    assert either_desk.enter(rated, "boss") == 6
    assert either_desk.enter(rated, "boss") == 0
    (progress,) = either_desk.progress()
    assert (progress.answers, progress.wanted, progress.complete) == (6, 6, 3)
    given = list(either_desk.answers())
    names = {each.id: each.name for each in either_desk.persons()}
    assert {names[each.person] for each in given} == {"p-elsewhere", "p-other"}
    assert not {each.person for each in given} & {"p-elsewhere", "p-other"}
    assert {(each.seconds, each.confidence, each.state) for each in given} == {(3.0, 0.5, "live")}
    with pytest.raises(AccessError, match="paused"):
        either_desk.claim(given[0].person)
    (entry,) = [each for each in either_desk.audit() if each.what == "enter ratings"]
    assert entry.new == {"answers": 6}


def test_of_ratings_that_come_together_each_rater_has_one_a_question(either_desk: SqlDesk) -> None:
    one, two = (request(number, "label", outputs=1) for number in (1, 2))
    either_desk.add_items([Item(one, wanted=3), Item(two, "work")])
    ann = either_desk.add_person("Ann", by="test").id
    while (lease := either_desk.claim(ann)) is not None:
        submit(either_desk, lease, Label(True))

    def rated(asked: Request, rater: str, good: bool) -> Rated:
        return Rated(asked, Feedback(asked.id, rater, Label(good)))

    together = [rated(one, ann, False), rated(one, "Ann", False), rated(one, "p-b", True), rated(one, "p-b", False)]
    assert either_desk.enter([*together, rated(two, "p-b", True)], "boss") == 3
    persons = either_desk.persons()
    labels = {each.id: (each.participant or "").removeprefix("elsewhere: ") for each in persons}
    given = [(each.item, labels[each.person], each.answer) for each in either_desk.answers()][2:]
    assert given == [(one.id, "Ann", Label(False)), (one.id, "p-b", Label(True)), (two.id, "p-b", Label(True))]
    assert either_desk.disputed() == [(one.id, pytest.approx(2 / 3))]  # of three pairs of answers two differ
    (progress,) = either_desk.progress()
    assert (progress.answers, progress.wanted, progress.complete) == (5, 5, 2)
    assert [each.name for each in persons if each.id == ann] == ["Ann"]
    assert {labels[each.id]: each.name for each in persons if each.id != ann} == {"Ann": None, "p-b": "p-b"}


def test_nothing_of_a_rater_from_elsewhere_who_was_forgotten_is_left(tmp_path: Path, clock: Clock) -> None:
    name = "zoe.example@mail.test"
    with new_desk(tmp_path / "run", clock) as desk:
        item = Item(request(1, "label", outputs=1))
        desk.add_items([item])
        rated = Rated(item.request, Feedback(item.request.id, name, Label(True)))
        assert desk.enter([rated], "boss") == 1
        [given] = desk.answers()
        assert re.fullmatch("p-[0-9a-f]{8}", given.person)
        desk.freeze(FIRST, "boss")
        desk.take_up(FIRST)
        assert name not in str([*desk.answers(), *desk.taken([item.request.id]).values()])
        [zoe] = desk.persons()
        assert zoe.name == name
        desk.forget(zoe.id, "boss")
        assert name not in str([desk.persons(), desk.audit()])
    for file in (tmp_path / "run").iterdir():
        assert name.encode() not in file.read_bytes(), file


def test_ratings_made_elsewhere_must_fit_what_is_there(desk: SqlDesk) -> None:
    here, elsewhere = Item(request(1)), request(2)
    desk.add_items([here, *known("gold", 3)])

    def entered(of: Rated) -> int:
        good = Rated(here.request, Feedback(here.request.id, "p-a", Comparison(0)))
        return desk.enter([good, of], "boss")

    feedback = Feedback(here.request.id, "p-b", Comparison(0))
    with pytest.raises(MissingError, match="add it"):
        entered(Rated(elsewhere, replace(feedback, request=elsewhere.id)))
    with pytest.raises(InputError, match="came with"):
        entered(Rated(elsewhere, feedback))
    with pytest.raises(InputError, match="gold"):
        entered(Rated(request(3), replace(feedback, request=request(3).id)))
    with pytest.raises(InputError, match="asks for a comparison"):
        entered(Rated(here.request, replace(feedback, answer=Correction("x"))))
    assert desk.answer_count() == 0
    desk.freeze(FIRST, "boss")
    with pytest.raises(ConflictError, match="frozen"):
        entered(Rated(here.request, feedback))
