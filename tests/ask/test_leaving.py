"""Choices left to a person: what they are worth by hand, when a sampler leaves one, and what is had after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from rrm.ask import Value
from rrm.ask.leaving import Choosing
from rrm.ask.standing import Standing
from rrm.core.asking import BY_VALUE, LEFT, Alternatives, Asking, Chooser, Question, RatersBelief
from rrm.core.draws import Draws
from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.values import Request, Shown
from tests.ask.test_sampler import Table, asking, target, view, world

SHARP = (Chooser(1e-6, 0.0),)
BLIND = (Chooser(1.0, 1.0),)


@dataclass(frozen=True, eq=False)
class Known(Table):
    """A table that has learned how raters choose."""

    raters: tuple[Chooser, ...] = SHARP


def offer(of: Alternatives, reading: float = 4.0) -> Question:
    shown = tuple(Shown(id_, f"text {id_}") for id_ in of.outputs[:6])
    request = Request("root", of.groups[0].source, Place(level=1), "ranking", view("whole"), shown)
    return Question(request, reading, 1.0, of_target=True, leaves=True)


def leaving(questions: Sequence[Question], *targets: Alternatives, **known: object) -> Asking:
    return asking([*questions, *(offer(each) for each in targets if not each.left)], *targets, **known)


def about(source: str, *outputs: int, scores: Sequence[float]) -> Alternatives:
    made = target(*outputs, slopes=0.1 * np.eye(len(outputs)), scores=scores)
    return replace(made, groups=tuple(replace(each, source=source) for each in made.groups))


def test_a_person_who_never_errs_takes_the_best() -> None:
    choosing = Choosing(np.array([0.5, 0.5]), np.diag([0.01, 0.01]), [0, 1], SHARP)
    assert choosing.gain(np.zeros((2, 2))) == pytest.approx(
        np.sqrt(0.02 / (2 * np.pi)), rel=0.03
    )  # E|a - b| / 2, by 1,024 draws


def test_who_errs_is_worth_what_quadrature_says_and_less_than_nothing_where_the_best_is_known() -> None:
    sd, noise = 0.08, 0.7

    def taken(score: float) -> float:
        likely = expit((logit(np.clip(score, 1e-3, 1 - 1e-3)) - logit(0.5)) / noise)
        return float(norm.pdf(score, 0.6, sd) * (likely * score + (1 - likely) * 0.5))

    exact = quad(taken, 0.6 - 8 * sd, 0.6 + 8 * sd)[0]
    choosing = Choosing(np.array([0.6, 0.5]), np.diag([sd**2, 0.0]), [0, 1], (Chooser(noise, 0.0),))
    assert choosing.worth == pytest.approx(exact, abs=0.002) and choosing.gain(np.zeros((2, 2))) < 0
    blind = Choosing(np.array([0.6, 0.5]), np.diag([sd**2, 0.0]), [0, 1], BLIND)
    assert blind.worth == pytest.approx(0.55, abs=1e-9) and blind.gain(np.zeros((2, 2))) == pytest.approx(
        -0.05, abs=1e-9
    )
    both = Choosing(np.array([0.6, 0.5]), np.diag([sd**2, 0.0]), [0, 1], (Chooser(noise, 0.0), *BLIND))
    assert both.worth == pytest.approx((choosing.worth + blind.worth) / 2)


def test_what_was_taken_raises_what_is_believed_of_it_as_bayes_says() -> None:
    scores, covariance = np.array([0.4, 0.5, 0.45]), 0.01 * np.eye(3)
    choosing = Choosing(scores, covariance, [2, 0], (Chooser(0.5, 0.1),))
    assert choosing.after(0) > 0.45 and choosing.after(1) > 0.4
    chosen = [Choosing(scores, covariance, [2, 0], BLIND).after(at) for at in (0, 1)]
    assert chosen == pytest.approx([0.45, 0.4], abs=1e-9)


def test_a_choice_is_left_where_that_gains_more_a_minute_than_questions_and_questions_about_it_gain_nothing_then() -> (
    None
):
    belief, questions, _ = world()
    known = Known(belief.mean, belief.spread)
    root = about("t", 0, 1, scores=[0.5, 0.5])
    assert isinstance(known, RatersBelief) and not isinstance(belief, RatersBelief)
    chosen = Value(leave=True).choose(known, leaving(questions, root, minutes=60.0))
    by_value = [each for each in chosen.asked if each.stream != "random"]
    [left] = [each for each in by_value if each.stream == LEFT]
    assert left.request == offer(root).request.id and left.minutes == 5.0 and left.propensity == 1
    between = 0.01 * (belief.spread[0, 0] + belief.spread[1, 1] - 2 * belief.spread[0, 1])
    before = by_value[: by_value.index(left)]
    assert left.value * 5 <= np.sqrt(between / (2 * np.pi)) * 1.05
    assert all(each.value > left.value for each in before)
    assert all(each.value == 0 for each in by_value[len(before) + 1 :])  # nothing is decided any more
    assert chosen.outlook.hour <= np.sqrt(between / (2 * np.pi)) * 1.05
    blind = Known(belief.mean, belief.spread, BLIND)
    assert all(each.stream != LEFT for each in Value(leave=True).choose(blind, leaving(questions, root)).asked)
    dear = [*questions, offer(root, reading=1000.0)]
    assert all(each.stream != LEFT for each in Value(leave=True).choose(known, asking(dear, root)).asked)


def test_what_questions_would_tell_is_not_gained_once_more_by_leaving() -> None:
    belief, questions, _ = world(200)
    known, root = Known(belief.mean, belief.spread), about("t", 0, 1, scores=[0.5, 0.5])
    [first] = Value(leave=True).choose(known, asking([offer(root)], root)).asked
    late = Value(leave=True).choose(known, asking([*questions, offer(root, reading=20.0)], root, minutes=400.0))
    [left] = [each for each in late.asked if each.stream == LEFT]
    assert late.asked.index(left) > 3 and left.value * left.minutes < 0.8 * first.value * first.minutes


def test_a_target_that_was_left_is_had_as_the_person_took_it_and_asks_for_nothing() -> None:
    belief, questions, _ = world()
    known = Known(np.r_[1.0, belief.mean[1:]], belief.spread, (Chooser(1.0, 0.1),))
    root = about("t", 0, 1, scores=[0.6, 0.5])
    taken = replace(root, left=(1, 0))
    chosen = Value(leave=True).choose(known, leaving(questions, taken))
    assert chosen.outlook.best == ("o1",) and chosen.outlook.expected > 0.5
    assert chosen.outlook.gain == 0 and all(each.value == 0 for each in chosen.asked)
    assert Value(leave=True).choose(known, leaving(questions, root)).outlook.best == ("o0",)


def test_targets_that_count_more_are_left_before_others_and_each_once() -> None:
    n = 4
    known = Known(np.zeros(n), np.eye(n))
    one, two = about("one", 0, 1, scores=[0.5, 0.5]), replace(about("two", 2, 3, scores=[0.5, 0.5]), weight=3.0)
    left = Value(leave=True).choose(known, leaving([], one, two, minutes=50.0)).asked
    assert [each.request for each in left] == [offer(two).request.id, offer(one).request.id]
    assert left[0].value == pytest.approx(3 * left[1].value)
    few = Value(leave=True).choose(known, leaving([], one, two, minutes=np.inf, many=1)).asked
    assert len(few) == 1 and Value(leave=True).choose(known, leaving([], one, two, minutes=4.0)).asked == ()
    gain = left[1].value
    kept = Value(leave=True, worth=1.1 * gain).choose(known, leaving([], one, two, minutes=50.0))
    assert [each.request for each in kept.asked] == [offer(two).request.id]
    assert Value(leave=True, worth=4 * gain).choose(known, leaving([], one, two)).outlook.stopped


def test_of_too_few_draws_no_choice_is_left() -> None:
    rng = np.random.default_rng(0)

    def belief(draws: int) -> Draws:
        rewards = rng.normal(size=(draws, 2))
        return Draws(lambda groups: rewards[:, [int(text) for g in groups for text in g.outputs]], np.zeros(draws))

    root = about("t", 0, 1, scores=[0.5, 0.5])
    few, many = (Value(leave=True).choose(belief(draws), leaving([], root)).asked for draws in (100, 2000))
    assert few == () and [each.stream for each in many] == [LEFT]


def test_while_people_answer_a_choice_keeps_its_place_by_what_it_gains() -> None:
    belief, questions, _ = world()
    known, root = Known(belief.mean, belief.spread), about("t", 0, 1, scores=[0.5, 0.5])
    asked = leaving(questions, root, minutes=60.0, overlap=1)
    chosen = Value(leave=True).choose(known, asked)
    kept = Standing.of(Value(leave=True).keep(known, asked, chosen.asked))
    assert kept.known == {each.request for each in chosen.asked}
    [left] = [each for each in chosen.asked if each.stream == LEFT]
    order = kept.next_sheets(kept.known)
    [sheet] = [each for each in order.sheets if each.requests == (left.request,)]
    assert (sheet.value, sheet.gain, sheet.minutes) == (left.value, left.value, left.minutes)
    by_value = [each.value for each in order.sheets if not each.drawn]
    assert by_value == sorted(by_value, reverse=True)
    assert kept.minutes(left.request) == 5.0 and kept.learn(left.request, None) is None
    assert len(kept.next_sheets(kept.known - {left.request}).sheets) == len(order.sheets) - 1
    value = next(each for each in chosen.asked if each.stream == BY_VALUE)
    assert kept.learn(value.request, True) is not None


def test_where_policies_would_be_improved_no_choice_can_be_left() -> None:
    with pytest.raises(ConfigError, match='with decision = "improve" nothing is chosen of any target'):
        Value(decision="improve", leave=True)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_person_sees_what_questions_would_tell_and_what_they_would_not(share: float) -> None:
    both, full = np.array([0.5, 0.5]), 0.02 * np.eye(2)
    whole = np.sqrt(0.04 / (2 * np.pi))  # E|a - b| / 2; of what is told the root of the share
    gain = Choosing(both, full, [0, 1], SHARP).gain(share * full)
    assert gain == pytest.approx((1 - np.sqrt(share)) * whole, abs=0.001)


def test_leaving_after_questions_comes_to_what_it_does_without_them() -> None:
    belief, questions, _ = world(200)
    known, root = Known(belief.mean, belief.spread), about("t", 0, 1, scores=[0.5, 0.5])
    first = Value(leave=True).choose(known, asking([offer(root)], root, minutes=60.0)).outlook
    late = Value(leave=True, random=0.01, least_random=0)
    beside = late.choose(known, asking([*questions[:4], offer(root, reading=20.0)], root, minutes=50.0))
    streams = [each.stream for each in beside.asked]
    assert LEFT in streams and BY_VALUE in streams[: streams.index(LEFT)]
    assert beside.outlook.hour == pytest.approx(first.hour, rel=0.01)


def test_a_choice_that_cannot_be_paid_for_keeps_no_round_open() -> None:
    belief, _, _ = world()
    known, root = Known(np.zeros_like(belief.mean), belief.spread), about("t", 0, 1, scores=[0.5, 0.5])
    dear = offer(root, reading=40.0)
    able, unable = (
        Value(leave=True, worth=1e-5).choose(known, asking([dear], root, minutes=minutes)) for minutes in (60.0, 40.0)
    )
    assert able.outlook.gain > 1e-5 and len(able.asked) == 1
    assert unable.outlook.stopped and unable.outlook.gain == 0 and not unable.asked


def test_who_would_err_stops_no_round() -> None:
    belief, _, _ = world()
    blind, root = Known(belief.mean, belief.spread, BLIND), about("t", 0, 1, scores=[0.9, 0.5])
    found = Value(leave=True).choose(blind, asking([offer(root)], root))
    assert not found.outlook.stopped and found.outlook.gain == 0 and not found.asked


def test_of_draws_too_what_was_left_gains_nothing_while_people_answer() -> None:
    belief, questions, _ = world()
    rewards = np.random.default_rng(0).multivariate_normal(belief.mean, belief.spread, 2000)
    drawn = Draws(lambda groups: rewards[:, [int(text) for g in groups for text in g.outputs]], np.zeros(2000))
    taken = replace(about("t", 0, 1, scores=[0.6, 0.5]), left=(1, 0))
    asked = leaving(questions, taken, minutes=60.0)
    chosen = Value(leave=True).choose(drawn, asked)
    kept = Standing.of(Value(leave=True).keep(drawn, asked, chosen.asked))
    order = kept.next_sheets(kept.known)
    assert order.gain == 0 and order.expected == pytest.approx(chosen.outlook.expected)
    assert kept.learn(chosen.asked[0].request, True) is not None
    assert kept.next_sheets(kept.known).expected == pytest.approx(chosen.outlook.expected)


def test_a_choice_and_questions_are_worth_something_at_one_price_however_many_answer() -> None:
    belief, questions, _ = world()
    known, root = Known(belief.mean, belief.spread), about("t", 0, 1, scores=[0.5, 0.5])
    for many in (1, 3):
        one = leaving(questions, root, minutes=60.0 * many, overlap=many)
        priced = [q._replace(reading=q.reading * many, deciding=q.deciding * many) for q in one.questions]
        asked = replace(one, questions=tuple(priced))
        chosen = Value(leave=True).choose(known, asked).asked
        [left] = [each for each in chosen if each.stream == LEFT]
        kept = Standing.of(Value(leave=True).keep(known, asked, chosen))
        [sheet] = [each for each in kept.next_sheets(kept.known).sheets if each.requests == (left.request,)]
        assert (sheet.value, sheet.minutes) == (pytest.approx(many * left.value), pytest.approx(5.0))
