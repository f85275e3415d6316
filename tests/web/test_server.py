"""The real server: slow clients are cut off, broken requests answered, and it ends cleanly at a signal."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rrm.queue import open_desk
from rrm.web.server import listening, serve
from rrm.web.station import Station, WebSettings
from tests.web.live import Process, running
from tests.web.stations import PLENTY, House, desk_in, items_of, new_key

IMPATIENT = replace(PLENTY, request_seconds=1.0)


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as made:
        yield made


def cut_off(connection: socket.socket, drips: bytes, every: float = 0.1) -> bool:
    """Send a byte now and then; whether the server hangs up before all of them are sent."""
    connection.settimeout(every)
    for byte in drips:
        try:
            connection.sendall(bytes([byte]))
            if connection.recv(1000) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def fetch_icon(connection: socket.socket, address: str) -> None:
    connection.sendall(head(address, "GET /static/icon.svg HTTP/1.1"))
    answered = b""
    while not answered.endswith(b"</svg>\n"):
        answered += connection.recv(100_000)
    assert answered.startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def impatient(house: House) -> Iterator[str]:
    with running(replace(house.station, settings=IMPATIENT)) as address:
        yield address


def head(address: str, *lines: str) -> bytes:
    return "\r\n".join([*lines, f"Host: {address.removeprefix('http://')}", f"Origin: {address}", "", ""]).encode()


def test_a_head_that_comes_byte_by_byte_is_cut_off(impatient: str) -> None:
    with connected(impatient) as connection:
        assert cut_off(connection, b"GET /login HTTP/1.1\r\nX: " + b"y" * 500)


def test_a_body_that_comes_byte_by_byte_is_cut_off(impatient: str) -> None:
    with connected(impatient) as connection:
        asked = "POST /api/login HTTP/1.1", "Content-Type: application/json", "Content-Length: 500"
        connection.sendall(head(impatient, *asked))
        assert cut_off(connection, b"{" + b" " * 499)


def test_a_body_in_chunks_that_never_ends_is_cut_off(impatient: str) -> None:
    with connected(impatient) as connection:
        asked = "POST /api/login HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"
        connection.sendall(head(impatient, *asked))
        assert cut_off(connection, b"1\r\n \r\n" * 100)


def test_a_body_that_nobody_reads_is_cut_off_too(impatient: str) -> None:
    with connected(impatient) as connection:
        connection.sendall(head(impatient, "GET /login HTTP/1.1", "Content-Length: 500"))
        assert b"200 OK" in connection.recv(100_000)
        assert cut_off(connection, b" " * 499)


def test_a_connection_on_which_nothing_comes_is_cut_off(impatient: str) -> None:
    with connected(impatient) as connection:
        assert connection.recv(100) == b""


def test_the_second_request_of_a_connection_is_watched_as_the_first(impatient: str) -> None:
    with connected(impatient) as connection:
        fetch_icon(connection, impatient)
        assert cut_off(connection, b"GET /login HTTP/1.1\r\nX: " + b"y" * 500)


def test_empty_lines_between_requests_do_not_keep_a_connection(impatient: str) -> None:
    with connected(impatient) as connection:
        fetch_icon(connection, impatient)
        assert cut_off(connection, b"\r\n" * 250)


def test_an_answer_does_not_wait_for_word_that_its_beginning_came() -> None:
    with listening(WebSettings(), "127.0.0.1", 0) as listener:
        listener.settimeout(20)
        with socket.create_connection(listener.getsockname()[:2]):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_may_rest_between_requests_longer_than_one_request_may_take(impatient: str) -> None:
    with connected(impatient) as connection:
        fetch_icon(connection, impatient)
        time.sleep(1.5 * IMPATIENT.request_seconds)
        fetch_icon(connection, impatient)


def test_others_are_served_while_slow_ones_drip(impatient: str) -> None:
    with connected(impatient) as one, connected(impatient) as two:
        one.sendall(b"GET /login HTTP/1.1\r\n")
        two.sendall(b"POST /api/login")
        assert httpx.get(f"{impatient}/login").status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /login HTTP/1.1\r\n\r\n",  # no Host
        b"GET /login\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /login HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /login HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
    ],
)
def test_what_is_no_http_gets_400_with_the_headers_of_every_answer(shared: House, request_line: bytes) -> None:
    with running(shared.station) as address, connected(address) as connection:
        connection.sendall(request_line + b"\r\n\r\n")
        answered = b""
        while chunk := connection.recv(10_000):
            answered += chunk
        assert b" 400 " in answered.splitlines()[0]
        assert b"content-security-policy: default-src 'none'" in answered.lower()
        assert b"x-content-type-options: nosniff" in answered.lower()


def test_a_too_big_body_is_answered_before_all_of_it_is_there(shared: House) -> None:
    with running(shared.station) as address, connected(address) as connection:
        asked = "POST /api/login HTTP/1.1", "Content-Type: application/json", "Content-Length: 1153434"
        connection.sendall(head(address, *asked))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_nothing_of_a_request_is_logged(
    shared: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(shared.station) as address:
        httpx.get(f"{address}/join?participant=seeded-participant")
        httpx.post(f"{address}/api/join", json={"token": "seeded-token"}, headers={"Origin": address})
    assert "seeded" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_links_and_cookies_of_the_real_server_work_together(house: House) -> None:
    with running(house.station) as address, httpx.Client(base_url=address, headers={"Origin": address}) as client:
        token = house.desk.invite(house.desk.add_person("nora", by="test").id, "test")
        assert client.post("/api/join", json={"token": token}).json()["next"] == "/work"
        assert client.get("/api/me").json()["name"] == "nora"
        assert client.get("/work").status_code == 200


# ---- its end ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_nothing_is_lost(tmp_path: Path, number: signal.Signals) -> None:
    with desk_in(tmp_path, items_of(["label"], each=3)) as desk:
        anna = desk.add_person("anna", by="test")
        session = desk.join(desk.invite(anna.id, "test"))
    process = Process(tmp_path)
    try:
        headers = {"Origin": process.address, "Cookie": f"rrm-{process.port}={session}"}
        with httpx.Client(base_url=process.address, headers=headers) as client:
            lease = client.post("/api/claim", json={}).json()["lease"]
            shown = lease["questions"][0]["shown"]
            body = {"key": new_key(), "answers": [{"shown": shown, "answer": {"kind": "label", "good": True}}]}
            assert client.post(f"/api/leases/{lease['id']}/answer", json=body).status_code == 200
            assert process.end(number) == (0, "ended\n")  # the client's connection is still open
    finally:
        process.kill()
    with open_desk(tmp_path) as desk:
        assert [given.item for given in desk.answers()] == [lease["item"]]


def test_a_public_url_is_what_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    def ready(address: str) -> None:
        told.append(address)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with desk_in(tmp_path) as desk:
        serve(Station(desk, WebSettings("https://rate.example.org/")), "127.0.0.1", 0, ready)
        serve(Station(desk), "127.0.0.1", 0, ready)
    assert told[0] == "https://rate.example.org"
    assert told[1].startswith("http://127.0.0.1:")
    assert signal.getsignal(signal.SIGINT) is before
