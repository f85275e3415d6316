"""Blame by claim: in which step of a sentence's way from the source to the root its score was lost.

A root output is scored again with one of its claims taken back, step by step, to what it rests on: to what the child's
output says, to what that rests on in turn, to the source's own words. What the score rises by between two steps
is what the upper one lost, as far as it rises above all that stands higher up: an error that was made below, and left
out or mended on the way, loses the root nothing. The rises of a claim add up to what it loses in all, and those of a
node's claims to what the node loses.

Whatever its author cites, a claim is taken back to the one sentence that it matches best, and to further ones only
where it joins them: a text that grows longer covers more, and that undoes no error. What is copied word for word
loses nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rrm.core.claims import Chain, claim_spans, quotes
from rrm.core.graph import TaskGraph
from rrm.core.text import words

JOINED = 0.3
"""A claim joins a further sentence that has this share of its words, of those that stand in any, and no other has."""

Scores = Callable[[Sequence[str]], np.ndarray]
"""The mean score, float64 [texts], of each text in the place of the root's output."""


class _Said(NamedTuple):
    """A text in a claim's place, and the claim below that it was taken from; None for the source's own words."""

    text: str
    chain: Chain | None


class _Version(NamedTuple):
    """A root output with one claim taken back some steps, and the claims whose steps were undone by the last."""

    text: str
    undone: tuple[Chain, ...]


def with_blame(text: str, claims: Sequence[Chain], scores: Scores) -> tuple[Chain, ...]:
    """Return the claims of a root output with the blame of every step; `scores` is asked once.

    The blame of a step at which several claims were joined is shared by them in equal parts. It is 0 where taking
    back what was changed does not raise the score, and None on ways that lead to no source and beside the way taken.
    """
    ways = [list(_taken_back(text, chain, _place(text, claims, at))) for at, chain in enumerate(claims)]
    told = [text, *(version.text for way in ways for version in way)]
    different = list(dict.fromkeys(told))
    known = dict(zip(different, map(float, scores(different)), strict=True))
    blamed = []
    for chain, way in zip(claims, ways, strict=True):
        found: dict[tuple[str, int], float] = {}
        best = known[text]
        for version in way:
            rise, best = max(known[version.text] - best, 0.0), max(known[version.text], best)
            for each in version.undone:
                found[each.output, each.claim] = rise / len(version.undone)
        blamed.append(_marked(chain, found))
    return tuple(blamed)


def node_blame(claims: Sequence[Chain], graph: TaskGraph) -> dict[str, float]:
    """Return what each node of a tree lost over all claims, 0 for most."""
    lost: defaultdict[str, float] = defaultdict(float)
    for chain in claims:
        for each in chain.walk():
            lost[each.node] += each.blame or 0.0
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
    here = [_Said(claim.text, claim)]
    while undone := tuple(each.chain for each in here if each.chain is not None):
        if not all(chain.grounded for chain in undone):
            return
        below = [origin for each in here for origin in (_origins(each.text, each.chain) if each.chain else [each])]
        here = list({each.text if each.chain is None else id(each.chain): each for each in below}.values())
        yield _Version(f"{before}{' '.join(each.text for each in here)}{after}", undone)


def _origins(text: str, claim: Chain) -> list[_Said]:
    """Return what a text that was taken from a claim is taken back to, of all that the claim rests on, in its order.

    It stays as it is where one of them quotes it. Otherwise it is the one that has most of its words, or that it was
    aligned with first, and others that it joins (`JOINED`) until these are as long as the text.
    """
    found = [_Said(each.text, each) for each in claim.below]
    told = [(quote.text, span) for quote in claim.quotes for span in claim_spans(quote.text)]
    found += [_Said(" ".join(quote[span.start : span.end].split()), None) for quote, span in told]
    for each in found:
        if quotes(each.text, text):
            return [_Said(text, each.chain)]
    known = [_different(each.text) for each in found]
    left = _different(text) & frozenset().union(*known)
    least, chosen, length = max(1.0, JOINED * len(left)), list[int](), 0
    while len(chosen) < len(found) and length < len(words(text)):
        ranks = [(len(here & left), -len(here), -at) for at, here in enumerate(known)]
        best = 0 if not (chosen or claim.cited) else ranks.index(max(ranks))
        if chosen and len(known[best] & left) < least:
            break
        chosen.append(best)
        left, length = left - known[best], length + len(words(found[best].text))
    return [found[at] for at in sorted(chosen)]


def _different(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in words(text))


def _marked(chain: Chain, found: Mapping[tuple[str, int], float]) -> Chain:
    """Return a claim with all that it rests on, each with its blame."""
    known: dict[tuple[str, int], Chain] = {}
    for each in chain.upwards():
        below = tuple(known[part.output, part.claim] for part in each.below)
        known[each.output, each.claim] = replace(each, below=below, blame=found.get((each.output, each.claim)))
    return known[chain.output, chain.claim]
