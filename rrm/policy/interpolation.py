"""Between two policies: a mixture of any two, or the weighted geometric mean where their outputs can be listed.

A mixture keeps what either would write; KL(mixture || anchor) is at most the mixture of the KLs, by convexity. The
geometric mean a^(1 - t) b^t / Z is the path along which KL-anchored optima of one reward lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.protocols import (
    Density,
    Improved,
    Listable,
    Optimiser,
    Policy,
    PromptContext,
    ProposeJob,
    Seen,
    Workspace,
)
from rrm.core.roles import Scorer, Train
from rrm.core.values import Output
from rrm.policy.finite import Finite
from rrm.policy.scoring import check


@dataclass(frozen=True)
class Interpolation:
    """Mixes the anchor with what an optimiser makes of it: a share `share` of the outputs are the improved policy's.

    The optimiser may go 1 / share times as far, so that the mixture keeps the budget.
    """

    optimiser: Optimiser
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"the share of the improved policy lies in (0, 1], got {self.share}")

    @property
    def name(self) -> str:
        return content_id("interpolation", self.optimiser.name, self.share)

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
        """Return the mixture; see `Optimiser`. Its KL is a bound, the improved policy's times the share."""
        check(seen, kl_budget)
        found = self.optimiser.improve(sampler, anchor, seen, score, kl_budget / self.share, seed, workspace)
        return Improved(self._mixed(anchor, found.sampler), self.share * found.kl, "bound")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the mixture with the policy that the optimiser saved in a folder; see `Optimiser`."""
        return self._mixed(anchor, self.optimiser.load(folder, anchor, score))

    def _mixed(self, anchor: Policy, improved: Policy) -> "Mixed":
        return Mixed(anchor, improved, self.share)


@dataclass(frozen=True)
class Mixed:
    """Proposes as `first` does, or, with probability `share`, as `second` does."""

    first: Policy
    second: Policy
    share: float
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", content_id("mixed", self.first.name, self.second.name, self.share))

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return a job's n outputs, each by one of the two; equal seeds give equal ones."""
        chosen = [[self._takes_second(job, index) for index in range(job.n)] for job in jobs]
        made = []
        for policy, second in ((self.first, False), (self.second, True)):
            asks = [
                ProposeJob(job.prompt_context, 1, seed_for(job.seed, index))
                for job, picks in zip(jobs, chosen, strict=True)
                for index, pick in enumerate(picks)
                if pick is second
            ]
            made.append(iter(policy.propose(asks) if asks else ()))
        return [[replace(next(made[pick])[0], policy=self.name, log_prob=None) for pick in picks] for picks in chosen]

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probability of each text, in nats, float64 [texts].

        Raises InputError where one of the two does not know it.
        """
        both = []
        for policy in (self.first, self.second):
            if not isinstance(policy, Density):
                raise InputError(f"{policy.name} does not know how probable its outputs are, nor does its mixture")
            both.append(policy.log_prob(prompt_context, texts))
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log1p(-self.share) + both[0], np.log(self.share) + both[1]))

    def listed(self, prompt_context: PromptContext, most: int) -> Mapping[str, float] | None:
        """Return the log-probability of every text that either may propose; see `Listable`."""
        if not (isinstance(self.first, Listable) and isinstance(self.second, Listable)):
            return None
        first, second = self.first.listed(prompt_context, most), self.second.listed(prompt_context, most)
        if first is None or second is None or len(first.keys() | second.keys()) > most:
            return None
        texts = list(dict.fromkeys([*first, *second]))
        parts = [Finite(np.array([known.get(text, -inf) for text in texts])) for known in (first, second)]
        found = Finite.mixture((1 - self.share, self.share), parts)
        return {text: float(log_prob) for text, log_prob in zip(texts, found.log_probs, strict=True)}

    def _takes_second(self, job: ProposeJob, index: int) -> bool:
        return bool(generator(self.name, job.prompt_context.node, seed_for(job.seed, index)).random() < self.share)


def between(first: Finite, second: Finite, share: float) -> Finite:
    """Return first^(1 - share) second^share / Z, over the outcomes that both may have.

    Raises InputError where there is none, or the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise InputError(f"the share of the second distribution lies in [0, 1], got {share}")
    both = first.possible & second.possible
    logs = np.full(len(first), -inf)
    logs[both] = (1 - share) * first.log_probs[both] + share * second.log_probs[both]
    return Finite.weighted(logs)
