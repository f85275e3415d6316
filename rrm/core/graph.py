"""The task graph: a networkx DAG of tasks, and the one gate through which it grows.

Edges point the way outputs flow. A *part* edge runs from a child to its parent, which reads the
child's output; a *context* edge runs from a node to a later one of equal height and depth, which
may read the earlier output. So a topological order is an order of work, and the root comes last.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import networkx as nx

from rrm.core.errors import LimitError, ProposalError
from rrm.core.ids import content_id
from rrm.core.task import Span, Task

Flow: TypeAlias = "nx.DiGraph[str]"


@dataclass(frozen=True)
class Node:
    """A task at its place: `index` numbers it among its first parent's parts."""

    id: str
    task: Task
    index: int = 0


@dataclass(frozen=True)
class Proposal:
    """How to split one task: into parts, or into none, which says "this is a leaf".

    A part is a new task or the id of a node that the graph already has. `skipped` are spans of
    the parent that no part is about. `note` is kept with the node, for instance a model's reason.
    """

    parts: tuple[Task | str, ...] = ()
    skipped: tuple[Span, ...] = ()
    note: str = ""


class Refusal(NamedTuple):
    """A proposal that the gate turned down, with the rule that it broke."""

    node: str
    reason: str


Decompose = Callable[["TaskGraph", Node], Proposal]


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """Tasks and how they are composed. A value: growing one returns another.

    `root` is the id of the whole task's node; `open` holds the nodes nobody has decided on yet.
    """

    root: str
    open: frozenset[str]
    refusals: tuple[Refusal, ...] = ()
    _flow: Flow = field(default_factory=lambda: nx.DiGraph(), repr=False)

    @classmethod
    def start(cls, task: Task, decomposer: str, seed: int) -> "TaskGraph":
        """Make a graph of one open node, named by the task, who will decompose it, and the seed."""
        root = Node(content_id("node", task, decomposer, seed), task)
        flow: Flow = nx.DiGraph()
        flow.add_node(root.id, node=root, children=(), skipped=(), note="")
        return cls(root.id, frozenset([root.id]), (), nx.freeze(flow))

    # ---- growth ----

    def grow(self, node: str, proposal: Proposal) -> "TaskGraph":
        """Return the graph with one proposal carried out; raise ProposalError if the gate refuses it."""
        return self.grow_each({node: proposal})

    def grow_each(self, proposals: Mapping[str, Proposal]) -> "TaskGraph":
        """Return the graph with a proposal carried out at each of several nodes, in the order given."""
        growth = _Growth(self)
        for node, proposal in proposals.items():
            growth.admit(node, proposal)
        return growth.graph()

    def check(self, node: str, proposal: Proposal) -> None:
        """Raise ProposalError if the gate refuses a proposal; cheaper than growing the graph."""
        _parts(self._flow, self.open, node, proposal)

    def grow_all(self, decompose: Decompose, max_nodes: int = 1_000_000) -> "TaskGraph":
        """Return the graph closed: decompose every open node, and what that opens, breadth first.

        Raises ProposalError where the gate refuses, LimitError above `max_nodes`.
        """
        growth = _Growth(self)
        waiting = deque(sorted(self.open))
        while waiting:
            node = waiting.popleft()
            waiting.extend(growth.admit(node, decompose(self, growth.node(node))))
            if len(growth.flow) > max_nodes:
                raise LimitError(f"the decomposition has more than max_nodes = {max_nodes} nodes")
        return growth.graph()

    def refuse(self, node: str, reason: str) -> "TaskGraph":
        """Return the graph with a refused proposal on record; the node stays as it was."""
        refusals = (*self.refusals, Refusal(node, reason))
        return TaskGraph(self.root, self.open, refusals, self._flow)

    def with_context(self) -> "TaskGraph":
        """Return the closed graph with context edges: each node to the next of its depth and height."""
        if self.open:
            raise ProposalError("context edges join nodes of equal height, which open nodes do not have yet")
        flow = self._flow.copy()
        last: dict[tuple[int, int], str] = {}
        for node in self.in_order():
            place = (self.depth(node), self.height(node))
            if place in last:
                flow.add_edge(last[place], node, kind="context")
            last[place] = node
        return TaskGraph(self.root, self.open, self.refusals, nx.freeze(flow))

    # ---- looking ----

    def __len__(self) -> int:
        return len(self._flow)

    def __contains__(self, node: object) -> bool:
        return node in self._flow

    def __iter__(self) -> Iterator[str]:
        return iter(self._flow)

    @property
    def networkx(self) -> Flow:
        """The frozen networkx graph itself; edges carry `kind`, nodes their `node`."""
        return self._flow

    def node(self, node: str) -> Node:
        found: Node = self._flow.nodes[node]["node"]
        return found

    def task(self, node: str) -> Task:
        return self.node(node).task

    def note(self, node: str) -> str:
        return str(self._flow.nodes[node]["note"])

    def children(self, node: str) -> tuple[str, ...]:
        """The parts of a node, in order."""
        found: tuple[str, ...] = self._flow.nodes[node]["children"]
        return found

    def skipped(self, node: str) -> tuple[Span, ...]:
        """The spans of a node's source that none of its parts is about."""
        found: tuple[Span, ...] = self._flow.nodes[node]["skipped"]
        return found

    def parents(self, node: str) -> tuple[str, ...]:
        return tuple(later for later, edge in self._flow.succ[node].items() if edge["kind"] == "part")

    def before(self, node: str) -> str | None:
        """The earlier node whose output this one may read as previous context."""
        earlier = (each for each, edge in self._flow.pred[node].items() if edge["kind"] == "context")
        return next(earlier, None)

    def height(self, node: str) -> int:
        """Longest path to a leaf, which is the node's level; final once nothing below is open."""
        return self._heights[node]

    def depth(self, node: str) -> int:
        """Distance from the root."""
        return self._depths[node]

    @property
    def leaves(self) -> tuple[str, ...]:
        """The nodes without parts, in order."""
        return self.levels[0]

    @cached_property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The nodes of each height, leaves first, each level in order."""
        by_height: dict[int, list[str]] = defaultdict(list)
        for node in self.in_order():
            by_height[self.height(node)].append(node)
        return tuple(tuple(by_height[height]) for height in sorted(by_height))

    def in_order(self) -> tuple[str, ...]:
        """All nodes, each before its parts, parts in their order; book order within a depth."""
        return self._order

    @cached_property
    def _order(self) -> tuple[str, ...]:
        unplaced = {node: len(self.parents(node)) for node in self._flow}
        order: list[str] = []
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            order.append(node)
            for child in reversed(self.children(node)):
                unplaced[child] -= 1
                if unplaced[child] == 0:  # a part of several parents comes after the last of them
                    waiting.append(child)
        return tuple(order)

    @cached_property
    def _heights(self) -> dict[str, int]:
        heights: dict[str, int] = {}
        for node in nx.topological_sort(self._flow):
            heights[node] = 1 + max((heights[child] for child in self.children(node)), default=-1)
        return heights

    @cached_property
    def _depths(self) -> dict[str, int]:
        depths = {self.root: 0}
        waiting = deque([self.root])
        while waiting:
            node = waiting.popleft()
            for child in self.children(node):
                if child not in depths:
                    depths[child] = depths[node] + 1
                    waiting.append(child)
        return depths

    # ---- as JSON ----

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values from which `from_json` makes the same graph, ids included."""
        context = [[earlier, node] for node in self._flow if (earlier := self.before(node)) is not None]
        return {
            "root": self.root,
            "open": sorted(self.open),
            "refusals": [list(each) for each in self.refusals],
            "nodes": [self._row(node) for node in self._flow],
            "context": context,
        }

    def _row(self, id_: str) -> dict[str, Any]:
        node = self.node(id_)
        task = {each.name: getattr(node.task, each.name) for each in fields(Task)}
        kept = {"children": self.children(id_), "skipped": self.skipped(id_), "note": self.note(id_)}
        return {"id": id_, "index": node.index, "task": task, **kept}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TaskGraph":
        """Return the graph that `to_json` told of; raise ProposalError if it has a cycle or names a missing node."""
        flow: Flow = nx.DiGraph()
        for row in data["nodes"]:
            task = dict(row["task"])
            task["span"] = None if task["span"] is None else Span(*task["span"])
            node = Node(row["id"], Task(**task), row["index"])
            skipped = tuple(Span(*span) for span in row["skipped"])
            flow.add_node(node.id, node=node, children=tuple(row["children"]), skipped=skipped, note=row["note"])
        for row in data["nodes"]:
            flow.add_edges_from(((child, row["id"]) for child in row["children"]), kind="part")
        flow.add_edges_from(map(tuple, data["context"]), kind="context")
        if missing := sorted({data["root"], *data["open"], *flow} - {row["id"] for row in data["nodes"]}):
            raise ProposalError(f"the graph names the node {missing[0]}, which is not in it")
        _raise_for_cycle(flow)
        refusals = tuple(Refusal(*each) for each in data["refusals"])
        return cls(data["root"], frozenset(data["open"]), refusals, nx.freeze(flow))

    # ---- walking ----

    def walk(self, nodes: Iterable[str] | None = None) -> "Walk":
        """Walk these nodes (by default all), each only after all that it reads among them."""
        return Walk(self, nodes)


