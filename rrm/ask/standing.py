"""The open questions of a wave in their order by value, found anew as answers come in, without any model.

What was believed when they were chosen is kept as arrays; each answer moves it by one rank.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from rrm.ask.bundles import Answers, Decision, Questions, Site
from rrm.ask.drawn import DrawnAnswers
from rrm.core.errors import InputError

Arrays = Mapping[str, np.ndarray]

_MOMENTS = ("mean", "covariance", "across")
_DRAWS = ("draws", "drawn_scores", "logs")

_SETTLED = 4
"""So many of the first bundles are certainly in their order; behind them bundles count as their questions' sum."""

_MOST_SETTLED = 12
"""Bundles whose worth is integrated at most, however close they are."""


class Sheet(NamedTuple):
    """Open questions that are put together, what they are worth and gain the decision a minute, and their minutes.

    What was drawn at random beside the chosen gains nothing that would be looked at, and is worth what stands behind
    it, so that it comes when its share of the minutes does.
    """

    requests: tuple[str, ...]
    value: float
    gain: float
    minutes: float
    drawn: bool


class Apart(NamedTuple):
    """What is put by itself, a choice that is left or a text that is written: what it is worth and gains a minute."""

    value: float
    gain: float
    minutes: float


class Order(NamedTuple):
    """The open sheets, first those worth most a minute, and the mean acceptance of what would be chosen now.

    `told` says whether gains are known, and `refit` that models are to be fitted anew before more is made of answers.
    """

    sheets: tuple[Sheet, ...]
    expected: float
    gain: float
    told: bool = True
    refit: bool = False

    @property
    def values(self) -> dict[str, float]:
        """By how much each open question goes before others."""
        return {request: sheet.value for sheet in self.sheets for request in sheet.requests}


