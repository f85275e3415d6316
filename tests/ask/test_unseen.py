"""Raters who cannot see: what is exact is an oracle of `rrm verify`; here samples, peeks, and refusals."""

import numpy as np
import pytest

from rrm.ask.unseen import Sight, between, first_better, left_open, rewards_from, shown_after
from rrm.core.errors import InputError, ShapeError

BELIEF = np.array([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
PAIR = np.array([[0, 1]])


def test_rewards_are_learned_from_a_sample_of_answers() -> None:
    random = np.random.default_rng(3)
    sight, rewards = Sight(np.vstack([BELIEF, np.eye(3)])), np.array([1.0, -1.0, 0.0])
    pairs = random.integers(0, 5, size=(20_000, 2))
    first = random.random(len(pairs)) < first_better(sight, rewards, pairs)
    found = rewards_from(sight, pairs, first)
    assert found - found.mean() == pytest.approx(rewards, abs=0.1)


def test_who_sees_everything_leaves_nothing_open() -> None:
    assert left_open(Sight(np.eye(4))).shape == (0, 4)
    assert left_open(Sight(np.full((1, 3), 1 / 3))).shape == (2, 3)  # one thing shown compares with nothing
    difference = np.array([0.2, -0.2, 0.0])
    assert between(Sight(np.eye(3)), np.array([1, 0, 0.5]), difference, 0, 1) == pytest.approx((0.2, 0.2))


def test_with_one_thing_shown_everything_within_the_range_is_possible() -> None:
    assert between(Sight(np.full((1, 2), 0.5)), np.zeros(2), np.array([1.0, -1.0]), -1, 1) == (-2, 2)


def test_peeks_teach_what_raters_believe() -> None:
    sight = Sight.of_peeks(np.array([[18.0, 2.0, 0.0], [0.0, 0.0, 5.0]]), np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    assert sight.belief == pytest.approx(np.array([[18.5 / 21, 2.5 / 21, 0], [0, 0, 1]]))
    assert Sight.of_peeks(np.zeros((1, 4))).belief == pytest.approx(np.full((1, 4), 0.25))


def test_a_belief_is_wrong_by_a_stated_share() -> None:
    sight = Sight(BELIEF)
    assert sight.wrong_by(0.0).belief == pytest.approx(BELIEF)
    assert sight.wrong_by(0.3).belief == pytest.approx(0.7 * BELIEF + 0.1)
    assert sight.wrong_by(1.0, BELIEF[::-1]).belief == pytest.approx(BELIEF[::-1])
    for amount in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match=r"wrong by a share in \[0, 1\]"):
            sight.wrong_by(amount)
    with pytest.raises(ShapeError, match="what is believed instead"):
        sight.wrong_by(0.1, np.eye(3))


def test_in_hindsight_raters_do_not_prefer_who_promises_too_much() -> None:
    """A seller has what is asked for, or has not and says so, or has not and claims to; buyers see the claim alone."""
    rewards, shown = np.array([1.0, 0.0, -1.0]), np.array([[1.0, 0], [0, 1], [1, 0]])
    sight = Sight(np.array([[0.8, 0.0, 0.2], [0.0, 1.0, 0.0]]))
    honest, inflating = np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5])
    foresight = shown @ sight.expected(rewards)
    assert inflating @ foresight > honest @ foresight  # though it is worth less: 0 instead of .5
    outcomes = np.array([[1.0, 0], [0, 1], [0, 1]])  # the thing came, or it did not
    hindsight = shown_after(shown, outcomes) @ sight.after(outcomes).expected(rewards)
    assert hindsight == pytest.approx(rewards) and inflating @ hindsight < honest @ hindsight
    rollouts = 0.75 * outcomes + 0.125  # the seller's own model of the world, which errs one time in eight
    simulated = shown_after(shown, rollouts) @ sight.after(outcomes).expected(rewards)
    assert inflating @ simulated < honest @ simulated


def test_hindsight_closes_what_comparisons_leave_open_and_nothing_where_nothing_comes_of_it() -> None:
    sight = Sight(BELIEF)
    assert len(left_open(sight)) == 1 and len(left_open(sight.after(np.eye(3)))) == 0
    same = sight.after(np.full((3, 2), 0.5))
    assert same.belief == pytest.approx(np.repeat(BELIEF, 2, axis=0)) and len(left_open(same)) == 1
    impossible = sight.after(np.eye(3)).belief[2]  # the first thing shown, and what only the third world comes to
    assert impossible == pytest.approx(BELIEF[0])
    assert shown_after(np.eye(3), np.eye(3)).sum(axis=1) == pytest.approx(np.ones(3))
    with pytest.raises(ShapeError, match="a row each"):
        sight.after(np.eye(2))
    with pytest.raises(ShapeError, match="the same worlds"):
        shown_after(np.eye(3), np.eye(2))
    with pytest.raises(InputError, match="sum to one"):
        sight.after(np.full((3, 2), 0.4))


def test_what_is_no_belief_or_answer_is_refused() -> None:
    with pytest.raises(InputError, match="sum to one"):
        Sight(np.array([[0.5, 0.6]]))
    with pytest.raises(InputError, match="sum to one"):
        Sight(np.array([[np.nan, 1.0]]))
    with pytest.raises(ShapeError, match="at least one each"):
        Sight(np.zeros((0, 2)))
    with pytest.raises(InputError, match="0 or more"):
        Sight.of_peeks(np.array([[-1.0, 2.0]]))
    with pytest.raises(InputError, match="a peek, or a prior"):
        Sight.of_peeks(np.zeros((1, 2)), 0.0)
    with pytest.raises(ShapeError, match=r"\[shown, worlds\]"):
        Sight.of_peeks(np.zeros((1, 2)), np.zeros(3))
    sight = Sight(BELIEF)
    with pytest.raises(ShapeError, match="3 worlds"):
        sight.expected(np.zeros(2))
    with pytest.raises(InputError, match="0 to 1"):
        first_better(sight, np.zeros(3), np.array([[0, 2]]))
    with pytest.raises(ShapeError, match="whole numbers"):
        first_better(sight, np.zeros(3), np.array([[0.0, 1.0]]))
    with pytest.raises(InputError, match=r"share in \[0, 1\]"):
        rewards_from(sight, PAIR, np.array([1.5]))
    with pytest.raises(InputError, match="positive"):
        rewards_from(sight, PAIR, np.array([1.0]), prior_sd=0.0)
    with pytest.raises(InputError, match="must lie in"):
        between(sight, np.array([2.0, 0, 0]), np.zeros(3), -1, 1)
    with pytest.raises(ShapeError, match="3 worlds"):
        between(sight, np.zeros(3), np.zeros(2), -1, 1)
