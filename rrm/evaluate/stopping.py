"""When to stop optimising: the peak of quality forecast from early outputs, as the judge of role select sees them.

Optimising changes how often each score of the proxy comes up, and, while outputs of one score stay as good as they
are, nothing else. So quality is fitted to the score, on outputs up to `EARLY` nats from the anchor, and the fit is
averaged under what further optimising makes of the anchor's own scores, of which many are cheap to have: nobody rates
them. Every output tells something, where a curve through a policy's means sees a number for each policy. Gold is never
asked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal, NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.roles import Scorer, Select, for_choosing
from rrm.core.values import OVERALL, Group

EARLY = 6.0
"""Nats up to which what was seen is used for a forecast."""
FURTHEST = 12.0
"""Nats up to which a peak is looked for, if `FEWEST` scores go so far; beyond, it is said to be out of sight."""
FEWEST = 10
"""Of N scores of the anchor a policy rests, in effect, on N exp(-KL). What rests on fewer than these is chance.

It hangs on which of its rarest outputs the anchor happened to write.
"""
FURTHEST_N = 1e6
"""The best of so many takes 12.8 nats."""
KNOTS = 6
"""Of the natural cubic spline of quality in the score, evenly spaced between the lowest and the highest seen."""

Way = Literal["tilt", "best of n"]
"""What optimising makes of the anchor: anchor exp(score / beta) / Z, the cheapest way to a mean score, or best of n."""


class Rated(NamedTuple):
    """Outputs of one policy: its KL from the anchor, in nats; their scores and what role select says, [outputs]."""

    kl: float
    scores: np.ndarray
    judged: np.ndarray


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quality above the anchor's, forecast at rising KLs, in nats, both float64 [points]; the anchor comes first."""

    kls: np.ndarray
    gains: np.ndarray

    @property
    def peak(self) -> float:
        """The KL, in nats, at which quality is greatest: 0 if it never rises, inf if out of sight."""
        best = int(self.gains.argmax())
        return inf if best == len(self.gains) - 1 else float(self.kls[best])

    def quality(self, kl: float) -> float:
        """Return the forecast quality above the anchor's at a KL in nats."""
        return float(np.interp(kl, self.kls, self.gains))


class Stop(NamedTuple):
    """At which KL to stop, in nats, whether what was seen has passed the forecast peak, and the forecast."""

    kl: float
    passed: bool
    forecast: Forecast


def judged(scorer: Scorer[Select], groups: Sequence[Group]) -> list[np.ndarray]:
    """Return the acceptance of each group's outputs by the judge of role select; RoleError for another role."""
    return [said.acceptance[OVERALL].mean(axis=0) for said in for_choosing(scorer).score(groups)]


def forecast(anchor: np.ndarray, rated: Sequence[Rated], way: Way = "tilt") -> Forecast:
    """Forecast quality from the anchor's scores, [scores], and from outputs of policies within `EARLY` nats.

    A policy that is neither an exact tilt nor best of n spends more than the tilt of its mean score does: how many
    times more is learned from the policies that were seen, and the KLs are those of the policy. Raises InputError
    for fewer than two different KLs within `EARLY`, values that are not finite, and scores that do not differ or that
    did not rise.
    """
    early = [each for each in rated if each.kl <= EARLY]
    if len({each.kl for each in early}) < 2:
        raise InputError(
            f"a forecast needs rated outputs at two or more KLs up to {EARLY:g} nats, got {len({e.kl for e in early})}"
        )
    scores, quality = (np.concatenate([each[at] for each in early]).astype(np.float64) for at in (1, 2))
    if not (np.isfinite(anchor).all() and np.isfinite(scores).all() and np.isfinite(quality).all()):
        raise InputError("a forecast is made from finite scores and finite ratings")
    base = _Base.of(np.asarray(anchor, dtype=np.float64))
    gain = _spline(base.rarity_of(scores), quality)(base.rarity)
    curve = list(base.tilts() if way == "tilt" else base.bests())
    kls, gains, means = (np.array([0.0, *found]) for found in zip(*(base.point(q, gain) for q in curve), strict=True))
    within = kls <= max(0.0, min(FURTHEST, log(len(anchor) / FEWEST)))
    price = _price(early, base, kls, means) if way == "tilt" else 1.0
    return Forecast(kls[within] * price, gains[within])


