"""How a simulated rater marks claims: what is read, what is looked up, and what is believed of a critic.

The law is stated here and was measured of nobody. It says what marks and critiques do for raters who act so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rrm.core.claims import DOUBTFUL, Grounds, claim_spans, quotes, without_quotes
from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.text import sentence_texts, words
from rrm.core.values import ClaimMarks, Request, View

GroundsOf = Callable[[View, str], Sequence[Grounds]]
"""(view, text) -> what the view says of each claim of the text, in their order."""


@dataclass(frozen=True)
class Marker:
    """A rater who takes in each sentence of a view with probability `read`, and all of the output.

    A claim is *known* once the sentence of the view that tells of it was taken in; where none does, once all were. A
    known claim that is false is marked, but for one in so many that is overlooked (`overlook`); any other is
    marked by a `slip`. What is shown beside the output is used so:

    - A claim whose support is below `doubtful` is looked up: the sentences that were not taken in are
      read from the first on, until the one that tells of the claim.
    - A critique is read. The sentences of the view that it quotes are taken in, where it does not quote them as claims
      of the output. A claim that it quotes, and that is not known then, is marked with probability `trust`: the critic
      is believed.

    Raises InputError for what is no probability.
    """

    read: float = 0.9
    overlook: float = 0.15
    slip: float = 0.03
    trust: float = 0.5
    doubtful: float = DOUBTFUL

    def __post_init__(self) -> None:
        for name in ("read", "overlook", "slip", "trust", "doubtful"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a probability from 0 to 1, got {getattr(self, name)}")


class Marked(NamedTuple):
    """Which claims a rater marked, and how many words that took to read: of view, output and critique."""

    marks: tuple[bool, ...]
    words: int

    def answer(self, text: str) -> ClaimMarks:
        spans = zip(claim_spans(text), self.marks, strict=True)
        return ClaimMarks(unsupported=tuple((start, end) for (start, end), marked in spans if marked))


def mark(request: Request, grounds: Sequence[Grounds], marker: Marker, *seed: object) -> Marked:
    """Return what a rater marks of the output that a request shows; `grounds` are its claims'.

    Equal seeds take in the same sentences, overlook the same flaws and slip at the same claims, whatever is shown
    beside the output.
    """
    [shown] = request.shown
    sentences = [sentence for passage in request.view.passages for sentence in sentence_texts(passage.text)]
    claims = [shown.text[start:end] for start, end in claim_spans(shown.text)]
    rng = generator("marking claims", *seed)
    taken_in = set(np.flatnonzero(rng.random(len(sentences)) < marker.read).tolist())
    overlooks, slips, trusts = rng.random((3, len(claims)))
    spent = sum(len(words(sentences[at])) for at in taken_in) + len(words(shown.text)) + len(words(shown.critique))
    beside_claims = without_quotes(shown.critique, claims)
    taken_in |= {at for at, sentence in enumerate(sentences) if quotes(beside_claims, sentence)}
    for ground, support in zip(grounds, shown.support, strict=False):
        if support < marker.doubtful:
            looked_up = _search(ground, taken_in, len(sentences))
            spent += sum(len(words(sentences[at])) for at in looked_up)
            taken_in |= looked_up
    marks = []
    for at, (ground, claim) in enumerate(zip(grounds, claims, strict=True)):
        known = ground.sentence in taken_in if ground.sentence is not None else len(taken_in) == len(sentences)
        found = known and ground.false and overlooks[at] >= marker.overlook
        believed = not known and trusts[at] < marker.trust and quotes(shown.critique, claim)
        marks.append(bool(found or believed or (not (known and ground.false) and slips[at] < marker.slip)))
    return Marked(tuple(marks), spent)


def _search(ground: Grounds, taken_in: set[int], many: int) -> set[int]:
    """Return the sentences that are read to look a claim up, those taken in before left out."""
    if ground.sentence in taken_in:
        return set()
    last = many - 1 if ground.sentence is None else ground.sentence
    return set(range(last + 1)) - taken_in
