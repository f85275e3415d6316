"""A finished run's models and policies on other sources, whose trees may be taller or lower than the run's."""

from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

import rrm
from rrm.core.report import Report
from rrm.core.values import Fitted, Scored
from rrm.store.record import open_store
from tests.toys import TOYS


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose models were fitted to leaves, level 1, and roots at level 2."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    rrm.run(out=out, quiet=True, **TOYS)
    return out


def applied(fitted: Path, sentences: int, out: Path) -> tuple[Report, list[str]]:
    """Apply the run to a book of so many sentences; return the report and what judges, level by level."""
    book = out.parent / "book.txt"
    book.write_text(" ".join(f"word{at}." for at in range(sentences)))
    report = rrm.apply(fitted, [book], out, quiet=True)
    nodes = {each.id: node.level for node in report.targets[0].trees[0].nodes for each in node.candidates}
    with open_store(out, "read") as store:
        models = {model.id: "roots" if model.root else str(model.place.level) for model in store.load(Fitted)}
        judges = {(nodes[each.output], models[each.model]) for each in store.load(Scored) if each.output in nodes}
    return report, [f"{level} by {model}" for level, model in sorted(judges)]


def test_taller_trees_are_judged_by_what_is_nearest_and_the_report_says_so(fitted: Path, tmp_path: Path) -> None:
    report, judges = applied(fitted, 27, tmp_path / "taller")
    assert report.nodes_per_level == (27, 9, 3, 1)
    assert judges == ["0 by 0", "1 by 1", "2 by 1", "3 by roots"]
    assert report.warnings == ("level 2 is judged by the model of level 1, the nearest that was fitted",)
    # of two sources, three ratings at each of nine leaves, three nodes above them, and a root
    told = [(level.name(report.top), level.n_train, level.shared_head, level.own) for level in report.levels]
    assert told == [
        ("leaves", 54, False, None),
        ("level 1", 18, False, None),
        ("level 2", 18, False, None),
        ("root", 6, False, None),
    ]


@pytest.mark.parametrize(
    ("improve", "policy", "text"),
    [
        ({"plugin": "tests.toys:LastWords"}, "last", "word8 word8 word8 word8"),
        # keeps the best of two outputs each time, and of two these toys say a single word in both
        ({"plugin": "rrm.policy.best_of_n:BestOfN", "arguments": {"n": 2}}, "reweighted", "word0"),
        (
            {"plugin": "rrm.policy.best_of_n:BestOfN", "arguments": {"n": 2}, "score": "composed"},
            "reweighted",
            "word0",
        ),
    ],
    ids=["a policy of its own", "a policy that asks the models", "a policy that asks what is composed"],
)
def test_improved_policies_propose_and_the_folder_stands_by_itself(
    tmp_path: Path, improve: dict[str, Any], policy: str, text: str
) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **{**TOYS, "rounds": 2, "improve": improve})
    report, _ = applied(tmp_path / "run", 9, tmp_path / "applied")
    assert report.failures == () and report.targets[0].chosen is not None
    assert report.targets[0].chosen.text == text
    rmtree(tmp_path / "run")
    with rrm.load(tmp_path / "applied") as run:
        assert run.policy("0/answer/0").name.startswith(policy)
        assert set(run.outputs.policy) == {run.policy("0/answer/2").name}
    again, _ = applied(tmp_path / "applied", 9, tmp_path / "again")
    assert again.targets[0].chosen == report.targets[0].chosen


def test_the_root_of_a_lower_tree_is_judged_by_the_model_of_roots(fitted: Path, tmp_path: Path) -> None:
    report, judges = applied(fitted, 3, tmp_path / "lower")
    assert judges == ["0 by 0", "1 by roots"]
    assert report.warnings == ()
    assert [(level.name(report.top), level.n_train) for level in report.levels] == [("leaves", 54), ("root", 6)]
    assert report.ratings == report.cost.ratings == 0
