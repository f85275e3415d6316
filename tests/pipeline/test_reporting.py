"""What a run has to say at its end: blame to the digit, and rounds level by level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from rrm.compose.composers import Mean
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.values import Output
from rrm.pipeline.recursion import recursion
from rrm.pipeline.reporting import round_reports, target_reports
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving
from tests.pipeline.hand_world import RUN, TARGET, World, go

IMPROVING = replace(RUN, rounds=(Round(),) * 2, improve=Improving("optimiser", kl_budget=2.0), gold="truth")


def test_blame_is_what_the_root_would_gain() -> None:
    mean = Mean(own_weight=0.5)
    [report] = target_reports(go(recursion(RUN), World(composer=mean)), mean)
    nodes = report.trees[0].nodes
    assert [node.level for node in nodes].count(0) == 9
    for leaf in (node for node in nodes if node.level == 0):
        share = len(leaf.source_text) / len(TARGET.text)
        assert leaf.blame == leaf.subtree_blame == pytest.approx(0.25 * (1 - 0.31) * share)
    [root] = [node for node in nodes if node.level == 2]
    assert root.blame == pytest.approx(0.5 * (1 - 0.41))
    assert root.subtree_blame == pytest.approx(1 - 0.36)


@dataclass
class Named:
    """A policy of which nothing but its name is known."""

    name: str

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        raise NotImplementedError


class Exact(Named):
    """A policy whose distance from another is as many nats as that one's name has letters; of one nat of entropy."""

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        return float(len(other.name))

    def entropy(self, prompt_context: PromptContext) -> float:
        return 1.0


def test_rounds_are_reported_level_by_level() -> None:
    outcome = go(recursion(IMPROVING), World())
    first, second = round_reports(outcome, {"words+1": Named("words+1")}, Named("words"))
    for each in (first, second):
        # leaves and middles have one to three words, roots one to four, in capitals or not
        assert [level.gold_mean for level in each.levels] == pytest.approx([0.1, 0.1, 0.125])
        assert [level.proxy_mean for level in each.levels] == pytest.approx([0.21, 0.21, 0.26])
        assert {(level.kl_budget, level.entropy) for level in each.levels} == {(2.0, None)}
    assert [level.moved for level in first.levels] == [None] * 3
    # the first leaf of each source has no other before it that says something else now
    assert [level.moved for level in second.levels] == pytest.approx([8 / 9, 1.0, 1.0])
    assert [level.kl for level in first.levels] == [0.0] * 3
    assert [level.kl for level in second.levels] == [0.5] * 3  # as the optimiser said


def test_the_distance_is_exact_where_a_policy_knows_it() -> None:
    outcome = go(recursion(IMPROVING), World())
    first, second = round_reports(outcome, {"words+1": Exact("words+1")}, Named("words"))
    assert {(level.kl, level.entropy) for level in first.levels} == {(0.0, None)}
    assert {(level.kl, level.entropy) for level in second.levels} == {(5.0, 1.0)}


def test_without_gold_or_improvement_rounds_tell_what_the_models_say() -> None:
    outcome = go(recursion(RUN), World())
    [only] = round_reports(outcome, {}, Named("words"))
    assert {(level.gold_mean, level.kl, level.kl_budget) for level in only.levels} == {(None, 0.0, None)}
    assert [level.proxy_mean for level in only.levels] == pytest.approx([0.21, 0.21, 0.26])
