"""All kinds together: the joint likelihood and the exact posterior, against sums written out in plain Python."""

from collections.abc import Sequence
from itertools import accumulate, pairwise, permutations
from math import exp, log, pi, sqrt

import numpy as np
import pytest
import torch

from rrm.core.errors import ShapeError
from rrm.core.values import (
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rated,
    Rating,
    Reject,
)
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.posterior import log_posterior
from rrm.feedback.scales import Scales
from rrm.feedback.table import FeedbackTable, tabulate
from tests.feedback.feedback_problems import told

MIXED = [
    told(Comparison(1), ["a", "b"], "Bob"),
    told(Comparison(None), ["b", "c"], "Ann", confidence=0.7),
    told(Ranking((2, 0)), ["c", "b", "a"], "Ann"),
    told(Ranking((1, 0)), ["a", "b"], "Bob", confidence=0.5),
    told(Ranking((0, 2, 1), tied=(2,)), ["c", "d", "b"], "Cem", confidence=0.8),
    told(Label(True), ["d"], "Cem", source="t"),
    told(Label(False), ["a"], "Ann"),
    told(Rating(2, 5), ["a"], "Bob"),
    told(Rating(5, 5), ["c"], "Ann", confidence=0.9),
    told(Rating(2.5, 7), ["b"], "Cem"),
    told(Correction("a!"), ["a"], "Cem"),
    told(Correction("a?"), ["a"], "Bob", confidence=0.6),
    told(Demonstration("e"), ["b"], "Ann"),
    told(Critique("one names nobody", consistent=(1,)), ["a", "b", "c"], "Cem"),
    told(Reject("not English"), ["a", "d"], "Bob"),
]
SHIFT_FREE = [row for row in MIXED if row.request.kind not in ("label", "rating", "reject")]


def set_at_random(scales: Scales, seed: int) -> Scales:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in scales.parameters():
            parameter += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return scales


def hypotheses(table: FeedbackTable, count: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).normal(scale=1.5, size=(count, len(table.items))))


def sigmoid(logit: float) -> float:
    return 1 / (1 + exp(-logit))


def by_hand(row: Rated, place: int, table: FeedbackTable, rewards: Sequence[float], scales: Scales) -> float:
    """The probability of one answer, straight from the formulas, the lapse and the confidence included."""
    answer, r = row.feedback.answer, [rewards[item] for item in table.row_items[place]]
    rater = {each.name: each for each in scales.raters()}[row.feedback.rater]
    t = scales.log_temperatures()[0, scales.names.index(rater.name)].exp().item() if scales.reliability else 1.0
    anchor = scales.anchor().item()
    if isinstance(answer, Comparison):
        margin = (r[0] - r[1]) / t + rater.bias
        weights = [exp(margin / 2), exp(-margin / 2), exp(scales.log_tie.item())]
        p, blind = weights[2 if answer.better is None else answer.better] / sum(weights), 1 / 3
    elif isinstance(answer, Ranking):
        rank = list(accumulate(place not in answer.tied for place in answer.best_first))
        p, blind = 0.0, 0.0
        for order in permutations(range(len(answer.best_first))):  # every order that agrees with what was said
            if all(rank[one] <= rank[other] for one, other in pairwise(order)):
                left, each, even = list(range(len(r))), 1.0, 1.0
                for best in (answer.best_first[place] for place in order):
                    each, even = each * exp(r[best] / t) / sum(exp(r[other] / t) for other in left), even / len(left)
                    left.remove(best)
                p, blind = p + each, blind + even
    elif isinstance(answer, Label):
        good = sigmoid((r[0] + anchor - rater.severity) / t)
        p, blind = good if answer.good else 1 - good, 0.5
    elif isinstance(answer, Rating) and answer.points == 5:
        cuts = [-1e9, *scales.thresholds(0)[0].tolist(), 1e9]
        below, above = (min(max((cut + rater.severity - r[0]) / t, -500), 500) for cut in cuts[answer.value - 1 :][:2])
        p, blind = sigmoid(above) - sigmoid(below), 1 / 5
    elif isinstance(answer, Rating):
        offset, unit, noise = (each.item() for each in scales.quantity(1))
        off = (answer.value - 4) / 3 - offset - unit * (r[0] - rater.severity)
        sd = unit * noise * t
        p, blind = exp(-0.5 * (off / sd) ** 2) / sd / sqrt(2 * pi), 1 / 2
    elif isinstance(answer, (Correction, Demonstration)):
        p, blind = exp(r[0] / t) / sum(exp(each / t) for each in r), 1 / len(r)
    elif isinstance(answer, Critique):
        named = [r[at] for at in answer.consistent or ()]
        rest = [each for at, each in enumerate(r) if at not in (answer.consistent or ())]
        p, blind = sigmoid((sum(named) / len(named) - sum(rest) / len(rest)) / t), 0.5
    else:
        p, blind = 1 - sigmoid((sum(r) / len(r) + anchor) / t), 0.5
    attentive = (row.feedback.confidence or 1.0) * (1 - rater.lapse)
    return attentive * p + (1 - attentive) * blind


