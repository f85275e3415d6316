"""All contracts, and which of them a part claims to keep: found out by its protocol."""

from collections.abc import Callable, Mapping
from inspect import getmembers, isfunction, signature
from typing import Any

from rrm.core.asking import QuestionSampler
from rrm.core.errors import PluginError
from rrm.core.protocols import (
    AsyncDecomposer,
    AsyncGrowingDecomposer,
    AsyncPolicy,
    AsyncRater,
    Composer,
    ComposerLearner,
    Decomposer,
    GrowingDecomposer,
    NodeSampler,
    Optimiser,
    OutcomeOptimiser,
    Policy,
    Rater,
    RewardLearner,
    SourceSet,
    SplitOptimiser,
    SplitSampler,
    VerifierLearner,
)
from rrm.pipeline.driver import Engine
from rrm.verify.asking import check_question_sampler
from rrm.verify.decomposers import check_decomposer, check_growing_decomposer
from rrm.verify.engines import check_engine
from rrm.verify.held import Held
from rrm.verify.models import check_composer, check_composer_learner, check_learner, check_verifier_learner
from rrm.verify.policies import check_optimiser, check_policy
from rrm.verify.raters import check_rater
from rrm.verify.sources import check_sampler, check_source_set
from rrm.verify.splits import check_outcome_optimiser, check_split_optimiser, check_split_sampler

__all__ = [
    "CONTRACTS",
    "Held",
    "check_composer",
    "check_composer_learner",
    "check_decomposer",
    "check_engine",
    "check_growing_decomposer",
    "check_learner",
    "check_optimiser",
    "check_outcome_optimiser",
    "check_policy",
    "check_question_sampler",
    "check_rater",
    "check_sampler",
    "check_source_set",
    "check_split_optimiser",
    "check_split_sampler",
    "check_verifier_learner",
    "contracts_of",
]

Check = Callable[..., Held]
"""Given a part, and maybe inputs to try it on, returns what it holds; raises ContractError."""

CONTRACTS: Mapping[str, tuple[tuple[type, ...], Check]] = {
    "policy": ((Policy, AsyncPolicy), check_policy),
    "optimiser": ((Optimiser,), check_optimiser),
    "decomposer": ((Decomposer, AsyncDecomposer), check_decomposer),
    "growing decomposer": ((GrowingDecomposer, AsyncGrowingDecomposer), check_growing_decomposer),
    "split sampler": ((SplitSampler,), check_split_sampler),
    "split optimiser": ((SplitOptimiser,), check_split_optimiser),
    "outcome optimiser": ((OutcomeOptimiser,), check_outcome_optimiser),
    "rater": ((Rater, AsyncRater), check_rater),
    "learner": ((RewardLearner,), check_learner),
    "verifier learner": ((VerifierLearner,), check_verifier_learner),
    "composer": ((Composer,), check_composer),
    "composer learner": ((ComposerLearner,), check_composer_learner),
    "node sampler": ((NodeSampler,), check_sampler),
    "question sampler": ((QuestionSampler,), check_question_sampler),
    "source set": ((SourceSet,), check_source_set),
    "engine": ((Engine,), check_engine),
}
"""By its name, the protocols that a contract is about, and how it is checked."""


def contracts_of(part: Any) -> dict[str, Check]:
    """Return the contracts that a part claims to keep, by what it can do; raise PluginError if there are none.

    Learners of models and of composers have methods of the same names: what `fit` takes tells them apart.
    """
    found = {name: check for name, (protocols, check) in CONTRACTS.items() if any(_has(part, p) for p in protocols)}
    if "learner" in found and "composer learner" in found:
        del found["composer learner" if "start" in signature(part.fit).parameters else "learner"]
    if not found:
        known = ", ".join(CONTRACTS)
        raise PluginError(f"{type(part).__qualname__} keeps no contract that there is: {known}")
    return found


def _has(part: object, protocol: type) -> bool:
    """Whether a part has a protocol's members, its methods as something to call: a number may bear the same name."""
    methods = [name for name, _ in getmembers(protocol, isfunction) if not name.startswith("_")]
    return isinstance(part, protocol) and all(callable(getattr(part, name)) for name in methods)
