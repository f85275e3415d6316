"""Rejections: an item that nobody should have to answer."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from rrm.core.kinds.answer import Answer, Metric, beginning, check_text
from rrm.core.kinds.parts import TEXT

BOTH_BAD = "both bad"
REJECTED = "rejected"
"""How two rejections are compared, whatever their reasons: of a comparison, that neither will do / any other."""


@dataclass(frozen=True)
class Reject(Answer):
    """The rater refuses the item as it is, and says why."""

    kind: ClassVar[str] = "reject"
    shows: ClassVar[tuple[int, int]] = (1, 6)
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    reason: str = field(metadata=TEXT)

    @classmethod
    def takes(cls) -> tuple[str, ...]:
        """Return the rejection itself, or the label that nothing is wrong."""
        return cls.kind, "label"

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        check_text(self.reason, "a reason")

    def permuted(self, order: Sequence[int]) -> Self:
        return self

    def coding(self, detail: Mapping[str, Any]) -> Hashable:
        return BOTH_BAD if detail.get("both_bad") else REJECTED

    def difference(self, other: Self) -> float:
        return 0.0

    def agrees(self, expected: Self) -> bool:
        """Reasons are not compared."""
        return True

    def brief(self, name: Callable[[int], str]) -> str:
        return beginning(self.reason)

    def sentence(self, name: Callable[[int], str]) -> str:
        return f"rejected: {self.reason}"

    def pairs(self, count: int) -> list[tuple[int, int]]:
        return []
