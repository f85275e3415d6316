"""Fitting: known rewards come back, and nobody is judged by a member that saw it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import (
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Group,
    Label,
    Ranking,
    Rated,
    Rating,
    Reject,
)
from rrm.evaluate.held_out import Predicted, held_out
from rrm.feedback.table import tabulate
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, balanced_folds, fit
from rrm.reward.heads import Heads, fit_heads
from rrm.reward.model import SEEN_BY_ALL, LevelModel
from tests.reward.reward_problems import (
    WordEncoder,
    items,
    output,
    rate,
    rate_length,
    rate_padded,
    rated,
    told,
    view,
)

SMALL = FitConfig(members=8, folds=4, l2=5.0, shrink=5.0, components=4)
EVIDENCE = replace(SMALL, shrink=None)
READER = FeatureReader(WordEncoder())


def accuracy(rows: Sequence[Predicted]) -> float:
    return float(np.mean([(row.probability > 0.5) == row.outcome for row in rows if row.outcome is not None]))


def heads_of(rows: Sequence[Rated], columns: np.ndarray, precision: float, reliability: bool = False) -> Heads:
    """Fit one head to rows whose texts name rows of `columns`."""
    feedback = tabulate(rows)
    at = [int(item.text.split()[1]) for item in feedback.items]
    start = np.zeros((1, columns.shape[1])), np.zeros(1)
    return fit_heads(columns[at], feedback, np.ones((1, 1)), *start, precision, reliability)


def test_heads_recover_known_linear_rewards_from_every_kind() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([1.0, -2.0, 0.5])
    columns = rng.normal(size=(4000, 3))
    reward, names = columns @ truth, items(4000)
    rows: dict[str, list[Rated]] = {"comparison": [], "label": [], "rating": [], "quantity": [], "ranking": []}
    for a, b in rng.integers(4000, size=(4000, 2)):
        better = rng.random() < 1 / (1 + np.exp(reward[b] - reward[a]))
        rows["comparison"].append(told(Comparison(0 if better else 1), names[a], names[b]))
    for item in range(2000):
        good = rng.random() < 1 / (1 + np.exp(-reward[item] - 0.7))
        rows["label"].append(told(Label(bool(good)), names[item]))
        noisy = reward[item] + rng.logistic()
        value = 1 + sum(noisy > cut for cut in (-1.0, 0.5, 2.0))
        rows["rating"].append(told(Rating(value, 4), names[item]))
        # half the width of a scale of 101 points is 50: a logit is 4 points, and zero lies at 57
        quantity = 57 + 4 * (reward[item] + rng.normal() * np.pi / np.sqrt(3))
        rows["quantity"].append(told(Rating(float(np.clip(quantity, 1, 101)), 101), names[item]))
        trio = [int(each) for each in rng.choice(4000, 3, replace=False)]
        order = np.argsort([-reward[each] - rng.gumbel() for each in trio])
        rows["ranking"].append(told(Ranking(tuple(int(at) for at in order)), *(names[each] for each in trio)))
    for kinds in (["comparison"], ["label"], ["rating"], ["quantity"], ["ranking"], ["comparison", "label", "rating"]):
        found = heads_of([row for kind in kinds for row in rows[kind]], columns, precision=1e-3)
        np.testing.assert_allclose(found.heads[0], truth, atol=0.2, err_msg=str(kinds))
        if "label" in kinds:
            assert found.anchor[0] == pytest.approx(0.7, abs=0.15)
        elif "rating" in kinds:
            assert found.anchor[0] == pytest.approx(-0.5, abs=0.15)  # the middle threshold of four points
        elif "quantity" in kinds:
            assert found.anchor[0] == pytest.approx((57 - 51) / 4, abs=0.15)


def test_heads_agree_with_scikit_learn_on_plain_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    rng = np.random.default_rng(1)
    columns, names = rng.normal(size=(120, 5)), items(120)
    pairs = rng.integers(120, size=(90, 2))
    choice = rng.integers(2, size=90)
    rows = [told(Comparison(int(c)), names[a], names[b]) for (a, b), c in zip(pairs, choice, strict=True)]
    heads = heads_of(rows, columns, precision=2.0).heads
    other = linear_model.LogisticRegression(C=1 / 2.0, fit_intercept=False, tol=1e-10, max_iter=1000)
    other.fit(columns[pairs[:, 0]] - columns[pairs[:, 1]], choice == 0)
    np.testing.assert_allclose(heads[0], other.coef_[0], atol=1e-5)


def test_raters_are_found_together_with_the_head_and_those_who_say_nothing_do_no_harm() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([1.0, -2.0, 0.5, 1.5])
    columns = rng.normal(size=(500, 4))
    reward, names = columns @ truth, items(500)
    people = {"Ann": 0.0, "Bob": 0.0, "Cem": 0.0, "random": 1.0, "contrary": -1.0}
    rows = []
    for name, harm in people.items():
        for a, b in rng.integers(500, size=(300, 2)):
            margin = (reward[a] - reward[b]) * {0.0: 1, 1.0: 0, -1.0: -1}[harm]
            better = rng.random() < 1 / (1 + np.exp(-margin))
            rows.append(told(Comparison(0 if better else 1), names[a], names[b], rater=name))
    modelled, plain = (heads_of(rows, columns, precision=0.1, reliability=each) for each in (True, False))
    cosine = [float(found.heads[0] @ truth / np.linalg.norm(found.heads[0])) for found in (modelled, plain)]
    assert cosine[0] > 0.995 * np.linalg.norm(truth)
    assert cosine[0] > cosine[1]
    # the head speaks for the average row: with two of five raters saying nothing that is still near the truth
    assert np.linalg.norm(modelled.heads[0]) > 1.5 * np.linalg.norm(plain.heads[0])
    worst = sorted(modelled.raters, key=lambda rater: rater.sensitivity)[:2]
    assert {rater.name for rater in worst} == {"random", "contrary"}
    assert {rater[1:4] for rater in plain.raters} == {(1.0, 0.0, 0.0)}


def test_the_order_of_ratings_makes_no_difference_to_a_fit() -> None:
    rows = rate(sources=4, comparisons=10, labels=5)
    shuffled = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    one, other = (fit(each, READER, SMALL, seed=0) for each in (rows, shuffled))
    group = Group("new", Place(), view("new"), ("Anna river.", "Zelda foo."))
    np.testing.assert_allclose(one.rewards([group])[0], other.rewards([group])[0], atol=1e-5)
    np.testing.assert_allclose(one.acceptance([group])[0], other.acceptance([group])[0], atol=1e-5)


def test_a_fit_with_reliability_records_what_it_found_of_raters() -> None:
    rows = [
        replace(row, feedback=replace(row.feedback, rater=("Ann", "Bob")[number % 2]))
        for number, row in enumerate(rate(sources=4, comparisons=10, labels=5))
    ]
    model = fit(rows, READER, replace(SMALL, reliability=True), seed=0)
    assert [rater["name"] for rater in model.settings["raters"]] == ["Ann", "Bob"]
    assert all(0.5 < rater["temperature"] < 2 and rater["rows"] == 30 for rater in model.settings["raters"])
    assert "raters" not in fit(rows, READER, SMALL, seed=0).settings


def test_held_out_sources_are_predicted_nearly_as_well_as_the_raters_allow() -> None:
    rows = rate(sources=8, comparisons=25, worth=1.5)
    model = fit(rows, READER, SMALL, seed=0)
    found = held_out(rows, model)
    assert len(found) == len(rows) == model.ratings
    # a rater who errs as these do agrees with the true order in about 93 % of such pairs
    assert accuracy(found) > 0.85
    fresh = [replace(row, request=replace(row.request, source="new")) for row in rate(2, 25, seed=9)]
    assert accuracy(held_out(fresh, model)) > 0.85


def share_right(rows: Sequence[Rated], test: Sequence[Rated], better: Callable[[str], float], weight: float) -> float:
    """The share of pairs about new sources of which a model with such a `length_weight` finds the truly better one."""
    model = fit(rows, READER, FitConfig(members=4, folds=2, length_weight=weight), seed=0)
    pairs = [row.request.group for row in test]
    said = [float((found[:, 0] - found[:, 1]).mean()) for found in model.rewards(pairs)]
    return float(
        np.mean([(s > 0) == (better(g.outputs[0]) > better(g.outputs[1])) for s, g in zip(said, pairs, strict=True)])
    )


def distinct_words(text: str) -> int:
    return len(set(text.strip(".").split()))


def copied_sentences(text: str) -> int:
    return text.count("Anna")


def test_where_only_length_tells_few_ratings_are_enough_to_learn_it() -> None:
    found = {
        weight: np.mean(
            [share_right(rate_length(8, 6, s), rate_length(30, 6, s + 100), distinct_words, weight) for s in (1, 2, 3)]
        )
        for weight in (1.0, FitConfig().length_weight)
    }
    # "more different words win" is always right here; among sixty features of one weight it drowns
    assert found[FitConfig().length_weight] > 0.89
    assert found[FitConfig().length_weight] > found[1.0] + 0.04


def test_where_length_says_nothing_its_weight_does_no_harm() -> None:
    for seed in (2, 3):
        rows, test = rate_padded(8, 20, seed), rate_padded(20, 6, seed + 100)
        heavy, light = (
            share_right(rows, test, copied_sentences, weight) for weight in (FitConfig().length_weight, 0.01)
        )
        assert heavy > max(0.9, light - 0.02)


def test_lies_about_a_source_do_not_reach_predictions_about_it() -> None:
    honest, poisoned = rate(), rate(flip="s3")
    a, b = fit(honest, READER, SMALL, seed=0), fit(poisoned, READER, SMALL, seed=0)
    group = honest[3 * 20].request.group
    assert group.source == "s3" and honest != poisoned
    np.testing.assert_allclose(a.rewards([group])[0], b.rewards([group])[0], atol=1e-5)
    before, after = (held_out(honest, model) for model in (a, b))
    for row, other_row in zip(before, after, strict=True):
        if row.source == "s3":
            assert row.probability == pytest.approx(other_row.probability, abs=1e-5)
    other = replace(group, source="s1" if a.seen["s1"] != a.seen["s3"] else "s2")
    assert np.abs(a.rewards([other])[0] - b.rewards([other])[0]).max() > 1e-2


def test_each_source_is_scored_by_exactly_the_members_that_left_it_out() -> None:
    model = fit(rate(), READER, SMALL, seed=0)
    for source, fold in model.seen.items():
        assert model.members_for(source).tolist() == [m for m in range(8) if m % 4 == fold]
        group = Group(source, Place(), view(source), ("a text", "another"))
        assert model.rewards([group])[0].shape == model.acceptance([group])[0].shape == (2, 2)
    assert model.rewards([Group("new", Place(), view("new"), ("a text",))])[0].shape == (8, 1)


def test_folds_are_balanced_seeded_and_no_more_than_the_sources() -> None:
    names = [f"s{number}" for number in range(10)]
    folds = balanced_folds(names, 1, 4)
    counts = np.bincount(list(folds.values()))
    assert counts.max() - counts.min() <= 1 and len(counts) == 4
    assert balanced_folds(reversed(names), 1, 4) == folds
    assert balanced_folds(names, 2, 4) != folds
    assert sorted(balanced_folds(["a", "b"], 0, 4).values()) == [0, 1]


def test_two_sources_are_held_out_in_turn() -> None:
    model = fit(rate(sources=2), READER, SMALL, seed=0)
    assert model.folds == 2 and sorted(model.seen.values()) == [0, 1]
    assert len(held_out(rate(sources=2), model)) == 40


def test_a_single_source_holds_nothing_out_and_says_so() -> None:
    rows = rate(sources=1, comparisons=30)
    model = fit(rows, READER, SMALL, seed=0)
    assert dict(model.seen) == {"s0": SEEN_BY_ALL}
    assert not model.holds_out("s0") and model.holds_out("new")
    assert held_out(rows, model) == []
    assert model.rewards([rows[0].request.group])[0].shape == (8, 2)


def test_folds_that_are_given_are_kept() -> None:
    model = fit(rate(), READER, SMALL, seed=0, fold_of=lambda source: int(source[1:]) // 2)
    assert dict(model.seen) == {f"s{number}": number // 2 for number in range(8)}


def test_a_source_keeps_at_the_next_level_the_fold_that_it_had_below() -> None:
    below = fit(rate(sources=4), READER, SMALL, seed=0)
    above = fit(rate(sources=8, seed=5), READER, SMALL, seed=7, init=below, place=Place(level=1))
    assert {source: above.seen[source] for source in below.seen} == dict(below.seen)
    assert set(above.seen) == {f"s{number}" for number in range(8)}


def test_equal_seeds_give_equal_models_and_other_seeds_others() -> None:
    rows = rate()
    one, two = (fit(rows, FeatureReader(WordEncoder()), SMALL, seed=0) for _ in range(2))
    assert one.digest == two.digest
    assert fit(rows, READER, SMALL, seed=1).digest != one.digest


def test_members_differ_so_a_score_is_a_distribution() -> None:
    model = fit(rate(), READER, SMALL, seed=0)
    spread = model.rewards([Group("new", Place(), view("new"), ("Anna river.",))])[0].std(axis=0)
    assert (spread > 1e-3).all()


def test_a_level_learns_from_its_own_ratings_more_the_more_there_are() -> None:
    below = fit(rate(labels=10), READER, SMALL, seed=0)
    moved, own = [], []
    for comparisons in (1, 4, 40):
        above = fit(rate(comparisons=comparisons, seed=3), READER, EVIDENCE, 0, below, Place(level=1))
        assert above.place == Place(level=1) and above.ratings == 8 * comparisons and not above.shared_head
        assert above.shrinkage is not None and 0 < above.shrinkage.own < 1
        moved.append(float(np.abs(above.heads - below.heads).max()))
        own.append(above.shrinkage.own)
    assert 0 < moved[0] < moved[1] < moved[2]
    assert own[0] < 0.5 and own[0] < own[1] < own[2] and own[2] > 0.7
    assert below.shrinkage is None and LevelModel.shared(above, Place(level=2)).shrinkage is None


def test_ratings_that_agree_with_the_level_below_leave_its_heads_and_others_do_not() -> None:
    below = fit(rate(comparisons=40), READER, SMALL, seed=0)
    found = {}
    for worth in (1.5, -1.5):
        rows = rate(comparisons=20, worth=worth, seed=3)
        above = fit(rows, READER, EVIDENCE, seed=0, init=below, place=Place(level=1))
        assert above.shrinkage is not None
        found[worth] = above.shrinkage.precision
        assert accuracy(held_out(rows, above)) > 0.85
    assert found[1.5] > 3 * found[-1.5]


def test_how_strongly_a_source_s_members_are_shrunk_is_decided_without_its_ratings() -> None:
    below = fit(rate(), READER, SMALL, seed=0)
    honest, poisoned = rate(seed=4), rate(seed=4, flip="s3")
    a, b = (fit(rows, READER, EVIDENCE, 0, below, Place(level=1)) for rows in (honest, poisoned))
    group = honest[3 * 20].request.group
    assert group.source == "s3"
    np.testing.assert_allclose(a.rewards([group])[0], b.rewards([group])[0], atol=1e-4)
    assert a.shrinkage is not None and b.shrinkage is not None
    assert a.shrinkage.precision != pytest.approx(b.shrinkage.precision, rel=1e-2)


def test_a_strong_shrink_keeps_the_head_of_the_level_below_and_a_weak_one_leaves_it() -> None:
    below = fit(rate(), READER, SMALL, seed=0)
    rows = rate(worth=-1.5, seed=3)
    near = fit(rows, READER, replace(SMALL, shrink=1e6), seed=0, init=below, place=Place(level=1))
    far = fit(rows, READER, replace(SMALL, shrink=1.0), seed=0, init=below, place=Place(level=1))
    assert np.abs(near.heads - below.heads).max() < 1e-3
    assert (far.heads * below.heads).sum() < 0.5 * (below.heads**2).sum()


def test_separate_models_have_a_trunk_and_head_of_their_own() -> None:
    below = fit(rate(), READER, SMALL, seed=0)
    rows = rate(seed=4)
    alone = fit(rows, READER, replace(SMALL, separate=True), seed=0, init=below, place=Place(level=1))
    assert alone.digest == fit(rows, READER, replace(SMALL, separate=True), seed=0, place=Place(level=1)).digest


def test_a_level_without_ratings_shares_the_head_below() -> None:
    below = fit(rate(labels=10), READER, SMALL, seed=0)
    shared = LevelModel.shared(below, Place(level=2))
    assert (shared.place, shared.shared_head, shared.ratings) == (Place(level=2), True, 0)
    group = Group("new", Place(level=2), view("new"), ("Anna river.", ""))
    assert np.array_equal(shared.rewards([group])[0], below.rewards([group])[0])


def test_labels_anchor_acceptance_near_the_raters_own_rate() -> None:
    rows = rate(comparisons=10, labels=40)
    model = fit(rows, READER, SMALL, seed=0)
    assert model.anchored
    rng = np.random.default_rng(5)
    for good, low, high in ((0, 0.0, 0.25), (2, 0.25, 0.75), (4, 0.75, 1.0)):
        texts = tuple(output("new", good, rng) for _ in range(8))
        mean = float(model.acceptance([Group("new", Place(), view("new"), texts)])[0].mean())
        assert low <= mean <= high


def test_held_out_labels_are_calibrated() -> None:
    rows = rate(sources=12, comparisons=0, labels=40)
    found = held_out(rows, fit(rows, READER, SMALL, seed=0))
    predicted = np.array([row.probability for row in found])
    outcome = np.array([float(row.outcome or 0) for row in found])
    for chosen in (predicted < 0.5, predicted >= 0.5):
        assert predicted[chosen].mean() == pytest.approx(outcome[chosen].mean(), abs=0.07)


def test_ratings_on_a_scale_anchor_too() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for row in rate(comparisons=0, labels=20):
        assert isinstance(row.feedback.answer, Label)
        value = int(rng.integers(5, 8) if row.feedback.answer.good else rng.integers(1, 4))
        rows.append(rated(row.request.source, Rating(value), [row.request.shown[0].text], row.request.copy))
    model = fit(rows, READER, SMALL, seed=0)
    assert model.anchored and {row.kind for row in held_out(rows, model)} == {"rating"}
    assert accuracy(held_out(rows, model)) > 0.75


def test_comparisons_alone_give_the_probability_of_being_preferred_in_the_group() -> None:
    model = fit(rate(), READER, SMALL, seed=0)
    assert not model.anchored
    rng = np.random.default_rng(2)
    best, worst = output("new", 4, rng), output("new", 0, rng)
    found = model.acceptance([Group("new", Place(), view("new"), (worst, best))])[0]
    assert found.mean(axis=0)[1] > 0.8
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(model.acceptance([Group("new", Place(), view("new"), (best,))])[0], 0.5)
    np.testing.assert_allclose(model.acceptance([Group("new", Place(), view("new"), (best, best))])[0], 0.5)


def test_rankings_are_learned_from_and_held_out_as_pairs() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for number in range(8):
        for copy in range(10):
            good = rng.permutation(5)[:4]
            texts = [output(f"s{number}", int(each), rng) for each in good]
            best = tuple(int(at) for at in np.argsort(-good))
            rows.append(rated(f"s{number}", Ranking(best if copy % 2 else best[:1]), texts, copy))
    model = fit(rows, READER, SMALL, seed=0)
    found = held_out(rows, model)
    assert len(found) == 80 * 3
    assert accuracy(found) > 0.9


def test_ties_are_kept_and_say_none() -> None:
    rows = [
        rated(
            f"s{number}", Comparison(None), [output(f"s{number}", 2, np.random.default_rng(copy)) for copy in pair], at
        )
        for number in range(4)
        for at, pair in enumerate([(0, 1), (2, 3), (4, 5)])
    ]
    model = fit(rows, READER, SMALL, seed=0)
    found = held_out(rows, model)
    assert [row.outcome for row in found] == [None] * 12
    assert np.isfinite([row.probability for row in found]).all()


def test_corrections_and_demonstrations_count_as_preferred() -> None:
    rng = np.random.default_rng(0)
    rows: list[Rated] = []
    for number in range(8):
        source = f"s{number}"
        for copy in range(6):
            better, worse = output(source, 4, rng), output(source, 0, rng)
            kind = Correction(better) if copy % 2 else Demonstration(better)
            rows.append(rated(source, kind, [worse], copy))
    model = fit(rows, READER, SMALL, seed=0)
    group = Group("new", Place(), view("new"), (output("new", 4, rng), output("new", 0, rng)))
    first, second = model.rewards([group])[0].mean(axis=0)
    assert first > second + 0.5


def test_words_that_say_nothing_about_rewards_are_counted_and_a_rejection_is_used() -> None:
    rows = [*rate(), rated("s0", Critique("too long"), ["a text"]), rated("s1", Reject("not English"), ["a text"])]
    model = fit(rows, READER, SMALL, seed=0)
    assert (model.ratings, model.unused) == (161, 1)


def test_one_word_and_empty_outputs_are_fitted_and_scored() -> None:
    rows = [rated(f"s{n}", Comparison(n % 2), ["", "word"][:: 1 if n % 2 else -1], n) for n in range(6)]
    model = fit(rows, READER, SMALL, seed=0)
    found = model.rewards([Group("new", Place(), view("new"), ("", "word", "x" * 3000))])[0]
    assert np.isfinite(found).all()


def test_what_cannot_be_fitted_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="no ratings"):
        fit([], READER, SMALL, seed=0)
    with pytest.raises(InputError, match="no ratings"):
        fit([rated("s0", Critique("hm"), ["a text"])], READER, SMALL, seed=0)
    with pytest.raises(InputError, match="shows 3 outputs"):
        fit([rated("s0", Comparison(0), ["a", "b", "c"])], READER, SMALL, seed=0)
    with pytest.raises(InputError, match="shows 2 outputs"):
        fit([rated("s0", Ranking((0, 2)), ["a", "b"])], READER, SMALL, seed=0)
    with pytest.raises(InputError, match="folds"):
        FitConfig(members=3, folds=4)
    with pytest.raises(InputError, match="members"):
        below = fit(rate(sources=2), READER, SMALL, seed=0)
        fit(rate(sources=2), READER, replace(SMALL, members=12), seed=0, init=below, place=Place(level=1))
