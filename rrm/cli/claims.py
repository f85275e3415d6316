"""What the sentences of an output rest on, on the terminal and as JSON."""

from collections.abc import Callable, Iterator, Sequence
from textwrap import shorten
from typing import Any, NamedTuple

from rich.console import Console

from rrm.core.claims import Chain, Quote
from rrm.report.outline import MARKED

_WIDTH = 160
_DEEPEST = 20  # steps further down are indented no more


Name = Callable[[str], tuple[str, str]]
"""What a node is called, by its id: leaf, root or its level, and a title."""


class Step(NamedTuple):
    """A step of a claim's way, from depth 1: a claim with its `number`, the source's words, or what can't be followed.

    A claim that was told `before` has its number again and nothing below it.
    """

    depth: int
    number: str
    said: Chain | Quote | str
    before: bool = False


def print_claims(
    chains: Sequence[Chain],
    name: Name,
    full: bool = False,
    no_blame: str = "",
    console: Console | None = None,
) -> None:
    """Print each claim, and under it what it rests on, a step deeper each time, down to the source.

    `name` tells of nodes by id. What a claim comes to in several ways is told once, and then by its number. Texts are
    cut after `_WIDTH` characters unless they are wanted in `full`. Steps that lose score are marked, as in reports, or
    it is said why that is not told (`no_blame`).
    """
    console = console or Console(highlight=False, markup=False, emoji=False)
    for number, chain in enumerate(chains, 1):
        told = "" if chain.support is None else f" [supported with probability {chain.support:.2f}]"
        weakest = chain.weakest()
        console.print(f"{number}. {_cut(chain.text, full)}{told}{_lost_at(chain, weakest)}", soft_wrap=True)
        for step in steps(chain, number):
            console.print("   " * min(step.depth, _DEEPEST) + _line(step, name, full, weakest), soft_wrap=True)
    if not chains:
        console.print("the output says nothing")
    if no_blame:
        console.print(f"Where score is lost is not told, because {no_blame}.", soft_wrap=True)


def claims_json(chains: Sequence[Chain], name: Name, no_blame: str = "") -> dict[str, Any]:
    """Return the object that `rrm claims DIR --json` ends with.

    Every claim has the `steps` of its way, each once; claims and steps name what they rest on by the steps' numbers.
    """
    return {
        "claims": [_whole_json(number, chain, name) for number, chain in enumerate(chains, 1)],
        "no_blame": no_blame or None,
    }


def steps(chain: Chain, number: int) -> Iterator[Step]:
    """Yield what a claim rests on, each claim before what that rests on itself and numbered "1.1" on."""
    numbers: dict[tuple[str, int], str] = {}
    waiting = _below(chain, 1)
    while waiting:
        depth, said = waiting.pop()
        if not isinstance(said, Chain):
            yield Step(depth, "", said)
            continue
        key = (said.output, said.claim)
        known = key in numbers
        numbers.setdefault(key, f"{number}.{len(numbers) + 1}")
        yield Step(depth, numbers[key], said, known)
        waiting += [] if known else _below(said, depth + 1)


def _below(chain: Chain, depth: int) -> list[tuple[int, Chain | Quote | str]]:
    """Return what a claim rests on directly, the last first."""
    nothing = _LOST if chain.lost else "rests on nothing that its author saw"
    below: list[Chain | Quote | str] = [*chain.below, *chain.quotes] or [nothing]
    return [(depth, each) for each in reversed(below)]


def _line(step: Step, name: Name, full: bool, weakest: Sequence[Chain]) -> str:
    said = step.said
    if isinstance(said, str):
        return said
    if isinstance(said, Quote):
        return f"source, characters {said.span.start:,} to {said.span.end:,}: {_cut(said.text, full)}"
    if step.before:
        return f"rests on {step.number}, told above"
    level, title = name(said.node)
    where = f"{level} {said.node}, {shorten(title, 60)}" if title else f"{level} {said.node}"
    return f"{step.number} rests on ({where}): {_cut(said.text, full)}{_lost_at(said, weakest)}"


def _cut(text: str, full: bool) -> str:
    return " ".join(text.split()) if full else shorten(text, _WIDTH)


def _lost_at(chain: Chain, weakest: Sequence[Chain]) -> str:
    """Say how much score is lost in the step to a claim, where that is as much as reports mark."""
    if (chain.blame or 0.0) < MARKED:
        return ""
    if len(weakest) > 1 and any((each.output, each.claim) == (chain.output, chain.claim) for each in weakest):
        return f" [{len(weakest)} steps lose {chain.blame:.2f} of the score each: it rests on too much to tell which]"
    return f" [this step loses {chain.blame:.2f} of the score]"


_LOST = "rests on an output that is no longer known"


def _whole_json(number: int, chain: Chain, name: Name) -> dict[str, Any]:
    way = {step.number: step.said for step in steps(chain, number) if isinstance(step.said, Chain)}
    numbers = {(said.output, said.claim): step for step, said in way.items()}
    told = [{"number": step, **_claim_json(said, numbers, name)} for step, said in way.items()]
    return {"number": str(number), **_claim_json(chain, numbers, name), "steps": told}


def _claim_json(chain: Chain, numbers: dict[tuple[str, int], str], name: Name) -> dict[str, Any]:
    level, title = name(chain.node)
    return {
        "text": chain.text,
        "node": chain.node,
        "level": level,
        "title": title,
        "output": chain.output,
        "score": chain.score,
        "cited": chain.cited,
        "lost": chain.lost,
        "support": chain.support,
        "blame": chain.blame,
        "source": [{"start": start, "end": end, "text": text} for (start, end), text in chain.quotes],
        "below": [numbers[each.output, each.claim] for each in chain.below],
    }
