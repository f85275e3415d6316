"""The ledger of a tree: what optimising its nodes costs in KL, and how a budget is shared among them.

By the chain rule, the KL between two ways of writing a whole tree is the sum over its nodes of the expected KL of the
node's output, given what the node reads, where what it reads is written the first way (Cover and Thomas 2006, theorem
2.5.3). So pressure may be booked node by node, whatever the optimiser, and the sum is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from string import ascii_letters
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.special import rel_entr
from scipy.stats import norm

from rrm.core.errors import InputError, ShapeError
from rrm.policy.best_of_n import kl_bound


@dataclass(frozen=True, eq=False)
class NodeTable:
    """A node of an enumerable tree: the probabilities of its outcomes, given those of the earlier nodes that it reads.

    `policy` and `anchor` are [outcomes of the first read, ..., outcomes of the last read, outcomes].
    """

    reads: tuple[int, ...]
    policy: np.ndarray = field(repr=False)
    anchor: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.policy.shape != self.anchor.shape or self.policy.ndim != len(self.reads) + 1:
            raise ShapeError(
                f"a node that reads {len(self.reads)} others has tables of {len(self.reads) + 1} axes, "
                f"got {self.policy.shape} and {self.anchor.shape}"
            )
        for name, table in (("policy", self.policy), ("anchor", self.anchor)):
            if (table < 0).any() or not np.allclose(table.sum(axis=-1), 1, atol=1e-6):
                raise InputError(f"the {name}'s table holds rows of probabilities that sum to one")


def expected_kls(tables: Sequence[NodeTable]) -> np.ndarray:
    """Return each node's expected KL, in nats, [nodes]; their sum is the joint KL of the tree.

    Nodes stand in the order of writing. Only what later nodes still read is kept, so a tree of bounded width costs
    as much as it has nodes. Raises InputError for a node that reads a later one, or itself.
    """
    last = {read: at for at, table in enumerate(tables) for read in table.reads}
    live: list[int] = []
    joint, kls = np.array(1.0), []
    for at, table in enumerate(tables):
        if any(read >= at for read in table.reads):
            raise InputError(f"node {at} reads {table.reads}: a node reads earlier ones alone")
        letter = dict(zip([*live, at], ascii_letters, strict=False))
        here = np.einsum(f"{_axes(letter, live)}->{_axes(letter, table.reads)}", joint)
        kls.append(float((here * rel_entr(table.policy, table.anchor).sum(axis=-1)).sum()))
        kept = [node for node in [*live, at] if last.get(node, -1) > at]
        given = f"{_axes(letter, live)},{_axes(letter, [*table.reads, at])}"
        joint = np.einsum(f"{given}->{_axes(letter, kept)}", joint, table.policy)
        live = kept
    return np.array(kls)


def _axes(letter: Mapping[int, str], nodes: Sequence[int]) -> str:
    return "".join(letter[node] for node in nodes)


class Allotment(NamedTuple):
    """Which option each node takes, and what all cost and gain together."""

    options: tuple[int, ...]
    nats: float
    gain: float


def allot(costs: Sequence[np.ndarray], gains: Sequence[np.ndarray], budget: float, seconds: float = 10.0) -> Allotment:
    """Share a budget of nats among nodes, so that the sum of what they are expected to gain is greatest.

    Node i takes one of its options, whose costs (nats) and gains are `costs[i]`, `gains[i]`, [options]; the first costs
    nothing. This is the multiple-choice knapsack problem (Sinha and Zoltners 1979, doi:10.1287/opre.27.3.503), solved
    by branch and bound to a ten-thousandth of the optimum, or as well as `seconds` allow. Raises InputError for a
    budget below 0, or a first option that costs something.
    """
    if not budget >= 0:
        raise InputError(f"the budget of a tree is 0 nats or more, got {budget}")
    for cost, gain in zip(costs, gains, strict=True):
        if cost.shape != gain.shape or cost.ndim != 1 or not cost.size or cost[0] != 0:
            raise InputError("a node's options have costs and gains, one each, and the first costs nothing")
    if not costs:
        return Allotment((), 0.0, 0.0)
    starts = np.cumsum([0, *(len(cost) for cost in costs)])
    cost, gain = np.concatenate(costs), np.concatenate(gains)
    one_each = csr_array(
        (np.ones(len(cost)), (np.repeat(np.arange(len(costs)), np.diff(starts)), np.arange(len(cost))))
    )
    found = milp(
        -gain,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(cost[None], -inf, budget)],
        options={"time_limit": seconds, "mip_rel_gap": 1e-4},
    )
    taken = (
        np.zeros(len(costs), dtype=int)
        if found.x is None
        else np.array([int(np.argmax(found.x[start:end])) for start, end in pairwise(starts)])
    )
    nats, gained = (float(sum(each[option] for each, option in zip(of, taken, strict=True))) for of in (costs, gains))
    return Allotment(tuple(map(int, taken)), nats, gained)


NS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Of how many the best may be taken at a node, unless others are given."""


