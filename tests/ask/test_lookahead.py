"""Delivering, asking first or leaving it to the person: against the exact games, by hand, and against all plans."""

import numpy as np
import pytest
from scipy.special import expit, log_expit, softmax

from rrm.ask.assistance import Game, apart, deferring, highest, mistaken
from rrm.ask.lookahead import Act, Prospects, look_ahead, worth_a_minute
from rrm.core.errors import InputError, ShapeError
from rrm.policy.finite import Finite

PAPERCLIPS = Game(np.array([[0, 2.0], [1, 1], [2, 0]]), np.array([[0, 90.0], [50, 50], [90, 0]]))
NOTHING_ASKED = np.empty((0, 2, 151)), np.empty(0)


def lines(of: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return of[:, :1] + (of[:, 1:] - of[:, :1]) * theta


@pytest.mark.parametrize("mean", [-0.4, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("rationality", [0.5, 1.0, 8.0])
def test_what_is_left_to_a_person_is_the_off_switch_game(mean: float, rationality: float) -> None:
    points, mass = np.polynomial.hermite_e.hermegauss(151)
    acting = mean + points
    worth = np.stack([acting, np.zeros_like(acting)])
    person = np.stack([expit(rationality * acting), expit(-rationality * acting)])
    belief = Finite.weighted(np.log(mass))
    plan = look_ahead(belief, Prospects(worth, *NOTHING_ASKED, person), 0.0)
    gain = deferring(mean, 1.0, rationality)
    assert plan.value - max(mean, 0.0) == pytest.approx(max(gain, 0.0), abs=1e-9)
    assert (plan.act == Act("leave")) == (gain > 0)


def test_a_person_s_act_is_a_question_in_the_game_of_paperclips_and_staples() -> None:
    points, mass = np.polynomial.legendre.leggauss(2)
    stretches = highest(PAPERCLIPS.person)
    theta = np.concatenate([s.begin + (s.end - s.begin) * (points + 1) / 2 for s in stretches])
    weight = np.concatenate([(s.end - s.begin) * mass / 2 for s in stretches])
    with np.errstate(divide="ignore"):
        acts = np.log([[float(s.line == act) for s in stretches for _ in points] for act in range(3)])
    prospects = Prospects(lines(PAPERCLIPS.agent, theta), acts[None], np.zeros(1))
    own = lines(PAPERCLIPS.person, theta).max(axis=0) @ weight
    plan = look_ahead(Finite.weighted(np.log(weight)), prospects, 0.0)
    assert plan.value + own == pytest.approx(apart(PAPERCLIPS).value, abs=1e-9)


def test_the_act_of_a_person_who_errs_is_a_question_too() -> None:
    points, mass = np.polynomial.legendre.leggauss(400)
    theta, mass = (points + 1) / 2, mass / 2
    person, agent = lines(PAPERCLIPS.person, theta), lines(PAPERCLIPS.agent, theta)
    acts = softmax(person, axis=0)
    plan = look_ahead(Finite.weighted(np.log(mass)), Prospects(agent, np.log(acts)[None], np.zeros(1)), 0.0)
    own = float(((acts * person) @ mass).sum())
    assert plan.value + own == pytest.approx(mistaken(PAPERCLIPS, 1.0).literal_literal, abs=1e-9)


def made_up(seed: int, questions: int = 3, worlds: int = 6) -> tuple[Finite, Prospects]:
    random = np.random.default_rng([18, seed])
    answers = np.log(random.dirichlet(np.ones(2), size=(questions, worlds)).transpose(0, 2, 1))
    person = random.dirichlet(np.ones(4), size=worlds).T
    worth = random.normal(size=(4, worlds))
    minutes = random.uniform(0.1, 1.0, questions)
    return Finite.weighted(random.normal(size=worlds)), Prospects(worth, answers, minutes, person, 1.5)


def every_plan(weights: np.ndarray, of: Prospects, price: float, steps: int) -> float:
    """The best net value of all plans, over unnormalised weights [worlds]: each answer followed by each plan."""
    found = [float(row @ weights) for row in of.worth]
    assert of.person is not None
    found.append(float((of.person * of.worth).sum(axis=0) @ weights) - price * of.person_minutes * weights.sum())
    for question in range(len(of.answers)) if steps else ():
        after = [every_plan(weights * np.exp(row), of, price, steps - 1) for row in of.answers[question]]
        found.append(sum(after) - price * float(of.minutes[question]) * weights.sum())
    return max(found)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_no_plan_of_so_many_answers_is_better(steps: int) -> None:
    for seed in range(10):
        belief, prospects = made_up(seed)
        for price in (0.0, 0.05, 0.5):
            plan = look_ahead(belief, prospects, price, steps)
            assert plan.net(price) == pytest.approx(every_plan(belief.probs, prospects, price, steps), abs=1e-12)
            assert look_ahead(belief, prospects, price, steps, width=1).net(price) <= plan.net(price) + 1e-12


def test_two_answers_pay_where_one_cannot_change_what_is_delivered() -> None:
    # sure of .7, or a bet that is worth 1 where both answers come out right: one answer moves it to .5 at most
    right = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0]])
    worth = np.stack([np.full(4, 0.7), right.prod(axis=0)])
    with np.errstate(divide="ignore"):
        answers = np.log(np.stack([right, 1 - right], axis=1))
    prospects, belief = Prospects(worth, answers, np.full(2, 0.1)), Finite.uniform(4)
    assert look_ahead(belief, prospects, 0.1, steps=1).act == Act("deliver", 0)
    plan = look_ahead(belief, prospects, 0.1, steps=2)
    # where the first comes out wrong nothing more is asked
    assert plan.act.kind == "ask" and plan.value == pytest.approx(0.775) and plan.minutes == pytest.approx(0.15)
    assert worth_a_minute(belief, prospects, steps=1) == (look_ahead(belief, prospects, 0.0, 0), 0.0)
    assert worth_a_minute(belief, prospects, steps=2)[1] == pytest.approx(0.075 / 0.15)


