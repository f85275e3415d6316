"""Rows, one at a time, of a file (JSON lines, JSON array, CSV, Parquet; gzipped or not) or of a data set in memory."""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import orjson

from rrm.core.errors import InputError, LimitError, RrmError
from rrm.core.kinds.parts import brief
from rrm.files.texts import marked
from rrm.interchange.kinds import refuse_other_kinds
from rrm.interchange.tables import KeyTwice, array_rows, csv_rows, decoder, parquet_rows, with_floats
from rrm.interchange.tables import pyarrow as pyarrow

MAX_ROW_BYTES = 64 * 2**20
MAX_FILE_BYTES = 16 * 2**30
MAX_TABLE_BYTES = 2**30
_AROUND = frozenset(("data", "rows", "records", "examples", "instances", "items", "train", "validation", "test"))
"""What an object calls the array of rows that it holds and nothing else."""

_ROLES = frozenset(("role", "from"))
_EXACT = 2**53  # from here on not all whole numbers are floats
_QUOTE = b"\\u0022"  # a quotation mark that JSON writes by its number
Row = Mapping[str, Any]

Given = Path | str | Iterable[Row]
"""A file's path, or rows in memory: a list, or a Hugging Face `Dataset`, which gives its rows in turn."""


def name_of(given: Given) -> str:
    """Return how errors and notes call what rows were given in."""
    return str(given) if isinstance(given, Path | str) else "the data set given"


def located(where: str, error: Exception) -> str:
    """Return an error's sentence behind where it happened, on one line whatever names columns have."""
    return f"{where}: {' '.join(str(error).split())}"


