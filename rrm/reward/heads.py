"""Heads: the most probable weights of every ensemble member, found together by one convex optimiser."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.optimise import minimise
from rrm.feedback.scales import Rater, RaterParameters, Scales
from rrm.feedback.table import FeedbackTable


class Heads(NamedTuple):
    """Heads [members, columns], what to add to their rewards for the logit of acceptance [members], and raters.

    `scales` are the likelihood's other parameters at the mode.
    """

    heads: np.ndarray
    anchor: np.ndarray
    raters: list[Rater]
    scales: Scales


def fit_heads(
    columns: np.ndarray,
    feedback: FeedbackTable,
    weights: np.ndarray,
    prior: np.ndarray,
    anchor_prior: np.ndarray,
    precision: float | np.ndarray,
    reliability: bool = False,
    anchor_sd: float | None = None,
    raters: RaterParameters | None = None,
) -> Heads:
    """Return the mode of each member's posterior over a head, the likelihood's scales and the raters.

    `columns` [items, columns] are those of the table's items. `weights` [members, sources] and each row's own weight
    multiply the log-likelihood of a row; `prior` [members, columns] is where the Gaussian prior of
    this `precision`, one for all or [members], is centred, `anchor_prior` [members] where that on the labels'
    intercept is, of standard deviation `anchor_sd` in logits (None: wide open). With `reliability` raters are as
    probable as can be beside the heads, or stay where `raters` has them. The members' problems are
    separate but alike: the Hessian that they share at zero is used to precondition L-BFGS, which then needs
    some fifty steps for all. In float64.
    """
    members, at = len(prior), torch.from_numpy(columns)
    centre = torch.from_numpy(prior)
    precisions = np.broadcast_to(np.asarray(precision, dtype=np.float64), (members,))
    strength = torch.from_numpy(precisions.copy())
    row_weights = torch.from_numpy(weights[:, feedback.row_source] * feedback.weight)
    scales = Scales(feedback, members, reliability, anchor_prior=anchor_prior, anchor_sd=anchor_sd)
    if raters is not None:
        scales.hold(raters)
    basis = _preconditioner(columns, feedback, float(np.exp(np.log(precisions).mean())), weights)
    offset = torch.zeros(members, columns.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        moved = offset @ basis.T
        likelihood = log_likelihood((centre + moved) @ at.T, feedback, scales)
        return (
            0.5 * (strength * (moved**2).sum(dim=1)).sum() - scales.log_prior().sum() - (row_weights * likelihood).sum()
        )

    minimise(loss, [offset, *(each for each in scales.parameters() if each.requires_grad)])
    with torch.no_grad():
        return Heads((centre + offset @ basis.T).numpy(), scales.anchor().numpy(), scales.raters(), scales)


def curvatures(columns: np.ndarray, feedback: FeedbackTable, weights: np.ndarray, fitted: Heads) -> np.ndarray:
    """Return each member's Hessian of the negative log-likelihood over its head at the mode, [members, c, c].

    The likelihood's other parameters are held where they are.
    """
    at = torch.from_numpy(columns)
    row_weights = torch.from_numpy(weights[:, feedback.row_source] * feedback.weight)
    heads = torch.from_numpy(fitted.heads).requires_grad_()
    likelihood = log_likelihood(heads @ at.T, feedback, fitted.scales)
    [slope] = torch.autograd.grad(-(row_weights * likelihood).sum(), heads, create_graph=True)
    # members do not meet, so one pass gives the same row of the Hessian for all of them
    rows = [torch.autograd.grad(slope[:, each].sum(), heads, retain_graph=True)[0] for each in range(columns.shape[1])]
    return np.asarray(torch.stack(rows, dim=1).numpy())


def _preconditioner(columns: np.ndarray, feedback: FeedbackTable, precision: float, weights: np.ndarray) -> Tensor:
    """Return a matrix B [columns, columns] with B B' the inverse of the members' mean Hessian at zero."""
    pairs = np.array([(pair.first, pair.second, pair.source) for pair in feedback.pairs()], dtype=np.int64)
    single = np.array([(item, source) for item, _, source in feedback.valued()], dtype=np.int64)
    pairs, single = pairs.reshape(-1, 3), single.reshape(-1, 2)
    vectors = np.concatenate([columns[pairs[:, 0]] - columns[pairs[:, 1]], columns[single[:, 0]]])
    weight = weights.mean(axis=0)[np.concatenate([pairs[:, 2], single[:, 1]])]
    hessian = 0.25 * (vectors * weight[:, None]).T @ vectors + precision * np.eye(columns.shape[1])
    lower = np.linalg.cholesky(hessian)
    return torch.from_numpy(np.ascontiguousarray(np.linalg.inv(lower).T))
