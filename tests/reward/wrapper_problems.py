"""A learner of one's own, and one that remembers what it was fitted to."""

from collections.abc import Sequence

import numpy as np

from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, Train
from rrm.core.values import Comparison, Group, Label, Rated
from rrm.reward.plain import PlainLearner


class SharedWords(PlainLearner):
    """Logistic regression, by gradient steps, on the share of words that an output has from its source.

    Rewards are too steep by a `factor` and too high by a `shift`, which a calibration has to find.
    """

    def __init__(self, factor: float = 1.0, shift: float = 0.0) -> None:
        self.factor, self.shift = factor, shift
        self.name = f"shared-words({factor:g}, {shift:g})"

    def features(self, group: Group) -> np.ndarray:
        source = set(group.view.text.lower().split())
        words = [text.lower().split() for text in group.outputs]
        return np.array([[sum(word in source for word in each) / max(len(each), 1), 1.0] for each in words])

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        signed = []
        for row in rated:
            features, answer = self.features(row.request.group), row.feedback.answer
            if isinstance(answer, Comparison):
                signed.append((features[0] - features[1]) * (1 if answer.better == 0 else -1))
            elif isinstance(answer, Label):
                signed.append(features[0] * (1 if answer.good else -1))
        rows, weights = np.array(signed), np.zeros(2)
        for _ in range(50):  # Newton's steps
            p = 1 / (1 + np.exp(rows @ weights))
            hessian = (rows.T * (p * (1 - p))) @ rows + 0.1 * np.eye(2)
            weights = weights + np.linalg.solve(hessian, rows.T @ p - 0.1 * weights)
        return weights

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return np.asarray(self.factor * (self.features(group) @ weights) + self.shift)


def fitted(
    learner: RewardLearner,
    rows: Sequence[Rated],
    workspace: Workspace,
    below: RewardModel | None = None,
    before: RewardModel | None = None,
    others: Sequence[Rated] = (),
) -> RewardModel:
    start = Start(below, before, tuple(others))
    return learner.fit(Ratings(Train, tuple(rows)), start, Place(level=int(below is not None)), 0, workspace)


class Remembering(SharedWords):
    """Keeps what each of its fits began with."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[Start] = []

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        self.starts.append(start)
        return super().fit(ratings, start, place, seed, workspace)
