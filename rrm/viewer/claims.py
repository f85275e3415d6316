"""What the sentences of an output rest on, as JSON: step by step down to the text of the source."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rrm.core.claims import Chain, Quote
from rrm.report.outline import MARKED

AROUND = 300
"""Characters of the source that are told on either side of what a claim rests on."""

Link = Callable[[str], dict[str, Any]]
"""A node's number in the tree, id and title, by its id."""


def claims_json(chains: Sequence[Chain], source: str, link: Link) -> list[dict[str, Any]]:
    """Return each claim with the steps of its way, those right under it first; `depth` counts from 1.

    A step is a claim of an output below, with its `node`, or a piece of the source, with its `span` and what stands
    before and behind it. A claim that is come to in several ways is told once. `worst` is the step that loses most of
    the root's score, if that is `MARKED` or more, with its node, or how many steps lose as much.
    """
    return [
        {**_claim(chain), "worst": _worst(chain, link), "steps": list(_steps(chain, source, link))} for chain in chains
    ]


def _worst(chain: Chain, link: Link) -> dict[str, Any] | None:
    weakest = chain.weakest()
    if not weakest or (blame := weakest[0].blame or 0.0) < MARKED:
        return None
    return {"blame": blame, "steps": len(weakest), "node": link(weakest[0].node) if len(weakest) == 1 else None}


def _claim(chain: Chain) -> dict[str, Any]:
    return {
        "text": chain.text,
        "grounded": chain.grounded,
        "lost": chain.lost,
        "cited": chain.cited,
        "score": chain.score,
        "support": chain.support,
        "blame": chain.blame,
    }


def _steps(chain: Chain, source: str, link: Link) -> Iterator[dict[str, Any]]:
    for depth, each in chain.steps():
        if isinstance(each, Quote):
            yield _quote(depth, each, source)
        else:
            yield {"depth": depth, "node": link(each.node), **_claim(each)}


def _quote(depth: int, quote: Quote, source: str) -> dict[str, Any]:
    start, end = quote.span
    before, after = source[max(0, start - AROUND) : start], source[end : end + AROUND]
    return {"depth": depth, "node": None, "text": quote.text, "span": [start, end], "before": before, "after": after}
