"""How workers fare by machine, and which machines are set aside."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from scipy.special import betainc

_log = logging.getLogger("rrm.engines")

LOSSES, OFTEN, CHANCE = 4, 0.05, 0.001
"""A machine is set aside after so many losses, at that many a piece, if chance alone gave it as many so rarely."""
OUTAGE = 2
"""Losses within so many leases are one outage: what ends is seen at once, and what falls silent a lease later."""
ASIDE = 20
"""For so many leases a machine is set aside; after them one more loss is enough, if it is as bad as before."""


class Hosts:
    """Counts what workers finish and how often one is lost, by machine, and says which machines are set aside.

    Workers lost on a machine about together, each once, are one outage and count as one loss. Times are by the `clock`.
    """

    def __init__(self, lease: float, clock: Callable[[], float]) -> None:
        self._lease, self._clock = lease, clock
        self._done: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._outages: dict[str, _Outage] = {}
        self._until: dict[str, float] = {}

    def aside(self, host: str) -> bool:
        """Say whether the workers of a machine get no work now while others can do it."""
        return self._clock() < self._until.get(host, 0)

    def done(self, host: str) -> None:
        """A worker there has finished a piece."""
        self._done[host] += 1

    def lost(self, host: str, worker: str) -> None:
        """A worker there has failed, or is silent; the machine is set aside where that is frequent there alone."""
        now = self._clock()
        outage = self._outages.get(host)
        if outage is not None and now - outage.since <= OUTAGE * self._lease and worker not in outage.workers:
            outage.workers.add(worker)
            return
        self._outages[host] = _Outage(now, {worker})
        self._lost[host] += 1
        here = lost, pieces = self._lost[host], self._lost[host] + self._done[host]
        total = lost_total, pieces_total = self._lost.total(), self._lost.total() + self._done.total()
        if not self.aside(host) and _bad(*here, *total):
            seconds = ASIDE * self._lease
            self._until[host] = now + seconds
            told = "%s is set aside for %g s while others can do its work: %d losses in %d pieces, %d in %d elsewhere"
            elsewhere = lost_total - lost, pieces_total - pieces
            _log.warning(told, host, seconds, lost, pieces, *elsewhere)


def _bad(lost: int, pieces: int, lost_total: int, pieces_total: int) -> bool:
    """Say whether a machine loses workers often, and beyond chance more often than all others together.

    That is by the binomial tail: if no machine were worse than another, each loss would fall on this one with its share
    of the pieces. So a machine alone, or beside others that have done little, is never bad.
    """
    if lost < LOSSES or lost < OFTEN * pieces:
        return False
    return bool(betainc(lost, lost_total - lost + 1, pieces / pieces_total) < CHANCE)


class _Outage(NamedTuple):
    """When an outage of a machine began, and the workers that were lost in it."""

    since: float
    workers: set[str]
