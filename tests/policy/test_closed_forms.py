"""Each way of optimising on distributions that can be listed: against linear programmes, Bayes and closed forms."""

from math import exp, inf, log, nan

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.special import expit, logit

from rrm.core.errors import InputError, ShapeError
from rrm.policy.conditioning import RatedAtLeast, bins, conditional, evidence
from rrm.policy.finite import Finite
from rrm.policy.interpolation import between
from rrm.policy.kl_anchored import Tilted, beta_within, objective, optimum, tilted
from rrm.policy.matching import Matched, matched, reachable
from rrm.policy.quantilizer import Quantilized, quantilized
from rrm.policy.reweighted import Rule, at_most


def some(outcomes: int = 12, seed: int = 0, ties: bool = False) -> tuple[Finite, np.ndarray]:
    """A distribution and scores in [0, 1]; with ties, of four values."""
    random = np.random.default_rng(seed)
    scores = random.random(outcomes)
    return Finite.weighted(random.normal(size=outcomes)), np.round(scores * 3) / 3 if ties else scores


def of(*mass: float) -> Finite:
    with np.errstate(divide="ignore"):
        return Finite(np.log(np.array(mass)))


# ---- distributions ----


def test_a_distribution_knows_its_sums() -> None:
    base, other = of(0.5, 0.5, 0.0), of(0.25, 0.5, 0.25)
    assert base.entropy() == pytest.approx(log(2))
    assert base.kl(other) == pytest.approx(0.5 * log(2)) and other.kl(base) == inf and base.kl(base) == 0
    assert base.total_variation(other) == pytest.approx(0.25)
    assert base.mean(np.array([1.0, 3.0, nan])) == 2.0
    assert Finite.mixture((0.5, 0.5), (base, other)).probs == pytest.approx([0.375, 0.5, 0.125])


def test_draws_come_as_often_as_they_should_and_never_what_never_is() -> None:
    base = of(0.0, 0.7, 0.0, 0.3, 0.0)
    drawn = base.draw(np.random.default_rng(1), 10_000)
    assert set(drawn) == {1, 3}
    assert (drawn == 3).mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 10_000))


