"""What the terminal sees of long work: progress on standard error, drawn by one process."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Notes = Callable[[str], None]
"""Takes one sentence to show to the user."""


def is_main() -> bool:
    """Say whether this process speaks for all that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def bar(what: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
    """Draw progress, told as what is done and what there is in all (0: nobody knows), where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, emoji=False)
    with Progress(console=console, transient=True, disable=not (console.is_terminal and is_main())) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(
            task, completed=done, total=total or None, description=f"{what} {done:,} {unit}" if unit else what
        )
