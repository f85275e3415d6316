"""A reward model's report on rows of people's judgements: in all, by level and by rater."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from rrm.core.errors import InputError, ShapeError
from rrm.core.report import RewardReport, Short
from rrm.core.values import Rated
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.figures import figures
from rrm.evaluate.metrics import accuracy, nll
from rrm.evaluate.outcomes import outcome_of, pairwise

_Key = TypeVar("_Key", int, str)

__all__ = ["LEAST_ROWS", "pairwise", "reward_report"]

LEAST_ROWS = 20
"""A rater with fewer rows than this has no figures of their own."""


def reward_report(
    probability: np.ndarray,
    rated: Sequence[Rated],
    words: BagOfWords | None = None,
    seed: int = 0,
    *,
    checked: bool = False,
    resamples: int = 1000,
) -> RewardReport:
    """Return what can be said of a model's probabilities, [n], that the first of two outputs shown is better.

    `rated` are comparisons of two outputs, as `pairwise` makes them, about sources that neither the
    model nor `words`, fitted on the model's own training rows, has seen. `checked` says that answers
    were checked, so that the noise ceiling is 1; else agreement needs several raters a pair. Raises
    ShapeError unless there is a probability a row, InputError for rows that are no comparison of two.
    """
    probability = np.asarray(probability, dtype=float)
    if probability.shape != (len(rated),):
        raise ShapeError(f"one probability per row is needed, got shape {probability.shape} for {len(rated)} rows")
    outcomes = [outcome_of(row) for row in rated]
    if None in outcomes:
        row = outcomes.index(None)
        raise InputError(f"row {row + 1} is no comparison of two outputs but a {rated[row].feedback.answer.kind}")
    outcome = np.array(outcomes, dtype=float)
    predicted = words.probability([row.request for row in rated]) if words is not None and len(rated) else None
    return RewardReport(
        figures(probability, rated, predicted, seed=seed, checked=checked, resamples=resamples),
        _parts(probability, outcome, [row.request.place.level for row in rated]),
        _parts(probability, outcome, [row.feedback.rater for row in rated], LEAST_ROWS),
    )


def _parts(probability: np.ndarray, outcome: np.ndarray, keys: Sequence[_Key], least: int = 1) -> dict[_Key, Short]:
    """Return the short figures of the rows of each key that has at least so many."""
    places: dict[_Key, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    return {key: _short(probability[here], outcome[here]) for key, here in sorted(places.items()) if len(here) >= least}


def _short(probability: np.ndarray, outcome: np.ndarray) -> Short:
    return Short(len(outcome), accuracy(probability, outcome).value, nll(probability, outcome))
