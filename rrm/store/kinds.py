"""The kinds of value that a record holds, and how each becomes a row and a value again."""

import json
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import orjson
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from rrm.core.asking import Asked, Outlook
from rrm.core.calls import Call
from rrm.core.claims import Claims
from rrm.core.errors import InputError
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.ids import content_id, exact_id
from rrm.core.json_text import writer
from rrm.core.place import Place
from rrm.core.task import Source
from rrm.core.values import KINDS as ANSWERS
from rrm.core.values import (
    Answer,
    Choice,
    Composed,
    Criticised,
    Failure,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Improvement,
    Output,
    Rated,
    Request,
    RolledOut,
    Scored,
    Supported,
    View,
)
from rrm.files.faults import fault_in, sentence

Convert = Callable[[Any], Any]
PLAIN = (str, int, float, bool)
COLUMNS = {
    int: Annotated[int, Field(ge=-(2**63), lt=2**63)],
    str: Annotated[str, AfterValidator(lambda text: text.encode().decode())],
}
"""What a database can hold of a type: whole numbers of 64 bits, and text that UTF-8 can write."""
_EXACT = ConfigDict(strict=True, allow_inf_nan=False)


class Kind:
    """A dataclass of rrm.core with a content id, whose fields that make two of them equal are the columns of `name`.

    Texts, numbers and truth values are columns of their own type, and a place is a text; a field that
    holds a value of another kind (`references`) is stored by its id, `scores` as the bytes of their floats,
    everything else as JSON.
    """

    def __init__(
        self, name: str, type_: Any, references: "Mapping[str, Kind] | None" = None, scores: Sequence[str] = ()
    ) -> None:
        self.name, self.type, self.references = name, type_, references or {}
        known = get_type_hints(type_)
        hints = {each.name: known[each.name] for each in fields(type_) if each.compare}
        self.columns: tuple[str, ...] = tuple(hints)
        self._write = {name: _writer(hint, f"{self.name}.{name}") for name, hint in hints.items()}
        self._read = {name: _reader(hint) for name, hint in hints.items()}
        for column, kind in self.references.items():
            self._write[column], self._read[column] = _checked(kind.id_of, f"{self.name}.{column}"), _same
        for column in scores:
            self._write[column], self._read[column] = _checked(_scores_as_bytes, f"{self.name}.{column}"), scores_from
        plain = {name: _types_as_they_are(hint) for name, hint in hints.items() if name not in self.references}
        self._columns = [(name, plain.get(name, ()), write) for name, write in self._write.items()]

    def id_of(self, value: Any) -> str:
        """Return the id under which a value is recorded."""
        return str(value.id)

    def row(self, value: Any) -> dict[str, Any]:
        """Return the columns of a value; raise InputError for what would not come back as it is."""
        row = {"id": value.id}
        for name, plain, write in self._columns:
            held = getattr(value, name)
            row[name] = held if type(held) in plain and _is_as_it_is(held) else write(held)
        return row

    def value(self, id_: str, row: Sequence[Any], referred: Mapping[str, Mapping[str, Any]]) -> Any:
        """Make the value of a row's `columns`; `referred` holds, by column, the values stored by id."""
        held = [read(each) for read, each in zip(self._read.values(), row, strict=True)]
        for column, values in referred.items():
            at = self.columns.index(column)
            held[at] = values[held[at]]
        return _with_id(self.type(*held), id_)


class _ContextKind(Kind):
    """The earlier outputs that an output was made after, by their ids: a long list, which a node's outputs share."""

    def __init__(self) -> None:
        self.name, self.type, self.references = "context", tuple, {}
        self.columns = ("outputs",)

    def id_of(self, value: Sequence[str]) -> str:
        return str(self.row(value)["id"])

    def row(self, value: Sequence[str]) -> dict[str, Any]:
        return _context_row(tuple(value))

    def value(self, id_: str, row: Sequence[Any], referred: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        (held,) = row
        return _unpacked(held) if isinstance(held, str) else tuple(held)


@lru_cache(1_000)
def _context_row(outputs: tuple[str, ...]) -> dict[str, Any]:
    return {"id": exact_id("context", outputs), "outputs": _packed(outputs)}


_OUTPUT, _DIGITS = "output-", 20
"""What an output's id begins with, and how many hexadecimal digits follow."""


def _packed(outputs: tuple[str, ...]) -> str:
    """Return ids as JSON: their digits in base 64, in less than half the room, or a list where any is no output's id.

    Looked at as one text, for there may be hundreds at every node.
    """
    text = orjson.dumps(outputs)  # no number is among them, so this is what `to_json` makes
    digits = text.removeprefix(b'["output-').removesuffix(b'"]').replace(b'","output-', b"")
    usual = len(digits) == _DIGITS * len(outputs) and {*map(len, outputs)} == {len(_OUTPUT) + _DIGITS}
    if not usual or digits.translate(None, b"0123456789abcdef"):
        return text.decode()
    return f'"{b2a_base64(bytes.fromhex(digits.decode()), newline=False).decode()}"'


def _unpacked(held: str) -> tuple[str, ...]:
    digits = a2b_base64(held).hex()
    return tuple(_OUTPUT + digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS))


