"""Composition along the task graph: every node's outputs scored with what lies below, and what is to blame."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError, PluginError
from rrm.core.graph import Node, TaskGraph
from rrm.core.protocols import Composer, ScoredPart
from rrm.core.task import Task
from rrm.core.values import OVERALL, Output, Prediction


@dataclass(frozen=True)
class Judged:
    """A node's outputs with their own scores; `read` is the place of the one that the parents read."""

    outputs: tuple[Output, ...]
    scores: Prediction
    read: int


class Blame(NamedTuple):
    """How much the root's mean score would rise if a node's own score were 1, and if all below it were, too."""

    own: float
    subtree: float


def compose(graph: TaskGraph, judged: Mapping[str, Judged], composer: Composer) -> dict[str, Prediction]:
    """Return the composed scores of every judged node's outputs, bottom-up.

    A leaf's composed scores are its own. A node that was not judged (it failed) is left out, and its siblings
    share its part of the source; it is never scored zero. Where nodes were scored by different numbers of
    members (a source that was rated at some levels only), members are repeated until all have as many. Raises
    PluginError, naming the composer, for what is no probability or does not fit.
    """
    judged = _alike(judged)
    composed: dict[str, Prediction] = {}
    walk = graph.walk()
    while ready := walk.ready():
        for node in ready:
            if node in judged:
                composed[node] = compose_node(graph, node, judged, composed, composer)
            walk.done(node)
    return composed


def compose_node(
    graph: TaskGraph, node: str, judged: Mapping[str, Judged], composed: Mapping[str, Prediction], composer: Composer
) -> Prediction:
    """Return the composed scores of one node's outputs over what was composed below it."""
    here = judged[node]
    prediction = _checked_compose(composer, graph.node(node), here, scored_parts(graph, node, judged, composed))
    if {name: p.shape for name, p in prediction.acceptance.items()} != {
        name: p.shape for name, p in here.scores.acceptance.items()
    }:
        raise PluginError(f"the composer {composer.name} changed the shape [members, k] or the criteria of the scores")
    return prediction


def scored_parts(
    graph: TaskGraph, node: str, judged: Mapping[str, Judged], composed: Mapping[str, Prediction]
) -> tuple[ScoredPart, ...]:
    """Return the judged parts of a node as a composer is handed them: the output read, and its composed scores."""
    parts = [part for part in graph.children(node) if part in composed]
    sizes = np.array([_size(graph.task(part)) for part in parts], dtype=np.float64)
    shares = sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(parts), 1 / max(1, len(parts)))
    return tuple(
        ScoredPart(
            part,
            judged[part].outputs[judged[part].read],
            float(share),
            {name: p[:, judged[part].read] for name, p in composed[part].acceptance.items()},
        )
        for part, share in zip(parts, shares, strict=True)
    )


def blame(graph: TaskGraph, judged: Mapping[str, Judged], composer: Composer) -> dict[str, Blame]:
    """Return for each judged node how much the root's mean score would rise if it, or all below it, were perfect.

    Exact: the ancestors are composed again, and nothing else. Without a score at the root the result is empty.
    """
    if graph.root not in judged:
        return {}
    read = {node: _read_alone(each) for node, each in _alike(judged).items()}
    composed = compose(graph, read, composer)
    before = _mean(composed[graph.root])
    above = _ancestors(graph)
    result = {}
    for node in read:
        perfect = {node: Judged(read[node].outputs, _perfect(read[node].scores), 0)}
        alone = _root_with(graph, [node, *above[node]], ChainMap(perfect, read), composed, composer)
        whole = {node: _perfect(composed[node])}
        below = _root_with(graph, above[node], read, ChainMap(whole, composed), composer)
        result[node] = Blame(alone - before, below - before)
    return result


def slopes(graph: TaskGraph, judged: Mapping[str, Judged], composer: Composer) -> dict[str, float]:
    """Return by how much the root's mean score rises with each judged node's own, from there to 1.

    Nodes whose own score is 1 already are left out. Without a score at the root the result is empty.
    """
    own = {node: float(here.scores.acceptance[OVERALL][:, here.read].mean()) for node, here in judged.items()}
    blamed = blame(graph, judged, composer)
    return {node: each.own / (1 - own[node]) for node, each in blamed.items() if own[node] < 1 - 1e-9}


