"""Items and ratings come in from files, and every fault is told by file, row and column."""

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import rrm.interchange.items as items_module
from rrm.core.annotation import Annotation, Item, ItemText
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import (
    KINDS,
    Comparison,
    Consequence,
    Critique,
    Feedback,
    Label,
    Passage,
    Ranking,
    Rated,
    Rating,
    Reject,
    Request,
    Shown,
    View,
)
from rrm.interchange import annotations
from rrm.interchange.export import record, to_jsonl, to_records
from rrm.interchange.items import item_notes, items_from, items_read, ratings_from, read_answer, read_ratings

PAIR = {
    "instruction": "Summarise.",
    "source": "The fox crossed the river.",
    "outputs": ["A", "B"],
    "kind": "comparison",
}


def written(folder: Path, *rows: Mapping[str, Any]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(folder: Path, row: Mapping[str, Any]) -> Item:
    (item,) = items_from(written(folder, row))
    return item


def lookup(*requests: Request):
    return lambda ids: {each.id: each for each in requests if each.id in ids}


# ---- items ----


def test_a_row_becomes_an_item_in_the_rows_own_order(tmp_path: Path) -> None:
    item = read(tmp_path, {**PAIR, "outputs": ["Z", "A"]})
    request = item.request
    assert (item.purpose, item.wanted, item.value, item.expected) == ("work", 1, 0.0, None)
    assert [each.text for each in request.shown] == ["Z", "A"]
    assert request.view == View("Summarise.", (Passage("The fox crossed the river."),), 128)
    assert (request.kind, request.place, request.criterion, request.copy) == ("comparison", Place(), "overall", 0)


def test_a_row_may_say_all_that_an_item_can_be(tmp_path: Path) -> None:
    item = read(
        tmp_path,
        {
            "instruction": "Join these.",
            "passages": ["Part one.", {"text": "Part two.", "score": 0.5, "node": "n2", "output": "o2"}],
            "context": "Before.",
            "outputs": ["a", "b", "c"],
            "kind": "ranking",
            "max_tokens": 64,
            "round": 1,
            "subject": "split",
            "level": 2,
            "criterion": "faithful",
            "node": "node-7",
            "source_id": 12,
            "purpose": "gold",
            "wanted": 3,
            "value": -1.5,
            "expected": {"kind": "ranking", "best_first": [2, 0]},
            "explanation": "c says most.",
        },
    )
    passages = (Passage("Part one."), Passage("Part two.", "n2", "o2", 0.5))
    assert item.request.view == View("Join these.", passages, 64, "Before.")
    assert (item.request.node, item.request.source) == ("node-7", "12")
    assert (item.request.place, item.request.criterion) == (Place(1, "split", 2), "faithful")
    assert item == Item(item.request, "gold", 3, -1.5, Ranking((2, 0)), "c says most.")


def test_rows_about_one_text_are_of_one_source_and_equal_rows_are_one_item(tmp_path: Path) -> None:
    other = {**PAIR, "outputs": ["A", "C"]}
    elsewhere = {**PAIR, "source": "The owl slept."}
    first, second, third, fourth = (
        each.request for each in items_from(written(tmp_path, PAIR, other, elsewhere, PAIR))
    )
    assert first.source == second.source != third.source
    assert first.id == fourth.id
    assert len({first.id, second.id, third.id}) == 3


def test_rows_that_do_not_say_how_many_raters_they_want_take_the_callers_word(tmp_path: Path) -> None:
    file = written(tmp_path, PAIR, {**PAIR, "wanted": 1})
    assert [item.wanted for item in items_from(file, wanted=3)] == [3, 1]


@pytest.mark.parametrize(
    ("kind", "outputs", "told", "expected"),
    [
        ("comparison", ["a", "b"], {"kind": "comparison", "better": 1, "strength": 0.5}, Comparison(1, 0.5)),
        ("comparison", ["a", "b"], {"better": None}, Comparison(None)),
        ("comparison", ["a", "b"], {"better": None, "strength": None, "both_bad": True}, Reject("both are bad")),
        ("comparison", ["a", "b"], {"better": 0, "both_bad": False}, Comparison(0)),
        ("ranking", ["a", "b", "c"], {"best_first": [1]}, Ranking((1,))),
        ("rating", ["a"], {"value": 5}, Rating(5, 7)),
        ("rating", ["a"], {"value": 2, "points": 3}, Rating(2, 3)),
        ("label", ["a"], {"good": False}, Label(False)),
        ("label", ["a"], {"kind": "reject", "reason": "Nonsense."}, Reject("Nonsense.")),
        ("reject", ["a"], {"kind": "label", "good": True}, Label(True)),
        ("comparison", ["a", "b"], '{"better": 1}', Comparison(1)),
    ],
)
def test_the_right_answer_of_a_gold_item_is_read(
    tmp_path: Path, kind: str, outputs: list[str], told: object, expected: object
) -> None:
    item = read(tmp_path, {**PAIR, "kind": kind, "outputs": outputs, "purpose": "gold", "expected": told})
    assert item.expected == expected


def test_a_practice_item_whose_answers_are_not_right_or_wrong_needs_none(tmp_path: Path) -> None:
    row = {**PAIR, "kind": "demonstration", "outputs": [], "purpose": "practice", "explanation": "Be short."}
    assert read(tmp_path, row).expected is None


def test_the_requests_of_our_own_records_are_taken_as_they_are(tmp_path: Path) -> None:
    view = View("Summarise.", (Passage("x", "n", "o", 0.5),), 77, "Before.")
    request = Request(
        "node",
        "book",
        Place(1, "whole", 3),
        "comparison",
        view,
        (Shown("1", "a"), Shown("2", "b")),
        "v2",
        4,
        "faithful",
    )
    feedback = Feedback(request.id, "ann", Comparison(0))
    file = tmp_path / "records.jsonl"
    to_jsonl([{**row, "wanted": 2} for row in to_records([Rated(request, feedback)])], file)
    (item,) = items_from(file)
    assert item == Item(request, wanted=2)
    assert item.request.id == request.id


def test_gzip_and_parquet_are_read_like_json_lines(tmp_path: Path) -> None:
    rows = [{**PAIR, "purpose": "gold", "expected": {"better": 1}}, {**PAIR, "kind": "label", "outputs": ["A"]}]
    plain = list(items_from(written(tmp_path, *rows)))
    packed, parquet = tmp_path / "rows.jsonl.gz", tmp_path / "rows.parquet"
    packed.write_bytes(gzip.compress((tmp_path / "rows.jsonl").read_bytes()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), parquet)
    assert list(items_from(packed)) == plain
    assert list(items_from(parquet)) == plain


FAULTS = [
    ({"instruction": None}, "'instruction' is missing"),
    ({"instruction": " "}, "'instruction' is empty"),
    ({"source": 5}, "'source' must be a text"),
    ({"passages": ["x"]}, "'source' and 'passages' are both there"),
    ({"source": None, "passages": "x"}, "'passages' must be a list"),
    ({"source": None, "passages": [{"text": "x", "score": 2}]}, r"'passages\[0\]': a score is a probability"),
    ({"source": None, "passages": ["x", {"txt": "y"}]}, r"'passages\[1\]' has text, score"),
    ({"source": None, "passages": ["x", {"score": 0.5}]}, r"'passages\[1\]' must be a text"),
    ({"kind": "choice"}, "'kind' must be one of comparison"),
    ({"kind": None}, "'kind' must be one of comparison"),
    ({"kind": ["comparison"]}, "'kind' must be one of comparison"),
    ({"outputs": "A"}, "'outputs' must be a list of texts"),
    ({"outputs": ["A"]}, "'outputs': a comparison shows 2 outputs, got 1"),
    ({"outputs": ["A", ""]}, r"'outputs\[1\]' is empty"),
    ({"outputs": ["A", 7]}, r"'outputs\[1\]' must be a text"),
    ({"outputs": ["A", "A"]}, "'outputs': the texts at 0 and 1 are the same"),
    ({"kind": "ranking", "outputs": list("abcdefg")}, "'outputs': a ranking shows 2 to 6 outputs, got 7"),
    ({"kind": "label"}, "'outputs': a label shows 1 outputs, got 2"),
    ({"level": -1}, "'level' must be a whole number"),
    ({"level": "1"}, "'level' must be a whole number"),
    ({"round": -1}, "'round' must be a whole number from 0"),
    ({"subject": "root"}, "'subject' must be one of answer, whole, split"),
    ({"criterion": 0.5}, "'criterion' must be a name"),
    ({"max_tokens": 0}, "'max_tokens' must be a whole number"),
    ({"wanted": 0}, "'wanted' must be a whole number"),
    ({"wanted": True}, "'wanted' must be a whole number"),
    ({"value": "high"}, "'value' must be a finite number"),
    ({"value": float("inf")}, "'value' must be a finite number"),
    ({"purpose": "golden"}, "'purpose' must be one of work, gold, attention, practice"),
    ({"purpose": "gold"}, "'expected' is missing"),
    ({"purpose": "practice"}, "'expected' is missing"),
    ({"expected": {"better": 0}}, "'expected' is for gold, attention and practice items"),
    ({"purpose": "gold", "expected": {"better": 2}}, "'expected': 'better' must be 0, 1 or null, got 2"),
    ({"purpose": "gold", "expected": {"better": True}}, "'expected': 'better' must be 0, 1 or null"),
    ({"purpose": "gold", "expected": {}}, "'expected': a comparison needs better"),
    ({"purpose": "gold", "expected": {"good": True}}, "'expected': a comparison has better, strength, and no 'good'"),
    (
        {"purpose": "gold", "expected": {"kind": "label", "good": True}},
        "the item asks for a comparison, got a label",
    ),
    ({"purpose": "gold", "expected": "A"}, "'expected': an answer must be an object"),
    ({"purpose": "gold", "expected": [0]}, "'expected': an answer must be an object"),
    ({"purpose": "gold", "expected": {"kind": "guess"}}, "'expected': an answer's kind is one of"),
    (
        {"purpose": "gold", "kind": "rating", "outputs": ["A"], "expected": {"value": 9}},
        "'expected': a rating lies between 1 and 7",
    ),
    (
        {"purpose": "gold", "kind": "ranking", "expected": {"best_first": [2, 0]}},
        "'expected': a ranking names some of the 2 places",
    ),
    (
        {"purpose": "gold", "kind": "ranking", "expected": {"best_first": [0, 0]}},
        "'expected': a ranking names different positions",
    ),
    (
        {"purpose": "attention", "kind": "correction", "outputs": ["A"], "expected": {"text": "B"}},
        "'kind': no answer to a correction is right or wrong",
    ),
    ({"explanation": 5}, "'explanation' must be a text"),
    ({"purpos": "gold"}, "no column 'purpos'"),
    ({"request": {}}, "'request' is none of rrm's records"),
    ({"request": "x"}, "'request' is none of rrm's records"),
    ({"source_id": ""}, "'source_id' must be a name"),
    ({"node": 1.5}, "'node' must be a name"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_told_in_one_sentence_with_file_row_and_column(
    tmp_path: Path, change: Mapping[str, Any], message: str
) -> None:
    file = written(tmp_path, PAIR, {**PAIR, **change})
    with pytest.raises(InputError, match=message) as refused:
        list(items_from(file))
    assert str(refused.value).startswith(f"{file}, row 2: ")
    assert "\n" not in str(refused.value)


def test_a_request_with_false_types_inside_is_refused_before_it_reaches_the_record(tmp_path: Path) -> None:
    request = Request("node", "book", Place(), "label", VIEW, (Shown("1", "a"),))
    (row,) = to_records([Rated(request, Feedback(request.id, "ann", Label(True)))])
    for part, value in (
        ("place", {"level": "0"}),
        ("place", 0),
        ("criterion", 5),
        ("node", 5),
        ("copy", -1),
        ("shown", [{"output": "1", "text": 3}]),
    ):
        file = written(tmp_path, {"request": {**row["request"], part: value}})
        with pytest.raises(InputError, match="row 1: column 'request' is none of rrm's records"):
            list(items_from(file))


# ---- ratings ----

VIEW = View("Summarise.", (Passage("The fox crossed the river."),), 128)
ASKED = Request("node", "book", Place(level=1), "comparison", VIEW, (Shown("1", "short"), Shown("2", "long")))
CRITIQUED = Request("node", "book", Place(level=1), "critique", VIEW, (Shown("1", "short"),))


def test_ratings_made_elsewhere_are_read_by_their_items(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"item": ASKED.id, "rater": "ann", "answer": {"kind": "comparison", "better": 1, "strength": 0.5}},
        {"item": ASKED.id, "rater": 7, "answer": {"better": None}, "seconds": 3, "confidence": 0.5},
        {"item": ASKED.id, "rater": "bob", "answer": {"both_bad": True}},
        {"item": CRITIQUED.id, "rater": "bob", "answer": {"text": "Too long.", "spans": [[0, 5]], "source_spans": []}},
    )
    first, second, third, fourth = ratings_from(file, lookup(ASKED, CRITIQUED))
    assert first == Rated(ASKED, Feedback(ASKED.id, "ann", Comparison(1, 0.5)))
    assert second == Rated(ASKED, Feedback(ASKED.id, "7", Comparison(None), 3.0, 0.5))
    assert third.feedback.answer == Reject("both are bad")
    assert fourth.feedback.answer == Critique("Too long.", ((0, 5),))


def test_raters_who_may_be_one_and_ratings_that_stand_twice_are_noted() -> None:
    (item,) = items_from([PAIR])
    known = {item.request.id: item.request}
    row = {"item": item.request.id, "answer": {"better": 0}}
    given = [{**row, "rater": "ann"}, {**row, "rater": "Ann "}, {**row, "rater": "ann", "answer": {"better": 1}}]
    assert read_ratings(given, lambda ids: known).notes == [
        "raters whom capitals or white space alone tell apart, such as 'ann' and 'Ann ': read as two; spell them alike",
        "ratings of an item that its rater has rated before: 1, 1 of them another answer; the first is taken",
    ]
    assert read_ratings(given[:1], lambda ids: known).notes == []


def test_our_own_records_need_no_look_up(tmp_path: Path) -> None:
    rated = [Rated(ASKED, Feedback(ASKED.id, "ann", Comparison(1, 0.5), 2.5, 0.75))]
    file = tmp_path / "records.jsonl"
    to_jsonl(to_records(rated), file)
    assert list(ratings_from(file, lambda ids: pytest.fail("looked up"))) == rated


def given(answer: Any, **known: Any) -> Annotation:
    fixed = {"order": (1, 0), "guideline": 1, "shown": "s", "at": 0.0, "seconds": 2.5, "wall_seconds": 3.0}
    item = {"purpose": "work", "place": Place(level=1), "node": "node", "kind": "comparison", "state": "live"}
    rest = {"id": "g", "item": ASKED.id, "person": "p-1", "confidence": 0.75, "detail": {}}
    return Annotation(answer=answer, **{**fixed, **item, **rest, **known})


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_exported_answers_come_in_again_as_far_as_they_count(tmp_path: Path, form: str) -> None:
    answers = [
        given(Comparison(1, 0.5)),
        given(Reject("both are bad"), detail={"both_bad": True}, seconds=None, confidence=None),
        given(Comparison(0), state="undone"),
        given(Comparison(0), purpose="gold"),
        given(Critique("No.", ((0, 2),), (0,)), item=CRITIQUED.id, kind="critique", order=(0,)),
    ]
    requests = lookup(ASKED, CRITIQUED)
    asked = {
        each.id: ItemText(each.source, tuple(one.text for one in each.shown), each.criterion)
        for each in (ASKED, CRITIQUED)
    }
    file = tmp_path / f"rows.{form}"
    file.write_bytes(b"".join(getattr(annotations, form)(annotations.rows(answers, lambda ids: asked))))
    assert list(ratings_from(file, requests)) == list(annotations.rated(answers, requests))
    assert len(list(ratings_from(file, requests))) == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"item": "request-0"}, "'item': no item 'request-0' is on record"),
        ({"item": None}, "'item' is missing"),
        ({"item": 5}, "'item' must be a text"),
        ({"rater": None}, "'rater' must be a name"),
        ({"rater": ""}, "'rater' must be a name"),
        ({"answer": None}, "'answer' is missing"),
        ({"answer": {"better": 0, "strength": 2}}, "'answer': 'strength' must be a number from 0 to 1"),
        ({"answer": {"better": 0, "strength": "far"}}, "'answer': 'strength' must be a number from 0 to 1"),
        ({"answer": {"kind": "reject", "reason": ""}}, "'answer': 'reason' must be a text that is not empty"),
        ({"seconds": -1}, "'seconds' must be a number from 0 up"),
        ({"confidence": 0}, "'confidence' must be a number above 0"),
        ({"confidence": "1e5"}, "'confidence' must be a number above 0"),
        (
            {"item": CRITIQUED.id, "answer": {"text": "x", "spans": [[0, 6]]}},
            "'answer': a span lies within the output's 5 characters",
        ),
        ({"item": CRITIQUED.id, "answer": {"text": "x", "spans": [[3, 3]]}}, "'answer': 'spans' must be a list"),
        ({"item": CRITIQUED.id, "answer": {"text": "x", "consistent": [1]}}, "speaks for some of the 1 places"),
        ({"request": {}, "feedback": {}}, "not one of rrm's records"),
    ],
)
def test_a_rating_that_does_not_fit_is_told_by_file_row_and_column(
    tmp_path: Path, row: Mapping[str, Any], message: str
) -> None:
    right = {"item": ASKED.id, "rater": "ann", "answer": {"better": 1}}
    file = written(tmp_path, right, {**right, **row})
    with pytest.raises(InputError, match=message) as refused:
        list(ratings_from(file, lookup(ASKED, CRITIQUED)))
    assert str(refused.value).startswith(f"{file}, row 2: ")


