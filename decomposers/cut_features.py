"""What a place between two sentences looks like, and what is between two such places: features of cuts.

Those of a place are known signs of a change of topic or scene: lexical cohesion on both sides (Hearst 1997,
TextTiling), distance of sentence vectors, names that go on or are new, marks of paragraphs and chapters, words that
point back or begin anew. Each is counted or measured on the whole text at once, by cumulated sums.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from decomposers.chunks import kept, token_ends
from decomposers.semi_markov import Cuts, Ends
from rrm.backbone.tokens import HuggingFaceTokenizer
from rrm.core.errors import InputError
from rrm.core.protocols import Encoder
from rrm.core.splits import begins_anew, points_back
from rrm.core.task import Source, Span
from rrm.core.text import paragraphs, sentences, words

WORD_WINDOWS = (6, 20, 60)
VECTOR_WINDOWS = (2, 8, 24)
NAME_WINDOWS = (2, 6, 20)
_NEW_WITHIN, _FORGOTTEN = 6, 150  # sentences
_VOCABULARY, _NAMES = 512, 256
_MOST = 3.0  # standard deviations that a feature of a place may lie from its text's mean

MARKS = (
    "break",  # the source says that it would best be cut here: a chapter begins
    "paragraph",
    "rule",  # a line of asterisks or dashes stands before it
    "heading",  # a short line without a stop
    "anew",  # begins with when or where: the next morning, meanwhile, one day, years ago
    "back",  # begins with a word that points back: he, it, this, but, then
    "speech",  # begins with a quotation mark
    "after speech",
)
MEASURES = (
    *(f"words apart {window}" for window in WORD_WINDOWS),
    "words valley",  # how deep the curve of cohesion lies below the peaks beside it: Hearst's depth score
    *(f"names change {window}" for window in NAME_WINDOWS),
    "names new",
    "paragraph before",  # log of its words
    "paragraph after",
    "sentence",  # log of its words
)
DISTANCES = tuple(f"vectors apart {window}" for window in VECTOR_WINDOWS)
PLACE = (*MARKS, *MEASURES, *DISTANCES)
"""The features of a place where a part other than the first begins."""

PART = (
    "part",  # 1: how many parts there are
    "size",  # log of its size over that of an even part
    "size squared",
    "too large",  # the square, where it is larger than even
    "coherence",  # how far its mean vector lies from the text's: what parts explain of the vectors' variance
)
"""The features of a part."""

NAMES = (*PLACE, *PART)
WITH_VECTORS = frozenset((*DISTANCES, "coherence"))
"""The features that need sentence vectors."""

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "the and that with was were had have has his her him she they them their for not but from this which you your"
        " are all been would could there what when will who said one into then than out more very upon about some its"
        " did any such only over other our can no now should may might must being these those where how after before"
        " himself herself itself shall like just even much many well own too off down again here",
    )
)
_RULE = re.compile(r"[\s*_·•~#=—–-]{3,}\Z")
_CAPITALISED = re.compile(r"\b[A-Z][a-z]{2,}")
_INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}")
_SENTENCE_CHARS = 2000


@dataclass(frozen=True, eq=False)
class CutText:
    """A source as units that parts are made of: sentences, or the parts of the level below.

    `starts` [units] are the character offsets at which they begin and `ends` where they end, `sizes` [units] what a
    part's size is counted in (tokens, or parts), `fixed` [units] whether a part must begin there, since text that
    belongs to no task lies before. `places` [units, features] are the features of the places before them, and
    `sums` [units + 1, dimensions] the vectors' cumulated differences from their mean, None without an encoder.
    """

    source: Source
    starts: np.ndarray = field(repr=False)
    ends: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    fixed: np.ndarray = field(repr=False)
    places: np.ndarray = field(repr=False)
    sums: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    def grouped(self, cut: Sequence[int]) -> "CutText":
        """Return the text with the parts of a cut as its units, one of size each."""
        first, last = np.array([0, *cut[:-1]]), np.array(cut)
        sums = None
        if self.sums is not None:  # a part's vector is the mean of its units'
            means = (self.sums[last] - self.sums[first]) / (last - first)[:, None]
            sums = np.concatenate([np.zeros((1, means.shape[1])), np.cumsum(means, axis=0)])
        sizes, free = np.ones(len(cut)), np.zeros(len(cut), dtype=bool)
        return CutText(self.source, self.starts[first], self.ends[last - 1], sizes, free, self.places[first], sums)

    def spans(self, cut: Sequence[int]) -> list[Span]:
        """Return the spans of a cut's parts."""
        return [Span(int(self.starts[a]), int(self.ends[b - 1])) for a, b in pairwise([0, *cut])]

    def cut_of(self, spans: Sequence[Span]) -> Ends | None:
        """Return the cut whose parts these spans are, None if there is none."""
        ends = [span.end for span in spans]
        at = np.searchsorted(self.ends, ends)
        if not spans or at[-1] != len(self) - 1 or not np.array_equal(self.ends[at], ends):
            return None
        cut = tuple(int(each) + 1 for each in at)
        return cut if self.spans(cut) == list(spans) else None

    def nearest_cut(self, spans: Sequence[Span]) -> Ends:
        """Return the cut whose ends are nearest to those of some spans."""
        ends = np.array([span.end for span in spans])
        above = np.minimum(np.searchsorted(self.ends, ends), len(self) - 1)
        below = np.maximum(above - 1, 0)
        near = np.where(ends - self.ends[below] < self.ends[above] - ends, below, above) + 1
        return tuple(sorted({*near.tolist(), len(self)}))


