"""Books told from a hidden event graph, so that the quality of a summary of any part of them is known.

A book is chapters of paragraphs; a bit under half of its sentences tell one event each (who did what
to whom, maybe where, maybe because of which earlier event), the rest are weather, meals and talk.
Some crimes are first told with the wrong culprit and set right near the end, some deeds were never done, as is told
later, and some trifles turn out to have led to much. The same grammar reads:
a sentence that was cut out of a book, or had a name, a place or a cause exchanged, is recognised as
the event that it now tells.

    >>> books = SyntheticBooks(count=1)
    >>> book = books.sources()[0]
    >>> books.gold(book.id, None, "")
    0.0
"""

from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.book import Book, Told
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.judging import Quality
from tasks.synthetic_book.perceiving import (
    claim_grounds,
    perceived_accuracy,
    perceived_coherence,
    perceived_coverage,
    perceived_quality,
)
from tasks.synthetic_book.reading import recognise, unrecognised_share
from tasks.synthetic_book.sources import SyntheticBooks

__all__ = [
    "ACTIONS",
    "Book",
    "Core",
    "Event",
    "Quality",
    "SyntheticBooks",
    "Told",
    "claim_grounds",
    "perceived_accuracy",
    "perceived_coherence",
    "perceived_coverage",
    "perceived_quality",
    "recognise",
    "unrecognised_share",
]
