"""Baselines and ceilings recover what was planted, and never learn from what they are judged on."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Feedback,
    Label,
    Passage,
    Ranking,
    Rated,
    Rating,
    Request,
    Shown,
    View,
)
from rrm.evaluate.baselines import BagOfWords, cross_fitted, longer_wins, verbatim_wins
from rrm.evaluate.ceilings import agreement_among_raters, best_possible, noise_ceiling
from rrm.evaluate.metrics import nll
from rrm.evaluate.outcomes import MOST_PAIRS, outcome_of, pairwise

GOOD, BAD = ["harbour", "confession", "inherits"], ["weather", "dinner", "perhaps"]
FILLER = [f"filler{chr(97 + i)}" for i in range(20)]
TRUE_WEIGHT = {**dict.fromkeys(GOOD, 1.5), **dict.fromkeys(BAD, -1.5)}


def comparison(source: str, first: str, second: str, better: int | None, rater: str = "r", copy: int = 0) -> Rated:
    shown = (Shown("a", first), Shown("b", second))
    request = Request(f"node of {source}", source, Place(), "comparison", View("Summarise.", (), 50), shown, copy=copy)
    return Rated(request, Feedback(request.id, rater, Comparison(better)))


def ranking(texts: list[str], best_first: tuple[int, ...]) -> Rated:
    shown = tuple(Shown(text, text) for text in texts)
    request = Request("node", "book", Place(), "ranking", View("Summarise.", (), 50), shown)
    return Rated(request, Feedback(request.id, "r", Ranking(best_first)))


def reward(text: str) -> float:
    return sum(TRUE_WEIGHT.get(word, 0.0) * math.log1p(count) for word, count in Counter(text.split()).items())


def planted(rows: int, sources: int, seed: int = 0) -> list[Rated]:
    """Comparisons of random texts by a Bradley-Terry rater with the true weights."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        first, second = (sentence(random, [*GOOD, *BAD, *FILLER], 12) for _ in range(2))
        first_wins = random.random() < 1 / (1 + math.exp(reward(second) - reward(first)))
        made.append(comparison(f"book {number % sources}", first, second, 0 if first_wins else 1))
    return made


def sentence(random: np.random.Generator, vocabulary: list[str], length: int) -> str:
    return " ".join(random.choice(vocabulary, size=length))


def texts_of(row: Rated) -> tuple[str, str]:
    return row.request.shown[0].text, row.request.shown[1].text


def requests(rated: list[Rated]) -> list[Request]:
    return [row.request for row in rated]


def test_an_outcome_is_read_from_comparisons_and_rankings_of_two() -> None:
    assert [outcome_of(comparison("s", "x", "y", better)) for better in (0, 1, None)] == [1.0, 0.0, 0.5]
    assert outcome_of(ranking(["x", "y"], (1, 0))) == 0.0
    assert outcome_of(ranking(["x", "y"], (0,))) == 1.0
    assert outcome_of(ranking(["x", "y", "z"], (0, 1, 2))) is None
    label = comparison("s", "x", "y", 0)
    assert outcome_of(replace(label, feedback=Feedback(label.request.id, "r", Label(True)))) is None


def decided(rated: list[Rated]) -> list[tuple[str, str]]:
    """The (better, worse) texts of comparisons."""
    return [texts if outcome_of(row) == 1 else texts[::-1] for row in rated for texts in [texts_of(row)]]


def single(answer: Answer, text: str, rater: str = "r", source: str = "book", view: str = "Summarise.") -> Rated:
    request = Request("node", source, Place(), answer.kind, View(view, (), 50), (Shown(text, text),))
    return Rated(request, Feedback(request.id, rater, answer))


def test_a_partial_ranking_prefers_the_named_to_each_other_and_to_the_unnamed() -> None:
    pairs = pairwise([ranking(["w", "x", "y", "z"], (2, 0))])
    assert set(decided(pairs)) == {("y", "w"), ("y", "x"), ("y", "z"), ("w", "x"), ("w", "z")}
    assert len(pairs) == 5 and {each.request.kind for each in pairs} == {"comparison"}
    assert [outcome_of(each) for each in pairwise([ranking(["x", "y"], (1, 0))])] == [0.0]


def test_comparisons_stay_as_they_are_ties_too() -> None:
    rows = [comparison("s", "x", "y", better) for better in (0, 1, None)]
    assert pairwise(rows) == rows


