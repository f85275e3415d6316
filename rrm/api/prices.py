"""What questions and proposals take, summed up: tokens, minutes, and calls of assistants; and the most of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor, fsum, inf
from typing import NamedTuple

from rrm.assistants.counting import Load
from rrm.feedback.budget import Allowance
from rrm.feedback.minutes import RATES

Who = tuple[str, str]
"""An assistant's name, and the part that asks it: policy, rater or select."""

UNLIMITED = Allowance()


@dataclass(frozen=True)
class Stage:
    """What some part of a run takes."""

    outputs: int = 0
    ratings: int = 0
    tokens_shown: int = 0
    minutes: float = 0.0
    published_minutes: float = 0.0
    loads: Mapping[Who, Load] = field(default_factory=dict)

    @property
    def load(self) -> Load:
        """All calls and tokens, whichever assistant is asked."""
        return _summed(self.loads.values())

    def by(self, raters: int) -> "Stage":
        """Return what so many raters take, each of whom answers all questions."""
        return replace(
            self,
            ratings=self.ratings * raters,
            tokens_shown=self.tokens_shown * raters,
            minutes=self.minutes * raters,
            published_minutes=self.published_minutes * raters,
        )

    def or_less(self, other: "Stage") -> "Stage":
        """Return the lesser of two bounds, measure by measure."""
        return Stage(
            min(self.outputs, other.outputs),
            min(self.ratings, other.ratings),
            min(self.tokens_shown, other.tokens_shown),
            min(self.minutes, other.minutes),
            min(self.published_minutes, other.published_minutes),
            {who: Load(*map(min, load, other.loads[who])) for who, load in self.loads.items() if who in other.loads},
        )


def sum_of(stages: Iterable[Stage]) -> Stage:
    """Return what several stages take together."""
    found = list(stages)
    loads: dict[Who, list[Load]] = defaultdict(list)
    for stage in found:
        for who, load in stage.loads.items():
            loads[who].append(load)
    return Stage(
        outputs=sum(stage.outputs for stage in found),
        ratings=sum(stage.ratings for stage in found),
        tokens_shown=sum(stage.tokens_shown for stage in found),
        minutes=fsum(stage.minutes for stage in found),
        published_minutes=fsum(stage.published_minutes for stage in found),
        loads={who: _summed(each) for who, each in loads.items()},
    )


class Question(NamedTuple):
    """What a question takes whose rater reads its view anew, and how many such questions there are."""

    tokens_shown: int
    minutes: float
    published_minutes: float
    loads: Mapping[Who, Load]
    times: int


def dearest(questions: Sequence[Question], allowance: Allowance = UNLIMITED) -> Stage:
    """Return the most that questions can take where an allowance pays for as many as it can, whichever they are.

    Outputs may be shorter than foreseen, so an allowance in minutes pays for as many questions as can be decided
    in it without reading. Its minutes are those of all raters, each of whom reads for themselves.
    """
    count, longest = sum(question.times for question in questions), inf
    if allowance.questions is not None:
        count = min(count, allowance.questions)
    if allowance.minutes is not None:
        count = min(count, floor(allowance.minutes / RATES.minutes_a_decision + 1e-9))
        longest = allowance.minutes

    def most(measure: Sequence[float]) -> float:
        return _greatest([(value, each.times) for value, each in zip(measure, questions, strict=True)], count)

    def load(who: Who) -> Load:
        loads = [each.loads.get(who, Load()) for each in questions]
        return Load(round(most([each.calls for each in loads])), round(most([each.tokens for each in loads])))

    return Stage(
        ratings=count,
        tokens_shown=round(most([each.tokens_shown for each in questions])),
        minutes=min(longest, most([each.minutes for each in questions])),
        published_minutes=most([each.published_minutes for each in questions]),
        loads={who: load(who) for who in sorted({who for each in questions for who in each.loads})},
    )


def _greatest(values: Iterable[tuple[float, int]], count: int) -> float:
    """Return the sum of the `count` greatest of values that each stand some times."""
    total, left = [], count
    for value, times in sorted(values, reverse=True):
        total.append(value * min(left, times))
        left -= min(left, times)
    return fsum(total)


def _summed(loads: Iterable[Load]) -> Load:
    total = Load()
    for load in loads:
        total = total.plus(load)
    return total
