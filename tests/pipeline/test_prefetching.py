"""What is read ahead: pieces of sources that stand where outputs are to be proposed; nothing of the way changes."""

from collections.abc import Generator, Sequence
from typing import Any

from rrm.core.place import Place
from rrm.core.task import Source
from rrm.pipeline.plan import AnyResults, AnyStage, Done, Stage
from rrm.pipeline.prefetching import prefetching
from tests.toys import Texts, Thirds


def stage(step: str, slots: Sequence[str]) -> AnyStage:
    return Stage(step, Place(), tuple(slots), lambda slot, done: None)  # type: ignore[arg-type, return-value]


def gone_through(
    source: Source, stages: Sequence[AnyStage], results: Sequence[AnyResults], read: list[list[str]]
) -> tuple[list[AnyStage], str]:
    """Go through stages with their results; return the stages that came and what was returned."""
    ends: list[str] = []

    def process() -> Generator[AnyStage, AnyResults, str]:
        try:
            for each, expected in zip(stages, results, strict=True):
                assert (yield each) is expected
            return "returned"
        finally:
            ends.append("closed")

    def keep(passages: Sequence[str]) -> None:
        read.append(list(passages))

    going = prefetching(process(), {source.id: source}, keep)
    came: list[AnyStage] = []
    sent: Any = None
    try:
        while True:
            came.append(going.send(sent))
            sent = results[len(came) - 1]
    except StopIteration as end:
        assert ends == ["closed"]
        return came, end.value


def test_pieces_of_leaves_are_read_when_their_outputs_are_to_be_proposed_in_the_order_of_the_slots() -> None:
    [source] = Texts(["first"]).sources()
    graph = Thirds().decompose(source, 0)
    leaves = [node for node in graph if not graph.children(node)]
    above = [node for node in graph if graph.children(node)]
    stages = [stage("decompose", ["one"]), stage("propose", [*leaves[::-1], "grown"]), stage("propose", above)]
    results: list[AnyResults] = [{"one": Done(None, (graph,))}, {}, {}]
    read: list[list[str]] = []
    assert gone_through(source, stages, results, read) == (stages, "returned")
    spans = [graph.task(node).span for node in leaves[::-1]]
    assert read == [[source.text[span.start : span.end] for span in spans if span], []]
    assert "".join(sorted(read[0], key=source.text.index)) == source.text


def test_a_process_that_is_closed_closes_what_it_goes_through() -> None:
    closed: list[bool] = []

    def process() -> Generator[AnyStage, AnyResults, None]:
        try:
            yield stage("decompose", [])
        finally:
            closed.append(True)

    going = prefetching(process(), {}, lambda passages: None)
    next(going)
    going.close()
    assert closed == [True]
