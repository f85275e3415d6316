"""The guards of judge roles where a run puts ratings and scores to use: with each one removed, a leak goes through."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rrm.api.runfile import Part
from rrm.api.wiring import Parts
from rrm.api.worker import MODELS, ModelScorer, RunWorker
from rrm.core.errors import PluginError, RoleError
from rrm.core.place import Place
from rrm.core.protocols import Improved, Policy, ProposeJob, Seen, Workspace
from rrm.core.roles import Final, R, Ratings, Role, Scorer, Select, Train
from rrm.core.values import Feedback, Fitted, Label, Rated, Request, Shown
from rrm.evaluate.holdout import Thresholdout
from rrm.pipeline.plan import Action
from rrm.pipeline.stages import ChooseJob, FitJob, ImproveJob, Look
from rrm.policy.best_of_n import BestOfN
from rrm.policy.extractive import Extractive
from rrm.policy.gradient import PolicyGradient
from tests.policy.policy_scenes import prompt_context
from tests.toys import LengthModel, Lengths

PLACE = Place()
GIVEN = prompt_context("Anna left. Old Peter wept all day. Nobody spoke. It rained.", limit=9)


def ratings_unguarded(ratings: Ratings[R]) -> Ratings[R]:
    return ratings


def scorer_unguarded(scorer: Scorer[R]) -> Scorer[R]:
    return scorer


def worker(folder: Path) -> RunWorker:
    run = SimpleNamespace(reward=Part("tests.toys:Lengths"), splits=None)
    made = {"learner": Lengths(), "policy": Extractive(), "optimiser": BestOfN(n=2)}
    parts = SimpleNamespace(run=run, **made, store=None, cache=None)
    return RunWorker(cast("Parts", parts), folder)


def model_of(role: type[Role], folder: Path) -> Fitted:
    """A model on record that was fitted to ratings of a role."""
    model = LengthModel(PLACE, [])
    model.save(folder / MODELS / role.name)
    return Fitted(PLACE, role.name, model.digest, 1, role=role.name)


def action(step: str, job: object) -> Action[object]:
    return Action("action-1", step, "slot", PLACE, job)


def test_nothing_is_fitted_on_ratings_that_only_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("node", "one", PLACE, "label", GIVEN.view, (Shown("o", "Anna left."),))
    row = Rated(request, Feedback(request.id, "gold", Label(True)))
    fit = action("fit", FitJob(PLACE, True, Final, (row,), 0))
    with pytest.raises(RoleError, match="role final"):
        worker(tmp_path)._fit(fit)
    monkeypatch.setattr("rrm.api.worker.for_fitting", ratings_unguarded)
    [leaked] = worker(tmp_path)._fit(fit)
    assert (leaked.role, leaked.ratings) == ("final", 1)


def test_no_policy_is_improved_against_the_judge_that_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = (Seen("one", GIVEN, ()),)
    improve = action("improve", ImproveJob(PLACE, None, seen, (model_of(Select, tmp_path),), None, None, 2.0, 0))
    with pytest.raises(RoleError, match="role train, not of role select"):
        worker(tmp_path)._improve(improve)
    monkeypatch.setattr("rrm.api.worker.for_improving", scorer_unguarded)
    with pytest.raises(RoleError, match="role train, not of role select"):  # the optimiser has a guard of its own
        worker(tmp_path)._improve(improve)
    monkeypatch.setattr("rrm.policy.best_of_n.for_improving", scorer_unguarded)
    running = worker(tmp_path)
    [leaked] = running._improve(improve)
    lengths = [len(each.text.split()) for each in running.policy(leaked).propose([ProposeJob(GIVEN, 50, 0)])[0]]
    plain = [len(each.text.split()) for each in Extractive().propose([ProposeJob(GIVEN, 50, 0)])[0]]
    assert sum(lengths) > sum(plain)  # it has learned what the judge of role select likes


def test_no_policy_is_chosen_by_the_scores_that_it_was_improved_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, judge = worker(tmp_path), model_of(Train, tmp_path)
    seen = (Seen("one", GIVEN, ()),)
    [made] = running._improve(action("improve", ImproveJob(PLACE, None, seen, (judge,), None, None, 2.0, 0)))
    asks = (("one", ProposeJob(GIVEN, 50, 0)),)
    choose = action("choose", ChooseJob(PLACE, asks, (judge,), made, None))
    with pytest.raises(RoleError, match="role select, not of role train"):
        running._choose(choose)
    monkeypatch.setattr("rrm.api.worker.for_choosing", scorer_unguarded)
    [leaked] = running._choose(choose)
    assert leaked.chosen and leaked.gain > 0  # by its own judge a policy is always better
    assert leaked.by_node == (("one", leaked.gain),)


class Understating(PolicyGradient):
    """A policy gradient that goes three nats from its anchor, whatever the budget, and says that it spent none."""

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        return replace(super().improve(sampler, anchor, seen, score, 3.0, seed, workspace), kl=0.0)


def test_an_optimiser_that_spends_more_than_its_budget_and_denies_it_is_measured_and_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = worker(tmp_path)
    running.parts.optimiser = Understating(steps=2)
    seen, judge = (Seen("one", GIVEN, ()),), model_of(Train, tmp_path)
    with pytest.raises(PluginError, match=r"says that it spent 0\.000 nats, and went \d\.\d+ nats \(exact\) from"):
        running._improve(action("improve", ImproveJob(PLACE, None, seen, (judge,), None, None, 0.01, 0)))
    assert not caplog.records
    running._improve(action("improve", ImproveJob(PLACE, None, seen, (judge,), None, None, 5.0, 0)))
    assert "says that it spent 0.000 nats a node, and spent" in caplog.text


@pytest.mark.parametrize(("threshold", "by_select"), [(1.0, False), (0.0, True)])
def test_a_look_is_answered_by_the_models_of_role_train_while_the_judge_agrees(
    tmp_path: Path, threshold: float, by_select: bool
) -> None:
    running, train, select = worker(tmp_path), model_of(Train, tmp_path), model_of(Select, tmp_path)
    seen, asks = (Seen("one", GIVEN, ()),), (("one", ProposeJob(GIVEN, 50, 0)),)
    [made] = running._improve(action("improve", ImproveJob(PLACE, None, seen, (train,), None, None, 2.0, 0)))
    tight = Thresholdout(threshold, 1e-9 if by_select else 0.0, answers=3)
    looks = [Look(tight, number, 0, (train,)) for number in range(40)]
    said = [running._choose(action("choose", ChooseJob(PLACE, asks, (select,), made, None, look))) for look in looks]
    found = {choice.by_select for (choice,) in said}
    assert by_select in found and (by_select or found == {False})  # both models are one: they differ by noise alone
    assert {(choice.nodes, choice.chosen) for (choice,) in said} == {(1, True)}
    assert all(choice.gain == pytest.approx(said[0][0].gain, abs=1e-6) for (choice,) in said)


@pytest.mark.parametrize("roles", [(), (Train, Select)])
def test_a_scorers_models_are_of_one_role(tmp_path: Path, roles: tuple[type[Role], ...]) -> None:
    fitted = tuple(model_of(role, tmp_path) for role in roles)
    with pytest.raises(RoleError, match="models of one judge role"):
        ModelScorer[Train](fitted, worker(tmp_path).models)
