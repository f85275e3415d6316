"""Rankings: the outputs from the best down, all of them or only the best ones."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Any, ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric
from rrm.core.kinds.parts import is_places, part


@dataclass(frozen=True)
class Ranking(Answer):
    """Positions as shown, best first; a partial ranking names only the best ones."""

    kind: ClassVar[str] = "ranking"
    shows: ClassVar[tuple[int, int]] = (2, 6)
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    best_first: tuple[int, ...] = field(
        metadata=part(lambda value: is_places(value) and bool(value), "a list of places from 0")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.best_first)) != len(self.best_first) or min(self.best_first, default=0) < 0:
            raise InputError(f"a ranking names different positions from 0 up, got {self.best_first}")

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if not self.best_first or max(self.best_first) >= len(texts):
            raise InputError(f"a ranking names some of the {len(texts)} places, from 0 up, got {self.best_first}")

    def permuted(self, order: Sequence[int]) -> Self:
        return replace(self, best_first=tuple(order[place] for place in self.best_first))

    @property
    def first(self) -> int | None:
        return self.best_first[0] if self.best_first else None

    def coding(self, detail: Mapping[str, Any]) -> Hashable | None:
        """Return what stands first; the rest is not compared."""
        return self.first

    def difference(self, other: Self) -> float:
        """Return the share of pairs in the opposite order, of all pairs that both rankings order.

        Who stands in a ranking comes before who does not (Kendall's tau distance, 1938, doi:10.1093/biomet/30.1-2.81).
        """
        ranks = [{place: rank for rank, place in enumerate(each.best_first)} for each in (self, other)]
        last = max(map(len, ranks))
        signs = [
            [rank.get(left, last) - rank.get(right, last) for rank in ranks]
            for left, right in combinations(sorted(ranks[0].keys() | ranks[1].keys()), 2)
        ]
        ordered = [(first, second) for first, second in signs if first and second]
        return sum(first * second < 0 for first, second in ordered) / len(ordered) if ordered else 0.0

    def agrees(self, expected: Self) -> bool:
        """Whether the same output stands first."""
        return self.first == expected.first

    def brief(self, name: Callable[[int], str]) -> str:
        return " > ".join(map(name, self.best_first))

    def sentence(self, name: Callable[[int], str]) -> str:
        return "best first: " + ", ".join(map(name, self.best_first))

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """Return each two neighbours, and the last one named with each of `count` that is not."""
        return [*pairwise(self.best_first), *((self.best_first[-1], place) for place in self._unnamed(count))]

    def all_pairs(self, count: int) -> list[tuple[int, int]]:
        """Return every pair (better, worse) of `count` places that the ranking orders."""
        unnamed = self._unnamed(count)
        return [*combinations(self.best_first, 2), *((named, place) for named in self.best_first for place in unnamed)]

    def _unnamed(self, count: int) -> list[int]:
        return [place for place in range(count) if place not in self.best_first]
