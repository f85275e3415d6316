"""A tree as columns, one entry a node: small enough that a page holds ten thousand nodes at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from re import IGNORECASE, escape, finditer
from typing import Any, Literal, get_args

import numpy as np

from rrm.core.nodes import NodeMark
from rrm.core.report import Candidate, NodeReport
from rrm.core.task import Source, Span

State = Literal["empty", "proposed", "rated", "scored", "chosen", "failed"]
"""No output yet / outputs / ratings of them / scores / one was handed up or chosen / nothing but a failure."""

STATES: tuple[State, ...] = get_args(State)
TITLE = 56
"""Characters of a title, at most."""

_NOTHING = NodeMark()


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the nodes of a tree stand; they are numbered from the root, each followed by all that is below it.

    `parent` is the number of the node's parent, -1 for the root; of several parents it is the last one,
    and `also` holds the numbers of the others.
    """

    ids: tuple[str, ...]
    parent: tuple[int, ...]
    also: dict[int, tuple[int, ...]]
    level: tuple[int, ...]
    titles: tuple[str, ...]
    spans: tuple[Span | None, ...]
    open: frozenset[int]

    @classmethod
    def of(cls, graph: Mapping[str, Any], source: Source | None) -> "Layout":
        """Lay out a graph from its JSON, which takes half the time of making a TaskGraph first.

        Titles are the first words of the source that a node is about, or its instruction.
        """
        rows = {row["id"]: row for row in graph["nodes"]}
        above: dict[str, list[str]] = defaultdict(list)
        for node, row in rows.items():
            for part in row["children"]:
                above[part].append(node)
        ids = _in_order(graph["root"], rows, above)
        place = {node: at for at, node in enumerate(ids)}
        parents = [sorted(place[parent] for parent in above[node]) for node in ids]
        tasks = [rows[node]["task"] for node in ids]
        spans = tuple(Span(*task["span"]) if task["span"] else None for task in tasks)
        return cls(
            ids=ids,
            parent=tuple(numbers[-1] if numbers else -1 for numbers in parents),
            also={at: tuple(numbers[:-1]) for at, numbers in enumerate(parents) if len(numbers) > 1},
            level=_heights(ids, rows),
            titles=tuple(
                title(source, span) or _line(task["instruction"]) for span, task in zip(spans, tasks, strict=True)
            ),
            spans=spans,
            open=frozenset(place[node] for node in graph["open"]),
        )

    @cached_property
    def place(self) -> dict[str, int]:
        """The number of each node."""
        return {node: at for at, node in enumerate(self.ids)}

    def leaves_with(self, text: str, source: Source) -> set[int]:
        """Return the leaves whose piece of the source holds at least a part of this text, in any case."""
        found = [match.span() for match in finditer(escape(text), source.text, IGNORECASE)]
        leaves = [(span, at) for at, span in enumerate(self.spans) if span and not self.level[at]]
        if not found or not leaves:
            return set()
        starts, ends = np.array(found).T
        first, last = np.array([span for span, _ in leaves]).T
        # begun before the leaf ends, less those that ended before it began
        inside = np.searchsorted(starts, last) > np.searchsorted(ends, first, side="right")
        return {at for (_, at), is_in in zip(leaves, inside.tolist(), strict=True) if is_in}


