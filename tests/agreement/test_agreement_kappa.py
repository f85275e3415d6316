"""Cohen's and Fleiss' kappa against scikit-learn, statsmodels and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa

from rrm.agreement.alpha import alpha
from rrm.agreement.codings import matrix_codings
from rrm.agreement.kappa import cohen_kappa, fleiss_kappa


def drawn(seed: int, raters: int, units: int = 80, points: int = 4) -> np.ndarray:
    generator = np.random.default_rng(seed)
    truth = generator.integers(points, size=(units, 1))
    return np.where(generator.random((units, raters)) < 0.7, truth, generator.integers(points, size=(units, raters)))


@pytest.mark.parametrize("seed", range(4))
def test_cohens_kappa_is_what_scikit_learn_finds(seed: int) -> None:
    said = drawn(seed, 2)
    found = cohen_kappa(matrix_codings(said.tolist()))
    assert found.value == pytest.approx(cohen_kappa_score(said[:, 0], said[:, 1]), abs=1e-9)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high
    assert (found.units, found.raters) == (80, 2)


def test_cohens_kappa_of_a_table_worked_by_hand() -> None:
    # 20 agree on yes, 15 on no, 5 and 10 differ: 35 / 50 agree, chance is (25 * 30 + 25 * 20) / 50^2 = 1 / 2
    table = [["yes", "yes"]] * 20 + [["yes", "no"]] * 5 + [["no", "yes"]] * 10 + [["no", "no"]] * 15
    assert cohen_kappa(matrix_codings(table)).value == pytest.approx(0.4, abs=1e-12)


def test_units_that_one_of_the_two_left_out_do_not_count_for_cohens_kappa() -> None:
    said = drawn(9, 2).tolist()
    with_gaps = [*said, [0, None], [None, 3], [3, None]]
    assert cohen_kappa(matrix_codings(with_gaps)) == cohen_kappa(matrix_codings(said))


@pytest.mark.parametrize(("seed", "raters"), [(0, 2), (1, 3), (2, 5)])
def test_fleiss_kappa_is_what_statsmodels_finds(seed: int, raters: int) -> None:
    said = drawn(seed, raters)
    found = fleiss_kappa(matrix_codings(said.tolist()))
    assert found.value == pytest.approx(statsmodels_kappa(aggregate_raters(said)[0]), abs=1e-9)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high


def test_alpha_is_fleiss_kappa_but_for_the_correction_for_small_samples() -> None:
    table = matrix_codings(drawn(3, 3, units=20).tolist())
    kappa, nominal = fleiss_kappa(table).value, alpha(table).value
    assert kappa is not None and nominal is not None
    assert nominal == pytest.approx(kappa + (1 - kappa) / 60, abs=1e-12)
    assert nominal > kappa


def test_fleiss_kappa_does_not_look_at_who_answered() -> None:
    pairs = [(0, 1), (1, 2), (0, 2), (3, 4)]
    said = drawn(4, 2, units=40).tolist()
    spread = [
        [row[pair.index(rater)] if rater in pair else None for rater in range(5)]
        for row, pair in zip(said, pairs * 10, strict=True)
    ]
    assert fleiss_kappa(matrix_codings(spread)).value == fleiss_kappa(matrix_codings(said)).value


def test_other_than_two_raters_have_no_cohens_kappa() -> None:
    found = cohen_kappa(matrix_codings(drawn(0, 3).tolist()))
    assert (found.value, found.why) == (None, "undefined: Cohen's kappa is for two raters, here are 3")


def test_units_with_different_numbers_of_answers_have_no_fleiss_kappa() -> None:
    found = fleiss_kappa(matrix_codings([[1, 1, None], [1, 2, 2], [2, None, None]]))
    assert found.value is None
    assert found.why == "undefined: Fleiss' kappa needs as many answers on every item, here are 2 to 3"


@pytest.mark.parametrize("kappa", [cohen_kappa, fleiss_kappa])
def test_kappas_are_undefined_in_words_without_pairs_and_without_variation(kappa: object) -> None:
    assert callable(kappa)
    assert kappa(matrix_codings([[1, None], [None, 2]])).why == "undefined: fewer than two raters on every item"
    same = kappa(matrix_codings([[1, 1], [1, 1], [1, 1]]))
    assert (same.value, same.why) == (None, "undefined: no variation, everybody gave the same answer")


def test_raters_who_each_always_say_one_thing_agree_no_more_than_by_chance() -> None:
    assert cohen_kappa(matrix_codings([[0, 1]] * 9)).value == 0.0


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=2, max_size=9), st.permutations(range(3)))
def test_the_order_of_units_and_raters_and_the_names_of_labels_change_no_kappa(
    table: list[list[int]], names: list[int]
) -> None:
    moved = [[names[b], names[a]] for a, b in reversed(table)]
    for kappa in (cohen_kappa, fleiss_kappa):
        one, other = kappa(matrix_codings(table)).value, kappa(matrix_codings(moved)).value
        assert (one is None) == (other is None)
        assert one is None or other == pytest.approx(one, abs=1e-12)
