"""A budget of KL for whole trees, shared among their levels by what nats are expected to gain at the root."""

from collections import defaultdict

import numpy as np

from rrm.compose.composers import Mean
from rrm.compose.tree import slopes
from rrm.core.errors import InputError
from rrm.core.protocols import Composer
from rrm.pipeline.stages import TreeBudget
from rrm.policy.ledger import level_budgets, spreads

_NODE = 'or set improve.budget_of = "node"'


def allotted(share: TreeBudget, composer: Composer, nats: float) -> dict[int, float]:
    """Return how many nats each node of a level gets of `nats` a tree.

    What a node is worth is the spread of its candidates' acceptance, times by how much the root's composed score rises
    with its own, both by the models of role train on the training trees. A composer that reads back takes no notice of
    parts' scores, but of what their outputs brought into the root's: in its place the rule `Mean` says how much. Raises
    InputError with fewer than three candidates at some node, and for any other composer by which the root alone
    matters.
    """
    rule = Mean() if composer.reads_back else composer
    weights: dict[int, list[float]] = defaultdict(list)
    scores: dict[int, list[np.ndarray]] = defaultdict(list)
    for tree in share.trees:
        root = tree.graph.root
        for node, slope in slopes(tree.graph, share.state.judged(tree.graph), rule).items():
            level = share.height if node == root else tree.graph.height(node)
            weights[level].append(slope)
            scores[level].append(share.state.acceptance(node))
    below = [slope for level in weights if level < share.height for slope in weights[level]]
    if below and not any(below):
        raise InputError(
            f"by the composer {composer.name} a root's score does not depend on its parts' scores, so nothing says "
            f"what nats are worth below: take a rule over scores such as mean, {_NODE}"
        )
    pilot = min(len(each) for found in scores.values() for each in found)
    if pilot < 3:
        raise InputError(
            f"sharing a tree's budget takes three outputs or more at each node, got {pilot}: set policy.outputs = 3, "
            f"{_NODE}"
        )
    levels = sorted(weights)
    spread = {level: spreads(np.array([each[:pilot] for each in scores[level]])) for level in levels}
    worths = [max(0.0, float(np.mean(np.array(weights[level]) * spread[level]))) for level in levels]
    nodes = [len(weights[level]) / len(share.trees) for level in levels]
    return dict(zip(levels, level_budgets(nodes, worths, nats), strict=True))
