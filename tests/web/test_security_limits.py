"""Rate limits of the server: 429 with Retry-After, counted by rater, session and address."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rrm.core.errors import ConfigError
from rrm.web.limits import Limits
from rrm.web.station import WebSettings
from tests.web.stations import BASE, COOKIE, House, claim, house_in, items_of, new_key, submit


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
    return client.post("/api/join", json={"token": token}).status_code


def log_in(client: TestClient, name: str, password: str = "y" * 12) -> int:
    return client.post("/api/login", json={"name": name, "password": password}).status_code


def test_the_sixth_failed_attempt_of_an_address_has_to_wait(limited: House, clock: Clock) -> None:
    stranger = limited.client()
    assert [attempts(stranger) for _ in range(6)] == [401] * 5 + [429]
    assert [log_in(stranger, "x") for _ in range(6)] == [401] * 5 + [429]
    refused = stranger.post("/api/login", json={"name": " x", "password": "y" * 12})  # the same name
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert limited.clients["anna"].get("/api/me").status_code == 200  # who is in stays in
    clock.now += 60
    assert attempts(stranger) == log_in(stranger, "x") == 401


def test_failed_attempts_shut_nobody_out_who_comes_from_the_same_address(limited: House) -> None:
    stranger = limited.client()
    assert [attempts(stranger) for _ in range(20)][-1] == 429
    assert [log_in(stranger, "x") for _ in range(20)][-1] == 429
    person = limited.desk.add_person("nora", by="test")
    joined = limited.client().post("/api/join", json={"token": limited.desk.invite(person.id, "test")})
    assert joined.status_code == 200
    limited.desk.choose_password(person.id, "314159")
    assert log_in(limited.client(), "nora", "314159") == 200


def test_a_pin_cannot_be_guessed_from_many_addresses(tmp_path: Path, clock: Clock) -> None:
    with house_in(tmp_path, station={"settings": WebSettings(), "limits": Limits(clock)}) as house:
        house.add("anna")
        house.desk.choose_password(house.persons["anna"].id, "314159")
        tries: list[int] = []
        for _ in range(10):
            tries += [log_in(house.client(), "anna", "000000") for _ in range(3)]
            clock.now += 60  # so that no address has tried too often
        assert tries.count(401) == 20
        assert log_in(house.client(), "anna", "314159") == 429
        clock.now += 3600
        assert log_in(house.client(), "anna", "314159") == 200


def test_a_trusted_proxy_says_who_its_clients_are(tmp_path: Path) -> None:
    settings = WebSettings(trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    with house_in(tmp_path, station={"settings": settings}) as house:
        proxied = TestClient(house.app, base_url=BASE, headers={"Origin": BASE}, client=("10.1.2.3", 1))

        def tried(named: str) -> int:
            body = {"token": "a" * 43}
            return proxied.post("/api/join", json=body, headers={"X-Forwarded-For": named}).status_code

        assert [tried("192.0.2.1") for _ in range(6)] == [401] * 5 + [429]
        assert tried("192.0.2.2") == 401
        # what a client itself wrote stands in front of what the proxy has seen
        assert tried("192.0.2.9, 192.0.2.1") == tried("198.51.100.7, 192.0.2.1, 127.0.0.1") == 429


@pytest.mark.parametrize("proxy", ["nginx", "10.0.0.0/99", ""])
def test_a_trusted_proxy_is_an_address(proxy: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        WebSettings(trusted_proxies=(proxy,))


def test_a_page_that_was_left_open_with_a_dead_session_shuts_nobody_out(limited: House) -> None:
    open_page, other = limited.client("d" * 43), limited.client("e" * 43)
    assert {open_page.get("/api/me").status_code for _ in range(120)} == {401}
    answered = other.get("/work", headers={"Accept": "text/html"})
    assert (answered.status_code, answered.headers["location"]) == (303, "/login")


def test_a_browser_that_asked_too_often_gets_a_page(tmp_path: Path, clock: Clock) -> None:
    more = {"settings": WebSettings(requests_a_minute=3), "limits": Limits(clock)}
    with house_in(tmp_path, station=more) as house:
        anna = house.add("anna")
        looked = [anna.get("/work", headers={"Accept": "text/html,*/*"}) for _ in range(4)][-1]
        assert (looked.status_code, looked.headers["retry-after"]) == (429, "60")
        assert looked.headers["content-type"].startswith("text/html")
        assert "wait 60 seconds" in looked.text and 'data-word="refusedTitle"' in looked.text
        assert anna.get("/api/me", headers={"Accept": "text/html"}).json()["detail"]


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
