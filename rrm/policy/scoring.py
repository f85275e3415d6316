"""Checks of optimisers' arguments, and of the scores that a scorer returns."""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from rrm.core.errors import InputError, ShapeError
from rrm.core.protocols import PromptContext, Seen
from rrm.core.roles import Scorer, Train
from rrm.core.values import OVERALL, Group


def check(seen: Sequence[Seen], kl_budget: float) -> None:
    """Raise InputError unless there is something to improve on and a positive, finite budget."""
    if not seen:
        raise InputError("an optimiser needs materials to improve on, and was given none")
    if not (isfinite(kl_budget) and kl_budget > 0):
        raise InputError(f"the KL budget is a positive number of nats, got {kl_budget}")


def group(prompt_context: PromptContext, source: str, texts: Sequence[str]) -> Group:
    """Return texts as they are scored beside a prompt context."""
    return Group(source, prompt_context.place, prompt_context.view, tuple(texts))


def scores(scorer: Scorer[Train], groups: Sequence[Group]) -> list[np.ndarray]:
    """Return each group's mean acceptance over the scorer's members, float64 [k].

    Raises ShapeError if their number or shape does not fit the groups.
    """
    found = scorer.score(groups)
    if len(found) != len(groups):
        raise ShapeError(f"the scorer {scorer.name} gave scores for {len(found)} groups of {len(groups)}")
    for asked, said in zip(groups, found, strict=True):
        if said.k != len(asked.outputs):
            raise ShapeError(f"the scorer {scorer.name} scored {said.k} outputs of {len(asked.outputs)}")
    return [said.acceptance[OVERALL].mean(axis=0) for said in found]


def require_spread(scores: Sequence[np.ndarray]) -> None:
    """Raise InputError where all candidates at each node score the same: nothing could be learned from them."""
    if all(np.ptp(each) == 0 for each in scores):
        n, value = sum(map(len, scores)), float(scores[0][0])
        raise InputError(
            f"all {n} candidates score as the others of their node do (the first {value:g}), so there is nothing to "
            "learn: take another scorer, or a policy whose outputs differ"
        )
