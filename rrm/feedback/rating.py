"""Ratings: how probable a point on an ordered scale is, given an output's reward."""

from torch import Tensor, cat, cumsum, full_like, inf
from torch.nn.functional import logsigmoid, softplus

from rrm.core.errors import InputError, ShapeError
from rrm.feedback.shapes import at_least_float32, same_shape


def thresholds(first: Tensor, gaps: Tensor) -> Tensor:
    """Return ascending thresholds [..., points - 1] from the first [...] and raw gaps [..., points - 2].

    Gaps may be any numbers; their softplus is added up, so the order holds whatever is fitted.
    """
    if gaps.shape[:-1] != first.shape:
        raise ShapeError(f"first threshold {tuple(first.shape)} does not fit gaps {tuple(gaps.shape)}")
    return cat([first.unsqueeze(-1), first.unsqueeze(-1) + cumsum(softplus(gaps), dim=-1)], dim=-1)


def log_prob(reward: Tensor, value: Tensor, thresholds: Tensor) -> Tensor:
    """Log-probability [...], in nats, of each rating: the proportional-odds model.

    P(rating <= j) = sigmoid(threshold_j - reward), so a better output shifts all its odds by as
    much. `reward` is floating [...] in logits, `value` integer [...] from 1 to points,
    `thresholds` ascending, [..., points - 1] with the rewards' shape in front, or [points - 1] for
    all. Raises ShapeError if shapes do not fit, InputError for a value off the scale. Source:
    McCullagh (1980), doi:10.1111/j.2517-6161.1980.tb01109.x.
    """
    same_shape(reward=reward, value=value)
    if thresholds.shape[:-1] not in ((), reward.shape):
        raise ShapeError(f"thresholds {tuple(thresholds.shape)} do not fit rewards {tuple(reward.shape)}")
    points = thresholds.shape[-1] + 1
    if value.numel() and not 1 <= int(value.min()) <= int(value.max()) <= points:
        raise InputError(f"a rating lies between 1 and {points}, got {int(value.min())} to {int(value.max())}")
    score = at_least_float32(reward).unsqueeze(-1)
    cuts = thresholds.to(score.dtype).expand(*reward.shape, points - 1) - score
    ends = full_like(score, inf)
    bounds = cat([-ends, cuts, ends], dim=-1)
    low = bounds.gather(-1, (value - 1).unsqueeze(-1)).squeeze(-1)
    high = bounds.gather(-1, value.unsqueeze(-1)).squeeze(-1)
    # sigmoid(high) - sigmoid(low) = sigmoid(high) sigmoid(-low) (1 - exp(low - high)), without cancelling
    middle = (low > -inf) & (high < inf)
    gap = (high - low).masked_fill(~middle, 1.0)
    between = (-(-gap).expm1()).log().masked_fill(~middle, 0.0)
    above = logsigmoid(high.masked_fill(high == inf, 0.0)).masked_fill(high == inf, 0.0)
    below = logsigmoid(-low.masked_fill(low == -inf, 0.0)).masked_fill(low == -inf, 0.0)
    return above + below + between
