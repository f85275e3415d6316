"""Asking for people's own judgements: learning on a known world, its table, and going on where it was."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import ask_rows
from benchmarks.ask_rows import Pairs, Row, lines, main, play


def world(count: int, seed: int) -> Pairs:
    """Preferences by three of eight features."""
    rng = np.random.default_rng(seed)
    along = rng.normal(size=(count, 8))
    logit = along @ np.r_[3.0, -2.0, 1.0, np.zeros(5)]
    return Pairs(along, rng.random(count) < 1 / (1 + np.exp(-logit)), np.full(count, 0.5))


@pytest.mark.parametrize("way", ask_rows.WAYS)
def test_every_way_learns_within_its_minutes_and_asks_each_pair_once(way: str) -> None:
    train, validation = world(120, 1), world(200, 2)
    rows = play("made up", train, validation, 0, way)
    assert [row.minutes for row in rows] == list(ask_rows.MINUTES)
    assert [row.questions for row in rows] == [50, 100, 120]
    assert rows[-1].accuracy > 0.8
    assert rows == play("made up", train, validation, 0, way) != play("made up", train, validation, 1, way)


def test_the_table_has_means_over_orders_beside_what_random_has() -> None:
    rows = [
        Row("made up", order, way, minutes, 0.5 + 0.1 * (way == "value") + 0.02 * order, 10 + order)
        for order in range(2)
        for way in ask_rows.WAYS
        for minutes in ask_rows.MINUTES
    ]
    told = lines(rows)
    assert told[0] == "| made up | random | 25 | 10 | 0.510 (0.010) |  |  |"
    assert told[2] == "| made up | value | 25 | 10 | 0.610 (0.010) | -0.100 (-0.100 to -0.100) | yes |"


def test_what_was_played_is_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads = []
    monkeypatch.setattr(ask_rows, "MINUTES", (5.0,))
    monkeypatch.setattr(ask_rows, "read", lambda name: reads.append(name) or (world(40, 1), world(20, 2)))
    arguments = ["--quick", "--set", "summeval", "--json", str(tmp_path / "rows.jsonl")]
    main(arguments)
    first = capsys.readouterr().out
    main(arguments)
    assert reads == ["summeval"] and capsys.readouterr().out == first
