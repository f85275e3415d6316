"""Three weeks of fifty raters, played in about ten minutes: python -m benchmarks.three_weeks [--quick].

A server in a process of its own keeps the time that this program tells it, and is asked over HTTP as browsers ask.
Raters practise, work in the morning and in the afternoon, go home, log out, change devices, skip, take back, leave
items in hand, and are killed in the middle of requests together with the server. Half of them come by a panel with
signed links, a quota and a screen-out. Guidelines change twice, one rater is paused for two days.

At the end nothing that was acknowledged may be lost or stand twice, no item may have more answers than it wants, no
link may have been made after the first day, and the pay report must add up with this program's own clock.
"""

import argparse
import heapq
import json
import mmap
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

DAY, HOUR = 86_400.0, 3_600.0
BEGIN = datetime(2026, 3, 2, tzinfo=UTC).timestamp()  # a Monday
PASSWORD = "blue-teapot-19"
OPEN_PORT = 0


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


def serve_here(directory: Path, port: int, clock: Clock) -> None:
    """Serve a folder's station at a time that somebody else tells."""
    from rrm.queue import open_desk
    from rrm.web.server import serve
    from rrm.web.station import Station, WebSettings

    plenty = 10**9  # limits count the machine's own minutes, in which days pass here
    limits = WebSettings(attempts_a_minute=plenty, answers_a_minute=plenty, requests_a_minute=plenty)
    with open_desk(directory, clock=clock) as desk:
        station = Station(desk, limits, clock=clock)
        serve(station, "127.0.0.1", port, lambda address: print(address, flush=True))


