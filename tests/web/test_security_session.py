"""Sessions: one-use invitations, cookies that only browsers on our pages can use, and their end."""

from pathlib import Path

import pytest

from rrm.core.annotation import consent_id
from rrm.web.station import WebSettings
from tests.web.stations import BASE, COOKIE, PASSWORD, House, house_in


def invite(house: House, name: str) -> str:
    return str(house.desk.invite(house.desk.add_person(name, by="test").id, "test"))


def join(house: House, token: str, **more: object) -> object:
    client = house.client()
    return client, client.post("/api/join", json={"token": token, **more})


def test_an_invitation_leads_in_once(house: House) -> None:
    token = invite(house, "nora")
    client, answered = join(house, token)
    assert (answered.status_code, answered.json()) == (200, {"next": "/work", "name": "nora", "choose": 6})
    assert client.get("/api/me").json()["name"] == "nora"
    _, again = join(house, token)
    assert again.status_code == 401
    assert "link" in again.json()["detail"]
    assert COOKIE not in again.cookies


def test_a_page_that_missed_the_reply_to_its_invitation_is_let_in_again(house: House) -> None:
    token = invite(house, "nora")
    join(house, token, key="k" * 32)  # the reply of which is lost
    client, again = join(house, token, key="k" * 32)
    assert (again.status_code, client.get("/api/me").json()["name"]) == (200, "nora")
    for key in ("l" * 32, None):  # whoever finds the link later
        assert join(house, token, key=key)[1].status_code == 401
    assert join(house, token, key="short")[1].status_code == 422


@pytest.mark.parametrize("token", ["x", "a" * 43, "🦊" * 20, "' OR 1=1--", "../../etc/passwd", "%00", "null"])
def test_a_token_that_nobody_was_given_gets_401(house: House, token: str) -> None:
    assert join(house, token)[1].status_code == 401


def test_the_cookie_is_for_our_pages_alone(house: House) -> None:
    _, answered = join(house, invite(house, "nora"))
    name, *parts = answered.headers["set-cookie"].split("; ")
    assert name.startswith(COOKIE + "=")
    assert len(name) - len(COOKIE) - 1 >= 22  # 128 bits in base 64
    assert {part.lower() for part in parts} == {"httponly", "samesite=lax", "path=/", "max-age=604800"}


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    with house_in(tmp_path, station={"settings": WebSettings("https://rate.example.org")}) as house:
        token = invite(house, "nora")
        headers = {"Host": "rate.example.org", "Origin": "https://rate.example.org"}
        answered = house.client().post("/api/join", json={"token": token}, headers=headers)
        name, *parts = answered.headers["set-cookie"].split("; ")
        assert name.startswith("__Host-rrm=")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.lower() for part in parts}
        assert not any(part.lower().startswith("domain") for part in parts)
        session = name.partition("=")[2]
        assert house.client().get("/api/me", headers={"Cookie": f"__Host-rrm={session}"}).status_code == 200
        for weak in ("rrm", COOKIE, "rrm-443"):  # a name that a page over http could set
            assert house.client().get("/api/me", headers={"Cookie": f"{weak}={session}"}).status_code == 401


def test_a_session_set_before_joining_is_not_kept(house: House) -> None:
    planted = house.session("ben")
    client = house.client(planted)
    answered = client.post("/api/join", json={"token": invite(house, "nora")})
    assert answered.status_code == 200
    assert answered.cookies[COOKIE] != planted
    assert house.client(answered.cookies[COOKIE]).get("/api/me").json()["name"] == "nora"
    assert house.client(planted).get("/api/me").status_code == 401  # and the one that was there has ended


def test_a_made_up_session_becomes_none_by_joining(house: House) -> None:
    planted = "A" * 43
    client = house.client(planted)
    assert client.post("/api/join", json={"token": invite(house, "nora")}).status_code == 200
    assert house.client(planted).get("/api/me").status_code == 401


