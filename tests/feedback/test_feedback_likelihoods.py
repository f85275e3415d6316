"""The likelihoods of all kinds of feedback, against closed forms and brute force."""

from itertools import permutations
from math import exp, log

import pytest
import torch

from rrm.core.errors import InputError, ShapeError
from rrm.feedback import comparison, label, ranking, rating
from rrm.feedback.scales import thresholds

R = torch.float64


def test_a_comparison_has_the_odds_of_bradley_and_terry() -> None:
    found = comparison.log_prob(torch.tensor([1.5], dtype=R), torch.tensor([0.5], dtype=R), torch.tensor([0]))
    assert found.item() == pytest.approx(log(1 / (1 + exp(-1))), abs=1e-12)


def test_ties_have_the_odds_of_davidson() -> None:
    a, b, nu = 0.3, -0.9, 0.7
    total = exp(a) + exp(b) + nu * exp((a + b) / 2)
    found = comparison.log_probs(torch.tensor([a], dtype=R), torch.tensor([b], dtype=R), torch.tensor(log(nu)))
    expected = [exp(a) / total, exp(b) / total, nu * exp((a + b) / 2) / total]
    assert found.exp()[0].tolist() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("lapse", [0.0, 0.2])
@pytest.mark.parametrize("tie", [None, torch.tensor(-0.4, dtype=R)])
def test_the_choices_of_a_comparison_sum_to_one_even_far_apart(lapse: float, tie: torch.Tensor | None) -> None:
    a = torch.tensor([0.0, 3.0, 800.0], dtype=R)
    found = comparison.log_probs(a, torch.zeros(3, dtype=R), tie, lapse)
    assert found.exp().sum(-1).tolist() == pytest.approx([1, 1, 1], abs=1e-12)
    assert torch.isfinite(found).all()


def test_a_lapse_bounds_the_pull_of_one_wrong_choice() -> None:
    a = torch.tensor([90.0], requires_grad=True)
    found = comparison.log_prob(a, torch.zeros(1), torch.tensor([1]), lapse=0.1)
    assert found.item() == pytest.approx(log(0.05), abs=1e-5)
    found.backward()
    assert a.grad is not None and abs(a.grad.item()) < 1e-6


def test_rewards_may_be_shifted_together_without_changing_comparisons_and_rankings() -> None:
    rewards = torch.tensor([[0.1, -2.0, 1.3, 0.4]], dtype=R)
    order = torch.tensor([[2, 0, 3]])
    choice, tie = torch.tensor([2]), torch.tensor(0.1, dtype=R)
    for shift in (5.0, -300.0):
        moved = rewards + shift
        assert torch.allclose(ranking.log_prob(rewards, order), ranking.log_prob(moved, order), atol=1e-10)
        before = comparison.log_prob(rewards[:, 0], rewards[:, 1], choice, tie)
        assert torch.allclose(before, comparison.log_prob(moved[:, 0], moved[:, 1], choice, tie), atol=1e-10)


def test_rankings_multiply_the_choices_from_what_is_left() -> None:
    weights = [1.0, 2.0, 4.0]
    found = ranking.log_prob(torch.tensor([weights], dtype=R).log(), torch.tensor([[2, 0, 1]]))
    assert found.exp().item() == pytest.approx(4 / 7 * 1 / 3, abs=1e-12)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_all_rankings_of_a_length_sum_to_one(length: int) -> None:
    rewards = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=R)
    orders = torch.tensor(list(permutations(range(4), length)))
    found = ranking.log_prob(rewards.expand(len(orders), 4), orders)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_padded_ranking_equals_the_short_one_by_itself() -> None:
    rewards = torch.tensor([[0.5, -1.0, 99.0]], dtype=R)
    present = torch.tensor([[True, True, False]])
    padded = ranking.log_prob(rewards, torch.tensor([[1, -1, -1]]), present)
    assert padded.item() == pytest.approx(ranking.log_prob(rewards[:, :2], torch.tensor([[1]])).item(), abs=1e-12)


def test_a_ranking_of_two_is_a_comparison() -> None:
    rewards = torch.tensor([[0.2, 1.1]], dtype=R)
    compared = comparison.log_prob(rewards[:, 0], rewards[:, 1], torch.tensor([1]))
    assert torch.allclose(ranking.log_prob(rewards, torch.tensor([[1, 0]])), compared)


def test_ratings_sum_to_one_over_the_scale_also_at_the_extremes() -> None:
    cuts = torch.tensor([-2.0, -0.5, 0.5, 3.0], dtype=R)
    for reward in (0.0, 1.7, 60.0, -700.0):
        rewards = torch.full((5,), reward, dtype=R)
        found = rating.log_prob(rewards, torch.arange(1, 6), cuts)
        assert torch.isfinite(found).all()
        assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_a_rating_lies_between_its_thresholds() -> None:
    def sigmoid(x: float) -> float:
        return 1 / (1 + exp(-x))

    found = rating.log_prob(torch.tensor([0.4], dtype=R), torch.tensor([2]), torch.tensor([-1.0, 0.7], dtype=R))
    assert found.exp().item() == pytest.approx(sigmoid(0.3) - sigmoid(-1.4), abs=1e-12)


