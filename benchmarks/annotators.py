"""The annotator's station under load: how long raters wait for the next item, and the server's pages and exports.

(a) Simulated raters join over HTTP, read for a second or so, save a draft and answer, while an admin's pages
are open. (b) Many items with three answers each: the next item, the admin's pages, and the streamed exports.
Clients and server share the machine. `rrm annotate` serves in a process of its own, from a record that is
made for this and thrown away.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np

from benchmarks.driver import sync_microseconds
from benchmarks.processes import processor_seconds
from rrm.api.annotate import station_desk
from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Passage, Ranking, Rated, Rating, Request, Shown, View

KINDS = ("comparison", "rating", "label", "ranking")
CRITERIA = ("overall", "accuracy", "coverage", "coherence")
WANTED = 3
SENTENCE = "The keeper of the lamp went down to the shore and found the boat gone. "
LIMITS = ("answers_a_minute=1000000", "requests_a_minute=1000000", "attempts_a_minute=1000000")
ADMIN_SECONDS = 5.0
"""Between two looks of the admin's open page."""

EXPORTS = ("jsonl", "csv", "trl", "parquet")
CHUNK = 5_000
RATERS = 60
PATTERN = 240
"""After so many items their answers repeat, by other raters."""


class Server(NamedTuple):
    """A station that serves: its process, its address, and the token of the admin's link."""

    process: subprocess.Popen[str]
    address: str
    token: str

    def memory(self) -> float:
        """Return the megabytes that the process holds (VmRSS)."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """Return the most megabytes that it held since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def processor(self) -> float:
        """Return the seconds of processor time that it has used."""
        return processor_seconds(self.process.pid)

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


@contextmanager
def served(directory: Path) -> Iterator[Server]:
    """Serve a folder's station on a free port, with the limits out of the way."""
    command = [sys.executable, "-m", "rrm", "annotate", str(directory), "--port", "0", "--link"]
    command += [part for limit in LIMITS for part in ("--limit", limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if "/join#" in line), None)
            if line is None:
                raise SystemExit("rrm annotate ended before it served anything: what it said stands above")
            address, _, token = line.split()[-1].partition("/join#")
            yield Server(process, address, token)
        finally:
            process.terminate()


# ---- items and raters ----


