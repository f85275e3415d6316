"""Krippendorff's alpha against the published worked example, nltk, closed forms and simulated raters."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.agreement.alpha import alpha
from rrm.agreement.codings import Codings, coded, codings, matrix_codings
from rrm.agreement.estimates import Estimate
from rrm.core.errors import InputError
from rrm.core.kinds.answer import Metric

Row = tuple[int, int, float]
METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval")

# Krippendorff's table of 12 units and 4 observers, 7 of 48 values missing; the last unit has a single value.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
EXAMPLE = matrix_codings(list(zip(*OBSERVERS, strict=True)))


def width(found: Estimate) -> float:
    assert found.low is not None and found.high is not None
    return found.high - found.low


@pytest.mark.parametrize(
    ("metric", "observed", "expected"),
    [
        # n = 40 pairable values: 9 ones, 13 twos, 10 threes, 5 fours, 3 fives. Units 2 (2, 2, 3, 2), 6 (1, 2, 3, 4)
        # and 8 (1, 1, 2, 1) have disagreements: 3, 6 and 3 unequal pairs, each counted both ways over m - 1 = 3.
        ("nominal", 2 + 4 + 2, 40**2 - (9**2 + 13**2 + 10**2 + 5**2 + 3**2)),
        # squared differences in them: 3, 20 and 3; the sum of all values is 100, that of their squares 306
        ("interval", (6 + 40 + 6) / 3, 2 * (40 * 306 - 100**2)),
        # mid-ranks 4.5, 15.5, 27, 34.5, 38.5: 3 * 11.5^2, 2076.75 and 3 * 11^2; sum n R = 800, sum n R^2 = 20993.5
        ("ordinal", (6 * 11.5**2 + 2 * 2076.75 + 6 * 11**2) / 3, 2 * (40 * 20993.5 - 800**2)),
    ],
)
def test_the_published_example_comes_out_as_worked_by_hand(metric: Metric, observed: float, expected: float) -> None:
    found = alpha(EXAMPLE, metric)
    assert found.value == pytest.approx(1 - 39 * observed / expected, abs=1e-12)
    assert found.value == pytest.approx({"nominal": 0.743, "ordinal": 0.815, "interval": 0.849}[metric], abs=5e-4)
    assert (found.units, found.raters, found.why) == (11, 4, "")


def drawn(seed: int, units: int = 60, raters: int = 4, points: int = 5, missing: float = 0.3) -> list[Row]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=units)
    said = np.clip(
        np.round((points + 1) / 2 + 1.2 * truth[:, None] + generator.normal(size=(units, raters))), 1, points
    )
    kept = np.argwhere(generator.random((units, raters)) >= missing)
    return [(int(unit), int(rater), float(said[unit, rater])) for unit, rater in kept]


def nltk_alpha(rows: list[Row], metric: Metric) -> float:
    """Alpha of nltk, with Krippendorff's distances written out as sums over the values between."""
    from nltk.metrics.agreement import AnnotationTask  # here, since nltk takes seconds to load, even to list tests
    from nltk.metrics.distance import binary_distance

    sizes = {unit: sum(row[0] == unit for row in rows) for unit, _, _ in rows}
    pairable = [row for row in rows if sizes[row[0]] > 1]
    count = {value: sum(row[2] == value for row in pairable) for _, _, value in pairable}

    def ordinal(a: float, b: float) -> float:
        between = sum(n for value, n in count.items() if min(a, b) <= value <= max(a, b))
        return 0.0 if a == b else (between - (count[a] + count[b]) / 2) ** 2

    distance = {"nominal": binary_distance, "ordinal": ordinal, "interval": lambda a, b: (a - b) ** 2}[metric]
    return float(
        AnnotationTask([(f"r{rater}", f"u{unit}", value) for unit, rater, value in pairable], distance).alpha()
    )


@pytest.mark.parametrize(("seed", "metric"), list(product(range(4), METRICS)))
def test_alpha_is_what_nltk_finds_with_values_missing(seed: int, metric: Metric) -> None:
    rows = drawn(seed)
    assert alpha(codings(rows), metric).value == pytest.approx(nltk_alpha(rows, metric), abs=1e-9)


