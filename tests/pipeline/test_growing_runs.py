"""Trees that grow while their nodes are answered, within a run: the same as growing them at once, kill or no kill."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from decomposers.questions import NestedQuestions
from rrm.core.errors import InputError
from rrm.core.graph import GrowthBudget, Node, Proposal, TaskGraph
from rrm.core.growth import Answers, Grown, grow
from rrm.core.task import Source
from rrm.core.values import Failure, Output
from rrm.pipeline import stages
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.recursion import recursion
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Improving, Outcome, Recursion
from tasks.fact_chains import FactChains
from tests.pipeline.hand_world import RUN, World, carry_out, go

CHAINS = FactChains(count=3, hops=3, seed=4)
BUDGET = GrowthBudget()
TRAIN, OTHER, TARGET = CHAINS.sources()


def looked_up(question: str, text: str) -> str:
    """The fact that answers a question of one relation; for any other, the last of what was answered."""
    asked = question.removeprefix("What is ").removesuffix("?").lower()
    facts = [line for line in text.splitlines() if line.lower().startswith(f"{asked} is ")]
    return facts[0] if facts else next(reversed(text.splitlines()), "")


class Asking(World):
    """Grows trees of questions; the first output is right, others say more than they should."""

    decomposer = NestedQuestions()

    def do(self, action: AnyAction) -> Values:
        if action.step != "split":
            return super().do(action)
        self.done.append(action)
        return tuple(self.split(action))

    def decompose(self, action: AnyAction) -> Sequence[TaskGraph]:
        job: stages.DecomposeJob = action.job
        return [self.decomposer.start(job.source, job.seed)]

    def split(self, action: AnyAction) -> Sequence[Any]:
        job: stages.SplitJob = action.job
        source = next(each for each in CHAINS.sources() if each.id == job.source)
        seen = Answers(job.graph, job.node, job.answers, "questions")
        return self.decomposer.split(source, job.graph, job.graph.node(job.node), seen, 1, job.seed)

    def propose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.OutputsJob = action.job
        prompt_context = job.ask.prompt_context
        said = looked_up(prompt_context.view.instruction, prompt_context.view.text)
        name = job.policy.policy if job.policy else "words"
        made = (prompt_context.inputs, prompt_context.context)
        return [Output(action.slot, " ".join([said] * (at + 1)), name, at, *made) for at in range(job.ask.n)]


RUNNING: Recursion = replace(
    RUN, train=((TRAIN, 1), (OTHER, 2)), target=((TARGET, 1),), decomposer="questions", growth=BUDGET, outputs=2
)


def at_once(source: Source, number: int = 0) -> Grown:
    """The same tree as `rrm.core.growth.grow` grows it."""

    def answer(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
        assert node.task.span is not None
        said = looked_up(node.task.instruction, source.read(node.task.span))
        return Output(node.id, said, "words", 0, tuple(output.id for output in answers.values()))

    return grow(Asking.decomposer, source, stages.tree_seed(RUNNING.seed, source.id, number), answer, BUDGET)


def rows(graph: TaskGraph) -> list[tuple[object, ...]]:
    """All that a graph says of its nodes."""
    return [
        (id_, graph.node(id_), graph.children(id_), graph.reads(id_), graph.note(id_), graph.splits(id_))
        for id_ in graph
    ]


def standing(outcome: Outcome) -> dict[str, tuple[str, ...]]:
    return {node: tuple(output.id for output in outputs) for node, outputs in outcome.state.outputs.items()}


def test_a_tree_grown_in_a_run_is_the_one_that_is_grown_at_once_with_the_same_answers() -> None:
    outcome = go(recursion(RUNNING), Asking())
    assert len(outcome.forest.trees) == 4
    answers: dict[str, str] = {}
    for tree in outcome.forest.trees:
        whole = at_once(outcome.forest.sources[tree.source], tree.number)
        assert rows(tree.graph) == rows(whole.graph)
        assert not tree.graph.open and len(tree.graph) == 4
        answers |= {node: output.text for node, output in whole.answers.items()}
    assert {node: output.text for node, output in outcome.state.answers.items()} == answers
    # two hops of each of four trees were waited for, and the third was answered with its level
    assert len(answers) == 8
    for chain, source in zip(CHAINS.chains, CHAINS.sources(), strict=True):
        tree = next(each for each in outcome.forest.trees if each.source == source.id)
        last = tree.graph.children(tree.graph.root)[-1]
        assert outcome.state.outputs[last][0].text.endswith(f"is {chain.answer}.")


def test_what_was_answered_while_a_tree_grew_is_not_proposed_again() -> None:
    world = Asking()
    outcome = go(recursion(RUNNING), world)
    proposed = [action.slot for action in world.actions("propose")]
    assert len(proposed) == len(set(proposed)) == 16
    nodes = [node for tree in outcome.forest.trees for node in tree.graph]
    assert sorted(proposed) == sorted(nodes)
    tree = outcome.forest.trees[0]
    second = tree.graph.children(tree.graph.root)[1]
    # it is shown the facts, and the answer that it was made from
    assert [passage.node for passage in outcome.state.view(second).passages] == [
        None,
        tree.graph.children(tree.graph.root)[0],
    ]


def test_a_second_round_grows_nothing_anew_and_one_with_another_policy_grows_from_its_answers() -> None:
    world = Asking()
    go(recursion(replace(RUNNING, rounds=(Round(), Round()))), world)
    assert not [action for action in world.done if action.place.round and action.step in ("decompose", "split")]

    class Guessing(Asking):
        """The improved policy knows nothing: its answers are the last lines of what it reads."""

        def propose(self, action: AnyAction) -> Sequence[Output]:
            made = super().propose(action)
            return made if action.job.policy is None else [replace(each, text="Nobody.") for each in made]

    world = Guessing()
    outcome = go(recursion(replace(RUNNING, rounds=(Round(), Round()), improve=Improving("optimiser"))), world)
    first, second = (each.forest.trees[0].graph for each in outcome.run.rounds)
    asked = [[graph.task(part).instruction for part in graph.children(graph.root)] for graph in (first, second)]
    assert first.root == second.root and asked[0][0] == asked[1][0]
    assert asked[0][1] != asked[1][1] and asked[1][1].endswith("of Nobody?")
    assert set(outcome.state.answers) <= {node for tree in outcome.forest.trees for node in tree.graph}


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_run_that_is_killed_after_any_stage_ends_as_it_would_have(rounds: int) -> None:
    run = replace(RUNNING, rounds=(Round(),) * rounds, improve=Improving("optimiser"))
    whole = Asking()
    expected = go(recursion(run), whole)
    stops = stages_of(run)
    assert stops > 12 * rounds
    for stop in range(stops):
        record: dict[str, Values] = {}
        before, after = Asking(), Asking()
        until(stop, run, before, record)
        outcome = go(recursion(run), after, record)
        assert standing(outcome) == standing(expected)
        assert [rows(tree.graph) for tree in outcome.forest.trees] == [
            rows(tree.graph) for tree in expected.forest.trees
        ]
        assert outcome.run.models == expected.run.models
        assert outcome.run.policies == expected.run.policies
        assert [action.id for action in before.done + after.done] == [action.id for action in whole.done]


def until(stop: int, run: Recursion, world: World, record: MutableMapping[str, Values]) -> None:
    """Carry out so many stages of a run."""
    process, results = recursion(run), None
    for _ in range(stop):
        results = carry_out(process.send(results), world, record)  # type: ignore[arg-type]  # None begins it
    process.close()


def stages_of(run: Recursion) -> int:
    """How many stages a run has."""
    count, world, record = 0, Asking(), dict[str, Values]()
    process, results = recursion(run), None
    try:
        while True:
            results = carry_out(process.send(results), world, record)  # type: ignore[arg-type]
            count += 1
    except StopIteration:
        return count


def test_what_failed_to_be_answered_closes_the_tree_that_waits_for_it() -> None:
    class Silent(Asking):
        def propose(self, action: AnyAction) -> Sequence[Any]:
            if action.job.ask.prompt_context.node in failing:
                return [Failure(action.slot, "propose", "AssistantError", "the model is gone")]
            return super().propose(action)

    graph = at_once(TARGET).graph
    failing = {graph.children(graph.root)[0]}
    outcome = go(recursion(RUNNING), Silent())
    tree = next(each for each in outcome.forest.trees if each.source == TARGET.id)
    assert tree.graph.children(tree.graph.root) == tuple(failing)
    assert tree.graph.note(tree.graph.root).endswith("part 0 has no answer to go on from")
    assert [failure.subject for failure in outcome.state.failures] == [*failing]


def test_a_split_that_fails_closes_its_node_as_it_stands() -> None:
    class Stuck(Asking):
        def split(self, action: AnyAction) -> Sequence[Any]:
            job: stages.SplitJob = action.job
            if job.source == TARGET.id and job.graph.splits(job.node) == 1 and job.node == job.graph.root:
                return [Failure(action.slot, "split", "AssistantError", "the model is gone")]
            return super().split(action)

    outcome = go(recursion(RUNNING), Stuck())
    tree = next(each for each in outcome.forest.trees if each.source == TARGET.id)
    assert len(tree.graph.children(tree.graph.root)) == 1 and not tree.graph.open
    assert tree.graph.note(tree.graph.root) == "closed as it stands: the model is gone"
    assert tree.graph.root in outcome.state.outputs


def test_a_graph_left_open_by_a_decomposer_that_does_not_grow_is_refused() -> None:
    with pytest.raises(InputError, match=r"left the node .* open: close it, or give it a budget"):
        go(recursion(replace(RUNNING, growth=None)), Asking())


def test_a_growth_budget_ends_what_would_go_on() -> None:
    class Endless(Asking):
        def split(self, action: AnyAction) -> Sequence[Proposal]:
            made = super().split(action)
            return [replace(each, more=True) if each.parts else each for each in made]

    outcome = go(recursion(replace(RUNNING, growth=GrowthBudget(max_nodes=3))), Endless())
    assert all(len(tree.graph) == 3 and not tree.graph.open for tree in outcome.forest.trees)
    assert all("limit" in tree.graph.note(tree.graph.root) for tree in outcome.forest.trees)
