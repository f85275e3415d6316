"""A decomposer that is a distribution: sentences into leaves, leaves into sections, and so on up to one root.

Every level is a semi-Markov model of its cut: the probability of a cut is proportional to exp of the sum of its
parts' scores, and a part's score is linear in features of the part and of the place where it begins. So the best
cut, exact samples and the log-probability of any cut are known, and it can be learned (`decomposers.learn_cuts`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from math import fsum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from decomposers.chunks import INSTRUCTION, LEAF_INSTRUCTION, by_height, gaps, token_ends, tokens_in
from decomposers.cut_features import NAMES, WITH_VECTORS, CutText, Limits, PartFeatures, read_units
from decomposers.semi_markov import Cuts, Ends
from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.ids import content_id, generator
from rrm.core.protocols import Cache
from rrm.core.task import Source, Span, Task

Weights = Mapping[str, float]
"""Weights of one level by the features' names (`decomposers.cut_features.NAMES`); what is not named weighs 0."""

START = Path(__file__).parent / "segmenter.json"
"""Weights that imitate `decomposers.chunks:Chunks`: what is trained starts from there, and is anchored to it."""

_LARGEST = 1.5  # times an even part: no leaf has more tokens, unless it is one sentence


class LevelCut(NamedTuple):
    """A level's cut of a source: what it cuts, and into which parts."""

    text: CutText
    ends: Ends


