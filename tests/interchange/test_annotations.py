"""Answers go out as rows in four forms, with their places and texts right, in flat memory."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rrm.core.annotation import Annotation, ItemText, Person
from rrm.core.errors import MissingError
from rrm.core.place import Place
from rrm.core.values import (
    KINDS,
    Answer,
    ClaimMarks,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Passage,
    Ranking,
    Rating,
    Reject,
    Request,
    Shown,
    View,
)
from rrm.interchange import annotations

VIEW = View("Summarise.", (Passage("The fox crossed the river."),), 128)

PLACE = Place(1, "split", 2)


def asked(kind: str, *texts: str) -> Request:
    shown = tuple(Shown(f"output-{text}", text) for text in texts)
    return Request("node-1", "book", PLACE, kind, VIEW, shown, criterion="faithful")


def answered(request: Request, answer: Answer, order: tuple[int, ...] = (0,), **known) -> Annotation:
    made = Annotation(
        id="given-1",
        item=request.id,
        person="p-1",
        answer=answer,
        order=order,
        guideline=3,
        shown="shown-1",
        at=1_700_000_000.25,
        seconds=4.5,
        wall_seconds=6.0,
        confidence=0.9,
        detail={},
        state="live",
        purpose="work",
        place=request.place,
        node=request.node,
        kind=request.kind,
    )
    return made._replace(**known)


def lookup(*requests: Request):
    return lambda ids: {each.id: each for each in requests if each.id in ids}


def texts_of(*requests: Request):
    """What a desk tells of requests for rows, which have no need of their views."""
    return lambda ids: {
        each.id: ItemText(each.source, tuple(one.text for one in each.shown), each.criterion)
        for each in requests
        if each.id in ids
    }


def row_of(request: Request, answer: Answer, order: tuple[int, ...] = (0,), **known) -> dict:
    return next(annotations.rows([answered(request, answer, order, **known)], texts_of(request)))


ASKED = ("asked_stream", "asked_pool", "asked_propensity", "asked_value", "asked_bundle", "asked_minutes")

PAIR = asked("comparison", "short", "long")


# ---- what a row says ----


def test_a_row_tells_all_that_is_known_of_an_answer() -> None:
    row = row_of(PAIR, Comparison(0, 0.25), (1, 0), detail={"away": 2}, right=True)
    assert row == {
        "id": "given-1",
        "item": PAIR.id,
        "sheet": "",
        "node": "node-1",
        "source": "book",
        "round": 1,
        "subject": "split",
        "level": 2,
        "criterion": "faithful",
        "kind": "comparison",
        "purpose": "work",
        "rater": "p-1",
        "answer": {"kind": "comparison", "better": 0, "strength": 0.25},
        "better": "second",
        "strength": 0.25,
        "value": None,
        "good": None,
        "text": None,
        "reason": None,
        "best_first": None,
        "tied": None,
        "outputs": ["long", "short"],
        "order": [1, 0],
        "guideline": 3,
        "shown": "shown-1",
        "at": "2023-11-14T22:13:20.250Z",
        "seconds": 4.5,
        "wall_seconds": 6.0,
        "confidence": 0.9,
        "state": "live",
        "right": True,
        "adjudication": False,
        "detail": {"away": 2},
        **dict.fromkeys(ASKED),
    }


@pytest.mark.parametrize(
    ("better", "order", "word"),
    [(0, (0, 1), "first"), (1, (0, 1), "second"), (0, (1, 0), "second"), (1, (1, 0), "first"), (None, (1, 0), "tie")],
)
def test_better_names_the_output_as_it_stood_on_the_page(better: int | None, order: tuple, word: str) -> None:
    row = row_of(PAIR, Comparison(better), order)
    assert row["better"] == word
    if better is not None:
        assert row["outputs"][("first", "second").index(word)] == PAIR.shown[better].text


def test_the_best_first_of_a_ranking_count_the_outputs_as_they_stood_from_1() -> None:
    request = asked("ranking", "a", "b", "c")
    row = row_of(request, Ranking((2, 0, 1)), (1, 2, 0))  # the page showed b, c, a; best is c, then a, then b
    assert row["outputs"] == ["b", "c", "a"]
    assert row["best_first"] == [2, 3, 1] and row["tied"] == []
    assert row_of(request, Ranking((2, 0, 1), (0,)), (1, 2, 0))["tied"] == [3]


@pytest.mark.parametrize(
    ("answer", "column", "value"),
    [
        (Rating(5), "value", 5),
        (Label(False), "good", False),
        (Correction("Mended."), "text", "Mended."),
        (Demonstration("Written."), "text", "Written."),
        (Critique("Too long.", ((0, 3),)), "text", "Too long."),
        (Reject("Off topic."), "reason", "Off topic."),
    ],
)
def test_each_kind_has_a_column_to_read(answer: Answer, column: str, value: object) -> None:
    row = row_of(asked(answer.kind, "one"), answer)
    readable = ("better", "strength", "value", "good", "text", "reason", "best_first")
    assert {name: row[name] for name in readable if row[name] is not None} == {column: value}
    assert row["answer"]["kind"] == answer.kind


def test_no_kind_is_without_an_example_here() -> None:
    assert set(KINDS) == {
        "comparison",
        "hindsight",
        "ranking",
        "rating",
        "label",
        "correction",
        "demonstration",
        "critique",
        "claims",
        "reject",
    }


def test_both_bad_reads_as_neither() -> None:
    row = row_of(PAIR, Reject("both are bad"), (0, 1), detail={"both_bad": True})
    assert (row["better"], row["reason"]) == ("neither", "both are bad")


def test_names_stand_in_rows_only_where_they_are_given() -> None:
    answers = [answered(PAIR, Comparison(0), (0, 1)), answered(PAIR, Comparison(0), (0, 1), person="p-2")]
    plain = list(annotations.rows(answers, texts_of(PAIR)))
    named = list(annotations.rows(answers, texts_of(PAIR), {"p-1": "Ada"}, groups={}))
    assert all("name" not in row for row in plain)
    assert [(row["rater"], row["name"]) for row in named] == [("p-1", "Ada"), ("p-2", None)]
    assert list(named[0]) == list(annotations.COLUMNS)


def test_groups_stand_in_rows_only_where_somebody_is_of_one() -> None:
    answers = [answered(PAIR, Comparison(0), (0, 1)), answered(PAIR, Comparison(0), (0, 1), person="p-2")]
    people = [Person("p-1", "Ada", group="de"), Person("p-2", "Bo")]
    assert annotations.groups_of(people[1:]) is None
    groups = annotations.groups_of(people)
    told = list(annotations.rows(answers, texts_of(PAIR), groups=groups))
    assert [(row["rater"], row["group"]) for row in told] == [("p-1", "de"), ("p-2", None)]
    assert list(told[0]) == [column for column in annotations.COLUMNS if column != "name"]
    assert all("group" not in row for row in annotations.rows(answers, texts_of(PAIR)))
    rated = list(annotations.rated(answers, lambda ids: {PAIR.id: PAIR}))
    assert [row["group"] for row in annotations.trl(rated, groups=groups)] == ["de", None]
    assert all("group" not in row for row in annotations.trl(rated))
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(annotations.parquet(told))))
    assert table.column("group").to_pylist() == ["de", None]


def test_requests_are_looked_up_many_at_once_and_each_once() -> None:
    asked_for: list[Sequence[str]] = []

    def known(ids: Sequence[str]) -> dict[str, ItemText]:
        asked_for.append(ids)
        return texts_of(PAIR)(ids)

    answers = [answered(PAIR, Comparison(0), (0, 1))] * 1_200
    assert len(list(annotations.rows(answers, known))) == 1_200
    assert asked_for == [[PAIR.id]] * 3


def test_an_answer_without_its_request_is_named() -> None:
    with pytest.raises(MissingError, match=f"answer given-1 is to request {PAIR.id}"):
        list(annotations.rows([answered(PAIR, Comparison(0), (0, 1))], texts_of()))


def test_only_live_answers_to_work_are_feedback() -> None:
    answers = [
        answered(PAIR, Comparison(1), (1, 0), id="kept"),
        *(answered(PAIR, Comparison(0), (0, 1), state=state) for state in ("undone", "requeued", "adjudicated")),
        *(answered(PAIR, Comparison(0), (0, 1), purpose=purpose) for purpose in ("gold", "attention", "practice")),
    ]
    (only,) = annotations.rated(answers, lookup(PAIR))
    assert (only.request, only.feedback.answer, only.feedback.rater) == (PAIR, Comparison(1), "p-1")
    assert (only.feedback.seconds, only.feedback.confidence) == (4.5, 0.9)


def test_trl_rows_are_the_preferences_of_what_counts() -> None:
    answers = [answered(PAIR, Comparison(1, 0.5), (1, 0)), answered(PAIR, Comparison(None), (0, 1))]
    (row,) = annotations.trl(annotations.rated(answers, lookup(PAIR)))
    assert row == {
        "prompt": "The fox crossed the river.\n\nSummarise.",
        "chosen": "long",
        "rejected": "short",
        "annotator": "p-1",
        "source_id": "book",
        "round": 1,
        "subject": "split",
        "level": 2,
        "criterion": "faithful",
    }


# ---- rows as bytes ----

AWKWARD = "漢字 🦊 \"quoted\", comma\r\nline\n'apostrophe' <b>=1+1</b> \u2028"
EVERY = [
    answered(asked("comparison", AWKWARD, "=cmd|' /C calc'!A0"), Comparison(1, 0.5), (1, 0)),
    answered(asked("ranking", "a", "b", "c"), Ranking((2, 0, 1)), (1, 2, 0)),
    answered(asked("rating", "a"), Rating(3), right=False, seconds=None, confidence=None),
    answered(asked("label", "a"), Label(True), adjudication=True),
    answered(asked("correction", "a"), Correction(AWKWARD), detail={"diff": [["+", "x"]]}),
    answered(asked("demonstration"), Demonstration("+1"), ()),
    answered(asked("critique", "abc"), Critique("-", ((0, 1), (1, 3)), (0,))),
    answered(asked("claims", "abc"), ClaimMarks(((0, 1),), ((1, 3),), ("-",))),
    answered(asked("reject", "a"), Reject("\t@SUM(A1)")),
]
TEXTS = {
    "comparison": (AWKWARD, "=cmd|' /C calc'!A0"),
    "ranking": ("a", "b", "c"),
    "demonstration": (),
    "critique": ("abc",),
    "claims": ("abc",),
}


def every_row(names: dict[str, str] | None = None) -> list[dict]:
    requests = [asked(each.kind, *TEXTS.get(each.kind, ("a",))) for each in EVERY]
    return list(annotations.rows(EVERY, texts_of(*requests), names))


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def test_json_lines_are_one_object_a_line_that_reads_back() -> None:
    rows = every_row()
    lines = b"".join(annotations.jsonl(rows)).decode().removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == as_json(rows)


def test_half_characters_become_escapes_that_read_back() -> None:
    assert json.loads(b"".join(annotations.jsonl([{"text": "half \ud800"}]))) == {"text": "half \ud800"}


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


def cell(value: object) -> str:
    """A value as a cell should read once its apostrophe is off."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, list | dict) else str(value)
    )


