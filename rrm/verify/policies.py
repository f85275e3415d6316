"""What policies and optimisers promise."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import isfinite, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import numpy as np
from scipy.special import rel_entr

from rrm.core.errors import InputError
from rrm.core.protocols import (
    AsyncPolicy,
    Density,
    Divergence,
    Improved,
    Optimiser,
    Policy,
    PromptContext,
    ProposeJob,
    SampledDivergence,
    Seen,
    Workspace,
)
from rrm.core.roles import Train
from rrm.core.text import word_count
from rrm.core.values import Group, Output, Prediction
from rrm.policy.distance import measured, understated
from rrm.verify import made_up
from rrm.verify.held import Checks, Held, checking

_ROUNDING = 1e-5  # of a log-probability that was summed in float32, as a share of it
_DRAWS = 400
"""Outputs drawn on the small text to see which ones there are."""


def check_policy(
    policy: Policy | AsyncPolicy,
    prompt_context: PromptContext | None = None,
    count: Callable[[str], int] = word_count,
    others: Sequence[Policy] = (),
) -> Held:
    """Check that a policy proposes what it is asked for, by its seed alone, within the limit.

    `count` counts a text's tokens; words, the default, are never more. Where a policy is a Density its
    log-probabilities must sum to one on a small text; where it is a Divergence its distances are checked, from
    itself and from `others`; what it says it does not know (InputError) is not checked. Equal seeds give equal
    outputs unless it waits for somebody. Raises ContractError.
    """
    given = (
        [prompt_context]
        if prompt_context
        else [made_up.prompt_context(0), made_up.joining(1), made_up.prompt_context(2, 8)]
    )
    jobs = [ProposeJob(each, 3 + at, 11 + at) for at, each in enumerate(given)]
    with checking("policy", policy) as checks:
        found = _proposed(policy, jobs)
        checks.require(len(found) == len(jobs), "answers every job", f"{len(jobs)} jobs gave {len(found)} lists")
        for job, made in zip(jobs, found, strict=True):
            _check_outputs(checks, policy.name, job, made, count)
        if isinstance(policy, Policy):
            _check_seeds(checks, policy, jobs, found)
        if isinstance(policy, Density) and isinstance(policy, Policy):
            _check_density(checks, policy, prompt_context or made_up.small())
        if isinstance(policy, Divergence) and isinstance(policy, Policy):
            _check_divergence(checks, policy, [job.prompt_context for job in jobs], others)
    return checks.held


def _proposed(policy: Policy | AsyncPolicy, jobs: Sequence[ProposeJob]) -> Sequence[Sequence[Output]]:
    if isinstance(policy, Policy):
        return policy.propose(jobs)
    return [anyio.run(policy.propose_async, job) for job in jobs]


def _check_outputs(
    checks: Checks, name: str, job: ProposeJob, made: Sequence[Output], count: Callable[[str], int]
) -> None:
    prompt_context, limit = job.prompt_context, job.prompt_context.task.max_tokens
    checks.require(
        isinstance(made, Sequence) and all(isinstance(each, Output) for each in made),
        "returns outputs",
        f"a job must give a list of Outputs, got {made!r:.80}",
    )
    checks.require(len(made) == job.n, "gives n outputs", f"asked for {job.n} outputs, it gave {len(made)}")
    for output in made:
        checks.require(
            (output.node, output.inputs, output.context)
            == (prompt_context.node, prompt_context.inputs, prompt_context.context),
            "says what an output is of and was made from",
            f"an output must carry its node, inputs and context ({prompt_context.node}, {prompt_context.inputs},"
            f" {prompt_context.context}), got ({output.node}, {output.inputs}, {output.context})",
        )
        checks.require(
            output.policy == name, "signs its outputs", f"outputs must be signed {name!r}, got {output.policy!r}"
        )
        tokens = count(output.text)
        checks.require(tokens <= limit, "keeps the limit", f"{tokens} tokens where the task allows {limit}")
        known = output.log_prob is None or (isfinite(output.log_prob) and output.log_prob <= 1e-9)
        checks.require(
            known, "knows log-probabilities or says None", f"log_prob must be 0 or less, got {output.log_prob}"
        )


def _check_seeds(checks: Checks, policy: Policy, jobs: Sequence[ProposeJob], found: Sequence[Sequence[Output]]) -> None:
    checks.require(
        _texts(policy.propose(jobs)) == _texts(found),
        "gives equal outputs for equal seeds",
        "the same jobs gave other outputs the second time",
    )
    alone = [policy.propose([job])[0] for job in reversed(jobs)]
    checks.require(
        _texts(alone[::-1]) == _texts(found),
        "answers each job by itself",
        "a job's outputs hang on the jobs beside it: they are others when it stands alone",
    )


def _check_density(checks: Checks, policy: Policy, prompt_context: PromptContext) -> None:
    assert isinstance(policy, Density)
    [drawn] = policy.propose([ProposeJob(prompt_context, _DRAWS, 5)])
    times = Counter(output.text for output in drawn)
    texts = sorted(times)
    try:
        log_probs = np.asarray(policy.log_prob(prompt_context, texts))
    except InputError:
        return  # it says that it does not know
    checks.require(
        log_probs.shape == (len(texts),) and not np.isnan(log_probs).any() and bool((log_probs <= 1e-9).all()),
        "gives a log-probability of each text",
        f"log_prob of {len(texts)} texts must be as many numbers of 0 or less, got {log_probs!r:.80}",
    )
    total, once = float(np.exp(log_probs).sum()), sum(count == 1 for count in times.values())
    # what was never drawn has about the probability of what was drawn once: Good (1953), doi:10.2307/2333344
    unseen = (once + 4 * sqrt(once) + 4) / _DRAWS
    checks.require(
        1 - unseen <= total <= 1 + 1e-6,
        "has log-probabilities that sum to one",
        f"the {len(texts)} outputs drawn of a small text have probabilities that sum to {total:.6f}, not to 1",
    )
    least = {text: known + _ROUNDING * max(1.0, -known) for text, known in zip(texts, log_probs, strict=True)}
    low = [output for output in drawn if output.log_prob is not None and output.log_prob > least[output.text]]
    checks.require(
        not low,
        "agrees with its outputs' log_prob",
        "an output's own log_prob is greater than that of its text, which it is one way to write",
    )


def _check_divergence(
    checks: Checks, policy: Policy, prompt_contexts: Sequence[PromptContext], others: Sequence[Policy]
) -> None:
    assert isinstance(policy, Divergence)
    for prompt_context in prompt_contexts:
        try:
            own, entropy = policy.kl(prompt_context, policy), policy.entropy(prompt_context)
        except InputError:
            continue  # it says that it does not know
        checks.require(abs(own) <= 1e-9, "is no distance from itself", f"KL from itself must be 0, got {own}")
        checks.require(
            isfinite(entropy) and entropy >= 0, "has an entropy", f"entropy is 0 nats or more, got {entropy}"
        )
        for other in others:
            _check_kl(checks, policy, other, prompt_context)


def _check_kl(checks: Checks, policy: Policy, other: Policy, prompt_context: PromptContext) -> None:
    """Check a policy's own KL from another by its fresh outputs, where both know how probable these are."""
    if not isinstance(policy, Divergence):
        return
    far = policy.kl(prompt_context, other)
    checks.require(
        far >= -1e-9, "is at a distance of 0 or more", f"KL from {other.name} must not be negative, got {far}"
    )
    least = _least_kl(policy, other, prompt_context)
    checks.require(
        least is None or far >= least - 1e-6,
        "lies as far as its probabilities say",
        f"it says KL {far:.4f} from {other.name}, and its texts' probabilities say at least {least}",
    )


