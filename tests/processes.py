"""Processes, as Linux tells of them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def below(process: int) -> Iterator[int]:
    """Yield the processes that one has begun, and theirs."""
    children: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            children += file.read_text().split()
    for child in map(int, children):
        yield child
        yield from below(child)
