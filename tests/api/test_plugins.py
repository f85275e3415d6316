"""Import strings: what they name is made, and what goes wrong is said with the file it went wrong in."""

import subprocess
import sys
from pathlib import Path

import pytest

from rrm.api.plugins import load, make
from rrm.core.errors import ConfigError, PluginError


def test_a_plugin_gets_its_arguments_lists_as_tuples_and_the_parts_it_asks_for() -> None:
    made = make("tests_plugin_sample:sample", {"a": [1, 2]}, {"assistant": "somebody", "other": 1}, "policy")
    assert made == ((1, 2), "somebody")


@pytest.fixture(autouse=True)
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests_plugin_sample.py").write_text(
        "def sample(a, assistant=None):\n    return a, assistant\n"
        "def fussy():\n    raise RuntimeError('not today')\n"
        "number = 3\n"
    )
    (tmp_path / "tests_plugin_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tests_plugin_sample", raising=False)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_colon", "no import string"),
        ("no.such.module:Name", "cannot be imported"),
        ("tests_plugin_sample:nothing", "has no 'nothing'"),
        ("tests_plugin_broken:anything", "fails while it is imported: ZeroDivisionError"),
    ],
)
def test_an_import_string_that_leads_nowhere_is_one_clear_sentence(path: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        load(path)


def test_arguments_that_do_not_fit_name_the_table_and_what_fits() -> None:
    with pytest.raises(ConfigError, match=r"\[policy\].*unexpected.*it takes a, assistant"):
        make("tests_plugin_sample:sample", {"a": 1, "b": 2}, {}, "policy")
    with pytest.raises(ConfigError, match="RuntimeError: not today"):
        make("tests_plugin_sample:fussy", {}, {}, "policy")
    with pytest.raises(PluginError, match="not something that can be called"):
        make("tests_plugin_sample:number", {}, {}, "policy")


def test_a_module_that_shadows_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("")
    code = "from rrm.api.plugins import load\nload('tasks.synthetic_book:SyntheticBooks')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"was found in {tmp_path / 'tasks.py'}" in done.stderr
    assert "shadows rrm's own" in done.stderr
