"""Showing how far a stage has come."""

import threading
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOW_AFTER_SECONDS = 1.0
LINE_SECONDS = 30.0
"""Away from a terminal, how long a line about a long action is waited for at least."""


class Within(Protocol):
    """Follows the action under way."""

    def within(self, done: int, total: int) -> None:
        """So much of the action under way is done, in units of its own (total 0: unknown); from any thread."""
        ...

    def say(self, words: str) -> None:
        """How the action under way goes, such as a training's loss; from any thread."""
        ...


class Watcher(Within, Protocol):
    """Follows the progress of a run, one stage after another."""

    def start(self, title: str, total: int, done: int) -> None:
        """A stage of so many actions begins, of which so many were done before."""
        ...

    def advance(self, n: int) -> None:
        """So many more are done and on record."""
        ...

    def finish(self) -> None:
        """The stage has ended, completed or not."""
        ...


class RichProgress:
    """A line on stderr for each stage when it ends; on a terminal, a bar until then if it takes a second.

    How far a long action says it is and how it goes, such as a fit, is told, too: beside the bar, or now and then in a
    line of its own.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, emoji=False)
        self._turn = threading.Lock()
        self._bar: Progress | None = None

    def start(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done, self._before, self._within = title, total, done, done, 0.0
        self._said = ""
        self._began, self._running = time.monotonic(), True
        self._next_line = self._began + LINE_SECONDS
        self._timer = threading.Timer(SHOW_AFTER_SECONDS, self._show)
        self._timer.daemon = True
        if self._console.is_terminal:
            self._timer.start()

    def advance(self, n: int) -> None:
        with self._turn:
            self._done, self._within, self._said = self._done + n, 0.0, ""
            self._update()

    def within(self, done: int, total: int) -> None:
        with self._turn:
            self._within = done / total if total else 0.0
            self._update()
            now = time.monotonic()
            if self._running and not self._console.is_terminal and now >= self._next_line:
                self._next_line = now + LINE_SECONDS
                counted = f"{self._title}: {self._done} of {self._total}{self._under_way}"
                self._print(f"{counted}, after {now - self._began:.0f} s")

    def say(self, words: str) -> None:
        with self._turn:
            self._said = words

    def finish(self) -> None:
        with self._turn:
            self._running = False
            self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
        before = f" ({self._before} on record before)" if self._before else ""
        took = f"{time.monotonic() - self._began:.1f} s"
        self._print(f"{self._title}: {self._done} of {self._total}{before} in {took}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=not self._console.is_terminal)  # a file has no width

    def _show(self) -> None:
        with self._turn:
            if self._running:
                counts = MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
                columns = TextColumn("{task.description}"), BarColumn(), *counts, TextColumn("{task.fields[under_way]}")
                self._bar = Progress(*columns, console=self._console, transient=True)
                self._bar.add_task(self._title, total=self._total, under_way="")
                self._update()
                self._bar.start()

    def _update(self) -> None:
        if self._bar is not None:
            task, under_way = self._bar.task_ids[0], self._under_way.removeprefix(", ")
            self._bar.update(task, completed=self._done + self._within, under_way=under_way)

    @property
    def _under_way(self) -> str:
        how = f" ({self._said})" if self._said else ""
        return f", {self._within:.0%} of the one under way{how}" if self._within else ""
