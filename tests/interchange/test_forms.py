"""Forms as collections of judgements have them: winners, preferences, flags, lists, nulls, floats that are whole."""

from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.core.values import Comparison, Label, Rated
from rrm.interchange.forms.known import CALLED, READERS, RECORD
from rrm.interchange.preferences import read_feedback
from rrm.interchange.scoring import unscored

NAN = float("nan")
PAIR = {"prompt": "Where?", "response_a": "Here.", "response_b": "There."}


def read(*rows: dict[str, Any], **options: Any) -> list[Rated]:
    return read_feedback(list(rows), **options).rated


def verdict(row: dict[str, Any]) -> tuple[str | None, float | None]:
    """Return the text that a row prefers, None for a tie, and how much."""
    decided = {"prompt": "Why?", "completion_a": "So.", "completion_b": "Thus.", "vote": "a"}
    (rated,) = read_feedback([row, decided]).rated[:1]
    answer = rated.feedback.answer
    assert isinstance(answer, Comparison)
    return None if answer.better is None else rated.request.shown[answer.better].text, answer.strength


def test_every_form_has_words_for_what_it_is() -> None:
    assert CALLED.keys() == {*READERS, RECORD}


# ---- which of two is better ----

WINNERS = {
    **dict.fromkeys(("model_a", "A", "a", "response_a", "Model A", "answer-a", "first", "tulu"), "Here."),
    **dict.fromkeys(("model_b", "B", "response_b", "completion_b", "output_b", "right", "llama"), "There."),
    **dict.fromkeys(("tie", "Tie", "tie (bothbad)", "both_bad", "neither", "Equal", "draw", "bothbad"), None),
}


@pytest.mark.parametrize(("said", "better"), WINNERS.items())
def test_winners_are_read_in_the_words_of_arenas(said: str, better: str | None) -> None:
    assert verdict({**PAIR, "model_a": "tulu", "model_b": "llama", "winner": said}) == (better, None)


@pytest.mark.parametrize(
    "names",
    [
        ("completion_a", "completion_b"), ("response_1", "response_2"), ("response1", "response2"),
        ("response_0", "response_1"), ("summary_1", "summary_2"), ("conversation_a", "conversation_b"),
    ],
)  # fmt: skip
def test_outputs_stand_side_by_side_under_many_names(names: tuple[str, str]) -> None:
    row = {"prompt": "Where?", names[0]: "Here.", names[1]: "There."}
    stem, ends = names[0].rstrip("ab012_"), (names[0][-1], names[1][-1])
    for said, text in ((ends[0], "Here."), (ends[1], "There."), (f"{stem} {ends[1]}", "There."), (names[0], "Here.")):
        assert verdict({**row, "winner": said})[0] == text
    assert unscored(row, "rows").shaped([1.0, 2.0]) == {names[0]: 1.0, names[1]: 2.0}


def test_numbers_name_outputs_only_where_columns_are_numbered() -> None:
    numbered = {"prompt": "Where?", "response_0": "Here.", "response_1": "There."}
    assert verdict({**numbered, "better_response_id": 1}) == ("There.", None)
    assert verdict({**numbered, "better_response_id": 0.0}) == ("Here.", None)
    with pytest.raises(InputError, match="row 1: winner is 1, which may be response_a or response_b"):
        read({**PAIR, "winner": 1})


