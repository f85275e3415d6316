"""Rows of files that are tables: CSV in its dialects, JSON arrays and Parquet.

    prompt;chosen;rejected                                CSV: commas, semicolons, tabs or bars; a header of names
    [{"prompt": ..., "chosen": ..., "rejected": ...}]     a JSON array of objects

A cell of a CSV file is a text; an empty one is null. Columns that hold numbers, truth values, lists or
objects by what they are called are read as such, and messages in any column, in JSON or as Python shows them.
"""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from rrm.core.errors import InputError, LimitError
from rrm.core.kinds.parts import brief

Row = dict[str, Any]

_DELIMITERS = ",;\t|"
_NUMBERS = frozenset((
    "margin", "confidence", "level", "round", "rank", "reward", "score", "seconds", "wanted", "value", "max_tokens",
    "strength", "weight", "votes_for", "votes_against", "votes_equal", "overall_preference", "preference_strength",
    "better_response_id", "winner_model_a", "winner_model_b", "winner_tie",
))  # fmt: skip
_TRUTHS = frozenset(("label", "good"))
_NAMES = frozenset(["annotator", "rater", "source_id", "item", "node"])
_STRUCTURES = frozenset(
    ["completions", "labels", "scores", "passages", "outputs", "answer", "expected", "request", "feedback"]
)
_NO_TEXTS = _NUMBERS | _TRUTHS | _NAMES | _STRUCTURES
_TRUE_OR_FALSE = {"true": True, "false": False, "yes": True, "no": False, "t": True, "f": False}
_EXPORTED = frozenset(("item", "rater", "answer", "state"))
"""Columns of the answers that we export, whose cells no spreadsheet takes for a formula."""

_NULLS = frozenset(("nan", "none", "null", "<na>", "n/a", "#n/a"))
"""What programs write where a table has nothing, in columns that hold no texts."""

_CHAT = ("[{", "[\n", '{"role', '{"from', "{'role", "{'from", "array([{")
_SHOWN = re.compile(r"(?:array\()?\[?\s*\{'(?:role|from|content|value)'")
_SAFE = re.compile(r"'(?=\s*[=+\-@'＝＋－＠]|[\t\r\n])")
_WHOLE = re.compile(r"(-?\d{1,15})\.0+")


# ---- CSV ----