def test_ratings_and_labels_of_one_rater_beside_one_view_imply_pairs() -> None:
    ratings = [single(Rating(value, 5), text) for text, value in (("low", 1), ("mid", 2.5), ("top", 4), ("also", 4))]
    assert set(decided(pairwise(ratings))) == {
        ("mid", "low"),
        ("top", "low"),
        ("also", "low"),
        ("top", "mid"),
        ("also", "mid"),
    }
    labels = [single(Label(text == "good"), text) for text in ("bad", "good", "poor")]
    assert set(decided(pairwise(labels))) == {("good", "bad"), ("good", "poor")}


def test_pairs_are_implied_only_within_one_rater_view_kind_and_scale() -> None:
    high = single(Rating(4, 5), "top")
    others = [
        single(Rating(1, 5), "x", rater="other"),
        single(Rating(1, 5), "x", view="Shorten."),
        single(Rating(1, 5), "x", source="elsewhere"),
        single(Rating(1, 3), "x"),
        single(Label(False), "x"),
        single(Rating(1, 5), "top"),  # the same text, rated twice
        single(Correction("better"), "x"),
    ]
    assert pairwise([high, *others]) == []


def test_many_ratings_of_one_view_give_so_many_pairs_and_no_more() -> None:
    rows = [single(Rating(1 + place % 5, 5), f"text {place}") for place in range(200)]
    pairs = pairwise(rows)
    assert len(pairs) == MOST_PAIRS == len({tuple(sorted(texts_of(each))) for each in pairs})
    assert pairwise(rows) == pairs


def test_the_kind_of_feedback_does_not_change_what_the_words_learn() -> None:
    texts = [" ".join([word, filler]) for word in (*GOOD, *BAD) for filler in FILLER[:4]]
    marked = [(text, text.split()[0] in GOOD) for text in texts]
    labels = [single(Label(good), text, source=f"book {n % 4}") for n, (text, good) in enumerate(marked)]
    ratings = [
        single(Rating(5 if good else 2, 5), text, source=f"book {n % 4}") for n, (text, good) in enumerate(marked)
    ]
    compared = [Rated(each.request, each.feedback) for each in pairwise(labels)]
    by_label, by_rating, by_comparison = (BagOfWords.fit(rows) for rows in (labels, ratings, compared))
    assert by_label is not None and by_rating is not None and by_comparison is not None
    np.testing.assert_allclose(by_rating.weights, by_label.weights)
    np.testing.assert_allclose(by_comparison.weights, by_label.weights)
    assert by_label.weights[by_label.places["harbour"]] > 0 > by_label.weights[by_label.places["weather"]]


def test_a_bag_of_words_comes_back_from_json_with_equal_predictions() -> None:
    rated = planted(200, 5)
    model = BagOfWords.fit(rated)
    assert model is not None
    back = BagOfWords.from_json(json.loads(json.dumps(model.to_json())))
    assert back.ridge == model.ridge
    fresh = requests(planted(50, 5, seed=1))
    assert (back.probability(fresh) == model.probability(fresh)).all()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ridge": 1},
        {"ridge": "x", "weights": {}},
        {"ridge": 1, "weights": [1]},
        {"ridge": 1, "weights": {"a": math.nan}},
    ],
)
def test_what_is_no_bag_of_words_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="bag of words"):
        BagOfWords.from_json(values)


def test_the_output_with_more_words_wins_and_equal_lengths_are_a_tie() -> None:
    rows = [
        comparison("s", "one two three", "one two", 0),
        comparison("s", "a b", "a, b c!", 0),
        comparison("s", "x y", "u v", 1),
    ]
    assert longer_wins(requests(rows)).tolist() == [1.0, 0.0, 0.5]
    assert longer_wins([]).shape == (0,)


def test_bag_of_words_recovers_planted_weights() -> None:
    model = BagOfWords.fit(planted(3000, 10))
    assert model is not None
    weights = {word: model.weights[model.places[word]] for word in [*GOOD, *BAD, *FILLER]}
    assert all(1.1 < weights[word] < 1.9 for word in GOOD)
    assert all(-1.9 < weights[word] < -1.1 for word in BAD)
    assert all(abs(weights[word]) < 0.4 for word in FILLER)


def test_bag_of_words_solves_the_penalised_problem_it_states() -> None:
    rated = planted(200, 5)
    model = BagOfWords.fit(rated)
    assert model is not None
    counts = np.zeros((200, len(model.places)))
    for row, each in enumerate(rated):
        for sign, shown in ((1, each.request.shown[0]), (-1, each.request.shown[1])):
            for word, count in Counter(shown.text.split()).items():
                counts[row, model.places[word]] += sign * math.log1p(count)
    outcome = np.array([1 - each.feedback.answer.better for each in rated])  # type: ignore[union-attr, operator]
    slope = counts.T @ (1 / (1 + np.exp(-counts @ model.weights)) - outcome) + model.ridge * model.weights
    assert np.abs(slope).max() < 0.02
    np.testing.assert_allclose(model.probability(requests(rated)), 1 / (1 + np.exp(-counts @ model.weights)))


