"""The extractive and the careless policy: limits kept, seeds honoured, log-probabilities exact."""

from itertools import product
from math import exp, log

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.text import sentence_texts
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive, Sentences, salience
from tests.policy.policy_scenes import TEXT, prompt_context, proposed


def sentences_of(tokens: list[int], weights: list[float]) -> Sentences:
    places = np.arange(len(tokens))
    texts = [f"s{place}" for place in places]
    return Sentences(texts, np.array(tokens), np.array(weights), places, np.zeros_like(places))


def test_outputs_are_sentences_of_the_source_in_order_and_within_the_limit() -> None:
    policy = Extractive()
    for output in proposed(policy, prompt_context(), 20, 1):
        chosen = sentence_texts(output.text)
        places = [sentence_texts(TEXT).index(sentence) for sentence in chosen]
        assert places == sorted(places)
        assert policy.tokens.count(output.text) <= 30


def test_equal_seeds_give_equal_outputs_and_other_seeds_others() -> None:
    policy = Extractive()
    texts = [[o.text for o in proposed(policy, prompt_context(), 8, seed)] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_first_outputs_do_not_depend_on_how_many_are_asked_for() -> None:
    policy = Extractive()
    assert proposed(policy, prompt_context(), 2, 3) == proposed(policy, prompt_context(), 5, 3)[:2]


def test_the_probabilities_of_all_selections_sum_to_one_and_match_their_frequencies() -> None:
    sentences = sentences_of([5, 7, 3, 6], [1.0, 2.0, 0.5, 1.5])
    walk = Extractive().walk_through(sentences, 12)
    draws = [walk.draw(generator("test", number)) for number in range(20_000)]
    seen = {tuple(draw.chosen): draw.log_prob for draw in draws}
    assert sum(map(exp, seen.values())) == pytest.approx(1, abs=1e-9)
    for chosen, log_prob in seen.items():
        share = sum(tuple(draw.chosen) == chosen for draw in draws) / len(draws)
        assert share == pytest.approx(exp(log_prob), abs=4 * np.sqrt(exp(log_prob) / len(draws)))


def test_a_log_probability_is_that_of_its_decisions_by_hand() -> None:
    sentences = sentences_of([4, 4], [1.0, 1.0])
    for number in range(20):
        draw = Extractive().walk_through(sentences, 4).draw(generator("hand", number))
        # first sentence: 4 * 1 / (4 + 4) = 1/2; the second, if the budget is whole, 4 * 1 / 4 clipped to 0.98
        expected = {(0,): log(0.5), (1,): log(0.5) + log(0.98), (): log(0.5) + log(0.02)}
        assert draw.log_prob == pytest.approx(expected[tuple(draw.chosen)])


def test_nothing_to_read_gives_an_empty_output_and_a_sentence_too_long_is_cut_and_says_so() -> None:
    assert [o.text for o in proposed(Extractive(), prompt_context(""), 2, 0)] == ["", ""]
    [cut] = proposed(Extractive(), prompt_context("word " * 200, limit=10), 1, 0)
    assert cut.truncated
    assert cut.text == " ".join(["word"] * 10)


def test_a_sentence_of_the_previous_context_is_not_told_again() -> None:
    first = sentence_texts(TEXT)[0]
    outputs = proposed(Extractive(), prompt_context(context=first), 30, 0)
    assert all(first not in output.text for output in outputs)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError):
        Extractive(temperature=0)
    with pytest.raises(InputError):
        Careless(rate=1)


def test_salience_prefers_what_the_text_returns_to_and_is_zero_for_one_voice() -> None:
    ranked = salience(["Martha found letter", "Martha hid letter", "weather stayed grey"])
    assert ranked[2] == min(ranked)
    assert salience(["same words"] * 3).tolist() == [0, 0, 0]


def test_a_careless_writer_makes_mistakes_at_its_rate_with_phrases_it_has_read() -> None:
    original = set(sentence_texts(TEXT))
    careful = [s for o in proposed(Careless(rate=0.0), prompt_context(), 200, 5) for s in sentence_texts(o.text)]
    assert set(careful) <= original
    hasty = [s for o in proposed(Careless(rate=0.5), prompt_context(), 200, 5) for s in sentence_texts(o.text)]
    wrong = [sentence for sentence in hasty if sentence not in original]
    assert wrong
    vocabulary = set(TEXT.replace(".", "").split())
    assert {word for sentence in wrong for word in sentence.replace(".", "").split()} <= vocabulary


def test_mistakes_cost_log_probability_of_their_own() -> None:
    for plain, hasty in zip(
        proposed(Extractive(), prompt_context(), 50, 7),
        proposed(Careless(rate=0.5), prompt_context(), 50, 7),
        strict=True,
    ):
        assert hasty.log_prob is not None and plain.log_prob is not None
        assert hasty.log_prob <= plain.log_prob


def test_every_subset_that_fits_can_be_drawn() -> None:
    sentences = sentences_of([1, 1, 1], [1.0, 1.0, 1.0])
    drawn = {tuple(Extractive().walk_through(sentences, 3).draw(generator("all", n)).chosen) for n in range(5000)}
    possible = {tuple(i for i, take in enumerate(bits) if take) for bits in product((0, 1), repeat=3)}
    assert drawn <= possible
    assert (0, 1, 2) in drawn
