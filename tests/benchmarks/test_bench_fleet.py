"""The simulated fleet: workers that are lost change nothing but time, and no order of work beats what is possible."""

from pathlib import Path

import anyio
import pytest

from benchmarks import fleet
from benchmarks.fleet import DAY, Fleet, Library, Novels, measure
from rrm.api.runfile import run_file
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts
from rrm.pipeline.driver import drive
from rrm.pipeline.recursion import recursion
from rrm.pipeline.rehearse import USUAL, StandIns
from rrm.pipeline.steps import Outcome
from rrm.store import open_store


def run(folder: Path, workers: int, lost_an_hour: float, context: bool = True) -> tuple[Outcome, Fleet]:
    parts = Parts(run_file(fleet.settings(Library(3, 8, context))))
    plan = recursion_of(parts)
    engine = Fleet(StandIns(plan, parts.decomposer, USUAL), workers, lost_an_hour, seed=0)
    with open_store(folder) as store:
        return anyio.run(drive, recursion(plan), engine, store), engine


def test_a_fleet_that_loses_workers_ends_as_one_that_loses_none(tmp_path: Path) -> None:
    steady, one = run(tmp_path / "steady", 5, 0.0)
    losing, other = run(tmp_path / "losing", 5, 0.9999)  # some nine of the hour of work: ids draw them, none is rare
    assert other.lost > one.lost == 0
    assert losing.state.outputs == steady.state.outputs
    assert losing.state.predictions.keys() == steady.state.predictions.keys()
    # people answer in working hours: what machines take longer may be gone by the time they begin
    longer, shorter = (sum(took for of, took in each.took.items() if of != "rate") for each in (other, one))
    assert longer > shorter


@pytest.mark.parametrize("workers", [1, 5, 1000])
@pytest.mark.parametrize("context", [True, False])
def test_nothing_is_faster_than_what_is_possible(tmp_path: Path, workers: int, context: bool) -> None:
    _, engine = run(tmp_path, workers, 0.0, context)
    for step, least in engine.possible.items():
        assert engine.took[step] >= least - 0.1 or step in fleet.PEOPLE
    if workers == 1:
        assert engine.took["propose"] == pytest.approx(engine.possible["propose"])
        assert engine.busy == pytest.approx(sum(each for step, each in engine.took.items() if step != "rate"))


def test_people_answer_on_the_next_day(tmp_path: Path) -> None:
    _, engine = run(tmp_path, 50, 0.0)
    assert engine.took["rate"] > 2 * DAY  # of three levels, one after the other


def test_rows_say_what_is_real_and_what_has_a_limit(tmp_path: Path) -> None:
    rows = {row.name: row for row in measure(tmp_path, Library(3, 8, True), 5, 0.02)}
    assert rows["3 x 8 with context: nodes"].value > 50
    assert rows["3 x 8 with context: commits"].value > 50
    assert rows["3 x 8 with context: driver busy, at most"].passed is True
    assert 0 < rows["3 x 8 with context: possible over taken, at least"].value <= 1


def test_novels_are_of_their_length_and_each_another() -> None:
    first, second = Novels(2, leaves=10, words_a_leaf=18).sources()
    assert len(first.text.split()) == 180
    assert first.id != second.id and first.text != second.text
