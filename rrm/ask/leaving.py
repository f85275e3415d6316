"""What a choice comes to that is left to a person: who reads the whole source chooses well, but errs.

Scores of candidates are normal as believed. A person sees them as they are, and takes each candidate with the
probability of a Boltzmann-rational choice by their logits (Jeon et al. 2020, arXiv:2002.04833), as noisy as raters were
found to be, each of whom may be the one.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np
from scipy.special import logit, softmax
from scipy.stats import norm
from scipy.stats.qmc import Sobol

from rrm.ask.bundles import Answers
from rrm.core.asking import USUAL_CHOOSER, Alternatives, Asking, Belief, Chooser, Question, RatersBelief

_DRAWS = 1024
_EDGE = 1e-3  # scores are linear in rewards, and leave the range of probabilities now and then


class Choosing:
    """A person's choice among k candidates of mean scores [k] and covariance [k, k], of whom only `among` are shown."""

    def __init__(
        self, scores: np.ndarray, covariance: np.ndarray, among: Sequence[int], raters: Sequence[Chooser]
    ) -> None:
        drawn = scores + _normal(len(scores)) @ _root(covariance).T
        shown = drawn[:, list(among)]
        logits = logit(np.clip(shown, _EDGE, 1 - _EDGE))
        taken = [
            (1 - each.lapse) * softmax(logits / each.temperature, axis=1) + each.lapse / len(among) for each in raters
        ]
        self._shown, self._taken = shown, np.mean(taken, axis=0)
        self._best = float(drawn.mean(axis=0).max())

    @property
    def worth(self) -> float:
        """The expected score of what the person takes."""
        return float((self._shown * self._taken).sum(axis=1).mean())

    @property
    def gain(self) -> float:
        """By how much that is more than the best expected score now; below zero where the person errs too much."""
        return self.worth - self._best

    def after(self, taken: int) -> float:
        """Return the expected score of the candidate shown at this place once the person has taken it."""
        likely = self._taken[:, taken]
        return float(likely @ self._shown[:, taken] / likely.sum())


@lru_cache(maxsize=16)
def _normal(k: int) -> np.ndarray:
    """Return draws [draws, k] that lie evenly (Sobol), each with its opposite, so that their mean is exact."""
    half = norm.ppf(Sobol(k, seed=0).random(_DRAWS // 2))
    return np.concatenate([half, -half])


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


class Leave(NamedTuple):
    """A choice that is left to a person: its question, the target, the score expected of it, its gain, its minutes."""

    question: Question
    target: int
    score: float
    gain: float
    minutes: float


class Leaves:
    """The choices that can be left, by what they gain the decision a minute once what `answers` took is answered."""

    def __init__(self, belief: Belief, offers: Sequence[Question], asking: Asking, answers: Answers) -> None:
        self._answers, self._raters = answers, raters_of(belief)
        places = {each.groups[0].source: at for at, each in enumerate(asking.targets) if not each.left}
        self._offers = {places[each.request.source]: each for each in offers if each.request.source in places}
        self._targets = asking.targets
        self._covariance = {at: covariance(belief, self._targets[at]) for at in self._offers}
        self._known = {at: (-1, self._look(at)) for at in self._offers} if answers.decision.told else {}

    def next(self, rate: float = 0.0, within: float = inf) -> Leave | None:
        """Return the choice that gains most a minute, if that is more than `rate`, of those that take no more."""
        while self._known:
            paying = [at for at, (_, each) in self._known.items() if each.minutes <= within]
            at = max(paying, key=lambda one: self._known[one][1].gain / self._known[one][1].minutes, default=None)
            if at is None:
                return None
            seen, best = self._known[at]
            if best.gain / best.minutes <= max(rate, 0.0):
                return None
            if seen == self._answers.taken:
                return best
            self._known[at] = (self._answers.taken, self._look(at))
        return None

    def take(self, leave: Leave) -> None:
        """Take a choice as left; the others are worth what they were."""
        del self._known[leave.target]

    def _look(self, at: int) -> Leave:
        offer, target, decision = self._offers[at], self._targets[at], self._answers.decision
        k = len(target.outputs)
        moves = self._answers.taken_moves[:, at, :k]
        choosing = Choosing(
            target.scores, self._covariance[at] - moves.T @ moves, shown_at(offer, target), self._raters
        )
        gain = float(decision.weights[at]) * choosing.gain
        return Leave(offer, at, choosing.worth, gain, offer.reading + offer.deciding)


def after_choice(belief: Belief, target: Alternatives) -> float:
    """Return the expected score of what a person chose who was left to choose among a target's candidates."""
    return Choosing(target.scores, covariance(belief, target), target.left, raters_of(belief)).after(0)


def covariance(belief: Belief, target: Alternatives) -> np.ndarray:
    """Return the covariance of a target's scores, [k, k]."""
    return np.asarray(target.slopes @ belief.covariance(target.groups, target.groups) @ target.slopes.T)


def raters_of(belief: Belief) -> Sequence[Chooser]:
    """Return what is believed of how raters choose."""
    return (belief.raters if isinstance(belief, RatersBelief) else ()) or (USUAL_CHOOSER,)


def shown_at(offer: Question, target: Alternatives) -> list[int]:
    """Return the places of the candidates among which a person would choose."""
    places = {output: at for at, output in enumerate(target.outputs)}
    return [places[shown.output] for shown in offer.request.shown]