@dataclass(frozen=True)
class Limits:
    """What a part may be: an even one has `even` of size or a little less; none has more than `most`.

    A single unit is a part however large, unless parts have at least `least` units.
    """

    even: float
    most: float
    least: int = 1


@dataclass(frozen=True, eq=False)
class PartFeatures:
    """The features of several texts' parts.

    `places` is [batch, units, features], `parts` [features][batch, units, longest]; `allowed` [batch, units, longest]
    says which parts keep the limits. A part that begins at unit i has t + 1 units. `lengths` are the texts' units.
    The first part begins where it must: its place has features of 0.
    """

    places: Tensor = field(repr=False)
    parts: tuple[Tensor, ...] = field(repr=False)
    allowed: Tensor = field(repr=False)
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, text: CutText, limits: Limits) -> "PartFeatures":
        units = len(text)
        until = np.concatenate([[0.0], np.cumsum(text.sizes)])
        longest = max(1, int((np.searchsorted(until, until[:-1] + limits.most, "right") - 1 - np.arange(units)).max()))
        size = _banded(until, longest) - until[:-1, None]
        crossed = np.concatenate([np.cumsum(text.fixed), [text.fixed.sum()]])
        inside = _banded(crossed[:-1], longest, shift=0) - crossed[:-1, None] == 0
        length = np.arange(1, longest + 1)[None]
        fits = np.arange(units)[:, None] + length <= units
        allowed = fits & inside & ((size <= limits.most) | (length == 1)) & (length >= limits.least)
        log_size = np.log(np.maximum(size, 1) / _even(text, until, limits))
        squared = log_size**2
        parts = [np.ones((units, longest)), log_size, squared, np.where(log_size > 0, squared, 0)]
        if text.sums is not None:
            parts.append(_coherence(text.sums, longest))
        places = torch.as_tensor(text.places).clone()
        places[0] = 0
        return cls(
            places[None], tuple(torch.as_tensor(each)[None] for each in parts), torch.as_tensor(allowed)[None], (units,)
        )

    @classmethod
    def batch(cls, features: Sequence["PartFeatures"]) -> "PartFeatures":
        """Return the features of several texts together; where some have vectors, all must."""
        units = max(each.places.shape[1] for each in features)
        longest = max(each.allowed.shape[2] for each in features)

        def wide(values: Tensor) -> Tensor:
            return pad(values, (0, longest - values.shape[2], 0, units - values.shape[1]))

        parts = zip(*(each.parts for each in features), strict=True)
        return cls(
            torch.cat([pad(each.places, (0, 0, 0, units - each.places.shape[1])) for each in features]),
            tuple(torch.cat([wide(each) for each in of_all]) for of_all in parts),
            torch.cat([wide(each.allowed) for each in features]),
            tuple(length for each in features for length in each.lengths),
        )

    def scores(self, weights: Tensor) -> Tensor:
        """Return the parts' scores [batch, units, longest] by weights in the order of NAMES; differentiable in them."""
        places = self.places @ weights[: len(PLACE)]
        total = places[:, :, None].expand(self.allowed.shape)
        for number, feature in enumerate(self.parts, start=len(PLACE)):
            total = total + weights[number] * feature
        return total.masked_fill(~self.allowed, float("-inf"))

    def cuts(self, weights: Tensor, temperature: float = 1.0, parts: int | None = None) -> Cuts:
        """Return the distributions over cuts by weights; raise InputError where no cut keeps the limits."""
        return Cuts(self.scores(weights) / temperature, self.lengths, parts)

    def total(self, ends: Ends, number: int = 0) -> Tensor:
        """Return the sums of a cut's features, [features]: its score under weights w is w times these."""
        starts = torch.tensor([0, *ends[:-1]])
        sizes = torch.tensor(ends) - starts - 1
        parts = [feature[number, starts, sizes].sum() for feature in self.parts]
        parts += [parts[0].new_zeros(())] * (len(PART) - len(parts))
        return torch.cat([self.places[number, starts].sum(0), torch.stack(parts)])


