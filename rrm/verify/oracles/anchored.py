"""KL-anchored RL (rows 2 and 3): closed forms, gradients on all sequences, estimates of the KL."""

from itertools import product
from math import exp, inf, log

import numpy as np
import torch
from torch import Tensor

from rrm.policy.finite import Finite
from rrm.policy.sequences import Loss, PrefixTree
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle, equal, require, world


def _direction(of: Methods) -> None:
    some, wider = Finite(np.array([0.0, -inf])), Finite.uniform(2)
    equal(of.kl(some, wider), log(2), 1e-12, "KL(policy || anchor) of a point within two equals")
    require(of.kl(wider, some) == inf, "a policy with an outcome that the anchor lacks is infinitely far from it")


def _attains(of: Methods) -> None:
    for beta in (0.1, 1.0, 5.0):
        base, rewards = world()
        found = of.tilted(base, rewards, beta)
        value = found.mean(rewards) - beta * found.kl(base)
        by_sum = beta * log(float(base.probs @ np.exp(rewards / beta)))
        equal(value, by_sum, 1e-10, f"J of the tilt at beta = {beta:g}")
        equal(of.optimum(base, rewards, beta), by_sum, 1e-10, f"the greatest J at beta = {beta:g}")


def _falls_short(of: Methods) -> None:
    (base, rewards), (other, _) = world(seed=1), world(seed=2)
    gap = of.optimum(base, rewards, 0.7) - of.objective(other, base, rewards, 0.7)
    equal(gap, 0.7 * other.kl(of.tilted(base, rewards, 0.7)), 1e-10, "what J falls short of its optimum by")


def _limits(of: Methods) -> None:
    base, rewards = world(ties=4)
    best = rewards == rewards.max()
    equal(of.tilted(base, rewards, 1e9).probs, base.probs, 1e-7, "the tilt at a very large beta")
    share = np.where(best, base.probs, 0.0) / base.probs[best].sum()
    equal(of.tilted(base, rewards, 0.0).probs, share, 1e-12, "the tilt at beta = 0")


def _budget(of: Methods) -> None:
    base, rewards = world(seed=3)
    for kl in (0.01, 0.3, 1.0):
        spent = of.tilted(base, rewards, of.beta_within(base, rewards, kl)).kl(base)
        require(spent <= kl, f"the beta of a budget of {kl:g} nats spends {spent:.6f}")
        equal(spent, kl, 1e-6, "what the beta of a budget spends")


def _identity(of: Methods) -> None:
    base, rewards = world(seed=4)
    found = of.tilted(base, rewards, 0.4)
    log_z = log(float(base.probs @ np.exp(rewards / 0.4)))
    equal(of.kl(found, base), found.mean(rewards) / 0.4 - log_z, 1e-10, "KL(optimum || anchor)")


def _sequences() -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(5)
    anchor = torch.from_numpy(Finite.weighted(random.normal(size=4**5)).log_probs)
    return anchor, torch.from_numpy(random.normal(size=4**5))


def _trained(loss: Loss) -> Finite:
    tree = PrefixTree(4, 5)
    tree.train(loss)
    with torch.no_grad():
        return Finite(tree.log_probs().numpy())


def _by_gradient(of: Methods) -> None:
    anchor, rewards = _sequences()
    optimum = Finite.weighted((anchor + rewards / 0.8).numpy())
    found = _trained(of.anchored_loss(anchor, rewards, 0.8))
    equal(found.kl(optimum), 0.0, 1e-5, "the KL from the optimum after training on all of 4^5 sequences")


def _by_preferences(of: Methods) -> None:
    anchor, rewards = _sequences()
    optimum = Finite.weighted((anchor + rewards / 0.8).numpy())
    found = _trained(of.dpo_loss(anchor, rewards, 0.8))
    equal(found.total_variation(optimum), 0.0, 2e-3, "the distance of DPO's policy from the optimum of RL")


def _unbiased(of: Methods) -> None:
    rewards = torch.tensor([1.0, 3.0, -2.0], dtype=torch.float64)
    logits = torch.tensor([0.2, -0.4, 0.1], dtype=torch.float64, requires_grad=True)
    p = logits.softmax(0).detach()
    gradient = torch.zeros(3, dtype=torch.float64)
    for drawn in product(range(3), repeat=3):
        at = torch.tensor(drawn)
        (by_sample,) = torch.autograd.grad(of.leave_one_out_loss(logits.log_softmax(0)[at], rewards[at]), logits)
        gradient += p[at].prod() * by_sample
    (exact,) = torch.autograd.grad(-(logits.softmax(0) * rewards).sum(), logits)
    equal(gradient.numpy(), exact.numpy(), 1e-12, "the mean leave-one-out gradient")


