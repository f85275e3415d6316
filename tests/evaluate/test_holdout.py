"""The reusable holdout: what a look is told by hand, and what an adaptive analyst can and cannot fit."""

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.evaluate.holdout import Thresholdout


def test_a_look_is_answered_by_what_was_optimised_against_until_the_holdout_contradicts_it() -> None:
    quiet = Thresholdout(threshold=0.1, noise=0.0, answers=2)
    assert quiet.look(0, 0, optimised=0.6, held_out=0.55) == (0.6, False)
    assert quiet.look(1, 0, optimised=0.6, held_out=0.45) == (0.45, True)
    assert quiet.look(2, 1, optimised=0.2, held_out=0.5) == (0.5, True)


def test_answers_of_the_holdout_are_limited() -> None:
    with pytest.raises(InputError, match="all 2 answers of the holdout are used up"):
        Thresholdout(0.1, 0.0, 2).look(3, 2, 0.6, 0.6)


def test_equal_looks_are_answered_alike_and_others_by_other_noise() -> None:
    rule = Thresholdout(0.0, 0.01, 100, seed=3)
    first, other = rule.look(0, 0, 0.9, 0.5), rule.look(1, 0, 0.9, 0.5)
    assert first == rule.look(0, 0, 0.9, 0.5) and first.by_holdout and first.value != other.value
    noise = np.array([rule.look(at, 0, 0.9, 0.5).value - 0.5 for at in range(4000)])
    assert np.abs(noise).mean() == pytest.approx(0.01, rel=0.06)  # the mean of |Laplace| is its scale


@pytest.mark.parametrize(("threshold", "noise", "answers"), [(-0.1, 0.0, 1), (0.1, float("nan"), 1), (0.1, 0.0, 0)])
def test_settings_that_make_no_sense_are_refused(threshold: float, noise: float, answers: int) -> None:
    with pytest.raises(InputError, match="a reusable holdout needs"):
        Thresholdout(threshold, noise, answers)


def test_naive_reuse_drifts_and_the_reusable_holdout_does_not() -> None:
    """One analyst keeps 300 rules of pure chance by what a holdout of 4,000 says, and asks about their majority."""
    random = np.random.default_rng(0)
    train, held = (random.random((4000, 300)) < 0.5 for _ in range(2))  # whether each rule is right about each row
    for reuse in (None, Thresholdout(3 / 4000**0.5, 0.1 / 4000**0.5, 50, seed=1)):
        told, used = [], 0
        for at in range(300):
            known, value = float(train[:, at].mean()), float(held[:, at].mean())
            if reuse is None:
                told.append(value)
            else:
                answer = reuse.look(at, used, known, value)
                used += answer.by_holdout
                told.append(answer.value)
        signs = np.where(np.array(told) >= 0.5, 1, -1)
        votes = [float(((2.0 * rows - 1) @ signs > 0).mean()) for rows in (train, held)]
        final = votes[1] if reuse is None else reuse.look(300, used, *votes).value
        if reuse is None:
            assert final - 0.5 > 0.05  # the truth is a half: rules of chance are right about fresh rows by chance
        else:
            assert abs(final - 0.5) < 0.04
