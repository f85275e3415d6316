"""Distribution matching, laws, best-of-n, quantilizers, conditioning (rows 4 to 8) and the nearest tilt (row 32)."""

from itertools import combinations, product
from math import exp, log

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.special import logit
from scipy.stats import norm

from rrm.policy.finite import Finite
from rrm.policy.sequences import PrefixTree
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle, equal, require, world

# ---- row 4: matching ----


def _one_feature(of: Methods) -> None:
    base, scores = world()
    feature = (scores > 0.4).astype(float)
    found = of.matched(base, feature[:, None], np.array([0.9]))
    expected = logit(0.9) - logit(base.mean(feature))
    equal(found.steepness, [expected], 1e-6, "lambda of one yes/no feature")
    equal(found.distribution.mean(feature), 0.9, 1e-8, "the feature's mean")


def _nearest_match(of: Methods) -> None:
    random = np.random.default_rng(1)
    base, features = Finite.weighted(random.normal(size=12)), random.random((12, 2))
    goal = Finite.weighted(random.normal(size=12)).probs @ features
    found = of.matched(base, features, goal).distribution
    equal(found.probs @ features, goal, 1e-8, "the features' means")
    # directions that keep mass and means: no step along them comes nearer to the base
    constraints = np.vstack([features.T, np.ones(12)])
    free = np.linalg.svd(constraints)[2][3:]
    slope = free @ (np.log(found.probs) - base.log_probs)
    equal(slope, np.zeros(len(free)), 1e-6, "the slope of the KL among all with these means")


def _modes(of: Methods) -> None:
    """Of unimodal policies the reverse KL prefers one mode of two, at ln 2, and the forward KL covers both."""
    points = np.arange(41.0)

    def bump(centre: float, width: float) -> Finite:
        return Finite.weighted(-((points - centre) ** 2) / (2 * width**2))

    target = Finite.mixture((0.5, 0.5), (bump(8, 1.5), bump(32, 1.5)))
    family = [bump(centre, width) for centre in range(41) for width in (1.5, 3.0, 6.0, 12.0, 15.0)]
    by_reverse = min(family, key=lambda member: of.kl(member, target))
    by_forward = min(family, key=lambda member: of.kl(target, member))
    equal(of.kl(by_reverse, target), log(2), 1e-3, "the least reverse KL of one mode of two")
    least = min(by_forward.probs[5:12].sum(), by_forward.probs[29:36].sum())
    require(least > 0.05, "the policy nearest by forward KL leaves a mode uncovered")
    require(min(by_reverse.probs[5:12].sum(), by_reverse.probs[29:36].sum()) < 1e-6, "reverse KL must settle on a mode")


# ---- row 5: laws of over-optimisation ----

_D = np.sqrt([log(n) - (n - 1) / n for n in (2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 512, 1000)])


def _best_of_n_law(of: Methods) -> None:
    noise = np.random.default_rng(2).normal(0, 0.002, len(_D))
    law = of.fit_law(list(_D**2), list(_D * (0.49 - 0.12 * _D) + noise), "best_of_n")
    equal(law.alpha, 0.49, 0.49 * 0.05, "alpha of best of n")
    equal(law.beta, 0.12, 0.12 * 0.1, "beta of best of n")
    equal(law.gold(4.0), 2 * (law.alpha - 2 * law.beta), 1e-9, "gold at 4 nats by the law of best of n")


def _rl_law(of: Methods) -> None:
    d = np.linspace(0.5, 8, 20)
    law = of.fit_law(list(d**2), list(d * (0.35 - 0.14 * np.log(d))), "rl")
    equal([law.alpha, law.beta], [0.35, 0.14], 1e-9, "alpha and beta of RL without noise")
    equal(law.peak, exp(2 * (0.35 / 0.14 - 1)), 1e-6, "the KL at the peak of RL")


def _peaks(of: Methods) -> None:
    law = of.fit_law(list(_D**2), list(_D * (0.49 - 0.12 * _D)), "best_of_n")
    equal(law.peak, 4.168, 5e-3, "the KL at the peak of best of n with the smallest published proxy")
    equal(law.gold(law.peak), 0.49**2 / (4 * 0.12), 1e-9, "gold at the peak")


