"""At which nodes questions are put: samplers over training trees, those of the published book procedure first.

Wu et al. (2021), arXiv:2109.10862: first leaves, then the first subtree, then the full tree, where
labels are about a random depth and a random node at it. Every sampler goes through all nodes that
are equally likely before it returns to any of them, which changes no node's probability and leaves
none out by chance. More draws with the same seed continue an order.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, zip_longest

import numpy as np

from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import TaskGraph
from rrm.core.ids import generator
from rrm.core.protocols import DrawnNode


@dataclass(frozen=True)
class FirstLeaves:
    """The first leaves of each tree, in order, the trees by turns: the published first phase.

    `leaves` is how many of each tree; None is all leaves of the tree's first node of height 1, as published.
    """

    leaves: int | None = None

    def __post_init__(self) -> None:
        if self.leaves is not None and self.leaves < 1:
            raise ConfigError(f"first leaves: `leaves` must be 1 or more, got {self.leaves}")

    @property
    def name(self) -> str:
        return f"first-leaves:{self.leaves or 'subtree'}"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        chosen = [
            [node for node in _subtree(tree, 1) if tree.height(node) == 0]
            if self.leaves is None
            else list(tree.leaves[: self.leaves])
            for tree in trees
        ]
        return _by_turns(chosen, generator(self.name, seed), draws)


@dataclass(frozen=True)
class FirstSubtree:
    """Each tree's first node of a height and all nodes below it, parts first, the trees by turns.

    With `height` 1 the published second phase: the first leaves and the composition of their outputs. A
    tree that is lower is taken whole.
    """

    height: int = 1

    def __post_init__(self) -> None:
        if self.height < 0:
            raise ConfigError(f"first subtree: `height` must be 0 or more, got {self.height}")

    @property
    def name(self) -> str:
        return f"first-subtree:{self.height}"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        return _by_turns([_subtree(tree, self.height) for tree in trees], generator(self.name, seed), draws)


@dataclass(frozen=True)
class UniformDepths:
    """A random depth, then a random node at it, over all trees: the labels of the published full-tree phase.

    Depth is the distance from the root, so the few nodes near the roots are drawn often, and leaves,
    which are most nodes, seldom.
    """

    @property
    def name(self) -> str:
        return "uniform-depths"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        at = _grouped(trees, TaskGraph.depth)
        return _weighted(at, dict.fromkeys(at, 1.0), generator(self.name, seed), draws)


@dataclass(frozen=True)
class UniformNodes:
    """Every node of every tree equally often, in random order."""

    @property
    def name(self) -> str:
        return "uniform-nodes"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        at = _grouped(trees, lambda tree, node: 0)
        return _weighted(at, dict.fromkeys(at, 1.0), generator(self.name, seed), draws)


@dataclass(frozen=True)
class Matched:
    """A level as often as target trees have nodes of it, then a random training node of that level.

    Levels that no training tree has are left out. `order` raises InputError if the training trees have
    none of the targets' levels.
    """

    @property
    def name(self) -> str:
        return "matched"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        at = _grouped(trees, TaskGraph.height)
        weights = Counter(tree.height(node) for tree in targets for node in tree)
        shared = {level: float(weights[level]) for level in at if weights[level]}
        if trees and not shared:
            raise InputError("matched sampling draws levels as target trees have them: there are no target trees")
        return _weighted(at, shared, generator(self.name, seed), draws)


def draws_by_level(order: Sequence[DrawnNode], trees: Sequence[TaskGraph]) -> dict[int, int]:
    """Return how many draws of an order fall on each level (height), lowest first."""
    counts = Counter(trees[tree].height(node) for tree, node in order)
    return dict(sorted(counts.items()))


def _subtree(tree: TaskGraph, height: int) -> list[str]:
    """Return the first node of a height (the root of a lower tree) and all below it, leaves first, levels in order."""
    top = tree.levels[height][0] if height < len(tree.levels) else tree.root
    inside, waiting = {top}, [top]
    while waiting:
        below = [part for part in tree.children(waiting.pop()) if part not in inside]
        inside.update(below)
        waiting.extend(below)
    return [node for level in tree.levels for node in level if node in inside]


def _by_turns(chosen: Sequence[Sequence[str]], random: np.random.Generator, draws: int | None) -> list[DrawnNode]:
    """Return the first node of every tree, then every second, and so on, trees in random order; then all again."""
    trees = random.permutation(len(chosen)).tolist()
    rows = zip_longest(*([DrawnNode(tree, node) for node in chosen[tree]] for tree in trees))
    once = [drawn for row in rows for drawn in row if drawn is not None]
    return list(islice(cycle(once), _count(draws, len(once))))


def _weighted(
    at: Mapping[int, Sequence[DrawnNode]], weights: Mapping[int, float], random: np.random.Generator, draws: int | None
) -> list[DrawnNode]:
    """Draw a group by weight, then the next of its nodes in random order, each once before any is drawn again."""
    if not weights:
        return []
    groups = sorted(weights)
    total = sum(weights.values())
    count = _count(draws, sum(len(at[group]) for group in groups))
    decks = {group: _deck(at[group], own) for group, own in zip(groups, random.spawn(len(groups)), strict=True)}
    picks = random.choice(len(groups), size=count, p=[weights[group] / total for group in groups])
    return [next(decks[groups[int(pick)]]) for pick in picks]


def _deck(nodes: Sequence[DrawnNode], random: np.random.Generator) -> Iterator[DrawnNode]:
    while True:
        yield from (nodes[int(place)] for place in random.permutation(len(nodes)))


def _grouped(trees: Sequence[TaskGraph], of: Callable[[TaskGraph, str], int]) -> dict[int, list[DrawnNode]]:
    groups: dict[int, list[DrawnNode]] = defaultdict(list)
    for number, tree in enumerate(trees):
        for node in tree.in_order():
            groups[of(tree, node)].append(DrawnNode(number, node))
    return dict(groups)


def _count(draws: int | None, nodes: int) -> int:
    if draws is not None and draws < 0:
        raise ConfigError(f"draws must be 0 or more, got {draws}")
    return nodes if draws is None else draws
