"""What samplers of questions promise."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from rrm.ask.standing import Standing
from rrm.core.asking import (
    AT_RANDOM,
    BY_VALUE,
    LEFT,
    Alternatives,
    Asking,
    Chosen,
    KeepingSampler,
    Outlook,
    Question,
    QuestionSampler,
)
from rrm.core.kinds import KINDS
from rrm.core.place import Place
from rrm.core.values import Group, Request, Shown, View
from rrm.verify.held import Checks, Held, checking

_VIEWS = 60
_MINUTES = 40.0


class _Believed:
    """A belief in which some words are of better outputs, as surely as `seed` has it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._weights = rng.normal(size=(2 * _VIEWS + 2, 5))

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        return np.asarray(self._rows(groups)[:, 0])

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        mine, theirs = self._rows(groups), self._rows(others)
        same = np.array([[a == b for b in _texts(others)] for a in _texts(groups)], dtype=np.float64)
        return np.asarray(mine @ theirs.T + 0.1 * same.reshape(len(mine), len(theirs)))

    def _rows(self, groups: Sequence[Group]) -> np.ndarray:
        return np.asarray(self._weights[[int(text.split()[-1]) for text in _texts(groups)]])


def check_question_sampler(sampler: QuestionSampler, asking: Asking | None = None) -> Held:
    """Check that a sampler stays within pool and budget, says why it asks, and draws some whatever is believed.

    Raises ContractError.
    """
    asked = asking if asking is not None else _asking(sampler.kinds, sampler.leaves)
    with checking("question sampler", sampler) as checks:
        unknown = sorted(sampler.kinds - KINDS.keys())
        checks.require(
            bool(sampler.kinds) and not unknown,
            "names its kinds",
            f"its kinds of feedback must be some of {', '.join(KINDS)}, got {unknown or 'none'}",
        )
        whole = isinstance(sampler.waves, int) and sampler.waves >= 1
        checks.require(whole, "chooses in waves", f"waves is a whole number from 1 up, got {sampler.waves!r}")
        believed = _Believed(1)
        chosen = sampler.choose(believed, asked)
        _check_chosen(checks, asked, chosen)
        again = sampler.choose(believed, asked)
        checks.require(again == chosen, "chooses equally of equal arguments", "equal arguments gave two choices")
        drawn = {each.request for each in chosen.asked if each.stream == AT_RANDOM}
        checks.require(
            bool(drawn), "draws some at random", "it draws no question at random, so no accuracy could be told"
        )
        of_targets = {each.request.id for each in asked.questions if each.of_target}
        checks.require(
            drawn.isdisjoint(of_targets), "draws none about targets", "it draws questions about targets at random"
        )
        other = {each.request for each in sampler.choose(_Believed(2), asked).asked if each.stream == AT_RANDOM}
        checks.require(
            other == drawn, "draws whatever is believed", "what it draws at random changes with what is believed"
        )
        few = sampler.choose(believed, replace(asked, minutes=np.inf, many=3)).asked
        checks.require(len(few) <= 3, "puts no more than it may", f"of 3 questions that it may put it chose {len(few)}")
        none = sampler.choose(believed, replace(asked, minutes=0.0)).asked
        checks.require(not none, "puts nothing without minutes", f"without a minute it puts {len(none)} questions")
        if isinstance(sampler, KeepingSampler):
            kept = Standing.of(sampler.keep(believed, asked, chosen.asked))
            same = kept.known == {each.request for each in chosen.asked}
            checks.require(same, "keeps what it chose", "what it keeps of a wave is not what it chose")
    return checks.held


def _check_chosen(checks: Checks, asking: Asking, chosen: object) -> None:
    fits = isinstance(chosen, Chosen) and isinstance(chosen.outlook, Outlook)
    checks.require(fits, "returns a Chosen", f"it must return a Chosen, got {type(chosen).__name__}")
    assert isinstance(chosen, Chosen)
    prices = {each.request.id: each.deciding for each in asking.questions}
    leaving = {each.request.id for each in asking.questions if each.leaves}
    ids = [each.request for each in chosen.asked]
    checks.require(bool(ids), "chooses some", "it chooses nothing, though there is much to learn and time for it")
    checks.require(prices.keys() >= set(ids), "chooses of its pool", "it chose a question that is not in its pool")
    checks.require(len(set(ids)) == len(ids), "chooses none twice", "it chose a question twice")
    least = sum(prices[each] for each in ids)
    checks.require(
        least <= asking.minutes,
        "stays within its minutes",
        f"it may take {asking.minutes:g} minutes and chose for {least:g}, reading aside",
    )
    for each in chosen.asked:
        checks.require(
            each.pool == asking.pool and each.stream in (BY_VALUE, AT_RANDOM, LEFT),
            "says which pool and stream",
            f"each question names its pool and stream, got {each.pool!r:.40} and {each.stream!r:.40}",
        )
        checks.require(
            (each.stream == LEFT) == (each.request in leaving),
            "leaves choices and nothing else",
            f"the stream of choices that are left to a person, and of nothing else, is {LEFT!r}: it is {each.stream!r}",
        )
        checks.require(
            0 < each.propensity <= 1, "says propensities", f"a propensity lies above 0 up to 1, got {each.propensity}"
        )
        checks.require(isfinite(each.value), "says values", f"a value is a finite number, got {each.value}")
    outlook = chosen.outlook
    numbers = outlook.expected, outlook.gain, outlook.hour
    checks.require(
        all(map(isfinite, numbers)) and outlook.pool == asking.pool,
        "says how it stands",
        f"an outlook is of the pool, with finite numbers; got {numbers} of {outlook.pool!r:.40}",
    )


def _asking(kinds: frozenset[str], leaves: bool) -> Asking:
    """Return made-up questions about two levels and one target, 40 minutes for 120 questions of a minute and more.

    Where the sampler `leaves` choices to a person, that of the target is among them.
    """
    questions = []
    for number in range(_VIEWS):
        view = View(f"Say it ({number}).", (), 9)
        shown = tuple(Shown(f"output-{2 * number + at}", f"words {2 * number + at}") for at in (2, 3))
        for kind in sorted(kinds & {"comparison", "label", "rating"}):
            some = shown if kind == "comparison" else shown[:1]
            request = Request(f"node-{number}", "source", Place(level=number % 2), kind, view, some)
            questions.append(Question(request, 1.0, 0.5, of_target=number % 6 == 5))
    root = Group("target", Place(level=1), View("Say it all.", (), 9), ("words 0", "words 1"))
    target = Alternatives(("output-0", "output-1"), np.array([0.5, 0.5]), (root,), 0.2 * np.eye(2))
    shown = tuple(Shown(id_, text) for id_, text in zip(target.outputs, root.outputs, strict=True))
    choice = Request("root", "target", Place(level=1), "ranking", View("Say it all.", (), 9, "all of it"), shown)
    questions += [Question(choice, 5.0, 0.5, of_target=True, leaves=True)] * leaves
    return Asking(tuple(questions), (target,), {0: 2.0, 1: 1.0}, minutes=_MINUTES, expected=60, seed=3)


def _texts(groups: Sequence[Group]) -> list[str]:
    return [text for group in groups for text in group.outputs]
