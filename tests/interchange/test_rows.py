"""Rows of every kind of file and of data sets in memory: what comes in is what was meant, or is refused by name."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rrm.core.errors import InputError, LimitError
from rrm.interchange import rows
from rrm.interchange.preferences import read_feedback
from rrm.interchange.rows import present, read_rows, write_rows

ROWS = [
    {"prompt": "Tell of the mill.", "chosen": "It burned, alas.", "rejected": "A mill."},
    {"prompt": "Tell of the inn.", "chosen": 'The "Star" has\na roof; 驴.', "rejected": "'An inn'"},
]
CHAT = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [dict(row) for _, row in read_rows(path)]


def as_csv(rows: list[dict[str, Any]], **dialect: Any) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


# ---- JSON ----


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.json.gz"])
def test_a_json_array_is_read_as_its_objects(tmp_path: Path, name: str) -> None:
    text = json.dumps(ROWS, indent=2).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else b"\xef\xbb\xbf \n" + text)
    assert list(read_rows(tmp_path / name)) == [(1, ROWS[0]), (2, ROWS[1])]


def test_an_object_around_the_array_is_looked_into_and_one_row_stays_a_row(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps({"data": ROWS}, indent=2))
    assert rows_of(tmp_path / "rows.json") == ROWS
    for row in (ROWS[0], {"prompt": CHAT, "chosen": CHAT}, {"completions": [{"completion": "a"}]}):
        (tmp_path / "rows.json").write_text(json.dumps(row))
        assert rows_of(tmp_path / "rows.json") == [row]
    (tmp_path / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert rows_of(tmp_path / "rows.json") == ROWS


def test_an_object_of_columns_is_read_as_its_rows_and_a_row_of_lists_is_not(tmp_path: Path) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    numbered = {name: {str(n): each for n, each in enumerate(column)} for name, column in columns.items()}
    for table in (columns, numbered):
        (tmp_path / "rows.json").write_text(json.dumps(table, indent=1))
        assert rows_of(tmp_path / "rows.json") == ROWS
        (tmp_path / "rows.jsonl").write_text(json.dumps(table))
        assert rows_of(tmp_path / "rows.jsonl") == [table]
    for row in ({"completions": ["a", "b"], "labels": [1, 0]}, {"prompt": CHAT, "chosen": CHAT}, {"prompt": ["a"]}):
        (tmp_path / "rows.json").write_text(json.dumps(row))
        assert rows_of(tmp_path / "rows.json") == [row]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.jsonl.gz"])
@pytest.mark.parametrize("between", ["\n", "", "\n\n \ufeff"])
def test_objects_one_behind_another_are_read_over_any_lines(tmp_path: Path, name: str, between: str) -> None:
    text = between.join(json.dumps(row, indent=1) for row in [*ROWS, {"prompt": CHAT}]).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert rows_of(tmp_path / name) == [*ROWS, {"prompt": CHAT}]
    flat = "".join(json.dumps(row) for row in ROWS)
    (tmp_path / "flat.jsonl").write_text(flat)
    assert rows_of(tmp_path / "flat.jsonl") == ROWS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a":\n 1}\n{"a": ', "row 2: not JSON"),
        ('{"a":\n 1}\n[2]', "row 2: each must be one JSON object, got a list"),
        ('{"a":\n 1}\n{"a": 1, "a": 2}', "row 2: key 'a' stands twice"),
        ('{"a": 1}\n{"a":\n2}', "row 2: not JSON"),
        ('{"a":\n', "row 1: not JSON"),
        ('"a"\n{"a": 1}', "row 1: each line must be one JSON object, got a str"),
    ],
)
def test_objects_over_several_lines_that_are_none_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(InputError, match=says) as refusal:
        rows_of(tmp_path / "rows.jsonl")
    assert str(refusal.value).startswith(str(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize(
    "line",
    [
        '{"chosen": "a", "rejected": "b", "chosen": "c"}',
        '{"chosen":"a","rejected":"b","chosen":"a"}',
        '{"chosen" : "a", "chosen" : "c"}',
        '{"chosen"  : "a", "chosen"\t: "c"}',
        '{"prompt": [{"role": "user", "content": "a", "content": "b"}]}',
        '{"\\u0063hosen": "a", "chosen": "c"}',
        '{"a": "he said \\u0022:", "chosen": "a", "chosen": "c"}',
        '{"id": 123456789012345678901, "chosen": 1, "chosen": 2}',
    ],
)
def test_a_key_that_stands_twice_is_refused_by_its_row(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text('{"chosen": "a"}\n' + line)
    with pytest.raises(InputError, match=r"rows\.jsonl, row 2: key '\w+' stands twice in one object: keep one"):
        rows_of(tmp_path / "rows.jsonl")


def test_texts_that_look_like_keys_are_no_keys(tmp_path: Path) -> None:
    rows = [{"a": 'he said "b": and "b" : no', "b": {"a": '\\":"'}, "c": [{"a": 1}, {"a": 2}]}]
    for file in ("rows.jsonl", "rows.json"):
        (tmp_path / file).write_text(json.dumps(rows[0] if file == "rows.jsonl" else rows))
        assert rows_of(tmp_path / file) == rows


def test_a_column_of_parquet_that_stands_twice_is_named(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    table = arrow.Table.from_arrays([arrow.array(["a"]), arrow.array(["b"])], names=["chosen", "chosen"])
    arrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=r"rows\.parquet: column 'chosen' stands twice: rename one"):
        rows_of(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"a": 1}, 5]', "row 2: each must be one JSON object, got 5"),
        ('[{"a": 1}', "not a JSON array"),
        ("[" * 100_000, "not a JSON array"),
        ('[{"a": 1}, {"b": 1, "b": 2}]', "row 2: key 'b' stands twice in one object: keep one"),
    ],
)
def test_an_array_that_is_none_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(InputError, match=says) as refusal:
        rows_of(tmp_path / "rows.json")
    assert str(refusal.value).startswith(str(tmp_path / "rows.json"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_lines_and_tables_are_read_in_the_encoding_that_their_mark_tells(tmp_path: Path, encoding: str) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_bytes(lines.encode(encoding))
    (tmp_path / "rows.csv").write_bytes(as_csv(ROWS).encode(encoding))
    (tmp_path / "rows.json").write_bytes(json.dumps(ROWS, ensure_ascii=False).encode(encoding))
    for name in ("rows.jsonl", "rows.csv", "rows.json"):
        assert rows_of(tmp_path / name) == ROWS


def test_utf_16_that_breaks_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes('{"a": "é"}'.encode("utf-16")[:-1])
    with pytest.raises(InputError, match="not UTF-16, as it begins"):
        rows_of(tmp_path / "rows.jsonl")


def test_utf_16_that_is_too_much_to_read_at_once_is_refused_and_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes("".join('{"a": 1}\n' for _ in range(20)).encode("utf-16"))  # a mark and 360 bytes
    monkeypatch.setattr(rows, "MAX_TABLE_BYTES", 362)
    assert len(list(read_rows(file))) == 20
    monkeypatch.setattr(rows, "MAX_TABLE_BYTES", 200)  # a cut within the text, at the end of a row or not
    with pytest.raises(LimitError, match="larger than 200 bytes, too much to read at once: use JSON lines in UTF-8"):
        list(read_rows(file))


def test_numbers_of_any_length_and_half_characters_stay_what_they_are(tmp_path: Path) -> None:
    rows = [{"source_id": 2**70 + 1, "x": 1.5}, {"source_id": 2**64 + 3, "x": "\ud83d"}]
    write_rows(rows, tmp_path / "rows.jsonl")
    assert rows_of(tmp_path / "rows.jsonl") == rows


# ---- CSV ----


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_csv_is_read_whatever_divides_it(tmp_path: Path, delimiter: str, quoting: Any) -> None:
    for end in ("\r\n", "\n", "\r"):
        text = as_csv(ROWS, delimiter=delimiter, quoting=quoting, lineterminator=end)
        (tmp_path / "rows.csv").write_bytes(text.encode())
        assert rows_of(tmp_path / "rows.csv") == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("header", "row", "chosen"),
    [
        ("prompt~ chosen", '"a"~ "b  c"', "b  c"),
        ("prompt~chosen", '"a"~  "b~ ""c"""', 'b~ "c"'),
        ("prompt~ chosen", "a~ b", "b"),
        ("prompt~chosen", "a~ b", " b"),
        ("prompt~chosen", '"a"~" ""b"" c"', ' "b" c'),
        ("prompt~chosen", '"a~ "~"b~ "', "b~ "),
    ],
)
def test_space_behind_a_delimiter_is_no_part_of_a_cell_where_quotes_or_names_stand_behind_it(
    tmp_path: Path, delimiter: str, header: str, row: str, chosen: str
) -> None:
    (tmp_path / "rows.csv").write_text(f"{header}\n{row}\n".replace("~", delimiter))
    (read,) = rows_of(tmp_path / "rows.csv")
    assert read["chosen"] == chosen.replace("~", delimiter)