def test_csv_reads_back_cell_by_cell() -> None:
    rows = every_row({"p-1": "=HYPERLINK(1)"})
    data = b"".join(annotations.csv(rows))
    read = [{name: annotations.original_cell(held) for name, held in row.items()} for row in read_csv(data)]
    assert read == [{name: cell(value) for name, value in row.items()} for row in rows]
    assert data.startswith(
        b"\xef\xbb\xbfid,item,sheet,node,source,round,subject,level,criterion,kind,purpose,rater,name,answer,better,"
    )
    assert data.count(b"\r\n") >= len(rows) + 1


def test_no_cell_of_csv_is_a_formula() -> None:
    cells = [held for row in read_csv(b"".join(annotations.csv(every_row({"p-1": "@me"})))) for held in row.values()]
    assert not [held for held in cells if (held.lstrip() or " ")[0] in "=+-@" or (held or " ")[0] in "\t\r"]
    assert {"'+1", "'-", "'\t@SUM(A1)", "'@me"} <= set(cells)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("＝1", "'＝1"),
        ("'quoted'", "''quoted'"),
        ("'", "''"),
        ("", ""),
        (" ", " "),
        ("plain", "plain"),
        ("1-2", "1-2"),
        ("a=b", "a=b"),
    ],
)
def test_a_cell_that_a_spreadsheet_might_reckon_stands_behind_an_apostrophe(text: str, held: str) -> None:
    assert annotations.safe_cell(text) == held


