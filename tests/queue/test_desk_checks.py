"""Known-answer items come in the shape of the work in whose place they come, or not at all."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from rrm.core.annotation import Item, Lease, Submission
from rrm.core.place import Place
from rrm.core.values import Answer, ClaimMarks, Comparison, Correction, Label, Passage, Ranking, Rating, Request, Shown
from rrm.queue import SqlDesk
from rrm.queue.checks import AskedOf, in_shape, shape_of
from rrm.web.shown import view_json
from tests.queue.desk_problems import VIEW, claimed, raters

OVERALL, ACCURACY = "overall", "accuracy"
ANSWERS: dict[str, Answer] = {
    "comparison": Comparison(0),
    "rating": Rating(5),
    "ranking": Ranking((0, 1, 2)),
    "label": Label(True),
    "correction": Correction("C"),
}


def request(name: str, kind: str, outputs: str, criterion: str = OVERALL, tokens: int = 50) -> Request:
    view = replace(VIEW, passages=(Passage(f"The source {name}."),), max_tokens=tokens)
    shown = tuple(Shown(f"{name}-{letter}", f"{letter} of {name}") for letter in outputs)
    return Request(f"node-{name}", "tale", Place(), kind, view, shown, criterion=criterion)


def sheet(name: str, *asked: tuple[str, str, str]) -> list[Item]:
    """Work on one sheet: kinds, the outputs that they are about, and criteria."""
    return [Item(request(name, *each, tokens=77), wanted=20, sheet=name) for each in asked]


FULL = (("comparison", "BA", OVERALL), ("rating", "A", OVERALL), ("rating", "B", ACCURACY))


def gold(name: str, kind: str = "comparison", outputs: str = "XY", criterion: str = OVERALL) -> Item:
    return Item(request(name, kind, outputs, criterion), "gold", expected=ANSWERS[kind])


class Drawn(Random):
    """Chance that has it that a gold item comes whenever one can."""

    def random(self) -> float:
        return 0.0


def always_checked(desk: SqlDesk) -> None:
    desk.change_settings({"gold_every": 2, "attention_every": 0}, "test")
    desk.random = Drawn(0)


def seen(lease: Lease) -> list[tuple[str, str, int, int]]:
    """What a page tells of a lease besides its texts, as the rater's script could note it."""
    return [
        (each.request.kind, each.request.criterion, len(each.outputs), each.request.view.max_tokens)
        for each in lease.questions
    ]


def answer(desk: SqlDesk, lease: Lease) -> list[bool | None]:
    sent = [Submission(ANSWERS[each.request.kind], each.shown, 1.0) for each in lease.questions]
    return [each.right for each in desk.submit(lease.person, lease.id, sent, f"key of {lease.id}")]


def test_a_shape_numbers_outputs_as_they_first_come_and_tells_a_budget_only_where_something_is_written() -> None:
    asked = [request("one", "rating", "B"), request("one", "comparison", "AB"), request("one", "correction", "A")]
    assert shape_of(asked).asked == (
        AskedOf("rating", OVERALL, (0,), 0),
        AskedOf("comparison", OVERALL, (1, 0), 0),
        AskedOf("correction", OVERALL, (1,), 50),
    )


def test_a_known_answer_takes_the_shape_of_a_sheet_and_keeps_what_is_known() -> None:
    known = gold("known")
    shape = shape_of([each.request for each in sheet("work", *FULL)])
    made = in_shape(known, shape, 3)
    assert made is not None
    assert shape_of([each.request for each in made]) == shape
    assert [each.expected for each in made] == [Comparison(0), None, None]
    assert [[shown.text for shown in each.request.shown] for each in made] == [
        ["X of known", "Y of known"], ["Y of known"], ["X of known"]
    ]  # fmt: skip
    assert {each.purpose for each in made} == {"gold"} and {each.request.copy for each in made} == {3}
    assert len({each.sheet for each in made}) == 1
    assert {each.request.view for each in made} == {known.request.view}


def test_where_something_is_written_the_budget_is_that_of_the_work() -> None:
    shape = shape_of([request("work", "label", "A", tokens=9), request("work", "correction", "A", tokens=9)])
    made = in_shape(gold("known", "label", "X"), shape, 1)
    assert made is not None
    assert [each.request.view.max_tokens for each in made] == [9, 9]


PART = Passage("A part.", "node", "output", 0.8)
SCORED = Passage("A part of a file.", score=0.123)


