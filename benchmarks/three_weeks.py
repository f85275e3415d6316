"""Three weeks of fifty raters, played in some minutes: python -m benchmarks.three_weeks [--quick].

A server in a process of its own keeps the time that this program tells it, and is asked over HTTP as browsers ask,
by all raters at once who do something within the same seconds. Raters practise, work in the morning and in the
afternoon, go home, log out, change devices, skip, take back, leave items in hand, and the server is killed in the
middle of their requests. Half of them come by a panel with signed links, a quota and a screen-out. Guidelines change
twice, one rater is paused for two days.

At the end nothing that was acknowledged may be lost or stand twice, no item may have more answers than it wants, no
link may have been made after the first day, and the pay report must add up with this program's own clock.
"""

import argparse
import heapq
import json
import mmap
import select
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from benchmarks.processes import processor_seconds

DAY, HOUR = 86_400.0, 3_600.0
BEGIN = datetime(2026, 3, 2, tzinfo=UTC).timestamp()  # a Monday
PASSWORD = "blue-teapot-19"
TOGETHER = 15.0
"""Within so many seconds what raters do happens at once: their requests meet at the server."""
AT_ONCE = 8
"""How many of them are under way at the same time."""


@dataclass(frozen=True)
class Size:
    """How much is played: raters, days, items a half-day of each, and how often the server is killed."""

    raters: int = 50
    days: int = 21
    items_a_session: int = 12
    kills: int = 15
    quota: int = 200


QUICK = Size(raters=8, days=4, items_a_session=5, kills=3, quota=12)


# ---- the server, with a clock of ours ----


class Clock:
    """Seconds since 1970 in a file that two processes share."""

    def __init__(self, path: Path, at: float | None = None) -> None:
        if at is not None:
            path.write_bytes(struct.pack("d", at))
        self._file = path.open("r+b")
        self._shared = mmap.mmap(self._file.fileno(), 8)

    def __call__(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])

    def set(self, at: float) -> None:
        self._shared[:8] = struct.pack("d", at)


def serve_here(folder: Path, port: int, told: Connection) -> None:
    """Serve a folder's station at a time that somebody else tells; its port is told once it is there."""
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    from rrm.queue import open_desk, people
    from rrm.web.server import serve
    from rrm.web.station import Station, WebSettings

    # a password's hash takes a browser's user a tenth of a second, and took this server half of all its time
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    people._hashing = lambda: quick
    plenty = 10**9  # limits count the machine's own minutes, in which days pass here
    limits = WebSettings(attempts_a_minute=plenty, answers_a_minute=plenty, requests_a_minute=plenty)
    clock = Clock(folder / "clock")
    with open_desk(folder / "run", clock=clock) as desk:
        station = Station(desk, limits, clock=clock)
        serve(station, "127.0.0.1", port, lambda address: told.send(urlsplit(address).port))


class Served:
    """A server in a process of its own, that can be killed at any time and is then started again at its port."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._context = get_context("forkserver")  # which imports once, however often the server starts
        self._context.set_forkserver_preload(["rrm.queue", "rrm.web.server"])
        self.kills, self._spent = 0, 0.0
        self._start(0)

    def kill(self) -> None:
        """Kill the server with SIGKILL, whatever it is doing."""
        with self._lock:
            self._spent += processor_seconds(self._process.pid or 0)
            self._process.kill()
            self._process.join()
            self.kills += 1

    def revive(self) -> None:
        """Start the server again if it was killed."""
        with self._lock:
            if self._process.exitcode is not None:
                assert self._process.exitcode == -9, "the server went by itself"
                self._start(self.port)

    def processor(self) -> float:
        """Return the seconds of processor time that the server has used, in all its lives."""
        return self._spent + processor_seconds(self._process.pid or 0)

    def _start(self, port: int) -> None:
        here, there = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=serve_here, args=(self._folder, port, there), daemon=True)
        self._process.start()
        there.close()
        self.port = int(here.recv())


class Reply(NamedTuple):
    """What a browser got."""

    status: int
    kind: str
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """A browser: one connection that is kept, and cookies."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._origin = f"http://127.0.0.1:{port}"
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Any) -> Reply:
        """Return the reply; OSError or HTTPException where the server went away before it was whole."""
        headers = {"Origin": self._origin}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if method != "GET":
            headers["Content-Type"] = "application/json"
        connection = self._connection
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the server has closed it
        try:
            connection.request(method, path, None if method == "GET" else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, HTTPException):
            connection.close()
            raise
        for each in response.headers.get_all("Set-Cookie") or ():
            name, _, value = each.partition(";")[0].partition("=")
            self._cookies[name] = value
        return Reply(response.status, response.headers.get_content_type(), text)


