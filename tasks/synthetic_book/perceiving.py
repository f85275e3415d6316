"""A reader who sees only what a rater is shown."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rrm.core.ids import generator
from rrm.core.text import sentences
from rrm.core.values import View
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.judging import Credit, Known, Quality, judge
from tasks.synthetic_book.reading import read_sentence, recognise


def perceived_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return the quality, float64 [k], that a reader sees in each text who knows only the view.

    The formulas are those of `SyntheticBooks.quality`, with what the passages tell for the truth. The
    reader takes in each sentence of the passages with probability `read` (seeded, equal for all
    texts), and the first event if no other. An event from a child whose score is p has its importance
    multiplied by p and counts as (1 + p) / 2 true. What was told in the previous context is true and
    covers nothing. Any other event is false if all was read or if it contradicts what was; else the
    reader may have missed it, and it counts half, in accuracy and in coverage.
    """
    return _perceived(view, texts, read, seed)[:, Quality._fields.index("overall")]


def perceived_accuracy(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """As `perceived_quality`, by accuracy alone."""
    return _perceived(view, texts, read, seed)[:, Quality._fields.index("accuracy")]


def perceived_coverage(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """As `perceived_quality`, by coverage alone."""
    return _perceived(view, texts, read, seed)[:, Quality._fields.index("coverage")]


def perceived_coherence(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """As `perceived_quality`, by coherence alone."""
    return _perceived(view, texts, read, seed)[:, Quality._fields.index("coherence")]


def _perceived(view: View, texts: Sequence[str], read: float, seed: int) -> np.ndarray:
    """Return the fields of `Quality` that a reader sees in each text, float64 [k, fields]."""
    known = _seen(view, float(read), int(seed) if read < 1 else 0)
    return np.asarray([judge(text, known) for text in texts], dtype=np.float64).reshape(
        len(texts), len(Quality._fields)
    )


class TakenIn(NamedTuple):
    """What a reader took in of passages: events in their order with how certain each is, and what was taken back."""

    certainty: dict[Event, float]
    taken_back: frozenset[Core]


def take_in(view: View, read: float, seed: int, told_by: Callable[[str], Sequence[Event]]) -> TakenIn:
    """Take in each sentence of a view's passages with probability `read`, and the first event if no other.

    `told_by` says which events a sentence tells.
    """
    shown = [
        (told_by(passage.text[start:end]), 1.0 if passage.score is None else passage.score)
        for passage in view.passages
        for start, end in sentences(passage.text)
    ]
    taken_in = np.ones(len(shown)) if read == 1 else generator("reading", view.id, read, seed).random(len(shown)) < read
    every = [(event, sure, kept) for (events, sure), kept in zip(shown, taken_in, strict=True) for event in events]
    told: dict[Event, float] = {}
    for event, certainty in [(event, sure) for event, sure, kept in every if kept] or [each[:2] for each in every[:1]]:
        told[event] = max(certainty, told.get(event, 0.0))
    taken_back = frozenset(core for event in told if (core := event.takes_back))
    return TakenIn({event: sure for event, sure in told.items() if event.core not in taken_back}, taken_back)


@lru_cache(maxsize=2048)
def _seen(view: View, read: float, seed: int) -> Known:
    certainty, taken_back = take_in(
        view, read, seed, lambda sentence: [told] if (told := read_sentence(sentence)[0]) else []
    )
    refuted = taken_back | {event.core for event in certainty}
    before = set(recognise(view.context))

    def other(event: Event) -> Credit:
        if event in before:
            return Credit(1.0)
        return Credit(0.0) if read == 1 or event.core in refuted else Credit(0.5, 0.5)

    return Known(list(certainty), list(certainty.values()), other)