def test_bag_of_words_is_symmetric_in_the_order_shown() -> None:
    rated = planted(200, 5)
    swapped = [comparison(r.request.source, *texts_of(r)[::-1], better=1 - int(outcome_of(r) == 0)) for r in rated]
    straight, turned = BagOfWords.fit(rated), BagOfWords.fit(swapped)
    assert straight is not None and turned is not None
    np.testing.assert_allclose(
        straight.probability(requests(rated)), 1 - turned.probability(requests(swapped)), atol=1e-4
    )


def test_words_without_meaning_are_held_near_chance_by_the_ridge() -> None:
    def noise(rows: int, seed: int) -> list[Rated]:
        random = np.random.default_rng(seed)
        pairs = [(sentence(random, FILLER, 8), sentence(random, FILLER, 8)) for _ in range(rows)]
        return [comparison(f"book {n % 8}", *texts, better=int(random.integers(2))) for n, texts in enumerate(pairs)]

    fresh = noise(1000, seed=100)
    for seed in range(3):
        model = BagOfWords.fit(noise(160, seed))
        assert model is not None
        loss = nll(model.probability(requests(fresh)), np.array([outcome_of(row) for row in fresh], dtype=float))
        assert loss == pytest.approx(math.log(2), abs=0.02)  # a ridge of 0.01 would cost 0.04 to 0.16


def test_nothing_to_learn_from_gives_no_model() -> None:
    assert BagOfWords.fit([]) is None
    only = planted(20, 1)
    assert cross_fitted(requests(only), only, {"book 0": 0}) is None


def test_unknown_words_leave_a_coin() -> None:
    model = BagOfWords.fit(planted(50, 5))
    assert model is not None
    assert model.probability(requests([comparison("s", "quite new", "words here", 0)])).tolist() == [0.5]


def test_ratings_of_the_evaluated_fold_cannot_change_its_predictions() -> None:
    rated = planted(120, 6)
    fold_of = {f"book {number}": number % 3 for number in range(6)}
    poisoned = [
        comparison(row.request.source, *texts_of(row), better=int(outcome_of(row) == 1))
        if fold_of[row.request.source] == 0
        else row
        for row in rated
    ]
    clean, after = (cross_fitted(requests(rated), rows, fold_of) for rows in (rated, poisoned))
    assert clean is not None and after is not None
    here = np.array([fold_of[row.request.source] == 0 for row in rated])
    assert (clean[here] == after[here]).all()
    assert (clean[~here] != after[~here]).all()


def test_ratings_of_an_evaluated_target_cannot_change_its_predictions() -> None:
    rated, target = planted(100, 5), planted(30, 1, seed=9)
    target = [comparison("target", *texts_of(r), better=int(outcome_of(r) == 0)) for r in target]
    fold_of = {f"book {number}": number % 5 for number in range(5)}
    apart = cross_fitted(requests(target), rated, fold_of)
    leaked = cross_fitted(requests(target), [*rated, *target], fold_of)
    model = BagOfWords.fit(rated)
    assert apart is not None and leaked is not None and model is not None
    assert (apart == leaked).all()
    np.testing.assert_array_equal(apart, model.probability(requests(target)))


def test_cross_fitted_words_predict_new_sources_better_than_chance() -> None:
    rated = planted(600, 6)
    found = cross_fitted(requests(rated), rated, {f"book {number}": number % 3 for number in range(6)})
    assert found is not None
    outcome = np.array([outcome_of(row) for row in rated], dtype=float)
    assert ((found > 0.5) == (outcome > 0.5)).mean() > 0.7


def test_the_ceiling_of_a_simulated_rater_is_the_mean_of_the_likelier_choice_without_ties() -> None:
    chance = {"x": 0.9, "y": 0.25, "z": 0.5}
    rows = [comparison("s", text, "-", better) for text, better in (("x", 0), ("y", 0), ("z", None))]
    found = noise_ceiling(rows, lambda request: chance[request.shown[0].text])
    assert found == pytest.approx((0.9 + 0.75) / 2)


