"""Figures show the report's numbers, leave matplotlib as it was, and can stand beside each other in a page."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import pytest

from rrm.core.report import Bin, Candidate, Figures, Interval, LevelReport, NodeReport, Report, TreeReport
from rrm.report.plots import (
    Scale,
    accuracy_plot,
    gold_plot,
    interval_svg,
    reliability_figure,
    reliability_plot,
    rounds_plot,
    shade,
    tree_plot,
)
from tests.report.report_scenarios import make_level, make_target, make_tree

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> str:
    return " ".join("".join(each.itertext()) for each in ET.fromstring(svg).iter(f"{SVG}text"))


def node(name: str, children: tuple[str, ...] = (), score: float | None = 0.5, **known: str) -> NodeReport:
    candidates = () if score is None else (Candidate(f"c{name}", "text", composed=score),)
    return NodeReport(name, 0, 0, known.get("title", name), children, "", candidates, known.get("failure"))


def boxes(svg: str) -> list[tuple[float, float, float]]:
    found = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', svg)
    return [(float(x), float(y), float(width)) for x, y, width in found]


def test_figures_are_well_formed_and_share_no_id(report: Report) -> None:
    levels = [*report.levels, report.flat] if report.flat else list(report.levels)
    drawn = [accuracy_plot(levels, 2), reliability_plot(levels, 2), gold_plot(report.targets[0], "gold-0")]
    drawn.append(gold_plot(report.targets[0], "gold-1"))
    ids: list[str] = []
    for each in drawn:
        assert each is not None
        root = ET.fromstring(each)
        found = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        linked = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", each))
        assert linked <= set(found)
        ids += found
    assert len(ids) == len(set(ids))


def test_figures_are_the_same_each_time_and_bear_no_date(report: Report) -> None:
    first, second = (accuracy_plot(report.levels, 2) for _ in range(2))
    assert first == second and first is not None
    assert "metadata" not in first and "<!--" not in first and not re.search(r"20\d\d-\d\d", first)


def test_drawing_leaves_matplotlibs_settings_as_they_were(report: Report) -> None:
    before = dict(matplotlib.rcParams)
    accuracy_plot(report.levels, 2)
    reliability_plot(report.levels, 2)
    assert dict(matplotlib.rcParams) == before


def test_importing_the_figures_loads_no_pyplot_and_no_torch() -> None:
    unwanted = "'matplotlib.pyplot', 'torch', 'transformers'"
    code = "import sys, rrm.evaluate.steepness, rrm.report.html; "
    code += f"print([each for each in ({unwanted}) if each in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_what_draws_nothing_loads_no_figures() -> None:
    code = "import sys, rrm.api.look, rrm.api.runs, rrm.viewer.outline; print('matplotlib' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_colours_follow_the_page(report: Report) -> None:
    drawn = accuracy_plot(report.levels, 2)
    assert drawn is not None
    assert "var(--ink, #1c2126)" in drawn and "var(--blue, #0072b2)" in drawn
    assert "#ffffff" not in drawn


def test_the_accuracy_figure_names_levels_rows_and_marks(report: Report) -> None:
    drawn = accuracy_plot(report.levels, 2)
    assert drawn is not None
    said = texts(drawn)
    for each in ("leaves", "level 1", "root", "480 pairs", "noise ceiling", "longer wins", "bag of words", "chance"):
        assert each in said


def test_a_mark_stands_where_its_number_is() -> None:
    level = make_level(0, 100, 0.75, longer_wins=None, bag_of_words=None, noise_ceiling=None)
    drawn = accuracy_plot([level], 0)
    assert drawn is not None
    ticks = {
        "".join(found.itertext()): float(found.attrib.get("x", 0) or found.attrib["transform"].split("(")[1].split()[0])
        for found in ET.fromstring(drawn).iter(f"{SVG}text")
    }
    uses = [float(each.attrib["x"]) for each in ET.fromstring(drawn).iter(f"{SVG}use") if "0072b2" in str(each.attrib)]
    expected = (ticks["0.7"] + ticks["0.8"]) / 2
    assert any(x == pytest.approx(expected, abs=0.6) for x in uses)


def test_every_mark_of_the_accuracy_figure_can_be_seen() -> None:
    level = make_level(0, 100, 0.75, longer_wins=0.55, bag_of_words=0.6, noise_ceiling=0.9, verbatim=0.65)
    drawn = accuracy_plot([replace(level, best_possible=0.95)], 0)
    assert drawn is not None
    strokes = re.findall(r'<path id="[^"]+" d="M[^"]*"(?: style="([^"]*)")?/>', drawn.replace("\n", " "))
    lines = [each for each in strokes if "stroke: var(--orange" in each]  # the cross alone is a line without an inside
    assert lines and all("stroke-width: 2" in each for each in lines)


def test_gold_and_acceptance_are_drawn_by_round(report: Report) -> None:
    drawn = rounds_plot(report.rounds, 2)
    assert drawn is not None
    for each in ("leaves", "level 1", "root", "gold", "acceptance (proxy; each round by its own models)", "round"):
        assert each in texts(drawn)
    assert rounds_plot(report.rounds[:1], 2) is None


def test_levels_without_figures_draw_nothing() -> None:
    empty = LevelReport(0, 10, 0)
    assert accuracy_plot([empty], 0) is None
    assert reliability_plot([empty], 0) is None
    assert accuracy_plot([], 0) is None


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 5, 7])
def test_calibration_has_a_panel_a_level_with_its_error(panels: int) -> None:
    drawn = reliability_plot([make_level(level, 100, 0.7, ece=0.01 * level) for level in range(panels)], panels - 1)
    assert drawn is not None
    assert [f"ECE {0.01 * level:.3f}" in texts(drawn) for level in range(panels)] == [True] * panels


def test_gold_is_drawn_against_both_scores_with_their_correlations(report: Report) -> None:
    drawn = gold_plot(report.targets[0])
    assert drawn is not None
    said = texts(drawn)
    for each in (
        "composed: rank correlation",
        "+0.87 (+0.74 to +0.94)",
        "+0.71",
        "gold: true quality",
        "chosen",
        "tree 3",
    ):
        assert each in said
    assert drawn.count("<use") >= 2 * 32


def test_without_gold_nothing_is_drawn_against_it(report: Report) -> None:
    assert gold_plot(report.targets[1]) is None
    alone = make_target("One", (make_tree(0, (2,), gold=True, roots=1),), gold=True)
    assert gold_plot(alone) is None


def test_an_undefined_correlation_is_called_that() -> None:
    target = replace(make_target("X", (make_tree(0, (2,), gold=True),), gold=True), composed_correlation=None)
    drawn = gold_plot(target)
    assert drawn is not None and "undefined" in texts(drawn)


def test_the_interval_is_drawn_to_scale_and_kept_on_the_line() -> None:
    drawn = interval_svg(0.5, Interval(0.25, 0.75))
    assert 'x="105.0"' in drawn and 'width="190.0"' in drawn and 'x1="200.0"' in drawn
    outside = interval_svg(1.2, Interval(-0.5, 1.5))
    assert 'x="10.0"' in outside and 'width="380.0"' in outside and 'x1="390.0"' in outside
    ET.fromstring(interval_svg(0.5, None))


def test_each_part_stands_under_its_parent_as_wide_as_its_share_of_the_leaves() -> None:
    nodes = (node("r", ("a", "b")), node("a", ("1", "2", "3")), node("b"), *(node(n) for n in "123"))
    drawn = tree_plot(TreeReport(0, "r", nodes), {})
    assert drawn is not None
    found = boxes(drawn.svg)
    assert [round(width + 1.5) for _, _, width in found] == [1000, 750, 250, 250, 250, 250]
    assert [y for _, y, _ in found] == [1, 41, 41, 81, 81, 81]
    assert [round(x - 0.5) for x, _, _ in found] == [0, 0, 750, 0, 250, 500]


def test_a_shared_part_is_drawn_once() -> None:
    nodes = (node("r", ("a", "b")), node("a", ("s",)), node("b", ("s",)), node("s"))
    drawn = tree_plot(TreeReport(0, "r", nodes), {})
    assert drawn is not None and len(boxes(drawn.svg)) == 4


def test_colours_run_from_the_lowest_to_the_highest_score_in_tenths() -> None:
    nodes = (node("r", ("a", "b"), 0.55), node("a", score=0.42), node("b", score=0.71))
    drawn = tree_plot(TreeReport(0, "r", nodes), {})
    assert drawn is not None
    assert list(drawn.scale) == pytest.approx([0.4, 0.8])
    assert shade(0.4, drawn.scale) == "#cc550a" and shade(0.8, drawn.scale) == "#0062aa"
    assert shade(0.5, Scale(0.5, 0.5)) == shade(0.6, Scale(0.4, 0.8))


def test_failed_and_unscored_nodes_are_told_apart() -> None:
    nodes = (node("r", ("a", "b"), 0.5), node("a", score=None, failure="gone"), node("b", score=None))
    drawn = tree_plot(TreeReport(0, "r", nodes), {})
    assert drawn is not None
    assert drawn.svg.count('class="failed"') == 1 and drawn.svg.count('class="unscored"') == 1


def test_a_tree_without_any_score_is_not_drawn() -> None:
    assert tree_plot(TreeReport(0, "r", (node("r", score=None),)), {}) is None
    assert tree_plot(TreeReport(0, "missing", (node("r"),)), {}) is None


def test_titles_are_escaped_and_boxes_lead_to_their_nodes() -> None:
    nodes = (node("r", title="<script>\"'&"),)
    drawn = tree_plot(TreeReport(0, "r", nodes), {"r": "node-0-0"})
    assert drawn is not None
    assert "<script" not in drawn.svg and 'href="#node-0-0"' in drawn.svg
    root = ET.fromstring(str(drawn.svg).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))
    title = next(root.iter(f"{SVG}title"))
    assert title.text == "level 0: score 0.50: <script>\"'&"


def test_ten_thousand_leaves_are_joined_where_they_are_too_thin_to_see() -> None:
    leaves = tuple(node(str(n), score=0.3 + 0.4 * (n % 2)) for n in range(10_000))
    drawn = tree_plot(TreeReport(0, "r", (node("r", tuple(str(n) for n in range(10_000))), *leaves)), {})
    assert drawn is not None
    found = boxes(drawn.svg)
    assert len(found) < 600
    assert sum(width for _, y, width in found if y > 1) == pytest.approx(1000, abs=5)
    assert "mean score 0.50" in drawn.svg


def test_one_models_calibration_is_a_figure_of_its_own() -> None:
    bins = (Bin(0.6, 0.55, 40), Bin(0.9, 0.8, 40))
    drawn = reliability_figure(Figures(80, ece=0.075, ece_interval=Interval(0.01, 0.12), reliability=bins), "held out")
    assert drawn is not None and "held out" in texts(drawn) and "ECE 0.075 (0.010–0.120)" in texts(drawn)
    assert ET.fromstring(drawn).tag == f"{SVG}svg"
    assert reliability_figure(Figures(0), "held out") is None


def test_a_reliability_figure_of_its_own_needs_no_page_for_its_colours() -> None:
    bins = (Bin(0.6, 0.55, 40), Bin(0.8, 0.85, 40))
    drawn = reliability_figure(Figures(80, ece=0.05, reliability=bins), "80 comparisons")
    assert drawn is not None
    assert "var(" not in drawn
    assert "#0072b2" in drawn