@dataclass(frozen=True, eq=False)
class Outline:
    """What there is at each node of a layout, by its number.

    `score` is the mean probability of acceptance of the node's chosen or best output, composed with what
    lies below where `composed` says so, with a 90 % interval from `low` to `high`; None without a score.
    """

    layout: Layout
    state: tuple[int, ...]  # a place in STATES
    score: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    ratings: tuple[int, ...]
    errors: frozenset[int]
    composed: bool

    @classmethod
    def of(cls, layout: Layout, marks: Mapping[str, NodeMark], report: Mapping[str, NodeReport]) -> "Outline":
        """Join what is counted at the nodes with what the finished run's report says of them, by node id."""
        marked = [marks.get(node, _NOTHING) for node in layout.ids]
        told = map(report.get, layout.ids)
        chosen = [each.chosen if each else None for each in told]
        rows = _own_scores(marked)
        for at, candidate in enumerate(chosen):
            if candidate is not None:
                rows[at] = _composed(candidate)
        return cls(
            layout=layout,
            state=tuple(STATES.index(_state(mark, each)) for mark, each in zip(marked, chosen, strict=True)),
            score=tuple(row[0] for row in rows),
            low=tuple(row[1] for row in rows),
            high=tuple(row[2] for row in rows),
            ratings=tuple(mark.ratings for mark in marked),
            errors=frozenset(at for at, mark in enumerate(marked) if mark.failures),
            composed=any(each is not None for each in chosen) or any(mark.composed for mark in marked),
        )

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many nodes are in each state that any is in."""
        numbers = np.bincount(self.state, minlength=len(STATES)).tolist()
        return {state: number for state, number in zip(STATES, numbers, strict=True) if number}

    def columns(self) -> dict[str, Any]:
        """Return the columns as JSON values; `also` and `errors` name only the nodes that have any."""
        return {
            "parent": self.layout.parent,
            "also": {str(at): parents for at, parents in self.layout.also.items()},
            "level": self.layout.level,
            "title": self.layout.titles,
            "open": sorted(self.layout.open),
            "states": STATES,
            "state": self.state,
            "score": self.score,
            "low": self.low,
            "high": self.high,
            "ratings": self.ratings,
            "errors": sorted(self.errors),
            "composed": self.composed,
        }


def _in_order(root: str, rows: Mapping[str, Any], above: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return all nodes, each before its parts and after the last of its parents, as `TaskGraph.in_order` does."""
    unplaced = {node: len(parents) for node, parents in above.items()}
    order: list[str] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        order.append(node)
        for part in reversed(rows[node]["children"]):
            unplaced[part] -= 1
            if unplaced[part] == 0:
                waiting.append(part)
    return tuple(order)


def _heights(order: Sequence[str], rows: Mapping[str, Any]) -> tuple[int, ...]:
    heights: dict[str, int] = {}
    for node in reversed(order):
        heights[node] = 1 + max((heights[part] for part in rows[node]["children"]), default=-1)
    return tuple(heights[node] for node in order)


def title(source: Source | None, span: Span | None) -> str:
    """Return the first words of a source's span, empty without any."""
    return _line(source.text[span.start : min(span.end, span.start + 8 * TITLE)]) if source and span else ""


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE else line[: TITLE - 1].rstrip(" .,;:") + "…"


def _state(mark: NodeMark, chosen: Candidate | None) -> State:
    if chosen is not None or mark.handed_up:
        return "chosen"
    if mark.best is not None:
        return "scored"
    if mark.ratings:
        return "rated"
    if mark.outputs:
        return "proposed"
    return "failed" if mark.failures else "empty"


Row = tuple[float | None, float | None, float | None]
"""Score, low and high."""


def _composed(candidate: Candidate) -> Row:
    value, interval = (candidate.composed, candidate.composed_interval)
    if value is None:
        value, interval = candidate.own, candidate.own_interval
    low, high = interval or (None, None)
    return _rounded(value), _rounded(low), _rounded(high)


def _own_scores(marks: Sequence[NodeMark]) -> list[Row]:
    """Return mean and 90 % interval of each node's best output; all of one ensemble's size at once."""
    rows: list[Row] = [(None, None, None)] * len(marks)
    by_members: dict[int, list[int]] = defaultdict(list)
    for at, mark in enumerate(marks):
        if mark.best:
            by_members[len(mark.best)].append(at)
    for places in by_members.values():
        samples = np.array([marks[at].best for at in places])  # [nodes, members]
        low, high = np.quantile(samples, [0.05, 0.95], axis=1)
        figures = np.stack([samples.mean(axis=1), low, high], axis=1).round(3).tolist()
        for at, (mean, lower, upper) in zip(places, figures, strict=True):
            rows[at] = (mean, lower, upper)
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
