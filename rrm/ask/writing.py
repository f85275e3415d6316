"""What a text is worth that a person writes or edits: what it tells of rewards, by the likelihood of its kind.

A demonstration is a choice from all that one might write, a correction one from all that the output might be edited to
(`rrm.feedback.demonstration`, `correction`). Before it is written nobody knows the text, so the outputs that stand
beside the view stand for all that might be: it tells as much as the choice of one of them. An edit writes a share of an
output anew, so what it might become lies that share of the way to the others.

At a target's root the text becomes another candidate. It is as good as what people wrote was found to be.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, softmax
from scipy.stats import norm

from rrm.ask.bundles import Answers, Worth
from rrm.ask.normal import normal, root
from rrm.core.asking import BY_VALUE, Asking, Quality, Question
from rrm.core.kinds.correction import EDITED
from rrm.core.values import Correction, Demonstration

SHARES = {Demonstration.kind: 1.0, Correction.kind: EDITED}
"""Of what is written, by kind, the share that is new."""

_DRAWS = 128
_EDGE = 1e-3
_QUANTILES = norm.ppf((np.arange(64) + 0.5) / 64)


class Candidate(NamedTuple):
    """What a text becomes at a root: a candidate of a target, `at` its place, beside those at `beside` of its own."""

    at: int
    beside: tuple[int, ...]
    quality: Quality


class Write:
    """A text that a person may be asked to write; implements `rrm.ask.acts.Offer`.

    `outputs` are the places in the answers' table of what stands beside the view, and `new` is what the text becomes.
    """

    stream = BY_VALUE

    def __init__(self, question: Question, outputs: Sequence[int], new: Candidate | None = None) -> None:
        self.question, self._outputs = question, np.array(outputs, dtype=np.int64)
        self._new = new

    def look(self, answers: Answers) -> Worth:
        """Return what the text tells, and what it is expected to be better by than the best once that is told."""
        directions = self._directions(answers)
        told = answers.worth_along(self._outputs, directions)
        if self._new is None or self._new.at in answers.settled:
            return told
        had = answers.best_after(self._new.at, self._outputs, directions)
        before = logit(np.clip(answers.decision.scores[self._new.at, list(self._new.beside)], _EDGE, 1 - _EDGE)).mean()
        quality = self._new.quality
        better = np.maximum(expit(before + quality.mean + quality.sd * _QUANTILES) - had[:, None], 0.0).mean()
        gain = float(answers.decision.weights[self._new.at] * better)
        return Worth(told.value + gain, told.gain + gain)

    def take(self, answers: Answers) -> None:
        answers.take_along(self._outputs, self._directions(answers))

    def _directions(self, answers: Answers) -> np.ndarray:
        mean, covariance = answers.standing(self._outputs)
        return chosen_of(mean, covariance, SHARES[self.question.request.kind])


def writings(questions: Sequence[Question], places: Sequence[Sequence[int]], asking: Asking) -> list[Write]:
    """Return the texts that may be written, those at targets' roots are candidates, of the quality that is expected."""
    at = {id_: (number, place) for number, of in enumerate(asking.targets) for place, id_ in enumerate(of.outputs)}
    return [
        Write(question, outputs, _candidate(question, at, asking))
        for question, outputs in zip(questions, places, strict=True)
    ]


def _candidate(question: Question, at: Mapping[str, tuple[int, int]], asking: Asking) -> Candidate | None:
    request = question.request
    shown = request.shown[0].output if request.shown else ""
    if request.kind not in asking.qualities or shown not in at:
        return None
    target, place = at[shown]
    beside = (place,) if request.kind == Correction.kind else tuple(range(len(asking.targets[target].outputs)))
    return Candidate(target, beside, asking.qualities[request.kind])


def chosen_of(mean: np.ndarray, covariance: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Return along which directions [k, b] of k rewards the choice of one of k texts tells as a quantity of noise 1.

    The Fisher information of a softmax over the rewards, at a `share` of their differences, as expected over what is
    believed of them: so a choice that is nearly known beforehand tells little.
    """
    drawn = share * (mean + normal(len(mean), _DRAWS) @ root(covariance).T)
    likely = softmax(drawn, axis=1)
    information = share**2 * (np.diag(likely.mean(axis=0)) - likely.T @ likely / len(likely))
    values, vectors = np.linalg.eigh(information)
    some = values > 1e-9
    return np.asarray(vectors[:, some] * np.sqrt(values[some]))
