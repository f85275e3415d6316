"""One level's report: held-out rows in, accuracy beside its ceiling and baselines out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from rrm.core.report import Interval, LevelReport
from rrm.core.values import Rated, Request
from rrm.evaluate.baselines import cross_fitted
from rrm.evaluate.figures import figures
from rrm.evaluate.metrics import coverage, share_interval
from rrm.evaluate.outcomes import outcome_of


class HeldOut(NamedTuple):
    """A rated row that a model was not fitted on, and the model's probability that `shown[0]` is better."""

    probability: float
    rated: Rated


class Estimated(NamedTuple):
    """A model's 90 % interval for an output's acceptance, the truth, which a simulated rater knows, and the source."""

    interval: Interval
    truth: float
    source: str

    @property
    def held(self) -> bool:
        return self.interval.low <= self.truth <= self.interval.high


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
    own: float | None = None,
    resamples: int = 1000,
) -> LevelReport:
    """Return what can be said of a level's model from comparisons that it was not fitted on.

    Rows that do not compare exactly two outputs are left out. `rated` are all ratings of the level
    that the bag of words may learn from, `fold_of` the folds of training sources by which the model
    was cross-fitted; the baseline is cross-fitted by the same. `ceiling_probability` is how likely
    a simulated rater was to choose the first output shown, `checked` says that answers were checked.
    `shared_head` and `own` are as in the report.
    Accuracy, its ceiling and its baselines are over the same rows.
    """
    held_out = [row for row in held_out if outcome_of(row.rated) is not None]
    compared = [row.rated for row in held_out]
    found = figures(
        np.array([row.probability for row in held_out]),
        compared,
        cross_fitted([row.request for row in compared], rated, fold_of, seed),
        ceiling_probability,
        seed,
        checked=checked,
        resamples=resamples,
    )
    return LevelReport(
        level=level,
        n_train=n_train,
        n_test=found.n,
        coverage=coverage([each.interval for each in estimated], np.array([each.truth for each in estimated])),
        coverage_n=len(estimated),
        coverage_interval=share_interval(
            np.array([float(each.held) for each in estimated]),
            [each.source for each in estimated],
            resamples=resamples,
            seed=seed,
        ),
        shared_head=shared_head,
        own=own,
        **{each.name: getattr(found, each.name) for each in fields(found) if each.name != "n"},
    )
