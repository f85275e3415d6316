"""What is done when memory does not suffice for a batch: smaller batches, from there on."""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from rrm.core.errors import LimitError

_log = logging.getLogger(__name__)
_SAYS_SO = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")

Item = TypeVar("Item")
Made = TypeVar("Made")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is of memory that does not suffice, on a GPU or a CPU.

    A GPU's is `torch.OutOfMemoryError`; that of a CPU's allocator is a RuntimeError like any other but for its words.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAYS_SO)


def in_memory(
    batches: Iterable[Sequence[Item]],
    do: Callable[[Sequence[Item]], Made],
    cut: Callable[[Item], Sequence[Item]],
    unit: str,
    remedy: Callable[[Item], str],
) -> Iterator[tuple[Sequence[Item], Made]]:
    """Do batches in order, and yield each with what came of it; what does not fit in memory is done in halves.

    When memory does not suffice for several items at once, their batch and all later ones are halved, and a warning
    tells how many `unit` that leaves. An item that does not fit alone is `cut` into parts, which are done one by one;
    where it is its own only part, LimitError is raised with what `remedy` says.
    """
    waiting = deque(batches)
    while waiting:
        try:
            made = do(waiting[0])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            waiting = _smaller(waiting, error, cut, unit, remedy)
        else:
            yield waiting.popleft(), made
            continue
        release()  # here, where no traceback holds what was allocated


def _smaller(
    waiting: deque[Sequence[Item]],
    error: BaseException,
    cut: Callable[[Item], Sequence[Item]],
    unit: str,
    remedy: Callable[[Item], str],
) -> deque[Sequence[Item]]:
    failed = waiting.popleft()
    if len(failed) > 1:
        _log.warning("out of memory with %d %s at once: going on with %d", len(failed), unit, len(failed) // 2)
        return deque(half for batch in (failed, *waiting) for half in _halves(batch))
    parts = cut(failed[0])
    if len(parts) < 2:
        raise LimitError(remedy(failed[0])) from error
    _log.warning("out of memory with one of the %s: it is read in %d parts", unit, len(parts))
    return deque([*([part] for part in parts), *waiting])


def _halves(batch: Sequence[Item]) -> list[Sequence[Item]]:
    half = len(batch) // 2
    return [batch[:half], batch[half:]] if half else [batch]


def release() -> None:
    """Give back what is held of an accelerator's memory and not used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
