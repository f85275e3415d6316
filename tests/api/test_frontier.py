"""The frontier of a finished run: what is learned on and measured on, what is refused, and what is written."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from scipy.stats import norm

import rrm
from rrm.api.adversary import adversary, adversary_text
from rrm.api.frontier import METHODS, Measured, _law, _stop, frontier
from rrm.core.errors import InputError
from rrm.core.protocols import Improved
from rrm.core.report import Interval
from rrm.core.values import Request
from rrm.interchange.items import items_from
from rrm.report.frontier import Frontier, Optimised, Stopping, frontier_html, frontier_text, write_frontier
from rrm.store.record import open_store
from tests.scenarios import SMALL

BUDGETS = (0.1, 0.3, 0.7, 1.5)


class Refuses:
    """An optimiser that cannot improve anything."""

    name = "refuses"

    def improve(self, *_: object) -> Improved:
        raise InputError("it does not know how")

    def load(self, *_: object) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("frontier") / "run"
    rrm.run(rrm.run_file({**SMALL, "previous_context": "all"}), place, quiet=True)
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> Frontier:
    methods = ("best of n", "quantilizer", "policy gradient", f"{__name__}:Refuses")
    return frontier(folder, methods, BUDGETS[::-1], most_nodes=8)


def test_what_is_measured_was_not_learned_from(found: Frontier) -> None:
    assert (found.run, found.level, found.learned_on, found.measured_on) == ("small", "leaves", 1, 2)
    assert found.nodes == 8 and found.outputs == 8


def test_the_proxy_rises_with_what_is_spent_and_no_budget_is_exceeded(found: Frontier) -> None:
    assert found.methods == ("best of n", "quantilizer", "policy gradient")
    for method in found.methods:
        points = found.of(method)
        assert [point.budget for point in points] == list(BUDGETS[method == "best of n" :])
        assert all(point.kl <= point.budget + 1e-9 and point.how in ("exact", "bound") for point in points)
        assert points[-1].proxy > points[0].proxy
    assert found.of("best of n")[-1].proxy > found.anchor.proxy + 0.05


def test_gold_is_told_with_its_interval_and_a_law_fitted_to_it(found: Frontier) -> None:
    for point in (found.anchor, *found.points):
        assert point.gold is not None and 0 <= point.gold <= 1
        assert point.gold_interval is not None and point.gold_interval.low <= point.gold <= point.gold_interval.high
    assert set(found.laws) == {"quantilizer", "policy gradient"}  # below the best of 2 there is no best of n


def test_entropy_and_what_is_left_of_the_anchors_modes_are_told_where_they_are_known(found: Frontier) -> None:
    learned = found.of("policy gradient")
    assert found.anchor.covered == 1 and found.anchor.entropy is not None
    for point in learned:
        assert point.entropy is not None and point.entropy > 0
    shares = [point.covered or 0.0 for point in learned]
    assert 1 >= shares[0] > shares[-1] > 0
    assert {point.covered for point in found.of("best of n")} == {None}  # drawn: unknown


def test_a_method_that_cannot_improve_the_policy_is_named_with_its_reason(found: Frontier) -> None:
    assert found.failed["Refuses"] == "it does not know how" and len(found.failed) == 2
    assert found.failed["best of n at 0.1 nats"].startswith("the best of 1 is the anchor itself: the best of 2 takes")
    assert "Refuses: it does not know how" in frontier_text(found)


def test_the_page_and_the_json_are_written_and_the_run_is_left_alone(folder: Path, found: Frontier) -> None:
    told = json.loads((folder / "frontier" / "frontier.json").read_text())
    assert told == json.loads(json.dumps(found.to_json()))
    page = (folder / "frontier" / "frontier.html").read_text()
    assert page == frontier_html(found) and "<svg" in page and page.count("<tr>") == 2 + len(found.points)
    with open_store(folder, "read") as record:
        assert {request.place.round for request in record.load(Request)} == {0}


def test_every_method_by_name_can_be_made_and_tried(folder: Path) -> None:
    tried = frontier(folder, tuple(METHODS), (0.3,), outputs=2, most_nodes=2)
    assert tried.methods == tuple(METHODS) and tried.failed == {}
    assert frontier(folder, ("quantilizer",), (0.3,), level=1, outputs=2, most_nodes=2).level == "level 1"


def test_gold_that_is_not_known_of_a_part_is_told_as_unknown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.synthetic_book.SyntheticBooks.gold", lambda *_: None)
    blind = frontier(folder, ("quantilizer",), (0.3,), outputs=2, most_nodes=2)
    assert [point.gold for point in (blind.anchor, *blind.points)] == [None, None] and blind.laws == {}
    assert "\u2013" in frontier_text(blind)


def test_what_cannot_be_tried_is_refused_in_one_sentence(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no method 'magic': name one of best of n, quantilizer"):
        frontier(folder, ("magic",))
    for budgets in ((), (0.0,), (-1.0,), (float("inf"),)):
        with pytest.raises(InputError, match="budgets are nats above 0"):
            frontier(folder, (), budgets)
    with pytest.raises(InputError, match="questions at level 7 about 0 training sources: two are needed"):
        frontier(folder, (), (0.1,), level=7)


# ---- the adversary ----


def test_the_adversary_of_a_run_finds_what_its_models_differ_about_and_asks_raters(
    folder: Path, tmp_path: Path
) -> None:
    found = adversary(folder, candidates=24, most=5, most_nodes=8, items=tmp_path / "items.jsonl")
    assert (found.run, found.level, found.nodes) == ("small", "leaves", 8) and len(found.suspects) == 5
    spreads = [each.spread for each in found.suspects]
    assert spreads == sorted(spreads, reverse=True) and spreads[-1] > 0
    assert found.gold is not None and 0 <= found.gold <= 1 and found.gold_of_plain is not None
    assert found.excess == pytest.approx(fmean(each.score for each in found.suspects) - found.gold)
    items = list(items_from(tmp_path / "items.jsonl"))
    assert {item.request.kind for item in items} == {"label", "comparison"}
    assert {item.request.shown[0].text for item in items if item.request.kind == "label"} == {
        each.output.text for each in found.suspects
    }
    told = adversary_text(found)
    assert "small, leaves: 5 suspects at 8 nodes" in told and found.suspects[0].output.text in told
    assert json.loads(json.dumps(found.to_json()))["suspects"][0]["text"] == found.suspects[0].output.text


# ---- where role select would stop ----


def optimised(method: str, kl: float, select: float | None) -> Optimised:
    return Optimised(method, kl, kl, "exact", None, None, 0.5, None, 1.0, None, None, select)


def told(method: str, kl: float, judge: bool = True) -> Measured:
    """Outputs at four nodes that differ, moved by d = sqrt(2 KL): with x - x^2 / 4, the peak is at 2 nats."""
    hard = np.array([[0.0], [1.0], [2.0], [5.0]])
    x = norm.ppf((np.arange(200) + 0.5) / 200)[None, :] + (2 * kl) ** 0.5
    scores, accepted = np.broadcast_to(x, (4, 200)) - hard, np.broadcast_to(x - x**2 / 4, (4, 200)) - 3 * hard
    return Measured(optimised(method, kl, None), scores, accepted if judge else None)


def test_a_stop_is_forecast_from_what_role_select_says_above_the_anchor() -> None:
    anchor, points = told("anchor", 0.0), [told("x", kl) for kl in (0.5, 1.5)]
    found = _stop("x", points, anchor)
    assert found is not None and found.kl == pytest.approx(2.0, rel=0.2) and not found.passed
    passed = _stop("x", [*points, told("x", 3.0)], anchor)
    assert passed is not None and passed.passed
    assert _stop("x", [], anchor) is None and _stop("other", points, anchor) is None
    assert _stop("x", points, told("anchor", 0.0, judge=False)) is None
    assert _stop("x", [told("x", 0.3, judge=False)], anchor) is None
    rising = _stop(
        "x", [each._replace(accepted=each.scores) for each in points], anchor._replace(accepted=anchor.scores)
    )
    assert rising == Stopping(None, False)


def test_a_law_that_never_falls_has_no_peak_and_can_be_written(tmp_path: Path, found: Frontier) -> None:
    anchor = replace(optimised("anchor", 0.0, None), gold=0.2)
    points = [replace(optimised("x", kl, None), gold=0.2 + 0.3 * kl**0.5 + 0.1 * kl) for kl in (0.1, 0.3, 0.7, 1.5)]
    law = _law("x", points, anchor)
    assert law is not None and law.peak is None
    rising = replace(found, laws={"x": law})
    write_frontier(rising, tmp_path)
    assert json.loads((tmp_path / "frontier.json").read_text())["laws"]["x"]["peak"] is None
    assert "gold does not fall within 100 nats" in frontier_text(rising)
    unsure = replace(law, beta=0.04, beta_interval=Interval(-0.1, 0.2), peak=8.95)
    text = frontier_text(replace(found, laws={"x": unsure}))
    assert "beta may be 0 (95 % interval -0.100 to 0.200), so that where gold peaks, or whether, is open" in text
    assert "8.95" not in text


def test_a_run_without_that_judge_says_nothing_of_it(found: Frontier) -> None:
    assert found.stops == {} and {point.select for point in (found.anchor, *found.points)} == {None}
    told = frontier_text(replace(found, stops={"quantilizer": Stopping(2.25, True)}))
    assert "by the judge of role select alone, no peak is in sight" in frontier_text(
        replace(found, stops={"quantilizer": Stopping(None, False)})
    )
    assert "quantilizer: by the judge of role select alone, the peak is at 2.25 nats, and has been passed" in told
