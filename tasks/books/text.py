"""What a reader of books returns, and how its text is changed without losing the places of its chapters."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple


class Text(NamedTuple):
    """A book as a form's reader returns it.

    `breaks` are the offsets where chapters begin by the file's own structure, `title` is the book's own, `notes` say in
    sentences what was left out or read as something else.
    """

    text: str
    breaks: tuple[int, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()

    def noted(self, *notes: str) -> "Text":
        return self._replace(notes=(*self.notes, *notes))


class Block(NamedTuple):
    """A paragraph or a heading; `begins` says that a chapter begins with it."""

    begins: bool
    text: str


class Line(NamedTuple):
    """A line of a text: its offset, and itself without surrounding space."""

    start: int
    text: str


Replacement = Callable[[re.Match[str]], str | None]
"""Given a match, returns what stands in its place; None leaves it as it is."""

_NEWLINE = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")


def lined(text: str) -> str:
    """Return a text with every kind of line end as \\n."""
    return _NEWLINE.sub("\n", text)


def lines(text: str) -> Iterator[Line]:
    at = 0
    for line in text.split("\n"):
        yield Line(at, line.strip())
        at += len(line) + 1


def joined(blocks: Sequence[Block]) -> tuple[str, tuple[int, ...]]:
    """Return the blocks joined by blank lines, and the offsets of those that begin a chapter, not the first's."""
    at, breaks = 0, []
    for block in blocks:
        if block.begins and at:
            breaks.append(at)
        at += len(block.text) + 2
    return "\n\n".join(block.text for block in blocks), tuple(breaks)


class Edit(NamedTuple):
    """Characters `start` up to `end` of a text become `new`."""

    start: int
    end: int
    new: str


def edited(book: Text, edits: Sequence[Edit]) -> Text:
    """Return a book with edits carried out, which are ascending and apart; its breaks move along."""
    if not edits:
        return book
    at, pieces = 0, []
    for edit in edits:
        pieces += [book.text[at : edit.start], edit.new]
        at = edit.end
    text = "".join([*pieces, book.text[at:]])
    ends = [edit.end for edit in edits]
    moved = [0, *accumulate(len(edit.new) - (edit.end - edit.start) for edit in edits)]
    breaks = dict.fromkeys(place + moved[bisect_right(ends, place)] for place in book.breaks)
    return book._replace(text=text, breaks=tuple(place for place in breaks if 0 < place < len(text)))


def replaced(book: Text, pattern: re.Pattern[str], replacement: Replacement) -> Text:
    """Return a book with the matches of a pattern replaced, its breaks moved along."""
    news = ((match, replacement(match)) for match in pattern.finditer(book.text))
    return edited(book, [Edit(match.start(), match.end(), new) for match, new in news if new is not None])


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def several(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
