"""What a run's record says of its trees, read without any of the run's parts: it may be running still."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rrm.core.errors import InputError
from rrm.core.graph import GrowthBudget, Proposal, TaskGraph
from rrm.core.growth import advance
from rrm.core.kinds.critique import is_ungrounded
from rrm.core.place import Place
from rrm.core.protocols import PromptContext, Seen
from rrm.core.task import Source
from rrm.core.values import Choice, Failure, Feedback, Fitted, Improvement, Output, Request
from rrm.store.record import SqlStore

SOURCES = "set of sources"
"""Under this name a record says which of the run's sources are which: lists of ids by role."""

SourceRole = Literal["train", "select", "target"]
"""Of a source that is rated / that the judge of role select alone rates / that is only scored."""


def grounded(record: SqlStore) -> dict[str, Feedback]:
    """Return what a run's grounder made of critiques, by the ids of these."""
    found: list[Feedback] = record.load(Feedback)
    written = {(each.request, each.rater, each.criterion): each for each in found if is_ungrounded(each.answer)}
    made = [(written.get((each.request, each.rater, each.criterion)), each) for each in found]
    return {before.id: each for before, each in made if before is not None and not is_ungrounded(each.answer)}


IMPROVED = "policies"
"""Under this name the record of a run that applies another names the improved policies that it took from there."""


def improved_policies(record: SqlStore, before: int | None = None) -> dict[int | None, Improvement]:
    """Return by level (None: all levels) the improved policies that propose in a round, or without one, at the end.

    Those are the last that were made before it and that the judge of role select did not refuse.
    """
    made: list[Improvement] = [each for each in record.load(Improvement) if each.place.subject == "answer"]
    if (taken := record.setting(IMPROVED)) is not None:
        return {each.level: each for each in made if each.id in taken}
    choices: list[Choice] = record.load(Choice)
    refused = {(choice.place.round, choice.policy) for choice in choices if not choice.chosen}
    return {
        each.level: each
        for each in made
        if (before is None or each.place.round < before) and (each.place.round, each.policy) not in refused
    }


def improved_splits(record: SqlStore) -> Improvement | None:
    """Return what the run's decomposer was improved to at last, None where it was not."""
    made = [each for each in record.load(Improvement) if each.place.subject == "split"]
    return made[-1] if made else None


def claims_model(record: SqlStore) -> Fitted | None:
    """Return the last model of claims on record, None where none was fitted."""
    fitted = [each for each in record.load(Fitted) if each.place.subject == "claims"]
    return fitted[-1] if fitted else None


@dataclass(frozen=True, eq=False)
class RecordedTree:
    """A tree of a source in a round; `number` counts the trees of a source from 0, `role` is None where no run says it.

    One that `grew` was split while its nodes were answered.
    """

    source: Source
    role: SourceRole | None
    number: int
    graph: TaskGraph
    round: int = 0
    grew: bool = False


@dataclass(frozen=True, eq=False)
class Trees:
    """All trees of a run, in the order in which they were made: of `every` round, and as they stood last."""

    every: tuple[RecordedTree, ...]

    @cached_property
    def trees(self) -> tuple[RecordedTree, ...]:
        """The last tree of each source and number."""
        return tuple({(tree.source.id, tree.number): tree for tree in self.every}.values())

    @cached_property
    def of_node(self) -> dict[str, RecordedTree]:
        """The last tree that each node stands in; a tree that grows may have other nodes in every round."""
        return {node: tree for tree in self.every for node in tree.graph}

    @cached_property
    def height(self) -> int:
        """The level of all roots; -1 without trees."""
        return max((len(tree.graph.levels) - 1 for tree in self.trees), default=-1)

    def level(self, node: str) -> int:
        """Return the level at which a node is judged: its height, and the highest for a root whatever its own."""
        graph = self.of_node[node].graph
        return self.height if node == graph.root else graph.height(node)

    def find(self, number: int, source: str | None = None) -> RecordedTree:
        """Return a tree of a source (its id or title; without one, of the first target, or else the first source).

        Raises InputError naming what there is.
        """
        sources = {tree.source.id: tree for tree in self.trees}
        if source is None:
            first = next((tree for tree in self.trees if tree.role == "target"), next(iter(self.trees), None))
            wanted = {first.source.id} if first else set()
        else:
            wanted = {id_ for id_, tree in sources.items() if source in (id_, tree.source.title)}
        found = next((tree for tree in self.trees if tree.source.id in wanted and tree.number == number), None)
        if found is None:
            known = ", ".join(f"{tree.number} of {tree.source.title!r}" for tree in self.trees) or "none yet"
            asked = f"tree {number}" if source is None else f"tree {number} of {source!r}"
            raise InputError(f"there is no {asked}; there are: {known}")
        return found


