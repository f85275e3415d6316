"""Materials, and scorers whose truth is known, for the tests of policies and optimisers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rrm.core.place import Place
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.roles import Role, Train
from rrm.core.task import Span, Task
from rrm.core.text import sentence_texts
from rrm.core.values import Group, Output, Passage, Prediction, View

TEXT = (
    "Anna walked to the mill with Peter. It rained. Later Peter hid the letter in the cellar because Anna had lied. "
    "The soup was cold. At dusk Martha found the letter near the river. Nobody spoke. Anna and Martha left the village."
)


def prompt_context(
    text: str = TEXT, limit: int = 30, context: str = "", level: int = 0, node: str = "node"
) -> PromptContext:
    view = View("Summarise.", (Passage(text),) if text else (), limit, context)
    task = Task("Summarise.", "source", Span(0, len(text)), limit)
    return PromptContext(node, task, view, place=Place(level=level))


def proposed(policy: Policy, given: PromptContext, n: int, seed: int) -> list[Output]:
    """What a policy proposes for one prompt context."""
    [outputs] = policy.propose([ProposeJob(given, n, seed)])
    return outputs


def joined(scores: Sequence[float | None], limit: int = 30) -> PromptContext:
    """A prompt context above the leaves: passages of two sentences each, with their scores."""
    passages = tuple(
        Passage(f"Person{n} met Anna at the mill. Then person{n} went home.", f"n{n}", f"o{n}", score)
        for n, score in enumerate(scores)
    )
    task, view = Task("Join.", "source", Span(0, 99), limit), View("Join.", passages, limit)
    return PromptContext("top", task, view, place=Place(level=1))


@dataclass
class Known:
    """A scorer of two equal members by a function of (group, text), in [0, 1]; it counts its calls and can fail."""

    of: Callable[[Group, str], float]
    name: str = "known"
    role: type[Role] = Train
    fails_after: int | None = None
    calls: int = field(default=0)

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        if self.calls == self.fails_after:
            raise KeyboardInterrupt
        self.calls += 1
        return [said([self.of(group, text) for text in group.outputs]) for group in groups]


def said(*members: Sequence[float]) -> Prediction:
    """A prediction of these probabilities of acceptance, [k], of each member; two of one where only one is given."""
    acceptance = np.array(members if len(members) > 1 else members * 2, dtype=np.float64)
    return Prediction.overall(acceptance, acceptance)


def early(group: Group, text: str) -> float:
    """The share of the first half's sentences among all sentences that the text could have: early is better."""
    shown = sentence_texts(group.view.text)
    return sum(1 - shown.index(each) / len(shown) for each in sentence_texts(text)) / len(shown)
