"""A process that takes answers in is killed again and again; no acknowledged answer is lost or doubled."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rrm.queue import open_desk
from rrm.store import open_store
from tests.queue.desk_problems import raters, work

KILLS = 20
CLIENTS = 8

STATION = """
import sys, threading
from rrm.core.annotation import Submission
from rrm.core.values import Comparison
from rrm.queue import open_desk

said = threading.Lock()

def rate(desk, person):
    while (lease := desk.claim(person)) is not None:
        key = f"key of {lease.id}"
        for _ in range(2):  # as a page does that heard nothing
            [given] = desk.submit(person, lease.id, [Submission(Comparison(0), lease.first.shown)], key)
        with said:
            sys.stdout.write(f"{given.id} {person} {lease.first.request.id}\\n")
            sys.stdout.flush()

with open_desk(sys.argv[1]) as desk:
    clients = [threading.Thread(target=rate, args=(desk, person)) for person in sys.argv[2:]]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
"""


def acknowledged_until_killed(folder: Path, people: list[str], chance: random.Random) -> list[list[str]]:
    """Let a process rate, kill it at some moment after its first answer, and return what it acknowledged."""
    command = [sys.executable, "-c", STATION, str(folder), *people]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as station:
        assert station.stdout is not None
        first = station.stdout.readline()
        time.sleep(chance.uniform(0.0, 1.0))
        station.send_signal(signal.SIGKILL)
        said = first + station.stdout.read()
    return [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_acknowledged_answer_is_lost_or_doubled_by_kills(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with open_desk(tmp_path) as desk:
        desk.add_items(work(*range(4_000), wanted=2))
        people = raters(desk, CLIENTS)
    chance = random.Random(0)
    acknowledged: list[list[str]] = []
    for _ in range(KILLS):
        acknowledged += acknowledged_until_killed(tmp_path, people, chance)
    assert len(acknowledged) > 20 * KILLS

    with open_desk(tmp_path) as desk:
        answers = list(desk.answers())
        recorded = Counter((each.id, each.person, each.item) for each in answers)
        assert {tuple(each) for each in acknowledged} <= set(recorded)
        assert set(recorded.values()) == {1}
        assert max(Counter((each.person, each.item) for each in answers).values()) == 1
        assert max(Counter(each.item for each in answers).values()) <= 2
        # what was recorded and never said is at most what each client waited for at each kill
        assert len(answers) - len(acknowledged) <= KILLS * CLIENTS
        held = sum(each.held for each in desk.progress())
        assert held <= CLIENTS
        (progress,) = desk.progress()
        assert progress.answers == len(answers)
    with sqlite3.connect(tmp_path / "record.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
