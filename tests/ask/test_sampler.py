"""Choosing a run's questions: values by hand, the random stream, stopping, and what bad input gets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from rrm.ask import Value
from rrm.ask.bundles import Answers, Decision, Questions, Ranked, _draws
from rrm.ask.gaussian import Gaussian
from rrm.ask.tilt import best_mean, tilted
from rrm.ask.value import Pool, Roots, decision_gain, spread_removed
from rrm.core.asking import AT_RANDOM, BY_VALUE, Alternatives, Asking, Belief, Question, QuestionSampler
from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.values import Consequence, Group, Request, Shown, View


@dataclass(frozen=True, eq=False)
class Table:
    """A belief about outputs that are called by their numbers."""

    mean: np.ndarray
    spread: np.ndarray

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        return self.mean[_numbers(groups)]

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        return self.spread[np.ix_(_numbers(groups), _numbers(others))]


def _numbers(groups: Sequence[Group]) -> list[int]:
    return [int(text) for group in groups for text in group.outputs]


def view(name: object) -> View:
    return View(f"view {name}", (), 9)


def question(kind: str, *outputs: int, at: object = 0, level: int = 0, reading: float = 1.0) -> Question:
    shown = tuple(Shown(f"o{each}", str(each)) for each in outputs)
    request = Request(f"n{at}", "s", Place(level=level), kind, view(at), shown)
    return Question(request, reading, 0.5)


def target(*outputs: int, slopes: np.ndarray | None = None, scores: Sequence[float] | None = None) -> Alternatives:
    group = Group("t", Place(level=1), view("root"), tuple(map(str, outputs)))
    k = len(outputs)
    ids = tuple(f"o{each}" for each in outputs)
    return Alternatives(
        ids, np.zeros(k) if scores is None else np.array(scores), (group,), np.eye(k) if slopes is None else slopes
    )


def world(count: int = 40, seed: int = 0) -> tuple[Table, list[Question], Alternatives]:
    """Two root candidates, numbers 0 and 1, and outputs that tell more or less of them, two beside each view."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(2 * count + 2, 4))
    weights[0], weights[1] = [1, 0, 0, 0], [0, 1, 0, 0]
    belief = Table(np.zeros(len(weights)), weights @ weights.T + 0.1 * np.eye(len(weights)))
    asked = [question("comparison", 2 * at, 2 * at + 1, at=at) for at in range(1, count + 1)]
    asked += [question("label", 2 * at, at=at) for at in range(1, count + 1)]
    return belief, asked, target(0, 1)


def asking(questions: Sequence[Question], *targets: Alternatives, **known: object) -> Asking:
    return replace(Asking(tuple(questions), targets, {0: 1.0}, minutes=20.0, seed=1), **known)  # type: ignore[arg-type]


def answers(
    belief: Table, asked: Sequence[tuple[int, int]], choice: bool, scores: Sequence[float], overlap: int = 1
) -> Answers:
    roots = len(scores)
    spread = np.array([_spread(belief, roots)])
    decision = Decision(np.array([scores]), np.ones((1, roots), dtype=bool), spread, np.ones(1))
    q = len(asked)
    questions = Questions(
        np.array([each[0] for each in asked]),
        np.array([each[1] for each in asked]),
        np.full(q, choice),
        np.full(q, 0.7),
        np.zeros(q, dtype=np.int64),
        np.ones(q),
        np.full(q, 0.5),
    )
    return Answers(decision, questions, belief.mean, belief.spread, belief.spread[:, None, :roots], 3, overlap)


def _spread(belief: Table, roots: int) -> float:
    own = belief.spread[:roots, :roots]
    return float(2 * (roots * np.trace(own) - own.sum()) / (roots * (roots - 1)))


def linear(belief: Table, asked: Sequence[tuple[int, int]]) -> tuple[Gaussian, Pool, Roots]:
    """Return the same questions for the library of values: every output's reward is a weight."""
    n = len(belief.mean)
    eye = np.eye(n)
    along = np.array([eye[a] - (eye[b] if b >= 0 else 0) for a, b in asked])
    q = len(asked)
    pool = Pool(along, np.full(q, 0.7), np.zeros(q, dtype=bool), np.ones(q))
    return Gaussian(belief.mean, belief.spread), pool, Roots(eye[None, :2])


