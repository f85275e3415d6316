"""Desks that the tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_house import Clock
from desk_problems import new_desk

from rrm.store.desk import SqlDesk


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
