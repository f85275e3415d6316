"""Rejections: how probable it is that a rater refuses what is shown rather than go on with it."""

import torch
from torch import Tensor

from rrm.feedback import choice
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, broadcasts, same_shape


def log_prob(
    rewards: Tensor,
    rejected: Tensor,
    anchor: Tensor | float = 0.0,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each choice between off and going on.

    Going on is worth the mean reward of what was shown, plus the `anchor` that makes a reward the
    logit of acceptance; off is worth 0. `rewards` are floating [..., n], `rejected` boolean [...],
    `present` boolean [..., n], False where fewer were shown; all else is a number or broadcasts to
    [...]. Raises as `choice.log_probs` does. Source: Jeon et al. (2020), arXiv:2002.04833, on the
    off-switch (Hadfield-Menell et al., 2017, arXiv:1611.08219).
    """
    scores = at_least_float32(rewards)
    shown = torch.ones_like(scores, dtype=torch.bool) if present is None else present
    same_shape(rewards=scores, present=shown)
    same_shape(rejected=rejected, reward=scores[..., 0])
    broadcasts(rejected.shape, anchor=anchor)
    going_on = (scores * shown).sum(dim=-1) / shown.sum(dim=-1).clamp(min=1) + anchor
    options = torch.stack([going_on, torch.zeros_like(going_on)], dim=-1)
    return choice.log_prob(options, rejected.long(), None, None, temperature, lapse)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of rejections."""
    rater, rewards, anchor = rows.effects, rows.rewards, rows.own(rows.scales.anchor())
    rejected = torch.ones(rewards.shape[:-1], dtype=torch.bool, device=rewards.device)
    return log_prob(rewards, rejected, anchor, rows.present, rater.temperature, rater.lapse)
