"""A run whose composer reads back to the source: what was made up below a root shows in its score, and where."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import rrm
from rrm.cli.main import app
from rrm.core.place import Place
from rrm.core.protocols import ProposeJob, Start, Workspace
from rrm.core.report import Report
from rrm.core.roles import R, Ratings
from rrm.core.values import Feedback, Group, Output, Prediction, Request
from rrm.files import read_json
from rrm.report.html import report_html
from rrm.report.record import report_from_json, report_to_json
from tests.api.test_composed_run import Compared
from tests.toys import TOYS, LengthModel, Lengths, Longer, Words, toys

INFORMED = {"plugin": "rrm.compose.composers:Informed"}
WITHOUT_CLAIMS = {**INFORMED, "arguments": {"claims": False}}


class Faithful(LengthModel):
    """Accepts what has no word that the view has not with probability .8, and anything else with .2."""

    def predict(self, groups: list[Group]) -> list[Prediction]:  # type: ignore[override]  # a list will do here
        found = []
        for group in groups:
            known = set(group.view.text.replace(".", " ").split())
            p = np.array([[0.8 if set(text.replace(".", " ").split()) <= known else 0.2 for text in group.outputs]] * 2)
            found.append(Prediction.overall(np.log(p / (1 - p)), p))
        return found


class LearnsNothing(Lengths):
    name = "faithful"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> Faithful:
        return Faithful(place, sorted({row.request.source for row in ratings.rows}))

    def load(self, folder: Path) -> Faithful:
        facts = read_json(folder / "lengths.json")
        return Faithful(Place.parse(facts["place"]), facts["sources"])


class Inventing(Words):
    """Says the words of the first passage, there and back; right above the leaves it adds, or says alone, its own."""

    def __init__(self, nothing_else: bool) -> None:
        super().__init__()
        self.nothing_else = nothing_else
        self.name = f"inventing({nothing_else})"

    def _outputs(self, job: ProposeJob) -> list[Output]:
        shown = job.prompt_context
        read = shown.view.passages[0].text.replace(".", " ").split()
        said = read if shown.place.level != 1 else ["mauve"] if self.nothing_else else ["mauve", *read]
        made = (shown.inputs, shown.context)
        texts = [f"{' '.join(each)}." for each in (said, said[::-1])]
        return [Output(shown.node, text, self.name, at, *made) for at, text in enumerate(texts)]


def ran(out: Path, nothing_else: bool) -> Report:
    parts: dict[str, Any] = toys(policy={"plugin": Inventing(nothing_else), "outputs": 2, "root_outputs": 2})
    return rrm.run(out=out, **{**parts, "reward": {"plugin": LearnsNothing()}, "compose": WITHOUT_CLAIMS}, quiet=True)


def test_what_was_made_up_below_the_root_costs_its_score_and_is_blamed_where_it_was(tmp_path: Path) -> None:
    [target] = ran(tmp_path, nothing_else=False).targets
    assert target.chosen is not None
    assert (target.chosen.own, target.chosen.composed) == pytest.approx((0.8, 0.2))
    tree = target.trees[0]
    blamed = {node.level: node.blame for node in tree.nodes if node.blame and node.blame > 0.01}
    assert blamed == {1: pytest.approx(0.6)}
    root = next(node for node in tree.nodes if node.id == tree.root)
    assert root.subtree_blame == pytest.approx(0.6)
    assert all(claim.grounded for claim in target.claims)


def test_where_nothing_leads_to_the_source_the_score_is_the_own_one_and_that_is_said(tmp_path: Path) -> None:
    report = ran(tmp_path, nothing_else=True)
    [target] = report.targets
    assert target.chosen is not None
    assert (target.chosen.own, target.chosen.composed) == pytest.approx((0.8, 0.8))
    not_blamed(report, "nothing that the root was shown leads to the source: the score is the output's own")
    told = "1 of the targets' roots rest on nothing that leads to the source: their scores are their own"
    assert told in report.warnings
    assert not any(claim.grounded for claim in target.claims)


class Choosy(Inventing):
    """Invents as the other does; its second output at the root leaves the invented word out."""

    def _outputs(self, job: ProposeJob) -> list[Output]:
        first, second = super()._outputs(job)
        if job.prompt_context.place.level != 2:
            return [first, second]
        return [first, replace(second, text=second.text.replace(" mauve", "").replace("mauve ", ""))]


def test_where_the_least_output_lost_is_told_beside_a_chosen_one_that_lost_nothing(tmp_path: Path) -> None:
    parts: dict[str, Any] = toys(policy={"plugin": Choosy(False), "outputs": 2, "root_outputs": 2})
    given = {**parts, "reward": {"plugin": LearnsNothing()}, "compose": WITHOUT_CLAIMS}
    report = rrm.run(out=tmp_path, **given, quiet=True)
    [target] = report.targets
    assert target.chosen is not None and target.least is not None
    assert (target.chosen.composed, target.least.candidate.composed) == pytest.approx((0.8, 0.2))
    assert not any(each.blame and each.blame > 0.01 for claim in target.claims for each in claim.walk())
    [weakest] = target.least.claims[0].weakest()
    assert weakest.blame == pytest.approx(0.6)
    assert {node.id: node.level for node in target.trees[0].nodes}[weakest.node] == 1
    page = " ".join(re.sub("<[^>]+>", " ", report_html(report)).split())
    assert "What was passed over" in page and "has the least score, 0.20, where the chosen one has 0.80" in page
    assert re.search(r"It loses \+0\.600 in “ ?mauve.*”: at level 1, ", page)
    told = CliRunner().invoke(app, ["claims", str(tmp_path), "--output", target.least.candidate.id]).output
    assert "[this step loses 0.60 of the score]" in told
    assert report_from_json(report_to_json(report).encode()) == report


def not_blamed(report: Report, why: str) -> None:
    """Assert that no node of a target is blamed, and that the page and the command say why not."""
    [target] = report.targets
    assert target.no_blame == why
    assert all(node.blame is None and node.subtree_blame is None for tree in target.trees for node in tree.nodes)
    page = report_html(report)
    assert f"is not told, because {why.split(chr(39))[0]}" in page and "as good as can be" not in page


def test_where_raters_only_compared_no_blame_is_told_and_that_is_said(tmp_path: Path) -> None:
    rater = {"plugin": Longer(), "per_node": {"comparison": 2}, "random_share": 0.0}
    parts = toys(rater=rater, compose=INFORMED, reward={"plugin": Compared()})
    report = rrm.run(out=tmp_path, quiet=True, **parts)
    not_blamed(report, "raters only compared outputs, and without labels or ratings the score is no probability")
    told = CliRunner().invoke(app, ["claims", str(tmp_path)]).output
    assert told.splitlines()[-1].startswith("Where score is lost is not told, because raters only compared outputs")
    assert "1.1 rests on (leaf " in told or "1.1 rests on (level 1 " in told


def test_where_the_root_reads_the_source_itself_no_blame_is_told_and_the_score_is_its_own(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **{**TOYS, "compose": WITHOUT_CLAIMS})
    book = tmp_path / "book.txt"
    book.write_text("word.")
    report = rrm.apply(tmp_path / "run", [book], tmp_path / "applied", quiet=True)
    not_blamed(
        report, "the root reads the source itself, so there is nothing to read back: the score is the output's own"
    )
    assert "It is the output’s own" in report_html(report)


def test_a_text_of_ones_own_is_scored_beside_the_source(tmp_path: Path) -> None:
    ran(tmp_path, nothing_else=False)
    with rrm.load(tmp_path, reward=LearnsNothing(), policy=Inventing(nothing_else=False)) as run:
        said = run.score("mauve red.")
        assert (said.own.mean, said.composed.mean) == pytest.approx((0.8, 0.2))
        assert run.score("red").composed.mean == pytest.approx(0.8)


def test_a_model_of_claims_is_fitted_and_has_a_say_in_a_text_of_ones_own(tmp_path: Path) -> None:
    parts: dict[str, Any] = toys(policy={"plugin": Inventing(False), "outputs": 2, "root_outputs": 2})
    del parts["compose"]  # by default
    report = rrm.run(out=tmp_path, **{**parts, "reward": {"plugin": LearnsNothing()}}, quiet=True)
    assert report.composer == "informed"
    [target] = report.targets
    assert target.chosen is not None
    with rrm.load(tmp_path, reward=LearnsNothing(), policy=Inventing(nothing_else=False)) as run:
        told = run.claims()
        assert told == target.claims and all(0 < (claim.support or 0) < 1 for claim in told)
        accuracy, coverage, coherence = target.parts
        assert [each.name for each in target.parts] == ["accuracy", "coverage", "coherence"]
        assert accuracy.composed == pytest.approx(sum(claim.support or 0 for claim in told) / len(told))
        assert coverage.composed > 0 and coherence.composed == 1  # a claim alone is in order
        claims = [each for each in run.models() if each.place.subject == "claims"]
        assert [each.ratings > 0 for each in claims] == [True]
        said = run.score(target.chosen.text)
        assert said.composed.mean == pytest.approx(target.chosen.composed)  # by both models, as in the run
        assert said.composed.mean != pytest.approx(0.2)  # which the level's model says alone


class ByTwoCriteria(Longer):
    """Prefers and accepts by every criterion as it does overall."""

    def rate(self, request: Request, seed: int) -> Feedback:
        return replace(super().rate(request, seed), criterion=request.criterion)


@pytest.mark.parametrize("claims", [False, True])
def test_by_every_criterion_of_raters_the_report_has_the_score_beside_the_source(claims: bool, tmp_path: Path) -> None:
    rater = {"plugin": ByTwoCriteria(), "per_node": {"comparison": 2, "label": {"overall": 1, "accuracy": 1}}}
    parts: dict[str, Any] = toys(
        policy={"plugin": Inventing(False), "outputs": 2, "root_outputs": 2}, rater={**rater, "random_share": 0.0}
    )
    compose = {**INFORMED, "arguments": {"claims": claims}}
    report = rrm.run(out=tmp_path, **{**parts, "reward": {"plugin": LearnsNothing()}, "compose": compose}, quiet=True)
    [target] = report.targets
    [accuracy] = target.criteria
    # beside what the children say it is all so; beside the source one word was made up, whatever a model of claims says
    assert (accuracy.name, accuracy.own, accuracy.composed) == ("accuracy", pytest.approx(0.8), pytest.approx(0.2))
    assert (accuracy.interval.low, accuracy.interval.high) == pytest.approx((0.2, 0.2))
    page = (tmp_path / "report.html").read_text("utf-8")
    table = page[page.index("By criterion") :].split("</table>")[0]
    shown = re.sub(r"<[^>]*>|\s+", " ", table).split()
    assert "accuracy" in shown and shown[-2:] == ["0.20", "0.80"]


def test_the_model_of_claims_has_a_say_about_new_sources_too(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **{**TOYS, "compose": INFORMED})
    book = tmp_path / "book.txt"
    book.write_text(" ".join(f"word{at}." for at in range(9)))
    [target] = rrm.apply(tmp_path / "run", [book], tmp_path / "applied", quiet=True).targets
    assert target.chosen is not None and target.chosen.own is not None
    with rrm.load(tmp_path / "run") as before, rrm.load(tmp_path / "applied") as run:
        [claims] = [each.digest for each in run.models() if each.place.subject == "claims"]
        assert claims == [each.digest for each in before.models() if each.place.subject == "claims"][-1]
        assert run.score(target.chosen.text).composed.mean == pytest.approx(target.chosen.composed)
    assert target.chosen.composed != pytest.approx(target.chosen.own)  # what the level's model says alone


def test_a_root_that_reads_the_text_itself_is_not_said_to_lead_nowhere(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **{**TOYS, "compose": INFORMED})
    book = tmp_path / "book.txt"
    book.write_text("word.")
    report = rrm.apply(tmp_path / "run", [book], tmp_path / "applied", quiet=True)
    assert report.nodes_per_level == (1,)
    assert not any("leads to the source" in warning for warning in report.warnings)
