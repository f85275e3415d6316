"""Answers of every kind, from the page's JSON to the value on record and back."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import rrm.web
from rrm.core.annotation import Lease, Posed, shown_hash
from rrm.core.claims import DOUBTFUL
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import (
    KINDS,
    ClaimMarks,
    Comparison,
    Consequence,
    Correction,
    Critique,
    Demonstration,
    Hindsight,
    Label,
    Passage,
    Ranking,
    Rating,
    Reject,
    Request,
    Shown,
    View,
)
from rrm.web.differences import differences
from rrm.web.kinds import (
    FORMS,
    AnswerBody,
    Question,
    answer_json,
    summary,
    to_answer,
)
from rrm.web.shown import lease_json, output_json

BODY: TypeAdapter[Any] = TypeAdapter(AnswerBody)


def item(kind: str, *texts: str, max_tokens: int = 5) -> Request:
    view = View("Do it.", (Passage("a source of 24 letters.."), Passage("a part", "n", "o", 0.25)), max_tokens)
    return Request(
        "node", "source", Place(level=1), kind, view, tuple(Shown(f"o{i}", text) for i, text in enumerate(texts))
    )


def made(kind: str, body: dict[str, Any], *texts: str, count: Any = None) -> Any:
    return to_answer(BODY.validate_python(body), Question(item(kind, *texts), texts, 7, count))


def words(text: str) -> int:
    return len(text.split())


# ---- completeness ----


def test_every_kind_of_feedback_has_a_body_and_its_allowed_answers() -> None:
    assert list(FORMS) == list(KINDS)
    for kind, answer in KINDS.items():
        assert {kind, "reject"} <= set(answer.takes()) <= set(KINDS)


# ---- what is taken ----


def test_of_a_choice_that_is_left_what_stands_first_is_enough() -> None:
    def made(partial: bool, **body: Any) -> Any:
        asked = Question(item("ranking", *"abc"), "abc", 7, partial=partial)
        return to_answer(BODY.validate_python({"kind": "ranking", **body}), asked).answer

    assert made(True, best_first=[2]) == Ranking((2,))
    assert made(True, best_first=[2, 0], tied=[0]) == Ranking((2, 0), (0,))
    with pytest.raises(InputError, match="each of the 3 outputs once"):
        made(False, best_first=[2])
    with pytest.raises(InputError, match="names one place or more"):
        made(True, best_first=[])
    with pytest.raises(InputError, match="different positions"):
        made(True, best_first=[1, 1])


@pytest.mark.parametrize(
    ("kind", "texts", "body", "answer", "detail"),
    [
        ("comparison", "ab", {"better": 1}, Comparison(1), {}),
        ("comparison", "ab", {"better": 0, "strength": 1.0}, Comparison(0, 1.0), {}),
        ("comparison", "ab", {"better": 0, "strength": 1}, Comparison(0, 1.0), {}),
        ("comparison", "ab", {"better": None}, Comparison(None), {}),
        ("comparison", "ab", {"better": None, "both_bad": True}, Reject("both are bad"), {"both_bad": True}),
        ("hindsight", "ab", {"better": 1, "strength": 0.5}, Hindsight(1, 0.5), {}),
        ("hindsight", "ab", {"better": None, "both_bad": True}, Reject("both are bad"), {"both_bad": True}),
        ("ranking", "abc", {"best_first": [2, 0, 1]}, Ranking((2, 0, 1)), {}),
        ("ranking", "abc", {"best_first": [2, 0, 1], "tied": [0]}, Ranking((2, 0, 1), (0,)), {}),
        ("rating", "a", {"value": 7}, Rating(7, 7), {}),
        ("label", "a", {"good": False}, Label(False), {}),
        ("demonstration", "", {"text": "Mine."}, Demonstration("Mine."), {}),
        ("critique", ["abcd"], {"text": "No."}, Critique("No."), {}),
        (
            "critique",
            ["abcd"],
            {"text": "No.", "spans": [[0, 4]], "source_spans": [[1, 2, 6]]},
            Critique("No.", ((0, 4),)),
            {"source_spans": [[1, 2, 6]]},
        ),
        ("claims", ["abcd"], {}, ClaimMarks(), {}),
        (
            "claims",
            ["abcd"],
            {"unsupported": [[0, 2]], "wrong": [[2, 4]], "missing": ["so"], "source_spans": [[1, 2, 6]]},
            ClaimMarks(((0, 2),), ((2, 4),), ("so",)),
            {"source_spans": [[1, 2, 6]]},
        ),
        ("reject", "a", {"reason": "empty source"}, Reject("empty source"), {}),
    ],
)
def test_an_answer_becomes_the_value_that_it_says(
    kind: str, texts: Any, body: dict[str, Any], answer: Any, detail: dict[str, Any]
) -> None:
    assert made(kind, {"kind": kind, **body}, *texts) == (answer, detail)


def test_any_item_may_be_rejected_and_an_item_to_reject_may_be_fine() -> None:
    for kind in KINDS:
        assert made(kind, {"kind": "reject", "reason": "no"}, "a", "b").answer == Reject("no")
    assert made("reject", {"kind": "label", "good": True}, "a").answer == Label(True)


def test_a_correction_keeps_what_was_changed() -> None:
    found = made("correction", {"kind": "correction", "text": "The dog ran."}, "The fox ran.", count=words)
    assert found.answer == Correction("The dog ran.")
    assert found.detail == {"diff": [{"tag": "replace", "from": [4, 7], "to": [4, 7], "old": "fox", "new": "dog"}]}


def test_spans_count_code_points_beyond_the_basic_plane_as_one() -> None:
    assert made("critique", {"kind": "critique", "text": "x", "spans": [[0, 3]]}, "🦊🦊🦊").answer.spans == ((0, 3),)
    with pytest.raises(InputError, match="3 characters"):
        made("critique", {"kind": "critique", "text": "x", "spans": [[0, 4]]}, "🦊🦊🦊")


# ---- what is refused ----


@pytest.mark.parametrize(
    ("kind", "texts", "body", "says"),
    [
        ("comparison", "ab", {"kind": "label", "good": True}, "takes comparison or reject, not label"),
        ("comparison", "abc", {"kind": "comparison", "better": 1}, "this item has 3"),
        ("comparison", "ab", {"kind": "comparison", "better": 1, "both_bad": True}, "either"),
        ("comparison", "ab", {"kind": "comparison", "better": None, "strength": 0.5}, "a tie has no strength"),
        ("ranking", "abc", {"kind": "ranking", "best_first": [0, 1]}, "each of the 3 outputs once"),
        ("ranking", "abc", {"kind": "ranking", "best_first": [0, 1, 1]}, "each of the 3 outputs once"),
        ("ranking", "abc", {"kind": "ranking", "best_first": [0, 1, 3]}, "each of the 3 outputs once"),
        ("ranking", "abc", {"kind": "ranking", "best_first": [0, 1, 2], "tied": [0]}, "level with the one before"),
        ("rating", "a", {"kind": "rating", "value": 8}, "between 1 and 7"),
        ("reject", "a", {"kind": "label", "good": False}, "reject it"),
        ("reject", "a", {"kind": "reject", "reason": "  "}, "why"),
        ("correction", ["same"], {"kind": "correction", "text": "same"}, "nothing was changed"),
        ("correction", ["same"], {"kind": "correction", "text": " \n "}, "empty"),
        ("correction", ["a"], {"kind": "correction", "text": "one two three four five six"}, "6 tokens, and at most 5"),
        ("demonstration", "", {"kind": "demonstration", "text": ""}, "empty"),
        ("demonstration", "", {"kind": "demonstration", "text": "1 2 3 4 5 6"}, "6 tokens, and at most 5"),
        ("critique", ["abcd"], {"kind": "critique", "text": "\u3000"}, "empty"),
        ("critique", ["abcd"], {"kind": "critique", "text": "x", "spans": [[0, 5]]}, "4 characters"),
        ("critique", ["abcd"], {"kind": "critique", "text": "x", "spans": [[2, 2]]}, "from 2 to 2"),
        ("critique", ["abcd"], {"kind": "critique", "text": "x", "spans": [[3, 1]]}, "from 3 to 1"),
        ("critique", ["a", "b"], {"kind": "critique", "text": "x", "spans": [[0, 1]]}, "not several"),
        ("claims", ["abcd"], {"kind": "claims", "wrong": [[0, 5]]}, "4 characters"),
        ("claims", ["abcd"], {"kind": "claims", "wrong": [[0, 2]], "unsupported": [[0, 2]]}, "marked once"),
        ("claims", ["abcd"], {"kind": "claims", "missing": [" "]}, "what is missing is empty"),
        ("claims", ["abcd"], {"kind": "claims", "source_spans": [[2, 0, 1]]}, "no passage 2"),
        ("claims", ["a", "b"], {"kind": "claims"}, "this item has 2"),
        ("critique", ["a"], {"kind": "critique", "text": "x", "source_spans": [[2, 0, 1]]}, "no passage 2"),
        ("critique", ["a"], {"kind": "critique", "text": "x", "source_spans": [[0, 0, 99]]}, "passage 0 has 24"),
    ],
)
def test_an_answer_that_does_not_fit_the_item_is_refused_with_the_reason(
    kind: str, texts: Any, body: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        made(kind, body, *texts, count=words)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "essay"},
        {"kind": "comparison"},
        {"kind": "comparison", "better": True},
        {"kind": "comparison", "better": "1"},
        {"kind": "comparison", "better": 0.5},
        {"kind": "comparison", "better": 2},
        {"kind": "comparison", "better": -1},
        {"kind": "comparison", "better": 1, "strength": 1.01},
        {"kind": "comparison", "better": 1, "strength": True},
        {"kind": "comparison", "better": 1, "strength": float("nan")},
        {"kind": "comparison", "better": 1, "both_bad": 1},
        {"kind": "comparison", "better": 1, "more": 1},
        {"kind": "ranking", "best_first": "012"},
        {"kind": "ranking", "best_first": [0.0, 1]},
        {"kind": "ranking", "best_first": [True, False]},
        {"kind": "ranking", "best_first": list(range(101))},
        {"kind": "rating", "value": 0},
        {"kind": "rating", "value": "5"},
        {"kind": "rating", "value": 5.5},
        {"kind": "rating", "value": True},
        {"kind": "rating", "value": None},
        {"kind": "label", "good": 1},
        {"kind": "label", "good": "true"},
        {"kind": "correction", "text": None},
        {"kind": "correction", "text": ["a"]},
        {"kind": "demonstration", "text": "x" * 20_001},
        {"kind": "critique", "text": "x", "spans": [[0]]},
        {"kind": "critique", "text": "x", "spans": [[0, 1, 2]]},
        {"kind": "critique", "text": "x", "spans": [[-1, 2]]},
        {"kind": "critique", "text": "x", "spans": [["0", "2"]]},
        {"kind": "critique", "text": "x", "source_spans": [[0, 1]]},
        {"kind": "claims", "unsupported": [[0]]},
        {"kind": "claims", "wrong": [[-1, 2]]},
        {"kind": "claims", "missing": [3]},
        {"kind": "claims", "text": "x"},
        {"kind": "reject", "reason": "x" * 2_001},
        [],
        None,
        "comparison",
    ],
)
def test_a_body_of_another_shape_is_refused(body: Any) -> None:
    with pytest.raises(ValidationError):
        BODY.validate_python(body)


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_answer_to_an_item_no_longer_at_hand_is_the_same_value(kind: str) -> None:
    texts = {"comparison": ["a", "b"], "hindsight": ["a", "b"], "ranking": ["a", "b", "c"], "demonstration": []}.get(
        kind, ["abcd"]
    )
    body = {
        "comparison": {"better": 1, "strength": 0.5},
        "hindsight": {"better": 1, "strength": 0.5},
        "ranking": {"best_first": [2, 1, 0]},
        "rating": {"value": 3},
        "label": {"good": True},
        "correction": {"text": "new"},
        "demonstration": {"text": "new"},
        "critique": {"text": "new", "spans": [[0, 2]]},
        "claims": {"wrong": [[0, 2]], "missing": ["so"]},
        "reject": {"reason": "new"},
    }[kind]
    checked = made(kind, {"kind": kind, **body}, *texts)
    assert BODY.validate_python({"kind": kind, **body}).made(7).answer == checked.answer


# ---- claim by claim ----


def test_an_output_is_sent_claim_by_claim_where_its_claims_are_asked_about() -> None:
    shown = Shown("o", "The fox ran. 🦊 It slept.", (0.25, 0.75))
    expected = [{"span": [0, 12], "support": 0.25}, {"span": [13, 24], "support": 0.75}]
    assert output_json(shown, True) == {"text": shown.text, "claims": expected}
    assert output_json(shown, False) == {"text": shown.text}
    assert [each["support"] for each in output_json(Shown("o", shown.text), True)["claims"]] == [None, None]


def test_what_a_critic_wrote_is_sent_where_claims_are_marked() -> None:
    shown = Shown("o", "It slept.", critique="<b>It did not.</b>")
    assert output_json(shown, True)["critique"] == "<b>It did not.</b>"
    assert "critique" not in output_json(shown, False)


def test_the_page_doubts_what_the_rest_of_the_program_doubts() -> None:
    script = Path(rrm.web.__file__).parent / "static" / "kinds.js"
    [doubtful] = re.findall(r"^const DOUBTFUL = ([\d.]+);$", script.read_text("utf-8"), re.MULTILINE)
    assert float(doubtful) == DOUBTFUL


def test_a_view_that_shows_what_came_of_outputs_has_the_name_it_always_had() -> None:
    """What a critic wrote was part of it where there was none, so that unchanged questions had another name."""
    view = View("Tell.", (), 9)
    came = Shown("o", "It slept.", consequence=Consequence("It woke.", 0.5))
    shown = [came.text, came.support, Consequence("It woke.", 0.5).known]
    asked = Request("n", "s", Place(), "label", view, (came,))
    expected = content_id("shown", view.id, [shown], 1, "label", 7, asked.criterion)
    assert shown_hash(asked, (0,), 1, 7) == expected
    told = replace(asked, shown=(replace(came, critique="No."),))
    assert shown_hash(told, (0,), 1, 7) != expected


# ---- back to the page ----


@pytest.mark.parametrize(
    ("answer", "sent", "said"),
    [
        (Comparison(0, 0.5), {"kind": "comparison", "better": 1, "strength": 0.5, "both_bad": False}, "B is better"),
        (Comparison(None), {"kind": "comparison", "better": None, "strength": None, "both_bad": False}, "tie"),
        (Ranking((0, 1, 2)), {"kind": "ranking", "best_first": [1, 2, 0], "tied": []}, "B > C > A"),
        (Ranking((0, 1, 2), (2,)), {"kind": "ranking", "best_first": [1, 2, 0], "tied": [0]}, "B > C = A"),
        (Rating(5), {"kind": "rating", "value": 5}, "5 of 7"),
        (Label(True), {"kind": "label", "good": True}, "good"),
        (Label(False), {"kind": "label", "good": False}, "bad"),
        (Correction("new\ntext"), {"kind": "correction", "text": "new\ntext"}, "new text"),
        (Demonstration("x" * 90), {"kind": "demonstration", "text": "x" * 90}, "x" * 79 + "…"),
        (Critique("no", ((0, 1),)), {"kind": "critique", "text": "no", "spans": [[0, 1]], "source_spans": []}, "no"),
        (
            ClaimMarks(((0, 1),), (), ("so",)),
            {"kind": "claims", "unsupported": [[0, 1]], "wrong": [], "missing": ["so"], "source_spans": []},
            "1 unsupported, 1 missing",
        ),
        (Reject("spam"), {"kind": "reject", "reason": "spam"}, "spam"),
    ],
)
def test_an_answer_on_record_goes_back_to_the_page_with_places_as_shown(answer: Any, sent: Any, said: str) -> None:
    order = (2, 0, 1)  # the page shows the request's third output first
    assert answer_json(answer, order) == sent
    assert summary(answer, order) == said


def test_both_bad_goes_back_as_the_comparison_that_it_was() -> None:
    sent = answer_json(Reject("both are bad"), (1, 0), {"both_bad": True})
    assert sent == {"kind": "comparison", "better": None, "strength": None, "both_bad": True}


def test_of_each_question_of_a_sheet_a_page_knows_whether_the_best_alone_are_enough() -> None:
    requests = [item("ranking", *"abc"), item("ranking", *"abd")]
    posed = tuple(Posed(each, "work", (0, 1, 2), "hash") for each in requests)
    lease = Lease("l", "p", posed, tuple({*requests[0].shown, *requests[1].shown}), 3, 1100.0, None)
    shown = lease_json(lease, 1000.0, False, {requests[1].id})
    assert [each["partial"] for each in shown["questions"]] == [False, True]


def test_what_a_page_shows_of_a_lease_tells_no_check_from_work() -> None:
    request = item("comparison", "first", "second")
    posed = Posed(request, "gold", (1, 0), "hash")
    lease = Lease("l", "p", (posed,), request.shown[::-1], 3, 1100.0, None)
    shown = lease_json(lease, 1000.0, True)
    assert shown == lease_json(replace(lease, questions=(replace(posed, purpose="work"),)), 1000.0, True)
    assert shown["outputs"] == [{"text": "second"}, {"text": "first"}]
    [question] = shown["questions"]
    assert (question["outputs"], question["shown"]) == ([0, 1], "hash")
    assert shown["expires_in"] == 100.0
    assert [each["score"] for each in shown["passages"]] == [None, 0.25]
    assert question["answers"] == ["comparison", "reject"]
    assert "output" not in str(shown["passages"])  # no ids of outputs or nodes


# ---- diffs ----

_TEXTS = st.text(st.sampled_from("ab .,\n🦊é"), max_size=60)


@given(_TEXTS, _TEXTS)
def test_a_diff_turns_the_old_text_into_the_new_one(old: str, new: str) -> None:
    changed = differences(old, new)
    for change in changed:
        assert old[slice(*change["from"])] == change["old"]
        assert new[slice(*change["to"])] == change["new"]
    for change in reversed(changed):
        start, end = change["from"]
        old = old[:start] + change["new"] + old[end:]
    assert old == new


def test_a_long_change_is_kept_as_one_piece() -> None:
    old, new = "start " + "a " * 5000 + "end", "start " + "b " * 5000 + "end"
    assert [(each["tag"], each["from"]) for each in differences(old, new)] == [("replace", [6, 10005])]


def test_a_diff_of_the_longest_texts_takes_no_longer_than_a_second_whatever_they_are() -> None:
    texts = ["a b " * 1900, "b a " * 1900, "ab" * 10_000, " ".join(map(str, range(1900))), "," * 3900, ",." * 1950]
    for old in texts:
        for new in texts:
            started = time.process_time()
            differences(old, new + "x")
            assert time.process_time() - started < 1.0, (old[:8], new[:8])
