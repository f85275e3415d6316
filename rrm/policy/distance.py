"""How far a policy lies from another, measured and not taken on trust: exactly where it is known, else from samples."""

from collections.abc import Sequence
from math import log, sqrt
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import t as student

from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.protocols import (
    Density,
    Divergence,
    DivergenceAlong,
    Policy,
    PromptContext,
    ProposeJob,
    SampledDivergence,
    Seen,
)
from rrm.core.values import Output
from rrm.policy.careless import Careless

MOST_NODES = 200
"""Nodes at which an exact KL is measured; of more, so many are drawn."""
SAMPLED = (8, 4)
"""Nodes, and outputs at each, from which a KL is estimated that is not known exactly."""
READ = 8
"""Nodes whose outputs are read again for what they tell of entropy and KL; of more, so many are drawn."""

COVERED = 0.1
"""A policy covers an output of its anchor that it writes at least so many times as probably."""


class Measured(NamedTuple):
    """A KL in nats a node, how it is known, and the least that it may be: a lower 95 % limit where it is uncertain."""

    nats: float
    how: Literal["exact", "estimated"]
    least: float


def measured(policy: Policy, anchor: Policy, seen: Sequence[Seen], seed: int = 0) -> Measured | None:
    """Return KL(policy || anchor) in the mean over nodes; None where neither can tell it.

    Exact where the policy knows it at every node (of more than `MOST_NODES`, over a draw of them). Else from fresh
    outputs: by the policy's own estimate, or where both know how probable texts are, by their mean log-ratio.
    """
    if policy.name == anchor.name:
        return Measured(0.0, "exact", 0.0)
    exact = _exact(policy, anchor, _drawn(seen, MOST_NODES, seed))
    if exact is not None:
        mean = float(exact.mean())
        return Measured(mean, "exact", mean if len(seen) <= MOST_NODES else mean - _half_width(exact))
    ratios = _sampled(policy, anchor, _drawn(seen, SAMPLED[0], seed), seed)
    if ratios is None or len(ratios) < 2:
        return None
    return Measured(float(ratios.mean()), "estimated", float(ratios.mean()) - _half_width(ratios))


def log_ratio(policy: Policy, anchor: Policy, prompt_context: PromptContext, output: Output) -> float | None:
    """Return log p(output) - log q(output), in nats, of a policy p's own output, q the anchor; None where unknown.

    It is not known of what was cut off: its text is not what was sampled.
    """
    if policy.name == anchor.name:
        return 0.0
    try:
        if isinstance(policy, Careless) and isinstance(anchor, Careless):
            return policy.log_ratio(prompt_context, output, anchor)
        if isinstance(policy, Density) and isinstance(anchor, Density) and not output.truncated:
            [own] = policy.log_prob(prompt_context, [output.text])
            [other] = anchor.log_prob(prompt_context, [output.text])
            return float(own - other) if np.isfinite(own) else None
    except InputError:
        return None
    return None


class Reread(NamedTuple):
    """What a policy's outputs tell of it, in nats: each node's mean KL from another and mean entropy, [nodes].

    They are of `outputs` outputs, of which the share `whole` was not cut off.
    """

    kl: np.ndarray
    entropy: np.ndarray
    outputs: int
    whole: float


def reread(
    policy: object, other: object, proposed: Sequence[tuple[PromptContext, Sequence[Output]]], seed: int = 0
) -> Reread | None:
    """Return what outputs of a policy at nodes tell of it beside another; None where that is not known.

    Outputs are read again, at `READ` nodes at most, and nothing is sampled.
    """
    nodes = [(context, outputs) for context, outputs in proposed if outputs]
    if not nodes or not isinstance(policy, DivergenceAlong) or not isinstance(other, Policy):
        return None
    drawn = sorted(nodes, key=lambda each: seed_for(seed, "reread", each[0].node))[:READ]
    try:
        means = [np.mean(policy.along(context, other, outputs), axis=0) for context, outputs in drawn]
    except InputError:
        return None
    kl, entropy, _ = np.stack(means).T
    every = [output for _, outputs in drawn for output in outputs]
    return Reread(kl, entropy, len(every), float(np.mean([not output.truncated for output in every])))


def covered(policy: Policy, anchor: Policy, prompt_context: PromptContext, outputs: Sequence[Output]) -> float | None:
    """Return the share of an anchor's outputs that a policy writes at least `COVERED` times as probably as the anchor.

    Of one that was cut off it is how probably each begins so. None where it is not known of one of them.
    """
    ratios: Sequence[float | None]
    try:
        if isinstance(anchor, DivergenceAlong):
            ratios = [each.log_ratio for each in anchor.along(prompt_context, policy, outputs)]
        else:
            ratios = [log_ratio(anchor, policy, prompt_context, output) for output in outputs]
    except InputError:
        return None
    known = [ratio for ratio in ratios if ratio is not None]
    return float(np.mean([ratio <= -log(COVERED) for ratio in known])) if known and len(known) == len(ratios) else None


def understated(told: float, truth: Measured) -> bool:
    """Say whether an optimiser told of fewer nats than were measured, beyond rounding and chance."""
    return truth.least > told + 1e-6 * max(1.0, truth.nats)


def _exact(policy: Policy, anchor: Policy, seen: Sequence[Seen]) -> np.ndarray | None:
    if not isinstance(policy, Divergence):
        return None
    try:
        return np.array([policy.kl(each.prompt_context, anchor) for each in seen], dtype=np.float64)
    except InputError:
        return None


def _sampled(policy: Policy, anchor: Policy, seen: Sequence[Seen], seed: int) -> np.ndarray | None:
    """Return each node's mean log-ratio over its fresh outputs, [nodes]; None where one of them is not known."""
    if isinstance(policy, SampledDivergence):
        try:
            return np.array(
                [policy.sampled_kl(each.prompt_context, anchor, _seeds(each, seed)).mean() for each in seen]
            )
        except InputError:
            return None
    if not (isinstance(policy, Density) and isinstance(anchor, Density)):
        return None
    jobs = [
        ProposeJob(each.prompt_context, SAMPLED[1], seed_for(seed, "distance", each.prompt_context.node))
        for each in seen
    ]
    means = []
    for job, outputs in zip(jobs, policy.propose(jobs), strict=True):
        ratios = [log_ratio(policy, anchor, job.prompt_context, output) for output in outputs]
        known = [ratio for ratio in ratios if ratio is not None]
        if len(known) < len(ratios):
            return None
        means.append(float(np.mean(known)))
    return np.array(means)


def _seeds(seen: Seen, seed: int) -> list[int]:
    return [seed_for(seed, "distance", seen.prompt_context.node, at) for at in range(SAMPLED[1])]


def _drawn(seen: Sequence[Seen], most: int, seed: int) -> Sequence[Seen]:
    if len(seen) <= most:
        return seen
    places = generator("distance", seed).choice(len(seen), size=most, replace=False)
    return [seen[at] for at in sorted(places)]


def _half_width(values: np.ndarray) -> float:
    """Return half the width of the 95 % interval of a mean of at least two values."""
    error = float(values.std(ddof=1)) / sqrt(len(values))
    return float(student.ppf(0.975, len(values) - 1)) * error
