"""Raters who send what was not acknowledged again, with the same key, until it is."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

_AWAY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}


@dataclass
class Rater:
    """A client with a session, each of whose requests goes to any of the pages' addresses, as behind a proxy."""

    name: str
    addresses: Sequence[str]
    session: str
    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)  # answer's id: item, place chosen
    repeated: int = 0
    late: int = 0  # answers that were refused, because the rater held the item no more
    waits: list[tuple[float, float]] = field(default_factory=list)  # for a next item: since when, seconds
    failed: list[str] = field(default_factory=list)
    pause: float = 0.02  # seconds before a request is made again
    patience: float = 240.0  # seconds until it is given up
    think: tuple[float, float] = (0.0, 0.0)  # seconds over an item

    def wait_for(self, answers: int, seconds: float = 60.0) -> None:
        """Wait until so many answers of this rater, who works in another thread, were acknowledged."""
        until = time.monotonic() + seconds
        while len(self.acknowledged) < answers:
            assert time.monotonic() < until and not self.failed, self.failed or "nothing is acknowledged"
            time.sleep(0.01)

    def work(self, stop: threading.Event) -> None:
        """Answer what there is, until told to stop or there is nothing left."""
        try:
            lease = self._claim()
            while lease is not None and not stop.wait(self._chance.uniform(*self.think)):
                lease = self._answer(lease)
        except Exception as error:
            self.failed.append(f"{self.name}: {error!r}")

    def _claim(self) -> Any:
        claimed = self._insist("/api/claim", {})
        assert claimed is not None, "a claim was refused"
        return claimed["lease"]

    def _answer(self, lease: Any) -> Any:
        """Answer, and return the next lease."""
        better = self._chance.randrange(2)
        self._keys += 1
        compared = {"kind": "comparison", "better": better, "strength": None, "both_bad": False}
        said = [compared, *({"kind": "rating", "value": 1 + better} for _ in lease["questions"][1:])]
        answers = [
            {"shown": question["shown"], "answer": answer, "seconds": 1.0}
            for question, answer in zip(lease["questions"], said, strict=True)
        ]
        body = {"key": f"{self.name}-{self._keys:08d}", "answers": answers}
        began = time.monotonic()
        told = self._insist(f"/api/leases/{lease['id']}/answer", body)
        if told is None:
            self.late += 1
            return self._claim()
        self.waits.append((began, time.monotonic() - began))
        assert told["id"] not in self.acknowledged, "one answer was acknowledged as two"
        self.acknowledged[told["id"]] = lease["item"], better
        return told["next"]["lease"]

    def _insist(self, path: str, body: dict[str, Any]) -> Any:
        """Ask until there is a reply, and return it, None where there is nothing to be had any more."""
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            address = self._chance.choice(self.addresses)
            headers = {"Origin": address, "Cookie": f"rrm-{address.rpartition(':')[2]}={self.session}"}
            try:
                answered = self._client.post(address + path, json=body, headers=headers)
            except httpx.TransportError:
                answered = None
            if answered is None or answered.status_code in _AWAY:
                self.repeated += 1
                time.sleep(self.pause)
                continue
            if answered.status_code in _GONE:
                return None
            assert answered.status_code == HTTPStatus.OK, answered.text
            return answered.json()
        said = "no reply" if answered is None else f"{answered.status_code} {answered.text}"
        raise TimeoutError(f"{path}: {said} for {self.patience:.0f} s")

    def __post_init__(self) -> None:
        self._client = httpx.Client(timeout=60)
        self._chance, self._keys = random.Random(self.name), 0
