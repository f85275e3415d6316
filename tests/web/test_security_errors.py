"""Errors: a sentence for who asked, the place for who mends it, and no secret or text in either."""

import io
import logging
import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from rrm.core import errors
from rrm.web.guard import FAILED
from tests.web.stations import COOKIE, PASSWORD, House, claim, submission_for

SEEDED = ["sk-seeded-0123456789abcdef", "seeded words of a rater", "seeded-participant"]


@pytest.fixture
def log() -> Any:
    """All that any logger says, at the lowest level."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    handler.addFilter(lambda record: not record.name.startswith("http"))  # the test's own client
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def failing(house: House, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(house.desk), method, fail)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"the text was {SEEDED[1]}"),
        KeyError(SEEDED[0]),
        OperationalError(f"UPDATE x SET y='{SEEDED[1]}'", {"token": SEEDED[0]}, sqlite3.OperationalError(SEEDED[2])),
        UnicodeDecodeError("utf-8", SEEDED[1].encode(), 0, 1, SEEDED[0]),
        errors.AssistantError(f"the key {SEEDED[0]} was refused"),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_error_is_500_with_a_fixed_sentence_and_its_place_in_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, error: BaseException
) -> None:
    failing(house, monkeypatch, "claim", error)
    answered = house.clients["anna"].post("/api/claim", json={})
    assert (answered.status_code, answered.json()) == (500, {"detail": FAILED})
    assert answered.headers["content-security-policy"].startswith("default-src 'none'")
    assert f"failed: {type(error).__name__}" in log.getvalue()
    assert "/claim" in log.getvalue()
    assert not any(each in log.getvalue() + answered.text for each in (*SEEDED, house.session("anna")))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.MissingError("there is no item"), 404),
        (errors.AccessError("that is not yours"), 403),
        (errors.ConflictError("too late"), 409),
        (errors.InputError("does not fit"), 422),
        (errors.LimitError("too many"), 422),
    ],
)
def test_an_error_made_on_purpose_tells_its_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, error: errors.RrmError, status: int
) -> None:
    failing(house, monkeypatch, "renew", error)
    answered = house.clients["anna"].post("/api/leases/some/renew", json={})
    assert (answered.status_code, answered.json()) == (status, {"detail": str(error)})


@pytest.mark.parametrize("kind", [errors.StoreError, errors.LockedError])
def test_a_record_that_cannot_be_written_is_503_without_its_place_on_the_disk(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: type[errors.StoreError]
) -> None:
    failing(house, monkeypatch, "submit", kind("/home/somebody/run/record.db cannot be written: disk full"))
    lease = claim(house.clients["anna"])
    answered = house.clients["anna"].post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease))
    assert answered.status_code == 503
    assert "again" in answered.json()["detail"]
    assert "/home" not in answered.text
    assert claim(house.clients["anna"])["id"] == lease["id"]


@pytest.mark.parametrize(("kind", "said"), [(errors.StoreError, 1), (errors.UnreachableError, 0)])
def test_a_database_that_is_away_is_not_logged_for_everybody_who_asks(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[errors.StoreError],
    said: int,
) -> None:
    failing(house, monkeypatch, "renew", kind("it is away"))
    assert house.clients["anna"].post("/api/leases/some/renew", json={}).status_code == 503
    assert len(caplog.messages) == said


def test_an_address_that_is_not_there_says_so(shared: House) -> None:
    assert shared.clients["anna"].get("/nowhere").json() == {"detail": "there is nothing at this address"}
    assert shared.clients["anna"].request("DELETE", "/api/me", json={}).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        {"key": "k", "answers": [{"shown": SEEDED[0], "answer": {"kind": SEEDED[1]}}]},
        {SEEDED[0]: 1},
        {"key": SEEDED[0] * 100, "answers": [{"shown": "x", "answer": {"kind": "label", "good": SEEDED[1]}}]},
    ],
)
def test_a_refusal_does_not_repeat_long_or_secret_input(shared: House, body: dict[str, Any]) -> None:
    answered = shared.clients["anna"].post("/api/leases/none/answer", json=body)
    assert answered.status_code == 422
    assert len(answered.json()["detail"]) < 400
    assert "input" not in answered.json()


def test_no_secret_and_no_text_is_ever_logged(house: House, monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    token = house.desk.invite(house.desk.add_person("nora", by="test").id, "test")
    client = house.client()
    client.get(f"/join?participant={SEEDED[2]}")
    client.post("/api/join", json={"token": token, "participant": SEEDED[2]})
    client.post("/api/join", json={"token": token})
    client.post("/api/login", json={"name": "ada", "password": PASSWORD})
    client.post("/api/login", json={"name": "ada", "password": SEEDED[0]})
    lease = claim(client)
    client.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": SEEDED[1]}})
    client.post(f"/api/leases/{lease['id']}/flag", json={"text": SEEDED[1]})
    failing(house, monkeypatch, "submit", RuntimeError(SEEDED[1]))
    client.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease))
    client.get("/api/leases/none/wider", headers={"Cookie": f"{COOKIE}={house.session('ada')}"})
    said = log.getvalue()
    assert "RuntimeError" in said  # it does log
    hidden = [*SEEDED, token, PASSWORD, house.session("ada"), str(client.cookies[COOKIE]), "Summarise", "output 0"]
    assert [each for each in hidden if each in said] == []
