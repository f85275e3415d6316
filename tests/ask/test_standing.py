"""Open questions ordered anew as answers come: by hand, against exact beliefs, and taken back."""

import numpy as np
import pytest

from rrm.ask.bundles import Answers
from rrm.ask.gaussian import Gaussian
from rrm.ask.standing import Standing
from rrm.core.errors import InputError
from tests.asked_desk import DRAWN, bundle, request, standing

_view = {each.id: view for view in range(4) for each in bundle(view)}


def ordered(known: Standing, held: tuple[str, ...] = ()) -> list[int]:
    return [_view[each.requests[0]] for each in known.next_sheets(known.requests, held).sheets if not each.drawn]


def test_an_answer_puts_what_it_told_already_behind_what_is_open() -> None:
    known = standing()
    assert ordered(known) == [0, 1, 2, 3]
    for each in bundle(0):
        known.learn(each.id, True)
    left = [each for each in known.requests if _view.get(each) != 0]
    assert [_view[each.requests[0]] for each in known.next_sheets(left).sheets if not each.drawn] == [2, 1, 3]


def test_what_a_rater_holds_counts_as_asked() -> None:
    known = standing()
    held = tuple(each.id for each in bundle(0))
    left = [each for each in known.requests if each not in held]
    order = known.next_sheets(left, held)
    assert [_view[each.requests[0]] for each in order.sheets if not each.drawn] == [2, 1, 3]
    assert order.expected == 0.5  # what it will be answered is not known yet
    assert ordered(known) == [0, 1, 2, 3]  # and it may be given back


def test_questions_about_one_view_stay_together() -> None:
    known = standing()
    sheets = [set(each.requests) for each in known.next_sheets(known.requests).sheets if not each.drawn]
    assert sheets == [{each.id for each in bundle(view)} for view in range(4)]


def test_what_was_drawn_at_random_comes_when_its_share_of_the_minutes_does_and_picks_nothing() -> None:
    known = standing()
    before = known.next_sheets(known.requests)
    places = [at for at, each in enumerate(before.sheets) if each.drawn]
    assert places == [1, 4]  # of two in the place of the second and the last of four, in the order drawn
    assert [before.sheets[at].requests[0] for at in places] == [each.id for each in DRAWN]
    assert all(each.gain == 0 for each in before.sheets if each.drawn)
    assert known.learn(DRAWN[0].id, True) is None
    assert known.next_sheets(known.requests) == before


def test_an_answer_moves_belief_and_decision_as_an_exact_belief_would() -> None:
    """Two outputs and two roots as one Gaussian: moments along the question by quadrature, all else by Bayes' rule."""
    known = standing()
    arrays = known.arrays()
    covariance = np.zeros((9, 9))
    covariance[:8, :8] = arrays["covariance"]
    covariance[8, :8] = covariance[:8, 8] = arrays["across"][:, 0, 0]
    covariance[8, 8] = 1.0
    exact = Gaussian(np.r_[np.zeros(8), 0.5], covariance)
    direction = np.zeros(9)
    direction[4], direction[5] = 1, -1
    exact = exact.after_choice(direction, False, 1.0)
    known.learn(bundle(2)[0].id, False)
    after = known.arrays()
    assert after["mean"] == pytest.approx(exact.mean[:8], abs=1e-12)
    assert after["covariance"] == pytest.approx(exact.covariance[:8, :8], abs=1e-12)
    assert after["across"][:, 0, 0] == pytest.approx(exact.covariance[:8, 8], abs=1e-12)
    assert after["scores"][0] == pytest.approx([exact.mean[8], 0.5], abs=1e-12)
    removed = 1.0 - exact.covariance[8, 8]
    assert arrays["spread"][0] - after["spread"][0] == pytest.approx(removed, abs=1e-12)


@pytest.mark.parametrize("told", [True, False, None])
def test_an_answer_taken_back_is_as_if_it_had_never_been_whatever_came_since(told: bool | None) -> None:
    known, other = standing(), standing()
    first, second = bundle(0)
    site = known.learn(first.id, told)
    later = known.learn(second.id, True)
    assert site is not None and later is not None
    known.forget(site)
    known.forget(later)
    for name, each in known.arrays().items():
        if each.dtype.kind == "f":
            assert each == pytest.approx(other.arrays()[name], abs=1e-9), name


