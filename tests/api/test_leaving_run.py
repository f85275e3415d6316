"""Runs that leave a target's choice to a person: what is had, what the report says, and what exports carry."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.look import export
from rrm.ask import Value
from rrm.core.asking import LEFT, Asked, Asking, Belief, Chosen
from rrm.core.errors import AssistantError, PluginError
from rrm.core.report import Report
from rrm.core.values import Feedback, Label, Ranking, Request
from rrm.interchange.rows import read_rows
from rrm.report.record import report_from_json, report_to_json
from tests.api.test_asking_about_targets import TARGET
from tests.api.test_asking_run import Believing
from tests.toys import TEXTS, Longer, Texts, toys


class Shortest(Longer):
    """Takes the shortest text where the choice is left to it, and else the longer one of two; it is a simulation."""

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind != "ranking":
            return super().rate(request, seed)
        order = np.argsort([len(shown.text) for shown in request.shown]).tolist()
        return Feedback(request.id, "tester", Ranking(tuple(order[:1])), seconds=60.0)

    def probability(self, request: Request) -> np.ndarray:
        given = self.rate(request, 0).answer
        return np.array([float(given.good) if isinstance(given, Label) else float(given.first == 0)])


class Longest(Shortest):
    """Takes the longest."""

    def rate(self, request: Request, seed: int) -> Feedback:
        given = super().rate(request, seed)
        if not isinstance(given.answer, Ranking):
            return given
        return replace(given, answer=Ranking((int(np.argmax([len(shown.text) for shown in request.shown])),)))


class Shy(Shortest):
    """Skips what is left to it."""

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind == "ranking":
            raise AssistantError("too long to read")
        return super().rate(request, seed)


class Eager(Value):
    """Leaves every choice that it can, whatever that is worth."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        left = [each for each in asking.questions if each.leaves] if asking.minutes and asking.many != 0 else []
        asked = [Asked(each.request.id, LEFT, asking.pool, 1.0, 0.01, 99, 5.0) for each in left]
        return found._replace(asked=(*asked, *(each for each in found.asked if each.stream != LEFT)))


def ran(out: Path, rater: Any = None, **sampler: Any) -> Report:
    target = sampler.pop("target", {"plugin": Texts([TARGET])})
    parts: dict[str, Any] = toys(reward={"plugin": Believing()}, rounds=2, target=target)
    made = sampler.pop("made", None) or Eager(waves=2, leave=True, **sampler)
    parts["rater"] = {
        **parts["rater"], "plugin": rater or Shortest(), "sampler": made, "per_node": {"label": 4, "comparison": 1},
        "budget": {"questions": 120},
    }  # fmt: skip
    return rrm.run(out=out, quiet=True, **parts)


def test_what_a_person_took_is_had_and_the_report_says_so_from_the_record_too(tmp_path: Path) -> None:
    report = ran(tmp_path)
    assert report.asking is not None and report.asking.left is not None
    [left], [target] = report.asking.left, report.targets
    assert target.chosen is not None and len(target.chosen.text.split()) == 1
    assert left.taken and left.changed and left.title == target.title
    assert (left.gain, left.minutes) == (pytest.approx(0.05), 5.0)  # .01 a minute of five, of the one target
    assert left.gold is not None and left.gold[0] == target.gold_of_chosen == pytest.approx(1 / 20)
    assert left.gold[0] < left.gold[1]
    assert left.accepted is not None and left.accepted[0] <= left.accepted[1]
    assert report.asking.targets is None and report.cost.targets is not None and report.cost.targets.ratings == 1
    words = len(TEXTS[TARGET].split()) + sum(len(each.text.split()) for each in target.trees[0].nodes[0].candidates)
    assert report.cost.targets.minutes == pytest.approx(words / 250 + 0.2)
    put = report.asking.by_value + report.asking.at_random + report.asking.evenly
    assert sum(row.questions for row in report.asking.streams) == put  # the choice is in neither
    page = (tmp_path / "report.html").read_text()
    assert "1 choice was left so" in page and "another" in page
    assert report_from_json(report_to_json(report)) == report
    again = ran(tmp_path)
    assert (again.asking, again.targets) == (report.asking, report.targets)
    export(tmp_path, "jsonl", tmp_path / "rows.jsonl")
    told = [row for _, row in read_rows(tmp_path / "rows.jsonl") if row["request"]["kind"] == "ranking"]
    assert [row["asked"]["stream"] for row in told] == [LEFT]


