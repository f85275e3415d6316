"""A run whose policy is a language model that learns between rounds, and is optimised further afterwards."""

from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api.optimizing import REPORT
from rrm.policy.local import LocalPolicy
from rrm.report.html import report_html
from tests.toys import TOYS

BRIEF: dict[str, Any] = {
    "tune": "full",
    "learning_rate": 2e-3,
    "steps": 4,
    "kl_nodes": 2,
    "kl_samples": 2,
    "samples": 4,
}
WRITES = {"plugin": "rrm.policy.local:LocalPolicy", "arguments": {"model": "tiny"}, "outputs": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds of toys, judged by their length; between them the model of leaves and the one above learn."""
    place = tmp_path_factory.mktemp("tuned") / "run"
    improve = {"plugin": "rrm.policy.likelihood:Likelihood", "arguments": BRIEF, "kl_budget": 0.4, "per_level": True}
    table = {**TOYS, "policy": WRITES, "rounds": 2, "improve": improve}
    rrm.run(rrm.run_file(table, ("reward.dtype=float32",)), place, quiet=True)
    return place


def test_the_model_that_learned_proposes_in_the_next_round(folder: Path) -> None:
    with rrm.load(folder) as run:
        before, after = (run.policy(f"{round_}/answer/0") for round_ in range(2))
        assert isinstance(after, LocalPolicy) and after.name != before.name and after.model.startswith(str(folder))
        told = run.outputs[run.outputs.level == 0].groupby("round").policy.unique()
        assert [list(told[round_]) for round_ in range(2)] == [[before.name], [after.name]]
        spent = [level.spent for level in run.report.rounds[1].levels]
        assert all(each and each.how == "estimated" and 0 < each.nats <= 0.4 for each in spent) and len(spent) == 3
        assert len({run.policy(f"1/answer/{level}").name for level in range(3)}) == 3


def test_entropy_and_both_kls_of_a_language_model_are_estimated_from_what_it_wrote(folder: Path) -> None:
    with rrm.load(folder) as run:
        before, after = run.report.rounds
        outputs = run.outputs
    for level in before.diversity:
        assert set(level.estimated) == {"entropy"} and level.entropy is not None and level.entropy > 0
        assert level.kl == level.reverse_kl == 0
    for various, told in zip(after.diversity, after.levels, strict=True):
        assert set(various.estimated) == {"entropy", "kl", "reverse_kl"}
        assert various.kl is not None and various.kl > 0 and various.reverse_kl is not None and various.reverse_kl > 0
        assert various.self_bleu is not None and various.distinct > 0
        assert (told.kl, told.entropy) == (various.kl, various.entropy)
        assert set(told.estimated) == {"kl", "entropy"}
        basis = told.estimated["entropy"]
        assert basis.nodes == min(8, various.nodes)
        assert basis.outputs == basis.nodes * (8 if told.level == 2 else 3)
        assert basis.how == ("estimated" if basis.whole == 1 else "at least")
        assert (basis.error is None) == (basis.nodes == 1)
    assert outputs.truncated.any()  # so that some of it is a lower bound
    leaves = after.to_json()["levels"][0]
    assert leaves["estimated"]["kl"]["how"] == "at least" and leaves["estimated"]["kl"]["outputs"] > 0
    with rrm.load(folder) as run:
        assert "\N{GREATER-THAN OR EQUAL TO}" in report_html(run.report)


def test_a_moved_run_finds_its_model_under_its_name(folder: Path, tmp_path: Path) -> None:
    with rrm.load(folder) as run:
        name = run.policy("1/answer/0").name
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    try:
        with rrm.load(moved) as run:
            assert run.policy("1/answer/0").name == name
    finally:
        moved.rename(folder)


@pytest.mark.parametrize("by", ["level", "composed"])
def test_a_finished_run_is_optimised_against_either_score(folder: Path, by: Any, tmp_path: Path) -> None:
    found = rrm.optimize(
        folder, "rating-tokens", 2.0, by=by, level=1, arguments={**BRIEF, "quantiles": 2}, outputs=2, out=tmp_path
    )
    told = found.to_json()
    assert (told["method"], told["how"], told["score"]) == ("rating tokens", "estimated", by)
    assert 0 < told["kl"] <= 2.0 and (tmp_path / REPORT).is_file()
    for side in ("anchor", "optimized"):
        figures = told[side]
        assert figures["entropy"] > 0 and figures["entropy_from"]["outputs"] > 0 and 0 <= figures["covered"] <= 1
        assert 0 <= figures["self_bleu"] <= 1
    assert told["anchor"]["covered"] == 1
    assert isinstance(found.policy, LocalPolicy) and found.policy.note.startswith(" (Rating: ")


def test_an_optimiser_of_sentences_says_that_a_language_model_has_none(folder: Path) -> None:
    with pytest.raises(rrm.InputError, match="LogLinear and Careless, not LocalPolicy"):
        rrm.optimize(folder, "policy gradient", 1.0)
