"""How much the answers to one item differ."""

from collections.abc import Sequence
from itertools import combinations

from rrm.core.kinds import difference
from rrm.core.values import Answer


def disagreement(answers: Sequence[Answer]) -> float:
    """Return the mean difference of two answers, from 0 (all alike, or fewer than two) to 1.

    Comparisons, labels and rejections differ (1) or do not; ratings by their distance on the scale;
    rankings by the share of pairs that they order differently. Texts do not count as different.
    """
    pairs = list(combinations(answers, 2))
    return sum(difference(one, other) for one, other in pairs) / len(pairs) if pairs else 0.0
