"""A book with the hidden truth about it."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from rrm.core.task import Source, Span
from tasks.synthetic_book.events import Core, Event


class Told(NamedTuple):
    """An event of a book, the offset of the sentence that tells it, and where the book takes it back."""

    at: int
    event: Event
    taken_back: int | None = None

    def holds(self, end: int) -> bool:
        """Say whether what is told up to an offset leaves it true."""
        return self.taken_back is None or self.taken_back >= end


@dataclass(frozen=True)
class Book:
    """A source with the hidden truth about it, in the order of telling."""

    source: Source
    told: tuple[Told, ...] = field(repr=False)

    @cached_property
    def offsets(self) -> list[int]:
        return [each.at for each in self.told]

    @cached_property
    def by_core(self) -> dict[Core, list[Told]]:
        found: dict[Core, list[Told]] = defaultdict(list)
        for told in self.told:
            found[told.event.core].append(told)
        return found

    def within(self, span: Span | None) -> tuple[Told, ...]:
        """Return what the span tells; a sentence belongs where it begins."""
        if span is None:
            return self.told
        return self.told[bisect_left(self.offsets, span.start) : bisect_left(self.offsets, span.end)]