def _forms(of: Methods) -> None:
    noise = np.random.default_rng(3).normal(0, 0.003, 20)
    d = np.linspace(0.4, 6, 20)
    one = of.choose_law(list(d**2), list(d * (0.6 - 0.09 * d) + noise))
    other = of.choose_law(list(d**2), list(d * (0.35 - 0.14 * np.log(d)) + noise))
    require((one.form, other.form) == ("best_of_n", "rl"), "BIC must pick the form that the points were made by")


# ---- row 6: best of n ----


def _draws(of: Methods) -> None:
    mass = np.array([0.4, 0.3, 0.2, 0.1])
    for scores in ([0.1, 0.4, 0.2, 0.3], [0.1, 0.4, 0.4, 0.1], [0.5] * 4):
        for n in (1, 2, 4):
            kept = np.zeros(4)
            for drawn in product(range(4), repeat=n):
                kept[max(drawn, key=lambda at: scores[at])] += mass[list(drawn)].prod()
            found = of.best_of(Finite(np.log(mass)), np.array(scores), n)
            equal(found.probs, kept, 1e-10, f"the best of {n} of four outcomes")


def _bound(of: Methods) -> None:
    base, scores = Finite.uniform(10), np.arange(10.0)
    kept = np.diff((np.arange(11) / 10) ** 64)
    exact = float(sum(p * log(p / 0.1) for p in kept if p > 0))
    equal(of.best_of(base, scores, 64).kl(base), exact, 1e-9, "KL of the best of 64 of ten equal outcomes")
    equal(of.best_of_kl_bound(64), 3.1745, 1e-4, "the bound on the KL of the best of 64")
    many = Finite.uniform(100_000)
    spent = of.best_of(many, np.arange(100_000.0), 16).kl(many)
    equal(spent, of.best_of_kl_bound(16), 1e-3, "KL of the best of 16 where nothing ties")


def _estimate(of: Methods) -> None:
    base, scores = world(10, 4)
    kept = of.best_of(base, scores, 64)
    mean = sum(
        p * of.best_of_kl_estimate(np.array([known]), 64) for p, known in zip(kept.probs, base.log_probs, strict=True)
    )
    equal(mean, kept.kl(base), 0.05, "the mean estimate of the KL of the best of 64 of ten outcomes")


def _subsets(of: Methods) -> None:
    gold = np.array([0.3, 0.1, 0.9, 0.2, 0.8, 0.4])
    for n in range(1, 7):
        expected = np.mean([gold[max(chosen)] for chosen in combinations(range(6), n)])
        equal(of.expected_best(gold, n), expected, 1e-12, f"gold of the best of {n} of six samples")


def _soft(of: Methods) -> None:
    mass, weights = np.array([0.4, 0.3, 0.2, 0.1]), np.exp(np.array([0.1, 0.4, 0.4, 0.9]) / 0.3)
    kept = np.zeros(4)
    for drawn in product(range(4), repeat=3):
        for at in drawn:
            kept[at] += mass[list(drawn)].prod() * weights[at] / weights[list(drawn)].sum()
    found = of.soft_best_of(Finite(np.log(mass)), np.array([0.1, 0.4, 0.4, 0.9]), 3, 0.3)
    equal(found.probs, kept, 1e-9, "soft best of 3 of four outcomes")


def _soft_limit(of: Methods) -> None:
    base, scores = world(8, 5)
    optimum = Finite.weighted(base.log_probs + scores / 0.5)
    apart = [of.soft_best_of(base, scores, n, 0.5).total_variation(optimum) for n in (50, 500)]
    require(apart[1] < apart[0] / 8, "soft best of n must come to the optimum of RL as 1 / n")


