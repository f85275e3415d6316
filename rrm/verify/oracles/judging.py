"""Decomposition (row 14), feedback (row 17), ensembles (row 28), steps (row 29), and the tree's ledger."""

from itertools import product
from math import log

import numpy as np
import torch

from rrm.core.errors import RrmError
from rrm.core.graph import Part, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.task import Task
from rrm.core.values import Comparison, Feedback, Label, Ranking, Rated, Request, Shown, View
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.policy.best_of_n import best_of, kl_bound
from rrm.policy.finite import Finite
from rrm.policy.ledger import NodeTable
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle, equal, require, world

# ---- row 14: strict reduction ----


def _root() -> TaskGraph:
    return TaskGraph.start(Task("Answer it.", rank=3), "oracle", 0)


def _refused(of: Methods, graph: TaskGraph, proposal: Proposal) -> bool:
    try:
        of.gate(graph, next(iter(graph.leaves)), proposal)
    except RrmError:
        return True
    return False


def _ranks(of: Methods) -> None:
    for rank in range(6):
        refused = _refused(of, _root(), Proposal((Task("A part.", rank=rank), Task("The rest.", rank=0))))
        require(
            refused == (rank >= 3),
            f"a part of rank {rank} below a node of rank 3 was {'refused' if refused else 'admitted'}",
        )


def _references(of: Methods) -> None:
    for reads, wrong in (((0,), False), ((1,), True), ((2,), True)):
        parts = (Task("First.", rank=1), Part(Task("Second.", rank=1), reads), Task("Third.", rank=1))
        refused = _refused(of, _root(), Proposal(parts))
        require(
            refused == wrong, f"the second part reads part {reads[0]} and was {'refused' if refused else 'admitted'}"
        )


def _one_fixed_point(of: Methods) -> None:
    """What the gate admits has one self-consistent answer; a reference back, which it refuses, has two."""

    def consistent(reads: dict[int, tuple[int, ...]]) -> int:
        answers = product((False, True), repeat=len(reads))
        return sum(all(said[at] == any(said[r] for r in reads[at]) for at in reads) for said in answers)

    forward, back = {0: (), 1: (0,), 2: (0, 1)}, {0: (2,), 1: (0,), 2: (0, 1)}
    require((consistent(forward), consistent(back)) == (1, 2), "the count of fixed points is wrong")
    for reads, admitted in ((forward, True), (back, False)):
        parts = tuple(Part(Task(f"Part {at}.", rank=1), tuple(reads[at])) for at in reads)
        require(_refused(of, _root(), Proposal(parts)) != admitted, "a plan with two fixed points must be refused")


# ---- row 17: reward-rational choice ----

_VIEW = View("Choose.", (), 10)
_TEXTS = ("a", "b", "c")


def _rated(answer: object, texts: tuple[str, ...], kind: str) -> Rated:
    shown = tuple(Shown(text, text) for text in texts)
    request = Request("node", "source", Place(), kind, _VIEW, shown)
    return Rated(request, Feedback(request.id, "rater", answer))  # type: ignore[arg-type]


def _table() -> FeedbackTable:
    return tabulate(
        [
            _rated(Comparison(0), ("a", "b"), "comparison"),
            _rated(Comparison(1), ("b", "c"), "comparison"),
            _rated(Ranking((2, 0, 1)), _TEXTS, "ranking"),
            _rated(Label(True), ("a",), "label"),
            _rated(Label(False), ("b",), "label"),
        ]
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def _grid() -> np.ndarray:
    return np.array(list(product((-1.5, -0.5, 0.5, 1.5), repeat=3)))


def _posterior(of: Methods) -> None:
    grid = _grid()
    a, b, c = grid.T
    by_hand = _sigmoid(a - b) * _sigmoid(c - b) * _sigmoid(a) * _sigmoid(-b)
    by_hand = by_hand * np.exp(c) / (np.exp(a) + np.exp(b) + np.exp(c)) * _sigmoid(a - b)  # c, then a before b
    found = of.posterior(torch.from_numpy(grid), _table())
    equal(found.numpy(), np.log(by_hand / by_hand.sum()), 1e-9, "the posterior of 64 hypotheses")


def _prior(of: Methods) -> None:
    grid = torch.from_numpy(_grid())
    prior = torch.linspace(-1, 1, 64, dtype=torch.float64).log_softmax(0)
    equal(of.posterior(grid, _table(), None, prior, 0.0).numpy(), prior.numpy(), 1e-9, "the posterior at beta = 0")


def _order(of: Methods) -> None:
    grid = torch.from_numpy(_grid())
    table = _table()
    backwards, _ = table.take(np.arange(table.rows)[::-1].copy())
    one, other = of.posterior(grid, table), of.posterior(grid, backwards)
    places = [list(backwards.items).index(item) for item in table.items]
    other = of.posterior(grid[:, np.argsort(places)] if places != sorted(places) else grid, backwards)
    equal(other.numpy(), one.numpy(), 1e-9, "the posterior of the same answers in another order")


def _sums(of: Methods) -> None:
    rewards = torch.tensor([0.3, -1.2, 2.0, 0.0], dtype=torch.float64)
    grounding = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64)
    for found in (of.choice(rewards), of.choice(rewards, grounding), of.choice(rewards, None, None, 0.4, 0.1)):
        equal(float(found.exp().sum()), 1.0, 1e-9, "the probabilities of all choices of a set, summed,")


