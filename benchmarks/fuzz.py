"""Does any request make the station fail? Schemathesis makes them from the API's own description.

Every operation gets well-formed and malformed requests, by turns as an admin and as an annotator, with ids
that exist half of the time. Prints how many of each answer came; exits with 1 if any was a 5xx. `--requests N`
sends so many (10,000; with --quick 1,000), `--seed N` others.
"""

import argparse
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis.generation import GenerationMode

from rrm.core.annotation import Item, Role
from rrm.core.errors import RrmError
from rrm.core.place import Place
from rrm.core.values import KINDS, Consequence, Passage, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store.record import open_store
from rrm.web.server import Server, listening
from rrm.web.station import Station, WebSettings

ROLES: tuple[Role, ...] = ("admin", "annotator")
_OUTPUTS = {"comparison": 2, "hindsight": 2, "ranking": 4}
_NO_LIMITS = WebSettings(attempts_a_minute=10**9, answers_a_minute=10**9, requests_a_minute=10**9)


@dataclass
class Found:
    """How many answers there were by operation and status, and what failed."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def with_status(self, hundred: int) -> int:
        return sum(n for (_, status), n in self.statuses.items() if status // 100 == hundred)

    @property
    def operations(self) -> set[str]:
        return {operation for operation, _ in self.statuses}


class Crowd:
    """People whose sessions are always good: who was logged out, paused or forgotten is replaced by somebody new."""

    def __init__(self, desk: SqlDesk) -> None:
        self.desk = desk
        self._numbers = count()
        self._sessions: dict[Role, str] = {}

    def session(self, role: Role) -> str:
        person = self.desk.who(self._sessions[role]) if role in self._sessions else None
        if person is None or person.state in ("paused", "refused"):
            new = self.desk.add_person(f"{role} {next(self._numbers)}", role, by="benchmark")
            self._sessions[role] = self.desk.join(self.desk.invite(new.id, "benchmark"))
        return self._sessions[role]

    def an_id(self, name: str, role: Role) -> str | None:
        """Return an id that there is for a parameter of this name: a lease of one's own, a person, an item."""
        person = self.desk.who(self.session(role))
        assert person is not None
        if name == "item":
            return _items()[0].request.id
        try:
            lease = self.desk.claim(person.id)
        except RrmError:
            return None
        return lease.id if lease is not None else None


def fuzz(directory: Path, wanted: int, seed: int) -> Found:
    """Send `wanted` requests and some more to a new station in this directory, and return what was answered."""
    open_store(directory).close()
    found = Found()
    with open_desk(directory) as desk:
        desk.add_items(_items())
        with _serving(Station(desk, _NO_LIMITS, count=len)) as (address, app):
            schema = schemathesis.openapi.from_dict(app.openapi())
            operations = [each.ok() for each in schema.get_all_operations()]
            crowd, random = Crowd(desk), Random(seed)
            while found.requests < wanted:  # not every operation can be asked wrongly
                each = -(-(wanted - found.requests) // (2 * len(operations)))
                for operation in operations:
                    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                        _ask(operation, mode, each, crowd, random, address, found)
    return found


def _ask(
    operation: Any, mode: GenerationMode, most: int, crowd: Crowd, random: Random, address: str, found: Found
) -> None:
    browser = requests.Session()
    port = address.rpartition(":")[2]
    roles = (ROLES[number % 2] for number in count())

    @hypothesis.seed(random.getrandbits(32))
    @hypothesis.settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        role = next(roles)
        for name in case.path_parameters or {}:
            if name in ("id", "item") and random.random() < 0.5 and (known := crowd.an_id(name, role)):
                case.path_parameters[name] = known
        headers = {"Origin": address, "Cookie": f"rrm-{port}={crowd.session(role)}"}
        _note(case, case.call(base_url=address, session=browser, headers=headers, timeout=60), found)

    try:
        send()
    except hypothesis.errors.Unsatisfiable:  # nothing about this operation can be malformed
        return


def _note(case: Any, answered: Any, found: Found) -> None:
    where = f"{case.method} {case.operation.path}"
    found.statuses[where, answered.status_code] += 1
    if answered.status_code >= 500:
        found.faults.append(f"{where}: {answered.status_code}; {case.as_curl_command()[:1000]}")
    elif answered.status_code >= 400 and not _is_sentence(answered):
        found.faults.append(f"{where}: {answered.status_code} without a sentence: {answered.content[:200]!r}")


def _is_sentence(answered: Any) -> bool:
    try:
        detail = answered.json()["detail"]
    except (ValueError, LookupError, TypeError):
        return False
    return isinstance(detail, str) and 5 < len(detail) < 1000


@contextmanager
def _serving(station: Station) -> Iterator[tuple[str, Any]]:
    """Serve in a thread; give the address and the application."""
    ready, addresses = threading.Event(), []

    def told(address: str) -> None:
        addresses.append(address)
        ready.set()

    with listening(station.settings, "127.0.0.1", 0) as listener:
        server = Server(station, listener, told)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        assert ready.wait(60), "the server did not start"
        try:
            yield addresses[0], server.app
        finally:
            server.should_exit = True
            thread.join()


def _items(each: int = 50) -> list[Item]:
    """Return items of every kind, on levels that no random freeze hits often."""
    made = []
    for kind in KINDS:
        for number in range(each):
            view = View(f"Summarise. ({number})", (Passage("The fox ran over the hill."),), 40)
            place = Place(level=3 + number % 2)
            came = Consequence("It was believed.", 0.5) if kind == "hindsight" else None
            outputs = range(_OUTPUTS.get(kind, 1))
            shown = tuple(Shown(f"o{number}-{i}", f"output {i} of {number}", consequence=came) for i in outputs)
            made.append(Item(Request(f"node-{number}", "source", place, kind, view, shown), wanted=5))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    wanted = options.requests or (1_000 if options.quick else 10_000)
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(Path(folder), wanted, options.seed)
    print(f"{found.requests} requests to {len(found.operations)} operations")
    for hundred in (2, 3, 4, 5):
        print(f"{hundred}xx: {found.with_status(hundred)}")
    for fault in found.faults[:20]:
        print(fault)
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
