"""What raters promise."""

from collections.abc import Sequence

import anyio
import numpy as np

from rrm.core.errors import InputError
from rrm.core.protocols import AsyncRater, KnownRater, Rater
from rrm.core.values import KINDS, Comparison, Critique, Feedback, Ranking, Reject, Request
from rrm.verify import made_up
from rrm.verify.held import Checks, Held, checking


def check_rater(rater: Rater | AsyncRater, requests: Sequence[Request] | None = None) -> Held:
    """Check that a rater answers the question that it is asked, in its kind, and about what was shown.

    A kind that it refuses with InputError is passed over; it must give one at least. Equal seeds give equal
    answers, unless it waits for somebody. Raises ContractError.
    """
    asked = list(requests) if requests is not None else list(made_up.requests())
    with checking("rater", rater) as checks:
        given: set[str] = set()
        for request in asked:
            try:
                feedback = _rated(rater, request)
            except InputError:
                continue
            given.add(request.kind)
            _check_feedback(checks, request, feedback)
            if isinstance(rater, Rater):
                same = feedback == rater.rate(request, 5)
                checks.require(
                    same, "answers equally with equal seeds", f"a {request.kind} was answered otherwise the second time"
                )
            if isinstance(rater, KnownRater) and request.kind in ("comparison", "label"):
                _check_probability(checks, rater, request)
        kinds = ", ".join(dict.fromkeys(request.kind for request in asked))
        checks.require(bool(given), "gives some kind of feedback", f"it gives none of {kinds}")
    return checks.held


def _rated(rater: Rater | AsyncRater, request: Request) -> Feedback:
    if isinstance(rater, Rater):
        return rater.rate(request, 5)
    return anyio.run(rater.rate_async, request, 5)


def _check_feedback(checks: Checks, request: Request, feedback: Feedback) -> None:
    checks.require(isinstance(feedback, Feedback), "returns feedback", f"Feedback belongs here, got {feedback!r:.60}")
    checks.require(
        feedback.request == request.id,
        "answers the request asked",
        f"asked {request.id}, it answered {feedback.request}",
    )
    answer = feedback.answer
    checks.require(
        isinstance(answer, KINDS[request.kind] | Reject),
        "answers in the kind asked",
        f"a {request.kind} was asked for, it gave a {answer.kind}",
    )
    checks.require(
        feedback.criterion == request.criterion,
        "judges by the criterion asked",
        f"asked about {request.criterion}, it judged by {feedback.criterion}",
    )
    checks.require(bool(feedback.rater), "says who rates", "its feedback names no rater")
    named: Sequence[int] = ()
    if isinstance(answer, Ranking):
        named = answer.best_first
    elif isinstance(answer, Critique):
        named = answer.consistent or ()
    elif isinstance(answer, Comparison) and answer.better is not None:
        named = (answer.better,)
    checks.require(
        all(at < len(request.shown) for at in named),
        "speaks of what was shown",
        f"it names the positions {tuple(named)} where {len(request.shown)} outputs are shown",
    )


def _check_probability(checks: Checks, rater: KnownRater, request: Request) -> None:
    told = np.asarray(rater.probability(request))
    whole = request.kind != "comparison" or abs(float(told.sum()) - 1) <= 1e-9
    checks.require(
        bool(((told >= 0) & (told <= 1)).all()) and whole,
        "knows the probabilities of its answers",
        f"the probabilities of a {request.kind} must lie in [0, 1] and those of a comparison sum to 1, got {told}",
    )
