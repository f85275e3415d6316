"""Small assistance games, solved exactly: a person who knows the reward acts, then an agent who saw the act.

The reward is one number theta, uniform on [0, 1], and every payoff is linear in it: a line, given by its values at
theta = 0 and theta = 1. A person who acts to be understood may do better than one who acts as if alone (Hadfield-Menell
et al. 2016, cooperative inverse reinforcement learning, arXiv:1606.03137).
"""

from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtr, softmax

from rrm.core.errors import InputError, ShapeError

_MOST_PLANS = 100_000


@dataclass(frozen=True, eq=False)
class Game:
    """What a person's acts [acts, 2] and then an agent's [replies, 2] are worth, at theta = 0 and at theta = 1.

    Raises ShapeError unless they are lines, at least one each, and InputError for numbers that are not finite or a
    game of more than 100,000 plans.
    """

    person: np.ndarray = field(repr=False)
    agent: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("person", "agent"):
            lines = np.asarray(getattr(self, name), dtype=np.float64)
            if lines.ndim != 2 or lines.shape[1] != 2 or not len(lines):
                raise ShapeError(f"what the {name} does is worth lines [acts, 2], at least one, got {lines.shape}")
            if not np.isfinite(lines).all():
                raise InputError(f"what the {name} does must be worth finite numbers")
            object.__setattr__(self, name, lines)
        if len(self.agent) ** len(self.person) > _MOST_PLANS:
            raise InputError(f"a game of {len(self.agent)}^{len(self.person)} plans is too large to be solved exactly")


class Stretch(NamedTuple):
    """A line that is the highest from one theta to another."""

    line: int
    begin: float
    end: float


class Solved(NamedTuple):
    """The expected value of a game, what the person does where, and the agent's reply to each act."""

    value: float
    person: tuple[Stretch, ...]
    replies: tuple[int, ...]


def together(game: Game) -> Solved:
    """Return the best that both can do together: every plan of replies is tried, with the person's best acts to it."""
    best: Solved | None = None
    for replies in product(range(len(game.agent)), repeat=len(game.person)):
        lines = game.person + game.agent[list(replies)]
        found = Solved(_integral(lines, highest(lines)), highest(lines), replies)
        if best is None or found.value > best.value:
            best = found
    assert best is not None
    return best


def apart(game: Game) -> Solved:
    """Return what comes of a person who acts as if alone, and an agent who infers theta from that by Bayes' rule.

    To an act that the person never does, the agent replies as knowing nothing.
    """
    stretches = highest(game.person)
    replies = []
    for act in range(len(game.person)):
        seen = [each for each in stretches if each.line == act] or [Stretch(act, 0.0, 1.0)]
        worth = [sum(_area(line, each) for each in seen) for line in game.agent]
        replies.append(int(np.argmax(worth)))
    lines = game.person + game.agent[replies]
    return Solved(_integral(lines, stretches), stretches, tuple(replies))


def highest(lines: np.ndarray) -> tuple[Stretch, ...]:
    """Return which of some lines [k, 2] is the highest where on [0, 1], from left to right."""
    at = 0.0
    found: list[Stretch] = []
    rises = lines[:, 1] - lines[:, 0]
    line = int(np.lexsort((rises, lines[:, 0]))[-1])  # at 0 the highest, of several the steepest
    while True:
        steeper = rises > rises[line]
        with np.errstate(divide="ignore", invalid="ignore"):
            corner = np.where(steeper, (lines[line, 0] - lines[:, 0]) / (rises - rises[line]), np.inf)
        end = float(corner.min())
        if not end < 1:
            return (*found, Stretch(line, at, 1.0))
        found.append(Stretch(line, at, end))
        line, at = int(np.where(corner == end, rises, -np.inf).argmax()), end


