"""Requests that another site's page makes a browser send: refused by Origin, Sec-Fetch-Site and content type."""

from pathlib import Path
from typing import Any

import pytest

from rrm.web.station import WebSettings
from tests.web.routes_table import ROUTES
from tests.web.stations import BASE, House, house_in

JSON = {"content-type": "application/json"}
UNSAFE = sorted({path for method, path in ROUTES if method in ("POST", "PUT")})


def asked(
    shared: House, headers: dict[str, str], content: bytes = b"{}", method: str = "POST", path: str = "/api/claim"
) -> Any:
    """Ask with a rater's cookie and these headers only."""
    client = shared.client(shared.session("anna"))
    del client.headers["Origin"]
    return client.request(method, path, content=content, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": BASE},
        {"Origin": "http://localhost:8750"},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},  # Origin decides where there is one
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_our_own_pages_may_change_things(shared: House, headers: dict[str, str]) -> None:
    assert asked(shared, {**JSON, **headers}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:8751"},
        {"Origin": "https://127.0.0.1:8750"},
        {"Origin": BASE + ".evil.com"},
        {"Origin": BASE + "/"},
        {"Origin": BASE.upper()},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "SAME-ORIGIN"},
        {"Referer": BASE + "/work"},
    ],
)
def test_anybody_elses_may_not(shared: House, headers: dict[str, str]) -> None:
    answered = asked(shared, {**JSON, **headers})
    assert answered.status_code == 403
    assert answered.json() == {"detail": "only this server's own pages may change anything"}


@pytest.mark.parametrize("path", UNSAFE)
def test_every_route_that_changes_anything_is_guarded(shared: House, path: str) -> None:
    method = next(method for method, known in ROUTES if known == path and method in ("POST", "PUT"))
    filled = path.replace("{id}", "x").replace("{item}", "x").replace("{level}", "0")
    assert asked(shared, {**JSON, "Origin": "https://evil.example"}, method=method, path=filled).status_code == 403
    assert asked(shared, JSON, method=method, path=filled).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "post"])
def test_every_method_but_the_safe_ones_is_guarded(shared: House, method: str) -> None:
    assert asked(shared, {**JSON, "Origin": "https://evil.example"}, method=method).status_code == 403


def test_two_origins_are_refused(shared: House) -> None:
    client = shared.client(shared.session("anna"))
    answered = client.post("/api/claim", json={}, headers=[("Origin", BASE), ("Origin", "https://evil.example")])
    assert answered.status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/ld+json",
        "text/json",
        "",
    ],
)
def test_a_body_of_another_type_than_json_is_refused(shared: House, kind: str) -> None:
    assert asked(shared, {"Origin": BASE, "content-type": kind}).status_code == 415


def test_a_body_without_a_type_is_refused(shared: House) -> None:
    assert asked(shared, {"Origin": BASE}).status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken(shared: House, kind: str) -> None:
    assert asked(shared, {"Origin": BASE, "content-type": kind}).status_code == 200


def test_a_form_of_another_site_is_refused(shared: House) -> None:
    headers = {
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "cross-site",
        "content-type": "application/x-www-form-urlencoded",
    }
    answered = asked(shared, headers, content=b"_method=PUT&key=value", path="/api/logout")
    assert answered.status_code == 403
    assert shared.clients["anna"].get("/api/me").status_code == 200


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_header_stands_for_another_method(shared: House, header: str, method: str) -> None:
    answered = asked(shared, {**JSON, "Origin": BASE, header: "POST"}, method=method, path="/api/logout")
    assert answered.status_code == 403
    assert shared.clients["anna"].get("/api/me").status_code == 200


def test_a_safe_method_changes_nothing_on_a_route_that_does(shared: House) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert asked(shared, {}, method=method, content=b"", path="/api/logout?_method=POST").status_code == 405
    assert shared.clients["anna"].get("/api/me").status_code == 200


def test_other_sites_are_told_no_more_than_browsers_tell_them_anyway(shared: House) -> None:
    answered = shared.clients["anna"].options(
        "/api/claim", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert not {name for name in answered.headers if name.startswith("access-control")}


def test_the_public_url_is_an_origin_and_its_http_twin_is_not(tmp_path: Path) -> None:
    with house_in(tmp_path, station={"settings": WebSettings("https://rate.example.org")}) as house:
        for origin, status in {
            "https://rate.example.org": 401,
            BASE: 401,
            "http://rate.example.org": 403,
            "https://rate.example.org:443": 403,
            "https://evil.rate.example.org": 403,
        }.items():
            headers = {"Origin": origin, "Host": "rate.example.org"}
            assert house.client().post("/api/claim", json={}, headers=headers).status_code == status
