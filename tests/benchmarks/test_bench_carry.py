"""The benchmark of what carries to the root: its rows and tables from what cells measured, and a small cell."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.carry_cell import WORLDS, Size, cell, settings
from benchmarks.carry_plot import draw
from benchmarks.carry_table import COLUMNS, difference, lines, summaries, table
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts

NAMED = {
    "world", "words", "minutes", "column", "n", "seed_count", "rho", "rho_low", "rho_high", "rho_within",
    "spent", "gold_of_chosen", "gold_mean", "gold_best", "coverage", "bias", "blame_first", "blame_three",
}  # fmt: skip


def row(column: str, source: str, rho: float | None, **more: Any) -> dict[str, Any]:
    base = {
        "world": "copied", "words": 2000, "seed": 1, "minutes": 250.0, "source": source, "column": column, "rho": rho,
        "rho_within": 0.5, "gold_of_chosen": 0.3, "gold_mean": 0.2, "gold_best": 0.4, "covered": None, "bias": None,
        "blamed": 0, "blame_first": 0, "blame_three": 0, "told": 10, "false": 4, "false_below": 1, "commit": "abc",
        "spent": 249.0,
    }  # fmt: skip
    return {**base, **more}


ROWS = [
    row("composed", "a", 0.9, covered=1.0, bias=0.1, blamed=3, blame_first=1, blame_three=2),
    row("composed", "b", 0.5, covered=0.5, bias=-0.3, blamed=1, blame_first=0, blame_three=0, seed=2),
    row("own", "a", 0.6),
    row("own", "b", 0.4, seed=2),
    row("own", "c", 0.2, seed=2),
    row("verbatim", "a", None),
]


def test_a_summary_has_the_columns_of_the_rule_and_means_over_targets() -> None:
    found = list(summaries(ROWS))
    assert all(each.keys() == NAMED for each in found)
    composed, own, verbatim = found
    assert [each["column"] for each in found] == ["composed", "own", "verbatim"]
    assert (composed["n"], composed["seed_count"], own["n"]) == (2, 2, 3)
    assert composed["rho"] == pytest.approx(0.7) and own["rho"] == pytest.approx(0.4)
    assert 0.5 <= composed["rho_low"] <= 0.7 <= composed["rho_high"] <= 0.9
    assert composed["coverage"] == 0.75 and composed["bias"] == pytest.approx(-0.1)
    assert (composed["blame_first"], composed["blame_three"]) == (0.25, 0.5)
    assert verbatim["rho"] is None and verbatim["blame_first"] is None


def test_differences_are_over_the_targets_that_have_both() -> None:
    found = difference(ROWS, "composed", "own")
    assert found is not None and found[0] == pytest.approx(0.2)  # .3 and .1; c has no composed score
    assert difference(ROWS, "composed", "verbatim") is None


def test_tables_name_the_commit_and_the_share_of_errors_from_below() -> None:
    lines = list(table(ROWS))
    assert lines[0] == "Measured at abc; 1 to 3 targets a row."
    assert any(line.startswith("| copied, 2,000, 250 | .70 (") for line in lines)
    assert lines[-1].endswith("| .75, -.10 | .40, .25 | .25, .50 |")


def test_lines_are_kept_or_not_by_world_and_length_and_a_figure_that_is_not_there_keeps_none() -> None:
    def rows(world: str, words: int, composed: float, **more: Any) -> list[dict[str, Any]]:
        about = {"world": world, "words": words, "minutes": None}
        scored = {"own": 0.5, "flat_equal": 0.8, "verbatim": 0.9, "truth_per_claim": 0.9}
        found = [row(column, at, rho, **about) for column, rho in scored.items() for at in "ab"]
        return [*found, *(row("composed", at, composed, **{"rho_within": 0.6, **about, **more}) for at in "ab")]

    good = rows("copied", 8000, 0.895, covered=0.9, bias=0.05, blamed=100, blame_first=90, blame_three=98)
    poor = rows("reframed", 8000, 0.59, covered=0.98, bias=-0.11, blamed=4, blame_first=1, blame_three=4)
    head, _, *told = lines([*good, *poor])
    assert head == "| line | copied, 8,000 | reframed, 8,000 |"
    verdicts = [["yes" in cell, "**no**" in cell] for line in told for cell in line.split("|")[2:4]]
    expected = {"composed - own": (1, 0), "the same at 4,000": (None, None), "within a tree": (1, 1)}
    for line, pair in zip(told, [verdicts[at : at + 2] for at in range(0, len(verdicts), 2)], strict=True):
        wanted = next((each for name, each in expected.items() if name in line), (1, 0))
        assert pair == [[each == 1, each == 0] for each in wanted], line
    [_, _, _, composed, *_] = lines(rows("copied", 2000, 0.5))
    assert composed.endswith("| (.50) (n 2) |")  # at 2,000 words no line is set
    assert list(lines(rows("copied", 2000, 0.5)))[-1].endswith("| -, -: **no** (n 2) |")


def test_the_picture_has_a_panel_a_world_and_length_with_the_minutes_of_all_questions(tmp_path: Path) -> None:
    everything = [{**each, "minutes": None, "spent": 4311.0, "world": "retold"} for each in ROWS]
    draw(summaries([*ROWS, *everything]), tmp_path / "carry.svg")
    drawn = (tmp_path / "carry.svg").read_text("utf-8")
    for text in ("copied, 2,000 words", "retold, 2,000 words", "4,300", "flat, equal minutes"):
        assert f">{text}<" in drawn


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_is_a_run_with_its_budget(world: str) -> None:
    plan = recursion_of(Parts(settings(world, 600, 1, Size(2, 1, 1, 2, 4), 100.0)))
    assert plan.budget is not None and plan.budget.minutes == 100 and len(plan.train) == 2
    assert recursion_of(Parts(settings(world, 600, 1, Size(2, 1, 1, 2, 4), None))).budget is None


@pytest.mark.slow
def test_a_cell_measures_all_that_it_can_and_goes_on_from_its_folder(tmp_path: Path) -> None:
    def measured() -> list[Any]:
        by_budget = cell("reframed", 600, 3, Size(2, 1, 1, 2, 4), [60.0, None], tmp_path)
        return [dict(row) for rows in by_budget for row in rows]

    rows = measured()
    assert measured() == rows
    assert {each["column"] for each in rows} == set(COLUMNS)
    assert {each["column"] for each in rows if each["minutes"] == 60.0} == set(COLUMNS) - {"flat_unlimited"}
    assert all(each["spent"] <= 60 for each in rows if each["minutes"] == 60.0)
    for each in rows:
        assert -1 <= each["rho"] <= 1 and each["gold_mean"] <= each["gold_best"]
        assert each["false_below"] <= each["false"] <= each["told"]
        assert (each["covered"] is None) == (
            each["column"] in {"verbatim", "source_free_importance", "oracle_raters", "truth_per_claim"}
        )
