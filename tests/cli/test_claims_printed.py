"""The chains of an output on the terminal: what each claim rests on, and the step that loses score."""

import io
from dataclasses import replace

from rich.console import Console

from rrm.cli.claims import print_claims
from rrm.core.claims import Chain, Quote
from rrm.core.task import Span

LEAF = Chain("A barn burned.", "leaf", "o2", 0, 0.5, quotes=(Quote(Span(0, 14), "A mill burned."),), blame=0.25)
ROOT = Chain("A barn burned.", "root", "o1", 0, 0.5, below=(LEAF,), blame=0.004, support=0.125)


def printed(*chains: Chain) -> list[str]:
    out = io.StringIO()
    print_claims(chains, Console(file=out, width=200, highlight=False, markup=False, emoji=False))
    return out.getvalue().splitlines()


def test_the_step_that_loses_score_is_marked_and_one_that_loses_next_to_nothing_is_not() -> None:
    assert printed(ROOT) == [
        "1. A barn burned. [supported with probability 0.12]",
        "   rests on (leaf): A barn burned. [this step loses 0.25 of the score]",
        "      source, characters 0 to 14: A mill burned.",
    ]


def test_what_rests_on_nothing_or_on_what_is_not_known_any_more_says_so() -> None:
    alone = replace(ROOT, below=(), blame=None, support=None)
    assert printed(alone, replace(alone, lost=1)) == [
        "1. A barn burned.",
        "   rests on nothing that its author saw",
        "2. A barn burned.",
        "   rests on an output that is no longer known",
    ]
    assert printed() == ["the output says nothing"]
