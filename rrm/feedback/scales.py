"""All that the likelihood needs beside the rewards, as parameters that are fitted with them.

Where zero is, how likely ties are, where the points of a rating scale lie, and each rater's temperature,
leanings and lapses.
"""

from math import exp, log
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, cat, cumsum, nn
from torch.nn.functional import softplus

from rrm.core.asking import LAPSE_SD, USUAL_LAPSE
from rrm.core.errors import ShapeError
from rrm.feedback.shapes import LOGISTIC_SD
from rrm.feedback.table import FeedbackTable

PRECISION = 0.1
"""Of the weak prior on intercepts, thresholds and the odds of a tie, which keeps them finite."""

TEMPERATURE_SD, BIAS_SD, SEVERITY_SD = 0.3, 0.15, 0.5
"""Prior standard deviations over raters: of the log temperature, and of bias and severity in logits. A rater with few
rows stays near temperature 1 and no bias. Chosen, as those of lapses were, on a held-out tenth of 50,000 votes by
3,658 people about arguments."""

TAIL = 4.0
"""Degrees of freedom of Student's t, the prior of all these: most raters are alike, and some are not at all."""

MOST_LAPSE, MOST_TEMPERATURE = 0.99, log(10)
"""The last bounds the log temperature: a rater with many rows, whose answers happen to fit an order of
nearly equal rewards, would else be taken as infinitely sharp."""

UNIT_SCALE, NOISE_SD = 0.25, 0.5
"""Where ratings are quantities: half the width of the scale spans some four logits of reward, and the logarithm
of the noise differs by so much from that of a logit's."""


class Rater(NamedTuple):
    """What was found of a rater, averaged over members, from so many `rows`.

    `temperature` is relative to the geometric mean of all raters'; `bias` is in logits, towards what is
    shown first; `lapse` is the probability of a blind answer; `severity`, in logits, is how much
    higher the rater's thresholds for labels and ratings are.
    """

    name: str
    temperature: float
    bias: float
    lapse: float
    rows: int
    severity: float

    @property
    def sensitivity(self) -> float:
        """How far a small difference of rewards moves the rater's choice, where a neutral rater has 1.

        The slope of P(first) at equal rewards, so one who always picks the first has little of it,
        as has one who answers blindly.
        """
        first = 1 / (1 + exp(-self.bias))
        return (1 - self.lapse) * 4 * first * (1 - first) / self.temperature


class RaterParameters(NamedTuple):
    """What sets raters apart as it is fitted, [members, raters] each: every number around 0, in prior deviations."""

    temperature: Tensor
    bias: Tensor
    severity: Tensor
    lapse: Tensor

    def take(self, members: np.ndarray) -> "RaterParameters":
        """Return those of some members, in this order."""
        return RaterParameters(*(each[torch.from_numpy(members)] for each in self))


class Effects(NamedTuple):
    """What raters do to rows: each a number, or [members, rows]; lapses include what confidence lacks."""

    temperature: Tensor | float = 1.0
    bias: Tensor | float = 0.0
    severity: Tensor | float = 0.0
    lapse: Tensor | float = 0.0


