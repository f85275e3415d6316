"""Runs that ask about targets themselves: what is chosen because of it, what stays, and what the report says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.ask import Value
from rrm.core.asking import AT_RANDOM, Asking, Belief, Chosen
from rrm.core.errors import PluginError
from rrm.core.protocols import RewardModel
from rrm.core.report import Report
from rrm.core.roles import R, Ratings
from rrm.core.values import Feedback, Group, Label, Request
from rrm.report.record import report_from_json, report_to_json
from tests.api.test_asking_run import Believing, LengthBelief
from tests.toys import TEXTS, Longer, Texts, toys

TARGET = "target"


class ToldBelief(LengthBelief):
    """Takes longer outputs for better, and what raters accepted or not for that much better or worse."""

    def __init__(self, labels: Mapping[str, bool]) -> None:
        super().__init__(len(labels))
        self.labels = labels

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        texts = [text for group in groups for text in group.outputs]
        told = np.array([0.0 if text not in self.labels else 2 * self.labels[text] - 1 for text in texts])
        return super().means(groups) + 4.0 * told


class Told(Believing):
    name = "told lengths"

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Belief:
        rows = [row for each in ratings for row in each.rows]
        return ToldBelief({row.request.shown[0].text: row.feedback.answer.good for row in rows if _label(row.feedback)})


def _label(given: Feedback) -> bool:
    return isinstance(given.answer, Label)


class OfTargets(Longer):
    """Accepts outputs of targets that have two words and no others."""

    def rate(self, request: Request, seed: int) -> Feedback:
        given = super().rate(request, seed)
        words = request.shown[0].text.split()
        return replace(given, answer=Label(len(words) == 2)) if f"{words[0]}." in TEXTS[TARGET] else given


class Simulated(OfTargets):
    """The same as a simulation, whose probabilities are known."""

    def probability(self, request: Request) -> np.ndarray:
        given = self.rate(request, 0).answer
        return np.array([float(given.good) if isinstance(given, Label) else float(given.better == 0)])


class Once(Value):
    """Asks in one wave, so that no answer about a target picks another question."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        return super().choose(belief, replace(asking, minutes=0.0, many=0) if asking.wave else asking)


def ran(out: Path, targets: bool = True, rater: Any = None, sampler: Any = None) -> Report:
    parts: dict[str, Any] = toys(reward={"plugin": Told()}, rounds=2, target={"plugin": Texts([TARGET])})
    chosen = {"plugin": rater or Simulated(), "sampler": sampler or Once(waves=1, targets=targets)}
    parts["rater"] = {**parts["rater"], **chosen, "per_node": {"label": 4}, "budget": {"questions": 120}}
    return rrm.run(out=out, quiet=True, **parts)


def test_answers_about_a_target_change_what_is_chosen_of_it_and_the_report_says_so(tmp_path: Path) -> None:
    report = ran(tmp_path)
    assert report.asking is not None and report.asking.targets is not None
    told, [target] = report.asking.targets, report.targets
    assert told.questions == told.answers > 4 and (told.changed, told.targets) == (1, 1)
    assert target.chosen is not None and len(target.chosen.text.split()) == 2
    without, by_all, unlimited = told.choices
    assert (without.by, by_all.by, unlimited.by) == ("without", "with", "unlimited")
    assert by_all.gold == target.gold_of_chosen == pytest.approx(2 / 20) and without.gold == pytest.approx(4 / 20)
    assert unlimited.gold == by_all.gold and unlimited.accepted == by_all.accepted > without.accepted  # type: ignore[operator]
    assert report.cost.targets is not None and report.cost.targets.ratings == told.answers
    ledger = report.rounds[-1].ledger
    assert ledger is not None  # of what was delivered, and not of the best composed score
    assert ledger.levels[-1].chosen_gold == pytest.approx(2 / 20 - report.rounds[-1].levels[-1].gold_mean)  # type: ignore[operator]
    page = (tmp_path / "report.html").read_text()
    assert "unlimited answers to the questions allowed" in page and "for 1 of 1 targets" in page
    assert page.index("as raters<br>accept it") < page.index("acceptance as<br>believed by these")
    assert report_from_json(report_to_json(report)) == report
    again = ran(tmp_path)  # from the record
    assert (again.asking, again.targets) == (report.asking, report.targets)


def test_what_is_said_of_targets_moves_no_model_no_score_and_no_figure(tmp_path: Path) -> None:
    contrary, honest = ran(tmp_path / "contrary", rater=OfTargets()), ran(tmp_path / "honest", rater=Longer())
    assert contrary.asking is not None and contrary.asking.targets is not None
    one, other = contrary.targets[0], honest.targets[0]
    assert one.chosen is not None and other.chosen is not None and one.chosen.text != other.chosen.text
    assert one.trees == other.trees and contrary.levels == honest.levels and contrary.ratings == honest.ratings
    assert contrary.asking.honest == honest.asking.honest  # type: ignore[union-attr]


def test_where_it_is_not_allowed_the_report_says_so_and_nobody_is_asked(tmp_path: Path) -> None:
    report = ran(tmp_path, targets=False)
    assert report.asking is not None and report.asking.targets is None and report.cost.targets is None
    assert report.targets[0].chosen is not None and len(report.targets[0].chosen.text.split()) == 4
    assert "Questions about targets’ own outputs were not allowed" in (tmp_path / "report.html").read_text()


def test_of_raters_that_are_no_simulation_nothing_is_told_of_unlimited_answers(tmp_path: Path) -> None:
    report = ran(tmp_path, rater=Longer())
    assert report.asking is not None and report.asking.targets is not None
    assert [(each.by, each.accepted) for each in report.asking.targets.choices] == [("without", None), ("with", None)]


def test_where_policies_would_be_improved_answers_about_targets_choose_nothing(tmp_path: Path) -> None:
    report = ran(tmp_path, sampler=Once(waves=1, targets=True, decision="improve"))
    assert report.asking is not None and report.asking.targets is not None
    told = report.asking.targets
    assert told.answers > 0 and (told.changed, told.targets) == (0, 0)
    assert [each.by for each in told.choices] == ["without", "with"]
    assert all(each.accepted is not None and each.gold is not None for each in told.choices)
    page = (tmp_path / "report.html").read_text()
    assert "They chose no output" in page and "They changed what is chosen" not in page


class Judging(Value):
    """Says of all that it chose that it was drawn at random."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        return found._replace(asked=tuple(replace(each, stream=AT_RANDOM) for each in found.asked))


def test_a_sampler_that_draws_questions_about_targets_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="drew a question about a target at random"):
        ran(tmp_path, sampler=Judging(waves=1, targets=True))
