"""Figures that are kept: nobody waits for them, they are computed in one thread only, and they say how old they are."""

import itertools
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from rrm.core.errors import StoreError
from rrm.web import figures
from rrm.web.figures import REST, Kept

LONG = 60.0
"""More seconds than anything here takes: who waits so long is told when the value is there."""


@dataclass
class Clock:
    """What the figures take for the time: it stands still until a test moves it."""

    seconds: float = 1000.0

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(figures, "time", made)
    return made


def asked_until(kept: Kept[Any], wanted: Any) -> Any:
    """Ask until a value comes."""
    while (found := kept.latest()) is None or found.value != wanted:
        time.sleep(0.001)
    return found


def test_a_quick_figure_is_there_at_once(clock: Clock) -> None:
    found = Kept(lambda: 42, lambda: 1, wait=LONG).latest()
    assert found is not None
    assert (found.value, found.current, found.at) == (42, True, clock.seconds)


def test_nobody_waits_for_a_slow_one(clock: Clock) -> None:
    gate = threading.Event()
    kept = Kept(lambda: gate.wait(LONG), lambda: 1, wait=0.02)
    assert kept.latest() is None  # the gate is still closed
    gate.set()
    assert asked_until(kept, True).current


def test_where_the_last_one_took_long_the_old_figure_comes_at_once(clock: Clock) -> None:
    version, gate = [1], threading.Event()

    def compute() -> int:
        clock.seconds += 2 * LONG
        if version[0] == 2:
            gate.wait(LONG / 6)  # who waited for this one would be given it
        return version[0]

    kept = Kept(compute, lambda: version[0], wait=LONG)
    assert asked_until(kept, 1).current
    version[0] = 2
    clock.seconds += REST * 2 * LONG
    found = kept.latest()
    gate.set()
    assert found is not None
    assert (found.value, found.current) == (1, False)
    assert asked_until(kept, 2).current


def test_the_old_figure_is_shown_as_old_until_the_new_one_is_there(clock: Clock) -> None:
    version, gate = [1], threading.Event()
    gate.set()

    def compute() -> int:
        gate.wait(LONG)
        return version[0]

    kept = Kept(compute, lambda: version[0], wait=0.02)
    assert asked_until(kept, 1).current
    version[0] = 2
    gate.clear()
    found = kept.latest()
    assert found is not None
    assert (found.value, found.current) == (1, False)
    gate.set()
    assert asked_until(kept, 2).current


def test_without_a_change_nothing_is_computed_again_until_it_is_too_old(clock: Clock) -> None:
    calls: list[int] = []
    kept = Kept(lambda: calls.append(1), lambda: "same", most_seconds=30.0, wait=LONG)
    for _ in range(20):
        kept.latest()
        clock.seconds += 1.5
    assert len(calls) == 1
    clock.seconds += 0.1
    kept.latest()
    assert len(calls) == 2


def test_one_computation_runs_at_a_time_however_many_ask(clock: Clock) -> None:
    begun: list[int] = []
    gate = threading.Event()

    def compute() -> int:
        begun.append(1)
        gate.wait(LONG)
        return len(begun)

    kept = Kept(compute, itertools.count().__next__, wait=0.0)  # everything is always old
    threads = [threading.Thread(target=lambda: [kept.latest() for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) <= 1  # the thread that computes may not have had its turn yet
    gate.set()
    assert asked_until(kept, 1).value == 1


def test_after_a_computation_the_thread_rests_longer_than_it_worked(clock: Clock) -> None:
    begun: list[float] = []

    def compute() -> int:
        begun.append(clock.seconds)
        clock.seconds += 10.0
        return len(begun)

    kept = Kept(compute, itertools.count().__next__, wait=LONG)
    kept.latest()
    for _ in range(4):
        clock.seconds += REST * 10.0 / 4 - 0.1
        kept.latest()
    assert begun == [1000.0]
    clock.seconds += 0.5
    kept.latest()
    assert begun == pytest.approx([1000.0, 1010.0 + REST * 10.0 + 0.1])


def test_what_fails_is_said_once_and_tried_again(clock: Clock) -> None:
    outcomes: list[Any] = [StoreError("the disk is full"), 7]

    def compute() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    kept = Kept(compute, lambda: 1, wait=LONG)
    with pytest.raises(StoreError, match="the disk is full"):
        kept.latest()
    assert asked_until(kept, 7).current
