"""What the viewer tells of a record's trees: a list of them, a tree's outline, one node in full, and search."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rrm.core.annotation import Annotation
from rrm.core.claims import Chain, chains
from rrm.core.desk import AnswerLog
from rrm.core.errors import MissingError, RrmError
from rrm.core.graph import TaskGraph
from rrm.core.nodes import Nodes, TreeEntry
from rrm.core.report import NodeReport, Report
from rrm.core.task import Source
from rrm.report.record import report_from_json
from rrm.viewer.claims import claims_json
from rrm.viewer.node import Located, call_json, node_json
from rrm.viewer.outline import STATES, Layout, Outline, State

REPORT = "report.json"
LAYOUT_NODES = 200_000
"""Nodes whose places are kept in memory, over all trees; about a quarter of a kilobyte each."""

LISTED_NODES = 30_000
"""Nodes that the list of trees counts the states of; a run with more tells the others' when they are opened."""

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """What a search is for; every condition that is given must hold."""

    text: str = ""
    level: int | None = None
    state: State | None = None
    low: float | None = None
    high: float | None = None
    error: bool = False


class Trees:
    """What the viewer tells of a record's trees; whatever is costly is kept until the record changes.

    Any thread may call it.
    """

    def __init__(self, nodes: Nodes, answers: AnswerLog | None = None) -> None:
        self._nodes, self._log = nodes, answers
        self._report = FinishedReport(nodes.directory / REPORT)
        self._turn = threading.RLock()
        self._layouts: Kept[Layout] = Kept(LAYOUT_NODES, lambda layout: len(layout.ids))
        self._graphs: Kept[TaskGraph] = Kept(4 * 10_000, len)
        self._sources: Kept[Source | None] = Kept(20_000_000, lambda source: len(source.text) if source else 0)
        self._outlines: Kept[Outline] = Kept(LAYOUT_NODES, lambda outline: len(outline.layout.ids))
        self._sent: Kept[bytes] = Kept(16_000_000, len)

    def list(self, node: str | None = None, brief: bool = False) -> dict[str, Any]:
        """Return what there is to say of every tree, or of those that have a node; if brief, without counting."""
        version = self.version()
        entries = [each for each in self._nodes.trees() if node is None or node in self._layout(each).place]
        told: list[dict[str, Any]] = []
        counted = 0
        for entry in entries:
            layout = None if brief else self._layout(entry)
            counted += len(layout.ids) if layout else 0
            outline = self._outline(entry, version) if layout and counted <= LISTED_NODES else None
            told.append(self._about(entry, layout, outline))
        failed = [
            {"title": name, "error": each.error, "cause": each.cause} for name, each in self._nodes.failed_trees()
        ]
        return {"version": version, "trees": told, "failed": failed, "note": self._report.note}

    def outline(self, tree: str, since: str | None = None) -> bytes:
        """Return a tree's outline as JSON, or that it is as it was in the version `since`.

        Raises MissingError for an unknown id.
        """
        version = self.version()
        if since == version:
            return json.dumps({"version": version, "unchanged": True}).encode()

        def made() -> bytes:
            entry = self._entry(tree)
            outline = self._outline(entry, version)
            about = self._about(entry, outline.layout, outline)
            whole = {"version": version, "about": about, "note": self._report.note, **outline.columns()}
            return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

        with self._turn:
            return self._sent.get(tree, made, version)

    def node(self, tree: str, node: str) -> dict[str, Any]:
        """Return everything about a node, named by its id or its number; raise MissingError if there is none."""
        entry = self._entry(tree)
        layout = self._layout(entry)
        node = _named(node, layout, tree)
        with self._turn:
            graph = self._graphs.get(tree, lambda: TaskGraph.from_json(self._nodes.graph(tree)))
        record = self._nodes.at(node, graph.parents(node))
        source, report = self._source(entry.source), self._reported(entry).get(node)
        located = Located(graph, layout, source, node, record, report, self._nodes.has_rounds())
        return {"tree": tree, "version": self.version(), **node_json(located, self._answers)}

    def calls(self, tree: str, node: str, after: int = 0) -> dict[str, Any]:
        """Return some of a node's model calls, and after which number the rest is; raises what `node` raises."""
        page = self._nodes.calls(_named(node, self._layout(self._entry(tree)), tree), after)
        return {"calls": [call_json(each) for each in page.calls], "next": page.next}

    def claims(self, tree: str, output: str) -> dict[str, Any]:
        """Return what each claim of an output rests on; raise MissingError for one whose claims are not on record.

        Of an output whose claims the run's report tells of, it is told what that says.
        """
        entry = self._entry(tree)
        layout, source = self._layout(entry), self._source(entry.source)
        known = self._nodes.traced(output)
        if output not in known.claims or output not in known.outputs or known.outputs[output].node not in layout.place:
            raise MissingError(f"no claims of the output {output} are on record in the tree {tree}")
        text = source.text if source else ""
        found = self._report.claims(output) or chains(output, known.claims, known.outputs, text)

        def link(node: str) -> dict[str, Any]:
            at = layout.place.get(node)
            return {"node": at, "id": node, "title": "" if at is None else layout.titles[at]}

        return {"claims": claims_json(found, text, link)}

    def search(self, tree: str, wanted: Wanted) -> dict[str, Any]:
        """Return the numbers of the nodes that fit, in order."""
        entry = self._entry(tree)
        outline = self._outline(entry, self.version())
        found = [at for at in range(len(outline.layout.ids)) if _fits(outline, at, wanted)]
        text = wanted.text.strip()
        if text and found:
            with_text = self._with_text(entry, outline.layout, text)
            found = [at for at in found if at in with_text]
        return {"nodes": found, "of": len(outline.layout.ids)}

    def version(self) -> str:
        """Return a text that changes with the record and the report."""
        return f"{self._nodes.version()}-{self._report.version()}"

    # ---- within ----

    def _entry(self, tree: str) -> TreeEntry:
        found = next((each for each in self._nodes.trees() if each.id == tree), None)
        if found is None:
            raise MissingError(f"no tree {tree} on record")
        return found

    def _source(self, source: str | None) -> Source | None:
        with self._turn:
            return self._sources.get(source, lambda: self._nodes.source(source)) if source else None

    def _layout(self, entry: TreeEntry) -> Layout:
        def made() -> Layout:
            return Layout.of(self._nodes.graph(entry.id), self._source(entry.source))

        with self._turn:
            return self._layouts.get(entry.id, made)

    def _outline(self, entry: TreeEntry, version: str) -> Outline:
        def made() -> Outline:
            layout = self._layout(entry)
            return Outline.of(layout, self._nodes.marks(layout.ids), self._reported(entry))

        with self._turn:
            return self._outlines.get(entry.id, made, version)

    def _reported(self, entry: TreeEntry) -> dict[str, NodeReport]:
        return self._report.nodes(entry.root)

    def _about(self, entry: TreeEntry, layout: Layout | None, outline: Outline | None) -> dict[str, Any]:
        return {
            "id": entry.id,
            "title": entry.title,
            "number": entry.number,
            "role": "target" if self._reported(entry) else entry.role,
            "nodes": len(layout.ids) if layout else None,
            "height": max(layout.level) if layout else None,
            "states": outline.counts if outline else None,
            "errors": len(outline.errors) if outline else None,
        }

    def _answers(self, request: str) -> Sequence[Annotation]:
        if self._log is None:
            return ()
        try:
            return self._log.item_answers(request)
        except MissingError:  # asked by a run, and no item of the desk
            return ()

    def _with_text(self, entry: TreeEntry, layout: Layout, text: str) -> set[int]:
        source = self._source(entry.source)
        found = layout.leaves_with(text, source) if source else set()
        found |= {layout.place[node] for node in self._nodes.find(layout.ids, text)}
        return found | ({layout.place[text]} if text in layout.place else set())


