"""Demonstrations: how probable it is that a rater writes this text rather than any other that one might write."""

import torch
from torch import Tensor

from rrm.feedback import choice
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, same_shape


def log_prob(
    rewards: Tensor,
    chosen: Tensor,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
    log_proposal: Tensor | None = None,
) -> Tensor:
    """Log-probability [...], in nats, of each demonstration: a choice from a pool of candidates.

    The set of all texts cannot be summed over, so a pool stands for it: `rewards` are floating
    [..., n], of the demonstration and of candidates; `chosen` is integer [...], the demonstration's
    place; `present` is boolean [..., n], False where a pool is smaller. `log_proposal` [..., n] holds the
    log-probability with which each text comes into a pool: with it the pool's sum estimates the sum
    over all texts, without it the choice is among the pool as it stands. The rest, and what is
    raised, is as in `choice.log_probs`. Sources: Jeon et al. (2020), arXiv:2002.04833; the sampled
    softmax: Jean et al. (2015), arXiv:1412.2007, section 3.
    """
    if log_proposal is not None:
        same_shape(rewards=rewards, log_proposal=log_proposal)
        # exp(reward / T - log q): the proposal is not divided by the temperature
        beside = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
        rewards = at_least_float32(rewards) - log_proposal * beside
    return choice.log_prob(rewards, chosen, None, present, temperature, lapse)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of demonstrations: the rater's own text is the first of its row."""
    rater, rewards = rows.effects, rows.rewards
    first = torch.zeros(rewards.shape[:-1], dtype=torch.long, device=rewards.device)
    return log_prob(rewards, first, rows.present, rater.temperature, rater.lapse)
