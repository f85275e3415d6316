"""Sources longer than a backbone: cut into windows, each read with the output, whose rewards are pooled."""

from collections.abc import Sequence
from math import ceil
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rrm.backbone.layout import Tokens
from rrm.core.errors import ConfigError, LimitError
from rrm.core.values import View

Long = Literal["refuse", "truncate", "windows"]
"""What is done where a source with an output is too long: an error, its oldest end cut off, or windows of it."""

Windows = Sequence[Tokens]
"""The token ids of one output behind each window of its source, in order; one alone where all of it fits."""

Span = tuple[int, int]


def check_long(how: str) -> None:
    """Raise ConfigError for what is no way of reading long sources."""
    if how not in get_args(Long):
        raise ConfigError(f"long_sources is one of {', '.join(get_args(Long))}, got {how!r}")


def source_letters(view: View) -> int:
    """Return how many letters of a view's prompt are its source: all that stands before the instruction."""
    return len(view.prompt.removesuffix(view.instruction).rstrip())


def windows_of_view(ids: Sequence[Tokens], sources: Sequence[Span], limit: int, least: int) -> list[Windows]:
    """Cut the source of a view's outputs, the same for all, so that each window with each output fits the limit.

    `sources` are the tokens, first to end, of the source in each. Windows have equal sizes, as many source tokens as
    the longest output leaves room for, and overlap by an eighth or more, so that what stands at the end of one is read
    with what follows it. All the rest, such as the instruction, is in every window. Raises LimitError for an output
    that leaves room for fewer than `least` tokens of its source.
    """
    size = min(end - first for first, end in sources)
    longest = max(map(len, ids))
    if longest <= limit:
        return [[each] for each in ids]
    room = limit - (longest - size)
    if room < least:
        raise LimitError("leaves no room for its source")
    overlap = room // 8
    count = ceil((size - overlap) / (room - overlap))
    starts = np.linspace(0, size - room, count).round().astype(int)
    return [
        [np.concatenate([each[:first], each[first + at : first + at + room], each[first + size :]]) for at in starts]
        for each, (first, _) in zip(ids, sources, strict=True)
    ]


def flattened(windows: Sequence[Windows]) -> tuple[list[Tokens], np.ndarray]:
    """Return all windows of all outputs in one list, and where each output's stand in it.

    Places are int64 [outputs, most windows], -1 where an output has fewer.
    """
    table = np.full((len(windows), max(map(len, windows), default=1)), -1, dtype=np.int64)
    flat: list[Tokens] = []
    for row, each in enumerate(windows):
        table[row, : len(each)] = np.arange(len(flat), len(flat) + len(each))
        flat.extend(each)
    return flat, table


def pooled(rewards: Tensor, place: Tensor) -> Tensor:
    """Return the reward of each output, [members, outputs], from those of its windows, [members, windows].

    `place` is int64 [outputs, most windows], -1 for none. An output's worth in the sense of Bradley and Terry, the
    exponential of its reward, is the mean of its worths beside the windows: a smooth maximum, in which the one window
    that an output is about counts more than those that say nothing of it. In logits, whatever the number of windows.
    """
    if place.shape[1] == 1:
        return rewards[:, place[:, 0]]
    there = place >= 0
    each = rewards[:, place.clamp(min=0)].masked_fill(~there, -torch.inf)
    return torch.logsumexp(each, dim=-1) - there.sum(dim=-1).to(each.dtype).log()
