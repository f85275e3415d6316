"""What a record tells about the nodes of its trees is what was put into it, on either database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rrm.core.annotation import Item, Submission
from rrm.core.errors import MissingError, StoreError
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.nodes import NodeMark, Nodes
from rrm.core.place import Place
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    Comparison,
    Composed,
    Critique,
    Failure,
    Feedback,
    Fitted,
    Label,
    Output,
    Passage,
    Request,
    Scored,
    Shown,
    View,
)
from rrm.queue import open_desk
from rrm.queue.nodes import CONTEXT, NodeReader, open_nodes
from rrm.store.record import SqlStore, open_store

TEXT = "A fox ran over the hill. A dog slept in the sun. "
SOURCE = Source("The Fox", TEXT * 100)
MIDDLE = 2500


class Done(NamedTuple):
    id: str
    step: str
    place: Place
    slot: str


def two_parts(seed: int = 0) -> TaskGraph:
    """A root with two leaves, the second from character `MIDDLE` on."""
    whole = Task("Join.", SOURCE.id, Span(0, len(SOURCE.text)))
    first, second = (
        Task("Say it.", SOURCE.id, Span(start, end)) for start, end in ((0, MIDDLE), (MIDDLE, len(SOURCE.text)))
    )
    graph = TaskGraph.start(whole, "by hand", seed)
    return graph.grow(graph.root, Proposal((first, second))).grow_all(lambda *_: Proposal())


GRAPH = two_parts()
LEFT, RIGHT = GRAPH.children(GRAPH.root)
FIRST, SECOND = Output(LEFT, "The fox runs.", "p", 1), Output(LEFT, "100% of dogs", "p", 2)
OTHER = Output(RIGHT, "ÉTÉ à la mer", "p", 3)
ROOT = Output(GRAPH.root, "Foxes and dogs.", "p", 4, inputs=(SECOND.id, OTHER.id))
OLD, NEW, FLAT = (
    Fitted(Place(), "level-0", "old", 10),
    Fitted(Place(), "level-0-again", "new", 20),
    Fitted(Place(0, "whole"), "flat", "flat", 30),
)
VIEW = View("Say it.", (Passage(SOURCE.text[:MIDDLE]),), 40)


def asked(kind: str, *outputs: Output, node: str = LEFT, copy: int = 0) -> Request:
    shown = tuple(Shown(each.id, each.text) for each in outputs)
    return Request(node, SOURCE.id, Place(), kind, VIEW, shown, copy=copy)


@pytest.fixture
def folder(tmp_path: Path, url: str | None) -> Path:
    open_store(tmp_path / "run", url=url).close()
    return tmp_path / "run"


def put(folder: Path, *values: Any) -> None:
    with open_store(folder) as store:
        store.append(values)


@pytest.fixture
def nodes(folder: Path) -> Iterator[NodeReader]:
    with open_nodes(folder) as opened:
        yield opened


def test_a_reader_is_what_the_pages_ask_for(nodes: NodeReader, folder: Path) -> None:
    assert isinstance(nodes, NodeReader)
    checked: Nodes = nodes  # mypy holds this
    assert checked.directory == folder


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        open_nodes(tmp_path)


def test_trees_have_their_source_and_the_number_that_their_run_gave_them(folder: Path, nodes: NodeReader) -> None:
    again = two_parts(seed=7)
    with open_store(folder) as store:
        store.append([SOURCE])
        store.complete(
            [
                (Done("action-1", "decompose", Place(), f"{SOURCE.id}/0"), [GRAPH]),
                (Done("action-2", "decompose", Place(), f"{SOURCE.id}/1"), [again]),
            ]
        )
    told = nodes.trees()
    assert [(each.title, each.number, each.root) for each in told] == [
        ("The Fox", 0, GRAPH.root),
        ("The Fox", 1, again.root),
    ]
    assert TaskGraph.from_json(nodes.graph(told[0].id)).to_json() == GRAPH.to_json()
    assert nodes.source(SOURCE.id) == SOURCE


def test_an_unknown_tree_is_missing_and_an_unknown_source_none(nodes: NodeReader) -> None:
    with pytest.raises(MissingError, match="no tree tree-x"):
        nodes.graph("tree-x")
    assert nodes.source("source-x") is None
    assert nodes.at("node-x").outputs == ()


@pytest.mark.parametrize(
    ("run", "rated", "role"),
    [
        (None, False, None),
        (None, True, "train"),
        ({"train": None, "target": {}}, False, "target"),
        ({"train": {"x": 1}, "target": None}, False, "train"),
        ({"train": {"x": 1}, "target": {"x": 1}}, False, None),
        ({"train": {"x": 1}, "target": {"x": 1}}, True, "train"),
    ],
)
def test_a_sources_role_is_told_as_soon_as_the_record_shows_it(
    folder: Path, nodes: NodeReader, run: Any, rated: bool, role: str | None
) -> None:
    with open_store(folder) as store:
        if run:
            store.settle("run", run)
        store.append([SOURCE, GRAPH, *([asked("label", FIRST)] if rated else [])])
    assert [each.role for each in nodes.trees()] == [role]


def test_a_source_that_nothing_was_asked_about_is_a_target_once_another_was_asked_about(
    folder: Path, nodes: NodeReader
) -> None:
    with open_store(folder) as store:
        store.settle("run", {"train": {"x": 1}, "target": {"x": 1}})
        store.append([SOURCE, GRAPH])
        assert [each.role for each in nodes.trees()] == [None]
        other = Request("node-of-another", "source-other", Place(), "label", VIEW, (Shown("o", "text"),))
        store.append([other])
        assert [each.role for each in nodes.trees()] == ["target"]


def test_marks_count_what_there_is(folder: Path, nodes: NodeReader) -> None:
    request = asked("comparison", FIRST, SECOND)
    put(folder, SOURCE, GRAPH, FIRST, SECOND, OTHER, ROOT, request, Feedback(request.id, "p-1", Comparison(0)))
    put(folder, Feedback(request.id, "p-2", Comparison(1)))
    assert nodes.marks(list(GRAPH)) == {
        GRAPH.root: NodeMark(outputs=1),
        LEFT: NodeMark(outputs=2, ratings=2, handed_up=True),
        RIGHT: NodeMark(outputs=1, handed_up=True),
    }
    assert nodes.marks(["node-x"]) == {}


def test_the_best_output_is_among_those_that_the_latest_model_scored_and_the_flat_one_has_no_say(
    folder: Path, nodes: NodeReader
) -> None:
    """Scores of two rounds' models are not on one scale: of an earlier round's outputs none is the best any more."""
    put(folder, FIRST, SECOND, OLD, NEW, FLAT)
    put(folder, Scored(FIRST.id, OLD.id, (0.0, 0.0), (0.9, 0.9)), Scored(SECOND.id, OLD.id, (0.0, 0.0), (0.2, 0.4)))
    assert nodes.marks([LEFT])[LEFT].best == (0.9, 0.9)
    put(folder, Scored(FIRST.id, NEW.id, (0.0, 0.0), (0.1, 0.1)))
    assert nodes.marks([LEFT])[LEFT].best == (0.1, 0.1)
    put(folder, Scored(SECOND.id, FLAT.id, (0.0, 0.0), (1.0, 1.0)))
    assert nodes.marks([LEFT])[LEFT].best == (0.1, 0.1)
    put(folder, Composed(SECOND.id, "old", (0.7, 0.7)), Composed(FIRST.id, "old", (0.6, 0.6)))
    assert nodes.marks([LEFT])[LEFT].best == (0.7, 0.7)
    put(folder, Composed(FIRST.id, "new", (0.5, 0.5)))
    assert nodes.marks([LEFT])[LEFT] == NodeMark(outputs=2, best=(0.5, 0.5), composed=True)


def test_of_equally_good_outputs_the_run_and_the_reader_take_the_last_id(folder: Path, nodes: NodeReader) -> None:
    put(folder, FIRST, SECOND, OLD)
    put(folder, Scored(FIRST.id, OLD.id, (0.0, 0.0), (0.2, 0.6)), Scored(SECOND.id, OLD.id, (0.0, 0.0), (0.4, 0.4)))
    last = max(FIRST.id, SECOND.id)
    assert nodes.marks([LEFT])[LEFT].best == ((0.2, 0.6) if last == FIRST.id else (0.4, 0.4))


def test_failures_of_a_node_and_of_questions_about_it_are_told(folder: Path, nodes: NodeReader) -> None:
    request = asked("label", FIRST)
    at_node, at_request = (
        Failure(RIGHT, "propose", "AssistantError", "no answer"),
        Failure(request.id, "rate", "ValueError", "bad rating"),
    )
    put(folder, FIRST, request, at_node, at_request)
    assert nodes.marks([LEFT, RIGHT]) == {
        LEFT: NodeMark(outputs=1, failures=1),
        RIGHT: NodeMark(failures=1),
    }
    assert nodes.at(LEFT).failures == (at_request,)
    assert nodes.at(RIGHT).failures == (at_node,)


def test_a_failure_that_a_later_attempt_made_good_is_not_told(folder: Path, nodes: NodeReader) -> None:
    failure = Failure(LEFT, "propose", "AssistantError", "no answer")
    with open_store(folder) as store:
        store.complete([(Done("action-1", "propose", Place(), LEFT), [failure])])
        assert nodes.marks([LEFT])[LEFT].failures == 1
        assert nodes.find([LEFT], "no answer") == {LEFT}
        store.complete([(Done("action-1", "propose", Place(), LEFT), [FIRST])])
    assert nodes.marks([LEFT])[LEFT] == NodeMark(outputs=1)
    assert nodes.at(LEFT).failures == ()
    assert nodes.find([LEFT], "no answer") == set()


def test_a_decomposition_that_failed_is_told_with_its_sources_title(folder: Path, nodes: NodeReader) -> None:
    failure = Failure(f"{SOURCE.id}/0", "decompose", "ProposalError", "a part is empty")
    put(folder, SOURCE, failure)
    assert nodes.failed_trees() == [("The Fox", failure)]


def test_a_node_is_told_in_full(folder: Path, nodes: NodeReader) -> None:
    request = asked("comparison", FIRST, SECOND)
    feedback = Feedback(request.id, "p-1", Comparison(0, 0.5), 12.5, 0.75)
    scored = Scored(FIRST.id, OLD.id, (1.0, 2.0), (0.25, 0.5))
    put(folder, FIRST, SECOND, OTHER, ROOT, request, feedback, OLD, scored)
    left, root = nodes.at(LEFT, [GRAPH.root]), nodes.at(GRAPH.root)
    assert left.outputs == (FIRST, SECOND)
    assert left.requests == (request,)
    assert left.feedback == {request.id: (feedback,)}
    assert left.scores == (scored,)
    assert left.models == {OLD.id: OLD}
    assert left.handed_up == {SECOND.id}
    assert root.read == {SECOND.id: SECOND, OTHER.id: OTHER}
    assert root.handed_up == frozenset()


def test_of_very_many_outputs_and_requests_the_first_are_told_and_the_rest_counted(
    folder: Path, nodes: NodeReader
) -> None:
    put(
        folder,
        *(Output(LEFT, f"text {n}", "p", n) for n in range(7)),
        *(asked("label", FIRST, copy=n) for n in range(5)),
    )
    record = nodes.at(LEFT, most=3)
    assert [each.text for each in record.outputs] == ["text 0", "text 1", "text 2"]
    assert [each.copy for each in record.requests] == [0, 1, 2]
    assert (record.outputs_in_all, record.requests_in_all) == (7, 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FOX", {"left", "root"}),
        ("the fox runs", {"left"}),
        ("100%", {"left"}),
        ("0% of", {"left"}),
        ("%", {"left"}),
        ("_", set()),
        ("\\", set()),
        ("été", {"right"}),
        ("Été À", {"right"}),
        ("é", {"right"}),
        ("' OR 1=1--", set()),
        ("fox\0runs", set()),
        ("too short", {"left"}),
        ("\U0001f98a", set()),
    ],
)
def test_a_text_is_found_in_any_case_and_its_signs_mean_nothing(
    folder: Path, nodes: NodeReader, text: str, found: set[str]
) -> None:
    request = asked("critique", FIRST)
    put(folder, FIRST, SECOND, OTHER, ROOT, request, Feedback(request.id, "p-1", Critique("It is Too Short.")))
    names = {LEFT: "left", RIGHT: "right", GRAPH.root: "root"}
    assert {names[each] for each in nodes.find(list(GRAPH), text)} == found


def test_only_the_nodes_that_were_asked_for_are_searched(folder: Path, nodes: NodeReader) -> None:
    put(folder, FIRST, SECOND, OTHER, ROOT)
    assert nodes.find([GRAPH.root], "fox") == {GRAPH.root}
    assert nodes.find([], "fox") == set()


def test_the_version_changes_with_every_kind_of_value(folder: Path, nodes: NodeReader) -> None:
    request = asked("label", FIRST)
    values = (SOURCE, GRAPH, FIRST, request, Feedback(request.id, "p", Label(True)), OLD)
    more = (Scored(FIRST.id, OLD.id, (0.0,), (0.5,)), Failure(LEFT, "propose", "E", "c"))
    seen = [nodes.version()]
    for value in (*values, *more):
        put(folder, value)
        seen.append(nodes.version())
    assert len(set(seen)) == len(seen)
    put(folder, FIRST)  # which is there
    assert nodes.version() == seen[-1]


def test_answers_at_the_desk_count_until_the_run_takes_them_up_and_then_once(folder: Path, nodes: NodeReader) -> None:
    put(folder, SOURCE, GRAPH, FIRST)
    request = asked("label", FIRST)
    with open_desk(folder) as desk:
        desk.change_settings({"overlap": 1, "gold_every": 0, "attention_every": 0}, by="test")
        desk.add_items([Item(request)])
        person = desk.add_person("Anna", by="test").id
        before = nodes.version()
        lease = desk.claim(person)
        assert lease is not None
        desk.submit(person, lease.id, [Submission(Label(True), lease.first.shown, 3.0)], "key-0000001")
        assert nodes.marks([LEFT])[LEFT].ratings == 1
        assert nodes.version() != before
        desk.undo(person)
        assert nodes.marks([LEFT])[LEFT].ratings == 0
        lease = desk.claim(person)
        assert lease is not None
        desk.submit(person, lease.id, [Submission(Label(False), lease.first.shown, 3.0)], "key-0000002")
        desk.freeze(Place(), "test")
        assert nodes.marks([LEFT])[LEFT].ratings == 1
        desk.take_up(Place())
        assert nodes.marks([LEFT])[LEFT].ratings == 1
        assert [each.rater for given in nodes.at(LEFT).feedback.values() for each in given] == [person]


# ---- wider context ----


@pytest.fixture
def wider(folder: Path, nodes: NodeReader) -> Callable[[Request], tuple[str, str, str] | None]:
    def ask(request: Request) -> tuple[str, str, str] | None:
        put(folder, request)
        return nodes.wider(request.id)

    return ask


def test_a_request_has_its_piece_of_the_source_and_what_stands_around_it(
    folder: Path, wider: Callable[[Request], tuple[str, str, str] | None]
) -> None:
    put(folder, SOURCE, GRAPH)
    found = wider(asked("label", FIRST, node=RIGHT))
    assert found == (SOURCE.text[MIDDLE - CONTEXT : MIDDLE], SOURCE.text[MIDDLE:], "")
    found = wider(asked("label", FIRST, node=LEFT))
    assert found == ("", SOURCE.text[:MIDDLE], SOURCE.text[MIDDLE : MIDDLE + CONTEXT])
    assert wider(asked("label", FIRST, node=GRAPH.root)) == ("", SOURCE.text, "")


def test_a_request_without_a_source_on_record_has_no_wider_context(
    folder: Path, nodes: NodeReader, wider: Callable[[Request], tuple[str, str, str] | None]
) -> None:
    assert nodes.wider("request-x") is None
    assert wider(asked("label", FIRST)) is None
    put(folder, SOURCE)
    assert nodes.wider(asked("label", FIRST).id) is None
    put(folder, GRAPH)
    assert nodes.wider(asked("label", FIRST).id) is not None
    assert wider(asked("label", FIRST, node="flat/whole")) is None


def test_a_task_without_a_span_has_no_wider_context(
    folder: Path, wider: Callable[[Request], tuple[str, str, str] | None]
) -> None:
    graph = TaskGraph.start(Task("Think.", rank=1), "by hand", 0).grow_all(lambda *_: Proposal())
    put(folder, SOURCE, graph)
    assert wider(Request(graph.root, SOURCE.id, Place(), "label", VIEW, (Shown("o", "t"),))) is None


def test_reading_goes_on_beside_a_run_that_writes(folder: Path, nodes: NodeReader) -> None:
    with open_store(folder) as store:
        assert isinstance(store, SqlStore)
        store.append([SOURCE, GRAPH])
        assert len(nodes.trees()) == 1
        store.append([FIRST])
        assert nodes.marks([LEFT])[LEFT].outputs == 1