@pytest.mark.parametrize("passages", [(PART, SCORED), (SCORED, PART)])
def test_parts_with_scores_are_alike_whether_they_are_of_a_run_or_of_a_file(passages: tuple[Passage, ...]) -> None:
    work, known = (replace(each, view=replace(each.view, passages=passages[:1])) for each in both())
    known = replace(known, view=replace(known.view, passages=passages[1:]))
    assert in_shape(Item(known, "gold", expected=Comparison(0)), shape_of([work]), 1) is not None
    assert {"part"} == {shown["label"] for each in (work, known) for shown in view_json(each.view)["passages"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"passages": (PART,)},  # a part, and not the source
        {"passages": (replace(PART, score=None),)},
        {"passages": (Passage("One source."), Passage("Another."))},
        {"passages": ()},
        {"context": "A fable."},
    ],
)
def test_what_stands_beside_other_things_than_the_work_is_none(changes: dict[str, Any]) -> None:
    work, known = both()
    other = replace(known, view=replace(known.view, **changes))
    assert in_shape(Item(known, "gold", expected=Comparison(0)), shape_of([work]), 1) is not None
    assert in_shape(Item(other, "gold", expected=Comparison(0)), shape_of([work]), 1) is None
    assert shape_of([other]) != shape_of([work])


def test_parts_without_and_with_scores_differ_and_so_do_the_groups() -> None:
    work, known = (replace(each, view=replace(each.view, passages=(PART,))) for each in both())
    bare = replace(known, view=replace(known.view, passages=(replace(PART, score=None),)))
    assert in_shape(Item(bare, "gold", expected=Comparison(0)), shape_of([work]), 1) is None
    for mine, theirs in (("", "de"), ("de", ""), ("de", "fr")):
        assert in_shape(Item(known, "gold", expected=Comparison(0), group=mine), shape_of([work], theirs), 1) is None
    made = in_shape(Item(known, "gold", expected=Comparison(0), group="de"), shape_of([work], "de"), 1)
    assert made is not None and made[0].group == "de"


def test_where_claims_are_shown_with_their_support_a_known_answer_has_it_too() -> None:
    work, known = both()
    marked = replace(work, kind="claims", shown=(replace(work.shown[0], support=(0.5,)), *work.shown[1:]))
    shape = shape_of([work, replace(marked, shown=marked.shown[:1])])
    plain = shape_of([work, replace(work, kind="claims", shown=work.shown[:1])])
    assert in_shape(Item(known, "gold", expected=Comparison(0)), plain, 1) is not None
    assert in_shape(Item(known, "gold", expected=Comparison(0)), shape, 1) is None


def test_where_a_critique_is_shown_a_known_answer_has_one_too() -> None:
    work, known = (replace(each, kind="claims", shown=each.shown[:1]) for each in both())
    criticised = replace(work, shown=(replace(work.shown[0], critique="It is not so."),))
    assert in_shape(Item(known, "gold", expected=ClaimMarks()), shape_of([criticised]), 1) is None
    own = replace(known, shown=(replace(known.shown[0], critique="Nor is this."),))
    assert in_shape(Item(own, "gold", expected=ClaimMarks()), shape_of([criticised]), 1) is not None


def both() -> tuple[Request, Request]:
    """A comparison of work, and one to which the answer is known."""
    return request("work", "comparison", "AB"), request("known", "comparison", "XY")


@pytest.mark.parametrize(
    "asked",
    [
        [("rating", "A", OVERALL)],  # another kind
        [("comparison", "AB", ACCURACY)],  # another criterion
        [("comparison", "AB", OVERALL), ("rating", "C", OVERALL)],  # an output more than there is
        [("comparison", "AB", OVERALL), ("ranking", "ABC", OVERALL)],
    ],
)
def test_what_cannot_have_a_shape_is_none(asked: list[tuple[str, str, str]]) -> None:
    assert in_shape(gold("known"), shape_of([request("work", *each) for each in asked]), 1) is None


def test_among_sheets_a_check_is_a_sheet_and_alone_it_is_alone(either_desk: SqlDesk) -> None:
    desk = either_desk
    desk.add_items([*sheet("work", *FULL), gold("known"), Item(request("alone", "comparison", "AB"), wanted=20)])
    always_checked(desk)
    desk.change_settings({"strategy": "least-done"}, "test")
    shapes = set()
    for person in raters(desk, 8):
        check, work = claimed(desk, person), None
        assert {each.purpose for each in check.questions} == {"gold"}
        rights = answer(desk, check)
        assert [right for right in rights if right is not None] == [check.first.order[0] == 0]  # judged as it was shown
        work = claimed(desk, person)  # there is no other check
        answer(desk, work)
        shapes.add((len(check.questions), len(work.questions)))
        assert [each[:3] for each in seen(check)] == [each[:3] for each in seen(work)]
    assert shapes == {(1, 1), (3, 3)}


def test_several_who_get_a_check_get_the_same_copy_and_nobody_gets_it_twice(desk: SqlDesk) -> None:
    desk.add_items([*sheet("one", *FULL), *sheet("two", *FULL), gold("known")])
    always_checked(desk)
    people = raters(desk, 3)
    checks = [claimed(desk, person) for person in people]
    assert len({check.first.request.id for check in checks}) == 1
    for check in checks:
        answer(desk, check)
    for person in people:
        for _ in range(2):
            work = claimed(desk, person)
            assert {each.purpose for each in work.questions} == {"work"}
            answer(desk, work)
        assert desk.claim(person) is None


