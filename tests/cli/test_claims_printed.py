"""The chains of an output on the terminal: what each claim rests on, and the step that loses score."""

import io
import json
from dataclasses import replace

from rich.console import Console

from rrm.cli.claims import claims_json, print_claims
from rrm.core.claims import Chain, Quote
from rrm.core.task import Span

LEAF = Chain("A barn burned.", "leaf", "o2", 0, 0.5, quotes=(Quote(Span(0, 14), "A mill burned."),), blame=0.25)
ROOT = Chain("A barn burned.", "root", "o1", 0, 0.5, below=(LEAF,), blame=0.004, support=0.125)


def name(node: str) -> tuple[str, str]:
    return ("leaf" if node == "leaf" else "level 1", f"Of {node}")


def printed(*chains: Chain, full: bool = False, no_blame: str = "") -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False, markup=False, emoji=False)
    print_claims(chains, name, full, no_blame, console)
    return out.getvalue().splitlines()


def test_the_step_that_loses_score_is_marked_and_one_that_loses_next_to_nothing_is_not() -> None:
    assert printed(ROOT) == [
        "1. A barn burned. [supported with probability 0.12]",
        "   1.1 rests on (leaf leaf, Of leaf): A barn burned. [this step loses 0.25 of the score]",
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


def test_where_steps_lose_as_much_none_is_accused_alone() -> None:
    joined = replace(ROOT, below=(LEAF, replace(LEAF, node="other", output="o3")))
    marks = [line.rpartition("[")[2] for line in printed(joined) if "rests on" in line]
    assert marks == ["2 steps lose 0.25 of the score each: it rests on too much to tell which]"] * 2


def test_why_blame_is_not_told_is_said() -> None:
    assert printed(ROOT, no_blame="nobody knows")[-1] == "Where score is lost is not told, because nobody knows."
    assert claims_json([ROOT], name, "nobody knows")["no_blame"] == "nobody knows"


def test_a_text_is_cut_unless_it_is_wanted_in_full() -> None:
    long = replace(ROOT, text="word " * 50 + "end.", below=(), support=None)
    assert printed(long)[0].endswith("[...]") and printed(long, full=True)[0].endswith("word end.")


def crossed(depth: int, fan: int) -> Chain:
    """A claim over `depth` levels of outputs, each of whose `fan` claims rests on all of the next."""
    below: tuple[Chain, ...] = ()
    for level in range(depth):
        quotes = () if below else (Quote(Span(0, 2), "It."),)
        below = tuple(Chain("It.", f"n{level}", f"o{level}", at, 1.0, below=below, quotes=quotes) for at in range(fan))
    return Chain("It.", "root", "root", 0, 1.0, below=below)


def test_a_claim_that_is_come_to_in_many_ways_is_told_once_and_then_by_its_number() -> None:
    lines = printed(crossed(5, 8))
    told = [line for line in lines if " rests on (" in line]
    assert len(told) == 40 and len(lines) == 1 + 40 + 4 * 8 * 7 + 8  # each again at seven others, eight quotations
    assert sum(line.endswith(", told above") for line in lines) == 4 * 8 * 7
    row = claims_json([crossed(5, 8)], name)["claims"][0]
    numbers = [step["number"] for step in row["steps"]]
    assert numbers == [f"1.{at}" for at in range(1, 41)]
    assert all(set(step["below"]) <= set(numbers) for step in row["steps"])
    assert len(json.dumps(row)) < 20_000


def test_a_chain_of_two_thousand_levels_is_told() -> None:
    lines = printed(crossed(2000, 1))
    assert len(lines) == 2002 and len(claims_json([crossed(2000, 1)], name)["claims"][0]["steps"]) == 2000
