"""A database that is away for a while: what it was asked is asked again, and both are told in one line."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rrm.core.errors import UnreachableError

PATIENCE_SECONDS = 300.0
"""How long a run or an assistant waits for a database that restarts, or whose standby takes over."""

_PAUSES = (0.2, 5.0)  # seconds between two tries, at first and in the end
_log = logging.getLogger("rrm.store")

T = TypeVar("T")


class Outage:
    """Whether a database is away, and since when; any thread may use it.

    `patience` is how many seconds an outage may last, 0 for who says at once that it cannot be reached; who does not
    wait `tells` of it all the same where nobody else would.
    """

    def __init__(self, patience: float, tells: bool = False) -> None:
        self._patience, self._tells = patience, tells or patience > 0
        self._since: float | None = None
        self._gate = threading.Lock()
        self._hastened = threading.Event()

    def ride(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, doing it again while the database cannot be reached.

        Raises UnreachableError once the outage has lasted longer than it may. What comes after that is tried once.
        """
        pause, longest = _PAUSES
        while True:
            try:
                result = work()
            except UnreachableError as error:
                if not self._waits(error) or self._hastened.wait(pause):
                    raise
                pause = min(2 * pause, longest)
            else:
                self._end()
                return result

    def hasten(self) -> None:
        """Let nobody wait any more."""
        self._hastened.set()

    def _waits(self, error: UnreachableError) -> bool:
        """Note that the database is away, and return whether it is worth waiting."""
        if not self._tells:
            return False
        with self._gate:
            if self._since is None:
                self._since = time.monotonic()
                then = (
                    f"trying again for up to {self._patience:.0f} s" if self._patience else "refused until it is back"
                )
                _log.warning("%s (%s)", error, then)
            return time.monotonic() - self._since < self._patience

    def _end(self) -> None:
        with self._gate:
            if self._since is not None:
                _log.warning("the database answers again after %.0f s", time.monotonic() - self._since)
                self._since = None
