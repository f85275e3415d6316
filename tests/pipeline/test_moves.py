"""Which answers move which scores: each stream flipped, and all that the table lets it move moves, and nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest

from rrm.api.asked import not_chosen
from rrm.core.asking import AT_RANDOM, BY_VALUE, LEFT
from rrm.core.roles import Select, Train
from rrm.core.values import Comparison, Failure, Feedback, Label, Ranking, Scored
from rrm.feedback.budget import Budget
from rrm.pipeline import stages
from rrm.pipeline.leaving import taken_by_persons
from rrm.pipeline.moves import ABOUT_TARGETS, EVENLY, MAY_MOVE, Moved, about_targets, stream_of
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion, Sampling, Selecting
from tests.pipeline.hand_world import APART, OTHER, RUN, TARGET, TRAIN, World, go

ASKED = replace(RUN, rounds=(Round(), Round()), sampling=Sampling("thirds", 2, targets=True), budget=Budget(minutes=60))
LEAVING = replace(ASKED, sampling=Sampling("thirds", 2, leaves=True))


@dataclass
class Contrary(World):
    """A world whose raters say the contrary of it, of the questions that are named."""

    contrary: frozenset[str] = frozenset()

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        if row.request.question not in self.contrary:
            return [row]
        given = row.feedback.answer
        other = Label(not given.good) if isinstance(given, Label) else Comparison(1 - (given.first or 0))
        if isinstance(given, Ranking):
            other = Ranking(given.best_first[::-1])
        return [replace(row, feedback=Feedback(row.request.id, row.feedback.rater, other))]


def moves(contrary: frozenset[str] = frozenset(), plan: Recursion = ASKED) -> tuple[Outcome, Mapping[str, object]]:
    """Return where a run ends, and what each of the things that answers move came to."""
    world = Contrary(contrary=contrary)
    outcome = go(recursion(plan), world)
    believed = [[[row.id for row in rows] for _, rows in each.job.believed] for each in world.actions("ask")]
    waves = len(outcome.run.outlooks)
    # at the end with the answers about targets, and without them
    assert len(believed) == waves + (2 if about_targets(outcome.run) else 0)
    return outcome, {
        "models": {key: model.digest for key, model in outcome.run.models.items() if key[0] == Train.name},
        "belief": believed[:waves],
        "choice": (believed[waves : waves + 1], taken_by_persons(outcome.run)),
        "figures": [row.id for level in outcome.levels for row in not_chosen(outcome, level.rated)],
    }


@pytest.mark.parametrize("stream", MAY_MOVE)
def test_answers_of_a_stream_move_what_they_may_and_nothing_else(stream: str) -> None:
    plan = LEAVING if stream == LEFT else ASKED
    outcome, before = moves(plan=plan)
    put = [each for requests in outcome.questions for each in requests]
    flipped = frozenset(each.question for each in put if stream_of(outcome.run, each) == stream)
    _, after = moves(flipped, plan)
    assert flipped and {what for what in before if before[what] != after[what]} == MAY_MOVE[stream]


def test_answers_of_role_select_move_their_own_judge_and_nothing_of_role_train() -> None:
    judged = replace(
        ASKED,
        train=((TRAIN, 1), (OTHER, 1), (APART, 1)),
        select=Selecting("judge", frozenset({APART.id}), {"label": 2}),
    )
    outcome, before = moves(plan=judged)
    of_select = {key: rows for key, rows in outcome.run.asked.items() if key[0] == Select.name}
    put = frozenset(each.question for rounds in of_select.values() for each in chain.from_iterable(rounds))
    other, after = moves(put, judged)
    assert put and before == after
    judges = [{key: each.digest for key, each in one.run.models.items()} for one in (outcome, other)]
    assert {key[0] for key in judges[0] if judges[0][key] != judges[1][key]} == {Select.name}


def test_what_another_role_says_about_targets_stands_apart_from_what_raters_of_role_train_say() -> None:
    run = go(recursion(ASKED), World()).run
    of_train = about_targets(run)
    both = {**run.answered, **{(Select.name, level + 1): rows for level, rows in of_train.items()}}
    assert of_train and about_targets(replace(run, answered=both)) == of_train


def test_what_would_be_chosen_without_answers_about_targets_is_believed_without_them() -> None:
    world = World()
    outcome = go(recursion(ASKED), world)
    by_all, without = ([row for _, rows in each.job.believed for row in rows] for each in world.actions("ask")[-2:])
    told = {row.request.source == TARGET.id for row in by_all}
    assert told == {True, False} and all(row.request.source != TARGET.id for row in without)
    assert [row.id for row in without] == [row.id for row in by_all if row.request.source != TARGET.id]
    assert outcome.run.decided is not None


def test_nobody_is_asked_about_targets_unless_that_is_allowed_or_where_they_do_not_count() -> None:
    for plan in (
        replace(ASKED, sampling=Sampling("thirds", 2)),
        replace(ASKED, weights={TARGET.id: 0.0}),
    ):
        world = World()
        outcome = go(recursion(plan), world)
        assert all(each.source != TARGET.id for each in world.asked()) and outcome.run.decided is None


def test_a_choice_is_left_once_and_what_was_taken_is_had_and_nothing_more_is_asked_about_its_target() -> None:
    world = World()
    both = replace(LEAVING, rounds=(Round(), Round(), Round()), sampling=Sampling("thirds", 2, True, True))
    outcome = go(recursion(both), world)
    [left] = [each for each in world.asked() if each.kind == "ranking"]
    assert left.view.text == TARGET.text and left.source == TARGET.id and len(left.shown) == 4
    assert len({shown.text for shown in left.shown}) == 4 and stream_of(outcome.run, left) == LEFT
    taken = taken_by_persons(outcome.run)[TARGET.id]
    assert taken[0] == max((shown.text for shown in left.shown), key=len) and set(taken) == {s.text for s in left.shown}
    asked = world.asked()
    assert all(each.source != TARGET.id for each in asked[asked.index(left) + 1 :] if each.place.round == 2)
    jobs = [each.job for each in world.actions("ask")]
    waves = len(outcome.run.outlooks)
    assert jobs[waves - 1].left == {TARGET.id: taken} and not jobs[0].left
    assert about_targets(outcome.run) and outcome.run.decided is not None
    assert len(jobs) == waves + 2 and not any(each.left for each in jobs[waves:])  # questions alone decide here


def test_a_choice_that_was_skipped_is_left_again_in_another_round_and_stands_with_nobody() -> None:
    class Shy(World):
        def rate(self, action: AnyAction) -> Sequence[Any]:
            skips = action.job.request.kind == "ranking"
            return [Failure(action.slot, "rate", "AssistantError", "skipped")] if skips else super().rate(action)

    world = Shy()
    outcome = go(recursion(replace(LEAVING, rounds=(Round(), Round(), Round()))), world)
    left = [each for each in world.asked() if each.kind == "ranking"]
    assert [(each.place.round, each.copy) for each in left] == [(1, 0), (2, 1)]
    assert taken_by_persons(outcome.run) == {} and outcome.run.decided is None


def test_what_most_took_is_had_while_it_stands_and_nothing_that_fewer_took() -> None:
    run = go(recursion(LEAVING), World()).run
    [(key, row)] = [(key, row) for key, rows in run.answered.items() for row in rows if row.request.kind == "ranking"]
    rankings = (Ranking((0, 1)), Ranking((0, 1)), Ranking((1, 0)))
    rows = [replace(row, feedback=Feedback(row.request.id, f"{at}", each)) for at, each in enumerate(rankings)]
    run = replace(run, answered={**run.answered, key: tuple(rows)})
    most, fewer = (shown.text for shown in row.request.shown[:2])
    assert taken_by_persons(run)[TARGET.id][:2] == (most, fewer)

    def without(text: str) -> dict[str, tuple[str, ...]]:
        now = {
            node: tuple(replace(each, text="written anew") if each.text == text else each for each in outputs)
            for node, outputs in run.state.outputs.items()
        }
        return taken_by_persons(replace(run, state=replace(run.state, outputs=now)))

    assert without(most) == {} and without(fewer)[TARGET.id][0] == most


@dataclass
class Warming(World):
    """A world whose models accept outputs a little more in every round, so that views above the leaves change."""

    rounds: dict[str, int] = field(default_factory=dict)

    def score(self, action: AnyAction) -> Sequence[Any]:
        job: stages.ScoreJob = action.job
        more = 0.01 * self.rounds.setdefault(job.model.digest, len(self.rounds))
        scored: Sequence[Scored] = super().score(action)
        return [replace(each, acceptance=tuple(min(1.0, one + more) for one in each.acceptance)) for each in scored]


def views(targets: bool, **plan: Any) -> list[str]:
    """Return the views at the target's root, round by round."""
    sampling = Sampling("thirds", 2, targets=targets)
    run = go(recursion(replace(ASKED, rounds=(Round(), Round(), Round()), sampling=sampling, **plan)), Warming()).run
    [tree] = [tree for tree in run.forest.trees if run.forest.is_target(tree)]
    return [each.state.view(tree.graph.root).id for each in run.rounds]


def test_a_target_that_was_asked_about_stays_as_it_was_asked_about() -> None:
    first, second, third = views(True)
    assert first == second == third
    assert len(set(views(False))) == 3


def test_new_policies_write_anew_what_was_asked_about() -> None:
    assert len(set(views(True, improve=Improving("better")))) > 1


def test_the_page_has_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "asking.md").read_text()
    names = {
        EVENLY: "drawn evenly, or recorded elsewhere",
        BY_VALUE: "chosen by value",
        AT_RANDOM: "drawn at random beside these",
        ABOUT_TARGETS: "about targets",
        LEFT: "choices left to a person",
    }
    for stream, name in names.items():
        row = re.search(rf"^\| train: {name} \|(.*)\|$", page, re.M)
        assert row is not None, name
        told = [cell.strip() for cell in row.group(1).split("|")]
        assert told == ["yes" if what in MAY_MOVE[stream] else "no" for what in get_args(Moved)], name
