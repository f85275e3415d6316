"""Two runs side by side, matched by level and source, with their differences."""

import json
from dataclasses import replace

import pytest

from rrm.core.report import Interval, Report
from rrm.report.compare import compare_json, compare_text


@pytest.fixture
def better(report: Report) -> Report:
    """Another run of the same targets: leaves better, one level and one target less, no flat baseline."""
    leaves = replace(report.levels[0], accuracy=0.84, interval=Interval(0.835, 0.85), noise_ceiling=None)
    cost = replace(report.cost, calls=32)
    return replace(
        report,
        name="better",
        levels=(leaves, report.levels[1]),
        flat=None,
        targets=report.targets[:1],
        cost=cost,
        seconds=1300.4,
    )


def test_differences_are_the_second_less_the_first(report: Report, better: Report) -> None:
    found = compare_json(report, better)
    leaves = found["levels"][0]
    assert leaves["accuracy"] == {"first": 0.79, "second": 0.84, "difference": pytest.approx(0.05)}
    assert leaves["noise_ceiling"] == {"first": 0.88, "second": None, "difference": None}
    assert found["cost"]["calls"] == {"first": 132, "second": 32, "difference": -100}
    assert found["cost"]["minutes"] == {"first": 1060.75, "second": 1060.75, "difference": 0}
    assert found["cost"]["flat_tokens_shown"]["first"] == 19_870_000
    assert found["run"]["seconds"]["difference"] == pytest.approx(-12)
    assert json.loads(json.dumps(found)) == found


def test_levels_and_targets_that_only_one_run_has_stand_alone(report: Report, better: Report) -> None:
    found = compare_json(report, better)
    assert [each["level"] for each in found["levels"]] == ["0", "1", "2", "flat"]
    assert found["levels"][3]["accuracy"] == {"first": 0.61, "second": None, "difference": None}
    assert [each["title"] for each in found["targets"]] == ["The Mill at Penrose", "Sylvie and Bruno"]
    assert found["targets"][1]["score"]["second"] is None
    turned = compare_json(better, report)
    assert turned["targets"][1]["score"]["first"] is None


def test_targets_are_matched_by_source_not_by_place(report: Report) -> None:
    turned = replace(report, targets=report.targets[::-1])
    found = compare_json(report, turned)
    assert [each["score"]["difference"] for each in found["targets"]] == [0, 0]


def test_roots_gold_and_correlations_are_compared(report: Report, better: Report) -> None:
    target = compare_json(report, better)["targets"][0]
    chosen = report.targets[0].chosen
    assert chosen is not None
    assert target["score"]["first"] == chosen.composed
    assert target["gold_of_chosen"]["first"] == report.targets[0].gold_of_chosen
    assert target["rank_correlation"]["difference"] == 0
    assert target["flat_rank_correlation"]["first"] == 0.34


def test_the_text_lines_up_and_says_whether_intervals_overlap(report: Report, better: Report) -> None:
    text = compare_text(report, better)
    assert "first:  two books, three levels" in text and "second: better" in text
    line = next(each for each in text.splitlines() if each.strip().startswith("accuracy"))
    assert line.split() == ["accuracy", "0.790", "0.840", "+0.050"]
    assert "95 % intervals of accuracy do not overlap: 0.753 to 0.827 and 0.835 to 0.850" in text
    assert "95 % intervals of accuracy overlap: " in text
    calls = next(each for each in text.splitlines() if each.strip().startswith("calls"))
    assert calls.split() == ["calls", "132", "32", "-100"]
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_compared_with_itself_differs_in_nothing(report: Report) -> None:
    found = compare_json(report, report)
    figures = [each for each in found["levels"][0].values() if isinstance(each, dict)]
    assert {each["difference"] for each in figures} <= {0, None}
    assert "+0" not in compare_text(report, report)


def test_names_cannot_steer_the_terminal(report: Report) -> None:
    hostile = replace(report, name="\x1b[2J\x07gone", targets=(replace(report.targets[0], title="\x1b[31mred\nline"),))
    text = compare_text(hostile, hostile)
    assert "\x1b" not in text and "\x07" not in text
    assert "red line" in text and "gone" in text
