"""Citations by number: a text's sentences numbered for its reader, and the numbers in an answer read as citations."""

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from rrm.core.claims import Citation, claim_spans
from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.values import View

_NUMBERS = re.compile(r"\s*\[(\d{1,6}(?:\s*(?:,|;|-|–|and)\s*\d{1,6})*)\]")
_RANGE = re.compile(r"(\d+)\s*[-–]\s*(\d+)|(\d+)")
_WIDEST = 50
"""No range names more sentences than this; what is wider names its two ends."""


class Named(NamedTuple):
    """Numbers of sentences that stood in an answer before its character `at`."""

    at: int
    numbers: tuple[int, ...]


def numbered(view: View) -> str:
    """Return the passages' texts, joined by blank lines, each sentence behind its number in square brackets, from 1."""
    number = count(1)
    told = (
        " ".join(f"[{next(number)}] {passage.text[start:end]}" for start, end in sentences(passage.text))
        for passage in view.passages
    )
    return "\n\n".join(text for text in told if text)


def without_numbers(answer: str) -> tuple[str, tuple[Named, ...]]:
    """Return an answer without the numbers in square brackets, and where they stood."""
    kept: list[str] = []
    named: list[Named] = []
    length = start = 0
    for match in _NUMBERS.finditer(answer):
        kept.append(answer[start : match.start()])
        length += len(kept[-1])
        start = match.end()
        named.append(Named(length, tuple(dict.fromkeys(_numbers(match.group(1))))))
    return "".join((*kept, answer[start:])), tuple(named)


def citations(text: str, named: Sequence[Named], view: View) -> tuple[Citation, ...]:
    """Return what the numbers in a text say: each is of the claim before it, and names a sentence of the view.

    A number that no sentence of the view has is passed over: what was not shown cannot be cited.
    """
    shown = [(seen, span) for seen, passage in enumerate(view.passages) for span in sentences(passage.text)]
    spans = claim_spans(text)
    return tuple(
        Citation(claim, *shown[number - 1])
        for at, numbers in named
        if (claim := _before(spans, at)) is not None and at <= len(text)
        for number in numbers
        if 0 < number <= len(shown)
    )


def _before(spans: Sequence[Span], at: int) -> Span | None:
    """Return the claim that holds the character before `at`, or else the last one that ends before it."""
    return next((span for span in reversed(spans) if span.start < at), None)


def _numbers(text: str) -> Iterator[int]:
    for low, high, single in _RANGE.findall(text):
        if single:
            yield int(single)
        elif int(low) <= int(high) <= int(low) + _WIDEST:
            yield from range(int(low), int(high) + 1)
        else:
            yield from (int(low), int(high))