def best_of_each(
    worth: Sequence[float], uniform: int, ns: Sequence[int] = NS, margin: float = 0.05, seconds: float = 10.0
) -> tuple[int, ...]:
    """Return of how many the best is taken at each node, at no more nats in all than `uniform` at every node costs.

    `worth` [nodes] is what one standard deviation of a node's scores is expected to be worth in what is wanted: the
    spread of the scores, times how much the wanted rises with them, times the node's weight. The best of n is then
    expected to gain that times the expected greatest of n normal scores. Expectations are uncertain, so that nodes
    which differ by chance would be told apart: where the expected gain is not more than `margin` above that of the
    same n everywhere, it is the same n everywhere. Raises InputError for a worth that is negative or not finite.
    """
    if not all(np.isfinite(each) and each >= 0 for each in worth):
        raise InputError("what a node's scores are worth is 0 or more, and finite")
    options = sorted({1, uniform, *ns})
    costs = np.array([kl_bound(n) for n in options])
    rise = np.array([expected_greatest(n) for n in options])
    same = options.index(uniform)
    found = allot([costs] * len(worth), [each * rise for each in worth], len(worth) * float(costs[same]), seconds)
    plain = float(np.sum(worth)) * float(rise[same])
    if found.gain <= (1 + margin) * plain:
        return (uniform,) * len(worth)
    return tuple(options[option] for option in found.options)


def level_budgets(
    nodes: Sequence[float], worths: Sequence[float], budget: float, ns: Sequence[int] = NS
) -> tuple[float, ...]:
    """Return how many nats each node of a level gets of a tree's budget, [levels], so that most gain is expected.

    A tree has so many `nodes` at a level, and a standard deviation of such a node's scores is worth so much (`worths`,
    as in `best_of_each`). All nodes of a level get the same, one of the costs of the best of n, or nothing. Whoever
    spends as much gains about as much: of normal scores the best of n, and any tilt, gain nearly sqrt(2 KL) standard
    deviations. The budgets times the nodes come to `budget` at most. Raises InputError for a budget that is not
    positive, or a worth that is negative or not finite.
    """
    if not budget > 0 or not all(np.isfinite(each) and each >= 0 for each in worths):
        raise InputError(f"a tree's budget is above 0 nats and worths are 0 or more, got {budget:g} and {list(worths)}")
    options = sorted({1, *ns})
    costs = np.array([kl_bound(n) for n in options])
    rise = np.array([expected_greatest(n) for n in options])
    rise[0] = 0.0  # the integral is exact to 1e-6
    found = allot([m * costs for m in nodes], [m * w * rise for m, w in zip(nodes, worths, strict=True)], budget)
    return tuple(float(costs[option]) for option in found.options)


def spreads(scores: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each node's scores [nodes, pilot], as estimated from all of them together.

    Deviations estimated from few scores differ by chance: their logarithms are drawn together as far as they differ no
    more than by their sampling variance, 1 / (2 (pilot - 1)). Raises ShapeError unless there are nodes with three
    scores or more.
    """
    nodes, pilot = scores.shape
    if pilot < 3 or not nodes:
        raise ShapeError(f"a pilot needs three candidates or more at each node, got {pilot}")
    logs = np.log(np.maximum(scores.std(axis=1, ddof=1), 1e-12))
    return np.asarray(np.exp(_drawn_together(logs, np.full(nodes, 1 / (2 * (pilot - 1))))))


def worth(level: np.ndarray, weight: np.ndarray, scores: np.ndarray, rated: np.ndarray) -> list[float]:
    """Return what a standard deviation of each node's scores is expected to be worth, from a pilot at every node.

    `level`, `weight` [nodes] are a node's level, and its weight in what is wanted; `scores`, `rated` [nodes, pilot] are
    the proxy of a few candidates, and what the judge of role select says of them. A node's worth is its weight, times
    the spread of its scores, times how much ratings rise with scores at its level. Both are estimates that differ by
    chance: spreads are drawn together (`spreads`), and levels' slopes by their standard errors, as far as they differ
    no more than that (empirical Bayes; Efron and Morris 1975, doi:10.1080/01621459.1975.10479864). Raises ShapeError
    unless there are nodes with three candidates or more.
    """
    if scores.ndim != 2 or scores.shape != rated.shape or len(level) != len(weight) or len(level) != len(scores):
        raise ShapeError(f"a pilot has scores and ratings [nodes, candidates], got {scores.shape} and {rated.shape}")
    spread, pilot = spreads(scores), scores.shape[1]
    x, y = (each - each.mean(axis=1, keepdims=True) for each in (scores, rated))
    levels, place = np.unique(level, return_inverse=True)
    squares = np.array([float((x[place == at] ** 2).sum()) for at in range(len(levels))])
    slopes = np.array([float((x[place == at] * y[place == at]).sum()) for at in range(len(levels))]) / squares
    left = ((y - slopes[place][:, None] * x) ** 2).sum(axis=1)
    free = np.array([max(1, int((place == at).sum()) * (pilot - 1) - 1) for at in range(len(levels))])
    errors = np.array([float(left[place == at].sum()) for at in range(len(levels))]) / free / squares
    slopes = np.maximum(_drawn_together(slopes, errors), 0.0)
    return [float(each) for each in weight * spread * slopes[place]]


def _drawn_together(values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return estimates [n] drawn to their mean, weighed by precision, as far as their sampling variances [n] say."""
    if len(values) < 2:
        return values
    precision = 1 / np.maximum(variances, 1e-300)
    mean = float((precision * values).sum() / precision.sum())
    between = max(0.0, float(values.var(ddof=1) - variances.mean()))
    return np.asarray(mean + between / (between + np.maximum(variances, 1e-300)) * (values - mean))


def expected_greatest(n: int) -> float:
    """Return the expectation of the greatest of n independent standard normal numbers, to 1e-6."""
    x = np.linspace(-9.0, 9.0, 3601)
    density = n * np.exp((n - 1) * norm.logcdf(x) + norm.logpdf(x))
    return float(np.trapezoid(x * density, x))