def test_single_questions_are_worth_what_the_library_of_values_says() -> None:
    belief, _, _ = world(6)
    belief = replace(belief, mean=np.linspace(0.0, 1.0, len(belief.mean)))
    asked = [(2, 3), (4, -1), (6, 7), (8, -1)]
    value, gain, variance = np.concatenate(
        [np.array(each) for each in answers(belief, asked, False, belief.mean[:2]).singles()], axis=1
    )
    gaussian, pool, roots = linear(belief, asked)
    assert gain == pytest.approx(decision_gain(gaussian, pool, roots), abs=1e-12)
    assert value == pytest.approx(gain + spread_removed(gaussian, pool, roots), abs=1e-12)
    assert variance == pytest.approx(gaussian.variances(pool.directions), abs=1e-12)


def test_a_bundle_is_worth_what_its_answers_are_together() -> None:
    belief, _, _ = world(6)
    asked = [(2, -1), (4, -1), (6, -1)]
    made = answers(belief, asked, False, [0.0, 0.0])
    bundle = made.bundle([0, 1, 2])
    gaussian, pool, _ = linear(belief, asked)
    for at in bundle.questions:
        gaussian = gaussian.after_quantity(pool.directions[at], 0.0, 0.7)
    removed = belief.spread[:2, :2] - gaussian.covariance[:2, :2]
    between = removed[0, 0] + removed[1, 1] - 2 * removed[0, 1]
    # the better of two equal candidates is better by sd / sqrt(2 pi) of what will be known of their difference
    assert bundle.gain == pytest.approx(np.sqrt(between / (2 * np.pi)), rel=0.05)
    spread = np.sqrt(_spread(belief, 2)) - np.sqrt(_spread(belief, 2) - between)
    assert bundle.value == pytest.approx(bundle.gain + spread, rel=1e-9)
    assert bundle.minutes == pytest.approx(1.0 + 0.5 * len(bundle.questions))


@pytest.mark.parametrize("size", [1.0, 0.1, 0.01, 1e-3, 0.0])
def test_candidates_that_come_first_in_no_draw_change_no_gain(size: float) -> None:
    random = np.random.default_rng(31)
    scores = random.uniform(size=(5, 9))
    scores[1, 3:] = scores[1, 2]  # equal ones
    scores[2, 1] = scores[2].max()
    present = np.ones((5, 9), dtype=bool)
    present[3, 4:] = present[4, 1:] = False
    scores[3, 4:] = 2.0  # whoever is not there cannot be had, whatever stands for it
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    moves = size * random.normal(size=(4, 5, 9))
    found = Decision(scores, present, np.zeros(5), weights).gain(moves)
    had = np.where(present, scores, -np.inf)
    both = [sign * np.tensordot(_draws(4), moves, axes=1) for sign in (1, -1)]
    best = np.mean([(had + each).max(axis=2).mean(axis=0) for each in both], axis=0)
    assert found == pytest.approx(weights @ (best - had.max(axis=1)), abs=1e-13)
    assert (found > 0) == (size > 0)


def test_what_was_taken_is_worth_no_more_than_what_it_leaves_open() -> None:
    belief, _, _ = world(6)
    made = answers(belief, [(2, -1), (2, -1), (4, -1)], False, [0.0, 0.0])
    first = made.bundle([0])
    made.take(first)
    gaussian, pool, roots = linear(belief, [(2, -1)])
    again = gaussian.after_quantity(pool.directions[0], 0.0, 0.7)
    assert made.bundle([1]).gain == pytest.approx(float(decision_gain(again, pool, roots)[0]), abs=1e-12)
    assert len(made.taken_moves) == 1


def test_two_raters_tell_as_one_of_half_the_variance() -> None:
    belief, _, _ = world(6)
    one, two = (answers(belief, [(2, -1)], False, [0.0, 0.0], overlap) for overlap in (1, 2))
    exact, pool, roots = linear(belief, [(2, -1)])
    both = decision_gain(exact, replace(pool, noise=pool.noise / np.sqrt(2)), roots)
    assert two.bundle([0]).gain == pytest.approx(float(both[0]), abs=1e-12)
    assert two.bundle([0]).gain > one.bundle([0]).gain


def test_bundles_come_by_value_a_minute() -> None:
    belief, questions, root = world()
    chosen = Value().choose(belief, asking(questions, root, minutes=1000.0))
    by_value = [each for each in chosen.asked if each.stream == BY_VALUE]
    first = [each.value for each in by_value[:5]]
    assert first == sorted(first, reverse=True) and first[0] > 0
    views = {each.request.id: each.request.view.id for each, *_ in zip(questions, strict=True)}
    for number in {each.bundle for each in by_value}:
        assert len({views[each.request] for each in by_value if each.bundle == number}) == 1
    assert isinstance(belief, Belief) and isinstance(Value(), QuestionSampler)


