"""Every kind of feedback: its likelihood adds up to one over what might have been answered, and is the formula's."""

from collections.abc import Callable
from importlib import import_module
from itertools import permutations, product
from math import exp, log

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from rrm.core.errors import InputError, ShapeError
from rrm.core.values import KINDS
from rrm.feedback import choice, claims, comparison, correction, critique, demonstration, label, ranking, rating, reject

R = torch.float64
REWARDS = torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=R)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=R)


def all_choices(log_prob: Callable[..., Tensor], temperature: Tensor, lapse: Tensor) -> Tensor:
    chosen = torch.arange(4)
    return log_prob(REWARDS.expand(4, 4), chosen, temperature=temperature, lapse=lapse)


def comparisons(temperature: Tensor, lapse: Tensor) -> Tensor:
    a, b = REWARDS[:1].expand(3), REWARDS[1:2].expand(3)
    return comparison.log_prob(a, b, torch.arange(3), number(-0.4), lapse, temperature, number(0.7))


def rankings(temperature: Tensor, lapse: Tensor) -> Tensor:
    orders = torch.tensor(list(permutations(range(4), 2)))
    return ranking.log_prob(REWARDS.expand(12, 4), orders, None, temperature, lapse)


def ratings(temperature: Tensor, lapse: Tensor) -> Tensor:
    cuts = torch.tensor([-2.0, -0.5, 0.5, 3.0], dtype=R)
    return rating.log_prob(REWARDS[:1].expand(5), torch.arange(1, 6), cuts, temperature, number(0.8), lapse)


def labels(temperature: Tensor, lapse: Tensor) -> Tensor:
    return label.log_prob(REWARDS[:1].expand(2), torch.tensor([True, False]), temperature, number(0.8), lapse)


def critiques(temperature: Tensor, lapse: Tensor) -> Tensor:
    consistent = torch.tensor([[True, False, True, False], [False, True, False, True]])
    return critique.log_prob(REWARDS.expand(2, 4), consistent, None, temperature, lapse)


def claim_marks(temperature: Tensor, lapse: Tensor) -> Tensor:
    parts = torch.tensor(list(product((claims.RIGHT, claims.MARKED), repeat=4)))
    return claims.log_prob(REWARDS.expand(16, 4), parts, number(0.6), temperature, number(0.8), lapse)


def rejections(temperature: Tensor, lapse: Tensor) -> Tensor:
    rejected = torch.tensor([True, False])
    return reject.log_prob(REWARDS.expand(2, 4), rejected, number(-0.3), None, temperature, lapse)


ANSWERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "comparison": comparisons,
    "hindsight": comparisons,
    "ranking": rankings,
    "rating": ratings,
    "label": labels,
    "correction": lambda temperature, lapse: all_choices(correction.log_prob, temperature, lapse),
    "demonstration": lambda temperature, lapse: all_choices(demonstration.log_prob, temperature, lapse),
    "critique": critiques,
    "claims": claim_marks,
    "reject": rejections,
}


def test_every_kind_has_a_likelihood_and_is_tested_here() -> None:
    assert set(ANSWERS) == set(KINDS)
    for kind in KINDS:
        assert callable(import_module(f"rrm.feedback.{kind}").log_prob)


@pytest.mark.parametrize("lapse", [0.0, 0.3])
@pytest.mark.parametrize("temperature", [0.01, 1.0, 40.0])
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_answers_of_every_kind_sum_to_one(kind: str, temperature: float, lapse: float) -> None:
    found = ANSWERS[kind](number(temperature), number(lapse))
    assert torch.isfinite(found).all()
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_blind_rater_of_any_kind_gives_every_answer_equally_often(kind: str) -> None:
    found = ANSWERS[kind](number(1.0), number(1 - 1e-15)).exp()
    np.testing.assert_allclose(found, 1 / len(found), atol=1e-12)


# ---- choices in general ----


