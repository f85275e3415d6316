"""Rounds whose questions a sampler chooses: all levels at once, wave by wave, and the same again from the record."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from rrm.core.asking import AT_RANDOM, BY_VALUE
from rrm.core.values import Failure, Shown
from rrm.feedback.budget import Budget
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.pacing import closeness
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion, Sampling
from tests.pipeline.hand_world import RUN, TARGET, World, go

CHOSEN = replace(RUN, rounds=(Round(), Round()), sampling=Sampling("thirds", 2), budget=Budget(questions=80))


def done(plan: Recursion = CHOSEN, **world: Any) -> tuple[World, Outcome]:
    made = World(**world)
    return made, go(recursion(plan), made)


def test_questions_of_all_levels_are_chosen_at_once_after_the_first_round() -> None:
    world, outcome = done()
    assert len(world.asked(0)) == 40 and not [a for a in world.actions("ask") if a.place.round == 0]
    second = world.asked(1)
    assert {each.kind for each in second} == {"label"} and {each.place.level for each in second} == {0, 1, 2}
    chosen = outcome.run.why
    assert {each.question for each in second} == set(chosen)
    assert {each.stream for each in chosen.values()} == {BY_VALUE, AT_RANDOM}
    steps = [each.step for each in world.done if each.place.round == 1]
    assert (
        steps.index("rate") < steps.index("propose") if "propose" in steps else steps.index("rate") < steps.index("fit")
    )


def test_answers_of_a_wave_are_believed_in_the_next_but_not_those_drawn_at_random() -> None:
    world, outcome = done()
    jobs = [each.job for each in world.actions("ask")]
    assert [job.asking.wave for job in jobs] == list(range(len(jobs))) and len(jobs) > 2
    told = [{row.request.question for _, rows in job.believed for row in rows} for job in jobs]
    put = [
        {each.request.question for each in before.asking.questions}
        - {each.request.question for each in after.asking.questions}
        for before, after in pairwise(jobs)
    ]
    for at, asked in enumerate(put):
        by_value = {each for each in asked if outcome.run.why[each].stream == BY_VALUE}
        assert by_value and by_value <= told[at + 1]
        assert not (asked - by_value) & set().union(*told)
    assert jobs[-1].asking.drawn == sum(each.stream == AT_RANDOM for each in outcome.run.why.values())


def test_a_fit_is_told_which_of_its_ratings_were_drawn_at_random_beside_the_chosen() -> None:
    world, outcome = done()
    drawn = {question for question, each in outcome.run.why.items() if each.stream == AT_RANDOM}
    assert not any(job.at_random for job in world.fits(round_=0))
    told = [(job.at_random, {row.request.question for row in job.rated}) for job in world.fits(round_=1)]
    assert all(at_random == drawn & rated for at_random, rated in told)
    assert set().union(*(at_random for at_random, _ in told)) == drawn


def test_no_more_is_put_than_the_budget_allows() -> None:
    _, outcome = done()
    assert 72 <= sum(map(len, outcome.questions)) <= 80
    in_minutes = replace(CHOSEN, budget=Budget(minutes=20.0))
    _, timed = done(in_minutes)
    rows = [row for rows in timed.run.answered.values() for row in rows]
    assert 15 < minutes_of_raters(rows, CHOSEN.rates) <= 20
    assert timed.run.outlooks[-1][0] == pytest.approx(minutes_of_raters(rows, CHOSEN.rates))
    _, open_ = done(replace(CHOSEN, budget=None))
    assert open_.run.why


def test_a_resumed_run_replays_recorded_choices() -> None:
    record: dict[str, Any] = {}
    first = go(recursion(CHOSEN), World(), record)
    again = World(stops=True)  # would choose nothing, if it were asked
    second = go(recursion(CHOSEN), again, record)
    assert again.done == [] and second.run.why == first.run.why and second.run.outlooks == first.run.outlooks


def test_a_round_that_stops_asks_nothing_and_says_so() -> None:
    world, outcome = done(stops=True)
    assert world.asked(1) == [] and len(outcome.run.outlooks) == 1
    assert "round 2: no question is worth its minutes any more: the best bundle gains 0 a minute" in outcome.run.notes


class Skipping(World):
    """A world whose raters skip every question from the second round on."""

    def rate(self, action: AnyAction) -> Sequence[Any]:
        if action.place.round == 0:
            return super().rate(action)
        return [Failure(action.slot, "rate", "AssistantError", "skipped")]


def test_raters_who_always_skip_are_asked_each_question_once_a_round() -> None:
    world = Skipping()
    outcome = go(recursion(replace(CHOSEN, budget=Budget(minutes=20.0))), world)
    put = [each.id for each in world.asked(1)]
    assert put and len(set(put)) == len(put)
    assert outcome.run.unanswered >= set(put)
    before, after = outcome.run.outlooks[0][0], outcome.run.outlooks[-1][0]
    assert before == after  # nothing was answered, so nothing is known to have been paid


class Slow(World):
    """A world whose raters take three minutes for a label about leaves, and half a minute for any other question."""

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        slow = row.request.kind == "label" and row.request.place.level == 0
        return [replace(row, feedback=replace(row.feedback, seconds=180.0 if slow else 30.0))]


@pytest.mark.parametrize("leaves", [False, True])
def test_prices_are_those_that_raters_were_found_to_take_and_the_budget_is_as_counted(leaves: bool) -> None:
    plan = replace(CHOSEN, budget=Budget(minutes=20.0), sampling=Sampling("thirds", 2, leaves=leaves))
    counted, world = World(), Slow()
    go(recursion(plan), counted)
    outcome = go(recursion(plan), world)
    plain, slow = (each.actions("ask")[0].job.asking for each in (counted, world))
    price = {each.request.id: each.deciding for each in plain.questions}
    dearer = {
        (each.request.kind, each.request.place.level): each.deciding / price[each.request.id]
        for each in slow.questions
        if each.request.id in price
    }
    assert dearer["label", 0] > 2 * dearer["label", 1] > 0
    assert any(each.leaves for each in slow.questions) == leaves  # of these no budget's pace is made
    totals = [
        sum(each.reading + each.deciding for each in asking.questions if not each.apart) for asking in (plain, slow)
    ]
    assert slow.minutes / plain.minutes == pytest.approx(totals[1] / totals[0])
    rows = [row for rows in outcome.run.answered.values() for row in rows]
    assert minutes_of_raters(rows, plan.rates) <= 20


def test_questions_whose_outputs_are_close_are_known_to_be() -> None:
    _, outcome = done()
    run = outcome.run
    for request in outcome.questions[0]:
        accepted = run.state.predictions[request.node].acceptance["overall"].mean(axis=0)
        texts = [each.text for each in run.state.outputs[request.node]]
        at = [texts.index(shown.text) for shown in request.shown]
        apart = abs(accepted[at[0]] - accepted[at[1]]) if len(at) == 2 else abs(2 * accepted[at[0]] - 1)
        assert closeness(run, request) == pytest.approx(1 - apart)
    gone = replace(request, shown=(Shown("output-0", "what nobody wrote"),))
    assert closeness(run, gone) is None


def test_questions_are_drawn_evenly_where_policies_are_new_or_no_target_was_judged() -> None:
    improving = replace(CHOSEN, improve=Improving("better"))
    world, outcome = done(improving)
    assert not world.actions("ask") and len(world.asked(1)) > 0
    assert any("questions are drawn evenly, as policies are new" in note for note in outcome.run.notes)
    leaves = replace(CHOSEN, rounds=(Round((0,), targets=False), Round()))
    world, outcome = done(leaves)
    assert not world.actions("ask")
    assert any("as no target that counts was judged to its root yet" in note for note in outcome.run.notes)
    world, outcome = done(replace(CHOSEN, weights={TARGET.id: 0.0}))
    assert not world.actions("ask")
    assert any("as no target that counts was judged" in note for note in outcome.run.notes)


def test_of_a_node_one_text_at_a_time_may_be_written_beside_all_that_stands_there() -> None:
    plan = replace(CHOSEN, ratings={"comparison": 2, "label": 1, "demonstration": 1, "correction": 1})
    world, outcome = done(plan)
    asking = world.actions("ask")[0].job.asking
    written = [each for each in asking.questions if each.request.kind in ("demonstration", "correction")]
    count = Counter((each.request.node, each.request.kind) for each in written)
    assert count and set(count.values()) == {1} and all(not each.others for each in asking.questions if not each.apart)
    labels = {each.request.node: each for each in asking.questions if each.request.kind == "label"}
    assert labels.keys() == {each.request.node for each in written}
    for each in written:
        texts = [output.text for output in outcome.run.rounds[0].state.outputs[each.request.node]]
        assert list(each.others) == texts and each.apart and each.deciding > labels[each.request.node].deciding
