"""A tree as rows for a page: what to show of every node, and what to leave out when there is too much."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median
from typing import Literal, NamedTuple

import numpy as np

from rrm.core.claims import Chain, Quote
from rrm.core.place import node_level
from rrm.core.report import Candidate, NodeReport, TargetReport, TreeReport

_NOISE = 1e-6  # a blame that is a sum's rounding

DEEPEST = 40
"""Nodes further from the root are counted, not shown: browsers nest elements only so deep."""


@dataclass(frozen=True)
class Limits:
    """How much of a report's trees is shown: nodes in all, and characters of each text, `others` a node."""

    nodes: int = 1500
    characters: int = 1_200_000
    source: int = 1500
    chosen: int = 4000
    other: int = 700
    others: int = 5
    root: int = 4000
    roots: int = 64
    worst: int = 5

    def scaled(self, share: float) -> "Limits":
        """Return the limits with every text cut to this share, but not below 60 characters."""
        cut = {name: max(60, int(getattr(self, name) * share)) for name in ("source", "chosen", "other", "root")}
        return replace(self, **cut)


class Excerpt(NamedTuple):
    """The beginning of a text, and how long the whole is."""

    text: str
    characters: int

    @property
    def cut(self) -> bool:
        return len(self.text) < self.characters


class Other(NamedTuple):
    """A candidate that was not chosen, and how it begins."""

    candidate: Candidate
    text: Excerpt


class Row(NamedTuple):
    """A node to open, a node to close, a mention of one described already, or a count of parts left out."""

    kind: Literal["open", "close", "again", "left out"]
    anchor: str = ""
    node: NodeReport | None = None
    chosen: Candidate | None = None
    text: Excerpt | None = None
    source: Excerpt | None = None
    others: tuple[Other, ...] = ()
    more: int = 0  # candidates, or for "left out" parts, that are not shown
    worst: int = 0  # 1 for the node whose blame stands out most, and so on; 0 for the rest


class RootRow(NamedTuple):
    """A root candidate of one of a target's trees."""

    tree: int
    candidate: Candidate
    text: Excerpt
    chosen: bool


def excerpt(text: str, limit: int) -> Excerpt:
    """Return the first `limit` characters of a text."""
    return Excerpt(text[:limit], len(text))


def shown_tree(target: TargetReport) -> TreeReport | None:
    """Return the tree of the chosen root output, or else the first."""
    if not target.trees:
        return None
    place = target.chosen_tree or 0
    return target.trees[place] if place < len(target.trees) else target.trees[0]


