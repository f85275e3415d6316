"""A PostgreSQL server for the tests: started once a process, and stopped at its end."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

ROLE = "rater"
ABSENT = "NOTHING IS TESTED ON POSTGRESQL: no initdb is installed (on Debian: apt install postgresql)"
FOLDER = "RRM_TEST_POSTGRES"
"""The environment variable that names the folder of another version's initdb and postgres."""
PATIENCE = 60.0  # seconds
GUARDED = "guarded"
"""A role that needs the password "open sesame"; all others need none."""


class Server(NamedTuple):
    """A running server; `folder` holds its socket and its log."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def url(self, database: str = "postgres", role: str = ROLE) -> str:
        """Return the URL of a database by way of the network."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """Return the URL of a database by way of the socket, as a program on the same machine would use it."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}&port={self.port}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Carry one statement out, outside any transaction, and return its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """Return the name of a fresh database."""
        name = f"test_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name


def binaries() -> Path | None:
    """Return the folder with initdb and postgres; None if there is none.

    It is the one that the environment names, or else the newest of Debian's, or the one on the PATH.
    """
    if named := os.environ.get(FOLDER):
        return Path(named).resolve(strict=True)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = shutil.which("initdb")
    return installed[-1].parent if installed else Path(found).resolve().parent if found else None


def _account() -> dict[str, Any]:
    """Return as whom to start the server, which refuses root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("nobody but root is on this machine, and PostgreSQL refuses root")


@contextmanager
def running(folder: Path | None = None, port: int | None = None, connections: int = 200) -> Iterator[Server]:
    """Start a server that flushes to the disk as one in earnest does, and stop it at the end.

    It lies in a new folder beside others, or goes on in `folder` on `port`, where one was stopped.
    """
    programs = binaries()
    assert programs is not None
    account = _account()
    made = folder is None
    folder = Path(tempfile.mkdtemp(prefix="rrm-postgres-")) if folder is None else folder
    try:
        if made:
            if account:
                os.chown(folder, account["user"], account["group"])
            command = [programs / "initdb", "-D", folder / "data", "-U", ROLE, "--auth=trust", "--encoding=UTF8"]
            done = subprocess.run(
                [*command, "--locale=C", "--no-sync"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                **account,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            rules = folder / "data" / "pg_hba.conf"
            rules.write_text(f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        server = _start(programs, folder, port, account, connections)
        try:
            yield server
        finally:
            stop(server, signal.SIGQUIT if made else signal.SIGINT)  # nobody needs the files again, or somebody does
    finally:
        if made:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def following(primary: Server, port: int | None = None) -> Iterator[Server]:
    """Start a standby of a server, for whose disk, once it is there, every commit waits; stop it at the end."""
    programs, account = binaries(), _account()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="rrm-standby-"))
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        source = ["-d", primary.url(), "-D", folder / "data", "-X", "stream", "-c", "fast", "-R", "--no-sync"]
        subprocess.run([programs / "pg_basebackup", *source], cwd=folder, capture_output=True, check=True, **account)
        standby = _start(programs, folder, port, account)
        try:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")  # which the standby has no copy of
            primary.execute("SELECT pg_reload_conf()")
            until = time.monotonic() + PATIENCE
            while not primary.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
                assert time.monotonic() < until, f"no commit waits for the standby after {PATIENCE} s"
                time.sleep(0.05)
            yield standby
        finally:
            stop(standby, signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Pair:
    """A server and the standby for which its commits wait; either may come to be the one that takes writes."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.primary = stack.enter_context(running())
        self.standby = stack.enter_context(following(self.primary))

    def url(self, database: str = "postgres") -> str:
        """Return the URL with both hosts."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in sorted((self.primary, self.standby), key=_port))
        return f"postgresql://{ROLE}@{hosts}/{database}"

    def fail_over(self) -> None:
        """Kill the server that takes writes, and promote the standby."""
        stop(self.primary, signal.SIGKILL)
        self.standby.execute("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def renew(self) -> None:
        """Have a new standby at the port of the server that was killed."""
        self.standby = self._stack.enter_context(following(self.primary, self.standby.port))


def _port(server: Server) -> int:
    return server.port


@contextmanager
def pooled(server: Server, database: str, sessions: int) -> Iterator[str]:
    """Put PgBouncer before a database and yield its URL: each transaction gets one of so many sessions.

    Skips where it is not installed.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("NOTHING IS TESTED BEHIND A POOLER: no pgbouncer is installed (on Debian: apt install pgbouncer)")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="rrm-pgbouncer-"))
    try:
        port = _free_port()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": sessions,
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port} user={ROLE}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        if account:
            os.chown(folder, account["user"], account["group"])
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [program, folder / "pgbouncer.ini"], stdout=log, stderr=log, preexec_fn=_end_with_parent, **account
            )
        try:
            pooler = Server(folder, port, process)
            assert _answers(pooler), (folder / "log").read_text()
            yield pooler.url(database)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop(server: Server, how: int = signal.SIGINT) -> None:
    """Stop a server: at once but orderly (SIGINT), or as a crash would (SIGQUIT, SIGKILL), and wait for all of it.

    Processes of a server that was killed may answer for a moment longer.
    """
    pid, running = server.process.pid, server.process.poll() is None
    served = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split() if running else []
    if running:
        server.process.send_signal(how)
    server.process.wait(60)
    ends = time.monotonic() + 60
    while any(Path(f"/proc/{each}").exists() for each in served) and time.monotonic() < ends:
        time.sleep(0.02)


def _start(programs: Path, folder: Path, port: int | None, account: dict[str, Any], connections: int = 200) -> Server:
    for _ in range(5):  # another program may take the port in between
        chosen = port or _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": chosen, "unix_socket_directories": folder}
        settings |= {"fsync": "on", "synchronous_commit": "on", "max_connections": connections}
        options = [each for name, value in settings.items() for each in ("-c", f"{name}={value}")]
        with (folder / "log").open("ab") as log:
            command = [programs / "postgres", "-D", folder / "data", *options]
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, preexec_fn=_end_with_parent, **account
            )
        server = Server(folder, chosen, process)
        if _answers(server):
            return server
        process.kill()
        process.wait()
    raise RuntimeError((folder / "log").read_text())


def _end_with_parent() -> None:
    """Let the kernel stop the server when the tests are killed and cannot."""
    kernel = ctypes.CDLL(None)
    if hasattr(kernel, "prctl"):  # Linux
        kernel.prctl(1, signal.SIGQUIT)


def _answers(server: Server) -> bool:
    import psycopg

    until = time.monotonic() + 60
    while time.monotonic() < until and server.process.poll() is None:
        with suppress(psycopg.OperationalError):
            server.execute("SELECT 1")
            return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of this process."""
    if binaries() is None:
        pytest.skip(ABSENT)
    with running() as server:
        server.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'open sesame'")
        server.execute("CREATE DATABASE shared")
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """The URL of a database; the tests share it, as runs may, because each database takes seconds on a busy disk."""
    return postgres_server.url("shared")
