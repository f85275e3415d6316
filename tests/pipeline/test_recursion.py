"""The recursion over small trees, one round of it, with parts whose results can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from rrm.compose.composers import Mean, Product
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.task import Source
from rrm.core.values import Feedback, Fitted, Label, Passage, Rated, Request, View
from rrm.feedback.minutes import minutes
from rrm.feedback.select import asked_of
from rrm.pipeline.flat import Flat, flat_baseline
from rrm.pipeline.recursion import recursion
from rrm.pipeline.reporting import target_reports
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Outcome, nearest
from tests.pipeline.hand_world import APART, OTHER, RUN, TARGET, TRAIN, World, go


def target_tree(outcome: Outcome):
    return next(tree for tree in outcome.forest.trees if tree.source == TARGET.id)


def test_levels_come_from_below_and_each_reads_the_chosen_outputs_with_their_scores() -> None:
    outcome = go(recursion(RUN), World())
    assert [level.place.level for level in outcome.levels] == [0, 1, 2]
    root = target_tree(outcome).graph.root
    shown = outcome.state.view(root).passages
    # every chosen output is the longest of three; its mean acceptance is 0.3 and 0.32, shown as 0.31
    assert [passage.text for passage in shown] == ["red red red", "cyan cyan cyan", "black black black"]
    assert {passage.score for passage in shown} == {0.31}
    outputs = outcome.state.outputs[root]
    assert len(outputs) == 4
    assert outputs[0].inputs == tuple(passage.output for passage in shown)


def test_only_training_sources_are_rated_and_models_are_fitted_from_the_one_below() -> None:
    world = World()
    go(recursion(RUN), world)
    assert {request.source for request in world.asked()} == {TRAIN.id, OTHER.id}
    # per level 2 sources x (9, 3, 1) nodes x 3 questions
    assert [len(job.rated) for job in world.fits()] == [54, 18, 6]
    assert [job.below.place.level if job.below else None for job in world.fits()] == [None, 0, 1]
    assert [job.root for job in world.fits()] == [False, False, True]
    assert {row.weight for job in world.fits() for row in job.rated} == {1.0}


def test_a_root_may_be_asked_about_more_than_other_nodes() -> None:
    world = World()
    go(recursion(replace(RUN, root_ratings={"comparison": 5})), world)
    assert [len(job.rated) for job in world.fits()] == [54, 18, 10]


def test_previous_context_is_the_first_output_of_earlier_nodes_oldest_dropped_first() -> None:
    outcome = go(recursion(replace(RUN, shows_earlier=True)), World())
    graph = outcome.forest.trees[0].graph
    contexts = [outcome.state.view(leaf).context for leaf in graph.leaves]
    # first outputs are one word; three tokens of context hold the last three of them
    assert contexts[:3] == ["", "one", "one\n\ntwo"]
    assert contexts[8] == "six\n\nseven\n\neight"
    told = outcome.state.outputs[graph.leaves[2]][0].context
    assert told == tuple(outcome.state.outputs[leaf][0].id for leaf in graph.leaves[:2])


def test_policies_read_previous_context_that_raters_are_not_shown() -> None:
    shown, hidden = World(), World()
    with_it, without = go(recursion(replace(RUN, shows_earlier=True)), shown), go(recursion(RUN), hidden)
    for node in with_it.forest.trees[0].graph:
        assert without.state.outputs[node] == with_it.state.outputs[node]
        assert without.state.prompt_contexts[node].read == with_it.state.view(node)
        assert without.state.view(node) == replace(with_it.state.view(node), context="")
    assert {row.request.view.context for job in hidden.fits() for row in job.rated} == {""}
    assert len({row.request.view.context for job in shown.fits() for row in job.rated}) > 1


def test_a_failed_node_is_on_record_and_left_out_and_the_rest_goes_on() -> None:
    outcome = go(recursion(RUN), World(broken=("cyan",)))
    assert [failure.cause for failure in outcome.state.failures] == ["the model is gone"]
    [report] = target_reports(outcome, Mean())
    [failed] = [node for node in report.trees[0].nodes if node.failure]
    assert failed.source_text.strip() == "cyan."
    assert failed.candidates == ()
    assert report.chosen is not None
    graph = target_tree(outcome).graph
    middle = graph.children(graph.root)[1]
    assert [passage.text.split()[0] for passage in outcome.state.view(middle).passages] == ["pink", "grey"]


def test_a_share_of_training_nodes_is_read_at_random_and_no_target_node_is() -> None:
    outcome = go(recursion(replace(RUN, random_share=1.0)), World())
    state, forest = outcome.state, outcome.forest
    differs = {
        forest.is_target(tree): [state.read[node] != state.chosen[node] for node in tree.graph] for tree in forest.trees
    }
    assert any(differs[False])
    assert not any(differs[True])


def test_models_of_an_earlier_run_judge_what_is_nearest_to_what_they_were_fitted_to() -> None:
    world = World()
    models = [Fitted(Place(level=level), "path", f"digest-{level}", 9, root=level == 1) for level in range(2)]
    outcome = go(recursion(replace(RUN, train=(), models=models)), world)
    assert not world.asked() and not world.fits()
    assert [level.model.place.level for level in outcome.levels] == [0, 0, 1]  # an inner level is no root
    assert outcome.run.notes == ("level 1 is judged by the model of level 0, the nearest that was fitted",)
    assert not outcome.run.uses


def test_ratings_made_elsewhere_join_their_level_and_root_means_the_highest() -> None:
    view = View("Tell.", (Passage("elsewhere"),), 5)
    request = Request("elsewhere", "elsewhere", Place(), "label", view, ())
    rated = Rated(request, Feedback(request.id, "somebody", Label(True)))
    world = World()
    outcome = go(recursion(replace(RUN, train=(), given=((0, [rated]), ("root", [rated, rated])))), world)
    assert [len(job.rated) for job in world.fits()] == [1, 0, 2]
    assert [row.request.place.level for job in world.fits() for row in job.rated] == [0, 2, 2]
    assert outcome.run.notes == ("level 1 has no ratings: it is judged by the model of level 0",)


def test_ratings_made_elsewhere_of_a_target_teach_no_model_and_the_run_says_so() -> None:
    view = View("Tell.", (Passage("elsewhere"),), 5)
    rows = []
    for source in ("elsewhere", TARGET.id):
        request = Request(source, source, Place(), "label", view, ())
        rows.append(Rated(request, Feedback(request.id, "somebody", Label(True))))
    world = World()
    outcome = go(recursion(replace(RUN, train=(), given=((0, rows), ("root", rows)))), world)
    assert {row.request.source for job in world.fits() for row in job.rated} == {"elsewhere"}
    assert [len(job.rated) for job in world.fits()] == [1, 0, 1]
    for level in (0, 2):
        assert f"level {level}: recorded ratings about targets teach no model, 1 left out" in outcome.run.notes


def test_a_target_that_is_trained_on_is_refused() -> None:
    with pytest.raises(InputError, match="the target 'target' has the same text as the training source 'target'"):
        go(recursion(replace(RUN, train=((TARGET, 1),))), World())


# ---- trees of unequal heights ----

SHORT = Source("short", "uno. dos. tres.")
SHORTEST = Source("shortest", "eins. zwei.")


def test_roots_of_unequal_heights_are_all_judged_by_the_model_of_roots() -> None:
    world = World()
    run = replace(RUN, train=((TRAIN, 1), (SHORT, 1)), target=((TARGET, 1), (SHORTEST, 1)))
    outcome = go(recursion(run), world)
    roots = {tree.graph.root: len(tree.graph.levels) - 1 for tree in outcome.forest.trees}
    assert sorted(roots.values()) == [0, 1, 2, 2]
    scored = {each.slot: each.job for each in world.actions("score")}
    assert {(scored[root].group.place, scored[root].model.root) for root in roots} == {(Place(level=2), True)}
    assert not any(job.model.root for node, job in scored.items() if node not in roots)
    # leaves 9 and 3, inner nodes 3 (the root of the short tree is none), roots 2; three questions each
    assert [len(job.rated) for job in world.fits()] == [36, 9, 6]
    assert all(each.request.place.level == 2 for job in world.fits()[2:] for each in job.rated)
    reports = target_reports(outcome, Mean())
    assert [report.trees[0].nodes[0].level for report in reports] == [2, 2]
    assert all(report.chosen is not None for report in reports)


def model(level: int, root: bool = False) -> Fitted:
    return Fitted(Place(level=level), f"path-{level}", f"digest-{level}", 9, root)


@pytest.mark.parametrize(
    ("level", "lower", "top", "chosen", "note"),
    [
        (0, (0, 1), 2, 0, None),
        (1, (0, 1), 2, 1, None),
        (4, (0, 1), 2, 1, "level 4 is judged by the model of level 1, the nearest that was fitted"),
        (1, (0, 2), 3, 2, "level 1 is judged by the model of level 2, the nearest that was fitted"),
        (2, (0, 1, 3), 4, 3, "level 2 is judged by the model of level 3, the nearest that was fitted"),
        (0, (), 2, 2, "level 0 is judged by the model of roots, the nearest that was fitted"),
    ],
)
def test_the_nearest_model_is_for_the_same_kind_of_node(
    level: int, lower: tuple[int, ...], top: int, chosen: int, note: str | None
) -> None:
    models = [*map(model, lower), model(top, root=True)]
    assert nearest(models, level, root=False) == (model(chosen, root=chosen == top), note)
    for height in (1, top, top + 5):  # roots are roots
        assert nearest(models, height, root=True) == (model(top, root=True), None)


def test_roots_are_judged_by_the_highest_model_where_none_was_fitted_to_roots() -> None:
    found, note = nearest([model(0), model(1)], 2, root=True)
    assert found.place.level == 1
    assert note == "roots are judged by the model of level 1, the nearest that was fitted"


# ---- the flat baseline ----


def test_the_flat_baseline_has_the_levels_minutes_and_reads_whole_sources() -> None:
    world = World()
    outcome = go(recursion(RUN), world)
    budget = sum(minutes(requests) for requests in outcome.questions)
    assert sum(map(len, outcome.questions)) == 78
    before = len(world.asked())
    flat = go(flat_baseline(outcome), world)
    assert isinstance(flat, Flat)
    asked = world.asked()[before:]
    assert len(asked) == len(flat.rated) == len(flat.asked)
    one_more = 9 / 250 + 2 * 4 / 250 + 0.2  # the source, two outputs of up to four words, a decision
    assert budget - one_more < minutes(asked) <= budget
    assert {request.place for request in asked} == {Place(0, "whole", 2)}
    assert {request.view.text for request in asked} == {TRAIN.text, OTHER.text}
    assert len({request.id for request in asked}) == len(asked)
    graph = target_tree(outcome).graph
    assert flat.scores.keys() == {output.id for output in outcome.state.outputs[graph.root]}


def test_the_flat_baseline_of_several_rounds_has_the_minutes_of_all() -> None:
    outcome = go(recursion(replace(RUN, rounds=(Round(), Round()))), World())
    flat = go(flat_baseline(outcome), World())
    assert isinstance(flat, Flat)
    budget = sum(minutes(requests) for requests in outcome.questions)
    assert len(outcome.questions) == 6
    assert 0.97 * budget < minutes(flat.asked) <= budget


@pytest.mark.parametrize("criterion", ["", "/tone"])
def test_the_flat_baseline_compares_by_the_criterion_of_questions_in_hindsight(criterion: str) -> None:
    outcome = go(recursion(replace(RUN, ratings={"label": 1, f"comparison{criterion}": 2})), World())
    in_hindsight = {"label": 1, f"hindsight{criterion}": 1, f"comparison{criterion}": 1}
    run = replace(outcome.run, plan=replace(RUN, ratings=in_hindsight))
    flat, plain = (go(flat_baseline(each), World()) for each in (replace(outcome, run=run), outcome))
    assert isinstance(flat, Flat) and isinstance(plain, Flat)
    assert [each.id for each in flat.asked] == [each.id for each in plain.asked]
    assert {asked_of(each) for each in flat.asked} == {"label", f"comparison{criterion}"}


def test_there_is_no_flat_baseline_with_models_of_an_earlier_run() -> None:
    outcome = go(recursion(replace(RUN, models=[model(0), model(1, root=True)])), World())
    world = World()
    assert go(flat_baseline(outcome), world) is None
    assert not world.done


# ---- composing ----


def test_scores_compose_by_hand() -> None:
    outcome = go(recursion(RUN), World(composer=Mean(own_weight=0.5)))
    [report] = target_reports(outcome, Mean(own_weight=0.5))
    # leaves and middles 0.31 each; the best root output has four words, 0.41
    assert report.chosen is not None and report.chosen.composed is not None
    assert report.chosen.composed == pytest.approx(0.5 * 0.41 + 0.5 * 0.31)
    leaf = next(node for node in report.trees[0].nodes if node.level == 0)
    share = len(leaf.source_text) / len(TARGET.text)
    assert leaf.blame == pytest.approx(0.25 * (1 - 0.31) * share, rel=0.2)
    outcome = go(recursion(replace(RUN, composer="product")), World(composer=Product()))
    [product] = target_reports(outcome, Product())
    assert product.chosen is not None
    by_member = [0.4 * (0.3 * 0.3**3) ** 3, 0.42 * (0.32 * 0.32**3) ** 3]
    assert product.chosen.composed == pytest.approx(np.mean(by_member))


def test_without_an_anchor_root_outputs_are_compared_over_all_trees() -> None:
    composer = Mean(own_weight=1.0)
    outcome = go(recursion(replace(RUN, target=((TARGET, 2),))), World(anchored=False, composer=composer))
    assert not outcome.run.anchored
    [report] = target_reports(outcome, composer)
    own = [candidate.own for candidate in report.trees[0].nodes[0].candidates]
    rewards = np.array([0.4, 0.3, 0.2, 0.1] * 2)
    wins = 1 / (1 + np.exp(rewards[None, :] - rewards[:, None]))
    assert own == pytest.approx(((wins.sum(axis=1) - 0.5) / 7)[:4])
    assert [candidate.composed for candidate in report.trees[0].nodes[0].candidates] == pytest.approx(own)


def test_a_composer_is_learned_from_what_raters_of_role_train_said_above_the_leaves() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, composer="learner", composer_learns=True)), world)
    [learning] = world.actions("learn-composer")
    assert [row.request.place.level for row in learning.job.rated] == [1] * 18 + [2] * 6
    assert {tree.source for tree in learning.job.trees} == {TRAIN.id, OTHER.id}
    assert outcome.run.learned is not None and outcome.run.learned.composer == "learned"
    assert {action.job.learned for action in world.actions("compose")} == {outcome.run.learned}
    root = outcome.state.composed[target_tree(outcome).graph.root]
    assert root.acceptance["overall"][0, 3] == pytest.approx(0.4 * (0.3 * 0.3**3) ** 3)  # the product, as learned


def test_every_tree_of_a_source_is_composed_and_the_best_root_output_of_all_is_chosen() -> None:
    world = World()
    outcome = go(recursion(replace(RUN, train=((TRAIN, 2),), target=((TARGET, 3), (APART, 1)))), world)
    assert [len(action.job.trees) for action in world.actions("compose")] == [2, 3, 1]
    reports = target_reports(outcome, Mean())
    assert [len(report.trees) for report in reports] == [3, 1]
    assert all(tree.graph.root in outcome.state.composed for tree in outcome.forest.trees)
