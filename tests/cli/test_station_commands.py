"""The commands about people who rate, from an empty folder to exported answers."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest
from typer.testing import CliRunner

from rrm.api.annotate import remember_address
from rrm.api.assist import rater_of
from rrm.cli.main import app
from rrm.core.annotation import Submission
from rrm.core.errors import ConfigError, InputError, LockedError, MissingError
from rrm.core.values import Comparison, Label
from rrm.queue import open_desk
from rrm.store.record import open_store

ITEMS = [
    {
        "instruction": "Which says more?",
        "source": "A b c.",
        "outputs": ["A.", "A b c."],
        "kind": "comparison",
        "wanted": 2,
    },
    {"instruction": "Is it right?", "source": "A b c.", "outputs": ["=A"], "kind": "label"},
]
PRACTICE = [
    {
        "instruction": "Is it right?",
        "source": "Penguins cannot swim backwards quickly.",
        "outputs": [text],
        "kind": "label",
        "expected": {"kind": "label", "good": good},
        "explanation": "Read again.",
    }
    for text, good in (("Penguins swim quickly.", True), ("Camels walk.", False))
]


def command(*arguments: Any, fails: bool = False, **options: Any) -> Any:
    told = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=fails, **options)
    assert fails or told.exit_code == 0, told.output
    return told


def told(*arguments: Any) -> Any:
    return json.loads(command(*arguments, "--json").stdout.splitlines()[-1])


READ = "read 2 rows as items: comparison 1, label 1"
"""What `ITEMS` are read as."""


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two items to rate, and two to practise on."""
    place = tmp_path / "station"
    added = told("items", place, "add", lines(tmp_path / "items.jsonl", ITEMS))
    assert added == {"read": f"{READ}; for work 2", "items": 2, "new": 2, "notes": []}
    practice = lines(tmp_path / "practice.jsonl", PRACTICE)
    assert told("items", place, "add", practice, "--as", "practice")["new"] == 2
    return place


def test_items_of_a_file_are_laid_in_a_new_folder_and_counted(folder: Path, tmp_path: Path) -> None:
    assert told("items", folder, "add", tmp_path / "items.jsonl")["new"] == 0
    assert f"rrm: {READ}; for work 2\n" in command("items", folder, "add", tmp_path / "items.jsonl").stderr
    rows = told("items", folder)["rows"]
    assert [(row["kind"], row["items"], row["wanted"]) for row in rows] == [("comparison", 1, 2), ("label", 1, 1)]
    assert "comparison" in command("items", folder).stdout


def test_items_with_a_fault_are_refused_whole_and_named(folder: Path, tmp_path: Path) -> None:
    bad = lines(tmp_path / "bad.jsonl", [ITEMS[1] | {"outputs": ["new"]}, ITEMS[1] | {"kind": "lable"}])
    error = command("items", folder, "add", bad, fails=True).exception
    assert isinstance(error, InputError) and "row 2" in str(error) and "lable" in str(error)
    gold = command("items", folder, "add", tmp_path / "items.jsonl", "--as", "gold", fails=True).exception
    assert isinstance(gold, InputError) and "expected" in str(gold)
    assert sum(row["items"] for row in told("items", folder)["rows"]) == 2


def test_a_rater_is_added_invited_paused_let_in_and_forgotten(folder: Path) -> None:
    added = told("raters", folder, "add", "Anna")
    token = added["invitation"].partition("#")[2]
    with open_desk(folder) as desk:
        session = desk.join(token)
        person = desk.who(session)
        assert person is not None and (person.id, person.name, person.role) == (added["id"], "Anna", "annotator")
        assert person.state == "practising"
    for verb, state in (("pause", "paused"), ("resume", "practising"), ("resume", "active")):
        told("raters", folder, verb, "Anna")
        assert [row["state"] for row in told("raters", folder)["rows"]] == [state]
    assert told("raters", folder, "invite", added["id"])["invitation"].partition("#")[2] != token
    told("raters", folder, "forget", "Anna")
    assert [row["name"] for row in told("raters", folder)["rows"]] == [None]
    unknown = command("raters", folder, "pause", "Anna", fails=True).exception
    assert isinstance(unknown, MissingError) and "'Anna'" in str(unknown)
    assert isinstance(command("raters", folder, "add", fails=True).exception, ConfigError)


