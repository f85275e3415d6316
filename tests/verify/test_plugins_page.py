"""docs/plugins.md: every file on it is written out, keeps its contract, and fits a run."""

import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rrm
from rrm.api.runfile import run_file
from rrm.api.verify import verify
from rrm.cli.main import app
from tests.scenarios import SMALL

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text("utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
PARTS = {
    "my_decomposer:Halves": "decomposer",
    "my_policy:FirstSentences": "policy",
    "my_rater:Brevity": "rater",
    "my_learner:Length": "learner",
    "my_composer:Geometric": "composer",
    "my_optimiser:BestOfAsManyAsAllowed": "optimiser",
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files in a folder that Python finds."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_all_code_of_the_page_is_in_a_file_that_is_checked() -> None:
    assert PAGE.count("```python") == len(FILES)
    assert {name.removesuffix(".py") for name in FILES} == {part.partition(":")[0] for part in PARTS}


@pytest.mark.parametrize(("part", "contract"), PARTS.items())
def test_a_part_of_the_page_keeps_its_contract(written: Path, part: str, contract: str) -> None:
    [found] = verify(part)
    assert (found["contract"], found["broken"]) == (contract, None)
    assert len(found["promises"]) > 4


def test_the_parts_of_the_page_make_a_run(written: Path) -> None:
    table = deepcopy(SMALL) | {"flat": False}
    table["decomposer"] = {"plugin": "my_decomposer:Halves"}
    table["policy"] = {"plugin": "my_policy:FirstSentences", "outputs": 3, "root_outputs": 3}
    table["rater"] = {"plugin": "my_rater:Brevity"}
    table["reward"] = {"plugin": "my_learner:Length"}
    table["compose"] = {"plugin": "my_composer:Geometric"}
    report = rrm.run(run_file(table), written / "run", quiet=True)
    assert report.failures == () and report.composer == "geometric"
    assert report.targets[0].chosen is not None


def test_the_command_prints_promises_and_exits_with_two_when_one_is_broken(written: Path) -> None:
    (written / "broken_rater.py").write_text(
        FILES["my_rater.py"].replace("Feedback(request.id,", 'Feedback("another",'), encoding="utf-8"
    )
    good = CliRunner().invoke(app, ["verify", "my_policy:FirstSentences", "--set", "count=3"])
    assert good.exit_code == 0 and "answers each job by itself" in good.stdout and "NO" not in good.stdout
    bad = CliRunner().invoke(app, ["verify", "broken_rater:Brevity"])
    assert bad.exit_code == 2 and "it answered another" in " ".join(bad.stdout.split())
