"""The station's real server on a free port: in a thread of the test, or in a process of its own that can be killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rrm.web.server import Server, listening
from rrm.web.station import Station

_SERVING = """
import os
import sys
from rrm.queue import open_desk
from rrm.web.server import serve
from rrm.web.station import Station, WebSettings

def serve_until_ended(directory, port):
    limits = WebSettings(attempts_a_minute=10**9, answers_a_minute=10**9, requests_a_minute=10**9)
    with open_desk(directory) as desk:
        serve(Station(desk, limits), "127.0.0.1", port, lambda address: print(os.getpid(), address, flush=True))
    print("ended", flush=True)
"""
_ONCE = "serve_until_ended(sys.argv[1], int(sys.argv[2]))"
_AGAIN_AND_AGAIN = """
for _ in sys.stdin:  # all is imported already, so that a new server is there at once
    server = os.fork()
    if server == 0:
        serve_until_ended(sys.argv[1], int(sys.argv[2]))
        os._exit(0)
    os.waitpid(server, 0)
    print("gone", flush=True)
"""


@contextmanager
def running(station: Station) -> Iterator[str]:
    """Serve in a thread; give the address."""
    ready, addresses = threading.Event(), []

    def told(address: str) -> None:
        addresses.append(address)
        ready.set()

    with listening(station.settings, "127.0.0.1", 0) as listener:
        server = Server(station, listener, told)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert ready.wait(30), "the server did not start"
            yield addresses[0]
        finally:
            server.should_exit = True
            thread.join(30)


class Process:
    """A server in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._program = _started(_ONCE, directory, 0)
        _, self.address = _told(self._program)
        self.port = int(self.address.rpartition(":")[2])

    def end(self, number: signal.Signals, seconds: float = 60) -> tuple[int, str]:
        """Send a signal, wait until the process is gone, and return its exit code and what it still said."""
        self._program.send_signal(number)
        said, _ = self._program.communicate(timeout=seconds)
        return self._program.returncode, said

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()


class Restarting:
    """A server that is killed and started again on the same port, within a fraction of a second."""

    def __init__(self, directory: Path, port: int) -> None:
        self._program = _started(_AGAIN_AND_AGAIN, directory, port)
        self._server = 0

    def start(self) -> str:
        """Start a server; return its address."""
        assert self._program.stdin is not None
        self._program.stdin.write("start\n")
        self._program.stdin.flush()
        self._server, address = _told(self._program)
        return address

    def kill(self) -> None:
        """Kill the server with SIGKILL, in whatever it is doing, and wait until it is gone."""
        assert self._program.stdout is not None
        os.kill(self._server, signal.SIGKILL)
        assert self._program.stdout.readline() == "gone\n"

    def close(self) -> None:
        self._program.communicate(timeout=60)


def _started(program: str, directory: Path, port: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _SERVING + program, str(directory), str(port)]
    here = Path(__file__).parents[2]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here)


def _told(program: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait until a server is there; return its process and address."""
    assert program.stdout is not None
    process, _, address = program.stdout.readline().strip().partition(" ")
    assert address.startswith("http://"), "the server did not start"
    return int(process), address
