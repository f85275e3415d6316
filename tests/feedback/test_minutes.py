"""Rater minutes: values by hand, and what must hold of any questions."""

from collections import Counter
from dataclasses import replace
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.text import words
from rrm.core.values import Correction, Feedback, Label, Passage, Rated, Request, Shown, View
from rrm.feedback.minutes import (
    PUBLISHED,
    RATES,
    Meter,
    PublishedRates,
    Rates,
    Tally,
    minutes,
    minutes_of_raters,
    published_minutes,
    tally,
)


def text(count: int) -> str:
    return " ".join(["word"] * count)


def question(view: View, *sizes: int, kind: str = "comparison", copy: int = 0) -> Request:
    shown = tuple(Shown(f"output-{number}", text(size)) for number, size in enumerate(sizes))
    return Request("node", "source", Place(), kind, view, shown, copy=copy)


LEAF = View("Summarise this passage.", (Passage(text(450)),), 128)


def test_three_comparisons_of_a_leaf_by_hand() -> None:
    asked = [question(LEAF, 100, 50, copy=copy) for copy in range(3)]
    # 450 words once and 150 words three times at 250 a minute, and 0.2 minutes a decision: 1.8 + 1.8 + 0.6
    assert minutes(asked) == pytest.approx(4.2, abs=1e-12)
    # the published leaf: 2.5 minutes of reading, 1.5 minutes a comparison; 2.33 a comparison
    assert published_minutes(asked) == pytest.approx(2.5 + 3 * 1.5, abs=1e-12)


def test_the_fourth_decision_about_a_view_reads_it_again_and_another_view_is_read_for_itself() -> None:
    asked = [question(LEAF, 25, kind="label", copy=copy) for copy in range(4)]
    assert minutes(asked) == pytest.approx((2 * 450 + 4 * 25) / 250 + 4 * 0.2, abs=1e-12)
    assert published_minutes(asked) == pytest.approx(2 * 2.5 + 4 * 0.75, abs=1e-12)
    other = View("Summarise this passage.", (Passage(text(50)),), 128)
    assert minutes([*asked, question(other, 25, kind="label")]) - minutes(asked) == pytest.approx(0.5, abs=1e-12)


def test_context_is_read_and_the_instruction_is_not() -> None:
    view = View(text(1000), (Passage(text(100)), Passage(text(100))), 128, context=text(50))
    assert tally([question(view, 10, 20)]) == Tally(views=250, outputs=30, outputs_shown=2, decisions=1)


def test_a_model_is_sent_the_whole_view_with_every_question_and_reads_tokens() -> None:
    asked = [question(LEAF, 10, 20, copy=copy) for copy in range(3)]
    assert tally(asked, decisions_a_reading=1, size=len) == Tally(3 * len(text(450)), 3 * (49 + 99), 6, 3)


def test_who_writes_is_paid_the_words_that_are_expected_of_them_whatever_they_write() -> None:
    # 128 tokens are 72 words at nine for sixteen; of 100 words that are edited a quarter; 19 words a minute
    assert minutes([question(LEAF, kind="demonstration")]) == pytest.approx(450 / 250 + 72 / 19 + 0.2)
    assert minutes([question(LEAF, 100, kind="correction")]) == pytest.approx(550 / 250 + 25 / 19 + 0.2)
    assert published_minutes([question(LEAF, 100, kind="correction")]) == pytest.approx(2.5 + 0.75 + 25 / 19)
    request = question(LEAF, 100, kind="correction")
    said = [Rated(request, Feedback(request.id, "anna", Correction(text(n)))) for n in (3, 90)]
    assert minutes_of_raters(said[:1]) == minutes_of_raters(said[1:]) == minutes([request])
    assert minutes([request], Rates(written_a_minute=50.0)) == pytest.approx(550 / 250 + 0.5 + 0.2)
    assert tally([request], decisions_a_reading=1, size=len).written == 25
    with pytest.raises(ConfigError, match="written_a_minute=0"):
        Rates(written_a_minute=0)


