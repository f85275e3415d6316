"""Simulated raters: a panel of people with known rewards, who read in part, err and have their leanings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import product
from typing import Any, TypeVar

import numpy as np

from rrm.core.errors import InputError, PluginError, ShapeError
from rrm.core.ids import generator, seed_for
from rrm.core.text import words
from rrm.core.values import (
    KINDS,
    OVERALL,
    Answer,
    ClaimMarks,
    Comparison,
    Correction,
    Demonstration,
    Feedback,
    Hindsight,
    Label,
    Ranking,
    Rating,
    Request,
    Shown,
    View,
)
from rrm.feedback.minutes import WRITTEN_WORDS_A_MINUTE
from rrm.raters.marking import GroundsOf, Marker, mark
from rrm.raters.writing import drafts, new_words

QualityOf = Callable[[View, Sequence[str], float, int], np.ndarray]
"""(view, texts, share of the view that is read, seed of the reading) -> qualities [k], about 0 to 1."""

F = TypeVar("F", bound=Callable[..., Any])

WORDS_A_MINUTE = 250
MINUTES_A_DECISION = 0.2
POINTS = 7
_LEAST_SHOWN = {
    "comparison": 2, "hindsight": 2, "ranking": 2, "rating": 1, "label": 1, "claims": 1, "correction": 1,
    "demonstration": 0,
}  # fmt: skip
_MORE_SHOWN = ("ranking", "demonstration")
_WRITTEN: dict[str, type[Correction] | type[Demonstration]] = {"correction": Correction, "demonstration": Demonstration}


@dataclass(frozen=True)
class Person:
    """One simulated rater: `temperature` in units of quality, `side` and `leniency` in logits.

    `side` leans towards what is shown first, `leniency` towards approval; `lapse` is the probability
    of answering at random, `read` the share of a view that is read.
    """

    name: str
    temperature: float
    side: float
    leniency: float
    lapse: float
    read: float


class SimulatedRaters:
    """A panel of `people` who judge by a known quality, as people do.

    The reward is quality / temperature, in logits. Each request goes to a person drawn from the seed,
    who reads the view in one of `readings` ways and answers

    - comparisons by Bradley-Terry with ties after Rao and Kupper (1967), doi:10.2307/2282923, whose
      `tie_width` is in logits;
    - rankings by Plackett-Luce;
    - ratings of 1 to 7 by an ordered logit whose thresholds divide the qualities from 0 to 1 evenly;
    - labels: good with probability sigmoid((quality - accept_at) / temperature + leniency);

    or, with probability `lapse`, at random. They write and edit as well: they think of `drafts` texts
    (`rrm.raters.writing`) and hand one in, each with the probability with which it would be ranked first, at 19 words a
    minute. They mark claims as `rrm.raters.marking.Marker` says, by what a view
    says of each (`grounds`). Where they are shown what came of outputs they judge by that, too: the quality is then
    what they see in the output less a share `hindsight` of it, and that share of what the outcome is worth. People
    differ: their temperatures scatter by about 20 % around `temperature`, their leaning to the first shown by 0.15
    logits, their leniency by 0.5 logits, and `lapse` and `read` likewise.

    `quality` is a callable or an import string "package.module:name", and so are those of other `criteria`, by
    name, and `grounds`, without which no claims are marked. Raises PluginError if one leads to nothing callable,
    InputError for settings out of range.
    """

    name = "simulated"

    def __init__(
        self,
        quality: QualityOf | str,
        *,
        people: int = 5,
        temperature: float = 0.06,
        lapse: float = 0.05,
        read: float = 0.9,
        tie_width: float = 0.0,
        accept_at: float = 0.25,
        hindsight: float = 0.5,
        readings: int = 4,
        criteria: Mapping[str, QualityOf | str] | None = None,
        grounds: GroundsOf | str | None = None,
        overlook: float = 0.15,
        slip: float = 0.03,
        trust: float = 0.5,
        drafts: int = 8,
        seed: int = 0,
    ) -> None:
        if people < 1 or readings < 1:
            raise InputError(f"simulated raters: people and readings must be 1 or more, got {people} and {readings}")
        if drafts < 1:
            raise InputError(f"simulated raters: who writes thinks of one draft or more, got drafts = {drafts}")
        if not temperature > 0 or not tie_width >= 0:
            raise InputError(
                f"simulated raters: temperature must be above 0 and tie_width not below, got {temperature}, {tie_width}"
            )
        if not 0 <= lapse <= 1 or not 0 < read <= 1:
            raise InputError(f"simulated raters: lapse lies in [0, 1] and read in (0, 1], got {lapse} and {read}")
        if not 0 <= hindsight <= 1:
            raise InputError(f"simulated raters: hindsight is a share of the judgement from 0 to 1, got {hindsight}")
        qualities = {OVERALL: quality, **(criteria or {})}
        self._qualities: dict[str, QualityOf] = {name: _loaded(each, "quality") for name, each in qualities.items()}
        self._grounds: GroundsOf | None = None if grounds is None else _loaded(grounds, "grounds")
        self._marker = Marker(read, overlook, slip, trust)
        self.tie_width, self.accept_at, self.seed, self._readings = tie_width, accept_at, seed, readings
        self._hindsight, self._drafts = hindsight, drafts
        self.people = tuple(_person(number, temperature, lapse, read, seed) for number in range(1, people + 1))

    def rate(self, request: Request, seed: int) -> Feedback:
        """Return one person's answer.

        Raises InputError for a kind that no simulation gives, and for a criterion without a quality.
        """
        _check(request)
        rng = generator("simulated rating", self.seed, request.id, seed)
        person = self.people[rng.integers(len(self.people))]
        if request.kind == ClaimMarks.kind:
            return self._marks(request, person, seed)
        if request.kind in _WRITTEN:
            return self._writes(request, person, rng)
        rewards = self._rewards(request, person, int(rng.integers(self._readings)))
        answer = self._answer(request, person, rewards, rng)
        seconds = 60 * self.minutes(request)
        return Feedback(request.id, person.name, answer, seconds, criterion=request.criterion)

    def _marks(self, request: Request, person: Person, seed: int) -> Feedback:
        if self._grounds is None:
            raise InputError(
                "simulated raters mark claims by what a view says of them: give them grounds = 'package.module:name',"
                " such as 'tasks.synthetic_book:claim_grounds'"
            )
        [shown] = request.shown
        marker = replace(self._marker, read=person.read)
        found = mark(request, self._grounds(request.view, shown.text), marker, self.seed, person.name, request.id, seed)
        seconds = 60 * (found.words / WORDS_A_MINUTE + MINUTES_A_DECISION)
        return Feedback(request.id, person.name, found.answer(shown.text), seconds, criterion=request.criterion)

    def _writes(self, request: Request, person: Person, rng: np.random.Generator) -> Feedback:
        """Return what a person writes: one of the drafts that they think of."""
        found = drafts(request, self._drafts, rng)
        shown = tuple(Shown(str(at), text) for at, text in enumerate(found))
        judged = replace(request, kind=Ranking.kind, shown=shown)
        chances = self._probability(judged, person, self._rewards(judged, person, int(rng.integers(self._readings))))
        text = found[int(rng.choice(len(found), p=chances / chances.sum()))]
        answer = _WRITTEN[request.kind](text)
        seconds = 60 * (self.minutes(request) + new_words(request, text) / WRITTEN_WORDS_A_MINUTE)
        return Feedback(request.id, person.name, answer, seconds, criterion=request.criterion)

    def probability(self, request: Request) -> np.ndarray:
        """Return the true distribution over the answers, averaged over people and their readings.

        For a comparison [P(first better), P(second better)], ties left out; for a label [P(good)]; for
        a rating [P(1), ..., P(7)]; for a ranking [k], how probably each is put first.
        """
        _check(request)
        if request.kind == ClaimMarks.kind or request.kind in _WRITTEN:
            raise InputError(f"simulated raters tell no distribution over what is said by {request.kind}")
        answers = np.zeros(1)
        for person, reading in product(self.people, range(self._readings)):
            answers = answers + self._probability(request, person, self._rewards(request, person, reading))
        many = len(self.people) * self._readings
        return answers / (answers.sum() if _compares(request) else many)

    def minutes(self, request: Request) -> float:
        """Return the time that a person needs: reading at 250 words a minute, and 0.2 minutes to decide."""
        texts = (request.view.text, request.view.context, *(shown.read for shown in request.shown))
        return sum(len(words(text)) for text in texts) / WORDS_A_MINUTE + MINUTES_A_DECISION

    def _rewards(self, request: Request, person: Person, reading: int) -> np.ndarray:
        """Return the rewards [k] in logits, 0 where the quality is `accept_at`."""
        texts = [shown.text for shown in request.shown]
        at = seed_for("reading", self.seed, person.name, reading)
        quality_of = self._qualities.get(request.criterion)
        if quality_of is None:
            raise InputError(
                f"simulated raters judge by {', '.join(self._qualities)}, not by {request.criterion}: give them its"
                " quality, criteria = { NAME = 'package.module:name' }"
            )
        quality = np.asarray(quality_of(request.view, texts, person.read, at), dtype=np.float64)
        if quality.shape != (len(texts),):
            raise ShapeError(f"the quality of {len(texts)} texts must be an array of as many, got {quality.shape}")
        worth = [each.consequence and each.consequence.worth for each in request.shown]
        if (after := np.array([one is not None for one in worth])).any():
            came = np.array([0.0 if one is None else one for one in worth])
            quality = np.where(after, (1 - self._hindsight) * quality + self._hindsight * came, quality)
        return (quality - self.accept_at) / person.temperature

    def _probability(self, request: Request, person: Person, rewards: np.ndarray) -> np.ndarray:
        attentive = self._attentive(request, person, rewards)
        at_random = 1 / len(attentive) if request.kind != "label" else 0.5
        return (1 - person.lapse) * attentive + person.lapse * at_random

    def _attentive(self, request: Request, person: Person, rewards: np.ndarray) -> np.ndarray:
        if _compares(request):
            margin = rewards[0] - rewards[1] + person.side
            return _sigmoid(np.array([margin, -margin]) - self.tie_width)
        if request.kind == "label":
            return _sigmoid(rewards[:1] + person.leniency)
        if request.kind == "rating":
            return self._rating(person, float(rewards[0]))
        worth = np.exp(rewards - rewards.max())
        first: np.ndarray = worth / worth.sum()
        return first

    def _rating(self, person: Person, reward: float) -> np.ndarray:
        thresholds = (np.arange(1, POINTS) / POINTS - self.accept_at) / person.temperature
        above = _sigmoid(reward + person.leniency - thresholds)
        return -np.diff(np.concatenate([[1.0], above, [0.0]]))

    def _answer(self, request: Request, person: Person, rewards: np.ndarray, rng: np.random.Generator) -> Answer:
        if request.kind == "ranking":
            attentive = rng.random() >= person.lapse
            # Gumbel noise on the rewards, sorted, is a Plackett-Luce ranking.
            noisy = rewards * attentive + rng.gumbel(size=len(rewards))
            return Ranking(tuple(int(position) for position in np.argsort(-noisy)))
        chances = self._probability(request, person, rewards)
        chosen = int(np.searchsorted(np.cumsum(chances), rng.random(), side="right"))
        if _compares(request):
            kind = Hindsight if request.kind == Hindsight.kind else Comparison
            return kind(None if chosen > 1 and self.tie_width > 0 else min(chosen, 1))
        if request.kind == "label":
            return Label(good=chosen == 0)
        return Rating(min(chosen, POINTS - 1) + 1, POINTS)


def _person(number: int, temperature: float, lapse: float, read: float, seed: int) -> Person:
    heat, side, leniency, slips, haste = generator("simulated person", seed, number).normal(size=5)
    return Person(
        f"simulated-{number}",
        temperature=temperature * float(np.exp(0.2 * heat)),
        side=0.15 * float(side),
        leniency=0.5 * float(leniency),
        # A power keeps 0 and 1 where they are.
        lapse=lapse ** float(np.exp(0.2 * slips)),
        read=read ** float(np.exp(0.2 * haste)),
    )


def _check(request: Request) -> None:
    least = _LEAST_SHOWN.get(request.kind)
    if request.kind == Hindsight.kind and not request.in_hindsight:
        raise InputError(
            "simulated raters: a comparison in hindsight shows what came of outputs, and this one does not"
        )
    if least is None:
        raise InputError(f"simulated raters cannot give a {request.kind}; ask for a {', '.join(_LEAST_SHOWN)}")
    shown = len(request.shown)
    more = request.kind in _MORE_SHOWN
    if shown < least or (shown > least and not more):
        raise InputError(f"a {request.kind} needs {least} outputs{' or more' * more}, got {shown}")


def _compares(request: Request) -> bool:
    return issubclass(KINDS[request.kind], Comparison)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(logits / 2))


def _loaded(given: F | str, what: str) -> F:
    """Return a function, or the one that an import string leads to."""
    if not isinstance(given, str):
        return given
    module, colon, name = given.partition(":")
    try:
        found: Any = getattr(import_module(module), name) if colon and module and name else None
    except (ImportError, AttributeError) as error:
        raise PluginError(f"the {what} {given!r} cannot be imported: {error}") from error
    if not callable(found):
        raise PluginError(f"the {what} {given!r} must lead to a function, as in 'package.module:name'")
    loaded: F = found
    return loaded
