"""Import strings: what they name is made, and what goes wrong is said with the file it went wrong in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rrm.api.plugins import load, make, named
from rrm.core.errors import ConfigError, PluginError
from tests.toys import Words


def test_a_plugin_gets_its_arguments_lists_as_tuples_and_the_parts_it_asks_for() -> None:
    made = make("tests_plugin_sample:sample", {"a": [1, 2]}, {"assistant": "somebody", "other": 1}, "policy")
    assert made == ((1, 2), "somebody")


@pytest.fixture(autouse=True)
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests_plugin_sample.py").write_text(
        "def sample(a, assistant=None):\n    return a, assistant\n"
        "def fussy():\n    raise RuntimeError('not today')\n"
        "def exits():\n    raise SystemExit('bye')\n"
        "def wordy():\n    raise RuntimeError('two\\nlines')\n"
        "number = 3\n"
    )
    (tmp_path / "tests_plugin_broken.py").write_text("1 / 0\n")
    (tmp_path / "tests_plugin_exits.py").write_text("import sys\nsys.exit(3)\n")
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


def test_a_part_that_ends_the_program_is_an_error() -> None:
    with pytest.raises(PluginError, match=r"'tests_plugin_exits:A' ends the program \(SystemExit: 3\)"):
        load("tests_plugin_exits:A")
    with pytest.raises(PluginError, match=r"^\[policy\] tests_plugin_sample:exits ends the program"):
        make("tests_plugin_sample:exits", {}, {}, "policy")
    with pytest.raises(ConfigError, match=r"RuntimeError: two lines$"):
        make("tests_plugin_sample:wordy", {}, {}, "policy")


class Changing:
    """A part whose name is another whenever it is asked for."""

    def __init__(self) -> None:
        self._asked = 0

    @property
    def name(self) -> str:
        self._asked += 1
        return f"changing {self._asked}"


@pytest.mark.parametrize("name", [7, "", " "])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    part = Scale(1.0)
    part.name = name  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="the `name` of a:B must be a text"):
        named(part, "a:B", {})
    with pytest.raises(PluginError, match="the `name` of a:B is another each time"):
        named(Changing(), "a:B", {})


class Scale:
    """A part without a name."""

    def __init__(self, by: float, why: object = None) -> None:
        self.by, self.why = by, why


class Slotted:
    """A part that cannot be given a name."""

    __slots__ = ("by",)


def test_a_part_without_a_name_is_named_by_its_import_string_and_all_that_it_was_given() -> None:
    scale = named(Scale(1.0), "tests_parts:Scale", {"by": 1.0}).name
    assert re.fullmatch(r"tests_parts:Scale#[0-9a-f]{12}", scale)
    assert named(Scale(1.0), "tests_parts:Scale", {"by": 1.0}).name == scale
    assert named(Scale(1.0), "tests_parts:Scale", {"by": 2.0}).name != scale
    # of an object, what it holds is what it was given
    held = [named(Scale(by), "tests_parts:Scale", {}).name for by in (1.0, 1.0, 2.0)]
    assert held[0] == held[1] != held[2]
    assert named(Words(), "tests_parts:Words", {"seconds": 1.0}).name == "words"  # its own stands


@pytest.mark.parametrize("part", [Slotted(), Scale(1.0, why=object())], ids=["slots", "no plain value"])
def test_a_part_that_cannot_be_named_is_told_what_a_name_must_cover(part: object) -> None:
    with pytest.raises(PluginError, match=r"^tests_parts:Scale needs a `name` that covers every setting of it: "):
        named(part, "tests_parts:Scale", {})


def python(code: str, cwd: Path, *arguments: str) -> str:
    """Run code in a process of its own, whose folder is another, and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(folder: Path, **files: str) -> Path:
    """Write modules into a folder; a double underscore in a name is a slash."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


OURS = """
from rrm.api.plugins import load
print(load("tasks.synthetic_book:SyntheticBooks").__name__)
print(load("decomposers.language_model:LanguageModelDecomposer").__name__)
"""


@pytest.mark.parametrize(
    "files",
    [
        {"tasks": "1 / 0", "decomposers": "1 / 0"},
        {"tasks__synthetic_book": "1 / 0", "decomposers__chunks": "1 / 0"},
        {"tasks____init__": "1 / 0", "decomposers____init__": "1 / 0", "decomposers__language_model": "1 / 0"},
    ],
    ids=["modules", "folders", "packages"],
)
def test_whatever_a_folder_holds_rrms_own_plugins_are_found(tmp_path: Path, files: dict[str, str]) -> None:
    assert python(OURS, modules(tmp_path, **files)) == "SyntheticBooks\nLanguageModelDecomposer\n"


def test_a_module_of_the_users_that_is_loaded_already_does_not_hide_rrms_own(tmp_path: Path) -> None:
    here = modules(tmp_path, tasks="Mine = 7", decomposers__chunks="1 / 0", decomposers____init__="")
    said = python(f"import tasks, decomposers\n{OURS}print(tasks.Mine)", here)
    assert said == "SyntheticBooks\nLanguageModelDecomposer\n7\n"


def test_users_own_modules_under_those_names_are_found_for_what_ours_lack(tmp_path: Path) -> None:
    code = f"{OURS}print(load('tasks.mine:Mine'), load('decomposers:Mine'), load('decomposers.other:Mine'))"
    said = python(
        code, modules(tmp_path, tasks__mine="Mine = 1", decomposers="Mine = 2", decomposers__other="Mine = 3")
    )
    assert said.splitlines()[-1] == "1 2 3"


LOOKS = """
import sys
from pathlib import Path
from rrm.api.plugins import load
from rrm.core.errors import PluginError
try:
    print(load("tests_beside:Mine", Path(sys.argv[1])))