def test_requests_are_looked_up_many_at_once(tmp_path: Path) -> None:
    asked_for: list[int] = []
    file = written(tmp_path, *[{"item": ASKED.id, "rater": str(n), "answer": {"better": 1}} for n in range(1_100)])

    def requests(ids: Any) -> dict[str, Request]:
        asked_for.append(len(ids))
        return {ASKED.id: ASKED}

    assert len(list(ratings_from(file, requests))) == 1_100
    assert asked_for == [1, 1, 1]


# ---- what other programs make of texts and whole numbers ----


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"outputs": ["fine", "half \ud83d"]}, r"'outputs\[1\]' holds half a character \('\\ud83d' at letter 6\)"),
        ({"instruction": "\udfff"}, r"'instruction' holds half a character \('\\udfff' at letter 1\)"),
        ({"passages": [{"text": "x"}, {"text": "y\ud800"}]}, r"'passages\[1\].text' holds half a character"),
        ({"context": "a\0b"}, r"'context' holds a null character \(at letter 2\): remove it"),
        ({"purpose": "practice", "explanation": "\ud800"}, "'explanation' holds half a character"),
    ],
)  # fmt: skip
def test_texts_that_no_record_can_hold_are_named_by_row_and_column(tmp_path: Path, told: dict, says: str) -> None:
    good = {"instruction": "Which?", "kind": "comparison", "outputs": ["One 🦊.", "Two."]}
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (good, {**good, **told})))
    with pytest.raises(InputError, match=r"items\.jsonl, row 2: column .*" + says):
        list(items_from(tmp_path / "items.jsonl"))


