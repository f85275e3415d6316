"""Best of n: its KL from closed form and by brute force, its estimator, and what its sampler keeps."""

import json
from collections.abc import Sequence
from itertools import combinations, product
from math import exp, inf, log, nan
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError, ShapeError
from rrm.core.ids import seed_for
from rrm.core.protocols import Optimiser, Policy, PromptContext, Seen, Workspace
from rrm.core.roles import Final, Role, Select
from rrm.core.values import Group
from rrm.policy.best_of_n import (
    STATE,
    BestOfN,
    best_of,
    expected_best,
    kl_bound,
    kl_estimate,
    largest_n,
    soft_best_of,
)
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from rrm.policy.finite import Finite
from rrm.policy.kl_anchored import Tilted, tilted
from rrm.policy.log_linear import LogLinear
from rrm.policy.reweighted import Reweighted
from tests.policy.policy_scenes import Known, early, prompt_context, proposed

SHORT = "Anna left. Peter wept. Nobody spoke."


def length(group: Group, text: str) -> float:
    return len(text) / 1000


def unseen(given: PromptContext) -> Seen:
    """A prompt context at which nothing was proposed yet."""
    return Seen("one", given, ())


def exact_kl(mass: Sequence[float], scores: Sequence[float], n: int) -> float:
    base = of(mass)
    return best_of(base, np.array(scores), n).kl(base)


def of(mass: Sequence[float]) -> Finite:
    with np.errstate(divide="ignore"):
        return Finite(np.log(np.array(mass)))


def best(n: int, scorer: Known, anchor: Policy | None = None) -> Reweighted:
    """The policy of the best of n."""
    return Reweighted(anchor or Careless(), scorer, Tilted(0.0), samples=n, most=0)


def kept_by_hand(probabilities: Sequence[float], scores: Sequence[float], n: int) -> np.ndarray:
    """How probably each output is kept: every sequence of n draws, the first of the best kept."""
    kept = np.zeros(len(scores))
    for drawn in product(range(len(scores)), repeat=n):
        kept[max(drawn, key=lambda at: scores[at])] += np.prod([probabilities[at] for at in drawn])
    return kept


@pytest.mark.parametrize(
    ("n", "nats"), [(1, 0.0), (2, 0.1931), (4, 0.6363), (16, 1.8351), (64, 3.1745), (1000, 5.9088)]
)
def test_the_bound_is_that_of_the_literature(n: int, nats: float) -> None:
    assert kl_bound(n) == pytest.approx(nats, abs=6e-5)


def test_ten_equal_items_are_much_nearer_than_the_bound_says() -> None:
    uniform, scores = np.full(10, 0.1), np.arange(10.0)
    # by hand: the top of ten is kept with 1 - 0.9^64, the next with 0.9^64 - 0.8^64, and so on
    kept = np.diff((np.arange(11) / 10) ** 64)
    by_hand = sum(p * log(p / 0.1) for p in kept if p > 0)
    assert exact_kl(list(uniform), list(scores), 64) == pytest.approx(by_hand, rel=1e-12)
    assert exact_kl(list(uniform), list(scores), 64) < log(10) < kl_bound(64)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("scores", [[0.1, 0.4, 0.2, 0.3], [0.1, 0.4, 0.4, 0.1], [0.5] * 4])
def test_the_exact_kl_is_that_of_all_sequences_of_draws_ties_included(n: int, scores: list[float]) -> None:
    base = [0.4, 0.3, 0.2, 0.1]
    kept = kept_by_hand(base, scores, n)
    assert kept.sum() == pytest.approx(1)
    expected = sum(p * log(p / q) for p, q in zip(kept, base, strict=True))
    assert best_of(of(base), np.array(scores), n).probs == pytest.approx(kept, abs=1e-12)
    assert exact_kl(base, scores, n) == pytest.approx(expected, abs=1e-12)
    assert exact_kl(base, scores, n) <= kl_bound(n) + 1e-12


def test_many_small_items_reach_the_bound() -> None:
    many = 200_000
    assert exact_kl([1 / many] * many, list(range(many)), 16) == pytest.approx(kl_bound(16), abs=1e-4)


def test_what_is_never_proposed_is_never_kept() -> None:
    assert exact_kl([0.5, 0.5, 0.0], [1.0, 2.0, 3.0], 2) == pytest.approx(0.25 * log(0.5) + 0.75 * log(1.5))


@pytest.mark.parametrize(
    ("mass", "scores", "n", "said"),
    [
        ([0.5, 0.4], [1, 2], 2, "sum to 0.9, not to one"),
        ([0.5, 0.5], [1, nan], 2, "got nan for outcome 1"),
        ([0.5, 0.5], [1, inf], 2, "got inf for outcome 1"),
        ([0.5, 0.5], [1, 2], 0, "needs n >= 1"),
    ],
)
def test_what_is_no_distribution_is_refused(mass: list[float], scores: list[float], n: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        exact_kl(mass, scores, n)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"2 outcomes need as many scores, got \(3,\)"):
        exact_kl([0.5, 0.5], [1.0, 2.0, 3.0], 2)


