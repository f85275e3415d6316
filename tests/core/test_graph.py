"""The task graph: what its gate lets in, how it grows, and the order in which it is walked."""

import json
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.core.errors import LimitError, ProposalError
from rrm.core.graph import Node, Proposal, Refusal, TaskGraph
from rrm.core.task import Span, Task


def about(start: int, end: int, source: str = "book") -> Task:
    return Task("sum up", source, Span(start, end))


def sized(rank: int, name: str = "") -> Task:
    return Task(f"do {rank} {name}", rank=rank)


def book_graph() -> TaskGraph:
    """Characters 0 to 10: a root, two parts, the first of them split in two."""
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((about(0, 6), about(6, 10))))
    first, second = graph.children(graph.root)
    graph = graph.grow(first, Proposal((about(0, 2), about(2, 6)), note="two scenes"))
    for node in (second, *graph.children(first)):
        graph = graph.grow(node, Proposal())
    return graph


def test_growing_at_several_nodes_is_growing_at_one_after_the_other() -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((about(0, 6), about(6, 10))))
    first, second = graph.children(graph.root)
    split, leaf = Proposal((about(0, 2), about(2, 6))), Proposal(note="a leaf")
    together = graph.grow_each({first: split, second: leaf})
    assert together.to_json() == graph.grow(first, split).grow(second, leaf).to_json()


def test_a_started_graph_is_one_open_node() -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    assert len(graph) == 1
    assert graph.open == {graph.root}
    assert graph.task(graph.root) == about(0, 10)


def test_equal_starts_have_equal_ids_and_another_seed_or_decomposer_has_others() -> None:
    ids = {TaskGraph.start(about(0, 10), name, seed).root for name, seed in [("a", 0), ("a", 1), ("b", 0), ("a", 0)]}
    assert len(ids) == 3


def test_growth_returns_a_new_graph_and_leaves_the_old_one_as_it_was() -> None:
    old = TaskGraph.start(about(0, 10), "by hand", 0)
    new = old.grow(old.root, Proposal((about(0, 6), about(6, 10))))
    assert (len(old), len(new)) == (1, 3)
    assert old.open == {old.root}
    assert new.open == set(new.children(new.root))


def test_the_graph_inside_cannot_be_changed() -> None:
    with pytest.raises(nx.NetworkXError):
        book_graph().networkx.add_node("more")


def test_heights_count_from_the_leaves_and_depths_from_the_root() -> None:
    graph = book_graph()
    first, second = graph.children(graph.root)
    leaf = graph.children(first)[0]
    assert [graph.height(node) for node in (graph.root, first, second, leaf)] == [2, 1, 0, 0]
    assert [graph.depth(node) for node in (graph.root, first, second, leaf)] == [0, 1, 1, 2]
    assert [len(level) for level in graph.levels] == [3, 1, 1]


def test_leaves_stand_in_the_order_of_the_book() -> None:
    graph = book_graph()
    assert [graph.task(leaf).span for leaf in graph.leaves] == [(0, 2), (2, 6), (6, 10)]


def test_a_note_and_skipped_spans_stay_with_their_node() -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((about(2, 5), about(5, 9)), (Span(0, 2), Span(9, 10)), "a preamble"))
    assert graph.skipped(graph.root) == (Span(0, 2), Span(9, 10))
    assert graph.note(graph.root) == "a preamble"


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        (Proposal((about(0, 10),)), "rank 10, which must be lower than its parent's 10"),
        (Proposal((Task("x", "book", Span(0, 5), rank=12), about(5, 10))), "must be lower"),
        (Proposal((about(0, 4), about(5, 10))), "from 4 to 5 is covered by no part"),
        (Proposal((about(0, 6), about(5, 10))), "from 5 to 6 is covered twice"),
        (Proposal((about(0, 5), about(5, 9))), "parts end at 9, but their parent's span ends at 10"),
        (Proposal((about(0, 5), about(5, 12))), "parts end at 12"),
        (Proposal((about(1, 5), about(5, 10))), "from 0 to 1 is covered by no part"),
        (Proposal((about(0, 5), about(5, 5), about(5, 10))), r"empty span \(5, 5\)"),
        (Proposal((about(0, 5), about(5, 10, "another"))), "another source"),
        (Proposal((about(0, 5), about(5, 9)), (Span(8, 10),)), "covered twice"),
        (Proposal((), (Span(0, 3),)), "parts end at 3"),
        (Proposal((sized(3),)), "parts end at 0"),
        (Proposal(("node-nowhere",)), "no node node-nowhere"),
    ],
)
def test_the_gate_refuses_what_breaks_a_rule_and_says_which(proposal: Proposal, reason: str) -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    with pytest.raises(ProposalError, match=reason):
        graph.check(graph.root, proposal)
    with pytest.raises(ProposalError, match=reason):
        graph.grow(graph.root, proposal)


def test_a_node_that_was_decided_on_is_closed() -> None:
    graph = book_graph()
    with pytest.raises(ProposalError, match="is not open"):
        graph.grow(graph.root, Proposal())


