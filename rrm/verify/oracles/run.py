"""All oracles, and asking them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from time import perf_counter
from typing import cast

from rrm.core.errors import ContractError, InputError
from rrm.verify.oracles.anchored import ANCHORED
from rrm.verify.oracles.asking import ASKING
from rrm.verify.oracles.judging import JUDGING
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle
from rrm.verify.oracles.seeing import SEEING
from rrm.verify.oracles.selecting import SELECTING

ORACLES: tuple[Oracle, ...] = tuple(
    sorted((*ANCHORED, *SELECTING, *JUDGING, *ASKING, *SEEING), key=lambda oracle: oracle.row)
)
"""All of them, by the row of the system; the ledger's first."""


@dataclass(frozen=True)
class Answered:
    """What an oracle found: `broken` says in one sentence what is wrong, None where all is right."""

    row: int
    name: str
    broken: str | None
    seconds: float


class Watched:
    """Stands for methods, and keeps the names of those that were looked at."""

    def __init__(self, methods: Methods) -> None:
        self.methods, self.used = methods, set[str]()

    def __getattr__(self, name: str) -> object:
        self.used.add(name)
        return getattr(self.methods, name)


def ask(methods: Methods | None = None, clock: Callable[[], float] = perf_counter) -> Iterator[Answered]:
    """Ask every oracle about methods, ours by default, one after the other.

    A method that raises where nothing is wrong is broken, too.
    """
    looked_at = methods or Methods()
    for oracle in ORACLES:
        began = clock()
        yield Answered(oracle.row, oracle.name, _broken(oracle, looked_at), clock() - began)


def ask_about(name: str, method: object, clock: Callable[[], float] = perf_counter) -> Iterator[Answered]:
    """Ask the oracles that look at the method of a name about somebody else's in its place, the others being ours.

    Raises InputError where `Methods` has none of that name.
    """
    known = [each.name for each in fields(Methods)]
    if name not in known:
        raise InputError(f"oracles look at no method {name!r}, but at {', '.join(known)}")
    for oracle in ORACLES:
        began, watched = clock(), Watched(replace(Methods(), **{name: method}))  # type: ignore[arg-type]
        broken = _broken(oracle, cast("Methods", watched))
        if name in watched.used:
            yield Answered(oracle.row, oracle.name, broken, clock() - began)


def _broken(oracle: Oracle, methods: Methods) -> str | None:
    try:
        oracle.check(methods)
    except ContractError as error:
        return str(error)
    except Exception as error:
        return f"it raised {type(error).__name__}: {' '.join(str(error).split())}"
    return None