def test_equal_arguments_give_equal_choices_in_whatever_order_questions_come() -> None:
    belief, questions, root = world()
    one = Value().choose(belief, asking(questions, root))
    other = Value().choose(belief, asking(questions[::-1], root))
    assert {each.request for each in one.asked if each.stream == BY_VALUE} == {
        each.request for each in other.asked if each.stream == BY_VALUE
    }
    assert one == Value().choose(belief, asking(questions, root))
    assert one.outlook.pool == other.outlook.pool


def test_a_quarter_of_all_questions_is_set_aside_and_drawn_as_targets_occur() -> None:
    rng = np.random.default_rng(3)
    n = 1200
    belief = Table(np.zeros(n + 2), np.diag(np.r_[1.0, 1.0, rng.uniform(0.5, 2, n)]))
    questions = [question("label", at + 2, at=at, level=at % 3) for at in range(n)]
    chosen = Value(least_random=200).choose(
        belief, asking(questions, target(0, 1), minutes=400.0, levels={0: 6.0, 1: 3.0, 2: 1.0}, expected=1000)
    )
    random = [each for each in chosen.asked if each.stream == AT_RANDOM]
    assert len(random) == 53  # a fifth of 400 minutes at 1.5 each
    level = {each.request.id: each.request.place.level for each in questions}
    counts = np.bincount([level[each.request] for each in random], minlength=3)
    assert counts[0] > 22 and counts[2] < 16
    assert all(0 < each.propensity < 0.02 for each in random)
    later = Value(least_random=0).choose(belief, asking(questions, target(0, 1), minutes=400.0, wave=1))
    chosen_ids = {each.request for each in later.asked if each.stream == BY_VALUE}
    assert not chosen_ids & {each.request for each in random}  # what is set aside stays so


