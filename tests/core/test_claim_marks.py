"""Marks on claims: what they are about, how they compare, and what is chosen by them."""

import pytest

from rrm.core.claims import about
from rrm.core.errors import InputError
from rrm.core.task import Span
from rrm.core.values import ClaimMarks

TEXT = "The fox ran. It slept in the barn. Nobody saw it."
FIRST, SECOND, THIRD = (0, 12), (13, 34), (35, 49)


def test_a_mark_is_about_the_claims_of_which_it_holds_most() -> None:
    assert [about(TEXT, Span(*span)) for span in (FIRST, SECOND, THIRD)] == [(0,), (1,), (2,)]
    assert about(TEXT, Span(28, 33)) == (1,)  # "barn" and the stop
    assert about(TEXT, Span(10, 34)) == (1,)  # two letters of the first are grazed
    assert about(TEXT, Span(0, 34)) == (0, 1)
    assert about(TEXT, Span(12, 13)) == ()  # the space between
    assert about("...", Span(0, 2)) == ()
    assert about(TEXT + " And " * 60, Span(0, 49)) == (0, 1, 2)


def test_a_mark_that_only_grazes_claims_is_about_the_one_of_which_it_holds_most() -> None:
    text = "He left early that day, as was said. " + " " * 30 + "They stayed there all of the night."
    assert about(text, Span(31, 75)) == (1,)


@pytest.mark.parametrize(
    ("marks", "says"),
    [
        (ClaimMarks(((0, 50),)), "49 characters, got 0 to 50: was it made on another version"),
        (ClaimMarks((), ((5, 5),)), "got 5 to 5"),
        (ClaimMarks(missing=("x" * 200_001,)), "what is missing has up to"),
    ],
)
def test_marks_on_what_is_not_there_are_refused(marks: ClaimMarks, says: str) -> None:
    with pytest.raises(InputError, match=says):
        marks.check([TEXT])
    with pytest.raises(InputError, match="the item shows 2"):
        ClaimMarks().check([TEXT, TEXT])


def test_a_claim_is_marked_once_and_an_answer_has_so_many_marks() -> None:
    with pytest.raises(InputError, match="marked once"):
        ClaimMarks((FIRST,), (FIRST,))
    with pytest.raises(InputError, match="up to 200 marks, got 201"):
        ClaimMarks(tuple((at, at + 1) for at in range(201)))


def test_what_is_chosen_among_are_claims_and_the_output_with_what_is_missing() -> None:
    marks = ClaimMarks((FIRST,), ((28, 33),), ("It was cold.",))
    chosen = marks.texts((TEXT,))
    assert chosen == ("The fox ran.", "It slept in the barn.", TEXT, f"{TEXT}\nIt was cold.", "Nobody saw it.")
    assert marks.pairs(len(chosen)) == [(4, 0), (4, 1), (3, 2)]


def test_no_mark_says_that_every_claim_is_right() -> None:
    assert ClaimMarks().texts((TEXT,)) == ("The fox ran.", "It slept in the barn.", "Nobody saw it.")
    assert ClaimMarks().pairs(3) == []


def test_an_output_of_no_claim_leaves_no_choice_but_what_is_missing() -> None:
    assert ClaimMarks().texts(("...",)) == () and not ClaimMarks().decides(0)
    missing = ClaimMarks(missing=("It was cold.",))
    assert missing.texts(("",)) == ("", "It was cold.") and missing.pairs(2) == [(1, 0)]


def test_one_endless_sentence_and_a_thousand_claims_are_marked_as_any_other() -> None:
    endless = "word " * 3_000
    assert ClaimMarks(((0, 4),)).texts((endless,))[0].startswith("word word")
    many = " ".join(f"This is claim {number}." for number in range(1_000))
    assert len(ClaimMarks(((0, 15),)).texts((many,))) == 1_000


def test_marks_agree_as_far_as_the_same_characters_are_marked() -> None:
    one, other = ClaimMarks(((0, 4),)), ClaimMarks((), ((2, 6),))
    assert one.difference(other) == pytest.approx(1 - 2 / 6)
    assert ClaimMarks().difference(ClaimMarks(missing=("x",))) == 0
    assert one.coding({}) is True and ClaimMarks(missing=("x",)).coding({}) is False


def test_a_known_fault_is_found_by_a_mark_that_touches_it() -> None:
    known = ClaimMarks(wrong=(SECOND,))
    assert ClaimMarks(unsupported=((30, 32),)).agrees(known)
    assert not ClaimMarks(unsupported=(FIRST,)).agrees(known)
    assert not ClaimMarks().agrees(known)
    assert not known.agrees(ClaimMarks())


def test_marks_are_counted_in_words() -> None:
    marks = ClaimMarks((FIRST,), (SECOND, THIRD), ("x",))
    assert marks.brief(str) == "1 unsupported, 2 wrong, 1 missing"
    assert ClaimMarks().sentence(lambda place: "output A") == "marked claims of output A: nothing marked"
