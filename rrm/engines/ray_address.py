"""Which Ray cluster an address names, and whether this process may and can use it."""

import importlib.metadata
import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from rrm.core.errors import ConfigError, InputError
from rrm.engines.address import Address, probe, require_answer, require_same, told

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


def find(address: str) -> str | None:
    """Return where a cluster is, None for "local", one of its own; raise InputError where there is none to be used."""
    if address == "local":
        return None
    at = _parsed(_started_here() if address == "auto" else address)
    require_answer(at, "Ray", "ray start --head")
    _require_fit(at)
    return str(at)


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
    return Address.of(match["host"], int(match["port"]))


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
        found = [told("Ray", str(at), each) for each in probes]
    finally:
        for each in probes:
            each.kill()
            each.wait()
    if found[0].get("refused"):
        why = f"does not accept the token of {shown}" if shown else "asks for a token, and there is none here"
        raise InputError(f"[engine] the Ray cluster at {at} {why}: set RAY_AUTH_TOKEN_PATH to the file of its token")
    if not at.loopback and not found[1].get("refused"):
        raise InputError(
            f"[engine] the Ray cluster at {at} asks for no token, so that anyone who reaches it could run code: start"
            " it with RAY_AUTH_MODE=token"
        )
    own = {"Ray": importlib.metadata.version("ray"), "Python": platform.python_version()}
    require_same(str(at), found[0], own)


def _ask(at: Address, with_token: bool) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH") or with_token}
    return probe(_PROBE, str(at), {**kept, "RAY_AUTH_MODE": "token" if with_token else "disabled"})
