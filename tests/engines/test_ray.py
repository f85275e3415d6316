"""Which of Ray's clusters an address names, and who may use it; what needs a cluster is in `test_apart`."""

import subprocess
import sys
from pathlib import Path

import pytest

from rrm.core.errors import InputError, SetupError
from rrm.engines import ray_address
from rrm.engines.address import Address


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", r"no Ray cluster can be reached at 127\.0\.0\.1:1: connection refused"),
        ("ray://head:10001", r"address is \"local\", \"auto\" or a cluster's host:port"),
        ("nobody.invalid:6379", r"there is no machine nobody\.invalid"),
        ("auto", "finds no Ray cluster that was started here"),
    ],
)
def test_an_address_where_nobody_is_is_refused(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(InputError, match=sentence):
        ray_address.find(address)


def test_beyond_this_machine_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(InputError, match="beyond this machine, where Ray is used with a token alone"):
        ray_address._require_fit(Address("10.1.2.3", 6379, loopback=False))


def test_a_host_of_colons_stands_in_brackets() -> None:
    for told in ("[::1]:6379", "127.0.0.1:6379"):
        assert str(ray_address._parsed(told)) == told


def test_no_probe_is_left_where_the_first_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[subprocess.Popen[str]] = []

    def ask(at: Address, with_token: bool) -> "subprocess.Popen[str]":
        said = "pass" if with_token else "import time; time.sleep(600)"
        probes.append(subprocess.Popen([sys.executable, "-c", said], stdout=subprocess.PIPE, text=True))
        return probes[-1]

    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123")
    monkeypatch.setattr(ray_address, "_ask", ask)
    with pytest.raises(SetupError, match="is no Ray cluster"):
        ray_address._require_fit(Address("10.1.2.3", 6379, loopback=False))
    left = [probe for probe in probes if probe.returncode is None]
    for probe in probes:
        probe.kill()
    assert len(probes) == 2 and not left
