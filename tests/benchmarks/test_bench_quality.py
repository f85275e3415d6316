"""The quality tables draw the same rows for all models, do nothing twice, and say by how much models differ."""

from pathlib import Path

import numpy as np

from benchmarks.people import Set
from benchmarks.quality import Amount, Kept, Part, Predicted, differences, evaluate, line, parts
from rrm.core.values import Rated
from tests.reward.reward_problems import rate_length

AMOUNT = Amount(max_length=10_000, backbone="tiny")


def read(split: str) -> list[Rated]:
    return rate_length(6, 5, seed=1 if split == "train" else 2)


def test_fewer_rows_are_part_of_more_and_no_source_is_on_both_sides() -> None:
    some = {rows: parts(Set("x", read), Amount(rows=rows, backbone="tiny"))[0] for rows in (5, 12, 0)}
    ids = {rows: {row.request.id for row in part.train} for rows, part in some.items()}
    assert ids[5] < ids[12] < ids[0] and [len(ids[rows]) for rows in (5, 12, 0)] == [5, 12, 30]
    folds = parts(Set("x", read), Amount(folds=3, backbone="tiny"))
    assert sorted(row.request.id for part in folds for row in part.test) == sorted(ids[0])
    for part in folds:
        assert not {row.request.source for row in part.train} & {row.request.source for row in part.test}


def test_what_is_done_is_kept_and_long_rows_are_left_out(tmp_path: Path) -> None:
    [part] = parts(Set("x", read), AMOUNT)
    first = evaluate("x", 0, part, "words", AMOUNT, Kept(tmp_path))
    assert evaluate("x", 0, part, "words", AMOUNT, Kept(tmp_path)) == first
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    evaluate("x", 0, Part(part.train[:20], part.test), "words", AMOUNT, Kept(tmp_path))
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2
    assert parts(Set("x", read), Amount(max_length=3, backbone="tiny"))[0].test == []
    assert line("x", "words", [first]).startswith("| x | bag of words | 30 | 30 | ")


def test_differences_are_paired_and_leave_ties_out() -> None:
    outcome = [1.0, 0.0, 0.5, 1.0]
    sources = ["a", "a", "b", "b"]
    said = {
        "longer": Predicted(sources, outcome, [0.0, 0.0, 1.0, 0.0]),  # right in one of three
        "words": Predicted(sources, outcome, [0.9, 0.9, 0.9, 0.1]),  # right in one of three: the first named stands
        "frozen": Predicted(sources, outcome, [0.9, 0.1, 0.9, 0.1]),  # right in two of three
    }
    [told] = differences("x", said)
    assert told.startswith("x: frozen, MiniLM less the longer wins +0.333")
    assert np.isclose(said["frozen"].decided()[1].mean(), 2 / 3)