class _FeedbackKind(Kind):
    """Feedback, with its answer's kind in a column beside the answer."""

    def __init__(self) -> None:
        super().__init__("feedback", Feedback)
        self.columns = (*self.columns, "kind")

    def row(self, value: Feedback) -> dict[str, Any]:
        if type(value.answer) not in ANSWERS.values():
            raise InputError(f"feedback.answer cannot be recorded: no kind of answer is a {_name(value.answer)}")
        return {**super().row(value), "kind": value.answer.kind}

    def value(self, id_: str, row: Sequence[Any], referred: Mapping[str, Mapping[str, Any]]) -> Feedback:
        request, rater, answer, seconds, confidence, criterion, kind = row
        value = Feedback(request, rater, answer_from(kind, answer), seconds, confidence, criterion)
        return cast(Feedback, _with_id(value, id_))


class _TreeKind(Kind):
    """Task graphs, each under the id of its whole content."""

    def __init__(self) -> None:
        self.name, self.type, self.references = "tree", TaskGraph, {}
        self.columns = ("root", "source", "graph")

    def row(self, value: TaskGraph) -> dict[str, Any]:
        graph = value.to_json()
        columns = {"root": value.root, "source": value.task(value.root).source, "graph": _GRAPH(graph)}
        return {"id": content_id("tree", graph), **columns}

    def value(self, id_: str, row: Sequence[Any], referred: Mapping[str, Mapping[str, Any]]) -> TaskGraph:
        return TaskGraph.from_json(row[2])


class _ProposalKind(Kind):
    """Proposals of growing decomposers, each under the id of its content."""

    def __init__(self) -> None:
        self.name, self.type, self.references = "proposal", Proposal, {}
        self.columns = ("proposal",)

    def row(self, value: Proposal) -> dict[str, Any]:
        plain = _PROPOSALS.dump_python(value, mode="json")
        return {"id": content_id("proposal", plain), "proposal": _GRAPH(plain)}

    def value(self, id_: str, row: Sequence[Any], referred: Mapping[str, Mapping[str, Any]]) -> Proposal:
        return _PROPOSALS.validate_python(row[0])


def kind_of(value: Any) -> Kind:
    """Return the kind of a value; raise InputError if it is none that a record holds."""
    kind = KINDS.get(type(value))
    if kind is None:
        names = ", ".join(each.__name__ for each in KINDS)
        raise InputError(f"a {_name(value)} cannot be recorded: a record holds {names}")
    return kind


def answer_from(kind: str, held: Any) -> Answer:
    """Return an answer of this kind from what its JSON holds."""
    answer: Answer = _ANSWER_READERS[kind](held)
    return answer


@lru_cache(1_000)
def read_place(text: str) -> Place:
    """Return the place that a column holds; records have few places and many rows."""
    return Place.parse(text)


def scores_from(held: bytes) -> tuple[float, ...]:
    """Return the scores of a column: 64-bit floats one after the other, the lowest byte of each first."""
    return struct.unpack(f"<{len(held) // 8}d", held)


def to_json(value: Any) -> str:
    """Return JSON that UTF-8 can hold; raise TypeError or ValueError for what has none."""
    text = _encode(value)
    if not text.isascii():
        text.encode()
    return text


def from_json(text: str) -> Any:
    """Return what `to_json` was given, without the search for white space that json.loads makes."""
    return _DECODER.raw_decode(text)[0]


def _fields(value: Any) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise TypeError(f"a {_name(value)} has no JSON")