def test_a_part_may_be_known_already_and_then_has_two_parents() -> None:
    graph = TaskGraph.start(sized(9), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((sized(6, "left"), sized(7, "right"))))
    left, right = graph.children(graph.root)
    graph = graph.grow(left, Proposal((sized(3, "shared"),)))
    (shared,) = graph.children(left)
    graph = graph.grow(right, Proposal((shared,))).grow(shared, Proposal())
    assert set(graph.parents(shared)) == {left, right}
    assert graph.height(graph.root) == 2
    assert graph.in_order() == (graph.root, left, right, shared)


def test_the_same_part_twice_in_one_proposal_is_refused() -> None:
    graph = TaskGraph.start(sized(9), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((sized(6, "left"), sized(7, "right"))))
    left, right = graph.children(graph.root)
    with pytest.raises(ProposalError, match="one part twice"):
        graph.grow(right, Proposal((left, left)))


def test_a_cycle_is_refused_by_name() -> None:
    graph = TaskGraph.start(sized(9), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((sized(6),)))
    (child,) = graph.children(graph.root)
    with pytest.raises(ProposalError, match=f"cycle: {child} -> {graph.root} -> {child}"):
        graph.grow(child, Proposal((graph.root,)))


def test_a_decomposer_that_never_shrinks_is_stopped_at_its_first_step() -> None:
    graph = TaskGraph.start(sized(5), "looper", 0)
    with pytest.raises(ProposalError, match="must be lower"):
        graph.grow_all(lambda _, node: Proposal((node.task,)))


def test_a_decomposer_that_opens_too_much_is_stopped_at_the_limit() -> None:
    def split(_: TaskGraph, node: Node) -> Proposal:
        return Proposal(tuple(sized(node.task.rank - 1, f"{number}") for number in range(10)))

    with pytest.raises(LimitError, match="max_nodes = 500"):
        TaskGraph.start(sized(1000), "bomb", 0).grow_all(split, max_nodes=500)


def test_a_refusal_is_on_record_and_changes_nothing_else() -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    refused = graph.refuse(graph.root, "a gap from 3 to 4")
    assert refused.refusals == (Refusal(graph.root, "a gap from 3 to 4"),)
    assert (refused.open, list(refused)) == (graph.open, list(graph))


def test_context_edges_join_neighbours_of_equal_height_and_depth_only() -> None:
    graph = book_graph().with_context()
    first, second = graph.children(graph.root)
    left, right = graph.children(first)
    assert graph.before(right) == left
    assert graph.before(left) is None
    assert graph.before(second) is None  # height 0 beside its neighbour's 1


def test_an_open_graph_gets_no_context_edges() -> None:
    with pytest.raises(ProposalError, match="open nodes"):
        TaskGraph.start(about(0, 10), "by hand", 0).with_context()


def test_json_brings_back_the_same_graph() -> None:
    graph = book_graph().with_context().refuse("node-x", "for the record")
    back = TaskGraph.from_json(json.loads(json.dumps(graph.to_json())))
    assert list(back) == list(graph)
    assert back.to_json() == graph.to_json()
    assert back.task(back.root) == graph.task(graph.root)
    assert [back.before(node) for node in back] == [graph.before(node) for node in graph]
    assert back.refusals == graph.refusals


def test_an_open_graph_read_from_json_can_be_grown_on() -> None:
    graph = TaskGraph.start(about(0, 10), "by hand", 0)
    back = TaskGraph.from_json(json.loads(json.dumps(graph.to_json())))
    proposal = Proposal((about(0, 6), about(6, 10)))
    assert list(back.grow(back.root, proposal)) == list(graph.grow(graph.root, proposal))


def test_json_with_a_cycle_is_refused_by_name() -> None:
    data = book_graph().to_json()
    root, first = data["nodes"][0], data["nodes"][1]
    first["children"] = [root["id"]]
    with pytest.raises(ProposalError, match=f"cycle: .*{root['id']}"):
        TaskGraph.from_json(data)


def test_json_that_names_a_missing_node_is_refused() -> None:
    data = book_graph().to_json()
    data["nodes"][1]["children"] = ["node-missing"]
    with pytest.raises(ProposalError, match="node-missing, which is not in it"):
        TaskGraph.from_json(data)


def test_walking_hands_out_leaves_first_and_the_root_last() -> None:
    graph = book_graph()
    walk, order = graph.walk(), []
    while ready := walk.ready():
        for node in ready:
            order.append(node)
            walk.done(node)
    assert order[-1] == graph.root
    assert sorted(order) == sorted(graph)
    assert walk.left == 0


def test_with_context_a_leaf_waits_for_the_one_before_it() -> None:
    graph = book_graph().with_context()
    left, right, apart = graph.leaves
    walk = graph.walk(graph.leaves)
    assert walk.ready() == [left, apart]
    assert walk.ready() == []
    walk.done(left)
    assert walk.ready() == [right]


