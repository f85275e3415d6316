"""Some days of a study, played over HTTP with a clock of ours; `python -m benchmarks.three_weeks` plays all of it."""

from pathlib import Path

import pytest

from benchmarks.three_weeks import QUICK, play


@pytest.mark.slow
def test_days_with_kills_lose_and_double_nothing_and_the_pay_report_adds_up(tmp_path: Path) -> None:
    told = play(QUICK, tmp_path)
    assert told["faults"] == []
    assert told["kills of the server"] == QUICK.kills
    assert told["raters who joined"] == QUICK.raters
    assert set(told["endings"]) >= {"complete", "screened_out"}
    assert told["guidelines read"] > told["versions of the guidelines"]
    assert min(told[what] for what in ("log-outs", "devices", "sessions that had ended", "skips")) > 0
