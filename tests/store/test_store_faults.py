"""A record survives kills, full disks and foreign files, and says what is the matter."""

import fcntl
import importlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import inspect, text

import rrm.queue
import rrm.store
from rrm.core.errors import LockedError, NewerStoreError, StoreError
from rrm.core.place import Place
from rrm.core.values import Fitted, Output
from rrm.store import SqlStore, open_store, sqlite
from rrm.store.database import MIGRATIONS, transaction
from rrm.store.location import FILE
from rrm.store.lock import RunLock
from rrm.store.tables import MUTABLE, REVISION, Row


class Done(NamedTuple):
    id: str
    step: str = "propose"
    place: Place = Place()
    slot: str = "node-1"


def outputs(count: int, size: int = 10) -> list[Output]:
    return [Output(f"node-{number}", "x" * size, "test", number) for number in range(count)]


# ---- one writer ----


def test_a_second_run_on_a_directory_is_refused_and_told_who_has_it(tmp_path: Path, url: str | None) -> None:
    with open_store(tmp_path, url=url):
        with pytest.raises(LockedError, match=f"is in use by process {os.getpid()} on "):
            open_store(tmp_path)
        with open_store(tmp_path, "read") as reader:
            assert reader.load(Output) == []
    with open_store(tmp_path) as again:
        again.append(outputs(1))


HOLDER = """
import sys, time
from rrm.store import open_store
with open_store(sys.argv[1], url=sys.argv[2] or None):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, url: str | None) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), url or ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid}"):
            open_store(tmp_path)
        holder.kill()
        holder.wait()
    open_store(tmp_path).close()


# ---- kills ----

WRITER = """
import sys
from rrm.core.place import Place
from rrm.core.values import Output
from rrm.store import open_store
from typing import NamedTuple

class Done(NamedTuple):
    id: str
    step: str = "propose"
    place: Place = Place()
    slot: str = "node"

with open_store(sys.argv[1], url=sys.argv[2] or None) as store:
    begin = len(store.results("propose", Place()))
    for batch in range(begin, begin + 100_000, 5):
        names = [f"{number}" for number in range(batch, batch + 5)]
        store.complete([(Done(name), [Output(name, name * 50, "p", s) for s in range(3)]) for name in names])
        print(batch + 5, flush=True)
"""


def kill_and_count(directory: Path, url: str | None, lines: int) -> int:
    """Start a writer, kill it after so many acknowledged batches, and return how many actions it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(directory), url or ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = 0
        for _ in range(lines):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout:
            acknowledged = int(line)
    assert writer.returncode == -signal.SIGKILL
    return acknowledged


def check_kills(directory: Path, url: str | None, kills: int) -> None:
    chance = random.Random(7)
    for _ in range(kills):
        acknowledged = kill_and_count(directory, url, chance.randint(1, 60))
        with open_store(directory) as store:
            found = store.results("propose", Place())
            assert list(found) == [str(number) for number in range(len(found))]
            assert len(found) >= acknowledged
            assert all(
                values == tuple(Output(name, name * 50, "p", s) for s in range(3)) for name, values in found.items()
            )
            with store._engine.connect() as raw:
                assert raw.exec_driver_sql("SELECT count(*) FROM action").scalar_one() == len(found)
                if url is None:
                    assert raw.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, url: str | None) -> None:
    check_kills(tmp_path, url, 3)


@pytest.mark.slow
def test_what_was_acknowledged_survives_thirty_kills(tmp_path: Path, url: str | None) -> None:
    check_kills(tmp_path, url, 30)


# ---- disks and files ----


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.complete([(Done("before"), outputs(3))])
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="the disk is full; make room and resume"):
            store.complete([(Done("big"), [Output("n", "y" * 100_000, "test", 0)])])
        assert store.results("propose", Place()) == {"before": tuple(outputs(3))}
    with open_store(tmp_path) as store:
        assert store.results("propose", Place()) == {"before": tuple(outputs(3))}
        store.complete([(Done("big"), [Output("n", "y" * 100_000, "test", 0)])])
        assert len(store.load(Output)) == 4


