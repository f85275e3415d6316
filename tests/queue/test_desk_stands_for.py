"""What happens to work happens to a known answer in its place: whatever a rater tries, neither can be told."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rrm.core.annotation import Item, Lease, Submission
from rrm.core.errors import ConflictError
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Rating
from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import claimed, known, new_desk, raters, request, work

ANSWERS: dict[str, Answer] = {"comparison": Comparison(0), "rating": Rating(5)}


class Drawn(Random):
    """Chance that has it that a gold item comes whenever one can."""

    def random(self) -> float:
        return 0.0


def sheet(number: int) -> list[Item]:
    """Compare two outputs, then rate each."""
    first = request(number)
    asked = [first, *(replace(first, kind="rating", shown=(shown,)) for shown in first.shown)]
    return [Item(each, sheet=str(number)) for each in asked]


class Scene:
    """Ann has answered an item of work and holds the next, which is a known answer or is not; Bob rates, too.

    He may hold what is in front.
    """

    def __init__(self, desk: SqlDesk, clock: Clock, sheets: bool, checked: bool, front: bool = False) -> None:
        self.desk, self.clock = desk, clock
        items = [item for number in range(8) for item in (sheet(number) if sheets else work(number))]
        desk.add_items([*items, *known("gold", 90)])
        desk.change_settings({"gold_every": 0, "attention_every": 0}, "test")
        self.ann, self.bob = raters(desk, 2)
        if front:
            claimed(desk, self.bob)
        self.answer(claimed(desk, self.ann))
        desk.random = Drawn(1)  # no id twice
        desk.change_settings({"gold_every": 2 if checked else 0}, "test")
        self.held = claimed(desk, self.ann)
        desk.change_settings({"gold_every": 0}, "test")  # Bob gets work
        assert {each.purpose for each in self.held.questions} == ({"gold"} if checked else {"work"})
        assert len(self.held.questions) == (3 if sheets else 1)

    def answer(self, lease: Lease) -> str:
        """Answer a lease; return what is said against it."""
        sent = [Submission(ANSWERS[each.request.kind], each.shown, 1.0) for each in lease.questions]
        return said(lambda: self.desk.submit(lease.person, lease.id, sent, f"key of {lease.id}"))

    def undo(self) -> Lease:
        return self.desk.undo(self.ann)

    def come(self) -> tuple[bool, int, bool]:
        """Claim; return whether what was held is there again, how many questions, and whether there is a draft."""
        lease = claimed(self.desk, self.ann)
        return lease.outputs == self.held.outputs, len(lease.questions), lease.draft is not None

    def lapse(self) -> None:
        self.clock.now += 10_000

    def bob_takes_all(self) -> None:
        while (lease := self.desk.claim(self.bob)) is not None:
            self.answer(lease)

    def fate(self) -> list[object]:
        """What can be seen of what was held, whatever became of it."""
        progress = self.desk.own_progress(self.ann)
        return [self.renewed(), self.answer(self.held), progress.undoable, progress.done]

    def renewed(self) -> str:
        return said(lambda: self.desk.renew(self.ann, self.held.id))


def said(act: Callable[[], object]) -> str:
    try:
        act()
    except ConflictError as error:
        return str(error)
    return ""


# ---- what is tried ----


def frozen_in_hand(scene: Scene) -> list[object]:
    scene.desk.freeze(Place(), "test")
    late = scene.fate()
    ended = scene.desk.claim(scene.ann) is None
    scene.desk.reopen(Place(), "test")
    return [*late, ended, scene.come()]


def frozen_after_the_answer(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    before = scene.desk.own_progress(scene.ann).undoable
    scene.desk.freeze(Place(), "test")
    closed = [scene.desk.own_progress(scene.ann).undoable, said(scene.undo)]
    scene.desk.reopen(Place(), "test")
    return [before, *closed, scene.undo().outputs == scene.held.outputs]


def frozen_after_it_was_taken_back(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    scene.held = scene.undo()
    scene.desk.freeze(Place(), "test")
    return [*scene.fate(), said(scene.undo), scene.desk.claim(scene.ann)]


def put_back_by_an_undo(scene: Scene) -> list[object]:
    again = scene.undo()
    return [scene.renewed(), scene.answer(again), scene.come()]


def put_back_by_two(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    scene.desk.claim(scene.ann)
    own = scene.undo()
    first = scene.undo()
    scene.answer(first)
    return [own.outputs == scene.held.outputs, scene.come(), scene.come()]


def put_back_and_taken_by_others(scene: Scene) -> list[object]:
    again = scene.undo()
    other = claimed(scene.desk, scene.bob)
    scene.answer(again)
    found = scene.come()
    scene.answer(other)
    return [found]


def run_out(scene: Scene) -> list[object]:
    scene.lapse()
    return [scene.renewed(), scene.come()]


def run_out_with_a_draft(scene: Scene) -> list[object]:
    scene.desk.save_draft(scene.ann, scene.held.id, {"text": "half"})
    scene.lapse()
    return [scene.come()]


def run_out_while_another_works(scene: Scene) -> list[object]:
    scene.desk.save_draft(scene.ann, scene.held.id, {"text": "half"})
    for _ in range(3):
        scene.answer(claimed(scene.desk, scene.bob))
    scene.lapse()
    return [scene.come()]


def run_out_with_what_another_holds(scene: Scene) -> list[object]:
    claimed(scene.desk, scene.bob)
    scene.lapse()
    return [scene.come()]


def run_out_and_taken_by_another(scene: Scene) -> list[object]:
    scene.desk.save_draft(scene.ann, scene.held.id, {"text": "half"})
    scene.lapse()
    scene.answer(claimed(scene.desk, scene.bob))
    return [scene.fate()[:2], scene.come()]


def the_level_freezes_once_all_else_is_done(scene: Scene) -> list[object]:
    scene.bob_takes_all()
    scene.desk.freeze_complete(Place(), quiet=False)
    return [scene.answer(scene.held)]


def taken_back_and_run_out(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    scene.answer(claimed(scene.desk, scene.ann))
    scene.undo()
    scene.undo()
    scene.lapse()
    return [scene.come()]


def late_answer(scene: Scene) -> list[object]:
    scene.bob_takes_all()
    scene.lapse()
    return [scene.answer(scene.held)]


def all_is_retired(scene: Scene) -> list[object]:
    scene.desk.retire([row.id for row in scene.desk.search_items() if row.purpose == "work"], "test")
    return [*scene.fate(), scene.desk.claim(scene.ann)]


def requeued(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    scene.desk.requeue(scene.ann, "test")
    answers = list(scene.desk.answers(person=scene.ann))
    progress = scene.desk.own_progress(scene.ann)
    return [[each.state for each in answers], progress.done, progress.undoable, said(scene.undo)]


def decided_on(scene: Scene) -> list[object]:
    scene.answer(scene.held)
    scene.bob_takes_all()
    dee = scene.desk.add_person("Dee", "adjudicator", by="test").id
    for row in scene.desk.search_items():
        sent = Submission(ANSWERS[row.kind], "")
        assert row.purpose != "work" or not said(partial(scene.desk.adjudicate, dee, row.id, sent, row.id))
    progress = scene.desk.own_progress(scene.ann)
    return [progress.done, progress.undoable, said(scene.undo)]


TRIED = [
    decided_on,
    frozen_in_hand,
    frozen_after_the_answer,
    frozen_after_it_was_taken_back,
    put_back_by_an_undo,
    put_back_by_two,
    put_back_and_taken_by_others,
    run_out,
    run_out_with_a_draft,
    run_out_while_another_works,
    run_out_with_what_another_holds,
    run_out_and_taken_by_another,
    the_level_freezes_once_all_else_is_done,
    taken_back_and_run_out,
    late_answer,
    all_is_retired,
    requeued,
]


@pytest.mark.parametrize("sheets", [False, True], ids=["alone", "sheets"])
@pytest.mark.parametrize("tried", TRIED, ids=lambda each: each.__name__)
def test_a_known_answer_fares_as_the_work_in_whose_place_it_comes(
    tmp_path: Path, tried: Callable[[Scene], list[Any]], sheets: bool
) -> None:
    found = []
    for checked in (False, True):
        clock = Clock()
        with new_desk(tmp_path / str(checked), clock) as desk:
            found.append(tried(Scene(desk, clock, sheets, checked)))
    assert found[0] == found[1]


@pytest.mark.parametrize("sheets", [False, True], ids=["alone", "sheets"])
def test_behind_what_another_let_run_out_both_come_second(tmp_path: Path, sheets: bool) -> None:
    for checked in (False, True):
        clock = Clock()
        with new_desk(tmp_path / str(checked), clock) as desk:
            scene = Scene(desk, clock, sheets, checked, front=True)
            scene.lapse()
            assert not scene.come()[0]
            scene.answer(claimed(desk, scene.ann))
            assert scene.come()[0]


# ---- what would tell by itself ----


def test_work_that_went_back_comes_before_any_check(tmp_path: Path) -> None:
    clock = Clock()
    with new_desk(tmp_path, clock) as desk:
        scene = Scene(desk, clock, sheets=False, checked=False)
        desk.change_settings({"gold_every": 2}, "test")  # and chance has it that a check comes
        scene.answer(scene.undo())
        assert scene.come() == (True, 1, False)
        scene.answer(claimed(desk, scene.ann))
        assert claimed(desk, scene.ann).first.purpose == "gold"


def test_a_check_that_went_back_comes_again_in_no_other_place(tmp_path: Path) -> None:
    clock = Clock()
    with new_desk(tmp_path, clock) as desk:
        scene = Scene(desk, clock, sheets=False, checked=True)
        scene.lapse()
        scene.answer(claimed(desk, scene.bob))
        desk.change_settings({"gold_every": 2}, "test")
        while (lease := desk.claim(scene.ann)) is not None:
            assert lease.first.purpose == "work"
            scene.answer(lease)


def test_a_known_question_beside_work_shares_the_fate_of_its_sheet(tmp_path: Path) -> None:
    clock = Clock()
    with new_desk(tmp_path, clock) as desk:
        first, *others = sheet(1)
        desk.add_items([replace(first, purpose="gold", expected=Comparison(0)), *others])
        [ann] = raters(desk, 1)
        lease = claimed(desk, ann)
        assert [each.purpose for each in lease.questions] == ["gold", "work", "work"]
        desk.submit(
            ann, lease.id, [Submission(ANSWERS[each.request.kind], each.shown) for each in lease.questions], "k"
        )
        desk.freeze(Place(), "test")
        assert desk.own_progress(ann).undoable == 0
        assert said(lambda: desk.undo(ann)) == "level 0 is frozen: its answers cannot be taken back any more"
