"""Alignment: which sentences of what its author saw each claim of an output rests on, told from the texts.

Words come first: a claim that shares nearly all of its words, weighted by their rarity in what was seen, with one
sentence was copied from it, changed or not. For other claims vectors are compared too, so that a text in other
words finds its sentence. Both are done for all claims of a view at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from rrm.core.claims import Citation, Claim, Claims, Origin, SeenText, claim_spans, overlap
from rrm.core.ids import content_id
from rrm.core.protocols import Encoder
from rrm.core.task import Span
from rrm.core.text import sentence_texts, sentences, words
from rrm.core.values import Output

_DIGITS = 6  # scores are rounded: equal texts have equal origins in whatever company they are aligned


@dataclass(frozen=True)
class Aligner:
    """Aligns claims with what was seen; `name` covers every setting and the encoder.

    A sentence's score for a claim is the share of the claim's words that it holds, weighted by their rarity among the
    sentences seen, less `length` times the logarithm of its own length, which tells equals apart. Where no sentence
    holds `copied` of the words, and there is an encoder, the score is that share weighted by 1 - `meaning` and the
    cosine of the vectors weighted by `meaning`. The best sentence is an origin if its score is `least` or more.
    Others are added, up to `origins` in all, if they hold `more` of the claim's words than those before them hold.
    """

    encoder: Encoder | None = field(default=None, repr=False)
    copied: float = 0.8
    meaning: float = 0.7
    least: float = 0.4
    more: float = 0.3
    origins: int = 3
    length: float = 1e-3
    most_cited: int = 8

    @property
    def name(self) -> str:
        encoder = self.encoder.name if self.encoder else None
        settings = (self.copied, self.meaning, self.least, self.more, self.origins, self.length, self.most_cited)
        return content_id("aligner", encoder, *settings)

    def align(
        self, outputs: Sequence[Output], seen: Sequence[SeenText], citations: Sequence[Sequence[Citation]] = ()
    ) -> list[Claims]:
        """Return the claims of outputs of authors who saw the same, each with its origins.

        `citations`, where there are any, are each output's own: a claim that one of them covers rests on what it names,
        with a score of 1 where it stands there word for word, and else that of any sentence seen. What scores below
        `least` is no origin, unless only all that is named together reaches it: then each has the score of all. What
        was not seen is no origin either, and a claim of which no origin is left, or for which more than `most_cited`
        places are named, or stretches of more sentences than that, is aligned as if there were no citation.
        """
        view = _Units.of(seen)
        spans = [claim_spans(output.text) for output in outputs]
        said = [[_squeezed(output.text, span) for span in here] for output, here in zip(outputs, spans, strict=True)]
        cited = [_cited(each, seen) for each in citations] or [[]] * len(outputs)
        named = [self._named(span, here) for claims, here in zip(spans, cited, strict=True) for span in claims]
        checked = iter(self._checked([text for here in said for text in here], named, view))
        found = [[next(checked) for _ in claims] for claims in spans]
        texts = [
            text
            for here, own in zip(said, found, strict=True)
            for text, origins in zip(here, own, strict=True)
            if not origins
        ]
        aligned = iter(self._origins(texts, view))
        return [
            Claims(
                output.id,
                tuple(
                    Claim(span, origins, cited=True) if origins else Claim(span, next(aligned))
                    for span, origins in zip(claims, own, strict=True)
                ),
            )
            for output, claims, own in zip(outputs, spans, found, strict=True)
        ]

    def _named(self, claim: Span, cited: Sequence["_Cited"]) -> tuple["_Cited", ...]:
        """Return what citations name for a claim: those of which it holds, or that hold of it, the larger part."""
        named = {
            each.origin: each
            for each in cited
            if 2 * overlap(claim, each.said) > min(_length(claim), _length(each.said))
        }
        return tuple(named.values()) if sum(each.sentences for each in named.values()) <= self.most_cited else ()

    def _checked(
        self, claims: Sequence[str], named: Sequence[Sequence["_Cited"]], view: "_Units"
    ) -> list[tuple[Origin, ...]]:
        """Return what is left of what each claim's author names for it, held against the claim."""
        texts = [[each.text for each in here] for here in named]
        scores = self._scores_of(claims, [[*here, " ".join(here)] if here else [] for here in texts], view)
        return [
            self._left([each.origin for each in here], own[:-1], own[-1]) if here else ()
            for here, own in zip(named, scores, strict=True)
        ]

    def _left(self, origins: Sequence[Origin], scores: Sequence[float], together: float) -> tuple[Origin, ...]:
        if max(scores) < self.least <= together:
            return tuple(origin._replace(score=together) for origin in origins)
        scored = (origin._replace(score=score) for origin, score in zip(origins, scores, strict=True))
        return tuple(sorted((each for each in scored if each.score >= self.least), key=lambda each: -each.score))

    def _scores_of(self, claims: Sequence[str], texts: Sequence[Sequence[str]], view: "_Units") -> list[list[float]]:
        """Return the score of each of a claim's texts for it: 1 where it holds the claim word for word."""
        scores = [[float(_holds(text, claim)) for text in own] for claim, own in zip(claims, texts, strict=True)]
        rows = [at for at, own in enumerate(scores) if min(own, default=1.0) < 1]
        others = list(dict.fromkeys(text for at in rows for text in texts[at]))
        if not others:
            return scores
        shared = _Shared.of([claims[at] for at in rows], view.texts, others)
        both = shared.held
        if self.encoder is not None:
            near = self._cosines([claims[at] for at in rows], others)
            both = np.where(both < self.copied, (1 - self.meaning) * both + self.meaning * near, both)
        both = np.round(np.clip(both, 0.0, 1.0), _DIGITS)
        place = {text: at for at, text in enumerate(others)}
        for row, at in enumerate(rows):
            scores[at] = [
                whole or float(both[row, place[text]]) for whole, text in zip(scores[at], texts[at], strict=True)
            ]
        return scores

    def _origins(self, claims: Sequence[str], view: "_Units") -> list[tuple[Origin, ...]]:
        """Return the origins of claims, each different text once."""
        distinct = list(dict.fromkeys(claims))
        if not view.texts or not distinct:
            return [()] * len(claims)
        shared = _Shared.of(distinct, view.texts)
        scores = shared.held - self.length * np.log1p(shared.lengths)[None, :]
        reworded = np.flatnonzero(shared.held.max(axis=1) < self.copied)
        if self.encoder is not None and len(reworded):
            near = self._cosines([distinct[at] for at in reworded], view.texts)
            both = (1 - self.meaning) * shared.held[reworded] + self.meaning * near
            scores[reworded] = both
        scores = np.round(np.clip(scores, 0.0, 1.0), _DIGITS)
        origins = {text: self._chosen(scores[row], shared, row, view) for row, text in enumerate(distinct)}
        return [origins[text] for text in claims]

    def _cosines(self, claims: Sequence[str], seen: Sequence[str]) -> np.ndarray:
        assert self.encoder is not None
        vectors = self.encoder.encode([*claims, *seen]).astype(np.float64)
        return np.asarray(vectors[: len(claims)] @ vectors[len(claims) :].T)

    def _chosen(self, scores: np.ndarray, shared: "_Shared", row: int, view: "_Units") -> tuple[Origin, ...]:
        best = int(scores.argmax())
        if scores[best] < self.least:
            return ()
        chosen = [best]
        left = shared.missing(row, best)
        while len(chosen) < self.origins:
            gains = shared.gains(row, left)
            gains[chosen] = 0.0
            following = int(np.round(gains, _DIGITS).argmax())
            if gains[following] < self.more:
                break
            chosen.append(following)
            left = left & shared.missing(row, following)
        return tuple(view.seen[view.owner[at]].place(view.spans[at], float(scores[at])) for at in chosen)


