"""New raters practise on known items first; and when an answer counts as right."""

import pytest

from rrm.core.annotation import Item
from rrm.core.errors import AccessError, ConflictError
from rrm.core.kinds import is_right
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rating,
    Reject,
)
from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import choosing, claimed, known, raters, request, submit, work


@pytest.fixture
def school(desk: SqlDesk) -> SqlDesk:
    """A desk on which newcomers do three practice items, of which two must be right, in at most two tries."""
    desk.change_settings({"practice_items": 3, "practice_pass": 0.6, "practice_tries": 2, "gold_every": 0}, "test")
    desk.add_items([*known("practice", 1, 2, 3, 4, 5), *work(*range(10, 20))])
    return desk


def practise(desk: SqlDesk, person: str, *rights: bool) -> list[str]:
    """Do practice items right or wrong, and return which they were."""
    done = []
    for right in rights:
        lease = claimed(desk, person)
        assert lease.first.purpose == "practice"
        given = submit(desk, lease, choosing(lease, 0 if right else 1))
        assert given.right is right
        done.append(lease.first.request.id)
    return done


def test_who_has_enough_right_goes_on_to_the_work(school: SqlDesk) -> None:
    (ann,) = raters(school, 1)
    assert school.person(ann).state == "practising"
    done = practise(school, ann, True, False)
    progress = school.own_progress(ann)
    assert (progress.practising, progress.practice_done, progress.practice_right) == (True, 2, 1)
    assert (progress.practice_items, progress.tries_left, progress.done, progress.left) == (3, 2, 0, 10)
    done += practise(school, ann, True)
    assert len(set(done)) == 3
    assert school.person(ann).state == "active"
    assert claimed(school, ann).first.purpose == "work"
    assert not school.own_progress(ann).practising


def test_who_fails_gets_another_try_with_items_that_are_new_as_far_as_there_are_any(school: SqlDesk) -> None:
    (ann,) = raters(school, 1)
    first = practise(school, ann, True, False, False)
    progress = school.own_progress(ann)
    assert (progress.practice_done, progress.practice_right, progress.tries_left) == (0, 0, 1)
    second = practise(school, ann, True, True, True)
    assert set(second[:2]) == {request(number).id for number in range(1, 6)} - set(first)
    assert second[2] in first
    assert school.person(ann).state == "active"


def test_who_fails_every_try_is_refused_until_an_admin_says_otherwise(school: SqlDesk) -> None:
    (ann,) = raters(school, 1)
    practise(school, ann, False, False, False, False, False, False)
    assert school.person(ann).state == "refused"
    with pytest.raises(AccessError, match="practice was not passed"):
        school.claim(ann)
    school.set_state(ann, "practising", "test")
    practise(school, ann, False, True)
    assert school.own_progress(ann).tries_left == 1
    practise(school, ann, True)
    assert school.person(ann).state == "active"


def test_the_answer_that_ends_practice_is_one_entry_in_the_audit(school: SqlDesk) -> None:
    (ann,) = raters(school, 1)
    practise(school, ann, True, True)
    before = len(school.audit())
    (last,) = practise(school, ann, True)
    (entry,) = school.audit()[: len(school.audit()) - before]
    assert (entry.by, entry.what, entry.subject) == (ann, "answer", last)
    assert entry.new["state"] == "active"


def test_passing_practice_items_on_is_no_way_around_them(school: SqlDesk) -> None:
    (ann,) = raters(school, 1)
    for number in range(6):
        lease = claimed(school, ann)
        assert lease.first.purpose == "practice"
        school.skip(ann, lease.id, "hard", f"k{number}")
    assert school.person(ann).state == "refused"


def test_a_practice_item_that_ran_out_comes_again_and_none_can_be_undone(school: SqlDesk, clock: Clock) -> None:
    (ann,) = raters(school, 1)
    practise(school, ann, True)
    with pytest.raises(ConflictError, match="no answer"):
        school.undo(ann)
    lease = claimed(school, ann)
    school.save_draft(ann, lease.id, {"note": "hm"})
    clock.now = lease.expires
    again = claimed(school, ann)
    assert (again.first.request, again.draft) == (lease.first.request, {"note": "hm"})
    school.skip(ann, again.id, "", "k")
    practise(school, ann, True)
    assert school.person(ann).state == "active"


def test_where_nothing_is_to_be_practised_the_work_comes_at_once(desk: SqlDesk) -> None:
    desk.add_items([*work(1, wanted=2), *known("practice", 2)])
    desk.change_settings({"practice_items": 0}, "test")
    assert claimed(desk, raters(desk, 1)[0]).first.purpose == "work"


def test_what_is_not_judged_does_not_count_against_a_newcomer(desk: SqlDesk) -> None:
    practice = Item(request(1, "correction", outputs=1), "practice", expected=Correction("so"))
    desk.add_items([practice, *work(2)])
    (ann,) = raters(desk, 1)
    given = submit(desk, claimed(desk, ann), Correction("otherwise"))
    assert given.right is None
    assert desk.person(ann).state == "active"


RIGHT: list[tuple[Answer, Answer, bool | None]] = [
    (Comparison(0, 0.1), Comparison(0, 0.9), True),
    (Comparison(0), Comparison(1), False),
    (Comparison(None), Comparison(None), True),
    (Comparison(0), Comparison(None), False),
    (Reject("both are bad"), Comparison(0), False),
    (Reject("both are bad"), Reject("both are bad"), True),
    (Comparison(0), Reject("both are bad"), False),
    (Label(True), Label(True), True),
    (Label(False), Label(True), False),
    (Rating(4), Rating(5), True),
    (Rating(3), Rating(5), False),
    (Ranking((2, 0, 1)), Ranking((2, 1, 0)), True),
    (Ranking((0, 2, 1)), Ranking((2, 0, 1)), False),
    (Reject("anything"), Label(True), False),
    (Correction("a"), Correction("a"), None),
    (Demonstration("a"), Demonstration("a"), None),
    (Critique("a"), Critique("a"), None),
]


@pytest.mark.parametrize(("answer", "expected", "right"), RIGHT)
def test_an_answer_agrees_with_the_known_one(answer: Answer, expected: Answer, right: bool | None) -> None:
    assert is_right(answer, expected) is right