def _grounded(of: Methods) -> None:
    rewards = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    grounding = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]], dtype=torch.float64)
    weights = np.exp(np.array([0.3, 0.4]) / 0.7)
    found = of.choice(rewards, grounding, None, 0.7)
    equal(found.exp().numpy(), weights / weights.sum(), 1e-9, "a choice by the mean reward of what it means, over 0.7,")


def _misspecified(of: Methods) -> None:
    """Who chose among two tells less than who chose among three: taking one for the other must shift the answer."""
    rewards = torch.tensor([1.0, 0.0, 0.8], dtype=torch.float64)
    two, three = of.choice(rewards[:2])[0], of.choice(rewards)[0]
    equal(float(two - three), log((np.e + 1 + np.exp(0.8)) / (np.e + 1)), 1e-9, "what a wrong set of choices shifts")


# ---- row 28: ensembles ----


def _least(of: Methods) -> None:
    members = np.array([[0.9, 0.2, 0.5], [0.1, 0.4, 0.6]])
    equal(of.worst(members), [0.1, 0.2, 0.5], 1e-12, "the least of two members")


def _weightless(of: Methods) -> None:
    members = np.random.default_rng(0).random((5, 20))
    equal(of.uncertain(members, 0.0), members.mean(axis=0), 1e-12, "the uncertainty-weighted score at weight 0")
    expected = members.mean(axis=0) - 0.5 * members.var(axis=0)
    equal(of.uncertain(members, 0.5), np.maximum(expected, 0), 1e-12, "the uncertainty-weighted score at weight 0.5")


def _planted(of: Methods) -> None:
    """A region that one member over-scores: best of n by that member goes there, by the least of all it does not."""
    base, gold = world(30, 1)
    members = np.tile(gold, (5, 1)) * 0.9
    bad = gold < 0.3
    members[0, bad] = 1.0
    for scores, goes in ((members[0], True), (of.worst(members), False)):
        mass = float(best_of(base, scores, 64).probs[bad].sum())
        require(
            (mass > 0.5) == goes,
            f"the over-scored region has {mass:.3f} of the best of 64 by {'one member' if goes else 'the least'}",
        )


# ---- row 29: steps ----


def _steps(of: Methods) -> None:
    own, parts, shares = np.ones(1), np.full((13, 1), 0.99), np.full(13, 1 / 13)
    equal(of.product.join(own, parts, shares), [0.99**13], 1e-12, "the product of 13 steps at .99")
    equal(of.minimum.join(own, parts, shares), [0.99], 1e-12, "the least of 13 steps at .99")
    own = np.array([0.5])
    equal(of.product.join(own, parts, shares), [0.5 * 0.99**13], 1e-12, "the product with the node's own score")
    equal(of.minimum.join(own, parts, shares), [0.5], 1e-12, "the least with the node's own score")


# ---- the ledger ----


def _tables(seed: int) -> list[NodeTable]:
    """A small graph: two leaves, a node that reads both, one that reads a leaf and that node."""
    random = np.random.default_rng(seed)

    def rows(*shape: int) -> np.ndarray:
        table = random.exponential(size=shape)
        return np.asarray(table / table.sum(axis=-1, keepdims=True))

    reads: tuple[tuple[int, ...], ...] = ((), (), (0, 1), (1, 2))
    sizes = (2, 3, 2, 4)
    shapes = [(*(sizes[read] for read in each), sizes[at]) for at, each in enumerate(reads)]
    return [NodeTable(each, rows(*shape), rows(*shape)) for each, shape in zip(reads, shapes, strict=True)]


