"""Answers weigh a belief's draws: against enumeration, taken back, few draws that count, and what is asked then."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from rrm.ask import Value
from rrm.ask.drawn import DrawnAnswers
from rrm.ask.standing import Standing
from rrm.core.asking import BY_VALUE, Asking
from rrm.core.draws import Draws
from rrm.core.errors import InputError
from rrm.core.values import Group
from tests.ask.test_sampler import Table, asking, question, target, world


def drawn(belief: Table, count: int, seed: int = 3) -> Draws:
    rewards = np.random.default_rng(seed).multivariate_normal(belief.mean, belief.spread, size=count)

    def of(groups: Sequence[Group]) -> np.ndarray:
        return np.asarray(rewards[:, [int(text) for group in groups for text in group.outputs]])

    return Draws(of, np.zeros(count))


def kept(count: int, sampler: Value | None = None, **known: object) -> tuple[Standing, Draws, Asking]:
    belief, questions, root = world(20)
    made, asked, sampler = drawn(belief, count), asking(questions, root, **known), sampler or Value()
    chosen = sampler.choose(made, asked)
    return Standing.of(sampler.keep(made, asked, chosen.asked)), made, asked


def by_value(known: Standing, asked: Asking) -> list[tuple[str, int, int]]:
    """Return ids of chosen questions with the outputs that they read, -1 for none."""
    requests = {each.request.id: each.request for each in asked.questions}
    found = []
    for at, each in enumerate(known.requests):
        if known.bundles[at] >= 0:
            texts = [int(shown.text) for shown in requests[each].shown]
            found.append((each, texts[0], texts[1] if len(texts) > 1 else -1))
    return found


def test_after_answers_the_decision_is_that_of_the_draws_as_bayes_rule_weighs_them() -> None:
    known, made, asked = kept(800)
    told = by_value(known, asked)[:4]
    rewards = made.drawn([Group("", asked.place, asked.questions[0].request.view, tuple(map(str, range(42))))])
    weights = np.ones(800)
    for at, (request, first, second) in enumerate(told):
        known.learn(request, at % 2 == 0)
        along = rewards[:, first] - (rewards[:, second] if second >= 0 else 0)
        weights *= expit(along if at % 2 == 0 else -along)
    weights /= weights.sum()
    decision = known._answers.decision
    moved = weights @ rewards[:, :2] - rewards[:, :2].mean(axis=0)
    assert decision.scores[0] == pytest.approx(moved, abs=1e-12)
    difference = rewards[:, 0] - rewards[:, 1]
    variance = weights @ (difference - weights @ difference) ** 2
    assert decision.spread[0] == pytest.approx(variance, abs=1e-12)


def test_answers_can_be_taken_back_and_come_to_the_same_in_whatever_order() -> None:
    known, _, asked = kept(800)
    told = [(request, at % 3 > 0) for at, (request, *_) in enumerate(by_value(known, asked)[:5])]
    one, other, together = (Standing.of(known.arrays()) for _ in range(3))
    sites = [one.learn(*each) for each in told]
    for each in told[::-1]:
        other.learn(*each)
    together.learn_together(told[::-1])
    for name in ("logs", "scores", "spread"):
        assert one.arrays()[name] == pytest.approx(other.arrays()[name], abs=1e-9), name
        assert one.arrays()[name] == pytest.approx(together.arrays()[name], abs=1e-9), name
    for site in sites[::-1]:
        assert site is not None
        one.forget(site)
    for name in ("logs", "scores", "spread"):
        assert one.arrays()[name] == pytest.approx(known.arrays()[name], abs=1e-9), name
    nothing = Standing.of(known.arrays())
    nothing.learn(told[0][0], None)
    assert nothing.arrays()["logs"].tolist() == known.arrays()["logs"].tolist()


def test_many_draws_ask_as_the_belief_does_that_they_were_drawn_from() -> None:
    belief, questions, root = world(20)
    exact = Value().choose(belief, asking(questions, root))
    many = Value().choose(drawn(belief, 20_000), asking(questions, root))
    assert many.outlook.gain == pytest.approx(exact.outlook.gain, rel=0.05)
    assert many.outlook.told and not many.outlook.refit and many.outlook.effective == pytest.approx(20_000)
    first = [next(each.request for each in chosen.asked if each.stream == BY_VALUE) for chosen in (exact, many)]
    assert first[0] == first[1]


def test_of_fewer_draws_than_tell_a_gain_none_is_told_and_nothing_stops() -> None:
    belief, questions, root = world()
    eager = Value(worth=10.0)  # no question gains as much as that
    assert eager.choose(drawn(belief, 500), asking(questions, root)).outlook.stopped
    few = eager.choose(drawn(belief, 499), asking(questions, root))
    assert not few.outlook.told and not few.outlook.stopped and few.outlook.gain == few.outlook.hour == 0
    values = [each.value for each in few.asked if each.stream == BY_VALUE]
    assert len(values) > 3 and min(values) > 0  # what is removed of differences is told
    silent = Value(spread_weight=0.0).choose(drawn(belief, 499), asking(questions, root))
    assert [each for each in silent.asked if each.stream == BY_VALUE]  # those least known, where nothing else is


def test_once_few_draws_have_what_was_answered_a_fit_is_asked_for() -> None:
    known, _, asked = kept(800)
    before = known.next_sheets(known.requests)
    assert before.told and not before.refit and before.gain > 0
    for request, *_ in by_value(known, asked)[:5]:
        for _ in range(4):  # the second or bad, whatever is likely
            known.learn(request, False)
    order = known.next_sheets(known.requests)
    assert isinstance(known._answers, DrawnAnswers)
    logs = known.arrays()["logs"]
    weights = np.exp(logs - logs.max())
    assert weights.sum() ** 2 / (weights**2).sum() < 200
    assert order.refit and not order.told and order.gain == 0
    assert max(each.value for each in order.sheets) > 0
    again = Standing.of(known.arrays())
    assert again.next_sheets(again.requests) == order


def test_draws_that_say_the_same_or_nothing_and_no_target_are_refused() -> None:
    belief, questions, root = world()
    count = lambda groups: sum(len(group.outputs) for group in groups)  # noqa: E731
    with pytest.raises(InputError, match="the belief has no spread: who is certain has nothing to ask"):
        Value().choose(Draws(lambda groups: np.ones((600, count(groups))), np.zeros(600)), asking(questions, root))
    with pytest.raises(InputError, match="what is believed is not finite"):
        Value().choose(
            Draws(lambda groups: np.full((600, count(groups)), np.nan), np.zeros(600)), asking(questions, root)
        )
    with pytest.raises(InputError, match="there is no target with a root output"):
        Value().choose(drawn(belief, 600), asking(questions))
    free = [question("label", 2, reading=0.0)._replace(deciding=0.0)]
    with pytest.raises(InputError, match="every question costs some minutes"):
        Value().choose(drawn(belief, 600), asking(free, root))
    apart = replace(target(0, 1), slopes=np.zeros((2, 2)))  # no answer moves any score
    chosen = Value().choose(drawn(belief, 600), asking(questions, apart))
    assert chosen.asked and chosen.outlook.gain == 0
