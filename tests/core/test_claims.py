"""Claims and chains: what an output's sentences rest on, followed down to the source."""

from itertools import pairwise

import pytest

from rrm.core.claims import LONG, Chain, Claim, Claims, Origin, Quote, chains, claim_spans, quotes, without_quotes
from rrm.core.errors import InputError
from rrm.core.task import Span
from rrm.core.values import Output

SOURCE = "Anna left. Ben stayed. The dog slept."
LEAF, OTHER, ROOT = (Output(node, text, "p", 0) for node, text in (("a", "Anna left."), ("b", "Ben."), ("r", "Both.")))
OUTPUTS = {each.id: each for each in (LEAF, OTHER, ROOT)}


def said(output: Output, *origins: Origin) -> Claims:
    """An output of one claim."""
    return Claims(output.id, (Claim(Span(0, len(output.text)), origins),))


def read(text: str) -> list[str]:
    return [text[start:end] for start, end in claim_spans(text)]


def test_claims_are_sentences_and_what_has_no_word_is_none() -> None:
    assert read("Anna left. … Ben stayed!\n\n***\n\nThe dog") == ["Anna left.", "Ben stayed!", "The dog"]
    assert read("") == read(" \n ") == []


def test_a_long_sentence_is_cut_into_clauses_of_six_words_at_least() -> None:
    part = "one two three four five six seven eight nine ten"
    cut = read(f"{part} A, and {part} B; {part} C: {part} D: no.")
    assert cut == [f"{part} A,", f"and {part} B;", f"{part} C:", f"{part} D: no."]
    assert max(map(len, read("word " * 5000))) <= 2000


def test_a_long_clause_is_cut_at_other_punctuation_and_without_any_near_its_middle() -> None:
    part = "one two three four five six seven eight nine ten"
    assert read(", ".join([part] * 6)) == [", ".join([part] * 3) + ",", ", ".join([part] * 3)]
    assert read("، ".join([part] * 6)) == ["، ".join([part] * 3) + "،", "، ".join([part] * 3)]
    assert read("—".join([part] * 6)) == ["—".join([part] * 3) + "—", "—".join([part] * 3)]
    plain = read("word " * 300)
    assert len(plain) == 8 and all(30 < len(each.split()) <= LONG for each in plain)
    assert " ".join(plain).split() == ["word"] * 300
    assert read("a/" * 100) == ["a/" * 100]  # no space to cut at


def test_each_item_of_a_list_is_a_claim() -> None:
    assert read("- one item\n- two item\n- three") == ["- one item", "- two item", "- three"]
    assert read("She saw:\n1. One key\n2. Two keys. Both shone.") == [
        "She saw:",
        "1. One key",
        "2. Two keys.",
        "Both shone.",
    ]


def test_a_chain_leads_through_outputs_to_the_source() -> None:
    claims = {
        LEAF.id: said(LEAF, Origin(None, Span(0, 10), 0.9)),
        OTHER.id: said(OTHER, Origin(None, Span(11, 22), 0.5)),
        ROOT.id: said(ROOT, Origin(LEAF.id, Span(0, 4), 0.8), Origin(OTHER.id, Span(0, 4), 1.0)),
    }
    [chain] = chains(ROOT.id, claims, OUTPUTS, SOURCE)
    assert [each.text for each in chain.walk()] == ["Both.", "Anna left.", "Ben."]
    assert chain.score == pytest.approx(0.8 * 0.9)  # the surer of .72 and .5
    assert chain.reaches() == (Quote(Span(0, 10), "Anna left."), Quote(Span(11, 22), "Ben stayed."))


def test_ways_that_end_early_are_told() -> None:
    claims = {
        LEAF.id: said(LEAF),
        ROOT.id: said(ROOT, Origin(LEAF.id, Span(0, 4), 1.0), Origin("gone", Span(0, 4), 1.0)),
    }
    [chain] = chains(ROOT.id, claims, OUTPUTS, SOURCE)
    assert (chain.grounded, chain.lost, chain.reaches()) == (False, 1, ())
    assert chain.below == (Chain("Anna left.", "a", LEAF.id, 0, 0.0),)
    assert chains(ROOT.id, {ROOT.id: Claims(ROOT.id, ())}, OUTPUTS, SOURCE) == ()
    with pytest.raises(InputError, match="no claims are known of the output lost"):
        chains("lost", claims, OUTPUTS, SOURCE)


def test_a_claim_that_many_rest_on_is_followed_once() -> None:
    """Forty levels of which each rests twice on the one below: 2**40 ways, 41 claims."""
    levels = [Output(f"n{at}", "Said. Again.", "p", 0) for at in range(41)]
    claims = {levels[0].id: said(levels[0], Origin(None, Span(0, 5), 1.0))}
    for below, here in pairwise(levels):
        claims[here.id] = said(here, Origin(below.id, Span(0, 5), 0.9), Origin(below.id, Span(0, 12), 0.9))
    [chain] = chains(levels[-1].id, claims, {each.id: each for each in levels}, SOURCE)
    assert len(list(chain.walk())) == 41
    assert chain.score == pytest.approx(0.9**40)


def test_a_chain_of_two_thousand_levels_is_followed_and_blamed() -> None:
    levels = [Output(f"n{at}", "Said.", "p", 0) for at in range(2001)]
    claims = {levels[0].id: said(levels[0], Origin(None, Span(0, 5), 1.0))}
    claims |= {here.id: said(here, Origin(below.id, Span(0, 5), 1.0)) for below, here in pairwise(levels)}
    [chain] = chains(levels[-1].id, claims, {each.id: each for each in levels}, SOURCE)
    assert (len(list(chain.walk())), chain.score) == (2001, 1.0)
    assert [each.text for each in chain.upwards()] == ["Said."] * 2001


@pytest.mark.parametrize(
    ("text", "said", "whole"),
    [
        ("“Rose  slept.” is wrong.", "Rose slept.", True),
        ("He writes “Rose slept”, which is wrong.", "Rose slept.", True),
        ("Rose slept. Nobody says so.", "Rose\nslept.", True),
        ("“Old Rose slept.” is wrong.", "Rose slept.", False),
        ("“As it was late, Rose slept.” is wrong.", "Rose slept.", False),
        ("“Rose slept badly.” is wrong.", "Rose slept.", False),
        ("“Ben went out, and Rose slept.” is wrong.", "and Rose slept.", True),
        ("“Ben went out, and Rose slept.” is wrong.", "Ben went out,", True),
        ("Nothing is wrong.", "", False),
        ("", "Rose slept.", False),
    ],
)
def test_a_sentence_is_quoted_as_a_whole_or_not_at_all(text: str, said: str, whole: bool) -> None:
    assert quotes(text, said) is whole


def test_what_is_quoted_is_taken_out_the_rest_stays() -> None:
    assert without_quotes("“Rose slept.” But “Rose slept badly.”", ["Rose slept."]) == "“.” But “Rose slept badly.”"
