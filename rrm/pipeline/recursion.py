"""Recursive reward modelling, level by level from below: the whole method on one page.

`recursion` does no work itself. It yields stages (what is to be done) and is sent back their
results (what came of it), so that a driver can do the work anywhere, record it, and start again
after a crash simply by running the generator over the record.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rrm.core.graph import TaskGraph
from rrm.core.ids import generator
from rrm.core.task import Source
from rrm.core.values import Failure, Feedback, Fitted, Output, Rated, Request, View
from rrm.feedback.select import select
from rrm.pipeline import stages
from rrm.pipeline.forest import Forest, Standing, Tree, view_at
from rrm.pipeline.plan import Stage

Results = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Recursion:
    """What a run is about and how it is done; the strings name the parts that do the work.

    `given` are ratings recorded elsewhere, with their level or "root", the highest one; `models` are
    level models fitted earlier, with which nothing is rated or fitted. `ratings` says how many
    questions of each kind are put about a training node's outputs.
    """

    train: tuple[tuple[Source, int], ...]  # sources and how many trees each gets
    target: tuple[tuple[Source, int], ...]
    decomposer: str
    policy: str
    rater: str
    reward: str
    count: Callable[[str], int] = field(repr=False)
    seed: int = 0
    outputs: int = 4
    root_outputs: int = 8
    ratings: Mapping[str, int] = field(default_factory=lambda: {"comparison": 3, "label": 2})
    root_ratings: Mapping[str, int] | None = None  # None: like any other node
    random_share: float = 0.1
    given: Sequence[tuple[int | str, Sequence[Rated]]] = field(default=(), repr=False)
    models: Sequence[Fitted] = ()

    def n(self, tree: Tree, node: str) -> int:
        """How many outputs are proposed at a node."""
        return self.root_outputs if node == tree.graph.root else self.outputs

    def wanted(self, tree: Tree, node: str) -> Mapping[str, int]:
        """How many questions of each kind are put about a node's outputs."""
        return self.ratings if self.root_ratings is None or node != tree.graph.root else self.root_ratings

    def given_at(self, level: int, height: int) -> list[Rated]:
        """The ratings recorded elsewhere that are about a level of trees of this height."""
        here = [rated for at, rated in self.given if (height if at == "root" else at) == level]
        return [replace(each, request=replace(each.request, level=level)) for rated in here for each in rated]


@dataclass(frozen=True, eq=False)
class Level:
    """What was rated at one level, and the model that was fitted to it."""

    level: int
    rated: tuple[Rated, ...]
    model: Fitted


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a run ends: the trees, what stands in them, and the levels' models."""

    forest: Forest
    standing: Standing
    levels: tuple[Level, ...]


def recursion(run: Recursion) -> Generator[Stage, Results, Outcome]:
    """Run every level, leaves first; each level's outputs and scores are the next one's evidence."""
    split = yield stages.decompose((*run.train, *run.target), run.decomposer, run.seed)
    forest, standing = planted(run, split)
    levels: list[Level] = []
    for level in range(forest.height + 1):
        proposed = yield stages.propose(forest, level, standing, run.policy, run.n, run.seed, run.count)
        standing = standing.with_outputs(proposed, views(forest, level, standing, proposed))
        asked = questions(run, forest, level, standing)
        answers = (yield stages.rate(level, asked, run.rater, run.seed)) if asked else {}
        standing = standing.with_scores({key: value for key, value in answers.items() if failed(value)})
        rated = [*run.given_at(level, forest.height), *joined(asked, answers)]
        model = yield from fitted(run, level, rated, levels)
        scored = yield stages.score(level, forest, standing, model)
        standing = chosen(run, forest, level, standing.with_scores(scored))
        levels.append(Level(level, tuple(rated), model))
    return Outcome(forest, standing, tuple(levels))


def planted(run: Recursion, split: Results) -> tuple[Forest, Standing]:
    """Return the forest that the decompositions make; a source that could not be split is a failure on record."""
    trees = [
        Tree(slot.partition("/")[0], int(slot.partition("/")[2]), value)
        for slot, values in split.items()
        for value in values
        if isinstance(value, TaskGraph)
    ]
    forest = Forest.of([source for source, _ in run.train], [source for source, _ in run.target], trees)
    return forest, Standing().with_outputs({key: value for key, value in split.items() if failed(value)}, {})


def views(forest: Forest, level: int, standing: Standing, proposed: Results) -> dict[str, View]:
    """Return what a rater is shown beside each node's outputs: the same that the policy worked on."""
    said = {value.id: value.text for values in proposed.values() for value in values if isinstance(value, Output)}
    shown = {}
    for tree, node in forest.level(level):
        first = next((value for value in proposed.get(node, ()) if isinstance(value, Output)), None)
        if first is not None:
            context = "\n\n".join(said[earlier] for earlier in first.context)
            shown[node] = view_at(forest, tree, node, standing, context)
    return shown


def questions(run: Recursion, forest: Forest, level: int, standing: Standing) -> list[Request]:
    """Return what raters are asked about a level's outputs on training sources."""
    if run.models:
        return []
    nodes = [(tree, node) for tree, node in forest.level(level) if not forest.is_target(tree)]
    return [
        request
        for tree, node in nodes
        if node in standing.outputs
        for request in select(
            node, tree.source, level, standing.views[node], standing.outputs[node], run.wanted(tree, node), run.seed
        )
    ]


def joined(asked: Sequence[Request], answers: Results) -> list[Rated]:
    """Pair each feedback with the request that its rater saw; failed ones are left to the record.

    That is the request recorded before it (another order of the outputs, other guidelines), else the one asked.
    """
    rated = []
    for request in asked:
        seen = request
        for value in answers.get(request.id, ()):
            if isinstance(value, Request):
                seen = value
            elif isinstance(value, Feedback):
                rated.append(Rated(seen, value))
    return rated


def fitted(
    run: Recursion, level: int, rated: Sequence[Rated], below: Sequence[Level]
) -> Generator[Stage, Results, Fitted]:
    """Fit the level's model, or take the one fitted earlier; above the highest one, that one again."""
    if run.models:
        return run.models[min(level, len(run.models) - 1)]
    results = yield stages.fit(level, rated, below[-1].model if below else None, run.reward, run.seed)
    model: Fitted = next(iter(results.values()))[0]
    return model


def chosen(run: Recursion, forest: Forest, level: int, standing: Standing) -> Standing:
    """Choose each node's best output; parents read it, or now and then on training sources a random one."""
    best: dict[str, Output] = {}
    read: dict[str, Output] = {}
    for tree, node in forest.level(level):
        scored = [output for output in standing.outputs.get(node, ()) if output.id in standing.scores]
        if scored:
            best[node] = max(scored, key=lambda output: (standing.mean_acceptance(output) or 0.0, output.id))
            random = generator("read", run.seed, node)
            at_random = not forest.is_target(tree) and random.random() < run.random_share
            read[node] = scored[int(random.integers(len(scored)))] if at_random else best[node]
    return replace(standing, chosen={**standing.chosen, **best}, read={**standing.read, **read})


def failed(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, Failure) for value in values)