@pytest.mark.parametrize("header", ["prompt\tchosen\tnote", "prompt\t chosen\t note"])
def test_a_quotation_behind_a_space_is_a_cell_of_a_table_without_quotes(tmp_path: Path, header: str) -> None:
    (tmp_path / "rows.tsv").write_text(f'{header}\na\tb\tc\nd\t "Hello," she said\te\nf\t "Go."\tg\n')
    assert [row["chosen"] for row in rows_of(tmp_path / "rows.tsv")] == ["b", ' "Hello," she said', ' "Go."']


def test_quotes_behind_spaces_stand_around_cells_though_a_table_could_be_read_with_them(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('prompt,chosen\n"a", "b"\n')
    (tmp_path / "rows.tsv").write_text('prompt\tchosen\n1\t "b" \n2\t "c"\n')
    assert [row["chosen"] for row in rows_of(tmp_path / "rows.csv")] == ["b"]
    assert [row["chosen"] for row in rows_of(tmp_path / "rows.tsv")] == [' "b" ', ' "c"']


def test_an_index_without_a_name_a_hint_and_packing_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"sep=;\r\n;prompt;chosen\r\n0;a;b\r\n\r\n1;c;d\r\n"))
    assert rows_of(tmp_path / "rows.csv.gz") == [{"prompt": "a", "chosen": "b"}, {"prompt": "c", "chosen": "d"}]


