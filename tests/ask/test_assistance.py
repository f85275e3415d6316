"""Assistance games: the published one is an oracle of `rrm verify`; here others, by hand, and what is refused."""

import numpy as np
import pytest

from rrm.ask.assistance import Game, Stretch, apart, deferring, highest, mistaken, together, unforeseen
from rrm.core.errors import InputError, ShapeError


def test_the_highest_lines_from_left_to_right() -> None:
    lines = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0], [0.2, 0.2]])
    assert highest(lines) == (Stretch(2, 0.0, 0.5), Stretch(0, 0.5, 1.0))
    assert highest(np.array([[1.0, 1.0]])) == (Stretch(0, 0.0, 1.0),)
    assert highest(np.array([[0.0, 1.0], [0.0, 2.0]])) == (Stretch(1, 0.0, 1.0),)


def test_a_person_whose_acts_cost_nothing_says_all_that_the_agent_can_use() -> None:
    game = Game(np.zeros((2, 2)), np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert together(game).value == pytest.approx(0.75)  # the agent does what is right on either half
    assert apart(game).value == pytest.approx(0.5)  # who is alone has nothing to say


def test_a_pair_is_never_worse_together_than_apart() -> None:
    random = np.random.default_rng(4)
    for _ in range(50):
        game = Game(random.normal(size=(3, 2)), random.normal(size=(3, 2)))
        assert together(game).value >= apart(game).value - 1e-12


def test_a_game_that_is_too_large_is_refused_and_so_is_what_is_no_game() -> None:
    with pytest.raises(InputError, match="too large"):
        Game(np.zeros((9, 2)), np.zeros((10, 2)))
    with pytest.raises(ShapeError, match="at least one"):
        Game(np.zeros((0, 2)), np.zeros((1, 2)))
    with pytest.raises(InputError, match="finite"):
        Game(np.array([[np.nan, 0.0]]), np.zeros((1, 2)))


def test_deferring_to_a_rational_person_never_loses() -> None:
    for mean in np.linspace(-3, 3, 13):
        assert deferring(float(mean), 1.0) >= 0
    # who errs at random half the time wastes half of what is certain
    assert deferring(5.0, 0.1, 1e-9) == pytest.approx(-2.5, abs=1e-6)


@pytest.mark.parametrize(("sd", "rationality"), [(0.0, None), (1.0, 0.0), (np.inf, None), (1.0, np.nan)])
def test_spreads_and_rationalities_are_positive(sd: float, rationality: float | None) -> None:
    with pytest.raises(InputError, match="positive numbers"):
        deferring(0.0, sd, rationality)


PAPERCLIPS = Game(np.array([[2.0, 0], [1, 1], [0, 2]]), np.array([[90.0, 0], [50, 50], [0, 90]]))


def test_a_literal_person_who_hardly_errs_is_one_who_acts_as_if_alone() -> None:
    assert mistaken(PAPERCLIPS, 2000.0).literal_literal == pytest.approx(apart(PAPERCLIPS).value, abs=0.05)


def test_a_person_who_acts_at_random_is_worth_the_mean_act_and_the_best_reply_to_nothing() -> None:
    blind = mistaken(PAPERCLIPS, 1e-9)
    assert blind.literal_literal == pytest.approx(
        1.0 + 50.0, abs=1e-5
    )  # acts are worth 1 on average, 50 the best reply
    assert blind == pytest.approx([blind.literal_literal] * 4, abs=1e-5)


def test_whom_an_agent_takes_for_another_is_never_served_better() -> None:
    random = np.random.default_rng(8)
    costs = []
    for _ in range(100):
        game = Game(random.normal(size=(3, 2)), 2 * random.normal(size=(4, 2)))
        found = mistaken(game, 2.0)
        costs.append(found.literal_literal - found.literal_pedagogic)
        costs.append(found.pedagogic_pedagogic - found.pedagogic_literal)
    assert min(costs) >= -1e-12 and sum(each > 1e-3 for each in costs) > 5


def test_values_of_persons_who_err_are_integrals_that_can_be_done_by_hand() -> None:
    """Two acts worth theta and 0, one reply worth nothing: the integral of theta sigma(b theta)."""
    game = Game(np.array([[0.0, 1.0], [0.0, 0.0]]), np.zeros((1, 2)))
    b = 1.7
    grid = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert mistaken(game, b).literal_literal == pytest.approx(float(np.mean(grid / (1 + np.exp(-b * grid)))), abs=1e-9)


def test_a_person_outside_what_the_agent_can_think_of_is_served_by_what_the_agent_takes_them_for() -> None:
    """Who likes one act above all always does it: it tells nothing, and staples are made of whom who would not say."""
    none = unforeseen(PAPERCLIPS, 1.0, np.zeros(3))
    assert none.known == none.unknown == pytest.approx(mistaken(PAPERCLIPS, 1.0).literal_literal)
    always = unforeseen(PAPERCLIPS, 1.0, np.array([1e3, 0, 0]))
    assert always.unknown == pytest.approx(1e3 + 1 + 45)  # the act, and 90 of what is worth one half
    assert always.known == pytest.approx(1e3 + 1 + 50)  # 50 of each, or any other reply, as knowing nothing


def test_an_agent_that_knows_of_a_taste_never_does_worse() -> None:
    random = np.random.default_rng(9)
    costs = []
    for _ in range(100):
        game = Game(random.normal(size=(3, 2)), 2 * random.normal(size=(4, 2)))
        found = unforeseen(game, 2.0, random.normal(size=3))
        costs.append(found.known - found.unknown)
    assert min(costs) >= -1e-12 and sum(each > 1e-3 for each in costs) > 5


@pytest.mark.parametrize("taste", [np.zeros(2), np.array([0.0, np.nan, 0]), np.zeros((3, 1))])
def test_a_taste_is_a_number_for_each_act(taste: np.ndarray) -> None:
    with pytest.raises(InputError, match="a finite number for each of 3 acts"):
        unforeseen(PAPERCLIPS, 1.0, taste)


@pytest.mark.parametrize("rationality", [0.0, -1.0, np.nan, np.inf])
def test_who_errs_has_a_positive_rationality(rationality: float) -> None:
    with pytest.raises(InputError, match="rationality must be a positive number"):
        mistaken(PAPERCLIPS, rationality)
