"""Sources, spans and tasks: what is to be done, and on which piece of text."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from rrm.core.errors import InputError
from rrm.core.ids import content_id


class Span(NamedTuple):
    """Characters `start` up to, not including, `end` of a source's text."""

    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A text that tasks are about, such as a book.

    `breaks` are character offsets at which the text would best be cut (the starts of chapters),
    ascending and inside the text; `skipped` are spans that belong to no task, such as a
    publisher's preamble. `notes` say, in sentences, what its reader left out or took for something else. The id is
    the content's, so the same text is the same source, whatever its notes.
    """

    title: str
    text: str = field(repr=False)
    breaks: tuple[int, ...] = ()
    skipped: tuple[Span, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        inside = all(0 < at < len(self.text) for at in self.breaks)
        if not inside or list(self.breaks) != sorted(set(self.breaks)):
            raise InputError(f"{self.title}: breaks must be ascending offsets inside the text")
        if any(not 0 <= start < end <= len(self.text) for start, end in self.skipped):
            raise InputError(f"{self.title}: skipped spans must lie inside the text")

    @cached_property
    def id(self) -> str:
        return content_id("source", self.text, self.breaks, self.skipped)

    def read(self, span: Span) -> str:
        """Return the text of a span."""
        return self.text[span.start : span.end]


@dataclass(frozen=True)
class Task:
    """Something to be done with a piece of a source, or with none.

    `rank` is a size that every subtask must undercut, so that decomposition ends; for a task on
    a source it is the number of characters of its span unless stated otherwise. `max_tokens`
    limits the output and `context_tokens` the previous context that may be read beside it, both
    counted by the run's tokenizer. A leaf works on its piece of the source, a task with parts on what
    they answered, and on its own piece too if it `sees_source`; one without a source on its instruction.
    """

    instruction: str
    source: str | None = None
    span: Span | None = None
    max_tokens: int = 128
    context_tokens: int = 0
    rank: int = -1
    sees_source: bool = False

    def __post_init__(self) -> None:
        if any(type(number) is not int for number in (self.rank, self.max_tokens, *(self.span or ()))):
            raise InputError(  # a rank of NaN is lower than none, and would let a decomposition go on for ever
                f"a task's rank, max_tokens and span are whole numbers, got {self.rank!r}, {self.max_tokens!r}"
                f" and {self.span!r}"
            )
        if (self.source is None) != (self.span is None):
            raise InputError("a task has both a source and a span of it, or neither")
        if self.rank < 0:
            if self.span is None:
                raise InputError("a task without a source must state its rank, a number from 0 up")
            object.__setattr__(self, "rank", self.span.end - self.span.start)
        if self.sees_source and self.span is None:
            raise InputError("a task without a source has none to see: leave sees_source out, or give it a span")
        if self.span is not None and not 0 <= self.span.start <= self.span.end:
            raise InputError(f"not a span: {tuple(self.span)}")
