"""Reward-rational choice: how probable one choice among any set is, given the rewards of what the choices mean.

The other kinds of feedback are this one, with choices and meanings of their own.
"""

from math import log

from torch import Tensor, finfo
from torch.nn.functional import log_softmax

from rrm.core.errors import InputError, ShapeError
from rrm.feedback.shapes import at_least_float32, broadcasts, divided, same_shape, with_lapses


def log_probs(
    rewards: Tensor,
    grounding: Tensor | None = None,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probabilities [..., choices], in nats, of all choices of a set.

    A choice c is as good as what it means: log P(c) is the log-softmax over the set of the mean
    reward E[r(x)], x ~ grounding(c), over the `temperature` (which is 1 / beta of the source).
    `rewards` are floating [..., n] in logits. `grounding` is [choices, n] or [..., choices, n]; its
    rows are distributions over the n; without one each choice means the output of its place.
    `present` is boolean [..., choices], False where a set has fewer choices: these get the lowest
    number of the type. `temperature` and `lapse` broadcast to [...]; with probability `lapse` the
    choice is blind. Raises ShapeError if shapes do not fit, InputError for rows of a grounding that
    are no distributions or a lapse out of range. Source: Jeon, Milli and Dragan (2020), arXiv:2002.04833.
    """
    scores = at_least_float32(rewards)
    means = scores if grounding is None else _grounded(scores, grounding.to(scores.dtype))
    broadcasts(means.shape[:-1], temperature=temperature, lapse=lapse)
    means = divided(means, _per_set(temperature))
    if present is None:
        return with_lapses(log_softmax(means, dim=-1), _per_set(lapse), -log(means.shape[-1]))
    same_shape(choices=means, present=present)
    if means.numel() and not bool(present.any(dim=-1).all()):
        raise InputError("every set needs a choice that is present")
    lowest = finfo(means.dtype).min
    found = log_softmax(means.masked_fill(~present, lowest), dim=-1)
    blind = -present.sum(dim=-1, keepdim=True).to(means.dtype).log()
    return with_lapses(found, _per_set(lapse), blind).masked_fill(~present, lowest)


def log_prob(
    rewards: Tensor,
    chosen: Tensor,
    grounding: Tensor | None = None,
    present: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each choice: `chosen` is integer [...], a place in its set.

    See `log_probs`. Raises InputError for a choice that is not in the set.
    """
    found = log_probs(rewards, grounding, present, temperature, lapse)
    if chosen.shape != found.shape[:-1]:
        raise ShapeError(f"choices {tuple(chosen.shape)} do not fit sets of {tuple(found.shape[:-1])}")
    if chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < found.shape[-1]:
        raise InputError(f"a choice lies between 0 and {found.shape[-1] - 1}, got {int(chosen.max())}")
    place = chosen.unsqueeze(-1)
    if present is not None and not bool(present.gather(-1, place).all()):
        raise InputError("a choice is one that is absent")
    return found.gather(-1, place).squeeze(-1)


def _grounded(scores: Tensor, grounding: Tensor) -> Tensor:
    if grounding.dim() < 2 or grounding.shape[-1] != scores.shape[-1]:
        raise ShapeError(f"a grounding {tuple(grounding.shape)} does not fit rewards {tuple(scores.shape)}")
    broadcasts(scores.shape[:-1], grounding=grounding[..., 0, 0])
    if grounding.numel() and not (
        bool((grounding >= 0).all()) and bool(((grounding.sum(dim=-1) - 1).abs() < 1e-5).all())
    ):
        raise InputError("the rows of a grounding are distributions: none below 0, each adding up to 1")
    return (grounding @ scores.unsqueeze(-1)).squeeze(-1)


def _per_set(value: Tensor | float) -> Tensor | float:
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value
