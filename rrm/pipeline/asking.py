"""Putting questions to raters as far as an allowance goes, in the minutes of those who answered."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from rrm.core.ids import content_id
from rrm.core.kinds.critique import is_ungrounded
from rrm.core.place import Place
from rrm.core.roles import Role
from rrm.core.values import OVERALL, ClaimMarks, Criticised, Critique, Failure, Feedback, Rated, Request, Shown
from rrm.feedback.budget import Allowance, by_view, fitting
from rrm.feedback.minutes import RATES, Currency, minutes_of_raters
from rrm.pipeline import stages
from rrm.pipeline.plan import AnyResults, AnyStage, Results, carried_out


class Answered(NamedTuple):
    """The questions that were put, those about one view together, and what came of each, by its id.

    `critiques` are what a critic wrote for them, by the view and the text that it is about (`_criticised_as`).
    """

    asked: list[Request]
    results: Results[stages.RateJob, Rated]
    critiques: Results[stages.CriticiseJob, Criticised]

    @property
    def rows(self) -> list[Rated]:
        return [each for done in self.results.values() for each in done.values]


class Raters(NamedTuple):
    """Who answers: the rater's name, its role, the run's seed, and how many answer each question.

    With `once` a place's questions are all laid before them together, as before people, who close it. `rates` say
    what their time comes to. Up to `sheet` questions about one view are put together.
    `grounder` names who says which outputs their critiques speak for, if anybody does; `critic` who writes what they
    are shown where they are to mark claims.
    """

    name: str
    role: type[Role]
    seed: int
    overlap: int = 1
    once: bool = False
    rates: Currency = RATES
    sheet: int = 1
    grounder: str | None = None
    critic: str | None = None


def put(
    place: Place, questions: Sequence[Request], allowance: Allowance, raters: Raters, before: Sequence[Rated] = ()
) -> Generator[AnyStage, AnyResults, Answered]:
    """Put the first questions that an allowance pays for, never more.

    Who will answer is not known before, so in minutes as many are put as fit whoever answers; once they are
    answered, and how long that took all raters is known, as many again as fit in what is left, until the next one
    does not. Then what is left over is less than one question with its view read anew, but `once` puts only the
    first of these. What has a text written and does not fit waits, and those behind it go on. `before` are earlier
    answers at the place's level: who has read a view need not read it again.

    A critic writes about what would be put without it, and each text beside a view once. As critiques take minutes to
    read, fewer questions may fit with them.
    """
    found = Answered([], {}, {})
    left = allowance
    earlier = 0.0 if allowance.minutes is None else minutes_of_raters(before, raters.rates)
    waiting = {each.id: each for each in questions}
    while wave := fitting(waiting.values(), left, raters.overlap, raters.rates):
        taken = {each.id: each.id for each in wave}
        if raters.critic is not None:
            found = found._replace(critiques=(yield from _criticised(place, wave, raters, raters.critic, found)))
            beside = _beside(wave, found)
            taken = {shown.id: each.id for shown, each in zip(beside, wave, strict=True)}
            wave = fitting(beside, left, raters.overlap, raters.rates)
            if not wave:
                break
        for each in wave:
            del waiting[taken[each.id]]
        stage = stages.rate(place, by_view(wave), raters.role, raters.name, raters.seed, most=raters.sheet)
        results = yield from carried_out(stage)
        found = found._replace(asked=[*found.asked, *wave], results={**found.results, **results})
        if raters.once or allowance.minutes is None:
            break
        took = minutes_of_raters([*before, *found.rows], raters.rates) - earlier
        left = replace(allowance, minutes=allowance.minutes - took)
    if raters.grounder is not None:
        found = found._replace(results=(yield from _grounded(place, found, raters, raters.grounder)))
    return found._replace(asked=by_view(found.asked))


def without_aids(request: Request) -> Request:
    """Return a request as it is drawn, without what is known of its outputs' claims, and of what came of them."""
    return replace(request, shown=tuple(Shown(each.output, each.text) for each in request.shown))


def _criticised(
    place: Place, wave: Sequence[Request], raters: Raters, critic: str, found: Answered
) -> Generator[AnyStage, AnyResults, Results[stages.CriticiseJob, Criticised]]:
    """Return what was written so far, and about the outputs of a wave whose claims are to be marked.

    The critic is shown what the rater is, and nothing of what is known of claims.
    """
    asked: dict[str, Request] = {}
    for request in wave:
        if request.kind == ClaimMarks.kind and (key := _criticised_as(request)) not in found.critiques:
            asked.setdefault(key, replace(without_aids(request), kind=Critique.kind, criterion=OVERALL, copy=0))
    done = yield from carried_out(stages.criticise(place, list(asked.values()), critic, raters.seed))
    return {**found.critiques, **dict(zip(asked, done.values(), strict=True))}


def _criticised_as(request: Request) -> str:
    return content_id("criticised", request.view.id, request.shown[0].text)


def _beside(wave: Sequence[Request], found: Answered) -> list[Request]:
    """Return the questions of a wave, those to mark claims with the critique, where there is one."""
    shown = []
    for request in wave:
        done = found.critiques.get(_criticised_as(request)) if request.kind == ClaimMarks.kind else None
        text = done.values[0].text if done and done.values else ""
        shown.append(
            replace(request, shown=tuple(replace(each, critique=text) for each in request.shown)) if text else request
        )
    return shown


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
