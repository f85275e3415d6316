"""A head a level on one trunk: which head judges which output, where feedback of several levels is learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rrm.core.values import Rated
from rrm.feedback.table import Item

HEAD, OTHERS = "head.", "heads."
"""What the names of a head's parameters begin with where they are kept: the model's own, `heads.<level>.` another's."""


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


def head_of(tensors: Mapping[str, Tensor], level: int) -> dict[str, Tensor]:
    """Return the parameters of a level's head by name; of a level that has no other, those of the model's own."""
    other = f"{OTHERS}{level}."
    prefix = other if f"{other}weight" in tensors else HEAD
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def head_tensors(head: nn.Module, levels: Sequence[int]) -> dict[str, Tensor]:
    """Return the heads that one head holds side by side as they are kept: of these levels, the model's own first."""
    prefixes = [HEAD, *(f"{OTHERS}{level}." for level in levels[1:])]
    return {
        prefix + name: part.float().cpu().clone().contiguous()
        for name, each in head.named_parameters()
        for prefix, part in zip(prefixes, each.detach().chunk(len(levels)), strict=True)
    }


def put_heads(head: nn.Module, tensors: Mapping[str, Tensor], levels: Sequence[int], members: int) -> None:
    """Let the heads of these levels begin as they are kept, each member as itself.

    Where there are more members than were kept, they take turns; where fewer, each begins from the mean of its share.
    """
    kept = [head_of(tensors, level) for level in levels]
    first = [member % len(kept[0]["weight"]) for member in range(members)]
    state = {
        name: torch.stack([each[name][at::members].mean(dim=0) for each in kept for at in first]) for name in kept[0]
    }
    head.load_state_dict(state)