class _Cited(NamedTuple):
    """What a citation comes to: characters `said` rest on an origin, with its `text` of so many `sentences`."""

    said: Span
    origin: Origin
    text: str
    sentences: int


class _Units(NamedTuple):
    """The sentences of texts that were seen: `owner` says whose each is, `spans` where in that text it stands."""

    seen: Sequence[SeenText]
    texts: list[str]
    spans: list[Span]
    owner: list[int]

    @classmethod
    def of(cls, seen: Sequence[SeenText]) -> "_Units":
        texts: list[str] = []
        spans: list[Span] = []
        owner: list[int] = []
        for number, each in enumerate(seen):
            found = sentences(each.text)
            texts += sentence_texts(each.text)
            spans += found
            owner += [number] * len(found)
        return cls(seen, texts, spans, owner)


class _Shared(NamedTuple):
    """Words that claims and sentences share.

    `held` [claims, sentences] are the shares of each claim's weight that each sentence holds, `lengths` [sentences]
    counts different words; `said` [claims, words] are weights that sum to one, `within` [sentences, words] ones.
    """

    held: np.ndarray
    lengths: np.ndarray
    said: csr_matrix
    within: csr_matrix

    @classmethod
    def of(cls, claims: Sequence[str], seen: Sequence[str], held_by: Sequence[str] | None = None) -> "_Shared":
        """Return what claims share with the sentences seen, or in their place with other texts `held_by` their author.

        How rare a word is, is told by the sentences seen.
        """
        column: dict[str, int] = {}
        counted, said = (_incidence(texts, column) for texts in (seen, claims))
        within = counted if held_by is None else _incidence(held_by, column)
        for table in (counted, said, within):
            table.resize((table.shape[0], len(column)))
        found_in = np.asarray(counted.sum(axis=0)).ravel()
        # a word that was never seen weighs as one of a single sentence
        rarity = np.log((len(seen) + 1) / (np.maximum(found_in, 1) + 0.5)) + 0.1
        said = said.multiply(rarity[None, :]).tocsr()
        total = np.maximum(np.asarray(said.sum(axis=1)).ravel(), 1e-12)
        said = said.multiply(1 / total[:, None]).tocsr()
        return cls(np.asarray((said @ within.T).todense()), np.diff(within.indptr), said, within)

    def missing(self, row: int, sentence: int) -> frozenset[int]:
        """Return the words of a claim that a sentence does not hold."""
        return frozenset(_columns(self.said, row)) - frozenset(_columns(self.within, sentence))

    def gains(self, row: int, left: frozenset[int]) -> np.ndarray:
        """Return the share of a claim's weight that each sentence holds of the words that are left, [sentences]."""
        weights = np.zeros(self.said.shape[1])
        here = slice(self.said.indptr[row], self.said.indptr[row + 1])
        weights[self.said.indices[here]] = self.said.data[here]
        weights[[at for at in _columns(self.said, row) if at not in left]] = 0.0
        return np.asarray(self.within @ weights)


