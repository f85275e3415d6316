"""Runs that choose their questions: what the report and exports say, that accuracy is honest, what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.asked import asking_report
from rrm.api.fared import misleading
from rrm.api.look import export
from rrm.ask import Value
from rrm.compose.composers import Mean
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked, Belief, Outlook
from rrm.core.draws import Draws, first_chosen
from rrm.core.errors import AssistantError, ConfigError, InputError, PluginError
from rrm.core.place import Place
from rrm.core.protocols import RewardModel
from rrm.core.report import AskingReport, Report
from rrm.core.roles import R, Ratings
from rrm.core.values import Answer, Comparison, Failure, Feedback, Group, Label, Ranking, Rated, Request, Shown, View
from rrm.evaluate.held_out import Predicted
from rrm.interchange.rows import read_rows
from rrm.pipeline.steps import Outcome, Run
from rrm.report.record import report_from_json, report_to_json
from rrm.reward.drawn import Drawn, DrawnModel
from rrm.reward.plain import PlainLearner
from rrm.store.record import open_store
from tests.pipeline.hand_world import RUN
from tests.toys import Lengths, Longer, Texts, toys


class LengthBelief:
    """Takes longer outputs for better, the last of a node's least surely; equal words share what is not known."""

    def __init__(self, told: int) -> None:
        self.told = told

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        return np.array([0.2 * len(text.split()) for group in groups for text in group.outputs])

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        mine, theirs = (
            np.array([len(text.split()) for group in each for text in group.outputs]) for each in (groups, others)
        )
        return np.exp(-np.square(mine[:, None] - theirs[None, :])) / (1 + self.told)


class Believing(Lengths):
    name = "believing lengths"
    no_belief = None

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Belief:
        return LengthBelief(sum(map(len, ratings)))


def ran(out: Path, sampler: Any = None, **rater: Any) -> Report:
    parts: dict[str, Any] = toys(reward={"plugin": Believing()}, rounds=2)
    parts["rater"] = {**parts["rater"], "sampler": sampler or Value(waves=2), "budget": {"questions": 60}, **rater}
    return rrm.run(out=out, quiet=True, **parts)


def test_a_run_says_what_was_asked_and_what_the_next_hour_would_bring(tmp_path: Path) -> None:
    report = ran(tmp_path)
    asking = report.asking
    assert asking is not None and asking.by_value > 0 < asking.at_random and asking.evenly == 30
    assert asking.by_value + asking.at_random <= 30
    assert [wave.round for wave in asking.waves] == [1] * len(asking.waves) and len(asking.waves) >= 3
    assert all(wave.gold is not None and wave.hour >= 0 for wave in asking.waves)
    assert asking.waves[0].minutes < asking.waves[-1].minutes
    page = (tmp_path / "report.html").read_text()
    assert "The next hour of the best questions would raise the acceptance" in page
    assert report_from_json(report_to_json(report)) == report
    assert any(
        "questions were drawn at random beside the chosen ones, where 200 are wanted" in w for w in report.warnings
    )
    with open_store(tmp_path, "read") as store:
        asked, requests = store.load(Asked), {each.id for each in store.load(Request)}
        assert store.load(Outlook)[-1].questions > 0
    put = [each for each in asked if each.request in requests]
    assert {each.stream for each in put} == {BY_VALUE, AT_RANDOM}
    assert all(each.pool.startswith("pool-") and 0 < each.propensity <= 1 for each in put)


def test_exports_carry_why_each_question_was_put(tmp_path: Path) -> None:
    report = ran(tmp_path / "run")
    assert report.asking is not None
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    told = [row.get("asked") for _, row in read_rows(tmp_path / "rows.jsonl")]
    assert sum(each is not None and each["stream"] == BY_VALUE for each in told) == report.asking.by_value
    assert sum(each is None for each in told) == report.asking.evenly


def test_accuracy_is_of_questions_that_were_not_chosen(tmp_path: Path) -> None:
    report = ran(tmp_path, per_node={"comparison": 4})
    assert report.asking is not None
    told = sum(level.n_test for level in report.levels)
    assert 0 < told <= report.asking.evenly + report.asking.at_random < report.ratings
    assert report.asking.honest == told
    assert report.asking.power == pytest.approx(196 * np.sqrt(0.1875 / told))


class Timely(Longer):
    """Takes a minute for a comparison, and a tenth for a label, whatever is shown."""

    def rate(self, request: Request, seed: int) -> Feedback:
        return replace(super().rate(request, seed), seconds=60.0 if request.kind == "comparison" else 6.0)