def test_no_model_and_no_figure_learns_of_it(tmp_path: Path) -> None:
    one, other = ran(tmp_path / "shortest"), ran(tmp_path / "longest", rater=Longest())
    assert one.levels == other.levels and one.ratings == other.ratings
    first, second = one.targets[0], other.targets[0]
    assert first.trees == second.trees and first.chosen is not None and second.chosen is not None
    assert len(first.chosen.text.split()) == 1 < len(second.chosen.text.split())


def test_who_skips_leaves_the_choice_where_it_was(tmp_path: Path) -> None:
    report = ran(tmp_path, rater=Shy())
    assert report.asking is not None and report.asking.left is not None
    [left], [target] = report.asking.left, report.targets
    assert not left.taken and not left.changed and left.gold is None and left.accepted is None
    assert target.chosen is not None and len(target.chosen.text.split()) > 1
    assert "skipped" in (tmp_path / "report.html").read_text()


def test_where_no_choice_may_be_left_none_is(tmp_path: Path) -> None:
    report = ran(tmp_path, made=Value(waves=2))
    assert report.asking is not None and report.asking.left is None
    assert "Choices left to a person" not in (tmp_path / "report.html").read_text()


class OfOne(Eager):
    """Leaves the choice of one target alone, and believes that of each the output of the lowest score is best."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        source = {each.request.id: each.request.source for each in asking.questions if each.leaves}
        asked = [each for each in found.asked if each.stream != LEFT or source[each.request] == min(source.values())]
        asked = [] if any(each.left for each in asking.targets) else asked
        worst = tuple(each.outputs[int(np.argmin(each.scores))] for each in asking.targets)
        return Chosen(tuple(asked), replace(found.outlook, best=worst))


def test_what_is_had_of_other_targets_goes_by_composed_scores_as_where_none_was_left(tmp_path: Path) -> None:
    other = next(each for each in reversed(TEXTS) if each != TARGET)
    report = ran(tmp_path, made=OfOne(waves=2, leave=True), target={"plugin": Texts([TARGET, other])})
    assert report.asking is not None and report.asking.left is not None
    [left] = report.asking.left
    for target in report.targets:
        composed = {each.text: each.composed or 0.0 for tree in target.trees for each in tree.nodes[0].candidates}
        assert target.chosen is not None
        best = composed[target.chosen.text] == max(composed.values())
        assert best == (target.title != left.title)
        if not best:  # the other one is what would stand had nobody been left to choose
            known = {each.text: each for tree in target.trees for each in tree.nodes[0].candidates}
            instead = known[max(composed, key=lambda text: composed[text])]
            assert left.changed and left.gold is not None and left.gold[1] == instead.gold


class Silent(Eager):
    """Asks nothing about targets but to leave their choice."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        about = {each.request.id for each in asking.questions if each.of_target and not each.leaves}
        found = super().choose(belief, asking)
        return found._replace(asked=tuple(each for each in found.asked if each.request not in about))


def test_what_a_person_took_is_no_effect_of_questions_about_targets(tmp_path: Path) -> None:
    asking = ran(tmp_path, made=Silent(waves=2, leave=True, targets=True)).asking
    assert asking is not None and asking.targets is not None and asking.left is not None
    assert (asking.targets.questions, asking.targets.changed, asking.targets.choices) == (0, 0, ())
    assert [each.changed for each in asking.left] == [True]
    both = ran(tmp_path / "both", targets=True).asking
    assert both is not None and both.targets is not None and both.left is not None
    told = next((each for each in both.targets.choices if each.by == "with"), None)
    assert told is None or (both.left[0].gold is not None and told.gold == both.left[0].gold[1] != both.left[0].gold[0])


class Mistaken(Eager):
    """Says of all that it puts that it is left to a person."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        return found._replace(asked=tuple(replace(each, stream=LEFT) for each in found.asked))


def test_a_sampler_that_leaves_what_is_no_choice_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="must say 'left' as the stream of choices that it leaves to a person"):
        ran(tmp_path, made=Mistaken(waves=2, leave=True))
