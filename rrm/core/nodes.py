"""What a record says about the nodes of its trees, as the pages that show trees ask for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from rrm.core.task import Source
from rrm.core.values import Failure, Feedback, Fitted, Output, Request, Scored

TreeRole = Literal["train", "target"]
"""Of a source that is rated / of one that only gets scores."""


@dataclass(frozen=True)
class TreeEntry:
    """A tree on record, of a source with this id and title.

    `number` counts the trees of a source from 0; it is None for a tree that no run made. `role` is None
    as long as nothing on record tells it.
    """

    id: str
    root: str
    source: str | None
    title: str
    number: int | None = None
    role: TreeRole | None = None


class NodeMark(NamedTuple):
    """What there is at a node, counted.

    `best` holds the probabilities of acceptance, one a member, of the output with the highest mean;
    None if none was scored. `handed_up` says whether an output was read by another node.
    """

    outputs: int = 0
    ratings: int = 0
    failures: int = 0
    best: tuple[float, ...] | None = None
    handed_up: bool = False


@dataclass(frozen=True)
class NodeRecord:
    """All that is on record about a node, each kind in the order of recording, as much as was asked for.

    `outputs_in_all` and `requests_in_all` count those left out too. `read` are the outputs, of other
    nodes, that this node's outputs were made from, by id; `handed_up` are the ids of its own outputs that
    others were made from. `models` are those that made the scores, by id; feedback is by request.
    """

    outputs: tuple[Output, ...] = ()
    outputs_in_all: int = 0
    requests: tuple[Request, ...] = ()
    requests_in_all: int = 0
    feedback: dict[str, tuple[Feedback, ...]] = field(default_factory=dict)
    scores: tuple[Scored, ...] = ()
    models: dict[str, Fitted] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    read: dict[str, Output] = field(default_factory=dict)
    handed_up: frozenset[str] = frozenset()


class Nodes(Protocol):
    """A record's trees and nodes, to look at; any thread may call it. Raises StoreError."""

    @property
    def directory(self) -> Path:
        """The folder of the run, where its report is once it has finished."""
        ...

    def version(self) -> str:
        """Return a text that changes whenever anything told here does."""
        ...

    def trees(self) -> list[TreeEntry]:
        """Return all trees, in the order of recording."""
        ...

    def failed_trees(self) -> list[tuple[str, Failure]]:
        """Return the sources' titles and the failures of decompositions that came to nothing."""
        ...

    def graph(self, tree: str) -> dict[str, Any]:
        """Return a tree's graph as `TaskGraph.to_json` tells it; raise MissingError for an unknown id."""
        ...

    def source(self, id: str) -> Source | None: ...

    def marks(self, nodes: Sequence[str]) -> dict[str, NodeMark]:
        """Return what there is at those of these nodes where there is anything."""
        ...

    def at(self, node: str, readers: Collection[str] = (), most: int = 200) -> NodeRecord:
        """Return what is on record about a node, which `readers` read: at most so many outputs and requests."""
        ...

    def find(self, nodes: Sequence[str], text: str) -> set[str]:
        """Return those of these nodes whose outputs, written answers or failures hold this text, in any case."""
        ...
