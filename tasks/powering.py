"""Powers of a permutation: where a point goes in 2^m steps, which two questions about 2^(m-1) steps answer.

The first task of iterated amplification (Christiano, Shlegeris and Amodei 2018, arXiv:1810.08575): a level can only
be learned once the one below it is right.

    >>> [question] = Powers(points=4, levels=0, seed=1).sources()[:1]
    >>> print(question.text)
    Where does 1 go in 2^0 steps of P1?
    <BLANKLINE>
    1 goes to 3. 2 goes to 4. 3 goes to 2. 4 goes to 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.protocols import PromptContext, ProposeJob
from rrm.core.task import Source, Span
from rrm.core.values import Comparison, Feedback, Label, Output, Request

_QUESTION = re.compile(r"Where does (\d+) go in 2\^(\d+) steps of P(\d+)\?")
_STEP = re.compile(r"(\d+) goes to (\d+)\.")


class Power(NamedTuple):
    """The question where a point goes in 2^level steps of a permutation."""

    point: int
    level: int
    permutation: int

    @property
    def text(self) -> str:
        return f"Where does {self.point} go in 2^{self.level} steps of P{self.permutation}?"


def power(text: str) -> Power | None:
    """Return the question that a text begins with, None where it begins with none."""
    found = _QUESTION.match(text)
    return Power(*map(int, found.groups())) if found else None


@dataclass(frozen=True)
class Powers:
    """All questions about 2^`least` to 2^`levels` steps of one permutation of `points`; implements `GoldSet`.

    A source is the question and, below it, where each point goes in one step. Gold is 1 for the right point, else 0,
    and is known for whole questions alone.
    """

    points: int = 6
    levels: int = 3
    seed: int = 1
    least: int = 0

    def __post_init__(self) -> None:
        if self.points < 2 or not 0 <= self.least <= self.levels:
            asked = f"got {self.points}, {self.least} and {self.levels}"
            raise InputError(f"powers need 2 points or more and levels from `least` (0 or more) up, {asked}")

    @cached_property
    def name(self) -> str:
        return f"powers(points={self.points}, levels={self.levels}, seed={self.seed}, least={self.least})"

    @cached_property
    def once(self) -> list[int]:
        """Where each point goes in one step, from point 1 on."""
        return [int(each) + 1 for each in generator("powers", self.points, self.seed).permutation(self.points)]

    @cached_property
    def questions(self) -> list[Power]:
        levels = range(self.least, self.levels + 1)
        return [Power(point + 1, level, self.seed) for level in levels for point in range(self.points)]

    def answer(self, question: Power) -> int:
        point = question.point
        for _ in range(2**question.level):
            point = self.once[point - 1]
        return point

    def sources(self) -> list[Source]:
        steps = " ".join(f"{point} goes to {to}." for point, to in enumerate(self.once, start=1))
        return [Source(each.text, f"{each.text}\n\n{steps}") for each in self.questions]

    def gold(self, source: str, span: Span | None, text: str) -> float | None:
        known = {each.id: each.text for each in self.sources()}
        if source not in known:
            raise InputError(f"{self.name} has no source with the id {source!r}")
        question = power(known[source])
        return None if span is not None or question is None else float(text.strip() == str(self.answer(question)))


@dataclass(frozen=True)
class PowersKey:
    """A rater who knows the answers of a set of powers and rates answers to its questions, parts among them."""

    points: int = 6
    levels: int = 3
    seed: int = 1

    @cached_property
    def name(self) -> str:
        return f"powers-key:{self._powers.name}"

    @cached_property
    def _powers(self) -> Powers:
        return Powers(self.points, self.levels, self.seed)

    def rate(self, request: Request, seed: int) -> Feedback:
        question = power(request.view.instruction)
        if question is None or question.permutation != self.seed:
            raise InputError(f"{request.view.instruction[:60]!r} is no question about P{self.seed}")
        right = [shown.text.strip() == str(self._powers.answer(question)) for shown in request.shown]
        if request.kind == "label":
            return Feedback(request.id, self.name, Label(right[0]))
        if request.kind == "comparison":
            return Feedback(request.id, self.name, Comparison(None if right[0] == right[1] else int(right[1])))
        raise InputError(f"this rater gives labels and comparisons, no {request.kind}")


@dataclass(frozen=True)
class Beginner:
    """H, who reads one step where it is written and takes the last part's answer, with an X that guesses blindly.

    Knows how probable its outputs are: 1 for what it reads, one over the number of points for a guess.
    """

    points: int = 6

    @property
    def name(self) -> str:
        return f"beginner:{self.points}"

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [[self._output(job, number) for number in range(job.n)] for job in jobs]

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probability of each text in nats, float64 [texts]."""
        sure = _told(prompt_context)
        points = {str(point) for point in range(1, self.points + 1)}
        if sure is not None:
            return np.array([0.0 if text == sure else -np.inf for text in texts])
        return np.array([-log(self.points) if text in points else -np.inf for text in texts])

    def _output(self, job: ProposeJob, number: int) -> Output:
        made, sure = job.prompt_context, _told(job.prompt_context)
        guess = generator("guess", made.view.instruction, job.seed, number).integers(self.points) + 1
        return Output(made.node, str(guess) if sure is None else sure, self.name, number, made.inputs, made.context)


def _told(prompt_context: PromptContext) -> str | None:
    """Return the answer that the parts or the text give; None where there are neither."""
    passages = prompt_context.view.passages
    if not passages:
        return None
    if passages[-1].node is not None:
        return passages[-1].text
    question, steps = power(prompt_context.view.instruction), dict(_STEP.findall(passages[-1].text))
    return None if question is None or question.level else steps.get(str(question.point))
