"""Shares and side bias against scipy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from rrm.agreement.bias import side_bias
from rrm.agreement.estimates import Share, clopper_pearson, wilson
from rrm.core.errors import InputError

counts = st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@settings(deadline=None)
@given(counts)
def test_both_intervals_of_a_share_are_what_scipy_finds(of: tuple[int, int]) -> None:
    count, total = of
    for found, method in ((wilson(count, total), "wilson"), (clopper_pearson(count, total), "exact")):
        ends = binomtest(count, total).proportion_ci(0.95, method)
        assert (found.low, found.high) == (pytest.approx(ends.low, abs=1e-9), pytest.approx(ends.high, abs=1e-9))
        assert found.value == count / total


@settings(deadline=None)
@given(counts)
def test_the_p_value_of_a_side_bias_is_what_scipy_finds_and_fits_its_interval(of: tuple[int, int]) -> None:
    found = side_bias(*of)
    assert found.p == pytest.approx(binomtest(*of).pvalue, rel=1e-9)
    assert found.low is not None and found.high is not None and found.p is not None
    assert (found.p < 0.05) == (not found.low <= 0.5 <= found.high) or found.p == pytest.approx(0.05)


def test_nothing_has_no_share_and_no_p_value() -> None:
    assert wilson(0, 0) == clopper_pearson(0, 0) == Share(0, 0, None, None, None)
    assert side_bias(0, 0) == (0, 0, None, None, None, None)


def test_twenty_firsts_of_twenty_are_one_in_half_a_million() -> None:
    assert side_bias(20, 20).p == pytest.approx(2 / 2**20)
    assert side_bias(10, 20).p == 1.0


def test_more_firsts_than_decisions_are_refused() -> None:
    with pytest.raises(InputError, match="between 0 and the 3 decided, got 4"):
        side_bias(4, 3)