def read_rows(
    given: Given,
    max_row_bytes: int = MAX_ROW_BYTES,
    max_file_bytes: int = MAX_FILE_BYTES,
    *,
    again: bool = False,
) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row) of what was given.

    Files are .parquet, .csv and .tsv, or else JSON: lines, read one at a time, an array, or objects one behind another
    over any lines; all but Parquet may be gzipped, and in UTF-8 or, with its mark, UTF-16. Blank lines are passed over,
    and counted. Limits are on bytes as unpacked. Raises InputError naming the file and the row for anything that is
    not an object, and for one in which a key stands twice; LimitError above a limit. What is read `again` was looked
    through for such keys before.
    """
    if not isinstance(given, Path | str):
        yield from _rows_in_memory(given)
        return
    path = Path(given)
    kinds, begins = [each.lower() for each in path.suffixes[-2:]], _begins(path)
    if begins.startswith(b"PAR1"):
        yield from parquet_rows(path)
        return
    refuse_other_kinds(begins, str(path))
    if kinds[-1:] == [".parquet"]:
        yield from parquet_rows(path)
    elif ".csv" in kinds or ".tsv" in kinds:
        text = _whole(path, min(max_file_bytes, MAX_TABLE_BYTES))
        yield from csv_rows(_decoded(text, str(path)), str(path), max_row_bytes)
    elif begins.startswith(b"["):
        yield from array_rows(_whole(path, min(max_file_bytes, MAX_TABLE_BYTES)), str(path))
    elif ".json" in kinds and (inner := _inner_array(path, max_file_bytes)) is not None:
        yield from array_rows(inner, str(path))
    else:
        yield from _json_lines(path, max_row_bytes, max_file_bytes, again)


def present(row: Row) -> Row:
    """Return a row without the columns that say nothing, which are null or not a number: joined tables have many."""
    return {column: value for column, value in row.items() if value is not None and value == value}


def write_rows(rows: Iterable[Row], file: Path | str) -> int:
    """Write rows as JSON lines, gzipped if the name ends in .gz, and return how many.

    The file appears whole or not at all. Half characters are written as JSON escapes.
    """
    path = Path(file)
    count = 0
    with replacing(path) as raw:
        out: Any = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if path.suffix == ".gz" else raw
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            out.write(line.encode("utf-8", "backslashreplace") + b"\n")
            count += 1
        if out is not raw:
            out.close()
    return count


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary neighbour of a file for writing; on success it is durable and takes the file's place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as raw:
            yield raw
            raw.flush()
            os.fsync(raw.fileno())
        temporary.replace(path)
    except RrmError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _rows_in_memory(given: Iterable[Row]) -> Iterator[tuple[int, Row]]:
    if isinstance(given, Mapping):
        raise InputError(f"a data set of several splits was given ({', '.join(map(str, given))}): give one of them")
    for number, row in enumerate(given, start=1):
        if not isinstance(row, Mapping):
            raise InputError(
                f"{name_of(given)}, row {number}: each must be a mapping of columns, got {brief(row)}; of a data frame"
                ' give .to_dict("records")'
            )
        yield number, {str(column): _python(value) for column, value in row.items()}


_PLAIN = frozenset((str, bool, int, float, type(None)))


def _python(value: Any) -> Any:
    """Return a value as Python has it: lists and numbers of arrays and tensors, floats of decimals, None of NA."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Decimal | list | dict | tuple):
        return with_floats(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    told = getattr(value, "tolist", None)
    return told() if callable(told) else value


def _json_lines(path: Path, max_row_bytes: int, max_file_bytes: int, again: bool) -> Iterator[tuple[int, Row]]:
    size, first = 0, True
    for number, line in _lines(path, max_row_bytes):
        size += len(line)
        if size > max_file_bytes:
            raise LimitError(f"{path}: unpacked it is larger than max_file_bytes = {max_file_bytes}")
        if not line.strip():
            continue
        try:
            row = _row(line, f"{path}, row {number}", again)
        except InputError:
            if not first or (objects := _objects(path, max_file_bytes)) is None:
                raise
            yield from objects
            return
        first = False
        yield number, row


def _objects(path: Path, max_file_bytes: int) -> Iterator[tuple[int, Row]] | None:
    """Return the objects of a file that has them one behind another, over any lines; None if the first is no object."""
    try:
        text = _whole(path, min(max_file_bytes, MAX_TABLE_BYTES)).decode("utf-8")
        first, _ = decoder.raw_decode(text, _behind_space(text, 0))
    except (LimitError, ValueError, RecursionError):
        return None
    return _each_object(text, str(path)) if isinstance(first, dict) else None


def _each_object(text: str, where: str) -> Iterator[tuple[int, Row]]:
    number, at = 0, _behind_space(text, 0)
    while at < len(text):
        number += 1
        try:
            row, at = decoder.raw_decode(text, at)
        except KeyTwice as error:
            raise InputError(f"{where}, row {number}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}, row {number}: not JSON ({str(error)[:80]}); each must be one object") from error
        if not isinstance(row, dict):
            raise InputError(f"{where}, row {number}: each must be one JSON object, got a {type(row).__name__}")
        yield number, row
        at = _behind_space(text, at)


def _behind_space(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] == "\ufeff"):
        at += 1
    return at


