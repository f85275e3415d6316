"""How an item is shown, which answers fit it, and the way between places on the page and in the request."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from rrm.core.annotation import Submission
from rrm.core.errors import InputError
from rrm.core.kinds import check_answer, inverse
from rrm.core.values import Answer, Request


def question(request: Request) -> str:
    """Return what the copies of one question have in common."""
    return request.id if request.copy == 0 else replace(request, copy=0).id


def as_requested(answer: Answer, order: Sequence[int]) -> Answer:
    """Return an answer, whose places are those of the page, with places in the request's own order."""
    return answer.permuted(order)


def as_shown(answer: Answer, order: Sequence[int]) -> Answer:
    """Return an answer, whose places are in the request's own order, with the places of a page in this order."""
    return answer.permuted(inverse(order))


def check(submission: Submission, request: Request, points: int) -> None:
    """Raise InputError for a submission that is no answer to this request on a scale of so many points."""
    check_fits(submission.answer, request, points)
    seconds, confidence = submission.seconds, submission.confidence
    if seconds is not None and not (_is_number(seconds) and seconds >= 0):
        raise InputError(f"the active time is a number of seconds from 0 up, got {seconds!r:.40}")
    if confidence is not None and not (_is_number(confidence) and 0 < confidence <= 1):
        raise InputError(f"a confidence lies above 0 and up to 1, got {confidence!r:.40}")


def check_fits(answer: Answer, request: Request, points: int | None = None) -> None:
    """Raise InputError for what is no answer to this request; `points` None leaves the scale open."""
    check_answer(answer, request.kind, [each.text for each in request.shown], points)


def _is_number(value: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
