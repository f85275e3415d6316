"""Rankings: how probable an order of outputs, whole or only of the best ones, is given their rewards.

A ranking with ties is the event that the rater's order is one of those that agree with it: outputs that are level say
nothing of each other, and all of what stands before and behind them.
"""

import numpy as np
import torch
from torch import Tensor, finfo

from rrm.core.errors import InputError, ShapeError
from rrm.core.values import Ranking
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, broadcasts, divided, same_shape, with_lapses
from rrm.feedback.table import AnswerBlock, only, padded


def log_prob(
    rewards: Tensor,
    best_first: Tensor,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each ranking under Plackett and Luce.

    The rater takes the best of all, then the best of the rest, and so on; each choice is a softmax
    over what is left. `rewards` are floating [..., k] in logits; `best_first` integer [..., m] with
    m <= k holds positions into them, padded at the end with -1 where a ranking names fewer;
    `present` is boolean [..., k], False where a row has fewer than k outputs. Rewards are divided by
    the rater's `temperature`; with probability `lapse` all rankings that name as many are equally
    probable; both are numbers or broadcast to [...]. Raises ShapeError if shapes do not fit,
    InputError if a position is repeated, absent or out of range, or unless 0 <= lapse < 1. Sources:
    Luce (1959), Individual Choice Behavior; Plackett (1975), doi:10.2307/2346567.
    """
    if rewards.shape[:-1] != best_first.shape[:-1] or best_first.shape[-1] > rewards.shape[-1]:
        raise ShapeError(f"rewards {tuple(rewards.shape)} do not fit a ranking of {tuple(best_first.shape)}")
    scores = at_least_float32(rewards)
    broadcasts(scores.shape[:-1], temperature=temperature, lapse=lapse)
    scores = divided(scores, temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature)
    left = torch.ones_like(scores, dtype=torch.bool) if present is None else present
    same_shape(rewards=rewards, present=left)
    left = left.clone()
    total, blind = scores.new_zeros(scores.shape[:-1]), scores.new_zeros(scores.shape[:-1])
    lowest = finfo(scores.dtype).min
    for place in range(best_first.shape[-1]):
        named = best_first[..., place]
        counts = named >= 0
        if bool((named >= scores.shape[-1]).any()):
            raise InputError(f"a ranking of {scores.shape[-1]} outputs names position {int(named.max())}")
        position = named.clamp(min=0).unsqueeze(-1)
        if bool((counts & ~left.gather(-1, position).squeeze(-1)).any()):
            raise InputError("a ranking names a position twice, or one that is absent")
        remaining = scores.masked_fill(~left, lowest)
        choice = scores.gather(-1, position).squeeze(-1) - remaining.logsumexp(dim=-1)
        total = total + choice.masked_fill(~counts, 0.0)
        blind = blind - left.sum(dim=-1).clamp(min=1).to(scores.dtype).log().masked_fill(~counts, 0.0)
        chosen = left.new_zeros(left.shape).scatter(-1, position, counts.unsqueeze(-1))
        left = left & ~chosen
    return with_lapses(total, lapse, blind)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of rankings; of one with ties that of any of the orders that agree with it.

    Source: Allison and Christakis (1994), Logit models for sets of ranked items, doi:10.2307/270983, section on ties.
    """
    rater = rows.effects
    row = rows.array(row_of_order)[0]  # the same for all members
    if len(row) == rows.rewards.shape[1]:
        return log_prob(rows.rewards, rows.array(places), rows.present, rater.temperature, rater.lapse)
    of_orders = log_prob(
        rows.rewards.index_select(1, row),
        rows.array(places),
        rows.present.index_select(1, row),
        _taken(rater.temperature, row),
        _taken(rater.lapse, row),
    )
    orders = rows.array(orders_of_row)  # [members, rows, most], padded with -1
    each = of_orders.gather(1, orders.clamp(min=0).flatten(1)).reshape(orders.shape)
    return each.masked_fill(orders < 0, -torch.inf).logsumexp(dim=-1)


def places(block: AnswerBlock) -> np.ndarray:
    """Return the places best first, [orders, m], padded with -1: all orders that agree with each row's ranking."""
    every = [order for answer in only(Ranking, block.answers) for order in answer.orders()]
    best_first, named = padded(every)
    return np.where(named, best_first, -1)


def row_of_order(block: AnswerBlock) -> np.ndarray:
    """Return the row of each order, [orders]: as many as rows where nothing is level."""
    return np.repeat(np.arange(len(block.answers)), _counts(block))


def orders_of_row(block: AnswerBlock) -> np.ndarray:
    """Return the numbers of each row's orders, [rows, most], padded with -1."""
    counts = _counts(block)
    ends = np.cumsum(counts)
    orders, there = padded([range(end - count, end) for count, end in zip(counts, ends, strict=True)])
    return np.where(there, orders, -1)


def _counts(block: AnswerBlock) -> list[int]:
    return [len(answer.orders()) for answer in only(Ranking, block.answers)]


def _taken(effect: Tensor | float, row: Tensor) -> Tensor | float:
    """Return the effect of each order's row; a number is one for all."""
    return effect.index_select(-1, row) if isinstance(effect, Tensor) and effect.dim() else effect
