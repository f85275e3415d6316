"""The feedback table: rows about items, as the raters meant them."""

import sys
from subprocess import run

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.values import (
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rated,
    Rating,
    Reject,
)
from rrm.feedback.comparison import grades
from rrm.feedback.table import FeedbackTable, Item, Pair, Scale, only, tabulate
from tests.feedback.feedback_problems import VIEW, told

MIXED = [
    told(Comparison(1), ["a", "b"], "Bob"),
    told(Critique("too long"), ["a"]),
    told(Ranking((2, 0)), ["c", "b", "a"], "Ann", confidence=0.5),
    told(Label(True), ["d"], "Cem", source="t"),
    told(Rating(2, 5), ["a"]),
    told(Correction("a!"), ["a"], "Cem"),
    told(Correction("a?"), ["a"], "Bob"),
    told(Demonstration("e"), ["b"]),
    told(Critique("one names nobody", consistent=(1,)), ["a", "b", "c"]),
    told(Reject("not English"), ["a", "b"]),
]


def texts(table: FeedbackTable, row: int) -> str:
    return " ".join(table.items[item].text for item in table.row_items[row])


def test_items_are_distinct_texts_beside_a_view_in_order_of_first_appearance() -> None:
    table = tabulate(MIXED)
    assert table.items == tuple(Item(VIEW, text) for text in ["a", "b", "c", "d", "a!", "a?", "e"])
    assert (table.sources, table.raters) == (("s", "t"), ("Ann", "Bob", "Cem"))
    assert table.item_source.tolist() == [0, 0, 0, 1, 0, 0, 0]


def test_rows_say_whose_they_are_and_feedback_that_says_nothing_is_counted() -> None:
    table = tabulate(MIXED)
    assert (table.rows, table.unused) == (9, 1)
    assert table.origin.tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [table.raters[at] for at in table.row_rater] == [
        "Bob", "Ann", "Cem", "Ann", "Cem", "Bob", "Ann", "Ann", "Ann",
    ]  # fmt: skip
    assert table.row_source.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert table.confidence.tolist() == [1, 0.5, 1, 1, 1, 1, 1, 1, 1]


def test_an_edit_is_chosen_over_the_original_and_other_edits_and_a_text_over_all_in_the_pool() -> None:
    table = tabulate(MIXED)
    assert texts(table, 4) == "a! a a?"
    assert texts(table, 5) == "a? a a!"
    assert texts(table, 6).split()[:2] == ["e", "b"]
    assert sorted(texts(table, 6).split()) == ["a", "a!", "a?", "b", "c", "d", "e"]
    assert texts(table, 7) == "a b c"


@pytest.mark.parametrize(
    "row",
    [
        told(Correction("a"), ["a"]),
        told(Demonstration("a"), []),
        told(Critique("hm"), ["a", "b"]),
        told(Critique("hm", consistent=()), ["a", "b"]),
        told(Critique("hm", consistent=(1, 0)), ["a", "b"]),
        told(Reject("nothing there"), []),
    ],
)
def test_feedback_that_leaves_no_choice_is_unused(row: Rated) -> None:
    table = tabulate([row])
    assert (table.rows, table.unused, list(table.pairs())) == (0, 1, [])


def test_taken_rows_keep_what_they_say_with_their_items_numbered_anew() -> None:
    table = tabulate(MIXED)
    taken, old = table.take([7, 2])
    assert [item.text for item in taken.items] == ["a", "b", "c", "d"] and old.tolist() == [0, 1, 2, 3]
    assert taken.row_items == ((0, 1, 2), (3,)) and taken.origin.tolist() == [8, 3]
    assert (taken.raters, taken.sources, taken.scales) == (table.raters, table.sources, table.scales)
    assert taken.row_rater.tolist() == [0, 2] and taken.item_source.tolist() == [0, 0, 0, 1]
    nothing, none = table.take(np.array([], dtype=np.int64))
    assert nothing.rows == 0 and none.tolist() == []


def test_pairs_are_comparisons_neighbours_in_rankings_and_what_was_chosen_against_the_rest() -> None:
    table = tabulate(MIXED)
    name = {at: item.text for at, item in enumerate(table.items)}
    found = [(name[pair.first], name[pair.second], pair.choice) for pair in table.pairs()]
    assert found[:5] == [("a", "b", 1), ("a", "c", 0), ("c", "b", 0), ("a!", "a", 0), ("a!", "a?", 0)]
    assert found[-2:] == [("b", "a", 0), ("b", "c", 0)]
    assert list(tabulate([told(Comparison(None), ["x", "y"])]).pairs()) == [Pair(0, 1, 2, 0)]


def test_labels_and_ratings_say_where_zero_is_and_rejections_alone_do_not() -> None:
    assert tabulate([told(Label(False), ["a"])]).anchors
    assert tabulate([told(Rating(1), ["a"])]).anchors
    assert not tabulate([told(Comparison(0), ["a", "b"]), told(Reject("no"), ["a"])]).anchors


def test_a_scale_with_means_or_many_points_on_it_is_a_quantity() -> None:
    rows = [Rating(1, 5), Rating(2.5, 7), Rating(3, 7), Rating(50, 101)]
    table = tabulate([told(row, ["a"]) for row in rows])
    assert table.scales == (Scale(5, True), Scale(7, False), Scale(101, False))
    assert [[answer.value for answer in only(Rating, block.answers)] for block in table.blocks] == [[1], [2.5, 3], [50]]
    assert table.take([2])[0].scales == table.scales


def test_strengths_are_cut_into_grades_and_ties_are_one_answer_among_them() -> None:
    answers = [Comparison(0, 0.0), Comparison(1, 0.4), Comparison(0, 1.0), Comparison(1), Comparison(None)]
    table = tabulate([told(answer, ["a", "b"]) for answer in answers])
    assert (table.grades, table.ties) == (3, True)
    assert grades(table.blocks[0], 3).tolist() == [0, 1, 2, -1, 0]
    plain = tabulate([told(answer, ["a", "b"]) for answer in answers], grades=0)
    assert plain.grades == 0


def test_an_answer_that_does_not_fit_its_request_is_refused() -> None:
    for row, shown in [
        (told(Comparison(0), ["a"]), 1),
        (told(Label(True), ["a", "b"]), 2),
        (told(Rating(2), []), 0),
        (told(Ranking((0, 2)), ["a", "b"]), 2),
        (told(Critique("hm", consistent=(3,)), ["a", "b"]), 2),
    ]:
        with pytest.raises(InputError, match=f"shows {shown} outputs, which a {row.feedback.answer.kind}"):
            tabulate([row])
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="strength lies between 0 and 1"):
            tabulate([told(Comparison(0, strength), ["a", "b"])])


def test_a_rating_is_accepted_above_the_middle_of_its_scale() -> None:
    assert [Rating(value, 5).accepted for value in (2, 3, 3.5)] == [0.0, 0.5, 1.0]
    assert (Label(True).accepted, Label(False).accepted) == (1.0, 0.0)


def test_the_table_needs_no_torch() -> None:
    code = "import sys, rrm.feedback.table; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
