"""How good a text is as a summary, by what its judge knows."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from rrm.core.text import words as words_of
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.reading import recognise

SENTENCE_WORDS = 11
"""Mean length of a sentence that tells an event."""
LEAST_EVENTS = 5
"""Texts with room for fewer events are measured as if they had room for so many."""
OF_EFFECTS = 0.5
"""The share of an event's importance that its cause has of it."""
DISORDER = 0.25
"""The share of its quality that a text loses whose events come wholly out of order."""


class Quality(NamedTuple):
    """How good a text is as a summary, each in [0, 1]; see `SyntheticBooks.quality`."""

    coverage: float
    accuracy: float
    coherence: float
    overall: float


class Credit(NamedTuple):
    """What an event earns, each from 0 to 1, that is not among those to be covered."""

    accuracy: float
    coverage: float = 0.0


class Known:
    """What a judge knows: events in their order, how certain each is, and what to think of any other."""

    def __init__(self, events: Sequence[Event], certainty: Sequence[float], other: Callable[[Event], Credit]) -> None:
        self.certainty, self.other = certainty, other
        self.events = events
        self.weights = [worth * sure for worth, sure in zip(importances(events), certainty, strict=True)]
        self.best = [0.0, *accumulate(sorted(self.weights, reverse=True))]
        self.places: dict[Core, list[int]] = defaultdict(list)
        for at, event in enumerate(events):
            self.places[event.core].append(at)

    def match(self, event: Event) -> tuple[int, float]:
        """Return which known event this is and the share of it that is told; a share of 0 if none."""
        shares = [(share_told(event, self.events[at]), -at) for at in self.places.get(event.core, ())]
        share, at = max(shares, default=(0.0, 0))
        return -at, share


def importances(events: Sequence[Event]) -> list[float]:
    """Return what each event weighs: its importance, and `OF_EFFECTS` times that of the events told to be caused by it.

    So a trifle that much comes of weighs more than a crime without consequences; who has not read of the
    consequences cannot know.
    """
    effects: dict[Core, float] = defaultdict(float)
    for event in events:
        if event.cause is not None:
            effects[event.cause] += event.importance
    return [event.importance + OF_EFFECTS * effects[event.core] for event in events]


def share_told(event: Event, true: Event) -> float:
    """Return how much of a true event of the same core is told, 0 if any detail is wrong.

    The core makes three parts; place, cause and who was wrongly believed make one each.
    """
    parts = told = 3
    for said, known in zip(event[4:], true[4:], strict=True):
        if said and said != known:
            return 0.0
        parts += bool(known)
        told += bool(said)
    return told / parts


@lru_cache(maxsize=20_000)
def _reports(text: str) -> tuple[list[Event], int]:
    """Return the events that a text tells, and its length in words."""
    return recognise(text), len(words_of(text))


def judge(text: str, known: Known) -> Quality:
    """Judge a text by what is known; the formulas stand at `SyntheticBooks.quality`."""
    reports, length = _reports(text)
    gains: dict[int | Event, float] = {}
    order: list[int] = []
    support = 0.0
    for event in reports:
        at, share = known.match(event)
        if share > 0:
            order.append(at)
            gains[at] = max(gains.get(at, 0.0), known.weights[at] * share)
            support += (1 + known.certainty[at]) / 2
        else:
            credit = known.other(event)
            gains[event] = event.importance * credit.coverage
            support += credit.accuracy
    room = max(len(reports), length // SENTENCE_WORDS, LEAST_EVENTS)
    most = known.best[min(room, len(known.events))]
    coverage = min(1.0, sum(gains.values()) / most) if most > 0 else float(not known.events)
    accuracy = support / len(reports) if reports else 1.0
    coherence = longest_rise(order) / len(order) if order else 1.0
    return Quality(coverage, accuracy, coherence, coverage * accuracy * (1 - DISORDER * (1 - coherence)))


def longest_rise(places: Iterable[int]) -> int:
    """Return the length of the longest strictly ascending subsequence (patience sorting)."""
    tops: list[int] = []
    for place in places:
        at = bisect_left(tops, place)
        tops[at : at + 1] = [place]
    return len(tops)
