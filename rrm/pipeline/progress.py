"""Showing how far a stage has come."""

import threading
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOW_AFTER_SECONDS = 1.0


class Watcher(Protocol):
    """Follows the progress of a run, one stage after another."""

    def start(self, title: str, total: int, done: int) -> None:
        """A stage of so many actions begins, of which so many were done before."""
        ...

    def advance(self, n: int) -> None:
        """So many more are done and on record."""
        ...

    def within(self, done: int, total: int) -> None:
        """So much of the action under way is done, in units of its own (total 0: unknown); from any thread."""
        ...

    def finish(self) -> None:
        """The stage has ended, completed or not."""
        ...


class RichProgress:
    """A line on stderr for each stage when it ends; on a terminal, a bar until then if it takes a second.

    The bar moves within long actions, too, as far as they say how far they are.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._turn = threading.Lock()
        self._bar: Progress | None = None

    def start(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done, self._before, self._within = title, total, done, done, 0.0
        self._began, self._running = time.monotonic(), True
        self._timer = threading.Timer(SHOW_AFTER_SECONDS, self._show)
        self._timer.daemon = True
        if self._console.is_terminal:
            self._timer.start()

    def advance(self, n: int) -> None:
        with self._turn:
            self._done, self._within = self._done + n, 0.0
            self._update()

    def within(self, done: int, total: int) -> None:
        with self._turn:
            self._within = done / total if total else 0.0
            self._update()

    def finish(self) -> None:
        with self._turn:
            self._running = False
            self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
        before = f" ({self._before} on record before)" if self._before else ""
        took = f"{time.monotonic() - self._began:.1f} s"
        self._console.print(f"{self._title}: {self._done} of {self._total}{before} in {took}", highlight=False)

    def _show(self) -> None:
        with self._turn:
            if self._running:
                counts = MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
                columns = TextColumn("{task.description}"), BarColumn(), *counts
                self._bar = Progress(*columns, console=self._console, transient=True)
                self._bar.add_task(self._title, total=self._total)
                self._update()
                self._bar.start()

    def _update(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done + self._within)
