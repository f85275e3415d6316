"""Labels: how probable it is that a rater accepts an output, given its reward."""

from math import log

import numpy as np
from torch import Tensor, where
from torch.nn.functional import logsigmoid

from rrm.core.values import Label
from rrm.feedback.rows import RewardedRows
from rrm.feedback.shapes import at_least_float32, broadcasts, divided, same_shape, with_lapses
from rrm.feedback.table import AnswerBlock, only


def log_prob(
    reward: Tensor,
    good: Tensor,
    temperature: Tensor | float = 1.0,
    severity: Tensor | float = 0.0,
    lapse: Tensor | float = 0.0,
) -> Tensor:
    """Log-probability [...], in nats, of each label: P(good) = sigmoid((reward - severity) / temperature).

    `reward` is floating [...], the logit of acceptance (an intercept is the caller's to add);
    `good` is boolean [...]; with probability `lapse` the label is a coin's; all else is a number or
    broadcasts to [...]. Raises ShapeError if the shapes do not fit, InputError unless 0 <= lapse < 1.
    The label is a choice between the output and a threshold: Jeon et al. (2020), arXiv:2002.04833.
    """
    same_shape(reward=reward, good=good)
    score = at_least_float32(reward)
    broadcasts(score.shape, temperature=temperature, severity=severity, lapse=lapse)
    logit = divided(score - severity, temperature)
    return with_lapses(logsigmoid(where(good, logit, -logit)), lapse, -log(2))


def of_rows(rows: RewardedRows) -> Tensor:
    """Log-likelihood [members, rows] of labels."""
    rater, logit = rows.effects, rows.reward(0) + rows.own(rows.scales.anchor())
    return log_prob(logit, rows.array(accepted), rater.temperature, rater.severity, rater.lapse)


def accepted(block: AnswerBlock) -> np.ndarray:
    """Return which outputs are good, boolean [rows]."""
    return np.array([answer.good for answer in only(Label, block.answers)], dtype=bool)
