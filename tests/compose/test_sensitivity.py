"""Slopes of root scores, against composers that can be differentiated by hand."""

import numpy as np
import pytest
from scipy.special import expit

from rrm.compose.composers import Mean, Product
from rrm.compose.sensitivity import root_scores
from rrm.core.graph import Part, Proposal, TaskGraph
from rrm.core.task import Span, Task
from rrm.core.values import Output


def tree() -> TaskGraph:
    """A root of two parts that cover equally much."""
    graph = TaskGraph.start(Task("Tell.", "s", Span(0, 8), max_tokens=9), "halves", 0)
    halves = (Part(Task("Tell.", "s", Span(0, 4), max_tokens=9)), Part(Task("Tell.", "s", Span(4, 8), max_tokens=9)))
    return graph.grow_all(lambda grown, node: Proposal(halves) if node.id == grown.root else Proposal())


def outputs(graph: TaskGraph, root: int) -> dict[str, tuple[Output, ...]]:
    parts = {node: (Output(node, node, "p", 0),) for node in graph.children(graph.root)}
    return {**parts, graph.root: tuple(Output(graph.root, str(at), "p", at) for at in range(root))}


def test_slopes_of_a_mean_are_the_slopes_of_its_terms() -> None:
    graph = tree()
    logits = np.array([0.3, -0.4, 0.1, 1.0])
    found = root_scores(graph, outputs(graph, 2), logits, np.full(4, 1e-3), Mean(own_weight=0.5))
    p = expit(logits)
    parts = (p[0] + p[1]) / 2
    assert found.scores == pytest.approx((p[2:] + parts) / 2)
    slope = p * (1 - p)
    expected = [[slope[0] / 4, slope[1] / 4, slope[2] / 2, 0], [slope[0] / 4, slope[1] / 4, 0, slope[3] / 2]]
    assert found.slopes == pytest.approx(np.array(expected), abs=1e-6)


def test_slopes_are_over_what_is_not_known() -> None:
    graph = tree()
    logits, spread = np.array([0.3, -0.4, 0.1]), np.array([2.0, 0.5, 1.0])
    found = root_scores(graph, outputs(graph, 1), logits, spread, Product())
    up, down = expit(logits[0] + 2.0), expit(logits[0] - 2.0)
    rest = found.scores[0] / expit(logits[0])
    assert found.slopes[0, 0] == pytest.approx(rest * (up - down) / 4.0)
