"""Demonstrations: an output that the rater wrote."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rrm.core.kinds.answer import Pool, Written


@dataclass(frozen=True)
class Demonstration(Written):
    """An output that the rater wrote from nothing."""

    kind: ClassVar[str] = "demonstration"
    shows: ClassVar[tuple[int, int]] = (0, 6)
    pool: ClassVar[Pool] = "view"

    def sentence(self, name: Callable[[int], str]) -> str:
        return "wrote an output"
