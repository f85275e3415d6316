"""Raters' reliability: known raters come back, and libraries agree where they fit the same model."""

import gzip
import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from rrm.core.errors import InputError
from rrm.core.values import Comparison, Critique, Rated, Rating
from rrm.feedback.reliability import Reliability, fit_reliability
from rrm.feedback.scales import Rater
from rrm.feedback.table import tabulate
from tests.feedback.feedback_problems import Person, compared, item_numbers, labelled, told

TRUTH = np.random.default_rng(11).normal(scale=1.5, size=30)
PANEL = {
    "sharp": Person(temperature=0.5),
    "usual": Person(),
    "second": Person(),
    "dull": Person(temperature=2.0),
    "leaning": Person(bias=1.0),
    "random": Person(lapse=1.0),
    "contrary": Person(sign=-1),
    "always A": Person(bias=30.0),
}

OLD_PANDAS = pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")  # which crowd-kit uses


def of(found: Reliability) -> tuple[np.ndarray, np.ndarray]:
    """Rewards found and true, both centred, in the order of the table's items."""
    at = item_numbers([item.text for item in found.feedback.items])
    return found.rewards - found.rewards.mean(), TRUTH[at] - TRUTH[at].mean()


def by_name(found: Reliability) -> dict[str, Rater]:
    return {rater.name: rater for rater in found.raters}


def test_rewards_and_raters_are_found_again_from_comparisons() -> None:
    rows = compared(TRUTH, PANEL, each=600, seed=0)
    found, plain = fit_reliability(rows), fit_reliability(rows, reliability=False)
    rewards, truth = of(found)
    assert np.corrcoef(rewards, truth)[0, 1] > 0.985
    assert np.corrcoef(of(plain)[0], truth)[0, 1] < np.corrcoef(rewards, truth)[0, 1] - 0.01
    raters = by_name(found)
    # temperatures are relative to their geometric mean, so a ratio of two is what can be known
    assert raters["dull"].temperature / raters["usual"].temperature == pytest.approx(2, rel=0.3)
    assert raters["sharp"].temperature / raters["usual"].temperature == pytest.approx(0.5, rel=0.3)
    assert raters["leaning"].bias == pytest.approx(1.0, abs=0.3)
    assert raters["always A"].bias > 3
    for name in ("sharp", "usual", "second", "dull"):
        assert abs(raters[name].bias) < 0.3 and raters[name].lapse < 0.15
    useless = {"random", "contrary", "always A"}
    assert set(sorted(raters, key=lambda name: raters[name].sensitivity)[:3]) == useless
    assert np.mean([np.log(rater.temperature) for rater in found.raters]) == pytest.approx(0, abs=1e-9)


def test_a_lapse_rate_is_found_where_differences_are_large_enough_to_tell_it_from_a_temperature() -> None:
    truth = TRUTH * 3
    people = {"careful": Person(), "careless": Person(lapse=0.4), "third": Person()}
    found = fit_reliability(compared(truth, people, each=1500, seed=1), reward_sd=5.0)
    raters = by_name(found)
    assert raters["careless"].lapse == pytest.approx(0.4, abs=0.08)
    assert raters["careful"].lapse < 0.05 and raters["third"].lapse < 0.05


def test_severe_raters_of_labels_are_found() -> None:
    truth = np.random.default_rng(2).normal(scale=1.5, size=400)
    severities = {"mild": -1.0, "usual": 0.0, "severe": 1.0}
    people = {f"{name} {n}": Person(severity=value) for name, value in severities.items() for n in range(3)}
    raters = by_name(fit_reliability(labelled(truth, people, seed=3)))
    found = {name: np.mean([raters[f"{name} {n}"].severity for n in range(3)]) for name in severities}
    assert found["severe"] - found["mild"] == pytest.approx(2.0, abs=0.5)  # shrunk, as a mode is
    assert found["usual"] == pytest.approx(0.0, abs=0.2)
    assert all(0.6 < rater.temperature < 1.6 for rater in raters.values())


def test_raters_with_few_rows_stay_near_the_usual() -> None:
    rows = compared(TRUTH, {"one": Person(), "two": Person()}, each=400, seed=4)
    rows += compared(TRUTH, {"new": Person(bias=30.0)}, each=2, seed=5)
    new = by_name(fit_reliability(rows))["new"]
    assert new.rows == 2 and abs(np.log(new.temperature)) < 0.2 and abs(new.bias) < 0.2 and new.lapse < 0.1


def test_without_reliability_comparisons_are_plain_bradley_terry() -> None:
    choix = pytest.importorskip("choix", reason="choix is not installed")
    rows = compared(TRUTH, {"one": Person(), "two": Person()}, each=400, seed=6)
    found = fit_reliability(rows, reward_sd=2.0, reliability=False)
    wins = [_winner_first(row) for row in rows]
    # choix (0.4) penalises alpha times the sum of squares: half the precision
    theirs = choix.opt_pairwise(30, wins, alpha=0.5 / 2.0**2, tol=1e-10)
    at = item_numbers([item.text for item in found.feedback.items])
    np.testing.assert_allclose(found.rewards, theirs[at], atol=1e-4)


def _winner_first(row: Rated) -> tuple[int, int]:
    assert isinstance(row.feedback.answer, Comparison)
    first, second = item_numbers([shown.text for shown in row.request.shown]).tolist()
    return (first, second) if row.feedback.answer.better == 0 else (second, first)


