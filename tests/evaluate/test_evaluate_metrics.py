"""Metrics against closed forms, brute force and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, spearmanr

from rrm.core.errors import InputError, ShapeError
from rrm.core.report import Interval
from rrm.evaluate.metrics import (
    accuracy,
    calibration,
    cluster_interval,
    coverage,
    folded,
    nll,
    share_interval,
    spearman,
    wilson,
)


def mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def test_accuracy_leaves_ties_out_and_counts_them() -> None:
    found = accuracy(np.array([0.9, 0.2, 0.6, 0.7]), np.array([1, 0, 0, 0.5]))
    assert found.value == pytest.approx(2 / 3)
    assert (found.rows, found.ties) == (3, 1)


def test_a_prediction_of_exactly_one_half_is_half_right() -> None:
    assert accuracy(np.array([0.5, 0.5, 0.9, 0.9]), np.array([1, 0, 1, 0])).value == pytest.approx(
        (0.5 + 0.5 + 1 + 0) / 4
    )


def test_weights_count_rows_by_their_weight() -> None:
    found = accuracy(np.array([0.9, 0.9, 0.1]), np.array([1, 0, 0.5]), np.array([3.0, 1.0, 50.0]))
    assert found.value == pytest.approx(0.75)
    assert (found.rows, found.ties) == (2, 1)


def test_accuracy_and_nll_are_undefined_without_rows() -> None:
    assert accuracy(np.array([0.4]), np.array([0.5])).value is None
    assert nll(np.zeros(0), np.zeros(0)) is None
    assert calibration(np.zeros(0), np.zeros(0)) is None


def test_nll_is_in_nats_and_splits_a_tie_into_halves() -> None:
    by_hand = (-math.log(0.8) - math.log(1 - 0.3) - 0.5 * math.log(0.9) - 0.5 * math.log(0.1)) / 3
    assert nll(np.array([0.8, 0.3, 0.9]), np.array([1, 0, 0.5])) == pytest.approx(by_hand, rel=1e-12)


def test_nll_of_a_coin_is_log_two_and_of_a_wrong_certainty_is_finite() -> None:
    assert nll(np.full(4, 0.5), np.array([0, 1, 0.5, 1])) == pytest.approx(math.log(2))
    assert nll(np.array([0.0]), np.array([1.0])) == pytest.approx(12 * math.log(10))


@pytest.mark.parametrize(
    ("probability", "outcome", "error"),
    [
        ([0.5], [1, 0], ShapeError),
        ([[0.5]], [[1]], ShapeError),
        ([1.2], [1], InputError),
        ([math.nan], [1], InputError),
        ([0.5], [0.7], InputError),
    ],
)
def test_rows_that_make_no_sense_are_refused(
    probability: list[float], outcome: list[float], error: type[Exception]
) -> None:
    with pytest.raises(error):
        accuracy(np.array(probability), np.array(outcome))


def test_the_interval_of_independent_rows_is_the_binomial_one() -> None:
    values = np.random.default_rng(1).random(2000) < 0.7
    found = cluster_interval(values, np.arange(2000), mean, resamples=2000, seed=3)
    half = 1.96 * math.sqrt(values.mean() * (1 - values.mean()) / 2000)
    assert found is not None
    assert found.low == pytest.approx(values.mean() - half, abs=0.004)
    assert found.high == pytest.approx(values.mean() + half, abs=0.004)


def test_copies_of_a_row_within_its_source_do_not_narrow_the_interval() -> None:
    values = (np.random.default_rng(2).random(40) < 0.6).astype(float)
    once = cluster_interval(values, np.arange(40), mean, seed=1)
    copied, sources = np.repeat(values, 25), np.repeat(np.arange(40), 25)
    clustered = cluster_interval(copied, sources, mean, seed=1)
    as_if_independent = cluster_interval(copied, np.arange(1000), mean, seed=1)
    assert clustered == pytest.approx(once)
    assert clustered is not None and as_if_independent is not None
    widths = [each.high - each.low for each in (clustered, as_if_independent)]
    assert widths[0] > 4 * widths[1]


def test_the_interval_of_few_sources_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        values = np.repeat(random.normal(size=6), 3) + random.normal(size=18)
        low, high = cluster_interval(values, np.repeat(np.arange(6), 3), mean, 0.95, 300, seed) or (1, -1)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 200 <= 0.985  # the plain percentile interval covers 0.86


def test_one_source_gives_no_interval() -> None:
    assert cluster_interval(np.ones(50), ["only"] * 50, mean) is None


@pytest.mark.parametrize(("right", "rows"), [(8, 12), (0, 10), (7, 7), (700, 1000)])
def test_wilsons_interval_is_scipys(right: int, rows: int) -> None:
    known = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert wilson(right / rows, rows) == pytest.approx((known.low, known.high), abs=1e-12)


def test_sources_that_agree_do_not_make_a_share_sure() -> None:
    hits, sources = np.array([1.0, 1, 0] * 4), np.repeat(["a", "b", "c", "d"], 3)
    assert cluster_interval(hits, sources, mean) == pytest.approx((2 / 3, 2 / 3))
    assert share_interval(hits, sources) == wilson(2 / 3, 12)


def test_a_share_is_no_surer_than_its_sources_allow() -> None:
    hits, sources = np.repeat([1.0, 0, 1, 0, 1, 1], 50), np.repeat(np.arange(6), 50)
    assert share_interval(hits, sources, seed=2) == cluster_interval(hits, sources, mean, seed=2)


@pytest.mark.parametrize("sources", [[], ["a"] * 6, ["a", "b"] * 3])
def test_two_sources_give_no_interval_of_a_share(sources: list[str]) -> None:
    assert share_interval(np.ones(len(sources)), sources) is None


def test_the_interval_is_the_same_for_the_same_seed_only() -> None:
    values, sources = np.random.default_rng(0).random(60), np.arange(60) % 12
    assert cluster_interval(values, sources, mean, seed=1) == cluster_interval(values, sources, mean, seed=1)
    assert cluster_interval(values, sources, mean, seed=1) != cluster_interval(values, sources, mean, seed=2)


def test_clusters_and_values_of_unequal_length_are_refused() -> None:
    with pytest.raises(ShapeError):
        cluster_interval(np.ones(3), ["a", "b"], mean)


def test_calibration_by_hand() -> None:
    probability = np.array([0.1, 0.3, 0.6, 0.8])
    found = calibration(probability, np.array([0, 1, 0.5, 1]), bins=2)
    assert found is not None
    assert [tuple(each) for each in found.bins] == [pytest.approx((0.2, 0.5, 2)), pytest.approx((0.7, 0.75, 2))]
    assert found.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.05)


def test_equal_predictions_share_a_bin_whatever_the_order_of_the_rows() -> None:
    probability, outcome = np.array([0.6] * 6 + [0.9] * 2), np.array([1, 1, 1, 0, 0, 0, 1, 1])
    found = calibration(probability, outcome, bins=4)
    turned = calibration(probability[::-1], outcome[::-1], bins=4)
    assert found is not None and turned is not None
    assert [each.rows for each in found.bins] == [6, 2]
    assert found.bins == turned.bins


def test_a_constant_prediction_makes_one_bin() -> None:
    found = calibration(np.full(30, 0.7), np.array([1.0, 0.0] * 15))
    assert found is not None
    assert len(found.bins) == 1 and found.ece == pytest.approx(0.2)


def test_a_calibrated_simulation_has_a_small_error_and_an_overconfident_one_its_true_error() -> None:
    random = np.random.default_rng(5)
    probability = random.uniform(0.5, 1, 8_000)
    calibrated = calibration(probability, (random.random(8_000) < probability).astype(float), resamples=100)
    truth = 0.5 + 0.5 * (probability - 0.5)
    overconfident = calibration(probability, (random.random(8_000) < truth).astype(float), resamples=100)
    assert calibrated is not None and overconfident is not None
    assert calibrated.ece < 0.02
    assert overconfident.ece == pytest.approx(0.125, abs=0.02)  # mean of (p - 0.5) / 2 over [0.5, 1]
    assert overconfident.interval is not None
    assert overconfident.interval.low < 0.125 < overconfident.interval.high
    assert overconfident.interval.low > 0.09


def test_the_error_of_calibration_lies_in_its_interval() -> None:
    random = np.random.default_rng(6)
    for clusters in (3, 8, 40):
        found = calibration(random.random(120), random.integers(0, 2, 120), 5, np.arange(120) % clusters, 200)
        assert found is not None and found.interval is not None
        assert 0 <= found.interval.low <= found.ece <= found.interval.high


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30))
def test_what_is_shown_first_changes_neither_folded_rows_nor_their_loss(rows: list[tuple[float, float, bool]]) -> None:
    probability, outcome = (np.array([row[each] for row in rows]) for each in (0, 1))
    swap = np.array([row[2] for row in rows])
    swapped = np.where(swap, 1 - probability, probability), np.where(swap, 1 - outcome, outcome)
    for straight, turned in zip(folded(probability, outcome), folded(*swapped), strict=True):
        np.testing.assert_allclose(straight, turned, atol=1e-15)
    assert accuracy(probability, outcome) == pytest.approx(accuracy(*swapped), nan_ok=True)


def test_folded_probabilities_are_of_the_output_held_better() -> None:
    probability, outcome = folded(np.array([0.2, 0.8, 0.5]), np.array([0, 0, 1]))
    assert probability.tolist() == [0.8, 0.8, 0.5]
    assert outcome.tolist() == [1, 0, 0.5]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=40))
def test_spearman_is_scipys(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, dtype=float).T
    found = spearman(x, y, resamples=20)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found == (None, None, len(points))
    else:
        assert found.value == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert found.n == len(points)


def test_spearman_is_undefined_for_two_points() -> None:
    assert spearman(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == (None, None, 2)


def test_the_interval_of_a_rank_correlation_covers_that_of_the_population() -> None:
    population = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's rho of a normal pair correlated by 0.6
    covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        x = random.normal(size=60)
        y = 0.6 * x + 0.8 * random.normal(size=60)
        low, high = spearman(x, y, 300, seed).interval or (2, -2)
        covered += low <= population <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_coverage_counts_both_ends_of_an_interval() -> None:
    intervals = [Interval(0, 1), Interval(0.2, 0.3), Interval(0.5, 0.6)]
    assert coverage(intervals, np.array([1.0, 0.2, 0.7])) == pytest.approx(2 / 3)
    assert coverage([], np.zeros(0)) is None
    with pytest.raises(ShapeError):
        coverage(intervals, np.zeros(2))
