"""Comparisons: how probable a rater's choice between two outputs is, given their rewards."""

from math import log, log1p

from torch import Tensor, logaddexp, stack, zeros_like
from torch.nn.functional import log_softmax

from rrm.core.errors import InputError, ShapeError
from rrm.feedback.shapes import at_least_float32, same_shape

FIRST, SECOND, TIE = 0, 1, 2


def log_probs(reward_a: Tensor, reward_b: Tensor, log_tie: Tensor | None = None, lapse: float = 0.0) -> Tensor:
    """Log-probabilities [..., choices], in nats, of "a is better", "b is better" and, with `log_tie`, a tie.

    Davidson's model: the three have odds exp(a) : exp(b) : exp(log_tie + (a + b) / 2), so a tie is
    likeliest between equals and ignored ties change nothing between the other two, which keep the
    odds of Bradley and Terry. With probability `lapse` the rater chooses blindly among all. Rewards
    are floating [...] in logits, `log_tie` floating of the same shape or a single number. Raises
    ShapeError if shapes differ, InputError unless 0 <= lapse < 1. Sources: Bradley and Terry
    (1952), doi:10.2307/2334029; Davidson (1970), doi:10.1080/01621459.1970.10481082; lapses:
    Christiano et al. (2017), arXiv:1706.03741, section 2.2.3.
    """
    same_shape(reward_a=reward_a, reward_b=reward_b)
    if not 0 <= lapse < 1:
        raise InputError(f"a lapse rate lies from 0 up to, not including, 1, got {lapse}")
    half = (at_least_float32(reward_a) - at_least_float32(reward_b)) / 2
    choices = [half, -half]
    if log_tie is not None:
        if log_tie.numel() != 1 and log_tie.shape != half.shape:
            raise ShapeError(f"log_tie is one number or shaped {tuple(half.shape)}, got {tuple(log_tie.shape)}")
        choices.append(zeros_like(half) + log_tie)
    found = log_softmax(stack(choices, dim=-1), dim=-1)
    if lapse == 0:
        return found
    return logaddexp(found + log1p(-lapse), found.new_tensor(log(lapse / len(choices))))


def log_prob(
    reward_a: Tensor, reward_b: Tensor, choice: Tensor, log_tie: Tensor | None = None, lapse: float = 0.0
) -> Tensor:
    """Log-probability [...] of each choice: FIRST, SECOND or TIE, integers of the rewards' shape.

    See `log_probs`. A tie needs `log_tie`: without it, InputError.
    """
    same_shape(reward_a=reward_a, choice=choice)
    found = log_probs(reward_a, reward_b, log_tie, lapse)
    if choice.numel() and not 0 <= int(choice.min()) <= int(choice.max()) < found.shape[-1]:
        raise InputError(f"a choice lies between 0 and {found.shape[-1] - 1}, got {int(choice.max())}")
    return found.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