def _named(node: str, layout: Layout, tree: str) -> str:
    """Return the id of the node that an id or a number in the outline names."""
    if node.isdecimal() and len(node) < 10 and int(node) < len(layout.ids):
        node = layout.ids[int(node)]
    if node not in layout.place:
        raise MissingError(f"the tree {tree} has no node {node}")
    return node


class FinishedReport:
    """The report beside a record, read when it is new; a run that goes on has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._seen = ""
        self._trees: dict[str, dict[str, NodeReport]] = {}
        self._claims: dict[str, tuple[Chain, ...]] = {}
        self.note: str | None = None  # why a report that is there is not shown

    def version(self) -> str:
        """Return a text that changes with the file."""
        try:
            found = self._path.stat()
        except OSError:
            return "0"
        return f"{found.st_mtime_ns}.{found.st_size}"

    def nodes(self, root: str) -> dict[str, NodeReport]:
        """Return the reports of the nodes of the target tree with this root, by id; empty where there are none."""
        with self._turn:
            self._refresh()
            return self._trees.get(root, {})

    def claims(self, output: str) -> tuple[Chain, ...]:
        """Return the claims of an output that the report tells of, none for any other."""
        with self._turn:
            self._refresh()
            return self._claims.get(output, ())

    def _refresh(self) -> None:
        version = self.version()
        if version == self._seen:
            return
        report = self._read() if version != "0" else None
        targets = report.targets if report else ()
        self._trees = {tree.root: {node.id: node for node in tree.nodes} for each in targets for tree in each.trees}
        self._claims = {output: claims for each in targets for output, claims in each.claims_of.items()}
        self._seen = version

    def _read(self) -> Report | None:
        self.note = None
        try:
            return report_from_json(self._path.read_bytes())
        except (RrmError, OSError) as error:
            self.note = f"The run's report cannot be read, so composed scores are left out: {error}"
            return None


class Kept(Generic[T]):
    """The values asked for last, as many as together have a given size; at least one."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._most, self._size, self._held = most, size, 0
        self._values: OrderedDict[str, tuple[str, T]] = OrderedDict()

    def get(self, key: str, make: Callable[[], T], version: str = "") -> T:
        """Return what is kept under a key in this version, or else what `make` returns."""
        if key in self._values and self._values[key][0] == version:
            self._values.move_to_end(key)
            return self._values[key][1]
        value = make()
        if key in self._values:
            self._held -= self._size(self._values.pop(key)[1])
        self._values[key] = (version, value)
        self._held += self._size(value)
        while self._held > self._most and len(self._values) > 1:
            self._held -= self._size(self._values.popitem(last=False)[1][1])
        return value


def _fits(outline: Outline, at: int, wanted: Wanted) -> bool:
    """Whether a node meets all conditions but the text's; without a score it meets none on scores."""
    score = outline.score[at]
    return (
        (wanted.level is None or outline.layout.level[at] == wanted.level)
        and (wanted.state is None or STATES[outline.state[at]] == wanted.state)
        and (wanted.low is None or (score is not None and score >= wanted.low))
        and (wanted.high is None or (score is not None and score <= wanted.high))
        and (not wanted.error or at in outline.errors)
    )
