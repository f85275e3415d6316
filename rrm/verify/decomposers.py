"""What decomposers promise, those that split at once and those that grow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio
import networkx as nx

from rrm.core.graph import GrowthBudget, Node, Proposal, TaskGraph
from rrm.core.growth import grow
from rrm.core.protocols import AsyncDecomposer, AsyncGrowingDecomposer, Decomposer, GrowingDecomposer
from rrm.core.task import Source
from rrm.core.values import Output
from rrm.verify import made_up
from rrm.verify.held import Checks, Held, checking


def check_decomposer(decomposer: Decomposer | AsyncDecomposer, source: Source | None = None) -> Held:
    """Check that a decomposer closes a graph whose ranks shrink and whose leaves cover the source once.

    Equal seeds give equal graphs, unless it waits for somebody. Raises ContractError.
    """
    text = source or made_up.source()
    with checking("decomposer", decomposer) as checks:
        graph = _split(decomposer, text)
        checks.require(
            isinstance(graph, TaskGraph), "returns a task graph", f"a TaskGraph belongs here, got {graph!r:.60}"
        )
        check_graph(checks, graph, text)
        if isinstance(decomposer, Decomposer):
            checks.require(
                _split(decomposer, text).to_json() == graph.to_json(),
                "gives equal graphs for equal seeds",
                "the same source and seed gave another graph the second time",
            )
    return checks.held


def check_growing_decomposer(
    decomposer: GrowingDecomposer | AsyncGrowingDecomposer,
    source: Source | None = None,
    budget: GrowthBudget | None = None,
) -> Held:
    """Check that a growing decomposer closes its graph within a budget, whatever its parts' answers are.

    Every part is answered with the same name. Equal seeds and answers give equal graphs, unless it waits for
    somebody. Raises ContractError.
    """
    text, limits = source or made_up.source(), budget or GrowthBudget(max_depth=8, max_nodes=200, max_splits=8)
    with checking("growing decomposer", decomposer) as checks:
        waited = decomposer if isinstance(decomposer, GrowingDecomposer) else Waited(decomposer)
        graph = grow(waited, text, 3, _answer, limits).graph
        stopped = [node for node in graph if "growth budget" in graph.note(node)]
        checks.require(
            not stopped, "closes within its budget", f"{len(stopped)} nodes were closed by a limit of {limits}"
        )
        refused = [refusal.reason for refusal in graph.refusals]
        checks.require(not refused, "proposes what the gate admits", f"a proposal was refused: {' '.join(refused[:1])}")
        check_graph(checks, graph, text)
        if isinstance(decomposer, GrowingDecomposer):
            checks.require(
                grow(waited, text, 3, _answer, limits).graph.to_json() == graph.to_json(),
                "gives equal graphs for equal seeds",
                "the same source, seed and answers gave another graph the second time",
            )
    return checks.held


@dataclass(frozen=True)
class Waited:
    """A growing decomposer that waits for somebody, asked one node at a time, so that it can be grown at once."""

    decomposer: AsyncGrowingDecomposer

    @property
    def name(self) -> str:
        return self.decomposer.name

    def start(self, source: Source, seed: int) -> TaskGraph:
        return self.decomposer.start(source, seed)

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        return anyio.run(self.decomposer.split_async, source, graph, node, answers, n, seed)


def _answer(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
    return Output(node.id, "Ada Moss", "made-up", 0)


def _split(decomposer: Decomposer | AsyncDecomposer, source: Source) -> TaskGraph:
    if isinstance(decomposer, Decomposer):
        return decomposer.decompose(source, 3)
    return anyio.run(decomposer.decompose_async, source, 3)


def check_graph(checks: Checks, graph: TaskGraph, source: Source) -> None:
    """Check the rules of the task graph's gate anew, on a graph however it was made."""
    checks.require(not graph.open, "closes its graph", f"{len(graph.open)} nodes are left open")
    checks.require(nx.is_directed_acyclic_graph(graph.networkx), "makes no cycle", "some node waits for its own answer")
    for node in graph:
        task = graph.task(node)
        checks.require(
            task.source in (None, source.id), "stays with its source", f"{node} is about another source, {task.source}"
        )
        for part in graph.children(node):
            rank = graph.task(part).rank
            checks.require(
                rank < task.rank, "shrinks ranks", f"{part} has rank {rank}, not below its parent's {task.rank}"
            )
        if task.span is not None and graph.children(node):
            _check_cover(checks, graph, node)


def _check_cover(checks: Checks, graph: TaskGraph, node: str) -> None:
    """Check that parts and skipped spans tile a node's span, unless it reads all of its text itself."""
    task = graph.task(node)
    if task.span is None or (task.sees_source and not graph.skipped(node)):
        return
    about = [span for part in graph.children(node) if (span := graph.task(part).span)]
    at = task.span.start
    for start, end in sorted([*about, *graph.skipped(node)]):
        checks.require(
            start == at, "covers the source once", f"{node}: the text from {min(start, at)} to {max(start, at)} is"
            f" {'covered twice' if start < at else 'covered by no part'}"
        )  # fmt: skip
        at = end
    checks.require(at == task.span.end, "covers the source once", f"{node}: parts end at {at}, not at {task.span.end}")
