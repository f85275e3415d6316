"""Where ranks meet: on one address, by a token, within a time limit."""

import os
import secrets
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from rrm.core.errors import InputError, LostRankError
from rrm.reward.rendezvous import Rendezvous, listening, own_address

ROOT = Path(__file__).resolve().parents[2]
_JOINS = """
import psutil, sys
from rrm.core.errors import LostRankError
from rrm.reward import rendezvous
try:
    rendezvous.join(cpu=True)
except LostRankError as error:
    print(error)
else:
    listens = [each.laddr.ip for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN]
    print("joined", sorted(set(listens)))
"""


def joined(tokens: list[str]) -> list[str]:
    """Return what ranks said that meet with these tokens."""
    with listening("127.0.0.1") as heard:
        found = []
        for rank, token in enumerate(tokens):
            at = Rendezvous("127.0.0.1", heard.getsockname()[1], len(tokens), token)
            told = at.environment(rank, rank, len(tokens), None if rank else heard.fileno())
            command = [sys.executable, "-c", _JOINS]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **told}
            found.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, pass_fds=[heard.fileno()])
            )
    return [process.communicate(timeout=200)[0].strip() for process in found]


def test_ranks_that_know_the_token_meet_on_one_address_alone() -> None:
    token = secrets.token_hex(16)
    assert joined([token, token]) == ["joined ['127.0.0.1']"] * 2


@pytest.mark.slow
def test_a_rank_that_does_not_know_the_token_is_found_out() -> None:
    assert joined(["right", "wrong", "right"]) == [
        "rank 2 of 3 does not know the token of this training",
        "rank 1 of 3 does not know the token of this training",
        "rank 2 of 3 does not know the token of this training",
    ]


def test_where_nobody_listens_that_is_said_within_seconds() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(
            LostRankError, match=r"the first rank cannot be reached at 127\.0\.0\.1:\d+: connection ref"
        ):
            Rendezvous("127.0.0.1", bound.getsockname()[1], 2, "token").require_reached()
        assert time.monotonic() - began < 5


def test_a_machine_has_an_address_in_some_networks_alone() -> None:
    assert own_address(IPv4Network("127.0.0.0/8")) == "127.0.0.1"
    with pytest.raises(InputError, match=r"has no address in the network 203\.0\.113\.0/24"):
        own_address(IPv4Network("203.0.113.0/24"))
