"""Trees as text and as drawings: complete, escaped, and of sensible size."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from rrm.core.errors import InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.task import Source, Span, Task
from rrm.report.tree import tree_svg, tree_text

SVG = "{http://www.w3.org/2000/svg}"
TEXT = "The <b>rain</b> fell & fell.\x1b[31m\n\nThen it stopped."


def small(text: str = TEXT) -> tuple[TaskGraph, Source]:
    source = Source("rain", text)
    whole, cut = Task("sum up", source.id, Span(0, len(text)), 192), text.index("Then")
    graph = TaskGraph.start(whole, "by hand", 0)
    parts = (Task("sum up", source.id, Span(0, cut)), Task("sum up", source.id, Span(cut, len(text))))
    graph = graph.grow(graph.root, Proposal(parts))
    for node in graph.children(graph.root):
        graph = graph.grow(node, Proposal())
    return graph.with_context(), source


def comb(leaves: int, width: int = 10) -> TaskGraph:
    def split(_: TaskGraph, node: Node) -> Proposal:
        start, end = node.task.span or Span(0, 0)
        size = max(1, (end - start) // width)
        spans = [(at, min(at + size, end)) for at in range(start, end, size)] if end - start > 1 else []
        return Proposal(tuple(Task("x", "s", Span(*span)) for span in spans))

    return TaskGraph.start(Task("x", "s", Span(0, leaves)), "comb", 0).grow_all(split).with_context()


def drawn(svg: str, tag: str) -> list[Element]:
    return list(fromstring(svg).iter(SVG + tag))


def test_the_text_shows_every_node_under_its_parent_with_level_id_size_and_first_words() -> None:
    graph, source = small()
    first, second = graph.children(graph.root)
    lines = tree_text(graph, source).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"level 1  {graph.root[5:13]}  2 parts, {len(TEXT)} characters, ≤ 192 tokens  “The <b>")
    assert lines[1].startswith(f"├─ level 0  {first[5:13]}  {TEXT.index('Then')} characters, ≤ 128 tokens")
    assert lines[2] == f"└─ level 0  {second[5:13]}  16 characters, ≤ 128 tokens  “Then it stopped.”"


def test_the_first_words_of_a_node_are_none_that_it_skips() -> None:
    source = Source("rain", TEXT)
    at, cut = TEXT.index("rain"), TEXT.index("Then")
    graph = TaskGraph.start(Task("sum up", source.id, Span(0, len(TEXT))), "by hand", 0)
    part = Task("sum up", source.id, Span(cut, len(TEXT)))
    skipped = (Span(0, at), Span(at, cut))
    graph = graph.grow(graph.root, Proposal((part,), skipped=skipped))
    assert "“Then it stopped.”" in tree_text(graph, source).splitlines()[0]


def test_no_line_is_wider_than_asked_and_none_moves_the_cursor() -> None:
    graph, source = small()
    text = tree_text(graph, source, width=50)
    assert max(map(len, text.splitlines())) <= 50
    assert "\x1b" not in text


def test_deeper_nodes_hang_from_unbroken_stems() -> None:
    lines = tree_text(comb(4, 2)).splitlines()
    assert [line.split("level")[0] for line in lines] == ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   ├─ ", "   └─ "]


def test_a_shared_part_is_written_out_once() -> None:
    graph = TaskGraph.start(Task("x", rank=9), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((Task("l", rank=5), Task("r", rank=6))))
    left, right = graph.children(graph.root)
    graph = graph.grow(left, Proposal((Task("s", rank=1),)))
    graph = graph.grow(right, Proposal((graph.children(left)[0],)))
    text = tree_text(graph)
    assert text.count("(see above)") == 1
    assert text.count("open") == 2
    assert len(drawn(tree_svg(graph), "circle")) == 4


def test_a_chain_of_three_thousand_is_written_without_recursion() -> None:
    def shrink(_: TaskGraph, node: Node) -> Proposal:
        return Proposal((Task(f"x {node.task.rank}", rank=node.task.rank - 1),) if node.task.rank else ())

    graph = TaskGraph.start(Task("x", rank=2_999), "chain", 0).grow_all(shrink)
    assert len(tree_text(graph).splitlines()) == 3_000


@pytest.mark.parametrize("leaves", [1, 2, 30, 1_800])
def test_the_drawing_has_a_circle_a_node_and_all_lie_inside(leaves: int) -> None:
    graph = comb(leaves)
    svg = tree_svg(graph)
    root = fromstring(svg)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    circles = drawn(svg, "circle")
    assert {circle.get("data-node") for circle in circles} == set(graph)
    for circle in circles:
        x, y, r = (float(circle.get(name, "nan")) for name in ("cx", "cy", "r"))
        assert r <= x <= width - r
        assert r <= y <= height - r
    assert width <= 1300 or leaves > 250
    assert len(svg) < 600_000


def test_a_node_stands_over_its_parts_and_leaves_run_left_to_right() -> None:
    graph = comb(30)
    at = {circle.get("data-node"): circle for circle in drawn(tree_svg(graph), "circle")}
    x = {node: float(circle.get("cx", "nan")) for node, circle in at.items()}
    y = {node: float(circle.get("cy", "nan")) for node, circle in at.items()}
    assert [x[leaf] for leaf in graph.leaves] == sorted(x[leaf] for leaf in graph.leaves)
    for node in graph:
        for child in graph.children(node):
            assert y[node] < y[child]
        if children := graph.children(node):
            assert x[children[0]] <= x[node] <= x[children[-1]]


def test_context_edges_are_dashed_and_one_a_neighbouring_pair() -> None:
    graph, _ = small()
    (context,) = (path for path in drawn(tree_svg(graph), "path") if path.get("class") == "context")
    assert context.get("stroke-dasharray")
    assert context.get("d", "").count("M") == 1
    (parts,) = (path for path in drawn(tree_svg(graph), "path") if path.get("class") == "part")
    assert parts.get("d", "").count("M") == 2


def test_scores_colour_their_nodes_and_others_stay_white() -> None:
    graph, _ = small()
    first, second = graph.children(graph.root)
    circles = {
        circle.get("data-node"): circle for circle in drawn(tree_svg(graph, {first: 0.0, second: 1.0}), "circle")
    }
    assert circles[graph.root].get("fill") == "#ffffff"
    assert circles[first].get("fill") == "#b24624"  # (178, 70, 36)
    assert circles[second].get("fill") == "#2166ac"  # (33, 102, 172)
    assert "score 1.00" in str(circles[second][0].text)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_colour_outside_the_scale_is_refused(score: float) -> None:
    graph, _ = small()
    with pytest.raises(InputError, match="between 0 and 1"):
        tree_svg(graph, {graph.root: score})


def test_labels_are_text_whatever_they_hold() -> None:
    graph, _ = small()
    evil = "</title><script>alert(1)</script>\x00\x0b & “quoted”"
    svg = tree_svg(graph, labels={graph.root: evil})
    assert "<script" not in svg
    titles = {circle.get("data-node"): circle[0].text for circle in drawn(svg, "circle")}
    assert titles[graph.root] == "</title><script>alert(1)</script> & “quoted”"


def test_the_drawing_refers_to_nothing_outside_itself() -> None:
    graph, _ = small()
    svg = tree_svg(graph, {graph.root: 0.5}).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not any(sign in svg for sign in ("http", "href", "url(", "<script", "@import"))
