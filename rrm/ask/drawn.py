"""What answers do to a belief that is made of draws: each draw counts by how likely it has what was answered."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from rrm.ask.bundles import Answers, Decision, Questions, Site
from rrm.core.draws import LEAST, LEAST_SHARE, effective, log_chosen, shares


class DrawnAnswers(Answers):
    """`Answers` by the moments of draws as they count after all that was said, whatever its order.

    `rewards` [d, n] are each draw's of the outputs, `scores` [d, t, k] those of the decision's candidates, `logs` [d]
    the logarithms of the draws' weights. Where fewer than 500 draws count, no gain is told: questions are worth what
    they remove of differences between candidates.
    """

    def __init__(
        self,
        decision: Decision,
        questions: Questions,
        rewards: np.ndarray,
        scores: np.ndarray,
        logs: np.ndarray,
        readings: int,
        overlap: int = 1,
        spread_weight: float = 1.0,
    ) -> None:
        n, (t, k) = rewards.shape[1], scores.shape[1:]
        nothing = np.zeros(n), np.zeros((n, n)), np.zeros((n, t, k))
        super().__init__(decision, questions, *nothing, readings, overlap, spread_weight)
        self._rewards, self._scores, self._logs = rewards, scores, logs
        self._weigh()

    def _weigh(self) -> None:
        """Take the moments of the draws as they count now."""
        weights = shares(self._logs)
        mean, scores = weights @ self._rewards, np.tensordot(weights, self._scores, axes=1)
        root = np.sqrt(weights)
        off, moved = root[:, None] * (self._rewards - mean), root[:, None, None] * (self._scores - scores)
        self._mean, self._covariance = mean, off.T @ off
        self._across = np.tensordot(off.T, moved, axes=1)
        told = np.array(effective(self._logs) >= LEAST)
        spread = self.decision.removed(moved).sum(axis=0)
        self.decision = replace(self.decision, scores=scores, spread=spread, told=told)

    @property
    def refit(self) -> bool:
        return effective(self._logs) < LEAST_SHARE * len(self._logs)

    def learn(self, question: int, first: bool | None) -> Site:
        site = _site(question, first)
        self._count(site, 1)
        self._weigh()
        return site

    def together(self, told: Sequence[tuple[int, bool | None]]) -> tuple["DrawnAnswers", list[Site]]:
        whole = copy(self)
        whole._logs = self._logs.copy()
        sites = [_site(*each) for each in told]
        for site in sites:
            whole._count(site, 1)
        whole._weigh()
        return whole, sites

    def settle(self, target: int, score: float) -> None:
        super().settle(target, score)
        self._scores = self._scores.copy()
        self._scores[:, target] = score

    def forget(self, site: Site) -> None:
        self._count(site, -1)
        self._weigh()

    def _count(self, site: Site, times: int) -> None:
        """Weigh the draws by an answer so many times; with -1 no longer by it."""
        if site.pull:
            first, second = int(self.questions.first[site.question]), int(self.questions.second[site.question])
            along = self._rewards[:, first] - (self._rewards[:, second] if second >= 0 else 0.0)
            self._logs = self._logs + times * log_chosen(along, site.pull > 0)

    @property
    def believed(self) -> dict[str, np.ndarray]:
        numbers = {name: each for name, each in super().believed.items() if each.ndim == 0}
        return {**numbers, "draws": self._rewards, "drawn_scores": self._scores, "logs": self._logs}


def _site(question: int, first: bool | None) -> Site:
    return Site(question, 0.0, 0.0 if first is None else 1.0 if first else -1.0)
