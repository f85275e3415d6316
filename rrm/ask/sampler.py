"""Which questions a run puts next: bundles by their worth to the decision at the root, and some drawn at random."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from rrm.ask.acts import Act, Acts
from rrm.ask.bundles import Answers, Bundle, Decision, Questions, Ranked
from rrm.ask.drawn import DrawnAnswers
from rrm.ask.leaving import after_choice, choices
from rrm.ask.standing import Apart, Standing
from rrm.ask.writing import SHARES, Write, writings
from rrm.core.asking import AT_RANDOM, BY_VALUE, Alternatives, Asked, Asking, Belief, Chosen, Outlook, Question
from rrm.core.draws import Draws
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.values import Group, Request

HOUR = 60.0

_RATING_NOISE = float(np.sqrt(3.0))
"""A logistic quantity tells its location as well as a normal one of variance 3 does: its Fisher information is 1/3."""

_MOST_OUTPUTS = 4000
"""Outputs that a wave's questions are about at most: views beyond these, drawn by the seed, wait for another wave."""


@dataclass(frozen=True)
class Value:
    """Asks by value: implements `rrm.core.asking.QuestionSampler`.

    A question's value is by how much its answer is expected to raise the acceptance of what is chosen at the root, and
    `spread_weight` times how much it lowers the standard deviation of differences between root candidates, by minute.
    Beside what is chosen so, a share `random` of the minutes (more, up to `most_random`, while fewer than
    `least_random` questions were drawn) goes to questions drawn as targets occur, which never pick and never stop; a
    share `most_random` of all questions is set aside for them by the seed, so that what was chosen before does not
    change what they are drawn from. Asking stops where the best bundle gains less than `worth`, in acceptance
    probability a minute; with 0 it never does.

    `decision` says what answers are for: to "choose" the best root candidate of each target, or to "improve" a policy
    that proposed them all alike, within `nats` of KL. With `targets` questions about targets' own outputs compete with
    those about training sources; what is drawn at random is never about targets. With `leave` a person may be left to
    choose among a target's root outputs, where that gains more a minute than any question.

    Raises ConfigError for numbers that are no shares, no weights or no counts, and for another decision.
    """

    worth: float = 0.0
    waves: int = 4
    spread_weight: float = 1.0
    random: float = 0.1
    least_random: int = 200
    most_random: float = 0.25
    decision: Literal["choose", "improve"] = "choose"
    nats: float = 1.0
    targets: bool = False
    leave: bool = False

    def __post_init__(self) -> None:
        if self.decision not in ("choose", "improve"):
            raise ConfigError(f"[rater] sampler: decision is choose or improve, got {self.decision!r}")
        if not 0 < self.nats < np.inf:
            raise ConfigError(f"[rater] sampler: nats are a number above 0, got {self.nats}")
        if not 0 < self.random <= self.most_random < 1:
            raise ConfigError(
                "[rater] sampler: random and most_random lie between 0 and 1, the first not above the second, got"
                f" {self.random} and {self.most_random}: without questions drawn at random no accuracy could be told"
            )
        if not (0 <= self.worth < np.inf and 0 <= self.spread_weight < np.inf):
            raise ConfigError(
                "[rater] sampler: worth and spread_weight are numbers from 0 up, got"
                f" {self.worth} and {self.spread_weight}"
            )
        if self.leave and self.decision == "improve":
            raise ConfigError(
                '[rater] sampler: with decision = "improve" nothing is chosen of any target, so no choice can be left'
                ' to a person: leave out leave, or set decision = "choose"'
            )
        if self.waves < 1 or self.least_random < 0:
            raise ConfigError(
                f"[rater] sampler: waves is 1 or more, least_random 0 or more, got {self.waves} and {self.least_random}"
            )

    @property
    def name(self) -> str:
        shares = (self.random, self.least_random, self.most_random)
        improved = [self.decision, self.nats] if self.decision == "improve" else []
        about = ["targets"] * self.targets + ["leave"] * self.leave
        return content_id("value", self.worth, self.waves, self.spread_weight, *shares, *improved, *about)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"comparison", "hindsight", "label", "rating", *SHARES})

    @property
    def leaves(self) -> bool:
        return self.leave

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        """Return bundles by value a minute with random questions among them, and how it stands before they are put.

        Where no question moves any root, those that are least known come first, then the seed decides. Of a belief that
        is made of fewer draws than tell a gain, it goes by what is removed of differences alone, and never stops.
        Raises InputError without a target, for a belief without spread or that is not finite, and for questions without
        a price.
        """
        _check(asking)
        asked = [each for each in asking.questions if not each.leaves]
        aside = [_may_be_drawn(each) and _set_aside(each.request, asking.seed) < self.most_random for each in asked]
        for_random = [each for each, drawn in zip(asked, aside, strict=True) if drawn]
        rest = _at_most([each for each, drawn in zip(asked, aside, strict=True) if not drawn], asking.seed)
        share = self._share(asking) if for_random else 0.0
        questions, texts = _apart(rest)
        answers = self._answers(belief, questions, asking, texts)
        acts = Acts(answers, [*choices(belief, asking), *self._writings(questions, texts, asking)])
        chosen, outlook = self._by_value(belief, answers, acts, questions, asking, 1 - share)
        if outlook.stopped:
            return Chosen((), outlook)
        return Chosen(_interleaved(chosen, list(_drawn(for_random, asking, share))), outlook)

    def keep(self, belief: Belief, asking: Asking, asked: Sequence[Asked]) -> Mapping[str, np.ndarray]:
        """Return what it takes to order these questions anew as answers come in (`rrm.ask.standing.Standing`).

        Prices are those of one answer, whoever else gives one. What is put by itself is worth a minute of one who
        answers what it was when it was chosen, at most what it is worth alone.
        """
        found = {each.request.id: each for each in asking.questions}
        one = asking.overlap
        put = [
            found[each.request]._replace(
                reading=found[each.request].reading / one, deciding=found[each.request].deciding / one
            )
            for each in asked
        ]
        questions, texts = _apart([each for each in put if not each.leaves])
        alone = replace(asking, questions=tuple(put), overlap=1)
        answers = self._answers(belief, questions, alone, texts)
        worths = Acts(answers, [*choices(belief, alone), *self._writings(questions, texts, alone)]).worths
        bundles = {each.request: each.bundle if each.stream == BY_VALUE else -1 for each in asked}
        requests = [each.request.id for each in questions]
        apart = {
            each.request: Apart(
                min(one * each.value, itself.value), min(one * each.value, itself.gain), each.minutes / one
            )
            for each in asked
            if (itself := worths.get(each.request))
        }
        numbers = np.array([bundles[each] for each in requests], dtype=np.int64)
        return Standing(requests, numbers, answers, self.worth, apart).arrays()

    def _answers(
        self, belief: Belief, questions: Sequence[Question], asking: Asking, texts: Sequence[Question] = ()
    ) -> Answers:
        """Return what answers to questions would do, with the outputs in its table that `texts` tell of, too."""
        nats = self.nats if self.decision == "improve" else np.inf
        answers = _answers(belief, _placed(questions, texts), questions, asking, self.spread_weight, nats)
        for at, target in enumerate(asking.targets):
            if target.left:
                answers.settle(at, after_choice(belief, target))
        return answers

    def _writings(self, questions: Sequence[Question], texts: Sequence[Question], asking: Asking) -> list[Write]:
        """Return the texts that may be written; where policies would be improved they are no candidates."""
        known = replace(asking, qualities={}) if self.decision == "improve" else asking
        return writings(texts, _placed(questions, texts).written, known)

    def _share(self, asking: Asking) -> float:
        """Return the share of the minutes that goes to questions drawn at random."""
        wanted = (self.least_random - asking.drawn) / max(1, asking.expected)
        return float(np.clip(wanted, self.random, self.most_random))

    def _by_value(
        self,
        belief: Belief,
        answers: Answers,
        acts: Acts,
        questions: Sequence[Question],
        asking: Asking,
        share: float,
    ) -> tuple[list[Asked], Outlook]:
        """Return what a share of the minutes pays for, and the outlook; an hour is looked ahead."""
        ranked, now = Ranked(answers), answers.decision
        ranked.next()
        pays, many = share * asking.minutes, None if asking.many is None else round(share * asking.many)
        best = max([*ranked.best_gain.values(), acts.best_gain(pays)])
        worth = self.worth if now.told else 0.0
        stopped = bool(best < worth)
        chosen: list[Bundle | Act] = []
        minutes, put, hour = 0.0, 0, -1.0
        open_ = not stopped
        while open_ or minutes < HOUR:
            bundle = ranked.next()
            rate = bundle.value / bundle.minutes if bundle else 0.0
            rest = (pays if open_ else HOUR) - minutes
            act = acts.next(rate, rest)
            best_now = max([*ranked.best_gain.values(), acts.best_gain(rest)]) if open_ else 0.0
            what = act or bundle
            if what is None:
                break
            if hour < 0 and minutes + what.minutes > HOUR:
                hour = _gained(now, answers)
            minutes += what.minutes
            put += 1 if isinstance(what, Act) else len(what.questions)
            ends = minutes > pays or (many is not None and put > many)
            open_ = open_ and not ends and best_now >= worth
            if open_:
                chosen.append(what)
            if isinstance(what, Act):
                acts.take(what)
                ranked.renew()
            else:
                ranked.take()
        hour = _gained(now, answers) if hour < 0 else hour
        if open_:
            chosen += _by_variance(ranked, answers.questions, asking, pays - minutes, many and many - put)
        had = list(_had(asking.targets, now))
        outlook = Outlook(
            place=asking.place,
            wave=asking.wave,
            pool=asking.pool,
            questions=len(asking.questions),
            drawn=asking.drawn,
            expected=now.expected,
            gain=best,
            hour=hour,
            stopped=stopped,
            best=tuple(output for output, _ in had),
            weights=tuple(share for _, share in had),
            draws=len(belief) if isinstance(belief, Draws) else 0,
            effective=belief.effective if isinstance(belief, Draws) else 0.0,
        )
        return list(_asked(chosen, questions, asking.pool)), outlook


