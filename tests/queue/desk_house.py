"""A desk's people, guidelines and settings without its items, and a clock that tests set."""

from pathlib import Path
from random import Random

from rrm.queue.guidelines import Guidelines
from rrm.queue.people import People
from rrm.store.database import Access, open_database


class House(People, Guidelines):
    """The parts of a desk that know people, guidelines and settings."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def open_house(directory: Path, clock: Clock, access: Access = "run", url: str | None = None) -> House:
    return House(open_database(directory, access, 30.0, url), clock, Random(0))
