"""A record in a PostgreSQL database: where it is, who may write it, what goes wrong and how that is said."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest

import rrm
from rrm.core.errors import InputError, LockedError, StoreError, UnreachableError
from rrm.core.values import Comparison, Failure, Feedback, Output
from rrm.store import SqlStore, open_store
from rrm.store.kinds import KINDS
from tests.postgres import GUARDED, Server, binaries, running, stop
from tests.scenarios import SMALL


def outputs(count: int) -> list[Output]:
    return [Output(f"node-{number}", "text", "test", number) for number in range(count)]


def schema_of(folder: Path) -> str:
    return (folder / "record.url").read_text().splitlines()[1]


def made_certificate(host: str) -> tuple[str, str]:
    """Return a certificate of its own authority for an address, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="NOTHING IS TESTED OF TLS: no cryptography is installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(1), now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem, no_key = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_key)
    return made.sign(key, hashes.SHA256()).public_bytes(pem).decode(), private.decode()


@pytest.fixture
def certified(tmp_path: Path, postgres_server: Server) -> Iterator[Path]:
    """Have the server speak TLS, too; the certificate's file."""
    data = postgres_server.folder / "data"
    texts = made_certificate("127.0.0.1")
    for name, text in zip(("server.crt", "server.key"), texts, strict=True):
        (data / name).write_text(text)
        (data / name).chmod(0o600)
        os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
    (tmp_path / "known.crt").write_text(texts[0])

    def turn(which: str) -> None:
        try:
            postgres_server.execute(f"ALTER SYSTEM SET ssl = {which}")
        except psycopg.Error as error:
            pytest.skip(f"NOTHING IS TESTED OF TLS: {error}")
        postgres_server.execute("SELECT pg_reload_conf()")
        for _ in range(200):
            if postgres_server.execute("SHOW ssl") == [(which,)]:
                return
            time.sleep(0.05)
        pytest.skip(f"NOTHING IS TESTED OF TLS: {(postgres_server.folder / 'log').read_text()[-300:]}")

    turn("on")
    yield tmp_path / "known.crt"
    turn("off")


# ---- where a record is ----


