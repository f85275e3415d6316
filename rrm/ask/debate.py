"""Debate about claims, solved exactly: somebody argues, somebody attacks, and a judge reads little.

A claim is argued for by parts that would together make it true; whoever attacks it picks the part to go on with, and a
judge reads the leaf that is left (Irving, Christiano and Amodei 2018, arXiv:1805.00899). That works where the attacker
knows which part is false. Where nobody can tell, an argument may be flawed for certain and each of its parts look
sound (obfuscated arguments, Barnes and Christiano 2020). Then the attacker gives probabilities instead, and whoever
argues names one that is off, and in which direction (prover and estimator: Brown-Cohen, Irving and Piliouras 2025,
arXiv:2506.13609).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError, ShapeError


@dataclass(frozen=True)
class Claim:
    """A claim, whether it holds, and the ways to argue for it: parts that would together make it true.

    One without ways is a leaf, which a judge can read. Raises InputError for a way without parts, and for one all of
    whose parts hold where the claim does not: that is no argument for it.
    """

    holds: bool
    ways: tuple[tuple["Claim", ...], ...] = ()

    def __post_init__(self) -> None:
        if not all(self.ways):
            raise InputError("a way to argue for a claim needs parts, at least one")
        if not self.holds and any(all(part.holds for part in way) for way in self.ways):
            raise InputError("a claim that does not hold cannot follow from parts that all do")


def debated(claim: Claim, errs: float = 0.0) -> float:
    """Return how probably a claim stands where both sides know everything and play their best: minimax.

    Whoever argues picks the way, whoever attacks the part, down to one leaf, of which the judge is wrong with
    probability `errs`. Raises InputError unless that lies in [0, .5].
    """
    if not 0 <= errs <= 0.5:
        raise InputError(f"how often a judge errs lies in [0, .5], got {errs}")
    if not claim.ways:
        return 1 - errs if claim.holds else errs
    return max(min(debated(part, errs) for part in way) for way in claim.ways)


@dataclass(frozen=True, eq=False)
class Argument:
    """An argument of several parts, as its debaters know it.

    Which parts hold in which worlds, `holds` [worlds, parts], and how probable these are, `prior` [worlds]. It is sound
    where all parts hold. Raises ShapeError where they do not fit, InputError unless the prior is a distribution.
    """

    holds: np.ndarray
    prior: np.ndarray

    def __post_init__(self) -> None:
        holds, prior = np.asarray(self.holds, dtype=bool), np.asarray(self.prior, dtype=np.float64)
        if holds.ndim != 2 or not holds.size or prior.shape != holds.shape[:1]:
            raise ShapeError(
                f"parts hold or not, [worlds, parts], with a prior [worlds], got {holds.shape}, {prior.shape}"
            )
        if not ((prior >= 0).all() and abs(prior.sum() - 1) <= 1e-9):
            raise InputError("the probabilities of an argument's worlds must sum to one")
        object.__setattr__(self, "holds", holds)
        object.__setattr__(self, "prior", prior)

    @classmethod
    def obfuscated(cls, parts: int) -> "Argument":
        """Return an argument that is flawed for certain, in one of its parts, and nobody knows in which."""
        return cls(~np.eye(parts, dtype=bool), np.full(parts, 1 / parts))

    @property
    def sound(self) -> float:
        """How probably all parts hold."""
        return float(self.prior @ self.holds.all(axis=1))

    @property
    def parts(self) -> np.ndarray:
        """How probably each part holds, [parts]."""
        return np.asarray(self.prior @ self.holds)


def attacked(argument: Argument) -> float:
    """Return how probably an argument stands where the attacker must name the part that a judge reads.

    The attacker knows what can be known, the prior, and names the part that least probably holds: of an obfuscated
    argument of n parts, 1 - 1/n.
    """
    return float(argument.parts.min())


class Estimated(NamedTuple):
    """Whether an argument is accepted, the probabilities [parts] that the estimator gives, and what they cost it."""

    accepted: bool
    parts: np.ndarray
    cost: float


def estimated(argument: Argument, stake: float) -> Estimated:
    """Return what comes of a prover and an estimator, neither of whom knows more than the prior.

    The estimator gives each part a probability and the whole one that agrees with them (at least 1 - sum of (1 - p), at
    most the least p); the argument is accepted where the whole has one half or more. The prover names a part and a
    direction, the judge reads that part, and the estimator pays `stake` times by how much it was off on average, and 1
    where the argument is accepted. An estimator at its best so rejects what is obfuscated for nothing, while to reject
    what is sound costs stake / (2 parts): with a stake of twice the parts or more it is accepted. Raises InputError
    unless the stake is positive.
    """
    if not 0 < stake < np.inf:
        raise InputError(f"the stake must be a positive number, got {stake}")
    known = argument.parts
    yes = np.maximum(known, 0.5)
    off = max(0.0, (0.5 - float((1 - known).sum())) / len(known))
    no = known - off
    accepting, rejecting = 1 + stake * float((yes - known).max()), stake * off
    return Estimated(True, yes, accepting) if accepting <= rejecting else Estimated(False, no, rejecting)
