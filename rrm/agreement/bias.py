"""Side bias: whether a rater favours what is shown first, where places are drawn at random."""

from typing import NamedTuple

from scipy.special import bdtr

from rrm.agreement.estimates import clopper_pearson
from rrm.core.errors import InputError


class SideBias(NamedTuple):
    """How often the output shown first was chosen in `decided` comparisons, and how probably by chance alone.

    `share` has the exact 95 % interval `low` to `high`, which leaves out one half just if p < 0.05.
    All four are None without a decided comparison.
    """

    first: int
    decided: int
    share: float | None
    low: float | None
    high: float | None
    p: float | None


def side_bias(first: int, decided: int) -> SideBias:
    """Return the side bias of `first` choices of the output shown first among `decided` comparisons.

    Ties and rejections choose no side and are left out by the caller. The p-value is that of the exact
    two-sided binomial test of one half, which is symmetric: twice the smaller tail, at most 1.
    """
    if not 0 <= first <= decided:
        raise InputError(f"choices of the first lie between 0 and the {decided} decided, got {first}")
    found = clopper_pearson(first, decided)
    p = min(1.0, 2 * float(bdtr(min(first, decided - first), decided, 0.5))) if decided else None
    return SideBias(first, decided, found.value, found.low, found.high, p)
