"""What is the most that a model can be right: known of simulations, estimated of people, beside their agreement."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaln

from rrm.core.values import Rated, Request
from rrm.evaluate.outcomes import outcome_of

LEAST_VOTES = 20
"""With fewer votes on pairs that several raters saw, nothing about their agreement is estimated."""

MOST_ROWS = 1000
"""A simulation is asked for its probabilities on at most so many rows, evenly spaced: enough for two digits."""

Votes = dict[str, list[float]]
"""The votes on a pair, by rater: 1 for the output whose text comes first in the alphabet, 0 for the other."""


def noise_ceiling(
    rated: Sequence[Rated], probability: Callable[[Request], float] | None = None, checked: bool = False
) -> float | None:
    """Return the accuracy that no model can be expected to exceed on these rows, tied ones left out, where it is known.

    Checked answers: 1. Where the rater is a simulation, `probability` is how likely it was to choose
    the first output shown: the mean of max(p, 1 - p). None for all others: see `best_possible`.
    """
    decided = [row for row in rated if outcome_of(row) in (0.0, 1.0)]
    if not decided:
        return None
    if checked:
        return 1.0
    if probability is None:
        return None
    some = decided[:: -(-len(decided) // MOST_ROWS)]
    chances = np.array([probability(row.request) for row in some])
    return float(np.maximum(chances, 1 - chances).mean())


def agreement_among_raters(rated: Sequence[Rated], least: int = LEAST_VOTES) -> float | None:
    """Return how often one rater agrees with the majority of the others on the same pair and kind.

    Where the others are split evenly their majority is a coin, and agreement one half. A rater's
    own further votes are not among the others. None with fewer than `least` such votes. A majority of few is
    itself wrong at times, so this lies below what the best model reaches.
    """
    agreed = [share for votes in _votes(rated) for share in _agreements(votes)]
    return float(np.mean(agreed)) if len(agreed) >= max(1, least) else None


def best_possible(rated: Sequence[Rated]) -> float | None:
    """Estimate how often the best possible model agrees with one rater's vote: the mean over pairs of max(p, 1 - p).

    p is how probably a rater of the panel prefers one output of a pair. It is taken to vary over pairs as a symmetric
    beta distribution does, Beta(a, a), as which output is which is an accident; the votes of different raters on a pair
    are then beta-binomial (Skellam 1948, doi:10.1111/j.2517-6161.1948.tb00014.x), and `a` is fitted to them by maximum
    likelihood. The mean of max(p, 1 - p) is 1/2 plus the distribution's mean deviation, 1 / (a 4^a B(a, a)) (Johnson,
    Kotz and Balakrishnan 1995, Continuous Univariate Distributions 2, chapter 25). Each rater votes once on a
    pair, by their first answer. Where all pairs are equally hard the beta distribution does not fit, and the estimate
    is up to .05 too low, but not below agreement. None with fewer than `LEAST_VOTES` votes on pairs that several saw.
    """
    pairs = [votes for votes in _votes(rated) if len(votes) > 1]
    counts = np.array([[sum(own[0] for own in votes.values()), len(votes)] for votes in pairs]).reshape(-1, 2)
    if counts[:, 1].sum() < LEAST_VOTES:
        return None
    chosen, voters = counts.T

    def loss(log_a: float) -> float:
        a = np.exp(log_a)
        return -float((betaln(chosen + a, voters - chosen + a) - betaln(a, a)).sum())

    a = float(np.exp(minimize_scalar(loss, bounds=(-7.0, 7.0), method="bounded").x))
    return 0.5 + float(np.exp(-np.log(a) - a * np.log(4.0) - betaln(a, a)))


def _votes(rated: Sequence[Rated]) -> list[Votes]:
    """Return the votes on each pair beside one view, by rater, tied ones left out."""
    pairs: dict[tuple[str, ...], Votes] = defaultdict(lambda: defaultdict(list))
    for row in rated:
        outcome = outcome_of(row)
        if outcome in (0.0, 1.0):
            first, second = (shown.text for shown in row.request.shown)
            question = (row.request.node, row.request.view.id, row.feedback.answer.kind, *sorted((first, second)))
            pairs[question][row.feedback.rater].append(float(outcome if first <= second else 1 - outcome))
    return list(pairs.values())


def _agreements(votes: Votes) -> list[float]:
    """Return for each vote on a pair whether the other raters' majority says the same: 1, 0, or 0.5 if split."""
    shares: list[float] = []
    for rater, own in votes.items():
        others = [vote for other, theirs in votes.items() if other != rater for vote in theirs]
        if others:
            majority = (np.sign(np.mean(others) - 0.5) + 1) / 2
            shares.extend(0.5 if majority == 0.5 else float(vote == majority) for vote in own)
    return shares
