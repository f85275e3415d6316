"""Books as chapters in JSON lines, plain or gzipped.

A row: `{"book": "The Mill", "order": 0, "part": "I", "chapter": "The donkey", "paragraphs": ["Once ...", "He ..."]}`
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from rrm.core.errors import InputError, LimitError
from tasks.books.encodings import decode
from tasks.books.text import Block, Text, joined, lined


def read_json_lines(data: bytes, where: str, max_bytes: int) -> Text:
    """Read one chapter a line: `paragraphs`, and if known `book`, `order`, `part` and `chapter`."""
    rows = [_row(line, f"{where}, line {number}") for number, line in _json_lines(data, where, max_bytes)]
    if len(books := {row.get("book") for row in rows}) > 1:
        raise InputError(f"{where}: chapters of {len(books)} books in one file; give each book a file")
    if all(type(row.get("order")) is int for row in rows):
        rows.sort(key=lambda row: row["order"])
    blocks: list[Block] = []
    part = None
    for row in rows:
        headings = [row.get("part") if row.get("part") != part else None, row.get("chapter")]
        part = row.get("part")
        texts = [_clean(each) for each in [*headings, *row["paragraphs"]] if isinstance(each, str)]
        blocks += [Block(number == 0, text) for number, text in enumerate(filter(None, texts))]
    return Text(*joined(blocks), str(next(iter(books), None) or ""))


def _json_lines(data: bytes, where: str, max_bytes: int) -> Iterator[tuple[int, str]]:
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, where, max_bytes)
    decoded = decode(data, where)
    if decoded.guessed:
        raise InputError(f"{where}: not UTF-8, as JSON is; save it as UTF-8")
    for number, line in enumerate(decoded.text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _unpacked(data: bytes, where: str, max_bytes: int) -> bytes:
    try:
        with gzip.open(BytesIO(data)) as file:
            unpacked = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{where}: not a sound gzip file: {error}") from error
    if len(unpacked) > max_bytes:
        raise LimitError(f"{where}: unpacks to more than max_bytes = {max_bytes:,}; raise it to read the file")
    return unpacked


class _Pairs(list[tuple[str, Any]]):
    """An object's keys and values as they stand."""


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON") from error
    if isinstance(pairs, _Pairs) and len(dict(pairs)) < len(pairs):
        raise InputError(f"{where}: a key stands twice in the chapter's object: keep one")
    row = dict(pairs) if isinstance(pairs, _Pairs) else None
    paragraphs = row.get("paragraphs") if row is not None else None
    if row is None or not isinstance(paragraphs, list) or not all(isinstance(each, str) for each in paragraphs):
        raise InputError(f"{where}: a chapter is an object with a list of texts under `paragraphs`")
    return row


def _clean(text: str) -> str:
    """Return a text without what JSON lets through and files do not: lone surrogates, odd newlines, NUL."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return lined(whole).replace("\0", "").strip()
