"""Iterated amplification: each round one level more is right, H' learns H's moves, nothing defers in a circle."""

from collections import Counter
from collections.abc import Mapping
from itertools import product
from math import log
from pathlib import Path

import numpy as np
import pytest

from decomposers.powering import MOVES, LearnedMoves, Powering, State, exact, moves_in
from rrm.core.errors import InputError, ProposalError
from rrm.core.graph import GrowthBudget, Node, Proposal, TaskGraph
from rrm.core.growth import grow
from rrm.core.protocols import (
    GoldSet,
    GrowingDecomposer,
    Optimiser,
    Policy,
    PromptContext,
    ProposeJob,
    Rater,
    Seen,
    Workspace,
)
from rrm.core.roles import Scorer, Train
from rrm.core.task import Source, Task
from rrm.core.values import Output, Prediction, View
from rrm.pipeline.forest import Forest, Tree, prompt_context_at
from rrm.pipeline.forest import State as Standing
from rrm.policy.distil import Distil, Distilled
from tasks.powering import Beginner, Powers, PowersKey, power

POWERS = Powers(points=6, levels=3, seed=1)
BEGINNER = Beginner(points=6)


class NoScore(Scorer[Train]):
    """Distilling asks for no score."""

    role = Train

    def score(self, groups: object) -> list[Prediction]:
        raise AssertionError("no score is needed")


def context(source: Source, graph: TaskGraph, node: str, answers: Mapping[str, Output]) -> PromptContext:
    tree = Tree(source.id, 0, graph)
    return prompt_context_at(Forest({source.id: source}, (tree,), frozenset()), tree, node, Standing(answers=answers))


