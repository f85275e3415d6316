"""Asking again after failures that pass: exponential back-off with jitter, Retry-After honoured."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import count

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from rrm.assistants.faults import diagnose
from rrm.core.errors import AssistantError, ConfigError, LostCallError, NoAnswerError, RrmError
from rrm.core.protocols import Assistant, Prompt, Reply

Sleep = Callable[[float], Awaitable[None]]


class Retrying:
    """Asks up to `attempts` times while something is in the way that may pass.

    That is a rate limit, a timeout, a lost connection, a server's fault, and an empty reply. Other replies without an
    answer would come again: refused, filtered, cut off before the answer.

    Attempt n waits a random time up to min(`longest_seconds`, 2**(n - 1)) seconds (full jitter), or
    what a Retry-After header says, at most ten times the longest. A call that was lost with its worker is made again
    at once, and that is no attempt, for it may have had no part in that. Everything else, such as a wrong
    key, is raised at once. `faults` counts every failed call by its kind.
    """

    def __init__(
        self,
        assistant: Assistant,
        attempts: int = 4,
        *,
        longest_seconds: float = 60.0,
        faults: Counter[str] | None = None,
        sleep: Sleep = anyio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        if attempts < 1:
            raise ConfigError(f"attempts must be 1 or more, got {attempts}")
        self._assistant = assistant
        self._attempts = attempts
        self._longest = longest_seconds
        self._sleep = sleep
        self._now = now
        self._back_off = wait_random_exponential(multiplier=1, max=longest_seconds)
        self.faults: Counter[str] = Counter() if faults is None else faults
        self.name = assistant.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply; raise AssistantError, from the last cause, once no attempt is left.

        What every call will meet, such as a wrong key, raises SetupError.
        """
        asking = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=retry_if_exception(self._passes),
            reraise=True,
        )
        try:
            reply: Reply = await asking(self._attempt, prompt, count(1))
        except Exception as error:
            fault = diagnose(error, self._now)
            mistold = fault.lasting and type(error) is AssistantError
            if isinstance(error, RrmError) and not fault.transient and not mistold:
                raise
            tries = asking.statistics.get("attempt_number", 1)
            if isinstance(error, NoAnswerError):
                raise NoAnswerError(f"{error} (attempts: {tries})", error.lack) from error
            raise fault.as_error(self.name, f" (attempts: {tries})") from (error.__cause__ or error)
        return reply

    async def _attempt(self, prompt: Prompt, numbers: Iterator[int]) -> Reply:
        asked = replace(prompt, attempt=next(numbers))
        while True:
            try:
                return await self._assistant.ask(asked)
            except Exception as error:
                self.faults[diagnose(error).kind] += 1
                if not (isinstance(error, LostCallError) and error.again):
                    raise

    def _passes(self, error: BaseException) -> bool:
        return diagnose(error).transient

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        after = diagnose(error, self._now).retry_after if error is not None else None
        return float(self._back_off(state)) if after is None else min(after, 10 * self._longest)
