"""Questions about finitely many worlds: against hand-made numbers, and what is refused."""

from math import log

import numpy as np
import pytest

from rrm.ask.finite import decision_gain, gains_a_minute, information, posteriors
from rrm.core.errors import InputError, ShapeError
from rrm.policy.finite import Finite

TWO = Finite.uniform(2)
SURE = np.log(np.array([[1.0, 1e-300], [1e-300, 1.0]]))
CHANNEL = np.log(np.array([[0.9, 0.2], [0.1, 0.8]]))


def test_a_question_that_tells_all_is_worth_the_entropy() -> None:
    assert information(TWO, SURE) == pytest.approx(log(2), abs=1e-12)


def test_the_information_of_a_channel_by_hand() -> None:
    yes = 0.55
    outer = -(yes * log(yes) + 0.45 * log(0.45))
    inner = -(0.9 * log(0.9) + 0.1 * log(0.1) + 0.2 * log(0.2) + 0.8 * log(0.8)) / 2
    assert information(TWO, CHANNEL) == pytest.approx(outer - inner, abs=1e-12)


def test_the_gain_of_a_decision_by_hand() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    # after yes (.55) the first is right in .45 of .55, after no the second in .4 of .45
    assert decision_gain(TWO, CHANNEL, values) == pytest.approx(0.45 + 0.4 - 0.5, abs=1e-12)


def test_a_decision_that_no_answer_changes_gains_nothing() -> None:
    assert decision_gain(TWO, CHANNEL, np.array([[9.0, 9.0], [0.0, 1.0]])) == 0.0


def test_the_mean_posterior_is_the_prior() -> None:
    prior = Finite.weighted(np.array([0.3, -0.2]))
    likely, after = posteriors(prior, CHANNEL)
    mean = sum(p * each.probs for p, each in zip(likely, after, strict=True))
    np.testing.assert_allclose(mean, prior.probs, atol=1e-12)


def test_an_answer_that_cannot_be_given_is_left_out() -> None:
    with np.errstate(divide="ignore"):
        never = np.log(np.array([[1.0, 1.0], [0.0, 0.0]]))
    assert information(TWO, never) == 0.0
    assert len(posteriors(TWO, never)[1]) == 1


@pytest.mark.parametrize(
    ("answers", "error", "told"),
    [
        (np.log(np.full((2, 3), 0.5)), ShapeError, r"\[answers, 2 worlds\]"),
        (np.log(np.full((2, 2), 0.4)), InputError, "must sum to one in every world"),
        (np.full((2, 2), np.nan), InputError, "must sum to one in every world"),
    ],
)
def test_tables_that_are_no_question_are_refused(answers: np.ndarray, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        information(TWO, answers)


def test_values_that_fit_no_decision_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least one decision"):
        decision_gain(TWO, CHANNEL, np.empty((0, 2)))
    with pytest.raises(InputError, match="finite number"):
        decision_gain(TWO, CHANNEL, np.array([[np.nan, 0.0]]))


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_a_question_has_a_price(price: float) -> None:
    np.testing.assert_allclose(gains_a_minute([1.0, 3.0], [2.0, 1.5]), [0.5, 2.0])
    with pytest.raises(InputError, match="must be a positive number"):
        gains_a_minute([1.0], [price])


def test_the_order_of_answers_does_not_matter() -> None:
    """Of three answers to two questions, the first one's given twice; likelihoods multiply."""
    worlds = Finite.weighted(np.array([0.2, -1.0, 0.4]))
    one, other = (np.log([each, 1 - each]) for each in np.array([[0.9, 0.3, 0.6], [0.2, 0.5, 0.7]]))
    found = []
    for told in ([(one, 0), (other, 1), (one, 0)], [(other, 1), (one, 0), (one, 0)]):
        belief = worlds
        for table, answer in told:
            belief = posteriors(belief, table)[1][answer]
        found.append(belief.probs)
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    exact = worlds.probs * np.array([0.81 * 0.8, 0.09 * 0.5, 0.36 * 0.3])
    assert found[0] == pytest.approx(exact / exact.sum(), abs=1e-12)
