"""What a choice comes to that is left to a person: who reads the whole source chooses well, but errs.

Scores of candidates are normal as believed. A person sees them as they are, whatever was asked before, and takes each
candidate with the probability of a Boltzmann-rational choice by their logits (Jeon et al. 2020, arXiv:2002.04833), as
noisy as raters were found to be, each of whom may be the one.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import logit, softmax

from rrm.ask.bundles import Answers, Worth
from rrm.ask.normal import normal, root
from rrm.core.asking import LEFT, USUAL_CHOOSER, Alternatives, Asking, Belief, Chooser, Question, RatersBelief

_DRAWS = 1024
_EDGE = 1e-3  # scores are linear in rewards, and leave the range of probabilities now and then


class Choosing:
    """A person's choice among k candidates of mean scores [k] and covariance [k, k], of whom only `among` are shown."""

    def __init__(
        self, scores: np.ndarray, covariance: np.ndarray, among: Sequence[int], raters: Sequence[Chooser]
    ) -> None:
        drawn = scores + normal(len(scores), _DRAWS) @ root(covariance).T
        shown = drawn[:, list(among)]
        logits = logit(np.clip(shown, _EDGE, 1 - _EDGE))
        taken = [
            (1 - each.lapse) * softmax(logits / each.temperature, axis=1) + each.lapse / len(among) for each in raters
        ]
        self._scores, self._shown, self._taken = scores, shown, np.mean(taken, axis=0)

    @property
    def worth(self) -> float:
        """The expected score of what the person takes."""
        return float((self._shown * self._taken).sum(axis=1).mean())

    def gain(self, told: np.ndarray) -> float:
        """Return by how much that is more than the best score that is expected once so much [k, k] of it is told.

        Below zero where the person errs too much.
        """
        best = self._scores + normal(len(self._scores), _DRAWS) @ root(told).T
        return self.worth - float(best.max(axis=1).mean())

    def after(self, taken: int) -> float:
        """Return the expected score of the candidate shown at this place once the person has taken it."""
        likely = self._taken[:, taken]
        return float(likely @ self._shown[:, taken] / likely.sum())


class Leave:
    """A target's choice as it may be left to a person; implements `rrm.ask.acts.Offer`."""

    stream = LEFT

    def __init__(self, belief: Belief, question: Question, target: Alternatives, at: int) -> None:
        self.question = question
        self._at, self._count = at, len(target.outputs)
        shown = shown_at(question, target)
        self._choosing = Choosing(target.scores, covariance(belief, target), shown, raters_of(belief))

    def look(self, answers: Answers) -> Worth:
        moves = answers.taken_moves[:, self._at, : self._count]
        gain = float(answers.decision.weights[self._at]) * self._choosing.gain(moves.T @ moves)
        return Worth(gain, gain)

    def take(self, answers: Answers) -> None:
        answers.settle(self._at, self._choosing.worth)


def choices(belief: Belief, asking: Asking) -> list[Leave]:
    """Return the choices that may be left, of targets that none was left of."""
    places = {each.groups[0].source: at for at, each in enumerate(asking.targets) if not each.left}
    offers = [(each, places.get(each.request.source)) for each in asking.questions if each.leaves]
    return [Leave(belief, each, asking.targets[at], at) for each, at in offers if at is not None]


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
