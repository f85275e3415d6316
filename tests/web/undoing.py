"""A script at a rater's session that moves items about and notes what becomes of each."""

from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import Any

from rrm.core.annotation import Item
from rrm.core.place import Place
from tests.web.stations import House, new_key, submission_for

LEASE_SECONDS = 900


class Prober:
    """Rates round by round; `noted` holds what was seen of each item, by its id, in the order of first sight.

    What is tried with an item is drawn without looking at it. Somebody else now and then rates in the meantime.
    """

    def __init__(self, house: House, shown_in: Callable[[dict[str, Any]], dict[str, Hashable]], chance: Random) -> None:
        self.house, self.shown_in, self.chance = house, shown_in, chance
        self.client, self.other = house.add("anna"), house.add("bob")
        self.noted: dict[str, dict[str, Hashable]] = {}
        self.passed, clock = 0.0, house.desk.clock
        house.desk.clock = lambda: clock() + self.passed
        self.answered: list[str] = []
        self.probes = (self.look, self.take_back, self.leave, self.leave_a_draft, self.answer_late, self.pass_on)

    def play(self, work: Sequence[Item]) -> None:
        """Rate a round of items, which ends while one is held."""
        self.house.desk.add_items(work)
        self.answered = []
        lease = self.claim()
        for _ in range(5):
            if lease is not None:
                lease = self.chance.choice(self.probes)(lease)
            if lease is not None:
                lease = self.answer(lease)
        self.end(work[0].request.place, lease)

    # ---- what is tried with an item that is held: what is held then ----

    def look(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        return lease

    def take_back(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        """Take the last answer back, which puts the item back, and hand that in again."""
        if not self.answered:
            return lease
        sent = self.post("/api/undo")
        self.note(self.answered[-1], "taken back", said(sent))
        again = sent.json()["lease"]
        self.note(self.answered.pop(), "is again", again["item"] in self.noted)
        return self.came_back(lease, "after an undo", self.answer(again))

    def leave(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        self.time_passes()
        return self.came_back(lease, f"after a while, {self.meanwhile()}", self.claim())

    def leave_a_draft(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        self.client.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": "half"}})
        if self.answered and self.chance.random() < 0.5:
            return self.take_back(lease)
        return self.leave(lease)

    def answer_late(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        beside = self.meanwhile()
        self.time_passes()
        self.note(lease["item"], f"late, {beside}", said(self.sent(lease)))
        return self.came_back(lease, f"after a late answer, {beside}", self.claim())

    def pass_on(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        sent = self.post(f"/api/leases/{lease['id']}/skip", key=new_key(), reason="away")
        return self.came_back(lease, "passed on", self.see(sent.json()["next"]["lease"]))

    # ---- the end of a round ----

    def end(self, place: Place, lease: dict[str, Any] | None) -> None:
        self.house.desk.freeze(place, "test")
        progress = self.client.get("/api/me").json()["progress"]
        if lease is not None:
            item = lease["item"]
            self.note(item, "renewed at the end", said(self.post(f"/api/leases/{lease['id']}/renew")))
            self.note(item, "answered at the end", said(self.sent(lease)))
        if self.answered:
            self.note(self.answered[-1], "undoable at the end", progress["undoable"])
            self.note(self.answered[-1], "taken back at the end", said(self.post("/api/undo")))
        left = self.claim()
        if lease is not None:
            self.note(lease["item"], "comes at the end", left is not None)
        if left is not None:
            self.answer(left)

    # ---- requests ----

    def claim(self) -> dict[str, Any] | None:
        return self.see(self.post("/api/claim").json()["lease"])

    def answer(self, lease: dict[str, Any]) -> dict[str, Any] | None:
        sent = self.sent(lease)
        assert sent.status_code == 200, sent.text
        self.answered.append(lease["item"])
        return self.see(sent.json()["next"]["lease"])

    def sent(self, lease: dict[str, Any]) -> Any:
        return self.client.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease))

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body)

    def time_passes(self) -> None:
        self.passed += LEASE_SECONDS + 1

    def meanwhile(self) -> str:
        """Have the other rater answer an item, or not, and say so."""
        if self.chance.random() < 0.5:
            return "alone"
        lease = self.other.post("/api/claim", json={}).json()["lease"]
        if lease is not None:
            self.other.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease))
        return "with another"

    # ---- notes ----

    def see(self, lease: dict[str, Any] | None) -> dict[str, Any] | None:
        if lease is not None and lease["item"] in self.noted:
            times = self.noted[lease["item"]].get("seen", 1)
            self.note(lease["item"], "seen", int(str(times)) + 1)
        elif lease is not None:
            self.noted[lease["item"]] = self.shown_in(lease)
        return lease

    def came_back(self, lease: dict[str, Any], how: str, now: dict[str, Any] | None) -> dict[str, Any] | None:
        back = None if now is None else (now["item"] == lease["item"], now["draft"] is not None)
        self.note(lease["item"], how, back)
        return now

    def note(self, item: str, what: str, value: Hashable) -> None:
        self.noted[item][what] = value


def said(sent: Any) -> tuple[int, str]:
    """Return the status of a reply, and what it says against the request, but for numbers."""
    return sent.status_code, sent.json().get("detail", "").translate({ord(digit): None for digit in "0123456789"})
