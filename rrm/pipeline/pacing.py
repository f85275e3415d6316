"""How long a run's raters take, by what they have answered so far, and what was predicted of it."""

from collections import defaultdict
from collections.abc import Iterator

from rrm.core.roles import Train
from rrm.core.values import OVERALL, Rated, Request
from rrm.feedback.minutes import Meter
from rrm.feedback.pace import Pace, Timed, learned
from rrm.pipeline.steps import Run


def pace_of(run: Run) -> Pace:
    """Return the pace that the run's answers show, with what was skipped: of raters of role train, on every level."""
    put = [each for (role, _), rounds in run.asked.items() if role == Train.name for some in rounds for each in some]
    skipped = [each for each in put if each.id in run.unanswered]
    by_kind = ([(each.kind, each.place.level) for each in some] for some in (put, skipped))
    return learned([of for of, _ in timed(run)], *by_kind)


def timed(run: Run) -> Iterator[tuple[Timed, Rated]]:
    """Yield the answers of role train whose time is known, with the ratings, a rater's in the order of the record."""
    meters: dict[str, Meter] = defaultdict(lambda: Meter(run.plan.rates))
    for (role, level), rows in run.answered.items():
        for row in rows if role == Train.name else ():
            request, given = row.request, row.feedback
            meter = meters[given.rater]
            counted = meter.marginal(request)
            meter.add(request)
            if given.seconds is not None:
                of = Timed(request.kind, level, given.rater, closeness(run, request), counted, given.seconds / 60)
                yield of, row


def closeness(run: Run, request: Request) -> float | None:
    """Return how little a question's outputs differ as judged now, from 0 to 1: of one, how near it is to a half.

    None where they are not judged, or stand there no more.
    """
    said, outputs = run.state.predictions.get(request.node), run.state.outputs.get(request.node, ())
    places = {each.text: at for at, each in enumerate(outputs)}
    if said is None or any(shown.text not in places for shown in request.shown):
        return None
    accepted = said.acceptance[OVERALL].mean(axis=0)[[places[shown.text] for shown in request.shown]]
    if len(accepted) == 1:
        return float(1 - abs(2 * accepted[0] - 1))
    return float(1 - (accepted.max() - accepted.min()))
