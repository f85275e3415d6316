"""A tiny policy that knows all about itself, and an optimiser of it: what their contracts are tried on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np

from rrm.core.ids import content_id, generator
from rrm.core.protocols import Improved, Policy, PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train
from rrm.core.text import sentence_texts
from rrm.core.values import Output
from rrm.files import read_json, write_json


@dataclass(frozen=True)
class OneSentence:
    """Proposes one sentence of the view, with probability proportional to exp(slope * words); none beyond the limit."""

    slope: float = 0.0

    @property
    def name(self) -> str:
        return content_id("one-sentence", self.slope)

    def choices(self, prompt_context: PromptContext) -> tuple[list[str], np.ndarray]:
        """Return the different sentences that fit, and their probabilities, [sentences]."""
        texts = list(dict.fromkeys(sentence_texts(prompt_context.view.text)))
        fit = [text for text in texts if len(text.split()) <= prompt_context.task.max_tokens // 2] or [""]
        worth = np.exp(self.slope * np.array([len(text.split()) for text in fit], dtype=np.float64))
        return fit, worth / worth.sum()

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [[self._output(job, number) for number in range(job.n)] for job in jobs]

    def _output(self, job: ProposeJob, number: int) -> Output:
        texts, p = self.choices(job.prompt_context)
        at = int(generator("one", job.prompt_context.node, job.seed, number).choice(len(texts), p=p))
        made = job.prompt_context
        return Output(made.node, texts[at], self.name, number, made.inputs, made.context, log(p[at]))

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        known, p = self.choices(prompt_context)
        return np.array([log(p[known.index(text)]) if text in known else -np.inf for text in texts])

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        assert isinstance(other, OneSentence)
        p, q = self.choices(prompt_context)[1], other.choices(prompt_context)[1]
        return float((p * np.log(p / q)).sum())

    def entropy(self, prompt_context: PromptContext) -> float:
        p = self.choices(prompt_context)[1]
        return float(-(p * np.log(p)).sum())


@dataclass(frozen=True)
class Steeper:
    """Makes the slope steeper for as long as the budget of KL allows, towards longer sentences."""

    name: str = "steeper"

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
        policy = self.within(anchor, seen, kl_budget)
        write_json(workspace.folder / "policy.json", {"slope": policy.slope})
        return Improved(policy, self.distance(policy, anchor, seen), "exact")

    def within(self, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> OneSentence:
        slope = 1.0
        while self.distance(OneSentence(slope), anchor, seen) > kl_budget:
            slope /= 2
        return OneSentence(slope)

    def distance(self, policy: OneSentence, anchor: Policy, seen: Sequence[Seen]) -> float:
        return float(np.mean([policy.kl(each.prompt_context, anchor) for each in seen]))

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> OneSentence:
        return OneSentence(float(read_json(folder / "policy.json")["slope"]))
