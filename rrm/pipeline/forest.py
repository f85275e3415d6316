"""The trees of a run and what stands in them so far: who proposed what, who was chosen, who failed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.task import Source, Task
from rrm.core.values import Failure, Output, Passage, Scored, View


class Tree(NamedTuple):
    """One decomposition of a source's task; `number` counts the trees of a source from 0."""

    source: str
    number: int
    graph: TaskGraph


@dataclass(frozen=True, eq=False)
class Forest:
    """All trees of a run: of training sources, which are rated, and of targets, which are not."""

    sources: Mapping[str, Source]
    trees: tuple[Tree, ...]
    targets: frozenset[str]

    @classmethod
    def of(cls, train: Sequence[Source], target: Sequence[Source], trees: Iterable[Tree]) -> "Forest":
        """Put trees and sources together; raise InputError if a source is both trained on and a target."""
        both = {source.id for source in train} & {source.id for source in target}
        if both:
            titles = ", ".join(source.title for source in target if source.id in both)
            raise InputError(f"{titles}: a target source must not be a training source too")
        sources = {source.id: source for source in (*train, *target)}
        return cls(sources, tuple(trees), frozenset(source.id for source in target))

    @property
    def height(self) -> int:
        """The highest level of any tree; -1 without trees."""
        return max((len(tree.graph.levels) - 1 for tree in self.trees), default=-1)

    def level(self, level: int) -> list[tuple[Tree, str]]:
        """Return the nodes of a level with their trees, tree by tree, in order."""
        return [(tree, node) for tree in self.trees for node in _level(tree.graph, level)]

    def is_target(self, tree: Tree) -> bool:
        return tree.source in self.targets

    @cached_property
    def tree_of(self) -> dict[str, Tree]:
        """The tree that each node stands in."""
        return {node: tree for tree in self.trees for node in tree.graph}


@dataclass(frozen=True, eq=False)
class Standing:
    """What the levels judged so far hand up to the next.

    `chosen` is each node's best output by its level's model, `read` the one that the parent reads:
    the chosen one, or for a fixed share of training nodes a random one, so that the effect of
    choosing can be measured. `scores` are by output id.
    """

    outputs: Mapping[str, tuple[Output, ...]] = field(default_factory=dict)
    scores: Mapping[str, Scored] = field(default_factory=dict)
    chosen: Mapping[str, Output] = field(default_factory=dict)
    read: Mapping[str, Output] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    def with_outputs(
        self, results: Mapping[str, tuple[Output | Failure, ...]], views: Mapping[str, View]
    ) -> "Standing":
        """Take in what was proposed at some nodes, failures included."""
        outputs = {node: tuple(o for o in values if isinstance(o, Output)) for node, values in results.items()}
        return replace(
            self,
            outputs={**self.outputs, **{node: found for node, found in outputs.items() if found}},
            views={**self.views, **views},
            failures=(*self.failures, *failures_in(results)),
        )

    def with_scores(self, results: Mapping[str, tuple[Scored | Failure, ...]]) -> "Standing":
        """Take in the scores of some nodes' outputs."""
        scored = {each.output: each for values in results.values() for each in values if isinstance(each, Scored)}
        return replace(self, scores={**self.scores, **scored}, failures=(*self.failures, *failures_in(results)))

    def acceptance(self, output: Output) -> np.ndarray | None:
        """Return the probabilities, [members], that a rater accepts an output; None if it was not scored."""
        scored = self.scores.get(output.id)
        return None if scored is None else np.asarray(scored.acceptance)

    def mean_acceptance(self, output: Output) -> float | None:
        samples = self.acceptance(output)
        return None if samples is None else float(samples.mean())


def view_at(forest: Forest, tree: Tree, node: str, standing: Standing, context: str = "") -> View:
    """Return what is shown at a node: its piece of the source, or what its parts' outputs say.

    A part that failed is not shown. Evidence scores are rounded to two digits, as people see them.
    """
    task = tree.graph.task(node)
    parts = tree.graph.children(node)
    if not parts:
        text = _source_text(forest, tree, task)
        return View(task.instruction, (Passage(text),) if text.strip() else (), task.max_tokens, context)
    read = [(part, standing.read[part]) for part in parts if part in standing.read]
    passages = tuple(Passage(output.text, part, output.id, _rounded(standing, output)) for part, output in read)
    return View(task.instruction, passages, task.max_tokens, context)


def failures_in(results: Mapping[str, tuple[object, ...]]) -> list[Failure]:
    return [value for values in results.values() for value in values if isinstance(value, Failure)]


def coverage(graph: TaskGraph, nodes: Sequence[str]) -> np.ndarray:
    """Return the share of the source that each node covers, [nodes], summing to one; equal without spans."""
    spans = [graph.task(node).span for node in nodes]
    sizes = [1 if span is None else max(1, span.end - span.start) for span in spans]
    return np.array(sizes, dtype=np.float64) / sum(sizes)


def by_source(trees: Iterable[Tree]) -> dict[str, list[Tree]]:
    grouped: dict[str, list[Tree]] = defaultdict(list)
    for tree in trees:
        grouped[tree.source].append(tree)
    return dict(grouped)


def _level(graph: TaskGraph, level: int) -> tuple[str, ...]:
    return graph.levels[level] if level < len(graph.levels) else ()


def _source_text(forest: Forest, tree: Tree, task: Task) -> str:
    return "" if task.span is None else forest.sources[tree.source].read(task.span)


def _rounded(standing: Standing, output: Output) -> float | None:
    mean = standing.mean_acceptance(output)
    return None if mean is None else round(mean, 2)