def _tokens() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """All sequences of two tokens as often as a policy writes them: token and full log-probabilities, and the KL."""
    policy = np.array([[5, 2, 1], [1, 1, 6], [4, 3, 1], [2, 2, 4]]) / 8  # first token; then after 0, 1, 2
    anchor = np.array([[1, 3, 4], [3, 3, 2], [1, 1, 6], [2, 5, 1]]) / 8
    rows = [
        (first, second)
        for first, second in product(range(3), repeat=2)
        for _ in range(round(64 * policy[0, first] * policy[1 + first, second]))
    ]
    told = [np.log([[table[0, a], table[1 + a, b]] for a, b in rows]) for table in (policy, anchor)]
    whole = [np.log([[table[0], table[1 + a]] for a, _ in rows]) for table in (policy, anchor)]
    kl = float(np.mean((told[0] - told[1]).sum(axis=1)))
    return told[0], told[1], whole[0], whole[1], kl


def _estimates(of: Methods) -> None:
    policy, anchor, whole, whole_anchor, kl = _tokens()
    equal(of.sequence_kl(policy, anchor).mean, kl, 1e-12, "the mean of sequences' KL over all that can be sampled")
    equal(of.token_kl(policy, anchor).mean, kl, 1e-12, "the mean of tokens' k3 over all that can be sampled")
    equal(of.full_kl(whole, whole_anchor).mean, kl, 1e-12, "the mean of full divergences over all prefixes")


def _variance(of: Methods) -> None:
    """k3 on whole sequences is unbiased, too; what is wrong with it is its variance, so that is looked at."""
    random = np.random.default_rng(6)
    ratios = random.normal(2.5, 5.0**0.5, size=(4000, 20)) / 20
    k1 = ratios.sum(axis=1)
    found = of.sequence_kl(ratios, np.zeros_like(ratios))
    equal(found.error, k1.std(ddof=1) / len(k1) ** 0.5, 1e-9, "the standard error of sequences' KL")


def _small_steps(of: Methods) -> None:
    """A token's k3 is never negative, and varies less than k1 where policies are near."""
    random = np.random.default_rng(7)
    ratios = random.normal(0.0, 0.01, size=(500, 1))
    found = of.token_kl(ratios, np.zeros_like(ratios))
    equal(found.mean, float((np.exp(-ratios) - 1 + ratios).mean()), 1e-12, "the mean of tokens' k3")
    require(
        found.mean >= 0 and found.error < ratios.std() / 500**0.5, "tokens' k3 must vary less than k1 in small steps"
    )


def _bayes(of: Methods) -> None:
    base, acceptance = world(seed=8)
    posterior = base.probs * acceptance / (base.probs @ acceptance)
    found = of.tilted(base, of.log_reward(acceptance), 1.0)
    equal(found.probs, posterior, 1e-12, "the optimum under log-acceptance at beta = 1")


def _impossible(of: Methods) -> None:
    base, acceptance = world(seed=9)
    acceptance[::3] = 0.0
    found = of.tilted(base, of.log_reward(acceptance), 1.0)
    require(not found.probs[::3].any(), "what is never accepted keeps a probability under the log-acceptance")


def _ratios(of: Methods) -> None:
    base, rewards = world(seed=10)
    ratios = of.tilted(base, rewards, 0.3).probs / base.probs
    bound = exp(float(np.ptp(rewards)) / 0.3)
    require(ratios.max() <= bound and ratios.min() >= 1 / bound, "a bounded reward leaves a likelihood ratio unbounded")


ANCHORED = (
    Oracle(2, "KL is that of the policy from the anchor", _direction),
    Oracle(2, "the tilt attains J = beta log Z", _attains),
    Oracle(2, "J falls short by beta KL to the optimum", _falls_short),
    Oracle(2, "the tilt goes from the anchor to the best", _limits),
    Oracle(2, "the beta of a budget spends it", _budget),
    Oracle(2, "KL of the optimum is E[r] / beta - log Z", _identity),
    Oracle(2, "gradients on 4^5 sequences reach the optimum", _by_gradient),
    Oracle(2, "DPO on all pairs reaches the optimum", _by_preferences),
    Oracle(2, "leave-one-out gradients are unbiased", _unbiased),
    Oracle(2, "estimates of the KL have it as their mean", _estimates),
    Oracle(2, "sequences' KL varies as k1", _variance),
    Oracle(2, "tokens' k3 is calm in small steps", _small_steps),
    Oracle(3, "log-acceptance as reward is conditioning", _bayes),
    Oracle(3, "log-acceptance excludes the impossible", _impossible),
    Oracle(3, "bounded rewards bound likelihood ratios", _ratios),
)