def test_a_choice_has_the_odds_of_the_mean_reward_of_what_it_means() -> None:
    grounding = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75], [0, 0, 1, 0]], dtype=R)
    means = [-0.25, 0.25 * 2 + 0.75 * 0.3, 2.0]
    weights = [exp(mean / 0.5) for mean in means]
    found = choice.log_probs(REWARDS, grounding, temperature=0.5)
    assert found.exp().tolist() == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-12)


def test_a_smaller_set_beside_larger_ones_is_as_by_itself() -> None:
    present = torch.tensor([[True, True, True, True], [True, False, True, False]])
    chosen, lapse = torch.tensor([1, 2]), number(0.2)
    found = choice.log_prob(REWARDS.expand(2, 4), chosen, None, present, lapse=lapse)
    alone = choice.log_prob(REWARDS[[0, 2]], torch.tensor(1), lapse=lapse)
    assert found[1].item() == pytest.approx(alone.item(), abs=1e-12)


def test_choices_may_all_be_worth_more_without_changing_the_odds() -> None:
    for shift in (7.0, -400.0):
        assert torch.allclose(choice.log_probs(REWARDS), choice.log_probs(REWARDS + shift), atol=1e-10)


def test_what_is_no_choice_is_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 3"):
        choice.log_prob(REWARDS, torch.tensor(4))
    with pytest.raises(InputError, match="absent"):
        choice.log_prob(REWARDS, torch.tensor(0), None, torch.tensor([False, True, True, True]))
    with pytest.raises(InputError, match="distributions"):
        choice.log_probs(REWARDS, torch.full((2, 4), 0.3, dtype=R))
    with pytest.raises(InputError, match="lapse"):
        choice.log_probs(REWARDS, lapse=1.0)
    with pytest.raises(InputError, match="present"):
        choice.log_probs(REWARDS, present=torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ShapeError, match="grounding"):
        choice.log_probs(REWARDS, torch.full((2, 3), 1 / 3, dtype=R))
    with pytest.raises(ShapeError, match="choices"):
        choice.log_prob(REWARDS, torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="temperature"):
        choice.log_probs(REWARDS.expand(2, 4), temperature=torch.ones(3))


# ---- comparisons ----


def test_what_is_shown_first_has_its_bias_more_and_the_margin_is_at_the_raters_temperature() -> None:
    one, zero, first = torch.tensor([1.5], dtype=R), torch.tensor([0.5], dtype=R), torch.tensor([0])
    found = comparison.log_prob(one, zero, first, None, 0.0, number(2.0), number(0.3))
    assert found.exp().item() == pytest.approx(1 / (1 + exp(-(1 / 2 + 0.3))), abs=1e-12)
    swapped = comparison.log_prob(zero, one, first + 1, None, 0.0, number(2.0), number(0.3))
    assert swapped.exp().item() == pytest.approx(1 / (1 + exp(-(1 / 2 - 0.3))), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("margin", [0.0, 1.7, -60.0, 700.0])
def test_choices_with_strengths_sum_to_one(margin: float, ties: bool) -> None:
    bounds = comparison.grade_bounds(torch.tensor([-0.3, 0.2, 1.0][: 2 + ties], dtype=R), ties)
    assert len(bounds) == 3 and (bounds.diff() > 0).all() and (bounds[0] > 0) == ties
    answers = [(side, grade) for side in (0, 1) for grade in (0, 1, 2)] + [(2, 0)] * ties
    side, grade = torch.tensor(answers).T
    a = torch.full((len(answers),), margin, dtype=R)
    found = comparison.graded_log_prob(a, torch.zeros_like(a), side, grade, bounds, number(0.1), 1.3, number(0.4))
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)
    alone = torch.tensor([0, 1] + [2] * ties)
    rest = comparison.graded_log_prob(
        a[: len(alone)], torch.zeros(len(alone), dtype=R), alone, torch.full_like(alone, -1), bounds, number(0.1)
    )
    assert rest.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_stronger_preference_lies_beyond_its_bound() -> None:
    def sigmoid(logit: float) -> float:
        return 1 / (1 + exp(-logit))

    bounds, margin = torch.tensor([0.5, 1.5], dtype=R), 0.8
    a, b = torch.full((5,), margin, dtype=R), torch.zeros(5, dtype=R)
    side, grade = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 1, 0])
    found = comparison.graded_log_prob(a, b, side, grade, bounds).exp()
    expected = [
        sigmoid(1.5 - margin) - sigmoid(0.5 - margin),
        1 - sigmoid(1.5 - margin),
        sigmoid(-0.5 - margin) - sigmoid(-1.5 - margin),
        sigmoid(-1.5 - margin),
        sigmoid(0.5 - margin) - sigmoid(-0.5 - margin),
    ]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_one_grade_without_ties_is_bradley_and_terry() -> None:
    a, b, side = REWARDS, REWARDS.flip(0), torch.tensor([0, 1, 0, 1])
    bounds = comparison.grade_bounds(torch.zeros(0, dtype=R), ties=False)
    for grade in (torch.zeros(4, dtype=torch.long), torch.full((4,), -1)):
        found = comparison.graded_log_prob(a, b, side, grade, bounds)
        assert torch.allclose(found, comparison.log_prob(a, b, side), atol=1e-12)