tables = st.integers(2, 8).flatmap(
    lambda units: st.lists(
        st.lists(st.none() | st.integers(1, 4), min_size=3, max_size=3), min_size=units, max_size=units
    )
)


@settings(deadline=None)
@given(tables, st.permutations(range(3)), st.randoms())
def test_the_order_of_units_raters_and_entries_changes_nothing(
    table: list[list[int | None]], order: list[int], shuffled: Sequence[int]
) -> None:
    moved = [[row[rater] for rater in order] for row in table]
    shuffled.shuffle(moved)  # type: ignore[attr-defined]
    for metric in METRICS:
        one, other = alpha(matrix_codings(table), metric), alpha(matrix_codings(moved), metric)
        if one.value is None:
            assert (other.value, other.why) == (None, one.why)
        else:
            assert other.value == pytest.approx(one.value, abs=1e-9)
            assert (other.low, other.high) == (pytest.approx(one.low, abs=1e-9), pytest.approx(one.high, abs=1e-9))


@settings(deadline=None)
@given(tables, st.permutations("abcd"))
def test_what_labels_are_called_changes_no_nominal_alpha(table: list[list[int | None]], names: list[str]) -> None:
    called = [[None if value is None else names[value - 1] for value in row] for row in table]
    one, other = alpha(matrix_codings(table)), alpha(matrix_codings(called))
    assert (one.value is None) == (other.value is None)
    assert one.value is None or other.value == pytest.approx(one.value, abs=1e-9)


@settings(deadline=None)
@given(tables, st.floats(0.1, 10), st.floats(-1000, 1000))
def test_the_unit_and_the_zero_of_a_scale_change_no_alpha(
    table: list[list[int | None]], unit: float, zero: float
) -> None:
    moved = [[None if value is None else unit * value + zero for value in row] for row in table]
    for metric in METRICS:
        one, other = alpha(matrix_codings(table), metric), alpha(matrix_codings(moved), metric)
        assert one.value is None or other.value == pytest.approx(one.value, abs=1e-6)


def test_units_that_occur_twice_change_alpha_by_the_correction_for_small_samples_only() -> None:
    rows = drawn(5)
    twice = rows + [(unit + 1000, rater, value) for unit, rater, value in rows]
    for metric in METRICS:
        one, two = alpha(codings(rows), metric), alpha(codings(twice), metric)
        n = sum(size for size in np.bincount([unit for unit, _, _ in rows]) if size > 1)
        assert one.value is not None and two.value is not None
        # observed and expected disagreement double alike but for n - 1 against 2 n - 1
        assert (1 - two.value) / (1 - one.value) == pytest.approx((2 * n - 1) / 2 / (n - 1), rel=1e-9)
        assert two.low is not None and one.low is not None and two.low > one.low


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_agreement_is_one_and_its_interval_shrinks_with_the_units(metric: Metric) -> None:
    few, many = (alpha(matrix_codings([[1, 1, 1], [2, 2, 2]] * times), metric) for times in (5, 100))
    assert few.value == many.value == 1.0
    assert (few.high, many.high) == (1.0, 1.0)
    # as Clopper and Pearson: no disagreement in n units is still 2.5 % probable at 1 - 0.025^(1 / n) each
    assert few.low == pytest.approx(0.025 ** (1 / 10))
    assert many.low == pytest.approx(0.025 ** (1 / 200))


@pytest.mark.parametrize("metric", METRICS)
def test_raters_who_answer_at_random_agree_by_chance(metric: Metric) -> None:
    generator = np.random.default_rng(0)
    found = [alpha(matrix_codings(generator.integers(1, 6, size=(500, 3)).tolist()), metric) for _ in range(40)]
    # the standard error of one is about 1 / sqrt(3 * 500), of their mean 0.004
    assert np.mean([each.value for each in found if each.value is not None]) == pytest.approx(0, abs=0.012)
    # 38 of 40 are expected; fewer than 33 come less than once in 1,000 times
    assert sum(each.low < 0 < each.high for each in found if each.low is not None and each.high is not None) >= 33


def test_two_raters_who_always_contradict_each_other_are_worse_than_chance() -> None:
    # n = 8, four of each: 1 - 7 * 8 / (64 - 32)
    assert alpha(matrix_codings([[0, 1], [1, 0]] * 2)).value == pytest.approx(1 - 7 * 8 / 32)


