"""How good people write: the prior by hand, what is learned of many texts and of each writer, and what few tell."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from rrm.core.asking import Writer
from rrm.feedback.quality import PRIOR, learned, qualities


def test_beforehand_people_write_as_well_as_what_is_there() -> None:
    assert learned("demonstration", {}) == PRIOR["demonstration"] == (0.0, 1.0, 0, ())
    assert learned("correction", {"nobody": []}, ["anna", "ben"]) == PRIOR["correction"] == (0.0, 0.5, 0, ())


def test_of_many_texts_their_own_mean_and_spread_are_found() -> None:
    better = np.random.default_rng(0).normal(1.5, 0.4, 2000)
    found = qualities({"correction": {"anna": better.tolist()}})
    assert found["correction"].mean == pytest.approx(1.5, abs=0.03)
    assert found["correction"].sd == pytest.approx(0.4, abs=0.03)
    assert found["correction"].writers == (
        Writer("anna", pytest.approx(1.5, abs=0.03), pytest.approx(0, abs=0.02), 2000),
    )
    assert found["demonstration"] == PRIOR["demonstration"]


def test_people_s_means_and_how_they_and_their_texts_differ_are_found() -> None:
    random = np.random.default_rng(1)
    means = random.normal(0.5, 0.6, 200)
    found = learned("demonstration", {f"rater {at}": random.normal(mean, 0.8, 30) for at, mean in enumerate(means)})
    assert found.mean == pytest.approx(means.mean(), abs=0.05)
    assert found.sd == pytest.approx(np.hypot(0.6, 0.8), abs=0.05)  # of the next text, whoever writes it
    off = np.array([each.mean - means[int(each.rater[6:])] for each in found.writers])
    assert np.abs(off / [each.sd for each in found.writers] < 1.645).mean() > 0.85  # normal 90 % intervals hold


def test_what_is_found_of_writers_is_most_probable_by_another_way() -> None:
    """Variances by maximising the marginal likelihood and their prior; means as those of normals given all texts."""
    texts = {"anna": [1.4, 0.9, 1.8, 1.1], "ben": [-0.7, 0.2], "cora": [0.4]}
    said, whose = np.concatenate(list(texts.values())), np.repeat(np.arange(3), [4, 2, 1])
    same = (whose[:, None] == whose).astype(float)

    def covariance(text: float, between: float) -> np.ndarray:
        return text * np.eye(7) + between * same + 0.2

    def improbable(logs: np.ndarray) -> float:
        text, between = np.exp(logs)
        prior = 2 * (np.log(text) + 0.6 / text + np.log(between) + 0.2 / between)  # each as of four that were so
        return float(prior - multivariate_normal.logpdf(said, np.zeros(7), covariance(text, between)))

    text, between = np.exp(minimize(improbable, np.log([0.6, 0.2]), method="Nelder-Mead", options={"xatol": 1e-9}).x)
    gain = (between * np.eye(3)[whose] + 0.2).T @ np.linalg.inv(covariance(text, between))
    left = between * np.eye(3) + 0.2 - gain @ (between * np.eye(3)[whose] + 0.2)
    found = {each.rater: each for each in learned("demonstration", texts).writers}
    assert [found[name].mean for name in texts] == pytest.approx(gain @ said, abs=1e-4)
    assert [found[name].sd for name in texts] == pytest.approx(np.sqrt(np.diag(left)), abs=1e-4)


def test_a_better_writer_is_found_better_and_one_text_moves_little() -> None:
    random = np.random.default_rng(2)
    good, bad = random.normal(1.0, 0.6, 12), random.normal(-0.5, 0.6, 12)
    found = learned("demonstration", {"good": good, "bad": bad}, ["good", "bad", "silent"])
    means = {each.rater: each.mean for each in found.writers}
    assert means["good"] > 0.6 and means["bad"] < -0.2
    assert bad.mean() < means["bad"] < means["good"] < good.mean()  # each drawn to what all have in common
    usual = learned("demonstration", {"good": good, "bad": bad}).mean
    once = learned("demonstration", {"good": good, "bad": bad, "new": [usual + 0.5]}, ["silent"])
    [new] = [each for each in once.writers if each.texts == 1]
    assert usual < new.mean < usual + 0.35 and abs(once.mean - found.mean) < 0.15
    alone = learned("demonstration", {"anna": [2.0]}, ["anna", "ben", "cora", "dan", "eve"])
    assert alone.writers[0].mean < 0.7 and alone.mean < 0.45  # of two logits


def test_who_wrote_more_is_likelier_to_write_the_next_text() -> None:
    texts = {"many": [1.0, 1.2, 0.8, 1.1, 0.9] * 8, "few": [-1.0, -1.2, -0.8]}
    found = learned("correction", texts)
    many, few = found.writers
    assert (many.rater, few.rater) == ("many", "few")
    assert found.mean == pytest.approx((41 * many.mean + 4 * few.mean) / 45)
    more = learned("correction", texts, ["many", "few", *(f"other {at}" for at in range(98))])
    assert more.writers == found.writers and more.mean < found.mean and more.sd > found.sd


def test_means_drawn_to_each_other_are_nearer_to_the_truth_than_each_alone_or_one_for_all() -> None:
    off = np.zeros(3)
    for seed in range(60):
        random = np.random.default_rng([3, seed])
        means = random.normal(0.3, 0.6, 6)
        texts = {str(at): random.normal(mean, 0.8, int(random.integers(1, 12))) for at, mean in enumerate(means)}
        all_ = np.concatenate(list(texts.values())).mean()
        for each in learned("demonstration", texts).writers:
            off += np.square(np.array([each.mean, texts[each.rater].mean(), all_]) - means[int(each.rater)])
    assert off[0] < 0.8 * off[1] and off[0] < 0.5 * off[2]
