"""Policies improved in rounds against the composed score of role train, from a run file."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.recorded import seen_in_training
from rrm.compose.composers import Mean
from rrm.core.errors import InputError
from rrm.core.graph import Node
from rrm.core.place import Place
from rrm.core.protocols import Improved, Policy, ScoredPart, Seen, Start, Workspace
from rrm.core.roles import R, Ratings, Scorer, Train
from rrm.core.values import OVERALL, Composed, Group, Improvement, Output, Prediction
from rrm.policy.best_of_n import BestOfN
from rrm.store.record import open_store
from tests.scenarios import SMALL
from tests.toys import TOYS, LengthModel, Lengths

BEST = {"plugin": "rrm.policy.best_of_n:BestOfN", "arguments": {"n": 4}}


class Reversed:
    """Above the leaves the best by its model is the worst; and a node is worth no more than its worst part."""

    name, needs_anchor, reads_back, checks_claims = "reversed", False, False, False

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        if not parts:
            return scores
        most = np.min([part.acceptance[OVERALL] for part in parts], axis=0)[:, None]
        return Prediction(scores.rewards, {name: (1 - own) * most for name, own in scores.acceptance.items()})


class Unanchored(LengthModel):
    anchored = False


class Compared(Lengths):
    """Learns nothing, from comparisons alone."""

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> Unanchored:
        return Unanchored(place, sorted({row.request.source for row in ratings.rows}))


def toys(score: str, **changes: Any) -> dict[str, Any]:
    table = {**TOYS, "rounds": 2, "compose": {"plugin": f"{__name__}:Reversed"}, "improve": {**BEST, "score": score}}
    return {**table, **changes}


@pytest.mark.parametrize(("score", "above"), [("level", 3), ("composed", 1)])
def test_a_policy_is_improved_against_what_is_composed_and_proposes_in_the_next_round(
    tmp_path: Path, score: str, above: int
) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys(score))
    with rrm.load(tmp_path / "run") as run:
        table = run.outputs
        second = table[table["round"] == 1]
        words = second.text.str.split().str.len().groupby(second.level).agg(["min", "max"])
    # of one, two, three and three words models like the longest best, and the composer above leaves the shortest
    assert words.loc[0].tolist() == [3, 3]
    assert words.loc[1:].to_numpy().tolist() == [[above, above]] * 2


def test_a_run_over_its_record_changes_nothing_and_the_policy_is_found_again(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys("composed", rounds=3))
    with open_store(tmp_path / "run") as record:
        made, outputs = record.load(Improvement), {each.id for each in record.load(Output)}
    assert len(made) == 2
    rrm.run(out=tmp_path / "run", quiet=True, **toys("composed", rounds=3))
    with open_store(tmp_path / "run") as record:
        assert {each.id for each in record.load(Output)} == outputs and record.load(Improvement) == made
    with rrm.load(tmp_path / "run") as run:
        assert run.policy("2/answer/0").name == made[-1].policy


SEEN: dict[int, list[Seen]] = {}


class Noting(BestOfN):
    """Best of n that notes what each round's policy may learn from."""

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        said = score.score([each.group for each in seen])
        assert all(np.isfinite(each.acceptance[OVERALL]).all() for each in said)
        SEEN[len(SEEN)] = list(seen)
        return super().improve(sampler, anchor, seen, score, kl_budget, seed, workspace)


def test_outputs_of_earlier_rounds_are_scored_by_this_rounds_models_and_learned_from(tmp_path: Path) -> None:
    SEEN.clear()
    noting = {"plugin": f"{__name__}:Noting", "score": "composed", "data": "all"}
    rrm.run(out=tmp_path / "run", quiet=True, **toys("composed", rounds=3) | {"improve": noting})
    policies = [{output.policy for seen in found for output in seen.outputs} for found in SEEN.values()]
    assert [len(each) for each in policies] == [1, 2] and policies[0] < policies[1]
    shown = [{(each.prompt_context.node, each.prompt_context.view.id) for each in found} for found in SEEN.values()]
    assert shown[0] < shown[1] and len(shown[1]) == len(SEEN[1])


def test_what_is_scored_is_what_the_run_composes(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys("composed"))
    with rrm.load(tmp_path / "run") as run:
        [made] = run.record.load(Improvement)
        scorer, checked = run.worker.scorer(made), set()
        composed = {each.output: each for each in run.record.load(Composed)}
        for seen in seen_in_training(run.record, run.trees):
            known = [each for each in seen.outputs if each.policy == made.policy and each.id in composed]
            place, view = seen.prompt_context.place, seen.prompt_context.view
            [said] = scorer.score([Group(seen.source, place, view, tuple(each.text for each in known))])
            expected = np.array([composed[each.id].acceptance for each in known]).T
            assert said.acceptance[OVERALL] == pytest.approx(expected, abs=1e-12)
            checked.add(place.level)
    assert checked == {0, 1, 2}


def test_composed_scores_need_an_anchor_at_every_level(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="improving by composed scores needs probabilities of acceptance"):
        rrm.run(
            out=tmp_path / "run",
            quiet=True,
            **toys("composed", compose=Mean(), reward={"plugin": f"{__name__}:Compared"}),
        )


@pytest.mark.slow
def test_with_a_composer_that_reads_back_candidates_of_one_tree_are_told_apart_and_learned_from(tmp_path: Path) -> None:
    table = deepcopy(SMALL) | {"flat": False, "rounds": 2, "compose": {"plugin": "rrm.compose.composers:Informed"}}
    table["train"]["arguments"] |= {"count": 3, "words": 500}
    table["target"]["arguments"]["words"] = 500
    table["improve"] = {"plugin": "rrm.policy.best_of_n:BestOfN", "arguments": {"n": 3}, "score": "composed"}
    report = rrm.run(rrm.run_file(table), tmp_path / "run", quiet=True)
    assert len(report.rounds) == 2 and not report.failures
    with rrm.load(tmp_path / "run") as run, open_store(tmp_path / "run") as record:
        [made] = record.load(Improvement)
        assert set(run.outputs[run.outputs["round"] == 1].policy) == {made.policy}
        assert 0 < made.kl <= made.kl_budget
