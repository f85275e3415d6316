"""Walks against brute force: every sum over selections by dynamic programming, and every gradient."""

from collections.abc import Callable
from itertools import product
from math import exp, inf, log

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.policy.selection import Walk

SEEDS = range(6)


def walk(seed: int, variant: int = 0, sentences: int = 6, budget: int = 11) -> Walk:
    """A random walk; variants of a seed have other logits, but the same sentences and the same limits."""
    tokens = np.random.default_rng(seed).integers(1, 6, sentences)
    logits = np.random.default_rng([seed, variant]).normal(size=(sentences, budget + 1)) * 2
    logits[tokens[:, None] > np.arange(budget + 1)] = -inf
    logits[2] = -inf  # one that is never taken
    return Walk(tuple(f"s{index}." for index in range(sentences)), tokens, logits)


def by_hand(walk: Walk) -> dict[tuple[int, ...], float]:
    """The probability of every selection, decision by decision from the definition."""
    found = {}
    for bits in product((False, True), repeat=len(walk.texts)):
        left, chance = walk.budget, 1.0
        for index, take in enumerate(bits):
            taking = 1 / (1 + exp(-walk.logits[index, left])) if walk.logits[index, left] > -inf else 0.0
            chance *= taking if take else 1 - taking
            if chance == 0:
                break
            left -= int(walk.tokens[index]) * take
        if chance > 0:
            found[tuple(np.flatnonzero(bits).tolist())] = chance
    return found


def slopes(at: Walk, value: Callable[[Walk], float], step: float = 1e-6) -> np.ndarray:
    """Central differences of a value by each finite logit."""
    found = np.zeros_like(at.logits)
    for place in zip(*np.nonzero(np.isfinite(at.logits)), strict=True):
        up, down = at.logits.copy(), at.logits.copy()
        up[place] += step
        down[place] -= step
        found[place] = (value(Walk(at.texts, at.tokens, up)) - value(Walk(at.texts, at.tokens, down))) / (2 * step)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_the_selections_are_those_of_the_definition_with_their_probabilities(seed: int) -> None:
    found = {each.chosen: exp(each.log_prob) for each in walk(seed).selections()}
    expected = by_hand(walk(seed))
    assert found.keys() == expected.keys()
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)
    for chosen, chance in expected.items():
        assert found[chosen] == pytest.approx(chance, rel=1e-10)
        assert walk(seed).log_prob(walk(seed).write(chosen)) == pytest.approx(log(chance), abs=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_kl_entropy_and_expected_sum_are_the_sums_over_all_selections(seed: int) -> None:
    mine, theirs = by_hand(walk(seed)), by_hand(walk(seed, 1))
    kl = sum(p * log(p / theirs[chosen]) for chosen, p in mine.items())
    assert walk(seed).kl(walk(seed, 1)) == pytest.approx(kl, abs=1e-10)
    assert walk(seed).entropy() == pytest.approx(-sum(p * log(p) for p in mine.values()), abs=1e-10)
    values = np.random.default_rng(seed).normal(size=6)
    expected = sum(p * values[list(chosen)].sum() for chosen, p in mine.items())
    assert walk(seed).expected_sum(values) == pytest.approx(expected, abs=1e-10)
    assert walk(seed).kl(walk(seed)) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_are_central_differences(seed: int) -> None:
    at, other, values = walk(seed), walk(seed, 1), np.random.default_rng(seed).normal(size=6)
    assert at.kl_gradient(other) == pytest.approx(slopes(at, lambda each: each.kl(other)), abs=1e-8)
    assert at.expected_sum_gradient(values) == pytest.approx(
        slopes(at, lambda each: each.expected_sum(values)), abs=1e-8
    )


def test_a_selections_score_is_the_gradient_of_its_log_probability() -> None:
    at = walk(3)
    for chosen in by_hand(at):
        found = np.zeros_like(at.logits)
        found[np.arange(6), at.path(chosen)] = at.score(chosen)
        text = at.write(chosen)
        differences = slopes(at, lambda each, text=text: each.log_prob(text))
        assert found == pytest.approx(differences, abs=1e-8)


def test_information_is_the_mean_square_of_the_scores_and_the_cross_terms_vanish() -> None:
    at = walk(4)
    states = at.logits.size
    squares = np.zeros((states, states))
    for chosen, chance in by_hand(at).items():
        score = np.zeros_like(at.logits)
        score[np.arange(6), at.path(chosen)] = at.score(chosen)
        squares += chance * np.outer(score, score)
    assert squares == pytest.approx(np.diag(at.information().ravel()), abs=1e-12)


def test_draws_come_as_often_as_their_probability_says() -> None:
    at, n = walk(5), 20_000
    drawn = [at.draw(generator("draws", number)) for number in range(n)]
    for chosen, chance in by_hand(at).items():
        found = [each for each in drawn if each.chosen == chosen]
        assert len(found) / n == pytest.approx(chance, abs=5 * np.sqrt(chance / n))
        assert all(each.log_prob == pytest.approx(log(chance)) for each in found)


def test_what_has_to_be_taken_is_taken_and_costs_nothing() -> None:
    sure = Walk(("a", "b"), np.array([1, 1]), np.array([[-inf, 0.0], [-inf, inf]]))  # exactly one of the two
    assert {each.chosen: exp(each.log_prob) for each in sure.selections()} == {(0,): 0.5, (1,): 0.5}
    assert sure.entropy() == pytest.approx(log(2))
    other = Walk(sure.texts, sure.tokens, np.array([[-inf, log(3)], [-inf, inf]]))
    assert sure.kl(other) == pytest.approx(0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25))
    assert np.isfinite(sure.kl_gradient(other)).all()
    assert sure.log_prob("") == -inf
    assert {sure.draw(generator("sure", n)).chosen for n in range(50)} == {(0,), (1,)}


def test_kl_is_infinite_where_the_other_never_goes() -> None:
    never = Walk(("a",), np.array([1]), np.array([[-inf, -inf]]))
    some = Walk(("a",), np.array([1]), np.array([[-inf, 0.0]]))
    assert some.kl(never) == inf
    assert never.kl(some) == pytest.approx(log(2))  # it leaves for certain what the other takes half the time


def test_selections_that_read_alike_have_their_probabilities_added() -> None:
    half = np.where(np.arange(4) >= 1, 0.0, -inf)
    alike = Walk(("A.", "B.", "A. B."), np.array([1, 1, 1]), np.tile(half, (3, 1)))
    assert alike.log_prob("A. B.") == pytest.approx(log(2 / 8))
    assert alike.log_prob("A. B. A. B.") == pytest.approx(log(1 / 8))
    for text in ("B. A.", "A.B.", "A. ", " A.", "A", "A. B. C."):
        assert alike.log_prob(text) == -inf


def test_other_sentences_or_another_budget_are_refused() -> None:
    with pytest.raises(InputError, match="same tokenizer"):
        walk(1).kl(walk(1, budget=10))


def test_a_walk_without_sentences_is_sure_of_nothing() -> None:
    empty = Walk((), np.zeros(0, dtype=np.int64), np.zeros((0, 5)))
    assert (empty.entropy(), empty.kl(empty), empty.log_prob(""), empty.log_prob("x")) == (0, 0, 0, -inf)
    assert empty.draw(generator("empty")).chosen == ()
