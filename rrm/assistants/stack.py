"""The usual way to stack what stands between a run and its model."""

from collections import Counter

import anyio

from rrm.assistants.answers import Checked
from rrm.assistants.budget import Budget, Budgeted
from rrm.assistants.cache import Cached
from rrm.assistants.limit import Limited, Pace
from rrm.assistants.retry import Retrying, Sleep
from rrm.core.protocols import Assistant, Cache


def stacked(
    assistant: Assistant,
    *,
    cache: Cache | None = None,
    budget: Budget | None = None,
    pace: Pace | None = None,
    attempts: int = 4,
    faults: Counter[str] | None = None,
    sleep: Sleep = anyio.sleep,
) -> Assistant:
    """Return the assistant within a budget, at a pace, retried, checked and cached, from the inside out.

    So a cached call costs nothing, a malformed answer is paid for but never kept, every attempt
    counts as a call, and a call that backs off takes no turn from others. `faults` counts failures
    by kind.
    """
    counted: Counter[str] = Counter() if faults is None else faults
    within = assistant if budget is None else Budgeted(assistant, budget)
    limited = Limited(within, Pace() if pace is None else pace, sleep)
    retried = Retrying(limited, attempts, faults=counted, sleep=sleep)
    checked = Checked(retried, counted)
    return checked if cache is None else Cached(checked, cache)
