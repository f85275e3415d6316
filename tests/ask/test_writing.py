"""Texts that a person writes or edits: what they are expected to tell, by enumeration, and when they are asked for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit, softmax
from scipy.stats import norm

from rrm.ask import Value
from rrm.ask.standing import Standing
from rrm.ask.writing import SHARES, chosen_of
from rrm.core.asking import AT_RANDOM, Asking, Quality, Question
from rrm.core.place import Place
from rrm.core.values import Request, Shown
from rrm.feedback.minutes import written_words
from tests.ask.test_sampler import Table, asking, question, target, view


def told(mean: np.ndarray, covariance: np.ndarray, share: float) -> np.ndarray:
    """Return the covariance that the choice of one of k texts takes from rewards, as draws weighed by it have it."""
    drawn = np.random.default_rng(1).multivariate_normal(mean, covariance, 200_000)
    likely = softmax(share * drawn, axis=1)
    left = np.zeros_like(covariance)
    for at in range(len(mean)):
        weights = likely[:, at] / likely[:, at].sum()
        off = drawn - weights @ drawn
        left += likely[:, at].mean() * (off * weights[:, None]).T @ off
    return np.cov(drawn.T) - left


def removed(mean: np.ndarray, covariance: np.ndarray, share: float) -> np.ndarray:
    along = chosen_of(mean, covariance, share)
    return covariance - np.linalg.inv(np.linalg.inv(covariance) + along @ along.T)


@pytest.mark.parametrize(
    ("mean", "variances", "share"),
    [
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], 1.0),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0] * 6, 1.0),
        ([1.0, 0.0, -1.0], [0.5, 1.0, 2.0], 1.0),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], 0.25),
    ],
)
def test_a_choice_of_one_text_removes_about_as_much_variance_as_enumeration_says(
    mean: list[float], variances: list[float], share: float
) -> None:
    at, covariance = np.array(mean), np.diag(variances)
    exact = np.trace(told(at, covariance, share))
    assert np.trace(removed(at, covariance, share)) == pytest.approx(exact, rel=0.12)


def test_an_edit_tells_less_by_about_the_square_of_what_it_writes_anew_and_the_price_counts_the_same_share() -> None:
    whole, part = (np.trace(removed(np.zeros(3), np.eye(3), share)) for share in (1.0, 0.25))
    assert part < whole / 10
    edit = Request("n", "s", Place(), "correction", view(0), (Shown("o", "word " * 40),))
    assert SHARES["demonstration"] == 1.0 and written_words(edit) == 40 * SHARES["correction"]


def writing(kind: str, *outputs: int, at: object = 0, reading: float = 1.0) -> Question:
    shown = (Shown(f"o{outputs[0]}", str(outputs[0])),)
    request = Request(f"n{at}", "s", Place(level=0), kind, view(at), shown)
    return Question(request, reading, 0.5, others=tuple(map(str, outputs)))


def known(outputs: int = 12) -> Table:
    """Outputs of which those from 2 up, three beside each view, tell of the root candidates 0 and 1."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(outputs + 2, 4))
    weights[0], weights[1] = [1, 0, 0, 0], [0, 1, 0, 0]
    return Table(np.zeros(outputs + 2), weights @ weights.T + 0.1 * np.eye(outputs + 2))


def wanted(questions: Sequence[Question], **settings: object) -> Asking:
    return asking(questions, target(0, 1), **settings)


def test_a_demonstration_is_worth_what_its_choice_tells_of_the_root() -> None:
    belief = known(3)
    [asked] = Value().choose(belief, wanted([writing("demonstration", 2, 3, 4)], minutes=9.0)).asked
    assert asked.stream == "value" and asked.minutes == 1.5
    own = belief.spread[2:, 2:]
    along = chosen_of(np.zeros(3), own)
    across = belief.spread[2:, :2] @ np.array([1.0, -1.0])
    less = across @ along @ np.linalg.inv(np.eye(along.shape[1]) + along.T @ own @ along) @ along.T @ across
    spread = belief.spread[:2, :2]
    before = spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]
    exact = np.sqrt(less / (2 * np.pi)) + np.sqrt(before) - np.sqrt(before - less)
    assert asked.value * 1.5 == pytest.approx(exact, rel=0.05)  # the decision's gain by 1,024 draws


def test_texts_compete_with_questions_by_value_a_minute_and_are_never_drawn() -> None:
    belief = known(60)
    views = range(20)
    labels = [question("label", 2 + 3 * at, at=at) for at in views]
    texts = [writing("demonstration", *(2 + 3 * at + one for one in range(3)), at=at) for at in views]
    chosen = Value().choose(belief, wanted([*labels, *texts], minutes=60.0))
    written = {each.request.id for each in texts}
    put = [each for each in chosen.asked if each.request in written]
    assert put and all(each.stream == "value" and each.value > 0 for each in put)
    assert any(each.stream == AT_RANDOM for each in chosen.asked)
    by_value = [each.value for each in chosen.asked if each.stream == "value" and each.value]
    assert by_value[:4] == sorted(by_value[:4], reverse=True)
    dear = [each._replace(deciding=400.0) for each in texts]
    none = Value().choose(belief, wanted([*labels, *dear], minutes=60.0))
    assert not {each.request for each in none.asked} & {each.request.id for each in dear}
    few = Value().choose(belief, wanted(texts, minutes=np.inf, many=2))
    assert len(few.asked) == 2 and Value().choose(belief, wanted(texts, minutes=1.0)).asked == ()