@pytest.mark.parametrize("reliability", [False, True])
def test_the_posterior_over_64_hypotheses_is_bayes_rule_written_out(reliability: bool) -> None:
    table = tabulate(MIXED)
    scales = set_at_random(Scales(table, reliability=reliability), 3)
    grid, prior = hypotheses(table), np.random.default_rng(1).dirichlet(np.ones(64))
    found = log_posterior(grid, table, scales, torch.from_numpy(np.log(prior))).exp()
    weights = []
    for rewards, weight in zip(grid.tolist(), prior, strict=True):
        for place, row in enumerate(MIXED):
            weight *= by_hand(row, place, table, rewards, scales)
        weights.append(weight)
    np.testing.assert_allclose(found, np.array(weights) / sum(weights), atol=1e-12, rtol=0)


def test_log_likelihoods_come_row_by_row_in_the_order_of_the_rows() -> None:
    table = tabulate(MIXED)
    scales = set_at_random(Scales(table), 5)
    rewards = hypotheses(table, 3)
    found = log_likelihood(rewards, table, scales)
    assert found.shape == (3, table.rows)
    for member in range(3):
        for place, row in enumerate(MIXED):
            expected = log(by_hand(row, place, table, rewards[member].tolist(), scales))
            assert found[member, place].item() == pytest.approx(expected, abs=1e-10)


def test_graded_comparisons_are_read_with_their_strengths() -> None:
    answers = [Comparison(0, 0.1), Comparison(1, 0.9), Comparison(None), Comparison(1)]
    table = tabulate([told(answer, ["a", "b"]) for answer in answers])
    scales = set_at_random(Scales(table), 2)
    gaps = [log(1 + exp(each)) for each in scales.grade_gaps[0].tolist()]
    tie, one, two = gaps[0], gaps[0] + gaps[1], sum(gaps)
    margin = 0.4
    expected = [
        sigmoid(one - margin) - sigmoid(tie - margin),
        sigmoid(-two - margin),
        sigmoid(tie - margin) - sigmoid(-tie - margin),
        sigmoid(-tie - margin),
    ]
    found = log_likelihood(torch.tensor([[margin, 0.0]], dtype=torch.float64), table, scales)
    assert found.exp()[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_rewards_that_count_for_nothing_give_the_prior_back() -> None:
    table, prior = tabulate(MIXED), torch.from_numpy(np.random.default_rng(1).dirichlet(np.ones(64))).log()
    found = log_posterior(hypotheses(table), table, None, prior, beta=0.0)
    torch.testing.assert_close(found, prior, atol=1e-12, rtol=0)
    assert not torch.allclose(log_posterior(hypotheses(table), table, None, prior), prior, atol=0.1)


def test_a_wrong_choice_set_shifts_the_posterior() -> None:
    edits = [told(Correction("a!"), ["a"]), told(Correction("a?"), ["a"])]
    grid = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)  # a!, a, a?
    alone, together = log_posterior(grid[:, :2], tabulate(edits[:1])), log_posterior(grid, tabulate(edits))
    assert alone.exp().tolist() == pytest.approx([0.5, 0.5])
    e = exp(1.0)
    both, one = (e / (2 * e + 1)) ** 2, e / (e + 2) * 1 / (e + 2)
    assert together.exp()[0].item() == pytest.approx(both / (both + one), abs=1e-12)


def test_feedback_that_only_compares_does_not_see_a_shift_of_all_rewards() -> None:
    table = tabulate(SHIFT_FREE)
    scales, rewards = set_at_random(Scales(table), 4), hypotheses(table, 5)
    for shift in (3.0, -50.0):
        found = log_likelihood(rewards + shift, table, scales)
        torch.testing.assert_close(found, log_likelihood(rewards, table, scales), atol=1e-10, rtol=0)


def test_the_order_of_feedback_makes_no_difference() -> None:
    order = np.random.default_rng(3).permutation(len(MIXED)).tolist()
    table, other = tabulate(MIXED), tabulate([MIXED[place] for place in order])
    scales, grid = set_at_random(Scales(table), 6), hypotheses(table)
    at = [table.items.index(item) for item in other.items]
    same = Scales(other)
    same.load_state_dict(scales.state_dict())
    found = log_posterior(grid[:, at], other, same)
    torch.testing.assert_close(found, log_posterior(grid, table, scales), atol=1e-12, rtol=0)


def test_rows_taken_from_a_table_are_as_likely_as_in_it() -> None:
    table = tabulate(MIXED)
    scales, rewards = set_at_random(Scales(table, members=2), 8), hypotheses(table, 2)
    whole = log_likelihood(rewards, table, scales)
    for rows in ([3], [14, 0, 9], [11, 10], [4, 2], list(range(len(MIXED)))):
        taken, old = table.take(rows)
        found = log_likelihood(rewards[:, old], taken, scales)
        torch.testing.assert_close(found, whole[:, rows], atol=1e-12, rtol=0)
    assert log_likelihood(rewards[:, :0], table.take([])[0], scales).shape == (2, 0)