@given(st.text(max_size=20) | st.text("=+-@'\t\r\n ", max_size=6))
@example("''=")
@example(" '")
def test_the_apostrophe_comes_off_exactly(text: str) -> None:
    assert annotations.original_cell(annotations.safe_cell(text)) == text
    assert not annotations.safe_cell(text).lstrip().startswith(("=", "+", "-", "@"))


def test_no_rows_are_no_csv_and_an_empty_parquet_file() -> None:
    assert list(annotations.csv([])) == []
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(annotations.parquet([]))))
    assert (table.num_rows, table.column_names) == (
        0,
        [name for name in annotations.COLUMNS if name not in ("name", "group")],
    )


JSON_COLUMNS = ("answer", "detail")


def test_parquet_reads_back_with_its_types() -> None:
    rows = every_row({"p-1": "Ada"})
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(annotations.parquet(rows))))
    read = table.to_pylist()
    for row in read:
        for name in JSON_COLUMNS:
            row[name] = None if row[name] is None else json.loads(row[name])
    assert read == as_json(rows)
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["level"], types["seconds"], types["right"], types["text"]) == ("int64", "double", "bool", "string")
    assert types["outputs"].startswith("list<") and "string" in types["outputs"]


def test_trl_rows_are_written_as_parquet_too() -> None:
    rows = list(annotations.trl(annotations.rated([answered(PAIR, Comparison(1), (1, 0))], lookup(PAIR))))
    assert pyarrow.parquet.read_table(io.BytesIO(b"".join(annotations.parquet(rows)))).to_pylist() == rows


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_form_begins_to_flow_before_all_answers_are_read(form: str) -> None:
    taken = 0

    def many() -> Iterator[Annotation]:
        nonlocal taken
        for _ in range(100_000):
            taken += 1
            yield answered(PAIR, Comparison(0), (0, 1))

    def chunks(rows: Iterable[dict]) -> Iterator[bytes]:
        return getattr(annotations, form)(rows)

    parts = list(islice(chunks(annotations.rows(many(), texts_of(PAIR))), 2))
    assert all(0 < len(part) < 2_000_000 for part in parts)
    assert taken < 10_000
