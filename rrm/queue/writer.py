"""One thread that writes: what waits is carried out in one transaction, and then all is answered at once."""

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from rrm.core.errors import StoreError
from rrm.store.database import Opened, errors_in_words

A = TypeVar("A")
T = TypeVar("T")

_AT_ONCE = 500  # operations in one transaction, so that nobody waits long for those before
_GATHER_SECONDS = 0.0003  # what those who were just answered together take to ask again, together


class Outcome:
    """What comes of a job: one thread says it, one waits for it. A Future does more, and costs as much as a lease."""

    def __init__(self) -> None:
        self._come = threading.Lock()
        self._come.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def set_result(self, result: Any) -> None:
        self._result = result
        self._come.release()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._come.release()

    def wait(self) -> Any:
        """Return the result, or raise the error."""
        self._come.acquire()
        if self._error is not None:
            raise self._error
        return self._result


class Job(NamedTuple):
    """An operation that somebody waits for; `durable` if its effect must outlive a power cut.

    One with an `argument` is carried out once for all that wait with the same operation: it takes a list of
    arguments and returns as many results.
    """

    operation: Callable[..., Any]
    argument: Any
    durable: bool
    outcome: Outcome


class Writer:
    """Carries operations out in the order in which they come; any thread may ask.

    Whatever waits when a turn begins shares one transaction and one flush of the disk (group commit), and
    nobody is answered before that. An operation that raises is undone alone. A turn with nothing but
    operations that need not outlive a power cut does not wait for the disk. An operation may be carried out
    twice, with the first time undone, so it must have no effect outside its connection. Desks of several
    processes take turns by the database's own lock.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened, self._place = opened, opened.location
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="desk writer", daemon=True)
        self._thread.start()

    def do(self, operation: Callable[[Connection], T], durable: bool) -> T:
        """Return the operation's result once it is committed, or raise what it raised."""
        result: T = self._wait(Job(operation, None, durable, Outcome()))
        return result

    def do_together(self, operation: Callable[[Connection, Sequence[A]], Sequence[T]], argument: A, durable: bool) -> T:
        """Return the operation's result for this argument, or raise what it raised for this one alone.

        The operation is carried out once for the arguments of all who wait.
        """
        result: T = self._wait(Job(operation, argument, durable, Outcome()))
        return result

    def _wait(self, job: Job) -> Any:
        with self._gate:  # nothing may be put behind the end
            if self._closed:
                raise StoreError(f"{self._place}: the desk is closed; open it again")
            self._jobs.put(job)
        return job.outcome.wait()

    def close(self) -> None:
        """Carry out what waits and end the thread."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        together = 1
        while (first := self._jobs.get()) is not None:
            if together > 1:  # or else half of them would wait for the other half, turn after turn
                time.sleep(_GATHER_SECONDS)
            jobs, last = self._waiting(first)
            together = len(jobs)
            self._answer(jobs)
            if last:
                return

    def _waiting(self, first: Job) -> tuple[list[Job], bool]:
        """Return what waits now, and whether the end was behind it."""
        jobs = [first]
        while len(jobs) < _AT_ONCE:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Carry the jobs out and tell everybody how it went."""
        try:
            results = self._turn(jobs)
        except BaseException as error:  # the disk is full, the server is gone: nothing of this turn counts
            for job in jobs:
                job.outcome.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, _RaisedError):
                job.outcome.set_exception(result.error)
            else:
                job.outcome.set_result(result)

    def _turn(self, jobs: Sequence[Job]) -> list[Any]:
        durable = any(job.durable for job in jobs)
        try:
            return self._transaction(jobs, durable, self._carry_out)
        except _RaisedError as error:
            if len(jobs) == 1:
                return [error]
        # Savepoints cost as much as the operations, and hardly one raises: only now, to see whose it was.
        return self._transaction(jobs, durable, self._carry_out_apart)

    def _transaction(
        self, jobs: Sequence[Job], durable: bool, carry_out: Callable[[Connection, Sequence[Job]], list[Any]]
    ) -> list[Any]:
        return self._opened.write(lambda connection: carry_out(connection, jobs), durable)

    def _carry_out(self, connection: Connection, jobs: Sequence[Job]) -> list[Any]:
        try:
            with errors_in_words(self._place):
                return _results(connection, jobs)
        except Exception as error:
            raise _RaisedError(error) from error

    def _carry_out_apart(self, connection: Connection, jobs: Sequence[Job]) -> list[Any]:
        """Carry out each job so that it may raise and be undone alone."""
        results: list[Any] = []
        for job in jobs:
            try:
                with errors_in_words(self._place), connection.begin_nested():
                    results += _results(connection, [job])
            except Exception as error:
                results.append(_RaisedError(error))
        return results


def _results(connection: Connection, jobs: Sequence[Job]) -> list[Any]:
    """Carry out the jobs in order, those that go together with the first of them."""
    together: dict[Callable[..., Any], list[int]] = {}
    for place, job in enumerate(jobs):
        if job.argument is not None:
            together.setdefault(job.operation, []).append(place)
    results: dict[int, Any] = {}
    for place, job in enumerate(jobs):
        if job.argument is None:
            results[place] = job.operation(connection)
        elif place not in results:
            places = together[job.operation]
            found = job.operation(connection, [jobs[each].argument for each in places])
            results.update(zip(places, found, strict=True))
    return [results[place] for place in range(len(jobs))]


class _RaisedError(Exception):
    """What an operation raised, apart from what beginning and committing raise."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
