"""Where a cluster is, and what it says of itself to a process that can be ended, found out within seconds.

The clusters' libraries wait for long where nobody answers, and hide why they were refused.
"""

import ipaddress
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from rrm.core.errors import InputError, SetupError

CONNECT_SECONDS = 2.0
PROBE_SECONDS = 3
"""So long a cluster may take to answer; to import its library takes longer on a busy machine, which says nothing."""
IMPORT_SECONDS = 60.0


class Address(NamedTuple):
    """A cluster's host and port, and whether that is on this machine's loopback interface alone."""

    host: str
    port: int
    loopback: bool

    @classmethod
    def of(cls, host: str, port: int) -> "Address":
        """Return where a host is; raise InputError where there is none of that name."""
        host = host.strip("[]")
        try:
            found = {each[4][0] for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except OSError as error:
            raise InputError(f"[engine] there is no machine {host}: {error.strerror}") from error
        return cls(host, port, all(ipaddress.ip_address(each).is_loopback for each in found))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def require_answer(at: Address, library: str, begin: str) -> None:
    """Raise InputError where nobody listens; `begin` is the command that begins a cluster."""
    try:
        socket.create_connection((at.host, at.port), CONNECT_SECONDS).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise InputError(
            f"[engine] no {library} cluster can be reached at {at}: {why}; begin it with `{begin}`, or mend the address"
        ) from error


def probe(code: str, at: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Have Python code ask the cluster at an address what it is, in a process of its own; it prints a line of JSON."""
    command = [sys.executable, "-c", code, at, str(PROBE_SECONDS)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603


def told(library: str, at: str, probing: "subprocess.Popen[str]") -> dict[str, object]:
    """Return what a probe found; raise SetupError where nothing comes of it."""
    try:
        said, _ = probing.communicate(timeout=IMPORT_SECONDS)
        found: dict[str, object] = json.loads(said)
        return found
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise SetupError(f"[engine] what answers at {at} is no {library} cluster, or one that does not work") from error


def require_same(at: str, found: Mapping[str, object], own: Mapping[str, str]) -> None:
    """Raise InputError for a cluster of another version than this process has; of Python two numbers count."""
    for name, version in own.items():
        there = found.get(name)
        same = str(there).split(".")[:2] == version.split(".")[:2] if name == "Python" else there == version
        if there is not None and not same:
            raise InputError(f"[engine] the cluster at {at} has {name} {there}, and this process {name} {version}")