class Served:
    """A server in a process of its own, that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = self._started(OPEN_PORT)
        self.address = self._told()

    def kill(self) -> None:
        """Kill the server with SIGKILL, whatever it is doing."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        self._process = self._started(int(self.address.rpartition(":")[2]))
        self._told()

    def _started(self, port: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "benchmarks.three_weeks", "--serve", str(self._folder), str(port)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])

    def _told(self) -> str:
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        assert address.startswith("http://"), "the server did not start"
        return address


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
    client: httpx.Client | None = None
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
        self.requests = 0
        self._keys = 0

    # -- asking --

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.address, headers={"Origin": self.server.address}, timeout=60)

    def ask(self, client: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask as a page does: again until the server answers. Now and then it is killed while it is at it."""
        self.requests += 1
        self.clock.set(self.now)
        killer: threading.Timer | None = None
        if self.requests in self.kills:
            killer = threading.Timer(self.chance.uniform(0, 0.02), self.server.kill)
            killer.start()
        while True:
            try:
                return client.request(method, path, json=body if method != "GET" else None)
            except httpx.TransportError:
                assert killer is not None, "the server went by itself"
            finally:
                if killer is not None and killer.ident is not None:
                    killer.join()
                    self.server.restart()
                    self.ledger.told["kills of the server"] += 1
                    killer = threading.Timer(0, lambda: None)

    def key(self) -> str:
        self._keys += 1
        return f"key-{self._keys:08d}"

    # -- coming in --

    def enter(self, rater: Rater) -> bool:
        """Have somebody in, in whatever way they can by themselves; return whether they are in."""
        if rater.client is not None:
            answered = self.ask(rater.client, "GET", "/api/me")
            if answered.status_code == 200:
                return True
            self.ledger.told["sessions that had ended"] += 1
        new = rater.client is None or rater.chance.random() < 0.2
        if new:
            self.ledger.told["devices"] += 1
            rater.client = self.browser()
        assert rater.client is not None
        if rater.by_panel or not rater.joined:
            came = self._join(rater)
        else:
            keep = rater.chance.random() < 0.3
            body = {"name": rater.name, "password": PASSWORD, "keep": keep}
            came = self.ask(rater.client, "POST", "/api/login", body)
            self.ledger.told["log-ins with a password"] += 1
        assert came.status_code == 200, (rater.name, came.text)
        rater.id = self.ask(rater.client, "GET", "/api/me").json()["id"]
        return True

    def _join(self, rater: Rater) -> httpx.Response:
        assert rater.client is not None
        parts = urlsplit(rater.link)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = {"token": parts.fragment, "agreed": self.consent, **query}
        came = self.ask(rater.client, "POST", "/api/join", body)
        if came.status_code == 200 and not rater.joined:
            rater.joined = True
            self.ledger.told["raters who joined"] += 1
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
                self.ledger.told["guidelines read"] += 1
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
        if sent.status_code == 409:  # the item was held for too long
            self.ledger.told["answers that came too late"] += 1
            self.follow(rater, self.ask(rater.client, "POST", "/api/claim", {}).json())
            return
        assert sent.status_code == 200, sent.text
        self.ledger.spent(rater.id, lease["id"], self.now, active)
        if "id" in sent.json():
            self.ledger.answers[sent.json()["id"]] = (rater.id, lease["item"])
            if not lease["practice"] and rater.chance.random() < 0.02:
                self.take_back(rater, sent.json()["id"])
                return
        else:
            self.ledger.told["skips"] += 1
        self.follow(rater, sent.json()["next"])

    def take_back(self, rater: Rater, answer: str) -> None:
        assert rater.client is not None
        undone = self.ask(rater.client, "POST", "/api/undo", {"answer": answer})
        assert undone.status_code == 200, undone.text
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
            self.ledger.told["log-outs"] += 1

    # -- the weeks --

    def play(self) -> dict[str, Any]:
        admin = self.browser()
        parts = urlsplit(self.first_link)
        page = self.ask(admin, "GET", "/join").text
        self.consent = page.partition('data-agreed="')[2].partition('"')[0]
        came = self.ask(admin, "POST", "/api/join", {"token": parts.fragment, "agreed": self.consent})
        assert came.status_code == 200, came.text
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
                    if rater.chance.random() < 0.9:
                        at = BEGIN + day * DAY + (begin + rater.chance.uniform(0, 2)) * HOUR
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
        while events:
            at, _, event = heapq.heappop(events)
            self.now = max(self.now, at)
            if callable(event):
                event()
            elif (seconds := next(event, None)) is not None:
                plan(self.now + seconds, event)
        return self._compare(admin, raters)

    def _admin(self, admin: httpx.Client, method: str, path: str, body: Any = None) -> Any:
        """Ask as the admin, who logs in again after nights."""
        answered = self.ask(admin, method, path, body)
        if answered.status_code == 401:
            came = self.ask(admin, "POST", "/api/login", {"name": "admin", "password": f"{PASSWORD}-{PASSWORD}"})
            assert came.status_code == 200, came.text
            answered = self.ask(admin, method, path, body)
        assert answered.status_code == 200, answered.text
        return answered.json() if answered.headers["content-type"].startswith("application/json") else answered.text

    def _guide(self, admin: httpx.Client, text: str) -> None:
        self._admin(admin, "POST", "/api/admin/guidelines", {"text": text})
        self.ledger.told["versions of the guidelines"] += 1

    def _state(self, admin: httpx.Client, rater: Rater, state: str) -> None:
        self._admin(admin, "POST", f"/api/admin/raters/{rater.id}/state", {"state": state})
        self.ledger.told["pauses and their ends"] += 1

    def _invited(self, admin: httpx.Client) -> list[Rater]:
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

    def _compare(self, admin: httpx.Client, raters: list[Rater]) -> dict[str, Any]:
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
            "requests": self.requests,
            "answers": len(rows),
            "endings": dict(endings),
            "hours": round(sum(self.ledger.wall.values()) / HOUR, 1),
            "faults": faults,
        }

    def _pay(self, admin: httpx.Client) -> list[str]:
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

    def _audit(self, admin: httpx.Client) -> Iterator[dict[str, Any]]:
        before = ""
        while True:
            page = self._admin(admin, "GET", f"/api/admin/audit?limit=500{before}")
            yield from page["entries"]
            if page["next"] is None:
                return
            before = f"&before={page['next']}"


OVERLAP = 3


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
    finally:
        game.server.kill()
    return {**told, "seconds": round(time.monotonic() - began)}


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True)
        yield given
    else:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="eight raters for four days")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a new folder to play in; by default a temporary one")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        folder = Path(asked.serve[0])
        serve_here(folder / "run", int(asked.serve[1]), Clock(folder / "clock"))
        return
    with _folder(asked.out) as folder:
        told = play(QUICK if asked.quick else Size(), folder, asked.seed)
    for name, each in told.items():
        print(f"{name}: {each}")
    sys.exit(1 if told["faults"] else 0)


if __name__ == "__main__":
    main()
