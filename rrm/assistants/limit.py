"""How many calls run at once: grows while a provider keeps up, shrinks when it rate-limits."""

import time
from collections.abc import Callable

import anyio

from rrm.assistants.faults import diagnose
from rrm.assistants.retry import Sleep
from rrm.core.errors import ConfigError
from rrm.core.protocols import Assistant, Prompt, Reply
from rrm.core.replies import LACKS

_REPLIED = frozenset({"malformed", *LACKS} - {"broken"})


class Pace:
    """The limit itself: additive-increase, multiplicative-decrease, driven by what calls report.

    A round is as many calls as the limit. After a clean round in which 80 % of the limit was in
    use it doubles until the first rate limit, then grows by 5 %. A rate limit cuts it to 0.8 of
    itself, at most once in 15 s, and holds new calls back for as long as Retry-After says. A
    server's fault only starts the round anew. All assistants of one provider and key should share
    one Pace, which hands out the `turns`.
    """

    def __init__(
        self, start: int = 10, lowest: int = 1, highest: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 1 <= lowest <= highest:
            raise ConfigError(f"a pace needs 1 <= lowest <= highest, got {lowest} and {highest}")
        self._lowest, self._highest = lowest, highest
        self._limit = float(min(max(start, lowest), highest))
        self.turns = anyio.CapacityLimiter(int(self._limit))
        self._clock = clock
        self._starting = True
        self._last_cut = float("-inf")
        self._held_until = float("-inf")
        self._start_round()

    @property
    def limit(self) -> int:
        """How many calls may run at once now."""
        return int(self._limit)

    @property
    def held_seconds(self) -> float:
        """How long no new call should start."""
        return max(0.0, self._held_until - self._clock())

    def on_success(self, in_use: int) -> None:
        """Count a call that succeeded while `in_use` calls were running, itself included."""
        self._clean += 1
        self._busy |= in_use >= 0.8 * self.limit
        if self._clean >= self.limit:
            if self._busy:
                self._set_limit(self._limit * (2 if self._starting else 1.05))
            self._start_round()

    def on_rate_limit(self, retry_after: float | None = None) -> None:
        """Shrink the limit after a rate limit; `retry_after` is in seconds."""
        now = self._clock()
        self._starting = False
        self._start_round()
        if now - self._last_cut >= 15:
            self._last_cut = now
            self._set_limit(self._limit * 0.8)
        if retry_after is not None:
            self._held_until = max(self._held_until, now + min(retry_after, 600.0))

    def on_failure(self) -> None:
        """Start the round anew after a call that failed in another way."""
        self._start_round()

    def _set_limit(self, limit: float) -> None:
        self._limit = min(max(limit, float(self._lowest)), float(self._highest))
        self.turns.total_tokens = self.limit

    def _start_round(self) -> None:
        self._clean, self._busy = 0, False


class Limited:
    """Asks at a pace: each call waits for its turn."""

    def __init__(self, assistant: Assistant, pace: Pace, sleep: Sleep = anyio.sleep) -> None:
        self._assistant = assistant
        self._pace = pace
        self._sleep = sleep
        self.name = assistant.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply once it is this call's turn; the errors are the assistant's own."""
        async with self._pace.turns:
            while (held := self._pace.held_seconds) > 0:
                await self._sleep(held)
            try:
                reply = await self._assistant.ask(prompt)
            except Exception as error:
                fault = diagnose(error)
                if fault.kind == "rate limit":
                    self._pace.on_rate_limit(fault.retry_after)
                elif fault.kind in _REPLIED:  # the provider keeps up
                    self._pace.on_success(self._pace.turns.borrowed_tokens)
                else:
                    self._pace.on_failure()
                raise
            self._pace.on_success(self._pace.turns.borrowed_tokens)
            return reply
