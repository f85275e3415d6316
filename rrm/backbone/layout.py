"""Packed rows: several groups in one row of tokens, each group's shared source once and its outputs as branches.

    row        [ source A | output A1 | output A2 | source B | output B1 | output B2 | output B3 ]
    position     0 ... P-1  P ...       P ...       0 ... Q-1  Q ...

A token attends to its own source and its own output only, up to its position, so every output is
read exactly as if it stood alone behind its source.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.core.errors import ShapeError

Tokens = np.ndarray
"""Token ids of one text, int32 [tokens]; some may be marked by `AVERAGED`."""

AVERAGED = 1 << 30
"""A bit of a token's id: the state of its output is the mean over the tokens so marked, not that of its last token."""


class Mean(NamedTuple):
    """Which states make each output's: `places` int64 [n] in the row, and whose they are, `output` int64 [n].

    `counts` int64 [outputs] says how many each output has.
    """

    places: Tensor
    output: Tensor
    counts: Tensor


class Branches(NamedTuple):
    """One group in a row: where it starts, the tokens of its source, and those of each output."""

    start: int
    source: int
    outputs: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return self.source + sum(self.outputs)


class SourceCache:
    """The keys and values of one source at every layer, so that outputs can be read in several rows."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def put(self, layer: int, key: Tensor, value: Tensor) -> None:
        self._layers[layer] = (key, value)

    def before(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [1, heads, cached + tokens, head size] with the source's in front."""
        source_key, source_value = self._layers[layer]
        return torch.cat([source_key, key], dim=2), torch.cat([source_value, value], dim=2)


@dataclass(frozen=True, eq=False)
class Layout:
    """Who may attend to whom in a row of `tokens`, and which tokens end an output.

    `last` int64 [outputs] are the places of the outputs' last tokens; `mean` says whose states are averaged in their
    place, None where it is the last tokens' alone that are read. A row that continues a
    cached source has one group whose source lies in `cache`, `cached` tokens before the row's first.
    """

    branches: tuple[Branches, ...]
    last: Tensor
    mean: Mean | None = None
    cache: SourceCache | None = None
    fills_cache: bool = False
    known: dict[object, Any] = field(default_factory=dict, repr=False)  # what every layer would work out anew

    @property
    def cached(self) -> int:
        """Tokens of the source that stand in the cache and not in the row."""
        return self.cache.tokens if self.cache is not None and not self.fills_cache else 0

    @cached_property
    def longest(self) -> int:
        """The most tokens that any output is read behind, itself included."""
        return self.cached + max((each.source + max(each.outputs, default=0) for each in self.branches), default=0)

    @cached_property
    def keys(self) -> tuple[Tensor, Tensor, Tensor]:
        """Group, branch (0 for the source) and position of every key, int64 [cached + tokens] each."""
        columns: list[np.ndarray] = []
        if self.cached:
            columns.append(np.stack([np.zeros(self.cached), np.zeros(self.cached), np.arange(self.cached)]))
        for number, each in enumerate(self.branches):
            for branch, size in enumerate((each.source, *each.outputs)):
                first = self.cached + each.source if branch else 0
                columns.append(np.stack([np.full(size, number), np.full(size, branch), first + np.arange(size)]))
        table = np.concatenate(columns, axis=1) if columns else np.zeros((3, 0))
        group, branch, position = torch.from_numpy(table.astype(np.int64)).to(self.last.device)
        return group, branch, position

    def allowed(self, query: Tensor, key: Tensor, window: int | None = None) -> Tensor:
        """Say which keys, numbered from the cached ones on, which queries (likewise) may attend to."""
        group, branch, position = self.keys
        allowed = (group[query] == group[key]) & ((branch[key] == 0) | (branch[key] == branch[query]))
        allowed = allowed & (position[key] <= position[query])
        return allowed if window is None else allowed & (position[query] - position[key] < window)

    def own(self, each: Branches) -> tuple[Tensor, Tensor]:
        """Return the places of each output's tokens, int64 [outputs, longest], and which of them are padding."""
        if each not in self.known:
            self.known[each] = self._own(each)
        found: tuple[Tensor, Tensor] = self.known[each]
        return found

    def _own(self, each: Branches) -> tuple[Tensor, Tensor]:
        sizes = torch.tensor(each.outputs, device=self.last.device)
        ends = torch.cumsum(sizes, 0) + each.start + each.source
        steps = torch.arange(max(each.outputs), device=self.last.device)
        places = (ends - sizes)[:, None] + steps
        padding = steps >= sizes[:, None]
        return torch.where(padding, (ends - 1)[:, None], places), padding


