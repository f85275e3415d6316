"""The ledger in a run's report: booked by node, level and round, whatever the optimiser, and not taken on trust."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.core.protocols import Improved, Policy, Seen, Workspace
from rrm.core.report import Ledger, LedgerLevel, Nats, Report, added
from rrm.core.roles import Scorer, Train
from rrm.policy.best_of_n import kl_bound
from rrm.policy.gradient import PolicyGradient
from rrm.report.html import report_html
from tests.scenarios import SMALL


class Understating:
    """A policy gradient that goes as far as `allowed`, whatever the budget, and says that it spent a thousandth."""

    def __init__(self, allowed: float) -> None:
        self.allowed, self.within = allowed, PolicyGradient(steps=2)
        self.name = f"understating-{allowed}"

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
        found = self.within.improve(sampler, anchor, seen, score, self.allowed, seed, workspace)
        return replace(found, kl=found.kl / 1000)

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        return self.within.load(folder, anchor, score)


def improving(plugin: str, **arguments: Any) -> dict[str, Any]:
    table = deepcopy(SMALL) | {"flat": False}
    table["train"]["arguments"] |= {"count": 2, "words": 500}
    table["target"]["arguments"]["words"] = 500
    table["improve"] = {"plugin": plugin, "arguments": arguments, "kl_budget": 0.6}
    return table | {"rounds": 2, "previous_context": "all"}


@pytest.fixture(scope="module")
def gradient(tmp_path_factory: pytest.TempPathFactory) -> Report:
    table = improving("rrm.policy.gradient:PolicyGradient", steps=2)
    return rrm.run(rrm.run_file(table), tmp_path_factory.mktemp("ledger") / "run", quiet=True)


def ledgers(report: Report) -> list[Ledger]:
    return [each.ledger for each in report.rounds if each.ledger is not None]


def test_every_round_has_its_ledger_and_the_first_spends_on_choosing_alone(gradient: Report) -> None:
    first, second = ledgers(gradient)
    assert [level.policy for level in first.levels] == [Nats(0.0, "exact")] * len(first.levels)
    for level in first.levels:
        assert level.candidates == (4 if level.level == gradient.top else 3)
        assert level.choice.how == "estimated" and 0 < level.choice.nats <= kl_bound(int(level.candidates)) + 1e-12
    leaves = second.levels[0]
    assert leaves.policy is not None and leaves.policy.how == "estimated" and leaves.policy.nats > 0
    assert first.trees == 2 and first.among_trees == Nats(kl_bound(2), "bound")


def test_a_tree_comes_to_the_sum_over_its_nodes(gradient: Report) -> None:
    last = ledgers(gradient)[-1]
    nodes = [node.pressure for target in gradient.targets for tree in target.trees for node in tree.nodes]
    booked = [each.nats for each in nodes if each is not None]
    assert len(booked) == len(nodes) == sum(level.nodes for level in last.levels)
    assert last.tree is not None and last.tree.nats == pytest.approx(sum(booked) / last.trees)


def test_what_was_chosen_is_better_by_the_scores_that_chose_and_the_gap_to_gold_is_told(gradient: Report) -> None:
    for ledger in ledgers(gradient):
        for level in ledger.levels:
            assert level.chosen_proxy is not None and level.chosen_proxy >= 0
            assert level.gap is not None and level.gap_all is not None and level.chosen_gold is not None
            assert level.gap - level.gap_all == pytest.approx(level.chosen_proxy - level.chosen_gold)
    assert all(level.gold_since is None for level in ledgers(gradient)[0].levels)
    before, after = gradient.rounds[0].levels[0].gold_mean, gradient.rounds[1].levels[0].gold_mean
    assert before is not None and after is not None
    assert ledgers(gradient)[1].levels[0].gold_since == pytest.approx(after - before)


def test_page_and_json_tell_it(gradient: Report) -> None:
    page = report_html(gradient)
    assert "What optimising cost, and what it gained" in page and "acceptance less gold" in page
    told = gradient.to_json()["rounds"][1]["ledger"]
    assert told["levels"][0]["policy"]["how"] == "estimated" and told["trees"] == 2
    assert not [each for each in gradient.warnings if "the optimiser says" in each]


@pytest.mark.slow
def test_best_of_n_is_booked_by_its_bound_and_choosing_on_top(tmp_path: Path) -> None:
    report = rrm.run(rrm.run_file(improving("rrm.policy.best_of_n:BestOfN", n=2)), tmp_path / "run", quiet=True)
    leaves = ledgers(report)[1].levels[0]
    assert leaves.policy == Nats(pytest.approx(kl_bound(2)), "estimated")  # a bound of draws, of which one was chosen
    assert leaves.choice == Nats(pytest.approx(kl_bound(3)), "bound")


@pytest.mark.slow
def test_an_optimiser_that_reports_less_than_it_spent_is_told_and_booked_as_measured(tmp_path: Path) -> None:
    table = improving(f"{__name__}:Understating", allowed=0.5)
    report = rrm.run(rrm.run_file(table), tmp_path / "run", quiet=True)
    [told] = [each for each in report.warnings if "the optimiser says" in each]
    assert told.startswith("round 1: the optimiser says that it spent 0.000 nats a node") and "(exact)" in told
    spent, leaves = report.rounds[1].levels[0].spent, ledgers(report)[1].levels[0]
    assert spent is not None and spent.nats < 0.001
    assert leaves.policy is not None and leaves.policy.nats > 0.01


def test_sums_are_as_sure_as_their_parts() -> None:
    exact, bound, estimated = Nats(1.0, "exact"), Nats(0.5, "bound"), Nats(0.25, "estimated")
    assert added([exact, exact]) == Nats(2.0, "exact")
    assert added([exact, bound]) == Nats(1.5, "bound")
    assert added([exact, bound, estimated]) == Nats(1.75, "estimated")
    assert added([bound, Nats(0.0, "estimated")]) == Nats(0.5, "bound")  # nothing was added to the bound
    assert added([exact, None]) is None
    unknown = LedgerLevel(0, 3, 1.0, None, exact)
    assert unknown.total is None and Ledger((unknown,), 1).tree is None


# ---- calibration and diversity ----


def test_diversity_is_told_before_and_after_and_with_what_is_left_of_the_base(gradient: Report) -> None:
    before, after = gradient.rounds
    for level in before.diversity:
        assert (level.kl, level.reverse_kl, level.tilt) == (0.0, 0.0, None)
        assert level.calibration_error is not None and 0 <= level.calibration_error <= 1
        assert level.entropy is not None and level.entropy > 0 and 0 < level.distinct <= 1
        assert level.self_bleu is not None and 0 <= level.self_bleu <= 1
    leaves, told = after.diversity[0], after.levels[0]
    assert leaves.kl == told.kl and leaves.entropy == told.entropy
    assert leaves.reverse_kl is not None and leaves.reverse_kl > 0
    assert leaves.tilt is not None and leaves.tilt.nodes > 0
    assert -1e-9 <= leaves.tilt.residual <= leaves.tilt.moved + 1e-9  # the base is a tilt of itself


def test_diversity_is_on_the_page_and_in_the_json(gradient: Report) -> None:
    page = report_html(gradient)
    assert "Calibration and diversity, before and after" in page and "nearest tilt" in page
    told = gradient.to_json()["rounds"][1]["diversity"][0]
    assert told["tilt"]["nodes"] > 0 and set(told) >= {"self_bleu", "distinct", "reverse_kl", "calibration_error"}
