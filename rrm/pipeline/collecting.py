"""Python's collector of cyclic garbage while a run goes on, whose values have no cycles and stay."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Have the oldest objects, in the whole process, looked through once as many came as there are.

    Python does so once a fourth came, so that a run which keeps what it makes has each object looked through about five
    times. Within another of these nothing changes, nor where nothing is collected.
    """
    before = gc.get_threshold()
    if 0 in before[:2] or any(isinstance(each, _Seldom) for each in gc.callbacks):
        yield
        return
    seldom = _Seldom(before)
    gc.callbacks.append(seldom)
    try:
        yield
    finally:
        gc.callbacks.remove(seldom)
        gc.set_threshold(*before)


class _Seldom:
    """Sets after how many collections of younger objects the oldest are looked through, by how many there are."""

    def __init__(self, before: tuple[int, int, int]) -> None:
        self._before = before
        self._wait()

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2:
            self._wait()

    def _wait(self) -> None:
        youngest, middle, oldest = self._before
        gc.set_threshold(youngest, middle, max(oldest, len(gc.get_objects()) // (youngest * middle)))