def require_anchored(composer: Composer, anchored: bool) -> None:
    """Raise InputError if the composer joins probabilities and the scores are not anchored at every level."""
    if composer.needs_anchor and not anchored:
        name = composer.name.split("(")[0]
        raise InputError(
            f"the composer `{name}` needs probabilities of acceptance, but some level has comparisons alone:"
            " add labels or ratings at every level, or use the composer `mean`"
        )


def check_composer(composer: Composer) -> None:
    """Raise PluginError, before anything is spent, for a composer that fails on a made-up node of two parts."""
    node = Node("made-up", Task("Tell.", rank=1))
    outputs = tuple(Output("made-up", text, "nobody", at) for at, text in enumerate(("a", "b", "c")))
    samples = np.linspace(0.2, 0.8, 12).reshape(4, 3)
    scores = Prediction.overall(np.log(samples / (1 - samples)), samples)
    parts = [ScoredPart(f"part-{at}", outputs[0], 0.5, {OVERALL: samples[:, at]}) for at in range(2)]
    prediction = _checked_compose(composer, node, Judged(outputs, scores, 0), parts)
    if OVERALL not in prediction.acceptance or prediction.acceptance[OVERALL].shape != samples.shape:
        raise PluginError(f"the composer {composer.name} must return scores [members, k] for k outputs")


def _checked_compose(composer: Composer, node: Node, judged: Judged, parts: Sequence[ScoredPart]) -> Prediction:
    """Return what a composer says, or raise PluginError naming it."""
    try:
        prediction = composer.compose(node, judged.outputs, judged.scores, parts)
    except Exception as error:
        raise PluginError(
            f"the composer {composer.name} failed: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(prediction, Prediction):
        raise PluginError(f"the composer {composer.name} must return a Prediction, got {type(prediction).__name__}")
    return prediction


def _root_with(
    graph: TaskGraph,
    again: Sequence[str],
    judged: Mapping[str, Judged],
    composed: MutableMapping[str, Prediction],
    composer: Composer,
) -> float:
    """Return the root's mean score with these nodes, lowest first, composed again."""
    changed: dict[str, Prediction] = {}
    for node in again:
        if node in judged:
            changed[node] = compose_node(graph, node, judged, ChainMap(changed, composed), composer)
    return _mean(changed.get(graph.root, composed[graph.root]))


def _read_alone(judged: Judged) -> Judged:
    return Judged((judged.outputs[judged.read],), judged.scores.at([judged.read]), 0)


def _perfect(scores: Prediction) -> Prediction:
    return Prediction(scores.rewards, {name: np.ones_like(p) for name, p in scores.acceptance.items()})


def _mean(scores: Prediction) -> float:
    return float(scores.acceptance[OVERALL][:, 0].mean())


def _ancestors(graph: TaskGraph) -> dict[str, tuple[str, ...]]:
    """Return every node's ancestors, lowest first."""
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.in_order():
        above = {each for parent in graph.parents(node) for each in (parent, *found[parent])}
        found[node] = tuple(sorted(above, key=lambda each: (graph.height(each), each)))
    return found


def _size(task: Task) -> int:
    return task.rank if task.span is None else task.span.end - task.span.start


def _alike(judged: Mapping[str, Judged]) -> Mapping[str, Judged]:
    """Return nodes with as many members each: the least common multiple of what they have."""
    counts = {node: each.scores.acceptance[OVERALL].shape[0] for node, each in judged.items()}
    if len(set(counts.values())) < 2:
        return judged
    most = lcm(*counts.values())
    return {
        node: Judged(each.outputs, _repeated(each.scores, most // counts[node]), each.read)
        for node, each in judged.items()
    }


def _repeated(scores: Prediction, times: int) -> Prediction:
    return Prediction(
        {name: np.tile(r, (times, 1)) for name, r in scores.rewards.items()},
        {name: np.tile(p, (times, 1)) for name, p in scores.acceptance.items()},
    )
