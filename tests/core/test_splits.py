import pytest

from rrm.core.errors import InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.splits import (
    HEAD,
    MOST_PARTS,
    begins_anew,
    leaves_of,
    outline,
    points_back,
    read_outline,
    split_group,
    split_node,
    split_output,
)
from rrm.core.task import Source, Span, Task

TEXT = (
    "Anna met Peter | twice. Anna gave Peter a ring.\n\nThe next morning Clara wept. Clara lost the key; Clara found"
    " the key. He was gone"
)
SOURCE = Source("a tale", TEXT)
EDGES = [0, TEXT.index("The next"), TEXT.index("Clara lost"), TEXT.index("found"), len(TEXT)]


def tree(source: Source, parts: dict[Span, list[Span]]) -> TaskGraph:
    def split(_: TaskGraph, node: Node) -> Proposal:
        span = node.task.span
        return (
            Proposal(tuple(Task("Summarise.", source.id, each) for each in parts.get(span, []))) if span else Proposal()
        )

    return TaskGraph.start(Task("Join.", source.id, Span(0, len(source.text))), "hand", 0).grow_all(split)


def two_levels() -> TaskGraph:
    a, b, c, d, e = EDGES
    return tree(SOURCE, {Span(a, e): [Span(a, b), Span(b, e)], Span(b, e): [Span(b, c), Span(c, d), Span(d, e)]})


def test_an_outline_says_of_each_part_what_raters_need() -> None:
    assert outline(two_levels(), SOURCE).splitlines() == [
        HEAD,
        "1 | 9 words | a chapter | Anna met Peter ¦ twice. | Anna gave Peter a ring. | anna, peter",
        "2 | 16 words, 3 parts | a paragraph | The next morning Clara wept. | He was gone | clara, the, key",
        "2.1 | 5 words | a paragraph | The next morning Clara wept. | The next morning Clara wept. | ",
        "2.2 | 5 words | a sentence | Clara lost the key; Clara | Clara lost the key; Clara | clara",
        "2.3 | 6 words | no sentence | found the key. | He was gone | ",
    ]


def test_an_outline_is_read_as_it_was_written() -> None:
    text = outline(two_levels(), SOURCE)
    parts = read_outline(text)
    assert [(part.number, part.depth, part.words, part.begins, part.parts) for part in parts] == [
        ("1", 1, 9, "a chapter", 0),
        ("2", 1, 16, "a paragraph", 3),
        ("2.1", 2, 5, "a paragraph", 0),
        ("2.2", 2, 5, "a sentence", 0),
        ("2.3", 2, 6, "no sentence", 0),
    ]
    assert parts[0].about == ("anna", "peter")
    assert [part.number for part in leaves_of(parts)] == ["1", "2.1", "2.2", "2.3"]
    for wrong in ("", "a summary.", f"{HEAD}\n1 | many words | a chapter | | | ", HEAD):
        with pytest.raises(InputError, match="no outline of a decomposition"):
            read_outline(wrong)


def test_what_goes_beyond_an_outline_is_counted() -> None:
    source = Source("long", "Word. " * 400)
    halves = [Span(0, 1200), Span(1200, 2400)]
    leaves = {half: [Span(at, at + 6) for at in range(half.start, half.end, 6)] for half in halves}
    text = outline(tree(source, {Span(0, 2400): halves, **leaves}), source)
    assert len(text.splitlines()) == 4
    assert text.splitlines()[-1] == "not listed: 400 parts below these"
    assert [part.parts for part in read_outline(text)] == [200, 200]
    assert MOST_PARTS < 400


def test_parts_without_a_text_of_their_own_are_told_by_their_instructions() -> None:
    def plan(_: TaskGraph, node: Node) -> Proposal:
        if node.task.span is None or node.task.instruction != "Join.":
            return Proposal()
        asked = Task("Who wept? Say it in a word.", max_tokens=9, rank=node.task.rank - 1)
        read = Task("Who | lost the key?", SOURCE.id, node.task.span, rank=node.task.rank - 1, sees_source=True)
        return Proposal((asked, read))

    whole = Task("Join.", SOURCE.id, Span(0, len(TEXT)), sees_source=True)
    text = outline(TaskGraph.start(whole, "hand", 0).grow_all(plan), SOURCE)
    assert text.splitlines()[1:] == [
        "1 | 7 words | a question | Who wept? | Say it in a word. | ",
        "2 | 4 words | a question | Who ¦ lost the key? | Who ¦ lost the key? | ",
    ]
    assert [part.begins for part in read_outline(text)] == ["a question", "a question"]


def test_a_leaf_alone_is_an_outline_of_one_part() -> None:
    alone = Source("one", "A sentence.")
    assert [part.number for part in read_outline(outline(tree(alone, {}), alone))] == ["1"]


def test_a_decomposition_is_an_output_at_a_place_of_its_own() -> None:
    output = split_output(SOURCE, two_levels(), "hand", 3, -1.5)
    assert (output.node, output.policy, output.log_prob) == (split_node(SOURCE), "hand", -1.5)
    group = split_group(SOURCE, [output.text], Place(1, "split", 2))
    assert group.source == SOURCE.id
    assert "25 words" in group.view.text


@pytest.mark.parametrize(
    "text", ["The next morning it rained.", "“But two days later,” he said.", "Meanwhile, Ann slept."]
)
def test_words_of_another_time_begin_anew(text: str) -> None:
    assert begins_anew(text)


def test_words_that_point_back_do_so() -> None:
    assert points_back("But nobody came.")
    assert points_back("“It is late.”")
    assert not points_back("Butter was dear.")
    assert not begins_anew("The baker kneaded the dough.")
