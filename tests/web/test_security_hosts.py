"""Who may be asked for: the Host allow-list, and the addresses on which the server starts at all."""

from pathlib import Path

import pytest

from rrm.core.errors import ConfigError
from rrm.web.server import check_host, listening, serve
from rrm.web.station import Station, WebSettings
from tests.web.stations import House, house_in

EVIL = [
    "evil",
    "evil.example",
    "127.0.0.1.evil.com",
    "127.0.0.1.evil.com:8750",
    "127.0.0.1",
    "127.0.0.1:8751",
    "127.0.0.1:08750",
    "127.0.0.1:8750.evil.com",
    "evil.com#127.0.0.1:8750",
    "user@127.0.0.1:8750",
    "127.0.0.1:8750 ",
    "0.0.0.0:8750",
    "localhost",
    "localhost.:8750",
    "[::1]",
    "rate.example.org:8750",
    "",
]


@pytest.mark.parametrize("host", EVIL)
@pytest.mark.parametrize("path", ["/login", "/api/me", "/static/style.css", "/nowhere"])
def test_a_host_that_is_not_ours_gets_400(shared: House, host: str, path: str) -> None:
    answered = shared.clients["ada"].get(path, headers={"Host": host})
    assert answered.status_code == 400
    assert "name" in answered.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1:8750", "localhost:8750", "LOCALHOST:8750", "[::1]:8750"])
def test_loopback_with_our_port_is_answered(shared: House, host: str) -> None:
    assert shared.client().get("/login", headers={"Host": host}).status_code == 200


def asgi_status(shared: House, headers: list[tuple[bytes, bytes]]) -> int:
    """Ask with exactly these headers, which no client library would send."""
    import anyio

    sent = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/login",
        "raw_path": b"/login",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "server": ("127.0.0.1", 8750),
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    anyio.run(shared.app, scope, receive, send)
    return int(sent[0]["status"])  # type: ignore[call-overload]


def test_a_missing_or_second_host_gets_400(shared: House) -> None:
    good = (b"host", b"127.0.0.1:8750")
    assert asgi_status(shared, [good]) == 200
    assert asgi_status(shared, []) == 400
    assert asgi_status(shared, [good, good]) == 400
    assert asgi_status(shared, [good, (b"host", b"evil")]) == 400


def test_the_public_urls_host_is_answered_too(tmp_path: Path) -> None:
    with house_in(tmp_path, station={"settings": WebSettings("https://rate.example.org")}) as house:
        assert house.client().get("/login", headers={"Host": "rate.example.org"}).status_code == 200
        assert house.client().get("/login", headers={"Host": "127.0.0.1:8750"}).status_code == 200
        for host in ("rate.example.org:80", "rate.example.org.evil.com", "xrate.example.org", "example.org"):
            assert house.client().get("/login", headers={"Host": host}).status_code == 400


def test_forwarding_headers_do_not_change_the_host(shared: House) -> None:
    forwarded = {"X-Forwarded-Host": "127.0.0.1:8750", "Forwarded": "host=127.0.0.1:8750"}
    assert shared.client().get("/login", headers={"Host": "evil", **forwarded}).status_code == 400


# ---- starting ----


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.2"])
def test_another_host_than_loopback_is_refused_without_a_public_url(shared: House, host: str) -> None:
    with pytest.raises(ConfigError, match="--public-url") as refused:
        serve(shared.station, host, 0, ready=lambda _: None)
    assert refused.value.exit_code == 2


def test_with_a_public_url_any_host_may_be_listened_on() -> None:
    settings = WebSettings("https://rate.example.org")
    check_host(settings, "0.0.0.0")
    with listening(settings, "0.0.0.0", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_that_is_taken_is_refused_with_a_sentence(shared: House) -> None:
    with listening(WebSettings(), "127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve(shared.station, "127.0.0.1", port, ready=lambda _: None)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(shared: House, port: int) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        serve(shared.station, "127.0.0.1", port, ready=lambda _: None)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://rate.example.org", "https://rate.example.org"),
        ("https://rate.example.org/", "https://rate.example.org"),
        ("https://Rate.Example.ORG:443", "https://rate.example.org"),
        ("http://rate.example.org:8080", "http://rate.example.org:8080"),
        ("http://192.168.1.5:80", "http://192.168.1.5"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_public_url_is_kept_as_browsers_write_origins(url: str, origin: str) -> None:
    settings = WebSettings(url)
    assert settings.public_url == origin
    assert origin in settings.origins(8750)
    assert origin.partition("//")[2] in settings.hosts(8750)


@pytest.mark.parametrize(
    "url",
    [
        "rate.example.org",
        "ftp://rate.example.org",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://rate.example.org/path",
        "https://rate.example.org?x=1",
        "https://rate.example.org#x",
        "https://user:secret@rate.example.org",
        "https://rate.example.org:99999",
        "https://rate.example.org:port",
        "https://räte.example.org",
        "https://rate example.org",
        "https://rate.example.org\n",
        "https://[::1",
        "*",
    ],
)
def test_a_public_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="public URL"):
        WebSettings(url)


def test_there_is_no_setting_that_switches_authentication_off() -> None:
    named = set(WebSettings.__dataclass_fields__) | set(Station.__dataclass_fields__)
    assert not {name for name in named if "auth" in name or "secure" in name or "insecure" in name}