def test_a_database_that_another_program_keeps_locked_is_named(tmp_path: Path) -> None:
    with open_store(tmp_path, busy_seconds=0.05) as store:
        store.append(outputs(1))
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program keeps it locked"):
            store.append(outputs(2))
        other.execute("ROLLBACK")
        other.close()
        store.append(outputs(2))
        assert store.load(Output) == outputs(2)


def test_a_run_in_a_directory_that_cannot_be_written_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path) as store:
        store.append(outputs(2))
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere, so pretend
    with open_store(tmp_path, "read") as reader:
        assert reader.load(Output) == outputs(2)
        assert sorted(path.name for path in tmp_path.iterdir()) == before


MOUNTS = """
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / {home} rw shared:2 master:1 - nfs4 server:/home rw
31 30 8:2 / {home}/local\\040disk rw - xfs /dev/sdb rw
32 22 0:51 / {home}sick rw - tmpfs tmpfs rw
"""


def test_a_record_on_a_network_file_system_is_told_with_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home, mounts = tmp_path / "home", tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(home=home).strip())
    kinds = [
        sqlite.network_file_system(each, mounts)
        for each in (home / "run", home / "local disk" / "run", tmp_path / "homesick", tmp_path, home)
    ]
    assert kinds == ["nfs4", None, None, None, "nfs4"]
    assert sqlite.network_file_system(home, tmp_path / "no Linux") is None
    found = sqlite.network_file_system
    monkeypatch.setattr(sqlite, "network_file_system", lambda directory: found(directory, mounts))
    open_store(home / "run").close()
    assert "lies on a network file system (nfs4), where its locks hold on one machine only" in caplog.text
    caplog.clear()
    open_store(tmp_path / "run").close()
    assert not caplog.text


def text_file(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE action (id TEXT)")
    raw.close()


def cut_short(share: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        with open_store(path.parent) as store:
            store.append(outputs(2000))
        os.truncate(path, int(path.stat().st_size * share))

    return cut


@pytest.mark.parametrize("access", ["run", "append", "read"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (text_file, "it is not a record of rrm"),
        (other_database, "it is not a record of rrm"),
        (cut_short(0.5), "it is damaged; put back a copy"),
        (cut_short(0.0001), "it is damaged; put back a copy"),
    ],
    ids=["text", "other database", "half", "a few bytes"],
)
def test_a_foreign_or_damaged_file_is_refused_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], None], words: str, access: Any
) -> None:
    spoil(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StoreError, match=words):
        open_store(tmp_path, access)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere holds no run: there is no record\.db in it"):
        open_store(tmp_path / "nowhere", "read")
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(tmp_path / "file" / "run")


# ---- migrations ----


def tables_of(store: SqlStore) -> set[str]:
    return set(inspect(store._engine).get_table_names())


def test_the_migrations_make_exactly_the_tables_that_the_code_describes(tmp_path: Path, url: str | None) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    know_all_tables()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION
    with open_store(tmp_path, url=url) as store, store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []


def know_all_tables() -> None:
    """Import every module of the store and the queue that describes tables."""
    for package in (rrm.store, rrm.queue):
        for path in Path(package.__path__[0]).glob("*tables.py"):
            importlib.import_module(f"{package.__name__}.{path.stem}")


def test_all_tables_refuse_changes_but_those_that_the_code_calls_mutable(tmp_path: Path, url: str | None) -> None:
    know_all_tables()
    asked = {
        "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%append-only%' "
        "GROUP BY tbl_name HAVING count(*) = 2",  # one for changes, one for removals
        "postgresql": "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE relnamespace = current_schema()::regnamespace AND tgname LIKE '%_append_only' "
        "AND tgtype::int = 2 + 8 + 16 + 32 AND tgenabled = 'O'",  # before removals, changes and truncations
    }
    with open_store(tmp_path, url=url) as store, store._engine.connect() as connection:
        guarded = connection.execute(text(asked[connection.dialect.name])).scalars()
        assert set(guarded) == set(Row.metadata.tables) - MUTABLE