def fitting(targets: Sequence[TargetReport], limits: Limits) -> Limits:
    """Return the limits under which the texts of all targets together keep to `limits.characters`."""
    shares = max(1, len(targets))
    limits = replace(limits, nodes=max(20, limits.nodes // shares))
    wanted = sum(_characters(target, limits) for target in targets)
    return limits.scaled(limits.characters / wanted) if wanted > limits.characters else limits


class Standout(NamedTuple):
    """A node whose blame stands out: by how much the root's score would rise if it were as good as can be.

    With the `whole` subtree, if all below it were, too.
    """

    node: NodeReport
    blame: float
    whole: bool


@dataclass(frozen=True)
class Losses:
    """Where a tree loses score: the root's own blame, what stands out below it, and what is usual there.

    `usual` is the median own blame of the nodes below the root and `largest` the greatest, None without any.
    """

    root: float | None
    standouts: tuple[Standout, ...]
    usual: float | None = None
    largest: float | None = None

    @property
    def known(self) -> bool:
        """Whether any node's blame is known."""
        return self.root is not None or self.usual is not None


def losses(tree: TreeReport, most: int) -> Losses:
    """Return where a tree loses score: at most so many nodes, and as many subtrees, the most blamed first.

    Nodes are held against the others of their level, for blame grows from level to level. One stands out that
    lies above the upper fence of the others, their third quartile and one and a half interquartile ranges more
    (Tukey 1977, Exploratory Data Analysis, 2C), and is twice their median at least.
    """
    below = [node for node in tree.nodes if node.id != tree.root]
    own = [Standout(node, node.blame, False) for node in below if node.blame is not None]
    whole = [Standout(node, node.subtree_blame, True) for node in below if node.subtree_blame and node.children]
    found = [sorted(_standing_out(kind, most), key=lambda each: -each.blame)[:most] for kind in (own, whole)]
    root = next((node.blame for node in tree.nodes if node.id == tree.root), None)
    blames = [each.blame for each in own]
    return Losses(root, tuple(chain(*found)), median(blames) if blames else None, max(blames, default=None))


def _standing_out(nodes: Sequence[Standout], most: int) -> list[Standout]:
    """Return those that stand out among the `most` most blamed of each level."""
    by_level: dict[int, list[Standout]] = {}
    for each in sorted(nodes, key=lambda each: -each.blame):
        by_level.setdefault(each.node.level, []).append(each)
    return [level[at] for level in by_level.values() for at in range(min(most, len(level))) if _stands_out(level, at)]


def _stands_out(level: Sequence[Standout], at: int) -> bool:
    others = [each.blame for place, each in enumerate(level) if place != at]
    if not others:
        return False
    low, middle, high = np.quantile(others, (0.25, 0.5, 0.75))
    return bool(level[at].blame > max(high + 1.5 * (high - low), 2 * middle, _NOISE))


def outline(tree: TreeReport, anchors: dict[str, str], limits: Limits) -> list[Row]:
    """Return the rows of a tree, parts between the rows that open and close their parent.

    `anchors` names the nodes that are described (see `anchored`).
    """
    nodes = {node.id: node for node in tree.nodes}
    blamed = [each.node.id for each in losses(tree, limits.worst).standouts if not each.whole]
    worst = {node: place for place, node in enumerate(blamed, 1)}
    rows: list[Row] = []
    opened: set[str] = set()
    waiting = [Row("open", node=nodes[tree.root])] if tree.root in nodes else []
    while waiting:
        row = waiting.pop()
        if row.kind != "open" or row.node is None:
            rows.append(row)
        elif row.node.id in opened:
            rows.append(Row("again", anchors[row.node.id], row.node))
        else:
            node = row.node
            opened.add(node.id)
            rows.append(_opened(node, anchors[node.id], worst.get(node.id, 0), limits))
            parts = [part for part in node.children if part in anchors]
            waiting.append(Row("close"))
            if len(parts) < len(node.children):
                waiting.append(Row("left out", more=len(node.children) - len(parts)))
            waiting.extend(Row("open", node=nodes[part]) for part in reversed(parts))
    return rows


def anchored(tree: TreeReport, prefix: str, limits: Limits) -> dict[str, str]:
    """Return an id in the page for each node that is described: the first ones from the root down.

    Those whose blame stands out are among them, with all that is above them, unless they are too deep.
    """
    nodes = {node.id: node for node in tree.nodes}
    above, depth = {tree.root: ""}, {tree.root: 0}
    order = [tree.root] if tree.root in nodes else []
    for node in order:
        for part in nodes[node].children:
            if part in nodes and part not in depth and depth[node] < DEEPEST:
                above[part], depth[part] = node, depth[node] + 1
                order.append(part)
    shown = set(order[: limits.nodes])
    for each in losses(tree, limits.worst).standouts:
        step = each.node.id if each.node.id in depth else ""
        while step and step not in shown:
            shown.add(step)
            step = above[step]
    return {node: f"{prefix}-{place}" for place, node in enumerate(node for node in order if node in shown)}


def root_rows(target: TargetReport, limits: Limits) -> list[RootRow]:
    """Return the root candidates of all trees, best composed score first, as many as are shown."""
    found = [
        RootRow(
            number,
            candidate,
            excerpt(candidate.text, limits.root),
            target.chosen is not None and candidate.id == target.chosen.id and number == (target.chosen_tree or 0),
        )
        for number, tree in enumerate(target.trees)
        for candidate in tree.root_candidates
    ]

    def place(row: RootRow) -> tuple[bool, float]:
        return not row.chosen, -(row.candidate.composed if row.candidate.composed is not None else -1.0)

    return sorted(found, key=place)[: limits.roots]


def _opened(node: NodeReport, anchor: str, worst: int, limits: Limits) -> Row:
    chosen = node.chosen
    others = [each for each in node.candidates if each is not chosen]
    return Row(
        "open",
        anchor,
        node,
        chosen,
        excerpt(chosen.text, limits.chosen) if chosen else None,
        excerpt(node.source_text, limits.source) if node.source_text else None,
        tuple(Other(each, excerpt(each.text, limits.other)) for each in others[: limits.others]),
        max(0, len(others) - limits.others),
        worst,
    )


def _characters(target: TargetReport, limits: Limits) -> int:
    """Return about how many characters of text a target takes under these limits."""
    tree = shown_tree(target)
    shown = anchored(tree, "", limits) if tree else {}
    rows = outline(tree, shown, limits) if tree else []
    texts = chain(
        (each for row in rows for each in (row.text, row.source)),
        (other.text for row in rows for other in row.others),
        (row.text for row in root_rows(target, limits)),
    )
    return sum(len(each.text) for each in texts if each)


NOTICED = 0.001
"""A loss of the root's score below this, as a probability, is told as none."""

MARKED = 0.01
"""A claim is marked that loses so much of the root's score in one step, as a probability."""


class Step(NamedTuple):
    """One step of a claim's way to the source: a claim below, where it was made, or a quotation of the source.

    `depth` counts from 1, right under the claim. `anchor` is the node's in the page, "" for one that is not described;
    a quotation has neither a node nor a `chain`.
    """

    depth: int
    text: Excerpt
    chain: Chain | None
    node: NodeReport | None
    anchor: str


class Worst(NamedTuple):
    """What a claim loses in the step of its way that loses most, and where that is: the node's level and title.

    Where several steps lose as much, `where` says so and names none.
    """

    blame: float
    where: str


class ClaimRow(NamedTuple):
    """A claim of a chosen output: its own text and the steps of its way to the source, those right under it first.

    `worst` is the step that loses most, if that is `MARKED` or more.
    """

    chain: Chain
    text: Excerpt
    steps: tuple[Step, ...]
    worst: Worst | None


def claim_rows(
    chains: Sequence[Chain], tree: TreeReport | None, anchors: dict[str, str], limits: Limits, top: int
) -> list[ClaimRow]:
    """Return the claims of an output of a tree's root with what they rest on; a claim below is told once a claim."""
    nodes = {node.id: node for node in tree.nodes} if tree else {}
    return [
        ClaimRow(
            chain,
            excerpt(chain.text, limits.other),
            tuple(_steps(chain, nodes, anchors, limits)),
            _worst(chain, nodes, top),
        )
        for chain in chains
    ]


def losing(rows: Sequence[ClaimRow]) -> list[tuple[Worst, ClaimRow]]:
    """Return the claims of which a step is marked, with that step, the one that loses most first."""
    found = [(row.worst, row) for row in rows if row.worst is not None]
    return sorted(found, key=lambda each: -each[0].blame)


def blamed(claims: Sequence[Chain]) -> bool:
    """Return whether the blame of claims was found."""
    return any(each.blame is not None for chain in claims for each in chain.walk())


def _worst(chain: Chain, nodes: dict[str, NodeReport], top: int) -> Worst | None:
    weakest = chain.weakest()
    blame = weakest[0].blame or 0.0 if weakest else 0.0
    if blame < MARKED:
        return None
    if len(weakest) > 1:
        return Worst(blame, f"in each of {len(weakest)} steps: it rests on too much to tell which")
    node = nodes.get(weakest[0].node)
    title = f", {node.title[:60]}" if node and node.level < top else ""
    return Worst(blame, f"at {node_level(node.level, top)}{title}" if node else "at a part")


def _steps(chain: Chain, nodes: dict[str, NodeReport], anchors: dict[str, str], limits: Limits) -> Iterator[Step]:
    for depth, each in chain.steps():
        text = excerpt(each.text, limits.other)
        if isinstance(each, Quote):
            yield Step(depth, text, None, None, "")
        else:
            yield Step(depth, text, each, nodes.get(each.node), anchors.get(each.node, ""))