def recorded_trees(record: SqlStore) -> Trees:
    """Return the trees on record; those of a growing decomposer as far as they have grown."""
    graphs, sources, roles = record.by_id(TaskGraph), record.by_id(Source), source_roles(record)
    begun = [made for made in record.made(TaskGraph) if made.step == "decompose"]
    growth = _Growth.of(record) if any(graphs[made.value].open for made in begun) else None
    found = []
    for made in begun:
        source, _, number = made.slot.partition("/")
        graph, grew = graphs[made.value], bool(graphs[made.value].open)
        if growth is not None and grew:
            graph = growth.grown(graph, made.place.round, sources[source])
        found.append(RecordedTree(sources[source], roles.get(source), int(number), graph, made.place.round, grew))
    return Trees(tuple(found))


def source_roles(record: SqlStore) -> dict[str, SourceRole]:
    """Return the roles of a run's sources, by id; none where no run ever began."""
    told: Mapping[SourceRole, list[str]] = record.setting(SOURCES) or {}
    return {source: role for role, sources in told.items() for source in sources}


def seen_in_training(record: SqlStore, trees: Trees, level: int | None = None) -> list[Seen]:
    """Return the nodes of training sources that questions were put about, as they were shown last, with their outputs.

    Those of a level (None: of all).
    """
    requests: dict[str, Request] = {
        each.node: each
        for each in record.load(Request)
        if each.place.subject == "answer" and level in (None, each.place.level) and each.node in trees.of_node
    }
    outputs: dict[str, list[Output]] = {}
    for output in record.load_where(Output, "node", list(requests)):
        outputs.setdefault(output.node, []).append(output)
    before = sorted({id_ for here in outputs.values() for id_ in here[-1].context})
    texts = {output.id: output.text for output in record.load_where(Output, "id", before)}
    found = []
    for node, request in sorted(requests.items()):
        tree = trees.of_node[node]
        here = tuple(outputs.get(node, ()))
        if tree.role == "train" and here:
            made, task = here[-1], tree.graph.task(node)
            earlier = "" if request.view.context else "\n\n".join(texts[id_] for id_ in made.context)
            shown = PromptContext(node, task, request.view, made.inputs, made.context, request.place, earlier)
            found.append(Seen(tree.source.id, shown, here))
    return found


@dataclass(frozen=True, eq=False)
class _Growth:
    """What became of open nodes: every split of each in each round, in order, and which nodes were answered."""

    splits: Mapping[tuple[int, str], list[tuple[Proposal | Failure, ...]]]
    met: frozenset[str]
    budget: GrowthBudget

    @classmethod
    def of(cls, record: SqlStore) -> "_Growth":
        made = [each for kind in (Proposal, Failure) for each in record.made(kind)]
        slots = {each.action: (each.place.round, each.slot) for each in made}
        splits: dict[tuple[int, str], list[tuple[Proposal | Failure, ...]]] = {}
        for action, values in record.results("split", Place(0, "split")).items():
            splits.setdefault(slots[action], []).append(values)
        met = {output.node for output in record.load(Output)} | {each.subject for each in record.load(Failure)}
        run = record.setting("run") or {}
        return cls(splits, frozenset(met), GrowthBudget(**run.get("growth", {})))

    def grown(self, graph: TaskGraph, round_: int, source: Source) -> TaskGraph:
        """Take the steps that the run took (`rrm.pipeline.steps.grow`), as far as they are on record."""
        taken: dict[str, int] = {}
        while True:
            before = graph
            for node in graph.ready(self.met):
                at, splits = taken.get(node, 0), self.splits.get((round_, node), [])
                if at == len(splits):
                    continue
                taken[node] = at + 1
                found = splits[at]
                failures = [each for each in found if isinstance(each, Failure)]
                if failures:
                    graph = graph.close(node, f"closed as it stands: {failures[0].cause}")
                else:
                    proposals = [each for each in found if isinstance(each, Proposal)]
                    graph = advance(graph, node, proposals, self.budget, "the decomposer", source)
            if graph is before:
                return graph
