"""Improves any policy by asking it for n candidates and keeping the one that a scorer likes best."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import exp, log
from pathlib import Path

import numpy as np

from rrm.core.errors import InputError, ShapeError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Improved, Policy, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.values import Output
from rrm.files import read_json, write_json
from rrm.policy.scoring import check, group, scores
from rrm.policy.selection import SentencePolicy

STATE = "best_of_n.json"
"""The file in the workspace that says the best of how many it is."""
_MOST = 10**6  # candidates for an output; nobody waits for more


@dataclass(frozen=True)
class BestOfN:
    """Keeps the best of `n` candidates, or of as many as the budget of KL allows (None).

    Nothing is learned: the candidates are the anchor's own, so its KL to the anchor is known without
    regard to earlier rounds. It is exact where the anchor selects sentences and no prompt context seen has more than
    `enumerated` different outputs, for then all are scored; elsewhere it is the bound of `kl_bound`.
    """

    n: int | None = None
    enumerated: int = 32
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if (self.n is not None and not 1 <= self.n <= _MOST) or self.enumerated < 0:
            raise InputError(f"best-of-n needs n from 1 to {_MOST} (or None) and enumerated >= 0")
        object.__setattr__(self, "name", content_id("best-of-n", self.n))

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

        Raises InputError if the bound on the KL of the `n` that was set is above the budget.
        """
        check(seen, kl_budget)
        scorer = for_improving(score)
        n = self.n or largest_n(kl_budget)
        if kl_bound(n) > kl_budget:
            raise InputError(
                f"the best of {n} may be {kl_bound(n):.3f} nats from the anchor, more than the budget of {kl_budget}: "
                f"set n to at most {largest_n(kl_budget)}, or leave it out"
            )
        kls: list[float | None] = []
        for done, each in enumerate(seen, start=1):
            kls.append(self._kl(anchor, each, scorer, n))
            workspace.progress(done, len(seen))
        mean = float(np.mean([kl_bound(n) if kl is None else kl for kl in kls]))
        write_json(workspace.folder / STATE, {"n": n})
        return Improved(Best(anchor, scorer, n), mean, "bound" if None in kls else "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the best of as many as a folder says; see `Optimiser`."""
        n = read_json(folder / STATE).get("n")
        if not isinstance(n, int) or not 1 <= n <= _MOST:
            raise InputError(f"{folder / STATE} does not say the best of how many it is, but {n!r}")
        return Best(anchor, for_improving(score), n)

    def _kl(self, anchor: Policy, seen: Seen, scorer: Scorer[Train], n: int) -> float | None:
        """Return the exact KL for one prompt context, None if its outputs are too many, or not known."""
        if not isinstance(anchor, SentencePolicy):
            return None
        walk = anchor.walk(seen.prompt_context)
        drawn = list(islice(walk.selections(), self.enumerated + 1))
        if len(drawn) > self.enumerated:
            return None
        texts: dict[str, float] = {}
        for each in drawn:
            text = walk.write(each.chosen)
            texts[text] = texts.get(text, 0.0) + exp(each.log_prob)
        [found] = scores(scorer, [group(seen.prompt_context, seen.source, list(texts))])
        return exact_kl(np.array(list(texts.values())), found, n)


@dataclass(frozen=True)
class Best:
    """Proposes n candidates for every output asked and keeps the scorer's best, the first drawn of equals.

    The log-probability of what is kept is not known.
    """

    candidates: Policy
    scorer: Scorer[Train]
    n: int
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", content_id("best", self.candidates.name, self.scorer.name, self.n))

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return a job's n outputs, each the best of its own candidates; equal seeds give equal ones."""
        asks = [
            ProposeJob(job.prompt_context, self.n, seed_for(job.seed, index)) for job in jobs for index in range(job.n)
        ]
        tried = self.candidates.propose(asks)
        groups = [
            group(
                ask.prompt_context,
                ask.prompt_context.task.source or ask.prompt_context.node,
                [output.text for output in outputs],
            )
            for ask, outputs in zip(asks, tried, strict=True)
        ]
        best = [int(np.argmax(found)) for found in scores(self.scorer, groups)]
        kept = iter(outputs[index] for outputs, index in zip(tried, best, strict=True))
        return [[replace(output, policy=self.name, log_prob=None) for output in islice(kept, job.n)] for job in jobs]


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


def exact_kl(probabilities: np.ndarray, scores: np.ndarray, n: int) -> float:
    """Return the KL, in nats, between the best of n and the policy, over its distinct outputs [outputs].

    With F the distribution function of the score, outputs that score x have together the probability
    F(x)^n - F(x-)^n of being kept, shared among equals as the policy shares it, because the
    first drawn is kept. Raises ShapeError if the shapes differ, InputError unless the probabilities are
    a distribution, the scores finite and n at least 1.
    """
    mass, scores = np.asarray(probabilities, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if mass.ndim != 1 or mass.shape != scores.shape:
        raise ShapeError(f"probabilities and scores must be [outputs] both, got {mass.shape} and {scores.shape}")
    if n < 1 or not np.isfinite(scores).all() or not (mass >= 0).all() or abs(mass.sum() - 1) > 1e-6:
        raise InputError("the KL of the best of n needs probabilities that sum to one, finite scores and n >= 1")
    _, rank = np.unique(scores, return_inverse=True)
    tied = np.bincount(rank, weights=mass)
    upto = np.minimum(1.0, np.cumsum(tied))
    upto[-1] = 1.0
    kept = np.diff(upto**n, prepend=0.0)
    some = (kept > 0) & (tied > 0)
    return float(max(0.0, (kept[some] * np.log(kept[some] / tied[some])).sum()))


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
