"""Bad input in every field of the rater's API: refused with a sentence or taken as what it says, never a failure."""

import json
from typing import Any

import pytest

from tests.web.stations import House, claim, new_key, submission_for

SENTENCE = range(400, 500)

TEXTS: dict[str, Any] = {
    "empty": "",
    "blank": " \t\n ",
    "NUL": "a\0b",
    "surrogate": "a\ud800b",
    "emoji": "🦊" * 50,
    "combining": "e" + "\u0301" * 1000,
    "right to left": "\u202eabc\u202c مرحبا \u200b",
    "CRLF": "a\r\nb\rc",
    "megabyte": "x" * 2**20,
    "a letter too many": "x" * 20_001,
    "HTML": "<script>alert(1)</script>",
    "JSON": '{"kind": "label", "good": true}',
    "SQL": "' OR 1=1--",
    "SQL order": "id; DROP TABLE given",
    "wildcards": "%_%",
    "path": "../../etc/passwd",
    "template": "{{7*7}}",
    "number": "1e5",
    "true": True,
    "one": 1,
    "list": ["a"],
    "object": {"a": "b"},
    "null": None,
}
NUMBERS: dict[str, Any] = {
    "text": "1e5",
    "true": True,
    "null": None,
    "list": [1],
    "minus": -1,
    "minus zero": -0.0,
    "half": 0.5,
    "2**53": 2**53,
    "2**63": 2**63,
    "huge": 1e308,
    "tiny": 5e-324,
    "future": 4e12,
}
RAW = {"NaN": b"NaN", "Infinity": b"Infinity", "1e309": b"1e309", "minus": b"-", "hexadecimal": b"0x10"}