@pytest.mark.parametrize(
    ("grade", "found"),
    [
        (-3, ("Here.", 5 / 6)), (-2, ("Here.", 1 / 2)), (-1.0, ("Here.", 1 / 6)), (0, (None, None)),
        (1, ("There.", 1 / 6)), (2.0, ("There.", 1 / 2)), (3, ("There.", 5 / 6)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["overall_preference", "preference_strength"])
def test_graded_preferences_are_below_zero_for_the_first(grade: float, found: Any, column: str) -> None:
    row = {"context": [{"role": "user", "content": "Where?"}], "response1": "Here.", "response2": "There."}
    (rated, _) = read({**row, column: grade}, {**row, column: 2})
    answer = rated.feedback.answer
    assert isinstance(answer, Comparison) and rated.request.view.text == "Where?"
    assert (None if answer.better is None else rated.request.shown[answer.better].text, answer.strength) == found


@pytest.mark.parametrize(
    "told",
    [
        {"winner": "a", "preference": "b"},
        {"winner": "model_a", "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0},
        {"vote": "a", "overall_preference": 2},
    ],
)
def test_columns_that_say_the_opposite_of_each_other_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"row 1: columns '(?:winner|vote|preference)' and .* contradict each other"):
        read({**PAIR, **told})
    agreeing = {column: {"b": "a", 2: -2, 0: 1, 1: 0}.get(value, value) for column, value in told.items()}
    agreeing |= {"winner_tie": 0} if "winner_tie" in told else {}
    assert verdict({**PAIR, **agreeing})[0] == "Here."
    assert verdict({**PAIR, "winner": "a", "better_response_id": "id-77"})[0] == "Here."


def test_flags_say_who_won() -> None:
    for flags, better in (((1, 0, 0), "Here."), ((0.0, 1.0, 0.0), "There."), ((False, False, True), None)):
        told = dict(zip(("winner_model_a", "winner_model_b", "winner_tie"), flags, strict=True))
        rated = read({**PAIR, **told}, {**PAIR, "prompt": "Why?", "winner_model_a": 1, "winner_model_b": 0})[0]
        answer = rated.feedback.answer
        assert isinstance(answer, Comparison)
        assert (None if answer.better is None else rated.request.shown[answer.better].text) == better


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"winner": "model_c"}, "winner must be a, b or tie"),
        ({"winner": "alpha"}, "winner must be a, b or tie"),
        ({"winner": ["a"]}, "winner must be a, b or tie"),
        ({"winner": None}, "response_a and response_b are there, but no vote"),
        ({"winner": NAN}, "response_a and response_b are there, but no vote"),
        ({"overall_preference": 4}, "column 'overall_preference' must be a whole number from -3 to 3, got 4"),
        ({"overall_preference": 1.5}, "column 'overall_preference' must be a whole number from -3 to 3, got 1.5"),
        ({"winner_model_a": 1, "winner_model_b": 1}, "of the columns winner_model_a, .* one must be 1"),
        (
            {"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 0},
            "of the columns winner_model_a, .* one must be 1",
        ),
        ({"winner_model_a": "yes"}, "of the columns winner_model_a, .* one must be 1"),
    ],
)
def test_verdicts_that_say_nothing_are_refused(told: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"row 1: {says}"):
        read({**PAIR, **told})


def test_talks_of_an_arena_have_their_prompt_inside() -> None:
    asked, here, there = ({"role": r, "content": c} for r, c in (("user", "Q"), ("assistant", "H"), ("assistant", "T")))
    row = {"conversation_a": [asked, here], "conversation_b": [asked, there], "winner": "model_b", "model_a": "m"}
    (rated,) = read(row)
    assert rated.request.view.text == "Q" and {each.text for each in rated.request.shown} == {"H", "T"}


# ---- lists ----


def test_each_chosen_text_is_preferred_to_each_rejected_one() -> None:
    row = {"prompt": "Where?", "chosen": ["Here."], "rejected": ["There.", "No.", "No."], "num_rejected": 2}
    found = read(row)
    told = set()
    for each in found:
        texts, better = [shown.text for shown in each.request.shown], each.feedback.answer.better  # type: ignore[union-attr]
        told.add((texts[better], texts[1 - better]))
    assert told == {("Here.", "There."), ("Here.", "No.")} and len(found) == 2
    assert len({each.request.node for each in found}) == 1
    asked = unscored(row, "rows")
    assert asked.groups[0].outputs == ("Here.", "There.", "No.", "No.")
    assert asked.shaped([1.0, 2.0, 3.0, 3.0]) == {"chosen": [1.0], "rejected": [2.0, 3.0, 3.0]}


