"""A run that ended and is given again stands as it is, and goes on where anything may have changed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rrm
import tasks
from rrm.api import runs, unchanged
from rrm.api.look import PAGE, REPORT
from rrm.api.options import Event
from rrm.api.runfile import RunFile, run_file
from rrm.core.report import Report
from rrm.core.task import Source
from rrm.store.record import open_store
from tests.toys import TOYS, toys


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the tests' own parts for this installation's."""
    monkeypatch.setattr(unchanged, "OURS", unchanged.OURS | {Path(__file__).parents[1]})


def given_again(out: Path, settings: Any = None, **parts: Any) -> tuple[Report, bool]:
    """Return the report, and whether any stage of the run was gone through."""
    stages: list[Event] = []
    asked = None if parts else run_file(TOYS) if settings is None else settings
    return rrm.run(asked, out, quiet=True, on_event=stages.append, **parts), bool(stages)


@pytest.mark.usefixtures("ours")
def test_a_run_that_ended_stands(tmp_path: Path) -> None:
    first, began = given_again(tmp_path / "run")
    page = (tmp_path / "run" / PAGE).stat().st_mtime_ns
    assert began
    assert given_again(tmp_path / "run") == (first, False) == given_again(tmp_path / "run")
    assert (tmp_path / "run" / PAGE).stat().st_mtime_ns == page
    assert rrm.resume(tmp_path / "run", quiet=True) == first


def row_more(out: Path, patch: pytest.MonkeyPatch) -> None:
    with open_store(out) as store:
        store.append([Source("One more", "A text that was not there.")])


def report_changed(out: Path, patch: pytest.MonkeyPatch) -> None:
    text = (out / REPORT).read_text()
    (out / REPORT).write_text(text.replace('"toys"', '"joys"', 1))


def code_changed(out: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(unchanged, "made_of", lambda run: {"rrm": "another"})


@pytest.mark.parametrize(
    "change", [row_more, report_changed, code_changed, lambda out, patch: (out / PAGE).unlink()], ids=range(4)
)
@pytest.mark.usefixtures("ours")
def test_a_run_goes_on_where_something_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    first, _ = given_again(tmp_path / "run")
    change(tmp_path / "run", monkeypatch)
    again, went_on = given_again(tmp_path / "run")
    assert went_on
    assert (again.name, again.targets, again.levels) == (first.name, first.targets, first.levels)
    assert given_again(tmp_path / "run") == (again, False)


@pytest.mark.usefixtures("ours")
def test_a_run_goes_on_with_other_limits_and_where_failures_are_tried_again(tmp_path: Path) -> None:
    given_again(tmp_path / "run")
    assert given_again(tmp_path / "run", run_file(TOYS, ("limits.max_calls=9",)))[1]
    stages: list[Event] = []
    rrm.run(run_file(TOYS), tmp_path / "run", quiet=True, retry_failed=True, on_event=stages.append)
    assert stages


@pytest.mark.usefixtures("ours")
def test_a_run_goes_on_where_a_file_that_it_names_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("first").write_text("what a part may read")  # the title of a text, as it happens
    given_again(tmp_path / "run")
    assert not given_again(tmp_path / "run")[1]
    os.utime("first", ns=(1, 1))
    assert given_again(tmp_path / "run")[1]


def test_a_module_that_joins_our_packages_and_a_folder_named_by_dots_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "joined.py").write_text("")
    monkeypatch.setattr("tasks.__path__", [*tasks.__path__, str(tmp_path)])
    assert unchanged._ours("tasks.synthetic_book") and unchanged._ours("rrm.compose.composers")
    for module in ("tasks.joined", "tests.toys", "tasks.nowhere", "json"):
        assert not unchanged._ours(module), module
    run = run_file({**TOYS, "name": "toys"})
    told = unchanged._all_told
    assert told(run, ["tasks.synthetic_book:SyntheticBooks", "books", ""])
    assert not told(run, ["tasks.joined:Gold"]) and not told(run, [".."]) and not told(run, ["./"])


def test_parts_from_elsewhere_and_objects_are_gone_through_again(tmp_path: Path) -> None:
    given_again(tmp_path / "named")
    assert given_again(tmp_path / "named")[1]
    given_again(tmp_path / "objects", **toys())
    assert given_again(tmp_path / "objects", **toys())[1]


@pytest.mark.usefixtures("ours")
def test_a_run_whose_model_is_gone_does_not_stand(tmp_path: Path) -> None:
    given_again(tmp_path / "run")
    [model, *_] = (tmp_path / "run" / "models").iterdir()
    model.rename(tmp_path / "taken away")
    with pytest.raises(rrm.RrmError):
        given_again(tmp_path / "run")


@pytest.mark.usefixtures("ours")
def test_a_run_with_a_judge_who_selects_and_budgets_by_level_stands(tmp_path: Path) -> None:
    settings = run_file(
        {
            **TOYS,
            "train": {"plugin": "tests.toys:Texts", "arguments": {"titles": ["first", "second", "third", "fourth"]}},
            "rounds": 2,
            "improve": {"plugin": "tests.toys:LastWords", "kl_budget": 1.0},
            "select": {"plugin": "tests.toys:Longer", "arguments": {"name": "judge"}, "per_node": {"label": 1}},
            "rater": {**TOYS["rater"], "budget": {"by_level": {"0": {"questions": 60}}}},
        }
    )
    first, _ = given_again(tmp_path / "run", settings)
    assert given_again(tmp_path / "run", settings) == (first, False)


def test_a_setting_that_is_new_and_not_given_makes_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = runs._identity

    def before(settings: RunFile) -> dict[str, Any]:
        told = identity(settings)
        del told["select"], told["rater"]["peeks"], told["rater"]["peeks_random"], told["rounds"]
        return told

    with monkeypatch.context() as earlier:
        earlier.setattr(runs, "_identity", before)
        first, _ = given_again(tmp_path / "run")
    again, _ = given_again(tmp_path / "run")
    assert again.targets == first.targets
    with pytest.raises(rrm.InputError, match="begun with another seed: use a new directory"):
        given_again(tmp_path / "run", run_file(TOYS, ("seed=5",)))


@pytest.mark.usefixtures("ours")
def test_a_run_of_its_folder_s_name_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given_again(Path("toys"))
    assert not given_again(Path("toys"))[1]


NAMED = """
import sys
from pathlib import Path
from rrm.api.runfile import run_file
from rrm.api.runs import recursion_of
from rrm.api.wiring import PRECISION, Parts
from rrm.store import open_store
from tests.scenarios import SMALL
with open_store(Path(sys.argv[1])) as store:
    store.settle(PRECISION, "float32")
    parts = Parts(run_file(SMALL), store)
    recursion_of(parts)
    print("torch" in sys.modules)
    print(parts.claim_learner_name == parts.claim_learner.name)
"""


def test_whether_a_run_ended_is_told_without_torch(tmp_path: Path) -> None:
    """Its import takes longer than all the rest."""
    done = subprocess.run([sys.executable, "-c", NAMED, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr
