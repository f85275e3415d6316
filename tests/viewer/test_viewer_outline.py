"""The outline is the graph: every node once, under its parent, with what is on record about it."""

from math import isclose

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.core.graph import Proposal, TaskGraph
from rrm.core.nodes import NodeMark
from rrm.core.report import Candidate, Interval, NodeReport
from rrm.core.task import Source, Span, Task
from rrm.viewer.outline import STATES, TITLE, Layout, Outline
from tests.web.tree_scenarios import chain, grown, source_of


@st.composite
def graphs(draw: st.DrawFn) -> TaskGraph:
    """Any graph that the gate lets through, shared parts included."""
    graph = TaskGraph.start(Task("Go on.", rank=8), "by chance", 0)
    for _ in range(draw(st.integers(0, 12))):
        if not graph.open:
            break
        node = sorted(graph.open)[draw(st.integers(0, len(graph.open) - 1))]
        rank = graph.task(node).rank
        above = {node}
        while more := {parent for each in above for parent in graph.parents(each)} - above:
            above |= more
        known = [each for each in graph if graph.task(each).rank < rank and each not in above]
        shared = draw(st.lists(st.sampled_from(known), unique=True, max_size=2)) if known else []
        new = [Task(f"Part {n} of {node}.", rank=rank - 1) for n in range(draw(st.integers(0, 4)))] if rank > 0 else []
        graph = graph.grow(node, Proposal((*new, *shared)))
    return graph


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_every_node_stands_in_the_outline_once_and_under_one_of_its_parents(graph: TaskGraph) -> None:
    layout = Layout.of(graph.to_json(), None)
    assert layout.ids == graph.in_order()
    assert sorted(layout.ids) == sorted(graph)
    assert layout.ids[0] == graph.root and layout.parent[0] == -1
    for at, node in enumerate(layout.ids[1:], 1):
        above = [layout.parent[at], *layout.also.get(at, ())]
        assert sorted(layout.ids[each] for each in above) == sorted(graph.parents(node))
        assert all(each < at for each in above)
        assert layout.level[at] == graph.height(node)
    assert {layout.ids[at] for at in layout.open} == graph.open


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_all_that_is_below_a_node_follows_it_without_a_gap(graph: TaskGraph) -> None:
    parent = Layout.of(graph.to_json(), None).parent
    path = [0]
    for at in range(1, len(parent)):
        while path[-1] != parent[at]:
            path.pop()  # fails on an empty path where a node's parent is closed already
        path.append(at)


def test_a_nodes_parts_stand_in_their_order() -> None:
    source = source_of(400)
    graph = grown(source, 20)
    layout = Layout.of(graph.to_json(), source)
    for node in graph:
        parts = [layout.place[part] for part in graph.children(node)]
        assert parts == sorted(parts)


def test_a_chain_of_three_thousand_levels_is_laid_out() -> None:
    graph = chain(3000)
    layout = Layout.of(graph.to_json(), None)
    assert layout.parent == tuple(range(-1, 2999))
    assert layout.level == tuple(range(2999, -1, -1))
    outline = Outline.of(layout, {graph.leaves[0]: NodeMark(outputs=1)}, {})
    assert outline.counts == {"empty": 2999, "proposed": 1}


def test_a_title_is_the_beginning_of_the_nodes_source_in_one_short_line() -> None:
    source = Source("A book", "Chapter one\n\n  It was \t late. " + "x" * 500)
    graph = TaskGraph.start(Task("Say it.", source.id, Span(0, len(source.text))), "by hand", 0)
    title = Layout.of(graph.to_json(), source).titles[0]
    assert title.startswith("Chapter one It was late. xxx") and title.endswith("…")
    assert len(title) == TITLE


def test_without_a_source_the_instruction_is_the_title() -> None:
    source = Source("A book", "text")
    about = TaskGraph.start(Task("Say it.", source.id, Span(0, 4)), "by hand", 0)
    assert Layout.of(about.to_json(), None).titles == ("Say it.",)
    assert Layout.of(TaskGraph.start(Task("Think.", rank=1), "by hand", 0).to_json(), source).titles == ("Think.",)


# ---- what is at the nodes ----

ONE = TaskGraph.start(Task("Say it.", rank=1), "by hand", 0).grow_all(lambda *_: Proposal())


def outline_of(mark: NodeMark | None, report: NodeReport | None = None) -> Outline:
    marks = {ONE.root: mark} if mark else {}
    return Outline.of(Layout.of(ONE.to_json(), None), marks, {ONE.root: report} if report else {})