def test_a_panels_link_admits_as_many_participants_as_it_says(folder: Path) -> None:
    link = told("raters", folder, "panel", "study", "--limit", "1", "--public-url", "https://rate.example.org")["link"]
    assert re.fullmatch(r"https://rate\.example\.org/join\?participant=\{\{%participant%\}\}#[\w-]{43}", link)
    with open_desk(folder) as desk:
        assert desk.who(desk.join(link.partition("#")[2], "p1")) is not None
        with pytest.raises(PermissionError):
            desk.join(link.partition("#")[2], "p2")


def test_a_panel_of_signed_links_is_written_for_a_spreadsheet(folder: Path, tmp_path: Path) -> None:
    ids, out = tmp_path / "ids.txt", tmp_path / "links.csv"
    ids.write_text("a1\n\nb2\n")
    asked = ("panel", "study", "--quota", "3", "--completion", "https://panel.example/done", "--screen-out", "OUT")
    told("raters", folder, *asked, "--allow", ids, "--signed", "--out", out)
    with out.open(encoding="utf-8-sig", newline="") as file:
        links = {row["participant"]: row["link"] for row in csv.DictReader(file)}
    assert set(links) == {"a1", "b2"}
    assert out.stat().st_mode & 0o77 == 0
    with open_desk(folder) as desk:
        parts = urlsplit(links["a1"])
        asks = parse_qs(parts.query)
        assert desk.who(desk.join(parts.fragment, "a1", proof=asks["proof"][0])) is not None
        [panel] = desk.panels()
        assert (panel.quota, panel.completion.url, panel.screen_out.code) == (3, "https://panel.example/done", "OUT")
    refused = command("raters", folder, "panel", "study", "--signed", fails=True).exception
    assert isinstance(refused, ConfigError) and "--allow" in str(refused)


def test_a_password_is_asked_for_and_not_an_argument(folder: Path) -> None:
    told("raters", folder, "add", "Chief", "--role", "admin")
    command("raters", folder, "password", "Chief", input="correct horse battery\ncorrect horse battery\n")
    with open_desk(folder) as desk:
        assert desk.who(desk.log_in("Chief", "correct horse battery")) is not None


def test_answers_leave_with_times_and_without_names_and_come_in_elsewhere(folder: Path, tmp_path: Path) -> None:
    with open_desk(folder) as desk:
        anna = desk.add_person("Anna", "adjudicator", by="test").id
        while (lease := desk.claim(anna)) is not None:
            answer = Comparison(0, 0.5) if lease.first.request.kind == "comparison" else Label(True)
            desk.submit(anna, lease.id, [Submission(answer, lease.first.shown, seconds=2.5)], key=lease.id)
    out = tmp_path / "answers.csv"
    assert told("export", folder, "--format", "csv", "--out", out) == {"file": str(out), "rows": 2}
    rows = list(csv.DictReader(out.open(encoding="utf-8-sig", newline="")))
    assert {row["rater"] for row in rows} == {anna} and {row["seconds"] for row in rows} == {"2.5"}
    assert "Anna" not in out.read_text()
    named = tmp_path / "named.jsonl"
    told("export", folder, "--answers", "--names", "--out", named)
    assert {json.loads(line)["name"] for line in named.open()} == {"Anna"}
    for number, file in enumerate((named, out)):  # what export wrote comes in, as JSON lines and as CSV
        other = tmp_path / f"other-{number}"
        told("items", other, "add", tmp_path / "items.jsonl")
        read = "read 2 rows as ratings: comparison 1, label 1"
        counts = {"ratings": 2, "new": 2, "new_items": 0, "raters": 1}
        assert told("ratings", other, "add", file) == {"read": read, **counts, "notes": []}
        assert told("ratings", other, "add", file)["new"] == 0
    both = [json.loads(line) for line in named.open()]
    both.append({**next(row for row in both if row["kind"] == "label"), "answer": {"kind": "label", "good": False}})
    named.write_text("".join(json.dumps(row) + "\n" for row in [*both, {**both[0], "state": "undone"}, both[0]]))
    fault = command("ratings", tmp_path / "other-0", "add", named, "--strict", fails=True).exception
    assert "rows passed over: 1" in str(fault) and "(and 1 more); refused by --strict" in str(fault)
    assert told("ratings", tmp_path / "other-0", "add", named)["notes"][1] == (
        "ratings of an item that its rater has rated before: 2, 1 of them another answer; the first is taken"
    )
    assert isinstance(command("export", folder, "--names", fails=True).exception, ConfigError)