def test_the_best_of_very_many_is_exact_where_powers_underflow() -> None:
    # the best outcome is missed with (1 - 1e-9)^n: of a thousand million draws with 1/e
    found = best_of(of([1e-9, 1 - 1e-9]), np.array([1.0, 0.0]), 10**9)
    assert found.probs[0] == pytest.approx(1 - exp(-1), rel=1e-8)
    # of 64 draws, the worst of two equal outcomes is kept with 2^-64, which 1 - (1 - 2^-64) would lose
    assert best_of(Finite.uniform(2), np.array([0.0, 1.0]), 64).log_probs[0] == pytest.approx(-64 * log(2), rel=1e-12)


def soft_by_hand(probabilities: Sequence[float], scores: Sequence[float], n: int, beta: float) -> np.ndarray:
    """How probably each output is kept softly: every sequence of n draws, one kept by its weight."""
    kept, weights = np.zeros(len(scores)), np.exp(np.array(scores) / beta)
    for drawn in product(range(len(scores)), repeat=n):
        chance = np.prod([probabilities[at] for at in drawn])
        for at in drawn:
            kept[at] += chance * weights[at] / weights[list(drawn)].sum()
    return kept


@pytest.mark.parametrize("beta", [0.05, 0.5, 20.0])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_soft_best_of_n_is_that_of_all_sequences_of_draws(n: int, beta: float) -> None:
    mass, scores = [0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.4, 0.9]
    found = soft_best_of(of(mass), np.array(scores), n, beta)
    assert found.probs == pytest.approx(soft_by_hand(mass, scores, n, beta), abs=1e-12)


def test_soft_best_of_n_lies_between_the_base_the_best_and_the_optimum_of_rl() -> None:
    base, scores = of([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.4, 0.2, 0.9])
    assert soft_best_of(base, scores, 5, 1e-3).total_variation(best_of(base, scores, 5)) < 1e-12
    assert soft_best_of(base, scores, 5, 1e6).total_variation(base) < 1e-5
    # its distance from the tilt falls as 1 / n
    apart = [soft_best_of(base, scores, n, 0.5).total_variation(tilted(base, scores, 0.5)) for n in (100, 1000)]
    assert apart[0] / apart[1] == pytest.approx(10, rel=0.05)
    with pytest.raises(InputError, match="softness beta"):
        soft_best_of(base, scores, 5, 0.0)


def test_the_kl_is_estimated_from_what_was_chosen() -> None:
    # K = 10 equal items, n = 64: exact 1.632 by the closed form above, bound 3.175
    base, random = Finite.uniform(10), np.random.default_rng(0)
    kept = best_of(base, np.arange(10.0), 64)
    drawn = kept.draw(random, 20_000)
    assert kl_estimate(base.log_probs[drawn], 64) == pytest.approx(kept.kl(base), abs=0.7)
    assert kl_estimate(np.full(5, -800.0), 64) == kl_bound(64)
    assert kl_estimate(np.zeros(3), 64) == 0.0
    with pytest.raises(InputError, match="0 or less"):
        kl_estimate(np.array([0.1]), 4)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_the_estimator_is_the_mean_over_all_subsets(n: int) -> None:
    gold = np.array([0.3, 0.1, 0.9, 0.2, 0.8, 0.4])
    expected = np.mean([gold[max(chosen)] for chosen in combinations(range(6), n)])
    assert expected_best(gold, n) == pytest.approx(expected, abs=1e-15)


def test_the_estimator_holds_for_many_samples_and_refuses_too_few() -> None:
    # the mean of the largest of n of the numbers 1 to N, without replacement, is n (N + 1) / (n + 1)
    assert expected_best(np.arange(1, 60_001), 1000) == pytest.approx(1000 * 60_001 / 1001, rel=1e-10)
    for gold, n in ((np.ones(3), 4), (np.ones(3), 0), (np.ones((2, 2)), 1), (np.ones(0), 1)):
        with pytest.raises(InputError, match="cannot be estimated"):
            expected_best(gold, n)


@pytest.mark.parametrize(("budget", "n"), [(0.1931, 1), (0.1932, 2), (1.0, 6), (1.1, 7), (100.0, 10**6), (1e-9, 1)])
def test_the_largest_n_within_a_budget(budget: float, n: int) -> None:
    assert largest_n(budget) == n


def test_the_sampler_keeps_what_the_scorer_likes_best(tmp_path) -> None:
    given, longer = prompt_context(), Known(length)
    seen = [unseen(given)]
    found = BestOfN(n=8).improve(Careless(), Careless(), seen, longer, 2.0, 0, Workspace(tmp_path))
    assert isinstance(BestOfN(), Optimiser) and isinstance(found.sampler, Policy)
    assert (found.kl, found.how) == (kl_bound(8), "bound")
    [kept] = proposed(found.sampler, given, 1, 3)
    candidates = proposed(Careless(), given, 8, seed_for(3, 0))
    assert len(kept.text) == max(len(each.text) for each in candidates) > min(len(each.text) for each in candidates)
    assert kept.text in {each.text for each in candidates}