class Walk:
    """Ready and done, like graphlib: which nodes may be worked on now.

        walk = graph.walk()
        while ready := walk.ready():
            for node in ready:
                ...
                walk.done(node)

    `ready` hands out each node once; a node is ready when all it reads among the walked are done.
    """

    def __init__(self, graph: TaskGraph, nodes: Iterable[str] | None = None) -> None:
        self._flow = graph.networkx
        chosen = list(self._flow) if nodes is None else list(nodes)
        inside = set(chosen)
        self._unmet = {node: sum(p in inside for p in self._flow.pred[node]) for node in chosen}
        self._fresh = [node for node, count in self._unmet.items() if count == 0]
        self._handed: set[str] = set()
        self.left = len(self._unmet)

    def ready(self) -> list[str]:
        """Return the nodes that became ready since the last call."""
        fresh, self._fresh = self._fresh, []
        self._handed.update(fresh)
        return fresh

    def done(self, node: str) -> None:
        """Say that a node handed out by `ready` is finished."""
        if node not in self._handed:
            raise ValueError(f"{node} is not being worked on")
        self._handed.remove(node)
        self.left -= 1
        for later in self._flow.succ[node]:
            if later in self._unmet:
                self._unmet[later] -= 1
                if self._unmet[later] == 0:
                    self._fresh.append(later)


