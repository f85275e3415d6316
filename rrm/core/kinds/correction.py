"""Corrections: an output as the rater would have it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rrm.core.kinds.answer import Pool, Written

EDITED = 0.25
"""The share of an output's words that an edit is taken to write anew, until raters' times say otherwise; a guess."""


@dataclass(frozen=True)
class Correction(Written):
    """The output as the rater would have it."""

    kind: ClassVar[str] = "correction"
    shows: ClassVar[tuple[int, int]] = (1, 1)
    pool: ClassVar[Pool] = "edits"

    def sentence(self, name: Callable[[int], str]) -> str:
        return "rewrote the output"
