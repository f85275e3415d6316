"""Imitates what a rule would keep of the anchor's outputs: filtered imitation, and any other target, into weights.

A rule such as the best share q makes weights of candidates that the anchor drew, and the weights of a log-linear policy
are fitted to them by maximum likelihood. The result is the member of the family nearest to the rule's target by
*forward* KL: it covers what the target does, where KL-anchored RL, which minimises the reverse KL, may settle on a part
(Khalifa et al. 2021, arXiv:2012.11635). With a family that can tell all outputs apart it is the target itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Improved, Policy, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.files import read_json, write_json
from rrm.policy.finite import Finite
from rrm.policy.log_linear import LogLinear, names, weights_in
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.reweighted import Reweighting
from rrm.policy.scoring import check, group, require_spread, scores
from rrm.policy.weights import NodeWalk, Problem, leashed, log_linear, pair, selecting, writing_by

STATE = "imitation.json"
"""The file in the workspace that holds the weights."""
_CLOSE = 1e-9  # a Newton step whose gain, in nats, is less than this ends the fit


@dataclass(frozen=True)
class Imitation:
    """Fits the anchor's selection to what a rule keeps of `samples` candidates a node, within the budget of KL.

    `of` names the rule: `Quantilizer(q=0.25)` is filtered imitation, `KLAnchored` the forward KL to the optimum of
    RL, `Conditioning` training on what was rated high. As a family of policies falls short of a target, the rule may
    go `target_kl` nats; the policy keeps its own budget. `ridge` is the precision of a normal prior around
    the anchor's weights: few outputs move it little.
    """

    of: Reweighting = field(default_factory=lambda: Quantilizer(q=0.25))
    samples: int = 16
    target_kl: float = 2.0
    ridge: float = 1.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if self.samples < 2 or not self.target_kl > 0 or not 0 < self.ridge < float("inf"):
            raise InputError("imitation needs samples >= 2, target_kl > 0 and ridge > 0")
        name = content_id("imitation", self.of.name, self.samples, self.target_kl, self.ridge)
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
        """Return the anchor with weights of its own best outputs; see `Optimiser`. The sampler is not asked.

        The KL is exact: its mean over the prompt contexts seen of the level where that is largest. Raises
        InputError unless the anchor selects sentences, and where all candidates at each node score the same.
        """
        check(seen, kl_budget)
        scorer, rule = for_improving(score), self.of.rule(self.target_kl)
        policy, origin = pair(anchor, anchor)
        problem = Problem.of(seen, origin)
        asked = [each.prompt_context for each in seen]
        drawn = [policy.sample(at, self.samples, seed_for(seed, "imitate", at.node)) for at in asked]
        texts = [[sample.output.text for sample in samples] for samples in drawn]
        groups = [group(each.prompt_context, each.source, said) for each, said in zip(seen, texts, strict=True)]
        got = scores(scorer, groups)
        require_spread(got)
        kept = [
            _Kept(place, [sample.chosen for sample in samples], rule(Finite.uniform(len(said)), each, said).probs)
            for place, samples, said, each in zip(problem.places, drawn, texts, got, strict=True)
        ]
        weights = problem.within(self._fitted(kept, origin, workspace), kl_budget)
        writer = leashed(origin, weights, kl_budget)
        state = dict(zip(names(), weights.tolist(), strict=True))
        write_json(workspace.folder / STATE, {"optimiser": self.name, "weights": state, "nats": kl_budget})
        return Improved(writing_by(policy, writer), problem.spent(writer), "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the policy whose weights were left in a folder; see `Optimiser`."""
        policy, state = selecting(anchor), read_json(folder / STATE)
        if state.get("optimiser") != self.name:
            raise InputError(f"{folder / STATE} was not written by this optimiser with these settings")
        weights = np.array(weights_in(state, folder / STATE))
        return writing_by(policy, leashed(log_linear(policy), weights, state["nats"]))

    def _fitted(self, kept: Sequence["_Kept"], origin: LogLinear, workspace: Workspace, steps: int = 50) -> np.ndarray:
        """Return the weights of the greatest posterior: Newton's method, which is Fisher's scoring up to the paths."""
        start = np.array(origin.weights)
        weights, now = start, self._posterior(kept, start, start)
        for step in range(steps):
            gradient, information = self.ridge * (start - weights), self.ridge * np.eye(len(start))
            for each in kept:
                walk = each.place.situation.walk(weights)
                for chosen, weight in zip(each.chosen, each.weights, strict=True):
                    if weight:
                        gradient = gradient + weight * each.place.situation.score(walk, chosen)
                information = information + each.place.situation.fisher(walk)
            move = np.linalg.solve(information, gradient)
            length, next_ = 1.0, self._posterior(kept, weights + move, start)
            while next_ < now and length > 1e-6:
                length /= 2
                next_ = self._posterior(kept, weights + length * move, start)
            workspace.progress(step + 1, 0)
            if next_ - now < _CLOSE:
                break
            weights, now = weights + length * move, next_
        return weights

    def _posterior(self, kept: Sequence["_Kept"], weights: np.ndarray, start: np.ndarray) -> float:
        """Return the log-likelihood of what was kept, each node once, and the log-prior, in nats."""
        likelihood = sum(
            float(weight) * each.place.situation.walk(weights).log_prob_of(chosen)
            for each in kept
            for chosen, weight in zip(each.chosen, each.weights, strict=True)
            if weight
        )
        return likelihood - self.ridge / 2 * float(((weights - start) ** 2).sum())


class _Kept(NamedTuple):
    """A node's candidates as selections, with the weights that the rule gives them, [samples]; they sum to one."""

    place: NodeWalk
    chosen: list[tuple[int, ...]]
    weights: np.ndarray