class Standing:
    """What is believed of a wave's questions, answers so far included.

    `bundles` [q] numbers the bundles that questions were chosen in, -1 for those drawn at random; the order of the
    questions is that in which they were chosen. `worth` is where asking stops. What is put `apart`, by its
    request, is worth what it was when it was chosen, whatever is answered meanwhile.
    """

    def __init__(
        self,
        requests: Sequence[str],
        bundles: np.ndarray,
        answers: Answers,
        worth: float = 0.0,
        apart: Mapping[str, Apart] | None = None,
    ) -> None:
        self.requests, self.bundles, self.worth = tuple(requests), bundles, worth
        self.apart = dict(apart or {})
        self._answers = answers
        self._before = copy(answers)
        self._at = {request: at for at, request in enumerate(self.requests)}

    @classmethod
    def of(cls, arrays: Arrays) -> "Standing":
        """Return what `arrays` made arrays of; raise InputError for others."""
        try:
            decision = Decision(*(arrays[each.name] for each in fields(Decision)))
            questions = Questions(*(arrays[each.name] for each in fields(Questions)))
            readings, overlap, weight = (arrays[name].item() for name in ("readings", "overlap", "spread_weight"))
            made: type[Answers] | type[DrawnAnswers] = DrawnAnswers if "draws" in arrays else Answers
            one, two, three = (arrays[name] for name in (_DRAWS if "draws" in arrays else _MOMENTS))
            answers = made(decision, questions, one, two, three, readings, overlap, weight)
            known = zip(arrays["apart_requests"], arrays["apart"], strict=True)
            apart = {str(request): Apart(*row.tolist()) for request, row in known}
            requests = [str(each) for each in arrays["requests"]]
            return cls(requests, arrays["bundles"], answers, arrays["worth"].item(), apart)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not what a sampler keeps of a wave ({type(error).__name__}: {error})") from error

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays, such as a file holds."""
        answers = self._answers
        return {
            **{each.name: getattr(answers.decision, each.name) for each in fields(Decision)},
            **{each.name: getattr(answers.questions, each.name) for each in fields(Questions)},
            **answers.believed,
            "requests": np.array(self.requests, dtype=np.str_),
            "bundles": self.bundles,
            "worth": np.array(self.worth),
            "apart_requests": np.array(list(self.apart), dtype=np.str_),
            "apart": np.array(list(self.apart.values()), dtype=np.float64).reshape(-1, 3),
        }

    @property
    def known(self) -> frozenset[str]:
        """The questions of this wave."""
        return frozenset((*self.requests, *self.apart))

    def minutes(self, request: str) -> float:
        """Return what a question was expected to take by itself: 0 for one that is not of this wave."""
        if request in self.apart:
            return self.apart[request].minutes
        at = self._at.get(request)
        return 0.0 if at is None else self._minutes([at])

    def learn(self, request: str, first: bool | None) -> Site | None:
        """Take an answer in (`Answers.learn`); None for a question drawn at random, which never picks another.

        None, too, for what is put apart, and for questions of other waves. `forget` takes it back.
        """
        at = self._at.get(request)
        return None if at is None or self.bundles[at] < 0 else self._answers.learn(at, first)

    def forget(self, site: Site) -> None:
        self._answers.forget(site)

    def learn_together(self, told: Sequence[tuple[str, bool | None]]) -> list[Site | None]:
        """Take all answers so far in anew, each as in `learn`, so that their order does not matter any more.

        Returns their sites, as `learn` does, in the place of those that it gave.
        """
        known = [
            at if at is not None and self.bundles[at] >= 0 else None for at in map(self._at.get, (r for r, _ in told))
        ]
        answered = [(at, first) for at, (_, first) in zip(known, told, strict=True) if at is not None]
        self._answers, sites = self._before.together(answered)
        left = iter(sites)
        return [None if at is None else next(left) for at in known]

    def next_sheets(self, open_: Collection[str], held: Collection[str] = ()) -> Order:
        """Return the order of open questions (ids of requests); those of other waves are left out.

        What raters hold counts as asked, its answer as what is expected of it.
        """
        beside = [self._at[each] for each in held if each in self._at and self.bundles[self._at[each]] >= 0]
        answers = self._answers.beside(beside)
        singles = [np.empty((3, 0)), *(np.array(each) for each in answers.singles())]
        value, gain, _ = np.concatenate(singles, axis=1)
        bundles: dict[int, list[int]] = defaultdict(list)
        drawn: list[int] = []
        for at in sorted(self._at[each] for each in open_ if each in self._at):
            if self.bundles[at] < 0:
                drawn.append(at)
            else:
                bundles[int(self.bundles[at])].append(at)
        sheets = [self._sheet(ats, float(value[ats].sum()), float(gain[ats].sum())) for ats in bundles.values()]
        apart = [Sheet((request,), *each, False) for request, each in self.apart.items() if request in open_]
        ordered = sorted([*self._settled(sheets, answers), *apart], key=lambda each: -each.value)
        best = max((each.gain for each in ordered), default=0.0)
        decision = self._answers.decision
        every = tuple(self._with_drawn(ordered, drawn))
        return Order(every, decision.expected, best, bool(decision.told), self._answers.refit)

    def _settled(self, sheets: Sequence[Sheet], answers: Answers) -> list[Sheet]:
        """Return sheets in their order: those that come first by what their answers are worth together."""
        queue = [(-each.value, number, len(each.requests) == 1) for number, each in enumerate(sheets)]
        heapq.heapify(queue)
        first: list[Sheet] = []
        left = list(sheets)
        looked = 0
        while queue and len(first) < _SETTLED and looked < _MOST_SETTLED:
            _, number, exact = queue[0]
            if exact:
                heapq.heappop(queue)
                first.append(left[number])
                continue
            ats = [self._at[each] for each in left[number].requests]
            found = answers.bundle(ats, whole=True)
            left[number] = self._sheet(ats, found.value, found.gain)
            heapq.heapreplace(queue, (-left[number].value, number, True))
            looked += 1
        return first + [left[number] for _, number, _ in sorted(queue)]

    def _with_drawn(self, sheets: Sequence[Sheet], drawn: Sequence[int]) -> list[Sheet]:
        """Return sheets with questions drawn at random among them, by their shares of the minutes."""
        ends = np.cumsum([each.minutes for each in sheets])
        minutes = np.cumsum([self._minutes([at]) for at in drawn])
        found = list(sheets)
        for at, until in zip(reversed(drawn), reversed(minutes), strict=True):
            place = int(np.searchsorted(ends, until / minutes[-1] * ends[-1])) if len(ends) else 0
            worth = found[place].value if place < len(sheets) else 0.0
            found.insert(place, Sheet((self.requests[at],), worth, 0.0, self._minutes([at]), True))
        return found

    def _sheet(self, ats: Sequence[int], value: float, gain: float) -> Sheet:
        minutes = self._minutes(ats)
        return Sheet(tuple(self.requests[at] for at in ats), value / minutes, gain / minutes, minutes, False)

    def _minutes(self, ats: Sequence[int]) -> float:
        questions = self._answers.questions
        return float(questions.reading[ats[0]] + questions.deciding[list(ats)].sum())
