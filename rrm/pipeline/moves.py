"""Which answers may move which scores: the one place that says so, for everything that puts raters' answers to use."""

from collections.abc import Iterable, Mapping
from typing import Literal

from rrm.core.asking import AT_RANDOM, BY_VALUE, LEFT
from rrm.core.roles import Train
from rrm.core.values import Rated, Request
from rrm.pipeline.steps import Run

Moved = Literal["models", "belief", "choice", "figures"]
"""What answers move: reward models, with all that is composed of their scores, calibrated by them and improved against
them; the belief that picks and stops questions; the choice of root outputs where questions about targets are allowed;
and the figures that judge the models (accuracy, calibration, agreement)."""

EVENLY, ABOUT_TARGETS = "evenly", "about targets"
"""Streams of answers beside those of questions: drawn without a sampler, or recorded elsewhere; about targets."""

MAY_MOVE: Mapping[str, frozenset[Moved]] = {
    EVENLY: frozenset({"models", "belief", "choice", "figures"}),
    BY_VALUE: frozenset({"models", "belief", "choice"}),
    AT_RANDOM: frozenset({"models", "choice", "figures"}),
    ABOUT_TARGETS: frozenset({"belief", "choice"}),
    LEFT: frozenset({"choice"}),
}
"""What an answer of a rater of role train may move, by its stream.

What is chosen because it is open is harder than what occurs, so it judges nothing; what judges picks no question.
Targets are what the models are judged on, so nothing that is said of them may teach a model or be a figure of one.
What a person who is left to choose takes is had of that target, and tells of nothing else.
"""


def stream_of(run: Run, request: Request) -> str:
    """Return the stream of a question's answers: of questions about targets whatever they were put for."""
    asked = run.why.get(request.question)
    if asked is not None and asked.stream == LEFT:
        return LEFT
    if request.source in run.forest.targets:
        return ABOUT_TARGETS
    return EVENLY if asked is None else asked.stream


def that_may_move(run: Run, rows: Iterable[Rated], moved: Moved) -> tuple[Rated, ...]:
    """Return those of these answers of raters of role train that may move something, in their order."""
    return tuple(row for row in rows if moved in MAY_MOVE[stream_of(run, row.request)])


def about_targets(run: Run, *more: str) -> dict[int, tuple[Rated, ...]]:
    """Return what raters of role train say of targets' outputs, by level, apart from what models learn from.

    With answers of `more` streams beside these.
    """
    found = {}
    for (role, level), rows in sorted(run.answered.items()):
        if role != Train.name:
            continue
        if here := tuple(row for row in rows if stream_of(run, row.request) in (ABOUT_TARGETS, *more)):
            found[level] = here
    return found
