"""The dry run's table: what is in it, and that it fits a terminal of eighty columns."""

from copy import deepcopy

import pytest

from rrm.api.forecast import forecast
from rrm.api.runfile import run_file
from rrm.cli.forecast import print_forecast
from tests.scenarios import SMALL


def test_a_dry_run_is_a_table_of_rounds_and_levels_in_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = deepcopy(SMALL) | {"rounds": 2}
    told = forecast(run_file(table))
    print_forecast(told)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "3 training sources, 1 target"
    rows = [line.split() for line in lines[2:12]]
    assert [row[:2] for row in rows[:9]] == [[when, str(at)] for when in ("1", "2", "all") for at in range(3)]
    assert rows[0][2:5] == ["32", "96", "100"]  # nodes, outputs, and ratings where nothing limits them
    assert rows[9][0] == "flat"
    assert any(line.endswith(" minutes of raters") for line in lines)  # a simulation's are no people's
    assert not any("…" in line for line in lines)
