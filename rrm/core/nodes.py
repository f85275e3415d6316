"""What a record says about the nodes of its trees, as the pages that show trees ask for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from rrm.core.calls import Call
from rrm.core.claims import Claims
from rrm.core.task import Source
from rrm.core.values import Composed, Failure, Feedback, Fitted, Output, Request, Scored

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

    `best` holds the probabilities of acceptance overall, one a member, of the output with the highest mean;
    None if none was scored. They are composed with what lies below where `composed` says so, which is
    where any output's composed score is on record. `handed_up` says whether an output was read by another node.
    """

    outputs: int = 0
    ratings: int = 0
    failures: int = 0
    best: tuple[float, ...] | None = None
    composed: bool = False
    handed_up: bool = False


class CallSums(NamedTuple):
    """What the model calls took that were made for a node or for requests about it.

    `cached` of the `calls` were answered from the cache, `failed` of them have an error. Tokens and cost are
    sums of what is known, None where nothing is.
    """

    calls: int = 0
    cached: int = 0
    failed: int = 0
    seconds: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None


class CallPage(NamedTuple):
    """Some of a node's model calls in the order of recording, and after which number the rest is; None for no rest."""

    calls: tuple[Call, ...]
    next: int | None


class Traced(NamedTuple):
    """The claims that are on record of an output and of all that they rest on, and these outputs, by output id."""

    claims: dict[str, Claims]
    outputs: dict[str, Output]


@dataclass(frozen=True)
class NodeRecord:
    """All that is on record about a node, each kind in the order of recording, as much as was asked for.

    `outputs_in_all` and `requests_in_all` count those left out too. `read` are the outputs, of other
    nodes, that this node's outputs were made from, by id; `handed_up` are the ids of its own outputs that
    others were made from. `models` are those that made the scores, by id; feedback is by request.
    `rounds` holds the rounds in which outputs were proposed first, by id; an output that no run proposed
    has none. `traced` are the ids of those of its own outputs whose claims are on record.
    """

    outputs: tuple[Output, ...] = ()
    outputs_in_all: int = 0
    requests: tuple[Request, ...] = ()
    requests_in_all: int = 0
    feedback: dict[str, tuple[Feedback, ...]] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    scores: tuple[Scored, ...] = ()
    composed: tuple[Composed, ...] = ()
    models: dict[str, Fitted] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    read: dict[str, Output] = field(default_factory=dict)
    handed_up: frozenset[str] = frozenset()
    calls: CallSums = field(default_factory=CallSums)
    traced: frozenset[str] = frozenset()


class Nodes(Protocol):
    """A record's trees and nodes, to look at; any thread may call it. Raises StoreError."""

    @property
    def directory(self) -> Path:
        """The folder of the run, where its report is once it has finished."""
        ...

    def version(self) -> str:
        """Return a text that changes whenever anything told here does."""
        ...

    def has_rounds(self) -> bool:
        """Say whether anything but the first round is on record."""
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

    def calls(self, node: str, after: int = 0, most: int = 20) -> CallPage:
        """Return at most so many of the model calls for a node and the requests about it, after a number."""
        ...

    def traced(self, output: str) -> Traced:
        """Return what is on record of an output's claims and of what they rest on; nothing where it was not traced."""
        ...

    def find(self, nodes: Sequence[str], text: str) -> set[str]:
        """Return those of these nodes whose outputs, written answers or failures hold this text, in any case."""
        ...
