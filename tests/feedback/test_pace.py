"""How long raters take: known factors found again, nothing learned from nothing, skips, and bad clocks."""

from itertools import product

import numpy as np
import pytest

from rrm.feedback.pace import Pace, Timed, learned

KINDS, LEVELS, RATERS = {"comparison": 1.6, "label": 0.7}, {0: 1.0, 1: 1.5}, {"Ann": 0.8, "Bob": 1.25}


def answers(count: int = 60, slope: float = 0.6, seed: int = 1) -> list[Timed]:
    rng = np.random.default_rng(seed)
    found = []
    for kind, level, rater in product(KINDS, LEVELS, RATERS):
        for close in rng.uniform(size=count):
            counted = rng.uniform(0.3, 2.0)
            true = KINDS[kind] * LEVELS[level] * RATERS[rater] * np.exp(slope * (close - 0.5))
            found.append(Timed(kind, level, rater, float(close), counted, counted * true * rng.gamma(4) / 4))
    return found


def test_known_factors_of_kind_level_rater_and_closeness_are_found_again() -> None:
    told = answers()
    pace = learned(told)
    for kind, level in product(KINDS, LEVELS):
        assert pace.factor(kind, level) == pytest.approx(KINDS[kind] * LEVELS[level], rel=0.12)
    assert np.log(pace.factor("label", 0, 1.0) / pace.factor("label", 0, 0.0)) == pytest.approx(0.6, abs=0.25)
    assert np.exp(pace.raters["Bob"] - pace.raters["Ann"]) == pytest.approx(1.25 / 0.8, rel=0.12)


def test_what_is_predicted_comes_to_what_was_paid() -> None:
    told = answers()
    pace = learned(told)
    predicted = sum(
        each.counted * pace.factor(each.kind, each.level, each.closeness) * np.exp(pace.raters[each.rater])
        for each in told
    )
    assert predicted == pytest.approx(sum(each.took for each in told), rel=0.01)


def test_the_order_of_answers_does_not_matter() -> None:
    told = answers()
    one, other = learned(told), learned(told[::-1])
    for kind, level in product(KINDS, LEVELS):
        assert one.factor(kind, level, 0.3) == pytest.approx(other.factor(kind, level, 0.3), abs=1e-9)


def test_without_a_timed_answer_what_is_counted_holds() -> None:
    assert learned([]).factor("label", 3) == 1.0 == Pace().factor("rating", 0, 0.9)
    assert learned(answers()).factor("rating", 9) == pytest.approx(np.exp(learned(answers()).usual))


def test_one_answer_of_a_wrong_clock_moves_little_and_one_without_any_nothing() -> None:
    once = learned([Timed("label", 0, "Ann", None, 1.0, 100.0)]).factor("label", 0)
    assert 1 < once < 100
    wrong = [Timed("label", 0, "Ann", None, 1.0, each) for each in (np.nan, np.inf, -1.0)]
    assert learned([*wrong, Timed("label", 0, "Ann", None, 0.0, 1.0)]).factor("label", 0) == 1.0


def test_questions_that_are_skipped_make_an_answer_dearer_and_always_skipping_leaves_a_price() -> None:
    put = [("label", 0)] * 36 + [("comparison", 0)] * 36
    pace = learned([], put, [("label", 0)] * 20)
    assert pace.factor("label", 0) == pytest.approx(1 / (1 - 20 / 40)) and pace.factor("comparison", 0) == 1.0
    never = learned([], put, put).factor("label", 0)
    assert never == pytest.approx(10.0)  # four more are taken to have been answered
