"""Labels: whether an output is accepted."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric
from rrm.core.kinds.parts import part


@dataclass(frozen=True)
class Label(Answer):
    """Whether the rater accepts the output."""

    kind: ClassVar[str] = "label"
    shows: ClassVar[tuple[int, int]] = (1, 1)
    anchors: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    good: bool = field(metadata=part(lambda value: isinstance(value, bool), "true or false"))

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if len(texts) != 1:
            raise InputError(f"a label is of one output, the item shows {len(texts)}")

    def permuted(self, order: Sequence[int]) -> Self:
        return self

    def coding(self, detail: Mapping[str, Any]) -> Hashable:
        return self.good

    def difference(self, other: Self) -> float:
        return float(self.good != other.good)

    def brief(self, name: Callable[[int], str]) -> str:
        return "good" if self.good else "bad"

    def sentence(self, name: Callable[[int], str]) -> str:
        return f"{name(0)} is {'good' if self.good else 'not good'}"

    @property
    def accepted(self) -> float:
        return float(self.good)

    def pairs(self, count: int) -> list[tuple[int, int]]:
        return []
