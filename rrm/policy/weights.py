"""Policies that select sentences by weights: which there are, and how far from an anchor their weights may go."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.protocols import Policy, Seen
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from rrm.policy.log_linear import Leash, LogLinear, Situation, furthest
from rrm.policy.selection import Walk

Selecting = Extractive | LogLinear | Careless
"""The policies that can be improved: those that select sentences, by themselves or through a writer."""


class NodeWalk(NamedTuple):
    """A prompt context with what there is to decide, and the anchor's walk."""

    seen: Seen
    situation: Situation
    anchor: Walk


@dataclass(frozen=True)
class Problem:
    """The prompt contexts, and the anchor's weights."""

    places: Sequence[NodeWalk]
    anchor: np.ndarray

    @classmethod
    def of(cls, seen: Sequence[Seen], anchor: LogLinear) -> "Problem":
        weights = np.array(anchor.weights)
        found = [(each, anchor.situation(each.prompt_context)) for each in seen]
        return cls([NodeWalk(each, situation, situation.walk(weights)) for each, situation in found], weights)

    def kl(self, weights: np.ndarray) -> float:
        """Return the KL to the anchor, in nats a node, of the level where its mean is largest, leash or not."""
        return self._most(lambda situation: weights)

    def spent(self, writer: LogLinear) -> float:
        """Return the KL of a policy, in nats a node, of the level where its mean is largest."""
        return self._most(writer.weights_at)

    def within(self, weights: np.ndarray, budget: float) -> np.ndarray:
        """Return the weights, or, if their KL is above the budget, those towards the anchor's that use it up."""
        share = furthest(lambda part: self.kl(self._along(weights, part)), budget)
        return self._along(weights, share)

    def _most(self, weights: Callable[[Situation], np.ndarray]) -> float:
        by_level: dict[int, list[float]] = defaultdict(list)
        for seen, situation, anchor in self.places:
            by_level[seen.prompt_context.place.level].append(situation.walk(weights(situation)).kl(anchor))
        return max(float(np.mean(kls)) for kls in by_level.values())

    def _along(self, weights: np.ndarray, share: float) -> np.ndarray:
        return np.asarray(self.anchor + share * (weights - self.anchor))


def log_linear(policy: Selecting) -> LogLinear:
    """Return the log-linear policy by which a policy selects."""
    match policy:
        case Careless():
            if not isinstance(policy.writer, Extractive | LogLinear):
                raise InputError(f"weights cannot be learned for what {type(policy.writer).__name__} writes")
            return log_linear(policy.writer)
        case Extractive():
            return LogLinear(policy)
        case LogLinear():
            return policy


def leashed(anchor: LogLinear, weights: np.ndarray, nats: float) -> LogLinear:
    """Return the policy of other weights that nowhere goes more than `nats` from the anchor."""
    if np.array_equal(weights, anchor.weights):
        return anchor
    return replace(anchor.with_weights(weights), leash=Leash(anchor.weights, nats))


def writing_by(policy: Selecting, writer: LogLinear) -> Selecting:
    """Return the policy with another selection of sentences, its mistakes kept."""
    return policy.with_writer(writer) if isinstance(policy, Careless) else writer


def pair(sampler: Policy, anchor: Policy) -> tuple[Selecting, LogLinear]:
    """Return the sampler and what the anchor selects by; raise InputError if their KL would not be exact."""
    policy, other = selecting(sampler), selecting(anchor)
    origin = log_linear(other)
    if log_linear(policy).base != origin.base or not _alike(policy, other):
        raise InputError(
            "weights are learned for a sampler and an anchor of the same settings: "
            "tokenizer, fill, temperature, rate of mistakes, wording and disorder"
        )
    return policy, origin


def _alike(policy: Selecting, other: Selecting) -> bool:
    """Say whether both make the same of a selection of sentences."""
    if isinstance(policy, Careless) and isinstance(other, Careless):
        return policy.alike(other)
    return not isinstance(policy, Careless) and not isinstance(other, Careless)


def selecting(policy: Policy) -> Selecting:
    """Return a policy that has weights to learn; raise InputError for any other."""
    if not isinstance(policy, Selecting):
        raise InputError(
            f"weights are learned for Extractive, LogLinear and Careless, not {type(policy).__name__}; "
            "best-of-n improves any policy"
        )
    return policy