def _gaussian(of: Methods) -> None:
    """With a normal proxy of correlation rho with gold, gold of the best of n is rho E[the largest of n]."""
    edges = norm.ppf(np.linspace(0, 1, 20_001))
    proxy = (norm.pdf(edges[:-1]) - norm.pdf(edges[1:])) * 20_000  # the mean of each slice
    for n, largest in ((4, 1.02938), (16, 1.76599), (64, 2.34373)):
        found = of.best_of(Finite.uniform(20_000), proxy, n)
        equal(found.mean(0.6 * proxy), 0.6 * largest, 2e-3, f"gold of the best of {n} at rho = 0.6")


# ---- row 7: quantilizer ----


def _programme(of: Methods) -> None:
    for ties in (0, 3):
        base, scores = world(14, 6, ties)
        for q in (0.03, 0.3, 0.8):
            found = of.quantilized(base, scores, q)
            best = linprog(-scores, A_eq=np.ones((1, 14)), b_eq=[1.0], bounds=[(0, p / q) for p in base.probs])
            equal(found.mean(scores), -best.fun, 1e-7, f"the mean score of the quantilizer at q = {q:g}")


def _split(of: Methods) -> None:
    base = Finite(np.log([0.1, 0.2, 0.3, 0.4]))
    found = of.quantilized(base, np.array([4.0, 3.0, 2.0, 1.0]), 0.2)
    equal(found.probs, [0.5, 0.5, 0, 0], 1e-12, "the quantilizer that splits its threshold")
    tied = of.quantilized(base, np.array([3.0, 2.0, 2.0, 1.0]), 0.4)
    equal(tied.probs, [0.25, 0.3, 0.45, 0], 1e-12, "the quantilizer with equals at its threshold")


def _ratio(of: Methods) -> None:
    base, scores = world(14, 7)
    for q in (0.05, 0.5):
        found = of.quantilized(base, scores, q)
        equal((found.probs / base.probs).max(), 1 / q, 1e-8, "the quantilizer's greatest likelihood ratio") if (
            base.probs[scores.argmax()] < q
        ) else require((found.probs / base.probs).max() <= 1 / q + 1e-9, "the quantilizer exceeds its ratio")
        require(found.kl(base) <= log(1 / q) + 1e-12, "the quantilizer spends more than log(1 / q)")


def _costs(of: Methods) -> None:
    base, scores = world(14, 8)
    costs = np.vstack([np.random.default_rng(9).exponential(size=(200, 14)), np.eye(14)])
    for q in (0.01, 0.2, 0.6):
        found = of.quantilized(base, scores, q)
        require(bool((costs @ found.probs <= costs @ base.probs / q + 1e-12).all()), "a cost exceeds the base's over q")


def _ends(of: Methods) -> None:
    base, scores = world(14, 10)
    equal(of.quantilized(base, scores, 1.0).probs, base.probs, 1e-12, "the quantilizer at q = 1")
    require(
        of.quantilized(base, scores, 1e-9).probs.argmax() == scores.argmax(), "the quantilizer at a tiny q is the best"
    )


# ---- row 8: conditioning ----


def _mixture(of: Methods) -> None:
    base, scores = world(40, 11, ties=9)
    binned = of.bins(base, scores, 5)
    events = [(binned == which).astype(float) for which in np.unique(binned)]
    masses = [base.mean(event) for event in events]
    mixed = Finite.mixture(masses, [of.conditional(base, event) for event in events])
    equal(mixed.probs, base.probs, 1e-12, "the bins' conditionals, weighed by their probabilities")


def _surprise(of: Methods) -> None:
    base, scores = world(40, 12)
    event = (scores > 0.7).astype(float)
    equal(of.conditional(base, event).kl(base), -log(base.mean(event)), 1e-10, "KL of the conditional")


def _rising(of: Methods) -> None:
    base, scores = world(200, 13)
    binned = of.bins(base, scores, 5)
    require(set(binned) == set(range(5)), "200 outcomes must fill five bins")
    means = [of.conditional(base, (binned == which).astype(float)).mean(scores) for which in range(5)]
    require(bool((np.diff(means) > 0).all()), "the mean rating must rise from bin to bin")
    masses = np.array([base.probs[binned == which].sum() for which in range(5)])
    equal(masses, np.full(5, 0.2), 0.05, "the probability of each of five bins")


