"""What is reported of agreement: a figure with its interval, or why there is none, in words."""

from dataclasses import dataclass
from math import sqrt

from scipy.special import betaincinv, ndtri

NO_PAIRS = "undefined: fewer than two raters on every item"
NO_VARIATION = "undefined: no variation, everybody gave the same answer"
ONE_CLUSTER = "no interval: all items come from one source"


@dataclass(frozen=True)
class Estimate:
    """A measure of agreement with its 95 % interval, over `units` (items with two answers or more) and their `raters`.

    `value` is None where the measure is undefined, and `low` and `high` are where no interval can be
    given; `why` then says so in words, and is empty otherwise. Never NaN.
    """

    value: float | None
    low: float | None
    high: float | None
    units: int
    raters: int
    why: str = ""


def undefined(why: str, units: int = 0, raters: int = 0) -> Estimate:
    """Return an estimate that says why it has no value."""
    return Estimate(None, None, None, units, raters, why)


@dataclass(frozen=True)
class Share:
    """So many of `total`, with the share and its 95 % interval; all three None of nothing."""

    count: int
    total: int
    value: float | None
    low: float | None
    high: float | None


def wilson(count: int, total: int, mass: float = 0.95) -> Share:
    """Return a share with Wilson's interval, whose coverage is near `mass` on average, small totals included.

    Wilson (1927), doi:10.1080/01621459.1927.10502953; recommended by Brown, Cai and DasGupta (2001),
    doi:10.1214/ss/1009213286.
    """
    if not total:
        return Share(0, 0, None, None, None)
    z = float(ndtri((1 + mass) / 2))
    share = count / total
    middle = share + z * z / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # at the ends the interval touches the share itself, but for rounding
    low = 0.0 if count == 0 else (middle - half) / scale
    high = 1.0 if count == total else (middle + half) / scale
    return Share(count, total, share, low, high)


def clopper_pearson(count: int, total: int, mass: float = 0.95) -> Share:
    """Return a share with the exact interval: the shares that a two-sided test at 1 - `mass` does not refuse.

    Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404.
    """
    if not total:
        return Share(0, 0, None, None, None)
    tail = (1 - mass) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return Share(count, total, count / total, low, high)


JEFFREYS = 0.5
"""So many of either, before anything is counted."""


def jeffreys(count: float, total: float, mass: float = 0.95) -> tuple[float, float]:
    """Return the central interval of a share that holds `mass` of what is believed of it, of nothing too.

    That is a beta distribution, by Jeffreys' prior of (1/2, 1/2): Brown, Cai and DasGupta (2001),
    doi:10.1214/ss/1009213286.
    """
    tail = (1 - mass) / 2
    low, high = (float(betaincinv(count + JEFFREYS, total - count + JEFFREYS, at)) for at in (tail, 1 - tail))
    return low, high
