"""How a run is carried out, and what it says meanwhile; light, so that it can be imported anywhere."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How a run is carried out; nothing here changes what comes of it.

    `again` is what to type to go on, for messages. `wait` keeps waiting for people, `retry_failed` does again
    what is recorded as failed. `store` is the PostgreSQL URL of a new run's record, None for a file. `strict`
    refuses sources of which anything was left out or taken for something else.
    """

    again: str = "the same call"
    wait: bool = False
    retry_failed: bool = False
    store: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class Event:
    """How far a run's stage is: so many of its actions are done and on record; `finished` once it has ended."""

    stage: str
    done: int
    total: int
    finished: bool = False


class EventWatcher:
    """Turns what a driver says into events; implements `rrm.pipeline.progress.Watcher`."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell, self._turn = tell, threading.Lock()
        self._event = Event("", 0, 0)

    def start(self, title: str, total: int, done: int) -> None:
        self._say(Event(title, done, total))

    def advance(self, n: int) -> None:
        self._say(Event(self._event.stage, self._event.done + n, self._event.total))

    def within(self, done: int, total: int) -> None:
        """Events tell what is on record alone."""

    def say(self, words: str) -> None:
        """Nor do they tell how what is under way goes."""

    def finish(self) -> None:
        self._say(Event(self._event.stage, self._event.done, self._event.total, finished=True))

    def _say(self, event: Event) -> None:
        with self._turn:
            self._event = event
            self._tell(event)
