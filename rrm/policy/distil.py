"""Distilling: whoever answers parts learns the answers that whole questions got from their parts.

Iterated amplification (Christiano, Shlegeris and Amodei 2018, arXiv:1810.08575): the answer to a question that was put
together from parts' answers is better than the answer that would be given at once, so the policy is taught it, and the
next round's parts are answered by the policy so taught. What is learned here is a table from instructions to answers:
the plainest X, whose distance from the anchor is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, log
from pathlib import Path

import numpy as np

from rrm.core.errors import ConfigError
from rrm.core.ids import content_id, generator
from rrm.core.protocols import Density, Improved, Policy, PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train
from rrm.core.values import Output
from rrm.files import read_json, write_json

_FILE = "answers.json"


@dataclass(frozen=True)
class Distilled:
    """A policy that knows answers by heart: it gives them, with probability `weight`, where it is shown nothing.

    That is at leaves without a text; everywhere else, and for what it was not taught, it does as `beginner` does.
    """

    beginner: Policy
    answers: Mapping[str, str] = field(repr=False)
    weight: float = 1.0

    @cached_property
    def name(self) -> str:
        return f"distilled:{content_id('answers', dict(self.answers), self.weight)[-12:]}:{self.beginner.name}"

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        drawn = self.beginner.propose(jobs)
        return [[self._taught(job, output) for output in outputs] for job, outputs in zip(jobs, drawn, strict=True)]

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probability, in nats, of each text, float64 [texts]; the beginner must know its own."""
        own = np.exp(_density(self.beginner).log_prob(prompt_context, texts))
        known = self._known(prompt_context)
        if known is not None:
            own = (1 - self.weight) * own + self.weight * np.array([float(text == known) for text in texts])
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(own))

    def _known(self, prompt_context: PromptContext) -> str | None:
        view = prompt_context.view
        return None if view.passages else self.answers.get(view.instruction)

    def _taught(self, job: ProposeJob, output: Output) -> Output:
        made, known = job.prompt_context, self._known(job.prompt_context)
        if known is not None and generator("by heart", made.node, job.seed, output.seed).random() < self.weight:
            return Output(made.node, known, self.name, output.seed, made.inputs, made.context)
        return Output(made.node, output.text, self.name, output.seed, made.inputs, made.context)


@dataclass(frozen=True)
class Distil:
    """Teach a policy the first answer of every whole question that was seen; implements `Optimiser`.

    No score is used: the answers put together from parts are the teacher. The distance is KL(taught || anchor) at the
    questions taught, in nats, exact, on average over them; `weight` is lowered until it is within the budget.
    """

    @property
    def name(self) -> str:
        return "distil"

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
        """Return the policy taught; raise ConfigError if the anchor does not know how probable its outputs are."""
        beginner, before = (sampler.beginner, sampler.answers) if isinstance(sampler, Distilled) else (sampler, {})
        answers = {**before, **{each.prompt_context.view.instruction: each.outputs[0].text for each in seen}}
        asked = {each.prompt_context.view.instruction: each.prompt_context for each in seen}
        contexts = {text: _bare(context) for text, context in asked.items()}
        density = _density(anchor)
        probability = {
            text: exp(float(density.log_prob(context, [answers[text]])[0])) for text, context in contexts.items()
        }
        possible = {text: answers[text] for text in answers if probability.get(text, 1.0) > 0}
        weight = _weight([q for q in probability.values() if q > 0], kl_budget)
        taught = Distilled(beginner, possible, weight)
        write_json(workspace.folder / _FILE, {"answers": possible, "weight": weight})
        distances = [_kl(q, weight) for q in probability.values() if q > 0]
        return Improved(taught, float(np.mean(distances)) if distances else 0.0, "exact")

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the policy that `improve` saved; a run's anchor is its first policy."""
        facts = read_json(folder / _FILE)
        beginner = anchor.beginner if isinstance(anchor, Distilled) else anchor
        return Distilled(beginner, facts["answers"], facts["weight"])


def _bare(context: PromptContext) -> PromptContext:
    """Return the same question as a part without a text would be asked it."""
    return replace(context, view=replace(context.view, passages=()))


def _density(policy: Policy) -> Density:
    if not isinstance(policy, Density):
        raise ConfigError(
            f"{policy.name} does not know how probable its outputs are (log_prob), so no distance from it"
        )
    return policy


def _kl(q: float, weight: float) -> float:
    """Return KL(p || anchor) in nats, where p gives one answer, of probability q, with `weight`, else draws from it."""
    p = weight + (1 - weight) * q
    rest = (1 - p) * log(1 - weight) if weight < 1 else 0.0
    return p * log(p / q) + rest


def _weight(probabilities: Sequence[float], kl_budget: float) -> float:
    """Return the largest weight with which the mean distance is within the budget, to 1e-12, by bisection."""

    def mean(weight: float) -> float:
        return float(np.mean([_kl(q, weight) for q in probabilities])) if probabilities else 0.0

    if mean(1.0) <= kl_budget:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) <= kl_budget else (low, middle)
    return low