def test_each_rater_reads_for_themselves() -> None:
    request = question(LEAF, 25, kind="label")
    rated = [Rated(request, Feedback(request.id, rater, Label(True))) for rater in ("anna", "ben")]
    assert minutes_of_raters(rated) == pytest.approx(2 * minutes([request]), abs=1e-12)
    assert minutes_of_raters([]) == 0


def test_rates_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="words_a_minute=0"):
        Rates(words_a_minute=0)
    with pytest.raises(ConfigError, match="decisions_a_reading=0"):
        Rates(decisions_a_reading=0)
    with pytest.raises(ConfigError, match="minutes_an_output=-1"):
        PublishedRates(minutes_an_output=-1)
    with pytest.raises(ConfigError, match="nan"):
        Rates(words_a_minute=float("nan"))


questions = st.lists(
    st.builds(
        lambda view, sizes, copy: question(View("Tell.", (Passage(text(view)),), 9, text(view % 7)), *sizes, copy=copy),
        st.integers(0, 4).map(lambda number: 40 * number),
        st.lists(st.integers(0, 30), min_size=1, max_size=6),
        st.integers(0, 3),
    ),
    max_size=25,
)


@given(questions, st.integers(1, 5), st.randoms(use_true_random=False))
def test_minutes_are_the_stated_formula_in_any_order(asked: list[Request], share: int, random: Random) -> None:
    rates = Rates(decisions_a_reading=share)
    decisions = Counter(request.view for request in asked)
    read = sum(ceil(count / share) * len(words(f"{v.text} {v.context}")) for v, count in decisions.items())
    shown = sum(len(words(each.text)) for request in asked for each in request.shown)
    expected = (read + shown) / 250 + 0.2 * len(asked)
    assert minutes(asked, rates) == pytest.approx(expected, rel=1e-12)
    shuffled = list(asked)
    random.shuffle(shuffled)
    assert minutes(shuffled, rates) == minutes(asked, rates)


@given(questions)
def test_the_meter_adds_up_to_the_minutes_and_knows_each_before(asked: list[Request]) -> None:
    for rates in (RATES, PUBLISHED):
        meter = Meter(rates)
        for number, request in enumerate(asked):
            before, marginal, after = meter.minutes, meter.marginal(request), meter.minutes_with(request)
            meter.add(request)
            assert meter.minutes == after == minutes(asked[: number + 1], rates)
            assert marginal == pytest.approx(after - before, abs=1e-9)
            assert marginal > 0 or not request.shown


@given(questions)
def test_more_decisions_a_reading_never_cost_more(asked: list[Request]) -> None:
    costs = [minutes(asked, Rates(decisions_a_reading=share)) for share in (1, 2, 4)]
    assert costs == sorted(costs, reverse=True)


def test_the_same_question_by_another_criterion_costs_a_decision_and_no_reading() -> None:
    """A sheet: a view of 100 words, outputs of 20 and 21 compared, and each rated by three criteria."""
    view = View("Tell.", (Passage(text(100)),), 9)
    compared = question(view, 20, 21)
    rated = [
        replace(question(view, 20), kind="rating", shown=compared.shown[at : at + 1], criterion=criterion)
        for at in (0, 1)
        for criterion in ("overall", "accuracy", "coverage")
    ]
    sheet = [compared, *rated]
    # once the view, the two outputs to be compared, and each of them once to be rated: 182 words
    assert minutes(sheet, Rates(decisions_a_reading=7)) == pytest.approx(182 / 250 + 7 * 0.2)
    assert minutes(sheet[::-1], Rates(decisions_a_reading=7)) == minutes(sheet, Rates(decisions_a_reading=7))
    assert minutes(sheet, PUBLISHED) == pytest.approx(3 * 100 / 180 + 0.75 * 8)
    meter = Meter(Rates(decisions_a_reading=7))
    for request in sheet[:2]:
        meter.add(request)
    assert meter.marginal(sheet[2]) == pytest.approx(0.2)
