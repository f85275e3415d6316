"""Questions whose parts are made from earlier answers: nested ones, and those that people split into steps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node, Part, Proposal, TaskGraph
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import PlanRecord, RecordedStep
from rrm.core.task import Source, Span, Task
from rrm.core.values import Output

_QUESTION = re.compile(r"What is ((?:the [a-z][a-z ]*? of )+)([^?\n]+)\?")
_RELATION = re.compile(r"the ([a-z][a-z ]*?) of ")
_MARK = re.compile(r"<<[^<>]*>>")
_REFERENCE = re.compile(r"#(\d+)")
_FACT = re.compile(r"the [a-z][a-z ]*? of .+? is ([^.\n]+)\.?", re.IGNORECASE)


class _Nested(NamedTuple):
    """A question, its relations from the inside out, and the name that it starts from."""

    text: str
    relations: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class NestedQuestions:
    """Ask "What is the author of X?" first where the birthplace of the author of X is the question.

    A source's first line is the question, the rest holds facts, one a line. The whole task has no
    text of its own: it composes the answers. Each part looks through the facts and reads the answer
    before it, which may be a name or a fact like "The author of X is NAME."; where there is none, no
    further question can be made and the task closes with the parts that it has.
    """

    max_tokens: int = 24

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens}")

    @cached_property
    def name(self) -> str:
        return content_id("nested-questions", self.max_tokens)

    def start(self, source: Source, seed: int) -> TaskGraph:
        """Return the question as one open node; raise InputError if the source does not begin with one."""
        question = _nested(source)
        whole = Task(question.text, max_tokens=self.max_tokens, rank=len(question.relations) + 1)
        return TaskGraph.start(whole, self.name, seed_for(seed, source.id))  # the task does not name its source

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        """Return the one proposal there is: the next question, or that a question of one relation is a leaf."""
        if node.id != graph.root:
            return [Proposal()]
        question, asked = _nested(source), graph.children(node.id)
        name = _answer(answers.get(asked[-1])) if asked else question.name
        if not name:
            return [Proposal(note=f"part {len(asked) - 1} has no answer to go on from")]
        facts = Span(len(question.text) + 1, len(source.text))
        next_question = f"What is the {question.relations[len(asked)]} of {name}?"
        task = Task(next_question, source.id, facts, self.max_tokens, rank=1)
        part = Part(task, reads=(len(asked) - 1,) if asked else ())
        return [Proposal((part,), more=len(asked) + 1 < len(question.relations))]


@dataclass(frozen=True)
class RecordedSteps:
    """Split a question as people did: their steps on record, each asked once those that it refers to are answered.

    A source's first paragraph is the question, what follows are facts, through which every step looks. `#2` in a
    step stands for the answer to the second one and is replaced by it; with `substitute = False` all steps are
    proposed at once and as they are written. The whole question composes the answers. Steps that refer to
    themselves or to later ones are proposed as they stand, for the gate to refuse.
    """

    plans: PlanRecord
    substitute: bool = True
    max_tokens: int = 48

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens}")

    @cached_property
    def name(self) -> str:
        return content_id("recorded-steps", self.plans.name, self.substitute, self.max_tokens)

    def start(self, source: Source, seed: int) -> TaskGraph:
        """Return the question as one open node; raise InputError if there is no record of it."""
        question, _ = _question_and_facts(source)
        steps = self.plans.steps(question)
        whole = Task(question, max_tokens=self.max_tokens, rank=len(steps) + 1)
        return TaskGraph.start(whole, self.name, seed_for(seed, source.id))

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        """Return the one proposal there is: the steps whose references are answered, or that a step is a leaf."""
        if node.id != graph.root:
            return [Proposal()]
        question, facts = _question_and_facts(source)
        steps = self.plans.steps(question)
        waves = _waves(steps) if self.substitute else [range(len(steps))]
        asked = graph.children(node.id)
        done = 0
        for number, wave in enumerate(waves):
            if done == len(asked):
                order = [step for earlier in waves[: number + 1] for step in earlier]
                said = {step: _line(answers.get(part)) for step, part in zip(order, asked, strict=False)}
                parts = tuple(self._part(source, facts, steps[step], order, said) for step in wave)
                return [Proposal(parts, more=number + 1 < len(waves))]
            done += len(wave)
        return [Proposal()]

    def _part(
        self, source: Source, facts: Span | None, step: RecordedStep, order: Sequence[int], said: Mapping[int, str]
    ) -> Part:
        def answer(match: re.Match[str]) -> str:
            return said.get(int(match[1]) - 1) or match[0]

        text = _REFERENCE.sub(answer, step.text) if self.substitute else step.text
        reads = tuple(order.index(each) if each in order else each for each in step.reads)
        of = None if facts is None else source.id
        return Part(Task(text, of, facts, max_tokens=self.max_tokens, rank=0), reads)


def _waves(steps: Sequence[RecordedStep]) -> list[Sequence[int]]:
    """Return the steps' numbers in the order in which they can be asked, those that can be asked together as one.

    Where a step refers to itself or to a later one, all are one wave.
    """
    if any(not 0 <= each < number for number, step in enumerate(steps) for each in step.reads):
        return [range(len(steps))]
    depth: list[int] = []
    for step in steps:
        depth.append(1 + max((depth[each] for each in step.reads), default=-1))
    return [[at for at, deep in enumerate(depth) if deep == wave] for wave in range(max(depth, default=-1) + 1)]


def _question_and_facts(source: Source) -> tuple[str, Span | None]:
    question, blank, facts = source.text.partition("\n\n")
    return question, Span(len(question) + len(blank), len(source.text)) if facts.strip() else None


def _line(output: Output | None) -> str:
    """Return what an answer comes to: its first line, or of a calculation in it what stands behind the last "="."""
    line = "" if output is None else _MARK.sub("", output.text.strip().partition("\n")[0])
    return line.rpartition("=")[2].strip()[:200].rstrip(".")


def _nested(source: Source) -> _Nested:
    first, _, facts = source.text.partition("\n")
    match = _QUESTION.fullmatch(first)
    if match is None or not facts.strip():
        form = "a first line like 'What is the birthplace of the author of X?' and facts on the lines after it"
        raise InputError(f"{source.title}: nested questions need {form}")
    return _Nested(first, tuple(reversed(_RELATION.findall(match[1]))), match[2])


def _answer(output: Output | None) -> str:
    """Return the name that an answer gives: what stands behind "is" in a fact, else its first line."""
    text = "" if output is None else output.text.strip()
    fact = _FACT.match(text)
    return fact[1] if fact else text.partition("\n")[0].rstrip(".")
