"""Comparisons in hindsight: which of two outputs is better, once it is seen what came of each."""

from dataclasses import dataclass
from typing import ClassVar

from rrm.core.kinds.comparison import Comparison


@dataclass(frozen=True)
class Hindsight(Comparison):
    """Which of two outputs is better, 0 or 1 in the order shown, None for a tie, by a rater who saw what came of both.

    Liang et al. (2025), arXiv:2501.08617.
    """

    kind: ClassVar[str] = "hindsight"
