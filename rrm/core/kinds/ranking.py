"""Rankings: the outputs from the best down, all of them or only the best ones, some of them level with each other."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, pairwise, permutations, product
from math import factorial, prod
from typing import Any, ClassVar, Self

from rrm.core.errors import InputError
from rrm.core.kinds.answer import Answer, Metric
from rrm.core.kinds.parts import is_places, part

MOST_ORDERS = 720
"""Orders that the ties of one ranking leave open at most: those of six outputs that are all level."""


@dataclass(frozen=True)
class Ranking(Answer):
    """Positions as shown, best first; a partial ranking names only the best ones.

    Each of `tied` is level with the one that stands before it in `best_first`.
    """

    kind: ClassVar[str] = "ranking"
    shows: ClassVar[tuple[int, int]] = (2, 6)
    metrics: ClassVar[tuple[Metric, ...]] = ("nominal",)
    best_first: tuple[int, ...] = field(
        metadata=part(lambda value: is_places(value) and bool(value), "a list of places from 0")
    )
    tied: tuple[int, ...] = field(default=(), metadata=part(is_places, "a list of places from 0"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_places([*self.best_first, *self.tied]) or not self.best_first:
            raise InputError(
                f"a ranking names one place or more, whole numbers from 0, got {self.best_first} and tied {self.tied}"
            )
        if len(set(self.best_first)) != len(self.best_first) or min(self.best_first, default=0) < 0:
            raise InputError(f"a ranking names different positions from 0 up, got {self.best_first}")
        if len(set(self.tied)) != len(self.tied) or not set(self.tied) <= set(self.best_first[1:]):
            raise InputError(
                f"what is tied in a ranking is level with the one before it: some of {self.best_first[1:]}, "
                f"each once, got {self.tied}"
            )
        if len(self.tied) >= 6 and prod(factorial(len(group)) for group in self.groups) > MOST_ORDERS:
            raise InputError(f"a ranking's ties leave {MOST_ORDERS} orders open at most, those of {self.tied} more")

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The positions best first, those that are level together."""
        groups: list[tuple[int, ...]] = []
        for place in self.best_first:
            if place in self.tied:
                groups[-1] = (*groups[-1], place)
            else:
                groups.append((place,))
        return tuple(groups)

    @property
    def ranks(self) -> dict[int, int]:
        """The rank of each position that is named, from 0; those that are level have one rank."""
        return {place: rank for rank, group in enumerate(self.groups) for place in group}

    def orders(self) -> list[tuple[int, ...]]:
        """Return all strict orders that agree with the ranking: one, unless some are level."""
        return [tuple(chain(*each)) for each in product(*(permutations(group) for group in self.groups))]

    def check(self, texts: Sequence[str], points: int | None = None) -> None:
        if not self.best_first or max(self.best_first) >= len(texts):
            raise InputError(f"a ranking names some of the {len(texts)} places, from 0 up, got {self.best_first}")

    def permuted(self, order: Sequence[int]) -> Self:
        best_first, tied = (tuple(order[place] for place in places) for places in (self.best_first, self.tied))
        return replace(self, best_first=best_first, tied=tied)

    @property
    def first(self) -> int | None:
        groups = self.groups
        return groups[0][0] if groups and len(groups[0]) == 1 else None

    def coding(self, detail: Mapping[str, Any]) -> Hashable | None:
        """Return what stands first, all that are level there; the rest is not compared."""
        groups = self.groups
        if not groups:
            return None
        return groups[0][0] if len(groups[0]) == 1 else tuple(sorted(groups[0]))

    def difference(self, other: Self) -> float:
        """Return the share of pairs in the opposite order, of all pairs that both rankings order.

        Who stands in a ranking comes before who does not (Kendall's tau distance, 1938, doi:10.1093/biomet/30.1-2.81).
        """
        ranks = [each.ranks for each in (self, other)]
        last = max(map(len, ranks))
        signs = [
            [rank.get(left, last) - rank.get(right, last) for rank in ranks]
            for left, right in combinations(sorted(ranks[0].keys() | ranks[1].keys()), 2)
        ]
        ordered = [(first, second) for first, second in signs if first and second]
        return sum(first * second < 0 for first, second in ordered) / len(ordered) if ordered else 0.0

    def agrees(self, expected: Self) -> bool:
        """Whether the same stand first."""
        return self.coding({}) == expected.coding({})

    def brief(self, name: Callable[[int], str]) -> str:
        return " > ".join(self._level(name))

    def sentence(self, name: Callable[[int], str]) -> str:
        return "best first: " + ", ".join(self._level(name))

    def decides(self, count: int) -> bool:
        return bool(self.pairs(count))

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """Return each two neighbours that are not level, and the last ones named with each of `count` that is not."""
        return [pair for better, worse in self._neighbours(count) for pair in product(better, worse)]

    def all_pairs(self, count: int) -> list[tuple[int, int]]:
        """Return every pair (better, worse) of `count` places that the ranking orders."""
        groups = (*self.groups, self._unnamed(count))
        return [pair for better, worse in combinations(groups, 2) for pair in product(better, worse)]

    def _level(self, name: Callable[[int], str]) -> Iterable[str]:
        return (" = ".join(map(name, group)) for group in self.groups)

    def _neighbours(self, count: int) -> Iterable[tuple[tuple[int, ...], tuple[int, ...]]]:
        groups = (*self.groups, self._unnamed(count))
        return pairwise(groups)

    def _unnamed(self, count: int) -> tuple[int, ...]:
        return tuple(place for place in range(count) if place not in self.best_first)
