"""How the scores of a tree's root candidates move with the rewards of all that they were made of."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from rrm.compose.tree import Judged, compose
from rrm.core.graph import TaskGraph
from rrm.core.protocols import Composer
from rrm.core.values import OVERALL, Output, Prediction


class RootScores(NamedTuple):
    """Composed acceptance of k root candidates [k], and its slopes [k, n] in the n outputs' logits of acceptance."""

    scores: np.ndarray
    slopes: np.ndarray


def root_scores(
    graph: TaskGraph,
    outputs: Mapping[str, tuple[Output, ...]],
    logits: np.ndarray,
    spread: np.ndarray,
    composer: Composer,
) -> RootScores:
    """Return the composed scores of the root's outputs, where all nodes' logits of acceptance are these, and slopes.

    `outputs` are the root's candidates and of every other judged node the one that is read; `logits` [n] and their
    standard deviations `spread` [n] are of all of them, node after node. A composer joins samples one by one, so it is
    asked once, about a sample with each logit a standard deviation higher and one with it lower: the slopes are
    differences of the two, which is exact where scores are linear or quadratic between.
    """
    step = np.maximum(spread, 1e-3)
    moved = np.concatenate([logits[None], logits + np.diag(step), logits - np.diag(step)])
    judged, start = {}, 0
    for node, found in outputs.items():
        own = moved[:, start : start + len(found)]
        judged[node] = Judged(found, Prediction.overall(own, expit(own)), 0)
        start += len(found)
    composed = compose(graph, judged, composer)[graph.root].acceptance[OVERALL]
    up, down = np.split(composed[1:], 2)
    return RootScores(composed[0], ((up - down) / (2 * step[:, None])).T)
