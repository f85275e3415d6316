"""What a report says of marks on claims: which claims raters marked, by what they were shown beside them."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from rrm.core.claims import DOUBTFUL, about, claim_spans, quotes
from rrm.core.report import BesideClaims, MarksReport
from rrm.core.roles import Train
from rrm.core.task import Span
from rrm.core.text import word_count
from rrm.core.values import ClaimMarks, Rated, Shown
from rrm.feedback.minutes import Tally, minutes_of_raters
from rrm.pipeline.steps import Run

_ORDER: tuple[BesideClaims, ...] = ("nothing", "supported", "doubtful", "not quoted", "quoted")


def marks_report(run: Run) -> MarksReport | None:
    """Return which claims were marked by raters of role train; None where nobody was asked to mark any."""
    levels = [rows for (role, _), rows in run.answered.items() if role == Train.name]
    rows = [row for row in chain.from_iterable(levels) if isinstance(row.feedback.answer, ClaimMarks)]
    if not rows:
        return None
    claims: Counter[BesideClaims] = Counter()
    marked: Counter[BesideClaims] = Counter()
    for row in rows:
        for beside, is_marked in _claims(row):
            claims[beside] += 1
            marked[beside] += is_marked
    critiques = Tally(outputs=sum(word_count(row.request.shown[0].critique) for row in rows))
    return MarksReport(
        answers=len(rows),
        minutes=minutes_of_raters(rows, run.plan.rates),
        critiques_minutes=run.plan.rates.cost(critiques),
        shown=tuple((each, claims[each], marked[each]) for each in _ORDER if claims[each]),
    )


def _claims(row: Rated) -> Iterator[tuple[BesideClaims, bool]]:
    """Yield for each claim of the output what stood beside it, and whether it was marked; twice where both did."""
    answer, [shown] = row.feedback.answer, row.request.shown
    assert isinstance(answer, ClaimMarks)
    marked = {at for mark in answer.marks for at in about(shown.text, Span(*mark))}
    for at in range(len(claim_spans(shown.text))):
        for beside in _beside(shown, at):
            yield beside, at in marked


def _beside(shown: Shown, at: int) -> Iterator[BesideClaims]:
    if not shown.support and not shown.critique:
        yield "nothing"
    if shown.support:
        yield "doubtful" if shown.support[at] < DOUBTFUL else "supported"
    if shown.critique:
        start, end = claim_spans(shown.text)[at]
        yield "quoted" if quotes(shown.critique, shown.text[start:end]) else "not quoted"
