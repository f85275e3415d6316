"""What is read together: groups of one view, cut into blocks of few outputs that cover every judgement, and packed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.backbone.classifier import Classifier
from rrm.backbone.layout import Row, Tokens, pack
from rrm.core.ids import generator
from rrm.feedback.table import FeedbackTable
from rrm.reward.joint_model import Padded
from rrm.reward.windows import Windows, flattened

Block = tuple[int, ...]
"""Judgements, by row, about outputs of one view that are read together."""


class Batch(NamedTuple):
    """Inputs for a net, the judgements about its outputs, and which of its rewards are those of each item.

    `place` int64 [items, most windows]: columns of the net's rewards, one for each window of an item's source, -1 for
    none; pooled they are the item's reward.
    `head` int64 [items]: which of the net's heads judges each item.
    `weights` float [members, rows]: how much each member weighs each row of feedback.
    """

    inputs: Row | Padded
    feedback: FeedbackTable
    place: Tensor
    head: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Sizes:
    """At most so many tokens are read at once, and at most so many outputs of a view in one block."""

    batch_tokens: int
    outputs: int = 16

    @classmethod
    def on(cls, device: torch.device, batch_tokens: int | None = None) -> "Sizes":
        """Return what a device reads at once in training, unless told otherwise.

        A decoder holds a megabyte or so a token on the way back, and more at once makes a CPU no faster.
        """
        return cls(batch_tokens or (2048 if device.type == "cpu" else 8192))


@dataclass(frozen=True, eq=False)
class Table:
    """All that batches are made from: judgements, their items as tokens, and how much members weigh each source.

    An item has several windows of tokens where its source is longer than the backbone; they are read together.

    `member_weights` is float [members, sources]; `heads` int64 [items] says which of the net's heads judges each item.
    """

    feedback: FeedbackTable
    windows: Sequence[Windows]
    member_weights: np.ndarray
    heads: np.ndarray
    classifier: Classifier
    sizes: Sizes
    device: torch.device

    def blocks(self, rows: Sequence[int] | np.ndarray, seed: int) -> list[Block]:
        """Cut judgements into blocks, each in exactly one, and return the blocks in a random order.

        A view with few outputs is one block. A larger one is covered greedily, in a seeded order: a
        block grows by the output that brings most judgements not yet covered. A single judgement's
        outputs are read together even if they are more than the sizes allow.
        """
        random = generator("blocks", seed)
        by_view: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_view[self.feedback.items[self.feedback.row_items[row][0]].view.id].append(int(row))
        found: list[Block] = []
        for members in by_view.values():
            found += self._covered([members[place] for place in random.permutation(len(members))])
        return [found[place] for place in random.permutation(len(found))]

    def _covered(self, left: Sequence[int]) -> Iterator[Block]:
        """Yield blocks that cover judgements about one view."""
        while left:
            block = _cover(self.feedback, left, self.windows, self.sizes)
            kept = set(block)
            yield block
            left = [row for row in left if row not in kept]

    def smaller(self, update: Sequence[Block]) -> "Table | None":
        """Return a table that reads an update in smaller micro-batches; None where each is one judgement's texts."""
        now, size = self.micro_batches(update), self.sizes.batch_tokens
        while size > 1:
            size //= 2
            table = replace(self, sizes=replace(self.sizes, batch_tokens=size))
            if table.micro_batches(update) != now:
                return table
        return None

    def micro_batches(self, update: Sequence[Block]) -> list[Block]:
        """Join an update's blocks, largest first, into sets that are read at once within `batch_tokens`.

        Blocks that were cut for larger sizes are cut again.
        """
        sized = [(block, self.tokens(block)) for block in update]
        if any(size > self.sizes.batch_tokens and len(block) > 1 for block, size in sized):
            sized = [(block, self.tokens(block)) for whole in update for block in self._covered(whole)]
        joined: list[tuple[list[int], int]] = []
        for block, size in sorted(sized, key=lambda each: -each[1]):
            place = next((at for at, (_, used) in enumerate(joined) if used + size <= self.sizes.batch_tokens), None)
            if place is None:
                joined.append((list(block), size))
            else:
                joined[place] = ([*joined[place][0], *block], joined[place][1] + size)
        return [tuple(rows) for rows, _ in joined]

    def tokens(self, block: Block) -> int:
        """Bound how many tokens are read at once for some judgements."""
        return _size({item for row in block for item in self.feedback.row_items[row]}, self.windows)

    def batch(self, block: Block) -> Batch:
        """Make what a net reads for some judgements: each output once, each source once where the net can."""
        part, items = self.feedback.take(block)
        own, place = flattened([self.windows[item] for item in items])
        row_weights = self.member_weights[:, part.row_source] * part.weight / len(self.member_weights)
        weights = torch.from_numpy(row_weights.astype(np.float32)).to(self.device)
        head = torch.from_numpy(self.heads[items]).to(self.device)
        if not self.classifier.causal:
            inputs: Row | Padded = self.classifier.padded(own, Padded, self.device)
            return Batch(inputs, part, torch.from_numpy(place).to(self.device), head, weights)
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for item, columns in zip(part.items, place, strict=True):
            for number, column in enumerate(columns[columns >= 0]):
                groups[item.view.id, number].append(int(column))
        order = [column for group in groups.values() for column in group]
        row = pack([[own[column] for column in group] for group in groups.values()], self.device)
        in_row = np.where(place >= 0, np.argsort(order)[place], -1)
        return Batch(row, part, torch.from_numpy(in_row).to(self.device), head, weights)


