"""Acts beside bundles of questions, such as leaving a choice or having a text written: the best of them a minute."""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple, Protocol

from rrm.ask.bundles import Answers, Worth
from rrm.core.asking import Question


class Offer(Protocol):
    """An act that may be done: its `question`, and the `stream` that it is of."""

    question: Question

    @property
    def stream(self) -> str: ...

    def look(self, answers: Answers) -> Worth:
        """Return what it is worth once all that `answers` took is answered."""
        ...

    def take(self, answers: Answers) -> None:
        """Take it as done: what it would tell or decide is no longer open."""
        ...


class Act(NamedTuple):
    """An offer with what it is worth, and the minutes of all who do it."""

    offer: Offer
    value: float
    gain: float
    minutes: float


class Acts:
    """Acts by value a minute, one after another, each with what was taken before it as done.

    They are looked at again only where they come first by what they were worth when they were last looked at. Where
    gains are not told, as of few draws, what is worth nothing but by its gain is worth nothing.
    """

    def __init__(self, answers: Answers, offers: Sequence[Offer]) -> None:
        self._answers = answers
        self._known = {at: (answers.taken, self._look(each)) for at, each in enumerate(offers)}

    def next(self, rate: float = 0.0, within: float = inf) -> Act | None:
        """Return the act that is worth most a minute, if that is more than `rate`, of those that take no more."""
        return self._first(_rate, max(rate, 0.0), within)

    def best_gain(self, within: float = inf) -> float:
        """Return the greatest gain a minute of the acts that take no more than that, 0 where none gains anything."""
        act = self._first(_gain, 0.0, within)
        return 0.0 if act is None else _gain(act)

    @property
    def worths(self) -> dict[str, Worth]:
        """What each act is worth and gains a minute, as it was last looked at, by its request."""
        acts = [each for _, each in self._known.values()]
        return {each.offer.question.request.id: Worth(_rate(each), _gain(each)) for each in acts}

    def take(self, act: Act) -> None:
        """Take an act as done."""
        self._known = {at: (-1, each) for at, (_, each) in self._known.items() if each.offer is not act.offer}
        act.offer.take(self._answers)

    def _first(self, by: Callable[[Act], float], least: float, within: float) -> Act | None:
        """Return the act of the most by a measure, as it is now, if that is more than the least."""
        while True:
            paying = [at for at, (_, each) in self._known.items() if each.minutes <= within]
            at = max(paying, key=lambda place: by(self._known[place][1]), default=None)
            if at is None or by(self._known[at][1]) <= least:
                return None
            seen, best = self._known[at]
            if seen == self._answers.taken:
                return best
            self._known[at] = (self._answers.taken, self._look(best.offer))

    def _look(self, offer: Offer) -> Act:
        worth, question = offer.look(self._answers), offer.question
        told = bool(self._answers.decision.told)
        value, gain = worth if told else (worth.value - worth.gain, 0.0)
        return Act(offer, value, gain, question.reading + question.deciding)


def _rate(act: Act) -> float:
    return act.value / act.minutes


def _gain(act: Act) -> float:
    return act.gain / act.minutes
