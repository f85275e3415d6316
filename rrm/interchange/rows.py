"""Rows of a file, one at a time: JSON lines, plain or gzipped, and Parquet; limits and faults named by row."""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rrm.core.errors import InputError, LimitError, RrmError

MAX_ROW_BYTES = 64 * 2**20
MAX_FILE_BYTES = 16 * 2**30
Row = Mapping[str, Any]


def read_rows(
    file: Path | str, max_row_bytes: int = MAX_ROW_BYTES, max_file_bytes: int = MAX_FILE_BYTES
) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row) of a .jsonl, .jsonl.gz or .parquet file, without reading it whole.

    Blank lines are passed over, and counted. Limits are on bytes as unpacked. Raises InputError
    naming the file and the row for anything that is not a JSON object in UTF-8, LimitError above
    a limit.
    """
    path = Path(file)
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    size = 0
    for number, line in _lines(path, max_row_bytes):
        size += len(line)
        if size > max_file_bytes:
            raise LimitError(f"{path}: unpacked it is larger than max_file_bytes = {max_file_bytes}")
        if line.strip():
            yield number, _row(line, f"{path}, row {number}")


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


def _lines(path: Path, max_row_bytes: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := stream.readline(max_row_bytes + 1):
                number += 1
                if len(line) > max_row_bytes:
                    raise LimitError(f"{path}, row {number}: longer than max_row_bytes = {max_row_bytes}")
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file (after row {number}): fetch it again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _row(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:80]}); each line must be one JSON object") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: each line must be one JSON object, got a {type(row).__name__}")
    return row


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    parquet = pyarrow().parquet
    try:
        batches = parquet.ParquetFile(path).iter_batches(batch_size=1000)
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from enumerate(rows, start=1)
    except (OSError, pyarrow().ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error)[:120]}") from error


def pyarrow() -> Any:
    """Return pyarrow with its Parquet part; raise InputError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: run `pip install 'rrm[parquet]'`, or use .jsonl.gz") from error
    return pyarrow
