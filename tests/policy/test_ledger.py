"""The ledger: long chains, bad tables, and budgets that are shared."""

from itertools import product
from math import log

import numpy as np
import pytest

from rrm.core.errors import InputError, ShapeError
from rrm.policy.best_of_n import kl_bound
from rrm.policy.ledger import (
    NS,
    NodeTable,
    allot,
    best_of_each,
    expected_greatest,
    expected_kls,
    level_budgets,
    spreads,
    worth,
)

P, Q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
STEP = float((P * np.log(P / Q)).sum())


def test_a_long_chain_costs_as_much_as_it_has_nodes() -> None:
    """More nodes than an einsum has letters: only what is still read is kept."""
    chain = [NodeTable((), P, Q), *(NodeTable((at,), np.tile(P, (2, 1)), np.tile(Q, (2, 1))) for at in range(199))]
    assert expected_kls(chain) == pytest.approx(np.full(200, STEP))


def test_what_reads_later_nodes_or_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"node 0 reads \(0,\)"):
        expected_kls([NodeTable((0,), np.tile(P, (2, 1)), np.tile(Q, (2, 1)))])
    with pytest.raises(ShapeError, match="tables of 2 axes"):
        NodeTable((0,), P, Q)
    with pytest.raises(InputError, match="anchor's table holds rows of probabilities that sum to one"):
        NodeTable((), P, np.array([0.5, 0.6]))


def test_a_policy_that_does_what_its_anchor_never_does_is_infinitely_far() -> None:
    assert expected_kls([NodeTable((), P, np.array([1.0, 0.0]))])[0] == np.inf


def test_a_budget_is_shared_by_what_it_gains() -> None:
    costs, gains = [np.array([0.0, 1.0, 2.0])] * 2, [np.array([0.0, 1.0, 1.1]), np.array([0.0, 5.0, 9.0])]
    assert allot(costs, gains, 2.0) == ((0, 2), 2.0, 9.0)
    assert allot(costs, gains, 3.0) == ((1, 2), 3.0, 10.0)
    assert allot(costs, gains, 0.5) == ((0, 0), 0.0, 0.0)
    assert allot([], [], 1.0) == ((), 0.0, 0.0)
    for budget in (-1.0, float("nan")):
        with pytest.raises(InputError, match="0 nats or more"):
            allot(costs, gains, budget)
    with pytest.raises(InputError, match="the first costs nothing"):
        allot([np.array([log(2), 1.0])], [np.array([0.0, 1.0])], 2.0)


def test_a_thousand_nodes_are_shared_among_within_the_budget() -> None:
    random = np.random.default_rng(0)
    costs = [np.array([0.0, 0.19, 0.64, 1.2, 1.83]) for _ in range(1000)]
    gains = [random.exponential() * np.array([0.0, 0.56, 1.03, 1.42, 1.77]) for _ in range(1000)]
    found = allot(costs, gains, 300.0)
    assert found.nats <= 300.0
    # by Lagrange: at the best price per nat, taking what pays gives an upper bound that is nearly reached
    bound = min(
        sum(float((gain - price * cost).max()) for cost, gain in zip(costs, gains, strict=True)) + price * 300
        for price in np.linspace(0.5, 4, 200)
    )
    assert bound * 0.998 <= found.gain <= bound


def test_the_greatest_of_n_normal_numbers_is_expected_where_tables_say() -> None:
    """Teichroew (1956), doi:10.1214/aoms/1177728266: 0.56419 for two, 1.02938 for four, 1.76599 for sixteen."""
    assert [expected_greatest(n) for n in (1, 2, 4, 16)] == pytest.approx([0.0, 0.56419, 1.02938, 1.76599], abs=1e-5)


def test_nodes_that_are_worth_more_are_chosen_from_more_and_no_more_is_spent() -> None:
    found = best_of_each([0.1, 1.0, 1.0, 10.0], uniform=4)
    assert found[0] < 4 < found[3] and found[1] == found[2] and found[1] <= found[3]
    assert sum(kl_bound(n) for n in found) <= 4 * kl_bound(4) + 1e-9


def test_nodes_that_hardly_differ_are_chosen_from_alike() -> None:
    assert best_of_each([1.0, 1.05, 0.95], uniform=4) == (4, 4, 4)
    assert best_of_each([0.0, 0.0], uniform=3) == (3, 3)


def test_levels_share_a_trees_budget_as_the_best_of_all_ways_does() -> None:
    nodes, worths, budget = (9.0, 3.0, 1.0), (0.01, 0.03, 0.2), 4.0
    ways = [
        ns for ns in product(NS, repeat=3) if sum(m * kl_bound(n) for m, n in zip(nodes, ns, strict=True)) <= budget
    ]
    gains = [sum(m * w * expected_greatest(n) for m, w, n in zip(nodes, worths, ns, strict=True)) for ns in ways]
    best = ways[int(np.argmax(gains))]
    found = level_budgets(nodes, worths, budget)
    assert found == pytest.approx([kl_bound(n) for n in best]) and found[0] < found[1] < found[2]
    assert level_budgets((9.0, 1.0), (0.0, 0.2), 0.1) == (0.0, 0.0)  # the best of two takes .193
    for nats, wrong in ((0.0, [1.0]), (1.0, [-1.0]), (1.0, [float("nan")])):
        with pytest.raises(InputError, match="a tree's budget is above 0 nats and worths are 0 or more"):
            level_budgets([1.0], wrong, nats)


def test_spreads_are_those_of_many_scores_and_drawn_together_where_there_are_few() -> None:
    random = np.random.default_rng(3)
    wide = random.normal(size=(2, 40_000)) * np.array([[1.0], [3.0]])
    assert spreads(wide) == pytest.approx([1.0, 3.0], rel=0.02)
    few = random.normal(size=(300, 4))
    assert spreads(few).std() < 0.3 * few.std(axis=1, ddof=1).std()


@pytest.mark.parametrize("worth", [[-1.0, 1.0], [float("nan")], [float("inf")]])
def test_a_worth_that_is_none_is_refused(worth: list[float]) -> None:
    with pytest.raises(InputError, match="0 or more, and finite"):
        best_of_each(worth, uniform=2)


def test_worth_is_weight_times_spread_times_slope() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(4, 4000)) * np.array([1.0, 2.0, 1.0, 2.0])[:, None]
    rated = np.array([0.5, 0.5, 0.1, 0.1])[:, None] * scores
    found = worth(np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 2.0, 2.0]), scores, rated)
    assert found == pytest.approx([0.5, 1.0, 0.2, 0.4], rel=0.05)


def test_what_differs_by_chance_alone_is_drawn_together() -> None:
    random = np.random.default_rng(1)
    scores, noise = random.normal(size=(2, 400, 16))
    found = np.array(worth(np.repeat([0, 1], 200), np.ones(400), scores, 0.5 * scores + noise))
    plain = scores.std(axis=1, ddof=1)
    assert found.std() / found.mean() < 0.5 * plain.std() / plain.mean()  # nodes are all alike
    with pytest.raises(ShapeError, match="three candidates or more"):
        worth(np.zeros(2), np.ones(2), np.zeros((2, 2)), np.zeros((2, 2)))
