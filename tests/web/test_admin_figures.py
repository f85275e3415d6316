"""Figures that are kept: nobody waits for them, they are computed in one thread only, and they say how old they are."""

import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from rrm.core.errors import StoreError
from rrm.web.figures import Kept


def asked_until(kept: Kept[Any], wanted: Any, seconds: float = 5.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = kept.latest()
        if found is not None and found.value == wanted:
            return found
        time.sleep(0.005)
    raise AssertionError(f"{wanted!r} did not come")


def test_a_quick_figure_is_there_at_once() -> None:
    kept = Kept(lambda: 42, lambda: 1, wait=5.0)
    before = time.time()
    found = kept.latest()
    assert found is not None
    assert (found.value, found.current) == (42, True)
    assert before <= found.at <= time.time()


def test_nobody_waits_for_a_slow_one() -> None:
    gate = threading.Event()
    kept = Kept(lambda: gate.wait(10), lambda: 1, wait=0.02)
    began = time.monotonic()
    assert kept.latest() is None
    assert time.monotonic() - began < 1
    gate.set()
    assert asked_until(kept, True).current


def test_where_the_last_one_took_long_the_old_figure_comes_at_once() -> None:
    version = [1]
    kept = Kept(lambda: time.sleep(0.3) or version[0], lambda: version[0], wait=0.2)
    assert asked_until(kept, 1).current
    version[0] = 2
    time.sleep(0.3 * 4 + 0.1)  # the rest
    began = time.monotonic()
    found = kept.latest()
    assert time.monotonic() - began < 0.15
    assert found is not None
    assert (found.value, found.current) == (1, False)
    assert asked_until(kept, 2).current


def test_the_old_figure_is_shown_as_old_until_the_new_one_is_there() -> None:
    version = [1]
    gate = threading.Event()
    gate.set()

    def compute() -> int:
        gate.wait(10)
        return version[0]

    kept = Kept(compute, lambda: version[0], wait=0.02)
    assert asked_until(kept, 1).current
    version[0] = 2
    gate.clear()
    time.sleep(0.05)  # the rest after the first computation
    found = kept.latest()
    assert found is not None
    assert (found.value, found.current) == (1, False)
    gate.set()
    assert asked_until(kept, 2).current


def test_without_a_change_nothing_is_computed_again_until_it_is_too_old() -> None:
    calls = []
    kept = Kept(lambda: calls.append(1), lambda: "same", most_seconds=0.3, wait=5.0)
    for _ in range(20):
        kept.latest()
    assert len(calls) == 1
    time.sleep(0.35)
    kept.latest()
    assert len(calls) == 2


def test_one_computation_runs_at_a_time_however_many_ask() -> None:
    running, most = [0], [0]
    turn = threading.Lock()

    def compute() -> int:
        with turn:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with turn:
            running[0] -= 1
        return 1

    kept = Kept(compute, time.monotonic, wait=0.0)  # everything is always old
    threads = [threading.Thread(target=lambda: [kept.latest() for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


def test_after_a_computation_the_thread_rests_longer_than_it_worked() -> None:
    begun: list[float] = []

    def compute() -> int:
        begun.append(time.monotonic())
        time.sleep(0.05)
        return 1

    kept = Kept(compute, time.monotonic, wait=0.0)
    end = time.monotonic() + 0.9
    while time.monotonic() < end:
        kept.latest()
        time.sleep(0.002)
    assert len(begun) >= 2
    assert all(later - earlier >= 5 * 0.05 for earlier, later in pairwise(begun))


def test_what_fails_is_said_once_and_tried_again() -> None:
    outcomes: list[Any] = [StoreError("the disk is full"), 7]

    def compute() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    kept = Kept(compute, lambda: 1, wait=5.0)
    with pytest.raises(StoreError, match="the disk is full"):
        kept.latest()
    assert asked_until(kept, 7).current