def _gained(before: Decision, answers: Answers) -> float:
    """Return by how much what was taken is expected to raise what is had, choices that are left included."""
    after = answers.decision
    gain = after.gain(answers.taken_moves) if answers.taken else 0.0
    return max(0.0, after.expected - before.expected + gain)


def _had(targets: Sequence[Alternatives], decision: Decision) -> Iterator[tuple[str, float]]:
    """Yield the outputs that would be had, with how much each counts: of a choice that was left what a person took."""
    for target, weight, shares in zip(targets, decision.weights, decision.shares, strict=True):
        if target.left:
            yield target.outputs[target.left[0]], float(weight)
        else:
            yield from (
                (o, float(weight * share)) for o, share in zip(target.outputs, shares, strict=False) if share > 0
            )


def _asked(chosen: Sequence[Bundle | Act], questions: Sequence[Question], pool: str) -> Iterator[Asked]:
    """Yield why each question is put, those of a bundle one after another."""
    for number, act in enumerate(chosen):
        if isinstance(act, Act):
            request, value = act.offer.question.request.id, act.value / act.minutes
            yield Asked(request, act.offer.stream, pool, 1.0, value, number, act.minutes)
            continue
        for at in act.questions:
            minutes = act.minutes / len(act.questions)
            yield Asked(questions[at].request.id, BY_VALUE, pool, 1.0, act.value / act.minutes, number, minutes)


