"""Stand-ins for outputs: sizes by hand; and the recursion driven with them, as a run would go."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from rrm.backbone.tokens import load_tokenizer
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.task import Source, Span, Task
from rrm.core.text import word_count, words
from rrm.feedback.budget import Allowance
from rrm.feedback.minutes import minutes
from rrm.pipeline.flat import flat_baseline
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.rehearse import FULL, USUAL, StandIn, StandIns, rehearsed, with_wordless_roots
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion, Selecting

SOURCES = [Source(f"tale {at}", f"One came {at}. Two went. Three stayed.") for at in range(3)]
LIMIT = 20


@dataclass(frozen=True)
class Thirds:
    """Three leaves of about a sentence each under one root; a leaf may read 30 tokens of what came before."""

    name: str = "thirds"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        cuts = [0, 11, 21, len(source.text)]

        def split(_: TaskGraph, node: Node) -> Proposal:
            if node.task.span != Span(0, len(source.text)):
                return Proposal()
            return Proposal(tuple(Task("Tell.", source.id, Span(a, b), LIMIT, 30) for a, b in pairwise(cuts)))

        whole = Task("Join.", source.id, Span(0, len(source.text)), 40)
        return TaskGraph.start(whole, self.name, seed).grow_all(split).with_context()


def plan(rounds: int = 1) -> Recursion:
    return Recursion(
        train=tuple((source, 1) for source in SOURCES[:2]),
        target=((SOURCES[2], 1),),
        decomposer="thirds",
        policy="writer",
        rater="rater",
        learner="learner",
        composer="mean",
        aligner="words",
        count=word_count,
        rounds=(Round(),) * rounds,
        outputs=4,
        root_outputs=8,
    )


def driven(made: Recursion, stand_in: StandIn = FULL) -> tuple[Outcome, list[AnyAction]]:
    return rehearsed(recursion(made), StandIns(made, Thirds(), stand_in))


def at(done: Sequence[AnyAction], step: str, round_: int, level: int) -> list[AnyAction]:
    return [each for each in done if (each.step, each.place.round, each.place.level) == (step, round_, level)]


@pytest.mark.parametrize(("stand_in", "tokens", "count"), [(FULL, 20, 20), (USUAL, 15, 12)])
def test_texts_have_their_share_of_the_limit(stand_in: StandIn, tokens: int, count: int) -> None:
    text = stand_in.text(LIMIT)
    assert len(words(text)) == count
    assert load_tokenizer().count(text) == tokens
    assert len({stand_in.text(LIMIT, number) for number in range(1000)}) == 1000
    assert {len(stand_in.text(LIMIT, number)) for number in range(1000)} == {len(text)}
    assert stand_in.text(0) == ""


def test_leaves_show_their_text_and_parents_their_parts() -> None:
    _, done = driven(plan())
    leaves, roots = (at(done, "propose", 0, level) for level in (0, 1))
    assert {each.job.ask.prompt_context.view.text for each in leaves} == {
        *(f"One came {number}." for number in range(3)), " Two went.", " Three stayed."
    }  # fmt: skip
    assert {each.job.ask.n for each in leaves} == {4} and {each.job.ask.n for each in roots} == {8}
    view = roots[0].job.ask.prompt_context.view
    assert [len(words(passage.text)) for passage in view.passages] == [LIMIT] * 3


def test_every_visit_of_a_training_node_puts_its_questions_and_targets_are_asked_nothing() -> None:
    outcome, done = driven(plan())
    rated = at(done, "rate", 0, 0)
    assert len(rated) == 2 * 3 * (3 + 2)  # two trees of three leaves, three comparisons and two labels each
    assert {each.job.request.source for each in rated} == {source.id for source in SOURCES[:2]}
    assert set(outcome.state.composed) == {node for tree in outcome.forest.trees for node in tree.graph}


def test_in_a_second_round_leaves_stand_and_all_above_is_written_and_asked_anew() -> None:
    _, done = driven(plan(rounds=2))
    assert at(done, "propose", 1, 0) == [] and len(at(done, "propose", 1, 1)) == 3
    first, second = ({each.job.request.view.id for each in at(done, "rate", at_, 1)} for at_ in (0, 1))
    assert len(first) == len(second) == 2 and not first & second
    assert len(at(done, "rate", 1, 0)) == 30  # other questions about the same leaves, or the same of other raters
    assert len({each.id for each in done}) == len(done)


def test_improved_policies_are_compared_by_the_judge_of_role_select_and_write_anew() -> None:
    improving = replace(
        plan(rounds=2),
        improve=Improving("optimiser"),
        select=Selecting("judge", frozenset({SOURCES[0].id}), {"label": 1}),
    )
    outcome, done = driven(improving)
    assert len(outcome.run.improvements) == len(outcome.run.choices) == 1
    assert len(at(done, "propose", 1, 0)) == 9
    assert {each.job.request.source for each in done if each.step == "rate-select"} == {SOURCES[0].id}


def test_the_flat_baseline_asks_for_the_minutes_of_the_levels_or_those_that_are_given() -> None:
    outcome, _ = driven(plan(), USUAL)
    answers = StandIns(plan(), Thirds(), USUAL)
    flat, _ = rehearsed(flat_baseline(outcome), answers)
    assert flat is not None
    levels = sum(minutes(requests) for requests in outcome.questions)
    asked = minutes(flat.asked)
    assert levels - 2 < asked <= levels
    assert {request.view.text for request in flat.asked} == {source.text for source in SOURCES[:2]}
    less, _ = rehearsed(flat_baseline(outcome, Allowance(minutes=3.0)), answers)
    assert less is not None and minutes(less.asked) <= 3.0 and len(less.asked) < len(flat.asked)


def test_roots_without_words_cost_only_their_views_and_decisions() -> None:
    outcome, _ = driven(plan())
    bare = with_wordless_roots(outcome)
    for tree in bare.forest.trees:
        texts = [output.text for output in bare.state.outputs[tree.graph.root]]
        assert len(set(texts)) == 8 and not any(map(word_count, texts))
