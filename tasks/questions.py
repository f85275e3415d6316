"""Questions from files, with people's decompositions: StrategyQA, EntailmentBank, GSM8K, and Break (no answers).

A source is a question and, after a blank line, the facts that are given with it. Only the answer to the whole question
is known, so only whole answers have gold.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator
from rrm.core.protocols import RecordedStep
from rrm.core.task import Source, Span
from rrm.core.text import words
from rrm.core.values import Comparison, Feedback, Label, Request
from rrm.files.folders import Folders
from tasks.arithmetic_steps import calculations, final_number, percent_last
from tasks.recorded_rows import Question, read_questions

_YES_NO = re.compile(r"\b(yes|no(?! (?:idea|clue|answer|information)\b)|true|false)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Questions:
    """`count` questions drawn from files (None: all, in their order); implements `GoldSet`.

    `paths` are JSON lines, plain or gzipped (`tasks.recorded_rows`). With `facts` the facts stand in the source.
    `folders` are where relative paths are looked up: a run's, or the current one.
    """

    paths: tuple[str, ...]
    count: int | None = None
    seed: int = 0
    facts: bool = True
    folders: Folders = field(default=Folders(), compare=False, repr=False)

    @cached_property
    def questions(self) -> list[Question]:
        """The questions drawn; raises InputError if there are fewer than `count`."""
        every = read_questions(self.paths, self.folders)
        if self.count is None:
            return every
        if not 1 <= self.count <= len(every):
            raise InputError(f"count must lie between 1 and {len(every)}, the questions in {', '.join(self.paths)}")
        order = generator("questions", self.seed).permutation(len(every))[: self.count]
        return [every[at] for at in sorted(order)]

    @cached_property
    def name(self) -> str:
        return content_id("questions", [[each.source_text, each.answer] for each in self.questions], self.facts)

    @cached_property
    def _by_id(self) -> dict[str, Question]:
        return {self._source(each).id: each for each in self.questions}

    def sources(self) -> list[Source]:
        return [self._source(each) for each in self.questions]

    def gold(self, source: str, span: Span | None, text: str) -> float | None:
        """Return how right a text is as the answer to a whole question; None for parts, and where nobody knows.

        A yes or no and a number are right or wrong (`20%` is right where 20 is on record); other answers get the F1
        of their words (as SQuAD, Rajpurkar et al. 2016, arXiv:1606.05250). Raises InputError for an unknown source.
        """
        if source not in self._by_id:
            raise InputError(f"{self.name} has no source with the id {source!r}")
        question = self._by_id[source]
        return None if span is not None or question.kind == "none" else credit(question, text)

    def _source(self, question: Question) -> Source:
        return Source(question.text[:80], question.source_text if self.facts else question.text)


@dataclass(frozen=True)
class RecordedPlans:
    """People's decompositions of the questions in files; implements `rrm.core.protocols.PlanRecord`."""

    paths: tuple[str, ...]
    folders: Folders = field(default=Folders(), compare=False, repr=False)

    @cached_property
    def _by_text(self) -> dict[str, Question]:
        return {question.text: question for question in read_questions(self.paths, self.folders)}

    @cached_property
    def name(self) -> str:
        return content_id("recorded-plans", [[each.text, each.steps] for each in self._by_text.values()])

    def steps(self, question: str) -> Sequence[RecordedStep]:
        """Return the steps to a question's answer; raise InputError for a question that is not in the files."""
        found = self._by_text.get(" ".join(question.split()))
        if found is None:
            raise InputError(f"no question in {', '.join(self.paths)} reads {question[:80]!r}")
        return found.steps


@dataclass(frozen=True)
class AnswerKey:
    """A rater who knows the answers to the questions in files and rates whole answers: outcomes on record.

    An answer is accepted if it is right (with an F1 of .5 where words are asked for). With `arithmetic` it rates other
    nodes too, by the formal check alone: every calculation that an output marks must hold, and there must be one.
    """

    paths: tuple[str, ...]
    arithmetic: bool = False
    folders: Folders = field(default=Folders(), compare=False, repr=False)

    @cached_property
    def _by_text(self) -> dict[str, Question]:
        return {question.text: question for question in read_questions(self.paths, self.folders)}

    @cached_property
    def name(self) -> str:
        return content_id("answer-key", [[each.text, each.answer] for each in self._by_text.values()], self.arithmetic)

    def rate(self, request: Request, seed: int) -> Feedback:
        """Return a label or a comparison; raise InputError for another kind, and for questions it does not know."""
        credits = [self._credit(request.view.instruction, shown.text) for shown in request.shown]
        if request.kind == "label":
            return Feedback(request.id, self.name, Label(credits[0] >= 0.5))
        if request.kind == "comparison":
            better = None if credits[0] == credits[1] else int(credits[1] > credits[0])
            return Feedback(request.id, self.name, Comparison(better))
        raise InputError(f"an answer key gives labels and comparisons, no {request.kind}")

    def _credit(self, instruction: str, text: str) -> float:
        question = self._by_text.get(" ".join(instruction.split()))
        if question is not None and question.kind != "none":
            return credit(question, text)
        if not self.arithmetic:
            raise InputError(
                f"the answer to {instruction[:80]!r} is not known: rate whole questions only (per_node = {{}})"
            )
        steps = calculations(text)
        return float(bool(steps) and all(step.holds for step in steps))


def credit(question: Question, text: str) -> float:
    """Return how right a text is as a question's answer, in [0, 1]."""
    if question.kind == "yes or no":
        return float(yes_or_no(text) == question.answer)
    if question.kind == "number":
        said, right = final_number(text), final_number(question.answer)
        as_percent = None if said is None or "%" in question.answer or not percent_last(text) else 100 * said
        return float(said is not None and right in (said, as_percent))
    return _f1(text, question.answer)


def yes_or_no(text: str) -> str | None:
    """Return the first verdict in a text, "yes" or "no"; None where there is none."""
    found = _YES_NO.search(text)
    return None if found is None else "yes" if found[1].lower() in ("yes", "true") else "no"


def _f1(text: str, answer: str) -> float:
    said, right = (Counter(word.lower() for word in words(each)) for each in (text, answer))
    common = (said & right).total()
    return 2 * common / (said.total() + right.total()) if common else 0.0
