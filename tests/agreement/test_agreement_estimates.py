"""Intervals of shares beside those of other libraries."""

import pytest
from scipy.stats import beta

from rrm.agreement.estimates import jeffreys


@pytest.mark.parametrize(("count", "total"), [(0, 0), (0, 7), (7, 7), (3, 40)])
@pytest.mark.parametrize("mass", [0.9, 0.95])
def test_jeffreys_interval_is_that_of_a_beta_distribution_also_of_nothing(count: int, total: int, mass: float) -> None:
    known = beta(count + 0.5, total - count + 0.5).interval(mass)
    assert jeffreys(count, total, mass) == pytest.approx(known, rel=1e-9)
