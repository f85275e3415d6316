"""Laws of over-optimisation: how gold rises and falls as a policy moves away from its anchor, and where it peaks.

With d = sqrt(KL(policy || anchor)), in nats, and gold measured from the anchor's: best of n has R = d (alpha - beta d),
RL has R = d (alpha - beta ln d). Gao, Schulman and Hilton (2022), Scaling laws for reward model overoptimization,
arXiv:2210.10760. Both are linear in alpha and beta, so least squares are exact. The form of RL is not valid near d = 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Literal

import numpy as np
from scipy.stats import t as student

from rrm.core.errors import InputError
from rrm.core.report import Interval

Form = Literal["best_of_n", "rl"]

FORMS: Mapping[Form, Callable[[np.ndarray], np.ndarray]] = {"best_of_n": lambda d: d * d, "rl": lambda d: d * np.log(d)}
"""What beta is subtracted times, as a function of d; alpha always multiplies d."""


@dataclass(frozen=True)
class Law:
    """A fitted law: its coefficients with 95 % intervals, and Bayes' information criterion (less is better)."""

    form: Form
    alpha: float
    beta: float
    alpha_interval: Interval
    beta_interval: Interval
    bic: float

    def gold(self, kl: float) -> float:
        """Return the gold that the law says, above the anchor's, at a KL in nats."""
        if kl <= 0:
            return 0.0
        d = sqrt(kl)
        return float(self.alpha * d - self.beta * FORMS[self.form](np.array(d)))

    @property
    def peak(self) -> float:
        """The KL, in nats, at which gold is greatest; inf where it never falls, 0 where it never rises."""
        if self.alpha <= 0 and self.form == "best_of_n":
            return 0.0
        if self.beta <= 0:
            return inf
        return (
            (self.alpha / (2 * self.beta)) ** 2 if self.form == "best_of_n" else exp(2 * (self.alpha / self.beta - 1))
        )


def fit_law(kl: Sequence[float], gold: Sequence[float], form: Form) -> Law:
    """Fit a law by least squares to gold above the anchor's at KLs above 0, in nats.

    Raises InputError for fewer than three points, or points of a single KL.
    """
    with np.errstate(invalid="ignore"):  # what is below 0 is refused below
        d, gains = np.sqrt(np.asarray(kl, dtype=np.float64)), np.asarray(gold, dtype=np.float64)
    if d.shape != gains.shape or d.ndim != 1 or len(np.unique(d)) < 3:
        raise InputError(f"a law needs three points or more at different KLs, got {len(np.unique(d))}")
    if not (d > 0).all() or not np.isfinite(d).all() or not np.isfinite(gains).all():
        raise InputError("a law is fitted to finite gold at finite KLs above 0")
    design = np.stack([d, -FORMS[form](d)], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, gains, rcond=None)
    residual = gains - design @ coefficients
    free = max(len(d) - 2, 1)
    variance = float(residual @ residual) / free
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance) * float(student.ppf(0.975, free))
    bic = len(d) * log(max(float(residual @ residual) / len(d), 1e-300)) + 2 * log(len(d))
    (alpha, beta), (wide, high) = coefficients.tolist(), errors.tolist()
    return Law(form, alpha, beta, Interval(alpha - wide, alpha + wide), Interval(beta - high, beta + high), bic)


def choose_law(kl: Sequence[float], gold: Sequence[float]) -> Law:
    """Return the law of the form that Bayes' information criterion prefers."""
    return min((fit_law(kl, gold, form) for form in FORMS), key=lambda law: law.bic)