def test_lists_of_talks_are_lists_of_replies() -> None:
    chats = [[{"role": "user", "content": "Q"}, {"role": "assistant", "content": text}] for text in "abc"]
    found = read({"chosen": chats[:1], "rejected": chats[1:]})
    assert [each.request.view.text for each in found] == ["Q", "Q"]
    assert {shown.text for each in found for shown in each.request.shown} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"rejected": ["Here."]}, "chosen and rejected are the same text"),
        ({"rejected": []}, "column 'rejected' must be a text or chat messages, got \\[\\]"),
        ({"rejected": ["There.", ""]}, r"column 'rejected\[1\]' is empty"),
    ],
)
def test_lists_with_what_is_no_text_are_refused(told: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"row 1: {says}"):
        read({"prompt": "Where?", "chosen": ["Here."], "rejected": ["There."], **told})


def test_completions_may_say_more_of_a_reply_and_call_it_otherwise() -> None:
    for name in ("completion", "response", "answer", "output", "text"):
        told = [{name: "a", "score": 4, "model": "m"}, {name: [{"role": "assistant", "content": "b"}], "score": 5}]
        row = {"prompt": "Where?", "completions": told}
        (rated,) = read(row)
        assert rated.request.shown[rated.feedback.answer.better].text == "b"  # type: ignore[union-attr]
        assert unscored(row, "rows").groups[0].outputs == ("a", "b")


# ---- nulls, and numbers that became floats ----

JUDGED = {
    "preference": {"prompt": "Where?", "chosen": "Here.", "rejected": "There."},
    "vote": {**PAIR, "winner": "a"},
    "ranked": {"prompt": "Where?", "completions": [{"rank": 0.0, "completion": "a"}, {"rank": 1.0, "completion": "b"}]},
    "stepwise": {"prompt": "Where?", "completions": ["a", "b"], "labels": [1, 0.0]},
    "unpaired": {"prompt": "Where?", "completion": "a", "label": 1},
    "rating": {"prompt": "Where?", "completion": "a", "score": 1.0},
}


@pytest.mark.parametrize("form", JUDGED)
@pytest.mark.parametrize("empty", [None, NAN])
def test_columns_that_say_nothing_in_a_joined_table_decide_nothing(form: str, empty: Any) -> None:
    other = {"unpaired": {"completion": "b", "label": 0}, "rating": {"completion": "b", "score": 0}}.get(form, {})
    rows = [JUDGED[form], {**JUDGED[form], **other, "prompt": "Why?"}]
    every = {column: empty for row in JUDGED.values() for column in row}
    more = dict.fromkeys(("margin", "confidence", "annotator", "source", "source_id", "level", "criterion"), empty)
    joined = [{**every, **more, **row} for row in rows]
    assert read_feedback(joined).rated == read_feedback(rows).rated


def test_whole_floats_are_whole_numbers_everywhere() -> None:
    base = JUDGED["preference"]
    told = {"annotator": 7.0, "source_id": 3.0, "level": 2.0, "round": 1.0, "votes_for": 2.0, "votes_against": 1.0}
    (rated,) = read({**base, **told, "votes_equal": 0.0})
    assert (rated.feedback.rater, rated.request.source) == ("7", "3")
    assert (rated.request.place.level, rated.request.place.round) == (2, 1)
    assert rated == read({**base, **{k: int(v) for k, v in told.items()}, "votes_equal": 0})[0]
    assert len(read({**base, **told, "votes_equal": 0.0}, votes="each")) == 3
    words = [{"prompt": "Where?", "response": word, "label": word} for word in ("true", "False")]
    assert [each.feedback.answer for each in read(*words)] == [Label(True), Label(False)]
    steps = read(JUDGED["stepwise"])
    assert [each.feedback.answer for each in steps] == [Label(True), Label(False)]


@pytest.mark.parametrize(
    "told",
    [
        {"annotator": [7]}, {"annotator": True}, {"annotator": 7.5}, {"annotator": 1e300}, {"source_id": 1.5},
        {"source_id": {}}, {"level": 1.5}, {"level": True}, {"level": -1}, {"round": "one"}, {"margin": "far"},
        {"confidence": 2}, {"confidence": "high"}, {"criterion": []}, {"subject": "book"},
    ],
)  # fmt: skip
def test_an_optional_value_that_cannot_be_used_is_an_error_with_row_and_column(told: dict[str, Any]) -> None:
    (column,) = told
    with pytest.raises(InputError, match=f"the data set given, row 2: column '{column}'"):
        read(JUDGED["preference"], {**JUDGED["preference"], "prompt": "Why?", **told})
