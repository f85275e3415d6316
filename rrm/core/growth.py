"""Growing a task graph while its nodes are answered: what a growing decomposer is given, and what it may return.

A node is split, its parts are answered, and it is split again with their answers in view, until it
closes. `grow` does all of that at once; a run takes the same steps (`checked_proposals`, `advance`)
between the stages in which answers are proposed. Every decomposition ends: each step closes a node,
adds parts to it or counts a refusal, and a `GrowthBudget` bounds all three.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from rrm.core.errors import LimitError, PluginError, ProposalError
from rrm.core.graph import GrowthBudget, Node, Part, Proposal, TaskGraph
from rrm.core.ids import seed_for
from rrm.core.protocols import GrowingDecomposer
from rrm.core.task import Source, Task
from rrm.core.values import Output


class Answers(dict[str, Output]):
    """The answers that a node may see: of the nodes that it reads and of its parts, by id.

    A node that failed for good has none, so ask with `in` or `get` where that matters. Any other id
    raises PluginError, with the name of who asked.
    """

    def __init__(self, graph: TaskGraph, node: str, answered: Mapping[str, Output], by: str) -> None:
        super().__init__((need, answered[need]) for need in graph.needs(node) if need in answered)
        self._node, self._by = node, by

    def __missing__(self, id_: str) -> Output:
        seen = "an answered part of that node nor an answered node that it reads"
        raise PluginError(f"{self._by} asks at {self._node} for the answer of {id_}, which is neither {seen}")


AnswerNode = Callable[[TaskGraph, Node, Mapping[str, Output]], Output]
"""Answers a closed node, given the answers of what it reads and of its parts by id."""


class Grown(NamedTuple):
    """A closed graph, and the answers, by node, that were given while it grew."""

    graph: TaskGraph
    answers: dict[str, Output]


def grow(
    decomposer: GrowingDecomposer,
    source: Source,
    seed: int,
    answer: AnswerNode,
    budget: GrowthBudget | None = None,
) -> Grown:
    """Let a decomposer grow a graph until it is closed, and answer what it waits for.

    Refused proposals are on record in the graph; a node that met a limit of the budget (by default
    `GrowthBudget()`) is closed as it stands. Nodes that nobody waits for, the root among them, are
    not answered. Raises PluginError for a decomposer that returns no proposals.
    """
    limits = budget or GrowthBudget()
    graph = checked_graph(decomposer.name, decomposer.start(source, seed), closed=False)
    answers: dict[str, Output] = {}
    while graph.open:
        before, ready = graph, graph.ready(answers)
        for node in ready:
            seen = Answers(before, node, answers, decomposer.name)
            own = split_seed(before, node, seed)
            proposals = decomposer.split(source, before, before.node(node), seen, 1, own)
            graph = advance(graph, node, checked_proposals(decomposer.name, proposals), limits, decomposer.name, source)
        wanted = graph.wanted(answers)
        assert ready or wanted, "the gate admitted parts that wait for each other"
        for node in wanted:
            answers[node] = answer(graph, graph.node(node), Answers(graph, node, answers, "the answerer"))
    return Grown(graph, answers)


def advance(
    graph: TaskGraph, node: str, proposals: Iterable[Proposal], budget: GrowthBudget, by: str, source: Source
) -> TaskGraph:
    """Return the graph with the first proposal that the gate admits carried out, refused ones on record.

    If none is admitted, the node stays open to be asked again, until it met a limit of the budget or
    was refused more often than that allows: then it is closed as it stands, with a note that says so.
    `by` names the decomposer in what is recorded about limits; `source` is the one that the graph was started from.
    """
    limited = False
    for proposal in proposals:
        try:
            _check_source(node, proposal, source)
            return graph.grow(node, proposal, budget)
        except LimitError as limit:
            limited = True
            graph = graph.refuse(node, f"{by}: {limit}")
        except ProposalError as refusal:
            graph = graph.refuse(node, str(refusal))
    if limited or not graph.can_ask(node, budget):
        return graph.close(node, "closed as it stands, at a limit of its growth budget")
    refused = len(graph.refused(node))
    if refused > budget.max_refusals * (graph.splits(node) + 1):
        return graph.close(node, f"closed as it stands, after {refused} refused proposals")
    return graph


def _check_source(node: str, proposal: Proposal, source: Source) -> None:
    """Raise ProposalError for a part that is about another source than its graph, or about what the source lacks."""
    for index, part in enumerate(proposal.parts):
        task = part.task if isinstance(part, Part) else part
        if isinstance(task, str) or task.span is None:
            continue
        if task.source != source.id:
            raise ProposalError(f"{node}: the proposal's part {index} is about another source than its graph")
        start, end = task.span
        if not start < end <= len(source.text):
            held = f"of {len(source.text)} characters"
            raise ProposalError(
                f"{node}: the proposal's part {index} is about ({start}, {end}), no text in a source {held}"
            )


def split_seed(graph: TaskGraph, node: str, seed: int) -> int:
    """Return the seed for the next split of a node, another one after every split and every refusal."""
    return seed_for(seed, node, graph.splits(node), len(graph.refused(node)))


def checked_graph(name: str, value: object, closed: bool = True) -> TaskGraph:
    """Return what a decomposer's `decompose` (or `start`, whose graph may be open) returned.

    Raises PluginError if it is no task graph, ProposalError if it should be closed and is not.
    """
    method = "decompose" if closed else "start"
    if not isinstance(value, TaskGraph):
        raise PluginError(f"{name} returned {_kind(value)} from `{method}`, where a TaskGraph belongs")
    if closed and value.open:
        left = f"{len(value.open)} open, {min(value.open)} for one"
        raise ProposalError(f"{name} returned a graph with {left}: propose at each, Proposal() for a leaf")
    return value


def checked_proposals(name: str, value: object) -> list[Proposal]:
    """Return what a growing decomposer's `split` returned; raise PluginError if it is no sequence of proposals."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        what = "nothing in its list" if isinstance(value, Sequence) and not value else _kind(value)
        raise PluginError(
            f"{name} returned {what} from `split`, where a list of Proposals belongs, [Proposal()] to close"
        )
    for each in value:
        if not isinstance(each, Proposal):
            raise PluginError(f"{name} returned a list with {_kind(each)} from `split`, where each must be a Proposal")
        if fault := _fault(each.parts, each.skipped, each.note, each.more, each.unusable):
            raise PluginError(f"{name} returned a Proposal {fault}")
    return list(value)


