"""Recursive reward modelling in rounds, level by level from below: the whole method on one page.

`recursion` does no work itself. It yields stages (what is to be done) and is sent back their results (what came
of it), so that a driver can do the work anywhere, record it, and start again after a crash simply by running
the generator over the record.
"""

from collections.abc import Generator
from typing import TypeAlias

from rrm.core.place import Place
from rrm.core.roles import Select, Train
from rrm.pipeline import chosen, peeks, splits, steps, written
from rrm.pipeline.plan import AnyResults, AnyStage
from rrm.pipeline.steps import Outcome, Recursion, Run

Process: TypeAlias = "Generator[AnyStage, AnyResults, Run]"


def recursion(plan: Recursion) -> Generator[AnyStage, AnyResults, Outcome]:
    """Run every round of the schedule; each starts from the models, policies and ratings of the one before.

    A round's levels go from below: what a level's outputs say, and how its model scores them, is the evidence
    that the next level's raters see. Where a sampler chooses what is asked, it asks about all levels at once, as they
    stand, before they are gone through.
    """
    run = Run.begin(plan)
    for number, visit in enumerate(plan.rounds):
        run = yield from steps.grow(run.in_round(number, visit))
        run = yield from chosen.ask(run)
        for level in visit.levels_of(run.forest):
            run = yield from judge(run, Place(number, "answer", level))
        run = yield from steps.trace(run)
        run = yield from peeks.peek(run)
        run = yield from steps.compose(run)
        run = run.remembered()
        if number + 1 < len(plan.rounds):
            if visit.improve and plan.improve is not None:
                run = yield from improve(run)
            if plan.splits is not None:
                run = yield from splits.learn(run, plan.splits)
    run = yield from chosen.decide(run)
    return (yield from steps.final(run))


def judge(run: Run, place: Place) -> Process:
    """Propose at a level's nodes, have the outputs rated, fit the level's models, score, choose.

    What people wrote at targets' roots stands beside what is proposed there.
    """
    run = yield from steps.propose(run, place)
    run = yield from written.take_in(run, place)
    for role in (Train, Select):
        run = yield from steps.rate(run, place, role)
        run = yield from steps.fit(run, place, role)
    run = yield from steps.score(run, place)
    return steps.chosen(run, place)


def improve(run: Run) -> Process:
    """Improve policies against the models of role train; keep what the judge of role select prefers."""
    before = run
    run = yield from steps.improve(run)
    return (yield from steps.choose(before, run))