def test_full_confidence_is_as_none_and_less_bounds_the_pull_of_an_answer() -> None:
    plain, sure = (tabulate([told(Comparison(0), ["a", "b"], confidence=each)]) for each in (None, 1.0))
    rewards = torch.tensor([[-30.0, 30.0]])
    assert torch.equal(*(log_likelihood(rewards, each, Scales(each)) for each in (plain, sure)))
    doubted = tabulate([told(Comparison(0), ["a", "b"], confidence=0.8)])
    assert log_likelihood(rewards, doubted, Scales(doubted)).item() == pytest.approx(log(0.1), abs=1e-5)


@pytest.mark.parametrize("kinds", [[Comparison(0), Comparison(1, 0.7)], [Label(True)], [Rating(3)]])
def test_one_rater_and_raters_not_told_apart_are_exactly_neutral(kinds: list[Comparison | Label | Rating]) -> None:
    rows = [told(answer, ["a", "b"][: 2 if isinstance(answer, Comparison) else 1]) for answer in kinds]
    one = tabulate(rows)
    two = tabulate([*rows, *(told(row.feedback.answer, [s.text for s in row.request.shown], "Bob") for row in rows)])
    rewards = torch.tensor([[0.3, -0.2]], dtype=torch.float64)[:, : len(one.items)]
    neutral = log_likelihood(rewards, one, Scales(one))
    found = log_likelihood(rewards, two, Scales(two, reliability=False))
    assert torch.equal(found, neutral.repeat(1, 2))
    for scales in (Scales(one), Scales(two, reliability=False)):
        assert {rater[1:4] + rater[5:] for rater in scales.raters()} == {(1.0, 0.0, 0.0, 0.0)}


def test_raters_start_alike_with_temperatures_of_geometric_mean_one_and_few_lapses() -> None:
    table = tabulate(MIXED)
    fresh, moved = Scales(table), set_at_random(Scales(table, members=3), 1)
    for rater in fresh.raters():
        assert (rater.temperature, rater.bias, rater.severity) == (1.0, 0.0, 0.0) and 0 < rater.lapse < 0.03
    assert [rater.rows for rater in fresh.raters()] == [5, 5, 5]
    mean = moved.log_temperatures() @ torch.tensor([5.0, 5.0, 5.0], dtype=torch.float64)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-12, rtol=0)
    assert moved.log_prior().max().item() < fresh.log_prior().max().item()


def test_float32_rewards_give_float32_and_nearly_the_same() -> None:
    table = tabulate(MIXED)
    scales = set_at_random(Scales(table, members=2), 8)
    rewards = hypotheses(table, 2)
    single = log_likelihood(rewards.float(), table, scales)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), log_likelihood(rewards, table, scales), atol=2e-5, rtol=1e-5)
    assert log_likelihood(rewards.bfloat16(), table, scales).dtype == torch.float32


def test_gradients_reach_rewards_and_every_parameter_that_is_read() -> None:
    table = tabulate(MIXED)
    scales, rewards = Scales(table), hypotheses(table, 1).requires_grad_(True)
    (log_likelihood(rewards, table, scales).sum() + scales.log_prior().sum()).backward()
    assert rewards.grad is not None and bool(torch.isfinite(rewards.grad).all())
    for parameter in scales.parameters():
        assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all())


def test_rewards_that_do_not_fit_are_refused() -> None:
    table = tabulate(MIXED)
    with pytest.raises(ShapeError, match="items"):
        log_likelihood(torch.zeros(2, 3), table, Scales(table))
    with pytest.raises(ShapeError, match="members"):
        log_likelihood(torch.zeros(2, len(table.items)), table, Scales(table, members=3))
    with pytest.raises(ShapeError, match="one member"):
        log_posterior(hypotheses(table), table, Scales(table, members=2))


def test_the_anchor_is_the_labels_intercept_or_else_the_middle_of_the_main_scale() -> None:
    labels, points = [told(Label(True), ["a"])], [told(Rating(2, 5), ["a"]), told(Rating(3, 5), ["b"])]
    both = set_at_random(Scales(tabulate(labels + points), anchor_prior=np.array([0.4])), 1)
    assert both.anchor().item() == pytest.approx(0.4 + both.shift.item())
    ordinal = set_at_random(Scales(tabulate(points)), 1)
    cuts = ordinal.thresholds(0)[0].tolist()
    assert ordinal.anchor().item() == pytest.approx(-(cuts[1] + cuts[2]) / 2)
    quantity = set_at_random(Scales(tabulate([told(Rating(2.5, 5), ["a"])])), 1)
    offset, unit, _ = (each.item() for each in quantity.quantity(0))
    # at reward -anchor the regression gives 0, the middle of the scale
    assert offset + unit * -quantity.anchor().item() == pytest.approx(0, abs=1e-12)
