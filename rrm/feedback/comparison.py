"""Comparisons: how probable a rater's choice between two outputs is, given their rewards."""

from math import log

import numpy as np
import torch
from torch import Tensor, cat, cumsum, stack, where, zeros_like
from torch.nn.functional import log_softmax, logsigmoid, softplus

from rrm.core.errors import InputError
from rrm.core.values import Comparison
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, broadcasts, divided, log_between, same_shape, with_lapses
from rrm.feedback.table import FIRST, SECOND, TIE, AnswerBlock, only


def log_probs(
    reward_a: Tensor,
    reward_b: Tensor,
    log_tie: Tensor | None = None,
    lapse: Tensor | float = 0.0,
    temperature: Tensor | float = 1.0,
    first_bias: Tensor | float = 0.0,
) -> Tensor:
    """Log-probabilities [..., choices], in nats, of "a is better", "b is better" and, with `log_tie`, a tie.

    Davidson's model: the three have odds exp(a) : exp(b) : exp(log_tie + (a + b) / 2), so a tie is
    likeliest between equals and ignored ties change nothing between the other two, which keep the
    odds of Bradley and Terry. Rewards are divided by the rater's `temperature`, and a, which was
    shown first, has `first_bias` more. With probability `lapse` the rater chooses blindly among all.
    Rewards are floating [...] in logits; all else is a number or broadcasts to [...]. Raises
    ShapeError if shapes do not fit, InputError unless 0 <= lapse < 1. Sources: Bradley and Terry
    (1952), doi:10.2307/2334029; Davidson (1970), doi:10.1080/01621459.1970.10481082; order effects:
    Davidson and Beaver (1977), doi:10.2307/2529467.
    """
    half = _margin(reward_a, reward_b, temperature, first_bias) / 2
    choices = [half, -half]
    if log_tie is not None:
        broadcasts(half.shape, log_tie=log_tie)
        choices.append(zeros_like(half) + log_tie)
    found = log_softmax(stack(choices, dim=-1), dim=-1)
    broadcasts(half.shape, lapse=lapse)
    return with_lapses(found, lapse.unsqueeze(-1) if isinstance(lapse, Tensor) else lapse, -log(len(choices)))


