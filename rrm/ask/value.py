"""What questions are worth to a decision about roots, where rewards are linear and the belief is Gaussian.

Of every question in a pool at once: `information` about the weights (BALD), `variance_removed` from differences of
roots, the `decision_gain` (EVOI), and the `value` that is asked by, of the last two. All are of one answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rrm.ask.envelope import envelope_gain
from rrm.ask.gaussian import Choices, Gaussian, choices
from rrm.core.errors import InputError, ShapeError

SPREAD_WEIGHT = 1.0
"""The c of `value`: what a unit less of standard deviation between roots counts beside a unit of expected gain."""

_NUMBERS = 4_000_000  # as many are held at once


@dataclass(frozen=True, eq=False)
class Pool:
    """Questions about weights: each reads along a direction, [q, d].

    A quantity is told with `noise` (sd), [q]; where `choice`, bool [q], which of two is better is told instead, the
    first with probability sigma(along / noise). `minutes` [q] are a rater's. Raises ShapeError where they do not fit,
    InputError for numbers that are not finite, and for noise or minutes that are not positive.
    """

    directions: np.ndarray = field(repr=False)
    noise: np.ndarray = field(repr=False)
    choice: np.ndarray = field(repr=False)
    minutes: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.directions)
        if self.directions.ndim != 2 or any(e.shape != (count,) for e in (self.noise, self.choice, self.minutes)):
            raise ShapeError("a pool is directions [q, d] with noise, choice and minutes [q]")
        if not np.isfinite(self.directions).all():
            raise InputError("a question's direction must be finite numbers")
        if not ((self.noise > 0) & np.isfinite(self.noise)).all():
            raise InputError("the noise of every answer must be a positive number")
        if not ((self.minutes > 0) & np.isfinite(self.minutes)).all():
            raise InputError("every question costs some minutes: a price must be a positive number")

    def __len__(self) -> int:
        return len(self.directions)

    def take(self, questions: np.ndarray) -> "Pool":
        """Return some of the questions, by number or by mask."""
        return Pool(self.directions[questions], self.noise[questions], self.choice[questions], self.minutes[questions])


@dataclass(frozen=True, eq=False)
class Roots:
    """The decision: of every target one of its root candidates is chosen, whose value is linear in the weights.

    `candidates` [t, k, d]; `weights` [t] say how much each target counts, by default all the same; they sum to one.
    Raises ShapeError where they do not fit, InputError without a target or for weights that are negative or all zero.
    """

    candidates: np.ndarray = field(repr=False)
    weights: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    def __post_init__(self) -> None:
        if self.candidates.ndim != 3:
            raise ShapeError(f"root candidates are [targets, candidates, d], got {self.candidates.shape}")
        if not (self.candidates.shape[0] and self.candidates.shape[1]):
            raise InputError("there is no target, or none with a candidate: there is nothing to decide")
        weights = self.weights if len(self.weights) else np.ones(len(self.candidates))
        if weights.shape != (len(self.candidates),):
            raise ShapeError(f"there are {len(self.candidates)} targets and weights of shape {weights.shape}")
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise InputError("targets' weights must not be negative, and one of them be above zero")
        object.__setattr__(self, "weights", weights / weights.sum())

    @property
    def pairs(self) -> float:
        """What a variance over candidates is multiplied by to give the mean square over pairs of them."""
        k = self.candidates.shape[1]
        return 2 * k / (k - 1) if k > 1 else 0.0

    def best(self, belief: Gaussian) -> np.ndarray:
        """Return the candidate of each target that is best by the belief's mean, [t]."""
        return np.asarray(belief.means(self.candidates).argmax(axis=1))


def information(belief: Gaussian, pool: Pool) -> np.ndarray:
    """Return what each question tells about the weights, in nats, [q]: the mutual information of answer and weights.

    Of a quantity log(1 + variance / noise^2) / 2; of a choice H[E p] - E[H p] (Houlsby et al. 2011, arXiv:1112.5745).
    """
    found = 0.5 * np.log1p(belief.variances(pool.directions) / pool.noise**2)
    found[pool.choice] = _expected(belief, pool.take(pool.choice)).told
    return np.asarray(found)


def variance_removed(belief: Gaussian, pool: Pool, roots: Roots) -> np.ndarray:
    """Return by how much each question lowers the variance of differences between a target's candidates, [q].

    The mean over pairs a, b of candidates and over targets of cov(answer, w_a - w_b)^2 / var(answer), in squared units
    of value: exact for quantities; for choices the expectation over both answers.
    """
    return np.concatenate([_removed(part, roots) @ roots.weights for part in _moves(belief, pool, roots)])


def spread_removed(belief: Gaussian, pool: Pool, roots: Roots) -> np.ndarray:
    """Return by how much each question lowers the standard deviation of those differences, [q], in units of value.

    Of each target the root of the mean square over pairs, before less after; then the mean over targets.
    """
    before = _before(belief, roots)
    return np.concatenate([_spread(part, before, roots) @ roots.weights for part in _moves(belief, pool, roots)])