def read_units(source: Source, tokenizer: HuggingFaceTokenizer, encoder: Encoder | None) -> CutText:
    """Return a source's sentences as units; raise InputError if it has no text, or its vectors are not finite."""
    starts: list[int] = []
    ends: list[int] = []
    fixed: list[bool] = []
    for piece in kept(source):
        edges = _edges(source, piece)
        starts += edges[:-1]
        ends += edges[1:]
        fixed += [True, *[False] * (len(edges) - 2)]
    texts = [source.text[a:b] for a, b in zip(starts, ends, strict=True)]
    offsets = token_ends(source, tokenizer)
    sizes = np.searchsorted(offsets, ends, "right") - np.searchsorted(offsets, starts, "right")
    vectors = None if encoder is None else _vectors(source, encoder, texts)
    places = np.concatenate(
        [_marks(source, texts, starts), _measures(source, texts, starts), _apart(vectors, len(texts))], 1
    )
    sums = None
    if vectors is not None:
        sums = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors - vectors.mean(0), axis=0)])
    return CutText(source, np.array(starts), np.array(ends), sizes.astype(float), np.array(fixed), places, sums)


def _edges(source: Source, piece: Span) -> list[int]:
    """Return where the sentences of a piece begin, the first at its start, and its end; breaks begin sentences too."""
    begins = [piece.start + each.start for each in sentences(source.read(piece), _SENTENCE_CHARS)][1:]
    breaks = [each for each in source.breaks if piece.start < each < piece.end]
    edges = [piece.start]
    for at in sorted({*begins, *breaks}):
        if source.text[edges[-1] : at].strip():  # white space alone is no sentence
            edges.append(at)
    return [*edges, piece.end]


