"""How much the answers to one item differ."""

from collections.abc import Sequence
from itertools import combinations

from rrm.core.values import Answer, Comparison, Label, Ranking, Rating


def disagreement(answers: Sequence[Answer]) -> float:
    """Return the mean difference of two answers, from 0 (all alike, or fewer than two) to 1.

    Comparisons, labels and rejections differ (1) or do not; ratings by their distance on the scale;
    rankings by the share of pairs that they order differently. Texts do not count as different.
    """
    pairs = list(combinations(answers, 2))
    return sum(difference(one, other) for one, other in pairs) / len(pairs) if pairs else 0.0


def difference(one: Answer, other: Answer) -> float:
    """Return from 0 to 1 how much two answers differ."""
    if type(one) is not type(other):
        return 1.0  # such as a rejection beside a comparison
    if isinstance(one, Comparison) and isinstance(other, Comparison):
        return float(one.better != other.better)
    if isinstance(one, Label) and isinstance(other, Label):
        return float(one.good != other.good)
    if isinstance(one, Rating) and isinstance(other, Rating):
        return abs(one.value - other.value) / (max(one.points, other.points) - 1)
    if isinstance(one, Ranking) and isinstance(other, Ranking):
        return _discordant(one, other)
    return 0.0


def _discordant(one: Ranking, other: Ranking) -> float:
    """Return the share of pairs in the opposite order, of all pairs that both rankings order.

    Who stands in a ranking comes before who does not (Kendall's tau distance, 1938, doi:10.1093/biomet/30.1-2.81).
    """
    ranks = [{place: rank for rank, place in enumerate(each.best_first)} for each in (one, other)]
    last = max(map(len, ranks))
    signs = [
        [rank.get(left, last) - rank.get(right, last) for rank in ranks]
        for left, right in combinations(sorted(ranks[0].keys() | ranks[1].keys()), 2)
    ]
    ordered = [(first, second) for first, second in signs if first and second]
    return sum(first * second < 0 for first, second in ordered) / len(ordered) if ordered else 0.0
