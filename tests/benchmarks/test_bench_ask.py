"""The benchmark of asking: its worlds, its curves, and the rows that it writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ask


def test_a_curve_s_figures_by_hand() -> None:
    curve = ask.Curve(np.array([0.0, 10.0, 60.0]), np.array([0.0, 0.5, 0.96]), oracle=2.0, covered=0.9)
    assert curve.regret_minutes() == pytest.approx(2.0 * (10 * 1 + 50 * 0.5 + 50 * 0.04))
    assert curve.until_enough() == 60.0
    assert curve._replace(share=np.array([0.0, 0.5, 0.9])).until_enough() == ask.MOST


def test_all_ways_play_the_same_world_and_learn() -> None:
    world = ask.linear(3)
    again = ask.linear(3)
    np.testing.assert_array_equal(world.truth, again.truth)
    for name in ("random", "value"):
        curve = ask.play(world, ask.WAYS[name], 3)
        assert curve.share.max() >= ask.ENOUGH and curve.minutes[-1] >= ask.HORIZON


def test_no_question_of_a_finite_pool_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "FINITE", 12)
    curve = ask.play(ask.linear(4, finite=True), ask.WAYS["value"], 4)
    assert len(curve.minutes) == 13


def test_rows_are_written_for_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["ask", "--seeds", "1,2", "--only", "exchangeable", "--json", str(tmp_path / "r")])
    ask.main()
    rows = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert {row["part"] for row in rows} == {"exchangeable"}
    assert set(rows[0]) == {"part", "name", "value", "low", "high", "pass_line", "passed"}
    assert [row["passed"] for row in rows if row["pass_line"]] != []


def test_what_is_found_of_raters_tells_those_who_are_noisier_than_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "RATED", 240)
    monkeypatch.setattr(ask, "RATERS", (0.25, 1.0, 4.0))
    for found_by, choice in ((ask._noises, False), (ask._slopes, True), (ask._temperatures, True)):
        found = found_by(ask.linear(3, choice=choice), "value", 3)
        assert (np.diff(found) > 0).all() and found[2] > 5 * found[0]
