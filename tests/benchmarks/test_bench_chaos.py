"""Faults done to runs: those that change nothing are found to, and a record that lacks what was acknowledged is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import chaos
from benchmarks.chaos import KINDS, Play, Row, measure, measured, table, undisturbed
from rrm.store.record import SqlStore


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_whose_workers_are_killed_ends_as_one_undisturbed() -> None:
    row = measure("worker", 0)
    assert row.faults >= 2
    assert row.equal and row.acknowledged > 100 and row.lost == 0
    assert row.commands == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [each for each in KINDS if each != "worker"])
def test_a_run_under_any_other_fault_ends_as_one_undisturbed(kind: str) -> None:
    if (why := chaos.lacking(kind)) is not None:
        pytest.skip(f"NOTHING IS TESTED OF {kind}: {why}")
    row = measure(kind, 0)
    assert row.faults and row.equal and row.lost == row.doubled == 0


def test_what_was_acknowledged_and_is_not_on_record_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = SqlStore.complete

    def forgetting(store: SqlStore, results: list[object]) -> None:
        if any(action.step != "gold" for action, _ in results):  # type: ignore[attr-defined,misc]
            complete(store, results)  # type: ignore[arg-type]

    undisturbed(0)
    monkeypatch.setattr(SqlStore, "complete", forgetting)
    play = Play("driver", 0, tmp_path)
    play.finish(play.begin())
    row = play.row(1.0)
    assert row.lost == 1
    assert not row.equal


def test_rows_that_are_there_are_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[tuple[str, int]] = []

    def play(kind: str, seed: int) -> Row:
        done.append((kind, seed))
        return Row(kind, seed, 8, True, 100, 0, 1, 1.0)

    monkeypatch.setattr(chaos, "measure", play)
    rows = tmp_path / "rows.jsonl"
    for faults, twice in (("1", 2), ("40", 2), ("252", 3)):  # in all, of each kind 15 at least: runs of eight
        monkeypatch.setattr("sys.argv", ["chaos", "--only", "driver", "--faults", faults, "--rows", str(rows)])
        with pytest.raises(SystemExit, match="0"):
            chaos.main()
        assert done == [("driver", seed) for seed in range(twice)]
    found = measured(rows)
    assert "| driver | 3 | 24 | 3 | 300 | 0 | 0 | 3 |" in capsys.readouterr().out
    assert "| driver | 3 | 24 | 2 | 300 | 1 | 0 | 3 |" in table([replace(found[0], equal=False, lost=1), *found[1:]])