def test_nobody_gets_a_known_answer_twice_in_whatever_shape_and_with_whatever_budget(desk: SqlDesk) -> None:
    written = (*FULL, ("correction", "A", OVERALL))
    alone = [Item(request(f"alone-{n}", "comparison", "AB"), wanted=1) for n in range(4)]
    desk.add_items([*alone, *sheet("one", *written), *sheet("two", *written), gold("known")])
    always_checked(desk)
    [person] = raters(desk, 1)
    purposes = []
    while (lease := desk.claim(person)) is not None:
        purposes.append({each.purpose for each in lease.questions})
        answer(desk, lease)
    assert purposes.count({"gold"}) == 1 and purposes.count({"work"}) == 6


def test_a_check_that_cannot_be_hidden_in_the_work_does_not_come(desk: SqlDesk) -> None:
    desk.add_items([*sheet("work", ("rating", "A", OVERALL), ("rating", "A", ACCURACY)), gold("known")])
    always_checked(desk)
    [person] = raters(desk, 1)
    lease = claimed(desk, person)
    assert {each.purpose for each in lease.questions} == {"work"}
    answer(desk, lease)
    assert desk.claim(person) is None


def test_among_parts_with_scores_only_a_check_with_such_parts_comes_and_the_admin_is_told(desk: SqlDesk) -> None:
    parts = tuple(Passage(f"Part {n}.", f"n-{n}", f"o-{n}", 0.5) for n in range(2))
    whole = sheet("work", *FULL)
    desk.add_items([replace(each, request=with_passages(each.request, parts)) for each in whole])
    bare = gold("bare")
    one = replace(gold("one"), request=with_passages(gold("one").request, parts[:1]))
    desk.add_items([bare, one])
    always_checked(desk)
    ann, bob = raters(desk, 2)
    lease = claimed(desk, ann)
    assert {each.purpose for each in lease.questions} == {"work"}
    assert desk.idle_checks() == 2
    desk.add_items([replace(gold("two"), request=with_passages(gold("two").request, parts))])
    assert desk.idle_checks() == 2
    check = claimed(desk, bob)
    assert {each.request.node for each in check.questions} == {"node-two"}


def test_a_check_of_one_group_is_hidden_in_the_work_of_that_group_alone(desk: SqlDesk) -> None:
    desk.add_items([replace(each, group="de") for each in sheet("work", *FULL)])
    desk.add_items([gold("for all"), replace(gold("theirs"), group="de")])
    always_checked(desk)
    assert desk.idle_checks() == 1
    [ann] = raters(desk, 1)
    desk.set_group(ann, "de", "test")
    check = claimed(desk, ann)
    assert {each.request.node for each in check.questions} == {"node-theirs"}
    answer(desk, check)
    assert {each.purpose for each in claimed(desk, ann).questions} == {"work"}


def with_passages(asked: Request, passages: tuple[Passage, ...]) -> Request:
    return replace(asked, view=replace(asked.view, passages=passages))


def test_a_known_question_of_a_sheet_of_checks_comes_alone_among_questions_alone(desk: SqlDesk) -> None:
    known = [replace(gold("known"), sheet="gold"), replace(gold("known", "rating", "X"), expected=None, sheet="gold")]
    desk.add_items([Item(request("alone", "comparison", "AB")), *known])
    always_checked(desk)
    [person] = raters(desk, 1)
    check = claimed(desk, person)
    assert [each.purpose for each in check.questions] == ["gold"]
    assert answer(desk, check) != [None]


def test_what_is_left_of_a_sheet_is_the_shape(desk: SqlDesk) -> None:
    whole = sheet("work", *FULL)
    whole[2] = replace(whole[2], wanted=1)
    desk.add_items([*whole, gold("known")])
    [ann, bob] = raters(desk, 2)
    desk.change_settings({"gold_every": 0, "attention_every": 0}, "test")
    answer(desk, claimed(desk, ann))
    always_checked(desk)
    check = claimed(desk, bob)
    assert {each.purpose for each in check.questions} == {"gold"} and len(check.questions) == 2


def test_known_answers_that_fit_no_open_work_are_counted(desk: SqlDesk) -> None:
    desk.add_items([gold("fits"), gold("apart", "label", "X"), gold("of three", "ranking", "XYZ")])
    assert desk.idle_checks() == 0  # without open work nothing is said
    desk.add_items([Item(request("one", "comparison", "AB"))])
    assert desk.idle_checks() == 2
    desk.add_items([Item(request("two", "label", "A"))])
    assert desk.idle_checks() == 1
    desk.freeze(Place(), "test")
    assert desk.idle_checks() == 0


def test_a_known_answer_that_comes_in_the_shape_of_a_sheet_is_not_idle(desk: SqlDesk) -> None:
    desk.add_items([*sheet("work", *FULL), gold("fits"), gold("other criterion", criterion=ACCURACY)])
    assert desk.idle_checks() == 1