def test_however_much_is_put_each_stream_has_its_share() -> None:
    belief, questions, root = world(200)
    asked = Value(least_random=0, random=0.2).choose(belief, asking(questions, root, minutes=200.0)).asked
    half = asked[: len(asked) // 2]
    whole = np.mean([each.stream == AT_RANDOM for each in asked])
    assert np.mean([each.stream == AT_RANDOM for each in half]) == pytest.approx(whole, abs=0.05)


def test_asking_stops_where_no_bundle_is_worth_its_minutes() -> None:
    belief, questions, root = world()
    going = Value().choose(belief, asking(questions, root))
    gain = going.outlook.gain
    assert gain > 0 and not going.outlook.stopped
    stopped = Value(worth=1.01 * gain).choose(belief, asking(questions, root))
    assert stopped.outlook.stopped and stopped.asked == ()
    assert not Value(worth=0.99 * gain).choose(belief, asking(questions, root)).outlook.stopped


def test_the_outlook_says_what_the_next_hour_would_bring() -> None:
    belief, questions, root = world(100)
    looked = Value().choose(belief, asking(questions, root, minutes=0.0))
    assert looked.asked == ()
    all_told = np.sqrt((belief.spread[0, 0] + belief.spread[1, 1] - 2 * belief.spread[0, 1]) / (2 * np.pi))
    assert 0.5 * all_told < looked.outlook.hour < all_told
    assert looked.outlook.expected == 0 and looked.outlook.best == ("o0",)


def test_questions_that_change_nothing_come_by_variance() -> None:
    n = 30
    belief = Table(np.zeros(n + 2), np.diag(np.r_[1.0, 1.0, np.linspace(0.5, 3, n)]))
    questions = [question("label", at + 2, at=at) for at in range(n)]
    chosen = Value().choose(belief, asking(questions, target(0, 1), minutes=9.0))
    outputs = [int(each.request.shown[0].text) for each in questions]
    by = {each.request.id: output for each, output in zip(questions, outputs, strict=True)}
    order = [by[each.request] for each in chosen.asked if each.stream == BY_VALUE]
    assert order == sorted(order, reverse=True) and len(order) == 4  # three quarters of 9 minutes
    assert chosen.outlook.gain == 0


def test_a_budget_below_one_question_puts_none() -> None:
    belief, questions, root = world()
    assert Value().choose(belief, asking(questions, root, minutes=0.2)).asked == ()
    assert Value().choose(belief, asking(questions, root, minutes=np.inf, many=0)).asked == ()
    assert Value().choose(belief, asking([], root)).asked == ()


def test_a_worth_of_zero_asks_to_the_end_of_the_budget_even_where_nothing_is_gained() -> None:
    n = 30
    belief = Table(np.zeros(n + 2), np.diag(np.r_[0.0, 0.0, np.ones(n)]))
    questions = [question("label", at + 2, at=at) for at in range(n)]
    chosen = Value(worth=0.0).choose(belief, asking(questions, target(0, 1), minutes=np.inf))
    assert chosen.outlook.gain == 0 and not chosen.outlook.stopped
    assert {each.request for each in chosen.asked} == {each.request.id for each in questions}
    assert Value(worth=1e-12).choose(belief, asking(questions, target(0, 1))).outlook.stopped


def test_targets_count_by_their_weights() -> None:
    n = 40
    belief = Table(np.zeros(n + 4), np.eye(n + 4))
    for at in range(n):  # even numbers tell of the first target, odd ones as much of the second
        belief.spread[at + 4, 2 * (at % 2)] = belief.spread[2 * (at % 2), at + 4] = 0.2
    questions = [question("label", at + 4, at=at) for at in range(n)]
    first, second = target(0, 1), replace(target(2, 3), weight=0.0)
    of = {each.request.id: at % 2 for at, each in enumerate(questions)}

    def asked(*targets: Alternatives) -> set[int]:
        return {of[each.request] for each in Value().choose(belief, asking(questions, *targets)).asked if each.value}

    assert asked(first, replace(second, weight=1.0)) == {0, 1}
    assert asked(first, second) == {0} and asked(replace(first, weight=0.0), replace(second, weight=2.0)) == {1}
    told = (
        Value()
        .choose(
            Table(np.r_[1.0, 0.0, 3.0, np.zeros(n + 1)], belief.spread),
            asking(questions, target(0, 1, scores=[1.0, 0.0]), replace(target(2, 3, scores=[3.0, 0.0]), weight=3.0)),
        )
        .outlook
    )
    assert told.expected == pytest.approx(0.25 * 1 + 0.75 * 3) and told.weights == (0.25, 0.75)
    for wrong in (-1.0, 0.0, np.nan):
        with pytest.raises(InputError, match="targets' weights are numbers from 0 up, one of them above 0"):
            Value().choose(belief, asking(questions, replace(first, weight=wrong)))


def test_a_policy_is_improved_within_its_nats_as_the_dual_says() -> None:
    """The best mean within so many nats is the least over l of (nats + log mean exp(l s)) / l: Donsker and Varadhan."""
    rng = np.random.default_rng(2)
    for _ in range(5):
        scores, nats = rng.uniform(size=6), float(rng.uniform(0.05, 1.2))
        shares = tilted(scores, np.ones(6, dtype=bool), nats)
        assert float((shares * np.log(6 * shares)).sum()) == pytest.approx(nats, abs=1e-6)

        def dual(log: float, s: np.ndarray = scores, nats: float = nats) -> float:
            return float((nats + logsumexp(np.exp(log) * s) - np.log(6)) / np.exp(log))

        assert shares @ scores == pytest.approx(
            minimize_scalar(dual, bounds=(-5, 8), method="bounded", options={"xatol": 1e-9}).fun, abs=1e-8
        )


def test_of_few_candidates_and_equal_ones_the_best_is_had() -> None:
    there = np.array([[True, True, False], [True, True, True], [True, False, False]])
    scores = np.array([[0.2, 0.8, 0.9], [0.5, 0.5, 0.5], [0.3, 0.9, 0.9]])
    assert tilted(scores, there, 5.0) == pytest.approx(np.array([[0, 1, 0], [1 / 3] * 3, [1, 0, 0]]), abs=1e-9)
    assert best_mean(scores, there, np.inf) == pytest.approx([0.8, 0.5, 0.3])
    assert best_mean(scores, there, 1e-9) == pytest.approx([0.5, 0.5, 0.3], abs=1e-3)


def test_answers_gain_an_improved_policy_what_many_draws_say_and_never_less_than_nothing() -> None:
    rng = np.random.default_rng(4)
    scores, moves = rng.uniform(size=(2, 4)), 0.2 * rng.normal(size=(5, 2, 4))
    present = np.ones((2, 4), dtype=bool)
    improved = Decision(scores, present, np.ones(2), np.array([0.75, 0.25]), np.array(0.4))
    chosen = replace(improved, nats=np.array(np.inf))
    gains = improved.single_gains(moves)
    draws = rng.normal(size=(4000, 1, 1, 1))
    drawn = (best_mean(scores + draws * moves, present, 0.4) @ improved.weights).mean(axis=0) - improved.expected
    assert gains == pytest.approx(drawn, abs=0.004) and (gains >= 0).all()
    assert improved.expected < chosen.expected and improved.gain(moves) > max(gains)
    assert replace(improved, nats=np.array(50.0)).single_gains(moves) == pytest.approx(
        chosen.single_gains(moves), abs=0.02
    )
    assert chosen.shares == pytest.approx(np.eye(4)[scores.argmax(axis=1)])


def test_a_run_that_improves_asks_for_that_and_says_what_would_be_had() -> None:
    belief, questions, root = world()
    improving = Value(decision="improve", nats=0.2).choose(belief, asking(questions, root))
    choosing = Value().choose(belief, asking(questions, root))
    assert improving.asked and improving.outlook.gain < choosing.outlook.gain
    assert set(improving.outlook.best) == {"o0", "o1"} and sum(improving.outlook.weights) == pytest.approx(1)
    assert Value(decision="improve").name != Value().name == Value(nats=2.0).name
    with pytest.raises(ConfigError, match="decision is choose or improve, got 'guess'"):
        Value(decision="guess")  # type: ignore[arg-type]
    for nats in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match="nats are a number above 0"):
            Value(decision="improve", nats=nats)