def deferring(mean: float, sd: float, rationality: float | None = None) -> float:
    """Return what an agent gains by leaving to a person whether to act: the off-switch game.

    Acting is worth U, normal with these moments as the agent believes. A rational person (None) lets it act where U
    is above 0, one who errs with probability sigma(rationality U). The gain is E[U P(let)] - max(mean, 0), over acting
    or not on the mean (Hadfield-Menell et al. 2017, arXiv:1611.08219): never negative for a rational person. Raises
    InputError unless sd and rationality are positive.
    """
    if not (np.isfinite(mean) and 0 < sd < np.inf) or (rationality is not None and not 0 < rationality < np.inf):
        raise InputError("a mean must be finite, sd and rationality positive numbers")
    if rationality is None:
        far = mean / sd
        kept = mean * ndtr(far) + sd * np.exp(-0.5 * far**2) / np.sqrt(2 * np.pi)
    else:
        points, mass = np.polynomial.hermite_e.hermegauss(151)
        worth = mean + sd * points
        kept = (mass / mass.sum()) @ (worth * expit(rationality * worth))
    return float(kept - max(mean, 0.0))


def _integral(lines: np.ndarray, stretches: tuple[Stretch, ...]) -> float:
    return float(sum(_area(lines[each.line], each) for each in stretches))


def _area(line: np.ndarray, stretch: Stretch) -> float:
    middle = (stretch.begin + stretch.end) / 2
    return float((line[0] + (line[1] - line[0]) * middle) * (stretch.end - stretch.begin))


class Mistaken(NamedTuple):
    """Expected values where the person errs: who the person is, and after the underscore for whom the agent takes them.

    A literal person chooses by what the act is worth alone, a pedagogic one by what it comes to with the reply of an
    agent who takes them for literal.
    """

    literal_literal: float
    literal_pedagogic: float
    pedagogic_literal: float
    pedagogic_pedagogic: float


def mistaken(game: Game, rationality: float) -> Mistaken:
    """Return what a game comes to with persons who err, taken for what they are and for what they are not.

    An act is chosen with a probability proportional to exp(rationality x worth), as by a Boltzmann-rational rater, and
    the agent replies as Bayes' rule says of the person that it takes them for (Milli and Dragan 2019,
    arXiv:1903.03877). Integrals over theta are by 400 points. Raises InputError unless rationality is positive.
    """
    _check_rationality(rationality)
    person, agent, mass = _points(game)
    literal = softmax(rationality * person, axis=0)
    to_literal = _replies(literal, agent, mass)
    pedagogic = softmax(rationality * (person + agent[to_literal]), axis=0)
    to_pedagogic = _replies(pedagogic, agent, mass)
    return Mistaken(
        *(
            float(((acts * (person + agent[replies])) @ mass).sum())
            for acts in (literal, pedagogic)
            for replies in (to_literal, to_pedagogic)
        )
    )


class Unforeseen(NamedTuple):
    """Expected values with a person of a taste for acts: if the agent knows of it, and if it cannot think of it."""

    known: float
    unknown: float


def unforeseen(game: Game, rationality: float, taste: np.ndarray) -> Unforeseen:
    """Return what comes of a literal person who likes some acts more than theta says, by `taste` [acts].

    For an agent that takes a person to act on theta alone, no theta acts as such a person does: they are outside its
    model class, and what it infers is off. What acts are worth to the person is what they are worth. Raises InputError
    unless rationality is positive and tastes are finite, one an act.
    """
    _check_rationality(rationality)
    taste = np.asarray(taste, dtype=np.float64)
    if taste.shape != (len(game.person),) or not np.isfinite(taste).all():
        raise InputError(f"a person's taste is a finite number for each of {len(game.person)} acts, got {taste}")
    person, agent, mass = _points(game)
    liked = person + taste[:, None]
    acts = softmax(rationality * liked, axis=0)
    replies = (_replies(each, agent, mass) for each in (acts, softmax(rationality * person, axis=0)))
    return Unforeseen(*(float(((acts * (liked + agent[each])) @ mass).sum()) for each in replies))


def _check_rationality(rationality: float) -> None:
    if not 0 < rationality < np.inf:
        raise InputError(f"rationality must be a positive number, got {rationality}")


def _points(game: Game) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what acts and replies are worth at 400 points of theta, each [.., 400], and the points' mass."""
    points, mass = np.polynomial.legendre.leggauss(400)
    theta = (points + 1) / 2
    person, agent = (lines[:, :1] + (lines[:, 1:] - lines[:, :1]) * theta for lines in (game.person, game.agent))
    return person, agent, mass / 2


def _replies(acts: np.ndarray, agent: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the best reply to each act, of which `acts` [acts, points] are probabilities."""
    return np.asarray(((acts * mass) @ agent.T).argmax(axis=1))