def test_grades_off_their_scale_and_ties_without_room_are_refused() -> None:
    one, side = torch.zeros(1), torch.tensor([0])
    with pytest.raises(InputError, match="grade"):
        comparison.graded_log_prob(one, one, side, side + 1, torch.zeros(1))
    with pytest.raises(InputError, match="tie"):
        comparison.graded_log_prob(one, one, side + 2, side, torch.zeros(1))


# ---- ratings that are quantities ----


def test_a_quantity_has_the_normal_density_of_its_regression() -> None:
    reward, value = torch.tensor([0.4, -1.0], dtype=R), torch.tensor([0.2, 0.9], dtype=R)
    found = rating.log_density(reward, value, 0.1, 0.25, 1.8, 1.5, 0.3)
    expected = norm.logpdf(value.numpy(), 0.1 + 0.25 * (reward.numpy() - 0.3), 0.25 * 1.8 * 1.5)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_density_of_a_quantity_integrates_to_one() -> None:
    grid = torch.linspace(-30, 30, 60_001, dtype=R)
    found = rating.log_density(torch.full_like(grid, 0.4), grid, 0.1, 0.25, 1.8).exp()
    assert torch.trapezoid(found, grid).item() == pytest.approx(1, abs=1e-9)
    on_scale = torch.linspace(-1, 1, 2001, dtype=R)
    blind = rating.log_density(torch.full_like(on_scale, 0.4), on_scale, lapse=1 - 1e-12).exp()
    assert torch.trapezoid(blind, on_scale).item() == pytest.approx(1, abs=1e-9)


# ---- severity, pools, critiques, rejections ----


def test_a_severe_rater_gives_as_much_less_as_a_worse_output_would_get() -> None:
    cuts, value = torch.tensor([-1.0, 0.5], dtype=R), torch.tensor([1, 2, 3, 2])
    severe = rating.log_prob(REWARDS, value, cuts, severity=0.7)
    assert torch.allclose(severe, rating.log_prob(REWARDS - 0.7, value, cuts), atol=1e-12)
    good = torch.tensor([True, False, True, True])
    assert torch.allclose(label.log_prob(REWARDS, good, severity=0.7), label.log_prob(REWARDS - 0.7, good), atol=1e-12)


def test_a_pool_drawn_unevenly_is_put_right_by_its_proposal() -> None:
    # All four texts in the pool, text 2 as if it came twice as often: its odds are halved.
    log_proposal = torch.tensor([1.0, 1.0, 2.0, 1.0], dtype=R).log()
    weights = [exp(0.5), exp(-1.0), exp(2.0) / 2, exp(0.3)]
    found = demonstration.log_prob(REWARDS, torch.tensor(0), log_proposal=log_proposal)
    assert found.exp().item() == pytest.approx(weights[0] / sum(weights), abs=1e-12)


