"""What the likelihoods of all kinds share: checks of shapes, lapses, and the span of a logistic between two bounds."""

from math import log, log1p, pi, sqrt

import torch
from torch import Tensor, float32, logaddexp, promote_types
from torch.nn.functional import logsigmoid

from rrm.core.errors import InputError, ShapeError

LOGISTIC_SD = pi / sqrt(3)
"""The standard deviation of a standard logistic variable: the noise that one logit is measured in."""


def same_shape(**tensors: Tensor) -> None:
    """Raise ShapeError, naming the tensors, unless all have one shape."""
    if len({tuple(tensor.shape) for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ShapeError(f"shapes differ: {shapes}")


def broadcasts(shape: torch.Size, **values: Tensor | float) -> None:
    """Raise ShapeError, naming the value, unless each is a number or broadcasts to this shape."""
    for name, value in values.items():
        if isinstance(value, Tensor) and value.dim():
            pairs = zip(reversed(value.shape), reversed(shape), strict=False)
            if value.dim() > len(shape) or any(own not in (1, wanted) for own, wanted in pairs):
                raise ShapeError(f"{name} is one number or fits {tuple(shape)}, got {tuple(value.shape)}")


def at_least_float32(rewards: Tensor) -> Tensor:
    """Return the rewards in their own floating type, or in float32 if that is a lesser one."""
    if not rewards.is_floating_point():
        raise ShapeError(f"rewards are floating numbers, got {rewards.dtype}")
    return rewards.to(promote_types(rewards.dtype, float32))


def divided(logits: Tensor, temperature: Tensor | float) -> Tensor:
    """Return logits at a rater's temperature; 1.0 changes nothing and costs nothing."""
    return logits if isinstance(temperature, float) and temperature == 1.0 else logits / temperature


def with_lapses(log_prob: Tensor, lapse: Tensor | float, log_blind: Tensor | float) -> Tensor:
    """Return the log-probability of an answer that is drawn blindly with probability `lapse`.

    `log_blind` is the logarithm of a blind answer's probability; both broadcast to `log_prob`. A lapse
    rate is a number, or a tensor for as many raters or rows, from 0 up to, not including, 1: else
    InputError. Source: Christiano et al. (2017), arXiv:1706.03741, section 2.2.3.
    """
    if isinstance(lapse, Tensor):
        broadcasts(log_prob.shape, lapse=lapse)
        if lapse.numel() and not bool(((lapse >= 0) & (lapse < 1)).all()):
            raise InputError("a lapse rate lies from 0 up to, not including, 1")
        return logaddexp(log_prob + torch.log1p(-lapse), lapse.log() + log_blind)
    if not 0 <= lapse < 1:
        raise InputError(f"a lapse rate lies from 0 up to, not including, 1, got {lapse}")
    if lapse == 0:
        return log_prob
    return logaddexp(log_prob + log1p(-lapse), torch.as_tensor(log_blind + log(lapse), dtype=log_prob.dtype))


def log_between(low: Tensor, high: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Log-probability [...] that a standard logistic variable falls between `low` and `high`.

    Where `below` or `above`, boolean [...], is True the span is open at that end and the bound is not
    read, though it must be finite. sigmoid(high) - sigmoid(low) is written as
    sigmoid(high) sigmoid(-low) (1 - exp(low - high)), so nothing cancels far out.
    """
    middle = ~(below | above)
    between = (-(low - high).masked_fill(~middle, -1.0).expm1()).log().masked_fill(~middle, 0.0)
    under = logsigmoid(high).masked_fill(above, 0.0)
    over = logsigmoid(-low).masked_fill(below, 0.0)
    return under + over + between
