"""Rounds: what a later one does again and what not, what it asks, from whom, and with which policy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest

from rrm.core.graph import Proposal, TaskGraph
from rrm.core.ids import seed_for
from rrm.core.place import Place
from rrm.core.task import Source, Span, Task
from rrm.core.values import Choice, Feedback, Fitted, Label, Output, Rated, Request, View
from rrm.evaluate.holdout import Thresholdout
from rrm.feedback.budget import Budget
from rrm.feedback.minutes import minutes, minutes_of_raters
from rrm.feedback.sample import FirstLeaves, FirstSubtree
from rrm.pipeline import stages
from rrm.pipeline.driver import failed
from rrm.pipeline.flat import Flat, flat_baseline
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion, Selecting
from tests.pipeline.hand_world import APART, OTHER, RUN, TARGET, TRAIN, World, go

TWO, THREE = (Round(),) * 2, (Round(),) * 3
MODELS = [Fitted(Place(level=level), "path", f"digest-{level}", 9, root=level == 2) for level in range(3)]
"""Models of an earlier run: nothing is rated or fitted, so scores do not move by themselves."""

SELECT = Selecting("judge", frozenset({APART.id}), {"label": 2})
IMPROVING = replace(RUN, rounds=TWO, improve=Improving("optimiser"))
WITH_JUDGE = replace(IMPROVING, train=((TRAIN, 1), (OTHER, 1), (APART, 1)), select=SELECT)


def ids(requests: list[Request]) -> list[str]:
    return [request.id for request in requests]


def steps(world: World, round_: int) -> Counter[str]:
    return Counter(action.step for action in world.done if action.place.round == round_)


# ---- what is done again ----


def test_a_round_in_which_nothing_changed_does_nothing() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, rounds=THREE, models=MODELS)), world)
    assert steps(world, 0) == {"decompose": 3, "propose": 39, "score": 39, "trace": 3, "compose": 3}
    assert steps(world, 1) == steps(world, 2) == Counter()
    assert len(outcome.run.rounds) == 3
    assert outcome.run.rounds[0].state.outputs == outcome.run.rounds[2].state.outputs


def test_a_round_with_new_ratings_fits_and_scores_again_and_proposes_only_what_reads_other_scores() -> None:
    world = World()
    go(recursion(replace(RUN, rounds=TWO)), world)
    # the same two members judge as before, so what parents see has not changed
    assert steps(world, 1) == {"rate": 78, "fit": 3, "score": 39, "compose": 3}


WIDE = 100
"""So many texts of as many words each: 10,000 leaves below as many roots."""


def word(text: int, place: int) -> str:
    return f"w{text}x{place}"


def wide(source: Source, seed: int) -> TaskGraph:
    """A leaf for each word."""
    ends = [at for at, letter in enumerate(source.text) if letter == " "]
    cuts = [0, *ends, len(source.text)]
    words = tuple(Task("Tell.", source.id, Span(a, b), max_tokens=5) for a, b in pairwise(cuts))
    root = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=5)
    graph = TaskGraph.start(root, "wide", seed)
    return graph.grow_all(lambda graph, node: Proposal(words) if node.id == graph.root else Proposal())


class WideWorld(World):
    """Splits a text into its words."""

    def decompose(self, action: AnyAction) -> list[TaskGraph]:
        job: stages.DecomposeJob = action.job
        return [wide(job.source, job.seed)]


def wide_run(**changes: object) -> Recursion:
    texts = [Source(f"text-{text}", " ".join(word(text, place) for place in range(WIDE))) for text in range(WIDE)]
    run = replace(RUN, train=tuple((text, 1) for text in texts), target=(), outputs=1, root_outputs=1)
    models = [Fitted(Place(level=level), "path", f"digest-{level}", 9, root=level == 1) for level in range(2)]
    return replace(run, decomposer="wide", models=models, **changes)


@pytest.mark.slow
def test_of_ten_thousand_leaves_a_hundred_that_failed_are_done_again_with_what_reads_them_and_no_more() -> None:
    record: dict[str, Values] = {}
    texts, places = range(20, 30), range(10)
    broken = tuple(word(text, place) for text in texts for place in places)
    first = WideWorld(broken=broken)
    before = go(recursion(wide_run()), first, record)
    assert len(before.state.failures) == 100
    kept = {id_: values for id_, values in record.items() if not failed(values)}
    again = WideWorld()
    after = go(recursion(wide_run()), again, kept)
    assert not after.state.failures
    # the leaves, and the ten roots above them; all other 9,900 leaves and 90 roots stand as they were
    assert steps(again, 0) == {"propose": 110, "score": 110, "trace": 10, "compose": 10}
    changed = {action.slot for action in again.actions("propose")}
    for tree in after.forest.trees:
        for node in tree.graph:
            same = before.state.outputs.get(node) == after.state.outputs[node]
            assert same == (node not in changed)
    assert {tree.source for tree in after.forest.trees if tree.graph.root in changed} == {
        action.slot for action in again.actions("compose")
    }


@pytest.mark.slow
def test_of_ten_thousand_nodes_only_those_of_the_level_whose_policy_moved_are_proposed_again() -> None:
    world = WideWorld(moves=(1,))
    outcome = go(recursion(wide_run(rounds=TWO, improve=Improving("optimiser", per_level=True))), world)
    assert steps(world, 0) == {
        "decompose": 100,
        "propose": 10_100,
        "score": 10_100,
        "trace": 100,
        "compose": 100,
        "improve": 2,
    }
    assert steps(world, 1) == {"propose": 100, "score": 100, "trace": 100, "compose": 100}
    first, second = (each.state.outputs for each in outcome.run.rounds)
    roots = {tree.graph.root for tree in outcome.forest.trees}
    assert {node for node in first if first[node] != second[node]} == roots


# ---- what raters are asked ----


def test_each_output_is_asked_about_once_before_any_is_of_another_rater() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, ratings={"label": 5})), world)
    leaf = outcome.forest.trees[0].graph.leaves[0]
    asked = [request for request in world.asked() if request.node == leaf]
    assert [request.copy for request in asked] == [0, 0, 0, 1, 1]
    assert len({request.shown for request in asked[:3]}) == 3
    assert [request.shown for request in asked[3:]] == [request.shown for request in asked[:2]]
    assert len(set(ids(asked))) == 5


def test_a_later_round_asks_new_questions_and_never_one_twice() -> None:
    world = World()
    go(recursion(replace(RUN, rounds=THREE)), world)
    asked = [ids(world.asked(round_)) for round_ in range(3)]
    assert [len(each) for each in asked] == [78, 78, 78]
    assert len({id_ for each in asked for id_ in each}) == 3 * 78
    # three outputs give three comparisons and three labels: later ones are asked of another rater
    assert {request.copy for request in world.asked(0)} == {0}
    assert max(request.copy for request in world.asked(2)) >= 1


class Silent(World):
    """Nobody answers in the first round."""

    def rate(self, action: AnyAction) -> Sequence[Any]:
        return super().rate(action) if action.place.round else []


def test_raters_who_are_not_asked_again_are_asked_all_there_is_once_and_what_is_missing_is_noted() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, rounds=THREE, repeats=False)), world)
    # 26 training nodes, two pairs and a label a visit; 24 have three outputs, so three pairs, two roots four, so six
    asked = [Counter(request.kind for request in world.asked(round_)) for round_ in range(3)]
    assert asked == [
        {"comparison": 52, "label": 26},
        {"comparison": 24 + 4, "label": 26},
        {"comparison": 4, "label": 26},
    ]
    assert {request.copy for request in world.asked()} == {0}
    why = "questions were put, as there are no others and people are not asked twice about the same view and outputs"
    assert [note for note in outcome.run.notes if why in note] == [
        f"round 2, level 0: 36 of 54 {why}",
        f"round 2, level 1: 12 of 18 {why}",
        f"round 3, level 0: 18 of 54 {why}",
        f"round 3, level 1: 6 of 18 {why}",
    ]


def test_what_such_raters_left_unanswered_is_asked_again() -> None:
    world = Silent()
    run = replace(RUN, rounds=TWO, repeats=False, ratings={"comparison": 3, "label": 3}, root_ratings={"label": 4})
    go(recursion(run), world)
    first, second = world.asked(0), world.asked(1)
    assert sorted(ids([replace(each, copy=0) for each in second])) == sorted(ids(first))
    assert {each.copy for each in second} == {1}


def test_what_such_raters_leave_of_a_budget_goes_to_higher_levels_and_later_rounds() -> None:
    world = World()
    # 26 nodes: 24 with six questions each, two roots with ten; 164 in all
    run = replace(RUN, rounds=TWO, repeats=False, ratings={"comparison": 9, "label": 9}, budget=Budget(questions=160))
    go(recursion(run), world)
    assert len(world.asked(0)) == 80 and len(world.asked(1)) == 80
    assert len(set(ids(world.asked()))) == 160


def test_a_round_that_learns_from_its_own_ratings_keeps_those_that_cannot_be_asked_again() -> None:
    world = World()
    go(recursion(replace(RUN, rounds=TWO, repeats=False, data="round")), world)
    assert [len(job.rated) for job in world.fits(round_=1)] == [54 + 36, 18 + 12, 6 + 6]
    world = World()
    go(recursion(replace(IMPROVING, repeats=False, data="round")), world)
    # outputs in capitals are others, and their parents' views too
    assert [len(job.rated) for job in world.fits(round_=1)] == [54, 18, 6]


def test_ratings_of_earlier_rounds_are_fitted_on_again() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, rounds=TWO)), world)
    assert [len(job.rated) for job in world.fits(round_=1)] == [108, 36, 12]
    assert [len(level.rated) for level in outcome.levels] == [108, 36, 12]
    assert {row.weight for job in world.fits() for row in job.rated} == {1.0}
    world = World()
    go(recursion(replace(RUN, rounds=TWO, data="round")), world)
    assert [len(job.rated) for job in world.fits(round_=1)] == [54, 18, 6]


def test_a_fit_may_start_from_the_level_below_and_from_its_own_of_the_round_before() -> None:
    world = World()
    go(recursion(replace(RUN, rounds=TWO)), world)
    levels = range(3)
    assert all(job.before is None for job in world.fits(round_=0))
    assert [job.below and job.below.place for job in world.fits(round_=1)] == [
        None, Place(1, "answer", 0), Place(1, "answer", 1)
    ]  # fmt: skip
    assert [job.before and job.before.place for job in world.fits(round_=1)] == [Place(0, "answer", n) for n in levels]
    assert [len(job.others) for job in world.fits(round_=0)] == [0, 54, 72]
    assert [len(job.others) for job in world.fits(round_=1)] == [24, 114, 144]
    assert {row.request.place.level for row in world.fits(round_=1)[1].others} == {0, 2}


@pytest.mark.parametrize(("data", "second"), [("all", 109), ("round", 55)])
def test_ratings_made_elsewhere_are_used_in_every_round_once(data: Literal["all", "round"], second: int) -> None:
    request = Request("elsewhere", "elsewhere", Place(), "label", View("Tell.", (), 5), ())
    given = ((0, [Rated(request, Feedback(request.id, "somebody", Label(True)))]),)
    world = World()
    go(recursion(replace(RUN, rounds=TWO, given=given, data=data)), world)
    assert [len(job.rated) for job in world.fits() if job.place.level == 0] == [55, second]


def test_ratings_whose_inputs_have_changed_weigh_less() -> None:
    world = World()
    go(recursion(replace(IMPROVING, stale_weight=0.25, shows_earlier=True)), world)
    leaves, middles, roots = (Counter(row.weight for row in job.rated) for job in world.fits(round_=1))
    # of leaves the first of a source has no other beside it that says something else now
    assert leaves == {1.0: 6 + 54, 0.25: 48}
    assert (middles, roots) == ({1.0: 18, 0.25: 18}, {1.0: 6, 0.25: 6})


class Shouting(World):
    """The improved policy says one word otherwise, and is the one before in all else."""

    def propose(self, action: AnyAction) -> Sequence[Output]:
        made = super().propose(action)
        if made[0].text == "FIVE":
            return [replace(output, policy="loud") for output in made]
        return [replace(output, text=output.text.lower(), policy="words") for output in made]


def test_nodes_whose_inputs_have_changed_are_asked_about_first_until_they_were() -> None:
    world = Shouting()
    outcome = go(recursion(replace(IMPROVING, rounds=THREE, train=((TRAIN, 1),), shows_earlier=True)), world)
    [tree] = [tree for tree in outcome.forest.trees if tree.source == TRAIN.id]
    graph = tree.graph
    assert outcome.state.outputs[graph.leaves[4]][0].text == "FIVE"
    # those that read it as previous context, and all that is above it and them
    stale = {*graph.leaves[5:8], *graph.children(graph.root)[1:], graph.root}
    first, second, third = (each.state for each in outcome.run.rounds)
    assert {node for node in graph if first.view(node) != second.view(node)} == stale
    assert {node for node in graph if second.view(node) != third.view(node)} == set()

    def order(round_: int, level: int) -> list[str]:
        return list(dict.fromkeys(each.node for each in world.asked(round_) if each.place.level == level))

    for level, count in ((0, 3), (1, 2)):
        drawn = [node for node in Round().order(outcome.forest, 1, RUN.seed) if graph.height(node) == level]
        waiting = [node for node in drawn if node not in stale]
        assert order(1, level) == [*(node for node in drawn if node in stale), *waiting]
        assert len(order(1, level)) == len(waiting) + count
        drawn = [node for node in Round().order(outcome.forest, 2, RUN.seed) if graph.height(node) == level]
        assert order(2, level) == drawn != [*(node for node in drawn if node in stale), *waiting]


# ---- budgets ----


def spent(outcome: Outcome, round_: int) -> list[tuple[Request, ...]]:
    return [each for each in outcome.questions if each and each[0].place.round <= round_]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_budget_of_minutes_is_never_exceeded_and_nearly_used_round_by_round(rounds: int) -> None:
    budget = 12.0
    run = replace(RUN, rounds=(Round(),) * rounds, budget=Budget(minutes=budget))
    outcome = go(recursion(run), World())
    for round_ in range(rounds):
        due = budget * (round_ + 1) / rounds
        used = sum(minutes(requests) for requests in spent(outcome, round_))
        # what a level leaves over goes to the next one; what the root leaves over is less than one question of it
        assert due - 0.35 < used <= due + 1e-9


class Panel(World):
    """Every question is answered by one of five raters, who each read for themselves, or by `overlap` of them."""

    overlap = 1

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        first = seed_for("panel", row.request.id)
        names = [f"rater-{(first + at) % 5}" for at in range(self.overlap)]
        return [replace(row, feedback=replace(row.feedback, rater=name)) for name in names]


@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("rounds", [1, 3])
def test_a_budget_of_minutes_is_kept_in_the_minutes_of_all_who_answer(rounds: int, overlap: int) -> None:
    panel = Panel()
    panel.overlap = overlap
    run = replace(RUN, rounds=(Round(),) * rounds, budget=Budget(minutes=12.0), overlap=overlap)
    outcome = go(recursion(run), panel)
    used = sum(minutes_of_raters(level.rated) for level in outcome.levels)
    assert used == pytest.approx(outcome.minutes, abs=1e-12)
    # what is left over is less than one question of the root, 0.35 minutes, for each rater
    assert 12 - 0.35 * overlap < used <= 12
    flat = go(flat_baseline(outcome), panel)
    assert isinstance(flat, Flat)
    assert used - 0.35 * overlap < minutes_of_raters(flat.rated) <= used


def test_people_get_one_batch_a_level_that_fits_whoever_answers() -> None:
    run = replace(RUN, repeats=False, budget=Budget(by_level={0: Budget(minutes=4.0)}))
    outcome = go(recursion(run), World())
    [leaves] = [requests for requests in outcome.questions if requests]
    anew = [minutes([request]) for request in leaves]
    assert 4 - max(anew) < sum(anew) <= 4


@pytest.mark.parametrize(("questions", "rounds"), [(60, 1), (60, 2), (100, 3), (7, 3)])
def test_a_budget_of_questions_is_used_to_the_last_one(questions: int, rounds: int) -> None:
    world = World()
    go(recursion(replace(RUN, rounds=(Round(),) * rounds, budget=Budget(questions=questions))), world)
    for round_ in range(rounds):
        asked = sum(len(world.asked(each)) for each in range(round_ + 1))
        assert asked == questions * (round_ + 1) // rounds


def test_raters_that_overlap_share_a_budget() -> None:
    world = World()
    go(recursion(replace(RUN, rounds=TWO, budget=Budget(questions=40), overlap=2)), world)
    assert [len(world.asked(round_)) for round_ in range(2)] == [10, 10]  # each is answered twice


def test_a_level_with_a_budget_of_its_own_keeps_it_over_all_rounds_and_others_are_asked_nothing() -> None:
    world = World()
    by_level = {0: Budget(questions=20), "root": Budget(minutes=1.0)}
    outcome = go(recursion(replace(RUN, rounds=TWO, budget=Budget(by_level=by_level))), world)
    levels = [Counter(request.place.level for request in world.asked(round_)) for round_ in range(2)]
    assert [each[0] for each in levels] == [10, 10]
    assert levels[0][1] == levels[1][1] == 0
    roots = [each for each in outcome.questions if each and each[0].place.level == 2]
    assert 0.65 < sum(minutes(requests) for requests in roots) <= 1.0
    assert "level 1 has no ratings: it is judged by the model of level 0" in outcome.run.notes


# ---- schedules ----


def levels_of(world: World, round_: int) -> dict[str, dict[int, int]]:
    """How many nodes of each level were proposed at and asked about in a round."""
    nodes = {
        "propose": {(action.slot, action.place.level) for action in world.actions("propose", round_)},
        "rate": {(request.node, request.place.level) for request in world.asked(round_)},
    }
    return {step: dict(Counter(level for _, level in found)) for step, found in nodes.items()}


def test_first_leaves_then_the_first_subtree_then_full_trees() -> None:
    world = World()
    rounds = (
        Round(levels=(0,), nodes=FirstLeaves(), targets=False),
        Round(levels=(0, 1), nodes=FirstSubtree(), targets=False),
        Round(),
    )
    outcome = go(recursion(replace(RUN, rounds=rounds)), world)
    # three leaves of two training trees; with the node above them; then all
    assert levels_of(world, 0) == {"propose": {0: 6}, "rate": {0: 6}}
    assert levels_of(world, 1) == {"propose": {1: 2}, "rate": {0: 6, 1: 2}}
    # three leaves stand as they did, beside fifteen others and the target's nine; the target's root is not rated
    assert levels_of(world, 2) == {"propose": {0: 21, 1: 7, 2: 3}, "rate": {0: 18, 1: 6, 2: 2}}
    assert [len(job.rated) for job in world.fits()] == [18, 36, 6, 90, 24, 6]
    assert [action.place.round for action in world.actions("compose")] == [2, 2, 2]
    assert len(outcome.run.rounds) == 3


def test_a_level_is_trained_to_its_end_before_the_next_one_is_begun() -> None:
    world = World()
    rounds = (Round(levels=(0,), targets=False), Round(levels=(1,), targets=False), Round())
    outcome = go(recursion(replace(RUN, rounds=rounds, improve=Improving("optimiser", per_level=True))), world)
    assert levels_of(world, 0) == {"propose": {0: 18}, "rate": {0: 18}}
    assert levels_of(world, 1) == {"propose": {1: 6}, "rate": {1: 6}}
    assert [(each.level, each.policy) for each in outcome.run.improvements] == [(0, "words+1"), (1, "words+2")]
    proposing = {(each.place.level, each.job.policy and each.job.policy.policy) for each in world.actions("propose", 2)}
    assert proposing == {(0, "words+1"), (1, "words+2"), (2, None)}


def test_a_node_whose_parts_were_never_visited_is_passed_over_with_a_note() -> None:
    world = World()
    rounds = (Round(levels=(0,), nodes=FirstLeaves(), targets=False), Round(levels=(1, "root")), Round())
    outcome = go(recursion(replace(RUN, rounds=rounds)), world)
    assert levels_of(world, 1) == {"propose": {1: 2}, "rate": {1: 2}}
    assert [len(job.rated) for job in world.fits()] == [18, 6, 0, 72, 24, 6]
    assert [note for note in outcome.run.notes if "passed over" in note] == [
        "round 2, level 1: 7 of 9 nodes are passed over: no round has visited all of their parts yet",
        "round 2, level 2: 3 of 3 nodes are passed over: no round has visited all of their parts yet",
    ]
    assert not outcome.state.failures
    assert all(tree.graph.root in outcome.state.read for tree in outcome.forest.trees)


def test_a_policy_for_all_levels_learns_from_all_that_was_scored() -> None:
    world = World()
    rounds = (Round(levels=(0,), targets=False), Round(levels=(1,), targets=False), Round())
    go(recursion(replace(RUN, rounds=rounds, improve=Improving("optimiser"))), world)
    assert [len(action.job.seen) for action in world.actions("improve")] == [18, 24]


def test_a_round_without_improvement_leaves_the_policy() -> None:
    world = World()
    go(recursion(replace(IMPROVING, rounds=(Round(improve=False), Round(), Round()))), world)
    assert [action.place.round for action in world.actions("improve")] == [1]


@pytest.mark.parametrize(
    ("rounds", "improves"),
    [((Round(),), False), ((Round(improve=False), Round()), False), (TWO, True)],
    ids=["one", "none-that-improves", "two"],
)
def test_a_run_that_never_comes_to_improve_its_policy_says_so(rounds: tuple[Round, ...], improves: bool) -> None:
    world = World()
    outcome = go(recursion(replace(IMPROVING, rounds=rounds)), world)
    assert bool(world.actions("improve")) == improves
    assert any(note.startswith("no policy was improved") for note in outcome.run.notes) != improves
    applied = go(recursion(replace(IMPROVING, rounds=(Round(),), models=MODELS)), World())
    assert applied.run.notes == ()  # with an earlier run's models and policies there is nothing to improve


def test_levels_that_no_tree_has_are_told_once() -> None:
    budget = Budget(by_level={level: Budget(questions=9) for level in (0, 1, 2, 7)})
    rounds = (Round(levels=(0,)), Round(levels=(1,)), Round(levels=(2,)), Round(levels=(3,)), *TWO)
    outcome = go(recursion(replace(RUN, rounds=rounds, budget=budget)), World())
    [note] = [each for each in outcome.run.notes if each.startswith("no tree has")]
    assert note == (
        "no tree has the levels 3 of [[schedule]] and 7 of rater.budget.by_level: the highest, that of the roots, is 2"
    )
    known = Budget(by_level={0: Budget(questions=9), "root": Budget(questions=9)})
    outcome = go(recursion(replace(RUN, rounds=(Round(levels=(0, "root")), *TWO), budget=known)), World())
    assert not [each for each in outcome.run.notes if each.startswith("no tree has")]


# ---- the judge of role select ----


def test_sources_held_apart_are_rated_by_the_judge_of_role_select_alone() -> None:
    world = World()
    outcome = go(recursion(WITH_JUDGE), world)
    assert {request.source for request in world.asked()} == {TRAIN.id, OTHER.id}
    apart = world.asked(step="rate-select")
    assert {request.source for request in apart} == {APART.id}
    assert {request.kind for request in apart} == {"label"}
    assert Counter(request.place.level for request in apart if request.place.round == 0) == {0: 18, 1: 6, 2: 2}
    for role, source in (("train", {TRAIN.id, OTHER.id}), ("select", {APART.id})):
        jobs = world.fits(role)
        assert {row.request.source for job in jobs for row in job.rated} == source
        assert {row.feedback.rater for job in jobs for row in job.rated} == {f"counter-{role}"}
        assert {job.below.role for job in jobs if job.below} == {role}
    [improving] = world.actions("improve")
    assert {seen.source for seen in improving.job.seen} == {TRAIN.id, OTHER.id}
    assert {model.role for model in improving.job.models} == {"train"}
    assert {action.job.model.role for action in world.actions("score")} == {"train"}
    assert {level.model.role for level in outcome.levels} == {"train"}
    assert {request.source for each in outcome.questions for request in each} == {TRAIN.id, OTHER.id}
    uses = {(use.role, use.purpose) for use in outcome.run.uses}
    assert uses == {("train", "fit"), ("train", "improve"), ("select", "fit"), ("select", "choose")}


def test_policies_are_compared_where_the_judge_of_role_select_has_rated() -> None:
    world = World()
    outcome = go(recursion(WITH_JUDGE), world)
    [choosing] = world.actions("choose")
    assert {source for source, _ in choosing.job.asks} == {APART.id}
    assert len(choosing.job.asks) == 13
    assert {model.role for model in choosing.job.models} == {"select"}
    assert [(choice.policy, choice.before, choice.chosen) for choice in outcome.run.choices] == [
        ("words+1", "words", True)
    ]


def test_looks_at_the_judge_are_counted_and_once_they_are_used_up_no_new_policy_is_kept() -> None:
    world, reuse = World(), Thresholdout(0.05, 0.0, answers=2)
    assert WITH_JUDGE.select is not None
    limited = replace(WITH_JUDGE, select=replace(WITH_JUDGE.select, reuse=reuse), rounds=(Round(),) * 4)
    outcome = go(recursion(limited), world)
    looks = [action.job.look for action in world.actions("choose")]
    assert [(look.number, look.used) for look in looks] == [(0, 0), (1, 1)]
    assert {model.role for look in looks for model in look.proxies} == {"train"}
    assert [choice.chosen for choice in outcome.run.choices] == [True, True]
    assert [policies_of(world, round_) for round_ in range(4)] == [{"words"}, {"words+1"}, {"words+1+2"}, set()]
    [told] = [note for note in outcome.run.notes if "all 2 answers" in note]
    assert "were not kept" in told


# ---- policies ----


def policies_of(world: World, round_: int) -> set[str]:
    found = (action.job.policy for action in world.actions("propose", round_))
    return {policy.policy if policy else "words" for policy in found}


def test_the_next_round_proposes_with_the_improved_policy() -> None:
    world = World()
    outcome = go(recursion(replace(IMPROVING, rounds=THREE)), world)
    assert [policies_of(world, round_) for round_ in range(3)] == [{"words"}, {"words+1"}, {"words+1+2"}]
    assert len(world.actions("propose", 1)) == 39
    assert [(each.before, each.anchor) for each in outcome.run.improvements] == [
        ("words", "words"),
        ("words+1", "words"),
    ]
    leaf = outcome.forest.trees[0].graph.leaves[0]
    assert [each.state.outputs[leaf][0].text for each in outcome.run.rounds] == ["one", "ONE", "ONE"]
    assert [each.policies.get(None) for each in outcome.run.rounds] == [None, *outcome.run.improvements]
    assert outcome.state.outputs == outcome.run.rounds[-1].state.outputs


@pytest.mark.parametrize(
    ("start", "anchor", "made"),
    [
        ("last", "first", [("words+1", "words"), ("words+1+2", "words")]),
        ("first", "first", [("words+1", "words"), ("words+2", "words")]),
        ("first", "last", [("words+1", "words"), ("words+2", "words+1")]),
        ("last", "last", [("words+1", "words"), ("words+1+2", "words+1")]),
    ],
)
def test_a_policy_starts_from_and_is_anchored_to_the_first_one_or_the_last(
    start: str, anchor: str, made: list[tuple[str, str]]
) -> None:
    how = Improving("optimiser", start=start, anchor=anchor)  # type: ignore[arg-type]  # as a run file gives them
    outcome = go(recursion(replace(IMPROVING, rounds=THREE, improve=how)), World())
    assert [(each.policy, each.anchor) for each in outcome.run.improvements] == made


@pytest.mark.parametrize(
    ("data", "learned"),
    [
        ("round", ["one", "ONE"]),
        (1, ["one", "ONE"]),
        (2, ["one", "ONE one", "ONE+ ONE"]),
        ("all", ["one", "ONE one", "ONE+ ONE one"]),
    ],
)
def test_a_policy_learns_from_the_outputs_of_this_round_of_the_last_so_many_or_of_all(
    data: Any, learned: list[str]
) -> None:
    class Marking(World):
        """Every improved policy after the first says so behind its word."""

        def propose(self, action: AnyAction) -> Sequence[Any]:
            made = super().propose(action)
            later = action.job.policy is not None and action.job.policy.policy.count("+") > 1
            return [replace(each, text=each.text.replace(" ", "+ ") + "+") for each in made] if later else made

    rounds = THREE if len(learned) == 2 else (Round(),) * 4
    world = Marking()
    go(recursion(replace(IMPROVING, rounds=rounds, improve=Improving("optimiser", data=data))), world)
    jobs = [action.job for action in world.actions("improve")]
    firsts = []
    for job in jobs:
        [leaf] = [each for each in job.seen if each.prompt_context.view.text == "one."]
        firsts.append(" ".join(each.text for each in leaf.outputs if " " not in each.text))
        assert len({(each.prompt_context.node, each.prompt_context.view.id) for each in job.seen}) == len(job.seen)
    assert firsts == learned
    roots = [sum(each.prompt_context.place.level == 2 for each in job.seen) for job in jobs]
    # one of the source, and one of the other; their views change with what is written below
    assert roots == [2 * len(each.split()) for each in learned]


def test_a_policy_that_is_not_preferred_gives_way_to_the_one_before() -> None:
    world = World(prefers_new=False)
    outcome = go(recursion(replace(WITH_JUDGE, rounds=THREE)), world)
    assert [policies_of(world, round_) for round_ in range(3)] == [{"words"}, set(), set()]
    assert [choice.chosen for choice in outcome.run.choices] == [False, False]
    assert outcome.run.policies == {}
    assert len(outcome.run.improvements) == 2  # they stay on record

    class Fickle(World):
        """Prefers the first new policy only."""

        def choose(self, action: AnyAction) -> Sequence[Choice]:
            self.prefers_new = action.place.round == 0
            return super().choose(action)

    world = Fickle()
    outcome = go(recursion(replace(WITH_JUDGE, rounds=THREE)), world)
    assert [policies_of(world, round_) for round_ in range(3)] == [{"words"}, {"words+1"}, set()]
    assert [(each.policy, each.before, each.chosen) for each in outcome.run.choices] == [
        ("words+1", "words", True),
        ("words+1+2", "words+1", False),
    ]
    assert outcome.run.policies[None].policy == "words+1"


def test_each_level_may_have_a_policy_of_its_own() -> None:
    world = World(moves=(0, 2))
    run = replace(IMPROVING, improve=Improving("optimiser", per_level=True))
    outcome = go(recursion(run), world)
    jobs = {action.job.level: action.job for action in world.actions("improve")}
    # two training trees of 9, 3 and 1 nodes
    assert {level: len(job.seen) for level, job in jobs.items()} == {0: 18, 1: 6, 2: 2}
    assert all(seen.prompt_context.place.level == level for level, job in jobs.items() for seen in job.seen)
    assert {level: each.policy for level, each in outcome.run.policies.items()} == {
        0: "words+1",
        1: "words",
        2: "words+1",
    }
    proposing = {(action.place.level, action.job.policy.policy) for action in world.actions("propose", 1)}
    assert proposing == {(0, "words+1"), (1, "words"), (2, "words+1")}


# ---- gold ----


def test_gold_is_asked_at_the_end_once_about_every_output_of_every_round_for_a_target() -> None:
    world = World()
    outcome = go(recursion(replace(IMPROVING, gold="truth")), world)
    assert [action.step for action in world.done].index("gold") == len(world.done) - 1
    [asking] = world.actions("gold")
    asked = [output.id for output, _ in asking.job.outputs]
    # twelve nodes of three outputs and a root of four, in two rounds
    assert len(asked) == len(set(asked)) == 2 * (12 * 3 + 4)
    assert outcome.gold.keys() == set(asked)
    [tree] = [tree for tree in outcome.forest.trees if tree.source == TARGET.id]
    spans = {output.node: span for output, span in asking.job.outputs}
    assert spans[tree.graph.root] is None
    assert all(spans[node] == tree.graph.task(node).span for node in tree.graph if node != tree.graph.root)
    assert [use.outputs for use in outcome.run.uses if use.role == "final"] == [80]
    world = World()
    go(recursion(replace(RUN, rounds=TWO, gold="truth")), world)
    assert [len(action.job.outputs) for action in world.actions("gold")] == [40]  # the same outputs in both rounds