except PluginError as error:
    print(error)
"""


def test_a_module_is_looked_for_beside_the_run_file_then_in_the_current_folder(tmp_path: Path) -> None:
    run = modules(tmp_path / "run", tests_beside="Mine = 'beside the run file'")
    here = modules(tmp_path / "here", tests_beside="Mine = 'in the current folder'")
    assert python(LOOKS, here, str(run)) == "beside the run file\n"
    assert python(LOOKS, here, str(tmp_path)) == "in the current folder\n"
    nowhere = python(LOOKS, tmp_path, str(tmp_path))
    assert f"looked in {tmp_path} and among installed packages" in nowhere


def test_two_modules_of_one_name_are_refused_and_not_mixed_up(tmp_path: Path) -> None:
    one = modules(tmp_path / "one", tests_twice="Mine = 1")
    two = modules(tmp_path / "two", tests_twice="Mine = 2")
    assert load("tests_twice:Mine", one) == 1
    with pytest.raises(PluginError, match=r"loaded from .*one.tests_twice\.py already, .*rename one of them"):
        load("tests_twice:Mine", two)
    assert load("tests_twice:Mine", one) == 1


class Typed:
    """Takes arguments of all plain kinds, and some that are none."""

    def __init__(
        self, count: int = 1, share: float | None = 0.5, word: str = "", on: bool = False, either: int | str = 0,
        some: tuple[int, ...] = (), part: object = None,
    ) -> None:  # fmt: skip
        self.given = (count, share, word, on, either, some, part)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("count", 1.5, "a whole number, got 1.5"),
        ("count", "3", "a whole number, got '3'"),
        ("count", True, "a whole number, got True"),
        ("share", "hot", "a number, got 'hot'"),
        ("word", 5, "a text, got 5"),
        ("on", 1, "true or false, got 1"),
        ("either", 0.5, "a whole number or a text, got 0.5"),
    ],
)
def test_an_argument_of_another_kind_than_is_named_is_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[reward\] arguments\.{name} is {told}$"):
        make("tests.api.test_plugins:Typed", {name: value}, {}, "reward")


def test_arguments_of_the_kinds_that_are_named_pass_and_so_does_what_is_no_plain_kind() -> None:
    arguments = {"count": 2, "share": 1, "word": "a", "on": True, "either": "b", "some": [1, "x"], "part": 3}
    made = make("tests.api.test_plugins:Typed", arguments, {}, "reward")
    assert made.given == (2, 1, "a", True, "b", (1, "x"), 3)
    assert make("tests.api.test_plugins:Typed", {"share": None}, {}, "reward").given[1] is None