@pytest.mark.parametrize(
    ("logs", "error", "said"),
    [
        ([log(0.5), log(0.4)], InputError, "2 outcomes sum to 0.9, not to one"),
        ([nan, 0.0], InputError, "sum to nan"),
        ([], ShapeError, "at least one"),
        ([[0.0]], ShapeError, r"got \(1, 1\)"),
    ],
)
def test_what_is_no_distribution_is_refused(logs: list[float], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Finite(np.array(logs))
    with pytest.raises(InputError, match="make no distribution"):
        Finite.weighted(np.array([-inf, -inf]))
    with pytest.raises(ShapeError, match="over 2 and over 3"):
        Finite.uniform(2).kl(Finite.uniform(3))


# ---- KL-anchored RL ----


@pytest.mark.parametrize("beta", [0.05, 0.3, 2.0])
def test_the_tilt_is_the_optimum_of_rl_with_a_kl_penalty(beta: float) -> None:
    base, rewards = some()

    def loss(logits: np.ndarray) -> float:
        return -objective(Finite.weighted(logits), base, rewards, beta)

    found = minimize(loss, base.log_probs, method="BFGS", options={"gtol": 1e-9})
    assert tilted(base, rewards, beta).total_variation(Finite.weighted(found.x)) < 1e-4
    assert -loss(found.x) <= optimum(base, rewards, beta) + 1e-12
    assert objective(tilted(base, rewards, beta), base, rewards, beta) == pytest.approx(optimum(base, rewards, beta))


def test_j_falls_short_of_its_optimum_by_beta_times_the_kl_to_it() -> None:
    (base, rewards), (other, _) = some(1024, 3), some(1024, 4)
    gap = optimum(base, rewards, 0.7) - objective(other, base, rewards, 0.7)
    assert gap == pytest.approx(0.7 * other.kl(tilted(base, rewards, 0.7)), abs=1e-12)


def test_the_tilt_goes_from_the_base_to_the_best() -> None:
    base, rewards = some(ties=True)
    best = rewards == rewards.max()
    assert tilted(base, rewards, inf).total_variation(base) == 0
    assert tilted(base, rewards, 0).probs == pytest.approx(np.where(best, base.probs, 0) / base.probs[best].sum())
    assert tilted(base, np.full(12, 0.3), 0.0).total_variation(base) < 1e-15  # constant: nothing to choose
    never = of(0.5, 0.5, 0.0)
    assert tilted(never, np.array([0.0, 1.0, 9.0]), 0.1).probs[2] == 0
    for wrong, said in ((np.array([0, nan]), "below infinity"), (np.array([0, inf]), "below infinity")):
        with pytest.raises(InputError, match=said):
            tilted(Finite.uniform(2), wrong, 1.0)
    with pytest.raises(InputError, match="none is left"):
        tilted(Finite.uniform(2), np.array([-inf, -inf]), 1.0)
    with pytest.raises(InputError, match="0 or more"):
        tilted(Finite.uniform(2), np.zeros(2), -1.0)


def test_a_bounded_reward_bounds_every_likelihood_ratio() -> None:
    base, rewards = some(200, 5)
    ratios = tilted(base, rewards, 0.2).probs / base.probs
    assert ratios.max() <= exp(np.ptp(rewards) / 0.2) and ratios.min() >= exp(-np.ptp(rewards) / 0.2)


def test_the_logarithm_of_the_acceptance_as_reward_makes_it_exact_conditioning() -> None:
    base, acceptance = some(200, 6)
    posterior = base.probs * acceptance / (base.probs @ acceptance)
    assert Tilted(1.0, "log_acceptance")(base, acceptance, ()).probs == pytest.approx(posterior, abs=1e-16)
    acceptance[::2] = 0.0
    assert conditional(base, acceptance).total_variation(Tilted(1.0, "log_acceptance")(base, acceptance, ())) < 1e-15


@pytest.mark.parametrize("kl", [1e-6, 0.1, 1.0, 2.0])
def test_the_beta_of_a_budget_uses_it_up(kl: float) -> None:
    base, rewards = some(50, 7)
    found = tilted(base, rewards, beta_within(base, rewards, kl)).kl(base)
    assert found <= kl and found == pytest.approx(kl, rel=1e-6)
    assert beta_within(base, rewards, -log(base.probs[rewards.argmax()])) == 0.0
    with pytest.raises(InputError, match=r"takes 0.693 nats of 0.1"):
        beta_within(of(0.5, 0.25, 0.25), np.array([-inf, 0.0, 0.1]), 0.1)


# ---- quantilizer ----


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("q", [0.01, 0.2, 0.7, 1.0])
def test_a_quantilizer_is_the_optimum_of_its_linear_programme(q: float, ties: bool) -> None:
    base, scores = some(ties=ties)
    found = quantilized(base, scores, q)
    by_lp = linprog(-scores, A_eq=np.ones((1, 12)), b_eq=[1.0], bounds=[(0, p / q) for p in base.probs])
    assert found.mean(scores) == pytest.approx(-by_lp.fun, abs=1e-9)
    assert (found.probs / base.probs).max() <= 1 / q + 1e-9
    assert found.kl(base) <= -log(q) + 1e-12


def test_a_quantilizer_splits_the_threshold_and_shares_among_equals() -> None:
    base, scores = of(0.1, 0.2, 0.3, 0.4), np.array([3.0, 2.0, 2.0, 1.0])
    # by hand: the best takes .1 / .4, the two at the threshold share the rest as 2 to 3
    assert quantilized(base, scores, 0.4).probs == pytest.approx([0.25, 0.3, 0.45, 0])
    assert quantilized(base, scores, 0.6).kl(base) == pytest.approx(log(1 / 0.6))  # nothing is split
    assert quantilized(base, scores, 1e-12).probs == pytest.approx([1, 0, 0, 0])
    for q in (0.0, -0.1, 1.1, nan):
        with pytest.raises(InputError, match=r"lies in \(0, 1\]"):
            quantilized(base, scores, q)


# ---- conditioning ----


def test_conditionals_of_the_bins_mix_to_the_base_and_cost_their_surprise() -> None:
    base, scores = some(40, 8, ties=True)
    binned = bins(base, scores, 5)
    parts, weights = [], []
    for which in np.unique(binned):
        event = (binned == which).astype(float)
        parts.append(conditional(base, event))
        weights.append(exp(evidence(base, event)))
        assert parts[-1].kl(base) == pytest.approx(-log(base.probs[binned == which].sum()), abs=1e-12)
    assert Finite.mixture(weights, parts).total_variation(base) < 1e-15
    assert all(len(set(binned[scores == value])) == 1 for value in scores)  # equal scores share a bin
    means = [part.mean(scores) for part in parts]
    assert means == sorted(means)
    with pytest.raises(InputError, match="no outcome can bring about"):
        conditional(of(1.0, 0.0), np.array([0.0, 1.0]))


def test_what_is_asked_for_is_as_high_as_the_budget_allows() -> None:
    base, scores = of(0.1, 0.2, 0.3, 0.4), np.array([0.9, 0.7, 0.7, 0.2])
    assert RatedAtLeast(0.5)(base, scores, ()).probs == pytest.approx([1 / 6, 2 / 6, 3 / 6, 0])
    assert RatedAtLeast(0.5, 0.3)(base, scores, ()).total_variation(base) < 1e-15  # -log .6 is more than .3
    assert RatedAtLeast(0.95)(base, scores, ()).probs == pytest.approx([1, 0, 0, 0])  # nobody reaches it
    assert RatedAtLeast(1.0, -log(0.6))(base, scores, ()).probs == pytest.approx([1 / 6, 2 / 6, 3 / 6, 0])


# ---- matching ----


def test_one_binary_feature_has_the_difference_of_logits_as_lambda() -> None:
    base, scores = some(100, 9)
    feature = (scores > 0.4).astype(float)
    found = matched(base, feature[:, None], np.array([0.9]))
    assert found.steepness[0] == pytest.approx(logit(0.9) - logit(base.mean(feature)), abs=1e-9)
    assert found.distribution.mean(feature) == pytest.approx(0.9, abs=1e-10)


def test_the_match_is_the_nearest_of_all_that_have_the_means() -> None:
    random = np.random.default_rng(10)
    base, features = Finite.weighted(random.normal(size=8)), random.random((8, 2))
    goal = Finite.weighted(random.normal(size=8)).probs @ features
    found = matched(base, features, goal).distribution
    equal = [{"type": "eq", "fun": lambda p: np.append(features.T @ p - goal, p.sum() - 1)}]
    start = np.full(8, 1 / 8)
    by_search = minimize(
        lambda p: (p * (np.log(p) - base.log_probs)).sum(), start, bounds=[(1e-9, 1)] * 8, constraints=equal, tol=1e-12
    )
    assert found.probs == pytest.approx(by_search.x, abs=1e-4)
    assert found.kl(base) <= by_search.fun + 1e-9


def test_targets_that_cannot_be_had_are_refused_and_approached() -> None:
    base, scores = some(20, 11)
    with pytest.raises(InputError, match="no policy over these 20 outcomes"):
        matched(base, scores[:, None], np.array([1.5]))
    share = reachable(base, scores[:, None], np.array([1.5]))
    assert share == pytest.approx(0.98 * (scores.max() - base.mean(scores)) / (1.5 - base.mean(scores)), rel=1e-6)
    texts = [" ".join(["word"] * count) for count in range(20)]
    twice = reachable(base, np.stack([scores, scores], axis=1), np.array([1.5, 1.5]))
    assert twice == pytest.approx(share, rel=1e-6)  # the linear programme agrees
    near = Matched((("acceptance", 1.5), ("words", 10.0)), inf)(base, scores, texts)
    assert near.mean(scores) > base.mean(scores)
    tight = Matched((("acceptance", 1.5), ("words", 10.0)), 0.25)(base, scores, texts)
    assert tight.kl(base) == pytest.approx(0.25, rel=1e-6) and tight.kl(base) <= 0.25


# ---- between two ----


def test_the_geometric_mean_is_the_path_of_tilts() -> None:
    base, rewards = some(30, 12)
    half = between(base, tilted(base, rewards, 0.1), 0.5)
    assert half.total_variation(tilted(base, rewards, 0.2)) < 1e-12
    assert between(of(1.0, 0.0), of(0.5, 0.5), 0.3).probs == pytest.approx([1, 0])
    with pytest.raises(InputError, match="make no distribution"):
        between(of(1.0, 0.0), of(0.0, 1.0), 0.5)
    with pytest.raises(InputError, match=r"lies in \[0, 1\]"):
        between(base, base, 1.2)


# ---- what all rules promise ----

BUDGET = 0.4
RULES: tuple[Rule, ...] = (
    Quantilized(exp(-BUDGET)),
    Tilted(0.0, most=BUDGET),
    Tilted(0.5, most=BUDGET),
    Tilted(0.0, "log_acceptance", BUDGET),
    RatedAtLeast(0.5, BUDGET),
    Matched((("acceptance", 0.9),), BUDGET),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("ties", [False, True])
def test_a_rule_spends_at_most_what_it_says_and_gains_score(rule: Rule, ties: bool) -> None:
    for seed in range(5):
        base, scores = some(16, seed, ties)
        found = rule(base, expit(3 * scores), [""] * 16)
        assert found.kl(base) <= rule.most + 1e-9 and rule.most == pytest.approx(BUDGET)
        assert found.mean(scores) >= base.mean(scores) - 1e-12
    flat = rule(base, np.full(16, 0.7), [""] * 16)
    assert flat.total_variation(base) < 1e-9  # constant scores: nothing to prefer


def test_the_largest_argument_within_a_budget_is_found() -> None:
    assert at_most(lambda x: x * x, 2.0, 0.01) == pytest.approx(2**0.5, rel=1e-12)
    assert at_most(lambda x: x * x, 2.0, 0.01) ** 2 <= 2.0
    assert at_most(lambda x: 1 - exp(-x), 2.0, 1.0) == inf
