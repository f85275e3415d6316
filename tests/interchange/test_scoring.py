"""Which texts of a row are to be scored, beside what, and in which shape the scores go back."""

from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.core.values import Group, Passage, View
from rrm.interchange.preferences import read_feedback
from rrm.interchange.rows import Row, write_rows
from rrm.interchange.scoring import unscored

PASSAGE = View("", (Passage("Say."),), 128)


def only(row: Row, **options: Any) -> Group:
    (group,) = unscored(row, "rows", **options).groups
    return group


@pytest.mark.parametrize("column", ["completion", "candidate", "summary", "response", "output"])
def test_a_single_text_has_one_number(column: str) -> None:
    found = unscored({"prompt": "Say.", column: "One."}, "rows")
    assert [(each.view, each.outputs) for each in found.groups] == [(PASSAGE, ("One.",))]
    assert found.shaped([0.5]) == 0.5


@pytest.mark.parametrize("pair", [("chosen", "rejected"), ("completion_a", "completion_b")])
def test_a_pair_has_an_object_by_column(pair: tuple[str, str]) -> None:
    found = unscored({"prompt": "Say.", pair[0]: "One.", pair[1]: "Two."}, "rows")
    assert found.groups[0].outputs == ("One.", "Two.")
    assert found.shaped([1.0, 2.0]) == {pair[0]: 1.0, pair[1]: 2.0}


def test_a_list_has_a_list_in_its_order() -> None:
    found = unscored({"context": "Say.", "completions": ["One.", {"completion": "Two.", "rank": 0}]}, "rows")
    assert found.groups[0].outputs == ("One.", "Two.")
    assert found.shaped([1.0, 2.0]) == [1.0, 2.0]
    assert unscored({"completions": ["One."]}, "rows").shaped([1.0]) == [1.0]


def test_nulls_that_pad_a_list_are_absent() -> None:
    found = unscored({"prompt": "Say.", "chosen": ["One."], "rejected": ["Two.", "Three.", None]}, "rows")
    assert found.groups[0].outputs == ("One.", "Two.", "Three.")
    assert found.shaped([1.0, 2.0, 3.0]) == {"chosen": [1.0], "rejected": [2.0, 3.0]}
    assert unscored({"completions": ["One.", None]}, "rows").shaped([1.0]) == [1.0]
    padded = {"prompt": "Say.", "completions": ["One.", "Two.", None], "labels": [True, False, None]}
    assert [each.outputs for each in unscored(padded, "rows").groups] == [("One.",), ("Two.",)]
    with pytest.raises(InputError, match="'rejected' has a null before a text"):
        unscored({"prompt": "Say.", "chosen": ["One."], "rejected": [None, "Three."]}, "rows")


def test_steps_with_labels_stand_behind_the_steps_before_them() -> None:
    found = unscored({"prompt": "Say.", "completions": ["One.", "Two.", "Three."], "labels": [True] * 3}, "rows")
    assert [each.outputs for each in found.groups] == [("One.",), ("Two.",), ("Three.",)]
    assert [each.view.context for each in found.groups] == ["", "One.", "One.\nTwo."]
    assert len({each.source for each in found.groups}) == 1
    assert found.shaped([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]


def test_a_source_has_the_prompt_as_its_instruction_and_a_reference_stands_in_for_both() -> None:
    assert only({"source": "A story.", "prompt": "Sum up.", "candidate": "It."}).view == View(
        "Sum up.", (Passage("A story."),), 128
    )
    assert only({"source": "A story.", "candidate": "It."}).view == View("", (Passage("A story."),), 128)
    assert only({"reference": "Truth.", "candidate": "It."}).view == View("", (Passage("Truth."),), 128)
    assert only({"completion": "Alone."}).view.prompt == ""


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Say.", "chosen": "One.", "rejected": "Two."},
        {"prompt": "Say.", "source": "A story.", "chosen": "One.", "rejected": "Two."},
        {"prompt": "Say.", "source_id": 7, "chosen": "One.", "rejected": "Two."},
        {"prompt": "Say.", "level": "root", "round": None, "chosen": "One.", "rejected": "Two."},
        {"prompt": "Say.", "level": 2.0, "chosen": "One.", "rejected": "Two."},
        {"prompt": [{"role": "user", "content": "Say."}], "chosen": "One.", "rejected": "Two."},
        {"source": "A story.", "candidate": "It.", "scores": {"overall": 2}},
        {"reference": "Truth.", "candidate": "It.", "score": 2},
        {"context": "Say.", "completions": [{"rank": 1, "completion": "One."}, {"rank": 0, "completion": "Two."}]},
        {"prompt": "Say.", "completions": ["One.", "Two."], "labels": [True, False]},
        {"prompt": "Say.", "completion": "One.", "label": True},
    ],
)
def test_a_row_is_scored_beside_what_its_judgement_is_read_beside(row: dict[str, Any], tmp_path: Any) -> None:
    other = {**row, "label": False, "completion": "No."} if "label" in row else row
    other = {**other, "scores": {"overall": 1}} if "scores" in row else other
    other = {**other, "score": 1} if "score" in row else other
    write_rows([row, other], tmp_path / "rows.jsonl")

    def render(messages: list[dict[str, Any]]) -> str:
        return "".join(f"<{each['role']}>{each['content']}" for each in messages)

    rated = read_feedback(tmp_path / "rows.jsonl", render=render).rated
    judged = {(each.request.source, each.request.place, each.request.view.id) for each in rated}
    groups = [*unscored(row, "rows", render).groups, *unscored(other, "rows", render).groups]
    assert {(each.source, each.place, each.view.id) for each in groups} == judged
    assert {text for each in groups for text in each.outputs} == {
        shown.text for each in rated for shown in each.request.shown
    }


def test_our_own_records_are_scored_as_they_were_shown(tmp_path: Any) -> None:
    from rrm.interchange.export import to_records

    write_rows([{"prompt": "Say.", "chosen": "One.", "rejected": "Two."}], tmp_path / "rows.jsonl")
    rated = read_feedback(tmp_path / "rows.jsonl").rated
    (row,) = to_records(rated)
    assert only(row) == rated[0].request.group


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, r"columns \(none\) have no text to score: name it completion"),
        ({"prompt": "Say."}, "columns prompt have no text to score"),
        ({"prompt": "Say.", "chosen": "One."}, "column 'rejected' is missing"),
        ({"prompt": "Say.", "completion": ""}, "column 'completion' is empty"),
        ({"prompt": "Say.", "completion": 3}, "column 'completion' must be a text or chat messages, got 3"),
        ({"prompt": "", "completion": "One."}, "column 'prompt' is empty"),
        ({"prompt": "Say.", "completions": []}, "completions must be a list of one text or more"),
        ({"prompt": "Say.", "completions": [None, "One."]}, "column 'completions' has a null before a text"),
        ({"prompt": "Say.", "completions": [None]}, "completions must be a list of one text or more"),
        ({"prompt": "Say.", "completion": "One.", "source_id": [1]}, "'source_id' must be a name or a number"),
    ],
)
def test_a_row_that_cannot_be_scored_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^rows, row 3: .*{says}"):
        unscored(row, "rows, row 3")
