"""The trees of a run and what stands in them so far: who proposed what, how it was judged, who failed."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.special import expit

from rrm.compose.tree import Judged
from rrm.core.claims import Claims
from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import PromptContext
from rrm.core.task import Source
from rrm.core.values import OVERALL, Composed, Failure, Output, Passage, Prediction, Scored, View
from rrm.pipeline.plan import Done

T = TypeVar("T")


class Tree(NamedTuple):
    """One decomposition of a source's task; `number` counts the trees of a source from 0."""

    source: str
    number: int
    graph: TaskGraph


def check_distinct(train: Iterable[Source], target: Iterable[Source]) -> None:
    """Raise InputError if a training source's text stands in another one, or in a target, under whatever title.

    Texts are compared with white space collapsed; those without a word are not compared.
    """
    titles: dict[str, str] = {}
    for source in train:
        text = " ".join(source.text.split())
        if text and text in titles:
            raise InputError(
                f"the training sources {titles[text]!r} and {source.title!r} have the same text: keep one of them, as"
                " sources must be independent of each other"
            )
        titles[text] = source.title
    for source in target:
        text = " ".join(source.text.split())
        if text and text in titles:
            raise InputError(
                f"the target {source.title!r} has the same text as the training source {titles[text]!r}: keep it on"
                " one side, as a target must not be a training source too"
            )


@dataclass(frozen=True, eq=False)
class Forest:
    """All trees of a run.

    Those of training sources are rated by raters of role train, those of sources held apart by raters of role
    select, and those of targets by nobody, unless a sampler may ask about them (`rrm.pipeline.moves`).
    """

    sources: Mapping[str, Source]
    trees: tuple[Tree, ...]
    targets: frozenset[str]
    apart: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, train: Sequence[Source], target: Sequence[Source], trees: Iterable[Tree], apart: Iterable[str] = ()
    ) -> "Forest":
        """Put trees and sources together; raise InputError where `check_distinct` does."""
        check_distinct(train, target)
        sources = {source.id: source for source in (*train, *target)}
        return cls(sources, tuple(trees), frozenset(source.id for source in target), frozenset(apart))

    @cached_property
    def height(self) -> int:
        """The level of all roots, which is the greatest height of any tree; -1 without trees."""
        return max((len(tree.graph.levels) - 1 for tree in self.trees), default=-1)

    def level_of(self, tree: Tree, node: str) -> int:
        """Return the level at which a node is judged: its height, and the highest for a root whatever its own."""
        return self.height if node == tree.graph.root else tree.graph.height(node)

    def level(self, level: int) -> list[tuple[Tree, str]]:
        """Return the nodes of a level with their trees, tree by tree, in order."""
        return self._levels.get(level, [])

    def is_target(self, tree: Tree) -> bool:
        return tree.source in self.targets

    @cached_property
    def tree_of(self) -> dict[str, Tree]:
        """The tree that each node stands in."""
        return {node: tree for tree in self.trees for node in tree.graph}

    @cached_property
    def _levels(self) -> dict[int, list[tuple[Tree, str]]]:
        levels: dict[int, list[tuple[Tree, str]]] = defaultdict(list)
        for tree in self.trees:
            for node in tree.graph.in_order():
                levels[self.level_of(tree, node)].append((tree, node))
        return dict(levels)


