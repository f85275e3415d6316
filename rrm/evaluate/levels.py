"""One level's report: held-out rows in, accuracy beside its ceiling and baselines out."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rrm.core.report import Interval, LevelReport
from rrm.core.values import Rated, Request
from rrm.evaluate.baselines import cross_fitted, longer_wins
from rrm.evaluate.ceilings import noise_ceiling
from rrm.evaluate.metrics import accuracy, calibration, cluster_interval, coverage, folded, hits, nll
from rrm.evaluate.outcomes import outcome_of

ROWS_PER_BIN = 20
"""Calibration has ten bins, or fewer if a bin would hold fewer rows than this."""


class HeldOut(NamedTuple):
    """A rated row that a model was not fitted on, and the model's probability that `shown[0]` is better."""

    probability: float
    rated: Rated


class Estimated(NamedTuple):
    """A model's 90 % interval for an output's acceptance, and the truth, which a simulated rater knows."""

    interval: Interval
    truth: float


def level_report(
    level: int,
    held_out: Sequence[HeldOut],
    n_train: int,
    rated: Sequence[Rated],
    fold_of: Mapping[str, int],
    ceiling_probability: Callable[[Request], float] | None = None,
    seed: int = 0,
    *,
    checked: bool = False,
    estimated: Sequence[Estimated] = (),
    shared_head: bool = False,
    resamples: int = 1000,
) -> LevelReport:
    """Return what can be said of a level's model from comparisons that it was not fitted on.

    Rows that do not compare exactly two outputs are left out. `rated` are all ratings of the level
    that the bag of words may learn from, `fold_of` the folds of training sources by which the model
    was cross-fitted; the baseline is cross-fitted by the same. `ceiling_probability` is how likely
    a simulated rater was to choose the first output shown, `checked` says that answers were checked.
    Accuracy, its ceiling and its baselines are over the same rows.
    """
    held_out = [row for row in held_out if outcome_of(row.rated) is not None]
    coverage_found = coverage([each.interval for each in estimated], np.array([each.truth for each in estimated]))
    if not held_out:
        return LevelReport(level, n_train, 0, coverage=coverage_found, shared_head=shared_head)
    requests = [row.rated.request for row in held_out]
    probability = np.array([row.probability for row in held_out])
    outcome = np.array([outcome_of(row.rated) for row in held_out], dtype=float)
    sources = np.array([request.source for request in requests])
    decided = outcome != 0.5
    scored = accuracy(probability, outcome)
    words = cross_fitted(requests, rated, fold_of, seed)
    calibrated = calibration(
        *folded(probability, outcome), max(1, min(10, len(outcome) // ROWS_PER_BIN)), sources, resamples, seed
    )
    return LevelReport(
        level=level,
        n_train=n_train,
        n_test=len(held_out),
        ties=scored.ties,
        accuracy=scored.value,
        interval=_accuracy_interval(probability[decided], outcome[decided], sources[decided], resamples, seed),
        noise_ceiling=noise_ceiling([row.rated for row in held_out], ceiling_probability, checked),
        longer_wins=accuracy(longer_wins(requests), outcome).value,
        bag_of_words=None if words is None else accuracy(words, outcome).value,
        nll=nll(probability, outcome),
        ece=calibrated.ece if calibrated else None,
        ece_interval=calibrated.interval if calibrated else None,
        reliability=calibrated.bins if calibrated else (),
        coverage=coverage_found,
        shared_head=shared_head,
    )


def _accuracy_interval(
    probability: np.ndarray, outcome: np.ndarray, sources: np.ndarray, resamples: int, seed: int
) -> Interval | None:
    if not len(outcome):
        return None
    return cluster_interval(hits(probability, outcome), sources, lambda rows: float(rows.mean()), 0.95, resamples, seed)
