"""What accuracy is when it is told of chosen questions, and what the random stream says it is."""

import numpy as np

from rrm.ask import Value
from rrm.core.asking import AT_RANDOM, BY_VALUE, Alternatives, Asking, Question
from rrm.core.place import Place
from rrm.core.values import Group, Request, Shown, View
from tests.ask.test_sampler import Table


def test_accuracy_told_of_chosen_questions_is_wrong_and_of_the_random_stream_is_not() -> None:
    """Half of what occurs is nearly known and changes nothing; the other half is open, and is what the roots are of."""
    rng = np.random.default_rng(7)
    views, width = 1200, 6
    known = np.arange(2 * views) // 2 % 2 == 0
    columns = rng.normal(size=(2 * views, width)) * np.where(
        known[:, None], np.eye(2)[0].repeat(3), np.eye(2)[1].repeat(3)
    )
    roots = np.concatenate([np.zeros((3, 3)), rng.normal(size=(3, 3))], axis=1)
    mean = np.r_[rng.normal(size=3), np.zeros(3)]
    covariance = np.diag([0.01] * 3 + [1.0] * 3)
    truth = rng.multivariate_normal(mean, covariance)
    every = np.concatenate([roots, columns])
    belief = Table(every @ mean, every @ covariance @ every.T)
    questions = [_comparison(3 + 2 * at, at) for at in range(views)]
    target = Alternatives(
        ("a", "b", "c"), np.zeros(3), (Group("t", Place(), View("root", (), 9), ("0", "1", "2")),), np.eye(3)
    )
    asking = Asking(tuple(questions), (target,), {0: 1.0}, minutes=450.0, expected=700)
    streams = {each.request: each.stream for each in Value(random=0.25).choose(belief, asking).asked}

    right = {BY_VALUE: [], AT_RANDOM: [], "all": []}
    for question in questions:
        first, second = (every[int(shown.text)] for shown in question.request.shown)
        believed, true = (first - second) @ mean, (first - second) @ truth
        hit = 0.5 if believed == 0 else float((believed > 0) == (true > 0))
        right["all"].append(hit)
        if question.request.id in streams:
            right[streams[question.request.id]].append(hit)

    population = np.mean(right["all"])
    chosen, drawn = (np.mean(right[stream]) for stream in (BY_VALUE, AT_RANDOM))
    half = 1.96 * np.sqrt(0.75 * 0.25 / len(right[AT_RANDOM]))
    assert len(right[AT_RANDOM]) > 60 and len(right[BY_VALUE]) > 200
    assert chosen < population - 0.1
    assert abs(drawn - population) < half


def _comparison(first: int, at: int) -> Question:
    shown = (Shown(f"o{first}", str(first)), Shown(f"o{first + 1}", str(first + 1)))
    return Question(Request(f"n{at}", f"s{at}", Place(), "comparison", View(f"view {at}", (), 9), shown), 1.0, 0.5)
