"""One way of optimising a finished run's policy: what is kept, what is measured, and what is refused."""

import json
from pathlib import Path

import pytest

import rrm
from rrm.api.frontier import METHODS, frontier
from rrm.api.loaded import load
from rrm.api.optimizing import REPORT
from rrm.api.scorers import composed_scorer, level_scorer
from rrm.core.errors import ConfigError, InputError, PluginError
from rrm.core.protocols import ProposeJob
from rrm.core.values import OVERALL
from rrm.policy.best_of_n import kl_bound
from rrm.policy.gradient import PolicyGradient
from tests.scenarios import SMALL


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("optimizing") / "run"
    rrm.run(rrm.run_file(SMALL), place, quiet=True)
    return place


def test_the_policy_is_kept_measured_and_found_again(folder: Path) -> None:
    found = rrm.optimize(folder, "policy-gradient", 0.5, outputs=4, most_nodes=6)
    told = found.to_json()
    assert json.loads((folder / "optimized" / "policy-gradient" / REPORT).read_text()) == json.loads(json.dumps(told))
    named = (told["run"], told["level"], told["method"], told["score"])
    assert named == ("small", "leaves", "policy gradient", "level")
    assert (told["learned_on"], told["measured_on"], told["nodes"], told["outputs"]) == (1, 2, 6, 4)
    assert 0 < told["kl"] <= 0.5 and told["how"] == "exact" and told["kl_budget"] == 0.5
    assert told["optimized"] != told["anchor"] and 0 <= told["optimized"]["gold"] <= 1
    with load(folder) as run:
        again = PolicyGradient().load(found.folder, run.worker.policy(None), level_scorer(run))
    assert again.name == found.policy.name == told["policy"]


def test_it_is_one_point_of_the_frontier(folder: Path) -> None:
    found = rrm.optimize(folder, "Best of N", 0.7, outputs=4, most_nodes=6)
    [point] = frontier(folder, ("best of n",), (0.7,), outputs=4, most_nodes=6).points
    assert found.measured.points == (point,)
    assert rrm.optimize(folder, "best-of-n", 0.7, arguments={"n": 2}, outputs=4, most_nodes=6).measured.points[
        0
    ].kl == pytest.approx(kl_bound(2), abs=0.1)


def test_a_policy_can_be_optimised_against_the_composed_score(folder: Path, tmp_path: Path) -> None:
    found = rrm.optimize(folder, "best of n", 1.0, by="composed", level=1, outputs=4, out=tmp_path)
    with load(folder) as run:
        scorer, seen = composed_scorer(run)
        nodes = [each for each in seen if each.prompt_context.place.level == 1]
        jobs = [ProposeJob(each.prompt_context, 6, 3) for each in nodes]
        means = []
        for policy in (run.worker.policy(None), found.policy):
            groups = [
                each.group.__class__(
                    each.source, each.prompt_context.place, each.prompt_context.view, tuple(o.text for o in outputs)
                )
                for each, outputs in zip(nodes, policy.propose(jobs), strict=True)
            ]
            means.append(sum(float(said.acceptance[OVERALL].mean()) for said in scorer.score(groups)) / len(groups))
    assert means[1] > means[0] + 0.03
    assert found.to_json()["score"] == "composed" and found.folder == tmp_path


def test_what_cannot_be_done_is_said_in_one_sentence(folder: Path) -> None:
    for budget in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="the KL budget is a positive number of nats, got"):
            rrm.optimize(folder, "quantilizer", budget)
    with pytest.raises(InputError, match=f"there is no method 'magic': name one of {next(iter(METHODS))}, "):
        rrm.optimize(folder, "magic", 1.0)
    with pytest.raises(PluginError, match="is no optimiser: it needs `improve` and `load`"):
        rrm.optimize(folder, "rrm.policy.careless:Careless", 1.0)
    with pytest.raises(InputError, match=r"a quantilizer's share q lies in \(0, 1\], got 1.5"):
        rrm.optimize(folder, "quantilizer", 1.0, changes=("q=1.5",))
    with pytest.raises(InputError, match="the best of 1 is the anchor itself: set n to 2 or more, got 1"):
        rrm.optimize(folder, "best of n", 1.0, arguments={"n": 1})
    with pytest.raises(InputError, match=r"the best of 2 takes a budget of 0\.1932 nats, got 0\.1"):
        rrm.optimize(folder, "best of n", 0.1)
    with pytest.raises(ConfigError, match="the arguments do not fit"):
        rrm.optimize(folder, "best of n", 1.0, changes=("m=3",))
    with pytest.raises(InputError, match="a rating of 1 was never seen, the highest was"):
        rrm.optimize(folder, "conditioning", 1.0, changes=("rating=1.0",))