def _cover(feedback: FeedbackTable, left: Sequence[int], windows: Sequence[Windows], sizes: Sizes) -> Block:
    """Return the judgements of one block: the first one left, and what best goes with it."""
    about = {row: frozenset(feedback.row_items[row]) for row in left}
    chosen = set(about[left[0]])
    every = frozenset().union(*about.values())
    if len(every) <= sizes.outputs and _size(set(every), windows) <= sizes.batch_tokens:
        return tuple(left)
    touching: dict[int, list[int]] = defaultdict(list)
    for row, items in about.items():
        for item in items:
            touching[item].append(row)
    while len(chosen) < sizes.outputs:
        gains: dict[frozenset[int], int] = defaultdict(int)
        for row in {row for item in chosen for row in touching[item]}:
            gains[about[row] - chosen] += 1
        gains.pop(frozenset(), None)
        room = sizes.outputs - len(chosen)
        fitting = [new for new in gains if len(new) <= room]
        best = max(fitting, key=lambda new: (gains[new] / len(new), -min(new)), default=None)
        if best is None or _size(chosen | best, windows) > sizes.batch_tokens:
            break
        chosen |= best
    return tuple(row for row in left if about[row] <= chosen)


def _size(items: set[int], windows: Sequence[Windows]) -> int:
    """Bound the tokens of a block: every output apart from the shortest also has its source counted once only."""
    parts: dict[int, list[Tokens]] = defaultdict(list)
    for item in items:
        for number, tokens in enumerate(windows[item]):
            parts[number].append(tokens)
    return sum(map(_size_of_part, parts.values()))


def _size_of_part(tokens: Sequence[Tokens]) -> int:
    shared = min(_common(tokens[0], each) for each in tokens)
    return shared + sum(len(each) - shared for each in tokens)


def _common(first: Tokens, second: Tokens) -> int:
    size = min(len(first), len(second)) - 1
    differ = np.flatnonzero(first[:size] != second[:size])
    return int(differ[0]) if len(differ) else size


def updates(found: Sequence[Block], rows: int) -> list[list[Block]]:
    """Gather blocks, in order, into updates of at least `rows` judgements; the last may have fewer."""
    gathered: list[list[Block]] = []
    count = rows
    for block in found:
        if count >= rows:
            gathered.append([])
            count = 0
        gathered[-1].append(block)
        count += len(block)
    return gathered