def test_minutes_are_predicted_from_what_answers_took_and_told_beside_those_paid(tmp_path: Path) -> None:
    report = ran(tmp_path, plugin=Timely(), budget={"questions": 120})
    assert report.asking is not None
    by_kind = {(row.kind, row.level): row for row in report.asking.minutes}
    assert sum(row.questions for row in by_kind.values()) == report.asking.by_value + report.asking.at_random
    paid = {"comparison": 1.0, "label": 0.1}
    assert all(row.paid == pytest.approx(paid[row.kind] * row.questions) for row in by_kind.values())
    for kind in paid:
        predicted, counted, took = (sum(row[at] for row in by_kind.values() if row.kind == kind) for at in (3, 4, 5))
        assert abs(np.log(predicted / took)) < 0.7 * abs(np.log(counted / took))
    assert all(row.skipped == 0 for row in by_kind.values())
    page = (tmp_path / "report.html").read_text()
    assert "Minutes, as predicted and as paid" in page
    assert report_from_json(report_to_json(report)) == report
    with open_store(tmp_path, "read") as store:
        assert all(each.minutes > 0 for each in store.load(Asked))
    assert not ran(tmp_path / "untimed").asking.minutes  # type: ignore[union-attr]


class Fickle(Longer):
    """Two raters, who fall out over labels, skip every comparison of three words with two, and take six seconds."""

    def rate(self, request: Request, seed: int) -> Feedback:
        words = sorted(len(shown.text.split()) for shown in request.shown)
        if words == [2, 3]:
            raise AssistantError("this one is skipped")
        return replace(super().rate(request, seed), seconds=6.0)


def test_how_questions_fared_is_told_of_those_chosen_beside_those_drawn(tmp_path: Path) -> None:
    report = ran(tmp_path, plugin=Fickle(), budget={"questions": 90})
    assert report.asking is not None
    chosen, drawn = report.asking.streams
    assert (chosen.stream, drawn.stream) == (BY_VALUE, AT_RANDOM)
    assert chosen.questions == report.asking.by_value
    assert drawn.questions == report.asking.at_random + report.asking.evenly
    with open_store(tmp_path, "read") as store:
        skipped = {each.subject for each in store.load(Failure) if each.step == "rate"}
        why = {each.request: each.stream for each in store.load(Asked)}
    assert skipped and chosen.skipped + drawn.skipped == len(skipped)
    assert chosen.skipped == sum(why.get(each) == BY_VALUE for each in skipped)
    for row in (chosen, drawn):
        assert row.answers == row.questions - row.skipped and row.paid == pytest.approx(row.answers / 10)
        assert row.paired == 0  # one rater a question
    page = (tmp_path / "report.html").read_text()
    assert "How questions fared" in page and "chosen by value" in page
    assert report_from_json(report_to_json(report)) == report


@pytest.mark.parametrize(
    ("said", "same", "other"),
    [
        (Comparison(0), Comparison(1), Comparison(0)),
        (Comparison(None), Comparison(None), Comparison(0)),
        (Ranking((0, 1)), Ranking((2, 1)), Ranking((0, 1))),
        (Ranking((0, 2, 1)), Ranking((2, 0, 1)), Ranking((0, 2, 1))),
    ],
)
def test_raters_who_saw_outputs_in_other_orders_agree_about_the_outputs_and_not_the_places(
    said: Answer, same: Answer, other: Answer
) -> None:
    shown = tuple(Shown(each, each) for each in "abc"[: 3 if isinstance(said, Ranking) else 2])
    request = Request("node", "source", Place(0, "answer", 0), said.kind, View("Tell.", (), 5), shown)
    turned = replace(request, shown=shown[::-1], guideline="v2")

    def alike(second: Answer) -> tuple[int, int]:
        rows = (Rated(request, Feedback(request.id, "anna", said)), Rated(turned, Feedback(turned.id, "ben", second)))
        outlook = Outlook(request.place, 0, "pool", 1, 1, 0.5, 0.0, 0.0)
        level = ("train", 0)
        run = Run(RUN, asked={level: ((request,),)}, answered={level: rows}, outlooks=((0.0, outlook),))
        report = asking_report(Outcome(run, ()), 0, Longer(), Mean())
        assert report is not None
        [stream] = report.streams
        return stream.paired, stream.alike

    assert alike(same) == (1, 1) and alike(other) == (1, 0)


