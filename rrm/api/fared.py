"""How chosen questions fared beside drawn ones, what raters are like, and whether fits of the chosen mislead."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import fsum

import numpy as np

from rrm.core.asking import AT_RANDOM, BY_VALUE, LEFT
from rrm.core.kinds import difference
from rrm.core.report import AskedRater, AskedSlope, AskedStream, AskingReport, UnweightedFits
from rrm.core.roles import Train
from rrm.core.values import OVERALL, Answer, Hindsight, Rated, Request
from rrm.evaluate.held_out import Predicted
from rrm.evaluate.metrics import wilson
from rrm.evaluate.steepness import answer_slope, lapse_of, pooled, unweighted_fits
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.moves import MAY_MOVE, stream_of
from rrm.pipeline.steps import Run


def fared(run: Run) -> Iterator[AskedStream]:
    """Yield how chosen questions fared, and drawn ones, evenly or beside the chosen, as far as there are any.

    Choices that were left to a person are in neither.
    """
    put = [
        each for (role, _), rounds in run.asked.items() if role == Train.name for each in chain.from_iterable(rounds)
    ]
    given: dict[str, list[Rated]] = defaultdict(list)
    for (role, _), rows in run.answered.items():
        for row in rows if role == Train.name else ():
            given[row.request.question].append(row)
    for name, chosen in ((BY_VALUE, True), (AT_RANDOM, False)):
        some = [each for each in put if _is_chosen(run, each) == chosen and stream_of(run, each) != LEFT]
        if some:
            yield _stream(run, name, some, given)


def _is_chosen(run: Run, request: Request) -> bool:
    why = run.why.get(request.question)
    return why is not None and why.stream == BY_VALUE


def _is_drawn(run: Run, request: Request) -> bool:
    """Whether answers to a question tell what is true of raters and models in general."""
    return "figures" in MAY_MOVE[stream_of(run, request)]


def _stream(run: Run, name: str, put: Sequence[Request], given: Mapping[str, Sequence[Rated]]) -> AskedStream:
    answers = [given[each.question] for each in put if each.question in given]
    rows = list(chain.from_iterable(answers))
    alike, paired = _alike([(each[0], each[1]) for each in answers if len(each) > 1])
    skipped = sum(each.id in run.unanswered for each in put)
    return AskedStream(
        stream=name,
        questions=len(put),
        skipped=skipped,
        again=sum(each.copy > 0 for each in put),
        paired=paired,
        alike=alike,
        answers=len(rows),
        minutes=minutes_of_raters(rows, run.plan.rates),
        paid=_paid(rows),
        skipped_interval=wilson(skipped / len(put), len(put)),
        alike_interval=wilson(alike / paired, paired) if paired else None,
    )


def _in_one_order(one: Rated, other: Rated) -> tuple[Answer, Answer]:
    """Return two answers to one question in the places where the first rater saw the outputs."""
    places = [shown.output for shown in one.request.shown]
    order = [places.index(shown.output) for shown in other.request.shown]
    return one.feedback.answer, other.feedback.answer.permuted(order)


def _alike(pairs: Sequence[tuple[Rated, Rated]]) -> tuple[int, int]:
    """Return of how many pairs of answers to one question both are alike, and how many say what can be."""
    orders = (_in_one_order(*each) for each in pairs)
    judged = [(one, other) for one, other in orders if one.metrics and other.metrics]
    return sum(difference(*each) == 0 for each in judged), len(judged)


def _paid(rows: Sequence[Rated]) -> float | None:
    """Return the minutes that answers took, None unless all were timed."""
    seconds = [row.feedback.seconds for row in rows if row.feedback.seconds is not None]
    return fsum(seconds) / 60 if rows and len(seconds) == len(rows) else None


# ---- raters ----


def raters(run: Run, predicted: Sequence[Predicted]) -> Iterator[AskedRater]:
    """Yield what drawn questions tell of every rater, those who answered most of them first."""
    answers: dict[str, list[Rated]] = defaultdict(list)
    for (role, _), rows in run.answered.items():
        for row in rows if role == Train.name else ():
            answers[row.feedback.rater].append(row)
    drawn = {rater: [row for row in rows if _is_drawn(run, row.request)] for rater, rows in answers.items()}
    others: dict[str, list[Rated]] = defaultdict(list)
    for row in chain.from_iterable(drawn.values()):
        others[row.request.question].append(row)
    told = [each for each in _decided(run, predicted) if _is_drawn(run, each.rated.request)]
    lapses = {kind: _lapse(rows) for kind, rows in _by_kind(told).items()}
    known: dict[str, list[Predicted]] = defaultdict(list)
    for each in told:
        known[each.rated.feedback.rater].append(each)
    for rater in sorted(drawn, key=lambda each: (-len(drawn[each]), each)):
        own = drawn[rater]
        alike, paired = _alike(_beside_another(own, others))
        paid = _paid(own)
        yield AskedRater(
            rater=rater,
            drawn=len(own),
            chosen=len(answers[rater]) - len(own),
            slope=pooled([_steep(rows, lapses[kind]) for kind, rows in _by_kind(known[rater]).items()]),
            paired=paired,
            alike=alike,
            alike_interval=wilson(alike / paired, paired) if paired else None,
            paid=None if paid is None else paid / len(own),
        )


def _beside_another(own: Sequence[Rated], of: Mapping[str, Sequence[Rated]]) -> list[tuple[Rated, Rated]]:
    """Return a rater's first answer to each question with the first of another one, where there is any."""
    first = {row.request.question: row for row in reversed(own)}
    found = []
    for question, row in first.items():
        other = next((each for each in of[question] if each.feedback.rater != row.feedback.rater), None)
        found += [(row, other)] if other else []
    return found


