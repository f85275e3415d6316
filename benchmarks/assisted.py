"""Do claim marks help raters? The same simulated raters with and without them, on summaries with planted flaws.

Sentences of generated books are told again, framed anew or in other words, and some of them with a mistake: all of it
is known exactly. Simulated raters read a share of the passage and mark the claims that what they read contradicts. A
verifier is fitted to marks that such raters gave, unassisted, on other books. Assisted raters are told each claim's
probability of support, and read for every doubtful claim what the aligner finds for it, whether that is the
right place or not.

What a simulated rater does is stated here and nowhere measured: it says what marks can do for raters who act so.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.compose.align import Aligner
from rrm.core.claims import claim_spans
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import ClaimBeside, Verifier, Workspace
from rrm.core.report import Interval
from rrm.core.roles import Ratings, Train
from rrm.core.text import sentence_texts, words
from rrm.core.values import ClaimMarks, Feedback, Passage, Rated, Request, Shown, View
from rrm.evaluate.metrics import cluster_interval
from rrm.raters.simulated import MINUTES_A_DECISION, WORDS_A_MINUTE
from rrm.reward.frozen import Frozen
from rrm.reward.verifier import Verified
from tasks.synthetic_book.mistakes import mistake
from tasks.synthetic_book.rewording import reframe, retell
from tasks.synthetic_book.sources import SyntheticBooks

SENTENCES, FLAWED = 8, 0.25
"""Of a summary: its sentences, and the probability that one of them has a mistake in it."""
PASSAGE = 40
"""Sentences of a passage."""
DOUBTFUL = (0.5, 0.8, 0.9)
"""A claim is doubtful if its probability of support is below this; on the page below the second."""


Telling = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True)
class Reader:
    """A simulated rater, who reads a `read` share of a passage's sentences.

    A flaw whose sentence was read is overlooked with probability `overlook`, and a true claim is marked with
    probability `slip`. Of a doubtful claim an assisted rater reads what it is said to rest on: where that is the
    sentence it was made from, the rater decides as if it had been read all along; where it is another, the rater
    believes the doubt with probability `trust`.
    """

    read: float
    overlook: float = 0.15
    slip: float = 0.03
    trust: float = 0.5


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


class Outcome(NamedTuple):
    """One rating: flaws there were and were found, true claims there were and were marked, minutes."""

    flaws: int
    found: int
    right: int
    alarms: int
    minutes: float


@dataclass(frozen=True)
class Result:
    """Means over ratings of one kind of rater, unassisted where `doubtful` is None.

    `found`, `alarms` and `minutes` are a rating's; that of what was found has a 95 % interval over books.
    """

    world: str
    read: float
    doubtful: float | None
    ratings: int
    books: int
    found: float
    found_low: float
    found_high: float
    share_found: float
    alarms: float
    accuracy: float
    minutes: float
    found_a_minute: float


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


def rated(
    case: Case, reader: Reader, rng: np.random.Generator, doubtful: Mapping[int, Sequence[str]]
) -> tuple[list[bool], float]:
    """Return which claims a rater marks, and the minutes that it took; `doubtful` claims come with their origins."""
    seen = {sentence for sentence in case.passage if rng.random() < reader.read}
    said = sum(len(words(claim.text)) for claim in case.claims)
    spent = sum(len(words(sentence)) for sentence in case.passage if sentence in seen) + said
    marks = []
    for at, claim in enumerate(case.claims):
        known, believed = claim.made_from in seen, False
        if at in doubtful:
            spent += sum(len(words(text)) for text in doubtful[at] if text not in seen)
            shown = any(claim.made_from in text for text in doubtful[at])
            believed = not known and not shown and rng.random() < reader.trust
            known = known or shown
        caught = claim.false and known and rng.random() >= reader.overlook
        marks.append(bool(caught or believed or (not claim.false and rng.random() < reader.slip)))
    return marks, spent / WORDS_A_MINUTE + MINUTES_A_DECISION


def answer(case: Case, marks: Sequence[bool], rater: str) -> Rated:
    """Return a rater's marks as feedback."""
    spans = [span for span, marked in zip(claim_spans(case.text), marks, strict=True) if marked]
    given = ClaimMarks(tuple((start, end) for start, end in spans))
    request = Request("passage", case.source, Place(), given.kind, case.view, (Shown("summary", case.text),))
    return Rated(request, Feedback(request.id, rater, given))