def test_two_equal_answers_are_no_perfect_agreement_but_undefined() -> None:
    found = alpha(matrix_codings([[1, 1], [1, 1], [1, None], [2, None]]))
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.why == "undefined: no variation, everybody gave the same answer"
    assert (found.units, found.raters) == (2, 2)


@pytest.mark.parametrize("table", [[], [[1, None], [None, 2]], [[None, None]]])
def test_without_a_unit_that_two_rated_alpha_is_undefined_in_words(table: list[list[int | None]]) -> None:
    found = alpha(matrix_codings(table))
    assert (found.value, found.why) == (None, "undefined: fewer than two raters on every item")


def test_a_single_source_gives_a_value_and_no_interval() -> None:
    rows = drawn(1)
    found = alpha(codings(rows, {unit: "the only book" for unit, _, _ in rows}))
    assert found.value == pytest.approx(nltk_alpha(rows, "nominal"), abs=1e-9)
    assert (found.low, found.high, found.why) == (None, None, "no interval: all items come from one source")


def test_sources_whose_items_are_alike_make_the_interval_wider() -> None:
    rows = [(copy * 100 + unit, rater, value) for copy in range(8) for unit, rater, value in drawn(2, units=40)]
    apart, together = alpha(codings(rows)), alpha(codings(rows, {unit: unit % 100 for unit, _, _ in rows}))
    assert together.value == apart.value
    widths = [width(apart), width(together)]
    # eight copies say no more than one: the interval shrinks by sqrt(8) too much unless they are drawn together
    assert widths[1] / widths[0] == pytest.approx(8**0.5, rel=0.2)


def test_more_clusters_than_are_drawn_one_by_one_give_the_same_interval() -> None:
    rows = drawn(3, units=6000, missing=0.0)
    by_unit, by_cluster = alpha(codings(rows)), alpha(codings(rows, {unit: unit for unit, _, _ in rows}))
    assert by_cluster.value == by_unit.value
    width = [
        found.high - found.low for found in (by_unit, by_cluster) if found.low is not None and found.high is not None
    ]
    assert width[1] == pytest.approx(width[0], rel=0.15)


@pytest.mark.parametrize("metric", ["ordinal", "interval"])
def test_words_have_no_distances(metric: Metric) -> None:
    with pytest.raises(InputError, match="need numbers"):
        alpha(matrix_codings([["good", "bad"], ["good", "good"]]), metric)
    with pytest.raises(InputError, match="finite"):
        alpha(matrix_codings([[1.0, float("inf")], [2, 2]]), metric)


def test_two_values_by_one_rater_on_one_unit_are_refused() -> None:
    with pytest.raises(InputError, match="two values to one unit"):
        codings([("u", "Ann", 1), ("u", "Bob", 1), ("u", "Ann", 2)])


def simulated(generator: np.random.Generator, kind: str, units: int) -> Codings:
    """Three raters: of labels each turns 15 % round; ratings have noise; a fifth is missing."""
    if kind == "nominal":
        truth = generator.random((units, 1)) < 0.5
        said = (truth ^ (generator.random((units, 3)) < 0.15)).astype(int)
    else:
        truth = 4 + 1.3 * generator.normal(size=(units, 1))
        said = np.clip(np.round(truth + 0.9 * generator.normal(size=(units, 3))), 0, 7).astype(int)
    unit, rater = np.nonzero(generator.random((units, 3)) >= 0.2)
    return coded(unit, rater, said[unit, rater], range(8))


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "units"), list(product(METRICS, (20, 50, 200))))
def test_the_interval_covers_the_truth_about_as_often_as_it_says(metric: Metric, units: int) -> None:
    generator = np.random.default_rng(7)
    truth = alpha(simulated(generator, metric, 200_000), metric, resamples=2).value
    assert truth is not None
    found = [alpha(simulated(generator, metric, units), metric, resamples=500, seed=seed) for seed in range(1000)]
    ends = [(each.low, each.high) for each in found if each.low is not None and each.high is not None]
    covered = float(np.mean([low <= truth <= high for low, high in ends]))
    print(f"{metric}, {units} units: truth {truth:.3f}, covered {covered:.3f} of {len(ends)}")
    assert 0.90 <= covered <= 0.98
