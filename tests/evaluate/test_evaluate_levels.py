"""A level's report puts every figure on the same held-out rows."""

import math

import numpy as np
import pytest

from rrm.core.place import Place
from rrm.core.report import Interval
from rrm.core.values import Comparison, Feedback, Label, Rated, Request, Shown, View
from rrm.evaluate.levels import Estimated, HeldOut, level_report


def row(source: str, first: str, second: str, better: int | None, probability: float) -> HeldOut:
    request = Request(
        "n", source, Place(level=1), "comparison", View("Summarise.", (), 50), (Shown("a", first), Shown("b", second))
    )
    return HeldOut(probability, Rated(request, Feedback(request.id, "r", Comparison(better))))


def label(source: str) -> HeldOut:
    request = Request("n", source, Place(level=1), "label", View("Summarise.", (), 50), (Shown("a", "text"),))
    return HeldOut(0.9, Rated(request, Feedback(request.id, "r", Label(True))))


def simulated(rows: int, sources: int = 10, seed: int = 0) -> tuple[list[HeldOut], dict[str, float]]:
    """Rows of a rater who chooses the first with probability p, predicted by a model that knows p."""
    random = np.random.default_rng(seed)
    made, chance = [], {}
    for number in range(rows):
        p = float(random.uniform(0.05, 0.95))
        first = f"text {chr(97 + number % 26)} {'word ' * int(random.integers(5))}{number}"
        made.append(row(f"s{number % sources}", first, "other text here", int(random.random() > p), p))
        chance[made[-1].rated.request.id] = p
    return made, chance


def test_every_figure_by_hand() -> None:
    held_out = [
        row("s0", "good and long", "bad", 0, 0.8),
        row("s0", "good", "bad and longer", 0, 0.6),
        row("s1", "bad", "good", 1, 0.7),
        row("s1", "bad", "good", None, 0.4),
        label("s1"),
    ]
    rated = [each.rated for each in held_out]
    found = level_report(1, held_out, 77, rated, {"s0": 0, "s1": 1}, lambda request: 0.9, shared_head=True)
    assert (found.level, found.n_train, found.n_test, found.ties, found.shared_head) == (1, 77, 4, 1, True)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.noise_ceiling == pytest.approx(0.9)
    assert found.longer_wins == pytest.approx((1 + 0 + 0.5) / 3)
    assert found.bag_of_words == pytest.approx(1.0)  # each source's rows teach the other's that good beats bad
    by_hand = -(math.log(0.8) + math.log(0.6) + math.log(0.3) + 0.5 * math.log(0.4 * 0.6)) / 4
    assert found.nll == pytest.approx(by_hand)
    folded_error = abs(np.mean([0.8, 0.6, 0.7, 0.6]) - np.mean([1, 1, 0, 0.5]))
    assert found.ece == pytest.approx(folded_error)
    assert [each.rows for each in found.reliability] == [4]
    assert (found.interval, found.sources) == (None, 2)  # too few
    assert found.ece_interval is not None
    assert found.coverage is None


def test_a_model_that_knows_the_rater_reaches_the_ceiling_and_is_calibrated() -> None:
    held_out, chance = simulated(2000)
    found = level_report(0, held_out, 10, [], {}, lambda request: chance[request.id], resamples=100)
    assert found.noise_ceiling == pytest.approx(0.725, abs=0.01)  # mean of max(p, 1 - p), p uniform on [.05, .95]
    assert found.accuracy == pytest.approx(found.noise_ceiling, abs=0.025)
    assert found.ece is not None and found.ece < 0.04
    assert found.bag_of_words is None
    assert len(found.reliability) == 10


def test_the_interval_is_clustered_by_source() -> None:
    many = [row(f"s{number}", "a", "b", int(number % 3 == 0), 0.9) for number in range(90)]
    few = [row(f"s{number % 3}", "a", "b", int(number % 3 == 0), 0.9) for number in range(90)]
    wide, narrow = level_report(0, few, 0, [], {}).interval, level_report(0, many, 0, [], {}).interval
    assert wide is not None and narrow is not None
    assert (wide.low, wide.high) == (0, 1)  # one of three sources is all wrong
    assert narrow.high - narrow.low < 0.3


def test_without_comparisons_everything_is_undefined_but_the_counts() -> None:
    found = level_report(2, [label("s0")], 12, [], {}, lambda request: 0.9)
    assert (found.n_train, found.n_test) == (12, 0)
    undefined = (found.accuracy, found.interval, found.noise_ceiling, found.longer_wins, found.bag_of_words)
    assert {*undefined, found.nll, found.ece, found.ece_interval} == {None}
    assert found.reliability == ()


def test_ties_alone_leave_accuracy_undefined_but_not_the_loss() -> None:
    found = level_report(0, [row("s0", "a", "b", None, 0.5), row("s1", "a", "b", None, 0.5)], 0, [], {})
    assert (found.accuracy, found.longer_wins, found.ties, found.n_test) == (None, None, 2, 2)
    assert found.nll == pytest.approx(math.log(2))


def test_coverage_is_the_share_of_true_probabilities_inside_their_intervals() -> None:
    estimated = [Estimated(Interval(0.2, 0.4), truth, f"s{at}") for at, truth in enumerate((0.3, 0.2, 0.5, 0.9))]
    held_out = [row("s0", "a", "b", 0, 0.9), row("s1", "a", "b", 0, 0.9)]
    assert level_report(0, held_out, 0, [], {}, estimated=estimated).coverage == 0.5
    found = level_report(0, [], 0, [], {}, estimated=estimated)
    assert (found.coverage, found.coverage_n, found.coverage_interval) == (0.5, 4, (0, 1))  # two of four sources
    assert level_report(0, [], 0, [], {}, estimated=estimated[:2]).coverage_interval is None


def test_the_report_is_the_same_whatever_was_shown_first() -> None:
    held_out, _ = simulated(120)
    turned = []
    for probability, rated in held_out:
        first, second = (shown.text for shown in rated.request.shown)
        better = rated.feedback.answer.better  # type: ignore[union-attr]
        turned.append(row(rated.request.source, second, first, 1 - better, 1 - probability))  # type: ignore[operator]
    fold_of = {f"s{number}": number % 5 for number in range(10)}
    reports = [level_report(0, each, 0, [row.rated for row in each], fold_of) for each in (held_out, turned)]
    assert reports[0].accuracy == pytest.approx(reports[1].accuracy)
    assert reports[0].nll == pytest.approx(reports[1].nll)
    assert reports[0].ece == pytest.approx(reports[1].ece)
    assert reports[0].longer_wins == pytest.approx(reports[1].longer_wins)
    assert reports[0].bag_of_words == pytest.approx(reports[1].bag_of_words)
