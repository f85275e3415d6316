"""Corrections: how probable it is that a rater writes this edit rather than leave the output or write another."""

import torch
from torch import Tensor

from rrm.feedback import choice
from rrm.feedback.rows import RewardedRows


def log_prob(
    rewards: Tensor,
    chosen: Tensor,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each correction: a choice among the original and its edits.

    `rewards` are floating [..., n], of the original, of the edit that the rater made, and of other
    edits of the same original; `chosen` is integer [...], the place of the rater's own; `present` is
    boolean [..., n], False where there are fewer. The rest, and what is raised, is as in
    `choice.log_probs`. Source: Jeon et al. (2020), arXiv:2002.04833, where the other choices are
    perturbations of what was corrected; here they are the edits that people really made.
    """
    return choice.log_prob(rewards, chosen, None, present, temperature, lapse)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of corrections: the rater's own text is the first of its row."""
    rater, rewards = rows.effects, rows.rewards
    first = torch.zeros(rewards.shape[:-1], dtype=torch.long, device=rewards.device)
    return log_prob(rewards, first, rows.present, rater.temperature, rater.lapse)
