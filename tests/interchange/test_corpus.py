"""Every file of the real data goes through each door of rows that it fits, and what comes out is counted."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from rrm.interchange.preferences import read_feedback
from rrm.interchange.rows import read_rows
from rrm.interchange.scoring import unscored
from rrm.interchange.survey import survey

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
README = DATA / "README.md"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")


def listed() -> dict[str, int]:
    """Return the rows of each file as the data's own README counts them."""
    if not README.is_file():
        return {}
    found, folder = {}, ""
    for line in README.read_text("utf-8").splitlines():
        folder = line.removeprefix("## ").strip() if line.startswith("## ") else folder
        if line.startswith("- files (rows"):
            found |= {f"{folder}{name}": int(rows) for name, rows in re.findall(r"(\S+\.jsonl\.gz) \((\d+),", line)}
    return found


STORY = {"join_file": str(DATA / "squality" / "stories_{}.jsonl.gz"), "join_key": "story_id", "join_text": "text"}
JUDGEMENTS: dict[str, dict[str, Any]] = {
    "squality/preferences": STORY,
    "squality/human_ratings": {**STORY, "prompt_column": "question", "scale": (0, 100)},
    "booookscore/pairs": {"prompt_column": "book"},
    "summeval/preferences": {},
    "summeval/ratings": {"scale": (1, 5)},
    "lqual/ratings": {"scale": (-1, 1)},
    "ukpconvarg/preferences": {},
    "tulu_human/preferences": {},
    "gsm8k/solution_pairs": {},
}
"""Files of judgements, and the settings that they need to be read."""

SILENT = {"ukpconvarg/preferences_train": 2, "tulu_human/preferences_train": 19, "tulu_human/preferences_validation": 2}
"""Rows that prefer a text to itself, or call equal texts equal."""

SCORED = {"realsumm/summaries", "squality/summaries", *JUDGEMENTS}
"""Files whose rows have outputs to score."""


def stem(name: str) -> str:
    return re.sub(r"_(train|validation)$", "", name.removesuffix(".jsonl.gz"))


def settings_of(name: str) -> dict[str, Any]:
    split = "train" if "_train" in name else "validation"
    given = JUDGEMENTS[stem(name)].items()
    return {key: value.format(split) if key == "join_file" else value for key, value in given}


@pytest.mark.parametrize(("name", "rows"), listed().items())
def test_every_row_of_every_file_is_read(name: str, rows: int) -> None:
    assert sum(1 for _ in read_rows(DATA / name)) == rows


@pytest.mark.parametrize(("name", "rows"), [each for each in listed().items() if stem(each[0]) in JUDGEMENTS])
def test_every_judgement_is_read_as_what_it_is(name: str, rows: int) -> None:
    found = read_feedback(DATA / name, **settings_of(name))
    assert len(found.rated) == rows - SILENT.get(name.removesuffix(".jsonl.gz"), 0)
    assert found.read.startswith(f"read {rows:,} rows as ")
    assert not any("`source`" in note for note in found.notes)  # articles are texts, and no labels


@pytest.mark.parametrize("name", [each for each in listed() if stem(each) in SCORED])
def test_every_output_could_be_scored(name: str) -> None:
    rows = [row for _, row in read_rows(DATA / name)]
    known = survey(rows)
    assert not known.source_is_label
    groups = [group for row in rows for group in unscored(row, name, known=known).groups]
    assert len(groups) == len(rows) and all(text.strip() for group in groups for text in group.outputs)


def test_the_list_of_files_is_read_whole() -> None:
    there = {str(file.relative_to(DATA)) for file in DATA.rglob("*.jsonl.gz")} if DATA.is_dir() else set()
    novels = {name for name in there if re.match(r"novels/ENG", name)}
    assert there - novels == set(listed())
