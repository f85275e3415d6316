"""What is shown at a node: its text, its parts' outputs, what it reads, or several of these; and what stands there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.errors import InputError
from rrm.core.graph import Part, Proposal, TaskGraph
from rrm.core.protocols import PromptContext
from rrm.core.task import Source, Span, Task
from rrm.core.values import OVERALL, Composed, Failure, Output, Passage, Prediction, Scored
from rrm.pipeline.forest import (
    EarlierOutputs,
    Forest,
    State,
    Tree,
    compose_unanchored,
    composed_predictions,
    predictions,
    prompt_context_at,
)
from rrm.pipeline.plan import Done

SOURCE = Source("numbers", "one two three")
OTHER = Source("others", "four five six")


def prompt_context(graph: TaskGraph, node: str, state: State) -> PromptContext:
    tree = Tree(SOURCE.id, 0, graph)
    return prompt_context_at(Forest.of([SOURCE], [], [tree]), tree, node, state)


def answered(graph: TaskGraph) -> State:
    """A state in which every node has answered with its id while the tree grew."""
    return State(answers={node: Output(node, f"said {node}", "x", 0) for node in graph})


def shown(graph: TaskGraph, node: str, state: State) -> list[tuple[str, str | None]]:
    """Return the texts of the passages at a node and whose they are."""
    return [(passage.text, passage.node) for passage in prompt_context(graph, node, state).view.passages]


def halves(sees_source: bool = False) -> TaskGraph:
    """A root of two parts; the second reads the first."""
    root = Task("join", SOURCE.id, Span(0, 13), rank=9, sees_source=sees_source)
    graph = TaskGraph.start(root, "by hand", 0)
    parts = [Task("sum up", SOURCE.id, Span(*span), rank=1) for span in ((0, 7), (7, 13))]
    return graph.grow(graph.root, Proposal((parts[0], Part(parts[1], (0,)))))


@pytest.mark.parametrize("sees_source", [False, True])
def test_a_task_with_parts_is_shown_its_text_too_only_if_it_sees_it(sees_source: bool) -> None:
    graph = halves(sees_source)
    first, second = graph.children(graph.root)
    own: list[tuple[str, str | None]] = [("one two three", None)] if sees_source else []
    state = answered(graph)
    assert shown(graph, graph.root, state) == [*own, (f"said {first}", first), (f"said {second}", second)]
    assert shown(graph, second, state) == [(" three", None), (f"said {first}", first)]
    assert shown(graph, second, State()) == [(" three", None)]
    assert shown(graph, first, state) == [("one two", None)]


def test_a_task_without_a_span_is_shown_what_it_reads_beside_its_instruction() -> None:
    graph = TaskGraph.start(Task("think", rank=9), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((Task("first", rank=1), Part(Task("then", rank=1), (0,)))))
    first, then = graph.children(graph.root)
    assert shown(graph, first, answered(graph)) == []
    assert shown(graph, then, answered(graph)) == [(f"said {first}", first)]
    view = prompt_context(graph, first, State()).view
    assert (view.instruction, view.passages) == ("first", tuple[Passage, ...]())


def test_what_was_read_stands_as_it_was_and_parts_as_they_are_read_now_with_their_score() -> None:
    graph = halves()
    first, second = graph.children(graph.root)
    before = Output(first, "said first", "x", 0)
    outputs = (Output(first, "poor", "x", 0), Output(first, "good", "x", 1))
    accepted = np.array([[0.2, 0.613], [0.4, 0.633]])
    state = State(
        outputs={first: outputs},
        predictions={first: Prediction.overall(np.zeros((2, 2)), accepted)},
        read={first: 1},
        answers={first: before},
    )
    found = prompt_context(graph, graph.root, state)
    assert found.view.passages == (Passage("good", first, outputs[1].id, 0.62),)  # (0.613 + 0.633) / 2, two digits
    assert found.inputs == (outputs[1].id,)
    assert prompt_context(graph, second, state).inputs == (before.id,)


def test_blank_text_is_not_shown() -> None:
    source = Source("blank", "   ")
    graph = TaskGraph.start(Task("sum up", source.id, Span(0, 3)), "by hand", 0)
    tree = Tree(source.id, 0, graph)
    assert prompt_context_at(Forest.of([source], [], [tree]), tree, graph.root, State()).view.passages == ()


def test_a_source_is_trained_on_or_a_target_and_not_both() -> None:
    with pytest.raises(InputError, match="the target 'numbers' has the same text as the training source 'numbers'"):
        Forest.of([SOURCE, OTHER], [SOURCE], [])


def test_sources_are_told_apart_by_their_words_whatever_their_titles_and_white_space() -> None:
    again = Source("numbers again", "  " + SOURCE.text.replace(" ", "\n "))
    assert again.id != SOURCE.id
    with pytest.raises(InputError, match="the training sources 'numbers' and 'numbers again' have the same text"):
        Forest.of([SOURCE, OTHER, again], [], [])
    with pytest.raises(InputError, match=r"the target 'numbers again' has the same text as .* source 'numbers'"):
        Forest.of([OTHER, SOURCE], [again], [])
    apart = [Source("joined", SOURCE.text.replace(" ", "")), Source("a blank", " "), Source("another", "\n")]
    assert len(Forest.of([SOURCE, *apart], [OTHER], []).sources) == 5


# ---- what stands ----


def proposed(state: State, graph: TaskGraph, node: str, *texts: str) -> State:
    outputs = tuple(Output(node, text, "x", at) for at, text in enumerate(texts))
    return state.proposed({node: prompt_context(graph, node, state)}, {node: outputs})


def judged(state: State, node: str) -> State:
    k = len(state.outputs[node])
    found = Prediction.overall(np.zeros((1, k)), np.full((1, k), 0.5))
    return State(
        state.prompt_contexts,
        state.outputs,
        {**state.predictions, node: found},
        {**state.chosen, node: 0},
        {**state.read, node: 0},
        {**state.composed, node: found},
    )


def test_what_is_proposed_takes_the_place_of_what_was_judged() -> None:
    graph = halves()
    first, second = graph.children(graph.root)
    state = judged(judged(proposed(proposed(State(), graph, first, "a"), graph, second, "b"), first), second)
    after = proposed(state, graph, first, "c", "d")
    assert [output.text for output in after.outputs[first]] == ["c", "d"]
    for judgements in (after.predictions, after.chosen, after.read, after.composed):
        assert judgements.keys() == {second}
    gone = proposed(state, graph, first)  # it failed this time
    assert gone.outputs.keys() == gone.read.keys() == {second}
    assert state.read.keys() == {first, second}  # a value


def test_what_can_be_read_failed_or_was_answered_has_been_met() -> None:
    graph = halves()
    first, second = graph.children(graph.root)
    failure = Failure(second, "propose", "AssistantError", "gone")
    state = judged(proposed(State(), graph, first, "a"), first)
    assert state.met() == {first}
    assert state.failed({second: Done(None, (), (failure,))}).met() == {first, second}
    assert answered(graph).met() == set(graph)


def test_a_failure_is_taken_in_once() -> None:
    failure = Failure("node", "propose", "AssistantError", "gone")
    state = State().failed({"node": Done(None, (), (failure,))})
    assert state.failed({"node": Done(None, (), (failure,))}).failures == (failure,)


# ---- scores on record ----


def test_predictions_are_put_together_by_output_and_criterion() -> None:
    outputs = (Output("n", "a", "x", 0), Output("n", "b", "x", 1))
    scores = [
        Scored(outputs[1].id, "m", (3.0, 4.0), (0.3, 0.4)),
        Scored(outputs[0].id, "m", (1.0, 2.0), (0.1, 0.2)),
        Scored(outputs[0].id, "m", (5.0, 6.0), (0.5, 0.6), "tone"),
        Scored(outputs[1].id, "m", (7.0, 8.0), (0.7, 0.8), "tone"),
    ]
    [found] = predictions([(outputs, scores)])
    assert found.rewards[OVERALL].tolist() == [[1.0, 3.0], [2.0, 4.0]]  # [members, outputs]
    assert found.acceptance["tone"].tolist() == [[0.5, 0.7], [0.6, 0.8]]


def test_composed_scores_have_the_logits_of_their_probabilities_also_at_the_edges() -> None:
    outputs = (Output("n", "a", "x", 0), Output("n", "b", "x", 1))
    found = composed_predictions(
        outputs, [Composed(outputs[0].id, "basis", (0.25, 0.0)), Composed(outputs[1].id, "basis", (0.5, 1.0))]
    )
    assert found.acceptance[OVERALL].tolist() == [[0.25, 0.5], [0.0, 1.0]]
    assert found.rewards[OVERALL][0] == pytest.approx([-np.log(3), 0.0])
    assert found.rewards[OVERALL][1] == pytest.approx([-np.log(1e6 - 1), np.log(1e6 - 1)])


def test_without_an_anchor_root_outputs_share_one_scale_of_being_preferred() -> None:
    graphs = [TaskGraph.start(Task("do", rank=1), "by hand", seed) for seed in range(2)]
    trees = [Tree("s", at, graph) for at, graph in enumerate(graphs)]
    rewards = [np.array([[0.0, 1.0]]), np.array([[2.0]])]
    said = {
        graph.root: Prediction.overall(each, np.full_like(each, 0.5))
        for graph, each in zip(graphs, rewards, strict=True)
    }
    found = compose_unanchored(State(predictions=said), trees).predictions

    def beats(a: float, b: float) -> float:
        return float(1 / (1 + np.exp(b - a)))

    assert found[graphs[0].root].acceptance[OVERALL][0] == pytest.approx(
        [(beats(0, 1) + beats(0, 2)) / 2, (beats(1, 0) + beats(1, 2)) / 2]
    )
    assert found[graphs[1].root].acceptance[OVERALL][0] == pytest.approx([(beats(2, 0) + beats(2, 1)) / 2])
    alone = State(predictions={graphs[1].root: said[graphs[1].root]})
    assert compose_unanchored(alone, trees[1:]) is alone  # there is nothing to be preferred to


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=12), st.integers(0, 12))
def test_as_many_of_the_latest_outputs_are_kept_as_fit(chain: list[tuple[int, int]], limit: int) -> None:
    outputs = [Output(f"node-{at}", f"text {at}", "test", 0) for at in range(len(chain))]
    earlier = EarlierOutputs()
    for output, (tokens, dropped_to) in zip(outputs, chain, strict=True):
        earlier = earlier.latest(limit + dropped_to).followed_by(output, tokens)
    fits = [at for at in range(len(chain) + 1) if sum(tokens for tokens, _ in chain[at:]) <= limit]
    kept = earlier.latest(limit)
    assert kept.texts == tuple(output.text for output in outputs[fits[0] :])
    assert kept.ids == tuple(output.id for output in outputs[fits[0] :])
