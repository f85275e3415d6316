"""The record of model calls as an event loop writes it: what comes while the disk is busy is written together."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, nextafter

import anyio
from anyio import CancelScope, to_thread

from rrm.core.protocols import REPLIES, CallRecord, Entry


@dataclass
class _Page:
    """Entries that are written in one transaction, and what that raised."""

    entries: list[Entry] = field(default_factory=list)
    error: Exception | None = None


class Books:
    """Writes entries to a record, if there is one; all assistants of a run should share one.

    A model call waits for the disk twice, so calls that run at once share transactions: as many as there are
    wait for one write at a time. `clock` gives seconds since 1970.
    """

    def __init__(self, record: CallRecord | None = None, clock: Callable[[], float] = time.time) -> None:
        self._record = record
        self._clock = clock
        self._last = -inf
        self._open = _Page()
        self._turn = anyio.Lock()

    async def enter(self, entry: Entry) -> None:
        """Write an entry, which is durable on return; a cancellation waits for that. Raises StoreError."""
        if self._record is None:
            return
        page = self._open
        page.entries.append(entry)
        with CancelScope(shield=True):
            async with self._turn:
                if page is self._open:  # else who came before has written it
                    self._open = _Page()
                    try:
                        await to_thread.run_sync(self._record.enter, page.entries)
                    except Exception as error:
                        page.error = error
        if page.error is not None:
            raise page.error

    def now(self) -> float:
        """Return the time; later each time it is asked, so that no two calls on record look alike."""
        self._last = max(self._clock(), nextafter(self._last, inf))
        return self._last

    def reply(self, key: str) -> bytes | None:
        """Return what is kept of a reply, None if nothing is."""
        return None if self._record is None else self._record.get_many(REPLIES, [key]).get(key)