def test_noisy_bradley_terry_of_a_library_finds_the_same_order_of_items() -> None:
    aggregation = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is not installed")
    pandas = pytest.importorskip("pandas")
    people = {"sharp": Person(0.6), "fair": Person(0.6, lapse=0.25), "poor": Person(0.6, lapse=0.5)}
    rows = compared(TRUTH, people, each=400, seed=7)
    found = fit_reliability(rows)
    table = pandas.DataFrame([_as_crowdkit(row) for row in rows])
    # Its gradient for raters' skills (1.4.2) is that of each rater's last row alone, so only its scores are compared.
    theirs = aggregation.NoisyBradleyTerry(n_iter=50, random_state=0).fit(table).scores_
    other = np.array([theirs[item.text] for item in found.feedback.items])
    assert spearmanr(found.rewards, other).statistic > 0.9
    assert np.corrcoef(*of(found))[0, 1] >= np.corrcoef(other, of(found)[1])[0, 1]
    assert sorted(found.raters, key=lambda rater: -rater.sensitivity)[0].name == "sharp"


def _as_crowdkit(row: Rated) -> dict[str, str]:
    left, right = (shown.text for shown in row.request.shown)
    assert isinstance(row.feedback.answer, Comparison)
    label = (left, right)[row.feedback.answer.better or 0]
    return {"worker": row.feedback.rater, "left": left, "right": right, "label": label}


@OLD_PANDAS
def test_raters_are_ranked_as_dawid_and_skene_rank_them() -> None:
    aggregation = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is not installed")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(8)
    lapses = {"a": 0.0, "b": 0.15, "c": 0.3, "d": 0.5, "e": 0.7, "f": 1.0}
    rows = []
    for first, second in combinations(range(24), 2):  # every rater sees every pair, in the same order
        for name, lapse in lapses.items():
            better = (TRUTH[first] - TRUTH[second]) / 0.3 + rng.logistic() > 0
            choice = int(rng.integers(2)) if rng.random() < lapse else int(not better)
            rows.append(told(Comparison(choice), [f"item {first}", f"item {second}"], name))
    found = by_name(fit_reliability(rows))
    votes = [
        {"task": " ".join(shown.text for shown in row.request.shown), "worker": row.feedback.rater,
         "label": row.feedback.answer.better}
        for row in rows
    ]  # fmt: skip
    skene = aggregation.DawidSkene(n_iter=50).fit(pandas.DataFrame(votes))
    skill = {name: float(np.mean([skene.errors_.loc[(name, label), label] for label in (0, 1)])) for name in lapses}
    ours = sorted(lapses, key=lambda name: -found[name].sensitivity)
    assert ours == sorted(lapses, key=lambda name: -skill[name]) == list(lapses)


@OLD_PANDAS
def test_labels_are_aggregated_as_by_dawid_and_skene() -> None:
    aggregation = pytest.importorskip("crowdkit.aggregation", reason="crowd-kit is not installed")
    pandas = pytest.importorskip("pandas")
    truth = np.random.default_rng(9).normal(scale=3.0, size=150)
    people = {f"rater {n}": Person(lapse=lapse) for n, lapse in enumerate((0.0, 0.0, 0.2, 0.4, 0.8))}
    rows = labelled(truth, people, seed=10)
    found = fit_reliability(rows)
    votes = [
        {"task": row.request.shown[0].text, "worker": row.feedback.rater, "label": row.feedback.answer.good}
        for row in rows
    ]
    theirs = aggregation.DawidSkene(n_iter=50).fit_predict(pandas.DataFrame(votes))
    ours = {
        item.text: reward + found.anchor > 0 for item, reward in zip(found.feedback.items, found.rewards, strict=True)
    }
    agreed = np.mean([ours[task] == label for task, label in theirs.items()])
    assert agreed > 0.95
    raters = by_name(found)
    worst = [f"rater {n}" for n in (4, 3)]
    assert sorted(raters, key=lambda name: raters[name].sensitivity)[:2] == worst


def test_mixed_feedback_and_a_table_are_taken_alike() -> None:
    rows = [*compared(TRUTH, {"one": Person(), "two": Person()}, each=60, seed=0), told(Rating(2), ["item 0"], "one")]
    first, second = fit_reliability(rows), fit_reliability(tabulate(rows))
    np.testing.assert_allclose(first.rewards, second.rewards)
    assert first.log_likelihood == pytest.approx(second.log_likelihood)
    backwards = fit_reliability(rows[::-1])
    same = dict(zip(backwards.feedback.items, backwards.rewards, strict=True))
    np.testing.assert_allclose([same[item] for item in first.feedback.items], first.rewards, atol=1e-5)


def test_nothing_to_fit_on_is_refused() -> None:
    with pytest.raises(InputError, match="no feedback"):
        fit_reliability([told(Critique("hm"), ["a"])])


DATA = Path(os.environ.get("RRM_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def test_votes_of_many_real_people_are_fitted_in_seconds() -> None:
    file = DATA / "ukpconvarg" / "votes_validation.jsonl.gz"
    if not file.exists():
        pytest.skip(f"no real data in {DATA}: set RRM_DATA")
    rows = []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            choice = {"a1": 0, "a2": 1, "equal": None}[row["vote"]]
            rows.append(told(Comparison(choice), row["pair"].split("_"), row["annotator"], source=row["topic"]))
    found = fit_reliability(rows)
    assert len(found.raters) > 500 and np.isfinite(found.rewards).all()
    assert found.log_likelihood > fit_reliability(rows, reliability=False).log_likelihood
    assert all(0 < rater.temperature < 100 and 0 < rater.lapse < 1 for rater in found.raters)
