"""The benchmark of previous context: rows tell both ways at equal minutes, and the run without shows none."""

from math import isnan, nan
from typing import Any

import pytest

import benchmarks.context as bench
from benchmarks.carry_cell import Size
from rrm.core.report import Correlation
from rrm.core.values import Request
from rrm.store.record import open_store


def test_the_difference_is_paired_over_targets() -> None:
    shown = [bench.Told(10, 99.0, (0.2, 0.4), (0.1, 0.1), (0.3, 0.5)), bench.Told(12, 100.5, (0.6,), (0.1,), (0.1,))]
    bare = [bench.Told(30, 98.0, (0.3, 0.5), (0.1, 0.4), (0.3, 0.5)), bench.Told(31, 99.0, (0.7,), (0.1,), (0.4,))]
    with_it, without = bench.rows("copied", {True: shown, False: bare})
    assert with_it == "| copied | shown | 22 | 200 | 0.40 | – | 0.10 | 0.300 |"
    assert without == "| copied | not shown | 61 | 197 | 0.50 | +0.10 (+0.10 to +0.10) | 0.20 | 0.400 |"


def test_a_target_without_an_outcome_is_left_out_and_not_taken_for_zero() -> None:
    shown = [bench.Told(10, 99.0, (0.2, 0.4, nan), (0.1, 0.3, nan), (0.3, 0.5, nan))]
    bare = [bench.Told(30, 98.0, (0.3, nan, 0.9), (0.1, nan, 0.3), (0.3, nan, 0.5))]
    with_it, without = bench.rows("copied", {True: shown, False: bare})
    assert with_it == "| copied | shown | 10 | 99 | 0.30 | – | 0.20 | 0.400 |"
    assert without.startswith("| copied | not shown | 30 | 98 | 0.60 | +0.10") and without.endswith("0.20 | 0.400 |")
    assert isnan(bench._rho(None)) and bench._rho(Correlation(None, None, 12)) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("context", [True, False])
def test_a_run_without_it_shows_none(context: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def seen(report: Any, folder: Any) -> None:
        with open_store(folder, "read") as store:
            shown.extend(request.view.context for request in store.load(Request))

    run = bench.rrm.run
    monkeypatch.setattr(
        bench.rrm, "run", lambda file, out, **more: (found := run(file, out, **more), seen(found, out))[0]
    )
    told = bench.measured("copied", 600, 3, Size(2, 1, 1, 2, 4), 60.0, context)
    assert any(shown) == context and told.minutes <= 60 and len(told.composed) == 1
