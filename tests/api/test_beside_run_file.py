"""Modules beside a run file are found by every command, from any folder, with one assistant or several."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api import look
from rrm.api.assist import rater_of
from rrm.api.forecast import forecast
from rrm.api.look import remember_folder
from rrm.api.runfile import read_run_file, run_file
from rrm.api.wiring import Parts
from rrm.core.errors import ConfigError, InputError
from rrm.core.task import Source
from rrm.store.record import open_store
from tests.cli.test_commands import toml
from tests.scenarios import MEAN, SMALL
from tests.toys import TOYS

MODULE = """
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.policy.careless import Careless

class Chat(ScriptedChatModel):
    pass

class Policy(Careless):
    pass
"""


def table(assistants: int) -> dict[str, Any]:
    changed = deepcopy(SMALL)
    changed["train"]["arguments"] |= {"count": 2, "words": 500}
    changed["target"]["trees"] = 1
    changed["compose"] = MEAN
    changed["policy"] = {"plugin": "tests_own_parts:Policy", "outputs": 2, "root_outputs": 2}
    changed["rater"] = {
        "plugin": "rrm.raters.assistant:AssistantRater",
        "arguments": {"assistant": "chat0"},
        "per_node": {"comparison": 1, "label": 1},
    }
    changed["assistants"] = {f"chat{number}": {"model": "tests_own_parts:Chat"} for number in range(assistants)}
    return changed


@pytest.fixture
def run_toml(tmp_path: Path) -> Path:
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "tests_own_parts.py").write_text(MODULE)
    return folder / "run.toml"


def rrm_from(elsewhere: Path, *arguments: str) -> None:
    elsewhere.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "rrm", *arguments]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("assistants", [1, 2])
def test_a_dry_run_a_run_and_a_resumption_find_what_lies_beside_the_run_file(
    run_toml: Path, tmp_path: Path, assistants: int
) -> None:
    run_toml.write_text(toml(table(assistants)))
    out = str(tmp_path / "out")
    if assistants == 1:
        rrm_from(tmp_path / "there", "run", f"../beside/{run_toml.name}", "--dry-run")
    rrm_from(tmp_path / "there", "run", str(run_toml), "--out", out)
    rrm_from(tmp_path / "elsewhere", "resume", out)


def test_an_assistant_at_the_desk_is_found_beside_the_run_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "tests_desk_chat.py").write_text(MODULE)
    with open_store(tmp_path / "out") as record:
        remember_folder(record, replace(run_file(table(1)), folder=tmp_path / "beside"))
    monkeypatch.chdir(tmp_path)
    with rater_of(tmp_path / "out", "rrm.raters.assistant:AssistantRater", (), "tests_desk_chat:Chat", ()) as rater:
        assert "Chat" in rater.name


def test_where_a_run_file_lies_is_known_and_no_part_of_the_run(run_toml: Path) -> None:
    run_toml.write_text(toml(table(1)))
    settings = read_run_file(run_toml)
    assert settings.folder == run_toml.parent
    assert "folder" not in settings.to_json()
    assert settings == run_file(table(1))
    with pytest.raises(ConfigError, match="unknown key 'folder'"):
        run_file({**table(1), "folder": "/"})


# ---- books ----

LICENCE = "Terms.\n\n*** START OF THIS PROJECT GUTENBERG EBOOK ***\n\n"
NOTE = "mill.txt: licence of 9 words skipped at the start"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a run file whose books lie beside it."""
    (tmp_path / "study" / "books").mkdir(parents=True)
    for name in ("mill", "inn", "fox"):
        text = " ".join(f"The {name} lost thing {n}." for n in range(3))
        (tmp_path / "study" / "books" / f"{name}.txt").write_text((LICENCE if name == "mill" else "") + text)
    (tmp_path / "elsewhere").mkdir()
    books = {"plugin": "tasks.books:BookFiles", "arguments": {"paths": ["books/mill.txt", "books/inn.txt"]}}
    target = {"plugin": "tasks.books:BookFiles", "arguments": {"paths": ["books/fox.txt"]}}
    (tmp_path / "study" / "run.toml").write_text(toml({**TOYS, "train": books, "target": target}))
    return tmp_path / "study"


