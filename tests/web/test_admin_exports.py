"""Downloads: streamed, read back to what is on record, under pseudonyms, and safe to open in a spreadsheet."""

import csv
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from rrm.core.annotation import Annotation, Item, Submission
from rrm.core.values import Comparison, Feedback, Label, Rated
from rrm.web.admin import exports
from rrm.web.app import application
from tests.web.stations import BASE, COOKIE, PORT, House, claim, house_in, items_of, new_key, request_of, submit

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "plain", "'quoted")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path / "run", items_of(["comparison", "demonstration", "critique"], each=3, wanted=2)) as made:
        for name, role in {"anna": "annotator", "ben": "annotator", "ada": "admin", "rita": "reader"}.items():
            made.add(name, role)  # type: ignore[arg-type]
        yield made


def answer_everything(home: House) -> None:
    texts = iter(FORMULAS * 4)
    for name in ("anna", "ben"):
        client = home.clients[name]
        while client.post("/api/claim", json={}).json()["lease"] is not None:
            lease = claim(client)
            text = next(texts)
            kind = lease["questions"][0]["kind"]
            answer = {"kind": kind, "text": text} if kind in ("demonstration", "critique") else None
            assert submit(client, lease, answer).status_code == 200


def download(home: House, form: str, name: str = "ada", **asked: str) -> Any:
    answered = home.clients[name].get(f"/api/admin/export/{form}", params=asked)
    assert answered.status_code == 200, answered.text
    return answered


def test_json_lines_hold_every_answer_that_counts_with_its_texts(home: House) -> None:
    answer_everything(home)
    rows = [json.loads(line) for line in download(home, "jsonl").text.splitlines()]
    given = {each.id: each for each in home.desk.answers()}
    assert [row["id"] for row in rows] == list(given)
    for row in rows:
        held = given[row["id"]]
        assert (row["item"], row["rater"], row["state"], row["seconds"]) == (
            held.item,
            held.person,
            "live",
            held.seconds,
        )
        shown = home.desk.item(held.item).request.shown
        assert row["outputs"] == [shown[place].text for place in held.order]
        assert "name" not in row
    assert {row["text"] for row in rows if row["kind"] == "demonstration"} <= set(FORMULAS)


def test_all_forms_hold_the_same_answers(home: House) -> None:
    answer_everything(home)
    import pyarrow.parquet

    lines = [json.loads(line) for line in download(home, "jsonl").text.splitlines()]
    cells = list(csv.DictReader(io.StringIO(download(home, "csv").content.decode("utf-8-sig"), newline="")))
    table = pyarrow.parquet.read_table(io.BytesIO(download(home, "parquet").content)).to_pylist()
    assert [row["id"] for row in cells] == [row["id"] for row in lines] == [row["id"] for row in table]
    assert [row["text"] for row in table] == [row["text"] for row in lines]
    assert [row["text"].removeprefix("'") for row in cells] == [row["text"] or "" for row in lines]


def test_no_cell_of_a_spreadsheet_begins_like_a_formula(home: House) -> None:
    answer_everything(home)
    for row in csv.DictReader(io.StringIO(download(home, "csv").content.decode("utf-8-sig"), newline="")):
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝")), cell


def test_preference_rows_are_what_the_answers_prefer(home: House) -> None:
    answer_everything(home)
    rows = [json.loads(line) for line in download(home, "trl").text.splitlines()]
    expected = []
    for given in home.desk.answers():
        if isinstance(given.answer, Comparison) and given.answer.better is not None:
            shown = home.desk.item(given.item).request.shown
            expected.append((shown[given.answer.better].text, shown[1 - given.answer.better].text, given.person))
    assert [(row["chosen"], row["rejected"], row["annotator"]) for row in rows] == expected
    assert len(rows) == 6


def test_answers_that_do_not_count_come_only_when_asked_for(home: House) -> None:
    answer_everything(home)
    home.desk.requeue(home.persons["ben"].id, "test")
    counting = [json.loads(line) for line in download(home, "jsonl").text.splitlines()]
    every = [json.loads(line) for line in download(home, "jsonl", answers="all").text.splitlines()]
    assert {row["rater"] for row in counting} == {home.persons["anna"].id}
    assert {row["state"] for row in every} == {"live", "requeued"}
    assert len(every) == 2 * len(counting)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "trl"])
