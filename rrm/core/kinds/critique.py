"""Critiques: what is wrong or right with outputs, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Written
from rrm.core.kinds.parts import is_places, is_spans, part


@dataclass(frozen=True)
class Critique(Written):
    """What is wrong or right, in words; `spans` are (start, end) characters of the output.

    `consistent` names the positions, as shown, of the outputs that the critique speaks for; None
    means that nobody has said yet, and then it tells nothing about rewards.
    """

    kind: ClassVar[str] = "critique"
    shows: ClassVar[tuple[int, int]] = (1, 6)
    spans: tuple[tuple[int, int], ...] = field(default=(), metadata=part(is_spans, "a list of [start, end] characters"))
    consistent: tuple[int, ...] | None = field(
        default=None,
        metadata=part(lambda value: value is None or is_places(value), "a list of places from 0, or null"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        named = self.consistent or ()
        if len(set(named)) != len(named) or min(named, default=0) < 0:
            raise InputError(f"a critique speaks for different positions from 0 up, got {named}")
        if any(len(span) != 2 for span in self.spans):
            raise InputError(f"a critique's spans are pairs of start and end, got {self.spans}")

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        super().check(texts, points)
        if max(self.consistent or (), default=-1) >= len(texts):
            raise InputError(f"a critique speaks for some of the {len(texts)} places, from 0 up, got {self.consistent}")
        longest = max(map(len, texts), default=0)
        for start, end in self.spans:
            if not 0 <= start <= end <= longest:
                raise InputError(f"a span lies within the output's {longest} characters, got {start} to {end}")

    def permuted(self, order: Sequence[int]) -> Self:
        if self.consistent is None:
            return self
        return replace(self, consistent=tuple(sorted(order[place] for place in self.consistent)))

    def sentence(self, name: Callable[[int], str]) -> str:
        return "wrote a critique"

    def texts(self, shown: tuple[str, ...]) -> tuple[str, ...]:
        return shown if self.consistent else ()

    def decides(self, count: int) -> bool:
        return 0 < len(self.consistent or ()) < count

    def pairs(self, count: int) -> list[tuple[int, int]]:
        named = self.consistent or ()
        return [(place, other) for place in named for other in range(count) if other not in named]


def is_ungrounded(answer: Answer) -> bool:
    """Whether an answer is a critique of which nobody has said yet which outputs it speaks for."""
    return isinstance(answer, Critique) and answer.consistent is None