def test_whole_floats_and_flags_are_read_as_they_were_meant(tmp_path: Path) -> None:
    row = {"instruction": "Which?", "kind": "comparison", "outputs": ["One.", "Two."]}
    floats = {"wanted": 3.0, "round": 1.0, "level": 2.0, "max_tokens": 64.0, "source_id": 7.0}
    whole = {name: int(value) for name, value in floats.items()}
    gold = {"purpose": "gold", "expected": {"better": 1.0}}
    assert list(items_from([{**row, **floats, **gold}])) == list(items_from([{**row, **whole, **gold}]))
    label = {**row, "kind": "label", "outputs": ["One."], "purpose": "gold"}
    assert next(items_from([{**label, "expected": {"good": 1}}])).expected == Label(True)
    with pytest.raises(InputError, match="row 1: column 'wanted' must be a whole number"):
        list(items_from([{**row, "wanted": 1.5}]))


def test_rows_that_ask_the_same_are_noted() -> None:
    row = {"instruction": "Which?", "kind": "comparison", "outputs": ["One.", "Two."]}
    assert item_notes(list(items_from([row, {**row, "instruction": "What?"}]))) == []
    assert item_notes(list(items_from([row, row, row]))) == [
        "rows that ask what another row asks: 2; together they are one item each"
    ]
    turned = [row, {**row, "outputs": row["outputs"][::-1]}, {**row, "outputs": ["One.", "Three."]}]
    assert item_notes(list(items_from(turned))) == [
        "rows that ask what another row asks, with the outputs in another order: 1; an item each"
    ]