def test_answers_taken_in_together_come_to_the_same_in_whatever_order() -> None:
    told = [(each.id, at != 1) for view in (0, 2) for at, each in enumerate((*bundle(view), *bundle(view)))]
    one, other, after = standing(), standing(), standing()
    for request_, first in told:  # one after another, these depend on the order
        after.learn(request_, first)
    one.learn_together(told)
    other.learn(told[-1][0], told[-1][1])  # what was learned before is learned anew
    other.learn_together(told[::-1])
    for name in ("mean", "covariance", "across", "scores", "spread"):
        assert one.arrays()[name] == pytest.approx(other.arrays()[name], abs=1e-9), name
    assert np.abs(one.arrays()["mean"] - after.arrays()["mean"]).max() > 1e-4


def test_answers_taken_in_together_are_nearer_to_the_truth_and_can_be_taken_back() -> None:
    """Of two questions that read two correlated outputs, the posterior mean by a grid."""
    known = standing()
    arrays = known.arrays()
    first, second = (known.requests.index(each.id) for each in bundle(0))
    design = np.zeros((2, 8))
    for row, at in enumerate((first, second)):
        design[row, arrays["first"][at]] = 1
        if arrays["second"][at] >= 0:
            design[row, arrays["second"][at]] = -1
    covariance = design @ arrays["covariance"] @ design.T
    values, vectors = np.linalg.eigh(covariance)
    grid = np.linspace(-8, 8, 401)
    standard = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    points = standard @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    weight = np.exp(-0.5 * np.square(standard).sum(axis=1))
    weight *= 1 / (1 + np.exp(-points[:, 0])) / (1 + np.exp(points[:, 1]))
    exact = (weight / weight.sum()) @ points
    told = [(known.requests[first], True), (known.requests[second], False)]
    sites = known.learn_together(told)
    assert design @ known.arrays()["mean"] == pytest.approx(exact, abs=0.01)
    for site in sites:
        assert site is not None
        known.forget(site)
    for name in ("mean", "covariance", "scores"):
        assert known.arrays()[name] == pytest.approx(arrays[name], abs=1e-9), name


def test_answers_taken_in_at_once_come_to_what_their_parts_do_one_by_one() -> None:
    known, other = standing(), standing()
    sites = known.learn_together([(each.id, at == 0) for view in (0, 2, 3) for at, each in enumerate(bundle(view))])
    for site in sites:
        assert site is not None
        other._answers._shift(*other._answers._read(site.question), site)
    for name in ("mean", "covariance", "across", "scores", "spread"):
        assert known.arrays()[name] == pytest.approx(other.arrays()[name], abs=1e-10), name


def test_drawn_answers_and_those_of_other_waves_are_left_out_of_what_is_taken_in_together() -> None:
    known = standing()
    before = known.arrays()
    assert known.learn_together([(DRAWN[0].id, True), (request(9, "label", 0).id, True)]) == [None, None]
    assert known.arrays()["mean"] == pytest.approx(before["mean"], abs=0)
    assert known.learn_together([]) == []


def test_questions_of_other_waves_and_what_cannot_be_told_move_nothing() -> None:
    known = standing()
    assert known.learn(request(9, "label", 0).id, True) is None
    assert known.minutes(request(9, "label", 0).id) == 0 and known.minutes(DRAWN[0].id) == 1.25
    assert known.next_sheets([request(9, "label", 0).id]).sheets == ()


def test_a_single_question_beside_what_was_taken_is_worth_what_its_bundle_is() -> None:
    known = standing()._answers
    beside: Answers = known.beside([0])
    value, gain, _ = np.concatenate([np.array(each) for each in beside.singles()], axis=1)
    for at in (1, 2, 4, 7):
        found = beside.bundle([at])
        assert (found.value, found.gain) == pytest.approx((value[at], gain[at]), abs=1e-12)


def test_what_is_kept_is_read_again_and_something_else_is_refused() -> None:
    known = standing(0.25)
    known.learn(bundle(0)[0].id, True)
    again = Standing.of(known.arrays())
    assert again.worth == 0.25 and again.next_sheets(again.requests) == known.next_sheets(known.requests)
    with pytest.raises(InputError, match="not what a sampler keeps of a wave"):
        Standing.of({"scores": np.zeros(1)})
