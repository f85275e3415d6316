"""A budget of KL for whole trees, in a run file: shared among levels by expected gain, spent, and told."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Node
from rrm.core.protocols import ProposeJob
from rrm.core.values import Improvement, Output, Prediction
from rrm.policy.best_of_n import kl_bound
from rrm.policy.ledger import NS, expected_greatest
from rrm.report.html import report_html
from tests.toys import TOYS, Words

BEST = {"plugin": "rrm.policy.best_of_n:BestOfN", "kl_budget": 4.5, "budget_of": "tree", "per_level": True}


class RootsAlone:
    """Takes no notice of parts."""

    name, needs_anchor, reads_back, checks_claims = "roots alone", False, False, False

    def compose(self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: object) -> Prediction:
        return scores


class Cycling(Words):
    """Says the first word of the view one to four times, in turn."""

    def _outputs(self, job: ProposeJob) -> list[Output]:
        found = super()._outputs(replace(job, n=5))
        again = (found[at % 4] for at in range(job.n))
        return [replace(output, seed=at) for at, output in enumerate(again)]


def toys(**changes: Any) -> dict[str, Any]:
    return {**TOYS, "policy": {"plugin": f"{__name__}:Cycling"}, "rounds": 2, "improve": BEST, **changes}


def by_hand(budget: float) -> list[int]:
    """Of how many the best is taken at a leaf, at the nodes above, and at the root, by trying everything.

    One to four words are written at 9 leaves, the 3 nodes above and the root, and of n words n tenths are accepted. By
    the rule `Mean` half of a node's score is its own, and half its three parts'.
    """
    nodes, weights = (9, 3, 1), (1 / 36, 1 / 12, 1 / 2)
    worths = [w * float(np.std([0.1, 0.2, 0.3, 0.4], ddof=1)) for w in weights]
    ways = [
        ns for ns in product(NS, repeat=3) if sum(m * kl_bound(n) for m, n in zip(nodes, ns, strict=True)) <= budget
    ]
    gains = [sum(m * w * expected_greatest(n) for m, w, n in zip(nodes, worths, ns, strict=True)) for ns in ways]
    return list(ways[int(np.argmax(gains))])


def test_levels_get_what_pays_at_the_root_and_spend_it_and_one_that_gets_nothing_is_named(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys())
    leaf, above, root = by_hand(BEST["kl_budget"])
    assert 1 == leaf < above < root
    with rrm.load(tmp_path / "run") as run:
        made = {each.level: each for each in run.record.load(Improvement)}
        assert run.policy("1/answer/0").name == "words"
    assert {level: each.kl_budget for level, each in made.items()} == pytest.approx(
        {1: kl_bound(above), 2: kl_bound(root)}
    )
    assert 3 * made[1].kl + made[2].kl <= BEST["kl_budget"] + 1e-9
    told = report.rounds[1].levels
    assert [level.kl_budget for level in told] == [None, *(pytest.approx(kl_bound(n)) for n in (above, root))]
    assert all(level.kl_budget is None for level in report.rounds[0].levels)
    assert "round 1: nothing of the tree's budget of KL is spent at level 0" in report.warnings
    page = report_html(report)
    assert all(f"of {level.kl_budget:.3f}" in page for level in told[1:])
    assert report.rounds[1].ledger is not None and [bool(node.policy) for node in report.rounds[1].ledger.levels]


def test_what_cannot_be_shared_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set improve\.per_level = true"):
        rrm.run(out=tmp_path / "a", quiet=True, **toys(improve={**BEST, "per_level": False}))
    scheduled = {name: part for name, part in toys(schedule=[{"levels": [0]}, {}]).items() if name != "rounds"}
    with pytest.raises(InputError, match="takes all of its levels"):
        rrm.run(out=tmp_path / "b", quiet=True, **scheduled)
    with pytest.raises(InputError, match=r"takes three outputs or more at each node, got 2: set policy\.outputs = 3"):
        rrm.run(out=tmp_path / "c", quiet=True, **toys(policy={"plugin": f"{__name__}:Cycling", "outputs": 2}))
    with pytest.raises(InputError, match="by the composer roots alone a root's score does not depend on its parts'"):
        rrm.run(out=tmp_path / "d", quiet=True, **toys(compose={"plugin": f"{__name__}:RootsAlone"}))