@dataclass(frozen=True)
class Segmenter:
    """Cut a source into leaves of about `leaf_tokens` tokens at sentence ends, and group them level by level.

    `weights` holds a table for the leaves and one for each level above, the last for all others; or it names a file
    with such tables, by default the one that imitates `Chunks`. With `temperature` 0 a tree is the best cut of each
    level, from below; else it is an exact sample, whose scores are divided by the temperature. A leaf has at most
    1.5 times `leaf_tokens` tokens, unless it is one sentence; a node of height 1, 2, ... has from 2 to `fan_in` parts
    (3, where that is 2). Skipped text ends a leaf. With `vectors` the features of a cut include those of the vectors of
    the sentence `encoder`, which `cache` keeps. All else is as `Chunks` has it. Raises ConfigError for settings out of
    range, InputError for a file that holds no weights.
    """

    weights: str | Path | tuple[Weights, ...] = START
    leaf_tokens: int = 600
    fan_in: tuple[int, ...] = (10, 8)
    temperature: float = 0.0
    max_tokens: tuple[int, ...] = (128, 192, 384)
    context_window: int = 2048
    context: bool = True
    tokenizer: str = "minilm"
    vectors: bool = False
    encoder: str = "minilm"
    device: str = "auto"
    dtype: str = "auto"
    cache: Cache | None = field(default=None, repr=False, compare=False)
    leaf_instruction: str = LEAF_INSTRUCTION
    instruction: str = INSTRUCTION

    def __post_init__(self) -> None:
        if self.leaf_tokens < 1:
            raise ConfigError(f"leaf_tokens must be at least 1, got {self.leaf_tokens}")
        if not self.fan_in or min(self.fan_in) < 2:
            raise ConfigError(f"fan_in needs numbers from 2 up, one for each height, got {self.fan_in}")
        if not self.max_tokens or min(self.max_tokens) < 1:
            raise ConfigError(f"max_tokens needs numbers from 1 up, one for each height, got {self.max_tokens}")
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be 0 or a number above, got {self.temperature}")
        tables = read_weights(self.weights) if isinstance(self.weights, str | Path) else self.weights
        object.__setattr__(self, "weights", _checked(tables))
        blind = (
            sorted(name for table in self.tables for name in WITH_VECTORS if table.get(name))
            if not self.vectors
            else []
        )
        if blind:
            raise ConfigError(f"the weight of {blind[0]!r} needs sentence vectors: set vectors = true")

    @property
    def tables(self) -> tuple[Weights, ...]:
        """The weights of each level, the leaves' first."""
        assert isinstance(self.weights, tuple)
        return self.weights

    @cached_property
    def name(self) -> str:
        """Covers every setting, and the encoder with the precision of its vectors where there is one."""
        left_out = {"cache", "encoder", "device", "dtype", "tokenizer"}
        settings = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in left_out}
        vectors = self._vectors.name if self._vectors is not None else None
        return content_id("segmenter", settings, load_tokenizer(self.tokenizer).name, vectors)

    def with_weights(self, tables: Sequence[Weights]) -> "Segmenter":
        """Return the same segmenter with other weights."""
        return replace(self, weights=tuple(tables))

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed tree of a source, all leaves equally deep; raise InputError if it has no text."""
        random = generator("segmenter", source.id, seed)
        return self.graph(source, self.cuts(source, random if self.temperature else None, self.temperature), seed)

    def draw(self, source: Source, n: int, seed: int, temperature: float = 1.0) -> list[TaskGraph]:
        """Return n independent exact samples of a source's tree."""
        text, random = self.read(source), generator("draw", source.id, seed)
        leaves = self.distribution(text, 0, temperature).sample(n, random)[0]
        cuts = [self._above(LevelCut(text, ends), random, temperature) for ends in leaves]
        return [self.graph(source, each, seed) for each in cuts]

    def cuts(
        self, source: Source, random: np.random.Generator | None = None, temperature: float = 1.0
    ) -> list[LevelCut]:
        """Return the cut of each level, leaves first: the best ones, or drawn. The last has one part, the root."""
        text = self.read(source)
        return self._above(LevelCut(text, self._cut(text, 0, random, temperature)), random, temperature)

    def _above(self, leaves: LevelCut, random: np.random.Generator | None, temperature: float) -> list[LevelCut]:
        found = [leaves]
        while len(text := found[-1].text.grouped(found[-1].ends)) > 1:
            found.append(LevelCut(text, self._cut(text, len(found), random, temperature)))
        return found

    def _cut(self, text: CutText, height: int, random: np.random.Generator | None, temperature: float) -> Ends:
        if self.roots(text, height):
            return (len(text),)
        if random is None:
            return self.distribution(text, height).best()[0]
        return self.distribution(text, height, temperature).sample(1, random)[0][0]

    def distribution(self, text: CutText, height: int, temperature: float = 1.0) -> Cuts:
        """Return the distribution over the cuts into parts of a height; raise InputError where no cut is possible."""
        try:
            return self.features(text, height).cuts(self.weights_at(height), temperature)
        except InputError as error:
            raise InputError(f"{text.source.title}: {error}") from error

    def features(self, text: CutText, height: int) -> PartFeatures:
        """Return the features of all parts of a height that the limits allow."""
        return _features(text, self.limits(text, height))

    def roots(self, text: CutText, height: int) -> bool:
        """Whether the only part of a height is the root, as there are so few parts below."""
        return height > 0 and len(text) <= by_height(self.fan_in, height - 1)

    def limits(self, text: CutText, height: int) -> Limits:
        """Return what a part of a height may be."""
        if height == 0:
            return Limits(self.leaf_tokens, _LARGEST * self.leaf_tokens)
        most = max(3, by_height(self.fan_in, height - 1))
        if self.roots(text, height):
            return Limits(most, most, len(text))
        return Limits(by_height(self.fan_in, height - 1), most, 2)

    def weights_at(self, height: int) -> torch.Tensor:
        """Return the weights of a level, float64, in the order of `NAMES`."""
        table = self.tables[min(height, len(self.tables) - 1)]
        return torch.tensor([table.get(name, 0.0) for name in NAMES], dtype=torch.float64)

    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        """Return the log-probability, in nats, that a sampled tree has the spans of this one; -inf if it cannot."""
        found = self.cuts_of(source, graph)
        if found is None:
            return float("-inf")
        return fsum(float(self.distribution(cut.text, height).log_prob([cut.ends])) for height, cut in enumerate(found))

    def cuts_of(self, source: Source, graph: TaskGraph, nearest: bool = False) -> list[LevelCut] | None:
        """Return the cuts of a tree's levels, None for a tree that does not cut this source between sentences.

        With `nearest` every cut is moved to the nearest place between sentences, and all trees have cuts.
        """
        text, found = self.read(source), list[LevelCut]()
        for level in graph.levels:
            spans = [span for node in level if (span := graph.task(node).span) is not None]
            if len(level) == 1 and found:
                spans = [Span(int(text.starts[0]), int(text.ends[-1]))]  # the root covers skipped text too
            ends = text.nearest_cut(spans) if nearest else text.cut_of(spans)
            if ends is None:
                return None
            found.append(LevelCut(text, ends))
            text = text.grouped(ends)
        return found if len(text) == 1 else None

    def read(self, source: Source) -> CutText:
        """Return a source's sentences, with their features; kept for the last few sources."""
        return _read(source, self.tokenizer, self._vectors)

    @cached_property
    def _vectors(self) -> CachedEncoder | None:
        if not self.vectors:
            return None
        return CachedEncoder(FrozenEncoder(self.encoder, device=self.device, dtype=self.dtype), self.cache)

    def graph(self, source: Source, cuts: Sequence[LevelCut], seed: int) -> TaskGraph:
        """Return the task graph of the cuts of all levels, leaves first."""
        ends = token_ends(source, load_tokenizer(self.tokenizer))
        parts: dict[tuple[int, Span], list[Span]] = {}
        below: list[Span] = []
        for height, (text, cut) in enumerate(cuts):
            spans = text.spans(cut)
            if height:
                spans = [Span(0, len(source.text))] if len(spans) == 1 else spans
                parts |= {(height, span): below[a:b] for span, (a, b) in zip(spans, pairwise([0, *cut]), strict=True)}
            below = spans
        heights: dict[Span, int] = {below[0]: len(cuts) - 1}

        def task(span: Span, height: int) -> Task:
            heights[span] = height
            limit = by_height(self.max_tokens, height)
            under = by_height(self.max_tokens, height - 1)
            read = len(parts[height, span]) * under if height else tokens_in(ends, span)
            left = max(0, self.context_window - read - limit) if self.context else 0
            return Task(self.instruction if height else self.leaf_instruction, source.id, span, limit, left)

        def propose(_: TaskGraph, node: Node) -> Proposal:
            span = node.task.span
            assert span is not None  # every task here is about the source
            height = heights[span]
            inside = parts.get((height, span), [])
            return Proposal(tuple(task(each, height - 1) for each in inside), gaps(span, inside) if inside else ())

        graph = TaskGraph.start(task(below[0], len(cuts) - 1), self.name, seed).grow_all(propose)
        return graph.with_context() if self.context else graph


