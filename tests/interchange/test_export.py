"""Feedback as TRL, NeMo-RL and our own rows, and back again."""

import gzip
import json
import sys
from dataclasses import replace

import pytest

from rrm.core.asking import Asked
from rrm.core.errors import InputError, StoreError
from rrm.core.place import Place
from rrm.core.values import (
    Comparison,
    Correction,
    Critique,
    Demonstration,
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
from rrm.interchange.export import (
    from_records,
    to_jsonl,
    to_nemo,
    to_parquet,
    to_records,
    to_trl,
    to_trl_unpaired,
)
from rrm.interchange.preferences import RecordedPreferences
from rrm.interchange.rows import read_rows

PARTS = (Passage("Part one.", "n1", "o1", 0.25), Passage("Part two.", "n2", "o2"))


def rated(answer, *texts: str, source: str = "book") -> Rated:
    view = View("Summarise.", PARTS, 128, "Before.")
    shown = tuple(Shown(f"id-{text}", text) for text in texts)
    request = Request("node", source, Place(2, "whole", 1), answer.kind, view, shown, "v2", 1, "faithful")
    return Rated(request, Feedback(request.id, "ann", answer, 2.5))


def replaced(row: Rated, **known) -> Rated:
    return replace(row, feedback=replace(row.feedback, **known))


EVERY_KIND = [
    rated(Comparison(1, 0.5), "a", "b"),
    rated(Comparison(None), "a", "c"),
    rated(Ranking((2, 0, 1)), "a", "b", "c"),
    rated(Ranking((2,)), "a", "b", "c"),
    rated(Ranking((2, 0, 1), (1,)), "a", "b", "c"),
    rated(Rating(3, 5), "a"),
    rated(Label(True), "a"),
    rated(Label(False), "b"),
    rated(Correction("aa"), "a"),
    rated(Demonstration("whole"), "a"),
    rated(Critique("bad", ((0, 1),)), "a"),
    rated(Critique("the first is bad", (), (1,)), "a", "b"),
    replaced(rated(Label(True), "sure"), confidence=0.5),
    rated(Reject("not English"), "é \ud800 \u2028"),
]


def test_a_comparison_gives_one_row_with_its_origin():
    (row,) = to_trl([rated(Comparison(1, 0.5), "a", "b")])
    assert row == {
        "prompt": "Before.\n\nPart one.\n\nPart two.\n\nSummarise.",
        "chosen": "b",
        "rejected": "a",
        "margin": 0.5,
        "annotator": "ann",
        "source_id": "book",
        "round": 2,
        "subject": "whole",
        "level": 1,
        "criterion": "faithful",
    }
    assert "margin" not in next(to_trl([rated(Comparison(1, 0.5), "a", "b")], margins=False))
    assert "margin" not in next(to_trl([rated(Comparison(0), "a", "b")]))


def test_a_ranking_gives_every_pair_that_it_orders():
    rows = to_trl([rated(Ranking((2, 0, 1)), "a", "b", "c")])
    assert [(row["chosen"], row["rejected"]) for row in rows] == [("c", "a"), ("c", "b"), ("a", "b")]
    partial = to_trl([rated(Ranking((2,)), "a", "b", "c")])
    assert [(row["chosen"], row["rejected"]) for row in partial] == [("c", "a"), ("c", "b")]


def test_ties_and_other_kinds_give_no_preference_rows():
    assert len(list(to_trl(EVERY_KIND))) == 1 + 3 + 2 + 2
    assert [row["label"] for row in to_trl_unpaired(EVERY_KIND)] == [True, False, True]


def test_nemo_rows_keep_groups_whole_and_ties_as_equal_ranks():
    rows = list(to_nemo(EVERY_KIND))
    ranks = [[(each["rank"], each["completion"][0]["content"]) for each in row["completions"]] for row in rows]
    assert ranks == [
        [(0, "b"), (1, "a")],
        [(0, "a"), (0, "c")],
        [(0, "c"), (1, "a"), (2, "b")],
        [(0, "c"), (1, "a"), (1, "b")],
    ]
    assert rows[0]["context"] == [{"role": "user", "content": "Before.\n\nPart one.\n\nPart two.\n\nSummarise."}]


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_our_own_records_come_back_equal_with_their_ids(tmp_path, name):
    assert to_jsonl(to_records(EVERY_KIND), tmp_path / name) == len(EVERY_KIND)
    back = list(from_records(tmp_path / name))
    assert back == EVERY_KIND
    assert [(each.request.id, each.feedback.id) for each in back] == [
        (each.request.id, each.feedback.id) for each in EVERY_KIND
    ]


def test_a_record_that_is_none_is_named(tmp_path):
    for row in ({"prompt": "x"}, {"request": {}, "feedback": {}}, {"request": 5}):
        to_jsonl([row], tmp_path / "r.jsonl")
        with pytest.raises(InputError, match="row 1: not one of rrm's records"):
            list(from_records(tmp_path / "r.jsonl"))


@pytest.mark.parametrize("write", [to_jsonl, to_parquet])
def test_trl_rows_come_back_as_the_same_preferences(tmp_path, write):
    many = [rated(Comparison(n % 2, n / 100), f"a{n}", f"b{n}", source=f"book {n % 3}") for n in range(100)]
    rows = list(to_trl(many))
    file = tmp_path / ("p.parquet" if write is to_parquet else "p.jsonl.gz")
    assert write(rows, file) == 100
    read = RecordedPreferences(str(file), 1, source_column="source_id", margin_scale=1.0).rated()
    assert list(to_trl(read)) == rows


def test_nemo_rows_come_back_as_the_same_groups(tmp_path):
    rows = list(to_nemo(EVERY_KIND))
    to_jsonl(rows, tmp_path / "n.jsonl")
    read = RecordedPreferences(str(tmp_path / "n.jsonl"), 1, source_column="source_id").rated()
    back = list(to_nemo(read))
    for one, other in zip(rows, back, strict=True):
        one["completions"].sort(key=str)
        other["completions"].sort(key=str)
    assert back == rows


def test_unpaired_rows_come_back_as_the_same_labels(tmp_path):
    rows = list(to_trl_unpaired(EVERY_KIND))
    for write, name in ((to_jsonl, "u.jsonl"), (to_parquet, "u.parquet")):
        write(rows, tmp_path / name)
        read = RecordedPreferences(str(tmp_path / name), 1, source_column="source_id").rated()
        assert list(to_trl_unpaired(read)) == rows


def test_parquet_has_one_schema_whatever_the_first_rows_lack(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    mixed = [rated(Comparison(0), "a", "b")] * 6000 + [rated(Comparison(0, 0.5), "a", "b")]
    assert to_parquet(to_trl(mixed), tmp_path / "p.parquet") == 6001
    table = parquet.read_table(tmp_path / "p.parquet")
    assert table.column("margin").to_pylist()[-2:] == [None, 0.5]
    assert to_parquet([], tmp_path / "empty.parquet") == 0
    assert parquet.read_table(tmp_path / "empty.parquet").column_names[:3] == ["prompt", "chosen", "rejected"]


def test_only_preference_rows_go_into_parquet(tmp_path):
    with pytest.raises(InputError, match="only preference rows"):
        to_parquet(to_records(EVERY_KIND), tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_parquet_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="pip install"):
        to_parquet([], tmp_path / "p.parquet")
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="pip install"):
        list(read_rows(tmp_path / "p.parquet"))


def test_a_parquet_file_that_is_none_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "p.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"p\.parquet cannot be read as Parquet"):
        list(read_rows(tmp_path / "p.parquet"))


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "r.jsonl").write_text("old")

    def broken():
        yield {"a": 1}
        raise StoreError("the record is gone")

    with pytest.raises(StoreError, match="the record is gone"):
        to_jsonl(broken(), tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["r.jsonl"]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        to_jsonl([], tmp_path / "no" / "r.jsonl")


def test_equal_rows_make_equal_bytes_also_gzipped(tmp_path):
    for name in ("one.gz", "two.gz"):
        to_jsonl(to_trl(EVERY_KIND), tmp_path / name)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    with gzip.open(tmp_path / "one.gz", "rt", encoding="utf-8") as lines:
        assert json.loads(next(lines))["chosen"] == "b"


def test_rows_are_written_as_they_come(tmp_path):
    seen: list[int] = []

    def rows():
        for number in range(3):
            seen.append(number)
            yield {"number": number}

    assert to_jsonl(rows(), tmp_path / "r.jsonl") == 3
    assert seen == [0, 1, 2]
    assert [row["number"] for _, row in read_rows(tmp_path / "r.jsonl")] == [0, 1, 2]


def test_rows_say_why_their_questions_were_put(tmp_path) -> None:
    chosen, drawn, even = (rated(Comparison(1), "a", text) for text in "bcd")
    why = {
        chosen.request.id: Asked(chosen.request.id, "value", "pool-1", 1.0, 0.25, 3),
        drawn.request.id: Asked(drawn.request.id, "random", "pool-1", 0.125),
    }
    rows = list(to_trl([chosen, drawn, even], why=why))
    named = [[row[name] for name in ("stream", "propensity", "value", "pool")] for row in rows]
    assert named == [["value", 1.0, 0.25, "pool-1"], ["random", 0.125, 0.0, "pool-1"], [None] * 4]
    records = list(to_records([chosen, even], why))
    assert records[0]["asked"]["bundle"] == 3 and "asked" not in records[1]
    to_jsonl(records, tmp_path / "records.jsonl")
    assert list(from_records(tmp_path / "records.jsonl")) == [chosen, even]
    pytest.importorskip("pyarrow")
    to_parquet(rows, tmp_path / "rows.parquet")
    assert [row["stream"] for _, row in read_rows(tmp_path / "rows.parquet")] == ["value", "random", None]
