"""How strongly a level's heads are drawn to where their prior is centred, and its raters: as the evidence says.

Empirical Bayes: the precision of the Gaussian prior is the one under which the level's own ratings are most
probable, the heads integrated out around their mode (MacKay, 1992, doi:10.1162/neco.1992.4.3.415). So are raters'
reliabilities, with the prior over raters.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from rrm.feedback.table import FeedbackTable

if TYPE_CHECKING:
    from rrm.feedback.scales import RaterParameters

USUAL, SPREAD = 50.0, 1.5
"""The precision where ratings say nothing of it, and the standard deviation of its logarithm beforehand."""

LEAST, MOST = 0.5, 5000.0
_ROUNDS = 3


class Shrinkage(NamedTuple):
    """The precision of a prior around the head below, and the share of own ratings in what the heads say.

    `own`, from 0 to 1, is an average over the differences that raters judged: of a difference that the ratings
    would have moved by one on their own, they moved it by so much.
    """

    precision: float
    own: float


class Evidence(NamedTuple):
    """What the ratings say of each set of sources: how strongly heads are shrunk, and of raters.

    No raters where they are taken for alike.
    """

    shrinkages: list[Shrinkage]
    raters: "RaterParameters | None"


def evidence(
    columns: np.ndarray,
    feedback: FeedbackTable,
    weights: np.ndarray,
    prior: np.ndarray,
    anchor_prior: np.ndarray,
    reliability: bool = False,
    anchor_sd: float | None = None,
    fixed: float | None = None,
) -> Evidence:
    """Return the evidence of each set of sources, of which `weights` [sets, sources] is 1 for those fitted on.

    `prior` [sets, columns] and `anchor_prior` [sets], with `anchor_sd`, are as in `fit_heads`. A set sees nothing of
    the sources that it weighs 0. The log-likelihood is taken as quadratic around the mode, which is
    found again under each precision, and the raters, that came of it; the fixed point is near after three rounds. A
    `fixed` precision is kept as it is.
    """
    from rrm.reward.heads import curvatures, fit_heads  # with torch, whose import takes seconds
    from rrm.reward.marginal import more_probable

    precision = np.full(len(weights), fixed or USUAL)
    own = np.zeros(len(weights))
    raters: RaterParameters | None = None
    for _ in range(1 if fixed and not reliability else _ROUNDS):
        found = fit_heads(columns, feedback, weights, prior, anchor_prior, precision, reliability, anchor_sd, raters)
        roots = np.empty((len(weights), columns.shape[1], columns.shape[1]))
        for at, hessian in enumerate(curvatures(columns, feedback, weights, found)):
            values, vectors = np.linalg.eigh(hessian)
            values = np.maximum(values, 0.0)
            roots[at] = vectors / np.sqrt(values + precision[at])
            moved = vectors.T @ (found.heads[at] - prior[at])
            precision[at] = fixed or _most_probable(values, moved, float(precision[at]))
            own[at] = _own(values, float(precision[at]))
        if found.scales.reliability:
            raters = more_probable(columns, feedback, weights, found, roots)
    return Evidence([Shrinkage(float(p), float(share)) for p, share in zip(precision, own, strict=True)], raters)


def averaged(found: Sequence[Shrinkage]) -> Shrinkage:
    """Return the geometric mean of the precisions, and the mean share."""
    precision = np.exp(np.mean([np.log(each.precision) for each in found]))
    return Shrinkage(float(precision), float(np.mean([each.own for each in found])))


def _own(values: np.ndarray, precision: float) -> float:
    total = values.sum()
    return float((values**2 / (values + precision)).sum() / total) if total > 0 else 0.0


def _most_probable(values: np.ndarray, moved: np.ndarray, precision: float) -> float:
    """Return the most probable precision.

    `values` [columns] are the eigenvalues of the Hessian of the negative log-likelihood at the mode, which
    under a prior of `precision` lies `moved` [columns] away from the prior's centre along its eigenvectors.
    """
    # at the mode the prior's pull equals the likelihood's: so the likelihood's linear term at the centre is
    pull = moved * (values + precision)

    def negative(log_precision: float) -> float:
        both = values + np.exp(log_precision)
        evidence = 0.5 * (log_precision - np.log(both) + pull**2 / both).sum()
        return float(0.5 * ((log_precision - np.log(USUAL)) / SPREAD) ** 2 - evidence)

    grid = np.linspace(np.log(LEAST), np.log(MOST), 47)
    best = int(np.argmin([negative(each) for each in grid]))
    bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    found = minimize_scalar(negative, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))
