"""Fits on their way to a worker: their ratings as a table in which each view and each question stands once.

A level's ratings are many to a question and questions many to a view, which may be a whole source.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, PlainSerializer, TypeAdapter

from rrm.core.place import Place
from rrm.core.roles import ROLES
from rrm.core.values import KINDS, Answer, Feedback, Fitted, Rated, Request, View
from rrm.pipeline.stages import FitJob

_NO_VIEW = View("", (), 0)


class _Row(NamedTuple):
    """A rating: the number of its question, the feedback, with the kind of its answer, and its weight."""

    question: int
    request: str
    rater: str
    kind: str
    answer: dict[str, Any]
    seconds: float | None
    confidence: float | None
    criterion: str
    weight: float


class _Question(NamedTuple):
    """A request without its view, and the number of that."""

    view: int
    request: Request


@dataclass(frozen=True)
class _Sent:
    place: Place
    root: bool
    role: str
    seed: int
    below: Fitted | None
    before: Fitted | None
    at_random: tuple[str, ...]
    views: tuple[View, ...]
    questions: tuple[_Question, ...]
    rated: tuple[_Row, ...]
    others: tuple[_Row, ...]


def _sent(job: FitJob) -> _Sent:
    views: dict[View, int] = {}
    questions: dict[Request, int] = {}

    def rows(rated: Iterable[Rated]) -> tuple[_Row, ...]:
        return tuple(_row(each, questions.setdefault(each.request, len(questions))) for each in rated)

    rated, others = rows(job.rated), rows(job.others)
    asked = tuple(
        _Question(views.setdefault(each.view, len(views)), replace(each, view=_NO_VIEW)) for each in questions
    )
    starts = job.below, job.before
    random = tuple(sorted(job.at_random))
    return _Sent(job.place, job.root, job.role.name, job.seed, *starts, random, tuple(views), asked, rated, others)


def _job(sent: _Sent) -> FitJob:
    asked = [replace(request, view=sent.views[view]) for view, request in sent.questions]
    rated, others = (tuple(_rated(each, asked[each.question]) for each in rows) for rows in (sent.rated, sent.others))
    role, random = ROLES[sent.role], frozenset(sent.at_random)
    return FitJob(sent.place, sent.root, role, rated, sent.seed, sent.below, sent.before, others, random)


FIT = Annotated[_Sent, PlainSerializer(_sent, return_type=_Sent), AfterValidator(_job)]
"""A `FitJob` as it crosses."""


def _row(rated: Rated, question: int) -> _Row:
    said = rated.feedback
    answer = {each.name: getattr(said.answer, each.name) for each in fields(said.answer)}
    how = said.seconds, said.confidence, said.criterion
    return _Row(question, said.request, said.rater, said.answer.kind, answer, *how, rated.weight)


def _rated(row: _Row, request: Request) -> Rated:
    answer = _reader(row.kind)(row.answer)
    said = Feedback(row.request, row.rater, answer, row.seconds, row.confidence, row.criterion)
    return Rated(request, said, row.weight)


@cache
def _reader(kind: str) -> Callable[[Mapping[str, Any]], Answer]:
    return TypeAdapter(KINDS[kind]).validate_python