def test_what_rows_were_read_as_is_one_line_and_thoughts_in_outputs_are_noted(tmp_path: Path) -> None:
    label = {**PAIR, "kind": "label", "outputs": ["<think>hm</think>A mill burned."]}
    practice = {**label, "purpose": "practice", "expected": {"good": 1}}
    items = list(items_from([PAIR, {**PAIR, "outputs": ["C", "D"]}, practice]))
    assert items_read(items) == "read 3 rows as items: comparison 2, label 1; for work 2, practice 1"
    (note,) = item_notes(items)
    assert note.startswith("rows whose outputs hold thoughts, before </think> or a mark like it: 1; raters are")
    row = {"item": ASKED.id, "rater": "ann", "answer": {"better": 1}}
    found = read_ratings([row, {**row, "state": "undone"}, {**row, "purpose": "gold"}], lookup(ASKED))
    assert (len(found.rated), found.read) == (1, "read 3 rows as ratings: comparison 1")
    assert found.notes == ["rows passed over: 2, of answers that do not count or are to known answers"]
    assert read_ratings([row], lookup(ASKED)).notes == []


SHAPES = re.compile(r"^    (\{\"kind\".*?\})(?= {2}|$)", re.MULTILINE)
TABLE = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| ((?:`\{[^`]*\}`(?:, )?)+) \|", re.MULTILINE)


def documented() -> list[tuple[str, dict[str, Any]]]:
    """The shapes of answers in the reader's docstring and on the page about annotators, with their kinds."""
    shapes = [json.loads(each) for each in SHAPES.findall(items_module.__doc__ or "")]
    page = (Path(__file__).parents[2] / "docs" / "annotators.md").read_text("utf-8")
    rows = [(re.findall(r"\w+", kinds), re.findall(r"`(\{.*?\})`", told)) for kinds, told in TABLE.findall(page)]
    return [
        *((each["kind"], each) for each in shapes),
        *((kind, json.loads(each)) for kinds, told in rows for kind in kinds for each in told),
    ]


def test_every_documented_shape_of_an_answer_is_read() -> None:
    known = documented()
    assert {kind for kind, _ in known} == set(KINDS) and len(known) == 2 * len(KINDS) + 1
    for kind, told in known:
        count = 3 if kind == "ranking" else max(1, KINDS[kind].shows[0])
        shown = tuple(Shown(str(n), f"A mill burned at {n}.") for n in range(count))
        answer = read_answer(told, Request("node", "book", Place(), kind, VIEW, shown))
        assert answer.kind == kind or answer == Reject("both are bad")


CAME = {"text": "Right: A ____ burned – mill.", "worth": 0.5, "checked": 4, "wrong": 1}


def test_what_came_of_outputs_is_read_and_shown_in_hindsight_alone() -> None:
    outputs = [{"text": text, "consequence": CAME} for text in ("A mill burned.", "A barn burned.")]
    [item] = items_from([{**PAIR, "kind": "hindsight", "outputs": outputs}])
    assert [each.consequence for each in item.request.shown] == [Consequence(CAME["text"], 0.5, 4, 1)] * 2
    with pytest.raises(InputError, match=r"column 'outputs': in hindsight each output has a consequence"):
        list(items_from([{**PAIR, "kind": "hindsight", "outputs": [outputs[0], "A barn burned."]}]))
    with pytest.raises(InputError, match=r"column 'outputs': what came of outputs is shown in hindsight alone"):
        list(items_from([{**PAIR, "outputs": outputs}]))


def test_what_a_critic_wrote_is_read_and_shown_to_those_who_mark_claims_alone() -> None:
    outputs = [{"text": "A mill burned.", "critique": "It was a barn."}]
    [item] = items_from([{**PAIR, "kind": "claims", "outputs": outputs}])
    assert item.request.shown[0].critique == "It was a barn."
    [bare] = items_from([{**PAIR, "kind": "claims", "outputs": [{**outputs[0], "critique": None}]}])
    assert bare.request.shown[0].critique == "" and bare.request.id != item.request.id
    with pytest.raises(InputError, match=r"column 'outputs': what a critic wrote is shown to those who mark claims"):
        list(items_from([{**PAIR, "kind": "label", "outputs": outputs}]))
    with pytest.raises(InputError, match=r"row 1: column 'outputs\[0\]'"):
        list(items_from([{**PAIR, "kind": "claims", "outputs": [{**outputs[0], "critique": 3}]}]))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"worth": 2}, "from 0 to 1, got 2"),
        ({"worth": "much"}, "a number from 0 to 1 for worth"),
        ({"wrong": 9}, "got 9 of 4"),
        ({"wrong": 0.5}, "whole numbers"),
        ({"text": " "}, "is empty"),
        ({"said": 1}, "has text and worth"),
    ],
)
def test_a_consequence_that_is_none_is_refused_by_its_column(changes: dict[str, Any], why: str) -> None:
    outputs = [{"text": "A mill burned.", "consequence": {**CAME, **changes}}, "A barn burned."]
    with pytest.raises(InputError, match=rf"row 1: column 'outputs\[0\]'.*{why}"):
        list(items_from([{**PAIR, "kind": "hindsight", "outputs": outputs}]))


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"source": "books/mill.txt"}, "rows whose source is a name and no text, such as 'books/mill.txt': 1; "),
        ({"outputs": ["A", "[removed]"]}, "rows whose outputs say \"nan\", \"[deleted]\", \"2.\" or the like: 1; "),
        ({"outputs": ["A", "1)"]}, "rows whose outputs say \"nan\", \"[deleted]\", \"2.\" or the like: 1; "),
        ({"outputs": ["So it is.", "So  it is. "]}, "rows whose outputs white space alone tells apart: 1; raters are"),
        ({"outputs": ["A", "Q &amp; A"]}, "texts with characters written as HTML writes them, such as '&amp;', in 1"),
        ({"outputs": ["A", "a l i k e"]}, "texts with words whose letters stand apart, such as 'a l i k e'"),
        ({"outputs": ["A", "ZoÃ«"]}, "texts with letters that were lost or read in a wrong encoding, such as 'Ã«'"),
        ({"source": "A fer-\nryman left."}, "texts with words broken at line ends, such as 'fer-\\nryman', in 1 row"),
    ],
)  # fmt: skip
def test_what_raters_are_shown_that_may_be_no_text_is_noted(row: dict[str, Any], note: str) -> None:
    (said,) = item_notes(list(items_from([PAIR, {**PAIR, **row}])))
    assert said.startswith(note)


@pytest.mark.parametrize(
    ("answer", "shown", "why"),
    [
        ({"kind": "claims", "unsupported": [[0, 400]]}, {}, "made on another version of the output"),
        ({"kind": "claims", "unsupported": [[-5, 3]]}, {}, "got -5 to 3"),
        ({"kind": "claims"}, {"support": [0.5, 0.5]}, "support of 2 claims, and the output has 1"),
        ({"kind": "claims"}, {"support": ["much"]}, "support is a list of probabilities from 0 to 1"),
        ({"kind": "claims"}, {"support": [7.0]}, "support is a list of probabilities from 0 to 1"),
        ({"kind": "claims"}, {"support": [float("nan")]}, "support is a list of probabilities from 0 to 1"),
        ({"kind": "claims"}, {"critique": 3}, "a critique is a text, got 3"),
    ],
)
def test_marks_on_a_claim_that_an_edit_removed_are_refused_where_records_are_read(
    answer: dict[str, Any], shown: dict[str, Any], why: str
) -> None:
    """A mark beyond the text was read as one on all of it."""
    view = {"instruction": "Tell.", "passages": [{"text": "A mill burned."}], "max_tokens": 9, "context": ""}
    output = {"output": "o", "text": "A mill burned.", **shown}
    request = {"node": "n", "source": "s", "kind": "claims", "view": view, "shown": [output]}
    with pytest.raises(InputError, match=why):
        record({"request": request, "feedback": {"rater": "Ann", "answer": answer}})
