"""Claim marks: how probable it is that a rater marks just these claims of an output, and misses just these pieces."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rrm.core.values import ClaimMarks
from rrm.feedback.label import log_prob as label_log_prob
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import with_lapses
from rrm.feedback.table import AnswerBlock, only

NONE, RIGHT, MARKED, OUTPUT, ADDED = range(5)
"""At a place of a row stands: nothing / a claim without a mark / one with a mark / the output / it with a piece."""


def log_prob(
    rewards: Tensor,
    parts: Tensor,
    intercept: Tensor | float = 0.0,
    temperature: Tensor | float = 1.0,
    severity: Tensor | float = 0.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each answer: of all its marks together.

    Given their rewards [..., k], claims are labelled independently: P(no mark) = sigmoid((reward + intercept -
    severity) / temperature), where a claim is read as a short output beside the same view, and the intercept is the
    claims' own. That a piece is missing is a comparison, which the output with the piece wins (Bradley and Terry, 1952,
    doi:10.2307/2334029). `parts` are integers [..., k], `NONE` to `ADDED`. With probability `lapse` each single mark
    is a coin's. Each mark is a choice between the claim and a threshold, each piece one between two outputs: Jeon et
    al. (2020), arXiv:2002.04833.
    """
    spread = [each.unsqueeze(-1) if isinstance(each, Tensor) else each for each in (temperature, severity, lapse)]
    fine = label_log_prob(rewards + intercept, parts == RIGHT, *spread)
    before = torch.where(parts == OUTPUT, rewards, 0.0).sum(dim=-1, keepdim=True)
    gained = with_lapses(logsigmoid((rewards - before) / spread[0]), spread[2], float(-np.log(2)))
    marked = (parts == RIGHT) | (parts == MARKED)
    return torch.where(marked, fine, torch.where(parts == ADDED, gained, 0.0)).sum(dim=-1)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of claim marks."""
    rater, intercept = rows.effects, rows.own(rows.scales.claims()).unsqueeze(-1)
    return log_prob(rows.rewards, rows.array(parts), intercept, rater.temperature, rater.severity, rater.lapse)


def parts(block: AnswerBlock) -> np.ndarray:
    """Return what stands at each place of each row, integer [rows, k]."""
    found = np.where(block.present, RIGHT, NONE)
    for row, answer in enumerate(only(ClaimMarks, block.answers)):
        found[row, : len(answer.marks)] = MARKED
        if answer.missing:
            found[row, answer.added.start - 1] = OUTPUT
            found[row, answer.added.start : answer.added.stop] = ADDED
    return found
