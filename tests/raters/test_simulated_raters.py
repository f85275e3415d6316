"""Simulated raters answer as often as their known rewards say, and in the same way for the same seed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import exp

import numpy as np
import pytest

from rrm.core.errors import InputError, PluginError, ShapeError
from rrm.core.place import Place
from rrm.core.protocols import Rater
from rrm.core.text import sentence_texts, words
from rrm.core.values import Comparison, Consequence, Hindsight, Label, Passage, Ranking, Rating, Request, Shown, View
from rrm.raters.simulated import SimulatedRaters

VIEW = View("Summarise.", (Passage("Marin stole the brass key that belonged to Clara."),), 50)


def length(view: View, texts: Sequence[str], read: float, seed: int) -> np.ndarray:
    """The known truth of these tests: the number of x in a text, in tenths."""
    return np.array([text.count("x") / 10 for text in texts])


def hasty(view: View, texts: Sequence[str], read: float, seed: int) -> np.ndarray:
    """A quality that looks different at each reading."""
    return length(view, texts, read, seed) * (seed % 2)


def request(kind: str, *texts: str, copy: int = 0) -> Request:
    outputs = tuple(Shown(f"output-{at}", text) for at, text in enumerate(texts))
    return Request("node", "source", Place(), kind, VIEW, outputs, copy=copy)


def answers(raters: SimulatedRaters, asked: Request, n: int = 4000) -> list:
    return [raters.rate(asked, seed).answer for seed in range(n)]


def within_chance(count: int, n: int, probability: float) -> bool:
    """Four standard errors of a binomial count."""
    return abs(count - n * probability) <= 4 * (n * probability * (1 - probability)) ** 0.5 + 1e-9


def test_a_panel_is_a_rater_and_names_the_person_who_answered() -> None:
    raters = SimulatedRaters(length, people=3)
    assert isinstance(raters, Rater)
    asked = request("label", "xx")
    names = {raters.rate(asked, seed).rater for seed in range(60)}
    assert names == {"simulated-1", "simulated-2", "simulated-3"}
    assert {raters.rate(asked, seed).request for seed in range(5)} == {asked.id}


def test_equal_seeds_give_equal_answers_and_other_seeds_others() -> None:
    asked = request("comparison", "xxx", "xx")
    first, again = (SimulatedRaters(length, seed=1) for _ in range(2))
    given = [first.rate(asked, seed) for seed in range(50)]
    assert given == [again.rate(asked, seed) for seed in range(50)]
    assert len({feedback.id for feedback in given}) > 1


def test_people_differ_and_are_the_same_people_for_the_same_seed() -> None:
    people = SimulatedRaters(length, people=5, seed=2).people
    assert people == SimulatedRaters(length, people=5, seed=2).people
    assert people[:3] == SimulatedRaters(length, people=3, seed=2).people
    assert len({person.temperature for person in people}) == len({person.leniency for person in people}) == 5
    assert people != SimulatedRaters(length, people=5, seed=3).people


@pytest.mark.parametrize("quality", [length, hasty])
def test_comparisons_come_as_often_as_their_probability(quality) -> None:
    raters, asked = SimulatedRaters(quality, temperature=0.15), request("comparison", "xxx", "xx")
    first, second = raters.probability(asked)
    chosen = Counter(answer.better for answer in answers(raters, asked))
    assert first + second == pytest.approx(1)
    assert set(chosen) == {0, 1}
    assert within_chance(chosen[0], 4000, first)


def test_the_probability_of_one_person_is_bradley_terry_with_lapses() -> None:
    raters = SimulatedRaters(length, people=1, temperature=0.1, lapse=0.2, seed=4)
    (person,) = raters.people
    logit = 0.2 / person.temperature + person.side
    expected = (1 - person.lapse) / (1 + exp(-logit)) + person.lapse / 2
    assert raters.probability(request("comparison", "xxxx", "xx")) == pytest.approx([expected, 1 - expected])


def test_labels_come_as_often_as_their_probability_and_half_are_good_at_the_threshold() -> None:
    raters = SimulatedRaters(length, people=60, accept_at=0.4)
    asked = request("label", "xxxx")
    (good,) = raters.probability(asked)
    assert good == pytest.approx(0.5, abs=0.05)
    assert within_chance(answers(raters, asked).count(Label(good=True)), 4000, good)
    assert raters.probability(request("label", "xxxxxxxx"))[0] > 0.9 > 0.1 > raters.probability(request("label", ""))[0]


def test_ratings_come_as_often_as_their_probability_and_rise_with_quality() -> None:
    raters, asked = SimulatedRaters(length), request("rating", "xxxxx")
    chances = raters.probability(asked)
    assert chances.shape == (7,) and chances.sum() == pytest.approx(1)
    given = Counter(answer.value for answer in answers(raters, asked) if isinstance(answer, Rating))
    assert sum(given.values()) == 4000
    assert all(within_chance(given[value], 4000, chances[value - 1]) for value in range(1, 8))
    means = [raters.probability(request("rating", "x" * n)) @ np.arange(1, 8) for n in (0, 3, 6, 10)]
    assert means == sorted(means) and means[0] < 2 and means[-1] > 6


def test_rankings_put_each_first_as_often_as_its_probability() -> None:
    raters, asked = SimulatedRaters(length, temperature=0.2), request("ranking", "x", "xxxx", "xx")
    chances = raters.probability(asked)
    given = answers(raters, asked)
    assert all(isinstance(answer, Ranking) and sorted(answer.best_first) == [0, 1, 2] for answer in given)
    first = Counter(answer.best_first[0] for answer in given)
    assert all(within_chance(first[at], 4000, chances[at]) for at in range(3))


def test_at_temperature_nought_the_better_is_chosen() -> None:
    raters = SimulatedRaters(length, temperature=1e-9, lapse=0)
    assert set(answers(raters, request("comparison", "x", "xx"), 50)) == {Comparison(1)}
    assert set(answers(raters, request("ranking", "x", "xxx", "xx"), 50)) == {Ranking((1, 2, 0))}
    assert raters.probability(request("comparison", "xx", "x")) == pytest.approx([1, 0])


def test_who_always_lapses_is_right_half_of_the_time() -> None:
    raters = SimulatedRaters(length, temperature=1e-9, lapse=1)
    asked = request("comparison", "x", "xx")
    assert raters.probability(asked) == pytest.approx([0.5, 0.5])
    assert raters.probability(request("label", "x")) == pytest.approx([0.5])
    assert raters.probability(request("rating", "x")) == pytest.approx([1 / 7] * 7)
    assert within_chance(answers(raters, asked).count(Comparison(1)), 4000, 0.5)


def test_ties_come_only_with_a_tie_width() -> None:
    asked = request("comparison", "xx", "x")
    assert Comparison(None) not in answers(SimulatedRaters(length), asked, 500)
    raters = SimulatedRaters(length, people=1, lapse=0, tie_width=1.0)
    (person,) = raters.people
    logit = 0.1 / person.temperature + person.side
    tie = 1 - 1 / (1 + exp(1 - logit)) - 1 / (1 + exp(1 + logit))
    assert within_chance(answers(raters, asked).count(Comparison(None)), 4000, tie)
    assert raters.probability(asked).sum() == pytest.approx(1)


def test_a_person_reads_in_the_share_given_and_in_some_of_the_readings() -> None:
    calls: set[tuple[float, int]] = set()

    def recorded(view: View, texts: Sequence[str], read: float, seed: int) -> np.ndarray:
        calls.add((read, seed))
        return length(view, texts, read, seed)

    raters = SimulatedRaters(recorded, people=2, read=0.5, readings=3)
    answers(raters, request("label", "x"), 100)
    assert len(calls) == 6
    assert {read for read, _ in calls} == {person.read for person in raters.people}
    everything = SimulatedRaters(recorded, read=1.0)
    assert {person.read for person in everything.people} == {1.0}


def test_minutes_are_reading_at_250_words_a_minute_and_deciding() -> None:
    asked = request("comparison", "one two three", "four")  # and nine words in the view
    assert SimulatedRaters(length).minutes(asked) == pytest.approx(13 / 250 + 0.2)
    assert SimulatedRaters(length).rate(asked, 0).seconds == pytest.approx(60 * (13 / 250 + 0.2))


def test_a_quality_can_be_named_by_an_import_string() -> None:
    raters = SimulatedRaters("tasks.synthetic_book:perceived_quality", temperature=0.01, lapse=0)
    theft, weather = VIEW.text, "Fog hung over Crane Quay like wool."
    assert raters.rate(request("comparison", weather, theft), 0).answer == Comparison(1)


@pytest.mark.parametrize("path", ["nowhere.at.all:quality", "tasks.synthetic_book:nothing", "tasks", ":", "math:pi"])
def test_an_import_string_that_leads_nowhere_is_a_plugin_error(path: str) -> None:
    with pytest.raises(PluginError, match=path):
        SimulatedRaters(path)


@pytest.mark.parametrize("kind", ["critique", "reject"])
def test_kinds_that_need_words_of_ones_own_are_refused(kind: str) -> None:
    for answer in (lambda raters, asked: raters.rate(asked, 0), SimulatedRaters.probability):
        with pytest.raises(InputError, match=kind):
            answer(SimulatedRaters(length), request(kind, "x"))


@pytest.mark.parametrize(
    ("kind", "texts"), [("comparison", "x"), ("comparison", "xyz"), ("ranking", "x"), ("label", "xy")]
)
def test_a_request_with_too_few_or_too_many_outputs_is_refused(kind: str, texts: str) -> None:
    with pytest.raises(InputError, match=f"a {kind} needs"):
        SimulatedRaters(length).rate(request(kind, *texts), 0)


@pytest.mark.parametrize(
    "wrong", [{"people": 0}, {"temperature": 0}, {"lapse": 1.5}, {"read": 0}, {"tie_width": -1}, {"readings": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="simulated raters"):
        SimulatedRaters(length, **wrong)


def test_a_quality_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match="2 texts"):
        SimulatedRaters(lambda view, texts, read, seed: np.zeros(3)).rate(request("comparison", "x", "y"), 0)


def test_each_criterion_has_a_quality_of_its_own_and_stands_in_the_answer() -> None:
    def shortness(view: View, texts: Sequence[str], read: float, seed: int) -> np.ndarray:
        return 1 - length(view, texts, read, seed)

    raters = SimulatedRaters(length, criteria={"shortness": shortness}, temperature=0.01, lapse=0.0)
    asked = request("comparison", "x" * 9, "x")
    short = replace(asked, criterion="shortness")
    assert Counter(raters.rate(asked, seed).answer.better for seed in range(50)) == {0: 50}  # type: ignore[union-attr]
    found = [raters.rate(short, seed) for seed in range(50)]
    assert {each.criterion for each in found} == {"shortness"} and {each.answer for each in found} == {Comparison(1)}
    with pytest.raises(InputError, match="judge by overall, shortness, not by rhyme"):
        raters.rate(replace(asked, criterion="rhyme"), 0)


def in_hindsight(first: float, second: float, texts: tuple[str, str] = ("xxxx", "xx")) -> Request:
    came = [Consequence("So it went.", worth) for worth in (first, second)]
    shown = tuple(Shown(f"output-{at}", text, (), came[at]) for at, text in enumerate(texts))
    return replace(request("hindsight", *texts), shown=shown)


def test_in_hindsight_raters_judge_by_what_came_of_outputs_as_far_as_they_mind_it() -> None:
    minding = {
        share: SimulatedRaters(length, lapse=0.0, hindsight=share, seed=2).probability(in_hindsight(0.0, 1.0))[0]
        for share in (0.0, 0.5, 1.0)
    }
    before = SimulatedRaters(length, lapse=0.0, seed=2).probability(request("comparison", "xxxx", "xx"))[0]
    assert minding[0.0] == pytest.approx(before, abs=1e-12) and before > 0.9
    assert minding[1.0] < minding[0.5] < 0.1  # of the worse output more came
    given = SimulatedRaters(length, lapse=0.0, seed=2).rate(in_hindsight(0.0, 1.0), 0).answer
    assert given == Hindsight(1)
    raters = SimulatedRaters(length)
    assert raters.minutes(in_hindsight(0.0, 1.0)) == raters.minutes(request("comparison", "xxxx", "xx")) + 6 / 250


def test_a_question_in_hindsight_that_shows_no_outcome_is_refused() -> None:
    with pytest.raises(InputError, match="shows what came of outputs"):
        SimulatedRaters(length).rate(request("hindsight", "xx", "x"), 0)
    with pytest.raises(InputError, match="hindsight is a share"):
        SimulatedRaters(length, hindsight=1.5)


def told(kind: str, *texts: str) -> Request:
    passage = Passage(" ".join(f"Number {at} has {'x' * at} in it." for at in range(6)))
    outputs = tuple(Shown(f"output-{at}", text) for at, text in enumerate(texts))
    return Request("node", "source", Place(), kind, View("Summarise.", (passage,), 20), outputs)


def test_what_a_simulation_writes_are_sentences_of_the_view_within_the_limit_and_better_than_chance() -> None:
    asked = told("demonstration")
    sharp, blind = (SimulatedRaters(length, temperature=0.01, lapse=lapse) for lapse in (0.0, 1.0))
    written = [raters.rate(asked, seed).answer.text for raters in (sharp, blind) for seed in range(200)]  # type: ignore[attr-defined]
    sentences = set(sentence_texts(asked.view.text))
    assert all(set(sentence_texts(text)) <= sentences and len(words(text)) <= 15 for text in written)
    better, by_chance = (np.mean([text.count("x") for text in some]) for some in (written[:200], written[200:]))
    assert better > by_chance + 1
    assert sharp.rate(asked, 3) == sharp.rate(asked, 3)
    with pytest.raises(InputError, match="this one has none"):
        sharp.rate(replace(asked, view=replace(asked.view, passages=())), 0)


def test_an_edit_differs_by_one_sentence_and_may_leave_the_output_as_it_is() -> None:
    own = "Number 0 has in it. Number 2 has xx in it."
    asked = told("correction", own)
    raters = SimulatedRaters(length, temperature=0.01, lapse=0.0)
    edits = {raters.rate(asked, seed).answer.text for seed in range(200)}  # type: ignore[attr-defined]
    before = set(sentence_texts(own))
    assert all(len(before - set(sentence_texts(each))) <= 1 for each in edits) and len(edits) > 3
    assert np.mean([each.count("x") for each in edits]) > 2
    worst = told("correction", "Number 5 has xxxxx in it.")
    assert "Number 5 has xxxxx in it." in {raters.rate(worst, seed).answer.text for seed in range(200)}  # type: ignore[attr-defined]


def test_writing_takes_the_minutes_of_the_words_that_are_new() -> None:
    raters = SimulatedRaters(length, temperature=0.01, lapse=0.0)
    for asked in (told("demonstration"), told("correction", "Number 0 has in it. Number 2 has xx in it.")):
        given = raters.rate(asked, 1)
        new = Counter(words(given.answer.text)) - Counter(words(asked.group.outputs[0] if asked.shown else ""))  # type: ignore[attr-defined]
        assert given.seconds == pytest.approx(60 * (raters.minutes(asked) + new.total() / 19))
    with pytest.raises(InputError, match="one draft or more"):
        SimulatedRaters(length, drafts=0)
