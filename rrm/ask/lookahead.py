"""What to do next about one choice: deliver it, ask first, or leave it to the person; by looking a few answers ahead.

An agent that does not share the reward believes in finitely many worlds: all of a small game, or draws from a belief
about outputs. What an answer tells is found by Bayes' rule over them, and every plan of so many answers is tried.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import logsumexp

from rrm.core.errors import InputError, ShapeError
from rrm.policy.finite import Finite

_NO_GAIN = 1e-12  # a plan must be better than what stands by more than rounding


@dataclass(frozen=True, eq=False)
class Prospects:
    """What can be done about one choice, in each of n worlds.

    `worth` [k, n] is what each candidate is worth where it is delivered. `answers` [q, a, n] are log-probabilities, in
    nats, of each question's answers (-inf for those that a question lacks), which take `minutes` [q]. A person who is
    left to choose takes each candidate with probabilities `person` [k, n], and `person_minutes`; without them nothing
    can be left. Raises ShapeError where they do not fit, InputError for numbers that are not finite, probabilities
    that do not sum to one, and minutes below zero.
    """

    worth: np.ndarray = field(repr=False)
    answers: np.ndarray = field(repr=False)
    minutes: np.ndarray = field(repr=False)
    person: np.ndarray | None = field(default=None, repr=False)
    person_minutes: float = 0.0

    def __post_init__(self) -> None:
        if self.worth.ndim != 2 or not self.worth.size:
            raise ShapeError(f"candidates are worth [k, worlds], at least one, got {self.worth.shape}")
        worlds = self.worth.shape[1]
        if self.answers.ndim != 3 or self.answers.shape[2] != worlds or self.minutes.shape != self.answers.shape[:1]:
            raise ShapeError(
                f"questions are answers [q, a, {worlds} worlds] with minutes [q], got {self.answers.shape} and"
                f" {self.minutes.shape}"
            )
        if self.person is not None and self.person.shape != self.worth.shape:
            raise ShapeError(f"who is left to choose does so by {self.worth.shape}, got {self.person.shape}")
        if not np.isfinite(self.worth).all():
            raise InputError("the worth of every candidate in every world must be a finite number")
        if not (np.isfinite(self.minutes).all() and (self.minutes >= 0).all() and 0 <= self.person_minutes < np.inf):
            raise InputError("minutes must be finite numbers from 0 up")
        with np.errstate(invalid="ignore"):
            sums = [np.exp(logsumexp(self.answers, axis=1))] if len(self.answers) else []
            sums += [self.person.sum(axis=0)] if self.person is not None else []
            if not all((np.abs(each - 1) <= 1e-9).all() for each in sums):
                raise InputError("the probabilities of answers, and of what a person chooses, must sum to one")

    @cached_property
    def likely(self) -> np.ndarray:
        """The probabilities of answers, [q, a, n]."""
        return np.asarray(np.exp(self.answers))

    @cached_property
    def left(self) -> np.ndarray:
        """What a choice that is left to the person is worth in each world, [n]."""
        assert self.person is not None
        return np.asarray((self.person * self.worth).sum(axis=0))


class Act(NamedTuple):
    """What is done next: a candidate is delivered (`which`), a question is put, or the person is left to choose."""

    kind: Literal["deliver", "ask", "leave"]
    which: int = 0


class Plan(NamedTuple):
    """The first act of a plan, what is expected of what it delivers in the end, and the minutes that it may take."""

    act: Act
    value: float
    minutes: float

    def net(self, price: float) -> float:
        return self.value - price * self.minutes if self.minutes else self.value


def look_ahead(belief: Finite, prospects: Prospects, price: float, steps: int = 1, width: int | None = None) -> Plan:
    """Return the best plan where a minute costs `price`, in units of worth, and so many answers may be waited for.

    After each answer the best is done that is left: delivering on what is believed then, leaving it to the person, or
    asking again. It is exact over the belief's worlds; with `width` only as many questions are looked at beyond one
    answer, those that are best by one, so that what is good in company alone may be overlooked. Among equals what
    takes no minutes comes first. Raises ShapeError for another belief's worlds, InputError for a price below zero.
    """
    if len(belief) != prospects.worth.shape[1]:
        raise ShapeError(f"prospects in {prospects.worth.shape[1]} worlds do not fit a belief in {len(belief)}")
    if not (0 <= price < np.inf and steps >= 0):
        raise InputError(f"a minute's price and the steps are numbers from 0 up, got {price} and {steps}")
    return _best(belief.probs, prospects, price, steps, width)


def worth_a_minute(
    belief: Finite, prospects: Prospects, steps: int = 1, width: int | None = None
) -> tuple[Plan, float]:
    """Return the plan that gains most a minute, with that: the highest price at which it pays not to deliver at once.

    As a ratio is maximised: the best plan at a price is looked for again at what it gains a minute, until that is the
    price (Dinkelbach 1967, doi:10.1287/mnsc.13.7.492). Where no plan gains anything it is to deliver, and 0.
    """
    alone = replace(prospects, person=None)
    now = best = look_ahead(belief, alone, 0.0, 0)
    price = 0.0
    while True:
        plan = look_ahead(belief, prospects, price, steps, width)
        gain = plan.value - now.value
        if plan.act.kind == "deliver" or gain <= _NO_GAIN:
            return best, price
        if plan.minutes == 0:
            return plan, np.inf
        if gain / plan.minutes <= price * (1 + 1e-9):
            return plan, price
        best, price = plan, gain / plan.minutes


def _best(probs: np.ndarray, of: Prospects, price: float, steps: int, width: int | None) -> Plan:
    found = _at_once(probs, of, price)
    if not steps or not len(of.answers):
        return found
    joint = of.likely * probs
    ahead = _after_one(joint, of, price)
    looked = np.argsort(-ahead, kind="stable")[: len(ahead) if width is None else width] if steps > 1 else None
    for question in [int(ahead.argmax())] if looked is None else looked.tolist():
        plan = _asking(joint[question], question, of, price, steps, width)
        if plan.net(price) > found.net(price) + _NO_GAIN:
            found = plan
    return found


def _at_once(probs: np.ndarray, of: Prospects, price: float) -> Plan:
    """Return what is best without another question."""
    worth = of.worth @ probs
    found = Plan(Act("deliver", int(worth.argmax())), float(worth.max()), 0.0)
    if of.person is not None:
        left = Plan(Act("leave"), float(of.left @ probs), of.person_minutes)
        if left.net(price) > found.net(price) + _NO_GAIN:
            return left
    return found


def _after_one(joint: np.ndarray, of: Prospects, price: float) -> np.ndarray:
    """Return what each question comes to, [q], less its minutes, if nothing is asked after it; `joint` [q, a, n]."""
    after = (joint @ of.worth.T).max(axis=-1)
    if of.person is not None:
        after = np.maximum(after, joint @ of.left - price * of.person_minutes * joint.sum(axis=-1))
    return np.asarray(after.sum(axis=-1) - price * of.minutes)


def _asking(joint: np.ndarray, question: int, of: Prospects, price: float, steps: int, width: int | None) -> Plan:
    """Return the plan that puts a question first, whose answers have these joint probabilities [a, n]."""
    value, minutes = 0.0, float(of.minutes[question])
    for row in joint:
        if (mass := float(row.sum())) > 0:
            then = _best(row / mass, of, price, steps - 1, width)
            value, minutes = value + mass * then.value, minutes + mass * then.minutes
    return Plan(Act("ask", question), value, minutes)
