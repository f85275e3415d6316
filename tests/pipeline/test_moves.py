"""Which answers move which scores: each stream flipped, and all that the table lets it move moves, and nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest

from rrm.api.asked import not_chosen
from rrm.core.asking import AT_RANDOM, BY_VALUE
from rrm.core.roles import Select, Train
from rrm.core.values import Comparison, Feedback, Label, Scored
from rrm.feedback.budget import Budget
from rrm.pipeline import stages
from rrm.pipeline.moves import ABOUT_TARGETS, EVENLY, MAY_MOVE, Moved, about_targets, stream_of
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion, Sampling, Selecting
from tests.pipeline.hand_world import APART, OTHER, RUN, TARGET, TRAIN, World, go

ASKED = replace(RUN, rounds=(Round(), Round()), sampling=Sampling("thirds", 2, targets=True), budget=Budget(minutes=60))


@dataclass
class Contrary(World):
    """A world whose raters say the contrary of it, of the questions that are named."""

    contrary: frozenset[str] = frozenset()

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        if row.request.question not in self.contrary:
            return [row]
        given = row.feedback.answer
        other = Label(not given.good) if isinstance(given, Label) else Comparison(1 - given.better)
        return [replace(row, feedback=Feedback(row.request.id, row.feedback.rater, other))]


def moves(contrary: frozenset[str] = frozenset(), plan: Recursion = ASKED) -> tuple[Outcome, Mapping[str, object]]:
    """Return where a run ends, and what each of the things that answers move came to."""
    world = Contrary(contrary=contrary)
    outcome = go(recursion(plan), world)
    believed = [[[row.id for row in rows] for _, rows in each.job.believed] for each in world.actions("ask")]
    waves = len(outcome.run.outlooks)
    assert len(believed) == waves + 2  # at the end with the answers about targets, and without them
    return outcome, {
        "models": {key: model.digest for key, model in outcome.run.models.items() if key[0] == Train.name},
        "belief": believed[:waves],
        "choice": believed[waves],
        "figures": [row.id for level in outcome.levels for row in not_chosen(outcome, level.rated)],
    }


@pytest.mark.parametrize("stream", MAY_MOVE)
def test_answers_of_a_stream_move_what_they_may_and_nothing_else(stream: str) -> None:
    outcome, before = moves()
    put = [each for requests in outcome.questions for each in requests]
    flipped = frozenset(each.question for each in put if stream_of(outcome.run, each) == stream)
    _, after = moves(flipped)
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
    }
    for stream, name in names.items():
        row = re.search(rf"^\| train: {name} \|(.*)\|$", page, re.M)
        assert row is not None, name
        told = [cell.strip() for cell in row.group(1).split("|")]
        assert told == ["yes" if what in MAY_MOVE[stream] else "no" for what in get_args(Moved)], name