def stop(anchor: np.ndarray, rated: Sequence[Rated], way: Way = "tilt") -> Stop:
    """Say where to stop by what role select said on the way: at the forecast peak, or as far as can be seen.

    Raises InputError as `forecast` does.
    """
    found = forecast(anchor, rated, way)
    return Stop(min(found.peak, float(found.kls[-1])), found.peak <= max(each.kl for each in rated), found)


def _price(rated: Sequence[Rated], base: "_Base", kls: np.ndarray, means: np.ndarray) -> float:
    """Return how many times the KL of the tilt of the same mean score policies spend, by least squares."""
    spent = np.array([each.kl for each in rated])
    least = np.array([np.interp(base.standard(each.scores).mean(), means, kls) for each in rated])
    if not least @ spent > 0:
        raise InputError("a forecast needs policies whose scores are above the anchor's: these spent nats for nothing")
    return float(spent @ least / (least @ least))


class _Base(NamedTuple):
    """The anchor's distribution over different scores, [scores]: standardised values, their shares, and their rarity.

    The rarity is -log of the share of scores above, an equal half of their own with them. Best of n moves it by log n.
    """

    mean: float
    deviation: float
    values: np.ndarray
    shares: np.ndarray
    rarity: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> "_Base":
        mean, deviation = float(scores.mean()), float(scores.std())
        values, counts = np.unique(scores, return_counts=True)
        if len(values) < 2:
            raise InputError("a forecast needs scores of the anchor that differ: these are all the same")
        shares = counts / counts.sum()
        return cls(mean, deviation, (values - mean) / deviation, shares, -np.log1p(shares / 2 - shares.cumsum()))

    def standard(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray((scores - self.mean) / self.deviation)

    def rarity_of(self, scores: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(self.standard(scores), self.values, self.rarity))

    def tilts(self) -> Iterator[np.ndarray]:
        for strength in np.geomspace(0.02, 200, 200):
            weights = self.shares * np.exp(strength * (self.values - self.values[-1]))
            yield weights / weights.sum()

    def bests(self) -> Iterator[np.ndarray]:
        below = self.shares.cumsum().clip(max=1.0)
        for n in np.geomspace(1.1, FURTHEST_N, 200):
            yield np.diff(below**n, prepend=0.0)

    def point(self, probs: np.ndarray, gain: np.ndarray) -> tuple[float, float, float]:
        """Return the KL of a distribution over the scores, its gain above the anchor, and its mean score."""
        there = probs > 0
        kl = probs[there] @ np.log(probs[there] / self.shares[there])
        return float(kl), float((probs - self.shares) @ gain), float(probs @ self.values)


def _spline(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a natural cubic spline without its constant, by ridge; noise and prior by evidence (MacKay 1992).

    Beyond the outermost knots it goes on straight. The basis is that of Hastie, Tibshirani and Friedman (2009), The
    elements of statistical learning, 5.2.1, each column standardised.
    """
    knots = np.linspace(x.min(), x.max(), KNOTS) if x.max() > x.min() else np.array([x.min(), x.min() + 1.0])

    def basis(at: np.ndarray) -> np.ndarray:
        cubes = [np.maximum(at - knot, 0.0) ** 3 for knot in knots]
        bends = [(cube - cubes[-1]) / (knots[-1] - knot) for cube, knot in zip(cubes[:-1], knots[:-1], strict=True)]
        return np.stack([at, *(bend - bends[-1] for bend in bends[:-1])], axis=1)

    columns = basis(x)
    scale = columns.std(axis=0).clip(min=1e-12)
    design, centred = (columns - columns.mean(axis=0)) / scale, y - y.mean()
    values, vectors = np.linalg.eigh(design.T @ design)
    projected, values = vectors.T @ (design.T @ centred), values.clip(min=0.0)
    noise, prior = max(float(centred.var()), 1e-12), 1.0
    for _ in range(60):
        precision = values / noise + 1 / prior
        mean = projected / noise / precision
        prior = max(float(mean @ mean + (1 / precision).sum()) / len(values), 1e-12)
        left = float(centred @ centred - 2 * mean @ projected + values * mean @ mean)
        noise = max(left / (len(y) - float((values / noise / precision).sum())), 1e-12)
    coefficients = vectors @ mean / scale
    return lambda at: np.asarray(basis(at) @ coefficients)
