"""What an oracle is, and how the truth is told from what was found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rrm.core.errors import ContractError
from rrm.policy.finite import Finite
from rrm.verify.oracles.methods import Methods


@dataclass(frozen=True)
class Oracle:
    """A check of methods against a truth known from elsewhere.

    `row` is the system's in the list of systems that the framework covers (0: the tree's ledger). `check` raises
    ContractError, in one sentence, where a method gives something else.
    """

    row: int
    name: str
    check: Callable[[Methods], None]


def require(holds: bool | np.bool_, broken: str) -> None:
    """Raise ContractError with what is `broken` unless it holds."""
    if not holds:
        raise ContractError(broken)


def equal(found: object, expected: object, within: float, what: str) -> None:
    """Raise ContractError unless two numbers, or arrays, are as near as `within`."""
    one, other = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    near = one.shape == other.shape and bool((np.abs(one - other) <= within).all())
    require(near, f"{what} must be {_brief(other)}, got {_brief(one)}")


def world(outcomes: int = 24, seed: int = 0, ties: int = 0) -> tuple[Finite, np.ndarray]:
    """Return a distribution and scores in (0, 1); with ties, of so many values."""
    random = np.random.default_rng([outcomes, seed])
    scores = random.uniform(0.02, 0.98, outcomes)
    return Finite.weighted(random.normal(size=outcomes)), np.ceil(scores * ties) / (ties + 1) if ties else scores


def _brief(values: np.ndarray) -> str:
    return np.array2string(values, precision=6, threshold=6)
