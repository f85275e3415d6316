"""A Gaussian belief: quantities against Bayes' rule in closed form, choices against integration on a fine grid."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from rrm.ask.gaussian import Gaussian, choices
from rrm.core.errors import InputError, ShapeError

BELIEF = Gaussian(np.array([0.5, -1.0]), np.array([[2.0, 0.6], [0.6, 1.0]]))
X = np.array([1.0, -0.5])


def test_quantities_give_bayesian_linear_regression_in_any_order() -> None:
    random = np.random.default_rng(3)
    rows, told = random.normal(size=(6, 2)), random.normal(size=6)
    belief, turned = BELIEF, BELIEF
    for at in range(6):
        belief = belief.after_quantity(rows[at], told[at], 0.7)
        turned = turned.after_quantity(rows[5 - at], told[5 - at], 0.7)
    precision = np.linalg.inv(BELIEF.covariance) + rows.T @ rows / 0.49
    covariance = np.linalg.inv(precision)
    mean = covariance @ (np.linalg.solve(BELIEF.covariance, BELIEF.mean) + rows.T @ told / 0.49)
    np.testing.assert_allclose(belief.covariance, covariance, atol=1e-12)
    np.testing.assert_allclose(belief.mean, mean, atol=1e-12)
    np.testing.assert_allclose(turned.mean, belief.mean, atol=1e-9)


@pytest.mark.parametrize("first", [True, False])
def test_a_choice_matches_the_moments_of_the_posterior(first: bool) -> None:
    mean, deviation = float(X @ BELIEF.mean), float(np.sqrt(X @ BELIEF.covariance @ X))
    z = np.linspace(mean - 12 * deviation, mean + 12 * deviation, 400_001)
    weight = norm.pdf(z, mean, deviation) * expit((z if first else -z) / 0.5)
    weight /= weight.sum()
    expected = float(weight @ z)
    after = BELIEF.after_choice(X, first, 0.5)
    assert float(after.means(X)) == pytest.approx(expected, abs=1e-4)
    assert float(after.variances(X)) == pytest.approx(float(weight @ (z - expected) ** 2), abs=1e-4)
    # what is independent of the answer given the direction is not touched
    free = np.linalg.solve(BELIEF.covariance, np.array([0.5, 1.0]))
    still = free - X * float(X @ BELIEF.covariance @ free) / deviation**2
    assert float(after.means(still)) == pytest.approx(float(BELIEF.means(still)), abs=1e-9)


def test_choices_are_expected_as_they_are_then_learned_from() -> None:
    means, variances = BELIEF.means(X[None]), BELIEF.variances(X[None])
    found = choices(means, variances, np.array([0.5]))
    for first, step in ((True, found.up), (False, found.down)):
        after = BELIEF.after_choice(X, first, 0.5)
        assert float(after.means(X) - means[0]) == pytest.approx(float(step[0] * np.sqrt(variances[0])), abs=1e-9)
    assert float(found.first[0] * found.up[0] + (1 - found.first[0]) * found.down[0]) == pytest.approx(0.0, abs=1e-12)
    assert 0 < found.told[0] < np.log(2)


def test_an_answer_against_all_odds_does_not_break_the_belief() -> None:
    sure = Gaussian(np.array([1e4]), np.array([[1e-4]]))
    after = sure.after_choice(np.ones(1), False, 1e-3)
    assert np.isfinite(after.mean).all() and np.isfinite(after.covariance).all()
    assert 0 <= after.covariance[0, 0] <= 1e-4


def test_a_choice_along_what_is_known_tells_nothing() -> None:
    flat = Gaussian(np.zeros(2), np.diag([1.0, 0.0]))
    assert flat.after_choice(np.array([0.0, 1.0]), True, 1.0) is flat


def test_draws_have_the_belief_s_moments() -> None:
    drawn = BELIEF.sample(200_000, seed=1)
    np.testing.assert_allclose(drawn.mean(axis=0), BELIEF.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), BELIEF.covariance, atol=0.03)
    np.testing.assert_array_equal(BELIEF.sample(3, seed=1), BELIEF.sample(3, seed=1))


@pytest.mark.parametrize(
    ("mean", "covariance", "error", "told"),
    [
        (np.zeros(2), np.zeros((2, 2)), InputError, "spread in some direction"),
        (np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]), InputError, "negative variance in none"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), InputError, "symmetric"),
        (np.array([0.0, np.nan]), np.eye(2), InputError, "finite numbers"),
        (np.zeros(3), np.eye(2), ShapeError, r"\[d, d\]"),
    ],
)
def test_what_is_no_belief_is_refused(
    mean: np.ndarray, covariance: np.ndarray, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        Gaussian(mean, covariance)


def test_answers_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="finite number with positive noise"):
        BELIEF.after_quantity(X, np.nan, 1.0)
    with pytest.raises(InputError, match="noise of a choice must be positive"):
        BELIEF.after_choice(X, True, 0.0)
    with pytest.raises(ShapeError, match="2 finite numbers"):
        BELIEF.after_quantity(np.ones(3), 1.0, 1.0)
