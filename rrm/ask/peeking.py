"""Which claims are looked at next: by what a look is worth to the choice of an output, and some drawn at random.

A look tells whether a claim is supported, so it moves its output's score up or down by what the claim counts there.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked, Claimed, Peeking
from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for


def choose_looks(peeking: Peeking) -> tuple[Asked, ...]:
    """Return the looks that are worth most, and those that are drawn, so that each stream has its share of any part.

    A look is worth by how much it is expected to raise the score of the best output of its root, and to lower the
    standard deviation of differences between outputs there, by minute, means over roots; where none is worth anything
    the seed decides. A share of all claims is set aside for the drawn ones by the seed alone, so that what was looked
    at before does not change what they are drawn from. Raises InputError for a share outside of (0, 1], for
    probabilities that are none, and for looks without a price.
    """
    _check(peeking)
    aside = [_set_aside(each, peeking.seed) < peeking.random for each in peeking.claims]
    drawn = [each for each, alone in zip(peeking.claims, aside, strict=True) if alone]
    rest = [each for each, alone in zip(peeking.claims, aside, strict=True) if not alone]
    chosen = list(_by_value(rest, peeking, (1 - peeking.random) * peeking.minutes))
    return _in_turn(chosen, list(_at_random(drawn, peeking, peeking.random * peeking.minutes)))


def gains(claims: Sequence[Claimed], scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return by how much a look at each claim alone is expected to raise the best score of its root, [claims].

    Exact: a claim is found supported, with its probability, or not. Never below 0, and 0 where no outcome changes which
    output is best.
    """
    found = np.zeros(len(claims))
    for at, each in enumerate(claims):
        own = scores[each.root]
        others = np.delete(own, each.output)
        if len(others):
            best, score = float(others.max()), float(own[each.output])
            up, down = score + each.slope * (1 - each.support), score - each.slope * each.support
            after = each.support * max(up, best) + (1 - each.support) * max(down, best)
            found[at] = max(0.0, after - max(score, best))
    return found


def _by_value(claims: Sequence[Claimed], peeking: Peeking, minutes: float) -> Iterator[Asked]:
    """Yield the best looks that so many minutes pay for, each as though those before it were had."""
    roots = len(peeking.scores)
    variance = np.array([each.slope**2 * each.support * (1 - each.support) for each in claims])
    root = np.array([each.root for each in claims], dtype=np.int64)
    count = np.array([len(peeking.scores[each.root]) for each in claims])
    removed = np.where(count > 1, 2 * variance / np.maximum(count, 1), 0.0)
    spread = np.bincount(root, removed, roots)
    gain = gains(claims, peeking.scores)
    price = np.array([each.minutes for each in claims])
    tie = generator(peeking.seed, "looks", peeking.place.round).permutation(len(claims))
    left = np.ones(len(claims), dtype=bool)
    for number in range(len(claims)):
        lower = np.sqrt(spread[root]) - np.sqrt(np.maximum(spread[root] - removed, 0.0))
        worth = np.where(left, (gain + lower) / roots / price, -1.0)
        at = int(np.lexsort((tie, -worth))[0])
        minutes -= float(price[at])
        if minutes < 0:
            return
        left[at] = False
        spread[root[at]] = max(0.0, spread[root[at]] - removed[at])
        value = float(worth[at])
        yield Asked(claims[at].request.id, BY_VALUE, peeking.pool, 1.0, value, number, float(price[at]))


def _at_random(claims: Sequence[Claimed], peeking: Peeking, minutes: float) -> Iterator[Asked]:
    order = generator("peeks", peeking.seed, peeking.place.round).permutation(len(claims))
    for number, at in enumerate(order):
        each = claims[at]
        minutes -= each.minutes
        if minutes < 0:
            return
        propensity = 1 / (len(claims) - number)
        yield Asked(each.request.id, AT_RANDOM, peeking.pool, propensity, minutes=each.minutes)


def _in_turn(chosen: Sequence[Asked], drawn: Sequence[Asked]) -> tuple[Asked, ...]:
    """Return both in their order, so that however much of the whole is put, each has its share of it."""
    found = []
    for stream, asked in enumerate((chosen, drawn)):
        ends = np.cumsum([each.minutes for each in asked])
        found += [(float(ends[at] / ends[-1]), stream, at, each) for at, each in enumerate(asked)]
    return tuple(each for *_, each in sorted(found, key=lambda one: one[:3]))


def _set_aside(claim: Claimed, seed: int) -> float:
    """Return a number from 0 to 1 that only the question itself and the seed decide."""
    return seed_for(seed, "peek set aside", claim.request.question) / 2**63


def _check(peeking: Peeking) -> None:
    if not 0 < peeking.random <= 1:
        raise InputError(f"the share of looks that is drawn lies above 0 and up to 1, got {peeking.random}")
    for each in peeking.claims:
        if not (0 <= each.support <= 1 and np.isfinite(each.slope)):
            raise InputError(
                f"a claim's support is a probability and its slope a number, got {each.support}, {each.slope}"
            )
        if not 0 < each.minutes < np.inf:
            raise InputError(f"every look costs some minutes, got {each.minutes}")
