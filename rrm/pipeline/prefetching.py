"""What is known before it is needed: pieces of sources are read while outputs about them are still proposed."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

from rrm.core.graph import TaskGraph
from rrm.core.task import Source
from rrm.pipeline.forest import own_piece
from rrm.pipeline.plan import AnyResults, AnyStage

T = TypeVar("T")


def prefetching(
    process: Generator[AnyStage, AnyResults, T],
    sources: Mapping[str, Source],
    prefetch: Callable[[Sequence[str]], None],
) -> Generator[AnyStage, AnyResults, T]:
    """Go through a process as it is, and have the pieces of sources read that stand where outputs are to be proposed.

    Those of a stage are given together, in the order of its slots. Nodes that came of growing a tree answer by answer
    are left out.
    """
    graphs: list[TaskGraph] = []
    results: AnyResults | None = None
    with closing(process):
        while True:
            try:
                stage = process.send(results)  # type: ignore[arg-type]  # the first is None, as for any generator
            except StopIteration as end:
                returned: T = end.value
                return returned
            if stage.step == "propose":
                prefetch(list(_pieces(stage.slots, graphs, sources)))
            results = yield stage
            if stage.step == "decompose":
                graphs = [graph for done in results.values() for graph in done.values]


def _pieces(nodes: Iterable[str], graphs: Sequence[TaskGraph], sources: Mapping[str, Source]) -> Iterator[str]:
    graph_of = {node: graph for graph in graphs for node in graph}
    for node in nodes:
        if (graph := graph_of.get(node)) is None:
            continue
        source = graph.task(node).source
        piece = None if source is None else own_piece(graph, node, sources[source])
        if piece is not None:
            yield piece
