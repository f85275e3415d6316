"""The figures of a set of held-out comparisons: accuracy beside its ceiling and baselines, and calibration."""

from collections.abc import Callable, Sequence

import numpy as np

from rrm.core.report import Figures
from rrm.core.values import Rated, Request
from rrm.evaluate.baselines import longer_wins, verbatim_wins
from rrm.evaluate.ceilings import agreement_among_raters, best_possible, noise_ceiling
from rrm.evaluate.metrics import accuracy, calibration, folded, hits, nll, share_interval
from rrm.evaluate.outcomes import outcome_of

ROWS_PER_BIN = 20
"""Calibration has ten bins, or fewer if a bin would hold fewer rows than this."""


def figures(
    probability: np.ndarray,
    rated: Sequence[Rated],
    words: np.ndarray | None = None,
    ceiling_probability: Callable[[Request], float] | None = None,
    seed: int = 0,
    *,
    checked: bool = False,
    resamples: int = 1000,
) -> Figures:
    """Return all figures of rows that compare two outputs, and the probabilities, [n], that the first is better.

    `words` are the bag of words' probabilities, [n]. `ceiling_probability` is how likely a simulated
    rater was to choose the first output shown, `checked` says that answers were checked.
    """
    if not len(rated):
        return Figures(0)
    requests = [row.request for row in rated]
    outcome = np.array([outcome_of(row) for row in rated], dtype=float)
    sources = np.array([request.source for request in requests])
    decided = outcome != 0.5
    scored = accuracy(probability, outcome)
    bins = max(1, min(10, len(outcome) // ROWS_PER_BIN))
    by_people = not checked and ceiling_probability is None
    copied = verbatim_wins(requests)
    calibrated = calibration(*folded(probability, outcome), bins, sources, resamples, seed)
    return Figures(
        n=len(rated),
        ties=scored.ties,
        accuracy=scored.value,
        interval=share_interval(
            hits(probability[decided], outcome[decided]), sources[decided], resamples=resamples, seed=seed
        ),
        nll=nll(probability, outcome),
        ece=calibrated.ece if calibrated else None,
        ece_interval=calibrated.interval if calibrated else None,
        reliability=calibrated.bins if calibrated else (),
        noise_ceiling=noise_ceiling(rated, ceiling_probability, checked),
        agreement=agreement_among_raters(rated) if by_people else None,
        best_possible=best_possible(rated) if by_people else None,
        longer_wins=accuracy(longer_wins(requests), outcome).value,
        bag_of_words=None if words is None else accuracy(words, outcome).value,
        verbatim=None if copied is None else accuracy(copied, outcome).value,
        sources=len(set(sources[decided])),
    )