@dataclass(frozen=True, eq=False)
class State:
    """What stands at the nodes: the last that was proposed at each, and how it was judged.

    `prompt_contexts` is what the outputs were made from, the view that raters see among it; `answers` are the outputs
    that stood for a node's answer while its tree grew. `claims`, by output, are those of the roots' outputs and of all
    that they were made from. `predictions` and
    `composed` have a column for each of the node's outputs. `chosen` is the place of the best by its model, `read`
    of the one that the parent reads: the chosen one, or for a fixed share of training nodes a random one, by which
    the effect of choosing is measured (`rrm.evaluate.choosing`).
    """

    prompt_contexts: Mapping[str, PromptContext] = field(default_factory=dict)
    outputs: Mapping[str, tuple[Output, ...]] = field(default_factory=dict)
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    chosen: Mapping[str, int] = field(default_factory=dict)
    read: Mapping[str, int] = field(default_factory=dict)
    composed: Mapping[str, Prediction] = field(default_factory=dict)
    answers: Mapping[str, Output] = field(default_factory=dict)
    claims: Mapping[str, Claims] = field(default_factory=dict, repr=False)
    failures: tuple[Failure, ...] = ()

    def failed(self, results: Mapping[str, Done[Any, Any]]) -> "State":
        """Take in what failed."""
        found = tuple(failure for done in results.values() for failure in done.failures)
        return replace(self, failures=tuple(dict.fromkeys((*self.failures, *found)))) if found else self

    def proposed(
        self, prompt_contexts: Mapping[str, PromptContext], outputs: Mapping[str, tuple[Output, ...]]
    ) -> "State":
        """Take in what was proposed at some nodes; what stood there before, judged or not, gives way."""
        visited = prompt_contexts.keys()
        kept = {node: found for node, found in outputs.items() if found}
        return replace(
            self,
            prompt_contexts={
                **_without(self.prompt_contexts, visited),
                **{node: prompt_contexts[node] for node in kept},
            },
            outputs={**_without(self.outputs, visited), **kept},
            predictions=_without(self.predictions, visited),
            chosen=_without(self.chosen, visited),
            read=_without(self.read, visited),
            composed=_without(self.composed, visited),
        )

    def met(self) -> set[str]:
        """The nodes that can be read, and those that failed, without which a parent goes on."""
        return {*self.read, *self.answers, *(failure.subject for failure in self.failures)}

    def view(self, node: str) -> View:
        return self.prompt_contexts[node].view

    def best(self, node: str) -> Output:
        return self.outputs[node][self.chosen[node]]

    def handed_up(self, node: str) -> Output:
        """The output that the parent reads."""
        return self.outputs[node][self.read[node]]

    def acceptance(self, node: str) -> np.ndarray:
        """Return the mean probability that a rater accepts each of a node's outputs, [k]."""
        return np.asarray(self.predictions[node].acceptance[OVERALL].mean(axis=0))

    def judged(self, graph: TaskGraph) -> dict[str, Judged]:
        """Return the judged nodes of a tree, as composers take them."""
        return {
            node: Judged(self.outputs[node], self.predictions[node], self.read[node])
            for node in graph
            if node in self.read
        }


class EarlierOutputs(NamedTuple):
    """The latest outputs of a chain, oldest first: their texts and ids, and how many tokens stand before each in it.

    `end` is how many tokens the whole chain has, what was dropped of its beginning included.
    """

    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    end: int = 0

    def followed_by(self, output: Output, tokens: int) -> "EarlierOutputs":
        """Return them with one more."""
        end = self.end + tokens
        return EarlierOutputs((*self.texts, output.text), (*self.ids, output.id), (*self.starts, self.end), end)

    def latest(self, limit: int) -> "EarlierOutputs":
        """Return as many of the latest as fit in `limit` tokens together."""
        first = bisect_left(self.starts, self.end - limit)
        return EarlierOutputs(self.texts[first:], self.ids[first:], self.starts[first:], self.end)


NONE_EARLIER = EarlierOutputs()


