"""Request bodies: bounded while they come in, and strict JSON."""

import json
import time
from typing import Any

import anyio
import pytest

from rrm.web.body import DEEPEST, Refused, check_body
from rrm.web.station import WebSettings
from tests.web.stations import BASE, COOKIE, House

SETTINGS = WebSettings()


def refusal(body: bytes) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        check_body(body, SETTINGS)
    return refused.value.status, refused.value.sentence


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"{}{}", 400, "JSON"),
        (b"{'a': 1}", 400, "JSON"),
        (b'{"a": 1,}', 400, "JSON"),
        (b'{"a": 01}', 400, "JSON"),
        (b'{"a": +1}', 400, "JSON"),
        (b'{"a": .5}', 400, "JSON"),
        (b'{"a": 0x1}', 400, "JSON"),
        (b'{"a": "\t"}', 400, "JSON"),
        (b'{"a": "\\x41"}', 400, "JSON"),
        (b"<xml/>", 400, "JSON"),
        (b"null", 422, "object"),
        (b"[]", 422, "object"),
        (b'"text"', 422, "object"),
        (b'{"a": NaN}', 400, "NaN"),
        (b'{"a": Infinity}', 400, "Infinity"),
        (b'{"a": -Infinity}', 400, "Infinity"),
        (b'{"a": 1e309}', 400, "too large"),
        (b'{"a": -1e309}', 400, "too large"),
        (b'{"a": 9007199254740993}', 400, "too large"),
        (b'{"a": 9223372036854775808}', 400, "too large"),
        (b'{"a": ' + b"9" * 100_000 + b"}", 400, "too large"),
        (b'{"a": 1, "a": 2}', 400, "twice"),
        (b'{"b": {"a": 1, "\\u0061": 2}}', 400, "twice"),
        (b'{"a": "\\u0000"}', 400, "NUL"),
        (b'{"\\u0000": 1}', 400, "NUL"),
        (b'{"a": "\0"}', 400, "JSON"),
        (b'{"a": "\\ud800"}', 400, "surrogate"),
        (b'{"a": "\\udc00\\ud800"}', 400, "surrogate"),
        (b'{"a": ["\\ud83e"]}', 400, "surrogate"),
        (b'{"a": "\xff"}', 400, "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', 400, "UTF-8"),
        (b'{"a": "\xc0\x80"}', 400, "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', 400, "JSON"),
        ('{"a": 1}'.encode("utf-16"), 400, "UTF-8"),
        ('{"a": "é"}'.encode("cp1252"), 400, "UTF-8"),
        (b'{"a": "' + b"x" * 20_001 + b'"}', 422, "20000 characters"),
        (b'{"' + b"x" * 20_001 + b'": 1}', 422, "20000 characters"),
        (b'{"a": [' + b"1," * 1000 + b"1]}", 422, "1000 entries"),
        (json.dumps({str(i): 1 for i in range(1001)}).encode(), 422, "1000 entries"),
        (b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "levels"),
        (b'{"a": ' + b"[" * 500_000, 400, "levels"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "levels"),
        (b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", 400, "levels"),
    ],
)
def test_what_is_not_strict_json_within_bounds_is_refused_with_a_sentence(body: bytes, status: int, word: str) -> None:
    found, sentence = refusal(body)
    assert found == status
    assert word in sentence


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a": [1, -0, -0.0, 1e308, 9007199254740992, null, true]} \r\n',
        '{"a": "é 🦊 \u202e \u200b مرحبا"}'.encode(),
        b'{"a": "\\ud83e\\udd8a"}',
        b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\"[[[["}',
        b'{"a": "' + b"x" * 20_000 + b'"}',
        b'{"a": ' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}",
        json.dumps({"a": "e" + "\u0301" * 1000}).encode(),
        json.dumps({"a": '{"b": 1}\r\n<script>'}).encode(),
    ],
)
def test_what_is_is_taken(body: bytes) -> None:
    check_body(body, SETTINGS)


def test_no_body_of_a_megabyte_takes_long_to_check() -> None:
    for body in (
        b'{"a": ' + b"[" * 2**20,
        b'{"a": "' + b"\\" * 2**20,
        b'{"a": [' + b"[]," * 1000 * 300,
        b"[" + b'"",' * 300_000,
        b'"' * 2**20,
        b'{"a": "' + b"[" * (2**20 - 10),
    ):
        started = time.process_time()
        with pytest.raises(Refused):
            check_body(body, SETTINGS)
        assert time.process_time() - started < 10  # what grows with the square of the size takes minutes


# ---- as the server answers ----


def post(house: House, content: bytes) -> Any:
    return house.clients["anna"].post("/api/claim", content=content, headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"x": NaN}', 400),
        (b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
        (b'{"x": "\\ud800"}', 400),
        (b'{"x": 1}', 422),
        (b"{" + b" " * 2**20 + b"}", 413),
        (b"{" + b" " * (2**20 - 2) + b"}", 200),
        (b"{" + b" " * 100_000 + b'"x": NaN}', 400),
    ],
)
def test_the_server_answers_a_bad_body_with_a_sentence(shared: House, content: bytes, status: int) -> None:
    answered = post(shared, content)
    assert answered.status_code == status, answered.text
    if status != 200:
        assert isinstance(answered.json()["detail"], str)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_big_is_refused_while_it_comes_in(shared: House, declared: bool) -> None:
    """An endless body in chunks of 64 KB: no more of it is read than the limit and one chunk."""
    read, sent = 0, []
    headers = [
        (b"host", b"127.0.0.1:8750"),
        (b"origin", BASE.encode()),
        (b"content-type", b"application/json"),
        (b"cookie", f"{COOKIE}={shared.session('anna')}".encode()),
    ]
    if declared:
        headers.append((b"content-length", b"100000000000000000000000"))
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/claim", "raw_path": b"/api/claim",
        "root_path": "", "query_string": b"", "headers": headers, "scheme": "http",
        "server": ("127.0.0.1", 8750), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict[str, object]:
        nonlocal read
        read += 2**16
        return {"type": "http.request", "body": b" " * 2**16, "more_body": True}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    anyio.run(shared.app, scope, receive, send)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]  # type: ignore[operator]
    assert read <= (0 if declared else 2**20 + 2**16)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/leases/%00/wider", 400), ("/login?x=%00", 400), ("/" + "x" * 3000, 414), ("/login?x=" + "y" * 9000, 414)],
)
def test_an_address_is_bounded_and_holds_no_nul(shared: House, path: str, status: int) -> None:
    assert shared.clients["anna"].get(path).status_code == status