def test_a_file_can_be_read_while_it_is_written_and_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_a_commit_that_need_not_wait_for_the_disk_leaves_the_next_one_as_careful_as_ever(
    tmp_path: Path, url: str | None
) -> None:
    asked = "PRAGMA synchronous" if url is None else "SHOW synchronous_commit"
    with open_store(tmp_path, url=url) as store:
        found = []
        for options in ({}, {"durable": False}, {}):
            with transaction(store._engine, tmp_path, writes=True, **options) as connection:
                found.append(connection.exec_driver_sql(asked).scalar_one())
    assert found == ([2, 1, 2] if url is None else ["on", "off", "on"])  # FULL, NORMAL, FULL


@pytest.mark.parametrize("access", ["run", "append", "read"])
def test_an_older_record_is_upgraded(
    tmp_path: Path, url: str | None, next_version: Callable[..., None], access: Any
) -> None:
    run = tmp_path / "run"
    with open_store(run, url=url) as store:
        store.complete([(Done("a"), outputs(5))])
    next_version()
    with open_store(run, access) as store:
        assert store.results("propose", Place()) == {"a": tuple(outputs(5))}
        assert "extra" in tables_of(store)


def test_an_older_file_is_copied_before_its_upgrade(tmp_path: Path, next_version: Callable[..., None]) -> None:
    run = tmp_path / "run"
    with open_store(run) as store:
        store.complete([(Done("a"), outputs(5))])
    next_version()
    open_store(run).close()
    with sqlite3.connect(run / f"{FILE}.backup-{REVISION}") as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)
        assert raw.execute("SELECT count(*) FROM output").fetchone() == (5,)


def test_an_older_record_that_may_only_be_read_says_why_it_cannot_be_and_what_to_do(
    tmp_path: Path, next_version: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    open_store(run).close()
    next_version()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(StoreError, match=f"only where its folder may be written; copy {run} to where you may write"):
        open_store(run, "read")


def test_a_newer_record_is_refused_and_left_as_it_is(
    tmp_path: Path, url: str | None, next_version: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context():
        next_version()
        with open_store(run, url=url) as store:
            store.append(outputs(1))
        monkeypatch.undo()
    before = store.path.read_bytes()
    for access in ("run", "append", "read"):
        with pytest.raises(NewerStoreError, match=f"schema next, where this one knows up to {REVISION}"):
            open_store(run, access)
    assert store.path.read_bytes() == before
    assert not list(run.glob("*.backup-*"))


def test_a_migration_that_fails_half_way_leaves_the_old_record_whole(
    tmp_path: Path, url: str | None, next_version: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with open_store(run, url=url) as store:
        store.append([Fitted(Place(), "models/0", "ab", 10)])
    next_version('op.execute("INSERT INTO extra VALUES (7)")')
    with pytest.raises(StoreError, match="UNIQUE constraint failed" if url is None else "violates unique constraint"):
        open_store(run)
    monkeypatch.undo()
    with open_store(run) as store:
        assert "extra" not in tables_of(store)
        assert store.load(Fitted) == [Fitted(Place(), "models/0", "ab", 10)]


def test_who_looks_whether_a_lock_is_held_sees_it_and_keeps_nobody_out(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert not lock.is_held()
    with lock:
        assert RunLock(tmp_path).is_held()
        said = lock.path.read_text()
        assert str(os.getpid()) in said
    assert not RunLock(tmp_path).is_held()
    assert lock.path.read_text() == said
    with lock.path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.01, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with RunLock(tmp_path):
            assert RunLock(tmp_path).is_held()
