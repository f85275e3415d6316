"""Every kind of feedback has all that a kind needs, and what a new one lacks is named."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.util import find_spec
from inspect import isabstract
from pathlib import Path
from pkgutil import iter_modules
from typing import ClassVar

import pytest

import rrm.core.kinds
from rrm.core.kinds import inverse, is_right
from rrm.core.kinds.answer import Answer
from rrm.core.values import (
    KINDS,
    ClaimMarks,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Hindsight,
    Label,
    Ranking,
    Rating,
    Reject,
)
from rrm.feedback.likelihood import LIKELIHOODS
from rrm.web.kinds import FORMS

ROOT = Path(__file__).parents[2]
PART_OF = {
    "check": "check against a question",
    "permuted": "permutation",
    "coding": "agreement: coding",
    "difference": "agreement: difference",
    "brief": "words in brief",
    "sentence": "words as a sentence",
    "pairs": "pairs that it decides",
}
"""What each method that a kind must have is."""

EXAMPLES: list[Answer] = [
    Comparison(1, 0.5),
    Hindsight(0, 1.0),
    Ranking((2, 0, 1)),
    Rating(3, 7),
    Label(True),
    Correction("Better so."),
    Demonstration("Mine."),
    Critique("One is too long.", consistent=(0, 2)),
    ClaimMarks(missing=("The fire.",)),
    Reject("no source"),
]


def kinds(base: type[Answer] = Answer) -> Iterator[type[Answer]]:
    """Yield every kind in the package, listed or not; a class without a `kind` of its own is none."""
    for module in iter_modules(rrm.core.kinds.__path__):
        import_module(f"rrm.core.kinds.{module.name}")
    for found in base.__subclasses__():
        if "kind" in vars(found) and found.__module__.startswith("rrm."):
            yield found
        yield from kinds(found)


def lacking(answer: type[Answer]) -> set[str]:
    """Return what a kind lacks, by name."""
    kind = answer.kind
    script = {name: (ROOT / "rrm/web/static" / f"{name}.js").read_text("utf-8") for name in ("kinds", "words/en")}
    exported = re.search(r"export const kinds = \{([^}]*)\}", script["kinds"])
    asked = re.search(r"\n  question: \{([^}]*)\}", script["words/en"])
    assert exported and asked
    there = {
        "place in KINDS": KINDS.get(kind) is answer,
        "likelihood": find_spec(f"rrm.feedback.{kind}") is not None and kind in LIKELIHOODS,
        "form on the page": kind in FORMS,
        "page in kinds.js": kind in re.findall(r"\w+", exported[1]),
        "question in words.js": kind in re.findall(r"(\w+):", asked[1]),
        "row in docs/reward-models.md": kind in rows("reward-models.md"),
        "row in docs/annotators.md": kind in rows("annotators.md"),
        **{name: hasattr(answer, name) for name in ("shows", "metrics")},
        **{f"part of the form: {each.name}": "part" in each.metadata for each in fields(answer)},
    }
    missing = {PART_OF[name] for name in getattr(answer, "__abstractmethods__", ())}
    return missing | {what for what, is_there in there.items() if not is_there}


def rows(page: str) -> set[str]:
    """Return the kinds that begin a row of the page's table of kinds; one row may hold several."""
    table = (ROOT / "docs" / page).read_text("utf-8").split("| kind |", 1)[1].split("\n\n", 1)[0]
    return {kind.strip() for line in table.splitlines() if line[:2] == "| " for kind in line.split("|")[1].split(",")}


def test_every_kind_of_feedback_is_complete() -> None:
    assert {answer.kind: lacking(answer) for answer in kinds()} == {kind: set() for kind in KINDS}
    assert list(FORMS) == list(LIKELIHOODS) == list(KINDS)


def test_all_that_a_new_kind_lacks_is_named() -> None:
    @dataclass(frozen=True)
    class Guess(Answer):
        kind: ClassVar[str] = "guess"
        share: float

    assert lacking(Guess) == {
        *PART_OF.values(),
        "shows",
        "metrics",
        "part of the form: share",
        "place in KINDS",
        "likelihood",
        "form on the page",
        "page in kinds.js",
        "question in words.js",
        "row in docs/reward-models.md",
        "row in docs/annotators.md",
    }
    assert isabstract(Guess)


def test_what_a_new_kind_has_is_not_asked_for_again() -> None:
    @dataclass(frozen=True)
    class Verdict(Label):
        kind: ClassVar[str] = "label"

    assert lacking(Verdict) == {"place in KINDS"}


@pytest.mark.parametrize("answer", EXAMPLES, ids=lambda answer: answer.kind)
def test_an_answer_turned_and_turned_back_is_the_same(answer: Answer) -> None:
    order = (1, 0) if isinstance(answer, Comparison) else (2, 0, 1)
    assert answer.permuted(order).permuted(inverse(order)) == answer


def test_places_follow_the_order() -> None:
    assert Comparison(1, 0.5).permuted((1, 0)) == Comparison(0, 0.5)
    assert Ranking((2, 0)).permuted((2, 0, 1)) == Ranking((1, 2))
    assert Ranking((2, 0, 1), (0,)).permuted((2, 0, 1)) == Ranking((1, 2, 0), (2,))
    assert Critique("x", consistent=(0, 2)).permuted((2, 0, 1)) == Critique("x", consistent=(1, 2))


@pytest.mark.parametrize("answer", EXAMPLES, ids=lambda answer: answer.kind)
def test_the_form_of_every_kind_reads_what_its_answers_hold(answer: Answer) -> None:
    held = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(answer).items()}
    assert type(answer).read(held) == type(answer).of_json(held) == answer


@pytest.mark.parametrize("answer", EXAMPLES, ids=lambda answer: answer.kind)
def test_an_answer_agrees_with_itself_unless_it_is_words(answer: Answer) -> None:
    assert answer.difference(answer) == 0
    assert is_right(answer, answer) is (True if answer.metrics else None)
    assert (answer.coding({}) is None) is not bool(answer.metrics)


def test_the_examples_are_of_every_kind() -> None:
    assert [answer.kind for answer in EXAMPLES] == list(KINDS)


def test_the_kinds_that_anchor_are_those_whose_answers_say_what_is_accepted() -> None:
    says = {name for name, kind in KINDS.items() if kind.accepted is not Answer.accepted}
    assert says == {name for name, kind in KINDS.items() if kind.anchors} == {"label", "rating"}
