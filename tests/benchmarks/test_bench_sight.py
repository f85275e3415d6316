"""The benchmark of learners who are wrong about what raters believe."""

import pytest

from benchmarks.sight import measure


def test_a_wrong_belief_costs_and_the_kernel_stays_open() -> None:
    rows = {(row.peeked, row.wrong): row for row in measure(12, 1)}
    assert rows[8, 0.0].regret == pytest.approx(0, abs=1e-6) and rows[8, 0.0].left_open == 0
    assert rows[0, 0.0].left_open == 3  # eight worlds, four contrasts of what is shown, and the constant
    assert rows[0, 0.0].regret < rows[0, 0.4].regret and rows[8, 0.0].regret < rows[8, None].regret
