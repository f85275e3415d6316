"""Bundles: one to six questions about one view, by what they are worth together to the decision at the root.

Rewards are Gaussian as believed. An answer that is a quantity removes variance exactly; one of two answers counts as
the quantity that would remove as much as is expected of it, so that the worth of several together is one integral.
"""

import heapq
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from rrm.ask.envelope import envelope_gain
from rrm.ask.gaussian import choice_moments, choices
from rrm.ask.propagation import Told, propagated
from rrm.ask.tilt import best_mean, tilted

MOST = 6
"""As many questions as are put about one view in one sitting."""

_DRAWS = 1024
_FEWER_DRAWS = 64  # each with its opposite
_POINTS, _MASS = np.polynomial.hermite_e.hermegauss(11)
_MASS = _MASS / _MASS.sum()
_NUMBERS = 4_000_000  # as many are held at once


@dataclass(frozen=True, eq=False)
class Decision:
    """Scores of root candidates, [t, k], of which one a target is chosen; `present` says which are there.

    With `nats` that are finite none is: a policy that proposed them all alike is improved by so many nats of KL.

    Where a target has fewer than k its first one is repeated. `spread` [t] is the mean square difference between two.
    `weights` [t] say how much each target counts, and sum to one. Where gains are not `told`, as of few draws, they
    count as zero.
    """

    scores: np.ndarray = field(repr=False)
    present: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    nats: np.ndarray = field(default_factory=lambda: np.array(np.inf))
    told: np.ndarray = field(default_factory=lambda: np.array(True))

    @property
    def expected(self) -> float:
        """The mean over targets of the best score, or of what an improved policy would have."""
        return float(self.weights @ best_mean(self.scores, self.present, float(self.nats)))

    @property
    def shares(self) -> np.ndarray:
        """How probably each candidate would be had, [t, k]: one of each target's for certain, where one is chosen."""
        if np.isinf(self.nats):
            return np.asarray(np.eye(self.scores.shape[1])[self.scores.argmax(axis=1)])
        return tilted(self.scores, self.present, float(self.nats))

    def removed(self, moves: np.ndarray) -> np.ndarray:
        """Return the mean square difference that moves [..., t, k] take from targets' candidates, [..., t]."""
        count = self.present.sum(axis=1)
        centred = moves - ((moves * self.present).sum(axis=-1) / count)[..., None]
        pairs = np.where(count > 1, 2 * count / np.maximum(count - 1, 1), 0.0)
        return np.asarray((np.square(centred) * self.present).sum(axis=-1) / count * pairs)

    def spread_gain(self, removed: np.ndarray) -> np.ndarray:
        """Return by how much the root of the mean square difference falls, the mean over targets, [...]."""
        after = np.sqrt(np.maximum(self.spread - removed, 0.0))
        return np.asarray((np.sqrt(self.spread) - after) @ self.weights)

    def single_gains(self, moves: np.ndarray) -> np.ndarray:
        """Return the expected rise of `expected` by one answer that moves [..., t, k].

        By the envelope of lines, exactly, where one candidate is chosen; else by 11 points, as it then bends nowhere
        sharply.
        """
        if not self.told:
            return np.zeros(moves.shape[:-2])
        if np.isinf(self.nats):
            return np.asarray(envelope_gain(self.scores, moves) @ self.weights)
        found = sum(
            mass * best_mean(self.scores + point * moves, self.present, float(self.nats))
            for point, mass in zip(_POINTS, _MASS, strict=True)
        )
        return np.asarray(np.maximum(found @ self.weights - self.expected, 0.0))

    def gain(self, moves: np.ndarray) -> float:
        """Return the expected rise of `expected` by answers that move [b, t, k] each.

        One answer as in `single_gains`; several by 1,024 draws, each with its opposite, so that it is never negative
        (128, where a policy would be improved).
        """
        if len(moves) == 1 or not self.told:
            return float(self.single_gains(moves[0]))
        draws = _draws(len(moves))
        if np.isinf(self.nats):
            return self._gain_of_best(moves, draws)
        draws = draws[:_FEWER_DRAWS]
        moved = (draws @ moves.reshape(len(moves), -1)).reshape(len(draws), *self.scores.shape)
        up, down = (best_mean(self.scores + each, self.present, float(self.nats)) for each in (moved, -moved))
        best = (up + down).mean(axis=0) / 2
        return max(0.0, float(self.weights @ best) - self.expected)

    def _gain_of_best(self, moves: np.ndarray, draws: np.ndarray) -> float:
        """Return the expected rise of the best scores by draws [n, b] of answers that move [b, t, k] each.

        Of every target only candidates count that come first in a draw: those whose lag behind the best is no more than
        the furthest draw moves them past it. Target by target, so that what is summed up stays near the processor.
        """
        scores = np.where(self.present, self.scores, -np.inf)
        best = scores.argmax(axis=1)
        there = np.arange(len(scores))
        past = moves - moves[:, there, best][:, :, None]
        furthest = np.sqrt(np.square(draws).sum(axis=1).max() * np.square(past).sum(axis=0))
        lags = scores[there, best][:, None] - scores
        found = 0.0
        for target in np.flatnonzero((lags <= furthest).sum(axis=1) > 1):
            some = np.flatnonzero(lags[target] <= furthest[target])
            moved, lag = draws @ past[:, target, some], lags[target, some]
            found += self.weights[target] * float(((moved - lag).max(axis=1) - (moved + lag).min(axis=1)).mean()) / 2
        return max(0.0, found)