# ---- what is on record here, to be compared ----


@dataclass
class Ledger:
    """What was acknowledged, by this program's clock."""

    answers: dict[str, tuple[str, str]] = field(default_factory=dict)  # id: person and item
    undone: set[str] = field(default_factory=set)
    active: Counter[tuple[str, str]] = field(default_factory=Counter)  # (person, day): seconds
    wall: Counter[tuple[str, str]] = field(default_factory=Counter)
    since: dict[str, float] = field(default_factory=dict)  # lease: when it was handed out
    told: Counter[str] = field(default_factory=Counter)  # what happened, for the summary
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str) -> None:
        with self.lock:
            self.told[what] += 1

    def spent(self, person: str, lease: str, now: float, active: float) -> None:
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        self.wall[person, day] += now - self.since[lease]
        self.active[person, day] += active


# ---- raters ----


@dataclass
class Rater:
    """Somebody who rates: the link they were given, the password they chose, the browser in use."""

    name: str
    link: str
    chance: Random
    careful: bool
    id: str = ""
    client: Browser | None = None
    lease: dict[str, Any] | None = None
    over: str = ""  # how it ended, once it has
    by_panel: bool = False
    joined: bool = False


class Play:
    """The three weeks: events in the order of their times, each with its requests."""

    def __init__(self, size: Size, folder: Path, seed: int) -> None:
        self.size, self.chance, self.ledger = size, Random(seed), Ledger()
        self.clock = Clock(folder / "clock", BEGIN)
        self.run = folder / "run"
        self.now = BEGIN
        lay_items(self.run, size, self.clock)
        self.first_link = make_admin(self.run, self.clock)
        self.server = Served(folder)
        self.kills: set[int] = set()
        self.killers: list[threading.Timer] = []
        self.requests = 0
        self._numbers, self._keys = count(1), count(1)

    # -- asking --

    def browser(self) -> Browser:
        return Browser(self.server.port)

    def ask(self, client: Browser, method: str, path: str, body: Any = None) -> Reply:
        """Ask as a page does: again until the server answers. Now and then it is killed while it is at it."""
        self.requests = number = next(self._numbers)
        if number in self.kills and self.now > BEGIN + DAY:  # on the first day come those whose links are good for once
            self.killers.append(threading.Timer(Random(number).uniform(0, 0.02), self.server.kill))
            self.killers[-1].start()
        while True:
            try:
                return client.ask(method, path, body)
            except (OSError, HTTPException):
                self.server.revive()

    def key(self) -> str:
        return f"key-{next(self._keys):08d}"

    # -- coming in --

    def enter(self, rater: Rater) -> bool:
        """Have somebody in, in whatever way they can by themselves; return whether they are in."""
        if rater.client is not None:
            answered = self.ask(rater.client, "GET", "/api/me")
            if answered.status == 200:
                return True
            self.ledger.note("sessions that had ended")
        new = rater.client is None or rater.chance.random() < 0.2
        if new:
            self.ledger.note("devices")
            rater.client = self.browser()
        assert rater.client is not None
        if rater.by_panel or not rater.joined:
            came = self._join(rater)
        else:
            keep = rater.chance.random() < 0.3
            body = {"name": rater.name, "password": PASSWORD, "keep": keep}
            came = self.ask(rater.client, "POST", "/api/login", body)
            self.ledger.note("log-ins with a password")
        assert came.status == 200, (rater.name, came.text)
        rater.id = self.ask(rater.client, "GET", "/api/me").json()["id"]
        return True

    def _join(self, rater: Rater) -> Reply:
        assert rater.client is not None
        parts = urlsplit(rater.link)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = {"token": parts.fragment, "agreed": self.consent, **query}
        came = self.ask(rater.client, "POST", "/api/join", body)
        if came.status == 200 and not rater.joined:
            rater.joined = True
            self.ledger.note("raters who joined")
            if came.json()["choose"] is not None:
                self.ask(rater.client, "POST", "/api/password", {"password": PASSWORD})
        return came

    # -- working --

    def follow(self, rater: Rater, following: Mapping[str, Any]) -> None:
        """Take note of what the server handed out, and read what has to be read first."""
        assert rater.client is not None
        while (asks := following["asks"]) is not None:
            if asks["consent"] is not None:
                self.ask(rater.client, "POST", "/api/consent", {"agreed": asks["consent"]["id"]})
            else:
                self.ask(rater.client, "POST", "/api/guidelines/read", {"version": asks["guideline"]["version"]})
                self.ledger.note("guidelines read")
            following = self.ask(rater.client, "POST", "/api/claim", {}).json()
        rater.lease = following["lease"]
        if rater.lease is not None:
            self.ledger.since.setdefault(rater.lease["id"], self.now)
        if following["done"] is not None:
            rater.over = following["done"]["outcome"]

    def rate(self, rater: Rater, seconds: float) -> None:
        """Answer the item in hand, or skip it, having spent so many seconds on it."""
        assert rater.client is not None and rater.lease is not None
        lease, active = rater.lease, round(0.8 * seconds, 3)
        if rater.chance.random() < 0.1:
            draft = {"draft": {"at": self.now, "answer": None}}
            self.ask(rater.client, "PUT", f"/api/leases/{lease['id']}/draft", draft)
        if not lease["practice"] and rater.chance.random() < 0.03:
            body: dict[str, Any] = {"key": self.key(), "reason": "I do not know enough about this"}
            sent = self.ask(rater.client, "POST", f"/api/leases/{lease['id']}/skip", body)
            active = 0.0
        else:
            right = rater.careful or rater.chance.random() < 0.5
            best = max((0, 1), key=lambda place: lease["outputs"][place]["text"].startswith("good"))
            answer = {"kind": "comparison", "better": best if right else 1 - best, "strength": None, "both_bad": False}
            answered = {"shown": lease["questions"][0]["shown"], "answer": answer, "seconds": active}
            body = {"key": self.key(), "answers": [answered]}
            sent = self.ask(rater.client, "POST", f"/api/leases/{lease['id']}/answer", body)
        if sent.status == 409:  # the item was held for too long
            self.ledger.note("answers that came too late")
            self.follow(rater, self.ask(rater.client, "POST", "/api/claim", {}).json())
            return
        assert sent.status == 200, sent.text
        self.ledger.spent(rater.id, lease["id"], self.now, active)
        if "id" in sent.json():
            self.ledger.answers[sent.json()["id"]] = (rater.id, lease["item"])
            if not lease["practice"] and rater.chance.random() < 0.02:
                self.take_back(rater, sent.json()["id"])
                return
        else:
            self.ledger.note("skips")
        self.follow(rater, sent.json()["next"])

    def take_back(self, rater: Rater, answer: str) -> None:
        assert rater.client is not None
        undone = self.ask(rater.client, "POST", "/api/undo", {"answer": answer})
        assert undone.status == 200, undone.text
        self.ledger.undone.add(answer)
        rater.lease = undone.json()["lease"]
        assert rater.lease is not None
        self.ledger.since.setdefault(rater.lease["id"], self.now)

    def session(self, rater: Rater, most: int) -> Iterator[float]:
        """Play a half-day; yields the seconds until the next request, so that others come between."""
        if rater.over or not self.enter(rater):
            return
        assert rater.client is not None
        self.follow(rater, self.ask(rater.client, "POST", "/api/claim", {}).json())
        for _ in range(most):
            if rater.lease is None:
                break
            seconds = rater.chance.lognormvariate(3.7, 0.6)
            if rater.chance.random() < 0.01:
                seconds += 1_000  # held for longer than the lease lasts
            yield seconds
            self.rate(rater, min(seconds, 600.0))
        if rater.chance.random() < 0.3:
            self.ask(rater.client, "POST", "/api/logout", {})
            self.ledger.note("log-outs")

    # -- the weeks --

    def play(self) -> dict[str, Any]:
        admin = self.browser()
        parts = urlsplit(self.first_link)
        page = self.ask(admin, "GET", "/join").text
        self.consent = page.partition('data-agreed="')[2].partition('"')[0]
        came = self.ask(admin, "POST", "/api/join", {"token": parts.fragment, "agreed": self.consent})
        assert came.status == 200, came.text
        self.ask(admin, "POST", "/api/admin/password", {"password": f"{PASSWORD}-{PASSWORD}"})
        raters = self._invited(admin)
        events: list[tuple[float, int, Any]] = []
        number = 0

        def plan(at: float, event: Any) -> None:
            nonlocal number
            number += 1
            heapq.heappush(events, (at, number, event))

        for day in range(self.size.days):
            if day % 7 >= 5:
                continue
            for rater in raters:
                for begin in (8.5, 13.5):
                    if not day or rater.chance.random() < 0.9:
                        at = BEGIN + day * DAY + (begin + rater.chance.uniform(0, 0.5)) * HOUR
                        plan(at, self.session(rater, self.size.items_a_session))
        third = self.size.days // 3
        texts = ("Prefer what is true.", "Prefer what is true, then what is short.", "Prefer what is short.")
        for version, text in enumerate(texts):
            plan(BEGIN + version * third * DAY + 10 * HOUR, partial(self._guide, admin, text))
        paused = raters[0]
        plan(BEGIN + third * DAY + 12 * HOUR, partial(self._state, admin, paused, "paused"))
        plan(BEGIN + (third + 2) * DAY + 12 * HOUR, partial(self._state, admin, paused, "active"))
        expected = int(self.size.days * 5 / 7 * 2 * self.size.raters * self.size.items_a_session * 0.6)
        self.kills = set(self.chance.sample(range(200, max(400, expected)), self.size.kills))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while events:
                at, _, event = heapq.heappop(events)
                last, together = at, [] if callable(event) else [event]
                while together and events and events[0][0] < at + TOGETHER and not callable(events[0][2]):
                    now, _, more = heapq.heappop(events)
                    last, together = now, [*together, more]
                self.now = max(self.now, last)
                self.clock.set(self.now)
                if not together:
                    event()
                for each, seconds in zip(together, pool.map(_go_on, together), strict=True):
                    if seconds is not None:
                        plan(self.now + seconds, each)
        for killer in self.killers:
            killer.join()
        return self._compare(admin, raters)

    def _admin(self, admin: Browser, method: str, path: str, body: Any = None) -> Any:
        """Ask as the admin, who logs in again after nights."""
        answered = self.ask(admin, method, path, body)
        if answered.status == 401:
            came = self.ask(admin, "POST", "/api/login", {"name": "admin", "password": f"{PASSWORD}-{PASSWORD}"})
            assert came.status == 200, came.text
            answered = self.ask(admin, method, path, body)
        assert answered.status == 200, answered.text
        return answered.json() if answered.kind == "application/json" else answered.text

    def _guide(self, admin: Browser, text: str) -> None:
        self._admin(admin, "POST", "/api/admin/guidelines", {"text": text})
        self.ledger.note("versions of the guidelines")

    def _state(self, admin: Browser, rater: Rater, state: str) -> None:
        self._admin(admin, "POST", f"/api/admin/raters/{rater.id}/state", {"state": state})
        self.ledger.note("pauses and their ends")

    def _invited(self, admin: Browser) -> list[Rater]:
        """Invite half of the raters at once, and open a panel with signed links for the other half."""
        half = self.size.raters // 2
        names = [f"Rater {number}" for number in range(half)]
        added = self._admin(admin, "POST", "/api/admin/raters/several", {"names": names})["rows"]
        links = {row["name"]: row["link"] for row in added}
        ids = [f"p{number:03d}x" for number in range(self.size.raters - half)]
        panel = {"name": "Panel", "limit": len(ids), "quota": self.size.quota, "participants": ids, "signed": True}
        exits = {"completion_code": "DONE", "screen_out_code": "OUT"}
        signed = self._admin(admin, "POST", "/api/admin/panels", {**panel, **exits})["links"]
        careless = set(self.chance.sample(range(self.size.raters), max(1, self.size.raters // 10)))
        return [
            Rater(name, link, Random(number), number not in careless, by_panel=name in signed)
            for number, (name, link) in enumerate([*links.items(), *signed.items()])
        ]

    # -- the end --

    def _compare(self, admin: Browser, raters: list[Rater]) -> dict[str, Any]:
        """Compare the record with what was acknowledged; return what there is to tell, `faults` among it."""
        faults: list[str] = []
        text = self._admin(admin, "GET", "/api/admin/export/jsonl?answers=all")
        rows = [json.loads(line) for line in text.splitlines()]
        recorded = {row["id"]: (row["rater"], row["item"]) for row in rows}
        lost = {id: each for id, each in self.ledger.answers.items() if recorded.get(id) != each}
        if lost or len(rows) != len(recorded) or len(recorded) != len(self.ledger.answers):
            faults.append(f"{len(self.ledger.answers)} answers acknowledged, {len(rows)} on record, {len(lost)} lost")
        undone = {row["id"] for row in rows if row["state"] == "undone"}
        if undone != self.ledger.undone:
            faults.append(f"{len(self.ledger.undone)} answers taken back, {len(undone)} on record")
        live = [row for row in rows if row["state"] == "live" and row["purpose"] == "work"]
        twice = [pair for pair, count in Counter((row["rater"], row["item"]) for row in live).items() if count > 1]
        full = [item for item, count in Counter(row["item"] for row in live).items() if count > OVERLAP]
        if twice or full:
            faults.append(f"{len(twice)} answers stand twice, {len(full)} items have more answers than they want")
        faults += self._pay(admin)
        made = [
            entry
            for entry in self._audit(admin)
            if entry["what"] in ("invite person", "open panel", "reset password") and entry["at"] > BEGIN + DAY
        ]
        if made:
            faults.append(f"{len(made)} links were made after the first day")
        endings = Counter(rater.over or "still at it" for rater in raters)
        quotas = Counter(row["rater"] for row in rows if row["purpose"] != "practice" and row["state"] != "undone")
        over = [each.name for each in raters if each.by_panel and quotas[each.id] > self.size.quota]
        if over:
            faults.append(f"{len(over)} participants gave more answers than their quota")
        return {
            **self.ledger.told,
            "kills of the server": self.server.kills,
            "requests": self.requests,
            "answers": len(rows),
            "endings": dict(endings),
            "hours": round(sum(self.ledger.wall.values()) / HOUR, 1),
            "faults": faults,
        }

    def _pay(self, admin: Browser) -> list[str]:
        report = self._admin(admin, "GET", "/api/admin/hours?zone=UTC")
        active: dict[tuple[str, str], float] = {(row["person"], row["day"]): row["active_seconds"] for row in report}
        wall: dict[tuple[str, str], float] = {(row["person"], row["day"]): row["wall_seconds"] for row in report}
        faults = []
        for name, told, own in (("active", active, self.ledger.active), ("wall", wall, self.ledger.wall)):
            wrong = [key for key in {*told, *own} if abs(told.get(key, 0.0) - own.get(key, 0.0)) > 0.01]
            if wrong:
                key = wrong[0]
                faults.append(f"{name} seconds of {len(wrong)} days differ: {told.get(key)} told, {own.get(key)} spent")
        return faults

    def _audit(self, admin: Browser) -> Iterator[dict[str, Any]]:
        before = ""
        while True:
            page = self._admin(admin, "GET", f"/api/admin/audit?limit=500{before}")
            yield from page["entries"]
            if page["next"] is None:
                return
            before = f"&before={page['next']}"


OVERLAP = 3


def _go_on(session: Iterator[float]) -> float | None:
    return next(session, None)


def lay_items(run: Path, size: Size, clock: Clock) -> None:
    """Lay comparisons of which one output is good, known answers among them, in a new folder."""
    from rrm.core.annotation import Item, Purpose
    from rrm.core.place import Place
    from rrm.core.values import Comparison, Passage, Request, Shown, View
    from rrm.queue import open_desk
    from rrm.store.record import open_store

    def item(number: int, purpose: Purpose) -> Item:
        view = View(f"Which is better? ({number})", (Passage("A source."),), 50)
        shown = (Shown(f"g-{number}", f"good {number}"), Shown(f"b-{number}", f"bad {number}"))
        request = Request(f"n-{number}", "source", Place(), "comparison", view, shown)
        if purpose == "work":
            return Item(request, wanted=OVERLAP)
        return Item(request, purpose, expected=Comparison(0))

    answers = size.raters * size.days * 2 * size.items_a_session
    count = max(60, int(answers / OVERLAP))
    open_store(run).close()
    with open_desk(run, clock=clock) as desk:
        desk.change_settings({"overlap": OVERLAP, "consent": "We keep your answers.", "practice_items": 4}, "benchmark")
        desk.add_items([item(number, "work") for number in range(count)])
        desk.add_items([item(100_000 + number, "practice") for number in range(12)])
        desk.add_items([item(200_000 + number, "gold") for number in range(60)])


def make_admin(run: Path, clock: Clock) -> str:
    """Return the admin's link: the first, and the only one that is made by hand."""
    from rrm.queue import open_desk

    with open_desk(run, clock=clock) as desk:
        person = desk.add_person("admin", "admin", by="benchmark")
        return f"http://127.0.0.1/join#{desk.invite(person.id, 'benchmark')}"


def play(size: Size, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Play the weeks in a folder; return what happened, and under `faults` what was wrong."""
    began = time.monotonic()
    game = Play(size, folder, seed)
    try:
        told = game.play()
        seconds = game.server.processor() + time.process_time()
    finally:
        game.server.kill()
    return {**told, "seconds": round(time.monotonic() - began), "of processor time": round(seconds)}


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True)
        yield given
    else:
        memory = Path("/dev/shm")  # what is written there outlives a killed process, if no power cut
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
            yield Path(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="eight raters for four days")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a new folder to play in; by default a temporary one")
    asked = parser.parse_args()
    with _folder(asked.out) as folder:
        told = play(QUICK if asked.quick else Size(), folder, asked.seed)
    for name, each in told.items():
        print(f"{name}: {each}")
    sys.exit(1 if told["faults"] else 0)


if __name__ == "__main__":
    main()