def test_the_samplers_outputs_are_its_own_and_repeat_themselves() -> None:
    given, sampler = prompt_context(), best(4, Known(length))
    outputs = proposed(sampler, given, 10, 3)
    assert proposed(sampler, given, 2, 3) == outputs[:2]
    assert {output.policy for output in outputs} == {sampler.name}
    assert len({output.text for output in outputs}) > 1
    assert all(output.log_prob is None and output.node == given.node for output in outputs)
    others = [
        best(5, Known(length)),
        best(4, Known(length), Extractive()),
        best(4, Known(early, "x")),
    ]
    assert len({each.name for each in [sampler, *others]}) == 4


def test_kept_outputs_come_as_often_as_the_exact_distribution_says() -> None:
    given, n = prompt_context(SHORT, limit=6), 3
    walk = Extractive().walk(given)
    texts = {walk.write(each.chosen): exp(each.log_prob) for each in walk.selections()}
    scores = [len(text) for text in texts]
    kept = kept_by_hand(list(texts.values()), scores, n)
    drawn = [o.text for o in proposed(best(n, Known(length), Extractive()), given, 1500, 0)]
    for text, chance in zip(texts, kept, strict=True):
        assert drawn.count(text) / 1500 == pytest.approx(chance, abs=5 * np.sqrt(chance / 1500) + 1e-12)


def test_where_all_outputs_are_known_the_kl_is_exact(tmp_path) -> None:
    given = prompt_context(SHORT, limit=6)
    walk = LogLinear().walk(given)
    texts = {walk.write(each.chosen): exp(each.log_prob) for each in walk.selections()}
    assert len(texts) <= 8
    found = BestOfN().improve(
        LogLinear(),
        LogLinear(),
        [unseen(given)],
        Known(length),
        0.7,
        0,
        Workspace(tmp_path),
    )
    kept = kept_by_hand(list(texts.values()), [len(text) for text in texts], 4)
    assert found.how == "exact"
    assert found.kl == pytest.approx(sum(p * log(p / q) for p, q in zip(kept, texts.values(), strict=True) if p > 0))
    assert found.kl < kl_bound(4)
    mixed = [unseen(given), unseen(prompt_context())]
    found = BestOfN().improve(LogLinear(), LogLinear(), mixed, Known(early), 0.7, 0, Workspace(tmp_path))
    assert found.how == "bound"
    assert found.kl < kl_bound(4)


def test_an_n_beyond_the_budget_and_other_nonsense_are_refused(tmp_path) -> None:
    seen = [unseen(prompt_context())]
    with pytest.raises(InputError, match="set n to at most 6"):
        BestOfN(n=7).improve(Careless(), Careless(), seen, Known(early), 1.0, 0, Workspace(tmp_path))
    for budget in (0.0, -1.0, nan, inf):
        with pytest.raises(InputError, match="positive number of nats"):
            BestOfN().improve(Careless(), Careless(), seen, Known(early), budget, 0, Workspace(tmp_path))
    with pytest.raises(InputError, match="given none"):
        BestOfN().improve(Careless(), Careless(), [], Known(early), 1.0, 0, Workspace(tmp_path))
    for settings in ({"n": 0}, {"most": -1}, {"beta": -0.1}):
        with pytest.raises(InputError, match="best-of-n needs"):
            BestOfN(**settings)
    with pytest.raises(InputError, match="must be finite"):
        proposed(best(2, Known(lambda group, text: nan), Extractive()), prompt_context(), 1, 0)


@pytest.mark.parametrize("role", [Select, Final])
def test_a_scorer_that_may_not_be_optimised_against_is_refused(tmp_path: Path, role: type[Role]) -> None:
    judge = Known(early, role=role)
    with pytest.raises(RoleError, match=f"not of role {role.name}"):
        BestOfN().improve(Careless(), Careless(), [unseen(prompt_context())], judge, 1.0, 0, Workspace(tmp_path))
    BestOfN().improve(Careless(), Careless(), [unseen(prompt_context())], Known(early), 1.0, 0, Workspace(tmp_path))
    with pytest.raises(RoleError, match=f"not of role {role.name}"):
        BestOfN().load(tmp_path, Careless(), judge)
    assert judge.calls == 0


@pytest.mark.parametrize("method", [BestOfN(), BestOfN(n=3)])
def test_what_was_saved_is_loaded_as_the_same_policy(tmp_path: Path, method: BestOfN) -> None:
    given = prompt_context()
    made = method.improve(Careless(), Careless(), [unseen(given)], Known(length), 2.0, 0, Workspace(tmp_path)).sampler
    loaded = method.load(tmp_path, Careless(), Known(length))
    assert loaded.name == made.name != Careless().name
    assert proposed(loaded, given, 5, 3) == proposed(made, given, 5, 3)


@pytest.mark.parametrize("state", [{}, {"n": "2"}, {"n": 0}])
def test_a_folder_that_does_not_say_how_many_is_refused(tmp_path: Path, state: dict[str, object]) -> None:
    (tmp_path / STATE).write_text(json.dumps(state))
    with pytest.raises(InputError, match="best of how many"):
        BestOfN().load(tmp_path, Careless(), Known(early))
