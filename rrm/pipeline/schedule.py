"""The schedule of a run as data: which levels of which nodes each round visits, and what it learns from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rrm.core.errors import ConfigError
from rrm.core.graph import TaskGraph
from rrm.core.ids import seed_for
from rrm.core.protocols import NodeSampler
from rrm.feedback.sample import UniformNodes
from rrm.pipeline.forest import Forest, Tree

ROOT: Literal["root"] = "root"
Level = int | Literal["root"]


@dataclass(frozen=True)
class Round:
    """One round: `levels` that are visited (None: all), training nodes as `nodes` draws them, and what follows.

    A round visits every training node of its levels that the sampler may draw, with all that lies below them,
    and asks about them in the sampler's order. A node is passed over while no round has visited all of its parts.
    `targets` says whether target trees are visited too, `improve` whether policies are improved at its end.
    """

    levels: tuple[Level, ...] | None = None
    nodes: NodeSampler = field(default_factory=UniformNodes)
    targets: bool = True
    improve: bool = True

    @property
    def whole(self) -> bool:
        """Whether every level of every tree is visited."""
        return self.levels is None and self.targets

    def levels_of(self, forest: Forest) -> list[int]:
        """Return the visited levels of the trees there are, lowest first."""
        if self.levels is None:
            return list(range(forest.height + 1))
        numbers = {forest.height if level == ROOT else level for level in self.levels}
        return sorted(level for level in numbers if level <= forest.height)

    def order(self, forest: Forest, number: int, seed: int) -> list[str]:
        """Return the training nodes to ask about, first those to ask first."""
        trees = [tree for tree in forest.trees if not forest.is_target(tree)]
        targets = [tree.graph for tree in forest.trees if forest.is_target(tree)]
        if not trees:
            return []
        drawn = self.nodes.order([tree.graph for tree in trees], targets, seed_for(seed, "round", number))
        return [each.node for each in drawn]

    def visited(self, forest: Forest, level: int, order: Sequence[str]) -> list[tuple[Tree, str]]:
        """Return the nodes of a level that the round visits."""
        inside = _with_parts(forest, order)
        return [
            (tree, node)
            for tree, node in forest.level(level)
            if (self.targets if forest.is_target(tree) else node in inside)
        ]


def check_rounds(rounds: Sequence[Round]) -> None:
    """Raise ConfigError for a schedule that visits a level before those below it, or never ends with all of them."""
    if not rounds:
        raise ConfigError("a schedule has one round or more")
    seen: set[Level] = set()
    for number, each in enumerate(rounds, 1):
        if each.levels is None:
            seen.update(range(64))
            continue
        if not each.levels:
            raise ConfigError(f"round {number} visits no level: name some, or leave `levels` out to visit all")
        for level in sorted(each.levels, key=lambda at: 64 if at == ROOT else int(at)):
            if level != ROOT and int(level) < 0:
                raise ConfigError(f'round {number}: levels count from 0 (leaves) up, or are "root", got {level}')
            missing = level != ROOT and int(level) > 0 and int(level) - 1 not in seen
            if missing:
                raise ConfigError(f"round {number} visits level {level} before level {int(level) - 1} was ever visited")
            seen.add(level)
    if not rounds[-1].whole:
        raise ConfigError("the last round visits all levels and the targets: end the schedule with a round {}")


def _with_parts(forest: Forest, nodes: Sequence[str]) -> set[str]:
    inside = set(nodes)
    waiting = list(inside)
    while waiting:
        node = waiting.pop()
        graph: TaskGraph = forest.tree_of[node].graph
        below = [part for part in graph.needs(node) if part not in inside]
        inside.update(below)
        waiting.extend(below)
    return inside
