"""What a run has to say at its end: blame to the digit, and rounds level by level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from rrm.compose.composers import Mean
from rrm.core.place import Place
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.report import PolicyChoice, Spent
from rrm.core.values import Choice, Output
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
    outcome = go(recursion(replace(IMPROVING, shows_earlier=True)), World())
    first, second = round_reports(outcome, {"words+1": Named("words+1")}, Named("words"))
    for each in (first, second):
        # leaves and middles have one to three words, roots one to four, in capitals or not
        assert [level.gold_mean for level in each.levels] == pytest.approx([0.1, 0.1, 0.125])
        assert [level.proxy_mean for level in each.levels] == pytest.approx([0.21, 0.21, 0.26])
        assert {(level.kl_budget, level.entropy) for level in each.levels} == {(2.0, None)}
        # nodes of one level are all judged alike, so they spread nothing; there is one root only
        assert [level.proxy_interval for level in each.levels] == [pytest.approx((0.21, 0.21))] * 2 + [None]
    assert [level.moved for level in first.levels] == [None] * 3
    # the first leaf of each source has no other before it that says something else now
    assert [level.moved for level in second.levels] == pytest.approx([8 / 9, 1.0, 1.0])
    assert [level.kl for level in first.levels] == [0.0] * 3
    assert {(level.kl, level.spent, level.of_budget) for level in second.levels} == {
        (None, Spent(0.5, "exact", "first"), 0.25)
    }
    assert {level.spent for level in first.levels} == {None}


def test_nats_from_the_last_policy_are_not_told_as_nats_from_the_first() -> None:
    improve = Improving("optimiser", kl_budget=2.0, anchor="last")
    outcome = go(recursion(replace(IMPROVING, rounds=(Round(),) * 3, improve=improve)), World())
    names = [each.policy for each in outcome.run.improvements]
    assert [each.anchor for each in outcome.run.improvements] == ["words", names[0]]
    _, second, third = round_reports(outcome, {name: Named(name) for name in names}, Named("words"))
    assert {(level.kl, level.spent) for level in second.levels} == {(None, Spent(0.5, "exact", "first"))}
    assert {(level.kl, level.spent) for level in third.levels} == {(None, Spent(0.5, "exact", "last"))}
    assert third.levels[0].to_json()["spent"] == {"nats": 0.5, "how": "exact", "anchor": "last"}


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


def test_whether_a_new_policy_was_kept_is_told_with_its_gain_and_interval() -> None:
    outcome = go(recursion(IMPROVING), World())
    [made] = outcome.run.improvements
    by_node = (("a", 0.1), ("a", 0.3), ("b", -0.2), ("b", 0.2), ("c", 0.5), ("c", 0.3))
    choice = Choice(Place(0, "answer", 2), made.policy, "words", 0.2, 6, True, by_node)
    first, second = round_reports(
        replace(outcome, run=replace(outcome.run, choices=(choice,))), {"words+1": Named("words+1")}, Named("words")
    )
    assert second.choices == ()
    [told] = first.choices
    assert told.interval is not None
    # means of sources are 0.2, 0 and 0.4: with three, the expanded percentiles are the least and the greatest of them
    assert told == PolicyChoice("words+1", None, 0.2, told.interval, 6, 3, True)
    assert tuple(told.interval) == pytest.approx((0.0, 0.4))
    assert first.to_json()["choices"] == [
        {
            "level": None,
            "gain": 0.2,
            "nodes": 6,
            "sources": 3,
            "kept": True,
            "by_select": True,
            "interval": pytest.approx([0.0, 0.4]),
        }
    ]


def test_the_gain_on_one_source_has_no_interval() -> None:
    outcome = go(recursion(IMPROVING), World())
    choice = Choice(Place(0, "answer", 2), "words+1", "words", -0.1, 2, False, (("a", -0.3), ("a", 0.1)))
    run = replace(outcome.run, choices=(choice,))
    first, _ = round_reports(replace(outcome, run=run), {"words+1": Named("words+1")}, Named("words"))
    assert first.choices == (PolicyChoice("words+1", None, -0.1, None, 2, 1, False),)