def csv_rows(text: str, where: str, most: int) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row) of a CSV text whose first line names the columns.

    Raises InputError naming file and row for rows with more or fewer cells than names, for names that stand
    twice and for quotes that are not closed; LimitError for a cell of more than `most` letters.
    """
    text, told = _without_hint(text)
    delimiter = told or _delimiter(text)
    before = csv.field_size_limit(most)  # of the whole process: 131,072 letters, which a story has
    try:
        spaced = _has_space_behind(delimiter, text)
        yield from _named(_cells(text, delimiter, spaced), where)
    except csv.Error as error:
        if "field limit" in str(error):
            raise LimitError(f"{where}: a cell is longer than max_row_bytes = {most}") from error
        raise InputError(
            f"{where} cannot be read as CSV: {error}; close its quotes, and double those inside"
        ) from error
    finally:
        csv.field_size_limit(before)


def _cells(text: str, delimiter: str, spaced: bool) -> Iterator[list[str]]:
    return csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=spaced)


def _without_hint(text: str) -> tuple[str, str | None]:
    """Return a text without the first line by which spreadsheets tell the delimiter, and the delimiter."""
    hint = re.match(r"sep=(.)\r?\n", text)
    return (text[hint.end() :], hint[1]) if hint else (text, None)


def _delimiter(text: str) -> str:
    """Return what divides the header into most names, the comma if nothing does."""
    line = _header(text)
    return max(_DELIMITERS, key=line.count)


def _header(text: str) -> str:
    """Return the first line, without what stands in quotes."""
    header = re.sub(r'"(?:[^"]|"")*"', "", text[:100_000].lstrip("\r\n"))
    return re.split(r"[\r\n]", header, maxsplit=1)[0]


def _has_space_behind(delimiter: str, text: str) -> bool:
    """Say whether spaces behind delimiters are no part of cells: `prompt, chosen`, or quotes that stand behind them.

    They are part of cells where the table cannot be read as far without them: `"Hello," she said` is a cell that no
    quotes stand around. Where it can be read both ways, a tab and a quote behind a space are taken as they stand.
    """
    names = _header(text).split(delimiter)[1:]
    named = bool(names) and all(name.startswith(" ") for name in names)
    sign = re.escape(delimiter)  # within quotes a quote is doubled, or the last
    if not named and re.search(rf'{sign} +"(?![{sign}\r\n"]|\Z)', text) is None:
        return False
    left_out, kept = (_rows_that_fit(_cells(text, delimiter, spaced)) for spaced in (True, False))
    return left_out > kept or (left_out == kept and (named or delimiter != "\t"))


def _rows_that_fit(cells: Iterator[list[str]]) -> int:
    """Return how many rows, from the first on, have as many cells as it and can be read."""
    count, wanted = 0, 0
    try:
        for row in filter(None, cells):
            wanted = wanted or len(row)
            if len(row) != wanted:
                break
            count += 1
    except csv.Error:
        pass
    return count


def _named(cells: Iterator[list[str]], where: str) -> Iterator[tuple[int, Row]]:
    names = [name.strip() for name in next((each for each in cells if each), [])]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(f"{where}: column {twice[0]!r} stands twice in the first line: rename one")
    exported = set(names) >= _EXPORTED
    number = 0
    for row in cells:
        if not row:
            continue
        number += 1
        if len(row) != len(names):
            raise InputError(
                f"{where}, row {number}: {len(row)} cells under {len(names)} names: put quotes around texts with commas"
            )
        try:
            known = {
                name: _value(name, _SAFE.sub("", cell, count=1) if exported and _SAFE.match(cell) else cell)
                for name, cell in zip(names, row, strict=True)
                if name  # an index that was written without a name
            }
        except InputError as error:
            raise InputError(f"{where}, row {number}: {error}") from error
        yield number, known


def _value(name: str, cell: str) -> Any:
    """Return what a cell says; what a column of numbers cannot hold stays a text, for its reader to refuse."""
    if not cell or (name in _NO_TEXTS and cell.strip().lower() in _NULLS):
        return None
    if name in _STRUCTURES or cell.startswith(_CHAT):
        return _structure(name, cell)
    if name in _NUMBERS:
        return _number(cell)
    if name in _TRUTHS:
        return _TRUE_OR_FALSE.get(cell.strip().lower(), _number(cell))
    if name in _NAMES and (whole := _WHOLE.fullmatch(cell)):
        return whole[1]
    return cell


def chat_in(cell: str, column: str) -> Any:
    """Return the messages that a text is in JSON, or as Python shows them; the text itself where it is none.

    Raises InputError naming the column for messages in an array of numpy's, which shows nothing between them.
    """
    return _structure(column, cell) if cell.startswith(_CHAT) else cell


def _number(cell: str) -> Any:
    try:
        return int(cell) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", cell) else float(cell)
    except ValueError:
        return cell


def _structure(name: str, cell: str) -> Any:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = _as_python_shows_it(name, cell)
    return found if name in _STRUCTURES or _is_chat(found) else cell


def _as_python_shows_it(name: str, cell: str) -> Any:
    """Return a list or an object that a table was written with by Python; the cell itself where it is neither.

    Raises InputError for messages in an array of numpy's, which shows nothing between them.
    """
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        if _SHOWN.match(cell):
            raise InputError(
                f"column {name!r} holds messages as Python shows an array, which cannot be read again: save the table"
                " as JSON lines or Parquet"
            ) from None
        return cell
    return found if isinstance(found, list | dict) else cell


def _is_chat(found: Any) -> bool:
    some = found if isinstance(found, list) else [found]
    return bool(some) and all(
        isinstance(each, dict) and any(names <= each.keys() for names in ({"role", "content"}, {"from", "value"}))
        for each in some
    )


# ---- JSON arrays ----


class KeyTwice(InputError):
    """An object in which a key stands twice: which of the two holds nobody can tell."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> Row:
    """Return a JSON object's keys and values; raise KeyTwice where a key stands twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise KeyTwice(f"key {twice!r} stands twice in one object: keep one")
    return row


decoder = json.JSONDecoder(object_pairs_hook=_unique_keys)
"""Reads JSON as Python's own does, but raises KeyTwice."""


def array_rows(text: bytes, where: str) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row) of a JSON array of objects; raise InputError naming file and row."""
    try:
        rows = json.loads(text, object_pairs_hook=_unique_keys)
    except KeyTwice as error:
        raise InputError(f"{where}, row {_rows_before_fault(text.decode()) + 1}: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a JSON array ({str(error)[:80]})") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{where}, row {number}: each must be one JSON object, got {brief(row)}")
        yield number, row


def _rows_before_fault(text: str) -> int:
    """Return how many values of a JSON array stand before the one that cannot be read."""
    count, at = 0, text.index("[") + 1
    while True:
        while text[at].isspace() or text[at] == ",":
            at += 1
        try:
            _, at = decoder.raw_decode(text, at)
        except ValueError:
            return count
        count += 1


# ---- Parquet ----


def parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row) of a Parquet file; raise InputError where it or pyarrow is missing."""
    parquet = pyarrow().parquet
    try:
        file = parquet.ParquetFile(path)
        names = Counter(file.schema_arrow.names)
        if twice := [name for name, count in names.items() if count > 1]:
            raise InputError(f"{path}: column {twice[0]!r} stands twice: rename one")
        batches = file.iter_batches(batch_size=1000)
        rows = (row for batch in batches for row in batch.to_pylist())
        if decimals := [each.name for each in file.schema_arrow if "decimal" in str(each.type)]:
            rows = ({**row, **{name: with_floats(row[name]) for name in decimals}} for row in rows)
        yield from enumerate(rows, start=1)
    except (OSError, pyarrow().ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error)[:120]}") from error


def with_floats(value: Any) -> Any:
    """Return a value with floats in the place of decimals, also within objects, lists and tuples (then lists, too)."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: with_floats(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_floats(each) for each in value]
    return value


def pyarrow() -> Any:
    """Return pyarrow with its Parquet part; raise InputError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: run `pip install 'rrm[parquet]'`, or use .jsonl.gz") from error
    return pyarrow
