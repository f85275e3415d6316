"""All oracles, and asking them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

from rrm.core.errors import ContractError
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


def ask(methods: Methods | None = None, clock: Callable[[], float] = perf_counter) -> Iterator[Answered]:
    """Ask every oracle about methods, ours by default, one after the other.

    A method that raises where nothing is wrong is broken, too.
    """
    looked_at = methods or Methods()
    for oracle in ORACLES:
        began = clock()
        yield Answered(oracle.row, oracle.name, _broken(oracle, looked_at), clock() - began)


def _broken(oracle: Oracle, methods: Methods) -> str | None:
    try:
        oracle.check(methods)
    except ContractError as error:
        return str(error)
    except Exception as error:
        return f"it raised {type(error).__name__}: {' '.join(str(error).split())}"
    return None
