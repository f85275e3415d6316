"""Nested questions, asked from the inside out: each next question is made from the answer to the one before."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node, Part, Proposal, TaskGraph
from rrm.core.ids import content_id, seed_for
from rrm.core.task import Source, Span, Task
from rrm.core.values import Output

_QUESTION = re.compile(r"What is ((?:the [a-z][a-z ]*? of )+)([^?\n]+)\?")
_RELATION = re.compile(r"the ([a-z][a-z ]*?) of ")
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
