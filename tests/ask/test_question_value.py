"""What questions are worth: against integration, against beliefs after the answers, and what is refused."""

import numpy as np
import pytest
from scipy.stats import norm

from rrm.ask.envelope import envelope_gain
from rrm.ask.gaussian import Gaussian, choices
from rrm.ask.value import (
    Pool,
    Roots,
    decision_gain,
    information,
    next_question,
    spread_removed,
    value,
    variance_removed,
)
from rrm.core.errors import InputError, ShapeError

RANDOM = np.random.default_rng(5)
_SPREAD = RANDOM.normal(size=(5, 5))
BELIEF = Gaussian(RANDOM.normal(size=5), _SPREAD @ _SPREAD.T)
ROOTS = Roots(RANDOM.normal(size=(3, 4, 5)), np.array([1.0, 2.0, 3.0]))
POOL = Pool(RANDOM.normal(size=(8, 5)), RANDOM.uniform(0.5, 2, 8), np.arange(8) % 2 == 1, np.ones(8))


def _pairs(belief: Gaussian) -> float:
    """Return the mean variance of differences, pair by pair."""
    found = []
    for candidates in ROOTS.candidates:
        pairs = [candidates[a] - candidates[b] for a in range(4) for b in range(4) if a != b]
        found.append(np.mean([belief.variances(pair) for pair in pairs]))
    return float(np.array(found) @ ROOTS.weights)


@pytest.mark.parametrize("at", range(8))
def test_all_values_agree_with_the_beliefs_after_the_answers(at: int) -> None:
    one = POOL.take(np.array([at]))
    direction, noise = one.directions[0], float(one.noise[0])
    best = BELIEF.means(ROOTS.candidates).max(axis=1) @ ROOTS.weights
    if one.choice[0]:
        p = float(choices(BELIEF.means(one.directions), BELIEF.variances(one.directions), one.noise).first[0])
        after = [
            (p, BELIEF.after_choice(direction, True, noise)),
            (1 - p, BELIEF.after_choice(direction, False, noise)),
        ]
    else:
        mean, deviation = float(BELIEF.means(direction)), float(np.sqrt(BELIEF.variances(direction) + noise**2))
        z = np.linspace(-9, 9, 2001)
        mass = norm.pdf(z) / norm.pdf(z).sum()
        after = [
            (m, BELIEF.after_quantity(direction, mean + deviation * at_, noise))
            for m, at_ in zip(mass, z, strict=True)
        ]  # fmt: skip
    gain = sum(m * (each.means(ROOTS.candidates).max(axis=1) @ ROOTS.weights) for m, each in after) - best
    assert decision_gain(BELIEF, one, ROOTS)[0] == pytest.approx(gain, abs=2e-5)
    removed = _pairs(BELIEF) - sum(m * _pairs(each) for m, each in after)
    assert variance_removed(BELIEF, one, ROOTS)[0] == pytest.approx(removed, abs=1e-6)


def test_information_of_quantities_is_the_entropy_lost() -> None:
    quantities = POOL.take(~POOL.choice)
    for at, told in enumerate(information(BELIEF, quantities)):
        after = BELIEF.after_quantity(quantities.directions[at], 0.3, float(quantities.noise[at]))
        lost = 0.5 * (np.linalg.slogdet(BELIEF.covariance)[1] - np.linalg.slogdet(after.covariance)[1])
        assert told == pytest.approx(lost, abs=1e-9)


def test_the_value_is_the_gain_and_the_spread_in_one_unit() -> None:
    found = value(BELIEF, POOL, ROOTS, 0.25)
    np.testing.assert_allclose(
        found, decision_gain(BELIEF, POOL, ROOTS) + 0.25 * spread_removed(BELIEF, POOL, ROOTS), atol=1e-12
    )
    # twice the rewards are worth twice as much, whatever else is in the pool
    twice = value(Gaussian(2 * BELIEF.mean, 4 * BELIEF.covariance), _noisier(POOL, 2), ROOTS, 0.25)
    np.testing.assert_allclose(twice, 2 * found, rtol=1e-9)
    np.testing.assert_allclose(value(BELIEF, POOL.take(np.arange(3)), ROOTS, 0.25), found[:3], rtol=1e-12)


