"""Workers of this machine that begin processes themselves; few imports, for they begin often."""

import subprocess
import sys
import tempfile

from rrm.engines.apart import Wanted
from rrm.engines.local import LocalCluster, Placed


class Begetting:
    """Begins a process, as loaders of data do, reads the standard input, and says what it found."""

    def answer(self, asked: bytes) -> bytes:
        child = subprocess.Popen(["sleep", "600"])
        return f"{child.pid} {len(sys.stdin.read())} {tempfile.gettempdir()}".encode()

    def sign(self) -> bytes:
        return b""


def begun(count: int) -> LocalCluster:
    """Return a cluster with so many workers."""
    cluster = LocalCluster("tests.engines.begetting:Begetting", [Placed(Wanted(frozenset({"propose"})), ())] * count)
    cluster.start()
    return cluster
