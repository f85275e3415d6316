"""Improves any policy by drawing n candidates and keeping the best by score, or softly one of the better ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, expm1, inf, log, log1p
from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import Improved, Listable, Policy, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.files import read_json, write_json
from rrm.policy.finite import Finite, Levels, finite
from rrm.policy.kl_anchored import Tilted
from rrm.policy.reweighted import Reweighted
from rrm.policy.scoring import check, group, scores

STATE = "best_of_n.json"
"""The file in the workspace that says the best of how many it is."""
_MOST = 10**6  # candidates for an output; nobody waits for more


@dataclass(frozen=True)
class BestOfN:
    """Keeps the best of `n` candidates, or of as many as the budget of KL allows (None).

    With a `beta` above 0 the candidate kept is drawn with probability proportional to exp(acceptance / beta): soft best
    of n, which comes near the KL-anchored optimum as n grows. Nothing is learned: the candidates are the anchor's own,
    so its KL to the anchor is known without regard to earlier rounds. It is exact where the anchor can list its
    outputs, at most `most` at each node seen, for then all are scored; elsewhere it is the bound of `kl_bound`.
    """

    n: int | None = None
    beta: float = 0.0
    most: int = 32
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if (self.n is not None and not 1 <= self.n <= _MOST) or self.most < 0 or not 0 <= self.beta < inf:
            raise InputError(f"best-of-n needs n from 1 to {_MOST} (or None), beta >= 0 and most >= 0")
        object.__setattr__(self, "name", content_id("best-of-n", self.n, self.beta))

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        """Return the anchor's best of n; see `Optimiser`. The sampler is not asked.

        Raises InputError if the bound on the KL of the `n` that was set is above the budget, or where n is 1.
        """
        check(seen, kl_budget)
        n = self.n or largest_n(kl_budget)
        if n == 1:
            raise InputError(
                "the best of 1 is the anchor itself: "
                + ("set n to 2 or more" if self.n else f"the best of 2 takes a budget of {kl_bound(2) + 5e-5:.4f} nats")
                + f", got {self.n or kl_budget:g}"
            )
        if kl_bound(n) > kl_budget:
            raise InputError(
                f"the best of {n} may be {kl_bound(n):.3f} nats from the anchor, more than the budget of {kl_budget}: "
                f"set n to at most {largest_n(kl_budget)}, or leave it out"
            )
        policy = self._policy(anchor, score, n)
        kls: list[float | None] = []
        for done, each in enumerate(seen, start=1):
            kls.append(self._kl(anchor, each, policy.scorer, n))
            workspace.progress(done, len(seen))
        mean = float(np.mean([kl_bound(n) if kl is None else kl for kl in kls]))
        write_json(workspace.folder / STATE, {"n": n})
        return Improved(policy, mean, "bound" if None in kls else "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the best of as many as a folder says; see `Optimiser`."""
        n = read_json(folder / STATE).get("n")
        if not isinstance(n, int) or not 1 <= n <= _MOST:
            raise InputError(f"{folder / STATE} does not say the best of how many it is, but {n!r}")
        return self._policy(anchor, score, n)

    def _policy(self, anchor: Policy, score: Scorer[Train], n: int) -> Reweighted:
        return Reweighted(anchor, for_improving(score), Tilted(self.beta), samples=n, most=0)

    def _kl(self, anchor: Policy, seen: Seen, scorer: Scorer[Train], n: int) -> float | None:
        """Return the exact KL for one prompt context, None if its outputs are too many, or not known."""
        known = anchor.listed(seen.prompt_context, self.most) if isinstance(anchor, Listable) else None
        if known is None:
            return None
        [got] = scores(scorer, [group(seen.prompt_context, seen.source, list(known))])
        base = Finite(np.array(list(known.values())))
        return (soft_best_of(base, got, n, self.beta) if self.beta else best_of(base, got, n)).kl(base)


def kl_bound(n: int) -> float:
    """Return log n - (n - 1) / n, in nats: the most that the best of n can be from the policy it draws from.

    It is reached where no two candidates are equal or score the same. Source: Stiennon et al. (2020),
    arXiv:2009.01325; as a bound: Beirami et al. (2024), arXiv:2401.01879.
    """
    return log(n) - (n - 1) / n


def largest_n(kl_budget: float) -> int:
    """Return the largest n, up to a million, whose `kl_bound` is within the budget."""
    low, high = 1, _MOST + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kl_bound(middle) <= kl_budget else (low, middle)
    return low