def outcome(case: Case, marks: Sequence[bool], minutes: float) -> Outcome:
    pairs = list(zip(case.claims, marks, strict=True))
    flaws = [marked for claim, marked in pairs if claim.false]
    right = [marked for claim, marked in pairs if not claim.false]
    return Outcome(len(flaws), sum(flaws), len(right), sum(right), minutes)


def learned(train: Sequence[Case], reader: Reader, verified: Verified) -> Verifier:
    """Return the verifier that is fitted to what two unassisted raters mark of every case."""
    rows = []
    for number, case in enumerate(train):
        for rater in ("one", "two"):
            marks, _ = rated(case, reader, generator("unassisted", rater, number), {})
            rows.append(answer(case, marks, rater))
    with tempfile.TemporaryDirectory() as folder:
        return verified.fit_claims(Ratings(Train, tuple(rows)), Place(), 0, Workspace(Path(folder)))


def measure(world: str, shares: Sequence[float], train: int, test: int, seed: int, copies: int = 4) -> Iterator[Result]:
    """Yield, for each share read, unassisted and assisted raters on the same cases, with the same chance."""
    frozen = Frozen(device="cpu")
    verified = Verified(frozen, Aligner(frozen.reader.encoder, least=0.0))
    known, new = cases(world, train, seed), cases(world, test, seed + 1)
    told: list[list[ClaimBeside]] = [verified.told([case.text], case.view, case.source)[0] for case in new]
    for share in shares:
        reader = Reader(share)
        verifier = learned(known, reader, verified)
        support = [[score.mean for score in verifier.support(claims)] for claims in told]
        for threshold in (None, *DOUBTFUL):
            outcomes, sources = [], []
            for number, case in enumerate(new):
                least = threshold or 0.0
                doubtful = {at: claim.origins for at, claim in enumerate(told[number]) if support[number][at] < least}
                for copy in range(copies):
                    marks, minutes = rated(case, reader, generator("rating", share, number, copy), doubtful)
                    outcomes.append(outcome(case, marks, minutes))
                    sources.append(case.source)
            yield _result(world, share, threshold, outcomes, sources)


def _result(
    world: str, share: float, doubtful: float | None, outcomes: Sequence[Outcome], sources: Sequence[str]
) -> Result:
    table = np.array(outcomes, dtype=float)
    flaws, found, right, alarms, minutes = table.sum(axis=0)
    ends: Interval | None = cluster_interval(table[:, 1], sources, lambda rows: float(rows.mean()))
    low, high = ends if ends else (float("nan"), float("nan"))
    n = len(table)
    accuracy = (found + right - alarms) / (flaws + right)
    return Result(
        world, share, doubtful, n, len(set(sources)), found / n, low, high, found / flaws, alarms / n, accuracy,
        minutes / n, found / minutes,
    )  # fmt: skip


HEADS = (
    *("world", "read", "marked as doubtful", "flaws found a rating", "of all flaws", "false alarms a rating"),
    *("right of all claims", "minutes a rating", "flaws found a minute"),
)


def line(each: Result) -> str:
    cells = [each.world, f"{each.read:.0%}", "none" if each.doubtful is None else f"below {each.doubtful:.1f}"]
    cells += [f"{each.found:.2f} ({each.found_low:.2f} to {each.found_high:.2f})", f"{each.share_found:.2f}"]
    cells += [f"{each.alarms:.2f}", f"{each.accuracy:.3f}", f"{each.minutes:.2f}", f"{each.found_a_minute:.2f}"]
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--quick", action="store_true", help="few books, one share read")
    asked.add_argument("--seed", type=int, default=901)
    asked.add_argument("--json", type=Path, help="a file for the rows")
    options = asked.parse_args(arguments)
    shares, train, test = ((0.5,), 4, 2) if options.quick else ((0.3, 0.6, 0.9), 16, 8)
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    rows = []
    for world in ("reframed", "retold"):
        for each in measure(world, shares, train, test, options.seed):
            print(line(each), flush=True)
            rows.append(asdict(each))
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