def _check(asking: Asking) -> None:
    if not asking.targets or not all(len(each.scores) for each in asking.targets):
        raise InputError("there is no target with a root output: there is nothing to decide, so nothing to ask for it")
    if not (
        np.isfinite(weights := [each.weight for each in asking.targets]).all() and min(weights) >= 0 < sum(weights)
    ):
        raise InputError(f"targets' weights are numbers from 0 up, one of them above 0, got {weights}")
    for each in asking.questions:
        if not (each.deciding >= 0 and 0 < each.reading + each.deciding < np.inf):
            raise InputError(
                f"every question costs some minutes: {each.request.kind} {each.request.id} has a price of"
                f" {each.reading + each.deciding}"
            )


def _may_be_drawn(question: Question) -> bool:
    """Whether a question may be drawn at random: about training sources, and no text that a person writes.

    Words are neither right nor wrong, so no figure that drawn questions are there for is told by them.
    """
    return not question.of_target and not question.apart


def _apart(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """Return the questions that come in bundles, and those that have a text written."""
    bundled = [each for each in questions if not each.apart]
    return bundled, [each for each in questions if each.apart]


def _set_aside(request: Request, seed: int) -> float:
    """Return a number from 0 to 1 that only the question itself and the seed decide, whatever order it shows."""
    texts = sorted(shown.text for shown in request.shown)
    return seed_for(seed, "set aside", request.view.id, request.kind, texts) / 2**63


def _at_most(questions: list[Question], seed: int) -> list[Question]:
    """Return the questions of as many views as show `_MOST_OUTPUTS` texts, all where there are fewer."""
    texts: dict[str, set[str]] = defaultdict(set)
    for each in questions:
        texts[each.request.view.id].update(each.texts)
    if sum(map(len, texts.values())) <= _MOST_OUTPUTS:
        return questions
    views = list(texts)
    sizes = {views[at]: len(texts[views[at]]) for at in generator(seed, "views").permutation(len(views))}
    kept = {view for view, until in zip(sizes, np.cumsum(list(sizes.values())), strict=True) if until <= _MOST_OUTPUTS}
    return [each for each in questions if each.request.view.id in kept]


class _Placed(NamedTuple):
    """The outputs that questions and texts tell of, beside their views, and the places of those of each.

    Those of a view stand together, from the place on that `starts` has for it (by id).
    """

    starts: dict[str, int]
    groups: list[Group]
    asked: list[list[int]]
    written: list[list[int]]


def _placed(questions: Sequence[Question], texts: Sequence[Question]) -> _Placed:
    places: dict[str, dict[str, int]] = defaultdict(dict)
    first_of = {each.request.view.id: each.request for each in reversed([*questions, *texts])}
    for each in (*questions, *texts):
        known = places[each.request.view.id]
        for text in each.texts:
            known.setdefault(text, len(known))
    starts = dict(zip(places, np.cumsum([0, *map(len, places.values())]).tolist(), strict=False))
    groups = [replace(first_of[view].group, outputs=tuple(known)) for view, known in places.items()]
    asked, written = (
        [[starts[q.request.view.id] + places[q.request.view.id][text] for text in q.texts] for q in some]
        for some in (questions, texts)
    )
    return _Placed(starts, groups, asked, written)


def _answers(
    belief: Belief,
    placed: _Placed,
    questions: Sequence[Question],
    asking: Asking,
    spread_weight: float,
    nats: float,
) -> Answers:
    """Return what answers to questions would do, by what is believed."""
    requests, (starts, groups, at, _) = [each.request for each in questions], placed
    table = Questions(
        first=np.array([each[0] for each in at], dtype=np.int64),
        second=np.array([each[1] if len(each) > 1 else -1 for each in at], dtype=np.int64),
        choice=np.array([each.kind != "rating" for each in requests], dtype=bool),
        noise=np.full(len(requests), _RATING_NOISE),
        view=np.array([2 * starts[each.view.id] + each.in_hindsight for each in requests], dtype=np.int64),
        reading=np.array([each.reading for each in questions], dtype=np.float64),
        deciding=np.array([each.deciding for each in questions], dtype=np.float64),
    )
    rest = asking.decisions_a_reading, asking.overlap, spread_weight
    if isinstance(belief, Draws):
        return _drawn_answers(belief, groups, asking.targets, nats, table, *rest)
    decision, across = _decision(belief, groups, asking.targets, nats)
    mean, covariance = belief.means(groups), belief.covariance(groups, groups)
    if not all(np.isfinite(each).all() for each in (mean, covariance, across, decision.scores)):
        raise InputError("what is believed is not finite: a model's weights are damaged, or its rewards diverged")
    if len(mean) and not np.diagonal(covariance).max() > 0:
        raise InputError("the belief has no spread: who is certain has nothing to ask")
    return Answers(decision, table, mean, covariance, across, *rest)


def _decision(
    belief: Belief, groups: Sequence[Group], targets: Sequence[Alternatives], nats: float
) -> tuple[Decision, np.ndarray]:
    """Return the decision, and the covariances [n, t, k] of the groups' outputs with its candidates' scores."""
    across, spread = [], []
    undecided, at = _undecided(targets, nats)
    for each, own in zip(targets, at, strict=True):
        across.append((belief.covariance(groups, each.groups) @ each.slopes.T)[:, own])
        covariance = each.slopes @ belief.covariance(each.groups, each.groups) @ each.slopes.T
        k = len(covariance)
        between = 2 * (k * np.trace(covariance) - covariance.sum()) / (k * (k - 1)) if k > 1 else 0.0
        spread.append(max(0.0, float(between)))
    return replace(undecided, spread=np.array(spread)), np.stack(across, axis=1)


def _drawn_answers(
    belief: Draws,
    groups: Sequence[Group],
    targets: Sequence[Alternatives],
    nats: float,
    table: Questions,
    readings: int,
    overlap: int,
    spread_weight: float,
) -> DrawnAnswers:
    """Return what answers would do where the belief is made of draws, each of which has scores of its own."""
    decision, at = _undecided(targets, nats)
    rewards, scores = belief.drawn(groups), []
    for each, own in zip(targets, at, strict=True):
        drawn = belief.drawn(each.groups)
        scores.append((each.scores + (drawn - belief.weights @ drawn) @ each.slopes.T)[:, own])
    moved = np.stack(scores, axis=1)
    if not np.isfinite(moved).all():
        raise InputError("what is believed is not finite: a composer's scores are damaged")
    if len(table) and not np.ptp(rewards, axis=0).max() > 0:
        raise InputError("the belief has no spread: who is certain has nothing to ask")
    return DrawnAnswers(decision, table, rewards, moved, belief.log_weights, readings, overlap, spread_weight)


def _undecided(targets: Sequence[Alternatives], nats: float) -> tuple[Decision, list[np.ndarray]]:
    """Return the decision but for its spread, and which of its candidates stands in each of a target's k places."""
    most = max(len(each.scores) for each in targets)
    at = [np.r_[np.arange(len(each.scores)), np.zeros(most - len(each.scores), dtype=np.int64)] for each in targets]
    present = np.array([np.arange(most) < len(each.scores) for each in targets])
    scores = np.array([each.scores[own] for each, own in zip(targets, at, strict=True)])
    weights = np.array([each.weight for each in targets], dtype=np.float64)
    return Decision(scores, present, np.zeros(len(targets)), weights / weights.sum(), np.array(nats)), at


def _by_variance(
    ranked: Ranked, questions: Questions, asking: Asking, minutes: float, many: int | None
) -> Iterator[Bundle]:
    """Yield questions that move no root, those that are least known a minute first, equal ones by the seed."""
    left = np.array(ranked.left, dtype=np.int64)
    price = questions.reading[left] + questions.deciding[left]
    tie = generator(asking.seed, "ties", asking.wave).permutation(len(left))
    for at in np.lexsort((tie, -ranked.variance[left] / price)):
        minutes -= float(price[at])
        many = None if many is None else many - 1
        if minutes < 0 or (many is not None and many < 0):
            return
        yield Bundle((int(left[at]),), 0.0, 0.0, float(price[at]))


def _drawn(questions: Sequence[Question], asking: Asking, share: float) -> Iterator[Asked]:
    """Yield questions drawn at random, each of a level as often as targets have nodes of it, none twice."""
    random = generator(asking.seed, "random stream", asking.place.round, asking.wave)
    open_: dict[int, list[Question]] = defaultdict(list)
    for each in questions:
        open_[each.request.place.level].append(each)
    minutes, many = share * asking.minutes, asking.many and round(share * asking.many)
    while levels := sorted(level for level in open_ if open_[level] and asking.levels.get(level, 0) > 0):
        weights = np.array([asking.levels[level] for level in levels], dtype=np.float64)
        level = levels[int(random.choice(len(levels), p=weights / weights.sum()))]
        propensity = asking.levels[level] / weights.sum() / len(open_[level])
        question = open_[level].pop(int(random.integers(len(open_[level]))))
        price = question.reading + question.deciding
        minutes -= price
        many = None if many is None else many - 1
        if minutes < 0 or (many is not None and many < 0):
            return
        yield Asked(question.request.id, AT_RANDOM, asking.pool, float(propensity), minutes=price)


def _interleaved(chosen: Sequence[Asked], random: Sequence[Asked]) -> tuple[Asked, ...]:
    """Return both in their order, so that however much of the whole is put, each stream has its share of it."""
    found: list[tuple[float, int, int, Asked]] = []
    for stream, asked in enumerate((chosen, random)):
        ends = np.cumsum([each.minutes for each in asked])
        for at, each in enumerate(asked):
            found.append((float(ends[at] / ends[-1]), stream, at, each))
    return tuple(each for *_, each in sorted(found, key=lambda each: each[:3]))