FIELDS: dict[str, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {
    "/api/join": (
        "POST",
        {"token": "a" * 43, "participant": "P", "agreed": "consent-1"},
        [("token", "text"), ("participant", "text"), ("agreed", "text")],
    ),
    "/api/login": ("POST", {"name": "ada", "password": "x" * 12}, [("name", "text"), ("password", "text")]),
    "/api/leases/{id}/draft": ("PUT", {"draft": {"text": "a"}}, [("draft", "text"), ("draft.text", "text")]),
    "/api/leases/{id}/skip": ("POST", {"key": "key-0001", "reason": "r"}, [("key", "text"), ("reason", "text")]),
    "/api/leases/{id}/flag": ("POST", {"text": "odd"}, [("text", "text")]),
}
BY_KIND = {
    "comparison": [("better", "number"), ("strength", "number"), ("both_bad", "number")],
    "hindsight": [("better", "number"), ("strength", "number"), ("both_bad", "number")],
    "ranking": [("best_first", "text"), ("best_first.0", "number")],
    "rating": [("value", "number")],
    "label": [("good", "number")],
    "correction": [("text", "text")],
    "demonstration": [("text", "text")],
    "critique": [("text", "text"), ("spans", "text"), ("spans.0", "text"), ("spans.0.0", "number"),
                 ("source_spans.0.0", "number")],
    "claims": [("missing", "text"), ("missing.0", "text"), ("unsupported", "text"), ("unsupported.0.0", "number"),
               ("source_spans.0.0", "number")],
    "reject": [("reason", "text")],
}  # fmt: skip
COMMON = [("key", "text"), ("answers", "text"), ("answers.0", "text"), *(
    (f"answers.0.{name}", sort) for name, sort in [
        ("shown", "text"), ("seconds", "number"), ("confidence", "number"), ("detail", "text"),
        ("detail.away", "number"), ("answer", "text"), ("answer.kind", "text"),
    ])]  # fmt: skip


def put(body: Any, path: str, value: Any) -> Any:
    """The body with this value at a dotted path."""
    first, _, rest = path.partition(".")
    copied = list(body) if isinstance(body, list) else dict(body)
    at: Any = int(first) if isinstance(body, list) else first
    copied[at] = put(copied[at], rest, value) if rest else value
    return copied


def bodies(body: dict[str, Any], fields: list[tuple[str, str]]) -> dict[str, bytes]:
    """All bad bodies, as they are sent, by what is bad about them."""
    found = {}
    for field, sort in fields:
        for name, value in (TEXTS if sort == "text" else NUMBERS).items():
            found[f"{field}: {name}"] = json.dumps(put(body, field, value)).encode()
        for name, raw in RAW.items():
            marked = json.dumps(put(body, field, "@@@@"))
            found[f"{field}: {name}"] = marked.encode().replace(b'"@@@@"', raw)
    for name in body:
        found[f"{name} is missing"] = json.dumps({key: value for key, value in body.items() if key != name}).encode()
    found["one more"] = json.dumps({**body, "more": 1}).encode()
    found["a key twice"] = json.dumps(body).encode()[:-1] + b', "key": "key-0002", "key": "key-0003"}'
    return found


def check(house: House, method: str, path: str, bad: dict[str, bytes]) -> None:
    for name, body in bad.items():
        answered = house.clients["anna"].request(
            method, path, content=body, headers={"content-type": "application/json"}
        )
        assert answered.status_code < 500, (path, name, answered.status_code, answered.text[:300])
        if answered.status_code in SENTENCE:
            detail = answered.json()["detail"]
            assert isinstance(detail, str), (path, name)
            assert 5 < len(detail) < 500, (path, name)
        taken = {"NaN", "Infinity", "1e309", "minus", "hexadecimal", "NUL", "surrogate", "megabyte", "2**63"}
        if name.rpartition(": ")[2] in taken and not name.endswith(": minus"):
            assert answered.status_code in (400, 413, 422), (path, name, answered.status_code)
        if name == "a key twice" or name == "one more":
            assert answered.status_code in (400, 422), (path, name)


@pytest.mark.parametrize("path", FIELDS)
def test_no_field_of_the_raters_routes_fails(house: House, path: str) -> None:
    method, body, fields = FIELDS[path]
    lease = claim(house.clients["anna"])
    check(house, method, path.replace("{id}", lease["id"]), bodies(body, fields))


@pytest.mark.parametrize("kind", BY_KIND)
def test_no_field_of_an_answer_fails(house: House, kind: str) -> None:
    lease = lease_of(house, kind)
    body = submission_for(lease, confidence=0.5, detail={"away": 1.0})
    fields = [(f"answers.0.answer.{name}", sort) for name, sort in BY_KIND[kind]]
    check(house, "POST", f"/api/leases/{lease['id']}/answer", bodies(body, fields + COMMON * (kind == "label")))


def lease_of(house: House, kind: str) -> dict[str, Any]:
    """Go through the items until one of this kind comes."""
    anna = house.clients["anna"]
    while (lease := claim(anna))["questions"][0]["kind"] != kind:
        skipped = {"key": new_key(), "reason": "another kind"}
        assert anna.post(f"/api/leases/{lease['id']}/skip", json=skipped).status_code == 200
    return lease


@pytest.mark.parametrize("value", [v for name, v in TEXTS.items() if isinstance(v, str) and name not in ("empty",)])
def test_no_id_in_a_path_fails(shared: House, value: str) -> None:
    from urllib.parse import quote

    encoded = quote(value[:2500], safe="", errors="surrogatepass")
    for method, path in (("GET", "wider"), ("POST", "renew")):
        answered = shared.clients["anna"].request(
            method, f"/api/leases/{encoded}/{path}", **({} if method == "GET" else {"json": {}})
        )
        assert answered.status_code in (400, 404, 414, 422), (value[:20], answered.status_code)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "🦊 e\u0301\u0301 \u202e مرحبا", "a\r\nb\t' OR 1=1--"])
def test_text_that_is_only_odd_comes_back_as_it_was_sent(house: House, text: str) -> None:
    anna = house.clients["anna"]
    lease = lease_of(house, "demonstration")
    assert anna.put(f"/api/leases/{lease['id']}/draft", json={"draft": {"text": text}}).status_code == 200
    assert claim(anna)["draft"] == {"text": text}
    answer = {"kind": "demonstration", "text": text}
    assert anna.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease, answer)).status_code == 200
    assert [given.answer.text for given in house.desk.answers()] == [text]