def log_prob(
    reward_a: Tensor,
    reward_b: Tensor,
    choice: Tensor,
    log_tie: Tensor | None = None,
    lapse: Tensor | float = 0.0,
    temperature: Tensor | float = 1.0,
    first_bias: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...] of each choice: FIRST, SECOND or TIE, integers of the rewards' shape.

    See `log_probs`. A tie needs `log_tie`: without it, InputError.
    """
    same_shape(reward_a=reward_a, choice=choice)
    _check_choices(choice, TIE if log_tie is not None else SECOND)
    if log_tie is not None:
        found = log_probs(reward_a, reward_b, log_tie, lapse, temperature, first_bias)
        return found.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
    margin = _margin(reward_a, reward_b, temperature, first_bias)
    return with_lapses(logsigmoid(where(choice == FIRST, margin, -margin)), lapse, -log(2))


def grade_bounds(gaps: Tensor, ties: bool) -> Tensor:
    """Return where each grade of strength begins, ascending [..., grades], from raw gaps.

    The margin at which a tie ends is the first bound: with `ties` the softplus of the first gap,
    without them 0, and then there is one gap fewer. The other bounds add the softplus of a gap each.
    """
    widths = softplus(gaps)
    if not ties:
        widths = cat([widths.new_zeros(*widths.shape[:-1], 1), widths], dim=-1)
    return cumsum(widths, dim=-1)


def graded_log_prob(
    reward_a: Tensor,
    reward_b: Tensor,
    choice: Tensor,
    grade: Tensor,
    bounds: Tensor,
    lapse: Tensor | float = 0.0,
    temperature: Tensor | float = 1.0,
    first_bias: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each choice and its strength: an ordinal paired comparison.

    The margin with logistic noise falls into one of 2 grades + 1 spans, alike on both sides of a tie
    in the middle: P(first better, of grade g or more) = sigmoid(margin - bounds_g). `choice` and
    `grade` are integer [...]; grade -1 stands where no strength was asked, and a tie that was one
    answer among grades has any other. `bounds`, [..., grades] from `grade_bounds`, have the rewards'
    shape in front or broadcast to it; with one bound of 0 this is Bradley and Terry's model. The rest
    is as in `log_probs`; a blind rater chooses among all spans, or among the choices where no strength
    was asked. Raises ShapeError if shapes do not fit, InputError for a choice or grade out of range or
    a tie where the first bound is 0. Source: Agresti (1992), doi:10.2307/2347562.
    """
    same_shape(reward_a=reward_a, choice=choice, grade=grade)
    margin = _margin(reward_a, reward_b, temperature, first_bias)
    broadcasts(margin.shape, bounds=bounds[..., 0])
    grades = bounds.shape[-1]
    _check_choices(choice, TIE)
    if grade.numel() and not -1 <= int(grade.min()) <= int(grade.max()) < grades:
        raise InputError(f"a grade lies between 0 and {grades - 1}, or is -1, got {int(grade.max())}")
    tie = choice == TIE
    if bool((tie & (bounds[..., 0] <= 0)).any()):
        raise InputError("a tie needs a first bound above 0")
    towards = where(choice == SECOND, -margin, margin)
    all_bounds = bounds.to(margin.dtype).expand(*margin.shape, grades)
    begins = all_bounds.gather(-1, grade.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    ends = all_bounds.gather(-1, (grade.clamp(min=0) + 1).clamp(max=grades - 1).unsqueeze(-1)).squeeze(-1)
    low = where(tie, -all_bounds[..., 0], begins) - towards
    high = where(tie, all_bounds[..., 0], ends) - towards
    found = log_between(low, high, torch.zeros_like(tie), ~tie & ((grade < 0) | (grade == grades - 1)))
    can_tie = (all_bounds[..., 0] > 0).to(margin.dtype)
    blind = -where(grade < 0, 2 + can_tie, 2 * grades + can_tie).log()
    return with_lapses(found, lapse, blind)


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of comparisons, with the grades of their strengths where the table has any."""
    rater, scales = rows.effects, rows.scales
    a, b, choice = rows.reward(0), rows.reward(1), rows.array(choices)
    if scales.grades:
        bounds = grade_bounds(scales.grade_gaps[:, : scales.steps], scales.ties).unsqueeze(1)
        grade = rows.shared(grades(rows.block, scales.grades))
        return graded_log_prob(a, b, choice, grade, bounds, rater.lapse, rater.temperature, rater.bias)
    log_tie = rows.own(scales.log_tie) if scales.ties else None
    return log_prob(a, b, choice, log_tie, rater.lapse, rater.temperature, rater.bias)


def choices(block: AnswerBlock) -> np.ndarray:
    """Return FIRST, SECOND or TIE, [rows]."""
    better = [answer.better for answer in only(Comparison, block.answers)]
    return np.array([TIE if each is None else each for each in better], dtype=np.int64)


def strengths(block: AnswerBlock) -> np.ndarray:
    """Return the strengths [rows], from 0 to 1, NaN where none was asked."""
    return np.array([answer.strength for answer in only(Comparison, block.answers)], dtype=np.float64)


def grades(block: AnswerBlock, count: int) -> np.ndarray:
    """Return which of `count` grades each strength has, [rows]: -1 where none was asked, 0 for a tie without."""
    strength, tie = block.array(strengths), block.array(choices) == TIE
    grade = np.minimum(np.nan_to_num(strength) * count, count - 1).astype(np.int64)
    return np.where(np.isnan(strength) & ~tie, -1, grade)


def _margin(reward_a: Tensor, reward_b: Tensor, temperature: Tensor | float, first_bias: Tensor | float) -> Tensor:
    same_shape(reward_a=reward_a, reward_b=reward_b)
    margin = at_least_float32(reward_a) - at_least_float32(reward_b)
    broadcasts(margin.shape, temperature=temperature, first_bias=first_bias)
    return divided(margin, temperature) + first_bias


def _check_choices(choice: Tensor, most: int) -> None:
    if choice.numel() and not 0 <= int(choice.min()) <= int(choice.max()) <= most:
        raise InputError(f"a choice lies between 0 and {most}, got {int(choice.max())}")
