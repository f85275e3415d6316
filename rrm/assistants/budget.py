"""The one choke point for calls and tokens, shared by all assistants of a run."""

from dataclasses import dataclass

from rrm.core.errors import BudgetError, ConfigError


@dataclass(frozen=True)
class Spent:
    """Calls made, and tokens read and written by them."""

    calls: int = 0
    tokens: int = 0


class Budget:
    """How many calls and tokens a run may use in all; None is no limit.

    A call reserves its estimated tokens before it is made, so that calls under way at the same
    time cannot overdraw together, and is settled at what it took. `spent` is what was spent before, as
    the record has it.
    """

    def __init__(self, max_calls: int | None = None, max_tokens: int | None = None, spent: Spent | None = None) -> None:
        if any(limit is not None and limit < 0 for limit in (max_calls, max_tokens)):
            raise ConfigError(f"limits are 0 or more, got max_calls = {max_calls}, max_tokens = {max_tokens}")
        self._max_calls = max_calls
        self._max_tokens = max_tokens
        self._spent = Spent() if spent is None else spent
        self._reserved = 0

    @property
    def spent(self) -> Spent:
        """Calls made so far, failed ones included, and the tokens of those that are settled."""
        return self._spent

    def reserve(self, tokens: int) -> None:
        """Count one call and set its tokens aside; raise BudgetError, counting nothing, if it would exceed a limit."""
        calls = self._spent.calls + 1
        if self._max_calls is not None and calls > self._max_calls:
            raise BudgetError(f"all {self._max_calls} calls are used up; raise max_calls and start again to go on")
        planned = self._spent.tokens + self._reserved + tokens
        if self._max_tokens is not None and planned > self._max_tokens:
            raise BudgetError(
                f"this call may bring the tokens to {planned} of {self._max_tokens};"
                " raise max_tokens and start again to go on"
            )
        self._spent = Spent(calls, self._spent.tokens)
        self._reserved += tokens

    def settle(self, reserved: int, taken: int) -> None:
        """Replace a reservation by what the call took."""
        self._reserved -= reserved
        self._spent = Spent(self._spent.calls, self._spent.tokens + taken)
