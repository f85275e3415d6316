"""The usual way to stack what stands between a run and its model."""

from collections import Counter

import anyio

from rrm.assistants.booked import Booked
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget
from rrm.assistants.cache import Cached
from rrm.assistants.limit import Limited, Pace
from rrm.assistants.retry import Retrying, Sleep
from rrm.core.protocols import Assistant


def stacked(
    assistant: Assistant,
    *,
    asker: str = "",
    books: Books | None = None,
    budget: Budget | None = None,
    pace: Pace | None = None,
    attempts: int = 4,
    faults: Counter[str] | None = None,
    sleep: Sleep = anyio.sleep,
) -> Assistant:
    """Return the assistant booked, at a pace, retried and cached, from the inside out.

    So a cached call costs nothing, a malformed answer is paid for but never kept, every attempt
    counts as a call, and a call that backs off takes no turn from others. `books` is where calls and replies
    stand on record, each with the part of the run that asked (`asker`); without, nothing outlasts the
    process. `faults` counts failures by kind.
    """
    books = Books() if books is None else books
    booked = Booked(assistant, Budget() if budget is None else budget, books, asker)
    limited = Limited(booked, Pace() if pace is None else pace, sleep)
    return Cached(Retrying(limited, attempts, faults=faults, sleep=sleep), books, asker)