def told(chosen_right: int, drawn_right: int, of: int = 40, recorded_right: int | None = None) -> AskingReport:
    """Return what is told of twice so many answers of each stream, half of which models are sure of at four fifths.

    Of the others they are as sure of the contrary, and right or wrong as often. Others were recorded elsewhere.
    """
    outlook = Outlook(Place(0, "answer", 0), 0, "pool", 1, 1, 0.5, 0.0, 0.0)
    why, predicted, rows = {}, [], []
    streams = [(BY_VALUE, chosen_right), (AT_RANDOM, drawn_right)]
    streams += [] if recorded_right is None else [("recorded", recorded_right)]
    for stream, right in streams:
        for at in range(2 * of):
            likely, good = (0.8, at < right) if at < of else (0.2, at - of >= right)
            shown = (Shown(f"{stream} {at}", "words"),)
            request = Request(
                f"{stream} {at}", f"s{at % 5}", Place(0, "answer", 0), "label", View("Tell.", (), 5), shown
            )
            if stream != "recorded":
                why[request.question] = Asked(request.id, stream, "pool", 1.0)
            rows.append(Rated(request, Feedback(request.id, "anna", Label(good), seconds=30.0)))
            predicted.append(Predicted(request.source, "label", likely, int(good), (0, 0), rows[-1]))
    level = ("train", 0)
    own, recorded = rows[: 4 * of], rows[4 * of :]
    asked = {level: (tuple(row.request for row in own),)}
    plan = replace(RUN, given=((0, recorded),))
    run = Run(plan, asked=asked, answered={level: tuple(own)}, why=why, outlooks=((0.0, outlook),))
    report = asking_report(Outcome(run, ()), 0, Longer(), Mean(), predicted)
    assert report is not None
    return report


def test_answers_that_follow_predictions_otherwise_where_questions_were_chosen_are_warned_of() -> None:
    wrong, right = told(20, 34), told(32, 32)
    assert wrong.fits is not None and right.fits is not None
    assert (wrong.fits.chosen.n, wrong.fits.drawn.n) == (80, 80)
    assert wrong.fits.misleads and wrong.fits.chosen.slope == pytest.approx(0.0, abs=0.05)
    assert not right.fits.misleads and right.fits.drawn.slope == pytest.approx(1.0, abs=0.05)
    [warning] = misleading(wrong)
    assert "models are wrong in a way that follows the choice" in warning
    assert not list(misleading(right)) and not list(misleading(None))


def test_what_raters_are_like_is_told_by_drawn_questions_alone() -> None:
    some, others = told(20, 32), told(40, 32)
    assert some.raters == others.raters
    [anna] = some.raters
    assert (anna.rater, anna.drawn, anna.chosen, anna.paid) == ("anna", 80, 80, 0.5)
    assert anna.slope is not None and anna.slope.n == 80 and anna.slope.interval.low < 1 < anna.slope.interval.high


def test_what_others_said_elsewhere_is_no_drawn_answer_of_the_runs_own_raters() -> None:
    own, beside = told(32, 32), told(32, 32, recorded_right=20)
    assert own.fits == beside.fits and own.raters == beside.raters


def test_of_each_question_one_answer_of_another_rater_is_compared() -> None:
    request = Request("node", "source", Place(0, "answer", 0), "label", View("Tell.", (), 5), (Shown("a", "a"),))
    rows = [Rated(request, Feedback(request.id, rater, Label(rater != "carl"))) for rater in ("anna", "ben", "carl")]
    level = ("train", 0)
    outlook = Outlook(request.place, 0, "pool", 1, 1, 0.5, 0.0, 0.0)
    run = Run(RUN, asked={level: ((request,),)}, answered={level: tuple(rows)}, outlooks=((0.0, outlook),))
    report = asking_report(Outcome(run, ()), 0, Longer(), Mean())
    assert report is not None
    assert [(each.rater, each.paired, each.alike) for each in report.raters] == [
        ("anna", 1, 1), ("ben", 1, 1), ("carl", 1, 0)
    ]  # fmt: skip


def test_a_report_has_its_raters_and_whether_chosen_questions_mislead(tmp_path: Path) -> None:
    report = ran(tmp_path, per_node={"comparison": 6, "label": 4}, budget={"questions": 120})
    assert report.asking is not None and report.asking.fits is not None
    [longer] = report.asking.raters
    assert longer.drawn + longer.chosen == report.ratings and longer.chosen == report.asking.by_value
    drawn = report.asking.evenly + report.asking.at_random
    assert 0 < report.asking.fits.drawn.n <= drawn and 0 < report.asking.fits.chosen.n <= report.asking.by_value
    page = (tmp_path / "report.html").read_text()
    assert "What raters are like, by drawn questions alone" in page
    assert "Whether fits may take chosen questions as they are" in page
    assert report_from_json(report_to_json(report)) == report


