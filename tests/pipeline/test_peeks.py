"""Peeks: what raters above the leaves cannot see is looked at in the source, for a share of the minutes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked
from rrm.core.kinds import Label
from rrm.core.values import Failure
from rrm.feedback.budget import Budget
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.peeks import QUESTION, claims_of, peeked_trees
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Outcome, Recursion
from tests.pipeline.hand_world import OTHER, RUN, TARGET, TRAIN, World, go

PEEKED = replace(RUN, peeks=0.2)


def done(plan: Recursion = PEEKED, world: World | None = None) -> tuple[World, Outcome]:
    made = world or World()
    return made, go(recursion(plan), made)


def peeks_asked(world: World) -> list[Any]:
    return [each for each in world.asked() if each.place.subject == "claims"]


def test_claims_of_training_roots_are_asked_about_beside_the_words_of_the_source_that_they_rest_on() -> None:
    world, outcome = done()
    asked = peeks_asked(world)
    assert (
        asked and {each.kind for each in asked} == {"label"} and {each.view.instruction for each in asked} == {QUESTION}
    )
    texts = {source.id: source.text for source in (TRAIN, OTHER)}
    assert {each.source for each in asked} <= set(texts)
    for each in asked:
        assert each.view.passages and all(passage.text in texts[each.source] for passage in each.view.passages)
        roots = [tree.graph.root for tree in outcome.forest.trees if tree.source == each.source]
        said = [output.text for root in roots for output in outcome.state.outputs[root]]
        assert any(each.shown[0].text in text for text in said)
    assert len({each.id for each in asked}) == len(asked)
    assert TARGET.id not in {tree.source for tree in peeked_trees(outcome.run)}


def test_peeks_take_their_share_of_all_minutes_and_none_is_asked_twice() -> None:
    world, outcome = done(replace(PEEKED, rounds=(Round(), Round()), budget=Budget(minutes=20.0)))
    looked = minutes_of_raters([each.rated for each in outcome.run.peeks], PEEKED.rates)
    others = minutes_of_raters([row for rows in outcome.run.answered.values() for row in rows], PEEKED.rates)
    assert 0 < looked <= 0.2 * (looked + others) and others <= 20
    assert outcome.minutes == pytest.approx(looked + others)
    asked = [each.id for each in peeks_asked(world)]
    assert len(set(asked)) == len(asked) == len(outcome.run.peeked)


def test_without_a_share_nobody_peeks() -> None:
    world, outcome = done(RUN)
    assert not peeks_asked(world) and outcome.run.peeks == ()


def test_a_model_of_claims_learns_from_peeks_and_no_other_model_does() -> None:
    plan = replace(PEEKED, checker="claims", reads_back=True)
    world, outcome = done(plan)
    told = {each.rated.request.id for each in outcome.run.peeks}
    assert told
    for job in world.fits():
        others = {row.request.id for row in job.others}
        assert not told & {row.request.id for row in job.rated}
        assert (told <= others) == (job.place.subject == "claims")


def test_a_resumed_run_looks_at_the_same_claims() -> None:
    record: dict[str, Any] = {}
    first = go(recursion(PEEKED), World(), record)
    again = World()
    second = go(recursion(PEEKED), again, record)
    assert again.done == [] and second.run.peeks == first.run.peeks


def test_it_is_said_that_all_claims_were_looked_at() -> None:
    _, outcome = done(replace(PEEKED, rounds=(Round(),) * 3, peeks=0.9))
    assert any("that leads to words of the source was looked at, so" in note for note in outcome.run.notes)
    assert not any("no claim of a training root" in note for note in outcome.run.notes)


class Blind(World):
    """A world whose raters skip every peek."""

    def rate(self, action: AnyAction) -> Any:
        if action.place.subject == "claims":
            return [Failure(action.slot, "rate", "AssistantError", "skipped")]
        return super().rate(action)


def test_raters_who_skip_every_peek_are_not_asked_again_and_the_run_goes_on() -> None:
    world, outcome = done(replace(PEEKED, rounds=(Round(), Round())), Blind())
    assert peeks_asked(world) and outcome.run.peeks == ()
    ids = [each.id for each in peeks_asked(world)]
    assert len(set(ids)) == len(ids) and outcome.state.failures


def test_how_sure_the_way_is_stands_beside_the_answer() -> None:
    _, outcome = done()
    run = outcome.run
    sure = {round(each.score, 9) for tree in peeked_trees(run) for each in claims_of(run, tree)}
    assert {round(each.surety, 9) for each in run.peeks} <= sure
    assert all(0 < each.surety <= 1 and isinstance(each.rated.feedback.answer, Label) for each in run.peeks)


class Looking(World):
    """A world where every third look is drawn, the others are chosen, and raters are shown another guideline."""

    def __init__(self, guideline: str) -> None:
        super().__init__()
        self.guideline = guideline
        self.valued: set[str] = set()

    def do(self, action: AnyAction) -> Values:
        if action.step != "choose-looks":
            return super().do(action)
        peeking = action.job
        streams = [BY_VALUE if at % 3 else AT_RANDOM for at in range(len(peeking.claims))]
        asked = zip((each.request for each in peeking.claims), streams, strict=True)
        self.valued |= {request.question for request, stream in asked if stream == BY_VALUE}
        return tuple(
            Asked(each.request.id, stream, peeking.pool, 1.0)
            for each, stream in zip(peeking.claims, streams, strict=True)
        )

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        request = replace(row.request, guideline=self.guideline)
        return [replace(row, request=request, feedback=replace(row.feedback, request=request.id))]


@pytest.mark.parametrize("guideline", ["v0", "v1", "v2"])
def test_a_look_that_was_chosen_is_known_under_whatever_guideline_raters_saw_it(guideline: str) -> None:
    world, outcome = done(replace(PEEKED, peeks=0.5, peeks_random=0.25), Looking(guideline))
    peeks = outcome.run.peeks
    assert {each.chosen for each in peeks} == {True, False}
    assert {each.rated.request.guideline for each in peeks} == {guideline}
    assert all(each.chosen == (each.rated.request.question in world.valued) for each in peeks)
