"""What all parts of a desk share: a clock, a random generator, one writer, and readers that nobody blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypeVar

from sqlalchemy import Connection

from rrm.core.values import Request
from rrm.queue.requests import load_requests
from rrm.queue.writer import Writer
from rrm.store.database import Opened
from rrm.store.recent import Recent

_REQUESTS_KEPT = 500  # somebody is about to answer what was just leased

A = TypeVar("A")
T = TypeVar("T")


class Base:
    """An open record with one writer. `clock` returns seconds since 1970, `random` draws orders and ids."""

    def __init__(self, opened: Opened, clock: Callable[[], float], random: Random) -> None:
        self.clock, self.random = clock, random
        self._opened = opened
        self._writer = Writer(opened)
        self._recent: Recent[Request] = Recent(_REQUESTS_KEPT)

    def close(self) -> None:
        """Finish what waits to be written, and close the record."""
        self._writer.close()
        self._opened.close()

    def _do(self, operation: Callable[[Connection], T], durable: bool = True) -> T:
        """Return what the operation returns, once it is committed; raise what it raises, and then nothing is.

        The operation runs in the writer's thread, in a transaction that it shares with others, and may be run
        twice with the first time undone. If not `durable`, a power cut (no kill) may lose its effect.
        """
        return self._writer.do(operation, durable)

    def _do_together(
        self, operation: Callable[[Connection, Sequence[A]], Sequence[T]], argument: A, durable: bool = True
    ) -> T:
        """As `_do`, with one operation for the arguments of all who wait: what raises is done again for each alone."""
        return self._writer.do_together(operation, argument, durable)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A transaction that only reads, of one moment of the record."""
        with self._opened.reading() as connection:
            yield connection

    def _requests(self, connection: Connection, ids: Sequence[str]) -> dict[str, Request]:
        """Return those of these requests that are there, asking only for those that were not used lately."""
        found = {id_: request for id_ in ids if (request := self._recent.get(id_)) is not None}
        missing = [id_ for id_ in ids if id_ not in found]
        for id_, request in load_requests(connection, missing).items() if missing else ():
            self._recent.put(id_, request)
            found[id_] = request
        return found

    def _new_id(self, kind: str) -> str:
        """Return an id that cannot be guessed."""
        return f"{kind}-{self.random.getrandbits(96):024x}"
