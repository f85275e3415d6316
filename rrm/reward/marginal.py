"""Raters' reliability with the heads integrated out: what heads get wrong is not taken for a rater's noise.

Raters who are as probable as can be beside a head's most probable weights take up what these get wrong, and are told
too far apart where questions were chosen because weights are little known.
"""

from copy import deepcopy

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor, nn
from torch.func import functional_call

from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.optimise import minimise
from rrm.feedback.scales import RaterParameters, Scales
from rrm.feedback.table import FeedbackTable
from rrm.reward.heads import Heads

_DRAWS = 16  # of each head, half of them the others' opposites
_NUMBERS = 2_000_000  # of log-likelihoods held at once: of more rows, which leave heads less open, fewer draws
_STEPS = 20  # raters begin where the round before left them


class _Likelihood(nn.Module):
    """The likelihood as a module, whose scales can be put in the place of its own."""

    def __init__(self, feedback: FeedbackTable, scales: Scales) -> None:
        super().__init__()
        self.feedback, self.scales = feedback, scales

    def forward(self, rewards: Tensor) -> Tensor:
        return log_likelihood(rewards, self.feedback, self.scales)


def more_probable(
    columns: np.ndarray, feedback: FeedbackTable, weights: np.ndarray, fitted: Heads, roots: np.ndarray
) -> RaterParameters:
    """Return raters under whom the ratings are more probable than under `fitted`'s, its heads integrated out.

    A step of expectation and maximisation: each member's head is normal around its mode, with the covariance R R' of
    its `roots` R [members, c, c] (Laplace), and the mean log-likelihood over draws of it is maximised, with the prior,
    over all scales, of which raters' are returned. Where steps change nothing any more, the marginal likelihood is
    greatest, as far as the posterior is normal. `columns` and `weights` are as in `rrm.reward.heads.fit_heads`. Source:
    Dempster, Laird and Rubin (1977), doi:10.1111/j.2517-6161.1977.tb01600.x.
    """
    members, size = fitted.heads.shape
    draws = 2 * (int(np.clip(_NUMBERS // (members * feedback.rows), 2, _DRAWS)) // 2)
    moved = _standard_normal(draws, size) @ roots.transpose(0, 2, 1)
    rewards = torch.from_numpy((fitted.heads[:, None] + moved).reshape(members * draws, size) @ columns.T)
    row_weights = torch.from_numpy(weights[:, feedback.row_source] * feedback.weight)
    scales = deepcopy(fitted.scales).requires_grad_()
    wide = _Likelihood(feedback, deepcopy(scales))
    wide.scales.members = members * draws

    def loss() -> Tensor:
        own = {**dict(scales.named_parameters()), "anchor_prior": scales.anchor_prior}
        drawn = {f"scales.{name}": each.repeat_interleave(draws, 0) for name, each in own.items()}
        likelihood = torch.as_tensor(functional_call(wide, drawn, (rewards,))).reshape(members, draws, -1)
        return -(row_weights * likelihood.mean(dim=1)).sum() - scales.log_prior().sum()

    minimise(loss, scales.parameters(), _STEPS)
    return scales.rater_parameters


def _standard_normal(count: int, size: int) -> np.ndarray:
    """Return draws [count, size], each one's opposite among them, with the normal's quantiles along every direction.

    Their mean is 0 and their variance 1 along each.
    """
    above = ndtri((np.arange(count // 2) + 0.5) / count + 0.5)
    above = above / np.sqrt(np.mean(above**2))
    random = np.random.default_rng(0)
    noise = random.permuted(np.tile(above, (size, 1)), axis=1) * random.choice([-1.0, 1.0], (size, count // 2))
    return np.concatenate([noise.T, -noise.T])
