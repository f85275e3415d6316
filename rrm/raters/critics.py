"""A critic without a language model: it names claims in which the nearest sentence that was seen names otherwise."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rrm.core.claims import claim_spans
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id
from rrm.core.text import sentence_texts, words
from rrm.core.values import Critique, Feedback, Reject, Request
from rrm.raters.names import names_in, names_within

NOTHING = "Every name and number of it stands in the sentence that comes nearest."
NOT_BESIDE = "There is no claim, or no sentence beside it, to hold one against the other."


@dataclass(frozen=True)
class ByNames:
    """Writes critiques of single outputs by names and numbers alone: a rater who answers the kind critique.

    Each claim is held against the sentence of the view that has most of its words, weighted by their rarity. Where
    that lacks a name or a number which the claim has, both are quoted, up to `most` claims, those with most such names
    first. It knows nothing of who did what to whom, nor of events that nobody named takes part in.

    Raises ConfigError unless `most` is 1 or more.
    """

    most: int = 3
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise ConfigError(f"[rater.critic] most is a number of claims from 1 up, got {self.most!r}")
        object.__setattr__(self, "name", content_id("by-names", self.most))

    def rate(self, request: Request, seed: int) -> Feedback:
        """Return a critique, or a rejection where there is no claim or no sentence to hold it against.

        Raises InputError for another kind of question, or one about several outputs.
        """
        if request.kind != Critique.kind or len(request.shown) != 1:
            raise InputError(f"this critic writes a critique of one output, not a {request.kind}")
        faults = self.faults(request)
        if not claim_spans(request.shown[0].text) or not _sentences(request):
            return Feedback(request.id, self.name, Reject(NOT_BESIDE))
        lines = [
            f"“{fault.claim}” names {', '.join(fault.names)}; the nearest sentence does not: “{fault.nearest}”"
            for fault in faults
        ]
        spans = tuple(fault.span for fault in faults)
        return Feedback(request.id, self.name, Critique("\n".join(lines) or NOTHING, spans))

    def faults(self, request: Request) -> list["Fault"]:
        """Return what is found in the output that a request shows, in the order of its text."""
        text = request.shown[0].text
        sentences = _sentences(request)
        if not sentences:
            return []
        known = names_within([*sentences, text])
        held = [_words(each) for each in sentences]
        often = Counter(word for each in held for word in each)
        found = []
        for start, end in claim_spans(text):
            claim = " ".join(text[start:end].split())
            said = _words(claim)
            shared = [sum(1 / often[word] for word in sorted(said & each)) for each in held]
            nearest = sentences[int(np.argmax(shared))]
            there = set(words(nearest))
            missing = tuple(name for name in names_in(claim, known) if not set(words(name)) <= there)
            if missing:
                found.append(Fault((start, end), claim, nearest, missing))
        chosen: Sequence[Fault] = sorted(found, key=lambda each: -len(each.names))[: self.most]
        return sorted(chosen, key=lambda each: each.span)


class Fault(NamedTuple):
    """A claim, characters `span` of its output, with names that the sentence which comes nearest to it has not."""

    span: tuple[int, int]
    claim: str
    nearest: str
    names: tuple[str, ...]


def _sentences(request: Request) -> list[str]:
    return [each for passage in request.view.passages for each in sentence_texts(passage.text)]


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in words(text))
