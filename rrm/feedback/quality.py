"""How good what people write is beside what stands there: logits of acceptance, learned from how it fared."""

from collections.abc import Iterable, Mapping
from math import sqrt

from rrm.core.asking import Quality
from rrm.core.values import Correction, Demonstration

PRIOR = {Demonstration.kind: Quality(0.0, 1.0), Correction.kind: Quality(0.0, 0.5)}
"""Beforehand people write no better than what is proposed, and their edits are no better than what they edit: texts are
as good in the mean, with a standard deviation of a logit, and of half a logit."""

_COUNTS = 4
"""As so many texts that fared so."""


def learned(kind: str, fared: Iterable[float]) -> Quality:
    """Return how good the next text of a kind is, from how many logits better than what it stands beside others were.

    A normal distribution of unknown mean and variance, whose prior counts as four texts: the mean that is expected, and
    the variance with what is not known of the mean.
    """
    before, better = PRIOR[kind], list(fared)
    count = _COUNTS + len(better)
    mean = (_COUNTS * before.mean + sum(better)) / count
    spread = _COUNTS * (before.sd**2 + (before.mean - mean) ** 2) + sum((each - mean) ** 2 for each in better)
    return Quality(mean, sqrt(spread / count * (1 + 1 / count) if better else before.sd**2), len(better))


def qualities(fared: Mapping[str, Iterable[float]]) -> dict[str, Quality]:
    """Return the quality of every kind of text, by the kind."""
    return {kind: learned(kind, fared.get(kind, ())) for kind in PRIOR}
