"""A reader who sees only what a rater is shown."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rrm.core.claims import Grounds, claim_spans
from rrm.core.ids import generator
from rrm.core.text import sentences
from rrm.core.values import View
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.judging import Credit, Known, Quality, judge, share_told
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


def claim_grounds(view: View, text: str) -> list[Grounds]:
    """Return what a view says of each claim of a text: which sentence tells of it, and whether it is false by it.

    True is a claim whose event a sentence tells, with no detail otherwise, and none takes back; and what tells no
    event. Of any other the sentence tells that takes it back; none does where the previous context told it, which is
    true; or else the one whose event has most in common with it.
    """
    _, shown = _shown(view, _event)
    before = _told_before(view.context)
    return [_ground(_event(" ".join(text[start:end].split())), shown, before) for start, end in claim_spans(text)]


def _ground(events: Sequence[Event], shown: Sequence[tuple[int, Event, float]], before: frozenset[Event]) -> Grounds:
    if not events:
        return Grounds(None, False)
    [said] = events
    back = next((at for at, event, _ in shown if event.takes_back == said.core), None)
    if back is not None:
        return Grounds(back, True)
    told = next((at for at, event, _ in shown if event.core == said.core and share_told(said, event)), None)
    if told is not None:
        return Grounds(told, False)
    if said in before:
        return Grounds(None, False)
    common, at = max(((_common(said, event), -at) for at, event, _ in shown), default=(0, 0))
    return Grounds(-at if common >= 2 else None, True)


def _common(one: Event, other: Event) -> int:
    return sum(bool(said) and said == told for said, told in zip(one, other, strict=True))


class TakenIn(NamedTuple):
    """What a reader took in of passages: events in their order with how certain each is, and what was taken back."""

    certainty: dict[Event, float]
    taken_back: frozenset[Core]


def take_in(view: View, read: float, seed: int, told_by: Callable[[str], Sequence[Event]]) -> TakenIn:
    """Take in each sentence of a view's passages with probability `read`, and the first event if no other.

    `told_by` says which events a sentence tells.
    """
    many, every = _shown(view, told_by)
    taken_in = np.ones(many) if read == 1 else generator("reading", view.id, read, seed).random(many) < read
    told: dict[Event, float] = {}
    for _, event, certainty in [each for each in every if taken_in[each[0]]] or every[:1]:
        told[event] = max(certainty, told.get(event, 0.0))
    taken_back = frozenset(core for event in told if (core := event.takes_back))
    return TakenIn({event: sure for event, sure in told.items() if event.core not in taken_back}, taken_back)


@lru_cache(maxsize=256)
def _shown(view: View, told_by: Callable[[str], Sequence[Event]]) -> tuple[int, list[tuple[int, Event, float]]]:
    """Return how many sentences a view shows, and the events that they tell: in which sentence, how certainly."""
    sentences_shown = [
        (passage.text[start:end], 1.0 if passage.score is None else passage.score)
        for passage in view.passages
        for start, end in sentences(passage.text)
    ]
    told = [(at, event, sure) for at, (text, sure) in enumerate(sentences_shown) for event in told_by(text)]
    return len(sentences_shown), told


@lru_cache(maxsize=2048)
def _seen(view: View, read: float, seed: int) -> Known:
    certainty, taken_back = take_in(view, read, seed, _event)
    refuted = taken_back | {event.core for event in certainty}
    before = _told_before(view.context)

    def other(event: Event) -> Credit:
        if event in before:
            return Credit(1.0)
        return Credit(0.0) if read == 1 or event.core in refuted else Credit(0.5, 0.5)

    return Known(list(certainty), list(certainty.values()), other)


@lru_cache(maxsize=256)
def _told_before(context: str) -> frozenset[Event]:
    return frozenset(recognise(context))


def _event(sentence: str) -> list[Event]:
    told, _ = read_sentence(sentence)
    return [told] if told else []
