"""What the examples beside this file share: nodes to write at, policies that write, and a scorer of role train."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rrm.core.place import Place
from rrm.core.protocols import Optimiser, Policy, PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Train
from rrm.core.task import Span, Task
from rrm.core.values import Group, Passage, Prediction, View
from rrm.policy.extractive import Extractive
from rrm.policy.local import LocalPolicy

TEXTS = (
    "Anna walked to the mill. It rained all day. Peter hid the letter in the cellar. The soup was cold.",
    "At dusk Martha found the letter. Nobody spoke of it. Anna left the village. The clock had stopped.",
    "Peter told Anna the truth. The road was long. Martha sold the mill to Peter. Somewhere a dog barked.",
)
PEOPLE = {"Anna", "Peter", "Martha"}


@dataclass
class NamesNobody:
    """Accepts an output the less probably the more people it names; two members, who nearly agree."""

    name = "names nobody"
    role = Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        return [self._said(group) for group in groups]

    def _said(self, group: Group) -> Prediction:
        named = [len(PEOPLE & set(text.replace(".", "").split())) for text in group.outputs]
        accepted = np.array([[0.8 - 0.22 * count for count in named], [0.82 - 0.23 * count for count in named]])
        return Prediction.overall(np.log(accepted / (1 - accepted)), accepted)


@dataclass
class IsBrief(NamesNobody):
    """Accepts an output the more probably the fewer letters it has, which even a model of random weights can learn."""

    name = "is brief"

    def _said(self, group: Group) -> Prediction:
        shares = [min(sum(map(str.isalpha, text)) / 100, 0.9) for text in group.outputs]
        accepted = 0.95 - np.array([shares, shares])
        return Prediction.overall(np.log(accepted / (1 - accepted)), accepted)


def nodes(policy: Policy, tokens: int = 12) -> list[Seen]:
    """Three leaves, each of a source of its own, and what a policy wrote there."""
    found = []
    for at, text in enumerate(TEXTS):
        task = Task("Summarise.", f"source {at}", Span(0, len(text)), tokens)
        given = PromptContext(f"node {at}", task, View("Summarise.", (Passage(text),), tokens), place=Place())
        [outputs] = policy.propose([ProposeJob(given, 8, 1)])
        found.append(Seen(f"source {at}", given, tuple(outputs)))
    return found


def extractive() -> Policy:
    """A policy that selects sentences."""
    return Extractive()


def language_model() -> Policy:
    """A causal language model in the process: two hundred thousand random weights."""
    return LocalPolicy("tiny", dtype="float32", device="cpu")


def show(optimiser: Optimiser, policy: Policy, scorer: NamesNobody, kl_budget: float = 1.0) -> None:
    """Improve a policy within a budget of KL, and say what it came to on fresh outputs."""
    seen = nodes(policy)
    with tempfile.TemporaryDirectory() as folder:
        found = optimiser.improve(policy, policy, seen, scorer, kl_budget, 0, Workspace(Path(folder)))
        before, after = (_mean(each, seen, scorer) for each in (policy, found.sampler))
    print(f"acceptance {before:.3f} -> {after:.3f}, {found.kl:.3f} nats a node from the anchor ({found.how})")


def _mean(policy: Policy, seen: Sequence[Seen], scorer: NamesNobody) -> float:
    made = policy.propose([ProposeJob(each.prompt_context, 16, 7) for each in seen])
    groups = [
        Group(each.source, each.prompt_context.place, each.prompt_context.view, tuple(o.text for o in outputs))
        for each, outputs in zip(seen, made, strict=True)
    ]
    return float(np.mean([said.acceptance["overall"].mean() for said in scorer.score(groups)]))