def _lines(path: Path, max_row_bytes: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    with _opened(path) as stream:
        while line := _line(stream, max_row_bytes + 1, path, number):
            number += 1
            if len(line) > max_row_bytes:
                raise LimitError(f"{path}, row {number}: longer than max_row_bytes = {max_row_bytes}")
            yield number, line


def _line(stream: IO[bytes], most: int, path: Path, before: int) -> bytes:
    try:
        return stream.readline(most)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file (after row {before}): fetch it again") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file as bytes in UTF-8, unpacked where it is packed; name it in whatever goes wrong."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            begins = stream.read(4)
            stream.seek(0)
            encoding = marked(begins)
            if encoding in ("utf-16", "utf-32"):
                stream = _narrow(_at_once(stream, path, MAX_TABLE_BYTES), encoding)
            yield stream
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-16, as it begins (byte {error.start}); save the file as UTF-8") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file: fetch it again") from error
    except IsADirectoryError as error:
        raise InputError(
            f"{path} cannot be read: it is a folder; name a file in it (a data set that was saved to disk: save it as"
            " Parquet)"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _narrow(text: bytes, encoding: str) -> IO[bytes]:
    return BytesIO(text.decode(encoding).encode("utf-8", "surrogatepass"))


def _begins(path: Path) -> bytes:
    """Return the first bytes of a file that say something."""
    with _opened(path) as stream:
        return stream.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip()


def _whole(path: Path, most: int) -> bytes:
    with _opened(path) as stream:
        return _at_once(stream, path, most).removeprefix(b"\xef\xbb\xbf")


def _at_once(stream: IO[bytes], path: Path, most: int) -> bytes:
    text = stream.read(most + 1)
    if len(text) > most:
        raise LimitError(
            f"{path}: unpacked it is larger than {most:,} bytes, too much to read at once: use JSON lines in UTF-8"
        )
    return text


def _inner_array(path: Path, max_file_bytes: int) -> bytes | None:
    """Return the one list of objects in a file that is a single object, such as {"data": [...]}; None for any other."""
    try:
        text = _whole(path, min(max_file_bytes, MAX_TABLE_BYTES))
        held = orjson.loads(text)
    except (orjson.JSONDecodeError, LimitError):
        return None  # lines, as far as can be told
    if not isinstance(held, dict):
        return None
    if (columns := _rows_by_column(held)) is not None:
        return orjson.dumps(columns)
    if len(held) != 1:
        return None
    ((name, rows),) = held.items()
    return text[text.index(b"[") : text.rindex(b"]") + 1] if name in _AROUND and isinstance(rows, list) else None


def _rows_by_column(held: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of a table that is one object of its columns, as pandas writes one; None for any other object.

    Columns are lists of one length or objects with the same keys. Lists of messages, or of a row's completions, are
    the row's own.
    """
    columns = list(held.values())
    if len(columns) < 2 or "completions" in held:
        return None
    if any(
        isinstance(cell, dict) and _ROLES & cell.keys() for each in columns if isinstance(each, list) for cell in each
    ):
        return None
    if all(isinstance(each, list) for each in columns) and len({len(each) for each in columns}) == 1:
        cells = zip(*columns, strict=True)
    elif all(isinstance(each, dict) for each in columns) and all(each.keys() == columns[0].keys() for each in columns):
        if columns[0].keys() - set(map(str, range(len(columns[0])))):
            return None
        cells = zip(*(each.values() for each in columns), strict=True)
    else:
        return None
    return [dict(zip(held, row, strict=True)) for row in cells]


def _decoded(text: bytes, where: str) -> str:
    try:
        if b"\0" in text:
            raise InputError(f"{where}: it holds NUL characters, as UTF-16 without its mark does: save it as UTF-8")
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error


def _row(line: bytes, where: str, again: bool) -> Row:
    try:
        row = _loaded(line, again)
    except KeyTwice as error:
        raise InputError(f"{where}: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:80]}); each line must be one JSON object") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: each line must be one JSON object, got a {type(row).__name__}")
    return row


def _loaded(line: bytes, again: bool) -> Any:
    """Return a line's JSON; orjson, ten times as fast, knows no half characters and makes floats of long numbers."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return decoder.decode(line.decode("utf-8-sig"))
    long = isinstance(row, dict) and any(type(each) is float and abs(each) >= _EXACT for each in row.values())
    return decoder.decode(line.decode()) if long or (not again and _may_have_a_key_twice(line, row)) else row


def _may_have_a_key_twice(line: bytes, row: Any) -> bool:
    """Say whether a line holds other keys than what was made of it, of two equal keys the last.

    It may say so wrongly; no it says wrongly only where keys have odd spaces behind them, and just as many stand twice.
    """
    loosely = line.count(b'" :')
    made = orjson.dumps(row)
    return _QUOTE in line or line.count(b'":') + loosely != made.count(b'":') + (loosely and made.count(b'" :'))
