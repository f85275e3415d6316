"""What people write: at targets' roots another candidate, judged as any other; elsewhere it says how good they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import Failure, Feedback, Label, Passage, Rated, Request, Shown, View
from rrm.feedback.budget import Allowance, Budget
from rrm.feedback.quality import PRIOR
from rrm.pipeline import stages
from rrm.pipeline.asking import Raters, put
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Run, Sampling
from rrm.pipeline.written import candidates
from tests.pipeline.hand_world import RUN, TARGET, World, go

WRITING = replace(
    RUN,
    rounds=(Round(), Round(), Round()),
    sampling=Sampling("thirds", 2, targets=True),
    budget=Budget(minutes=90),
    ratings={"comparison": 2, "label": 1, "demonstration": 1, "correction": 1},
)


def root(run: Run) -> str:
    [tree] = [tree for tree in run.forest.trees if run.forest.is_target(tree)]
    return tree.graph.root


def test_what_is_written_at_a_targets_root_is_a_candidate_from_the_same_round_on() -> None:
    world = World()
    run = go(recursion(WRITING), world).run
    put = [each for each in world.asked() if each.kind in ("demonstration", "correction") and each.source == TARGET.id]
    assert root(run) in {each.node for each in put}
    taken = candidates(run)
    assert set(taken.values()) == {"demonstration", "correction"}
    first, second, third = ({output.id for output in each.state.outputs[root(run)]} for each in run.rounds)
    assert len(first) == 4 and not first & set(taken) and second & set(taken) and set(taken) <= third
    state = run.state
    outputs = state.outputs[root(run)]
    written = [output for output in outputs if output.id in taken]
    assert {output.policy for output in written} == {"written by counter-train"}
    assert "written by hand" in {output.text for output in written}
    assert state.predictions[root(run)].acceptance["overall"].shape[1] == len(outputs)
    assert state.composed[root(run)].acceptance["overall"].shape[1] == len(outputs)
    assert {each.job.rated.feedback.answer.text for each in world.actions("write")} >= {o.text for o in written}
    later = [each.job for each in world.actions("ask")][-1]
    assert set(taken) <= {output.id for output in later.state.outputs[root(run)]}


def test_questions_behind_a_text_that_does_not_fit_in_the_minutes_are_asked() -> None:
    """A text of 400 tokens is 225 words, 12 minutes at 19 a minute; comparisons take a fraction of a minute."""
    view = View("Tell.", (Passage("one. two. three."),), 9)
    place, two = Place(), tuple(Shown(f"o{words}", "one " * words) for words in (1, 2))
    choices = [Request(node, "train", place, "comparison", replace(view, instruction=node), two) for node in "ab"]
    text = Request("n3", "train", place, "demonstration", replace(view, max_tokens=400), two[:1])
    questions, raters = [choices[0], text, choices[1]], Raters("counter", Train, 0)
    few = go(put(place, questions, Allowance(minutes=11.0), raters), World())
    assert few.asked == choices and few.results.keys() == {each.id for each in choices}
    assert set(go(put(place, questions, Allowance(minutes=15.0), raters), World()).asked) == set(questions)
    critic = raters._replace(critic="critic")
    assert go(put(place, questions, Allowance(minutes=11.0), critic), World()).asked == choices


def test_people_are_as_good_as_models_have_what_they_wrote_at_training_nodes() -> None:
    world = World()
    run = go(recursion(WRITING), world).run
    jobs = [each.job.asking for each in world.actions("ask")]
    first = [row for row in world_rows(run) if row.request.place.round == 0]
    assert jobs[0].qualities["demonstration"].texts == sum(row.request.kind == "demonstration" for row in first) > 0
    # three words whoever wrote them, beside outputs of one, two and three, which are accepted with .11, .21 and .31,
    # and beside more and longer ones: what is learned lies between none and the first
    better = logit(0.31) - np.mean(logit([0.11, 0.21, 0.31]))
    assert 0 < jobs[0].qualities["demonstration"].mean < better
    assert run.qualities["demonstration"].texts >= jobs[0].qualities["demonstration"].texts


class Two(World):
    """A world of two raters who take turns at nodes: one demonstrates in more words than anything there has."""

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        name = f"rater {int(row.request.node[-1], 36) % 2}"
        answer = row.feedback.answer
        if row.request.kind == "demonstration":
            answer = replace(answer, text="more " * 8 if name == "rater 1" else "short")
        return [replace(row, feedback=replace(row.feedback, rater=name, answer=answer))]


def test_who_writes_better_is_found_to() -> None:
    run = go(recursion(WRITING), Two()).run
    found = run.qualities["demonstration"]
    means = {each.rater: each.mean for each in found.writers}
    assert means["rater 0"] < 0 < means["rater 1"]
    assert found.texts == sum(each.texts for each in found.writers) > 2
    assert means["rater 0"] < found.mean < means["rater 1"]


def world_rows(run: Run) -> list[Rated]:
    kinds = ("demonstration", "correction")
    return [row for rows in run.answered.values() for row in rows if row.request.kind in kinds]


def test_without_questions_about_targets_nothing_written_is_a_candidate() -> None:
    plan = replace(WRITING, sampling=Sampling("thirds", 2))
    world = World()
    run = go(recursion(plan), world).run
    assert not candidates(run) and not world.actions("write") and run.qualities == {}
    assert len(run.state.outputs[root(run)]) == 4
    plain = go(recursion(replace(WRITING, ratings=RUN.ratings)), World()).run
    assert plain.qualities == {}


def test_where_policies_are_new_what_people_wrote_stands_beside_what_these_propose() -> None:
    plan = replace(WRITING, rounds=(*(Round(improve=False),) * 2, Round(), Round()), improve=Improving("better"))
    run = go(recursion(plan), World()).run
    taken = candidates(run)
    assert taken and set(taken) <= {output.id for output in run.state.outputs[root(run)]}
    assert run.state.outputs[root(run)][0].policy != "words"


class Wordless(World):
    """A world whose writers hand in blanks, or skip."""

    def rate(self, action: AnyAction) -> Sequence[Any]:
        [row] = super().rate(action)
        if row.request.kind == "correction":
            return [Failure(action.slot, "rate", "AssistantError", "skipped")]
        if row.request.kind == "demonstration":
            blank = replace(row.feedback.answer, text=" ")
            return [replace(row, feedback=replace(row.feedback, answer=blank))]
        return [row]


def test_blanks_and_skips_are_no_candidates() -> None:
    run = go(recursion(WRITING), Wordless()).run
    assert not candidates(run) and len(run.state.outputs[root(run)]) == 4
    assert run.qualities == PRIOR


def test_an_answer_without_a_text_is_no_output() -> None:
    request = World().asked and go(recursion(RUN), world := World()) and world.asked()[0]
    assert request
    with pytest.raises(InputError, match="there is no output in a label of anna"):
        stages.written_output(Rated(request, Feedback(request.id, "anna", Label(True))))