def test_cells_are_texts_except_in_columns_of_numbers_truth_values_and_objects(tmp_path: Path) -> None:
    told = {
        "prompt": json.dumps(CHAT), "chosen": '{"a": 1}', "rejected": "[1, 2]", "margin": "2.50", "level": "1",
        "label": "True", "scores": '{"overall": 4}', "annotator": "7.0", "source_id": "007", "note": "3",
    }  # fmt: skip
    (tmp_path / "rows.csv").write_text(as_csv([told, dict.fromkeys(told, "")]))
    read, empty = rows_of(tmp_path / "rows.csv")
    assert read == told | {
        "prompt": CHAT, "margin": 2.5, "level": 1, "label": True, "scores": {"overall": 4}, "annotator": "7",
    }  # fmt: skip
    assert set(empty.values()) == {None} and present(empty) == {}


def test_what_python_shows_of_messages_and_lists_is_read_and_of_arrays_refused(tmp_path: Path) -> None:
    row = {"prompt": str(CHAT), "completions": "['a', 'b']", "labels": "[True, False]", "response": "['a']"}
    (tmp_path / "rows.csv").write_text(as_csv([row]))
    assert rows_of(tmp_path / "rows.csv") == [
        {"prompt": CHAT, "completions": ["a", "b"], "labels": [True, False], "response": "['a']"}
    ]
    (tmp_path / "rows.csv").write_text(as_csv([{"prompt": str(np.array(CHAT))}]))
    with pytest.raises(InputError, match=r"rows\.csv, row 1: column 'prompt' holds messages as Python shows an array"):
        rows_of(tmp_path / "rows.csv")


