"""Desks that the tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock, House, open_house
from tests.queue.desk_problems import new_desk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[SqlDesk]:
    with new_desk(tmp_path / "run", clock) as made:
        yield made


@pytest.fixture
def either_desk(tmp_path: Path, clock: Clock, url: str | None) -> Iterator[SqlDesk]:
    """A desk on SQLite, and one on PostgreSQL."""
    with new_desk(tmp_path / "run", clock, url) as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[House]:
    made = open_house(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def either(tmp_path: Path, clock: Clock, url: str | None) -> Iterator[House]:
    """A house on SQLite, and one on PostgreSQL."""
    made = open_house(tmp_path, clock, url=url)
    yield made
    made.close()
