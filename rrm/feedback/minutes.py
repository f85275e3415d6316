"""What raters' time costs: minutes of reading and deciding, the one currency of budgets and baselines.

One rater reads a view (passages and context, without the instruction, which a rater knows) once for
every few decisions about it, as many as stand on a sheet where there are sheets, and at each decision the outputs
shown, with what came of them where that is shown: once for the same question by several criteria. Who is asked to
write or to edit an output takes as long as its expected words take to write, whatever is then written, so that a
question's price is known before it is answered. Words are those of `rrm.core.text.words`. What is counted are integers,
so a sum of minutes does not depend on the order of the questions.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from math import ceil, fsum
from operator import add
from typing import NamedTuple, Protocol

from rrm.core.errors import ConfigError
from rrm.core.kinds.correction import EDITED
from rrm.core.text import WORDS_PER_TOKEN, word_count
from rrm.core.values import Correction, Demonstration, Rated, Request, View

Size = Callable[[str], int]
"""The size of a text: words for people, tokens for models."""

WRITTEN_WORDS_A_MINUTE = 19.0
"""Composing at a keyboard, the mean of ordinary users, who copy 33 (Karat et al. 1999, doi:10.1145/302979.303160)."""

FILLED = 0.75
"""The share of the length that an output may have which a written one is taken to have."""


class Tally(NamedTuple):
    """What one rater was shown: sizes of views and outputs as often as they were read, outputs, decisions.

    `written` are words that they were asked to write.
    """

    views: int = 0
    outputs: int = 0
    outputs_shown: int = 0
    decisions: int = 0
    written: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*map(add, self, other))


class Currency(Protocol):
    """How a tally of words becomes minutes; a view is read once per `decisions_a_reading` decisions about it."""

    @property
    def decisions_a_reading(self) -> int: ...

    def cost(self, tally: Tally) -> float:
        """Return the minutes that a tally of words takes; linear in it."""
        ...


@dataclass(frozen=True)
class Rates:
    """Reading at `words_a_minute`, views once per `decisions_a_reading`, and `minutes_a_decision` for each answer.

    What is to be written takes `written_a_minute` words a minute beside that. Raises ConfigError unless words and
    decisions are positive and minutes are not negative.
    """

    words_a_minute: float = 250.0
    minutes_a_decision: float = 0.2
    decisions_a_reading: int = 3
    written_a_minute: float = WRITTEN_WORDS_A_MINUTE

    def __post_init__(self) -> None:
        rates = self.words_a_minute, self.written_a_minute
        if not (min(rates) > 0 and self.minutes_a_decision >= 0 and self.decisions_a_reading >= 1):
            raise ConfigError(f"rates of reading must be positive and minutes a decision not negative, got {self}")

    def cost(self, tally: Tally) -> float:
        reading = (tally.views + tally.outputs) / self.words_a_minute
        return reading + tally.written / self.written_a_minute + tally.decisions * self.minutes_a_decision


@dataclass(frozen=True)
class PublishedRates:
    """The times of the published book procedure: views at 180 words a minute, 0.75 minutes an output shown.

    The time of an output includes reading it, so a comparison takes 1.5 minutes, a label or rating
    0.75. A passage of 450 words is read in 2.5 minutes, once per three comparisons (Wu et al. 2021,
    arXiv:2109.10862, appendix). Words that are to be written take the time that they do in `Rates`.
    """

    words_a_minute: float = 180.0
    minutes_an_output: float = 0.75
    decisions_a_reading: int = 3

    def __post_init__(self) -> None:
        if not (self.words_a_minute > 0 and self.minutes_an_output >= 0 and self.decisions_a_reading >= 1):
            raise ConfigError(f"rates of reading must be positive and minutes an output not negative, got {self}")

    def cost(self, tally: Tally) -> float:
        written = tally.written / WRITTEN_WORDS_A_MINUTE
        return tally.views / self.words_a_minute + tally.outputs_shown * self.minutes_an_output + written


RATES = Rates()
PUBLISHED = PublishedRates()


class Counted:
    """A running tally of the questions that one rater answers, in any order."""

    def __init__(self, decisions_a_reading: int = RATES.decisions_a_reading, size: Size = word_count) -> None:
        self._decisions_a_reading, self._size = decisions_a_reading, size
        self._shares = decisions_a_reading > 1  # else each question is asked for itself, as a model is
        self._decided: Counter[str] = Counter()
        self._read: Counter[Hashable] = Counter()  # how often outputs were read to be judged in one way
        self._judged: Counter[Hashable] = Counter()  # how often they were judged so by one criterion
        self._views: dict[str, int] = {}
        self.tally = Tally()

    def next(self, request: Request) -> Tally:
        """Return what one more question shows: its outputs, and its view where that is to be read again.

        Outputs that were read to be judged in the same way by another criterion are not read again.
        """
        return self._next(request, _judgement(request))

    def add(self, request: Request) -> None:
        """Count one more question."""
        judgement = _judgement(request)
        self.tally = self.tally.plus(self._next(request, judgement))
        self._decided[request.view.id] += 1
        self._judged[judgement, request.criterion] += 1
        self._read[judgement] = max(self._read[judgement], self._judged[judgement, request.criterion])

    def _next(self, request: Request, judgement: Hashable) -> Tally:
        view = request.view
        if view.id not in self._views:
            self._views[view.id] = view_size(view, self._size)
        reads = self._decided[view.id] % self._decisions_a_reading == 0
        read = self._judged[judgement, request.criterion] < self._read[judgement]
        outputs = 0 if read and self._shares else sum(self._size(shown.read) for shown in request.shown)
        return Tally(self._views[view.id] if reads else 0, outputs, len(request.shown), 1, written_words(request))


def written_words(request: Request) -> int:
    """Return how many words who answers is expected to write: an output, or a part of the one that is to be edited."""
    if request.kind == Demonstration.kind:
        return round(FILLED * WORDS_PER_TOKEN * request.view.max_tokens)
    if request.kind == Correction.kind:
        return ceil(EDITED * sum(word_count(shown.text) for shown in request.shown))
    return 0


def _judgement(request: Request) -> Hashable:
    return request.view.id, request.kind, tuple(sorted(shown.text for shown in request.shown))


class Meter:
    """The minutes of one rater, question by question: what one more would cost, and all so far.

    With `anew` the view is read for every question, as where each is answered by another rater.
    """

    def __init__(self, rates: Currency = RATES, anew: bool = False) -> None:
        self._rates = rates
        self._counted = Counted(1 if anew else rates.decisions_a_reading)

    @property
    def minutes(self) -> float:
        """The minutes of all questions added."""
        return self._rates.cost(self._counted.tally)

    def marginal(self, request: Request) -> float:
        """Return the minutes of one more question, its view's reading included where it is due."""
        return self._rates.cost(self._counted.next(request))

    def minutes_with(self, request: Request) -> float:
        """Return the minutes of all questions, one more included."""
        return self._rates.cost(self._counted.tally.plus(self._counted.next(request)))

    def add(self, request: Request) -> None:
        """Add a question."""
        self._counted.add(request)


def tally(requests: Iterable[Request], decisions_a_reading: int = 3, size: Size = word_count) -> Tally:
    """Return what requests show, in sizes; with `decisions_a_reading` 1 each sends its whole view, as to a model."""
    counted = Counted(decisions_a_reading, size)
    for request in requests:
        counted.add(request)
    return counted.tally


def minutes(requests: Iterable[Request], rates: Currency = RATES) -> float:
    """Return the minutes of one rater who answers these requests."""
    return rates.cost(tally(requests, rates.decisions_a_reading))


def published_minutes(requests: Iterable[Request], rates: PublishedRates = PUBLISHED) -> float:
    """Return the minutes of one rater who answers these requests, by the published times."""
    return minutes(requests, rates)


def minutes_of_raters(rated: Iterable[Rated], rates: Currency = RATES) -> float:
    """Return the minutes of all raters together; each rater reads for themselves."""
    answered: dict[str, list[Request]] = defaultdict(list)
    for row in rated:
        answered[row.feedback.rater].append(row.request)
    return fsum(minutes(requests, rates) for requests in answered.values())


def view_size(view: View, size: Size = word_count) -> int:
    """Return the size of what is shown with the outputs: passages and context, not the instruction."""
    return size(view.text) + size(view.context)