def prompt_context_at(
    forest: Forest,
    tree: Tree,
    node: str,
    state: State,
    earlier: EarlierOutputs = NONE_EARLIER,
    place: Place = Place(),  # noqa: B008
    shown: bool = False,
) -> PromptContext:
    """Return what is worked on and shown at a node, after `earlier` outputs, those of earlier siblings.

    A policy reads these; `shown` says whether raters, and the models that learn from them, do so, too.

    A leaf shows its piece of the source, or without one its instruction alone; a node with parts what they say,
    and its own piece where its task `sees_source`; earlier answers that it reads stand as they were when it was
    made from them. Parts that failed are not shown. Evidence scores are rounded to two digits, as people see them.
    """
    graph = tree.graph
    task = graph.task(node)
    own = own_piece(graph, node, forest.sources[tree.source])
    passages = [] if own is None else [Passage(own)]
    for read in graph.reads(node):  # as it stood when this node was made from it
        if read in state.answers:
            passages.append(Passage(state.answers[read].text, read, state.answers[read].id))
    for part in graph.children(node):
        if part in state.read:
            output, accepted = state.handed_up(part), float(state.acceptance(part)[state.read[part]])
            passages.append(Passage(output.text, part, output.id, round(accepted, 2)))
        elif part in state.answers:
            passages.append(Passage(state.answers[part].text, part, state.answers[part].id))
    before = "\n\n".join(earlier.texts)
    view = View(task.instruction, tuple(passages), task.max_tokens, before if shown else "")
    inputs = tuple(passage.output for passage in passages if passage.output is not None)
    return PromptContext(node, task, view, inputs, earlier.ids, place, "" if shown else before)


def own_piece(graph: TaskGraph, node: str, source: Source) -> str | None:
    """Return the piece of its source that a node shows, None where it shows none or a blank one."""
    task = graph.task(node)
    if task.span is None or not (task.sees_source or not graph.children(node)):
        return None
    return text if (text := source.read(task.span)).strip() else None


def predictions(results: Iterable[tuple[tuple[Output, ...], Iterable[Scored]]]) -> list[Prediction]:
    """Return the predictions about nodes' outputs, put together from the scores on record."""
    found = []
    for outputs, scores in results:
        by_criterion: dict[str, dict[str, Scored]] = defaultdict(dict)
        for score in scores:
            by_criterion[score.criterion][score.output] = score
        found.append(
            Prediction(
                {name: np.array([by[o.id].rewards for o in outputs]).T for name, by in by_criterion.items()},
                {name: np.array([by[o.id].acceptance for o in outputs]).T for name, by in by_criterion.items()},
            )
        )
    return found


def composed_predictions(outputs: tuple[Output, ...], scores: Iterable[Composed]) -> Prediction:
    """Return the composed scores of a node's outputs, put together from those on record."""
    by_criterion: dict[str, dict[str, Composed]] = defaultdict(dict)
    for score in scores:
        by_criterion[score.criterion][score.output] = score
    acceptance = {name: np.array([by[o.id].acceptance for o in outputs]).T for name, by in by_criterion.items()}
    edged = {name: np.clip(p, 1e-6, 1 - 1e-6) for name, p in acceptance.items()}
    return Prediction({name: np.log(p / (1 - p)) for name, p in edged.items()}, acceptance)


def by_source(trees: Iterable[Tree]) -> dict[str, list[Tree]]:
    grouped: dict[str, list[Tree]] = defaultdict(list)
    for tree in trees:
        grouped[tree.source].append(tree)
    return dict(grouped)


def _without(values: Mapping[str, T], nodes: Iterable[str]) -> dict[str, T]:
    gone = set(nodes)
    return {node: value for node, value in values.items() if node not in gone}


def compose_unanchored(state: State, trees: Sequence[Tree]) -> State:
    """Return the state with root scores that share one scale, for rewards without a zero.

    A root output's are those of being preferred to another root output of the source, over all of its trees.
    """
    roots = [tree.graph.root for tree in trees if tree.graph.root in state.predictions]
    rewards = [state.predictions[root].rewards[OVERALL] for root in roots]
    if sum(each.shape[1] for each in rewards) < 2:
        return state
    joined = np.concatenate(rewards, axis=1)  # [members, outputs]
    wins = expit(joined[:, :, None] - joined[:, None, :]).sum(axis=2) - 0.5  # without itself
    shares = np.split(wins / (joined.shape[1] - 1), np.cumsum([each.shape[1] for each in rewards])[:-1], axis=1)
    among = {
        root: Prediction.overall(state.predictions[root].rewards[OVERALL], share)
        for root, share in zip(roots, shares, strict=True)
    }
    return replace(state, predictions={**state.predictions, **among})