def _fault(parts: object, skipped: object, note: object, more: object, unusable: object) -> str | None:
    """Return what is of a wrong type in a proposal; None if nothing is."""
    if not isinstance(parts, tuple) or not isinstance(skipped, tuple):
        return "whose `parts` and `skipped` are not both tuples"
    if not isinstance(note, str) or not isinstance(unusable, str) or not isinstance(more, bool):
        return "whose `note` or `unusable` is no text or whose `more` is no bool"
    for part in parts:
        if not isinstance(part, Task | Part | str):
            return f"with the part {part!r}, which is no Task, Part or id of a node"
        if isinstance(part, Part) and not _well_made(part.task, part.reads):
            return f"with {part!r}: a Part has a Task, and a tuple of the numbers and ids that it reads"
    for span in skipped:
        if not (isinstance(span, tuple) and len(span) == 2 and all(type(at) is int for at in span)):
            return f"that skips {span!r}, which is no Span of two numbers"
    return None


def _well_made(task: object, reads: object) -> bool:
    return isinstance(task, Task) and isinstance(reads, tuple) and all(type(each) in (int, str) for each in reads)


def _kind(value: object) -> str:
    return (
        "None"
        if value is None
        else f"{'an' if type(value).__name__[0] in 'AEIOUaeiou' else 'a'} {type(value).__name__}"
    )
