"""What a text is worth that a person writes or edits: what it tells of rewards, by the likelihood of its kind.

A demonstration is a choice from all that one might write, a correction one from all that the output might be edited to
(`rrm.feedback.demonstration`, `correction`). Before it is written nobody knows the text, so the outputs that stand
beside the view stand for all that might be: it tells as much as the choice of one of them. An edit writes a share of an
output anew, so what it might become lies that share of the way to the others.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from rrm.ask.bundles import Answers, Worth
from rrm.ask.normal import normal, root
from rrm.core.asking import BY_VALUE, Question
from rrm.core.values import Correction, Demonstration

SHARES = {Demonstration.kind: 1.0, Correction.kind: 0.25}
"""Of what is written, by kind, the share that is new; an edit's is that of `rrm.feedback.minutes.EDITED`."""

_DRAWS = 128


class Write:
    """A text that a person may be asked to write; implements `rrm.ask.acts.Offer`.

    `outputs` are the places in the answers' table of what stands beside the view.
    """

    stream = BY_VALUE

    def __init__(self, question: Question, outputs: Sequence[int]) -> None:
        self.question, self._outputs = question, np.array(outputs, dtype=np.int64)

    def look(self, answers: Answers) -> Worth:
        return answers.worth_along(self._outputs, self._directions(answers))

    def take(self, answers: Answers) -> None:
        answers.take_along(self._outputs, self._directions(answers))

    def _directions(self, answers: Answers) -> np.ndarray:
        mean, covariance = answers.standing(self._outputs)
        return chosen_of(mean, covariance, SHARES[self.question.request.kind])


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
