"""The exact posterior over a finite set of hypotheses about rewards, given any mix of feedback."""

import torch
from torch import Tensor, log_softmax

from rrm.core.errors import ShapeError
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.scales import Scales
from rrm.feedback.shapes import at_least_float32, same_shape
from rrm.feedback.table import FeedbackTable


def log_posterior(
    hypotheses: Tensor,
    feedback: FeedbackTable,
    scales: Scales | None = None,
    log_prior: Tensor | None = None,
    beta: float = 1.0,
) -> Tensor:
    """Log-probabilities [hypotheses], in nats, of each hypothesis after all judgements.

    `hypotheses` are floating [hypotheses, items]: each says what the rewards of the table's items are.
    The kinds of feedback multiply (Jeon et al., 2020, arXiv:2002.04833), so this is Bayes' rule with the
    sum of all log-likelihoods. `scales` are as they stand, of one member, by default neutral; `log_prior`
    [hypotheses] need not be normalised, by default all are equally probable; `beta` multiplies the
    rewards: at 0 raters say nothing and the prior comes back. Raises ShapeError if shapes do not fit.
    """
    rewards = at_least_float32(hypotheses)
    neutral = Scales(feedback, reliability=False, dtype=rewards.dtype) if scales is None else scales
    prior = rewards.new_zeros(len(rewards)) if log_prior is None else log_prior
    if neutral.members != 1:
        raise ShapeError(f"a posterior needs scales of one member, got {neutral.members}")
    same_shape(log_prior=prior, hypotheses=rewards[:, 0])
    with torch.no_grad():
        total = log_likelihood(beta * rewards, feedback, neutral).sum(dim=1)
    return log_softmax(prior + total, dim=0)
