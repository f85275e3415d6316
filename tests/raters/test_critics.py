"""A critic by names: it quotes claims that name what the nearest sentence does not, and that sentence."""

from dataclasses import replace

import pytest

from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.protocols import Rater
from rrm.core.values import Critique, Passage, Reject, Request, Shown, View
from rrm.raters.critics import NOTHING, ByNames

VIEW = View(
    "Summarise.",
    (Passage("Agnes was strangled by Jonah at Orchard Lodge. A sharp wind blew. Edmund lent Jonas 12 umbrellas."),),
    60,
)


def asked(text: str, view: View = VIEW, kind: str = "critique") -> Request:
    return Request("node", "source", Place(), kind, view, (Shown("output", text),))


def written(text: str, view: View = VIEW, most: int = 3) -> Critique:
    answer = ByNames(most).rate(asked(text, view), 0).answer
    assert isinstance(answer, Critique)
    answer.check([text])
    return answer


def test_a_claim_that_names_another_is_quoted_with_the_sentence_that_comes_nearest() -> None:
    assert isinstance(ByNames(), Rater)
    text = "A sharp wind blew. Agnes was strangled by Barnaby at Orchard Lodge."
    said = written(text)
    assert said.text == (
        "“Agnes was strangled by Barnaby at Orchard Lodge.” names Barnaby; the nearest sentence does not: “Agnes was"
        " strangled by Jonah at Orchard Lodge.”"
    )
    assert [text[start:end] for start, end in said.spans] == ["Agnes was strangled by Barnaby at Orchard Lodge."]


def test_numbers_count_and_words_that_only_begin_a_sentence_do_not() -> None:
    assert "names 13;" in written("Edmund lent Jonas 13 umbrellas.").text
    assert written("Some sharp wind blew.").text == NOTHING


def test_what_it_cannot_see_it_does_not_say() -> None:
    assert written("Jonah was strangled by Agnes at Orchard Lodge.") == Critique(NOTHING)  # the same names


def test_no_more_claims_are_quoted_than_it_is_told_those_with_most_first() -> None:
    text = "Agnes was strangled by Barnaby at Mill Lane. Edmund lent Rose 12 umbrellas."
    assert len(written(text).spans) == 2 and [*written(text, most=1).spans] == [(0, 44)]


def test_where_there_is_no_claim_or_no_sentence_nothing_is_said_of_either() -> None:
    """It said that every name stands in the sentence that comes nearest."""
    for request in (asked(""), asked("Agnes slept.", replace(VIEW, passages=()))):
        assert isinstance(ByNames().rate(request, 0).answer, Reject)


def test_other_questions_and_numbers_of_claims_are_refused() -> None:
    with pytest.raises(InputError, match="a critique of one output, not a label"):
        ByNames().rate(asked("Agnes slept.", kind="label"), 0)
    with pytest.raises(ConfigError, match="a number of claims from 1 up, got 0"):
        ByNames(0)
