"""Ranked groups, as NeMo-RL has them: several outputs, the best of the lowest rank; without ranks, by their rewards.

{"context": "Sum up.", "completions": [{"rank": 0, "completion": "It burned."}, {"rank": 1, "completion": "A mill."}]}
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from math import factorial, prod

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, number
from rrm.core.kinds.ranking import MOST_ORDERS
from rrm.core.values import Comparison, Ranking
from rrm.interchange.columns import text, whole
from rrm.interchange.forms.form import Judged, Legend, is_list
from rrm.interchange.rows import Row


def ranked(row: Row, legend: Legend) -> list[Judged]:
    """Read a group, best rank lowest; those of equal rank are level.

    Two, groups in which all are level, and those whose ties leave too many orders open become comparisons of all pairs.
    """
    completions = row["completions"]
    if not is_list(completions) or not all(isinstance(each, Mapping) for each in completions):
        raise InputError("completions must be a list of objects with rank and completion")
    texts = tuple(text(each, "completion") for each in completions)
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise InputError(f"completions must be two or more different texts, got {len(set(texts))} in {len(texts)}")
    ranks = _ranks(completions)
    if len(texts) > 2 and (ranking := _ranking(ranks)) is not None:
        return [Judged(texts, ranking)]
    return [_pair((texts[a], texts[b]), ranks[a], ranks[b]) for a, b in combinations(range(len(texts)), 2)]


def _ranking(ranks: Sequence[float]) -> Ranking | None:
    """Return what ranks say, None where that is no ranking."""
    best_first = sorted(range(len(ranks)), key=lambda position: ranks[position])
    tied = tuple(after for before, after in pairwise(best_first) if ranks[before] == ranks[after])
    if len(tied) == len(ranks) - 1 or prod(factorial(count) for count in Counter(ranks).values()) > MOST_ORDERS:
        return None
    return Ranking(tuple(best_first), tied)


def _ranks(completions: Sequence[Row]) -> list[float]:
    """Return each completion's rank; without ranks, from its reward or score, the highest first."""
    ranks = [whole(each.get("rank")) for each in completions]
    if all(rank is not None for rank in ranks):
        return [float(rank) for rank in ranks if rank is not None]
    for column in ("reward", "score"):
        rewards = [number(each.get(column)) for each in completions]
        unranked = all(each.get("rank") is None for each in completions)
        if unranked and all(reward is not None for reward in rewards):
            return [-reward for reward in rewards if reward is not None]
    raise InputError(f"completions must have whole ranks, got {brief([each.get('rank') for each in completions])}")


def _pair(texts: tuple[str, str], first: float, second: float) -> Judged:
    return Judged(texts, Comparison(None if first == second else int(second < first)))