def request(number: int) -> Request:
    """Return a question about one of three outputs of a node, of a kind in turn."""
    kind, node = KINDS[number % len(KINDS)], f"node-{number // 4:06d}"
    outputs = {"comparison": 2, "ranking": 4}.get(kind, 1)
    view = View("Sum up the passage in one sentence.", (Passage(SENTENCE * 6 + f"({number})", node),), 40)
    shown = tuple(Shown(f"output-{number}-{at}", f"{SENTENCE}({at})") for at in range(outputs))
    return Request(node, f"source-{number // 400}", Place(level=number // 4 % 2), kind, view, shown)


def answer_of(kind: str, draw: random.Random) -> Answer:
    """Return an answer to one of our own questions, right more often than not."""
    usual = draw.random() < 0.8
    if kind == "comparison":
        return Comparison(0 if usual else 1)
    if kind == "ranking":
        return Ranking((0, 1, 2, 3) if usual else (3, 1, 2, 0))
    return Rating(draw.choice((4, 5, 6)) if usual else 1) if kind == "rating" else Label(usual)


def sent(kind: str, draw: random.Random) -> dict[str, Any]:
    """Return an answer as a page sends it."""
    bodies: dict[str, dict[str, Any]] = {
        "comparison": {"better": draw.randrange(2), "strength": draw.random(), "both_bad": False},
        "ranking": {"best_first": draw.sample(range(4), 4)},
        "rating": {"value": draw.randint(1, 7)},
        "label": {"good": draw.random() < 0.7},
    }
    return {"kind": kind, **bodies[kind]}


def sheet(number: int, questions: int) -> list[Item]:
    """Return so many questions about one view on one screen: a comparison, then ratings by as many criteria."""
    first = request(len(KINDS) * number)
    asked = [first] + [
        replace(first, kind="rating", shown=first.shown[at % 2 :][:1], criterion=CRITERIA[at // 2])
        for at in range(questions - 1)
    ]
    return [Item(each, wanted=WANTED, sheet=str(number)) for each in asked]


def prepare(directory: Path, items: int, raters: int, questions: int = 1) -> list[str]:
    """Record items (sheets of so many questions) and raters, and return the raters' one-use tokens."""
    with station_desk(directory) as desk:
        for start in range(0, items, CHUNK):
            numbers = range(start, min(start + CHUNK, items))
            # of eight and eight in turn the second wants one more answer than `answer_all` gives it
            if questions == 1:
                desk.add_items([Item(request(number), wanted=WANTED + number // 8 % 2) for number in numbers])
            else:
                desk.add_items([each for number in numbers for each in sheet(number, questions)])
        persons = [desk.add_person(f"Rater {number}", by="benchmark") for number in range(raters)]
        return [desk.invite(person.id, "benchmark") for person in persons]


def answer_all(directory: Path) -> int:
    """Give every item three answers, by sixty raters in turn, and return how many answers that makes.

    The desk enters those of the first items; the rest are copies, written to the database at once: one by
    one 300,000 take a quarter of an hour.
    """
    draw = random.Random(0)
    with station_desk(directory) as desk:
        asked = [request(number) for number in range(PATTERN)]
        rated = [
            Rated(each, Feedback(each.id, f"rater-{(at + 7 * copy) % RATERS}", answer_of(each.kind, draw), 6.0))
            for at, each in enumerate(asked)
            for copy in range(WANTED)
        ]
        desk.enter(rated, "benchmark")
    with closing(sqlite3.connect(directory / "record.db")) as database, database:
        database.row_factory = sqlite3.Row
        items = [dict(row) for row in database.execute("SELECT * FROM item ORDER BY seq")]
        leases = {row["id"]: dict(row) for row in database.execute("SELECT * FROM lease")}
        given: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in database.execute("SELECT * FROM given ORDER BY seq"):
            given[row["item"]].append(dict(row))
        for start in range(PATTERN, len(items), CHUNK):
            places = range(start, min(start + CHUNK, len(items)))
            copies = [
                _copied(items[at], one, leases[one["lease"]], number=at * WANTED + copy)
                for at in places
                for copy, one in enumerate(given[items[at % PATTERN]["id"]])
            ]
            for name, rows in zip(("lease", "given"), zip(*copies, strict=True), strict=True):
                columns = ", ".join(f'"{column}"' for column in rows[0])
                values = ", ".join(f":{column}" for column in rows[0])
                database.executemany(f"INSERT INTO {name} ({columns}) VALUES ({values})", rows)
            counted = [
                {**items[at], **{name: items[at % PATTERN][name] for name in ("taken", "given", "disagreement")}}
                for at in places
            ]
            update = "UPDATE item SET taken = :taken, given = :given, disagreement = :disagreement WHERE seq = :seq"
            database.executemany(update, counted)
    return WANTED * len(items)


def _copied(item: dict[str, Any], given: dict[str, Any], lease: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return the rows of a lease and its answer, as those that are given, about another item and by another rater."""
    person = f"rater-{(int(given['person'][6:]) + number // PATTERN) % RATERS}"
    about = {"item": item["id"], "person": person}
    answer = {"seq": number + 1, "key": f"copied-{number}", "lease": f"lease-copied-{number}", "node": item["node"]}
    return [
        {**lease, **about, "id": f"lease-copied-{number}", "question": item["question"]},
        {**given, **about, **answer, "id": f"given-copied-{number}"},
    ]


# ---- clients ----


class Client:
    """One browser: its session, and how long each kind of request took."""

    def __init__(self, address: str, took: dict[str, list[float]], errors: list[str]) -> None:
        self._http = httpx.AsyncClient(base_url=address, headers={"origin": address}, timeout=60)
        self._took, self._errors = took, errors

    async def ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON, None where it was an error, which is noted."""
        began = time.perf_counter()
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            self._errors.append(f"{name}: {type(error).__name__}")
            return None
        self._took[name].append(time.perf_counter() - began)
        if response.is_error:
            self._errors.append(f"{name}: {response.status_code} {response.text[:100]}")
            return None
        return response.json() if "json" in response.headers["content-type"] else response.text

    async def join(self, token: str) -> None:
        await self.ask("join", "POST", "/api/join", {"token": token})

    async def close(self) -> None:
        await self._http.aclose()


async def rate(client: Client, token: str, until: Callable[[int], bool], think: tuple[float, float], seed: int) -> int:
    """Join and rate until told, or until nothing is left; return how many answers were acknowledged."""
    draw = random.Random(seed)
    done = 0
    await asyncio.sleep(draw.uniform(0, think[1]))  # nobody opens the link at the same instant
    await client.join(token)
    found = await client.ask("claim", "POST", "/api/claim", {})
    while found and (lease := found["lease"]) and not until(done):
        seconds = draw.uniform(*think)
        await asyncio.sleep(seconds / 2)
        said = [sent(each["kind"], draw) for each in lease["questions"]]
        await client.ask("save a draft", "PUT", f"/api/leases/{lease['id']}/draft", {"draft": {"answer": said[0]}})
        await asyncio.sleep(seconds / 2)
        answers = [
            {"shown": each["shown"], "answer": answer, "seconds": seconds / len(said)}
            for each, answer in zip(lease["questions"], said, strict=True)
        ]
        body = {"key": f"{lease['id']}.1", "answers": answers}
        told = await client.ask("answer to next item", "POST", f"/api/leases/{lease['id']}/answer", body)
        done += told is not None
        found = told["next"] if told else await client.ask("claim", "POST", "/api/claim", {})
    return done


async def look(client: Client, token: str, end: float) -> None:
    """Keep the admin's pages open: the overview, the raters and the agreement, in turn."""
    await client.join(token)
    while time.monotonic() < end:
        for page in ("places", "raters", "agreement"):
            await client.ask(f"admin: {page}", "GET", f"/api/admin/{page}")
        await asyncio.sleep(ADMIN_SECONDS)


def table(took: dict[str, list[float]]) -> None:
    print(f"{'request':<22}  {'count':>7}  {'p50 ms':>8}  {'p95 ms':>8}  {'p99 ms':>8}  {'most ms':>8}")
    for name, seconds in sorted(took.items()):
        found = np.quantile(np.array(seconds) * 1e3, [0.5, 0.95, 0.99, 1])
        print(f"{name:<22}  {len(seconds):>7,}  " + "  ".join(f"{each:>8.1f}" for each in found))


def tell_errors(errors: Sequence[str]) -> None:
    print(f"errors: {len(errors)}" + "".join(f"\n  {each}" for each in errors[:5]))


# ---- (a) ----


async def crowd(server: Server, tokens: list[str], minutes: float, think: tuple[float, float]) -> None:
    took: dict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    clients = [Client(server.address, took, errors) for _ in range(len(tokens) + 1)]
    began, end = time.monotonic(), time.monotonic() + 60 * minutes
    memory: list[tuple[float, float]] = []
    used, own = server.processor(), time.process_time()

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append((time.monotonic() - began, server.memory()))
            await asyncio.sleep(min(5.0, max(end - time.monotonic(), 0.01)))
        memory.append((time.monotonic() - began, server.memory()))

    jobs: list[Awaitable[Any]] = [
        rate(client, token, lambda _: time.monotonic() >= end, think, seed)
        for seed, (client, token) in enumerate(zip(clients, tokens, strict=False))
    ]
    *done, _, _ = await asyncio.gather(*jobs, look(clients[-1], server.token, end), watch())
    seconds = time.monotonic() - began
    for client in clients:
        await client.close()
    print(f"{sum(done):,} answers by {len(tokens)} raters in {seconds:.0f} s, {sum(done) / seconds:.1f} a second")
    shares = (server.processor() - used) / seconds, (time.process_time() - own) / seconds
    print("the server used {:.0%} of one core, the clients, whose own waiting counts, {:.0%}".format(*shares))
    table(took)
    tell_errors(errors)
    at, held = np.array([each for each in memory if each[0] >= seconds / 10] or memory).T
    slope = float(np.polyfit(at, held, 1)[0]) * 60 if len(at) > 2 else float("nan")
    first, middle, last = memory[0][1], memory[len(memory) // 2][1], memory[-1][1]
    print(
        f"server's memory: {first:.0f} MB at the start, {middle:.0f} in the middle, {last:.0f} at the end;"
        f" after the first tenth it grew by {slope:.2f} MB a minute"
    )


# ---- (b) ----


async def alone(server: Server, token: str, answers: int, times: int) -> None:
    """Ask for one thing after another, with nobody else there."""
    took: dict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    rater, admin = Client(server.address, took, errors), Client(server.address, took, errors)
    await rate(rater, token, lambda done: done >= answers, (0.0, 0.0), 0)
    await admin.join(server.token)
    await _computed(admin)
    pages = {
        "admin: places": "/api/admin/places",
        "admin: raters": "/api/admin/raters",
        "admin: agreement": "/api/admin/agreement",
        "admin: items": "/api/admin/items?limit=50",
        "admin: complete items": "/api/admin/items?state=complete&place=0/answer/1&kind=label",
        "admin: items by text": "/api/admin/items?text=boat",
        "admin: text not there": "/api/admin/items?text=crocodile",
        "admin: disputed": "/api/disputed",
        "admin: page": "/admin",
        "work: page": "/work",
    }
    for name, path in pages.items():
        for _ in range(times):
            await (rater if name.startswith("work") else admin).ask(name, "GET", path)
    for client in (rater, admin):
        await client.close()
    del took["join"]
    table(took)
    tell_errors(errors)


async def _computed(admin: Client) -> None:
    """Say how long it takes, in the background, until agreement and raters' statistics are there at first."""
    began = time.perf_counter()
    while not (await admin.ask("admin: agreement", "GET", "/api/admin/agreement"))["computed"]:
        await asyncio.sleep(0.1)
    print(f"agreement and statistics of all answers, in the background: {time.perf_counter() - began:.1f} s")


def exports(server: Server, directory: Path, answers: int) -> None:
    """Stream every export, and say how fast it came and how much the server held."""
    with httpx.Client(base_url=server.address, headers={"origin": server.address}, timeout=600) as client:
        with station_desk(directory) as desk:
            reader = desk.add_person("Reader", "reader", by="benchmark")
            token = desk.invite(reader.id, "benchmark")
        client.post("/api/join", json={"token": token}).raise_for_status()
        heads = f"{'export':<8}  {'rows':>8}  {'rows/s':>8}  {'MB':>6}  {'seconds':>7}  {'of CPU':>6}"
        print(f"{heads}  {'before MB':>9}  {'most MB':>8}")
        for form in EXPORTS:
            before, used = server.memory(), server.processor()
            server.forget_peak()
            began = time.perf_counter()
            size = lines = 0
            with client.stream("GET", f"/api/admin/export/{form}") as response:
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    lines += chunk.count(b"\n")
            seconds = time.perf_counter() - began
            rows = {"parquet": answers, "csv": lines - 1}.get(form, lines)
            print(
                f"{form:<8}  {rows:>8,}  {rows / seconds:>8,.0f}  {size / 1e6:>6.1f}  {seconds:>7.1f}"
                f"  {server.processor() - used:>6.1f}  {before:>9.0f}  {server.peak():>8.0f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="half a minute of raters, and 10,000 items")
    parser.add_argument("--minutes", type=float, help="how long the raters rate (default 5, 0 leaves them out)")
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--think", type=float, nargs=2, default=(1.0, 3.0), metavar=("LEAST", "MOST"), help="seconds")
    sizes = range(1, 2 * len(CRITERIA) + 2)
    parser.add_argument("--sheet", type=int, default=1, choices=sizes, metavar="QUESTIONS", help="on one screen")
    parser.add_argument("--items", type=int, help="items with three answers each (default 100000, 0 leaves them out)")
    parser.add_argument("--dir", type=Path, help="where to write (default: the system's temporary directory)")
    options = parser.parse_args()
    minutes = options.minutes if options.minutes is not None else (0.5 if options.quick else 5.0)
    items = options.items if options.items is not None else (10_000 if options.quick else 100_000)
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        place = Path(name)
        print(f"python {sys.version.split()[0]}, {os.cpu_count()} cores, fsync {sync_microseconds(place):.0f} us")
        if minutes:
            least = options.think[0] + 0.001
            enough = int(options.raters * 60 * minutes / max(least, 0.02) / WANTED * 1.2) + 200
            tokens = prepare(place / "crowd", enough, options.raters, options.sheet)
            what = "items" if options.sheet == 1 else f"sheets of {options.sheet} questions"
            print(f"\n(a) {options.raters} raters, {enough:,} {what}, {options.think} s each", flush=True)
            with served(place / "crowd") as server:
                asyncio.run(crowd(server, tokens, minutes, tuple(options.think)))
        if items:
            began = time.perf_counter()
            (token,) = prepare(place / "many", items, 1)
            answers = answer_all(place / "many")
            print(f"\n(b) {items:,} items with {WANTED} answers each, made in {time.perf_counter() - began:.0f} s")
            with served(place / "many") as server:
                print(f"server's memory at the start: {server.memory():.0f} MB", flush=True)
                exports(server, place / "many", answers)
                asyncio.run(alone(server, token, 200, 5 if options.quick else 20))
                print(f"server's memory at the end: {server.memory():.0f} MB")


if __name__ == "__main__":
    main()