def test_books_are_found_beside_the_run_file_and_a_run_is_resumed_from_anywhere(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "elsewhere")
    report = rrm.run("../study/run.toml", "out", quiet=True)
    monkeypatch.chdir(tmp_path)
    assert rrm.resume("elsewhere/out", quiet=True).targets == report.targets


def test_recorded_judgements_and_what_they_join_are_found_beside_the_run_file(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "rows.jsonl").write_text('{"about": 7, "prompt": "Tell.", "chosen": "a", "rejected": "b"}\n')
    (study / "texts.jsonl").write_text('{"about": 7, "text": "The mill."}\n')
    join = {"join_file": "texts.jsonl", "join_key": "about", "join_text": "text"}
    recorded = {"plugin": "rrm.interchange.preferences:RecordedPreferences", "level": 0}
    settings = run_file({**TOYS, "recorded": [{**recorded, "arguments": {"file": "rows.jsonl", **join}}]})
    monkeypatch.chdir(tmp_path / "elsewhere")
    ((_, (row,)),) = Parts(replace(settings, folder=study)).given
    assert (row.request.view.text, row.request.view.instruction) == ("The mill.", "Tell.")
    with pytest.raises(InputError, match=r"texts\.jsonl: no such file; looked in .* \(beside the run file\) and in"):
        _ = Parts(replace(settings, folder=tmp_path)).given


def test_what_is_guessed_of_recorded_judgements_is_in_the_report_and_strict_makes_it_an_error(
    study: Path, tmp_path: Path
) -> None:
    row = {"prompt": "Which of the two?", "source": "collection_a", "rejected": "nil nil"}
    rows = [row | {"prompt": f"Which of number {n}?", "chosen": "nil " * n} for n in range(3, 7)]
    (study / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    recorded = {"plugin": "rrm.interchange.preferences:RecordedPreferences", "arguments": {"file": "rows.jsonl"}}
    settings = replace(run_file({**TOYS, "recorded": [recorded]}), folder=study)
    note = "rows.jsonl: `source` holds 1 short label over 4 prompts: taken for a label"
    with pytest.raises(InputError, match=f"with --strict every note is an error: {note}"):
        rrm.run(settings, tmp_path / "out", quiet=True, strict=True)
    with pytest.raises(InputError, match=note):
        forecast(settings, strict=True)
    told = rrm.run(settings, tmp_path / "out", quiet=True).to_json()["notes"]
    assert [each for each in told if each.startswith(note)]


def test_books_are_found_where_a_run_was_begun(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    run_toml = (study / "run.toml").rename(tmp_path / "runs" / "run.toml")
    monkeypatch.chdir(study)
    rrm.run(run_toml, tmp_path / "out", quiet=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    rrm.resume(tmp_path / "out", quiet=True)
    with pytest.raises(InputError) as caught:
        rrm.run(run_toml, tmp_path / "other", quiet=True)
    assert str(caught.value) == (
        f"books/mill.txt: no such file; looked in {tmp_path / 'runs'} (beside the run file) and in"
        f" {tmp_path / 'elsewhere'} (the current folder)"
    )


def test_an_applied_book_is_the_one_that_the_shell_names(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rrm.run(study / "run.toml", tmp_path / "out", quiet=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "books").mkdir()
    (tmp_path / "elsewhere" / "books" / "fox.txt").write_text("The wolf lost thing 1. The wolf lost thing 2.")
    rrm.apply(tmp_path / "out", ["books/fox.txt"], tmp_path / "applied", quiet=True)
    with open_store(tmp_path / "applied", "read") as record:
        assert [source.text.split()[1] for source in record.load(Source)] == ["wolf"]


def test_notes_on_books_are_in_the_report_and_strict_makes_them_errors(study: Path, tmp_path: Path) -> None:
    settings = read_run_file(study / "run.toml")
    for strict in (
        lambda: rrm.run(settings, tmp_path / "out", quiet=True, strict=True),
        lambda: forecast(settings, strict=True),
    ):
        with pytest.raises(InputError, match=f"with --strict every note is an error: {NOTE}"):
            strict()
    report = rrm.run(settings, tmp_path / "out", quiet=True)  # the folder held no run yet
    assert report.notes == (NOTE,)
    assert report.to_json()["notes"] == [NOTE]
    assert look.finished(tmp_path / "out").notes == (NOTE,)
    assert NOTE in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert forecast(settings)["notes"][0] == NOTE