def _least_kl(policy: Policy, other: Policy, prompt_context: PromptContext) -> float | None:
    """Return what the KL is at least, in nats, by the probabilities of the texts that a policy wrote.

    They are told apart, and all others are taken together, which makes a KL no greater (the log sum inequality: Cover
    and Thomas 2006, theorem 2.7.1). None where one of the two does not know how probable texts are.
    """
    if not (isinstance(policy, Density) and isinstance(other, Density)):
        return None
    [drawn] = policy.propose([ProposeJob(prompt_context, _DRAWS, 6)])
    texts = sorted({output.text for output in drawn})
    if any(output.truncated for output in drawn):
        return None
    try:
        own, theirs = (np.exp(each.log_prob(prompt_context, texts)) for each in (policy, other))
    except InputError:
        return None
    rest = rel_entr(max(0.0, 1 - own.sum()), max(0.0, 1 - theirs.sum()))
    return float(rel_entr(own, theirs).sum() + (rest if np.isfinite(rest) else 0.0))


def _texts(found: Sequence[Sequence[Output]]) -> list[list[str]]:
    return [[output.text for output in made] for made in found]


class _Longer:
    """Scores outputs by their length; implements `rrm.core.roles.Scorer`."""

    name = "longer"
    role = Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        rewards = [np.array([[len(text) / 40 - 1 for text in group.outputs]] * 4) for group in groups]
        return [Prediction.overall(each, 1 / (1 + np.exp(-each))) for each in rewards]


