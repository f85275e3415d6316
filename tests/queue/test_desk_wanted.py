"""More answers to items that are there, for all or where raters differ, and none any more."""

import pytest

from rrm.core.errors import ConflictError, InputError, MissingError
from rrm.core.place import Place
from rrm.queue import SqlDesk
from tests.queue.desk_problems import answer_all, choosing, claimed, known, raters, request, submit, work


def wanted(desk: SqlDesk) -> dict[str, int]:
    return {row.node: row.wanted for row in desk.search_items()}


def test_all_open_items_ask_for_more_answers_and_get_them(either_desk: SqlDesk) -> None:
    either_desk.add_items([*work(1, 2), *work(3, level=1), *work(4, wanted=4)])
    ann, bob = raters(either_desk, 2)
    assert answer_all(either_desk, ann) == 4
    assert answer_all(either_desk, bob) == 1
    assert either_desk.want(2, "test", place=Place(level=0)) == 2
    with pytest.raises(InputError, match="no item is of place 0/answer/7: `rrm items DIR list` names those that there"):
        either_desk.want(2, "test", place=Place(level=7))
    assert wanted(either_desk) == {"node-1": 2, "node-2": 2, "node-3": 1, "node-4": 4}
    assert answer_all(either_desk, bob) == 2
    assert either_desk.want(2, "test") == 1
    assert either_desk.want(2, "test") == 0
    assert answer_all(either_desk, bob) == 1


def test_only_items_on_which_raters_differ_ask_for_more(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2, wanted=2))
    for number, person in enumerate(raters(desk, 2)):
        for _ in range(2):
            lease = claimed(desk, person)
            submit(desk, lease, choosing(lease, number if lease.first.request.node == "node-1" else 0))
    assert desk.disputed_count() == 1
    assert desk.want(3, "test", disputed=True) == 1
    assert wanted(desk) == {"node-1": 3, "node-2": 2}
    assert desk.disputed_count() == 0  # it is open again


def test_what_is_frozen_wants_no_more(desk: SqlDesk) -> None:
    desk.add_items([*work(1), *work(2, level=1)])
    desk.freeze(Place(level=0), "test")
    assert desk.want(5, "test") == 1
    assert wanted(desk) == {"node-1": 1, "node-2": 5}


@pytest.mark.parametrize("answers", [0, -1, 1_001, True, 2.0])
def test_items_want_a_number_of_answers_that_can_be(desk: SqlDesk, answers: int) -> None:
    with pytest.raises(InputError, match="wants 1 to"):
        desk.want(answers, "test")


def test_a_retired_item_is_handed_out_no_more_and_its_answers_stand(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, 2, wanted=3))
    ann, bob = raters(either_desk, 2)
    answer_all(either_desk, ann)
    held = claimed(either_desk, bob)
    either_desk.save_draft(bob, held.id, {"text": "half"})
    assert either_desk.retire([held.first.request.id], "test") == 1
    with pytest.raises(
        ConflictError, match="no more answers are wanted here: your answer is kept as a draft, it counts"
    ):
        submit(either_desk, held)
    with pytest.raises(ConflictError, match="no more answers are wanted here: claim the next"):
        either_desk.renew(bob, held.id)
    assert either_desk.retire([held.first.request.id], "test") == 0
    other = claimed(either_desk, bob)
    assert other.first.request.id != held.first.request.id
    submit(either_desk, other)
    assert either_desk.claim(bob) is None
    [row] = [row for row in either_desk.search_items() if row.id == held.first.request.id]
    assert (row.state, row.answers, row.wanted, row.held) == ("complete", 1, 1, 0)
    either_desk.want(2, "test", place=Place(level=0))  # brings it back
    again = claimed(either_desk, bob)
    assert again.first.request.id == held.first.request.id
    assert again.draft is not None


def test_an_item_that_nobody_answered_can_be_retired_and_its_place_closes(desk: SqlDesk) -> None:
    desk.add_items(work(1, 2))
    (ann,) = raters(desk, 1)
    submit(desk, claimed(desk, ann))
    [row] = [row for row in desk.search_items() if row.answers == 0]
    assert not desk.freeze_complete(Place(level=0), quiet=False)
    desk.retire([row.id], "test")
    assert desk.freeze_complete(Place(level=0), quiet=False)
    assert desk.take_up(Place(level=0)) == 1


def test_only_work_that_is_there_is_retired(desk: SqlDesk) -> None:
    desk.add_items([*work(1), *known("gold", 2)])
    there = request(1).id
    with pytest.raises(MissingError):
        desk.retire([there, "request-0"], "test")
    with pytest.raises(InputError, match="gold"):
        desk.retire([there, request(2).id], "test")
    assert wanted(desk)["node-1"] == 1
