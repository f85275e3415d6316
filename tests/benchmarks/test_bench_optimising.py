"""The benchmark of optimising: its worlds, marks and votes by hand, and rows as others read them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import optimising
from benchmarks.optimising import Measured, World
from benchmarks.rows import Row
from rrm.policy.ledger import best_of_each, expected_greatest


def test_what_the_best_of_n_gains_in_a_world_is_exact() -> None:
    world = World(np.array([0, 1]), np.array([0.25, 0.75]), np.array([0.2, 0.4]), np.array([0.9, 0.5]))
    by_hand = 0.25 * 0.2 * 0.9 * expected_greatest(4) + 0.75 * 0.4 * 0.5 * expected_greatest(2)
    assert world.gain([4, 2]) == pytest.approx(by_hand) and world.gain([1, 1]) == pytest.approx(0, abs=1e-9)


def test_a_world_whose_nodes_differ_gains_from_allotment() -> None:
    world = World.drawn(0, 0.8)
    plain = world.gain([4] * len(world.level))
    assert world.gain(best_of_each(world.worth(0), 4)) > 1.1 * plain


def test_forecasts_are_marked_by_hand() -> None:
    right: dict[str, list[tuple[bool, bool]]] = {}
    truth = [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (3.0, 0.96), (4.0, 0.5)]
    for at in (2.0, 2.4, 3.0, 4.0):
        optimising._mark(right, "name", truth, at)
    assert right["name"] == [(True, True), (True, True), (False, True), (False, False)]
    optimising._mark(right, "rises", [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0)], 12.0)
    assert right["rises"] == [(True, True)]  # the peak lies beyond what is known


def test_a_majority_is_counted_with_every_rule_turned_the_way_it_is_told_to_be() -> None:
    right = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1]])
    assert optimising._majority(right, [0.9, 0.1, 0.1]) == pytest.approx(2 / 3)


def test_entropies_are_compared_at_equal_gold() -> None:
    def way(*points: tuple[float, float]) -> list[list[Measured]]:
        return [[Measured(gold, 0.0, 0.0, entropy)] * 2 for gold, entropy in points]

    first, second = way((0.5, 2.0), (0.9, 9.0)), way((0.4, 1.0), (0.6, 3.0))
    [row] = optimising._entropy_at_equal_gold(first, second, "another")
    assert row.value == pytest.approx(1.0) and row.passed is False and row.pass_line == ">= 1.2"


def test_the_command_writes_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"holdout": lambda quick, seeds: [Row("holdout", "x", 1.0 + seeds, n=2)]}
    monkeypatch.setattr(optimising, "PARTS", parts)
    file = tmp_path / "rows.jsonl"
    monkeypatch.setattr(
        sys, "argv", ["optimising", "--only", "holdout", "--quick", "--seeds", "3", "--json", str(file)]
    )
    optimising.main()
    [row] = [json.loads(line) for line in file.read_text().splitlines()]
    assert list(row) == ["part", "name", "value", "low", "high", "n", "pass_line", "passed"] and row["value"] == 4.0
    monkeypatch.setattr(sys, "argv", ["optimising", "--only", "dancing"])
    with pytest.raises(SystemExit):
        optimising.main()