def test_checked_answers_have_a_ceiling_of_one_and_single_votes_none() -> None:
    rows = [comparison("s", f"x{number}", "y", 0) for number in range(50)]
    assert noise_ceiling(rows, checked=True) == 1.0
    assert noise_ceiling(rows) is agreement_among_raters(rows) is best_possible(rows) is None
    assert noise_ceiling([], checked=True) is None


def test_each_vote_is_held_against_the_majority_of_the_other_raters() -> None:
    votes = [("a", 0), ("b", 0), ("c", 0), ("d", 1)]
    rows = [
        comparison("s", f"x{pair}", "y", better, rater, copy)
        for pair in range(10)
        for copy, (rater, better) in enumerate(votes)
    ]
    # a, b, c: the others say 0, 0, 1, so agreed; d: the others say 0, 0, 0, so not.
    assert agreement_among_raters(rows) == pytest.approx(3 / 4)


def test_others_who_are_split_are_a_coin_and_the_order_shown_does_not_matter() -> None:
    rows = []
    for pair in range(10):
        first, second = f"x{pair}", "y"
        rows += [
            comparison("s", first, second, 0, "a"),
            comparison("s", second, first, 1, "b"),  # the same choice, shown the other way round
            comparison("s", first, second, 1, "c"),
        ]
    # a: b says x, c says y, a coin; b likewise; c: both others say x, not agreed.
    assert agreement_among_raters(rows) == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_a_raters_own_second_vote_is_not_another_rater() -> None:
    rows = [comparison("s", f"x{pair}", "y", 0, "a", copy) for pair in range(30) for copy in range(2)]
    assert agreement_among_raters(rows) is best_possible(rows) is None


def test_agreement_on_a_handful_of_votes_is_not_reported() -> None:
    rows = [comparison("s", f"x{pair}", "y", 0, rater) for pair in range(9) for rater in "ab"]
    assert agreement_among_raters(rows) is best_possible(rows) is None
    enough = [*rows, *(comparison("s", "last", "y", 0, rater) for rater in "ab")]
    assert agreement_among_raters(enough) == 1.0
    assert best_possible(enough) == pytest.approx(1.0, abs=0.01)


def test_agreement_among_noisy_raters_is_less_than_what_the_best_model_reaches() -> None:
    random = np.random.default_rng(3)
    rows, truth = [], []
    for pair in range(400):
        right = int(random.integers(2))
        for rater in "abcde":
            rows.append(comparison("s", f"x{pair}", f"y{pair}", right if random.random() < 0.8 else 1 - right, rater))
            truth.append(rows[-1].feedback.answer.better == right)  # type: ignore[union-attr]
    agreement, best = agreement_among_raters(rows), best_possible(rows)
    assert agreement is not None and best is not None
    majority_of_four = 0.8 * 0.896 + 0.2 * 0.104  # P(majority of four right, coin if split) = 0.896
    assert agreement == pytest.approx(majority_of_four, abs=0.02)
    assert agreement < best < np.mean(truth)  # pairs are equally hard here, which a beta distribution does not fit


@pytest.mark.parametrize(("a", "voters"), [(0.3, 2), (0.3, 5), (1.0, 3), (4.0, 3)])
def test_the_best_possible_accuracy_is_found_again_from_simulated_votes(a: float, voters: int) -> None:
    random = np.random.default_rng(5)
    preferred = random.beta(a, a, size=1500)
    rows = [
        comparison("s", f"x{pair}", f"y{pair}", int(random.random() >= p), rater)
        for pair, p in enumerate(preferred)
        for rater in "abcde"[:voters]
    ]
    found = best_possible(rows)
    assert found == pytest.approx(np.maximum(preferred, 1 - preferred).mean(), abs=0.025)
    if a == 1.0:
        assert found == pytest.approx(0.75, abs=0.025)  # the mean of max(p, 1 - p) of a uniform p


def test_the_output_with_more_copied_sentences_wins() -> None:
    view = View("Summarise.", (Passage("Anna left. Peter came. It rained."), Passage("Martha sang.")), 50)
    texts = ("Anna left. Martha sang.", "Anna left. Peter went.", "Anna stayed. It rained.", "")
    shown = [Shown(str(number), text) for number, text in enumerate(texts)]
    asked = [
        Request("n", "s", Place(), "comparison", view, (shown[a], shown[b]))
        for a, b in ((0, 1), (1, 0), (1, 2), (3, 1))
    ]
    found = verbatim_wins(asked)
    assert found is not None and found.tolist() == [1.0, 0.0, 0.5, 0.0]
    assert verbatim_wins([Request("n", "s", Place(), "comparison", View("", (), 50), (shown[0], shown[1]))]) is None
