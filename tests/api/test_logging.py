"""What runs write to their logs, and that importing sets nothing up."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

import rrm
from rrm.core.errors import BudgetError
from tests.toys import LastWords, Stuck, toys


def test_stages_and_stale_ratings_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    improve = {"plugin": LastWords(), "kl_budget": 1.0}
    with caplog.at_level(logging.INFO, logger="rrm"):
        rrm.run(out=tmp_path / "run", quiet=True, **toys(rounds=2, improve=improve))
    lines = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} <= {"rrm.api", "rrm.pipeline", "rrm.store"}
    assert "propose · round 1, level 0: begins, 27 of 27 to do" in lines
    assert "propose · round 1, level 0: ends, 0 left to do" in lines
    # the second round's nodes above the leaves stand on other outputs: all 18 ratings of the first round are stale
    assert "round 2, level 1: 18 of 36 ratings are of views that have changed since, and count 0.5 each" in lines
    assert not [line for line in lines if line.startswith("round 2, level 0")]
    assert lines[-1].startswith("run: finished in ")


def test_an_early_stop_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BudgetError):
        rrm.run(out=tmp_path / "run", quiet=True, **toys(policy={"plugin": Stuck(), "outputs": 4}))
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == "propose · round 1, level 1: stopped early: no calls are left"


def test_importing_sets_no_handler_and_no_level() -> None:
    code = (
        "import logging, rrm.api.runs, rrm.cli.main, rrm.store\n"
        "named = [logging.getLogger(name) for name in ('', 'rrm', 'rrm.api', 'rrm.pipeline', 'rrm.store')]\n"
        "print([each.handlers for each in named], [each.level for each in named[1:]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[], [], [], [], []] [0, 0, 0, 0]"