def test_answers_go_to_standard_output_with_one_set_of_rows_and_a_dictionary(folder: Path) -> None:
    with open_desk(folder) as desk:
        anna = desk.add_person("Anna", "adjudicator", by="test").id
        for answer in (Label(True), Label(False)):
            while (lease := desk.claim(anna)) is not None:
                given = answer if lease.first.request.kind == "label" else Comparison(0)
                desk.submit(anna, lease.id, [Submission(given, lease.first.shown)], key=lease.id)
            if answer == Label(True):
                desk.undo(anna)
    rows = list(
        csv.DictReader(command("export", folder, "--format", "csv", "--out", "-").stdout.lstrip("\ufeff").splitlines())
    )
    assert [row["state"] for row in rows] == ["live", "live"]
    all_ = command("export", folder, "--answers", "--all", "--out", "-").stdout.splitlines()
    assert sorted(json.loads(line)["state"] for line in all_) == ["live", "live", "undone"]
    assert not (folder / "-").exists() and not Path("-").exists()
    said = csv.DictReader(command("export", folder, "--dictionary").stdout.lstrip("\ufeff").splitlines())
    assert [row["column"] for row in said if row["column"] not in ("name", "group")] == list(rows[0])


def test_many_people_are_added_from_a_file_and_their_hours_leave_as_csv(folder: Path, tmp_path: Path) -> None:
    people, links = tmp_path / "people.csv", tmp_path / "links.csv"
    people.write_text("name,role,group\nAnna,,\nBen,adjudicator,de\n")
    assert told("raters", folder, "add", "--from", people, "--out", links)["added"] == 2
    rows = list(csv.DictReader(links.open(encoding="utf-8-sig", newline="")))
    assert [(row["name"], row["role"]) for row in rows] == [("Anna", "annotator"), ("Ben", "adjudicator")]
    with open_desk(folder) as desk:
        ben = desk.who(desk.join(rows[1]["link"].partition("#")[2]))
        assert ben is not None
        lease = desk.claim(ben.id)
        assert lease is not None
        desk.skip(ben.id, lease.id, "too hard", "key-1")
    [row] = told("raters", folder, "hours")["rows"]
    assert (row["name"], row["skipped"], row["answers"]) == ("Ben", 1, 0)
    people.write_text("name\nCarl\nBen\n")
    assert isinstance(command("raters", folder, "add", "--from", people, fails=True).exception, InputError)
    people.write_text("name,Role\nDora,adjudicator\n")
    fault = command("raters", folder, "add", "--from", people, fails=True).exception
    assert "there is no column 'Role' in a list of people: there are name, role and group" in str(fault)
    told("raters", folder, "group", "Anna", "--group", "fr")
    assert {row["name"]: row["group"] for row in told("raters", folder)["rows"]} == {"Anna": "fr", "Ben": "de"}
    told("raters", folder, "announce", "No work on Friday.")
    with open_desk(folder) as desk:
        assert [each.text for each in desk.inbox(ben.id)] == ["No work on Friday."]


def test_items_that_are_there_can_want_more_answers_or_none(folder: Path, tmp_path: Path) -> None:
    again = told("items", folder, "add", tmp_path / "items.jsonl", "--wanted", "5")
    assert again["new"] == 0 and "rrm items DIR want" in again["notes"][0]
    assert told("items", folder, "want", "--wanted", "5") == {"wanted": 5, "items": 2}
    assert [row["wanted"] for row in told("items", folder)["rows"]] == [5, 5]
    with open_desk(folder) as desk:
        ids = [row.id for row in desk.search_items() if row.purpose == "work"]
    assert told("items", folder, "retire", ids[0]) == {"items": 1, "retired": 1}
    which = tmp_path / "ids.txt"
    which.write_text("\n".join(ids))
    assert told("items", folder, "retire", which) == {"items": 2, "retired": 1}
    assert isinstance(command("items", folder, "want", fails=True).exception, ConfigError)


def test_the_assistant_of_a_named_chat_model_passes_practice_and_rates(folder: Path) -> None:
    scripted = ("--model", "rrm.assistants.scripted_model:ScriptedChatModel", "--model-set", "vary=0.0")
    found = told("assist", folder, "judge", *scripted)
    assert found["answers"] == 4  # two to practise on, two of work
    with open_desk(folder) as desk:
        assert [(each.name, each.kind, each.state) for each in desk.persons()] == [("judge", "assistant", "active")]
        assert [given.right for given in desk.answers()][:2] == [True, True]
    with open_store(folder, "read") as store:
        assert store.spent()["calls"] == 4
    again = told("assist", folder, "judge", *scripted)
    assert (again["id"], again["answers"]) == (found["id"], 0)


