"""What the sentences of an output rest on, on the terminal and as JSON."""

from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import Any

from rich.console import Console

from rrm.core.claims import Chain
from rrm.report.outline import MARKED

_WIDTH = 160


def print_claims(chains: Sequence[Chain], console: Console | None = None) -> None:
    """Print each claim, and under it what it rests on, a step deeper each time, down to the source.

    Steps that lose score are marked, as in reports.
    """
    console = console or Console(highlight=False, markup=False, emoji=False)
    for number, chain in enumerate(chains, 1):
        told = "" if chain.support is None else f" [supported with probability {chain.support:.2f}]"
        console.print(f"{number}. {shorten(chain.text, _WIDTH)}{told}{_lost_at(chain)}", soft_wrap=True)
        for line in _below(chain, 1):
            console.print(line, soft_wrap=True)
    if not chains:
        console.print("the output says nothing")


def claims_json(chains: Sequence[Chain]) -> dict[str, Any]:
    """Return the object that `rrm claims DIR --json` ends with."""
    return {"claims": [_claim_json(chain) for chain in chains]}


def _below(chain: Chain, depth: int) -> Iterator[str]:
    indent = "   " * depth
    for each in chain.below:
        yield f"{indent}rests on ({each.node}): {shorten(each.text, _WIDTH)}{_lost_at(each)}"
        yield from _below(each, depth + 1)
    for quote in chain.quotes:
        yield f"{indent}source, characters {quote.span.start:,} to {quote.span.end:,}: {shorten(quote.text, _WIDTH)}"
    if not (chain.below or chain.quotes):
        yield f"{indent}rests on nothing that its author saw" if not chain.lost else f"{indent}{_LOST}"


def _lost_at(chain: Chain) -> str:
    """Say how much score is lost in the step to a claim, where that is as much as reports mark."""
    return f" [this step loses {chain.blame:.2f} of the score]" if (chain.blame or 0.0) >= MARKED else ""


_LOST = "rests on an output that is no longer known"


def _claim_json(chain: Chain) -> dict[str, Any]:
    return {
        "text": chain.text,
        "node": chain.node,
        "output": chain.output,
        "score": chain.score,
        "cited": chain.cited,
        "lost": chain.lost,
        "support": chain.support,
        "blame": chain.blame,
        "source": [{"start": start, "end": end, "text": text} for (start, end), text in chain.quotes],
        "below": [_claim_json(each) for each in chain.below],
    }
