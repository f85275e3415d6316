"""Beliefs that are made of draws: exact where there are finitely many worlds, in whatever order answers come."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rrm.core.asking import Belief
from rrm.core.draws import Draws, effective, first_chosen
from rrm.core.errors import InputError, ShapeError
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Group, Label, Rated, Rating, Request, Shown, View
from rrm.policy.finite import Finite

WORLDS = np.array([[0.3, -1.0, 2.0], [1.1, 0.4, -0.6], [-2.0, 0.0, 0.7], [0.9, 1.5, 1.4], [-0.2, -0.4, -3.0]])
"""Rewards of the outputs a, b, c in five worlds."""


def rewards(groups: Sequence[Group]) -> np.ndarray:
    return WORLDS[:, ["abc".index(text) for group in groups for text in group.outputs]]


def draws(**changes: object) -> Draws:
    return replace(Draws(rewards, np.log([0.1, 0.3, 0.2, 0.15, 0.25])), **changes)  # type: ignore[arg-type]


def group(outputs: str = "abc") -> Group:
    return Group("s", Place(), View("Say it.", (), 9), tuple(outputs))


def said(outputs: str, answer: Answer, rater: str = "r", weight: float = 1.0) -> Rated:
    shown = tuple(Shown(f"o{each}", each) for each in outputs)
    request = Request("n", "s", Place(), answer.kind, View("Say it.", (), 9), shown)
    return Rated(request, Feedback(request.id, rater, answer), weight)


SAID = [said("ab", Comparison(0)), said("c", Label(False)), said("bc", Comparison(1)), said("a", Label(True)),
        said("ab", Comparison(1), "q"), said("b", Label(True), "q", 0.5)]  # fmt: skip


def test_answers_weigh_worlds_as_bayes_rule_does() -> None:
    after = draws().after(SAID)
    log = np.log([0.1, 0.3, 0.2, 0.15, 0.25])
    a, b, c = WORLDS.T
    for logit, weight in ((a - b, 1), (-c, 1), (c - b, 1), (a, 1), (b - a, 1), (b, 0.5)):
        log = log - weight * np.log1p(np.exp(-logit))
    exact = Finite.weighted(log)
    assert after.weights == pytest.approx(exact.probs, abs=1e-12)
    means = exact.probs @ WORLDS
    assert after.means([group()]) == pytest.approx(means, abs=1e-12)
    spread = (WORLDS - means).T @ np.diag(exact.probs) @ (WORLDS - means)
    assert after.covariance([group()], [group("ca")]) == pytest.approx(spread[:, [2, 0]], abs=1e-12)
    assert isinstance(after, Belief)


def test_the_order_of_answers_does_not_matter_and_an_answer_given_twice_counts_twice() -> None:
    one, other = draws().after(SAID), draws().after(SAID[3:][::-1]).after(SAID[:3])
    assert other.weights == pytest.approx(one.weights, abs=1e-9)
    twice = draws().after([SAID[0], SAID[0]])
    odds = np.diff(twice.log_weights - draws().log_weights)
    assert odds == pytest.approx(2 * np.diff(draws().after(SAID[:1]).log_weights - draws().log_weights), abs=1e-9)


def test_what_a_choice_does_not_tell_moves_nothing() -> None:
    told = [said("ab", Comparison(None)), said("a", Rating(3))]
    assert [first_chosen(each.feedback.answer) for each in told] == [None, None]
    assert draws().after(told).weights.tolist() == draws().weights.tolist()


def test_draws_count_as_so_many_of_equal_weight() -> None:
    assert effective(np.zeros(7)) == pytest.approx(7)
    assert effective(np.array([0.0, 0.0, -800.0])) == pytest.approx(2)
    assert draws().effective == pytest.approx(1 / (0.01 + 0.09 + 0.04 + 0.0225 + 0.0625))


def test_an_answer_against_all_odds_leaves_a_belief() -> None:
    sure = Draws(lambda groups: np.full((2, sum(len(g.outputs) for g in groups)), 1e4), np.zeros(2))
    after = sure.after([said("a", Label(False))] * 3)
    assert after.weights == pytest.approx([0.5, 0.5])


def test_what_is_no_belief_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="a belief is made of two draws or more, got log-weights of shape"):
        draws(log_weights=np.zeros(1))
    for wrong in (np.array([0.0, np.nan]), np.full(5, -np.inf), np.array([0.0, np.inf])):
        with pytest.raises(InputError, match="must be numbers, and one of them above zero"):
            draws(log_weights=wrong)
    with pytest.raises(ShapeError, match="5 draws of 3 outputs' rewards are wanted"):
        draws(rewards=lambda _: np.zeros((5, 2))).means([group()])
    with pytest.raises(InputError, match="what is believed is not finite: draws of rewards hold numbers"):
        draws(rewards=lambda _: np.full((5, 3), np.nan)).means([group()])
