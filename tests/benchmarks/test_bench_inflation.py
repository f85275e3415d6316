"""The benchmark of inflation: what policies state, what peeks cost, and what is measured."""

import numpy as np
import pytest

from benchmarks import inflation
from benchmarks.claims import area
from benchmarks.inflation import HONEST, INFLATING, importance, measure, stated
from benchmarks.planted import Told


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflation, "POLICIES", 4)
    monkeypatch.setattr(inflation, "PASSAGES", 3)


def test_half_of_the_policies_inflate_and_state_as_much_as_the_others() -> None:
    policies = stated("reframed", 1)
    assert [policy.inflates for policy in policies] == [False, True, False, True]
    assert {len(policy.claims) for policy in policies} == {3 * 8}
    false = np.array([np.mean([claim.false for claim in policy.claims]) for policy in policies])
    assert false[::2].max() < false[1::2].min()
    assert policies == stated("reframed", 1) != stated("reframed", 2)
    assert max(HONEST) < min(INFLATING)


def test_what_tells_no_event_matters_nothing() -> None:
    assert importance(Told("", "The ivy had faded badly.", False)) == 0


def test_the_area_under_the_curve_counts_ties_by_half() -> None:
    positive = np.array([True, False, True, False])
    assert area(np.stack([np.array([2.0, 1, 3, 0]), positive], axis=1)) == 1
    assert area(np.stack([np.array([1.0, 1, 1, 1]), positive], axis=1)) == 0.5
    assert area(np.stack([np.array([0.0, 1, 2, 1]), positive], axis=1)) == 0.5


def test_peeks_take_their_share_of_the_minutes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflation, "PEEKED", 0.4)  # few claims: so that there are peeks to learn from
    row = measure("reframed", 1)
    assert 0.3 < row.share_of_minutes <= 0.4 and row.claims_a_policy == 24 and row.peeks > 10
    assert row.by_claim > 0.5 and 0 <= row.by_policy <= 1
    assert row.naive_regret >= 0 and row.aware_regret >= 0 and row.valued_regret >= 0
    assert row.valued_peeks > 10 and 0 <= row.valued_by_policy <= 1 and row.valued_by_claim > 0.5
