"""Who writes a record in a database: the run's driver by its epoch, and which of a writer's commits are on record.

Each writer has a row in table `writer`. Every transaction of a writer puts its own number there, so one whose answer
was lost with the connection is known to be on record, or not. The row of the driver has an epoch, too, which counts
who carried the run on: a driver whose run another took over finds another epoch there, and writes nothing.
"""

import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Float, cast, exists, func, literal, select, update

from rrm.core.errors import LockedError, StoreError
from rrm.store.location import Location
from rrm.store.tables import table

SILENT_SECONDS = 60.0
"""A driver on another machine that was not heard of for so long is taken for gone."""

BEAT_SECONDS = 10.0
"""How often a driver that writes nothing says that it is there."""

_RUN = "run"  # the name of the driver's row
_WRITER = table("writer")
_NOW = cast(func.extract("epoch", func.clock_timestamp()), Float)  # the database's clock: those of machines differ
_STANDING = select(_WRITER.c.epoch, _WRITER.c.holder, _NOW - _WRITER.c.seen).where(_WRITER.c.name == _RUN)


class Marks:
    """Numbers the transactions of one writer: the driver's with `name` "run", else those of a desk or the like.

    `epoch` is the driver's, for all that writes on its behalf; None for those who write beside a run.
    """

    def __init__(self, location: Location, name: str, epoch: int | None) -> None:
        self.epoch = epoch
        self._location, self._name, self._turn = location, name, 0

    @classmethod
    def beside(cls, location: Location, epoch: int | None) -> "Marks":
        """Return the marks of a new writer beside the driver, or on behalf of the driver with this epoch."""
        return cls(location, f"beside-{secrets.token_hex(8)}", epoch)

    def next(self) -> int:
        """Return the number of a new transaction."""
        self._turn += 1
        return self._turn

    def mark(self, connection: Connection, turn: int) -> bool:
        """Put a transaction's number on record with it; return False if it is there, because it was committed before.

        Raises LockedError if another driver took the run over.
        """
        if self._name == _RUN:
            row = update(_WRITER).where(_WRITER.c.name == _RUN, _WRITER.c.epoch == self.epoch, _WRITER.c.turn < turn)
            marking: Any = row.values(turn=turn, seen=_NOW)
        else:
            marking = self._beside(turn)
        if connection.execute(marking.returning(_WRITER.c.turn)).first() is not None:
            return True
        self._refuse_displaced(connection)
        return False

    def _beside(self, turn: int) -> Any:
        columns: list[Any] = [literal(self._name), literal(0), literal(turn), literal(""), _NOW]
        row = select(*columns)
        if self.epoch is not None:
            row = row.where(exists().where(_WRITER.c.name == _RUN, _WRITER.c.epoch == self.epoch))
        new = _insert().from_select(["name", "epoch", "turn", "holder", "seen"], row)
        later = {"turn": new.excluded.turn, "seen": new.excluded.seen}
        return new.on_conflict_do_update(index_elements=["name"], set_=later, where=_WRITER.c.turn < new.excluded.turn)

    def _refuse_displaced(self, connection: Connection) -> None:
        if self.epoch is None:
            return
        epoch, holder, _ = connection.execute(_STANDING).one_or_none() or (0, "", 0.0)
        if epoch != self.epoch:
            raise LockedError(
                f"{self._location}: {_Holder.read(holder)} took this run over while this process was out of reach;"
                " it stops here, and nothing that it did since is on record"
            )


def refuse_driven(connection: Connection, location: Location) -> None:
    """Raise LockedError if a driver is at work on the record."""
    found = connection.execute(_STANDING).one_or_none()
    if found is None:
        return
    holder, silent = _Holder.read(found[1]), found[2]
    if holder.works(silent):
        raise LockedError(f"{location} is in use by {holder}, last heard of {silent:.0f} s ago: wait until it ends")


def claim(connection: Connection, location: Location) -> Marks:
    """Make this process the driver of the run, under a new epoch; raise LockedError if another is at work."""
    refuse_driven(connection, location)
    found = connection.execute(_STANDING).one_or_none()
    epoch = 1 if found is None else found[0] + 1
    row = {"epoch": epoch, "turn": 0, "holder": _Holder.own(location, epoch).text(), "seen": _NOW}
    new = _insert().values(name=_RUN, **row)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=row))
    return Marks(location, _RUN, epoch)


def release(connection: Connection, epoch: int | None) -> None:
    """Say that the driver with this epoch is done, so that another need not wait."""
    connection.execute(update(_WRITER).where(_WRITER.c.name == _RUN, _WRITER.c.epoch == epoch).values(holder=""))


@contextmanager
def driving(location: Location, marks: Marks, beat: Callable[[], None]) -> Iterator[None]:
    """Be the driver that `claim` made, and call `beat` every few seconds in a thread.

    It ends with StoreError, which the run's next write meets too.
    """
    ended = threading.Event()
    opening = _opening(location, marks.epoch)
    _DRIVING.add(opening)

    def go_on() -> None:
        with suppress(StoreError):
            while not ended.wait(BEAT_SECONDS):
                beat()

    thread = threading.Thread(target=go_on, name="rrm driver's beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        _DRIVING.discard(opening)


_DRIVING: set[str] = set()
"""The openings that this process drives, for one that could not tell the database that it ended."""


def _opening(location: Location, epoch: int | None) -> str:
    return f"{location.schema} {epoch}"


def _insert() -> Any:
    from sqlalchemy.dialects.postgresql import insert  # which records in files do without

    return insert(_WRITER)


class _Holder(NamedTuple):
    """A process: its number, host, when it started, where these numbers mean something, and what it opened.

    Nobody has the number 0.
    """

    pid: int = 0
    host: str = ""
    started: str = ""
    space: str = ""
    opening: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "another process"

    @classmethod
    def own(cls, location: Location, epoch: int) -> "_Holder":
        pid = os.getpid()
        return cls(pid, socket.gethostname(), _started(pid), _space(), _opening(location, epoch))

    @classmethod
    def read(cls, text: str) -> "_Holder":
        return cls(*json.loads(text)) if text else cls()

    def text(self) -> str:
        return json.dumps(self)

    def works(self, silent: float) -> bool:
        """Whether the process is there: as this machine knows, or by when it was heard of last."""
        if not self.pid:
            return False
        if self.space == _space() and self.pid == os.getpid():
            return self.opening in _DRIVING
        if self.space == _space():
            return _is_there(self.pid) and _started(self.pid) == self.started
        return silent < SILENT_SECONDS


def _space() -> str:
    """Return what tells where processes have the numbers that they have here: this boot, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot, "" once it ended: numbers are given out again."""
    try:
        state, *told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else told[18]  # a zombie, which nobody has waited for


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