def _columns(table: csr_matrix, row: int) -> list[int]:
    return [int(at) for at in table.indices[table.indptr[row] : table.indptr[row + 1]]]


def _incidence(texts: Sequence[str], column: dict[str, int]) -> csr_matrix:
    """Return which words stand in which texts, [texts, words so far]; `column` numbers the words, and grows."""
    rows = [sorted([column.setdefault(word, len(column)) for word in _different(text)]) for text in texts]
    starts = np.cumsum([0, *map(len, rows)])
    columns = np.fromiter((at for row in rows for at in row), dtype=np.int64, count=int(starts[-1]))
    return csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(texts), max(len(column), 1)))


@lru_cache(maxsize=50_000)
def _different(text: str) -> tuple[str, ...]:
    """Return a sentence's different words in small letters; a sentence is seen again at every node that is shown it."""
    return tuple(dict.fromkeys(word.lower() for word in words(text)))


def _cited(citations: Sequence[Citation], seen: Sequence[SeenText]) -> list[_Cited]:
    """Return what citations come to, without those of what was not seen."""
    return [
        _Cited(
            each.said,
            seen[each.seen].place(each.read, 1.0),
            _squeezed(seen[each.seen].text, each.read),
            _sentences_in(seen[each.seen].text, each.read),
        )
        for each in citations
        if each.said.start < each.said.end
        and 0 <= each.seen < len(seen)
        and 0 <= each.read.start < each.read.end <= len(seen[each.seen].text)
    ]


def _sentences_in(text: str, span: Span) -> int:
    """Return how many sentences a span takes in or touches, 1 at least."""
    return max(1, sum(bool(overlap(each, span)) for each in sentences(text)))


def _holds(text: str, claim: str) -> bool:
    """Whether all words of a claim stand in a text, in their order and one after another."""
    said, held = (f" {' '.join(words(each))} ".lower() for each in (claim, text))
    return said in held


def _squeezed(text: str, span: Span) -> str:
    return " ".join(text[span.start : span.end].split())


def _length(span: Span) -> int:
    return span.end - span.start
