"""Stations to test against: a desk in a folder with an item of every kind, people of every role, and clients."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from starlette.testclient import TestClient

from rrm.core.annotation import Item, Person, Purpose, Role
from rrm.core.place import Place
from rrm.core.values import KINDS, Consequence, Passage, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store.record import open_store
from rrm.web.app import application
from rrm.web.station import Station, WebSettings

PORT = 8750
BASE = f"http://127.0.0.1:{PORT}"
COOKIE = f"rrm-{PORT}"
PLENTY = WebSettings(attempts_a_minute=10**6, answers_a_minute=10**6, requests_a_minute=10**6)
"""Limits that no test of something else runs into."""

PASSWORD = "correct horse battery staple"
OUTPUTS = {"comparison": 2, "hindsight": 2, "ranking": 4, "demonstration": 0}
"""How many outputs an item of a kind shows, 1 where it does not stand here."""

SOURCE = "The fox ran over the hill, and the dog slept in the sun."
_keys = count(1)


def new_key() -> str:
    return f"key-{next(_keys):08d}"


def request_of(kind: str, number: int = 0, level: int = 0, text: str = "output", source: str = SOURCE) -> Request:
    """An item of a kind; `number` makes it another question."""
    view = View(f"Summarise. ({number})", (Passage(source),), max_tokens=40, context="A fable.")
    came = Consequence("Right: a fox ran.", 0.5, 4, 1) if kind == "hindsight" else None
    texts = [f"{text} {i} of {number}" for i in range(OUTPUTS.get(kind, 1))]
    shown = tuple(Shown(f"output-{number}-{i}", each, (), came) for i, each in enumerate(texts))
    return Request(f"node-{number}", "source-1", Place(level=level), kind, view, shown)


def items_of(kinds: Sequence[str], each: int = 1, purpose: Purpose = "work", **more: Any) -> list[Item]:
    return [Item(request_of(kind, 100 * at + i), purpose, **more) for at, kind in enumerate(kinds) for i in range(each)]


@contextmanager
def desk_in(directory: Path, items: Sequence[Item] = (), **changes: Any) -> Iterator[SqlDesk]:
    """A new desk with these items and settings, whose chance is the same each time; without known items no checks."""
    open_store(directory).close()
    with open_desk(directory, random=Random(0)) as desk:
        if changes:
            desk.change_settings(changes, by="test")
        desk.add_items(items)
        yield desk


@dataclass
class House:
    """A station, its people by name, and one client each."""

    station: Station
    persons: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = application(self.station, PORT)
        self.clients: dict[str, TestClient] = {}

    @property
    def desk(self) -> Any:
        return self.station.desk

    def add(self, name: str, role: Role = "annotator") -> TestClient:
        """Somebody new, who has come in by an invitation."""
        person = self.desk.add_person(name, role, by="test")
        return self.take_in(person, self.desk.join(self.desk.invite(person.id, "test")))

    def take_in(self, person: Person, session: str) -> TestClient:
        """Give somebody who has a session a client."""
        name = str(person.name)
        self.persons[name] = person
        self.clients[name] = self.client(session)
        return self.clients[name]

    def client(self, session: str | None = None, headers: Mapping[str, str] | None = None) -> TestClient:
        """A browser on our own page, with a session's cookie if there is one."""
        cookies = {COOKIE: session} if session else {}
        return TestClient(
            self.app,
            base_url=BASE,
            headers={"Origin": BASE, **(headers or {})},
            cookies=cookies,
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def session(self, name: str) -> str:
        return str(self.clients[name].cookies[COOKIE])


@contextmanager
def house_in(
    directory: Path, items: Sequence[Item] = (), station: Mapping[str, Any] | None = None, **changes: Any
) -> Iterator[House]:
    """A station over a new desk; `station` holds more of its fields, limits are out of the way unless given there."""
    with desk_in(directory, items, **changes) as desk:
        yield House(Station(desk, **{"settings": PLENTY, **(station or {})}))


def claim(client: TestClient) -> dict[str, Any]:
    """The next lease; fails if there is none."""
    answered = client.post("/api/claim", json={})
    assert answered.status_code == 200, answered.text
    lease = answered.json()["lease"]
    assert lease is not None, answered.text
    return dict(lease)


def answer_for(lease: Mapping[str, Any]) -> dict[str, Any]:
    """A legal answer to the first question of a lease, as its page would send it."""
    return answer_to(lease["questions"][0])


def answer_to(question: Mapping[str, Any]) -> dict[str, Any]:
    places = list(range(len(question["outputs"])))
    return {
        "comparison": {"kind": "comparison", "better": 1, "strength": 0.5, "both_bad": False},
        "hindsight": {"kind": "hindsight", "better": 1, "strength": 0.5, "both_bad": False},
        "ranking": {"kind": "ranking", "best_first": places[::-1]},
        "rating": {"kind": "rating", "value": 5},
        "label": {"kind": "label", "good": True},
        "correction": {"kind": "correction", "text": "another text"},
        "demonstration": {"kind": "demonstration", "text": "a text of my own"},
        "critique": {"kind": "critique", "text": "too short", "spans": [[0, 3]], "source_spans": [[0, 4, 7]]},
        "claims": {
            "kind": "claims",
            "unsupported": [[0, 3]],
            "wrong": [],
            "missing": ["fox"],
            "source_spans": [[0, 4, 7]],
        },
        "reject": {"kind": "reject", "reason": "not a summary"},
    }[question["kind"]]


def submission_for(lease: Mapping[str, Any], answer: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    chosen = dict(answer) if answer is not None else answer_for(lease)
    key = more.pop("key", None) or new_key()
    first = {"shown": lease["questions"][0]["shown"], "answer": chosen, "seconds": 4.5, **more}
    others = [
        {"shown": question["shown"], "answer": answer_to(question), "seconds": 1.5}
        for question in lease["questions"][1:]
    ]
    return {"key": key, "answers": [first, *others]}


def submit(client: TestClient, lease: Mapping[str, Any], answer: Mapping[str, Any] | None = None, **more: Any) -> Any:
    return client.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease, answer, **more))


ALL_KINDS = tuple(KINDS)
