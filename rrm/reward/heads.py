"""Heads: the most probable weights of every ensemble member, found together by one convex optimiser."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.feedback.judgements import Judgements
from rrm.feedback.likelihood import Rater, Scales, log_likelihood
from rrm.feedback.optimise import minimise


class Heads(NamedTuple):
    """Heads [members, columns], what to add to their rewards for the logit of acceptance [members], and raters."""

    heads: np.ndarray
    anchor: np.ndarray
    raters: list[Rater]


def fit_heads(
    columns: np.ndarray,
    judgements: Judgements,
    weights: np.ndarray,
    prior: np.ndarray,
    anchor_prior: np.ndarray,
    precision: float,
    reliability: bool = False,
) -> Heads:
    """Return the mode of each member's posterior over a head, the likelihood's scales and the raters.

    `columns` [items, columns] are those of the table's items. `weights` [members, sources] multiply
    the log-likelihood of a source's rows; `prior` [members, columns] is where the Gaussian prior of
    this `precision` is centred, `anchor_prior` [members] where a weak one on the labels' intercept
    is. The members' problems are separate but alike: the Hessian that they share at zero is used to
    precondition L-BFGS, which then needs some fifty steps for all. In float64.
    """
    members, at = len(prior), torch.from_numpy(columns)
    centre, row_weights = torch.from_numpy(prior), torch.from_numpy(weights[:, judgements.row_source])
    scales = Scales(judgements, members, reliability, anchor_prior=anchor_prior)
    basis = _preconditioner(columns, judgements, precision, weights)
    offset = torch.zeros(members, columns.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        moved = offset @ basis.T
        likelihood = log_likelihood((centre + moved) @ at.T, judgements, scales)
        return 0.5 * precision * (moved**2).sum() - scales.log_prior().sum() - (row_weights * likelihood).sum()

    minimise(loss, [offset, *scales.parameters()])
    with torch.no_grad():
        return Heads((centre + offset @ basis.T).numpy(), scales.anchor().numpy(), scales.raters())


def _preconditioner(columns: np.ndarray, judgements: Judgements, precision: float, weights: np.ndarray) -> Tensor:
    """Return a matrix B [columns, columns] with B B' the inverse of the members' mean Hessian at zero."""
    pairs = np.array([(pair.first, pair.second, pair.source) for pair in judgements.pairs()], dtype=np.int64)
    single = np.array([(item, source) for item, _, source in judgements.valued()], dtype=np.int64)
    pairs, single = pairs.reshape(-1, 3), single.reshape(-1, 2)
    vectors = np.concatenate([columns[pairs[:, 0]] - columns[pairs[:, 1]], columns[single[:, 0]]])
    weight = weights.mean(axis=0)[np.concatenate([pairs[:, 2], single[:, 1]])]
    hessian = 0.25 * (vectors * weight[:, None]).T @ vectors + precision * np.eye(columns.shape[1])
    lower = np.linalg.cholesky(hessian)
    return torch.from_numpy(np.ascontiguousarray(np.linalg.inv(lower).T))
