"""Modules beside a run file are found by every command, from any folder, with one assistant or several."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.api.assist import rater_of
from rrm.api.look import remember_folder
from rrm.api.runfile import read_run_file, run_file
from rrm.core.errors import ConfigError
from rrm.store.record import open_store
from tests.cli.test_commands import toml
from tests.scenarios import SMALL

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
