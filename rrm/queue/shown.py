"""How an item is shown, which answers fit it, and the way between places on the page and in the request."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from rrm.core.annotation import Submission
from rrm.core.errors import InputError
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rating,
    Reject,
    Request,
)

LONGEST_TEXT = 200_000
"""Characters that one text of an answer may have."""


def question(request: Request) -> str:
    """Return what the copies of one question have in common."""
    return request.id if request.copy == 0 else replace(request, copy=0).id


def as_requested(answer: Answer, order: Sequence[int]) -> Answer:
    """Return an answer, whose places are those of the page, with places in the request's own order."""
    if isinstance(answer, Comparison) and answer.better is not None:
        return replace(answer, better=order[answer.better])
    if isinstance(answer, Ranking):
        return replace(answer, best_first=tuple(order[place] for place in answer.best_first))
    if isinstance(answer, Critique) and answer.consistent is not None:
        return replace(answer, consistent=tuple(sorted(order[place] for place in answer.consistent)))
    return answer


def as_shown(answer: Answer, order: Sequence[int]) -> Answer:
    """Return an answer, whose places are in the request's own order, with the places of a page in this order."""
    places = [order.index(place) for place in range(len(order))]
    return as_requested(answer, places)


def check(submission: Submission, request: Request, points: int) -> None:
    """Raise InputError for a submission that is no answer to this request on a scale of so many points."""
    _check_answer(submission.answer, request, points)
    seconds, confidence = submission.seconds, submission.confidence
    if seconds is not None and not (_is_number(seconds) and seconds >= 0):
        raise InputError(f"the active time is a number of seconds from 0 up, got {seconds!r:.40}")
    if confidence is not None and not (_is_number(confidence) and 0 < confidence <= 1):
        raise InputError(f"a confidence lies above 0 and up to 1, got {confidence!r:.40}")


def check_fits(answer: Answer, request: Request, points: int | None = None) -> None:
    """Raise InputError for what is no answer to this request; `points` None leaves the scale open."""
    _check_answer(answer, request, points)


def _check_answer(answer: Answer, request: Request, points: int | None) -> None:
    outputs = len(request.shown)
    if isinstance(answer, Reject):  # which any item may get
        _check_text(answer.reason, "a reason")
        return
    if request.kind == Reject.kind and answer == Label(True):
        return
    if answer.kind != request.kind:
        raise InputError(f"the item asks for a {request.kind}, got a {answer.kind}")
    if isinstance(answer, Comparison):
        _check_comparison(answer, outputs)
    elif isinstance(answer, Ranking):
        if not answer.best_first or max(answer.best_first) >= outputs:
            raise InputError(f"a ranking names some of the {outputs} places, from 0 up, got {answer.best_first}")
    elif isinstance(answer, Rating):
        if not _is_number(answer.value) or (points is not None and answer.points != points):
            raise InputError(f"the item is rated on {points} points, got {answer.value!r} of {answer.points}")
    elif isinstance(answer, Correction | Demonstration):
        _check_text(answer.text, f"a {answer.kind}")
    elif isinstance(answer, Critique):
        _check_critique(answer, request)


def _check_comparison(answer: Comparison, outputs: int) -> None:
    if outputs != 2:
        raise InputError(f"a comparison has 2 outputs, the item shows {outputs}")
    if isinstance(answer.better, bool):
        raise InputError(f"a comparison's `better` is 0, 1 or None, got {answer.better!r}")
    if answer.strength is not None and not (_is_number(answer.strength) and 0 <= answer.strength <= 1):
        raise InputError(f"a strength lies between 0 and 1, got {answer.strength!r:.40}")


def _check_critique(answer: Critique, request: Request) -> None:
    _check_text(answer.text, "a critique")
    if max(answer.consistent or (0,)) >= len(request.shown):
        raise InputError(f"a critique speaks for places up to {len(request.shown) - 1}, got {answer.consistent}")
    longest = max((len(each.text) for each in request.shown), default=0)
    for start, end in answer.spans:
        if not 0 <= start <= end <= longest:
            raise InputError(f"a span lies within the output's {longest} characters, got {start} to {end}")


def _check_text(text: str, what: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{what} is a text, got {text!r:.40}")
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{what} has up to {LONGEST_TEXT:,} characters, got {len(text):,}")


def _is_number(value: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