def test_nobody_is_named_unless_an_admin_asks_and_then_the_audit_says_so(home: House, form: str) -> None:
    answer_everything(home)
    before = len(home.desk.audit(1000))
    plain = download(home, form).content
    assert b"anna" not in plain
    assert download(home, form, "rita").content == plain
    assert len(home.desk.audit(1000)) == before
    refused = home.clients["rita"].get(f"/api/admin/export/{form}?names=true")
    assert refused.status_code == 403
    named = download(home, form, names="true").content
    assert (b"anna" in named) == (form != "trl")  # which has no column for names
    new = home.desk.audit(len(home.desk.audit(1000)) - before)
    assert [(entry.what, entry.by) for entry in new] == [("export names", home.persons["ada"].id)]


def test_an_empty_export_is_a_whole_file(home: House) -> None:
    import pyarrow.parquet

    assert download(home, "jsonl").content == b""
    assert download(home, "trl").content == b""
    assert pyarrow.parquet.read_table(io.BytesIO(download(home, "parquet").content)).num_rows == 0


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "trl"])
def test_the_server_makes_the_files_name(home: House, form: str) -> None:
    said = download(home, form, filename="../../evil").headers["content-disposition"]
    ending = "jsonl" if form == "trl" else form
    assert re.fullmatch(rf'attachment; filename="(answers|preferences)-\d{{4}}-\d\d-\d\d\.{ending}"', said)


@pytest.mark.parametrize("form", ["exe", "JSONL", "jsonl.gz", "..%2fjsonl", "%00", "jsonl%20", "con"])
def test_another_form_is_refused(home: House, form: str) -> None:
    assert home.clients["ada"].get(f"/api/admin/export/{form}").status_code in (400, 404, 422)


def test_what_fails_at_once_fails_with_a_sentence(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from rrm.core.errors import InputError
    from rrm.interchange import annotations

    answer_everything(home)

    def missing() -> None:
        raise InputError("Parquet needs pyarrow")

    monkeypatch.setattr(annotations, "pyarrow", missing)
    answered = home.clients["ada"].get("/api/admin/export/parquet")
    assert (answered.status_code, answered.json()) == (422, {"detail": "Parquet needs pyarrow"})


class Watched:
    """A desk whose answers are handed out one by one, up to a gate that somebody opens."""

    def __init__(self, desk: Any, gate: threading.Event, after: int) -> None:
        self._desk, self._gate, self._after = desk, gate, after
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)

    def answers(self, **asked: Any) -> Iterator[Annotation]:
        for given in self._desk.answers(**asked):
            if self.read == self._after:
                assert self._gate.wait(30), "nobody took the first bytes"
            self.read += 1
            yield given


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_first_bytes_leave_before_the_last_row_is_read(home: House, form: str) -> None:
    requests = [request_of("label", 1000 + number, text="word " * 40) for number in range(2_500)]
    home.desk.add_items([Item(each) for each in requests])
    home.desk.enter([Rated(each, Feedback(each.id, "rater-x", Label(True))) for each in requests], "test")
    gate = threading.Event()
    desk = Watched(home.desk, gate, after=2_300)
    app = application(replace(home.station, desk=desk), PORT)  # type: ignore[arg-type]
    bodies: list[bytes] = []

    async def send(message: Any) -> None:
        bodies.append(message.get("body", b""))
        if len(bodies[-1]) > 0:
            gate.set()  # the rest is read only once something was sent

    async def receive() -> Any:
        await anyio.sleep_forever()

    cookie = f"{COOKIE}={home.session('ada')}".encode()
    scope = {
        "type": "http", "method": "GET", "path": f"/api/admin/export/{form}", "raw_path": b"", "query_string": b"",
        "root_path": "", "headers": [(b"host", BASE.partition("//")[2].encode()), (b"cookie", cookie)],
        "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", PORT), "http_version": "1.1",
    }  # fmt: skip
    anyio.run(app, scope, receive, send)
    assert desk.read == 2_500
    assert sum(map(len, bodies)) > 100_000


def test_submissions_go_on_while_an_export_waits_for_its_reader(home: House) -> None:
    answer_everything(home)
    home.desk.add_items([Item(request_of("label", 5000 + number)) for number in range(3)])
    chunks = exports._chunks(home.desk, "jsonl", False, None)
    first = next(chunks)
    lease = home.desk.claim(home.persons["anna"].id)
    assert lease is not None
    home.desk.submit(lease.person, lease.id, [Submission(Label(True), lease.first.shown)], new_key())
    assert first.startswith(b'{"id":')
    list(chunks)
