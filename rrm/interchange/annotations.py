"""Answers from raters' pages as rows, and rows as streams of bytes: JSON lines, CSV, Parquet; memory stays flat.

A row's `answer` is as recorded, with places in the request's own order. `outputs`, `better` and
`best_first` are as the rater saw them: `outputs` holds the texts in the order shown, `better` is
"first", "second", "tie" or "neither", `best_first` counts those texts from 1. `order` leads from
one to the other: `order[i]` is the place in the request of the output shown at place i, from 0.
"""

import codecs
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import chain, islice
from string import ascii_letters, digits
from typing import Any, TypeVar

import orjson

from rrm.core.annotation import Annotation, ItemText, Person
from rrm.core.asking import Asked
from rrm.core.errors import MissingError
from rrm.core.values import Answer, Comparison, Feedback, Ranking, Rated, Reject, Request
from rrm.interchange.export import Why, to_trl
from rrm.interchange.rows import Row, pyarrow

Requests = Callable[[Sequence[str]], Mapping[str, Request]]
"""Looks up many requests by id at once; ids that it does not know are missing in what it returns."""

A = TypeVar("A", ItemText, Request)

_AT_ONCE = 500  # answers whose requests are looked up together
_CHUNK = 1 << 18  # bytes that leave at a time
_ROW_GROUP = 1 << 20  # bytes of rows, as JSON, that one group of Parquet holds: all are in memory at once

_TYPES = {
    "id": "string",
    "item": "string",
    "sheet": "string",
    "node": "string",
    "source": "string",
    "round": "int64",
    "subject": "string",
    "level": "int64",
    "criterion": "string",
    "kind": "string",
    "purpose": "string",
    "rater": "string",
    "name": "string",
    "group": "string",
    "answer": "json",
    "better": "string",
    "strength": "float64",
    "value": "float64",
    "good": "bool_",
    "text": "string",
    "reason": "string",
    "best_first": "int64[]",
    "tied": "int64[]",
    "outputs": "string[]",
    "order": "int64[]",
    "guideline": "int64",
    "shown": "string",
    "at": "string",
    "seconds": "float64",
    "wall_seconds": "float64",
    "confidence": "float64",
    "state": "string",
    "right": "bool_",
    "adjudication": "bool_",
    "detail": "json",
    "asked_stream": "string",
    "asked_pool": "string",
    "asked_propensity": "float64",
    "asked_value": "float64",
    "asked_bundle": "int64",
    "asked_minutes": "float64",
}
"""The columns in their order, with pyarrow's types; "json" ones are objects, which Parquet holds as JSON text."""

COLUMNS = tuple(_TYPES)

MEANINGS = {
    "id": "the answer's id",
    "item": "the id of the item that was answered, which names all that it asks",
    "sheet": "what it was handed out with: one name for the items of a sheet, the item's own id where it was alone",
    "node": "the node of the tree that the item is about",
    "source": "the id of the source that the node belongs to",
    "round": "the round in which it was asked, from 0",
    "subject": "what is judged: answer, whole (an output beside its whole source) or split (a decomposition)",
    "level": "the node's level, 0 for leaves",
    "criterion": "what was judged by; overall for the output as a whole",
    "kind": "the item's kind, such as comparison; an answer may be of another one, as a rejection is",
    "purpose": "work, or a known answer: gold, attention, practice",
    "rater": "the pseudonym of who answered",
    "name": "their name, where names were asked for",
    "group": "their group of raters at the time of the export, where anybody is of one; empty for none",
    "answer": "the answer as recorded, an object with its kind; places count outputs in the item's own order, from 0",
    "better": "of a comparison, as shown: first, second, tie or neither",
    "strength": "of a comparison, how much better: 0 slightly, 0.5, 1 far; empty where none was said",
    "value": "of a rating, the point chosen, from 1",
    "good": "of a label, whether the output is good",
    "text": "of a correction, demonstration or critique, what was written",
    "reason": "of a rejection, why",
    "best_first": "of a ranking, the outputs as shown, counted from 1, best first",
    "tied": "of a ranking, those outputs that are level with the one before them in best_first",
    "outputs": "the texts in the order in which they were shown",
    "order": "place i shown held the item's output order[i], both from 0",
    "guideline": "the version of the guidelines that was shown, 0 for none",
    "shown": "a hash of all that was shown",
    "at": "when it was answered, UTC, ISO 8601",
    "seconds": "active seconds that the page measured, bounded by the server's clock",
    "wall_seconds": "seconds from handing out to answer by the server's clock",
    "confidence": "how sure the rater was, from 0 to 1; empty where not asked",
    "state": "live (counts), undone (by the rater), requeued (by an admin) or adjudicated (a decision replaced it)",
    "right": "whether it agrees with the known answer; empty where none is known or none is judged",
    "adjudication": "whether it is an adjudicator's decision",
    "detail": "what else is kept: spans on the source, the diff of a correction, and what the page added",
    "asked_stream": "why it was asked: value (chosen by worth) or random (beside the chosen); empty: drawn evenly",
    "asked_pool": "a hash of all questions that could be asked when it was",
    "asked_propensity": "the probability with which it was drawn next; 1 where it was chosen",
    "asked_value": "what its bundle was worth, in acceptance probability a minute; 0 of the stream random",
    "asked_bundle": "the bundle that it was chosen in, from 0, within its pool",
    "asked_minutes": "the minutes that it was expected to take, all its raters together",
}
"""What each column means: the data dictionary."""


