"""Critiques: how probable it is that a rater says this of some outputs, given what else might be said of them."""

import numpy as np
import torch
from torch import Tensor

from rrm.core.errors import InputError
from rrm.core.values import Critique
from rrm.feedback import choice
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, same_shape
from rrm.feedback.table import AnswerBlock, only


def log_prob(
    rewards: Tensor,
    consistent: Tensor,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
    chosen: Tensor | None = None,
) -> Tensor:
    """Log-probability [...], in nats, of each critique: a choice among things to say.

    A critique means an output drawn uniformly from those that it speaks for. `rewards` are floating
    [..., n]. `consistent` is boolean [..., critiques, n], one row for each thing that might be said,
    and `chosen` integer [...] the place of what was said; or it is boolean [..., n] without `chosen`,
    and the rater might have spoken for the other outputs instead. `present` is boolean [..., n],
    False where a row has fewer outputs. The rest is as in `choice.log_probs`. Raises ShapeError if
    shapes do not fit, InputError for a critique that speaks for none. Source: Jeon et al. (2020),
    arXiv:2002.04833, on language.
    """
    scores = at_least_float32(rewards)
    shown = torch.ones_like(scores, dtype=torch.bool) if present is None else present
    same_shape(rewards=scores, present=shown)
    if chosen is None:
        same_shape(rewards=scores, consistent=consistent)
        consistent = torch.stack([consistent, ~consistent], dim=-2)
        chosen = torch.zeros(scores.shape[:-1], dtype=torch.long, device=scores.device)
    meant = consistent & shown.unsqueeze(-2)
    count = meant.sum(dim=-1, keepdim=True)
    if bool((count == 0).any()):
        raise InputError("a critique, and any in its place, speaks for at least one output that is shown")
    grounding = meant.to(scores.dtype) / count
    return choice.log_prob(scores, chosen, grounding, None, temperature, lapse)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of critiques against what they do not speak for."""
    rater = rows.effects
    return log_prob(rows.rewards, rows.array(spoken_for), rows.present, rater.temperature, rater.lapse)


def spoken_for(block: AnswerBlock) -> np.ndarray:
    """Return for which items each critique speaks, boolean [rows, k]."""
    found = np.zeros_like(block.present)
    for row, answer in enumerate(only(Critique, block.answers)):
        found[row, list(answer.consistent or ())] = True
    return found
