"""How reliable raters are: what they agree on and what sets each apart, found from their answers alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.core.errors import InputError
from rrm.core.values import Rated
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.optimise import minimise
from rrm.feedback.scales import Rater, Scales
from rrm.feedback.table import FeedbackTable, tabulate


class Reliability(NamedTuple):
    """What raters agree on, and what sets each apart.

    `rewards` [items] of the table's items are in logits of a rater of temperature 1; `anchor` is what
    to add for the logit of acceptance; `log_likelihood` is that of all rows, in nats.
    """

    feedback: FeedbackTable
    rewards: np.ndarray
    anchor: float
    raters: list[Rater]
    log_likelihood: float


def fit_reliability(
    rated: Sequence[Rated] | FeedbackTable, reward_sd: float = 2.0, reliability: bool = True
) -> Reliability:
    """Find every item's reward and every rater's parameters at the mode of their joint posterior.

    No features: an item's reward is free, with the prior Normal(0, reward_sd^2), so every item needs
    judgements of its own, and more than a few: where three people labelled each once, the mode takes
    one of them for the truth. Without `reliability` all raters are alike, and comparisons are plain
    Bradley-Terry with that prior. The mode is found by L-BFGS, in float64; lapses make the posterior
    less than concave, so it starts at equal rewards and typical raters. Raises InputError without a
    usable row. Kin: Dawid and Skene (1979), doi:10.2307/2346806, for labels, and Chen et al. (2013),
    doi:10.1145/2433396.2433420, for comparisons; the temperature is that of Jeon et al. (2020),
    arXiv:2002.04833.
    """
    feedback = rated if isinstance(rated, FeedbackTable) else tabulate(rated)
    if not feedback.rows:
        raise InputError("there is no feedback to fit raters on")
    scales = Scales(feedback, reliability=reliability)
    rewards = torch.zeros(1, len(feedback.items), dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        fit = log_likelihood(rewards, feedback, scales).sum() + scales.log_prior().sum()
        return 0.5 * (rewards / reward_sd).pow(2).sum() - fit

    minimise(loss, [rewards, *scales.parameters()])
    with torch.no_grad():
        total = float(log_likelihood(rewards, feedback, scales).sum())
        # the fit has mean log-temperature 0 over rows, the report over raters: rewards go with it
        unit = float(scales.log_temperatures().mean().exp()) if scales.reliability else 1.0
        return Reliability(feedback, rewards[0].numpy() / unit, float(scales.anchor()) / unit, scales.raters(), total)
