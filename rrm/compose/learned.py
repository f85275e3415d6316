"""A composer learned from what raters said about outputs whose parts' scores are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from rrm.compose.composers import LogLinear, logits
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import JoinedRating, Workspace
from rrm.core.values import OVERALL, Comparison, Label
from rrm.files import read_json, write_json

FACTS = "composer.json"
_LEAST = 1e-12  # probabilities are kept this far from 0, where their logarithm is taken
_CENTRE = np.array([1.0, 0.0, 0.0, 0.0])  # the own score as it is


class LearnedJoin:
    """Learns a `LogLinear` composer; implements `rrm.core.protocols.ComposerLearner`.

    A label says whether an output is accepted, a comparison which of two is better. The likelihood is that of the
    *mean* over the members of what each composes, for that mean is what is reported: a fit to single members
    takes their spread for noise of the regressors and comes out attenuated. A Gaussian prior of this `precision`
    is centred on the own score as it is. Scores should be by members that were not fitted on the node's source.
    """

    def __init__(self, precision: float = 1.0) -> None:
        if not precision > 0:
            raise InputError(f"the precision of the prior is above 0, got {precision}")
        self.precision = precision
        self.name = f"learned-join(precision={precision:g})"

    def fit(self, ratings: Sequence[JoinedRating], place: Place, seed: int, workspace: Workspace) -> LogLinear:
        """Return the most probable composer; raise InputError without a label, for then nothing anchors it."""
        rows: list[np.ndarray] = []
        labels = 0
        for rating in ratings:
            found = [_design(rating, at) for at in range(len(rating.candidates))]
            answer = rating.rated.feedback.answer
            if isinstance(answer, Label):
                labels += 1
                rows.append(_signed(found[0], answer.good))
            elif isinstance(answer, Comparison) and answer.better is not None:
                rows.append(_signed(found[0] - found[1], answer.better == 0))
        if not labels:
            raise InputError("a learned composer needs labels of inner or root outputs: use the composer `mean`")
        composer = LogLinear(*(round(float(number), 9) + 0.0 for number in _mode(rows, self.precision)))
        weights = [*map(float, composer.weights), composer.intercept]
        write_json(workspace.folder / FACTS, dict(zip(("own", "mean", "minimum", "intercept"), weights, strict=True)))
        return composer

    def load(self, folder: Path) -> LogLinear:
        """Return the composer saved in a folder; raise InputError where there is none."""
        facts = read_json(folder / FACTS)
        try:
            return LogLinear(**{name: float(facts[name]) for name in ("own", "mean", "minimum", "intercept")})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / FACTS} does not hold a learned composer: {error}") from error


def _design(rating: JoinedRating, at: int) -> np.ndarray:
    """Return the logits that the rule weighs for one candidate, and its intercept's 1, [members, 4]."""
    own = rating.scores.acceptance[OVERALL][:, at]
    parts = np.stack([part.acceptance[OVERALL] for part in rating.parts])
    shares = np.array([part.share for part in rating.parts])
    return np.stack([*logits(own, parts, shares / shares.sum()), np.ones_like(own)], axis=1)


def _signed(rows: np.ndarray, good: bool) -> np.ndarray:
    return rows if good else -rows


def _mode(rows: Sequence[np.ndarray], precision: float) -> np.ndarray:
    """Return the weights [4], the first three not negative, that make the answers most probable.

    `rows` holds an array [members, 4] for each answer; the logistic of a row times the weights is how probable
    a member takes the answer to be, and the mean over the members is the answer's probability.
    """
    sizes = np.array([len(each) for each in rows])
    starts, every = np.cumsum(sizes) - sizes, np.concatenate(rows)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        each = expit(every @ at)
        mean = np.maximum(np.add.reduceat(each, starts) / sizes, _LEAST)
        pull = each * (1 - each) / np.repeat(mean * sizes, sizes)
        off = at - _CENTRE
        return float(-np.log(mean).sum() + 0.5 * precision * off @ off), precision * off - pull @ every

    return np.asarray(minimize(loss, _CENTRE, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 3 + [(None, None)]).x)