def test_words_for_nothing_are_null_where_no_text_stands(tmp_path: Path) -> None:
    row = {"prompt": "nan", "chosen": "None", "rejected": "null", "annotator": "nan", "margin": "NaN", "label": "N/A"}
    (tmp_path / "rows.csv").write_text(as_csv([row]))
    nothing = dict.fromkeys(("annotator", "margin", "label"))
    assert rows_of(tmp_path / "rows.csv") == [{"prompt": "nan", "chosen": "None", "rejected": "null", **nothing}]
    (tmp_path / "rows.csv").write_text("label\nyes\nNO\nTrue\n1.0\n")
    assert [row["label"] for row in rows_of(tmp_path / "rows.csv")] == [True, False, True, 1.0]


@pytest.mark.parametrize("name", ["ROWS.CSV", "rows.Csv.GZ", "rows.TSV"])
def test_the_case_of_a_name_says_nothing(tmp_path: Path, name: str) -> None:
    text = as_csv(ROWS, delimiter="\t" if "TSV" in name else ",").encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("GZ") else text)
    assert rows_of(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("begins", "says"),
    [
        (b"PK\x03\x04xl/", "this is an archive or a spreadsheet; unpack it, or save its sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "this is an old spreadsheet"),
        (b"\x28\xb5\x2f\xfdabc", "this is packed with zstd; unpack it, or pack it with gzip"),
        (b"\xfd7zXZ\x00abc", "this is packed with xz"),
        (b"BZh91AY", "this is packed with bzip2"),
        (b"SQLite format 3\x00", "this is a database"),
        (b"ARROW1\x00\x00", "this is an Arrow or Feather file; save it as Parquet"),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00", "this is an Arrow or Feather file; save it as Parquet"),
        (b"\x80\x04\x95\x10\x00", "this is a pickle"),
        (b"version https://git-lfs.example/spec/v1\n", "this is a pointer to a file in Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "this is a web page; download the file itself"),
        (b"PAR1abc", "cannot be read as Parquet"),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_files_of_other_kinds_are_refused_with_what_to_do(tmp_path: Path, name: str, begins: bytes, says: str) -> None:
    if says.endswith("Parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(begins)
    with pytest.raises(InputError, match=says) as refusal:
        rows_of(tmp_path / name)
    assert str(refusal.value).startswith(str(tmp_path / name)) and "\n" not in str(refusal.value)


def test_utf_16_without_its_mark_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(as_csv(ROWS).encode("utf-16-le"))
    with pytest.raises(InputError, match="NUL characters, as UTF-16 without its mark does: save it as UTF-8"):
        rows_of(tmp_path / "rows.csv")


def test_a_text_longer_than_python_s_own_limit_is_read_and_the_limit_left_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    rows = [{"prompt": "a" * 200_000, "chosen": "b", "rejected": "c"}]
    (tmp_path / "rows.csv").write_text(as_csv(rows))
    assert rows_of(tmp_path / "rows.csv") == rows
    assert csv.field_size_limit() == before
    with pytest.raises(LimitError, match="a cell is longer than max_row_bytes = 1000"):
        list(read_rows(tmp_path / "rows.csv", max_row_bytes=1000))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1\n", "row 1: 1 cells under 2 names"),
        ("a,b\n1,2\n1,2,3\n", "row 2: 3 cells under 2 names"),
        ("a,a\n1,2\n", "column 'a' stands twice in the first line"),
        ('a,b\n"1,2\n', "cannot be read as CSV: .*close its quotes"),
    ],
)
def test_a_table_that_is_not_whole_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(InputError, match=says) as refusal:
        rows_of(tmp_path / "rows.csv")
    assert str(refusal.value).startswith(str(tmp_path / "rows.csv"))


def test_our_own_answers_as_csv_come_back_without_the_marks_against_formulas(tmp_path: Path) -> None:
    from rrm.interchange.annotations import csv as exported

    row = {"item": "i", "rater": "p", "answer": {"kind": "critique", "text": "=1"}, "state": "live", "text": "=1+1"}
    (tmp_path / "answers.csv").write_bytes(b"".join(exported([row])))
    assert rows_of(tmp_path / "answers.csv") == [row]


def test_decimals_of_parquet_are_numbers(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    told: dict[str, list[Any]] = {
        "prompt": ["a", "b", "c"],
        "margin": [Decimal("1.5"), None, Decimal("0.00")],
        "scores": [[Decimal("0.00"), None], None, []],
        "more": [{"by": [{"score": Decimal("0.00")}], "n": 1}, None, {"by": None, "n": 2}],
    }
    parquet.write_table(pyarrow.table(told), tmp_path / "rows.parquet")
    rows = rows_of(tmp_path / "rows.parquet")
    assert rows == [
        {"prompt": "a", "margin": 1.5, "scores": [0.0, None], "more": {"by": [{"score": 0.0}], "n": 1}},
        {"prompt": "b", "margin": None, "scores": None, "more": None},
        {"prompt": "c", "margin": 0.0, "scores": [], "more": {"by": None, "n": 2}},
    ]
    kept = json.dumps(rows)  # which knows no decimals
    in_memory = [dict(zip(told, cells, strict=True)) for cells in zip(*told.values(), strict=True)]
    assert json.dumps([row for _, row in read_rows(in_memory)]) == kept


# ---- rows in memory ----


class Dataset:
    """Rows as a Hugging Face data set gives them: any number of times, one after the other."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


def test_a_data_set_in_memory_is_read_as_its_file_is(tmp_path: Path) -> None:
    write_rows(ROWS, tmp_path / "rows.jsonl")
    expected = read_feedback(tmp_path / "rows.jsonl").rated
    for given in (ROWS, Dataset(ROWS), (dict(row) for row in ROWS)):
        assert read_feedback(given).rated == expected


def test_a_hugging_face_data_set_is_read() -> None:
    datasets = pytest.importorskip("datasets")
    found = read_feedback(datasets.Dataset.from_list(ROWS))
    assert [each.feedback for each in found.rated] == [each.feedback for each in read_feedback(ROWS).rated]
    with pytest.raises(InputError, match=r"several splits was given \(train\): give one of them"):
        read_feedback(datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}))


def test_values_of_numpy_are_those_of_python() -> None:
    nothing = type("NAType", (), {"__eq__": lambda *_: 1 / 0, "__hash__": None})()  # as pandas' refuses to be compared
    assert list(read_rows([{"a": Decimal("1.5"), "b": nothing, "c": None}])) == [(1, {"a": 1.5, "b": None, "c": None})]
    told = {"a": np.int64(3), "b": np.float32(0.5), "c": np.array([1, 2]), "d": np.bool_(True)}
    assert list(read_rows([told])) == [(1, {"a": 3, "b": 0.5, "c": [1, 2], "d": True})]


def test_what_is_no_rows_is_refused_by_its_place() -> None:
    with pytest.raises(InputError, match=r"the data set given, row 2: each must be a mapping .*to_dict"):
        read_feedback([ROWS[0], "prompt"])
    with pytest.raises(InputError, match="the data set given, row 2: column 'chosen' is empty"):
        read_feedback([ROWS[0], {**ROWS[1], "chosen": " "}])


def test_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it is a folder; name a file in it \(a data set that was saved"):
        rows_of(tmp_path)