def test_predicted_minutes_are_those_of_the_bundle_shared_and_of_the_drawn_one_alone() -> None:
    belief, questions, root = world(200)
    asked = Value().choose(belief, asking(questions, root, minutes=200.0)).asked
    assert {each.minutes for each in asked if each.stream == AT_RANDOM} == {1.5}
    bundles = {each.bundle: each.minutes for each in asked if each.stream == BY_VALUE}
    put = {number: sum(each.bundle == number for each in asked if each.stream == BY_VALUE) for number in bundles}
    assert all(bundles[number] * put[number] == pytest.approx(1.0 + 0.5 * put[number]) for number in bundles)


def test_bad_input_is_refused_in_one_sentence() -> None:
    belief, questions, root = world()
    with pytest.raises(InputError, match="there is no target with a root output"):
        Value().choose(belief, asking(questions))
    free = [question("label", 2, reading=0.0)._replace(deciding=0.0)]
    with pytest.raises(InputError, match="every question costs some minutes: label request-"):
        Value().choose(belief, asking(free, root))
    with pytest.raises(InputError, match="the belief has no spread: who is certain has nothing to ask"):
        Value().choose(Table(belief.mean, 0 * belief.spread), asking(questions, root))
    with pytest.raises(InputError, match="what is believed is not finite"):
        Value().choose(Table(belief.mean * np.nan, belief.spread), asking(questions, root))
    for wrong in ({"random": 0.0}, {"random": 0.5}, {"most_random": 1.0}):
        with pytest.raises(ConfigError, match="without questions drawn at random no accuracy could be told"):
            Value(**wrong)
    with pytest.raises(ConfigError, match="worth and spread_weight are numbers from 0 up"):
        Value(worth=-1.0)
    with pytest.raises(ConfigError, match="waves is 1 or more"):
        Value(waves=0)


def test_what_is_ranked_first_is_the_best_of_all_bundles() -> None:
    belief, _, _ = world(12)
    asked = [(2 * at, 2 * at + 1) for at in range(1, 13)]
    made = answers(belief, asked, True, [0.0, 0.1])
    made.questions.view[:] = np.arange(12) // 3
    ranked = Ranked(made)
    best = max((made.bundle(list(range(3 * at, 3 * at + 3))) for at in range(4)), key=lambda b: b.value / b.minutes)
    assert ranked.next() == best
    ranked.take()
    assert set(ranked.left) == set(range(12)) - set(best.questions)


def test_questions_in_hindsight_are_bundled_apart_from_those_without() -> None:
    belief, asked, decided = world()
    came = Consequence("So it went.", 0.5)
    again = [
        each._replace(
            request=replace(
                each.request,
                kind="hindsight",
                shown=tuple(replace(one, consequence=came) for one in each.request.shown),
            )
        )
        for each in asked
        if each.request.kind == "comparison"
    ]
    assert "hindsight" in Value().kinds
    chosen = Value().choose(belief, asking([*asked, *again], decided, minutes=200.0)).asked
    kinds: dict[int, set[bool]] = {}
    hindsight = {each.request.id for each in again}
    for each in chosen:
        if each.stream == BY_VALUE:
            kinds.setdefault(each.bundle, set()).add(each.request in hindsight)
    assert len(kinds) > 2 and all(len(each) == 1 for each in kinds.values()) and {True} in kinds.values()