def report_with(*candidates: Candidate) -> NodeReport:
    return NodeReport(ONE.root, 0, 0, "t", (), "", candidates)


@pytest.mark.parametrize(
    ("mark", "state", "error"),
    [
        (None, "empty", False),
        (NodeMark(outputs=2), "proposed", False),
        (NodeMark(outputs=2, ratings=1), "rated", False),
        (NodeMark(outputs=2, ratings=1, best=(0.5,)), "scored", False),
        (NodeMark(outputs=2, best=(0.5,), handed_up=True), "chosen", False),
        (NodeMark(failures=1), "failed", True),
        (NodeMark(outputs=2, failures=1), "proposed", True),
    ],
)
def test_a_nodes_state_is_how_far_it_has_come(mark: NodeMark | None, state: str, error: bool) -> None:
    outline = outline_of(mark)
    assert STATES[outline.state[0]] == state
    assert outline.errors == ({0} if error else set())


def test_a_score_is_the_mean_of_the_members_with_the_middle_ninety_percent() -> None:
    best = (0.1, 0.2, 0.4, 0.8, 0.9)
    outline = outline_of(NodeMark(outputs=1, best=best))
    low, high = np.quantile(best, [0.05, 0.95])
    assert outline.score == (0.48,)
    assert isclose(outline.low[0] or -1, low, abs_tol=5e-4) and isclose(outline.high[0] or -1, high, abs_tol=5e-4)
    assert not outline.composed


def test_ensembles_of_different_sizes_are_told_apart() -> None:
    source = source_of(80)
    graph = grown(source, 3)
    layout = Layout.of(graph.to_json(), source)
    sizes = {node: 1 + at for at, node in enumerate(layout.ids)}
    marks = {node: NodeMark(outputs=1, best=(0.25,) * sizes[node]) for node in graph}
    outline = Outline.of(layout, marks, {})
    assert outline.score == outline.low == outline.high == (0.25,) * len(graph)


def test_a_finished_runs_report_gives_composed_scores_of_what_it_chose() -> None:
    chosen = Candidate("b", "y", 0.5, Interval(0.4, 0.6), 0.71239, Interval(0.6, 0.8), chosen=True)
    best = Candidate("a", "x", 0.9, Interval(0.8, 1.0), 0.75, Interval(0.7, 0.8))
    outline = outline_of(NodeMark(outputs=2, best=(0.9,)), report_with(best, chosen))
    assert (outline.score, outline.low, outline.high) == ((0.712,), (0.6,), (0.8,))
    assert outline.composed and outline.counts == {"chosen": 1}


def test_where_a_report_lists_what_was_chosen_under_another_id_the_best_candidate_counts() -> None:
    best = Candidate("a", "x", 0.9, Interval(0.8, 1.0), 0.75, Interval(0.7, 0.8))
    assert outline_of(NodeMark(outputs=2), report_with(best)).score == (0.75,)


def test_a_report_without_candidates_says_nothing() -> None:
    outline = outline_of(NodeMark(failures=1), report_with())
    assert outline.score == (None,) and outline.counts == {"failed": 1} and not outline.composed


# ---- text in the source ----


def test_a_text_is_found_in_the_leaves_that_hold_it_and_across_their_borders() -> None:
    source = Source("Numbers", "one two three four ")
    whole = Task("Say it.", source.id, Span(0, 19))
    pieces = tuple(Task("Say it.", source.id, Span(start, end)) for start, end in ((0, 6), (6, 14), (14, 19)))
    graph = TaskGraph.start(whole, "by hand", 0)
    graph = graph.grow(graph.root, Proposal(pieces)).grow_all(lambda *_: Proposal())
    layout = Layout.of(graph.to_json(), source)
    assert layout.leaves_with("ONE", source) == {1}
    assert layout.leaves_with("two", source) == {1, 2}
    assert layout.leaves_with("wo three f", source) == {1, 2, 3}
    assert layout.leaves_with("o", source) == {1, 2, 3}
    assert layout.leaves_with("four ", source) == {3}
    assert layout.leaves_with("five", source) == set()
    assert layout.leaves_with(".", source) == set()


def test_a_text_in_a_part_of_the_source_that_was_left_out_is_in_no_leaf() -> None:
    source = Source("Numbers", "one two")
    graph = TaskGraph.start(Task("Say it.", source.id, Span(0, 7)), "by hand", 0)
    part = Task("Say it.", source.id, Span(0, 4))
    graph = graph.grow(graph.root, Proposal((part,), (Span(4, 7),))).grow_all(lambda *_: Proposal())
    assert Layout.of(graph.to_json(), source).leaves_with("two", source) == set()
