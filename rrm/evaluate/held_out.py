"""Answers predicted by members that were not fitted on their sources."""

from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import expit

from rrm.core.protocols import RewardModel
from rrm.core.values import OVERALL, Comparison, Prediction, Ranking, Rated


class Predicted(NamedTuple):
    """A prediction about one answer, by members not fitted on its source.

    `probability` is that of the event: for a comparison that shown[pair[0]] is better than
    shown[pair[1]], for a label that it is good, for a rating that it lies above the middle of its
    scale. `outcome` is 1 if it came about, 0 if not, None for a tie.
    """

    source: str
    kind: str
    probability: float
    outcome: int | None
    pair: tuple[int, int]
    rated: Rated


def held_out(rated: Sequence[Rated], model: RewardModel) -> list[Predicted]:
    """Predict each answer without having been fitted on its source; calibrated without it, too.

    Each is predicted by the head of its own criterion, where the model has one. Comparisons give one row, rankings
    one for each pair that they decide directly, labels and ratings one where the model is anchored. Answers about
    sources that every member has seen give none: with a single source nothing can be held out (a split within a
    source is another, weaker claim).
    """
    usable = [row for row in rated if model.holds_out(row.request.source)]
    said = model.predict([row.request.group for row in usable])
    return [found for row, each in zip(usable, said, strict=True) for found in _predict(row, each, model)]


def _predict(row: Rated, said: Prediction, model: RewardModel) -> list[Predicted]:
    answer, source = row.feedback.answer, row.request.source
    criterion = row.feedback.criterion if row.feedback.criterion in said.rewards else OVERALL
    reward = said.rewards[criterion]

    def better(first: int, second: int, outcome: int | None) -> Predicted:
        probability = float(expit(reward[:, first] - reward[:, second]).mean())
        return Predicted(source, answer.kind, probability, outcome, (first, second), row)

    if isinstance(answer, Comparison):
        return [better(0, 1, None if answer.better is None else 1 - answer.better)]
    if isinstance(answer, Ranking):
        pairs = [(min(pair), max(pair), pair) for pair in answer.pairs(len(row.request.shown))]
        return [better(low, high, int(pair[0] == low)) for low, high, pair in pairs]
    if (good := answer.accepted) is not None and model.anchored:
        outcome = None if good == 0.5 else int(good)
        return [Predicted(source, answer.kind, float(said.acceptance[criterion][:, 0].mean()), outcome, (0, 0), row)]
    return []
