"""Noise ceilings: how often the best possible model would agree with one rating."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from rrm.core.values import Rated, Request
from rrm.evaluate.outcomes import outcome_of

LEAST_VOTES = 20
"""With fewer votes on pairs that several raters saw, agreement among raters is not estimated."""

MOST_ROWS = 1000
"""A simulation is asked for its probabilities on at most so many rows, evenly spaced: enough for two digits."""


def noise_ceiling(
    rated: Sequence[Rated], probability: Callable[[Request], float] | None = None, checked: bool = False
) -> float | None:
    """Return the accuracy that no model can be expected to exceed on these rows, tied ones left out.

    Checked answers: 1. Where the rater is a simulation, `probability` is how likely it was to choose
    the first output shown: the mean of max(p, 1 - p). Else the agreement among raters, or None,
    "not estimable", where each pair has one vote, a consensus or a mean.
    """
    decided = [row for row in rated if outcome_of(row) in (0.0, 1.0)]
    if not decided:
        return None
    if checked:
        return 1.0
    if probability is not None:
        some = decided[:: -(-len(decided) // MOST_ROWS)]
        chances = np.array([probability(row.request) for row in some])
        return float(np.maximum(chances, 1 - chances).mean())
    return agreement_among_raters(decided)


def agreement_among_raters(rated: Sequence[Rated]) -> float | None:
    """Return how often one rater agrees with the majority of the others on the same pair and kind.

    Where the others are split evenly their majority is a coin, and agreement one half. A rater's
    own further votes are not among the others. None with fewer than `LEAST_VOTES` such votes.
    """
    pairs: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rated:
        outcome = outcome_of(row)
        if outcome in (0.0, 1.0):
            first, second = (shown.text for shown in row.request.shown)
            question = (row.request.node, row.request.view.id, row.feedback.answer.kind, *sorted((first, second)))
            pairs[question][row.feedback.rater].append(float(outcome if first <= second else 1 - outcome))
    agreed = [share for votes in pairs.values() for share in _agreements(votes)]
    return float(np.mean(agreed)) if len(agreed) >= LEAST_VOTES else None


def _agreements(votes: dict[str, list[float]]) -> list[float]:
    """Return for each vote on a pair whether the other raters' majority says the same: 1, 0, or 0.5 if split."""
    shares: list[float] = []
    for rater, own in votes.items():
        others = [vote for other, theirs in votes.items() if other != rater for vote in theirs]
        if others:
            majority = (np.sign(np.mean(others) - 0.5) + 1) / 2
            shares.extend(0.5 if majority == 0.5 else float(vote == majority) for vote in own)
    return shares
