"""The task graph: a DAG of tasks, and the one gate through which it grows.

Edges point the way outputs flow. A *part* edge runs from a child to its parent, which reads the
child's output; a *read* edge runs from a node to a later one that was made with its answer in
view; a *context* edge runs from a node to a later one of equal height and depth, which may read
the earlier output. So a topological order is an order of work, and the root comes last.

A node is *open* until a proposal closes it. A proposal with `more` gives it parts and leaves it
open: it *waits* for their answers and is then asked again.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import product
from math import floor, inf
from operator import add
from typing import Any, NamedTuple, TypeAlias

import networkx as nx

from rrm.core.errors import InputError, LimitError, ProposalError
from rrm.core.ids import content_id
from rrm.core.task import Span, Task
from rrm.core.text import visible
from rrm.core.thoughts import is_blank

Flow: TypeAlias = "nx.DiGraph[str]"


@dataclass(frozen=True)
class Node:
    """A task at its place: `index` numbers it among its first parent's parts."""

    id: str
    task: Task
    index: int = 0


@dataclass(frozen=True)
class Part:
    """A new task that may read earlier answers.

    `reads` names earlier parts of the same node by their number among all its parts, from 0, and
    any other node of the graph by its id.
    """

    task: Task
    reads: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """How to split one task: into parts, or into none, which says "this is a leaf".

    A part is a new task, alone or with what it reads, or the id of a node that the graph already
    has. `skipped` are spans of the parent that no part is about. `note` is kept with the node, for
    instance a model's reason. `more` says "these parts now, and ask me again once they are
    answered"; a later proposal of the same node then adds to the parts and skipped spans.

    `unusable` says, in one sentence, what a decomposer itself found wrong with what it was told, such as
    prose in the place of a plan: the gate refuses the proposal for that reason.
    """

    parts: tuple[Task | Part | str, ...] = ()
    skipped: tuple[Span, ...] = ()
    note: str = ""
    more: bool = False
    unusable: str = ""


@dataclass(frozen=True)
class GrowthBudget:
    """How far a decomposition may grow; every node inherits what the subtrees that it stands in have left.

    `max_depth` limits the distance from the root, and `max_splits` how often one node may ask to be asked
    again (its proposals with `more`). A node may be refused `max_refusals` times for each time it is split.

    Three limits are of whole subtrees: `max_nodes` of their size; `max_calls` of how often the decomposer is
    asked in them; `max_tokens` of what their outputs may come to, each task counted with its own limit. They hold
    for the tree, and below a node at depth d for the `subtree_share` to the power d of them (rounded down, 1 at
    least): with 0.5 no part takes more than half of what its parent may take, with 1 all draw on the tree's.
    Raises InputError for a limit that nothing can keep.
    """

    max_depth: int = 16
    max_nodes: int = 10_000
    max_splits: int = 16
    max_refusals: int = 2
    max_calls: int | None = None
    max_tokens: int | None = None
    subtree_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("max_depth", "max_splits", "max_refusals"):
            if (limit := getattr(self, name)) < 0:
                raise InputError(f"a growth budget's {name} is 0 or more, got {limit}")
        for name in ("max_nodes", "max_calls", "max_tokens"):
            if (limit := getattr(self, name)) is not None and limit < 1:
                raise InputError(f"a growth budget's {name} is 1 or more, got {limit}")
        if not 0 < self.subtree_share <= 1:
            raise InputError(f"a growth budget's subtree_share lies above 0 and up to 1, got {self.subtree_share}")

    def below(self, depth: int) -> "Usage":
        """Return what a subtree whose top lies at this depth may take in all."""
        share = self.subtree_share**depth
        return Usage(*(_part_of(share, most) for most in (self.max_nodes, self.max_calls, self.max_tokens)))