def test_a_call_that_was_paid_for_before_a_kill_is_not_paid_for_again(folder: Path) -> None:
    scripted = "rrm.assistants.scripted_model:ScriptedChatModel"
    with open_desk(folder) as desk:
        request = next(iter(desk.requests([row.id for row in desk.search_items()]).values()))
    for _ in range(2):
        with rater_of(folder, "rrm.raters.assistant:AssistantRater", (), scripted, ("vary=0.0",)) as rater:
            anyio.run(rater.rate_async, request, 1)
    with open_store(folder, "read") as store:
        assert store.spent()["calls"] == 1


# ---- the server ----


@pytest.fixture
def served(folder: Path) -> Any:
    """The station's process and what it said first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rrm", "annotate", str(folder), "--port", "0", "--link", "--set", "overlap=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(3)]
    yield process, "".join(said)
    process.kill()
    process.wait()


def test_a_link_says_that_it_goes_by_the_usual_address_until_the_station_was_served(folder: Path) -> None:
    first = command("raters", folder, "add", "Ann")
    assert "http://127.0.0.1:8750/join#" in first.stdout
    assert "nobody served" in first.stderr and "give --public-url here" in first.stderr
    assert command("raters", folder, "invite", "Ann", "--public-url", "https://rate.example").stderr == ""
    assert command("raters", folder, "list").stderr == ""
    remember_address(folder, "http://127.0.0.1:9999")
    again = command("raters", folder, "invite", "Ann")
    assert "http://127.0.0.1:9999/join#" in again.stdout and again.stderr == ""


def test_annotate_prints_the_admins_link_serves_and_ends_at_a_signal(served: Any, folder: Path) -> None:
    process, said = served
    address, token = re.search(r"(http://127\.0\.0\.1:\d+)/join#([\w-]+)", said).groups()  # type: ignore[union-attr]
    with httpx.Client(base_url=address, headers={"Origin": address}) as client:
        assert client.post("/api/join", json={"token": token}).json()["next"] == "/admin"
        assert client.get("/api/me").json()["role"] == "admin"
        assert client.post("/api/join", json={"token": token}).status_code in (401, 403)
        assert told("raters", folder, "add", "Ben")["invitation"].startswith(f"{address}/join#")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, process.stderr.read()
    with open_desk(folder) as desk:
        assert desk.settings().overlap == 2


def test_annotate_puts_no_link_into_a_log_and_warns_of_plain_http(folder: Path) -> None:
    command_line = [sys.executable, "-m", "rrm", "annotate", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command_line, "--public-url", "http://rate.example.org", "--trusted-proxy", "127.0.0.1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        warning, served, hint = (process.stdout.readline() for _ in range(3))
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert "WARNING" in warning and "plain http" in warning
    assert served.endswith("at http://rate.example.org\n") and "rrm raters" in hint
    assert "#" not in served + hint + rest
    with open_desk(folder) as desk:
        assert not [each for each in desk.persons() if each.role == "admin"]


def test_a_password_is_reset_with_a_new_link(folder: Path) -> None:
    token = told("raters", folder, "add", "Ben")["invitation"].partition("#")[2]
    with open_desk(folder) as desk:
        ben = desk.who(desk.join(token))
        assert ben is not None
        desk.choose_password(ben.id, "314159")
        again = told("raters", folder, "reset", "Ben")["invitation"].partition("#")[2]
        assert not desk.person(ben.id).has_password
        assert desk.who(desk.join(again)) is not None


def test_a_host_that_others_reach_is_refused_without_a_public_url(folder: Path) -> None:
    error = command("annotate", folder, "--host", "0.0.0.0", "--port", "0", fails=True).exception
    assert isinstance(error, ConfigError) and "--public-url" in str(error) and error.exit_code == 2


def test_a_limit_or_setting_that_there_is_not_is_refused(folder: Path) -> None:
    assert isinstance(command("annotate", folder, "--limit", "speed=3", fails=True).exception, ConfigError)
    assert isinstance(command("annotate", folder, "--set", "overlapp=3", fails=True).exception, ConfigError)


def test_the_run_beside_a_station_is_told_apart_by_its_state(folder: Path) -> None:
    from rrm.api.annotate import RunBeside

    beside = RunBeside(folder)
    assert beside.status()["state"] == "none"
    with pytest.raises(InputError, match="no run"):
        beside.train()
    with open_store(folder) as store:
        assert beside.status()["state"] == "running"
        with pytest.raises(LockedError):
            beside.train()
        store.settle("run", {"name": "x"})
    assert beside.status()["state"] == "waiting"


def test_exports_name_the_groups_of_raters_where_there_are_any(folder: Path) -> None:
    told("raters", folder, "add", "Anna", "--role", "adjudicator", "--group", "de")
    with open_desk(folder) as desk:
        anna = desk.persons()[-1].id
        while (lease := desk.claim(anna)) is not None:
            given = Label(True) if lease.first.request.kind == "label" else Comparison(0)
            desk.submit(anna, lease.id, [Submission(given, lease.first.shown)], key=lease.id)
    rows = command("export", folder, "--answers", "--all", "--out", "-").stdout.splitlines()
    assert rows and {json.loads(row)["group"] for row in rows} == {"de"}


def test_answers_leave_as_rows_that_trl_trains_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "trl.jsonl"
    none = command("export", folder, "--answers", "--format", "trl", "--out", out, fails=True).exception
    assert isinstance(none, InputError) and "no answers that count and prefer one output" in str(none)
    nothing = command("export", folder, "--format", "trl", fails=True).exception
    assert isinstance(nothing, InputError) and str(nothing).endswith("holds no ratings to export")
    with open_desk(folder) as desk:
        anna = desk.add_person("Anna", "adjudicator", by="test").id
        while (lease := desk.claim(anna)) is not None:
            answer = Comparison(0, 0.5) if lease.first.request.kind == "comparison" else Label(True)
            desk.submit(anna, lease.id, [Submission(answer, lease.first.shown, seconds=2.5)], key=lease.id)
    assert told("export", folder, "--answers", "--format", "trl", "--out", out) == {"file": str(out), "rows": 1}
    (row,) = map(json.loads, out.open())
    told("export", folder, "--answers", "--out", tmp_path / "answers.jsonl")
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").open()]
    (shown,) = [each["outputs"] for each in answers if each["kind"] == "comparison"]  # in the order that Anna saw
    (better,) = [each["better"] for each in answers if each["kind"] == "comparison"]
    chosen, rejected = shown if better == "first" else reversed(shown)
    assert (row["chosen"], row["rejected"], row["annotator"]) == (chosen, rejected, anna)
    assert "margin" not in row and "Anna" not in out.read_text()
    helpful = command("export", folder, "--format", "trl", fails=True).exception
    assert isinstance(helpful, InputError) and str(helpful).endswith("but people's answers: give --answers as well")
    named = command("export", folder, "--answers", "--names", "--format", "trl", fails=True).exception
    assert isinstance(named, ConfigError) and "leave --names out" in str(named)


def test_items_that_ask_the_same_are_noted_and_refused_by_strict(tmp_path: Path) -> None:
    twice = lines(tmp_path / "twice.jsonl", [ITEMS[0], ITEMS[0]])
    refusal = command("items", tmp_path / "new", "add", twice, "--strict", fails=True).exception
    note = "rows that ask what another row asks: 1; together they are one item each"
    assert isinstance(refusal, InputError) and str(refusal) == f"{twice}: {note}; refused by --strict"
    added = told("items", tmp_path / "new", "add", twice)
    assert (added["items"], added["new"], added["notes"]) == (2, 1, [note])


def test_known_answers_that_no_rater_would_get_are_noted(folder: Path, tmp_path: Path) -> None:
    fits, apart = (PRACTICE[0] | {"source": "D e f.", "criterion": criterion} for criterion in ("overall", "accuracy"))
    gold = lines(tmp_path / "gold.jsonl", [fits, apart])
    note = "known answers that are unlike all open questions, and so are not handed out: 1"
    added = told("items", folder, "add", gold, "--as", "gold")
    assert (added["new"], added["notes"]) == (2, [note])


def test_csv_opens_right_in_a_spreadsheet_and_says_what_no_cell_holds(tmp_path: Path) -> None:
    long = lines(tmp_path / "long.jsonl", [{**ITEMS[1], "outputs": ["é" * 33_000]}])
    told("items", tmp_path / "desk", "add", long)
    with open_desk(tmp_path / "desk") as desk:
        anna = desk.add_person("Zoë", "adjudicator", by="test").id
        lease = desk.claim(anna)
        assert lease is not None
        desk.submit(anna, lease.id, [Submission(Label(True), lease.first.shown, seconds=2.5)], key=lease.id)
    out = tmp_path / "answers.csv"
    found = told("export", tmp_path / "desk", "--format", "csv", "--names", "--out", out)
    assert found["notes"] == ["1 cells hold more than the 32,767 characters that spreadsheets show"]
    assert out.read_bytes().startswith(b"\xef\xbb\xbfid,")
    assert next(csv.DictReader(out.open(encoding="utf-8-sig", newline="")))["name"] == "Zoë"
