"""What can be seen of a cluster by whoever has work done there: seats, where they are, and what workers are told."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from rrm.engines.crossing import Answered
from rrm.pipeline.plan import AnyAction, Values


class Seat(Protocol):
    """A process elsewhere that answers messages, one after another; `name` is for messages.

    It does the actions of `steps`, with so many `threads`. What `submit` returns may fail, for whatever reason, or
    never be done: the process is then taken for lost.
    """

    name: str
    steps: frozenset[str]
    threads: int

    def submit(self, message: bytes) -> "Future[bytes]": ...

    def beat(self) -> "Future[bytes]":
        """Ask for a sign of life, which comes while a message is being answered, too, and then has something in it."""
        ...


class Cluster(Protocol):
    """Where seats are; `steps` are those that any of them does. Calls may take their time, and are made in a thread."""

    steps: frozenset[str]

    def start(self) -> Sequence[Seat]:
        """Return the seats, each with a process that knows nothing yet; raise RrmError where there are none."""
        ...

    def replace(self, seat: Seat) -> Seat:
        """End a seat's process, whatever it does, and return the seat with another."""
        ...

    def close(self) -> None:
        """End all processes; called once, however the run ends, and also where `start` failed."""
        ...


class Doing(NamedTuple):
    """What a worker does: so many actions of a step, since when in seconds after 1970, and how it goes in few words."""

    worker: str
    host: str
    step: str
    actions: int
    since: float
    how: str = ""


class Supplies(Protocol):
    """What workers elsewhere need to be told of a run; `rrm.api.supplies.RunSupplies` is one.

    `worker` is the import string of a class without arguments whose `answer` takes and returns bytes. `steps` are
    those that they can do.
    """

    worker: str
    steps: frozenset[str]

    def opening(self, threads: int, calls: bool) -> bytes:
        """Return the first message, to a worker that makes calls of models or does not."""
        ...

    def check(self, seat: str, facts: Mapping[str, str]) -> None:
        """Raise InputError where a worker is not made of what this process is made of."""
        ...

    def stays(self, action: AnyAction) -> bool:
        """Say whether an action of one of the steps needs what only this process has."""
        ...

    def parts(self, name: str) -> Iterator[bytes]:
        """Return the messages by which a worker gets what it asked for."""
        ...

    def fetch(self, values: Values) -> Generator[bytes, Answered, None]:
        """Yield the messages that ask a worker for the files that what it made stands for, and be sent its answers.

        Whoever made `values` is asked at once; at the end the files are here, durably. Raises InputError for an answer
        to something else.
        """
        ...

    def parts_of(self, folder: str, content: object) -> Iterator[bytes]:
        """Return the messages that ask a worker for all that a folder holds; each answer is a message for another one.

        Raises InputError for what says nothing of the kind.
        """
        ...

    def state(self, fit: str, ranks: int) -> Mapping[str, tuple[int, str]] | None:
        """Return what the files are that so many ranks go on from with a fit, by its action's id; None for nothing."""
        ...

    def keep_state(self, fit: str, ranks: int, content: object) -> Generator[bytes, Answered, None]:
        """Yield the messages that ask whoever leads a fit for what it would go on from, and be sent its answers.

        At the end that is here, durably. Raises InputError for an answer to something else.
        """
        ...

    def forget_state(self, fit: str) -> None:
        """Remove what a fit would have gone on from."""
        ...

    def check_calls(self) -> None:
        """Raise ConfigError where workers cannot make calls of the run's models."""
        ...

    def lend(self, call: Callable[[str], Awaitable[str]] | None) -> None:
        """Have the run's models be asked by this, which is told what a worker must know and returns what it said.

        None has them asked here again.
        """
        ...

    def note(self, doing: Sequence[Doing]) -> None:
        """Keep what workers do, for who asks how the run goes."""
        ...