def test_a_node_that_was_not_handed_out_cannot_be_done() -> None:
    graph = book_graph()
    with pytest.raises(ValueError, match="not being worked on"):
        graph.walk().done(graph.root)


def test_a_chain_of_ten_thousand_grows_walks_and_round_trips_without_recursion() -> None:
    def shrink(_: TaskGraph, node: Node) -> Proposal:
        return Proposal((sized(node.task.rank - 1),) if node.task.rank else ())

    graph = TaskGraph.start(sized(9_999), "chain", 0).grow_all(shrink)
    assert len(graph) == 10_000
    assert graph.height(graph.root) == 9_999
    assert graph.depth(graph.leaves[0]) == 9_999
    back = TaskGraph.from_json(json.loads(json.dumps(graph.to_json())))
    assert list(back) == list(graph)
    walk, done = back.walk(), 0
    while ready := walk.ready():
        walk.done(ready[0])
        done += 1
    assert done == 10_000


def test_a_hundred_thousand_nodes_are_walked_each_once() -> None:
    def halve(_: TaskGraph, node: Node) -> Proposal:
        start, end = node.task.span or Span(0, 0)
        middle = (start + end) // 2
        return Proposal((about(start, middle), about(middle, end)) if end - start > 1 else ())

    graph = TaskGraph.start(about(0, 50_001), "halver", 0).grow_all(halve)
    assert len(graph) == 100_001  # a binary tree with 50,001 leaves
    walk, seen = graph.walk(), 0
    while ready := walk.ready():
        seen += len(ready)
        for node in ready:
            walk.done(node)
    assert seen == len(graph)


@st.composite
def dags(draw: st.DrawFn) -> TaskGraph:
    """A random closed graph of tasks without a source, nodes shared between parents where ranks allow it."""
    graph = TaskGraph.start(sized(draw(st.integers(1, 8))), "random", draw(st.integers(0, 3)))
    while graph.open:
        node = min(graph.open)
        rank = graph.task(node).rank
        new = draw(st.lists(st.integers(0, rank - 1), max_size=3)) if rank and len(graph) < 40 else []
        known = [other for other in graph if graph.task(other).rank < rank]
        shared = draw(st.lists(st.sampled_from(known), unique=True, max_size=2)) if known else []
        parts = tuple(sized(each, f"{number}") for number, each in enumerate(new))
        graph = graph.grow(node, Proposal((*parts, *shared)))
    return graph


@settings(max_examples=60, deadline=None)
@given(graph=dags(), context=st.booleans())
def test_any_graph_is_walked_in_an_order_in_which_nothing_comes_before_what_it_reads(
    graph: TaskGraph, context: bool
) -> None:
    graph = graph.with_context() if context else graph
    walk, done = graph.walk(), set()
    while ready := walk.ready():
        for node in ready:
            assert done.issuperset(graph.children(node))
            assert graph.before(node) is None or graph.before(node) in done
        for node in ready:
            walk.done(node)
            done.add(node)
    assert done == set(graph)
    assert nx.is_directed_acyclic_graph(graph.networkx)


@settings(max_examples=60, deadline=None)
@given(graph=dags())
def test_in_any_graph_order_height_and_json_agree_with_the_parts(graph: TaskGraph) -> None:
    place = {node: at for at, node in enumerate(graph.in_order())}
    assert len(place) == len(graph)
    for node in graph:
        children = graph.children(node)
        assert all(place[node] < place[child] for child in children)
        assert graph.height(node) == (1 + max(map(graph.height, children)) if children else 0)
        assert all(graph.task(child).rank < graph.task(node).rank for child in children)
    assert TaskGraph.from_json(json.loads(json.dumps(graph.to_json()))).to_json() == graph.to_json()


@settings(max_examples=60, deadline=None)
@given(cuts=st.sets(st.integers(1, 29), min_size=1), data=st.data())
def test_parts_and_skipped_spans_pass_exactly_when_they_cover_the_text_once(
    cuts: set[int], data: st.DataObject
) -> None:
    graph = TaskGraph.start(about(0, 30), "by hand", 0)
    edges = [0, *sorted(cuts), 30]
    spans = [Span(*pair) for pair in pairwise(edges)]
    skip = data.draw(st.sets(st.sampled_from(spans), max_size=len(spans) - 1))
    parts = tuple(about(*span) for span in data.draw(st.permutations(spans)) if span not in skip)
    grown = graph.grow(graph.root, Proposal(parts, tuple(skip)))
    assert len(grown.children(grown.root)) == len(spans) - len(skip)

    hurt = data.draw(st.sampled_from(parts))
    without = tuple(part for part in parts if part != hurt)
    assert hurt.span is not None
    with pytest.raises(ProposalError, match=r"no part|parts end"):
        graph.grow(graph.root, Proposal(without, tuple(skip)))
    with pytest.raises(ProposalError, match=r"covered twice|parts end"):
        graph.grow(graph.root, Proposal(parts, (*skip, hurt.span)))