def data_dictionary() -> list[Row]:
    """Return the columns of exported answers with their types and meanings, as rows."""
    return [{"column": name, "type": _TYPES[name].rstrip("_"), "meaning": MEANINGS[name]} for name in COLUMNS]


# ---- answers as values ----


def rows(
    annotations: Iterable[Annotation],
    asked: Callable[[Sequence[str]], Mapping[str, ItemText]],
    names: Mapping[str, str] | None = None,
    why: Why | None = None,
    groups: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a row for every answer, whatever its state, with all `COLUMNS`; raise MissingError without its request.

    `asked` is a desk's, or as that, and `why` says of items by their ids why they were put. Raters stand under their
    pseudonyms; `names` and `groups`, by pseudonym, are added only where they are given.
    """
    unknown = [column for column, told in (("name", names), ("group", groups)) if told is None]
    for annotation, request in _with_requests(annotations, asked):
        row = _row(annotation, request, (why or {}).get(annotation.item), names or {}, groups or {})
        for column in unknown:
            del row[column]
        yield row


def groups_of(people: Iterable[Person]) -> dict[str, str] | None:
    """Return the groups of raters by their pseudonyms, None where nobody is of any."""
    return {person.id: person.group for person in people if person.group} or None


def exported(annotations: Iterable[Annotation], every: bool) -> Iterator[Annotation]:
    """Yield the answers that an export holds, by page or by command: those that count, or of every state."""
    return (each for each in annotations if every or each.state == "live")


def rated(annotations: Iterable[Annotation], requests: Requests) -> Iterator[Rated]:
    """Yield what counts as feedback: live answers to work items, decisions in the place of adjudicated ones."""
    counting = (annotation for annotation in annotations if annotation.state == "live" and annotation.purpose == "work")
    for annotation, request in _with_requests(counting, requests):
        known = (annotation.seconds, annotation.confidence)
        yield Rated(request, Feedback(request.id, annotation.person, annotation.answer, *known, request.criterion))


def trl(
    rated: Iterable[Rated], why: Why | None = None, groups: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield TRL preference rows without margins, which TRL wants in all rows or in none, and `groups` as in `rows`."""
    for row in to_trl(rated, margins=False, why=why):
        yield row if groups is None else {**row, "group": groups.get(row["annotator"])}


def _with_requests(
    annotations: Iterable[Annotation], requests: Callable[[Sequence[str]], Mapping[str, A]]
) -> Iterator[tuple[Annotation, A]]:
    left = iter(annotations)
    while some := list(islice(left, _AT_ONCE)):
        known = requests(list(dict.fromkeys(annotation.item for annotation in some)))
        for annotation in some:
            if annotation.item not in known:
                raise MissingError(f"answer {annotation.id} is to request {annotation.item}, which is not on record")
            yield annotation, known[annotation.item]


def _row(
    annotation: Annotation, asked: ItemText, why: Asked | None, names: Mapping[str, str], groups: Mapping[str, str]
) -> dict[str, Any]:
    answer, order = annotation.answer, annotation.order
    told = vars(answer)
    return {
        "id": annotation.id,
        "item": annotation.item,
        "sheet": annotation.sheet,
        "node": annotation.node,
        "source": asked.source,
        "round": annotation.place.round,
        "subject": annotation.place.subject,
        "level": annotation.place.level,
        "criterion": asked.criterion,
        "kind": annotation.kind,
        "purpose": annotation.purpose,
        "rater": annotation.person,
        "name": names.get(annotation.person),
        "group": groups.get(annotation.person),
        "answer": {"kind": answer.kind, **told},
        "better": _better(annotation),
        "strength": told.get("strength"),
        "value": told.get("value"),
        "good": told.get("good"),
        "text": told.get("text"),
        "reason": told.get("reason"),
        "best_first": _best_first(answer, order),
        "tied": _tied(answer, order),
        "outputs": [asked.texts[place] for place in order],
        "order": list(order),
        "guideline": annotation.guideline,
        "shown": annotation.shown,
        "at": _time(annotation.at),
        "seconds": annotation.seconds,
        "wall_seconds": annotation.wall_seconds,
        "confidence": annotation.confidence,
        "state": annotation.state,
        "right": annotation.right,
        "adjudication": annotation.adjudication,
        "detail": dict(annotation.detail),
        "asked_stream": None if why is None else why.stream,
        "asked_pool": None if why is None else why.pool,
        "asked_propensity": None if why is None else why.propensity,
        "asked_value": None if why is None else why.value,
        "asked_bundle": None if why is None else why.bundle,
        "asked_minutes": None if why is None else why.minutes,
    }


def _better(annotation: Annotation) -> str | None:
    answer = annotation.answer
    if isinstance(answer, Comparison):
        return "tie" if answer.better is None else ("first", "second")[annotation.order.index(answer.better)]
    return "neither" if isinstance(answer, Reject) and annotation.detail.get("both_bad") else None


def _best_first(answer: Answer, order: tuple[int, ...]) -> list[int] | None:
    return [order.index(place) + 1 for place in answer.best_first] if isinstance(answer, Ranking) else None


def _tied(answer: Answer, order: tuple[int, ...]) -> list[int] | None:
    return [order.index(place) + 1 for place in answer.tied] if isinstance(answer, Ranking) else None


def _time(at: float) -> str:
    minute, milliseconds = divmod(round(at * 1000), 60_000)
    return f"{_minute(minute)}:{milliseconds / 1000:06.3f}Z"


@lru_cache(1_000)
def _minute(minutes: int) -> str:
    return (_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")


_EPOCH = datetime(1970, 1, 1)


# ---- rows as bytes ----


def jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield rows as JSON lines in UTF-8, in chunks of some 256 KB."""
    return _chunks(map(_line, rows), _CHUNK)


def csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield rows as CSV (RFC 4180) in UTF-8 with its mark, under the first row's columns; nothing without a row.

    Without the mark spreadsheets take the bytes for another encoding.

    No spreadsheet takes a cell for a formula: see `safe_cell`; `original_cell` takes that back. What
    is None is an empty cell, lists and objects are JSON.
    """
    return _chunks(_csv_lines(iter(rows)), _CHUNK)


def parquet(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield rows (`rows`, or TRL's) as a Parquet file under the first row's columns, one group of rows after another.

    Raises InputError where pyarrow is missing.
    """
    arrow = pyarrow()
    from pyarrow.json import ParseOptions, ReadOptions, read_json

    left = iter(rows)
    some = list(islice(left, 1))
    columns = list(some[0]) if some else [name for name in COLUMNS if name not in ("name", "group")]
    kinds = {name: _TYPES.get(name, "string") for name in columns}
    schema = arrow.schema([(name, _arrow_type(arrow, kind)) for name, kind in kinds.items()])
    as_text = [name for name, kind in kinds.items() if kind == "json"]
    known = ParseOptions(explicit_schema=schema)
    pool = arrow.system_memory_pool()  # the others keep what they no longer need
    sink = _Sink()
    with arrow.parquet.ParquetWriter(sink, schema) as writer:
        # by way of JSON: to take Python's values in, pyarrow loads pandas where there is one, which is 50 MB
        for lines in _chunks((_line(_with_texts(row, as_text)) for row in chain(some, left)), _ROW_GROUP):
            whole = ReadOptions(use_threads=False, block_size=len(lines))
            writer.write_table(read_json(arrow.BufferReader(lines), whole, known, memory_pool=pool))
            pool.release_unused()
            yield sink.taken()
    yield sink.taken()


def _arrow_type(arrow: Any, kind: str) -> Any:
    if kind.endswith("[]"):
        return arrow.list_(_arrow_type(arrow, kind.removesuffix("[]")))
    return getattr(arrow, "string" if kind == "json" else kind)()


def safe_cell(text: str) -> str:
    """Return the text, after an apostrophe if a spreadsheet might take it for a formula.

    That is so if it begins with a tab or the end of a line or, after white space, with one of = + - @,
    in either width. A text that begins with an apostrophe gets one too, so that `original_cell` is exact.
    """
    if text[:1] in _USUAL:
        return text
    risky = text.lstrip()[:1] in _RISKY or text.startswith(("\t", "\r", "\n"))
    return f"'{text}" if risky else text


def original_cell(cell: str) -> str:
    """Return the text that `safe_cell` made this cell of."""
    return cell.removeprefix("'")


_RISKY = frozenset("=+-@'＝＋－＠")
_USUAL = frozenset(ascii_letters + digits)
_PLAIN = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
_utf8 = partial(str.encode, encoding="utf-8", errors="backslashreplace")


def _json(value: Any) -> bytes:
    """Return a value's JSON in UTF-8; half characters, which UTF-8 has none for, become escapes."""
    try:
        return orjson.dumps(value)  # ten times as fast, but it knows neither half characters nor numbers of any length
    except orjson.JSONEncodeError:
        return _utf8(_PLAIN(value))


def _csv_lines(rows: Iterator[Row]) -> Iterator[bytes]:
    """Yield a header and rows. Python's csv looks at every character by itself, which takes twice as long."""
    columns: list[str] = []
    for row in rows:
        if not columns:
            columns = list(row)
            yield codecs.BOM_UTF8 + _utf8(",".join(columns) + "\r\n")
        cells = [  # most are None or a text that stays as it is, and a call would take longer than they do
            "" if value is None
            else f'"{value}"' if type(value) is str and value[:1] in _USUAL and '"' not in value
            else _CELLS[type(value)](value)
            for value in map(row.__getitem__, columns)
        ]  # fmt: skip
        yield _utf8(",".join(cells) + "\r\n")


def _text_cell(text: str) -> str:
    return '"' + safe_cell(text).replace('"', '""') + '"'


def _json_cell(value: Any) -> str:
    return '"' + _json_text(value).replace('"', '""') + '"'


def _json_text(value: Any) -> str:
    return _json(value).decode()


_CELLS: dict[type, Callable[[Any], str]] = {
    str: _text_cell,
    bool: lambda value: "true" if value else "false",
    int: lambda value: safe_cell(str(value)),
    float: lambda value: safe_cell(str(value)),
    list: _json_cell,
    dict: _json_cell,
}


def _line(row: Row) -> bytes:
    return _json(row) + b"\n"


def _with_texts(row: Row, columns: Iterable[str]) -> Row:
    """Return a row whose lists and objects in these columns are JSON texts."""
    return {**row, **{name: _json_text(row[name]) for name in columns if row[name] is not None}}


def _chunks(lines: Iterable[bytes], least: int) -> Iterator[bytes]:
    """Join lines into chunks of so many bytes at least, the last aside."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= least:
            chunk = b"".join(held)
            held, size = [], 0  # before the chunk leaves, and is worked on
            yield chunk
    if held:
        yield b"".join(held)


class _Sink(io.RawIOBase):
    """A file that is only written, whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        self._size += len(self._held[-1])
        return len(self._held[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._held)
        self._held.clear()
        return taken
