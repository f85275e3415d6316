"""The recursion over small trees, with parts whose results can be worked out by hand."""

from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rrm.compose.composers import Mean, Product
from rrm.core.errors import InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.task import Source, Span, Task
from rrm.core.values import Comparison, Failure, Feedback, Fitted, Label, Output, Passage, Rated, Request, Scored, View
from rrm.pipeline.flat import FLAT, flat_baseline
from rrm.pipeline.plan import Action, Plan, Stage
from rrm.pipeline.recursion import Outcome, Recursion, Results, recursion
from rrm.pipeline.reporting import Composing, learned_composer, target_reports

TRAIN = Source("train", "one. two. three. four. five. six. seven. eight. nine.")
OTHER = Source("other", "alpha. beta. gamma. delta. epsilon. zeta. eta. theta. iota.")
TARGET = Source("target", "red. green. blue. cyan. pink. grey. black. white. brown.")


def split(source: Source) -> TaskGraph:
    """Nine sentences, three to a part: heights 0, 1 and 2."""
    ends = [at + 1 for at, letter in enumerate(source.text) if letter == "."]

    def thirds(graph: TaskGraph, node: Node) -> Proposal:
        assert node.task.span is not None
        inside = [end for end in ends if node.task.span.start < end <= node.task.span.end]
        if len(inside) < 3:
            return Proposal()
        cuts = [node.task.span.start, *inside[len(inside) // 3 - 1 :: len(inside) // 3]]
        spans = [Span(a, b) for a, b in pairwise(cuts)]
        return Proposal(tuple(Task("Tell.", source.id, span, max_tokens=5, context_tokens=3) for span in spans))

    root = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=5)
    return TaskGraph.start(root, "thirds", 0).grow_all(thirds).with_context()


class World:
    """Does actions: output number i is i words, the longer the better; remembers what it was asked."""

    def __init__(self, broken: str | None = None) -> None:
        self.asked: list[Request] = []
        self.proposed: dict[str, Action] = {}
        self.fits: list[Any] = []
        self.broken = broken

    def do(self, action: Action) -> tuple[Any, ...]:
        return tuple(getattr(self, action.step)(action))

    def decompose(self, action: Action) -> list[Any]:
        return [split(action.payload.source)]

    def propose(self, action: Action) -> list[Any]:
        self.proposed[action.slot] = action
        job = action.payload
        if self.broken is not None and self.broken in job.material.view.text:
            return [Failure(action.slot, "propose", "AssistantError", "the model is gone")]
        first = job.material.view.text.split()[0].strip(".")
        texts = [" ".join([first] * (number + 1)) for number in range(job.n)]
        made = (job.material.inputs, job.material.context)
        return [Output(action.slot, text, "words", number, *made) for number, text in enumerate(texts)]

    def rate(self, action: Action) -> list[Any]:
        request = action.payload
        self.asked.append(request)
        lengths = [len(shown.text.split()) for shown in request.shown]
        answer = Comparison(int(np.argmax(lengths))) if request.kind == "comparison" else Label(lengths[0] > 1)
        return [request, Feedback(request.id, "counter", answer)]

    def fit(self, action: Action) -> list[Any]:
        self.fits.append(action.payload)
        return [Fitted(action.payload.level, f"level-{action.payload.level}", "digest", len(action.payload.rated))]

    def score(self, action: Action) -> list[Any]:
        job = action.payload
        chances = [len(text.split()) / 10 for text in job.group.outputs]
        return [
            Scored(output, job.model.id, (chance, chance), (chance, chance + 0.02))
            for chance, outputs in zip(chances, job.outputs, strict=True)
            for output in outputs
        ]


def go(process: Generator[Stage, Results, Any], world: World) -> Any:
    results: Any = None
    try:
        while True:
            plan = Plan(process.send(results), {})
            while ready := plan.ready():
                for action in ready:
                    plan.done(action, world.do(action))
            results = plan.results
    except StopIteration as end:
        return end.value


RUN = Recursion(
    train=((TRAIN, 1), (OTHER, 1)),
    target=((TARGET, 1),),
    decomposer="thirds",
    policy="words",
    rater="counter",
    reward="lengths",
    count=lambda text: len(text.split()),
    outputs=3,
    root_outputs=4,
    ratings={"comparison": 2, "label": 1},
    random_share=0.0,
)


def test_levels_come_from_below_and_each_reads_the_chosen_outputs_with_their_scores() -> None:
    world = World()
    outcome: Outcome = go(recursion(RUN), world)
    assert [level.level for level in outcome.levels] == [0, 1, 2]
    tree = next(tree for tree in outcome.forest.trees if tree.source == TARGET.id)
    shown = outcome.standing.views[tree.graph.root].passages
    # every chosen output is the longest of three; its mean acceptance is 0.3 and 0.32, shown as 0.31
    assert [passage.text for passage in shown] == ["red red red", "cyan cyan cyan", "black black black"]
    assert {passage.score for passage in shown} == {0.31}
    root = outcome.standing.outputs[tree.graph.root]
    assert len(root) == 4
    assert root[0].inputs == tuple(passage.output for passage in shown)


def test_only_training_sources_are_rated_and_models_are_fitted_from_the_one_below() -> None:
    world = World()
    go(recursion(RUN), world)
    assert {request.source for request in world.asked} == {TRAIN.id, OTHER.id}
    # per level 2 sources x (9, 3, 1) nodes x 3 questions
    assert [len(job.rated) for job in world.fits] == [54, 18, 6]
    assert [job.below.level if job.below else None for job in world.fits] == [None, 0, 1]


def test_a_root_may_be_asked_about_more_than_other_nodes() -> None:
    world = World()
    go(recursion(replace(RUN, root_ratings={"comparison": 5})), world)
    assert [len(job.rated) for job in world.fits] == [54, 18, 10]


def test_previous_context_is_the_first_output_of_earlier_nodes_oldest_dropped_first() -> None:
    world = World()
    outcome: Outcome = go(recursion(RUN), world)
    graph = outcome.forest.trees[0].graph
    contexts = [outcome.standing.views[leaf].context for leaf in graph.leaves]
    # first outputs are one word; three tokens of context hold the last three of them
    assert contexts[:3] == ["", "one", "one\n\ntwo"]
    assert contexts[8] == "six\n\nseven\n\neight"
    told = outcome.standing.outputs[graph.leaves[2]][0].context
    assert told == tuple(outcome.standing.outputs[leaf][0].id for leaf in graph.leaves[:2])


def test_a_failed_node_is_on_record_and_left_out_and_the_rest_goes_on() -> None:
    outcome: Outcome = go(recursion(RUN), World(broken="cyan"))
    tree = next(tree for tree in outcome.forest.trees if tree.source == TARGET.id)
    assert [failure.cause for failure in outcome.standing.failures] == ["the model is gone"]
    [report] = target_reports(outcome, Composing(Mean(), anchored=True))
    [failed] = [node for node in report.trees[0].nodes if node.failure]
    assert failed.source_text.strip() == "cyan."
    assert failed.candidates == ()
    assert report.chosen is not None
    middle = tree.graph.children(tree.graph.root)[1]
    assert [passage.text.split()[0] for passage in outcome.standing.views[middle].passages] == ["pink", "grey"]


def test_a_share_of_training_nodes_is_read_at_random_and_no_target_node_is() -> None:
    outcome: Outcome = go(recursion(replace(RUN, random_share=1.0)), World())
    standing = outcome.standing
    differs = {
        outcome.forest.is_target(tree): [standing.read[n] != standing.chosen[n] for n in tree.graph]
        for tree in outcome.forest.trees
    }
    assert any(differs[False])
    assert not any(differs[True])


def test_with_models_of_an_earlier_run_nothing_is_rated_or_fitted() -> None:
    world = World()
    models = [Fitted(level, "path", "digest", 9) for level in range(2)]
    outcome: Outcome = go(recursion(replace(RUN, train=(), models=models)), world)
    assert not world.asked and not world.fits
    assert [level.model.level for level in outcome.levels] == [0, 1, 1]  # above the highest, that one again


def test_ratings_made_elsewhere_join_their_level_and_root_means_the_highest() -> None:
    view = View("Tell.", (Passage("elsewhere"),), 5)
    request = Request("elsewhere", "elsewhere", 0, "label", view, ())
    rated = Rated(request, Feedback(request.id, "somebody", Label(True)))
    world = World()
    go(recursion(replace(RUN, train=(), given=((0, [rated]), ("root", [rated, rated])))), world)
    assert [len(job.rated) for job in world.fits] == [1, 0, 2]


def test_a_target_that_is_trained_on_is_refused() -> None:
    with pytest.raises(InputError, match="target: a target source must not be a training source too"):
        go(recursion(replace(RUN, train=((TARGET, 1),))), World())


def test_the_flat_baseline_has_the_levels_budget_and_reads_whole_sources() -> None:
    world = World()
    outcome: Outcome = go(recursion(RUN), world)
    budget = len(world.asked)
    flat = go(flat_baseline(RUN, outcome), world)
    asked = world.asked[budget:]
    assert len(asked) == budget == len(flat.rated)
    assert {request.level for request in asked} == {FLAT}
    assert {request.view.text for request in asked} == {TRAIN.text, OTHER.text}
    assert len({request.id for request in asked}) == len(asked)
    assert len(flat.scores) == 4  # the target's root outputs


def test_scores_compose_by_hand() -> None:
    outcome: Outcome = go(recursion(RUN), World())
    [report] = target_reports(outcome, Composing(Mean(own_weight=0.5), anchored=True))
    # leaves and middles 0.31 each; the best root output has four words, 0.41
    assert report.chosen is not None and report.chosen.composed is not None
    assert report.chosen.composed == pytest.approx(0.5 * 0.41 + 0.5 * 0.31)
    [product] = target_reports(outcome, Composing(Product(), anchored=True))
    assert product.chosen is not None
    by_member = [0.4 * (0.3 * 0.3**3) ** 3, 0.42 * (0.32 * 0.32**3) ** 3]
    assert product.chosen.composed == pytest.approx(np.mean(by_member))
    leaf = next(node for node in report.trees[0].nodes if node.level == 0)
    share = len(leaf.source_text) / len(TARGET.text)
    assert leaf.blame == pytest.approx(0.25 * (1 - 0.31) * share, rel=0.2)


def test_without_an_anchor_root_outputs_are_compared_over_all_trees() -> None:
    outcome: Outcome = go(recursion(replace(RUN, target=((TARGET, 2),))), World())
    [report] = target_reports(outcome, Composing(Mean(own_weight=1.0), anchored=False))
    own = [candidate.own for candidate in report.trees[0].nodes[0].candidates]
    rewards = np.array([0.4, 0.3, 0.2, 0.1] * 2)
    wins = 1 / (1 + np.exp(rewards[None, :] - rewards[:, None]))
    assert own == pytest.approx(((wins.sum(axis=1) - 0.5) / 7)[:4])
    with pytest.raises(InputError, match="product"):
        target_reports(outcome, Composing(Product(), anchored=False))


def test_the_learned_composer_is_fitted_on_what_raters_said_above_the_leaves() -> None:
    outcome: Outcome = go(recursion(RUN), World())
    learned = learned_composer(outcome, anchored=True)
    low, high = (
        float(learned.join(np.array([own]), np.full((3, 1), 0.31), np.full(3, 1 / 3))[0]) for own in (0.1, 0.4)
    )
    assert low < high  # raters here accept what is longer, which is what own scores say
    with pytest.raises(InputError):
        learned_composer(outcome, anchored=False)
