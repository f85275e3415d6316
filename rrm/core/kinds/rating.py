"""Ratings: a point on an ordered scale."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric
from rrm.core.kinds.parts import number, part, whole


@dataclass(frozen=True)
class Rating(Answer):
    """A point on an ordered scale, 1 to `points`; between two points it is a mean, as of several raters."""

    kind: ClassVar[str] = "rating"
    shows: ClassVar[tuple[int, int]] = (1, 1)
    anchors: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = ("ordinal", "interval")
    value: float = field(metadata=part(lambda value: number(value) is not None, "a number"))
    points: int = field(default=7, metadata=part(lambda value: whole(value) is not None, "a whole number"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 2:
            raise InputError(f"a rating's scale has 2 points or more, got {self.points}")
        if isinstance(self.value, bool) or not 1 <= self.value <= self.points:
            raise InputError(f"a rating lies between 1 and {self.points}, got {self.value!r}")
        if self.value == int(self.value):  # so that 4.0 and 4 have one id
            object.__setattr__(self, "value", int(self.value))

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if len(texts) != 1:
            raise InputError(f"a rating is of one output, the item shows {len(texts)}")
        if number(self.value) is None or (points is not None and self.points != points):
            raise InputError(f"the item is rated on {points} points, got {self.value!r} of {self.points}")

    def permuted(self, order: Sequence[int]) -> Self:
        return self

    def coding(self, detail: Mapping[str, Any]) -> Hashable:
        """Return the place on the scale, from 0 to 1, so that scales of any length compare."""
        return (self.value - 1) / (self.points - 1)

    def difference(self, other: Self) -> float:
        return abs(self.value - other.value) / (max(self.points, other.points) - 1)

    def agrees(self, expected: Self) -> bool:
        """Whether the two are within a point."""
        return abs(self.value - expected.value) <= 1

    def brief(self, name: Callable[[int], str]) -> str:
        return f"{self.value:g} of {self.points}"

    def sentence(self, name: Callable[[int], str]) -> str:
        return f"{name(0)} gets {self.value:g} of {self.points}"

    @property
    def accepted(self) -> float:
        """1 above the middle of the scale, 0.5 for the middle itself."""
        middle = (self.points + 1) / 2
        return 0.5 if self.value == middle else float(self.value > middle)

    def pairs(self, count: int) -> list[tuple[int, int]]:
        return []
