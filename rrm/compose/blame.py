"""Blame by claim: in which step of a sentence's way from the source to the root its score was lost.

A root output is scored again with one of its claims taken back, step by step, to what it rests on: to what the child's
output says, to what that rests on in turn, to the source's own words. What the score rises by between two steps
is what the upper one lost. The rises of a claim add up to what it loses in all, and a node's claims' to the node's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rrm.core.claims import Chain
from rrm.core.graph import TaskGraph

Scores = Callable[[Sequence[str]], np.ndarray]
"""The mean score, float64 [texts], of each text in the place of the root's output."""


class _Version(NamedTuple):
    """A root output with one claim taken back some steps, and the claims whose steps were undone by the last."""

    text: str
    undone: tuple[Chain, ...]


def with_blame(text: str, claims: Sequence[Chain], scores: Scores) -> tuple[Chain, ...]:
    """Return the claims of a root output with the blame of every step; `scores` is asked once.

    The blame of a step at which several claims were joined is shared by them in equal parts. It is negative where
    taking back what was changed lowers the score, and None on ways that lead to no source.
    """
    ways = [list(_taken_back(text, chain, _place(text, claims, at))) for at, chain in enumerate(claims)]
    told = [text, *(version.text for way in ways for version in way)]
    different = list(dict.fromkeys(told))
    known = dict(zip(different, map(float, scores(different)), strict=True))
    blamed = []
    for chain, way in zip(claims, ways, strict=True):
        found: dict[tuple[str, int], float] = {}
        before = known[text]
        for version in way:
            rise, before = known[version.text] - before, known[version.text]
            for each in version.undone:
                found[each.output, each.claim] = rise / len(version.undone)
        blamed.append(_marked(chain, found, {}))
    return tuple(blamed)


def node_blame(claims: Sequence[Chain], graph: TaskGraph) -> dict[str, float]:
    """Return what each node of a tree lost over all claims, 0 for most; steps that gained by a change count nothing."""
    lost: defaultdict[str, float] = defaultdict(float)
    for chain in claims:
        for each in chain.walk():
            lost[each.node] += max(each.blame or 0.0, 0.0)
    return {node: lost[node] for node in graph}


def subtree_blame(own: Mapping[str, float], graph: TaskGraph) -> dict[str, float]:
    """Return what each node lost with all that is below it, each node once."""
    below: dict[str, frozenset[str]] = {}
    for node in reversed(list(graph.in_order())):
        parts = graph.children(node)
        below[node] = frozenset((node, *(each for part in parts for each in below.get(part, ()))))
    return {node: sum(own[each] for each in nodes) for node, nodes in below.items()}


def _place(text: str, claims: Sequence[Chain], at: int) -> int:
    """Return where a claim begins in the text: claims stand in order."""
    start = 0
    for chain in claims[: at + 1]:
        begins = text.index(chain.text, start)
        start = begins + len(chain.text)
    return begins


def _taken_back(text: str, claim: Chain, begins: int) -> Iterator[_Version]:
    """Yield the output with a claim taken back one step more each time, as far as all of it leads on."""
    before, after = text[:begins], text[begins + len(claim.text) :]
    here: list[Chain | str] = [claim]
    while undone := tuple(each for each in here if isinstance(each, Chain)):
        below: list[Chain | str] = []
        for each in here:
            if isinstance(each, str):
                below.append(each)
                continue
            if not each.grounded:
                return
            below += [*each.below, *(" ".join(quote.text.split()) for quote in each.quotes)]
        here = list({(each if isinstance(each, str) else id(each)): each for each in below}.values())
        said = " ".join(each if isinstance(each, str) else each.text for each in here)
        yield _Version(f"{before}{said}{after}", undone)


def _marked(chain: Chain, found: Mapping[tuple[str, int], float], known: dict[tuple[str, int], Chain]) -> Chain:
    """Return a claim with all that it rests on, each with its blame."""
    key = (chain.output, chain.claim)
    if key not in known:
        below = tuple(_marked(each, found, known) for each in chain.below)
        known[key] = replace(chain, below=below, blame=found.get(key))
    return known[key]