def test_what_was_written_beside_a_view_is_worth_less_there_the_next_time() -> None:
    belief = known(3)
    twice = [writing("demonstration", 2, 3, 4), writing("demonstration", 3, 2, 4)]
    first, second = Value().choose(belief, wanted(twice, minutes=9.0)).asked
    assert 0 < second.value < 0.8 * first.value
    same = [writing("demonstration", 2, 3, 4), question("comparison", 2, 3)]
    some_drawn = Value(random=0.001, most_random=0.001, least_random=0)
    alone, beside = (some_drawn.choose(belief, wanted(some, minutes=90.0)) for some in (same[1:], same))
    told = {each.request: each.value for each in beside.asked}
    assert told[same[1].request.id] < alone.asked[0].value


def test_while_people_answer_a_text_keeps_its_place_by_what_it_was_worth() -> None:
    belief = known()
    asked = wanted([writing("demonstration", 2, 3, 4), question("label", 5, at=1)], minutes=30.0)
    chosen = Value(random=0.01, least_random=0).choose(belief, asked)
    kept = Standing.of(Value().keep(belief, asked, chosen.asked))
    [text] = [each for each in chosen.asked if each.request == asked.questions[0].request.id]
    assert kept.known == {each.request for each in chosen.asked} and kept.minutes(text.request) == 1.5
    [sheet] = [each for each in kept.next_sheets(kept.known).sheets if each.requests == (text.request,)]
    assert sheet.value == text.value and 0 < sheet.gain <= sheet.value


def test_where_one_text_stands_beside_the_view_a_text_that_is_written_is_taken_to_tell_nothing() -> None:
    alone = writing("demonstration", 2)
    [asked] = Value().choose(known(), wanted([alone, question("label", 5, at=1)], minutes=30.0)).asked
    assert asked.request != alone.request.id
    assert replace(alone.request, copy=1).id != alone.request.id


def at_root(kind: str, quality: Quality | None, **settings: object) -> Asking:
    """Return a text that may be written at the root, of two candidates that are accepted with .5 and .6."""
    root = target(0, 1, scores=[0.5, 0.6], slopes=1e-9 * np.eye(2))
    text = writing(kind, 0, 1)._replace(of_target=True)
    kinds = {} if quality is None else {kind: quality}
    return replace(wanted([text], minutes=9.0, qualities=kinds, **settings), targets=(root,))


def known_roots() -> Table:
    return Table(np.zeros(2), np.eye(2))


def test_a_text_at_a_root_is_worth_what_the_new_candidate_is_better_by() -> None:
    for kind, mean, sd in (("demonstration", 0.3, 0.8), ("correction", 0.3, 0.8)):
        beside = logit(0.5) if kind == "correction" else (logit(0.5) + logit(0.6)) / 2

        def better(d: float, beside: float = beside, mean: float = mean, sd: float = sd) -> float:
            return float(norm.pdf(d, mean, sd) * max(expit(beside + d) - 0.6, 0.0))

        exact = quad(better, mean - 8 * sd, mean + 8 * sd, points=[logit(0.6) - beside])[0]
        [asked] = Value(spread_weight=0).choose(known_roots(), at_root(kind, Quality(mean, sd))).asked
        assert asked.value * asked.minutes == pytest.approx(exact, rel=0.01)


def test_who_writes_better_is_asked_to_and_who_writes_badly_is_not() -> None:
    worth = [
        sum(each.value for each in Value().choose(known_roots(), at_root("demonstration", Quality(mean, 0.3))).asked)
        for mean in (-4.0, 0.0, 2.0)
    ]
    assert worth[0] < 1e-6 < worth[1] < worth[2]
    stops = Value(worth=0.01)
    assert stops.choose(known_roots(), at_root("demonstration", Quality(-4.0, 0.3))).outlook.stopped
    assert not stops.choose(known_roots(), at_root("demonstration", Quality(2.0, 0.3))).outlook.stopped


def test_where_texts_become_no_candidates_or_nothing_is_chosen_they_are_worth_what_they_tell() -> None:
    none = Value().choose(known_roots(), at_root("demonstration", None))
    improving = Value(decision="improve").choose(known_roots(), at_root("demonstration", Quality(2.0, 0.3)))
    assert none.outlook.gain == pytest.approx(0.0, abs=1e-6) and improving.outlook.gain == pytest.approx(0.0, abs=1e-6)
    taken = at_root("demonstration", Quality(2.0, 0.3))
    settled = replace(taken, targets=(replace(taken.targets[0], left=(1, 0)),))
    assert Value().choose(known_roots(), settled).outlook.gain == pytest.approx(0.0, abs=1e-6)
