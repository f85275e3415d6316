"""Improves a policy that selects sentences by its gradient, with the KL to an anchor known exactly.

REINFORCE (Williams 1992, doi:10.1007/BF00992696) with a leave-one-out baseline (Kool et al. 2019) estimates the
gradient of the expected reward from fresh samples. The Fisher information and the KL are exact sums over
(sentence, tokens left), so the gradient is followed in the natural metric (Kakade 2001) and the budget is kept
without an estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.protocols import Improved, Policy, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.files import read_json, write_json
from rrm.policy.log_linear import CLOSE, LogLinear, names, weights_in
from rrm.policy.scoring import check, group, scores
from rrm.policy.weights import NodeWalk, Problem, Selecting, leashed, log_linear, pair, selecting, writing_by

STATE = "policy_gradient.json"
"""The file in the workspace that an interrupted improvement resumes from."""


class _Estimate(NamedTuple):
    """Means over prompt contexts: gradients of reward and KL [weights], Fisher information [weights, weights]."""

    reward: np.ndarray
    kl: np.ndarray
    fisher: np.ndarray


@dataclass(frozen=True)
class PolicyGradient:
    """Takes `steps` steps, each from `samples` fresh outputs for each of at most `nodes` prompt contexts.

    The reward is the mean probability of acceptance: it is what is wanted, it is bounded, so no output
    that the scorer is overly sure of outweighs all others, and equal gains count the same at all
    levels. (Log-odds would pay most for what is accepted or refused already.)

    Step s moves the weights by sqrt(2 budget) / s, in the metric of the Fisher information, along the
    natural gradient; once the budget is used up, along its part that keeps the KL. So the first
    step spends the budget on the direction that a first batch tells, and the later ones turn it,
    ever more slowly. `damping` is added to the information's diagonal, as a share of its mean
    positive entry: weights that hardly matter, or that few samples tell about, stay near the anchor's.

    The budget holds for the mean over the nodes seen of every level and, as sources differ, by a `Leash` at every
    single node, seen or not.
    """

    steps: int = 8
    samples: int = 4
    nodes: int = 150
    damping: float = 0.5
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.samples < 2 or self.nodes < 1 or not 0 < self.damping < float("inf"):
            raise InputError("policy gradient needs steps and nodes >= 1, samples >= 2 and damping > 0")
        name = content_id("policy-gradient", self.steps, self.samples, self.nodes, self.damping)
        object.__setattr__(self, "name", name)

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
        """Return the sampler with other weights, nowhere more than `kl_budget` nats from the anchor; see `Optimiser`.

        The KL is exact: its mean over the prompt contexts seen of the level where that is largest. Raises
        InputError unless sampler and anchor select sentences with the same settings and make mistakes
        at the same rate.
        """
        check(seen, kl_budget)
        scorer = for_improving(score)
        policy, origin = pair(sampler, anchor)
        problem = Problem.of(seen, origin)
        job = content_id(
            "improve", self.name, policy.name, anchor.name, scorer.name, kl_budget, seed, _situations(seen)
        )
        file = workspace.folder / STATE
        done, weights = _resumed(file, job, self.steps) or (0, np.array(log_linear(policy).weights))
        weights = problem.within(weights, kl_budget)
        for step in range(done, self.steps):
            now = leashed(origin, weights, kl_budget)
            random = generator("policy gradient", seed, step)
            batch = random.choice(len(seen), size=min(self.nodes, len(seen)), replace=False)
            estimate = self._estimate(policy, now, [problem.places[at] for at in batch], scorer, seed_for(seed, step))
            spent = problem.kl(weights) >= CLOSE * kl_budget
            move = _move(estimate, self.damping, spent)
            weights = problem.within(weights + sqrt(2 * kl_budget) / (step + 1) * move, kl_budget)
            state = dict(zip(names(), weights.tolist(), strict=True))
            write_json(file, {"job": job, "step": step + 1, "weights": state, "nats": kl_budget})
            workspace.progress(step + 1, self.steps)
        writer = leashed(origin, weights, kl_budget)
        return Improved(writing_by(policy, writer), problem.spent(writer), "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the policy whose weights the last step left in a folder; see `Optimiser`."""
        policy, state = selecting(anchor), read_json(folder / STATE)
        weights = weights_in(state, folder / STATE)
        return writing_by(policy, leashed(log_linear(policy), np.array(weights), state["nats"]))

    def _estimate(
        self,
        policy: Selecting,
        writer: LogLinear,
        places: Sequence[NodeWalk],
        scorer: Scorer[Train],
        seed: int,
    ) -> _Estimate:
        now = writing_by(policy, writer)
        samples = [
            now.sample(place.seen.prompt_context, self.samples, seed_for(seed, place.seen.prompt_context.node))
            for place in places
        ]
        groups = [
            group(place.seen.prompt_context, place.seen.source, [each.output.text for each in drawn])
            for place, drawn in zip(places, samples, strict=True)
        ]
        size = len(writer.weights)
        reward, kl, fisher = np.zeros(size), np.zeros(size), np.zeros((size, size))
        rewards = scores(scorer, groups)
        for (_, situation, anchor), drawn, got in zip(places, samples, rewards, strict=True):
            walk = situation.walk(writer.weights_at(situation))
            advantages = (got - got.mean()) * self.samples / (self.samples - 1)  # less the mean of the others
            for each, advantage in zip(drawn, advantages, strict=True):
                reward += advantage / self.samples * situation.score(walk, each.chosen)
            kl += situation.by_weights(walk.kl_gradient(anchor))
            fisher += situation.fisher(walk)
        return _Estimate(reward / len(places), kl / len(places), fisher / len(places))


def _move(estimate: _Estimate, damping: float, spent: bool) -> np.ndarray:
    """Return the natural gradient over its length, less its part along the KL's where the budget is spent."""
    diagonal = estimate.fisher.diagonal()
    if not (diagonal > 0).any() or not estimate.reward.any():
        return np.zeros_like(estimate.reward)
    metric = estimate.fisher + damping * diagonal[diagonal > 0].mean() * np.eye(len(diagonal))
    natural = np.linalg.solve(metric, estimate.reward)
    length = sqrt(float(estimate.reward @ natural))
    outward = np.linalg.solve(metric, estimate.kl)
    if spent and estimate.kl @ outward > 0:
        natural = natural - max(0.0, float(estimate.reward @ outward / (estimate.kl @ outward))) * outward
    return np.asarray(natural / length)


def _situations(seen: Sequence[Seen]) -> list[list[str]]:
    return [[each.source, each.prompt_context.node, each.prompt_context.read.id] for each in seen]


def _resumed(file: Path, job: str, steps: int) -> tuple[int, np.ndarray] | None:
    """Return the step and the weights that this job had come to, None if it had not begun."""
    if not file.exists():
        return None
    state = read_json(file)
    if state.get("job") != job:
        raise InputError(f"{file} belongs to another improvement: give each a folder of its own, or delete it")
    step = state.get("step")
    if not isinstance(step, int) or not 1 <= step <= steps:
        raise InputError(f"{file}: `step` must be a number from 1 to {steps}, got {step!r}")
    return step, np.array(weights_in(state, file))
