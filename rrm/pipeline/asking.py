"""Putting questions to raters as far as an allowance goes, in the minutes of those who answered."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from rrm.core.kinds.critique import is_ungrounded
from rrm.core.place import Place
from rrm.core.roles import Role
from rrm.core.values import Failure, Feedback, Rated, Request
from rrm.feedback.budget import Allowance, by_view, fitting
from rrm.feedback.minutes import RATES, Currency, minutes_of_raters
from rrm.pipeline import stages
from rrm.pipeline.plan import AnyResults, AnyStage, Results, carried_out


class Answered(NamedTuple):
    """The questions that were put, those about one view together, and what came of each, by its id."""

    asked: list[Request]
    results: Results[stages.RateJob, Rated]

    @property
    def rows(self) -> list[Rated]:
        return [each for done in self.results.values() for each in done.values]


class Raters(NamedTuple):
    """Who answers: the rater's name, its role, the run's seed, and how many answer each question.

    With `once` a place's questions are all laid before them together, as before people, who close it. `rates` say
    what their time comes to. Up to `sheet` questions about one view are put together.
    `grounder` names who says which outputs their critiques speak for, if anybody does.
    """

    name: str
    role: type[Role]
    seed: int
    overlap: int = 1
    once: bool = False
    rates: Currency = RATES
    sheet: int = 1
    grounder: str | None = None


def put(
    place: Place, questions: Sequence[Request], allowance: Allowance, raters: Raters, before: Sequence[Rated] = ()
) -> Generator[AnyStage, AnyResults, Answered]:
    """Put the first questions that an allowance pays for, never more.

    Who will answer is not known before, so in minutes as many are put as fit whoever answers; once they are
    answered, and how long that took all raters is known, as many again as fit in what is left, until the next one
    does not. Then what is left over is less than one question with its view read anew, but `once` puts only the
    first of these. `before` are earlier answers at the place's level: who has read a view need not read it again.
    """
    found = Answered([], {})
    left = allowance
    earlier = 0.0 if allowance.minutes is None else minutes_of_raters(before, raters.rates)
    while wave := fitting(questions[len(found.asked) :], left, raters.overlap, raters.rates):
        stage = stages.rate(place, by_view(wave), raters.role, raters.name, raters.seed, most=raters.sheet)
        results = yield from carried_out(stage)
        found = Answered([*found.asked, *wave], {**found.results, **results})
        if raters.once or allowance.minutes is None:
            break
        took = minutes_of_raters([*before, *found.rows], raters.rates) - earlier
        left = replace(allowance, minutes=allowance.minutes - took)
    if raters.grounder is not None:
        found = found._replace(results=(yield from _grounded(place, found, raters, raters.grounder)))
    return Answered(by_view(found.asked), found.results)


def _grounded(
    place: Place, found: Answered, raters: Raters, grounder: str
) -> Generator[AnyStage, AnyResults, Results[stages.RateJob, Rated]]:
    """Return the results with every critique that speaks for nothing yet grounded; as it was where that failed."""
    critiques = [row for row in found.rows if is_ungrounded(row.feedback.answer)]
    done = yield from carried_out(stages.ground(place, critiques, raters.role, grounder, raters.seed))
    said = {id_: each.values[0] for id_, each in done.items() if each.values}
    return {
        request: each._replace(
            values=tuple(replace(row, feedback=said.get(row.feedback.id, row.feedback)) for row in each.values),
            failures=each.failures + tuple(chain.from_iterable(_failures(done, row) for row in each.values)),
        )
        for request, each in found.results.items()
    }


def _failures(done: Results[stages.GroundJob, Feedback], row: Rated) -> tuple[Failure, ...]:
    return done[row.feedback.id].failures if row.feedback.id in done else ()
