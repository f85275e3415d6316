"""What decomposers that ask a model share: a text shown as numbered units, and the JSON object in an answer."""

import json
from collections.abc import Sequence
from typing import Any

from rrm.core.errors import MalformedAnswerError
from rrm.core.task import Source, Span
from rrm.core.text import paragraphs, sentences

_MAX_ANSWER = 100_000  # characters; an honest answer has a few thousand
_SHORTEST = 200  # characters of a piece of a text that is one sentence
_FEW_UNITS = 8  # with fewer paragraphs than this, sentences are shown instead


def units_of(source: Source, pieces: Sequence[Span], most: int) -> list[Span]:
    """Cut pieces of text into about `most` units or fewer: runs of paragraphs, of sentences where those are few.

    A unit ends inside a sentence only where that has more than 2,000 characters, or is all that there is.
    """
    length = sum(end - start for start, end in pieces)
    units: list[Span] = []
    for piece in pieces:
        text = source.read(piece)
        starts = [each.start for each in paragraphs(text)]
        if len(starts) < _FEW_UNITS:
            cut = sentences(text)
            cut = cut if len(cut) > 1 else sentences(text, max(_SHORTEST, len(text) // _FEW_UNITS))
            starts = [each.start for each in cut]
        at = piece.start
        for start in starts[1:]:
            if piece.start + start - at >= length / most:
                units.append(Span(at, piece.start + start))
                at = piece.start + start
        units.append(Span(at, piece.end))
    return units


def shown_units(source: Source, units: Sequence[Span], excerpt: int) -> list[str]:
    """Return the units as JSON objects, one a line, each with its first `excerpt` characters."""
    lines = []
    for number, unit in enumerate(units, start=1):
        text = " ".join(source.text[unit.start : min(unit.end, unit.start + 4 * excerpt)].split())[:excerpt]
        row = {"unit": number, "characters": unit.end - unit.start, "begins": text}
        lines.append(json.dumps(row, ensure_ascii=False))
    return lines


def json_object(answer: str) -> dict[str, Any]:
    """Return the JSON object in a model's answer, code fences or words around it left out.

    Raises MalformedAnswerError where there is none, and for an answer of more than 100,000 characters.
    """
    if len(answer) > _MAX_ANSWER:
        raise MalformedAnswerError(f"the answer has {len(answer)} characters, more than {_MAX_ANSWER}")
    start, end = answer.find("{"), answer.rfind("}")
    if start < 0 or end < start:
        raise MalformedAnswerError("the answer holds no JSON object")
    try:
        found = json.loads(answer[start : end + 1])
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError("the answer is not one well-formed JSON object") from error
    return dict(found)


def note_of(words: object, most: int = 200) -> str:
    """Return what a model says of its plan as one line that can be kept, at most so many characters."""
    return " ".join(str(words or "").split())[:most].encode(errors="replace").decode()
