"""Ratings: how probable a point on an ordered scale, or a quantity, is given an output's reward."""

from math import log, pi

import numpy as np
from torch import Tensor, as_tensor
from torch.nn.functional import pad

from rrm.core.errors import InputError
from rrm.core.values import Rating
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import LOGISTIC_SD, at_least_float32, broadcasts, divided, log_between, same_shape, with_lapses
from rrm.feedback.table import AnswerBlock, only


def log_prob(
    reward: Tensor,
    value: Tensor,
    thresholds: Tensor,
    temperature: Tensor | float = 1.0,
    severity: Tensor | float = 0.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each rating: the proportional-odds model.

    P(rating <= j) = sigmoid((threshold_j + severity - reward) / temperature), so a better output
    shifts all its odds by as much, and a severe rater's thresholds are higher. With probability
    `lapse` all points are equally probable. `reward` is floating [...] in logits, `value` integer
    [...] from 1 to points; `thresholds`, ascending, [..., points - 1], have the rewards' shape in
    front or broadcast to it, as all the rest does. Raises ShapeError if shapes do not fit, InputError
    for a value off the scale or unless 0 <= lapse < 1. Source: McCullagh (1980),
    doi:10.1111/j.2517-6161.1980.tb01109.x.
    """
    same_shape(reward=reward, value=value)
    score = at_least_float32(reward)
    broadcasts(score.shape, thresholds=thresholds[..., 0], temperature=temperature, severity=severity, lapse=lapse)
    points = thresholds.shape[-1] + 1
    if value.numel() and not 1 <= int(value.min()) <= int(value.max()) <= points:
        raise InputError(f"a rating lies between 1 and {points}, got {int(value.min())} to {int(value.max())}")
    bounds = pad(thresholds.to(score.dtype), (1, 1)).expand(*score.shape, points + 1)
    low = bounds.gather(-1, (value - 1).unsqueeze(-1)).squeeze(-1) + severity - score
    high = bounds.gather(-1, value.unsqueeze(-1)).squeeze(-1) + severity - score
    low, high = divided(low, temperature), divided(high, temperature)
    return with_lapses(log_between(low, high, value == 1, value == points), lapse, -log(points))


def log_density(
    reward: Tensor,
    value: Tensor,
    offset: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    noise: Tensor | float = LOGISTIC_SD,
    temperature: Tensor | float = 1.0,
    severity: Tensor | float = 0.0,
    lapse: Tensor | float = 0.0,
    width: float = 2.0,
) -> Tensor:
    """Log-density [...], in nats, of each rating that is a quantity: regression on the reward.

    value ~ Normal(offset + scale * (reward - severity), (scale * noise * temperature)^2): `noise` is in
    units of the reward, so that by default a logit of reward means as much as in the kinds with
    logistic noise. With probability `lapse` the value is uniform on a scale as wide as `width`, in the
    value's own units. `reward` and `value` are floating [...]; all else is a number or broadcasts to
    them; `scale` and `noise` are above 0. Raises ShapeError if shapes do not fit, InputError unless
    0 <= lapse < 1.
    """
    same_shape(reward=reward, value=value)
    score = at_least_float32(reward)
    rest = {"offset": offset, "scale": scale, "noise": noise}
    broadcasts(score.shape, **rest, temperature=temperature, severity=severity, lapse=lapse)
    spread = as_tensor(scale * noise * temperature, dtype=score.dtype, device=score.device)
    off = (value.to(score.dtype) - offset - scale * (score - severity)) / spread
    return with_lapses(-0.5 * off**2 - spread.log() - 0.5 * log(2 * pi), lapse, -log(width))


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of ratings on one scale: point by point, or as a quantity from -1 to 1."""
    rater, scale, reward = rows.effects, rows.scales.scales[rows.block.scale], rows.reward(0)
    value = rows.array(values)
    if scale.ordinal:
        cuts = rows.scales.thresholds(rows.block.scale).unsqueeze(1)
        return log_prob(reward, value.long(), cuts, rater.temperature, rater.severity, rater.lapse)
    half = (scale.points - 1) / 2
    offset, unit, noise = (rows.own(each) for each in rows.scales.quantity(rows.block.scale))
    value = ((value - 1 - half) / half).to(reward.dtype)
    return log_density(reward, value, offset, unit, noise, rater.temperature, rater.severity, rater.lapse, width=2.0)


def values(block: AnswerBlock) -> np.ndarray:
    """Return the values [rows], as floats."""
    return np.array([answer.value for answer in only(Rating, block.answers)], dtype=np.float64)
