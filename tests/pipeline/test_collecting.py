"""How often Python's collector looks through the oldest objects while a run goes on."""

import gc
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from rrm.pipeline.collecting import collecting_seldom
from rrm.pipeline.driver import Executors, drive
from rrm.pipeline.plan import AnyResults, AnyStage
from rrm.store import open_store

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    gc.collect()  # garbage of earlier tests is not counted
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


def test_the_oldest_are_looked_through_once_as_many_came_as_there_are() -> None:
    with collecting_seldom():
        youngest, middle, oldest = gc.get_threshold()
        assert (youngest, middle) == USUAL[:2]
        assert oldest == pytest.approx(len(gc.get_objects()) / 7_000, abs=2)
        kept = [[number] for number in range(10 * 7_000)]
        gc.collect()
        assert gc.get_threshold()[2] - oldest == pytest.approx(len(kept) / 7_000, abs=2)
    assert gc.get_threshold() == USUAL


def test_within_another_nothing_changes() -> None:
    with collecting_seldom():
        outer = gc.get_threshold()
        with pytest.raises(KeyError), collecting_seldom():
            raise KeyError
        assert gc.get_threshold() == outer != USUAL
    assert gc.get_threshold() == USUAL


def test_who_has_nothing_collected_has_nothing_changed() -> None:
    gc.set_threshold(0)
    with collecting_seldom():
        assert gc.get_threshold()[0] == 0
        gc.collect()
    assert gc.get_threshold()[0] == 0


@pytest.mark.asyncio
async def test_a_run_collects_seldom_to_its_end(tmp_path: Path) -> None:
    seen: list[int] = []

    def process() -> Generator[AnyStage, AnyResults, str]:
        yield from ()
        seen.append(gc.get_threshold()[2])
        return "done"

    with open_store(tmp_path) as record:
        assert await drive(process(), Executors(), record) == "done"
    assert seen[0] > USUAL[2] == gc.get_threshold()[2]
