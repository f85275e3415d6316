"""A head a level on one trunk: which head judges which output, where feedback of several levels is learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rrm.core.values import Rated
from rrm.feedback.table import Item


@dataclass(frozen=True)
class LevelHeads:
    """The levels that heads are for, the model's own first, and the head that judges each view, by its id."""

    levels: tuple[int, ...]
    of_view: Mapping[str, int]

    @classmethod
    def of(cls, level: int, rated: Sequence[Rated], others: Sequence[Rated]) -> "LevelHeads":
        """Give the level's own feedback its own head, and that of each other level another one."""
        levels = (level, *sorted({row.request.place.level for row in others} - {level}))
        of_view = {row.request.view.id: levels.index(row.request.place.level) for row in others}
        return cls(levels, {**of_view, **{row.request.view.id: 0 for row in rated}})

    def of_items(self, items: Sequence[Item]) -> np.ndarray:
        """Return the head of each item, int64 [items]."""
        return np.array([self.of_view[item.view.id] for item in items], dtype=np.int64)


def by_head(rewards: Tensor, head: Tensor, members: int) -> Tensor:
    """Return what its own head says of each item [members, items], of what all say of each [heads * members, items]."""
    items = torch.arange(len(head), device=rewards.device)
    every = rewards.reshape(-1, members, len(head))
    return every[head, :, items].T