class Usage(NamedTuple):
    """What a subtree takes: its nodes, the decomposer's calls, the tokens that its outputs may have.

    Calls are the splits and refusals so far, and one for each open node, which will be asked at least once more:
    never fewer than the decomposer was asked, and more where several proposals of one call were refused.
    """

    nodes: float
    calls: float
    tokens: float


def _part_of(share: float, most: int | None) -> float:
    return inf if most is None else max(1, floor(share * most + 1e-9))  # 0.29 * 100 is just below 29


class Refusal(NamedTuple):
    """A proposal that the gate turned down, with the rule that it broke."""

    node: str
    reason: str


class _Row(NamedTuple):
    """What a graph knows of one node: `parents` and `readers` mirror the others' `children` and `reads`."""

    node: Node
    children: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    before: str | None = None
    parents: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    skipped: tuple[Span, ...] = ()
    note: str = ""
    splits: int = 0


Decompose = Callable[["TaskGraph", Node], Proposal]

_GENERATIONS = 64


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """Tasks and how they are composed. A value: growing one returns another.

    `root` is the id of the whole task's node; `open` holds the nodes that no proposal has closed
    yet, those that wait for answers among them.
    """

    root: str
    open: frozenset[str]
    refusals: tuple[Refusal, ...] = ()
    _rows: Mapping[str, _Row] = field(default_factory=dict, repr=False)

    @classmethod
    def start(cls, task: Task, decomposer: str, seed: int) -> "TaskGraph":
        """Make a graph of one open node, named by the task, who will decompose it, and the seed."""
        root = Node(content_id("node", task, decomposer, seed), task)
        return cls(root.id, frozenset([root.id]), (), {root.id: _Row(root)})

    # ---- growth ----

    def grow(self, node: str, proposal: Proposal, budget: GrowthBudget | None = None) -> "TaskGraph":
        """Return the graph with one proposal carried out; raise as `check` does if the gate refuses it."""
        return self.grow_each({node: proposal}, budget)

    def grow_each(self, proposals: Mapping[str, Proposal], budget: GrowthBudget | None = None) -> "TaskGraph":
        """Return the graph with a proposal carried out at each of several nodes, in the order given.

        One call copies the table of nodes, some 0.1 microseconds a node, so many proposals are best made in one.
        """
        growth = _Growth(self)
        for node, proposal in proposals.items():
            growth.admit(node, proposal, budget)
        return growth.graph()

    def check(self, node: str, proposal: Proposal, budget: GrowthBudget | None = None) -> None:
        """Do nothing, or raise ProposalError for the rule that a proposal breaks, LimitError for the budget's limit."""
        _admitted(self._rows, self.open, self.refusals, node, proposal, budget)

    def grow_all(self, decompose: Decompose, max_nodes: int = 1_000_000) -> "TaskGraph":
        """Return the graph closed: decompose every open node, and what that opens, breadth first.

        No node gets an answer, so a proposal with `more` is refused (see `rrm.core.growth`). Raises
        ProposalError where the gate refuses, LimitError above `max_nodes`.
        """
        growth = _Growth(self)
        waiting = deque(sorted(self.open))
        while waiting:
            node = waiting.popleft()
            proposal = decompose(self, growth.rows[node].node)
            if proposal.more:
                raise ProposalError(f"{node}: a proposal with more=True needs answers; use rrm.core.growth.grow")
            waiting.extend(growth.admit(node, proposal))
            if len(growth.rows) > max_nodes:
                raise LimitError(f"the decomposition has more than max_nodes = {max_nodes} nodes")
        return growth.graph()

    def close(self, node: str, note: str = "") -> "TaskGraph":
        """Return the graph with an open node closed as it stands: what its parts leave out is declared skipped."""
        if node not in self.open:
            raise ProposalError(f"{node} is not open: it was decided on before, or is not in the graph")
        row = self._rows[node]
        tasks = [self.task(part) for part in row.children]
        left = () if not tasks or _covers_itself(row.node.task, row.skipped) else _gaps(row, tasks)
        return self.grow(node, Proposal((), left, note))

    def refuse(self, node: str, reason: str) -> "TaskGraph":
        """Return the graph with a refused proposal on record; the node stays as it was."""
        refusals = (*self.refusals, Refusal(node, reason))
        return TaskGraph(self.root, self.open, refusals, self._rows)

    def with_context(self) -> "TaskGraph":
        """Return the closed graph with context edges: each node to the next of its depth and height."""
        if self.open:
            raise ProposalError("context edges join nodes of equal height, which open nodes do not have yet")
        rows = dict(self._rows)
        last: dict[tuple[int, int], str] = {}
        for node in self.in_order():
            place = (self.depth(node), self.height(node))
            if place in last:
                rows[node] = rows[node]._replace(before=last[place])
            last[place] = node
        return TaskGraph(self.root, self.open, self.refusals, rows)

    # ---- growth that waits for answers ----

    def splits(self, node: str) -> int:
        """How many proposals were carried out at a node."""
        return self._rows[node].splits

    @property
    def waiting(self) -> tuple[str, ...]:
        """The open nodes that have parts already and will be asked again, in the order of their making."""
        return tuple(node for node, row in self._rows.items() if node in self.open and row.splits)

    def needs(self, node: str) -> tuple[str, ...]:
        """The nodes whose answers a node is shown, each once: first what it reads, then its parts."""
        row = self._rows[node]
        return tuple(dict.fromkeys((*row.reads, *row.children)))

    def ready(self, answered: Collection[str]) -> list[str]:
        """Return the open nodes that can be split now: all their parts so far and all that they read are answered.

        `answered` are the ids of nodes that have an answer, or that failed to give one for good.
        """
        done = frozenset(answered)
        return [node for node in self._rows if node in self.open and done.issuperset(self.needs(node))]

    def wanted(self, answered: Collection[str]) -> list[str]:
        """Return the closed nodes that can be answered now and whose answers some open node waits for.

        A node that an open one waits for is answered after all that it needs itself; so after these
        are answered there may be others. As long as a node is open, `ready` or `wanted` names one.
        """
        done = frozenset(answered)
        seen: set[str] = set()
        found: set[str] = set()
        to_look_at = list(self.open)
        while to_look_at:
            node = to_look_at.pop()
            unmet = [each for each in self.needs(node) if each not in done]
            to_look_at.extend(each for each in unmet if each not in seen)
            seen.update(unmet)
            if not unmet and node not in self.open:
                found.add(node)
        return [node for node in self._rows if node in found]

    def refused(self, node: str) -> list[str]:
        """Return why proposals of a node were refused, oldest first."""
        return [refusal.reason for refusal in self.refusals if refusal.node == node]

    def usage(self, node: str | None = None) -> Usage:
        """Return what the subtree below a node, or the whole graph, takes."""
        return _usage(self._rows, self.open, self.refusals, _inside(self._rows, node), Usage(0, 0, 0))

    def can_ask(self, node: str, budget: GrowthBudget) -> bool:
        """Whether the budget lets the decomposer be asked at an open node, whose refusals so far count."""
        return all(
            _usage(self._rows, self.open, self.refusals, _inside(self._rows, top), most).calls <= most.calls
            for top, most in _limits(self._rows, node, budget)
        )

    # ---- looking ----

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, node: object) -> bool:
        return node in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    @cached_property
    def networkx(self) -> Flow:
        """A frozen networkx graph of the nodes: each has its `node`, each edge its `kind`, part, read or context.

        There is one edge between two nodes: a part that is read too is a part.
        """
        flow: Flow = nx.DiGraph()
        flow.add_nodes_from((id_, {"node": row.node}) for id_, row in self._rows.items())
        for id_, row in self._rows.items():
            if row.before is not None:
                flow.add_edge(row.before, id_, kind="context")
            flow.add_edges_from(((earlier, id_) for earlier in row.reads), kind="read")
            flow.add_edges_from(((child, id_) for child in row.children), kind="part")
        nx.freeze(flow)
        return flow

    def node(self, node: str) -> Node:
        return self._rows[node].node

    def task(self, node: str) -> Task:
        return self._rows[node].node.task

    def note(self, node: str) -> str:
        """The notes of a node's proposals, one a line."""
        return self._rows[node].note

    def children(self, node: str) -> tuple[str, ...]:
        """The parts of a node, in order."""
        return self._rows[node].children

    def reads(self, node: str) -> tuple[str, ...]:
        """The earlier nodes, beside its parts, whose answers a node is shown."""
        return self._rows[node].reads

    def skipped(self, node: str) -> tuple[Span, ...]:
        """The spans of a node's source that none of its parts is about."""
        return self._rows[node].skipped

    def parents(self, node: str) -> tuple[str, ...]:
        return self._rows[node].parents

    def readers(self, node: str) -> tuple[str, ...]:
        """The later nodes, beside its parents, that are shown a node's answer."""
        return self._rows[node].readers

    def before(self, node: str) -> str | None:
        """The earlier node whose output this one may read as previous context."""
        return self._rows[node].before

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
        unplaced = {node: len(row.parents) for node, row in self._rows.items()}
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
        for node in reversed(self._order):
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
        return {
            "root": self.root,
            "open": sorted(self.open),
            "refusals": [list(each) for each in self.refusals],
            "nodes": [_to_json(row, id_ in self.open) for id_, row in self._rows.items()],
            "context": [[row.before, id_] for id_, row in self._rows.items() if row.before is not None],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TaskGraph":
        """Return the graph that `to_json` wrote; raise ProposalError if it has a cycle or names a missing node."""
        still_open = frozenset(data["open"])
        rows = {row["id"]: _from_json(row, row["id"] in still_open) for row in data["nodes"]}
        ids = [id_ for row in rows.values() for id_ in (*row.children, *row.reads)]
        context = [tuple(edge) for edge in data["context"]]
        named = {data["root"], *still_open, *ids, *(id_ for edge in context for id_ in edge)}
        if missing := sorted(named - rows.keys()):
            raise ProposalError(f"the graph names the node {missing[0]}, which is not in it")
        for earlier, later in context:
            rows[later] = rows[later]._replace(before=earlier)
        refusals = tuple(Refusal(*each) for each in data["refusals"])
        graph = cls(data["root"], still_open, refusals, _mirrored(rows))
        _raise_for_cycle(graph)
        return graph

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
        chosen = list(graph if nodes is None else nodes)
        inside = set(chosen)
        self._unmet: dict[str, int] = {}
        self._later: dict[str, list[str]] = defaultdict(list)
        for node in chosen:
            before = graph.before(node)
            earlier = {*graph.needs(node), *([] if before is None else [before])} & inside
            self._unmet[node] = len(earlier)
            for each in earlier:
                self._later[each].append(node)
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
        for later in self._later[node]:
            self._unmet[later] -= 1
            if self._unmet[later] == 0:
                self._fresh.append(later)


class _Growth:
    """A graph while it grows: a private mutable copy."""

    def __init__(self, graph: TaskGraph) -> None:
        self.rows = dict(graph._rows)
        self.root, self.refusals = graph.root, graph.refusals
        self.open = set(graph.open)

    def graph(self) -> TaskGraph:
        return TaskGraph(self.root, frozenset(self.open), self.refusals, self.rows)

    def admit(self, node: str, proposal: Proposal, budget: GrowthBudget | None = None) -> list[str]:
        """Carry out a proposal that keeps every rule, and return the ids of the nodes it opened."""
        added = _admitted(self.rows, self.open, self.refusals, node, proposal, budget)
        opened = [part.node.id for part in added if part.node.id not in self.rows]
        for part in added:
            row = self.rows.get(part.node.id, part)
            self.rows[part.node.id] = row._replace(parents=(*row.parents, node))
            for earlier in part.reads if part.node.id in opened else ():
                read = self.rows[earlier]
                self.rows[earlier] = read._replace(readers=(*read.readers, part.node.id))
        row = self.rows[node]
        self.rows[node] = row._replace(
            children=(*row.children, *(part.node.id for part in added)),
            skipped=(*row.skipped, *proposal.skipped),
            note="\n".join(note for note in (row.note, proposal.note) if note),
            splits=row.splits + 1,
        )
        self.open.update(opened)
        if not proposal.more:
            self.open.remove(node)
        return opened


# ---- the gate ----


def _admitted(
    rows: Mapping[str, _Row],
    open_: Collection[str],
    refusals: Sequence[Refusal],
    node: str,
    proposal: Proposal,
    budget: GrowthBudget | None,
) -> list[_Row]:
    """The gate: return a proposal's parts as rows, new or known, or raise for the rule or the limit that it breaks."""
    if node not in open_:
        raise ProposalError(f"{node} is not open: it was decided on before, or is not in the graph")
    if proposal.unusable:
        raise ProposalError(proposal.unusable)
    row = rows[node]
    parent = row.node.task
    if proposal.more and not proposal.parts:
        raise ProposalError(f"{node}: the proposal asks to be asked again, but has no part to wait for")
    added = _parts(rows, node, proposal.parts)
    parts = [*row.children, *(part.node.id for part in added)]
    if len(set(parts)) != len(parts):
        raise ProposalError(f"{node}: the proposal names one part twice")
    for index, part in enumerate(added, start=len(row.children)):
        if part.node.id in rows and (path := _path(rows, node, part.node.id)):
            raise ProposalError("the proposal closes a cycle: " + " -> ".join([*path, node]))
        if part.node.task.rank >= parent.rank:
            ranks = f"rank {part.node.task.rank}, which must be lower than its parent's {parent.rank}"
            raise ProposalError(f"{node}: part {index} has {ranks}")
        below = _below(rows, part.node.id) if part.node.id in rows else []
        _check_asks(rows, node, index, [rows[each].node.task for each in below] or [part.node.task])
    tasks = [rows[part].node.task for part in row.children] + [part.node.task for part in added]
    skipped = (*row.skipped, *proposal.skipped)
    if _covers_itself(parent, skipped):
        _check_inside(node, parent, tasks)
    elif tasks or skipped:
        _check_cover(node, parent, tasks, skipped, closing=not proposal.more)
    if budget is not None:
        new = [part.node.task for part in added if part.node.id not in rows]
        known = [each for part in added if part.node.id in rows for each in _below(rows, part.node.id)]
        _check_budget(rows, node, proposal, new, budget)
        _check_subtrees(rows, open_, refusals, node, _taken(proposal, new), known, budget)
    return added


def _check_asks(rows: Mapping[str, _Row], node: str, index: int, asked: Sequence[Task]) -> None:
    """Raise for a part that asks for nothing, or for the very thing that a node above it asks for.

    `asked` are the part, and of one that the graph has already all that lies below it. A question that waits for its
    own answer has as many answers as one likes; ranks alone would let it be asked again under another rank. A part
    about a text is compared with what is about the same text: the same instruction for less of it is how a text is
    split. A part about no text makes nothing smaller by that, and is compared with every node above it. What stands
    more than `_GENERATIONS` above is not compared.
    """
    if is_blank(asked[0].instruction):
        raise ProposalError(f"{node}: part {index} is empty: it has no instruction")
    above = [node]
    for _ in range(_GENERATIONS):
        for each, task in product(above, asked):
            if _asks_for(task, rows[each].node.task):
                part = f"part {index}" if task == asked[0] else f"what lies below part {index}"
                what = "its parent" if (each, task) == (node, asked[0]) else f"the node {each} above it"
                begins = repr(" ".join(task.instruction.split())[:80])
                raise ProposalError(f"{node}: {part} asks for the same as {what}: {begins}")
        above = list(dict.fromkeys(parent for each in above for parent in rows[each].parents))
        if not above:
            return


def _asks_for(task: Task, above: Task) -> bool:
    """Whether a task asks for what one above it asks for, whatever their white space, unseen marks, case and limits."""
    same_text = task.span is None or (task.source, task.span) == (above.source, above.span)
    return same_text and _plain(task.instruction) == _plain(above.instruction)


def _plain(instruction: str) -> str:
    return " ".join(visible(instruction).split()).casefold()


def _parts(rows: Mapping[str, _Row], node: str, parts: Sequence[Task | Part | str]) -> list[_Row]:
    """Return the parts, new or known, as rows, with what they read as ids."""
    added: list[_Row] = []
    ids = list(rows[node].children)
    for index, part in enumerate(parts, start=len(ids)):
        if isinstance(part, str):
            if part not in rows:
                raise ProposalError(f"{node}: part {index}: no node {part} in the graph to be a part")
            added.append(rows[part])
        else:
            new = Part(part) if isinstance(part, Task) else part
            reads = tuple(dict.fromkeys(_read(rows, node, ids, read) for read in new.reads))
            added.append(_Row(Node(content_id("node", node, index, new.task, reads), new.task, index), reads=reads))
        ids.append(added[-1].node.id)
    return added


def _read(rows: Mapping[str, _Row], node: str, parts: Sequence[str], read: int | str) -> str:
    """Return the id of what the next part of a node, which has these parts so far, may read."""
    reader = f"{node}: part {len(parts)} reads"
    if isinstance(read, int):
        if not 0 <= read < len(parts):
            earlier = f"earlier parts, 0 to {len(parts) - 1}" if parts else "earlier parts, and it is the first one"
            raise ProposalError(f"{reader} part {read}, but references point backward: it may read {earlier}")
        return parts[read]
    if read not in parts and read not in rows:
        raise ProposalError(f"{reader} {read}, which is not in the graph")
    if read in rows and (path := _path(rows, node, read)):
        waits = "the node that it is a part of" if read == node else f"which waits for its answer: {' -> '.join(path)}"
        raise ProposalError(f"{reader} {read}, {waits}; references point backward")
    return read


def _path(rows: Mapping[str, _Row], start: str, end: str) -> list[str] | None:
    """Return a shortest path by which the answer of `start` flows to `end`, both included; None if there is none."""
    came_from: dict[str, str] = {start: start}
    to_look_at = deque([start])
    while to_look_at and end not in came_from:
        node = to_look_at.popleft()
        for later in (*rows[node].parents, *rows[node].readers):
            if later not in came_from:
                came_from[later] = node
                to_look_at.append(later)
    if end not in came_from:
        return None
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def _covers_itself(parent: Task, skipped: Sequence[Span]) -> bool:
    """Whether a node reads its text itself, so that its parts may look at any of it, or at none."""
    return parent.sees_source and not skipped


def _check_inside(node: str, parent: Task, parts: Iterable[Task]) -> None:
    """Raise unless every part that is about a text is about some of the parent's."""
    for part in parts:
        if part.span is None or parent.span is None:
            continue
        if part.source != parent.source:
            raise ProposalError(f"{node}: a part is about another source than its parent")
        start, end = part.span
        if not parent.span.start <= start < end <= parent.span.end:
            raise ProposalError(
                f"{node}: a part is about the text from {start} to {end}, which is empty or not inside its parent's"
                f" {tuple(parent.span)}"
            )


def _check_cover(node: str, parent: Task, parts: list[Task], skipped: Iterable[Span], closing: bool) -> None:
    """Raise unless parts and skipped spans together cover the parent's span exactly once.

    A node that does not close yet may still leave gaps, which later parts can fill.
    """
    if parent.span is None:
        return
    about = [part for part in parts if part.span is not None]
    if any(part.source != parent.source for part in about):
        raise ProposalError(f"{node}: a part is about another source than its parent")
    spans = sorted([part.span for part in about if part.span is not None] + list(skipped))
    at = parent.span.start
    for start, end in spans:
        if end <= start:
            raise ProposalError(f"{node}: a part has the empty span ({start}, {end})")
        if start < at or (closing and start > at):
            fault = "covered twice" if start < at else "covered by no part and not declared skipped"
            raise ProposalError(f"{node}: the text from {min(start, at)} to {max(start, at)} is {fault}")
        at = end
    if at > parent.span.end or (closing and at < parent.span.end):
        raise ProposalError(f"{node}: parts end at {at}, but their parent's span ends at {parent.span.end}")


def _gaps(row: _Row, parts: Iterable[Task]) -> tuple[Span, ...]:
    """Return what a node's parts and skipped spans, which do not overlap, leave out of its span."""
    span = row.node.task.span
    if span is None:
        return ()
    covered = sorted([part.span for part in parts if part.span is not None] + list(row.skipped))
    starts = [span.start, *(end for _, end in covered)]
    ends = [*(start for start, _ in covered), span.end]
    return tuple(Span(*pair) for pair in zip(starts, ends, strict=True) if pair[0] < pair[1])


def _check_budget(
    rows: Mapping[str, _Row], node: str, proposal: Proposal, new: Sequence[Task], budget: GrowthBudget
) -> None:
    """Raise LimitError where a proposal passes a limit of single nodes: how often they split, how deep they lie."""
    if proposal.more and rows[node].splits >= budget.max_splits:
        raise LimitError(f"{node} asks to be asked again more than max_splits = {budget.max_splits} times")
    if new and _depth(rows, node, budget.max_depth) >= budget.max_depth:
        raise LimitError(f"{node}: its parts would lie deeper than max_depth = {budget.max_depth}")


def _taken(proposal: Proposal, new: Sequence[Task]) -> Usage:
    """Return what a proposal takes anew: the call that made it was counted while the node was open."""
    return Usage(len(new), len(new) + proposal.more, sum(task.max_tokens for task in new))


def _check_subtrees(
    rows: Mapping[str, _Row],
    open_: Collection[str],
    refusals: Sequence[Refusal],
    node: str,
    taken: Usage,
    known: Sequence[str],
    budget: GrowthBudget,
) -> None:
    """Raise LimitError where a proposal takes more than a subtree that it stands in has left.

    `known` are its parts that the graph has already, with all below them: a subtree takes those that it lacks.
    """
    for top, most in _limits(rows, node, budget) if known or any(taken) else ():
        inside = _inside(rows, top)
        used = _usage(rows, open_, refusals, inside, most)
        joining = _usage(rows, open_, refusals, {each for each in known if each not in inside}, most)
        for name, now, more, limit in zip(Usage._fields, used, map(add, taken, joining), most, strict=True):
            if more and now + more > limit:
                where = "" if top is None else f" below {top}, its share of"
                raise LimitError(f"{node}: its parts would take more than{where} max_{name} = {limit:g} {_WORDS[name]}")


_WORDS = {"nodes": "nodes", "calls": "calls of the decomposer", "tokens": "tokens of outputs"}


def _limits(rows: Mapping[str, _Row], node: str, budget: GrowthBudget) -> list[tuple[str | None, Usage]]:
    """Return the subtrees that a node stands in, by their tops (None: the whole graph), and what each may take."""
    found: list[tuple[str | None, Usage]] = [(None, budget.below(0))]
    if budget.subtree_share < 1:
        waiting, seen = [node], {node}
        while waiting:
            top = waiting.pop()
            if rows[top].parents:
                found.append((top, budget.below(_depth(rows, top, budget.max_depth))))
            waiting.extend(parent for parent in rows[top].parents if parent not in seen)
            seen.update(rows[top].parents)
    return found


def _usage(
    rows: Mapping[str, _Row], open_: Collection[str], refusals: Sequence[Refusal], inside: Collection[str], most: Usage
) -> Usage:
    """Return what the nodes of a subtree take; what has no limit in `most` is not counted."""
    calls = tokens = 0
    if most.calls < inf:
        refused = sum(each.node in inside for each in refusals)
        calls = refused + sum(rows[each].splits + (each in open_) for each in inside)
    if most.tokens < inf:
        tokens = sum(rows[each].node.task.max_tokens for each in inside)
    return Usage(len(inside), calls, tokens)


def _inside(rows: Mapping[str, _Row], top: str | None) -> Collection[str]:
    """Return the nodes of the subtree below `top`; None is the whole graph."""
    return rows.keys() if top is None else _below(rows, top)


def _below(rows: Mapping[str, _Row], top: str) -> Collection[str]:
    """Return a node, first, and all that lies below it."""
    found, waiting = {top: True}, [top]
    while waiting:
        fresh = [child for child in rows[waiting.pop()].children if child not in found]
        found.update(dict.fromkeys(fresh, True))
        waiting.extend(fresh)
    return found.keys()


def _depth(rows: Mapping[str, _Row], node: str, most: int) -> int:
    """Return a node's distance from the root, or `most` if it is larger."""
    depth, level = 0, {node}
    while depth < most and all(rows[each].parents for each in level):
        level = {parent for each in level for parent in rows[each].parents}
        depth += 1
    return depth


# ---- as JSON ----


def _to_json(row: _Row, open_: bool) -> dict[str, Any]:
    """Return a node's row; what few nodes have (`sees_source`, `reads`, several splits) stands only where it is so."""
    task = {each.name: getattr(row.node.task, each.name) for each in fields(Task)}
    if not row.node.task.sees_source:
        del task["sees_source"]
    row_json: dict[str, Any] = {"id": row.node.id, "index": row.node.index, "task": task}
    row_json |= {"children": row.children, "skipped": row.skipped, "note": row.note}
    if row.reads:
        row_json["reads"] = row.reads
    if row.splits != int(not open_):
        row_json["splits"] = row.splits
    return row_json


def _from_json(row_json: Mapping[str, Any], open_: bool) -> _Row:
    task = dict(row_json["task"])
    task["span"] = None if task["span"] is None else Span(*task["span"])
    return _Row(
        Node(row_json["id"], Task(**task), row_json["index"]),
        children=tuple(row_json["children"]),
        reads=tuple(row_json.get("reads", ())),
        skipped=tuple(Span(*span) for span in row_json["skipped"]),
        note=row_json["note"],
        splits=row_json.get("splits", 0 if open_ else 1),
    )


def _mirrored(rows: Mapping[str, _Row]) -> dict[str, _Row]:
    """Return the rows with `parents` and `readers`, as the others' `children` and `reads` tell."""
    parents: dict[str, list[str]] = defaultdict(list)
    readers: dict[str, list[str]] = defaultdict(list)
    for id_, row in rows.items():
        for child in row.children:
            parents[child].append(id_)
        for earlier in row.reads:
            readers[earlier].append(id_)
    return {id_: row._replace(parents=tuple(parents[id_]), readers=tuple(readers[id_])) for id_, row in rows.items()}


def _raise_for_cycle(graph: TaskGraph) -> None:
    walk = graph.walk()
    while ready := walk.ready():
        for node in ready:
            walk.done(node)
    if walk.left:
        cycle = nx.find_cycle(graph.networkx)
        raise ProposalError("the graph has a cycle: " + " -> ".join([cycle[0][0], *(edge[1] for edge in cycle)]))
