"""People who answer while something fails: several `rrm annotate` over one record, and raters who ask them over HTTP.

For `benchmarks.chaos` and `benchmarks.forty`. Raters are threads, each of whose requests goes to any of the pages, as
behind a proxy; they send what was not acknowledged again, with the same key.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rrm.api.annotate import station_desk
from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.values import Comparison, Passage, Request, Shown, View
from tests.web.insisting import Rater

WANTED = 3
"""Answers to each question."""
LIMITS = ("answers_a_minute=1000000", "requests_a_minute=1000000", "attempts_a_minute=1000000")


_MOTHER = """
import json, os, signal, sys
import psycopg, rrm.api.annotate, rrm.queue.nodes, rrm.web.server
from rrm.cli.main import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for asked in sys.stdin:  # all is imported already, so that pages are there at once
    page = os.fork()
    if page == 0:
        said = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(said, stream)
        sys.argv = json.loads(asked)
        main()
        os._exit(0)
    print(page, flush=True)
"""


class Pages:
    """`rrm annotate` at so many ports, each in a process of its own that can be killed and is begun again."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._log = folder, folder.parent / "pages"
        self._mother = subprocess.Popen(
            [sys.executable, "-c", _MOTHER, str(self._log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        self._ports = [int(each.getsockname()[1]) for each in held]
        for each in held:
            each.close()
        self.addresses = [f"http://127.0.0.1:{port}" for port in self._ports]
        self._processes = [self._begun(port) for port in self._ports]
        for number in range(count):
            self._wait(number)

    def kill(self, number: int) -> None:
        """Kill one with SIGKILL, whatever it is doing, and begin it again."""
        os.kill(self._processes[number], signal.SIGKILL)
        while Path(f"/proc/{self._processes[number]}").exists():
            time.sleep(0.01)
        self._processes[number] = self._begun(self._ports[number])
        self._wait(number)

    def said(self) -> str:
        """Return what all of them said."""
        return self._log.read_text()

    def close(self) -> None:
        for each in self._processes:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGTERM)
        while any(Path(f"/proc/{each}").exists() for each in self._processes):
            time.sleep(0.05)
        self._mother.communicate()

    def _begun(self, port: int) -> int:
        assert self._mother.stdin is not None and self._mother.stdout is not None
        limits = [part for limit in LIMITS for part in ("--limit", limit)]
        command = ["rrm", "annotate", str(self._folder), "--port", str(port), "--no-link", *limits]
        self._mother.stdin.write(json.dumps(command) + "\n")
        self._mother.stdin.flush()
        return int(self._mother.stdout.readline())

    def _wait(self, number: int) -> None:
        """Wait until one takes connections."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._ports[number])).close()
                return
            except OSError:
                if not Path(f"/proc/{self._processes[number]}").exists():
                    raise RuntimeError(f"rrm annotate ended: {self.said()}") from None
                time.sleep(0.02)


def questions(count: int) -> Iterator[Item]:
    """Return comparisons of two outputs."""
    view = View("Which is the better summary?", (Passage("The keeper went down to the shore. " * 20),), 100)
    for number in range(count):
        shown = tuple(Shown(f"output-{number}-{place}", f"text {place}") for place in range(2))
        yield Item(Request(f"node-{number}", "source", Place(), "comparison", view, shown), wanted=WANTED)


@contextmanager
def raters(
    folder: Path, url: str, pages: int, people: int, items: int, think: tuple[float, float] = (0.0, 0.0)
) -> Iterator[tuple[Pages, list[Rater]]]:
    """Have people answer over pages of a new record; yields both, and ends the raters, then the pages."""
    with station_desk(folder, url) as desk:
        desk.add_items(list(questions(items)))
        persons = desk.add_persons([(f"Rater {number}", "annotator", "") for number in range(people)], by="benchmark")
        sessions = [desk.join(desk.invite(each.id, "benchmark")) for each in persons]
    served, stop = Pages(folder, pages), threading.Event()
    several = [
        Rater(f"rater-{number}", served.addresses, session, pause=0.1, think=think)
        for number, session in enumerate(sessions)
    ]
    threads = [threading.Thread(target=each.work, args=(stop,), daemon=True) for each in several]
    try:
        for thread in threads:
            thread.start()
        yield served, several
        stop.set()
        for thread in threads:
            thread.join(300)
        if wrong := [f"{each.failed}" for each in several if each.failed]:
            raise RuntimeError(f"raters failed: {wrong[0]}\n{served.said()[-3000:]}")
        if any(thread.is_alive() for thread in threads):
            raise RuntimeError(f"a rater got no answer for five minutes\n{served.said()[-3000:]}")
    finally:
        stop.set()
        served.close()


def done(several: Sequence[Rater]) -> int:
    """Return how many answers were acknowledged."""
    return sum(len(each.acknowledged) for each in several)


def wait(several: Sequence[Rater], answers: int) -> bool:
    """Wait until so many more answers were acknowledged; return whether anybody still works."""
    wanted = done(several) + answers
    until = time.monotonic() + 240
    while done(several) < wanted and not any(each.failed for each in several):
        if time.monotonic() > until:
            raise RuntimeError(f"{done(several)} answers, and none for four minutes")
        time.sleep(0.002)
    return done(several) >= wanted


class Found(NamedTuple):
    """What is on record beside what was acknowledged."""

    acknowledged: int
    lost: int
    doubled: int
    equal: bool


def compared(folder: Path, several: Sequence[Rater]) -> Found:
    """Compare what is on record with what was acknowledged: each answer once, as it was sent, and no others.

    Lost is what was acknowledged and is not there as it was sent; doubled is what somebody answered twice, or was
    answered once too often.
    """
    told = {id_: answer for each in several for id_, answer in each.acknowledged.items()}
    with station_desk(folder) as desk:
        given = list(desk.answers())
    there: dict[str, tuple[str, int]] = {}
    for each in given:
        assert isinstance(each.answer, Comparison)
        there[each.id] = each.item, each.order.index(each.answer.better)
    lost = sum(there.get(id_) != answer for id_, answer in told.items())
    per_rater = Counter((each.item, each.person) for each in given)
    per_item = Counter(each.item for each in given)
    doubled = sum(n - 1 for n in per_rater.values()) + sum(max(0, n - WANTED) for n in per_item.values())
    return Found(len(told), lost, doubled, there == told and not doubled)
