"""The headers that every answer has, whatever it answers."""

import re
from pathlib import Path

import pytest

from rrm.web.station import WebSettings
from tests.web.stations import House, house_in

EXPECTED = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

ASKED = [
    ("GET", "/", 303),
    ("GET", "/login", 200),
    ("GET", "/join", 200),
    ("GET", "/work", 200),
    ("GET", "/admin", 200),
    ("GET", "/nowhere", 404),
    ("GET", "/api/nowhere", 404),
    ("GET", "/api/me", 200),
    ("GET", "/api/leases/none/wider", 404),
    ("DELETE", "/api/me", 405),
    ("POST", "/api/claim", 200),
    ("POST", "/api/login", 422),
    ("GET", "/static/style.css", 200),
    ("GET", "/static/none.css", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ASKED)
def test_every_answer_has_the_headers(shared: House, method: str, path: str, status: int) -> None:
    client = shared.clients["ada"]
    answered = client.request(method, path, **({} if method == "GET" else {"json": {}}))
    assert answered.status_code == status
    assert {name: answered.headers.get(name) for name in EXPECTED} == EXPECTED
    assert "camera=()" in answered.headers["permissions-policy"]
    assert "server" not in answered.headers
    assert "strict-transport-security" not in answered.headers
    if not path.startswith("/static/"):
        assert answered.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil"}, 400), ({"Origin": "null"}, 403), ({"content-type": "text/plain"}, 415)],
)
def test_refusals_at_the_door_have_them_too(shared: House, headers: dict[str, str], status: int) -> None:
    answered = shared.clients["ada"].post("/api/claim", content=b"{}", headers=headers)
    assert answered.status_code == status
    assert {name: answered.headers.get(name) for name in EXPECTED} == EXPECTED
    assert answered.headers["cache-control"] == "no-store"


def test_over_https_browsers_are_told_to_stay_there(tmp_path: Path) -> None:
    with house_in(tmp_path, station={"settings": WebSettings("https://rate.example.org")}) as house:
        for path in ("/login", "/nowhere", "/static/style.css"):
            answered = house.client().get(path, headers={"Host": "rate.example.org"})
            assert answered.headers["strict-transport-security"] == "max-age=31536000"


def test_static_files_under_their_version_are_kept_for_a_year(shared: House) -> None:
    style = re.search(r'href="(/static/[0-9a-f]{16}/style\.css)"', shared.client().get("/login").text)
    assert style is not None
    answered = shared.client().get(style[1])
    assert answered.status_code == 200
    assert answered.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answered.headers["content-type"].startswith("text/css")
    old = shared.client().get("/static/0123456789abcdef/style.css")
    assert (old.status_code, old.headers["cache-control"]) == (404, "no-store")


def test_without_it_they_are_asked_about_again_and_not_sent_again(shared: House) -> None:
    first = shared.client().get("/static/style.css")
    assert first.headers["cache-control"] == "no-cache"
    again = shared.client().get("/static/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == EXPECTED["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/C:%5Cwindows%5Cwin.ini",
        "/static/%5c..%5capp.py",
        "/static/",
        "/static",
        "/static/con",
        "/templates/work.html",
        "/app.py",
    ],
)
def test_nothing_but_static_files_is_served_from_the_disk(shared: House, path: str) -> None:
    answered = shared.client().get(path)
    assert answered.status_code in (303, 404)
    assert b"def " not in answered.content
