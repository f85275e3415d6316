"""One thread writes for all: together, each for itself, and as durably as is needed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from rrm.core.errors import ConflictError, StoreError
from rrm.queue import open_desk
from rrm.queue.writer import Writer
from rrm.store import open_store
from rrm.store.database import Opened, open_database
from tests.queue.desk_load import all_at_once


@pytest.fixture
def opened(tmp_path: Path, url: str | None) -> Iterator[Opened]:
    made = open_database(tmp_path / "run", "run", 30.0, url)
    with made.engine.begin() as connection:
        connection.execution_options(writes=True)
        connection.execute(text("CREATE TABLE tally (name TEXT PRIMARY KEY)"))
    yield made
    made.close()


@pytest.fixture
def writer(opened: Opened) -> Iterator[Writer]:
    made = Writer(opened)
    yield made
    made.close()


def put(name: str) -> Callable[[Connection], str]:
    def operation(connection: Connection) -> str:
        connection.execute(text("INSERT INTO tally VALUES (:name)"), {"name": name})
        return name

    return operation


def tally(opened: Opened) -> set[str]:
    with opened.engine.connect() as connection:
        return set(connection.execute(text("SELECT name FROM tally")).scalars())


def test_what_waits_together_is_committed_together(writer: Writer, opened: Opened) -> None:
    commits: list[None] = []
    event.listen(opened.engine, "commit", lambda _: commits.append(None))
    results: list[str] = []
    with all_at_once(writer) as call:
        for number in range(20):
            call(lambda number=number: results.append(writer.do(put(f"row {number}"), True)))
    assert len(commits) == 2  # that of what kept the writer busy, and one for all
    assert sorted(results) == sorted(f"row {number}" for number in range(20))
    assert tally(opened) == set(results)


def test_what_raises_is_undone_alone(writer: Writer, opened: Opened) -> None:
    def fails(connection: Connection) -> str:
        put("half")(connection)
        raise ConflictError("no")

    raised: list[BaseException] = []

    def expecting(operation: Callable[[Connection], str]) -> None:
        try:
            writer.do(operation, True)
        except Exception as error:
            raised.append(error)

    with all_at_once(writer) as call:
        for operation in (put("one"), fails, put("two"), put("one"), put("three")):
            call(lambda operation=operation: expecting(operation))
    assert tally(opened) == {"one", "two", "three"}
    assert len(raised) == 2
    assert {type(error) for error in raised} == {ConflictError, StoreError}  # whichever thread wakes first
    with pytest.raises(ConflictError, match="no"):
        writer.do(fails, False)
    assert tally(opened) == {"one", "two", "three"}


def test_what_goes_together_is_asked_once_and_each_is_answered_alone(writer: Writer) -> None:
    asked: list[list[int]] = []

    def doubled(_: Connection, numbers: Any) -> list[int]:
        asked.append(list(numbers))
        if 3 in numbers:
            raise ConflictError("not three")
        return [2 * number for number in numbers]

    results: dict[int, Any] = {}

    def ask(number: int) -> None:
        try:
            results[number] = writer.do_together(doubled, number, False)
        except ConflictError as error:
            results[number] = str(error)

    with all_at_once(writer) as call:
        for number in (1, 2, 4):
            call(lambda number=number: ask(number))
    assert (asked, results) == ([[1, 2, 4]], {1: 2, 2: 4, 4: 8})
    with all_at_once(writer) as call:
        for number in (1, 3, 5):
            call(lambda number=number: ask(number))
    assert asked[1:] == [[1, 3, 5], [1], [3], [5]]
    assert results == {1: 2, 2: 4, 3: "not three", 4: 8, 5: 10}


def test_only_what_must_outlive_a_power_cut_waits_for_the_disk(writer: Writer, opened: Opened) -> None:
    asked, full, quick = {
        "sqlite": ("PRAGMA synchronous", 2, 1),
        "postgresql": ("SHOW synchronous_commit", "on", "off"),
    }[opened.engine.dialect.name]

    def level(connection: Connection) -> Any:
        return connection.execute(text(asked)).scalar()

    assert writer.do(level, True) == full
    assert writer.do(level, False) == quick
    assert writer.do(level, True) == full
    levels: list[Any] = []
    with all_at_once(writer) as call:
        for durable in (False, True, False):
            call(lambda durable=durable: levels.append(writer.do(level, durable)))
    assert levels == [full] * 3  # one that must makes all of its turn


def test_a_reader_does_not_wait_for_the_writer(writer: Writer, opened: Opened) -> None:
    writer.do(put("before"), True)
    with all_at_once(writer) as call:
        call(lambda: writer.do(put("later"), True))
        assert tally(opened) == {"before"}
    assert tally(opened) == {"before", "later"}


def test_a_closed_desk_says_so_and_has_written_what_waited(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    desk = open_desk(tmp_path)
    desk.add_person("Ann", by="test")
    desk.close()
    with pytest.raises(StoreError, match="desk is closed"):
        desk.add_person("Bob", by="test")
    desk.close()
    with open_desk(tmp_path) as again:
        assert [person.name for person in again.persons()] == ["Ann"]


def test_a_desk_needs_a_record(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        open_desk(tmp_path)