def test_gradients_of_ratings_are_finite_at_both_ends_of_the_scale() -> None:
    rewards = torch.tensor([500.0, -500.0, 0.0], dtype=R, requires_grad=True)
    rating.log_prob(rewards, torch.tensor([1, 3, 2]), torch.tensor([-1.0, 1.0], dtype=R)).sum().backward()
    assert rewards.grad is not None and torch.isfinite(rewards.grad).all()


def test_thresholds_ascend_whatever_the_raw_gaps() -> None:
    found = thresholds(torch.tensor(0.3), torch.tensor([-5.0, 0.0, 4.0]))
    assert found[0].item() == pytest.approx(0.3)
    assert (found.diff() > 0).all()


def test_a_scale_of_two_points_is_a_label() -> None:
    rewards = torch.tensor([0.8, 0.8], dtype=R)
    rated = rating.log_prob(rewards, torch.tensor([2, 1]), torch.tensor([0.0], dtype=R))
    assert torch.allclose(rated, label.log_prob(rewards, torch.tensor([True, False])))
    assert rated.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_half_precision_rewards_are_raised_to_float32() -> None:
    half = torch.tensor([0.5], dtype=torch.bfloat16)
    assert comparison.log_prob(half, half, torch.tensor([0])).dtype == torch.float32
    assert label.log_prob(half, torch.tensor([True])).dtype == torch.float32
    assert label.log_prob(half.double(), torch.tensor([True])).dtype == torch.float64


def test_shapes_that_do_not_fit_are_refused() -> None:
    two, three = torch.zeros(2), torch.zeros(3)
    with pytest.raises(ShapeError, match="reward_a"):
        comparison.log_probs(two, three)
    with pytest.raises(ShapeError):
        comparison.log_prob(two, two, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ShapeError):
        comparison.log_probs(three, three, two)
    with pytest.raises(ShapeError):
        label.log_prob(two, torch.tensor([True]))
    with pytest.raises(ShapeError):
        ranking.log_prob(torch.zeros(1, 2), torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ShapeError):
        rating.log_prob(two, torch.ones(2, dtype=torch.long), torch.zeros(3, 4))
    with pytest.raises(ShapeError):
        label.log_prob(torch.tensor([1]), torch.tensor([True]))


def test_answers_outside_the_choice_set_are_refused() -> None:
    one = torch.zeros(1)
    with pytest.raises(InputError, match="choice"):
        comparison.log_prob(one, one, torch.tensor([2]))
    with pytest.raises(InputError, match="lapse"):
        comparison.log_probs(one, one, lapse=1.0)
    with pytest.raises(InputError, match="rating"):
        rating.log_prob(one, torch.tensor([4]), torch.zeros(2))
    with pytest.raises(InputError, match="twice"):
        ranking.log_prob(torch.zeros(1, 3), torch.tensor([[1, 1]]))
    with pytest.raises(InputError, match="position 3"):
        ranking.log_prob(torch.zeros(1, 3), torch.tensor([[3]]))


def _recover(loss, start: torch.Tensor) -> torch.Tensor:
    rewards = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([rewards], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(rewards)
        value.backward()
        return value

    optimiser.step(closure)
    return rewards.detach()


def test_comparisons_with_ties_give_the_true_rewards_back() -> None:
    truth, tie = torch.tensor([0.0, 1.0, -0.7], dtype=R), torch.tensor(-0.3, dtype=R)
    a, b = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    shares = comparison.log_probs(truth[a], truth[b], tie).exp()  # what infinitely many raters would say
    found = _recover(
        lambda r: -(shares * comparison.log_probs(r[:3][a], r[:3][b], r[3])).sum(), torch.zeros(4, dtype=R)
    )
    assert (found[:3] - found[0]).tolist() == pytest.approx(truth.tolist(), abs=1e-4)
    assert found[3].item() == pytest.approx(-0.3, abs=1e-4)


def test_rankings_give_the_true_rewards_back() -> None:
    truth = torch.tensor([0.0, 1.0, -0.7], dtype=R)
    orders = torch.tensor(list(permutations(range(3))))
    shares = ranking.log_prob(truth.expand(6, 3), orders).exp()
    found = _recover(lambda r: -(shares * ranking.log_prob(r.expand(6, 3), orders)).sum(), torch.zeros(3, dtype=R))
    assert (found - found[0]).tolist() == pytest.approx(truth.tolist(), abs=1e-4)