def _vectors(source: Source, encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    vectors = np.asarray(encoder.encode([" ".join(text.split()) for text in texts]), dtype=np.float64)
    if not np.isfinite(vectors).all():
        at = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise InputError(f"{source.title}: {encoder.name} gives sentence {at + 1} a vector that is not finite")
    return vectors


def _marks(source: Source, texts: Sequence[str], starts: Sequence[int]) -> np.ndarray:
    at = set(starts)
    breaks = at.intersection(source.breaks)
    begins = _paragraph_starts(source, texts, starts)
    rows = []
    for number, (text, start) in enumerate(zip(texts, starts, strict=True)):
        said = text.strip()
        before = texts[number - 1] if number else ""
        rows.append(
            (
                start in breaks,
                begins[number],
                bool(_RULE.search(before)) or not any(map(str.isalnum, said)),
                begins[number] and len(said) < 60 and said[-1:].isalnum(),
                begins_anew(said),
                points_back(said),
                said[:1] in "\"“‘'«",
                before.rstrip()[-1:] in "\"”’'»" if before else False,
            )
        )
    return np.array(rows, dtype=float)


def _paragraph_starts(source: Source, texts: Sequence[str], starts: Sequence[int]) -> np.ndarray:
    """Return which units are the first of their paragraph."""
    said = [start + len(text) - len(text.lstrip()) for text, start in zip(texts, starts, strict=True)]
    number = np.searchsorted([each.start for each in paragraphs(source.text)], said, "right")
    return np.diff(number, prepend=0) > 0


def _measures(source: Source, texts: Sequence[str], starts: Sequence[int]) -> np.ndarray:
    said = [words(text) for text in texts]
    lengths = np.array([len(each) for each in said], dtype=float)
    counts, weights = _counts([[word.lower() for word in each] for each in said])
    apart = _distances(counts, WORD_WINDOWS, weights)
    changes, new = _names(texts)
    before, after = _paragraph_lengths(lengths, _paragraph_starts(source, texts, starts))
    columns = [*apart, _valleys(apart[1]), *changes, new, before, after, np.log1p(lengths)]
    return np.stack([_standard(column) for column in columns], axis=1)


def _apart(vectors: np.ndarray | None, units: int) -> np.ndarray:
    if vectors is None:
        return np.zeros((units, len(DISTANCES)))
    return np.stack([_standard(each) for each in _distances(vectors, VECTOR_WINDOWS)], axis=1)


def _counts(said: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Count the text's most telling words, by sentence, [sentences, words], and say how much each weighs, [words]."""
    appears = Counter(chain.from_iterable(set(each) for each in said))
    telling = [word for word, n in appears.items() if n > 1 and len(word) > 2 and word not in STOP_WORDS]
    column = {
        word: at for at, word in enumerate(sorted(telling, key=lambda each: (-appears[each], each))[:_VOCABULARY])
    }
    counts = np.zeros((len(said), max(1, len(column))), dtype=np.float32)
    at = [(row, column[word]) for row, each in enumerate(said) for word in each if word in column]
    if at:
        np.add.at(counts, tuple(np.array(at).T), 1)
    return counts, np.array([np.log(1 + len(said) / appears[word]) for word in column] or [0.0], dtype=np.float32)


def _distances(rows: np.ndarray, windows: Sequence[int], weights: np.ndarray | None = None) -> list[np.ndarray]:
    """Return for each window 1 less the cosine between the sums of what lies before and after each unit, [units].

    Sums of counts are exact in the counts' own precision; `weights` of columns multiply them afterwards.
    """
    sums = np.concatenate([np.zeros((1, rows.shape[1]), rows.dtype), np.cumsum(rows, axis=0)])
    return [_distance(sums, window, weights) for window in windows]


def _distance(sums: np.ndarray, window: int, weights: np.ndarray | None) -> np.ndarray:
    units = len(sums) - 1
    padded = np.pad(sums, ((window, window), (0, 0)), mode="edge")
    within = padded[window:] - padded[:-window]  # of the window that ends at each place, then of the one that begins
    if weights is not None:
        within *= weights
    squares = np.einsum("ij,ij->i", within, within)
    before, after = slice(0, units), slice(window, window + units)
    product = np.einsum("ij,ij->i", within[before], within[after])
    lengths = np.sqrt(squares[before].astype(float) * squares[after])
    return 1 - np.asarray(np.divide(product, lengths, out=np.ones(units), where=lengths > 1e-12))


def _valleys(apart: np.ndarray) -> np.ndarray:
    """Return how far each distance lies above the first low to its left and to its right, both added: [units]."""
    found = np.zeros(len(apart))
    for order in (1, -1):
        curve = apart[::order]
        low = curve.copy()
        for at in range(1, len(curve)):
            if curve[at] > curve[at - 1]:  # going back from here the curve falls
                low[at] = low[at - 1]
        found += (curve - low)[::order]
    return found


def _names(texts: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return 1 less the Jaccard index of the names before and after each unit, by window, and the log of new ones."""
    known = {name for text in texts for name in _INSIDE.findall(text)}  # capitals inside a sentence make a name
    named = [known.intersection(_CAPITALISED.findall(text)) for text in texts]
    appears = Counter(name for each in named for name in each)
    column = {
        name: number
        for number, (name, _) in enumerate(sorted(appears.items(), key=lambda item: (-item[1], item[0]))[:_NAMES])
    }
    marks = np.zeros((len(texts), max(1, len(column))), dtype=np.float32)
    new = np.zeros(len(texts) + 1)
    last: dict[str, int] = {}
    for row, each in enumerate(named):
        for name in each:
            if name in column:
                marks[row, column[name]] = 1
            if row - last.get(name, -_FORGOTTEN) >= _FORGOTTEN:
                new[row] += 1
            last[name] = row
    sums = np.concatenate([np.zeros((1, marks.shape[1])), np.cumsum(marks, axis=0)])
    at = np.arange(len(texts))
    changes = []
    for window in NAME_WINDOWS:
        before = sums[at] > sums[np.maximum(at - window, 0)]
        after = sums[np.minimum(at + window, len(texts))] > sums[at]
        both, either = (before & after).sum(1), (before | after).sum(1)
        changes.append(1 - np.divide(both, either, out=np.full(len(texts), 0.5), where=either > 0))
    until = np.concatenate([[0.0], np.cumsum(new[:-1])])
    return changes, np.log1p(until[np.minimum(at + _NEW_WITHIN, len(texts))] - until[at])


def _paragraph_lengths(lengths: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logs of the words of the paragraph before each unit's and of its own."""
    number = np.maximum(np.cumsum(begins) - 1, 0)
    sizes = np.log1p(np.bincount(number, weights=lengths))
    return np.where(number > 0, sizes[np.maximum(number - 1, 0)], sizes.mean()), sizes[number]


def _standard(values: np.ndarray) -> np.ndarray:
    """Return values in standard deviations from the text's mean, at most three; 0 where all are equal."""
    spread = values.std()
    return np.clip((values - values.mean()) / spread, -_MOST, _MOST) if spread > 1e-12 else np.zeros(len(values))


def _even(text: CutText, until: np.ndarray, limits: Limits) -> np.ndarray:
    """Return the size of an even part of the stretch between two fixed places that each unit lies in, [units, 1]."""
    first = np.flatnonzero(text.fixed) if text.fixed.any() else np.array([0])
    stretch = np.searchsorted(first, np.arange(len(text)), "right") - 1
    totals = np.maximum(1, np.diff(until[np.append(first, len(text))]))
    even = np.array([total / ceil(total / limits.even) for total in totals])
    return np.asarray(even[np.maximum(stretch, 0)][:, None])


def _banded(values: np.ndarray, longest: int, shift: int = 1) -> np.ndarray:
    """Return at [i, t] the value at i + t + shift, [units, longest]; behind the end the last one."""
    units = len(values) - shift
    padded = np.concatenate([values[shift:], np.full(longest, values[-1])])
    return np.lib.stride_tricks.sliding_window_view(padded, longest)[:units]


def _coherence(sums: np.ndarray, longest: int) -> np.ndarray:
    """Return the squared length of each part's vectors' sum over how many there are, [units, longest].

    By |a - b|^2 = |a|^2 + |b|^2 - 2 ab, block by block.
    """
    units, block = len(sums) - 1, 256
    found = np.zeros((units, longest))
    for first in range(0, units, block):
        until = min(first + block, units)
        near = sums[first : min(until + longest, units) + 1] - sums[first]  # small numbers, so that little cancels
        squares = (near**2).sum(1)
        rows = until - first
        apart = squares[:rows, None] + squares[None] - 2 * near[:rows] @ near.T
        padded = np.pad(apart, ((0, 0), (0, longest)))
        stride = padded.strides
        band = np.lib.stride_tricks.as_strided(padded[:, 1:], (rows, longest), (stride[0] + stride[1], stride[1]))
        found[first:until] = band / np.arange(1, longest + 1)
    return found
