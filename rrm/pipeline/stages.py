"""The stages of a run as plain values: which actions there are, and what each one needs to know.

A stage's actions are carried out elsewhere (see `rrm.pipeline.driver`). The id of an action covers
everything that can change its result, so a recorded result is never asked for again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Material
from rrm.core.task import Source
from rrm.core.values import Fitted, Group, Output, Rated, Request, View
from rrm.pipeline.forest import Forest, Standing, Tree, view_at
from rrm.pipeline.plan import Action, Stage


@dataclass(frozen=True, eq=False)
class DecomposeJob:
    source: Source
    seed: int


@dataclass(frozen=True, eq=False)
class ProposeJob:
    material: Material
    n: int
    seed: int


@dataclass(frozen=True, eq=False)
class FitJob:
    """Fit one level's model on `rated`, starting from the model of the level below."""

    level: int
    rated: tuple[Rated, ...]
    below: Fitted | None
    seed: int


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """Score a node's distinct outputs; `outputs` holds for each text the ids of the outputs that say it."""

    group: Group
    outputs: tuple[tuple[str, ...], ...]
    model: Fitted


def decompose(sources: Sequence[tuple[Source, int]], decomposer: str, seed: int) -> Stage:
    """Split each source as many times as asked, each tree from a seed of its own."""
    jobs = {
        f"{source.id}/{number}": DecomposeJob(source, seed_for(seed, source.id, number))
        for source, trees in sources
        for number in range(trees)
    }

    def make(slot: str, _: Mapping[str, tuple[Any, ...]]) -> Action:
        job = jobs[slot]
        return _action("decompose", slot, 0, job, job.source.id, job.seed, decomposer)

    return Stage("decompose", 0, tuple(jobs), make)


def propose(
    forest: Forest,
    level: int,
    standing: Standing,
    policy: str,
    n: Callable[[Tree, str], int],
    seed: int,
    count: Callable[[str], int],
) -> Stage:
    """Propose outputs at every node of a level; `n` says how many, `count` counts tokens.

    A node reads, as previous context, the first outputs of the nodes before it, as many as fit its
    task's `context_tokens`, the oldest dropped first.
    """
    nodes = {node: tree for tree, node in forest.level(level)}
    earlier = {node: tree.graph.before(node) for node, tree in nodes.items()}
    first: dict[str, Output | None] = {}  # of every node that a later one was told of

    def make(node: str, results: Mapping[str, tuple[Any, ...]]) -> Action:
        tree = nodes[node]
        task = tree.graph.task(node)
        for before, values in results.items():
            first[before] = next((value for value in values if isinstance(value, Output)), None)
        told = _context(tree, node, task.context_tokens, first, count)
        view = view_at(forest, tree, node, standing, "\n\n".join(output.text for output in told))
        inputs = tuple(passage.output for passage in view.passages if passage.output)
        material = Material(node, task, view, inputs, tuple(output.id for output in told))
        job = ProposeJob(material, n(tree, node), seed_for(seed, node))
        return _action("propose", node, level, job, policy, view.id, material.inputs, material.context, job.n, job.seed)

    after = {node: (before,) for node, before in earlier.items() if before is not None}
    return Stage("propose", level, tuple(nodes), make, after)


def rate(level: int, requests: Sequence[Request], rater: str, seed: int) -> Stage:
    """Put every request to a rater; a payload is the request itself, which people find in the record."""
    asked = {request.id: request for request in requests}

    def make(slot: str, _: Mapping[str, tuple[Any, ...]]) -> Action:
        return _action("rate", slot, level, asked[slot], rater, seed)

    return Stage("rate", level, tuple(asked), make)


def fit(level: int, rated: Sequence[Rated], below: Fitted | None, config: str, seed: int) -> Stage:
    """Fit the level's reward model; `config` names the encoder and every setting of the fit."""
    job = FitJob(level, tuple(rated), below, seed)
    answers = [each.feedback.id for each in rated]

    def make(slot: str, _: Mapping[str, tuple[Any, ...]]) -> Action:
        return _action("fit", slot, level, job, answers, below.digest if below else None, config, seed)

    return Stage("fit", level, (f"level-{level}",), make)


def score(level: int, forest: Forest, standing: Standing, model: Fitted) -> Stage:
    """Score the outputs of every node of a level, each different text once."""
    nodes = {node: tree for tree, node in forest.level(level) if node in standing.outputs}
    return score_nodes(
        "score", level, {n: tree.source for n, tree in nodes.items()}, standing.views, standing.outputs, model
    )


def score_nodes(
    step: str,
    level: int,
    sources: Mapping[str, str],
    views: Mapping[str, View],
    outputs: Mapping[str, Sequence[Output]],
    model: Fitted,
) -> Stage:
    """Score the outputs of the nodes named in `sources`, which gives each node's source."""

    def make(node: str, _: Mapping[str, tuple[Any, ...]]) -> Action:
        said: dict[str, list[str]] = {}
        for output in outputs[node]:
            said.setdefault(output.text, []).append(output.id)
        group = Group(sources[node], level, views[node], tuple(said))
        job = ScoreJob(group, tuple(map(tuple, said.values())), model)
        return _action(step, node, level, job, views[node].id, list(said.items()), model.digest)

    return Stage(step, level, tuple(sources), make)


def _context(
    tree: Tree, node: str, limit: int, first: Mapping[str, Output | None], count: Callable[[str], int]
) -> list[Output]:
    """Return the first outputs of earlier nodes, oldest first, as many of the latest as fit in `limit` tokens."""
    told: list[Output] = []
    at = tree.graph.before(node)
    while at is not None and limit > 0:
        output = first.get(at)
        if output is not None and output.text:
            limit -= count(output.text)
            if limit >= 0:
                told.insert(0, output)
        at = tree.graph.before(at)
    return told


def _action(step: str, slot: str, level: int, job: Any, *determined_by: Any) -> Action:
    return Action(content_id("action", step, slot, level, *determined_by), step, slot, level, job)
