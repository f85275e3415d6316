"""What fails is on record with its cause, is left out of all that follows, and is never scored zero."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rrm.compose.composers import Mean, Product
from rrm.core.task import Source
from rrm.core.values import Failure
from rrm.pipeline import stages
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.reporting import target_reports
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Selecting
from tests.pipeline.hand_world import APART, OTHER, RUN, TARGET, TRAIN, World, go

IMPROVING = replace(RUN, rounds=(Round(),) * 2, improve=Improving("optimiser"))


def gone(action: AnyAction) -> Failure:
    return Failure(action.slot, action.step, "AssistantError", "the model is gone")


def composed(outcome: Outcome) -> float:
    """The composed score of the target's best root output."""
    [report] = target_reports(outcome, Mean())
    assert report.chosen is not None and report.chosen.composed is not None
    return report.chosen.composed


@pytest.mark.parametrize("broken", [(), ("cyan",), ("cyan", "pink")])
def test_parts_that_failed_do_not_lower_the_score(broken: tuple[str, ...]) -> None:
    outcome = go(recursion(RUN), World(broken=broken))
    assert len(outcome.state.failures) == len(broken)
    assert composed(outcome) == pytest.approx(0.5 * 0.41 + 0.5 * 0.31)
    product = go(recursion(RUN), World(broken=broken, composer=Product()))
    # two middles with three leaves each, and one with those that are left
    left = 3 - len(broken)
    by_member = [root * (leaf * leaf**3) ** 2 * (leaf * leaf**left) for root, leaf in ((0.4, 0.3), (0.42, 0.32))]
    assert composed(product) == pytest.approx(np.mean(by_member))


class Unsplit(World):
    """One source cannot be split."""

    def decompose(self, action: AnyAction) -> Sequence[Any]:
        return [gone(action)] if action.job.source == OTHER else super().decompose(action)


def test_a_source_that_cannot_be_split_is_on_record_and_the_others_go_on() -> None:
    world = Unsplit()
    outcome = go(recursion(RUN), world)
    assert [failure.subject for failure in outcome.state.failures] == [f"{OTHER.id}/0"]
    assert {tree.source for tree in outcome.forest.trees} == {TRAIN.id, TARGET.id}
    assert [len(job.rated) for job in world.fits()] == [27, 9, 3]


@dataclass
class Silent(World):
    """No rater answers questions about a word's leaf."""

    about: str = "two."

    def rate(self, action: AnyAction) -> Sequence[Any]:
        return [gone(action)] if action.job.request.view.text.strip() == self.about else super().rate(action)


def test_a_question_that_failed_is_on_record_and_nothing_is_fitted_on_it() -> None:
    world = Silent()
    outcome = go(recursion(RUN), world)
    assert [len(job.rated) for job in world.fits()] == [51, 18, 6]
    failed = {request.id for request in world.asked() if request.view.text.strip() == "two."}
    assert len(failed) == 3
    assert {failure.subject for failure in outcome.state.failures} == failed
    [leaf] = {request.node for request in world.asked() if request.id in failed}
    assert leaf in outcome.state.predictions  # its outputs are scored as any others


class Failing(World):
    """Policies that were improved fail at one word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def propose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.OutputsJob = action.job
        fails = job.policy is not None and job.ask.prompt_context.view.text.strip() == self.word
        return [gone(action)] if fails else super().propose(action)


def test_a_node_that_fails_in_a_later_round_does_not_stand_by_what_it_said_before() -> None:
    outcome = go(recursion(IMPROVING), Failing("cyan."))
    before, after = (each.state for each in outcome.run.rounds)
    [leaf] = before.outputs.keys() - after.outputs.keys()
    for left in (after.prompt_contexts, after.predictions, after.composed, after.chosen, after.read):
        assert leaf not in left
    assert [failure.subject for failure in after.failures] == [leaf]
    [tree] = [tree for tree in outcome.forest.trees if tree.source == TARGET.id]
    middle = tree.graph.children(tree.graph.root)[1]
    assert [len(each.view(middle).passages) for each in (before, after)] == [3, 2]
    assert composed(outcome) == pytest.approx(0.5 * 0.41 + 0.5 * 0.31)


def test_policies_are_not_compared_at_nodes_that_failed_in_the_round() -> None:
    judge = Selecting("judge", frozenset({APART.id}), {"label": 2})
    train: tuple[tuple[Source, int], ...] = ((TRAIN, 1), (APART, 1))
    world = Failing("quatre.")
    go(recursion(replace(IMPROVING, train=train, select=judge, rounds=(Round(),) * 3)), world)
    assert [len(action.job.asks) for action in world.actions("choose")] == [13, 12]
