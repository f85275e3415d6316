"""What the rows held back say of a model in training: its loss, its accuracy, and the temperature of its rewards."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from rrm.feedback.table import FeedbackTable
from rrm.reward.batches import Table
from rrm.reward.calibrate import IDENTITY, Calibration, HeldLogits, calibrate
from rrm.reward.objective import ForwardPass

SLOPE_SD = 3.0
"""Prior s.d. of the log temperature: rewards of a training that was stopped early may be many times too small."""


class Validation(NamedTuple):
    """Mean loss of a held-back judgement in nats, and the share of decided pairs predicted (None without pairs)."""

    loss: float
    accuracy: float | None


def validate(objective: nn.Module, table: Table, rows: np.ndarray) -> Validation | None:
    """Return what the rows held back say of a model; None without any. A tie between rewards counts half."""
    loss = right = pairs = 0.0
    for feedback, forward in _forward(objective, table, rows):
        loss -= float(forward.likelihood.mean(dim=0).sum())
        first, second, outcome = _pairs(feedback)
        margin = (forward.rewards[:, first] - forward.rewards[:, second]).mean(dim=0).cpu().numpy() * (2 * outcome - 1)
        decided = margin[outcome != 0.5]
        right += float((decided > 0).sum() + 0.5 * (decided == 0).sum())
        pairs += float(len(decided))
    return Validation(loss / len(rows), right / pairs if pairs else None) if len(rows) else None


def temperature(objective: nn.Module, table: Table, rows: np.ndarray) -> Calibration:
    """Return slope and intercept that calibrate rewards on the rows held back; the identity without any."""
    logits, outcome, anchor = [], [], []
    for feedback, forward in _forward(objective, table, rows):
        first, second, preferred = _pairs(feedback)
        valued = list(feedback.valued()) if feedback.anchors else []
        of_valued = forward.rewards[:, [item for item, _, _ in valued]]
        logits.append(forward.rewards[:, first] - forward.rewards[:, second])
        logits.append(of_valued + forward.anchor[:, None].to(forward.rewards.dtype))
        outcome += [*preferred, *(good for _, good, _ in valued)]
        anchor += [0.0] * len(preferred) + [1.0] * len(valued)
    if not outcome:
        return IDENTITY
    none = np.zeros(len(outcome), dtype=np.int64)
    every = torch.cat(logits, dim=1).T.double().cpu().numpy()
    held = HeldLogits(every, np.array(outcome), np.array(anchor), none, none, none, none)
    return calibrate(held, np.ones_like(every, dtype=bool), slope_sd=SLOPE_SD)


def _forward(objective: nn.Module, table: Table, rows: np.ndarray) -> Iterator[tuple[FeedbackTable, ForwardPass]]:
    """Yield what the model says of held-back rows, a batch at a time; every process reads all of them."""
    objective.eval()
    with torch.no_grad():
        for block in table.micro_batches(table.blocks(rows, 0)) if len(rows) else ():
            batch = table.batch(block)
            yield batch.feedback, objective(batch)


def _pairs(feedback: FeedbackTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first and second items, int64 [pairs], and the outcome: 1 the first is better, 0 the second, 0.5 a tie."""
    table = np.array([pair[:3] for pair in feedback.pairs()], dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], np.array([1.0, 0.0, 0.5])[table[:, 2]]
