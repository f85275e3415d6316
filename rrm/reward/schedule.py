"""What a training learns from and what it holds back, its updates in order, and how large a step each takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from math import cos, pi
from typing import NamedTuple

import numpy as np

from rrm.core.ids import generator, seed_for
from rrm.feedback.table import FeedbackTable
from rrm.reward.batches import Block, Table, updates


class Update(NamedTuple):
    """One step of the optimiser: its number from 1, the blocks that it reads, its share of the learning rate.

    `epoch` is the number, from 1, of the epoch that it ends; None within one.
    """

    step: int
    blocks: list[Block]
    rate: float
    epoch: int | None

    @property
    def rows(self) -> int:
        """How many rows of feedback it reads."""
        return sum(map(len, self.blocks))


@dataclass(frozen=True)
class Schedule:
    """All updates of a training, planned beforehand from its seed, epoch by epoch."""

    epochs: Sequence[Sequence[list[Block]]]
    warmup: float

    @property
    def total(self) -> int:
        return sum(map(len, self.epochs))

    def after(self, step: int) -> Iterator[Update]:
        """Yield the updates that are left after as many steps, in order."""
        total = self.total
        ends = {end: epoch for epoch, end in enumerate(accumulate(map(len, self.epochs)), 1)}
        every = (blocks for epoch in self.epochs for blocks in epoch)
        for place, blocks in islice(enumerate(every), step, None):
            yield Update(place + 1, blocks, rate_share(place, total, self.warmup), ends.get(place + 1))


def schedule(table: Table, rows: np.ndarray, rows_per_update: int, epochs: int, warmup: float, seed: int) -> Schedule:
    """Plan the updates that read all `rows` once an epoch, each epoch in an order of its own."""
    orders = (table.blocks(rows, seed_for(seed, epoch)) for epoch in range(epochs))
    return Schedule([updates(blocks, rows_per_update) for blocks in orders], warmup)


def rate_share(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate at a step counted from 0: a line up, then half a cosine down to zero."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * (step - rising) / max(total - rising, 1)))


def split(feedback: FeedbackTable, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to learn from and those held back: a share of the sources, in a seeded order.

    At least one source is held back where there are two, none with a share of 0 or a single source.
    """
    named = sorted({feedback.sources[place] for place in feedback.row_source})
    count = min(len(named) - 1, max(1, round(share * len(named)))) if share else 0
    order = sorted(named, key=lambda source: (seed_for(seed, "held back", source), source))
    held = np.isin(feedback.row_source, [feedback.sources.index(source) for source in order[:count]])
    return np.flatnonzero(~held), np.flatnonzero(held)


def member_weights(sources: Sequence[str], members: int, seed: int) -> np.ndarray:
    """Return how much each member weighs each source, [members, sources]: exponential variates, or 1 for one member."""
    if members == 1:
        return np.ones((1, len(sources)))
    return np.stack([generator(seed, "bootstrap", source).exponential(size=members) for source in sources], axis=1)
