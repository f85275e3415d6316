"""Generated books as a source set with gold."""

from functools import cached_property
from typing import NamedTuple

from rrm.core.errors import InputError
from rrm.core.task import Source, Span
from tasks.synthetic_book.book import Book
from tasks.synthetic_book.events import Event
from tasks.synthetic_book.judging import Credit, Known, Quality, judge, share_told
from tasks.synthetic_book.reading import read_sentence
from tasks.synthetic_book.telling import write_book


class Fact(NamedTuple):
    """Whether a sentence is true, None if it tells no event, and whether it is false because the book took it back."""

    true: bool | None
    taken_back: bool = False


class SyntheticBooks:
    """`count` books of about `words` words each, and the truth about them.

    Book number i of a seed is the same whatever `count` is. Raises InputError unless there is at
    least one book and each has 500 words or more.
    """

    def __init__(self, count: int, words: int = 2000, seed: int = 0) -> None:
        if count < 1 or words < 500:
            raise InputError(f"synthetic books: count must be 1 or more and words 500 or more, got {count} and {words}")
        self.count, self.words, self.seed = count, words, seed
        self.name = f"synthetic-books(count={count}, words={words}, seed={seed})"
        self._known: dict[tuple[str, Span | None], Known] = {}

    @cached_property
    def books(self) -> list[Book]:
        """The books with their hidden events."""
        return [write_book(self.seed, index, self.words) for index in range(self.count)]

    @cached_property
    def _by_id(self) -> dict[str, Book]:
        return {book.source.id: book for book in self.books}

    def sources(self) -> list[Source]:
        return [book.source for book in self.books]

    def book(self, source: str) -> Book:
        """Return the book of a source, given by its id; raise InputError for an unknown one."""
        if source not in self._by_id:
            raise InputError(f"{self.name} has no source with the id {source!r}")
        return self._by_id[source]

    def gold(self, source: str, span: Span | None, text: str) -> float:
        """Return the overall quality in [0, 1] of a text about a span of a source, given by its id."""
        return self.quality(source, span, text).overall

    def quality(self, source: str, span: Span | None, text: str) -> Quality:
        """Return how good a text is as a summary of a span, or of the whole source (None), and why.

        With n the number of events that the text tells, and w the importance of an event (1 to 10) with half of that of
        the span's events that it is told to have caused (`importances`), which takes reading the span to know:

        - coverage: the sum over the span's true events of w times the share told, divided by the sum
          of the m largest w in the span, where m is n, or what would fit into the text's words, or
          LEAST_EVENTS, whichever is largest. So a short summary of a long span is measured by what
          so short a text can tell, and a very short one is not flattered.
        - accuracy: the share of the n events that are true of the book (1 if n = 0). Any wrong name,
          place or cause makes an event wrong; one left out only covers less. What the book takes
          back before the span ends is wrong; for a span that ends before, it is true as told.
        - coherence: the longest run of the true ones in the book's order, as a share of them;
          so a repeated event costs as much as a misplaced one.
        - overall: coverage * accuracy * (1 - DISORDER * (1 - coherence)).

        A span without events is covered by any text. Raises InputError for an unknown source.
        """
        return judge(text, self._truth(source, span))

    def fact(self, source: str, sentence: str, end: int | None = None) -> Fact:
        """Return whether what a sentence tells is true of a source, as told up to an offset (None: all of it).

        Raises InputError for an unknown source.
        """
        book = self.book(source)
        end = len(book.source.text) if end is None else end
        event = read_sentence(sentence)[0]
        if event is None:
            return Fact(None)
        told = [each for each in book.by_core.get(event.core, ()) if share_told(event, each.event) > 0]
        return Fact(any(each.holds(end) for each in told), bool(told) and not any(each.holds(end) for each in told))

    def _truth(self, source: str, span: Span | None) -> Known:
        known = self._known.get((source, span))
        if known is None:
            known = self._known[source, span] = _truth(self.book(source), span)
        return known


def _truth(book: Book, span: Span | None) -> Known:
    end = len(book.source.text) if span is None else span.end

    def other(event: Event) -> Credit:
        true = (told.event for told in book.by_core.get(event.core, ()) if told.holds(end))
        return Credit(float(any(share_told(event, each) > 0 for each in true)))

    events = [told.event for told in book.within(span) if told.holds(end)]
    return Known(events, [1.0] * len(events), other)