def test_every_join_and_log_in_makes_another_session(house: House) -> None:
    sessions = set()
    for _ in range(3):
        answered = house.client().post("/api/login", json={"name": "ada", "password": PASSWORD})
        assert (answered.status_code, answered.json()) == (200, {"next": "/admin", "name": "ada", "choose": None})
        sessions.add(answered.cookies[COOKIE])
    assert len(sessions) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.swapcase(),
        lambda token: "",
        lambda token: "x" * 10_000,
        lambda token: "%00" + token,
        lambda token: f'"{token} "',
    ],
)
def test_a_cookie_that_was_tampered_with_gets_401(house: House, change: object) -> None:
    cookie = f"{COOKIE}={change(house.session('ada'))}"  # type: ignore[operator]
    assert house.client().get("/api/me", headers={"Cookie": cookie}).status_code == 401


def test_another_servers_cookie_gets_401(house: House, tmp_path: Path) -> None:
    with house_in(tmp_path / "other") as other:
        other.add("anna", "admin")
        assert house.client(other.session("anna")).get("/api/me").status_code == 401


def test_a_session_is_no_invitation_and_an_invitation_no_session(house: House) -> None:
    assert join(house, house.session("ada"))[1].status_code == 401
    assert house.client(invite(house, "nora")).get("/api/me").status_code == 401


def test_logging_out_ends_the_session_everywhere(house: House) -> None:
    stolen = house.client(house.session("anna"))
    answered = house.clients["anna"].post("/api/logout", json={})
    assert (answered.status_code, answered.json()) == (200, {})
    assert f'{COOKIE}=""; ' in answered.headers["set-cookie"]
    assert "Max-Age=0" in answered.headers["set-cookie"]
    assert stolen.get("/api/me").status_code == 401
    assert stolen.post("/api/claim", json={}).status_code == 401