def amplified(source: Source, policy: Policy, h: Powering, seed: int) -> tuple[TaskGraph, Seen]:
    """Answer a whole question as H does: asking X, the policy, one part after the other."""

    def x(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
        [[output]] = policy.propose([ProposeJob(context(source, graph, node.id, answers), 1, seed)])
        return output

    graph, answers = grow(h, source, seed, x)
    whole = context(source, graph, graph.root, answers)
    [[output]] = policy.propose([ProposeJob(whole, 1, seed)])
    return graph, Seen(source.id, whole, (output,))


def accuracies(seen: list[Seen]) -> dict[int, float]:
    """Return the share of right answers by level."""
    right: Counter[int] = Counter()
    for each in seen:
        question = power(each.prompt_context.view.instruction)
        assert question is not None
        right[question.level] += int(each.outputs[0].text == str(POWERS.answer(question)))
    return {level: right[level] / POWERS.points for level in range(POWERS.levels + 1)}


def run(
    h: Powering, rounds: int, folder: Path, kl_budget: float = 10.0
) -> tuple[list[dict[int, float]], Policy, float]:
    policy: Policy = BEGINNER
    found, kl = [], 0.0
    for number in range(rounds):
        seen = [amplified(source, policy, h, number)[1] for source in POWERS.sources()]
        found.append(accuracies(seen))
        improved = Distil().improve(
            policy, BEGINNER, seen, NoScore(), kl_budget, number, Workspace(folder / str(number))
        )
        policy, kl = improved.sampler, improved.kl
    return found, policy, kl


def test_the_parts_are_what_they_claim_to_be() -> None:
    assert isinstance(Powering(), GrowingDecomposer) and isinstance(BEGINNER, Policy)
    assert isinstance(Distil(), Optimiser) and isinstance(POWERS, GoldSet) and isinstance(PowersKey(), Rater)
    assert POWERS.answer(power("Where does 1 go in 2^0 steps of P1?")) == POWERS.once[0]  # type: ignore[arg-type]


def test_with_an_exact_h_every_round_makes_one_level_more_right_until_all_are(tmp_path: Path) -> None:
    found, policy, kl = run(Powering(), 5, tmp_path)
    for number, accuracy in enumerate(found):
        assert all(accuracy[level] == 1.0 for level in range(min(number, 3) + 1))
        for level in range(1, 4):
            assert accuracy[level] < 1.0 or number == 0 or found[number - 1][level - 1] == 1.0
    assert found[0][1] < 1 and found[0][3] < 1 and found[1][2] < 1 and found[2][3] < 1
    assert found[4] == dict.fromkeys(range(4), 1.0)
    assert kl == pytest.approx(log(6))  # every answer is one of six that the beginner draws evenly
    loaded = Distil().load(tmp_path / "4", BEGINNER, NoScore())
    assert loaded.name == policy.name


def test_h_is_learned_from_few_of_its_moves_and_amplifies_as_well(tmp_path: Path) -> None:
    transcripts = [amplified(source, BEGINNER, Powering(), 0)[0] for source in POWERS.sources()[4:8]]
    learned = LearnedMoves.of(move for graph in transcripts for move in moves_in(graph))
    states = [State(single, answered) for single in (False, True) for answered in range(3)]
    assert all(learned(state) == exact(state) for state in states)
    assert run(Powering(learned), 4, tmp_path)[0][3] == dict.fromkeys(range(4), 1.0)
    assert Powering(learned).name != Powering().name


def test_a_small_budget_of_kl_is_kept_and_teaches_by_that_much(tmp_path: Path) -> None:
    _, policy, kl = run(Powering(), 1, tmp_path, kl_budget=0.5)
    assert isinstance(policy, Distilled) and 0 < policy.weight < 1
    assert kl == pytest.approx(0.5, abs=1e-6)
    view = View("Where does 1 go in 2^0 steps of P1?", (), 8)
    made = PromptContext("node", Task("x", rank=1), view)
    points = [str(point) for point in range(1, 7)]
    p, q = np.exp(policy.log_prob(made, points)), np.exp(BEGINNER.log_prob(made, points))
    assert p.sum() == pytest.approx(1)
    assert float((p * np.log(p / q)).sum()) == pytest.approx(kl, abs=1e-6)
    draws = [policy.propose([ProposeJob(made, 1, seed)])[0][0].text for seed in range(2000)]
    share = draws.count(str(POWERS.once[0])) / 2000
    assert share == pytest.approx(p.max(), abs=4 * np.sqrt(0.25 / 2000))


# ---- strict reduction ----


@pytest.mark.parametrize("move", MOVES[3:])
def test_an_h_that_asks_the_same_question_is_refused_by_the_gate(move: str) -> None:
    circular = LearnedMoves(((State(False, 0), "ask the same"),))
    graph, _ = grow(Powering(circular), POWERS.sources()[-1], 0, lambda *_: pytest.fail("nothing is asked"))
    assert len(graph) == 1 and len(graph.refusals) == GrowthBudget().max_refusals + 1
    assert "must be lower than its parent's" in graph.refusals[0].reason
    assert "closed as it stands" in graph.note(graph.root)


def fixed_points(children: Mapping[str, tuple[str, ...]]) -> int:
    """Count the self-consistent answers, where a question is true if all that it asks are, and if it asks none."""
    names = list(children)
    every = (dict(zip(names, values, strict=True)) for values in product((False, True), repeat=len(names)))
    return sum(all(said[name] == all(said[part] for part in children[name]) for name in names) for said in every)


def test_without_a_circle_there_is_one_self_consistent_answer_and_the_gate_admits_no_circle() -> None:
    graph = TaskGraph.start(Task("Is all well?", rank=3), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((Task("Is the left?", rank=1), Task("Is the right?", rank=2))))
    left, right = graph.children(graph.root)
    graph = graph.grow(right, Proposal((left,)))
    acyclic = {node: graph.children(node) for node in graph}
    assert fixed_points(acyclic) == 1
    assert fixed_points({**acyclic, left: (graph.root,)}) == 2  # all true, or all false: a self-fulfilling prophecy
    with pytest.raises(ProposalError, match="closes a cycle"):
        graph.check(left, Proposal((graph.root,)))


def test_bad_settings_and_other_texts_are_refused() -> None:
    with pytest.raises(InputError, match="powers need"):
        Powers(points=1)
    with pytest.raises(InputError, match="does not ask where"):
        Powering().start(Source("x", "What is it?"), 0)
    with pytest.raises(InputError, match="no source"):
        POWERS.gold("source-x", None, "1")
