"""Reading many rows without the collector of cyclic garbage, which there is none of to find among them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let Python's cycle collector rest, in the whole process, while values without cycles are made by the million.

    All of them stay, so that the collector would look through them again and again: a fourth of the time of reading.
    In the end they go among the oldest that it knows, unseen: to freeze and unfreeze all moves them there.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