def _equals(of: Methods) -> None:
    base, scores = world(60, 14, ties=6)
    binned = of.bins(base, scores, 4)
    split = [value for value in np.unique(scores) if len(set(binned[scores == value])) > 1]
    require(not split, "equal ratings must share a bin")


def _next_token(of: Methods) -> None:
    random = np.random.default_rng(15)
    base = Finite.weighted(random.normal(size=4**5))
    target = of.conditional(base, (random.random(4**5) > 0.8).astype(float))
    tree = PrefixTree(4, 5)
    tree.train(of.likelihood_loss(torch.from_numpy(target.probs)))
    with torch.no_grad():
        found = Finite(tree.log_probs().numpy())
    equal(found.total_variation(target), 0.0, 2e-3, "the distance of next-token training from the conditional")


# ---- row 32: is it a conditional of its base? ----


def _explained(of: Methods) -> None:
    base, scores = world(60, 16)
    policy = Finite.weighted(base.log_probs + scores / 0.3)
    found = of.nearest_tilt(policy, base, scores[:, None])
    equal(found.residual, 0.0, 1e-8, "the residual of an exact optimum")
    equal(found.steepness, [1 / 0.3], 1e-5, "the steepness of an exact optimum")


def _unexplained(of: Methods) -> None:
    base, scores = world(60, 17)
    best = Finite.weighted(np.where(scores >= np.sort(scores)[-20], base.log_probs, -np.inf))
    found = of.nearest_tilt(best, base, scores[:, None])
    expected = best.kl(found.tilt)
    require(found.residual > 0.05, "a quantilizer is no tilt by the score, and its residual must say so")
    equal(found.residual, expected, 1e-10, "the residual")
    equal(found.tilt.mean(scores), best.mean(scores), 1e-7, "the mean score of the nearest tilt")


def _outside(of: Methods) -> None:
    with np.errstate(divide="ignore"):
        base, policy = Finite(np.log([0.5, 0.5, 0.0])), Finite(np.log([0.3, 0.5, 0.2]))
    equal(
        of.nearest_tilt(policy, base, np.array([[0.0], [1.0], [2.0]])).outside, 0.2, 1e-12, "the mass outside the base"
    )


SELECTING = (
    Oracle(4, "lambda of a yes/no feature is a difference of logits", _one_feature),
    Oracle(4, "matched moments are met by the nearest policy", _nearest_match),
    Oracle(4, "reverse KL settles on a mode, forward KL covers both", _modes),
    Oracle(5, "the law of best of n is found again", _best_of_n_law),
    Oracle(5, "the law of RL is found again", _rl_law),
    Oracle(5, "peaks are where they were published", _peaks),
    Oracle(5, "BIC picks the form", _forms),
    Oracle(6, "best of n is that of all draws, ties included", _draws),
    Oracle(6, "log n - (n - 1) / n is a bound and no equality", _bound),
    Oracle(6, "the KL of best of n is estimated from what was chosen", _estimate),
    Oracle(6, "gold of the best of n is estimated without bias", _subsets),
    Oracle(6, "soft best of n is that of all draws", _soft),
    Oracle(6, "soft best of n comes to the optimum of RL", _soft_limit),
    Oracle(6, "gold of the best of n of a normal proxy", _gaussian),
    Oracle(7, "a quantilizer solves its linear programme", _programme),
    Oracle(7, "a quantilizer splits its threshold", _split),
    Oracle(7, "a quantilizer's ratio is 1 / q", _ratio),
    Oracle(7, "no cost exceeds the base's over q", _costs),
    Oracle(7, "a quantilizer goes from the base to the best", _ends),
    Oracle(8, "conditionals mix to the base", _mixture),
    Oracle(8, "conditioning costs its surprise", _surprise),
    Oracle(8, "ratings rise from bin to bin", _rising),
    Oracle(8, "equal ratings share a bin", _equals),
    Oracle(8, "next-token training reaches the conditional", _next_token),
    Oracle(32, "an exact optimum is a tilt", _explained),
    Oracle(32, "a quantilizer is no tilt", _unexplained),
    Oracle(32, "mass outside the base is told", _outside),
)
