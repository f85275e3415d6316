"""The rows of one kind as its likelihood reads them: tensors for all members, in the rewards' type."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rrm.feedback.scales import Effects, Scales
from rrm.feedback.table import AnswerBlock, FeedbackTable


class RewardedRows:
    """One block of a table, given rewards [members, items] of the table's items and the scales."""

    def __init__(self, rewards: Tensor, table: FeedbackTable, scales: Scales, block: AnswerBlock) -> None:
        self.scales, self.block = scales, block
        self._rewards, self._table = rewards, table

    @cached_property
    def rewards(self) -> Tensor:
        """The rewards of each row's items, [members, rows, k]; any number where none is present."""
        return self._of(self.block.items)

    def reward(self, place: int) -> Tensor:
        """Return the rewards of each row's item at this place, [members, rows]."""
        return self._of(self.block.items[:, place])

    @cached_property
    def present(self) -> Tensor:
        """Which items are there, boolean [members, rows, k]."""
        return self.shared(self.block.present)

    @cached_property
    def effects(self) -> Effects:
        """What the raters do to their rows."""
        confidence = self._tensor(self._table.confidence[self.block.row]).to(self._rewards.dtype)
        return self.scales.effects(self._tensor(self._table.row_rater[self.block.row]), confidence)

    def array(self, of: Callable[[AnswerBlock], np.ndarray]) -> Tensor:
        """Return what answers say, [members, rows, ...], from an array [rows, ...] that is made once for a block."""
        return self.shared(self.block.array(of))

    def shared(self, array: np.ndarray) -> Tensor:
        """Return what all members share, [members, ...]."""
        found = self._tensor(array)
        return found.expand(len(self._rewards), *found.shape)

    def own(self, values: Tensor) -> Tensor:
        """Return what each member has for all rows, [members, 1], of values [members]."""
        return values.unsqueeze(1).to(self._rewards.dtype)

    def _of(self, items: np.ndarray) -> Tensor:
        flat = self._rewards.index_select(1, self._tensor(items.ravel()))
        return flat.reshape(len(flat), *items.shape)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._rewards.device)