@lru_cache(maxsize=64)
def _read(source: Source, tokenizer: str, encoder: CachedEncoder | None) -> CutText:
    return read_units(source, load_tokenizer(tokenizer), encoder)


@lru_cache(maxsize=4)  # a novel's take a hundred megabytes
def _features(text: CutText, limits: Limits) -> PartFeatures:
    return PartFeatures.of(text, limits)


def read_weights(path: str | Path) -> tuple[Weights, ...]:
    """Return the weights in a JSON file, a list of tables under `levels`; raise InputError if it holds none."""
    try:
        levels = json.loads(Path(path).read_text(encoding="utf-8"))["levels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no weights of a segmenter: {type(error).__name__}: {error}") from error
    if not isinstance(levels, list) or not all(isinstance(table, dict) for table in levels):
        raise InputError(f"{path}: `levels` must be a list of tables, one for each level of a tree")
    return tuple(levels)


def _checked(tables: Sequence[Weights]) -> tuple[Weights, ...]:
    """Return weights with every name known and every number finite; raise InputError otherwise."""
    if not tables:
        raise InputError("a segmenter needs a table of weights for the leaves at least")
    for height, table in enumerate(tables):
        for name, weight in table.items():
            if name not in NAMES:
                raise InputError(
                    f"no feature of cuts is called {name!r} (level {height}); there are {', '.join(NAMES)}"
                )
            if not isinstance(weight, int | float) or not np.isfinite(weight):
                raise InputError(f"the weight of {name!r} at level {height} must be a finite number, got {weight!r}")
    return tuple({name: float(weight) for name, weight in table.items()} for table in tables)
