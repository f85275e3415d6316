"""When to stop optimising: the peak of quality forecast from the early part, as the judge of role select sees it.

With d = sqrt(KL), quality above the anchor's is taken to be d (alpha - beta d - gamma d^2). At gamma = 0 this is the
published law of best of n (`rrm.evaluate.overoptimisation`), whose two coefficients leave no room for a rise that is
almost straight before a steep fall: there its forecast peaks far too late. Gold is never asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.roles import Scorer, Select, for_choosing
from rrm.core.values import OVERALL, Group

EARLY = 6.0
"""Nats up to which what was seen is used for a forecast."""
FURTHEST = 12.0
"""Nats up to which a peak is looked for; beyond, it is said to be out of sight."""


@dataclass(frozen=True)
class Forecast:
    """The fitted curve, and the KL, in nats, at which it is greatest: 0 if it never rises, inf if out of sight."""

    alpha: float
    beta: float
    gamma: float
    peak: float

    def quality(self, kl: float) -> float:
        """Return the forecast quality above the anchor's at a KL in nats."""
        d = sqrt(max(kl, 0.0))
        return d * (self.alpha - self.beta * d - self.gamma * d * d)


class Stop(NamedTuple):
    """At which KL to stop, in nats, whether what was seen has passed the forecast peak, and the forecast."""

    kl: float
    passed: bool
    forecast: Forecast


def judged(scorer: Scorer[Select], groups: Sequence[Group]) -> float:
    """Return the mean acceptance of a policy's outputs by the judge of role select; RoleError for another role."""
    found = for_choosing(scorer).score(groups)
    return float(np.mean([said.acceptance[OVERALL].mean() for said in found]))


def forecast(kl: Sequence[float], quality: Sequence[float]) -> Forecast:
    """Fit the curve by least squares to quality above the anchor's, at KLs in nats up to `EARLY`; later ones are left.

    Raises InputError for fewer than four different KLs above 0 within `EARLY`, or values that are not finite.
    """
    kls, values = np.asarray(kl, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if kls.shape != values.shape or kls.ndim != 1 or not (np.isfinite(kls).all() and np.isfinite(values).all()):
        raise InputError("a forecast is made from as many finite qualities as there are finite KLs")
    early = (kls > 0) & (kls <= EARLY)
    if len(np.unique(kls[early])) < 4:
        raise InputError(
            f"a forecast needs quality at four or more KLs above 0 and up to {EARLY:g} nats, got "
            f"{len(np.unique(kls[early]))}"
        )
    d = np.sqrt(kls[early])
    coefficients, *_ = np.linalg.lstsq(np.stack([d, -(d**2), -(d**3)], axis=1), values[early], rcond=None)
    alpha, beta, gamma = map(float, coefficients)
    return Forecast(alpha, beta, gamma, _peak(alpha, beta, gamma))


def stop(kl: Sequence[float], quality: Sequence[float]) -> Stop:
    """Say where to stop from what role select said on the way: at the forecast peak, or as far as was seen.

    Where the peak is out of sight it stops nowhere before `FURTHEST`; ask again once more was seen.
    """
    found = forecast(kl, quality)
    return Stop(min(found.peak, FURTHEST), found.peak <= max(kl), found)


def _peak(alpha: float, beta: float, gamma: float) -> float:
    """Return the KL in [0, FURTHEST] where the curve is greatest; inf where that is its end."""
    roots = np.roots([-3 * gamma, -2 * beta, alpha])
    within = [float(root.real) for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < sqrt(FURTHEST)]
    ends = [0.0, *within, sqrt(FURTHEST)]
    best = max(ends, key=lambda d: d * (alpha - beta * d - gamma * d * d))
    return inf if best == ends[-1] else best**2