class Scales(nn.Module):
    """Every parameter of the likelihood but the rewards, one set for each member of an ensemble.

    Made for a table, and usable with any rows taken from it. With a single rater, or without
    `reliability`, raters are neutral: temperature 1, no bias, no lapses. `anchor_prior` [members] is
    where the prior on the labels' intercept is centred, by default 0, and `anchor_sd` how far it lies from there
    beforehand, in logits; by default that is left wide open. With one member the same
    parameters serve rewards of any number of members.
    """

    def __init__(
        self,
        feedback: FeedbackTable,
        members: int = 1,
        reliability: bool = True,
        dtype: torch.dtype = torch.float64,
        anchor_prior: np.ndarray | None = None,
        anchor_sd: float | None = None,
    ) -> None:
        super().__init__()
        raters = len(feedback.raters)
        self.members, self.reliability = members, reliability and raters > 1
        self.names = feedback.raters
        self.rows_of = np.bincount(feedback.row_rater, minlength=raters)
        self.ties, self.grades, self.scales = feedback.ties, feedback.grades, feedback.scales
        rated = {block.scale: len(block.row) for block in feedback.blocks if block.kind == "rating"}
        counts = [rated.get(scale, 0) for scale in range(len(self.scales))]
        labelled = any(block.kind == "label" for block in feedback.blocks)
        self.main_scale = None if labelled or not counts else int(np.argmax(counts))
        # a quantity alone has no unit: then its noise is that of one logit of reward
        quantities = sum(count for count, scale in zip(counts, self.scales, strict=True) if not scale.ordinal)
        self.own_noise = feedback.rows > quantities

        def parameter(*shape: int, value: float = 0.0) -> nn.Parameter:
            return nn.Parameter(torch.full((members, *shape), value, dtype=dtype))

        centre = (
            torch.zeros(members, dtype=dtype) if anchor_prior is None else torch.as_tensor(anchor_prior, dtype=dtype)
        )
        self.anchor_prior: Tensor
        self.row_share: Tensor
        self.register_buffer("anchor_prior", centre)
        self.register_buffer("row_share", torch.as_tensor(self.rows_of / max(feedback.rows, 1), dtype=dtype))
        self.anchor_unit = 1.0 if anchor_sd is None else anchor_sd * PRECISION**0.5
        self.shift = parameter()
        self.claim_shift = parameter()
        self.log_tie = parameter(value=-1.0)
        self.steps = max(self.grades - (not self.ties), 0)
        self.grade_gaps = parameter(max(self.steps, 1))  # never empty: sharded training cannot gather what is
        self.firsts = nn.ParameterList(parameter(value=-1.0 if scale.ordinal else 0.0) for scale in self.scales)
        self.gaps = nn.ParameterList(
            parameter(max(scale.points - 2, 1) if scale.ordinal else 2) for scale in self.scales
        )
        if self.reliability:
            self.raw_temperature, self.raw_bias = parameter(raters), parameter(raters)
            self.raw_severity, self.raw_lapse = parameter(raters), parameter(raters)

    def log_prior(self) -> Tensor:
        """Log-density [members], without constants, of the priors on all parameters."""
        weak = [self.shift, self.claim_shift, self.log_tie, self.grade_gaps, *self.firsts, *self.gaps]
        total = -0.5 * PRECISION * sum(_squares(each) for each in weak)
        if self.reliability:
            raters = (self.raw_temperature, self.raw_bias, self.raw_severity, self.raw_lapse)
            total = total - 0.5 * (TAIL + 1) * sum(_tails(each) for each in raters)
        return torch.as_tensor(total)

    def anchor(self) -> Tensor:
        """Return what is added to a reward to give the logit of acceptance, [members].

        The labels' intercept, or without labels the middle of the scale with the most ratings.
        """
        if self.main_scale is None:
            return self.anchor_prior + self.anchor_unit * self.shift
        scale = self.scales[self.main_scale]
        if not scale.ordinal:
            offset, unit, _ = self.quantity(self.main_scale)
            return offset / unit
        cuts = self.thresholds(self.main_scale)
        return -(cuts[:, (scale.points - 2) // 2] + cuts[:, (scale.points - 1) // 2]) / 2

    def claims(self) -> Tensor:
        """Return what is added to a claim's reward to give the logit of its getting no mark, [members]."""
        return self.claim_shift

    def thresholds(self, scale: int) -> Tensor:
        """Return the thresholds [members, points - 1] of an ordinal scale."""
        return thresholds(self.firsts[scale], self.gaps[scale][:, : self.scales[scale].points - 2])

    def quantity(self, scale: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return offset, scale and noise, [members] each, of a scale that is a quantity.

        For values from -1 to 1, the ends of the scale; the noise is in logits of reward.
        """
        unit, noise = self.gaps[scale].unbind(dim=-1)
        spread = NOISE_SD * PRECISION**0.5 if self.own_noise else 0.0
        return self.firsts[scale], UNIT_SCALE * unit.exp(), LOGISTIC_SD * (spread * noise).exp()

    def log_temperatures(self) -> Tensor:
        """Return the logarithms of the raters' temperatures, [members, raters], of mean 0 over all rows.

        Over rows and not over raters, lest a prior that wants small rewards make sharp raters of those
        who said much, and blunt ones of those who said too little to object.
        """
        raw = MOST_TEMPERATURE * torch.tanh(TEMPERATURE_SD / MOST_TEMPERATURE * self.raw_temperature)
        return raw - raw @ self.row_share.unsqueeze(-1)

    def lapses(self) -> Tensor:
        """Return the raters' lapse rates, [members, raters]."""
        return MOST_LAPSE * torch.sigmoid(log(USUAL_LAPSE / (1 - USUAL_LAPSE)) + LAPSE_SD * self.raw_lapse)

    def raters(self) -> list[Rater]:
        """Return what was found of each rater, averaged over members (temperatures geometrically)."""
        if not self.reliability:
            return [Rater(name, 1.0, 0.0, 0.0, int(n), 0.0) for name, n in zip(self.names, self.rows_of, strict=True)]
        with torch.no_grad():
            log_temperature = self.log_temperatures().mean(dim=0)
            found = [
                (log_temperature - log_temperature.mean()).exp(),
                BIAS_SD * self.raw_bias.mean(dim=0),
                self.lapses().mean(dim=0),
                torch.as_tensor(self.rows_of),
                SEVERITY_SD * self.raw_severity.mean(dim=0),
            ]
        return [
            Rater(name, *values) for name, *values in zip(self.names, *(each.tolist() for each in found), strict=True)
        ]

    @property
    def rater_parameters(self) -> RaterParameters:
        """Where raters are now, as numbers of their own."""
        own = (self.raw_temperature, self.raw_bias, self.raw_severity, self.raw_lapse)
        return RaterParameters(*(each.detach().clone() for each in own))

    def hold(self, raters: RaterParameters) -> None:
        """Put raters where they are known to be; no fit moves them from there."""
        own = (self.raw_temperature, self.raw_bias, self.raw_severity, self.raw_lapse)
        for parameter, known in zip(own, raters, strict=True):
            parameter.requires_grad_(False).copy_(known)

    def effects(self, rater: Tensor, confidence: Tensor) -> Effects:
        """Return what raters [rows] do to rows of this confidence [rows], in the confidence's type."""
        sure = bool((confidence == 1).all())
        if not self.reliability:
            return Effects(lapse=0.0 if sure else 1 - confidence)

        def per_row(values: Tensor) -> Tensor:
            return values.index_select(1, rater).to(confidence.dtype)

        return Effects(
            per_row(self.log_temperatures().exp()),
            per_row(BIAS_SD * self.raw_bias),
            per_row(SEVERITY_SD * self.raw_severity),
            1 - confidence * (1 - per_row(self.lapses())),
        )


def thresholds(first: Tensor, gaps: Tensor) -> Tensor:
    """Return ascending thresholds [..., points - 1] from the first [...] and raw gaps [..., points - 2].

    Gaps may be any numbers; their softplus is added up, so the order holds whatever is fitted.
    """
    if gaps.shape[:-1] != first.shape:
        raise ShapeError(f"first threshold {tuple(first.shape)} does not fit gaps {tuple(gaps.shape)}")
    return cat([first.unsqueeze(-1), first.unsqueeze(-1) + cumsum(softplus(gaps), dim=-1)], dim=-1)


def _tails(values: Tensor) -> Tensor:
    """Return the sum [members] of log(1 + x^2 / TAIL) over each member's numbers."""
    return torch.log1p(values**2 / TAIL).sum(dim=-1)


def _squares(values: Tensor) -> Tensor:
    """Return the sum of squares of each member's numbers, [members]."""
    return (values**2).reshape(len(values), -1).sum(dim=-1)