def test_a_folder_says_where_its_record_is_and_the_url_need_not_be_given_again(tmp_path: Path, postgres: str) -> None:
    with open_store(tmp_path, url=postgres) as store:
        store.append(outputs(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.url", "run.lock"]
    for access, url in (("run", None), ("append", None), ("read", None), ("run", postgres), ("read", postgres)):
        with open_store(tmp_path, access, url=url) as store:
            assert store.load(Output) == outputs(2)


def test_a_record_can_be_reached_by_the_servers_socket(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.socket_url(postgres_server.new_database())
    with open_store(tmp_path, url=url.replace("postgresql://", "postgres://")) as store:
        store.append(outputs(2))
    with open_store(tmp_path, "read") as store:
        assert store.load(Output) == outputs(2)


def test_runs_in_one_database_do_not_see_each_other(tmp_path: Path, postgres: str) -> None:
    with open_store(tmp_path / "a", url=postgres) as a, open_store(tmp_path / "b", url=postgres) as b:
        a.append(outputs(2))
        b.append(outputs(3))
        assert (a.load(Output), b.load(Output)) == (outputs(2), outputs(3))
    assert schema_of(tmp_path / "a") != schema_of(tmp_path / "b")


@pytest.mark.parametrize("form", ["postgresql://{0}:{1}@{2}", "postgresql://{0}@{2}?password={1}"])
def test_a_password_in_the_url_opens_the_record_and_is_written_nowhere(
    tmp_path: Path, postgres_server: Server, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, name = tmp_path / "run", postgres_server.new_database()
    postgres_server.execute(f"GRANT CREATE ON DATABASE {name} TO {GUARDED}")
    place = f"127.0.0.1:{postgres_server.port}/{name}"
    url = form.format(GUARDED, "open%20sesame", place)
    with open_store(run, url=url) as store:
        store.append(outputs(1))
    for path in run.iterdir():
        assert "sesame" not in path.read_text()
    asked = r"record\.url: the database asks for a password, which is never kept with the run; give the right one by PG"
    with pytest.raises(StoreError, match=asked):
        open_store(run, "read")
    with open_store(run, "read", url=url) as store:
        assert store.load(Output) == outputs(1)
    monkeypatch.setenv("PGPASSWORD", "open sesame")
    with open_store(run, "read") as store:
        assert store.load(Output) == outputs(1)
    monkeypatch.setenv("PGPASSWORD", "open barley")
    with pytest.raises(StoreError, match="give the right one by PGPASSWORD") as wrong:
        open_store(run, "read")
    assert "barley" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://ann:secret@here/runs", "a record can be in a PostgreSQL database, not mysql"),
        ("sqlite:///runs.db", "a record can be in a PostgreSQL database, not sqlite"),
        ("ann:secret@here", "cannot be read: write postgresql://user@host/database"),
        ("postgresql://ann:secret@here:port/runs", "cannot be read: write postgresql://user@host/database"),
        ("", "cannot be read: write postgresql://user@host/database"),
    ],
)
def test_a_url_that_does_not_fit_is_refused_without_telling_its_password(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        open_store(tmp_path / "run", url=url)
    assert "secret" not in str(refused.value)
    assert not list((tmp_path / "run").glob("record*"))


def test_a_run_stays_where_it_was_begun(tmp_path: Path, postgres: str, postgres_server: Server) -> None:
    open_store(tmp_path / "file").close()
    with pytest.raises(InputError, match=r"was begun with its record in record\.db: leave the database away"):
        open_store(tmp_path / "file", url=postgres)
    open_store(tmp_path / "base", url=postgres).close()
    with pytest.raises(InputError, match=f"was begun on {postgres}: leave the database away or name that one"):
        open_store(tmp_path / "base", url=postgres_server.url(postgres_server.new_database()))


@pytest.mark.parametrize("text", ["", "postgresql://here/runs\n", "nonsense\nrrm_1\n", 'postgresql://h/d\na"; DROP\n'])
def test_a_damaged_record_url_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.url").write_text(text)
    with pytest.raises(StoreError, match=r"record\.url is damaged: "):
        open_store(tmp_path, "read")


def test_importing_the_store_loads_no_driver_of_postgresql() -> None:
    code = "import sys, rrm.store; print([each for each in ('psycopg', 'alembic') if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_psycopg_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"needs psycopg: pip install 'rrm\[postgres\]'"):
        open_store(tmp_path, url="postgresql://here/runs")


def test_a_dump_put_back_in_another_database_is_the_same_record(
    tmp_path: Path, postgres: str, postgres_server: Server
) -> None:
    with open_store(tmp_path, url=postgres) as store:
        store.append(outputs(3))
    programs, other = binaries(), postgres_server.url(postgres_server.new_database())
    assert programs is not None
    dumping = [programs / "pg_dump", f"--schema={schema_of(tmp_path)}", postgres]
    dump = subprocess.run(dumping, capture_output=True, check=True).stdout
    subprocess.run(
        [programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", other], input=dump, capture_output=True, check=True
    )
    (tmp_path / "record.url").write_text(f"{other}\n{schema_of(tmp_path)}\n")
    postgres_server.execute(f'DROP SCHEMA "{schema_of(tmp_path)}" CASCADE', "shared")
    with open_store(tmp_path) as store:
        assert store.load(Output) == outputs(3)
        store.append(outputs(4))
        assert store.load(Output) == outputs(4)


# ---- what is not a record ----


@pytest.mark.parametrize("access", ["run", "append", "read"])
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('ALTER SCHEMA "{}" RENAME TO "{}_gone"', "the database has no schema rrm_[0-9a-f]+; put back a dump of it"),
        ("COMMENT ON SCHEMA \"{}\" IS 'ours'", "is not a record of rrm; nothing was changed"),
        ('DROP TABLE "{}".alembic_version', "is not a record of rrm; nothing was changed"),
    ],
    ids=["gone", "not ours", "no version"],
)
def test_a_foreign_or_missing_schema_is_refused_and_left_as_it_is(
    tmp_path: Path, postgres: str, postgres_server: Server, statement: str, words: str, access: Any
) -> None:
    with open_store(tmp_path, url=postgres) as store:
        store.append(outputs(2))
    postgres_server.execute(statement.replace("{}", schema_of(tmp_path)), "shared")
    schemas = "SELECT nspname FROM pg_namespace ORDER BY 1"
    before = postgres_server.execute(schemas, "shared")
    with pytest.raises(StoreError, match=words):
        open_store(tmp_path, access)
    assert postgres_server.execute(schemas, "shared") == before


def test_a_database_that_cannot_hold_every_character_is_refused(tmp_path: Path, postgres_server: Server) -> None:
    postgres_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(StoreError, match="the database holds texts in LATIN1; make one with ENCODING 'UTF8'"):
        open_store(tmp_path, url=postgres_server.url("latin"))
    assert not (tmp_path / "record.url").exists()


def test_a_user_without_the_right_to_make_a_schema_is_told_so(
    tmp_path: Path, postgres: str, postgres_server: Server
) -> None:
    postgres_server.execute("DROP ROLE IF EXISTS guest")
    postgres_server.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(StoreError, match="who makes or upgrades a record needs CREATE on the database"):
        open_store(tmp_path, url=postgres.replace("rater@", "guest@"))
    assert not (tmp_path / "record.url").exists()


# ---- one writer ----

HOLDER = """
import sys, time
from rrm.store import open_store
with open_store(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_that_goes_on_on_another_machine_is_refused_until_that_one_is_gone(tmp_path: Path, postgres: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"  # one folder as two machines see it: locks do not pass
    open_store(here, url=postgres).close()
    shutil.copytree(here, there)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(there)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"is in use by process {holder.pid} on "):
            open_store(here)
        with open_store(here, "append") as page:
            page.append(outputs(1))
        holder.kill()
        holder.wait()
    with open_store(here) as store:
        assert store.load(Output) == outputs(1)


def test_programs_that_record_the_same_at_once_do_not_stand_in_each_others_way(tmp_path: Path, postgres: str) -> None:
    faults: list[Exception] = []

    def work(store: SqlStore, values: list[Output]) -> None:
        try:
            for _ in range(10):
                store.append(values)
        except Exception as fault:
            faults.append(fault)

    with open_store(tmp_path, url=postgres) as run, open_store(tmp_path, "append") as page:
        many = outputs(200)
        threads = [threading.Thread(target=work, args=each) for each in ((run, many), (page, many[::-1]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert {each.id for each in run.load(Output)} == {each.id for each in many}
        assert len(run.load(Output)) == 200


def test_what_was_acknowledged_survives_a_crash_of_the_server(tmp_path: Path, postgres_server: Server) -> None:
    with running() as server, open_store(tmp_path, url=server.url(), patience=0) as store:
        store.append(outputs(50))
        stop(server, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(UnreachableError, match="the database server cannot be reached; check that it runs"):
                store.append(outputs(51))
        with running(server.folder, server.port):
            store.append(outputs(51)[50:])
            assert store.load(Output) == outputs(51)


# ---- what goes wrong, in words ----


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("127.0.0.1", "127.0.0.2"), "the database server cannot be reached; check that it runs, its address"),
        (("127.0.0.1", "nowhere.invalid"), "the database server cannot be reached; check that it runs, its address"),
        (("/shared", "/nowhere"), "the server has no such database; make it with createdb"),
        (("rater@", "nobody@"), "the database does not let this user in; check the user's name"),
    ],
    ids=["address", "name", "database", "role"],
)
def test_a_database_that_cannot_be_opened_is_named(
    tmp_path: Path, postgres: str, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(StoreError, match=rf"record\.url: {words}"):
        open_store(tmp_path, url=postgres.replace(*change))
    assert not (tmp_path / "record.url").exists()


def test_tls_that_a_server_does_not_have_is_told_and_nothing_goes_in_the_clear(tmp_path: Path, postgres: str) -> None:
    with pytest.raises(StoreError, match="the server has no TLS, which sslmode asks for; turn it on there") as refused:
        open_store(tmp_path, url=f"{postgres}?sslmode=require")
    assert not isinstance(refused.value, UnreachableError)  # which would be waited for


def test_tls_is_as_strict_as_sslmode_says(tmp_path: Path, postgres: str, certified: Path) -> None:
    with open_store(tmp_path / "a", url=f"{postgres}?sslmode=require") as store, store.opened.reading() as connection:
        asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.exec_driver_sql(asked).scalar() is True
    known = f"{postgres}?sslmode=verify-full&sslrootcert={certified}"
    open_store(tmp_path / "b", url=known).close()
    vouched = "sslmode asks for a certificate that an authority known here vouches for; name its file by sslrootcert"
    (other := tmp_path / "other.crt").write_text(made_certificate("127.0.0.1")[0])
    for url, words in (
        (f"{postgres}?sslmode=verify-full&sslrootcert=/nonexistent", vouched),
        (f"{postgres}?sslmode=verify-full&sslrootcert={other}", vouched),
        (known.replace("127.0.0.1", "localhost"), "the server's certificate is of another host"),
    ):
        with pytest.raises(StoreError, match=words):
            open_store(tmp_path / "c", url=url)


FAULTS = [
    ("53100", "the disk of the database is full; make room and resume"),
    ("40001", "other programs changed the same at once; do it again"),
    ("40P01", "other programs changed the same at once; do it again"),
    ("42501", "the database refuses it to this user"),
    ("57P01", "the connection to the database was lost"),
    ("XX001", "PostgreSQL says: the trigger's own words"),
]


@pytest.mark.parametrize(("state", "words"), FAULTS)
def test_what_the_server_refuses_is_said_in_words_and_nothing_of_the_batch_is_recorded(
    tmp_path: Path, postgres: str, postgres_server: Server, state: str, words: str
) -> None:
    with open_store(tmp_path, url=postgres, patience=0) as store:
        store.append(outputs(1))
        schema = f'"{schema_of(tmp_path)}"'
        raising = f"BEGIN RAISE EXCEPTION 'the trigger''s own words' USING ERRCODE = '{state}'; END"
        postgres_server.execute(
            f"CREATE FUNCTION {schema}.fault() RETURNS trigger LANGUAGE plpgsql AS $${raising}$$", "shared"
        )
        postgres_server.execute(
            f"CREATE TRIGGER fault BEFORE INSERT ON {schema}.failure EXECUTE FUNCTION {schema}.fault()", "shared"
        )
        with pytest.raises(StoreError, match=rf"record\.url: {words}"):
            store.append([*outputs(3), Failure("a", "b", "c", "d")])
        assert store.load(Output) == outputs(1)
        store.append(outputs(2))
        assert store.load(Output) == outputs(2)


def test_a_connection_that_the_server_ended_is_made_anew(
    tmp_path: Path, postgres: str, postgres_server: Server
) -> None:
    with open_store(tmp_path, url=postgres, patience=0) as store:
        store.append(outputs(1))
        postgres_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared'")
        store.append(outputs(2))
        assert store.load(Output) == outputs(2)


def test_a_table_that_another_program_keeps_locked_is_waited_for_and_then_named(tmp_path: Path, postgres: str) -> None:
    with open_store(tmp_path, url=postgres, busy_seconds=0.05) as store, psycopg.connect(postgres) as other:
        other.execute(f'LOCK TABLE "{schema_of(tmp_path)}".output')
        with pytest.raises(StoreError, match="another program keeps it locked"):
            store.append(outputs(1))
        other.rollback()
        store.append(outputs(1))
        assert store.load(Output) == outputs(1)


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (Output("n", "a\0b", "p", 0), "output.text"),
        (Output("\0", "", "p", 0), "output.node"),
        (Feedback("r", "A\0nn", Comparison(0)), "feedback.rater"),
    ],
)
def test_a_text_with_nul_is_refused_by_name_and_nothing_of_its_batch_is_recorded(
    tmp_path: Path, postgres: str, value: Any, column: str
) -> None:
    with open_store(tmp_path, url=postgres) as store:
        with pytest.raises(InputError, match=f"{column} cannot be recorded: PostgreSQL cannot hold the NUL character"):
            store.append([*outputs(1), value])
        with pytest.raises(InputError, match=r"cache\.key cannot be recorded"):
            store.put_many("calls", {"a": b"", "\0": b""})
        with pytest.raises(InputError, match="NUL character, which PostgreSQL cannot hold"):
            store.setting("\0")
        assert store.load(Output) == []
        assert store.get_many("calls", ["a"]) == {}


# ---- a whole run ----


def everything(folder: Path) -> dict[str, Any]:
    """All that a record holds, but for times, what was spent, and what went on record first within a stage."""
    with open_store(folder, "read") as store:
        found: dict[str, Any] = {kind.name: sorted(map(repr, store.load(kind.type))) for kind in KINDS.values()}
        found["tree"] = [graph.to_json() for graph in store.load(rrm.TaskGraph)]
        return found | {"counts": store.counts(), "run": store.setting("run")}


@pytest.mark.slow
def test_a_whole_run_on_postgresql_is_the_same_as_on_sqlite(tmp_path: Path, postgres: str) -> None:
    settings = rrm.run_file(SMALL)
    open_store(tmp_path / "base", url=postgres).close()
    for name in ("file", "base"):
        rrm.run(settings, tmp_path / name, quiet=True)
    file, base = everything(tmp_path / "file"), everything(tmp_path / "base")
    assert len(file["feedback"]) > 50
    assert len(file["fitted"]) >= 2
    for name, values in file.items():
        assert base[name] == values, name
    rrm.run(settings, tmp_path / "base", quiet=True)
    assert everything(tmp_path / "base") == base