def test_what_a_plan_gains_a_minute_is_the_price_at_which_it_just_does_not_pay() -> None:
    for seed in range(10):
        belief, prospects = made_up(seed)
        plan, price = worth_a_minute(belief, prospects, steps=2)
        now = float((prospects.worth @ belief.probs).max())
        if price:
            assert (plan.value - now) / plan.minutes == pytest.approx(price)
            assert look_ahead(belief, prospects, 0.99 * price, 2).act.kind != "deliver"
        assert look_ahead(belief, prospects, 1.01 * price + 1e-9, 2).act.kind == "deliver"


def test_who_is_paid_nothing_and_tells_all_is_always_asked() -> None:
    plan, price = worth_a_minute(
        Finite.uniform(2), Prospects(np.eye(2), log_expit([[[9.0, -9], [-9, 9]]]), np.zeros(1))
    )
    assert plan.act == Act("ask", 0) and price == np.inf


@pytest.mark.parametrize(
    ("worth", "answers", "minutes", "person", "error", "said"),
    [
        (np.empty((0, 2)), np.empty((0, 2, 2)), np.empty(0), None, ShapeError, "at least one"),
        (np.eye(2), np.zeros((1, 1, 3)), np.ones(1), None, ShapeError, "2 worlds"),
        (np.eye(2), np.zeros((1, 1, 2)), np.ones(2), None, ShapeError, "minutes"),
        (np.eye(2), np.zeros((1, 1, 2)), np.ones(1), np.ones((1, 2)), ShapeError, "left to choose"),
        (np.full((1, 2), np.nan), np.zeros((1, 1, 2)), np.ones(1), None, InputError, "finite number"),
        (np.eye(2), np.zeros((1, 1, 2)), -np.ones(1), None, InputError, "from 0 up"),
        (np.eye(2), np.zeros((1, 2, 2)), np.ones(1), None, InputError, "sum to one"),
        (np.eye(2), np.zeros((1, 1, 2)), np.ones(1), np.eye(2) / 2, InputError, "sum to one"),
    ],
)
def test_what_does_not_fit_is_refused(
    worth: np.ndarray, answers: np.ndarray, minutes: np.ndarray, person: np.ndarray | None, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        Prospects(worth, answers, minutes, person)


def test_other_worlds_and_prices_below_zero_are_refused() -> None:
    prospects = Prospects(np.eye(2), np.empty((0, 1, 2)), np.empty(0))
    with pytest.raises(ShapeError, match="do not fit"):
        look_ahead(Finite.uniform(3), prospects, 0.0)
    with pytest.raises(InputError, match="from 0 up"):
        look_ahead(Finite.uniform(2), prospects, -1.0)
