"""Rate limits of the server: 429 with Retry-After, counted by rater, session and address."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rrm.web.limits import Limits
from rrm.web.station import WebSettings
from tests.web.stations import COOKIE, House, claim, house_in, items_of, new_key, submit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(tmp_path: Path, clock: Clock) -> Iterator[House]:
    """A station with the limits that it has by itself."""
    more = {"settings": WebSettings(), "limits": Limits(clock)}
    with house_in(tmp_path, items_of(["label"], each=80, wanted=2), more) as house:
        house.add("anna")
        house.add("ben")
        yield house


def test_the_defaults_are_those_that_are_promised() -> None:
    settings = WebSettings()
    assert (settings.attempts_a_minute, settings.answers_a_minute, settings.requests_a_minute) == (5, 60, 600)
    assert settings.body_bytes == 2**20
    assert settings.text_letters == 20_000
    assert settings.list_items == 1_000
    assert settings.request_seconds <= 30


def test_the_61st_answer_of_a_minute_has_to_wait(limited: House, clock: Clock) -> None:
    anna = limited.clients["anna"]
    for _ in range(60):
        assert submit(anna, claim(anna)).status_code == 200
    lease = claim(anna)
    refused = submit(anna, lease)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    assert "60 a minute" in refused.json()["detail"]
    skipped = anna.post(f"/api/leases/{lease['id']}/skip", json={"key": new_key(), "reason": "x"})
    assert skipped.status_code == 429
    assert submit(limited.clients["ben"], claim(limited.clients["ben"])).status_code == 200
    clock.now += 60
    assert submit(anna, lease).status_code == 200  # nothing was lost


def attempts(client: TestClient, token: str = "a" * 43) -> int:
    return client.post("/api/join", json={"token": token, "agreed": True}).status_code


def test_the_sixth_failed_attempt_of_an_address_has_to_wait(limited: House, clock: Clock) -> None:
    stranger = limited.client()
    assert [attempts(stranger) for _ in range(3)] == [401] * 3
    logged = [stranger.post("/api/login", json={"name": "x", "password": "y" * 12}) for _ in range(3)]
    assert [each.status_code for each in logged] == [401, 401, 429]  # joins and log-ins count together
    assert logged[-1].headers["retry-after"] == "60"
    assert limited.clients["anna"].get("/api/me").status_code == 200  # who is in stays in
    clock.now += 60
    assert attempts(stranger) == 401


def test_a_header_that_names_another_address_is_not_believed(limited: House) -> None:
    for number in range(5):
        assert attempts(limited.client(headers={"X-Forwarded-For": f"192.0.2.{number}"})) == 401
    for headers in ({"X-Forwarded-For": "192.0.2.77"}, {"Forwarded": "for=192.0.2.78"}, {"X-Real-IP": "192.0.2.79"}):
        assert attempts(limited.client(headers=headers)) == 429


def test_those_who_join_with_a_good_link_are_not_counted(limited: House) -> None:
    token = limited.desk.open_panel("study", 30, "test")
    for number in range(30):  # one address, as behind a university's door or a proxy
        answered = limited.client().post("/api/join", json={"token": token, "participant": f"P{number}"})
        assert answered.status_code == 200


def test_a_session_asks_so_many_times_a_minute_and_no_more(tmp_path: Path, clock: Clock) -> None:
    more = {"settings": WebSettings(requests_a_minute=40), "limits": Limits(clock)}
    with house_in(tmp_path, station=more) as house:
        anna, ben = house.add("anna"), house.add("ben")
        answered = [anna.get("/api/me") for _ in range(41)]
        assert [each.status_code for each in answered] == [200] * 40 + [429]
        assert answered[-1].headers["retry-after"] == "60"
        assert anna.get("/work").status_code == 429  # pages count, too
        assert ben.get("/api/me").status_code == 200
        clock.now += 60
        assert anna.get("/api/me").status_code == 200


def test_an_address_tries_made_up_sessions_50_times_a_minute_and_no_more(limited: House) -> None:
    for number in range(50):
        assert limited.client(f"{number:043d}").get("/api/me").status_code == 401
    assert limited.client("z" * 43).get("/api/me").status_code == 429
    assert limited.clients["anna"].get("/api/me").status_code == 200
    assert COOKIE in limited.clients["anna"].cookies


def test_limits_are_settings(tmp_path: Path) -> None:
    settings = WebSettings(answers_a_minute=2, attempts_a_minute=1, requests_a_minute=100)
    with house_in(tmp_path, items_of(["label"], each=5), {"settings": settings}) as house:
        anna = house.add("anna")
        assert [submit(anna, claim(anna)).status_code for _ in range(3)] == [200, 200, 429]
        assert [attempts(house.client()) for _ in range(2)] == [401, 429]
