"""One likelihood for every kind of feedback together.

Given the rewards, judgements are independent, so whatever their kinds their log-likelihoods add up
(Jeon et al., 2020, arXiv:2002.04833).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rrm.core.errors import ShapeError
from rrm.feedback import (
    claims,
    comparison,
    correction,
    critique,
    demonstration,
    hindsight,
    label,
    ranking,
    rating,
    reject,
)
from rrm.feedback.rows import RewardedRows
from rrm.feedback.scales import Scales
from rrm.feedback.shapes import at_least_float32
from rrm.feedback.table import FeedbackTable

LIKELIHOODS: dict[str, Callable[[RewardedRows], Tensor]] = {
    "comparison": comparison.of_rows,
    "hindsight": hindsight.of_rows,
    "ranking": ranking.of_rows,
    "rating": rating.of_rows,
    "label": label.of_rows,
    "correction": correction.of_rows,
    "demonstration": demonstration.of_rows,
    "critique": critique.of_rows,
    "claims": claims.of_rows,
    "reject": reject.of_rows,
}
"""Of every kind: the log-likelihood [members, rows], in nats, of the rows of a block."""


def log_likelihood(rewards: Tensor, feedback: FeedbackTable, scales: Scales) -> Tensor:
    """Log-likelihood [members, rows], in nats, of every judgement, in the order of the rows.

    `rewards` are floating [members, items] in logits. In their type, or in float32 if that is a
    lesser one. Raises ShapeError if rewards fit neither the table's items nor the scales' members.
    """
    if rewards.dim() != 2 or rewards.shape[1] != len(feedback.items):
        raise ShapeError(f"rewards are [members, {len(feedback.items)} items], got {tuple(rewards.shape)}")
    if scales.members not in (1, len(rewards)):
        raise ShapeError(f"rewards of {len(rewards)} members do not fit scales of {scales.members}")
    scores, blocks = at_least_float32(rewards), feedback.blocks
    found = [LIKELIHOODS[block.kind](RewardedRows(scores, feedback, scales, block)) for block in blocks]
    if not found:
        return scores.new_zeros(len(scores), 0)
    if len(found) == 1:
        return found[0]
    back = np.argsort(np.concatenate([block.row for block in blocks]))
    return torch.cat(found, dim=1)[:, torch.from_numpy(back).to(scores.device)]
