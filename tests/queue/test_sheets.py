"""Which questions share a sheet."""

from dataclasses import replace

import pytest

from rrm.core.annotation import Item
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Consequence, Request, Shown
from rrm.queue.items import check_sheets
from rrm.queue.sheets import in_sheets
from tests.queue.desk_problems import VIEW

A, B, C = (Shown(f"output-{letter}", letter) for letter in "ABC")


def item(kind: str, *shown: Shown, criterion: str = "overall", node: str = "node", copy: int = 0) -> Item:
    return Item(Request(node, "tale", Place(), kind, VIEW, shown, copy=copy, criterion=criterion))


def names(items: list[Item]) -> list[list[str]]:
    """The sheets that come of it, each question as its kind, its outputs and its criterion's first letter."""
    sheets: dict[str, list[str]] = {}
    for each in items:
        request = each.request
        text = f"{request.kind} {''.join(shown.text for shown in request.shown)} {request.criterion[:3]}"
        sheets.setdefault(each.sheet or request.id, []).append(text)
    return list(sheets.values())


ASKED = [
    item("rating", B),
    item("critique", A),
    item("comparison", A, B),
    item("rating", A),
    item("rating", B, criterion="accuracy"),
    item("comparison", B, C),
    item("rating", A, criterion="accuracy"),
]


def test_questions_about_one_view_are_together_comparisons_first_and_writing_last() -> None:
    assert names(in_sheets(ASKED, 8)) == [
        ["comparison AB ove", "comparison BC ove", "rating B ove", "rating B acc", "rating A ove", "rating A acc",
         "critique A ove"],
    ]  # fmt: skip


def test_a_sheet_has_so_many_questions_at_most_and_all_are_about_alike() -> None:
    assert [len(each) for each in names(in_sheets(ASKED, 5))] == [4, 3]
    assert [len(each) for each in names(in_sheets(ASKED, 2))] == [2, 2, 2, 1]
    assert in_sheets(ASKED, 1) == ASKED


def test_questions_in_hindsight_are_on_sheets_of_their_own() -> None:
    a, b = (replace(each, consequence=Consequence("It was believed.", 0.5)) for each in (A, B))
    after = [item("hindsight", a, b), item("hindsight", a, b, criterion="accuracy")]
    assert sorted(len(each) for each in names(in_sheets([*ASKED, *after], 9))) == [2, 7]
    mixed = [replace(each, sheet="one") for each in (ASKED[2], after[0])]
    with pytest.raises(InputError, match="beside questions that are to be answered without"):
        check_sheets(mixed)


def test_what_is_shown_with_support_or_a_critique_is_on_sheets_of_its_own() -> None:
    for help_ in ({"support": (0.5,)}, {"critique": "It is not so."}):
        helped = [item("claims", replace(each, **help_)) for each in (A, B)]
        # an output that stood there with and without would stand there twice
        assert sorted(len(each) for each in names(in_sheets([*ASKED, *helped], 9))) == [2, 7]
        with pytest.raises(InputError, match="beside questions that are to be answered without"):
            check_sheets([replace(each, sheet="one") for each in (ASKED[2], helped[0])])


def test_copies_other_nodes_and_practice_are_on_sheets_of_their_own() -> None:
    copies = [item("rating", A, copy=1), item("rating", B, copy=1)]
    elsewhere = [item("rating", A, node="other"), item("label", A, node="other")]
    practice = [replace(each, purpose="practice") for each in (item("label", A), item("label", B))]
    found = names(in_sheets([*ASKED, *copies, *elsewhere, *practice], 8))
    assert sorted(len(each) for each in found) == [2, 2, 2, 7]


def test_a_question_alone_stays_alone_and_a_sheet_that_was_named_stays_as_it_is() -> None:
    alone, named = item("label", A), [replace(each, sheet="mine") for each in ASKED[:2]]
    assert in_sheets([alone, *named], 8) == [alone, *named]