# ---- fits ----


def fits(run: Run, predicted: Sequence[Predicted]) -> UnweightedFits | None:
    """Return whether fits may take chosen questions as they are, None where too few answers tell."""
    streams = []
    for rows in _by_kind(_decided(run, predicted)).values():
        lapse = _lapse(rows)
        drawn = [_is_drawn(run, each.rated.request) for each in rows]
        chosen = [each for each, one in zip(rows, drawn, strict=True) if not one]
        others = [each for each, one in zip(rows, drawn, strict=True) if one]
        streams.append((_steep(chosen, lapse), _steep(others, lapse)))
    return unweighted_fits(streams)


def misleading(asking: AskingReport | None) -> Iterator[str]:
    """Say that fits of chosen questions mislead, where they are found to, and what to do."""
    found = asking and asking.fits
    if found and found.misleads:
        low, high = found.interval
        yield (
            f"answers to chosen questions follow what models predict {found.chosen.slope:.2f} times as steeply, and to"
            f" drawn ones {found.drawn.slope:.2f} times, a difference of {found.difference:+.2f} ({low:+.2f} to"
            f" {high:+.2f}, 95 %): models are wrong in a way that follows the choice, and what they learned of chosen"
            " questions misleads, but for one sound run in twenty. Go by the figures of drawn questions, draw more of"
            " them (`random` among the sampler's arguments), or leave the sampler out"
        )


def elsewhere(run: Run) -> frozenset[str]:
    """Return the feedback (ids) that was recorded elsewhere: of other people, about questions that nobody drew here."""
    return frozenset(row.feedback.id for _, rows in run.plan.given for row in rows)


def _decided(run: Run, predicted: Sequence[Predicted]) -> list[Predicted]:
    """Return the overall answers of the run's own raters that were no ties.

    Without those in hindsight, which models do not foresee.
    """
    others = elsewhere(run)
    return [
        each
        for each in predicted
        if each.outcome is not None and each.rated.feedback.criterion == OVERALL and each.kind != Hindsight.kind
        if each.rated.feedback.id not in others
    ]


def _by_kind(rows: Sequence[Predicted]) -> dict[tuple[str, int], list[Predicted]]:
    """Return predicted answers by their kind and level, as each level has a model of its own."""
    found: dict[tuple[str, int], list[Predicted]] = defaultdict(list)
    for each in rows:
        found[each.kind, each.rated.request.place.level].append(each)
    return found


def _lapse(rows: Sequence[Predicted]) -> float:
    """Return the share of answers of one kind that were given blindly."""
    return lapse_of(*_told(rows))


def _steep(rows: Sequence[Predicted], lapse: float) -> AskedSlope | None:
    """Return how steeply answers of one kind follow what models predict of them, beside lapses."""
    likely, outcome, level = _told(rows)
    return answer_slope(likely, outcome, [each.source for each in rows], level, lapse)


def _told(rows: Sequence[Predicted]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return what was predicted of answers of one kind, what came about, and whether each is of one output alone."""
    likely = np.array([each.probability for each in rows])
    outcome = np.array([float(each.outcome or 0) for each in rows])
    return likely, outcome, bool(rows) and rows[0].pair == (0, 0)
