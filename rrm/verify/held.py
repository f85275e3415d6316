"""How a contract is checked: promise by promise, the first one that is broken said in one sentence."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rrm.core.errors import ContractError


@dataclass(frozen=True)
class Held:
    """A part that keeps a contract, and the promises that were put to the test."""

    contract: str
    part: str
    promises: tuple[str, ...]


@dataclass
class Checks:
    """The promises of a contract that a part was found to keep so far."""

    contract: str
    part: str
    promises: list[str] = field(default_factory=list)

    def require(self, keeps: bool, promise: str, broken: str) -> None:
        """Note a promise that is kept; raise ContractError with what was found instead of one that is `broken`."""
        if not keeps:
            raise ContractError(f"the {self.contract} {self.part}: {broken}", tuple(self.promises))
        if promise not in self.promises:
            self.promises.append(promise)

    @property
    def held(self) -> Held:
        return Held(self.contract, self.part, tuple(self.promises))


@contextmanager
def checking(contract: str, part: object) -> Generator[Checks, None, None]:
    """Check a contract; whatever a part raises while it is used as its protocol says breaks the contract, too."""
    name = getattr(part, "name", None)
    checks = Checks(contract, name if isinstance(name, str) else type(part).__qualname__)
    try:
        checks.require(isinstance(name, str) and bool(name), "has a name", f"its name must be a text, got {name!r}")
        yield checks
        checks.require(part.name == name, "keeps its name", "its name changes while it is used")  # type: ignore[attr-defined]
    except ContractError:
        raise
    except Exception as error:
        sentence = " ".join(str(error).split()) or "no reason given"
        said = f"the {contract} {checks.part} raised {type(error).__name__} where nothing is wrong: {sentence}"
        raise ContractError(said, tuple(checks.promises)) from error
