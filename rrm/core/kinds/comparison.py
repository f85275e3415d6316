"""Comparisons: which of two outputs is better."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric
from rrm.core.kinds.parts import is_share, part, whole

TIE = "tie"


@dataclass(frozen=True)
class Comparison(Answer):
    """Which of two outputs is better: 0 or 1 in the order shown, None for a tie.

    `strength` runs from 0 (barely) to 1 (far better).
    """

    kind: ClassVar[str] = "comparison"
    shows: ClassVar[tuple[int, int]] = (2, 2)
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    better: int | None = field(metadata=part(lambda value: value is None or whole(value) in (0, 1), "0, 1 or null"))
    strength: float | None = field(
        default=None, metadata=part(lambda value: value is None or is_share(value), "a number from 0 to 1, or null")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.better not in (0, 1, None):
            raise InputError(f"a comparison's `better` is 0, 1 or None, got {self.better!r}")

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if len(texts) != 2:
            raise InputError(f"a comparison has 2 outputs, the item shows {len(texts)}")
        if isinstance(self.better, bool):
            raise InputError(f"a comparison's `better` is 0, 1 or None, got {self.better!r}")
        if self.strength is not None and not is_share(self.strength):
            raise InputError(f"a comparison's strength lies between 0 and 1, got {self.strength!r:.40}")

    def permuted(self, order: Sequence[int]) -> Self:
        return self if self.better is None else replace(self, better=order[self.better])

    @property
    def first(self) -> int | None:
        return self.better

    def coding(self, detail: Mapping[str, Any]) -> Hashable:
        return TIE if self.better is None else self.better

    def difference(self, other: Self) -> float:
        return float(self.better != other.better)

    def agrees(self, expected: Self) -> bool:
        """Whether the better output is the same; strength aside."""
        return self.better == expected.better

    def brief(self, name: Callable[[int], str]) -> str:
        return "tie" if self.better is None else f"{name(self.better)} is better"

    def sentence(self, name: Callable[[int], str]) -> str:
        if self.better is None:
            return "both are equally good"
        how = "" if self.strength is None else f", strength {self.strength:.2f} of 1"
        return f"{name(self.better)} is better than {name(1 - self.better)}{how}"

    def pairs(self, count: int) -> list[tuple[int, int]]:
        return [] if self.better is None else [(self.better, 1 - self.better)]
