"""The lock on a run directory: one process at a time carries a run on."""

import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rrm.core.errors import LockedError, StoreError

_TRIES, _REST_SECONDS = 3, 0.02


class RunLock:
    """An exclusive lock on `run.lock` in a run's directory; the kernel frees it however its process ends.

    The file says who holds it: process id, host and since when. Raises LockedError on entering
    when another holds it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "run.lock"
        self._file: int | None = None

    def __enter__(self) -> "RunLock":
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error.strerror}") from error
        if not _locked(file):
            os.close(file)
            raise LockedError(f"{self.path.parent} is in use by {self._holder()}: wait until it ends")
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        os.ftruncate(file, 0)
        os.write(file, json.dumps(holder).encode())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)  # the file itself stays: removing it would let two hold it
            self._file = None

    def is_held(self) -> bool:
        """Return whether some process holds the lock; who looks changes nothing."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _holder(self) -> str:
        try:
            held = json.loads(self.path.read_text())
            return f"process {held['pid']} on {held['host']} since {held['since']}"
        except (OSError, ValueError, LookupError):  # its holder is writing it this moment
            return "another process"


def _locked(file: int) -> bool:
    """Lock a file, unless somebody holds it for longer than it takes to look (see `RunLock.is_held`)."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_REST_SECONDS)
        else:
            return True
    return False
