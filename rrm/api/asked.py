"""What a report says of questions that a sampler chose, and the rows that it may take figures from."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rrm.core.asking import AT_RANDOM, BY_VALUE
from rrm.core.report import AskedWave, AskingReport
from rrm.core.roles import Train
from rrm.core.values import Rated
from rrm.pipeline.steps import Outcome

LEAST_AT_RANDOM = 200
"""So many questions drawn at random are wanted, or a tenth of all where that is more."""


def not_chosen(outcome: Outcome, rated: Sequence[Rated]) -> list[Rated]:
    """Return the ratings of questions that were drawn, not chosen: accuracy, calibration and agreement are of these.

    What is asked because much is open there is harder than what occurs.
    """
    why = outcome.run.why
    return [row for row in rated if (asked := why.get(row.request.question)) is None or asked.stream != BY_VALUE]


def asking_report(outcome: Outcome, honest: int) -> AskingReport | None:
    """Return what asking by value did, None where questions were drawn; accuracies are told of `honest` rows."""
    run = outcome.run
    if not run.outlooks:
        return None
    waves = []
    for minutes, each in run.outlooks:
        gold = [outcome.gold[id_] for id_ in each.best if id_ in outcome.gold]
        known = float(np.mean(gold)) if gold and len(gold) == len(each.best) else None
        waves.append(AskedWave(each.place.round, minutes, each.expected, each.gain, each.hour, known))
    streams, put = _streams(outcome)
    return AskingReport(
        waves=tuple(waves),
        by_value=streams[BY_VALUE],
        at_random=streams[AT_RANDOM],
        evenly=put - streams.total(),
        honest=honest,
        stopped=run.outlooks[-1][1].stopped,
    )


def too_few_at_random(outcome: Outcome) -> Iterator[str]:
    """Say that fewer questions were drawn at random beside the chosen than are wanted, and why."""
    if not outcome.run.outlooks:
        return
    streams, put = _streams(outcome)
    wanted = max(LEAST_AT_RANDOM, -(-put // 10))
    if streams[AT_RANDOM] < wanted:
        yield (
            f"{streams[AT_RANDOM]} questions were drawn at random beside the chosen ones, where {wanted} are wanted:"
            " the budget is small, and no more than a share of it goes there; accuracies count the evenly drawn, too"
        )


def _streams(outcome: Outcome) -> tuple[Counter[str], int]:
    """Return how many questions were put of each stream, and in all."""
    run = outcome.run
    put = sum(len(each) for (role, _), asked in run.asked.items() if role == Train.name for each in asked)
    return Counter(each.stream for each in run.why.values()), put