class _Growth:
    """A graph while it grows: the gate, over a private mutable copy."""

    def __init__(self, graph: TaskGraph) -> None:
        self.flow = graph.networkx.copy()
        self.root, self.refusals = graph.root, graph.refusals
        self.open = set(graph.open)

    def node(self, node: str) -> Node:
        found: Node = self.flow.nodes[node]["node"]
        return found

    def graph(self) -> TaskGraph:
        return TaskGraph(self.root, frozenset(self.open), self.refusals, nx.freeze(self.flow))

    def admit(self, node: str, proposal: Proposal) -> list[str]:
        """Carry out a proposal that keeps every rule, and return the ids of the nodes it opened."""
        parts = _parts(self.flow, self.open, node, proposal)
        opened = [part.id for part in parts if part.id not in self.flow]
        for part in parts:
            if part.id not in self.flow:
                self.flow.add_node(part.id, node=part, children=(), skipped=(), note="")
            self.flow.add_edge(part.id, node, kind="part")
        self.flow.nodes[node].update(
            children=tuple(part.id for part in parts), skipped=tuple(proposal.skipped), note=proposal.note
        )
        self.open.remove(node)
        self.open.update(opened)
        return opened


def _parts(flow: Flow, open_: Collection[str], node: str, proposal: Proposal) -> list[Node]:
    """The gate: return a proposal's parts as nodes, or raise ProposalError for the rule that it breaks."""
    if node not in open_:
        raise ProposalError(f"{node} is not open: it was decided on before, or is not in the graph")
    parent: Task = flow.nodes[node]["node"].task
    parts = [
        Node(content_id("node", node, index, part), part, index) if isinstance(part, Task) else _known(flow, part)
        for index, part in enumerate(proposal.parts)
    ]
    if len({part.id for part in parts}) != len(parts):
        raise ProposalError(f"{node}: the proposal names one part twice")
    for part in parts:
        if part.id in flow:
            _refuse_cycle(flow, part.id, node)
        if part.task.rank >= parent.rank:
            ranks = f"rank {part.task.rank}, which must be lower than its parent's {parent.rank}"
            raise ProposalError(f"{node}: part {part.index} has {ranks}")
    if parts or proposal.skipped:
        _check_cover(node, parent, [part.task for part in parts], proposal.skipped)
    return parts


def _known(flow: Flow, node: str) -> Node:
    if node not in flow:
        raise ProposalError(f"no node {node} in the graph to be a part")
    found: Node = flow.nodes[node]["node"]
    return found


def _refuse_cycle(flow: Flow, part: str, node: str) -> None:
    if nx.has_path(flow, node, part):
        path = nx.shortest_path(flow, node, part)
        raise ProposalError("the proposal closes a cycle: " + " -> ".join([*path, node]))


def _check_cover(node: str, parent: Task, parts: list[Task], skipped: Iterable[Span]) -> None:
    """Raise unless parts and skipped spans together cover the parent's span exactly once."""
    if parent.span is None:
        return
    about = [part for part in parts if part.span is not None]
    if any(part.source != parent.source for part in about):
        raise ProposalError(f"{node}: a part is about another source than its parent")
    spans = sorted([part.span for part in about if part.span is not None] + list(skipped))
    at = parent.span.start
    for start, end in spans:
        if start != at or end <= start:
            fault = "covered twice" if start < at else "covered by no part and not declared skipped"
            where = f"the text from {min(start, at)} to {max(start, at)} is {fault}"
            raise ProposalError(f"{node}: {where if end > start else f'a part has the empty span ({start}, {end})'}")
        at = end
    if at != parent.span.end:
        raise ProposalError(f"{node}: parts end at {at}, but their parent's span ends at {parent.span.end}")


def _raise_for_cycle(flow: Flow) -> None:
    if nx.is_directed_acyclic_graph(flow):
        return
    cycle = nx.find_cycle(flow)
    raise ProposalError("the graph has a cycle: " + " -> ".join([cycle[0][0], *(edge[1] for edge in cycle)]))