def check_optimiser(
    optimiser: Optimiser,
    sampler: Policy,
    prompt_contexts: Sequence[PromptContext] | None = None,
    kl_budget: float = 0.5,
) -> Held:
    """Check that an optimiser keeps its budget of KL, is deterministic, and loads what it saved.

    `sampler` is the policy that it improves, and its anchor. Scores prefer longer outputs. Raises ContractError.
    """
    given = list(prompt_contexts) if prompt_contexts else [made_up.prompt_context(number) for number in range(4)]
    jobs = [ProposeJob(each, 4, at) for at, each in enumerate(given)]
    with checking("optimiser", optimiser) as checks, TemporaryDirectory() as place:
        before = sampler.propose(jobs)
        seen = [Seen(str(each.task.source), each, tuple(made)) for each, made in zip(given, before, strict=True)]

        def improve(folder: str) -> Improved:
            where = Path(place) / folder
            where.mkdir(exist_ok=True)
            return optimiser.improve(sampler, sampler, seen, _Longer(), kl_budget, 7, Workspace(where))

        found, again, resumed = improve("one"), improve("two"), improve("one")
        checks.require(
            isinstance(found, Improved) and isinstance(found.sampler, Policy),
            "returns an improved policy",
            f"improve must return Improved with a Policy, got {type(found).__name__}",
        )
        checks.require(
            isfinite(found.kl) and -1e-9 <= found.kl <= kl_budget + 1e-9,
            "keeps its budget of KL",
            f"it went {found.kl} nats a node where {kl_budget} are allowed",
        )
        _check_distance(checks, found, sampler, seen, kl_budget)
        made = found.sampler.propose(jobs)
        for other, sentence in ((again, "another folder"), (resumed, "the same folder, begun again")):
            checks.require(
                other.sampler.name == found.sampler.name and _texts(other.sampler.propose(jobs)) == _texts(made),
                "improves equally with equal seeds",
                f"the same work in {sentence} gave another policy",
            )
        checks.require(
            found.sampler.name != sampler.name or _texts(made) == _texts(before),
            "names what it changed",
            "the improved policy proposes other outputs under the name of the one before",
        )
        loaded = optimiser.load(Path(place) / "one", sampler, _Longer())
        checks.require(
            loaded.name == found.sampler.name and _texts(loaded.propose(jobs)) == _texts(made),
            "loads what it saved",
            "the policy that is loaded is not the one that was saved",
        )
        checks.require(
            _texts(sampler.propose(jobs)) == _texts(before),
            "leaves the policy before as it was",
            "the policy that it started from was changed",
        )
    return checks.held


def _check_distance(checks: Checks, found: Improved, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> None:
    truth = measured(found.sampler, anchor, seen)
    if truth is None:
        return  # neither policy can tell
    if truth.how == "exact":
        _check_kl(checks, found.sampler, anchor, seen[0].prompt_context)
    elif not isinstance(found.sampler, SampledDivergence):
        least = [_least_kl(found.sampler, anchor, each.prompt_context) for each in seen]
        truth = truth._replace(least=max(truth.least, float(np.mean([each or 0.0 for each in least]))))
    how = "exactly" if truth.how == "exact" else "as samples tell"
    lies = f"lies {truth.nats:.4f} nats a node from its anchor, {how}"
    checks.require(
        truth.least <= kl_budget + 1e-6,
        "lies as near to its anchor as it may",
        f"the improved policy {lies}, where {kl_budget} are allowed",
    )
    checks.require(
        not understated(found.kl, truth), "tells of all that it spent", f"it says {found.kl:.4f} nats, and {lies}"
    )
    checks.require(
        found.how != "exact" or truth.how != "exact" or abs(truth.nats - found.kl) <= 1e-6,
        "says its exact distance",
        f"it says {found.kl:.4f} nats, exactly, and {lies}",
    )
