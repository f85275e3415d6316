"""Which Ray cluster an address names, and whether this process may and can use it, found out within seconds.

Ray itself waits for minutes where nobody answers, and says why it was refused on a stream of its own.
"""

import importlib.metadata
import ipaddress
import json
import os
import platform
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rrm.core.errors import ConfigError, InputError, SetupError

CONNECT_SECONDS = 2.0
PROBE_SECONDS = 3
"""So long a cluster may take to answer; to import Ray takes longer on a busy machine, which says nothing of it."""
IMPORT_SECONDS = 60.0

_PROBE = """
import json, signal, sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
signal.alarm(int(sys.argv[2]))
try:
    told = json.loads(GcsClient(address=sys.argv[1]).internal_kv_get(b"CLUSTER_METADATA", b"cluster") or b"{}")
except AuthenticationError:
    print(json.dumps({"refused": True}))
else:
    print(json.dumps({"Ray": told.get("ray_version"), "Python": told.get("python_version")}))
"""
"""Asks a cluster what it is made of, in a process of its own, which can be ended."""


class Address(NamedTuple):
    """A cluster's host and port, and whether that is on this machine's loopback interface alone."""

    host: str
    port: int
    loopback: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def find(address: str) -> Address | None:
    """Return where a cluster is, None for "local", one of its own; raise InputError where there is none to be used."""
    if address == "local":
        return None
    at = _parsed(_started_here() if address == "auto" else address)
    _require_answer(at)
    _require_fit(at)
    return at


def token() -> str | None:
    """Return from where Ray would take its token, None if nowhere."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    return str(file) if file.is_file() else None


def _started_here() -> str:
    """Return the address of the cluster that `ray start` began on this machine."""
    if address := os.environ.get("RAY_ADDRESS"):
        return address
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # noqa: S108
    with suppress(OSError):
        return file.read_text().strip()
    raise InputError(
        '[engine] address = "auto" finds no Ray cluster that was started here: begin one with `ray start --head`, or'
        ' give its host:port, or "local" for one that lives as long as the run'
    )


def _parsed(address: str) -> Address:
    match = re.fullmatch(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:/\s]+):(?P<port>\d{1,5})", address)
    if match is None or not 0 < int(match["port"]) < 2**16:
        raise ConfigError(
            f'[engine] address is "local", "auto" or a cluster\'s host:port, such as 10.0.0.5:6379, got {address!r:.80}'
        )
    host = match["host"].strip("[]")
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise InputError(f"[engine] there is no machine {host}: {error.strerror}") from error
    return Address(host, int(match["port"]), all(ipaddress.ip_address(each).is_loopback for each in found))


def _require_answer(at: Address) -> None:
    """Raise InputError where nobody listens."""
    try:
        socket.create_connection((at.host, at.port), CONNECT_SECONDS).close()
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise InputError(
            f"[engine] no Ray cluster can be reached at {at}: {why}; begin it with `ray start --head`, or mend the"
            " address"
        ) from error


def _require_fit(at: Address) -> None:
    """Raise InputError for a cluster that refuses our token or has none, or is of another Ray or Python."""
    shown = token()
    if not at.loopback and shown is None:
        raise InputError(
            f"[engine] {at} is beyond this machine, where Ray is used with a token alone: set RAY_AUTH_TOKEN_PATH to"
            " the file of the cluster's, of mode 0600"
        )
    probes = [_ask(at, bool(shown)), *([] if at.loopback else [_ask(at, False)])]
    try:
        told = [_told(at, probe) for probe in probes]
    finally:
        for probe in probes:
            probe.kill()
            probe.wait()
    if told[0].get("refused"):
        why = f"does not accept the token of {shown}" if shown else "asks for a token, and there is none here"
        raise InputError(f"[engine] the Ray cluster at {at} {why}: set RAY_AUTH_TOKEN_PATH to the file of its token")
    if not at.loopback and not told[1].get("refused"):
        raise InputError(
            f"[engine] the Ray cluster at {at} asks for no token, so that anyone who reaches it could run code: start"
            " it with RAY_AUTH_MODE=token"
        )
    own = {"Ray": importlib.metadata.version("ray"), "Python": platform.python_version()}
    for name, version in own.items():
        there = told[0].get(name)
        same = there == version if name == "Ray" else str(there).split(".")[:2] == version.split(".")[:2]
        if there is not None and not same:
            raise InputError(f"[engine] the cluster at {at} has {name} {there}, and this process {name} {version}")


def _ask(at: Address, with_token: bool) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH") or with_token}
    environment = {**kept, "RAY_AUTH_MODE": "token" if with_token else "disabled"}
    command = [sys.executable, "-c", _PROBE, str(at), str(PROBE_SECONDS)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603


def _told(at: Address, probe: "subprocess.Popen[str]") -> dict[str, object]:
    try:
        said, _ = probe.communicate(timeout=IMPORT_SECONDS)
        told: dict[str, object] = json.loads(said)
        return told
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise SetupError(f"[engine] what answers at {at} is no Ray cluster, or one that does not work") from error