def _noisier(pool: Pool, times: float) -> Pool:
    return Pool(pool.directions, pool.noise * times, pool.choice, pool.minutes)


def test_questions_are_valued_some_at_a_time_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = value(BELIEF, POOL, ROOTS)
    monkeypatch.setattr("rrm.ask.value._NUMBERS", 24)
    np.testing.assert_allclose(value(BELIEF, POOL, ROOTS), whole, rtol=1e-12)


def test_questions_that_change_nothing_are_worth_nothing_and_one_is_drawn_by_the_seed() -> None:
    known = Gaussian(np.zeros(5), np.diag([1.0, 0, 0, 0, 0]))
    pool = Pool(np.tile([0.0, 1, 0, 0, 0], (50, 1)), np.ones(50), np.arange(50) % 2 == 0, np.ones(50))
    for found in (value(known, pool, ROOTS), information(known, pool), variance_removed(known, pool, ROOTS)):
        np.testing.assert_allclose(found, 0, atol=1e-12)
    worth = np.zeros(50)
    assert next_question(worth, pool.minutes, seed=1) == next_question(worth, pool.minutes, seed=1)
    assert len({next_question(worth, pool.minutes, seed=seed) for seed in range(20)}) > 5


def test_without_a_gain_the_next_question_goes_by_what_is_named_next() -> None:
    minutes = np.array([1.0, 4.0, 1.0])
    assert next_question(np.array([1.0, 3.0, 0.5]), minutes) == 0
    assert next_question(np.zeros(3), minutes, [np.array([0.0, 3.0, 0.5])]) == 1
    with pytest.raises(InputError, match="not a number"):
        next_question(np.array([np.nan, 1.0, 0.0]), minutes)
    with pytest.raises(InputError, match="no question"):
        next_question(np.empty(0), np.empty(0))


def test_a_target_of_one_candidate_decides_nothing() -> None:
    roots = Roots(np.ones((1, 1, 5)))
    np.testing.assert_array_equal(value(BELIEF, POOL, roots), np.zeros(8))


def test_lines_that_are_equal_parallel_or_meet_in_one_point_are_counted_once() -> None:
    z = np.linspace(-12, 12, 400_001)
    for intercepts, slopes in (
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
        ([1.0, 0.0, 1.0], [1.0, 1.0, -1.0]),
        ([0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 2.0]),
        ([0.3, 0.1, -0.1], [-1.0, 1 / 3, 5 / 3]),  # all three through one point, but for rounding
        ([2.0, 1.0], [0.0, 0.0]),
    ):
        a, b = np.array(intercepts), np.array(slopes)
        summed = ((a[:, None] + b[:, None] * z).max(axis=0) * norm.pdf(z)).sum() * (z[1] - z[0]) - a.max()
        assert float(envelope_gain(a, b)) == pytest.approx(summed, abs=1e-8)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"minutes": np.array([1.0, 0.0])}, "price must be a positive number"),
        ({"noise": np.array([1.0, -1.0])}, "noise of every answer"),
        ({"directions": np.array([[1.0, np.nan], [0.0, 1.0]])}, "finite numbers"),
    ],
)
def test_pools_that_make_no_sense_are_refused(change: dict[str, np.ndarray], told: str) -> None:
    right = {"directions": np.eye(2), "noise": np.ones(2), "choice": np.zeros(2, dtype=bool), "minutes": np.ones(2)}
    with pytest.raises(InputError, match=told):
        Pool(**{**right, **change})
    with pytest.raises(ShapeError, match=r"\[q\]"):
        Pool(np.eye(2), np.ones(3), np.zeros(2, dtype=bool), np.ones(2))


def test_decisions_about_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="nothing to decide"):
        Roots(np.empty((0, 3, 5)))
    with pytest.raises(InputError, match="must not be negative"):
        Roots(np.ones((2, 3, 5)), np.array([1.0, -1.0]))
    with pytest.raises(ShapeError, match="2 targets"):
        Roots(np.ones((2, 3, 5)), np.ones(3))