def test_targets_are_weighed_by_their_titles(tmp_path: Path) -> None:
    def weighed(**weights: float) -> Report:
        parts: dict[str, Any] = toys(reward={"plugin": Believing()}, rounds=2)
        parts["rater"] = {**parts["rater"], "sampler": Value(waves=2), "budget": {"questions": 60}}
        parts["target"] = {"plugin": Texts(["target", "third"]), "weights": weights}
        return rrm.run(out=tmp_path / str(weights), quiet=True, **parts)

    alone, both, even = weighed(third=0.0), weighed(target=3.0, third=1.0), weighed()
    one, mixed, plain = (each.asking.waves[0] for each in (alone, both, even) if each.asking is not None)
    golds = {target.title: target.gold_of_chosen for target in even.targets}
    assert one.gold == golds["target"] and plain.gold == pytest.approx(np.mean(list(golds.values())))  # type: ignore[arg-type]
    assert mixed.expected == pytest.approx(one.expected + 0.5 * (plain.expected - one.expected))
    for wrong, message in (
        ({"nobody": 1.0}, "no target is called 'nobody'; there are target, third"),
        ({"target": 0.0, "third": 0.0}, "no target counts"),
    ):
        with pytest.raises(ConfigError, match=message):
            weighed(**wrong)
    with pytest.raises(ConfigError, match=r"say what \[rater\] sampler asks for, and there is none"):
        rrm.run(
            out=tmp_path / "none", quiet=True, **toys(target={"plugin": Texts(["target"]), "weights": {"target": 2.0}})
        )


def test_a_run_resumed_after_its_end_asks_the_same(tmp_path: Path) -> None:
    first = ran(tmp_path)
    again = ran(tmp_path)
    assert again.asking == first.asking


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"per_node": {"ranking": 2}},
            "ranking is worth; per_node has of comparison, correction, demonstration, hindsight",
        ),
        ({"per_node": {"label": {"overall": 1, "tone": 1}}}, "cannot tell what label/tone is worth"),
        ({"budget": {"by_level": {"0": {"questions": 9}}}}, "give the budget in minutes or questions alone"),
        ({"sampler": Lengths()}, "is no QuestionSampler"),
    ],
)
def test_settings_with_which_nothing_could_be_chosen_are_refused(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=message):
        ran(tmp_path, **changes)


def test_other_parts_must_fit_a_sampler(tmp_path: Path) -> None:
    rater = {"plugin": toys()["rater"]["plugin"], "sampler": Value()}
    with pytest.raises(ConfigError, match="chooses from the second round on, and the run has one"):
        rrm.run(out=tmp_path, quiet=True, **toys(rater=rater, reward={"plugin": Believing()}))
    with pytest.raises(
        PluginError, match=r"has no believe and no_belief\): take rrm.reward.frozen:Frozen, .* or leave the sampler out"
    ):
        rrm.run(out=tmp_path, quiet=True, **toys(rater=rater, rounds=2))


class OfClaims(Value):
    """Chooses among marks on claims, too."""

    @property
    def kinds(self) -> frozenset[str]:
        return super().kinds | {"claims"}


def test_a_critic_whom_a_sampler_knows_nothing_of_is_refused(tmp_path: Path) -> None:
    """It wrote of the first round's outputs, and of none that the sampler chose."""
    critic = {"plugin": "rrm.raters.critics:ByNames"}
    with pytest.raises(ConfigError, match=r"leave out \[rater\] critic"):
        ran(tmp_path, sampler=OfClaims(), per_node={"label": 1, "claims": 1}, critic=critic)


class Twice(Value):
    """Chooses its first question a second time."""

    def choose(self, belief: Belief, asking: Any) -> Any:
        found = super().choose(belief, asking)
        return found._replace(asked=(*found.asked, *found.asked[:1]))


def test_a_sampler_that_chooses_a_question_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="chose a question twice, or one that is not in its pool"):
        ran(tmp_path, Twice())


