"""The quality tables draw the same rows for all models, do nothing twice, and say by how much models differ."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import blend, quality_books
from benchmarks.people import Set
from benchmarks.quality import SEED, Amount, Kept, Part, Predicted, both, differences, evaluate, line, parts
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, Train
from rrm.core.values import Rated
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.frozen import Frozen
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


def test_both_are_the_mean_of_log_odds() -> None:
    one, other = (Predicted(["a", "a"], [1.0, 0.0], each) for each in ([0.9, 0.5], [0.1, 0.8]))
    np.testing.assert_allclose(both(one, other).probability, [0.5, 2 / 3])  # odds 9 and 1/9; 1 and 4
    told = list(
        differences("x", {"longer": one, "words": one, "frozen": one, "joint": other, "both": both(one, other)})
    )
    assert [each.partition(" less ")[2].partition(" +")[0].partition(" -")[0] for each in told][-2:] == [
        "frozen, MiniLM",
        "joint, SmolLM2 with LoRA",
    ]


@pytest.mark.slow
def test_a_sum_is_told_beside_its_parts_and_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(blend.SETS, "x", Set("x", read))
    told = list(blend.table("x", AMOUNT, Kept(tmp_path)))
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in told[:3]]
    assert [row[:4] for row in cells] == [["x", model, "30", "30"] for model in ("frozen", "joint", "sum")]
    assert [len(row[-1].split(" and ")) for row in cells] == [1, 1, 2] and cells[2][-1] != "–"
    assert [line.partition(":")[2].partition(":")[0] for line in told[3:]] == [
        " the sum less frozen",
        " the sum less joint",
    ]
    [part] = parts(blend.SETS["x"], AMOUNT)
    [found] = [each["value"] for each in map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())]
    alone = Frozen().fit(Ratings(Train, tuple(part.train)), Start(), Place(), SEED, Workspace(tmp_path / "alone"))
    np.testing.assert_allclose(found["frozen"], blend.first_better(alone, part.test))
    monkeypatch.setattr(blend, "fitted", lambda *asked: pytest.fail("it was kept"))
    assert list(blend.table("x", AMOUNT, Kept(tmp_path))) == told


class _Noting:
    """A learner whose models are what they were told to start from."""

    name = "noting"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        return (start.below, place.level, len(ratings.rows))  # type: ignore[return-value]

    def load(self, folder: Path) -> RewardModel:
        raise AssertionError("nothing is loaded")


def test_each_level_of_generated_books_starts_from_the_model_below(tmp_path: Path) -> None:
    levels = {0: tuple(rate_length(4, 3, seed=1)), 1: tuple(rate_length(2, 3, seed=2))}
    rating = quality_books.Rating(levels, SimulatedRaters("tasks.synthetic_book:perceived_quality"))
    found = [(level, model) for level, model, _, _ in quality_books.fitted(_Noting(), rating, tmp_path)]
    leaf = (None, 0, len(levels[0]))
    assert found == [(0, leaf), (1, (leaf, 1, len(levels[1])))]
