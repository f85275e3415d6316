"""A record in PostgreSQL for weeks: poolers, restarts, commits whose answer is lost, drivers that come back."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psycopg
import pytest

from rrm.core.errors import LockedError, StoreError, UnreachableError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.values import Failure, Output
from rrm.queue import open_desk
from rrm.store import SqlStore, hold, open_store, postgres
from rrm.store.database import Opened
from rrm.store.kinds import KINDS
from rrm.store.outage import Outage
from tests.postgres import ABSENT, ROLE, Server, binaries, pooled, running, stop
from tests.scenarios import MEAN, SMALL

TURNS = 60


class Done(NamedTuple):
    id: str
    step: str = "propose"
    place: Place = Place()
    slot: str = "node-1"


def outputs(count: int) -> list[Output]:
    return [Output(f"node-{number}", "text", "test", number) for number in range(count)]


def schema_of(folder: Path) -> str:
    return (folder / "record.url").read_text().splitlines()[1]


# ---- behind a pooler ----


def test_two_runs_behind_a_pooler_that_gives_each_transaction_another_session_stay_apart(
    tmp_path: Path, postgres_server: Server
) -> None:
    with pooled(postgres_server, "shared", sessions=2) as url:
        names = ("a", "b", "c")
        stores = [open_store(tmp_path / name, url=url) for name in names]
        faults: list[Exception] = []

        def work(name: str, store: SqlStore) -> None:
            try:
                for turn in range(TURNS):
                    store.complete([(Done(f"{name} {turn}"), [Output(name, f"{turn}", "p", 0)])])
                    store.spend({"calls": 1})
                    assert len(store.load(Output)) == turn + 1
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=each) for each in zip(names, stores, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        for name, store in zip(names, stores, strict=True):
            assert [each.node for each in store.load(Output)] == [name] * TURNS
            assert len(store.results("propose", Place())) == TURNS
            assert store.spent() == {"calls": TURNS}
            store.close()
        for name in names:  # nor does a pooler keep a lock of a run that ended
            open_store(tmp_path / name).close()


def test_no_session_is_told_what_outlives_a_transaction(tmp_path: Path, postgres: str) -> None:
    asked = (
        "SELECT current_setting('search_path'), current_setting('lock_timeout'), count(*) FROM pg_prepared_statements"
    )
    with open_store(tmp_path, url=postgres) as store:
        for _ in range(8):  # a driver prepares what comes for the sixth time
            store.spent()
            store.spend({"calls": 1})
        raw: Any = store.opened.engine.raw_connection()
        try:
            raw.rollback()
            raw.driver_connection.autocommit = True
            found = raw.driver_connection.execute(asked).fetchone()
        finally:
            raw.close()
        assert found == ('"$user", public', "0", 0)


# ---- the driver ----


def elsewhere(server: Server, folder: Path, silent: float) -> None:
    """Have the driver of a record be on another machine, and not have been heard of for so many seconds."""
    holder = json.dumps([7, "elsewhere", "1", "another boot"])
    schema = schema_of(folder)
    server.execute(
        f"UPDATE {schema}.writer SET holder = '{holder}', seen = seen - {silent} WHERE name = 'run'", "shared"
    )


def test_a_driver_that_was_taken_for_gone_comes_back_and_writes_nothing(
    tmp_path: Path, postgres: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "BEAT_SECONDS", 3600)  # else it is heard of on a busy machine
    here, there = tmp_path / "here", tmp_path / "there"  # one folder as two machines see it
    with open_store(here, url=postgres) as gone:
        gone.append(outputs(1))
        shutil.copytree(here, there)
        elsewhere(postgres_server, here, hold.SILENT_SECONDS - 20)
        with pytest.raises(LockedError, match=r"is in use by process 7 on elsewhere, last heard of [45]\d s ago"):
            open_store(there)
        elsewhere(postgres_server, here, 30)
        with open_store(there) as now, open_desk(here, driver=gone) as desk, open_desk(there, driver=now) as own:
            words = r"record\.url: process \d+ on .* took this run over while this process was out of reach; it stops"
            for write in (
                lambda: gone.append(outputs(2)),
                lambda: gone.spend({"calls": 1}),
                lambda: gone.complete([(Done("late"), outputs(3))]),
                lambda: desk.note("somebody", "wrote", "late"),
            ):
                with pytest.raises(LockedError, match=words):
                    write()
            own.note("somebody", "wrote", "in time")
            now.append(outputs(2))
            assert now.load(Output) == outputs(2)
            assert now.spent() == {}
            assert now.results("propose", Place()) == {}
        assert postgres_server.execute(f"SELECT subject FROM {schema_of(here)}.audit", "shared") == [("in time",)]
        with pytest.raises(LockedError, match="another process took this run over"):  # the other has ended since
            gone.append(outputs(2))


def test_a_driver_that_writes_nothing_is_heard_of(
    tmp_path: Path, postgres: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "BEAT_SECONDS", 0.05)
    with open_store(tmp_path, url=postgres):
        asked = f"SELECT seen FROM {schema_of(tmp_path)}.writer"
        first = postgres_server.execute(asked, "shared")
        until = time.monotonic() + 30
        while postgres_server.execute(asked, "shared") == first:
            assert time.monotonic() < until
            time.sleep(0.05)


# ---- a database that goes away ----


@contextmanager
def losing(opened: Opened, committed: bool) -> Iterator[list[int]]:
    """Lose the connection at the next commit, just after it or just before; yields how many commits there were."""
    dialect, commits = opened.engine.dialect, []
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        commits.append(1)
        if len(commits) == 1:
            if committed:
                commit(connection)
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        commit(connection)

    dialect.do_commit = lose  # type: ignore[method-assign]
    try:
        yield commits
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]


WRITES: dict[str, Callable[[SqlStore], None]] = {
    "spend": lambda store: store.spend({"calls": 1}),
    "event": lambda store: store.add_event("told", 1),
    "failure": lambda store: store.complete([(Done("a"), [Failure("a", "propose", "Error", "no")])]),
    "values": lambda store: store.append(outputs(3)),
}


@pytest.mark.parametrize("committed", [True, False], ids=["answer lost", "commit lost"])
@pytest.mark.parametrize("name", list(WRITES))
def test_a_commit_whose_answer_is_lost_is_on_record_once(
    tmp_path: Path, postgres: str, postgres_server: Server, name: str, committed: bool
) -> None:
    with open_store(tmp_path, url=postgres) as store:
        with losing(store.opened, committed) as commits:
            WRITES[name](store)
        assert len(commits) == 2
        schema = schema_of(tmp_path)
        counts = {
            each: postgres_server.execute(f"SELECT count(*) FROM {schema}.{each}", "shared")[0][0]
            for each in ("spent", "event", "action", "output")
        }
        wanted = {"spend": ("spent", 1), "event": ("event", 1), "failure": ("action", 1), "values": ("output", 3)}[name]
        assert {each: count for each, count in counts.items() if count} == dict([wanted])
        WRITES[name](store)  # and what comes next goes on record, too
        if name in ("spend", "event", "failure"):
            assert postgres_server.execute(f"SELECT count(*) FROM {schema}.{wanted[0]}", "shared") == [(2,)]


@pytest.mark.parametrize("committed", [True, False], ids=["answer lost", "commit lost"])
def test_what_an_assistant_at_the_desk_writes_is_on_record_once_too(
    tmp_path: Path, postgres: str, postgres_server: Server, committed: bool
) -> None:
    with open_store(tmp_path, url=postgres) as store, open_desk(tmp_path, patience=60) as beside:
        with open_desk(tmp_path, driver=store) as own:
            for desk in (beside, own):
                with losing(desk._opened, committed) as commits:
                    desk.note("somebody", "wrote", "once")
                assert len(commits) == 2
        assert postgres_server.execute(f"SELECT count(*) FROM {schema_of(tmp_path)}.audit", "shared") == [(2,)]


def test_a_run_rides_through_a_kill_of_its_database_and_says_so_in_two_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, postgres_server: Server
) -> None:
    with running() as server, open_store(tmp_path, url=server.url()) as store:
        done: list[int] = []

        def work() -> None:
            for number in range(200):
                store.complete([(Done(f"{number}"), outputs(1))])
                store.spend({"calls": 1})
                done.append(number)

        worker = threading.Thread(target=work)
        worker.start()
        while len(done) < 10:
            time.sleep(0.01)
        stop(server, signal.SIGKILL)
        time.sleep(1)
        assert worker.is_alive()
        with running(server.folder, server.port):
            worker.join(60)
            assert len(done) == 200
            assert list(store.results("propose", Place())) == [f"{number}" for number in range(200)]
            assert store.spent() == {"calls": 200}
            store.close()
    lines = [each.getMessage() for each in caplog.records if each.name == "rrm.store"]
    assert len(lines) == 2
    assert "(trying again for up to 300 s)" in lines[0]
    assert "the database answers again after" in lines[1]


def test_patience_ends_and_what_comes_then_waits_no_more(tmp_path: Path, postgres_server: Server) -> None:
    with running() as server, open_store(tmp_path, url=server.url(), patience=0.5) as store:
        stop(server, signal.SIGKILL)
        began = time.monotonic()
        for _ in range(5):
            with pytest.raises(UnreachableError, match="the database server cannot be reached"):
                store.append(outputs(1))
        assert time.monotonic() - began >= 0.5
        with running(server.folder, server.port):
            store.append(outputs(1))
            store.close()


def test_who_does_not_wait_says_in_two_lines_that_the_database_was_away(caplog: pytest.LogCaptureFixture) -> None:
    away, tries = Outage(0.0, tells=True), iter([False, False, True, True])

    def work() -> None:
        if not next(tries):
            raise UnreachableError("record.url: the database server cannot be reached")

    for _ in range(2):
        with pytest.raises(UnreachableError):
            away.ride(work)
    for _ in range(2):
        away.ride(work)
    assert [each.partition(" after")[0] for each in caplog.messages] == [
        "record.url: the database server cannot be reached (refused until it is back)",
        "the database answers again",
    ]


def test_a_server_that_is_full_is_not_asked_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], []

    def passes(seconds: float = 0.0001) -> float:
        now[0] += seconds
        return now[0]

    def connection() -> Any:
        asked.append(now[0])
        if len(asked) > 2:
            raise psycopg.OperationalError("FATAL: sorry, too many clients already")
        return SimpleNamespace(rollback=lambda: None, close=lambda: None)

    monkeypatch.setattr(postgres, "time", SimpleNamespace(monotonic=passes, sleep=passes))
    pool = postgres.SharingPool(connection, pool_size=2, max_overflow=0, timeout=1)
    kept, gone = pool.connect(), pool.connect()
    gone.invalidate()
    gone.close()
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        pool.connect()
    assert pool.checkedin() == 1, "the place of the connection that is gone"
    assert 10 < len(asked) < 2 / postgres._LOOK_SECONDS
    kept.close()


@pytest.mark.slow
def test_a_run_beyond_what_the_database_takes_is_refused_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if binaries() is None:
        pytest.skip(ABSENT)
    with running(connections=10) as server, ExitStack() as held:
        stores: list[SqlStore] = []
        with pytest.raises(UnreachableError, match=r"record\.url: the database has too many connections; end some and"):
            while True:
                stores.append(held.enter_context(open_store(tmp_path / str(len(stores)), url=server.url())))
        faults: list[Exception] = []

        def work(store: SqlStore, name: str) -> None:
            try:
                for turn in range(5):
                    store.complete([(Done(f"{name} {turn}"), [Output(name, f"{turn}", "p", 0)])])
                    store.results("propose", Place())
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=work, args=(store, name)) for store in stores for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert caplog.messages == []  # each has a connection, which its threads take in turn
        assert len(stores) > 5
        assert [len(store.load(Output)) for store in stores] == [10] * len(stores)


def test_closing_ends_the_waiting(tmp_path: Path, postgres_server: Server) -> None:
    with running() as server:
        store = open_store(tmp_path, url=server.url())
        stop(server, signal.SIGKILL)
        faults: list[BaseException] = []

        def write() -> None:
            try:
                store.append(outputs(1))
            except UnreachableError as fault:
                faults.append(fault)

        waiting = threading.Thread(target=write)
        waiting.start()
        time.sleep(0.5)
        store.close()
        waiting.join(30)
        assert len(faults) == 1


# ---- connections ----


def test_as_many_readers_as_there_are_share_a_few_connections(
    tmp_path: Path, postgres: str, postgres_server: Server
) -> None:
    open_store(tmp_path, url=postgres).close()
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shared'"
    before = postgres_server.execute(asked)[0][0]
    gate = threading.Barrier(40)
    with open_desk(tmp_path) as desk:

        def read() -> None:
            gate.wait()
            for _ in range(10):
                desk.persons()

        readers = [threading.Thread(target=read) for _ in range(40)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert postgres_server.execute(asked)[0][0] - before <= 8


def test_who_waits_too_long_for_a_connection_is_told(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path, url=postgres).close()
    with open_store(tmp_path, "read") as store, ExitStack() as held:
        monkeypatch.setattr(store.opened.engine.pool, "_timeout", 0.05)
        for _ in range(8):
            held.enter_context(store.opened.reading())
        with pytest.raises(
            StoreError, match=r"record\.url: all connections to the database that a process keeps are in"
        ):
            store.spent()


def test_a_database_that_is_open_for_reading_only_is_named_and_not_waited_for(
    tmp_path: Path, postgres_server: Server
) -> None:
    name = postgres_server.new_database()
    with open_store(tmp_path, url=postgres_server.url(name)) as store:
        postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(StoreError, match=r"record\.url: it is read-only; open it for writing, or name the server"):
            store.append(outputs(1))
        assert store.load(Output) == []
    with pytest.raises(StoreError, match=r"record\.url: it is read-only"):
        open_store(tmp_path)


def test_of_several_hosts_the_one_that_takes_writes_is_used_and_what_a_failover_may_lose_is_said(
    tmp_path: Path, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as server, running() as other:
        other.execute("ALTER SYSTEM SET default_transaction_read_only = on")  # as a standby is
        other.execute("SELECT pg_reload_conf()")
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (other, server))
        with open_store(tmp_path, url=f"postgresql://{ROLE}@{hosts}/postgres") as store:
            store.append(outputs(1))
        assert "has no synchronous standby: one that takes over may lack what was committed last" in caplog.text
        assert server.execute(f"SELECT count(*) FROM {schema_of(tmp_path)}.output") == [(1,)]
        stop(other)
        with open_store(tmp_path) as store:
            assert store.load(Output) == outputs(1)


# ---- whole runs ----


def whole(folder: Path, url: str | None) -> "subprocess.Popen[str]":
    """Start a run in a process of its own, with its record in a file or in a database."""
    settings = folder.with_suffix(".json")
    settings.write_text(json.dumps({**SMALL, "compose": MEAN}))
    code = "import json, sys, rrm; rrm.run(rrm.run_file(json.load(open(sys.argv[1]))), sys.argv[2], quiet=True)"
    open_store(folder, url=url).close()
    return subprocess.Popen([sys.executable, "-c", code, settings, folder], stderr=subprocess.PIPE, text=True)


def ended(run: "subprocess.Popen[str]") -> None:
    """Wait for a run, which ends well."""
    _, said = run.communicate(timeout=240)
    assert run.returncode == 0, said


def everything(folder: Path) -> dict[str, Any]:
    """All that a record holds, but for times, what was spent, and what went on record first within a stage."""
    with open_store(folder, "read") as store:
        found: dict[str, Any] = {kind.name: sorted(map(repr, store.load(kind.type))) for kind in KINDS.values()}
        found["tree"] = [graph.to_json() for graph in store.load(TaskGraph)]
        return found | {"counts": store.counts(), "run": store.setting("run")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_runs_behind_a_pooler_and_through_a_kill_of_the_database_end_as_one_on_sqlite(
    tmp_path: Path, postgres_server: Server
) -> None:
    alone = whole(tmp_path / "file", None)
    with running() as server, pooled(server, "postgres", sessions=2) as url:
        runs = [whole(tmp_path / name, url) for name in ("a", "b")]
        for name in ("a", "b"):
            asked = f"SELECT count(*) FROM {schema_of(tmp_path / name)}.action"
            while server.execute(asked)[0][0] < 20:
                assert [run.poll() for run in runs] == [None, None]
                time.sleep(0.1)
        stop(server, signal.SIGKILL)
        time.sleep(2)
        with running(server.folder, server.port):
            assert [run.poll() for run in runs] == [None, None]  # in the middle, and waiting
            for run in (*runs, alone):
                ended(run)
            file = everything(tmp_path / "file")
            assert len(file["output"]) > 100
            for name in ("a", "b"):
                found = everything(tmp_path / name)
                for each, values in file.items():
                    assert found[each] == values, each
