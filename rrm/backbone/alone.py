"""One thread at a time loads models: transformers fills its modules when something of them is first asked for.

Where two threads ask at once, such as two runs in one process, one of them can see a module that is half made.
"""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LOADING = RLock()


def alone(load: Callable[P, T]) -> Callable[P, T]:
    """Return a function that loads as the given one does, while no other so marked is at it in another thread."""

    @wraps(load)
    def loaded(*args: P.args, **kwargs: P.kwargs) -> T:
        with _LOADING:
            return load(*args, **kwargs)

    return loaded