def test_a_session_idle_too_long_gets_401(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    start = house.desk.clock()
    assert house.clients["anna"].get("/api/me").status_code == 200
    monkeypatch.setattr(house.desk, "clock", lambda: start + 12 * 3600 - 60)
    assert house.clients["anna"].get("/api/me").status_code == 200
    monkeypatch.setattr(house.desk, "clock", lambda: start + 24 * 3600 + 60)
    assert house.clients["anna"].get("/api/me").status_code == 401


def test_a_session_ends_after_seven_days_however_busy(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    start = house.desk.clock()
    for hours in range(0, 7 * 24 - 1, 6):
        monkeypatch.setattr(house.desk, "clock", lambda hours=hours: start + hours * 3600.0)
        assert house.clients["anna"].get("/api/me").status_code == 200
    monkeypatch.setattr(house.desk, "clock", lambda: start + 7 * 86_400 + 60.0)
    assert house.clients["anna"].get("/api/me").status_code == 401


def test_somebody_forgotten_is_out_at_once(house: House) -> None:
    house.desk.forget(house.persons["anna"].id, by="test")
    assert house.clients["anna"].get("/api/me").status_code == 401


# ---- consent and panels ----


def test_consent_must_be_given_where_it_is_asked_for(house: House) -> None:
    house.desk.change_settings({"consent": "I agree to <b>all</b>."}, by="test")
    token = invite(house, "nora")
    assert "I agree to &lt;b&gt;all&lt;/b&gt;." in house.client().get("/join").text
    for body, status in (({"token": token}, 422), ({"token": token, "agreed": consent_id("another text")}, 409)):
        refused = house.client().post("/api/join", json=body)
        assert refused.status_code == status
        assert "consent" in refused.json()["detail"]
    agreed = consent_id("I agree to <b>all</b>.")
    assert agreed in house.client().get("/join").text
    assert join(house, token, agreed=agreed)[1].status_code == 200  # the token was not used up by the refusals
    [(person, text, _)] = house.desk.consents()
    assert (house.desk.person(person).name, text) == ("nora", "I agree to <b>all</b>.")


def test_a_panels_participants_join_with_one_link_each_under_the_own_id(house: House) -> None:
    token = house.desk.open_panel("study", 2, "test")
    first, answered = join(house, token, participant="P1")
    assert answered.status_code == 200
    second, answered = join(house, token, participant=" P2 ")
    assert answered.status_code == 200
    names = {client.get("/api/me").json()["id"] for client in (first, second)}
    assert len(names) == 2
    assert {each.participant for each in house.desk.persons()} >= {"P1", "P2"}
    assert join(house, token, participant="P3")[1].status_code == 401  # all places are taken
    assert join(house, token)[1].status_code == 422  # no participant


# ---- passwords ----


def test_a_rater_comes_back_without_an_admin_after_logging_out(house: House) -> None:
    token = invite(house, "nora")
    client, answered = join(house, token)
    assert answered.json()["choose"] == 6
    assert client.post("/api/password", json={"password": "12345"}).status_code == 422
    assert client.post("/api/password", json={"password": "2718281"}).status_code == 200
    assert client.post("/api/password", json={"password": "8675309"}).status_code == 409
    client.post("/api/logout", json={})
    assert join(house, token)[1].status_code == 401  # the link counts once
    again = house.client()
    answered = again.post("/api/login", json={"name": "nora", "password": "2718281"})
    assert answered.json() == {"next": "/work", "name": "nora", "choose": None}
    assert again.get("/api/me").json()["name"] == "nora"


def test_a_kept_session_has_a_cookie_as_long(house: House) -> None:
    _, answered = join(house, invite(house, "nora"), keep=True)
    assert "max-age=7776000" in answered.headers["set-cookie"].lower()
    answered = house.client().post("/api/login", json={"name": "ada", "password": PASSWORD, "keep": True})
    assert "max-age=7776000" in answered.headers["set-cookie"].lower()


def test_a_panels_participant_is_not_asked_for_a_password(house: House) -> None:
    token = house.desk.open_panel("study", 2, "test")
    assert join(house, token, participant="P1")[1].json()["choose"] is None


def test_an_admin_resets_a_password_and_gets_a_new_link(house: House) -> None:
    anna, ada = house.clients["anna"], house.clients["ada"]
    anna.post("/api/password", json={"password": "2718281"})
    answered = ada.post(f"/api/admin/raters/{house.persons['anna'].id}/reset", json={})
    token = answered.json()["link"].partition("#")[2]
    assert anna.get("/api/me").status_code == 401
    assert house.client().post("/api/login", json={"name": "anna", "password": "2718281"}).status_code == 401
    assert join(house, token)[1].json()["choose"] == 6
    assert ada.post(f"/api/admin/raters/{house.persons['ada'].id}/reset", json={}).status_code == 409


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(house: House) -> None:
    wrong = house.client().post("/api/login", json={"name": "ada", "password": "wrong password"})
    unknown = house.client().post("/api/login", json={"name": "nobody", "password": "wrong password"})
    without = house.client().post("/api/login", json={"name": "anna", "password": "wrong password"})
    assert wrong.status_code == unknown.status_code == without.status_code == 401
    assert wrong.json() == unknown.json() == without.json()


def test_a_password_of_a_megabyte_is_refused_before_it_is_hashed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(house.desk), "log_in", lambda *_: pytest.fail("it got as far as the desk"))
    for letters in (2**20, 15_000):
        answered = house.client().post("/api/login", json={"name": "ada", "password": "x" * letters})
        assert answered.status_code in (413, 422)


def test_a_token_in_the_query_is_never_looked_at(house: House) -> None:
    token = invite(house, "nora")
    answered = house.client().get(f"/join?token={token}")
    assert token not in answered.text
    assert COOKIE not in answered.cookies
    assert house.client().post(f"/api/join?token={token}", json={}).status_code == 422


def test_pages_send_strangers_to_the_log_in_and_everybody_else_to_their_own_work(house: House) -> None:
    for name, home in {"anna": "/work", "jude": "/admin/adjudicate", "ada": "/admin", "rita": "/admin"}.items():
        answered = house.clients[name].get("/")
        assert (answered.status_code, answered.headers["location"]) == (303, home)
        assert house.clients[name].get(home).status_code == 200
    assert house.client().get("/").headers["location"] == "/login"
    assert house.client().get("/work").headers["location"] == "/login"
    assert house.clients["anna"].get("/admin").headers["location"] == "/work"
    assert BASE.startswith("http://127.0.0.1")


@pytest.mark.parametrize(("public_url", "name"), [("http://rate.example.org", "rrm-80"), ("", "rrm-8750")])
def test_servers_behind_one_public_url_know_a_session_by_one_name(tmp_path: Path, public_url: str, name: str) -> None:
    with house_in(tmp_path, station={"settings": WebSettings(public_url=public_url)}) as house:
        headers = {"Host": "rate.example.org", "Origin": public_url} if public_url else {}
        client = house.client(headers=headers)
        assert client.post("/api/join", json={"token": invite(house, "nora")}).status_code == 200
        assert name in {each.name for each in client.cookies.jar}
