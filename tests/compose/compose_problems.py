"""Trees, scores written by hand, and ratings of a known rule."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from scipy.special import expit, logit

from rrm.compose.tree import Judged
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import JoinedRating, ScoredPart
from rrm.core.task import Span, Task
from rrm.core.values import (
    OVERALL,
    Answer,
    Comparison,
    Feedback,
    Label,
    Output,
    Prediction,
    Rated,
    Request,
    Shown,
    View,
)

NODE = Node("node", Task("Tell.", rank=1))


def tree(*sizes: int) -> TaskGraph:
    """A root over leaves of these sizes."""
    ends = np.cumsum([0, *sizes])
    graph = TaskGraph.start(Task("whole", "book", Span(0, int(ends[-1]))), "test", 0)
    parts = tuple(Task("part", "book", Span(int(a), int(b))) for a, b in pairwise(ends))
    graph = graph.grow(graph.root, Proposal(parts))
    for leaf in graph.children(graph.root):
        graph = graph.grow(leaf, Proposal())
    return graph


def wide(fan: int, depth: int) -> TaskGraph:
    """A tree of `fan` equal parts at every node."""

    def split(_: TaskGraph, node: Node) -> Proposal:
        span = node.task.span
        assert span is not None
        step = (span.end - span.start) // fan
        if step == 0:
            return Proposal()
        return Proposal(tuple(Task("p", "b", Span(at, at + step)) for at in range(span.start, span.end, step)))

    return TaskGraph.start(Task("w", "b", Span(0, fan**depth)), "test", 0).grow_all(split)


def chain(length: int) -> TaskGraph:
    """A tree whose nodes all have one part."""

    def split(_: TaskGraph, node: Node) -> Proposal:
        return Proposal((Task(f"task {node.task.rank}", rank=node.task.rank - 1),) if node.task.rank else ())

    return TaskGraph.start(Task("t", rank=length), "test", 0).grow_all(split)


def said(acceptance: np.ndarray) -> Prediction:
    """A prediction, [members, k], whose rewards are the logits of its acceptance."""
    return Prediction.overall(logit(np.clip(acceptance, 1e-6, 1 - 1e-6)), acceptance)


def judged(node: str, acceptance: object, read: int = 0) -> Judged:
    """A node's outputs with scores [members, k], or [members] of one output."""
    samples = np.asarray(acceptance, dtype=float)
    samples = samples[:, None] if samples.ndim == 1 else samples
    outputs = tuple(Output(node, f"text {at}", "policy", at) for at in range(samples.shape[1]))
    return Judged(outputs, said(samples), read)


def every(scores: Mapping[str, object]) -> dict[str, Judged]:
    """Nodes with one output each; a number is the score by the one member."""
    return {node: judged(node, [each] if isinstance(each, float) else each) for node, each in scores.items()}


def joined(answer: Answer, own: np.ndarray, parts: np.ndarray) -> JoinedRating:
    """An answer about candidates with own scores [members, k], above parts with scores [parts, members]."""
    candidates = tuple(Output(NODE.id, f"text {at}", "policy", at) for at in range(own.shape[1]))
    shown = tuple(Shown(each.id, each.text) for each in candidates)
    request = Request(NODE.id, "source", Place(level=1), answer.kind, View("Tell.", (), 9), shown)
    scored = tuple(
        ScoredPart(f"part {at}", Output(f"part {at}", "text", "policy", 0), 1 / len(parts), {OVERALL: each})
        for at, each in enumerate(parts)
    )
    return JoinedRating(NODE, Rated(request, Feedback(request.id, "rater", answer)), candidates, said(own), scored)


def noisy(
    rng: np.random.Generator, truth: np.ndarray, count: int, noise: float, members: int = 24
) -> list[JoinedRating]:
    """Labels by a known rule of the true logits, [4], beside scores by members that err each for themselves.

    The truth's weights are those of the own score, the parts' mean and their minimum, and the intercept.
    """
    found = []
    for _ in range(count):
        own, parts = rng.normal(scale=1.5), rng.normal(0.8, 1.2, size=3)
        good = rng.random() < expit(truth @ [own, parts.mean(), parts.min(), 1.0])
        own_scores = expit(own + noise * rng.normal(size=(members, 1)))
        part_scores = expit(parts[:, None] + noise * rng.normal(size=(3, members)))
        found.append(joined(Label(bool(good)), own_scores, part_scores))
    return found


def compared(rng: np.random.Generator, count: int, members: int = 2) -> list[JoinedRating]:
    """Comparisons of two candidates by their own score alone."""
    found = []
    for _ in range(count):
        own = rng.uniform(0.05, 0.95, size=(members, 2))
        parts = rng.uniform(0.05, 0.95, size=(3, members))
        found.append(joined(Comparison(int(np.argmax(own.mean(axis=0)))), own, parts))
    return found
