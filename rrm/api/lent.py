"""Model calls in a worker's process: made side by side as they come, each once, and told until that is known."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue

from rrm.api.wiring import Parts
from rrm.assistants.lent import answer


class Caller:
    """Makes calls in a thread with an event loop of its own."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loop = asyncio.new_event_loop()
        self._begun: set[int] = set()
        self._ended: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self._said: dict[int, str] = {}
        threading.Thread(target=self._loop.run_forever, name="rrm calls", daemon=True).start()

    def talk(self, calls: Mapping[int, str], known: Sequence[int], seconds: float) -> dict[int, str]:
        """Begin calls by number, none twice, and wait so long until any has ended; return what came of all such.

        What came of a call is told until it is `known`, for an answer may be lost.
        """
        for number, asked in calls.items():
            if number not in self._begun:
                self._begun.add(number)
                asyncio.run_coroutine_threadsafe(self._make(number, asked), self._loop)
        for number in known:
            self._said.pop(number, None)
        try:
            while True:
                number, said = self._ended.get(timeout=0 if self._said else seconds)
                self._said[number] = said
        except Empty:
            return dict(self._said)

    def end(self) -> None:
        """Make no more calls, and let go of the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _make(self, number: int, asked: str) -> None:
        self._ended.put((number, await answer(asked, self._parts.model)))