@dataclass(frozen=True, eq=False)
class Questions:
    """What q questions read: the reward of output `first`, less that of `second` where there is one (-1: none).

    `choice` says that one of two answers is given, with the logistic probability of what is read; otherwise a quantity
    is told with this `noise` (sd, logits). `view` numbers the views, one in hindsight
    apart from the same without; `reading` and `deciding` are minutes.
    """

    first: np.ndarray
    second: np.ndarray
    choice: np.ndarray
    noise: np.ndarray
    view: np.ndarray
    reading: np.ndarray
    deciding: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


class Worth(NamedTuple):
    """What something is worth, and by how much it is expected to raise what is had."""

    value: float
    gain: float


class Bundle(NamedTuple):
    """Questions about one view: what they are worth, what they gain the decision, both in all, and their minutes."""

    questions: tuple[int, ...]
    value: float
    gain: float
    minutes: float


class Site(NamedTuple):
    """What an answer told of the reward that its question reads: exp(pull r - precision r^2 / 2).

    Where a belief is made of draws the precision is 0, and the pull 1 where the first of two was chosen, -1 where the
    other was, and 0 where that is not told.
    """

    question: int
    precision: float
    pull: float


class Answers:
    """What answers would do to outputs' rewards and to the decision, with those chosen so far taken as given.

    `mean` [n] and `covariance` [n, n] are of outputs' rewards, `across` [n, t, k] their covariances with the scores of
    the decision's candidates.
    """

    def __init__(
        self,
        decision: Decision,
        questions: Questions,
        mean: np.ndarray,
        covariance: np.ndarray,
        across: np.ndarray,
        readings: int,
        overlap: int = 1,
        spread_weight: float = 1.0,
    ) -> None:
        self.decision, self.questions = decision, questions
        self._mean, self._covariance, self._across = mean, covariance, across
        self._readings, self._overlap, self._spread_weight = readings, overlap, spread_weight
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []  # each one's [n] and [t, k], as chosen
        self.settled: frozenset[int] = frozenset()
        """The targets whose choice is made."""

    @property
    def refit(self) -> bool:
        """Whether so few draws are left that models are to be fitted anew; beliefs of other kinds hold as they are."""
        return False

    def singles(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield values, gains and the variances of what is read of single questions, [some] each, in order."""
        t, k = self.decision.scores.shape
        step = max(1, _NUMBERS // (t * k))
        rows = np.array([row for row, _ in self._taken])
        across = self._across - np.tensordot(rows.T, self.taken_moves, axes=1) if self._taken else self._across
        for start in range(0, len(self.questions), step):
            part = np.arange(start, min(start + step, len(self.questions)))
            first, second = self.questions.first[part], self.questions.second[part]
            two = (second >= 0).astype(np.float64)
            diagonal = np.diagonal(self._covariance)
            variance = diagonal[first] + two * (diagonal[second] - 2 * self._covariance[first, second])
            mean = self._mean[first] - two * self._mean[second]
            if self._taken:
                variance = np.maximum(variance - np.square(rows[:, first] - two * rows[:, second]).sum(axis=0), 0.0)
            scale = self._scale(mean, variance, part)
            moves = (across[first] - two[:, None, None] * across[second]) * scale[:, None, None]
            gain = self.decision.single_gains(moves)
            yield gain + self._spread_weight * self.decision.spread_gain(self.decision.removed(moves)), gain, variance

    def bundle(self, view: Sequence[int], whole: bool = False) -> Bundle:
        """Return the best bundle of some of a view's questions: the first as many as are worth most a minute.

        The next is the one that is worth most a minute once those before are answered. With `whole` all of them.
        """
        q = self.questions
        at = np.array(view)
        outputs = np.unique(np.concatenate([q.first[at], q.second[at]]))
        outputs = outputs[outputs >= 0]
        covariance, across = self._standing(outputs)
        design = (outputs == q.first[at][:, None]).astype(np.float64) - (outputs == q.second[at][:, None])
        mean = design @ self._mean[outputs]
        best = Bundle((), 0.0, 0.0, 1.0)
        chosen: list[int] = []
        moved: list[np.ndarray] = []
        minutes, before = 0.0, np.zeros(len(self.decision.scores))
        most = len(at) if whole else min(MOST, len(at))
        while len(chosen) < most:
            variance = np.maximum(((design @ covariance) * design).sum(axis=1), 0.0)
            scale = self._scale(mean, variance, at)
            moves = np.einsum("qo,otk->qtk", design, across) * scale[:, None, None]
            price = q.deciding[at] + (q.reading[at] if len(chosen) % self._readings == 0 else 0.0)
            removed = self.decision.removed(moves)
            more = self.decision.spread_gain(before + removed) - self.decision.spread_gain(before)
            worth = (self.decision.single_gains(moves) + self._spread_weight * more) / price
            worth[chosen] = -np.inf
            place = int(worth.argmax())
            chosen.append(place)
            moved.append(moves[place])
            minutes, before = minutes + float(price[place]), before + removed[place]
            step = covariance @ design[place] * scale[place]
            across = across - step[:, None, None] * moves[place]
            covariance = covariance - np.outer(step, step)
            if whole and len(chosen) < most:
                continue
            gain = self.decision.gain(np.array(moved))
            value = gain + self._spread_weight * float(self.decision.spread_gain(before))
            if not best.questions or value / minutes > best.value / best.minutes:
                best = Bundle(tuple(int(at[each]) for each in chosen), value, gain, minutes)
        return best

    def take(self, bundle: Bundle) -> None:
        """Take a bundle's questions as asked: what they would tell is no longer open."""
        self._taken += (self._would_take(question) for question in bundle.questions)

    def standing(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the means [m] and covariance [m, m] of some outputs' rewards, what was taken being answered."""
        return self._mean[outputs], self._standing(outputs)[0]

    def worth_along(self, outputs: np.ndarray, directions: np.ndarray) -> Worth:
        """Return what it is worth to be told of some outputs' rewards along directions [m, b], each with noise 1."""
        moves = self._told_along(outputs, directions)[1]
        if not len(moves):
            return Worth(0.0, 0.0)
        gain = self.decision.gain(moves)
        spread = self.decision.spread_gain(self.decision.removed(moves).sum(axis=0))
        return Worth(gain + self._spread_weight * float(spread), gain)

    def best_after(self, target: int, outputs: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the best score [draws] of a target's candidates once that is told, by draws each with its opposite."""
        scores = self.decision.scores[target]
        moves = self._told_along(outputs, directions)[1]
        if not len(moves):
            return np.array([scores.max()])
        moved = _draws(len(moves)) @ moves[:, target]
        return np.asarray(np.max(np.concatenate([scores + moved, scores - moved]), axis=1))

    def take_along(self, outputs: np.ndarray, directions: np.ndarray) -> None:
        """Take that as told: what it would tell is no longer open."""
        rows = np.array([self._row(output)[0] for output in outputs.tolist()])
        self._taken += zip(*self._told_along(outputs, directions, rows), strict=True)

    def _told_along(
        self, outputs: np.ndarray, directions: np.ndarray, rows: np.ndarray | None = None
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Return how rewards [n] of all outputs, where `rows` are theirs with these, and scores [b, t, k] move."""
        covariance, across = self._standing(outputs)
        of_all, moves = [], []
        beside = np.empty((len(outputs), 0)) if rows is None else rows
        for along in directions.T * np.sqrt(self._overlap):
            scale = 1 / np.sqrt(1 + along @ covariance @ along)
            step, row, move = (scale * np.tensordot(along, each, axes=1) for each in (covariance, beside, across))
            covariance, beside = covariance - np.outer(step, step), beside - np.outer(step, row)
            across = across - step[:, None, None] * move
            of_all.append(row)
            moves.append(move)
        return of_all, np.array(moves).reshape(-1, *self.decision.scores.shape)

    def settle(self, target: int, score: float) -> None:
        """Take a target's choice as made, at this expected score: no answer changes it any more."""
        decision, self.settled = self.decision, self.settled | {target}
        scores, spread = decision.scores.copy(), decision.spread.copy()
        scores[target], spread[target] = score, 0.0
        self.decision = replace(decision, scores=scores, spread=spread)
        self._across = self._across.copy()
        self._across[:, target] = 0.0
        for _, moves in self._taken:
            moves[target] = 0.0

    def beside(self, questions: Sequence[int]) -> "Answers":
        """Return the same with these questions taken, as those that raters have in their hands; this one stays."""
        taken = copy(self)
        taken._taken = list(self._taken)
        for question in questions:
            taken._taken.append(taken._would_take(question))
        return taken

    def learn(self, question: int, first: bool | None) -> Site:
        """Take an answer in, nothing being taken as asked: that the first of two was chosen, or not.

        With None only what it is expected to tell is: of quantities, whose scale is not known here, and ties. The
        moments of what is read are matched (assumed density filtering), so the order of answers matters a little.
        """
        row, across, mean, variance = self._read(question)
        site = self._site(question, first, mean, variance)
        self._shift(row, across, mean, variance, site)
        return site

    def together(self, told: Sequence[tuple[int, bool | None]]) -> tuple["Answers", list[Site]]:
        """Return this with all these answers taken in, each as in `learn`, and a site each; this one stays.

        Unlike one after another, they come to the same in whatever order (`rrm.ask.propagation`). Nothing may be taken
        as asked.
        """
        if not told:
            return copy(self), []
        questions = [question for question, _ in told]
        readings = [self._read(question) for question in questions]
        first, second = (each[questions] for each in (self.questions.first, self.questions.second))
        rows = np.array([row for row, *_ in readings]).reshape(len(told), len(self._mean))
        covariance = rows[:, first] - np.where(second >= 0, rows[:, second], 0.0)

        def site_of(at: int, mean: float, variance: float) -> tuple[float, float]:
            site = self._site(questions[at], told[at][1], mean, variance)
            return site.precision, site.pull

        means = np.array([mean for _, _, mean, _ in readings])
        found = propagated(means, covariance, site_of)
        sites = [Site(*each) for each in zip(questions, found.precision.tolist(), found.pull.tolist(), strict=True)]
        across = np.array([move for _, move, *_ in readings]).reshape(len(told), *self.decision.scores.shape)
        return self._shifted(rows, across, means, covariance, found), sites

    def _shifted(
        self, rows: np.ndarray, across: np.ndarray, means: np.ndarray, covariance: np.ndarray, told: Told
    ) -> "Answers":
        """Return what `_shift` comes to for m answers at once, whose readings have this mean [m] and covariance [m, m].

        `rows` [m, n] and `across` [m, t, k] are the readings' covariances with all else.
        """
        narrow = np.sqrt(told.precision)
        factor = np.linalg.cholesky(np.eye(len(means)) + narrow[:, None] * covariance * narrow)
        moves = solve_triangular(factor, narrow[:, None] * rows, lower=True)
        across_moves = solve_triangular(factor, narrow[:, None] * across.reshape(len(means), -1), lower=True)
        after = np.linalg.solve(np.eye(len(means)) + covariance * told.precision, means + covariance @ told.pull)
        step = told.pull - told.precision * after
        decision, moved = self.decision, across_moves.reshape(across.shape)
        scores = decision.scores + np.tensordot(step, across, axes=1)
        spread = np.maximum(decision.spread - decision.removed(moved).sum(axis=0), 0.0)
        whole = copy(self)
        whole.decision = replace(decision, scores=scores, spread=spread)
        whole._mean = self._mean + step @ rows
        whole._covariance = self._covariance - moves.T @ moves
        whole._across = self._across - np.tensordot(moves.T, moved, axes=1)
        return whole

    def _site(self, question: int, first: bool | None, mean: float, variance: float) -> Site:
        """Return what an answer tells where the reading has this mean and variance without it."""
        scale = float(self._scale(np.array([mean]), np.array([variance]), np.array([question]))[0])
        step, left = 0.0, variance - (variance * scale) ** 2
        if first is not None and variance > 0:
            step, left = choice_moments(mean, variance, first)
        if not 0 < left < variance:
            return Site(question, 0.0, 0.0)
        return Site(question, 1 / left - 1 / variance, (mean + step) / left - mean / variance)

    def forget(self, site: Site) -> None:
        """Take back what an answer told, in whatever order they came."""
        self._shift(*self._read(site.question), Site(site.question, -site.precision, -site.pull))

    def _shift(self, row: np.ndarray, across: np.ndarray, mean: float, variance: float, site: Site) -> None:
        whole = 1 + site.precision * variance
        step, shrink = (site.pull - site.precision * mean) / whole, site.precision / whole
        decision = self.decision
        scores = decision.scores + step * across
        spread = decision.spread - np.sign(shrink) * decision.removed(np.sqrt(abs(shrink)) * across)
        self.decision = replace(decision, scores=scores, spread=np.maximum(spread, 0.0))
        self._mean = self._mean + step * row
        self._covariance = self._covariance - shrink * np.outer(row, row)
        self._across = self._across - shrink * row[:, None, None] * across

    def _would_take(self, question: int) -> tuple[np.ndarray, np.ndarray]:
        row, across, mean, variance = self._read(question)
        scale = float(self._scale(np.array([mean]), np.array([variance]), np.array([question]))[0])
        return row * scale, across * scale

    def _read(self, question: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Return of what a question reads its covariances [n] and [t, k], its mean and its variance."""
        first, second = int(self.questions.first[question]), int(self.questions.second[question])
        row, across = self._row(first)
        mean = float(self._mean[first])
        if second >= 0:
            other, beside = self._row(second)
            row, across, mean = row - other, across - beside, mean - float(self._mean[second])
        return row, across, mean, max(0.0, float(row[first] - (row[second] if second >= 0 else 0.0)))

    @property
    def believed(self) -> dict[str, np.ndarray]:
        """What it was made of beside decision and questions, as arrays."""
        numbers = {"readings": self._readings, "overlap": self._overlap, "spread_weight": self._spread_weight}
        beliefs = {"mean": self._mean, "covariance": self._covariance, "across": self._across}
        return {**beliefs, **{name: np.array(each) for name, each in numbers.items()}}

    @property
    def taken(self) -> int:
        """How many questions were taken as asked."""
        return len(self._taken)

    @property
    def taken_moves(self) -> np.ndarray:
        """How all that was taken moves the decision's scores, [taken, t, k]."""
        return np.array([move for _, move in self._taken]).reshape(-1, *self.decision.scores.shape)

    def _scale(self, mean: np.ndarray, variance: np.ndarray, questions: np.ndarray) -> np.ndarray:
        """Return what covariances with what is read are multiplied by to give moves per sd of the answers, [q]."""
        noise = np.square(self.questions.noise[questions])
        choice = self.questions.choice[questions]
        found = choices(mean[choice], variance[choice], np.ones(int(choice.sum())))
        share = np.clip(found.first * found.up**2 + (1 - found.first) * found.down**2, 1e-12, 1 - 1e-12)
        noise[choice] = variance[choice] * (1 / share - 1)
        total = variance + noise / self._overlap
        return np.asarray(np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), 0.0))

    def _standing(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        covariance, across = self._covariance[np.ix_(outputs, outputs)], self._across[outputs]
        for row, move in self._taken:
            covariance = covariance - np.outer(row[outputs], row[outputs])
            across = across - row[outputs][:, None, None] * move
        return covariance, across

    def _row(self, output: int) -> tuple[np.ndarray, np.ndarray]:
        row, across = self._covariance[output], self._across[output]
        for taken, move in self._taken:
            row, across = row - taken[output] * taken, across - taken[output] * move
        return row, across


class Ranked:
    """Bundles by value a minute, one after another, each with those before it taken as asked.

    Bundles are looked at again only where they come first by what they were worth when they were last looked at; what
    is worth more after others were asked than before may so be overlooked.
    """

    def __init__(self, answers: Answers) -> None:
        q = answers.questions
        self._answers = answers
        found = [np.empty((3, 0)), *(np.array(each) for each in answers.singles())]
        value, gain, self.variance = np.concatenate(found, axis=1)
        self.best_gain: dict[int, float] = {}
        """Of every view the gain a minute of its best bundle, or of its best single question, when last looked at."""
        self._left: dict[int, list[int]] = {}
        self._queue: list[tuple[float, int, int, Bundle | None]] = []
        order = np.argsort(q.view, kind="stable")
        for view, at in zip(*_grouped(q.view[order], order), strict=True):
            cheapest = MOST / (q.reading[at] + MOST * q.deciding[at])  # no bundle is worth more a minute
            self._left[view] = at.tolist()
            self.best_gain[view] = float((gain[at] / (q.reading[at] + q.deciding[at])).max())
            self._queue.append((-float((value[at] * cheapest).max()), view, -1, None))
        heapq.heapify(self._queue)
        self._taken = 0

    def next(self) -> Bundle | None:
        """Return the best bundle that is left, without taking it; None where no question is left or worth anything."""
        while self._queue:
            key, view, seen, bundle = self._queue[0]
            if key >= 0:
                return None
            if seen == self._taken and bundle is not None:
                return bundle
            found = self._answers.bundle(self._left[view])
            self.best_gain[view] = found.gain / found.minutes
            heapq.heapreplace(self._queue, (-found.value / found.minutes, view, self._taken, found))
        return None

    def take(self) -> None:
        """Take the bundle that `next` returned as asked."""
        _, view, _, bundle = heapq.heappop(self._queue)
        assert bundle is not None
        self._answers.take(bundle)
        self._taken += 1
        left = [each for each in self._left[view] if each not in set(bundle.questions)]
        self._left[view] = left
        if left:
            heapq.heappush(self._queue, (-bundle.value / bundle.minutes, view, -1, None))
        else:
            del self.best_gain[view]

    def renew(self) -> None:
        """Have bundles looked at again before they come, for something else was taken as done."""
        self._taken += 1

    @property
    def left(self) -> list[int]:
        """The questions that were not taken."""
        return [each for questions in self._left.values() for each in questions]


def _grouped(keys: np.ndarray, values: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    names, starts = np.unique(keys, return_index=True)
    return names.tolist(), np.split(values, starts[1:]) if len(names) else []


@lru_cache(maxsize=16)
def _draws(b: int) -> np.ndarray:
    """Return draws [draws, b]; those of fewer are the first of these, so that bundles are compared by the same ones."""
    return np.random.default_rng(0).normal(size=(b, _DRAWS // 2)).T