class Row(NamedTuple):
    """One packed row: `ids` and `positions` int64 [1, tokens], and its layout."""

    ids: Tensor
    positions: Tensor
    layout: Layout

    @property
    def tokens(self) -> int:
        return int(self.ids.shape[1])


def shared_length(sequences: Sequence[Tokens]) -> int:
    """Return how many leading tokens all sequences share, leaving each at least one of its own.

    Taking the longest common beginning of whole sequences, tokenised as they would be alone, keeps
    every sequence's tokens what any other program would make of it, wherever source and output meet.
    """
    shared = min((len(each) for each in sequences), default=1) - 1
    for first, second in pairwise(sequences):
        differ = np.flatnonzero(first[:shared] != second[:shared])
        shared = int(differ[0]) if len(differ) else shared
    return shared


def packed_tokens(sequences: Sequence[Tokens]) -> int:
    """Return how many tokens a group takes in a row."""
    shared = shared_length(sequences)
    return shared + sum(len(each) - shared for each in sequences)


def pack(groups: Iterable[Sequence[Tokens]], device: torch.device | str = "cpu") -> Row:
    """Lay groups, each a list of one or more token sequences, into one row.

    Raises ShapeError for a group or a sequence without tokens.
    """
    branches, ids, positions, last, averaged = [], [], [], [], []
    start = 0
    for sequences in groups:
        if not sequences or not all(len(each) for each in sequences):
            raise ShapeError("every group needs an output, and every output at least one token")
        shared = shared_length(sequences)
        each = Branches(start, shared, tuple(len(sequence) - shared for sequence in sequences))
        ids += [sequences[0][:shared], *(sequence[shared:] for sequence in sequences)]
        positions += [np.arange(shared), *(np.arange(shared, len(sequence)) for sequence in sequences)]
        last.append(start + shared + np.cumsum(each.outputs) - 1)
        ends = start + shared + np.cumsum(each.outputs)
        for sequence, end in zip(sequences, ends, strict=True):
            marked = np.flatnonzero(sequence & AVERAGED)
            averaged.append(np.where(marked < shared, start + marked, end - len(sequence) + marked))
        branches.append(each)
        start += each.tokens
    return _row(branches, ids, positions, last, averaged, device)


def pack_source(tokens: Tokens, device: torch.device | str = "cpu") -> tuple[Row, SourceCache]:
    """Lay a source alone into a row that fills a cache; marked tokens of it are one output's."""
    cache = SourceCache(len(tokens))
    branches = [Branches(0, len(tokens), ())]
    marked = np.flatnonzero(tokens & AVERAGED)
    averaged = [marked] if len(marked) else []
    return _row(branches, [tokens], [np.arange(len(tokens))], [], averaged, device, cache, fills_cache=True), cache


def pack_outputs(outputs: Sequence[Tokens], cache: SourceCache, device: torch.device | str = "cpu") -> Row:
    """Lay outputs, without their source, into a row that continues a cached source."""
    each = Branches(0, 0, tuple(map(len, outputs)))
    positions = [np.arange(cache.tokens, cache.tokens + len(output)) for output in outputs]
    ends = np.cumsum(each.outputs)
    averaged = [
        end - len(output) + np.flatnonzero(output & AVERAGED) for output, end in zip(outputs, ends, strict=True)
    ]
    return _row([each], list(outputs), positions, [ends - 1], averaged, device, cache)


def _row(
    branches: Sequence[Branches],
    ids: Sequence[np.ndarray],
    positions: Sequence[np.ndarray],
    last: Sequence[np.ndarray],
    averaged: Sequence[np.ndarray],
    device: torch.device | str,
    cache: SourceCache | None = None,
    fills_cache: bool = False,
) -> Row:
    def tensor(parts: Sequence[np.ndarray]) -> Tensor:
        joined = np.concatenate(parts) if parts else np.zeros(0)
        return torch.from_numpy(joined.astype(np.int64)).to(device)

    counts = np.array([len(places) for places in averaged], dtype=np.int64)
    owners = np.repeat(np.arange(len(averaged)), counts)
    mean = Mean(tensor(averaged), tensor([owners]), tensor([counts])) if counts.any() else None
    layout = Layout(tuple(branches), tensor(last), mean, cache, fills_cache)
    return Row(tensor([each & ~AVERAGED for each in ids])[None], tensor(positions)[None], layout)