def test_a_belief_that_is_not_finite_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    class Broken(Believing):
        def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Belief:
            belief = LengthBelief(0)
            belief.told = np.nan  # type: ignore[assignment]
            return belief

    parts: dict[str, Any] = toys(reward={"plugin": Broken()}, rounds=2)
    parts["rater"] = {**parts["rater"], "sampler": Value()}
    with pytest.raises(InputError, match="must be finite"):
        rrm.run(out=tmp_path, quiet=True, **parts)


class ByWords(PlainLearner):
    """Logistic regression on the number of words, by Newton's steps."""

    name = "by words"

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        told = [(_words(row), first) for row in rated if (first := first_chosen(row.feedback.answer)) is not None]
        along = np.array([words for words, _ in told]).reshape(-1, 2)
        won, weights = np.array([first for _, first in told], dtype=float), np.zeros(2)
        for _ in range(8):
            p = 1 / (1 + np.exp(-along @ weights))
            hessian = (along.T * (p * (1 - p))) @ along + np.eye(2)
            weights = weights + np.linalg.solve(hessian, along.T @ (won - p) - weights)
        return weights

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return np.array([weights[0] * len(text.split()) / 5 + weights[1] for text in group.outputs])

    def drawn_rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return weights @ np.array([[len(text.split()) / 5, 1.0] for text in group.outputs]).T


def _words(row: Rated) -> tuple[float, float]:
    words = [len(shown.text.split()) / 5 for shown in row.request.shown]
    return (words[0], 1.0) if len(words) == 1 else (words[0] - words[1], 0.0)


def drawn(out: Path, draws: int, waves: int = 3, learner: Drawn | None = None) -> Report:
    parts: dict[str, Any] = toys(reward={"plugin": learner or Drawn(ByWords(), draws, folds=2)}, rounds=2)
    parts["rater"] = {**parts["rater"], "sampler": Value(waves=waves), "budget": {"questions": 60}}
    return rrm.run(out=out, quiet=True, **parts)


def outlooks(out: Path) -> list[Outlook]:
    with open_store(out, "read") as store:
        return list(store.load(Outlook))


def test_a_run_asks_by_draws_weighs_them_by_answers_and_fits_anew_once_few_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rrm.pipeline.chosen")
    report = drawn(tmp_path, 1200)
    assert report.asking is not None and report.asking.by_value > 0 < report.asking.at_random
    stood = outlooks(tmp_path)
    first, weighed, anew = stood[:3]
    assert {each.draws for each in stood} == {1200} and first.effective == anew.effective == pytest.approx(1200)
    assert weighed.refit and weighed.effective < 300 and weighed.wave == anew.wave == 1  # chosen over once fitted
    told = [each for each in caplog.messages if "models are fitted anew" in each]
    assert told[0] == f"{weighed.effective:.0f} of 1200 draws count after what was said: models are fitted anew"
    assert len(report.asking.waves) == len(stood) - len(told)  # what was chosen before a fit was not put
    assert [each.told for each in stood] == [not each.refit for each in stood]  # and by few draws nothing is chosen
    assert drawn(tmp_path, 1200).asking == report.asking and outlooks(tmp_path) == stood  # from the record


class Believed(Drawn):
    """Keeps the ids of the feedback that beliefs were made of: what draws learned from, and what weighs them."""

    def __init__(self, draws: int) -> None:
        super().__init__(ByWords(), draws, folds=2)
        self.told: set[str] = set()

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Draws:
        learned = [model.told for model in models if isinstance(model, DrawnModel)]
        self.told |= set().union(*learned, (row.feedback.id for each in ratings for row in each.rows))
        return super().believe(models, ratings)


def test_what_was_drawn_at_random_moves_no_draw_even_where_models_are_fitted_anew(tmp_path: Path) -> None:
    learner = Believed(60)
    drawn(tmp_path, 60, waves=4, learner=learner)
    with open_store(tmp_path, "read") as store:
        at_random = {each.request for each in store.load(Asked) if each.stream == AT_RANDOM}
        said = {each.id for each in store.load(Feedback) if each.request in at_random}
        assert any(each.refit for each in store.load(Outlook))
    assert said and learner.told and not said & learner.told


def test_of_few_draws_questions_go_by_what_they_leave_open_and_the_report_says_so(tmp_path: Path) -> None:
    report = drawn(tmp_path, 60)
    assert report.asking is not None and report.asking.by_value > 0
    assert any("60 of 60 draws count, and 500 must to tell what an answer gains" in each for each in report.warnings)
    assert not any(each.told or each.stopped for each in outlooks(tmp_path))
