"""How workers fare by machine, and which machines are set aside."""

import logging
from collections import Counter

_log = logging.getLogger("rrm.engines")

LOSSES, TIMES = 4, 4
"""A machine is set aside after so many losses, where they are so many times as frequent as on all others together."""


class Hosts:
    """Counts what workers finish and how often one is lost, by machine; `aside` are those that get no more work."""

    def __init__(self) -> None:
        self.aside: set[str] = set()
        self._done: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def done(self, host: str) -> None:
        """A worker there has finished a piece."""
        self._done[host] += 1

    def lost(self, host: str) -> None:
        """A worker there has failed, or is silent; the machine is set aside where that is frequent there alone.

        To the others' losses one is added, so that a machine alone, or beside others that have done little, is not.
        """
        self._lost[host] += 1
        lost, done = self._lost[host], self._done[host]
        lost_elsewhere, done_elsewhere = self._lost.total() - lost, self._done.total() - done
        elsewhere = (lost_elsewhere + 1) / (lost_elsewhere + done_elsewhere + 1)
        if host not in self.aside and lost >= LOSSES and lost / (lost + done) > TIMES * elsewhere:
            self.aside.add(host)
            told = "%s is set aside while others can do its work: %d of %d pieces cost a worker, and %d of %d elsewhere"
            _log.warning(told, host, lost, lost + done, lost_elsewhere, lost_elsewhere + done_elsewhere)