def _chain_rule(of: Methods) -> None:
    for seed in range(3):
        tables = _tables(seed)
        joint = 0.0
        for whole in product(range(2), range(3), range(2), range(4)):
            places = [(*(whole[read] for read in table.reads), whole[at]) for at, table in enumerate(tables)]
            p, q = (
                np.prod([getattr(table, side)[place] for table, place in zip(tables, places, strict=True)])
                for side in ("policy", "anchor")
            )
            joint += float(p * np.log(p / q))
        equal(of.expected_kls(tables).sum(), joint, 1e-9, "the sum of expected node KLs of a tree")


def _expected(of: Methods) -> None:
    """A node's KL is expected under the policy's own writing of what it reads, not under the anchor's."""
    first = NodeTable((), np.array([0.9, 0.1]), np.array([0.1, 0.9]))
    second = NodeTable((0,), np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    equal(of.expected_kls([first, second]), [0.8 * log(9), 0.9 * log(2)], 1e-9, "the expected KLs of two nodes")


def _choices(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the best of 1, 2, 4, 8, 16 costs and gains at four nodes of different spread."""
    random, ns = np.random.default_rng(seed), (1, 2, 4, 8, 16)
    costs, gains = [], []
    for _ in range(4):
        base = Finite.weighted(random.normal(size=40))
        scores = random.normal(size=40) * random.uniform(0.05, 1.0)
        kept = [best_of(base, scores, n) for n in ns]
        costs.append(np.array([one.kl(base) for one in kept]))
        gains.append(np.array([one.mean(scores) - base.mean(scores) for one in kept]))
        costs[-1][0] = gains[-1][0] = 0.0
    return costs, gains


def _allotted(of: Methods) -> None:
    for seed in range(5):
        costs, gains = _choices(seed)
        for n in (1, 2, 3):
            budget = sum(float(cost[n]) for cost in costs)
            uniform = sum(float(gain[n]) for gain in gains)
            found = of.allot(costs, gains, budget)
            spent = sum(float(cost[option]) for cost, option in zip(costs, found.options, strict=True))
            gained = sum(float(gain[option]) for gain, option in zip(gains, found.options, strict=True))
            require(spent <= budget + 1e-9, f"{spent:.4f} nats are allotted of {budget:.4f}")
            equal([found.nats, found.gain], [spent, gained], 1e-9, "what the allotment says it costs and gains")
            require(gained >= 0.99 * uniform, f"the allotment gains {gained:.4f}, uniform n {uniform:.4f}")
            best = max(
                sum(float(gain[o]) for gain, o in zip(gains, options, strict=True))
                for options in product(range(5), repeat=4)
                if sum(float(cost[o]) for cost, o in zip(costs, options, strict=True)) <= budget
            )
            require(gained >= 0.999 * best, f"the allotment gains {gained:.4f} of {best:.4f} that can be had")


def _choosing_costs(of: Methods) -> None:
    """Choosing the best of k at every node is optimisation, too: the tree's KL is at most the bounds' sum."""
    base = np.array([0.4, 0.3, 0.2, 0.1])
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    kept = of.best_of(Finite(np.log(base)), scores, 4).probs
    leaf, root = NodeTable((), kept, base), NodeTable((0,), np.tile(kept, (4, 1)), np.tile(base, (4, 1)))
    total = float(of.expected_kls([leaf, root]).sum())
    require(0 < total <= 2 * kl_bound(4), f"choosing twice costs {total:.4f} nats, at most {2 * kl_bound(4):.4f}")
    equal(total, 2 * float((kept * np.log(kept / base)).sum()), 1e-9, "what choosing at two nodes costs")


JUDGING = (
    Oracle(14, "ranks must strictly decrease", _ranks),
    Oracle(14, "references point backward", _references),
    Oracle(14, "what is admitted has one fixed point", _one_fixed_point),
    Oracle(17, "the posterior is that of all hypotheses", _posterior),
    Oracle(17, "at beta = 0 the prior comes back", _prior),
    Oracle(17, "the order of answers does not matter", _order),
    Oracle(17, "the choices of a set have probability one", _sums),
    Oracle(17, "choices count by the mean of what they mean", _grounded),
    Oracle(17, "a wrong set of choices shifts the answer", _misspecified),
    Oracle(28, "the conservative score is the least member's", _least),
    Oracle(28, "without weight it is the mean", _weightless),
    Oracle(28, "an over-scored region is not entered", _planted),
    Oracle(29, "steps are joined by product and minimum", _steps),
    Oracle(0, "a tree's KL is the sum of expected node KLs", _chain_rule),
    Oracle(0, "node KLs are expected under the policy", _expected),
    Oracle(0, "choosing at every node is booked", _choosing_costs),
    Oracle(0, "a budget goes where it gains most per nat", _allotted),
)