def decision_gain(belief: Gaussian, pool: Pool, roots: Roots) -> np.ndarray:
    """Return by how much each question raises the expected value of what is then chosen, [q]: EVOI, never negative.

    The mean over targets of E[max over candidates of the posterior mean] less the best mean now. Of a quantity the
    posterior means are lines in one normal variable, whose upper envelope is integrated exactly; a choice has two
    answers, whose steps are those of the belief after them.
    """
    means = belief.means(roots.candidates)
    return np.concatenate([_gain(part, means) @ roots.weights for part in _moves(belief, pool, roots)])


def value(belief: Gaussian, pool: Pool, roots: Roots, spread_weight: float = SPREAD_WEIGHT) -> np.ndarray:
    """Return what questions are asked by, [q], in units of value: the decision's gain + c times the spread removed.

    Where no single answer can change the decision, the gain is zero everywhere, and the second part says which answers
    bring nearer one that can.
    """
    means, before = belief.means(roots.candidates), _before(belief, roots)
    return np.concatenate(
        [
            (_gain(part, means) + spread_weight * _spread(part, before, roots)) @ roots.weights
            for part in _moves(belief, pool, roots)
        ]
    )


def next_question(worth: np.ndarray, minutes: np.ndarray, otherwise: Sequence[np.ndarray] = (), seed: int = 0) -> int:
    """Return the question that is worth most a minute, of [q].

    Where none is worth anything, the one by the first of `otherwise` that says something; then any, by the seed.
    Raises InputError without a question, or where a worth is not a number.
    """
    if not len(worth):
        raise InputError("there is no question to choose from")
    for each in (worth, *otherwise):
        if np.isnan(each).any():
            raise InputError("the worth of a question is not a number")
        if (each > 0).any():
            return int(np.argmax(each / minutes))
    return int(np.random.default_rng(seed).integers(len(worth)))


@dataclass(frozen=True, eq=False)
class _Moves:
    """By how much candidates' means move, [q, t, k], a standard deviation of a quantity's answer, or along a choice.

    `choice`, bool [q], says which is which, and `expected` what to expect of the choices, in their order.
    """

    slopes: np.ndarray
    choice: np.ndarray
    expected: Choices


def _moves(belief: Gaussian, pool: Pool, roots: Roots) -> Iterator[_Moves]:
    """Yield the questions' moves, some questions at a time."""
    t, k, d = roots.candidates.shape
    shared = belief.covariance @ roots.candidates.reshape(t * k, d).T  # [d, t k]
    step = max(1, _NUMBERS // (t * k))
    for start in range(0, max(1, len(pool)), step):
        part = pool.take(np.arange(start, min(start + step, len(pool))))
        variances = belief.variances(part.directions)
        scale = np.sqrt(np.where(part.choice, variances, variances + part.noise**2))
        slopes = (part.directions @ shared) / np.where(scale > 0, scale, np.inf)[:, None]
        yield _Moves(slopes.reshape(len(part), t, k), part.choice, _expected(belief, part.take(part.choice)))


def _expected(belief: Gaussian, pool: Pool) -> Choices:
    return choices(belief.means(pool.directions), belief.variances(pool.directions), pool.noise)


def _gain(moves: _Moves, means: np.ndarray) -> np.ndarray:
    """Return the decision's gain of each question and target, [q, t]."""
    found = np.empty(moves.slopes.shape[:2])
    found[~moves.choice] = envelope_gain(means, moves.slopes[~moves.choice])
    first, up, down, _ = (each[:, None] for each in moves.expected)
    slopes = moves.slopes[moves.choice]
    after_first, after_second = ((means + slopes * each[..., None]).max(axis=-1) for each in (up, down))
    gain = first * after_first + (1 - first) * after_second - means.max(axis=-1)
    found[moves.choice] = np.maximum(gain, 0.0)
    return found


def _removed(moves: _Moves, roots: Roots) -> np.ndarray:
    """Return the variance that each question removes from each target's differences, [q, t]."""
    share = np.ones(len(moves.choice))
    first, up, down, _ = moves.expected
    share[moves.choice] = first * up**2 + (1 - first) * down**2
    return np.asarray(moves.slopes.var(axis=-1) * roots.pairs * share[:, None])


def _spread(moves: _Moves, before: np.ndarray, roots: Roots) -> np.ndarray:
    return np.asarray(np.sqrt(before) - np.sqrt(np.maximum(before - _removed(moves, roots), 0.0)))


def _before(belief: Gaussian, roots: Roots) -> np.ndarray:
    """Return the mean variance of differences between two of a target's candidates, [t]."""
    centred = roots.candidates - roots.candidates.mean(axis=1, keepdims=True)
    return np.asarray(belief.variances(centred).mean(axis=1) * roots.pairs)
