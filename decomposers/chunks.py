"""The published book procedure: a text is cut into even leaves at natural boundaries, and leaves are grouped evenly.

Wu et al. (2021), arXiv:2109.10862, section 2 and appendix A. Where this leaves the paper: leaves
are cut first and then grouped level by level, so that all leaves are equally deep.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil, floor

import numpy as np

from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.ids import content_id, generator
from rrm.core.protocols import Tokenizer
from rrm.core.task import Source, Span, Task
from rrm.core.text import paragraphs, sentences

LEAF_INSTRUCTION = "Summarise this passage: what happens, who does it, where and why. Say nothing that it does not say."
INSTRUCTION = (
    "Join these summaries of consecutive passages into one summary of them all. "
    "Keep what matters most to the whole, in order, and say nothing that they do not say."
)

_CHAPTER, _PARAGRAPH, _SENTENCE, _SPACE, _INSIDE_WORD = 0.0, 8.0, 12.0, 16.0, 24.0
_JITTER = 4.0  # at most the distance between two kinds of boundary, so that no seed prefers a worse kind
_EVEN = 1.25  # the largest part may be this many times the smallest
_LONG_WORD, _WORD_PIECE, _PIECE = 100, 4, 200_000  # characters
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Chunks:
    """Cut a source into leaves of at most about `leaf_tokens` tokens, and group them level by level.

    `fan_in` is the most children of a node of height 1, 2, ...; `max_tokens` the output limit at
    height 0, 1, ...; the last entry of each holds for all heights above. A cut lies within
    `tolerance` of an even cut, in leaf lengths, and the largest leaf is at most 1.25 times the
    smallest, except that a source's skipped spans always end a leaf. Within these limits cuts
    prefer the source's breaks, then paragraphs, sentences, white space, and the seed decides
    between equals. What a policy may read of earlier siblings is what `context_window` leaves
    beside input and output; `context = False` leaves out the edges to earlier siblings.
    """

    leaf_tokens: int = 600
    fan_in: tuple[int, ...] = (10, 8)
    max_tokens: tuple[int, ...] = (128, 192, 384)
    context_window: int = 2048
    context: bool = True
    tolerance: float = 0.2
    tokenizer: str = "minilm"
    leaf_instruction: str = LEAF_INSTRUCTION
    instruction: str = INSTRUCTION

    def __post_init__(self) -> None:
        if self.leaf_tokens < 1:
            raise ConfigError(f"leaf_tokens must be at least 1, got {self.leaf_tokens}")
        if not self.fan_in or min(self.fan_in) < 2:
            raise ConfigError(f"fan_in needs numbers from 2 up, one for each height, got {self.fan_in}")
        if not self.max_tokens or min(self.max_tokens) < 1:
            raise ConfigError(f"max_tokens needs numbers from 1 up, one for each height, got {self.max_tokens}")
        if not 0 <= self.tolerance < 0.5:
            raise ConfigError(f"tolerance must be at least 0 and below 0.5, got {self.tolerance}")

    @cached_property
    def name(self) -> str:
        settings = {each.name: getattr(self, each.name) for each in fields(self)}
        return content_id("chunks", {**settings, "tokenizer": load_tokenizer(self.tokenizer).name})

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed tree of a source, all leaves equally deep; raise InputError if it has no text.

        Skipped spans are declared at the node between or beside whose parts they lie; the root's
        span is the whole text, or where the root is a leaf, the text that is kept.
        """
        random = generator("chunks", source.id, seed)
        ends = token_ends(source, load_tokenizer(self.tokenizer))
        leaves = self._leaves(source, ends, random)
        parts, heights = self._groups(source, leaves, random)

        def task(span: Span) -> Task:
            height = heights[span]
            limit = by_height(self.max_tokens, height)
            below = by_height(self.max_tokens, height - 1)
            read = len(parts[span]) * below if height else tokens_in(ends, span)
            left = max(0, self.context_window - read - limit) if self.context else 0
            return Task(self.instruction if height else self.leaf_instruction, source.id, span, limit, left)

        def propose(_: TaskGraph, node: Node) -> Proposal:
            inside = parts.get(node.task.span, []) if node.task.span else []
            return Proposal(tuple(map(task, inside)), gaps(node.task.span, inside) if node.task.span and inside else ())

        root = max(heights, key=heights.__getitem__)
        graph = TaskGraph.start(task(root), self.name, seed).grow_all(propose)
        return graph.with_context() if self.context else graph

    def _leaves(self, source: Source, ends: np.ndarray, random: np.random.Generator) -> list[Span]:
        cost = _boundary_cost(source, ends) + _JITTER * random.random(len(ends) + 1)
        leaves: list[Span] = []
        for segment in kept(source):
            first = int(np.searchsorted(ends, segment.start, "right"))
            tokens = tokens_in(ends, segment)
            cuts = _even_cuts(cost[first : first + tokens + 1], ceil(tokens / self.leaf_tokens), self.tolerance)
            offsets = {_offset(source, ends, first + cut) for cut in cuts}
            leaves += [Span(*pair) for pair in pairwise(sorted({segment.start, *offsets, segment.end}))]
        return leaves

    def _groups(
        self, source: Source, leaves: list[Span], random: np.random.Generator
    ) -> tuple[dict[Span, list[Span]], dict[Span, int]]:
        """Group each level into runs of at least two and at most its fan-in (three, if that is two), up to one root.

        Returns the parts of each span above the leaves, and the height of every span.
        """
        breaks, whole = set(source.breaks), Span(0, len(source.text))
        parts: dict[Span, list[Span]] = {}
        heights = dict.fromkeys(leaves, 0)
        level = leaves
        for height in range(1, len(leaves)):
            most = by_height(self.fan_in, height - 1)
            count = max(1, min(ceil(len(level) / most), len(level) // 2))
            cost = np.array([_CHAPTER if each.start in breaks else _PARAGRAPH for each in level] + [0.0])
            cuts = _even_cuts(cost + _JITTER * random.random(len(cost)), count, self.tolerance, most)
            runs = [level[a:b] for a, b in pairwise([0, *cuts, len(level)])]
            level = [Span(run[0].start, run[-1].end) for run in runs] if count > 1 else [whole]
            parts.update(zip(level, runs, strict=True))
            heights.update(dict.fromkeys(level, height))
            if count == 1:
                break
        return parts, heights


def by_height(values: Sequence[int], height: int) -> int:
    """Return a height's entry; the last one holds for all heights above."""
    return values[min(height, len(values) - 1)]


def kept(source: Source) -> list[Span]:
    """Return the spans between the skipped ones that hold more than white space; raise InputError if none does."""
    spans, at = [], 0
    for start, end in [*sorted(source.skipped), (len(source.text), len(source.text))]:
        if source.text[at:start].strip():
            spans.append(Span(at, start))
        at = max(at, end)
    if not spans:
        raise InputError(f"{source.title}: there is no text{' outside the skipped spans' if source.skipped else ''}")
    return spans


def gaps(span: Span, inside: Sequence[Span]) -> tuple[Span, ...]:
    """Return what parts, in order, leave out of a span."""
    edges = [span.start, *(at for part in inside for at in part), span.end]
    return tuple(Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] < pair[1])


@lru_cache(maxsize=4)
def token_ends(source: Source, tokenizer: Tokenizer) -> np.ndarray:
    """Return the offset at which each token of the kept text ends, int64 [tokens], ascending.

    A word of over a hundred characters, which some tokenizers count as one unknown token, counts
    as a token for every four characters. Each kept span has at least one token. Kept for the last
    few sources, because several trees are made of each.
    """
    ends = np.concatenate([span.start + _ends(source.read(span), tokenizer) for span in kept(source)])
    ends.flags.writeable = False
    return ends


def tokens_in(ends: np.ndarray, span: Span) -> int:
    """Return how many tokens end inside a span; `ends` is what `token_ends` returns."""
    first, last = np.searchsorted(ends, span, "right")
    return int(last - first)


def _ends(text: str, tokenizer: Tokenizer) -> np.ndarray:
    pieces = [(start, text[start:end]) for start, end in pairwise(_piece_edges(text))]
    ends = np.concatenate([start + tokenizer.ends(piece) for start, piece in pieces])
    if len(ends) == 0:
        return np.array([len(text)], dtype=np.int64)
    more: list[int] = []
    for at in np.flatnonzero(np.diff(ends, prepend=0) > _LONG_WORD):
        word = text[ends[at - 1] if at else 0 : ends[at]].lstrip()
        if len(word) > _LONG_WORD:
            more.extend(range(ends[at] - len(word) + _WORD_PIECE, ends[at], _WORD_PIECE))
    return np.sort(np.append(ends, more)).astype(np.int64) if more else ends


def _piece_edges(text: str) -> list[int]:
    """Return edges, at paragraphs, of pieces that a tokenizer can take without much memory."""
    edges = [0]
    for start, _ in paragraphs(text):
        if start - edges[-1] >= _PIECE:
            edges.append(start)
    return [*edges, len(text)]


def _boundary_cost(source: Source, ends: np.ndarray) -> np.ndarray:
    """Return what a cut before each token costs, and one after the last, float64 [tokens + 1]."""
    text = source.text
    cost = np.full(len(ends) + 1, _INSIDE_WORD)
    for kind, offsets in (
        (_SPACE, [match.end() for match in _SPACES.finditer(text)]),
        (_SENTENCE, [sentence.start for sentence in sentences(text, max_chars=len(text) + 1)]),
        (_PARAGRAPH, [paragraph.start for paragraph in paragraphs(text)]),
        (_CHAPTER, source.breaks),
    ):
        cost[np.searchsorted(ends, np.asarray(offsets, dtype=np.int64), "right")] = kind
    return cost


def _offset(source: Source, ends: np.ndarray, cut: int) -> int:
    """Return where to cut the text before a token: at a break, or behind the white space before it."""
    before, after = int(ends[cut - 1]), int(ends[cut])
    at = bisect_left(source.breaks, before)
    if at < len(source.breaks) and source.breaks[at] < after:
        return source.breaks[at]
    space = _SPACES.match(source.text, before)
    return space.end() if space else before


def _even_cuts(cost: np.ndarray, parts: int, tolerance: float, most: int | None = None) -> list[int]:
    """Return the `parts` - 1 cuts of least cost that split positions 0 to n evenly; `cost` is [n + 1].

    Each lies within `tolerance` mean parts (at least 1) of the even cut, and part sizes within a
    ratio of `_EVEN` and at most `most`, or one apart where whole numbers allow no better. Found
    by dynamic programming over the cuts: the cheapest way to each position of each cut's window.
    """
    n, mean = len(cost) - 1, (len(cost) - 1) / parts
    small = min(floor(mean), ceil(mean * 2 / (1 + _EVEN)))
    large = max(ceil(mean), min(most or n, floor(mean * 2 * _EVEN / (1 + _EVEN))))
    slack = max(1.0, tolerance * mean)
    windows = [(0, np.zeros(1))]
    for number in range(1, parts):
        first, last = max(0, ceil(number * mean - slack)), min(n, floor(number * mean + slack))
        at, cheapest = windows[-1]
        earlier = np.full(last - first + 1 + large - small, np.inf)  # positions first - large to last - small
        low, high = max(at, first - large), min(at + len(cheapest), last - small + 1)
        earlier[low - first + large : high - first + large] = cheapest[low - at : high - at]
        reached = np.lib.stride_tricks.sliding_window_view(earlier, large - small + 1).min(axis=1)
        windows.append((first, reached + cost[first : last + 1]))
    cuts = [n]
    for at, cheapest in reversed(windows[1:]):
        low, high = max(at, cuts[-1] - large), min(at + len(cheapest), cuts[-1] - small + 1)
        cuts.append(low + int(cheapest[low - at : high - at].argmin()))
    return cuts[:0:-1]