def test_many_pools_estimate_the_sum_over_all_texts() -> None:
    rng = np.random.default_rng(0)
    rewards, proposal = rng.normal(size=50), rng.dirichlet(np.ones(50))
    log_all = log(np.exp(rewards).sum())
    pools = rng.choice(50, size=(2000, 40), p=proposal)
    scores = torch.from_numpy(rewards[pools])
    log_q = torch.from_numpy(np.log(40 * proposal[pools]))
    found = -demonstration.log_prob(scores, torch.zeros(2000, dtype=torch.long), log_proposal=log_q)
    totals = (found + scores[:, 0] - log_q[:, 0]).exp()
    assert totals.mean().log().item() == pytest.approx(log_all, abs=0.05)


def test_a_critique_means_the_outputs_that_it_speaks_for_against_the_others() -> None:
    consistent = torch.tensor([True, False, True, False])
    for_two, for_rest = (0.5 + 2.0) / 2, (-1.0 + 0.3) / 2
    found = critique.log_prob(REWARDS, consistent)
    assert found.exp().item() == pytest.approx(1 / (1 + exp(for_rest - for_two)), abs=1e-12)
    others = torch.tensor([[True, False, True, False], [True, True, True, True], [False, True, False, False]])
    weights = [exp(for_two), exp((0.5 - 1 + 2 + 0.3) / 4), exp(-1.0)]
    among = critique.log_prob(REWARDS, others, chosen=torch.tensor(0))
    assert among.exp().item() == pytest.approx(weights[0] / sum(weights), abs=1e-12)
    with pytest.raises(InputError, match="speaks for"):
        critique.log_prob(REWARDS, torch.ones(4, dtype=torch.bool))


def test_a_rejection_is_off_against_the_mean_of_what_was_shown() -> None:
    present = torch.tensor([True, True, False, False])
    found = reject.log_prob(REWARDS, torch.tensor(True), -0.3, present)
    assert found.exp().item() == pytest.approx(1 / (1 + exp(-0.25 - 0.3)), abs=1e-12)


def test_every_kind_computes_in_at_least_float32_and_in_the_rewards_type() -> None:
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float32, torch.float32), (R, R)):
        rewards = REWARDS.to(dtype)
        two, yes = torch.tensor([True, False, True, False]), torch.tensor(True)
        kinds = [
            choice.log_prob(rewards, torch.tensor(0), lapse=0.1),
            correction.log_prob(rewards, torch.tensor(0)),
            demonstration.log_prob(rewards, torch.tensor(0)),
            critique.log_prob(rewards, two),
            reject.log_prob(rewards, yes),
            ranking.log_prob(rewards, torch.tensor([0, 1]), lapse=0.1),
            rating.log_prob(rewards, torch.ones(4, dtype=torch.long), torch.zeros(1), lapse=0.1),
            rating.log_density(rewards, torch.zeros(4)),
            label.log_prob(rewards, two, lapse=0.1),
        ]
        assert {found.dtype for found in kinds} == {expected}


# ---- claim marks ----


def test_marks_are_labels_of_claims_and_what_is_missing_a_comparison() -> None:
    parts = torch.tensor([claims.MARKED, claims.OUTPUT, claims.ADDED, claims.RIGHT, claims.NONE])
    rewards = torch.tensor([0.4, -0.7, 1.1, 2.0, 99.0], dtype=R)
    found = claims.log_prob(rewards, parts, intercept=0.3, temperature=2.0, severity=0.1)
    marked, right, better = (0.4 + 0.2) / 2, (2.0 + 0.2) / 2, (1.1 + 0.7) / 2
    expected = log(1 - 1 / (1 + exp(-marked))) + log(1 / (1 + exp(-right))) + log(1 / (1 + exp(-better)))
    assert found.item() == pytest.approx(expected, abs=1e-12)