# made once: json.dumps and json.loads would make them anew for every value
_encode = writer(
    json.JSONEncoder(default=_fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
)
_DECODER = json.JSONDecoder()


# ---- from a value to a row ----


def _writer(hint: Any, where: str) -> Convert:
    """Return what makes a field of this type what its column takes."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    write: Convert = to_json
    if hint is Place:
        write = _place
    elif _is_plain(alternatives):
        column: Any = Union[tuple(COLUMNS.get(each, each) for each in alternatives)]  # noqa: UP007
        write = TypeAdapter(column, config=_EXACT).validate_python
    return _checked(write, where)


def _checked(write: Convert, where: str) -> Convert:
    """Return what writes a field, or raises InputError for what its column cannot take."""

    def checked(held: Any) -> Any:
        try:
            return write(held)
        except ValidationError as error:
            raise InputError(f"{where} cannot be recorded: {sentence(fault_in(error))}") from error
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{where} cannot be recorded: {error}") from error

    return checked


def _types_as_they_are(hint: Any) -> tuple[type, ...]:
    """Return the types of a field whose values, where `_is_as_it_is`, go into their column without another look."""
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(each for each in alternatives if each in (*PLAIN, type(None))) if _is_plain(alternatives) else ()


def _is_plain(alternatives: Sequence[Any]) -> bool:
    return any(each in PLAIN for each in alternatives)


def _is_as_it_is(held: Any) -> bool:
    """Whether a value of a plain type is one that every database holds: most are, and need no validator."""
    if type(held) is str:
        return held.isascii()
    return held is None or -(2.0**62) < held < 2.0**62  # NaN is not, nor are the infinities


def _scores_as_bytes(held: Sequence[float]) -> bytes:
    try:
        packed = struct.pack(f"<{len(held)}d", *held)
    except struct.error as error:
        raise TypeError(f"they must be numbers, got {held!r:.80}") from error
    if not all(map(isfinite, held)):
        raise ValueError(f"they must be finite, got {held!r:.80}")
    return packed


def _place(held: Any) -> str:
    if not isinstance(held, Place):
        raise TypeError(f"it must be a Place, got {held!r:.80}")
    return str(held)


def _name(value: Any) -> str:
    return type(value).__name__


# ---- from a row to a value ----


def _reader(hint: Any) -> Convert:
    """Return what makes a value of this type again from its JSON; a field newer than the record takes its default."""
    if hint is Place:
        return read_place
    alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return _same if _is_plain(alternatives) else TypeAdapter(hint).validate_python


def _same(held: Any) -> Any:
    return held


def _with_id(value: Any, id_: str) -> Any:
    """Return the value with its cached `id` set to what it was recorded under: nothing is hashed again."""
    vars(value)["id"] = id_
    return value


_GRAPH = _writer(dict, "tree.graph")
_PROPOSALS = TypeAdapter(Proposal)
_ANSWER_READERS: dict[str, Convert] = {name: _reader(kind) for name, kind in ANSWERS.items()}

_CONTEXT = _ContextKind()
_VIEW = Kind("view", View)
_REQUEST = Kind("request", Request, {"view": _VIEW})
_FEEDBACK = _FeedbackKind()

KINDS: dict[type, Kind] = {
    kind.type: kind
    for kind in (
        Kind("source", Source),
        _TreeKind(),
        _ProposalKind(),
        _VIEW,
        Kind("output", Output, {"context": _CONTEXT}),
        _REQUEST,
        _FEEDBACK,
        Kind("rated", Rated, {"request": _REQUEST, "feedback": _FEEDBACK}),
        Kind("failure", Failure),
        Kind("fitted", Fitted),
        Kind("scored", Scored, scores=("rewards", "acceptance")),
        Kind("fittedcomposer", FittedComposer),
        Kind("claims", Claims),
        Kind("supported", Supported, scores=("support",)),
        Kind("rolledout", RolledOut),
        Kind("criticised", Criticised),
        Kind("composed", Composed, scores=("acceptance",)),
        Kind("improvement", Improvement),
        Kind("choice", Choice),
        Kind("asked", Asked),
        Kind("outlook", Outlook),
        Kind("gold", Gold),
        Kind("call", Call),
    )
}
"""Every kind of value that a record holds."""

IN_ORDER: tuple[Kind, ...] = (_CONTEXT, *KINDS.values())
"""These, and what they have in common; one that others refer to stands before them."""
