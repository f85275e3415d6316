"""Policies that redistribute what another one proposes, by a rule over scores: exactly, or over drawn candidates.

A rule makes of a distribution over texts, and their scores, another one. Where all that the anchor may propose can be
listed, the rule is applied to it and everything is exact. Elsewhere it is applied to the empirical distribution of
`samples` candidates. The anchor is the mean of such empirical distributions, and KL is jointly convex, so what a rule
spends at most on any distribution bounds what is spent in all (Cover and Thomas 2006, theorem 2.7.2).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, log, sqrt
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from scipy.optimize import brentq

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.protocols import Improved, Listable, Policy, PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.values import Group, Output
from rrm.files import read_json, write_json
from rrm.policy.finite import Finite
from rrm.policy.scoring import check, group, scores

STATE = "reweighting.json"
"""The file in the workspace that says by whom a policy was made, and within which budget."""


class Rule(Protocol):
    """What is made of a distribution over texts and their scores."""

    @property
    def name(self) -> str: ...

    @property
    def most(self) -> float:
        """The most nats that the result may lie from any distribution it is made of; inf where nothing is promised."""
        ...

    def __call__(self, base: Finite, scores: np.ndarray, texts: Sequence[str]) -> Finite:
        """Return the distribution over the same k texts; `scores` [k] are mean acceptances, in [0, 1]."""
        ...


class _Found(NamedTuple):
    """All that a policy may propose at a node, and how probably: before and after."""

    texts: tuple[str, ...]
    base: Finite
    target: Finite


@dataclass(frozen=True)
class Reweighted:
    """Proposes what a rule makes of the anchor's outputs, listed where there are at most `most` of them.

    Elsewhere every output is drawn from `samples` candidates of its own, and its log-probability is not known.
    """

    anchor: Policy
    scorer: Scorer[Train] = field(repr=False)
    rule: Rule
    samples: int
    most: int
    name: str = field(init=False)

    def __post_init__(self) -> None:
        name = content_id("reweighted", self.anchor.name, self.scorer.name, self.rule.name, self.samples, self.most)
        object.__setattr__(self, "name", name)

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return a job's n outputs; equal seeds give equal ones."""
        listed = [self._listed(job.prompt_context) for job in jobs]
        drawn = iter(self._drawn([job for job, base in zip(jobs, listed, strict=True) if base is None]))
        targets = iter(
            self._targets(
                [(job.prompt_context, base) for job, base in zip(jobs, listed, strict=True) if base is not None]
            )
        )
        return [
            next(drawn) if base is None else self._from_list(job, next(targets))
            for job, base in zip(jobs, listed, strict=True)
        ]

    def listed(self, prompt_context: PromptContext, most: int) -> Mapping[str, float] | None:
        """Return the log-probability of every text that it may propose; see `Listable`."""
        base = self._listed(prompt_context, most)
        if base is None:
            return None
        [found] = self._targets([(prompt_context, base)])
        return {
            text: float(known) for text, known in zip(found.texts, found.target.log_probs, strict=True) if known > -inf
        }

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the exact log-probability of each text, in nats, float64 [texts].

        Raises InputError where there are too many outputs to list, and it is not known.
        """
        known = self._known(prompt_context)
        return np.array([known.get(text, -inf) for text in texts], dtype=np.float64)

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        """Return KL(self || other), in nats, over texts; raise InputError where either cannot be listed."""
        known = self._known(prompt_context)
        theirs = other.listed(prompt_context, self.most) if isinstance(other, Listable) else None
        if theirs is None:
            raise InputError(f"the KL from {other.name} is not known: its outputs cannot be listed")
        mine = Finite(np.array(list(known.values())))
        at_other = np.array([theirs.get(text, -inf) for text in known])
        return max(0.0, mine.mean(mine.log_probs - at_other))

    def entropy(self, prompt_context: PromptContext) -> float:
        """Return the entropy of the text, in nats; raise InputError where the outputs cannot be listed."""
        return Finite(np.array(list(self._known(prompt_context).values()))).entropy()

    def spent(self, seen: Seen) -> float | None:
        """Return the KL to the anchor at a node, in nats; None where it cannot be listed."""
        base = self._listed(seen.prompt_context)
        if base is None:
            return None
        [found] = self._targets([(seen.prompt_context, base)], [seen.source])
        return found.target.kl(found.base)

    def _known(self, prompt_context: PromptContext) -> Mapping[str, float]:
        known = self.listed(prompt_context, self.most)
        if known is None:
            raise InputError(
                f"the distribution at {prompt_context.node} is not known: {self.anchor.name} has more than "
                f"{self.most} outputs there, or cannot list them"
            )
        return known

    def _listed(self, prompt_context: PromptContext, most: int | None = None) -> Mapping[str, float] | None:
        most = self.most if most is None else min(most, self.most)
        return self.anchor.listed(prompt_context, most) if most and isinstance(self.anchor, Listable) else None

    def _targets(
        self, bases: Sequence[tuple[PromptContext, Mapping[str, float]]], sources: Sequence[str] | None = None
    ) -> list[_Found]:
        named = sources or [_source(given) for given, _ in bases]
        groups = [group(given, source, list(base)) for (given, base), source in zip(bases, named, strict=True)]
        found = []
        for (_, known), got in zip(bases, scores(self.scorer, groups), strict=True):
            texts, base = tuple(known), Finite(np.array(list(known.values())))
            found.append(_Found(texts, base, self.rule(base, got, texts)))
        return found

    def _from_list(self, job: ProposeJob, found: _Found) -> list[Output]:
        given, outputs = job.prompt_context, []
        for index in range(job.n):
            seed = seed_for(job.seed, index)
            [at] = found.target.draw(generator(self.name, given.node, seed), 1)
            known = float(found.target.log_probs[at])
            made = (given.node, found.texts[at], self.name, seed, given.inputs, given.context)
            outputs.append(Output(*made, log_prob=known))
        return outputs

    def _drawn(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        asks = [
            ProposeJob(job.prompt_context, self.samples, seed_for(job.seed, index))
            for job in jobs
            for index in range(job.n)
        ]
        tried = self.anchor.propose(asks)
        groups = [
            group(ask.prompt_context, _source(ask.prompt_context), [output.text for output in outputs])
            for ask, outputs in zip(asks, tried, strict=True)
        ]
        kept = iter(
            self._kept(ask, outputs, asked, got)
            for ask, outputs, asked, got in zip(asks, tried, groups, scores(self.scorer, groups), strict=True)
        )
        return [[next(kept) for _ in range(job.n)] for job in jobs]

    def _kept(self, ask: ProposeJob, outputs: Sequence[Output], asked: Group, got: np.ndarray) -> Output:
        target = self.rule(Finite.uniform(len(outputs)), got, asked.outputs)
        [at] = target.draw(generator(self.name, ask.prompt_context.node, ask.seed), 1)
        return replace(outputs[int(at)], policy=self.name, log_prob=None)


def _source(prompt_context: PromptContext) -> str:
    return prompt_context.task.source or prompt_context.node


@dataclass(frozen=True)
class Reweighting(ABC):
    """An optimiser that learns nothing: its policy applies a rule to the anchor's outputs and their scores.

    `samples` candidates are drawn for an output wherever the anchor may propose more than `most` texts, or cannot
    list them. The sampler is not asked, so that rounds do not add up.
    """

    samples: int = field(default=16, kw_only=True)
    most: int = field(default=256, kw_only=True)

    def __post_init__(self) -> None:
        if self.samples < 1 or self.most < 0:
            raise InputError(f"{type(self).__name__} needs samples >= 1 and most >= 0, got {self.samples}, {self.most}")

    @property
    def name(self) -> str:
        return content_id("reweighting", self)

    @abstractmethod
    def rule(self, kl_budget: float) -> Rule:
        """Return the rule that spends at most `kl_budget` nats; raise InputError if what is set needs more."""

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
        """Return the anchor's outputs reweighted; see `Optimiser`.

        The KL is the mean over the nodes seen: exact where all of them can be listed, else a bound.
        """
        check(seen, kl_budget)
        policy = self._policy(anchor, score, kl_budget)
        kls: list[float | None] = []
        for done, each in enumerate(seen, start=1):
            kls.append(policy.spent(each))
            workspace.progress(done, len(seen))
        bound = min(policy.rule.most, log(self.samples))
        mean = float(np.mean([bound if kl is None else kl for kl in kls]))
        write_json(workspace.folder / STATE, {"optimiser": self.name, "kl_budget": kl_budget})
        return Improved(policy, mean, "bound" if None in kls else "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the policy of the budget that a folder names; see `Optimiser`."""
        state = read_json(folder / STATE)
        budget = state.get("kl_budget")
        if state.get("optimiser") != self.name or not isinstance(budget, int | float):
            raise InputError(f"{folder / STATE} was not written by this optimiser with these settings")
        return self._policy(anchor, score, budget)

    def _policy(self, anchor: Policy, score: Scorer[Train], kl_budget: float) -> Reweighted:
        return Reweighted(anchor, for_improving(score), self.rule(kl_budget), self.samples, self.most)


def at_most(kl: Callable[[float], float], budget: float, start: float) -> float:
    """Return the largest x >= 0 with kl(x) <= budget, for a kl that rises from kl(0) = 0; inf if it never exceeds it.

    `start` is a first guess. What is returned is within the budget, and to 1e-12 of itself the largest.
    """
    high = start
    while kl(high) <= budget:
        high *= 2
        if high > 1e18 * start:
            return inf
    # the root of a KL is almost linear, so Brent's method needs few steps
    found = float(brentq(lambda x: sqrt(kl(x)) - sqrt(budget), 0.0, high, xtol=1e-14 * high, rtol=1e-13))
    back = 1e-13
    while kl(found * (1 - back)) > budget:
        back *= 2
    return found * (1 - back)
