"""What choosing is worth: what is made of chosen outputs, beside what is made of outputs that were drawn at random.

On training sources a share of nodes hands up an output drawn at random, not the one that its model prefers. That is
a randomised experiment: whatever else differs between nodes, it does not depend on the draw.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rrm.core.report import Choosing
from rrm.evaluate.metrics import cluster_interval


class Made(NamedTuple):
    """A node: its source and level, the share of its parts of which it read another than the chosen output, and
    the mean acceptance of what was made of them."""

    source: str
    level: int
    others: float
    acceptance: float


def choosing(nodes: Sequence[Made], seed: int = 0, resamples: int = 1000) -> Choosing | None:
    """Return by how much acceptance is higher where all parts' outputs are the chosen ones and not others.

    The slope of least squares of acceptance on the share of chosen parts, both less their means over the node's level;
    the interval is a bootstrap over sources. None where every node read, or no node read, only chosen outputs.
    """
    by_level: dict[int, list[Made]] = defaultdict(list)
    for node in nodes:
        by_level[node.level].append(node)
    rows, sources = [], []
    for here in by_level.values():
        values = np.array([(1 - node.others, node.acceptance) for node in here])
        rows.append(values - values.mean(axis=0))
        sources += [node.source for node in here]
    moved = np.concatenate(rows) if rows else np.zeros((0, 2))
    if not np.any(moved[:, 0]):
        return None
    interval = cluster_interval(moved, sources, _slope, 0.95, resamples, seed)
    return Choosing(_slope(moved), interval, sum(node.others > 0 for node in nodes), len(nodes))


def _slope(rows: np.ndarray) -> float:
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw in which no node read another is left out
        return float(np.divide((rows[:, 0] * rows[:, 1]).sum(), (rows[:, 0] ** 2).sum()))