def best_of(base: Finite, scores: np.ndarray, n: int) -> Finite:
    """Return the distribution of the best of n draws by score; equals are shared as the base shares them.

    With F the distribution function of the score, outcomes that score x have together the probability
    F(x)^n - F(x-)^n. Raises InputError unless the scores are finite and n at least 1.
    """
    _at_least_one(n)
    levels = Levels.of(base, scores)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(levels.log_below > -inf, n * (levels.log_below - levels.log_upto), -inf)
        return levels.share(base, n * levels.log_upto + np.log(-np.expm1(ratio)))


def soft_best_of(base: Finite, scores: np.ndarray, n: int, beta: float, step: float = 0.125) -> Finite:
    """Return the distribution of soft best of n: of n draws one is kept, with weights w = exp(score / beta).

    An outcome x is kept with probability n p(x) w(x) E[1 / (w(x) + n - 1 other weights)], and 1 / s is the integral of
    exp(-t s) over t: so n p(x) w(x) times the integral of exp(-t w(x)) phi(t)^(n - 1), phi(t) the expectation of
    exp(-t w). Over log t the trapezoid rule converges exponentially (Trefethen and Weideman 2014,
    doi:10.1137/130932132, section 4). The limits are `best_of` (beta to 0), and the optimum of
    KL-anchored RL (n to infinity; Verdun et al. 2025, arXiv:2505.03156). Raises InputError unless n >= 1 and beta > 0.
    """
    _at_least_one(n)
    scores = finite(base, scores)
    if not 0 < beta < inf:
        raise InputError(f"the softness beta is a positive number, got {beta}")
    log_weights = np.where(base.possible, (scores - scores[base.possible].max()) / beta, 0.0)
    lowest = float(log_weights.min())
    log_times = np.arange(-45.0 - log(n), 8.0 - lowest, step)
    total = np.full(len(base), -inf)
    for log_time in log_times:
        decay = np.exp(np.minimum(log_time + log_weights, 700.0))
        log_phi = float(logsumexp(base.log_probs - decay))
        total = np.logaddexp(total, log_time - decay + (n - 1) * log_phi)
    return Finite.weighted(log(n * step) + base.log_probs + log_weights + total)


def _at_least_one(n: int) -> None:
    if n < 1:
        raise InputError(f"the best of n draws needs n >= 1, got {n}")


def kl_estimate(chosen_log_probs: np.ndarray, n: int) -> float:
    """Return an estimate of the KL of the best of n from the base's log-probabilities [outputs] of what it chose.

    With e the base probability of the output chosen and a = (1 - e)^n, the mean over outputs of
    a (log n + (n - 1) log(1 - e) - (n - 1) / n) + (1 - a) log((1 - a) / e). Source: Beirami et al. (2024),
    arXiv:2401.01879. Raises InputError unless n >= 1 and the log-probabilities are 0 or less.
    """
    _at_least_one(n)
    logs = np.asarray(chosen_log_probs, dtype=np.float64)
    if not logs.size or not (logs <= 0).all():
        raise InputError("the KL of the best of n is estimated from log-probabilities of 0 or less, at least one")
    return float(np.mean([_kl_term(float(each), n) for each in logs]))


def _kl_term(log_prob: float, n: int) -> float:
    if log_prob > -1e-15:  # always the same output
        return 0.0
    rest = log1p(-exp(log_prob))
    missed = exp(n * rest)
    taken = -expm1(n * rest)
    if taken == 0:  # the base probability is beyond what floats tell from 0: what is continuous has the bound
        return kl_bound(n)
    return missed * (log(n) + (n - 1) * rest - (n - 1) / n) + taken * (log(taken) - log_prob)


def expected_best(gold: np.ndarray, n: int) -> float:
    """Return the expected gold of the best of n by proxy, estimated without bias from N >= n samples.

    `gold` [N] stands in ascending order of the proxy: sum over i of C(i - 1, n - 1) / C(N, n) gold_i, where i
    counts from 1. Among samples that tie by proxy the order decides: give it at random.
    Raises InputError unless 1 <= n <= N.
    """
    gold = np.asarray(gold, dtype=np.float64)
    total = gold.shape[0] if gold.ndim == 1 else 0
    if not 1 <= n <= total:
        raise InputError(f"the best of {n} cannot be estimated from {total} samples")
    ranks = np.arange(total, n, -1)  # C(i - 2, n - 1) / C(i - 1, n - 1) = (i - n) / (i - 1), from the best downwards
    weights = n / total * np.cumprod(np.append(1.0, (ranks - n) / (ranks - 1)))
    return float(weights @ gold[::-1][: len(weights)])
