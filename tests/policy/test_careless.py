"""What a careless policy makes of a selection: mistakes, other words, another order; how probable, and from what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import exp, log

import pytest

from rrm.core.errors import InputError, PluginError
from rrm.core.place import Place
from rrm.core.protocols import PromptContext
from rrm.core.text import sentence_texts
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from tests.policy.policy_scenes import TEXT, prompt_context, proposed

WIDE = prompt_context(limit=400)


def wrong(sentence: str, read: str) -> Sequence[str]:
    """Three mistakes in any sentence with Anna in it."""
    return [sentence.replace("Anna", other) for other in ("Nobody", "Peter", "Ida")] if "Anna" in sentence else []


def loudly(sentence: str, read: str) -> Sequence[str]:
    return [sentence, sentence.rstrip(".") + "!"]


def at_level(level: int) -> PromptContext:
    return replace(WIDE, place=Place(level=level))


def test_the_log_probability_is_that_of_every_decision() -> None:
    policy, plain = Careless(0.25, mistake=wrong, reword=loudly), Extractive()
    for output, chosen in policy.sample(WIDE, 30, 1):
        walk = plain.walk(WIDE)
        expected = walk.log_prob(walk.write(chosen))
        for index, told in zip(chosen, sentence_texts(output.text), strict=True):
            original = walk.texts[index]
            expected += log(1 / 2)  # one of two ways to write it
            if "Anna" in original:
                expected += log(0.75 if told[:-1] == original[:-1] else 0.25 / 3)
            else:
                assert told[:-1] == original[:-1]
        assert output.log_prob == pytest.approx(expected)


def test_mistakes_come_as_often_as_they_are_said_to_at_each_level() -> None:
    policy = Careless([0.5, 0.0, 0.2], mistake=wrong)
    for level, rate in ((0, 0.5), (1, 0.0), (2, 0.2), (5, 0.2)):
        pieces = [
            (piece, output.text)
            for output in proposed(policy, at_level(level), 300, 0)
            for piece in policy.trace(at_level(level), output)
        ]
        shown = sentence_texts(TEXT)
        open_to = [piece.mistaken for piece, _ in pieces if "Anna" in shown[piece.places[0]]]
        assert sum(open_to) / len(open_to) == pytest.approx(rate, abs=4 * (rate * (1 - rate) / len(open_to)) ** 0.5)


def test_an_output_is_traced_to_the_sentences_that_it_was_made_from() -> None:
    policy, shown = Careless(0.3, mistake=wrong, reword=loudly, disorder=0.3), sentence_texts(TEXT)
    for output in proposed(policy, WIDE, 40, 2):
        pieces = policy.trace(WIDE, output)
        assert " ".join(output.text[piece.span.start : piece.span.end] for piece in pieces) == output.text
        for piece in pieces:
            told, [place] = output.text[piece.span.start : piece.span.end], piece.places
            assert (told[:-1] != shown[place][:-1]) == piece.mistaken


def test_equal_sentences_are_all_named_as_what_a_piece_was_made_from() -> None:
    given = prompt_context("It rained. Anna left. It rained.", 100)
    traced = {
        given.view.text[0:10]: piece.places
        for output in proposed(Extractive(), given, 20, 0)
        for piece in Extractive().trace(given, output)
        if output.text[piece.span.start : piece.span.end] == "It rained."
    }
    assert traced == {"It rained.": (0, 2)}


def test_only_the_policy_that_wrote_an_output_can_trace_it() -> None:
    [output] = proposed(Careless(0.5, mistake=wrong), WIDE, 1, 0)
    with pytest.raises(InputError, match="was not written by"):
        Careless(0.5).trace(WIDE, output)
    with pytest.raises(InputError, match="was not written by"):
        Extractive().trace(WIDE, output)


def test_sentences_are_misplaced_as_repeated_insertion_says() -> None:
    three = prompt_context("Anna left. Peter came. Martha sang.", 400)
    policy, disorder, n = Careless(0.0, disorder=0.4), 0.4, 4000
    outputs = [output for output, chosen in policy.sample(three, n, 3) if len(chosen) == 3]
    found = Counter(tuple(sentence_texts(output.text)) for output in outputs)
    told = sentence_texts(three.view.text)
    for order in permutations(told):
        second_first, place = order.index(told[1]) < order.index(told[0]), order.index(told[2])
        expected = (disorder if second_first else 1 - disorder) * ((1 - disorder) if place == 2 else disorder / 2)
        share = found[order] / len(outputs)
        assert share == pytest.approx(expected, abs=4 * (expected / len(outputs)) ** 0.5)
        walk = policy.writer.walk(three)
        given = next(each for each in outputs if tuple(sentence_texts(each.text)) == order)
        assert exp((given.log_prob or 0) - walk.log_prob(" ".join(told))) == pytest.approx(expected)


def test_what_does_not_fit_any_more_is_left_out_whole() -> None:
    def at_length(sentence: str, read: str) -> Sequence[str]:
        return [f"In those days, as everybody knows and nobody denies, {sentence}"]

    given = prompt_context(limit=40)
    policy = Careless(0.0, reword=at_length)
    outputs = proposed(policy, given, 20, 0)
    assert any(output.truncated for output in outputs)
    for output in outputs:
        assert policy.writer.tokens.count(output.text) <= 40
        assert output.text.endswith(".") or output.text.count("In those days") == 1
        assert len(policy.trace(given, output)) == output.text.count("In those days")


@pytest.mark.parametrize("settings", [{"rate": 1.0}, {"rate": []}, {"rate": [0.1, -0.1]}, {"disorder": 1.0}])
def test_rates_that_are_none_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"lies in \[0, 1\)"):
        Careless(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["nowhere.at.all:reword", "rrm.policy.mistakes:nothing", "math:pi", ""])
def test_a_rewriting_that_leads_nowhere_is_named(path: str) -> None:
    with pytest.raises(PluginError, match="the rewriting"):
        proposed(Careless(reword=path), WIDE, 1, 0)


def test_policies_that_reword_otherwise_have_no_kl() -> None:
    with pytest.raises(InputError, match="equal rates of mistakes and other settings"):
        Careless(mistake=wrong).kl(WIDE, Careless(mistake=wrong, reword=loudly))
