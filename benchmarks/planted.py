"""Summaries with planted mistakes, and simulated raters who mark their claims, for what needs no run.

Sentences of generated books are told again, framed anew or in other words, and some of them with a mistake: all of it
is known exactly. Simulated raters read a share of the passage and mark the claims that what they read contradicts, and
a verifier is fitted to marks that such raters gave.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.core.claims import Grounds, claim_spans
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import Verifier, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.text import sentence_texts
from rrm.core.values import ClaimMarks, Feedback, Passage, Rated, Request, Shown, View
from rrm.raters.marking import Marker, mark
from rrm.reward.verifier import Verified
from tasks.synthetic_book.mistakes import mistake
from tasks.synthetic_book.rewording import reframe, retell
from tasks.synthetic_book.sources import SyntheticBooks

SENTENCES, FLAWED = 8, 0.25
"""Of a summary: its sentences, and the probability that one of them has a mistake in it."""
PASSAGE = 40
"""Sentences of a passage."""


Telling = Callable[[str, str], Sequence[str]]


class Told(NamedTuple):
    """A claim of a summary: its text, the sentence that it was made from, and whether a mistake was made."""

    text: str
    made_from: str
    false: bool


class Case(NamedTuple):
    """A passage with a summary of it."""

    source: str
    passage: tuple[str, ...]
    claims: tuple[Told, ...]

    @property
    def view(self) -> View:
        return View("Summarise the passage.", (Passage(" ".join(self.passage)),), 200)

    @property
    def text(self) -> str:
        return " ".join(claim.text for claim in self.claims)

    @property
    def request(self) -> Request:
        return Request("passage", self.source, Place(), ClaimMarks.kind, self.view, (Shown("summary", self.text),))

    @property
    def grounds(self) -> list[Grounds]:
        """What the passage says of each claim: the sentence that it was made from tells of it."""
        [passage] = self.view.passages
        read = sentence_texts(passage.text)
        return [
            Grounds(next(at for at, one in enumerate(read) if each.made_from in one), each.false)
            for each in self.claims
        ]


def cases(world: str, books: int, seed: int) -> list[Case]:
    """Return a case for each passage of some books; a world is how sentences are told: reframed or retold."""
    tell: Telling = {"reframed": reframe, "retold": retell}[world]
    found = []
    for book in SyntheticBooks(books, 2000, seed).sources():
        sentences = sentence_texts(book.text)
        for start in range(0, len(sentences) - PASSAGE + 1, PASSAGE):
            passage = tuple(sentences[start : start + PASSAGE])
            rng = generator("planted flaws", world, book.id, start)
            kept = sorted(int(at) for at in rng.choice(PASSAGE, SENTENCES, replace=False))
            claims = [claim_from(passage[at], " ".join(passage), tell, FLAWED, rng) for at in kept]
            found.append(Case(book.id, passage, tuple(claims)))
    return [case for case in found if len(claim_spans(case.text)) == len(case.claims)]


def claim_from(sentence: str, read: str, tell: Telling, flawed: float, rng: np.random.Generator) -> Told:
    """Tell a sentence in one of its ways, with a mistake with probability `flawed`, where it offers one."""
    wrong = mistake(sentence, read) if rng.random() < flawed else ()
    said = str(rng.choice(list(wrong))) if wrong else sentence
    ways = tell(said, read)
    return Told(ways[int(rng.integers(len(ways)))] if len(ways) else said, sentence, bool(wrong))


# ---- rating ----


def answer(case: Case, marks: Sequence[bool], rater: str) -> Rated:
    """Return a rater's marks as feedback."""
    spans = [span for span, marked in zip(claim_spans(case.text), marks, strict=True) if marked]
    given = ClaimMarks(tuple((start, end) for start, end in spans))
    return Rated(case.request, Feedback(case.request.id, rater, given))


def learned(train: Sequence[Case], marker: Marker, verified: Verified) -> Verifier:
    """Return the verifier that is fitted to what two raters mark of every case."""
    rows = []
    for number, case in enumerate(train):
        for rater in ("one", "two"):
            marked = mark(case.request, case.grounds, marker, "unassisted", rater, number)
            rows.append(answer(case, marked.marks, rater))
    with tempfile.TemporaryDirectory() as folder:
        return verified.fit_claims(Ratings(Train, tuple(rows)), Place(), 0, Workspace(Path(folder)))
