"""People's open questions: ordered anew after each answer, never under a rater's hands, and stopped."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from rrm.api.reordering import ASKING, Reordering, keep_standing
from rrm.ask.drawn import DrawnAnswers
from rrm.ask.standing import Standing
from rrm.core.annotation import Lease, Submission
from rrm.core.errors import ConflictError
from rrm.core.kinds import Comparison, Label
from rrm.queue import SqlDesk, open_desk
from tests.asked_desk import POOL, chosen, standing

KEYS = (f"key-{number}" for number in count())


def views(lease: Lease | None) -> int:
    assert lease is not None
    (view,) = {each.request.node for each in lease.questions}
    return int(view[-1])


def submissions(lease: Lease) -> list[Submission]:
    told = [Label(True) if len(each.outputs) == 1 else Comparison(each.order.index(0)) for each in lease.questions]
    return [Submission(answer, each.shown, 30.0) for answer, each in zip(told, lease.questions, strict=True)]


def answer(desk: SqlDesk, lease: Lease | None) -> None:
    assert lease is not None
    desk.submit(lease.person, lease.id, submissions(lease), next(KEYS))


def work_left(desk: SqlDesk) -> list[int]:
    """Return the views whose bundles are open, those first that come first."""
    found = [int(each.node[-1]) for each in desk.next_items(100) if each.stream == "value"]
    return list(dict.fromkeys(found))


def test_the_queue_is_ordered_anew_after_an_answer_and_back_when_it_is_taken_back(tmp_path: Path) -> None:
    with chosen(tmp_path / "run") as (desk, folder):
        order = Reordering(desk, folder)
        anna, ben = (desk.add_person(name, by="test").id for name in ("anna", "ben"))
        assert work_left(desk) == [0, 1, 2, 3]
        lease = desk.claim(anna)
        assert views(lease) == 0 and len(lease.questions) == 2  # type: ignore[union-attr]  # the bundle as one sheet
        answer(desk, lease)
        assert order.look() and work_left(desk) == [2, 1, 3]
        assert not order.look()  # nothing has changed
        stood = desk.valuations()[-1]
        assert (stood.open, stood.minutes, stood.predicted) == (8, 1.0, 2.5) and stood.answers == desk.answer_count()
        held = desk.claim(ben)
        assert views(held) == 2
        desk.undo(anna)  # she holds it again: it counts as asked
        assert order.look() and work_left(desk) == [1, 3]
        desk.skip(anna, desk.claim(anna).id, "unclear", next(KEYS))  # type: ignore[union-attr]
        assert order.look() and work_left(desk) == [0, 1, 3]
        assert desk.valuations()[-1].expected == 0.5  # nothing that counts was said


def test_what_a_rater_holds_is_not_taken_away(tmp_path: Path) -> None:
    with chosen(tmp_path / "run") as (desk, folder):
        order = Reordering(desk, folder)
        anna, ben = (desk.add_person(name, by="test").id for name in ("anna", "ben"))
        lease = desk.claim(anna)
        assert order.look()  # what anna holds counts as asked
        held = desk.claim(ben)
        assert views(held) == 2
        answer(desk, lease)
        order.look()
        assert desk.claim(ben) == held
        answer(desk, held)
        order.look()
        assert work_left(desk) == [1, 3]


def test_asking_stops_where_nothing_is_worth_a_minute_and_raters_are_told(tmp_path: Path) -> None:
    with chosen(tmp_path / "run", worth=0.5) as (desk, folder):
        anna, ben = (desk.add_person(name, by="test").id for name in ("anna", "ben"))
        held = desk.claim(anna)
        assert Reordering(desk, folder).look()
        assert desk.valuations()[-1].stopped and desk.claim(ben) is None
        answer(desk, held)
        with open_desk(folder) as again:  # how much is left is known by the second
            ending = again.ending(ben)
        assert ending is not None and ending.settled
        assert {each.what for each in desk.audit()} >= {"retire item"}
        assert not [each for each in desk.progress() if each.complete < each.items]


@pytest.mark.parametrize("draws", [False, True])
def test_an_answer_that_comes_twice_counts_once_and_one_after_a_freeze_not_at_all(tmp_path: Path, draws: bool) -> None:
    with chosen(tmp_path / "run") as (desk, folder):
        if draws:
            keep_standing(folder, POOL, drawn_standing(0.0).arrays())
        order = Reordering(desk, folder)
        anna, ben = (desk.add_person(name, by="test").id for name in ("anna", "ben"))
        lease = desk.claim(anna)
        assert lease is not None
        made = submissions(lease)
        desk.submit(anna, lease.id, made, "once")
        order.look()
        before = desk.valuations()[-1]
        desk.submit(anna, lease.id, made, "once")  # the network brought it again
        assert not order.look() and desk.valuations()[-1] == before
        late = desk.claim(ben)
        assert late is not None and views(late) == 2
        desk.freeze(late.first.request.place, "test")
        with pytest.raises(ConflictError):
            desk.submit(ben, late.id, submissions(late), next(KEYS))
        order.look()
        assert desk.valuations()[-1].expected == before.expected
        assert work_left(desk) == [1, 3]


def test_now_and_then_all_answers_are_taken_in_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.api.reordering.TOGETHER_EVERY", 4)
    with chosen(tmp_path / "run") as (desk, folder):
        order, anna = Reordering(desk, folder), desk.add_person("anna", by="test").id
        told = []
        for _ in range(2):
            lease = desk.claim(anna)
            assert lease is not None
            told += [(each.request.id, True) for each in lease.questions]
            answer(desk, lease)
            assert order.look()
        assert order.look() and not order.look()  # in the order of what they tell together, once
        together = standing()
        together.learn_together(told)
        assert order._standing is not None
        assert order._standing.arrays()["mean"] == pytest.approx(together.arrays()["mean"], abs=1e-9)
        desk.undo(anna)
        assert order.look()
        left = standing()
        left.learn_together(told[:2])
        assert order._standing.arrays()["mean"] == pytest.approx(left.arrays()["mean"], abs=0.05)


@pytest.mark.parametrize("draws", [False, True])
def test_answers_in_another_order_come_to_nearly_the_same_and_draws_to_the_same(tmp_path: Path, draws: bool) -> None:
    expected = []
    names = ("anna", "ben", "cleo")
    for number, order in enumerate((names, names[::-1])):
        with chosen(tmp_path / f"run {number}") as (desk, folder):
            if draws:
                keep_standing(folder, POOL, drawn_standing(0.0).arrays())
            persons = {name: desk.add_person(name, by="test").id for name in names}
            leases = {name: desk.claim(person) for name, person in persons.items()}
            assert {0, 1} < {views(each) for each in leases.values()}  # of nearly one number
            for name in order:
                answer(desk, leases[name])
            Reordering(desk, folder).look()
            expected.append(desk.valuations()[-1].expected)
    most = 1e-9 if draws else 0.005  # choices match moments: order matters a little
    assert abs(expected[0] - expected[1]) < most < expected[0] - 0.5


def test_an_open_wave_of_which_nothing_was_kept_stays_in_the_order_in_which_it_was_chosen(tmp_path: Path) -> None:
    with chosen(tmp_path / "run") as (desk, folder):
        (folder / ASKING / f"{POOL}.npz").unlink()
        anna = desk.add_person("anna", by="test").id
        answer(desk, desk.claim(anna))
        assert not Reordering(desk, folder).look()
        assert work_left(desk) == [1, 2, 3] and desk.valuations() == []


def test_a_wave_of_draws_asks_for_a_fit_once_few_have_what_was_answered_and_goes_on_in_its_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rrm.asking")
    with chosen(tmp_path / "run", worth=1e-6) as (desk, folder):
        keep_standing(folder, POOL, drawn_standing(1e-6).arrays())
        order, anna = Reordering(desk, folder), desk.add_person("anna", by="test").id
        assert order.look() and not desk.valuations()[-1].refit and desk.valuations()[-1].gain > 0
        for _ in range(2):
            answer(desk, desk.claim(anna))
            assert order.look()
        stood = desk.valuations()[-1]
        assert stood.refit and stood.gain == 0 and not stood.stopped and len(work_left(desk)) == 2
        told = "few draws have what was answered as it was: models are fitted anew once this wave is answered"
        assert caplog.messages.count(told) == 1
        desk.undo(anna)
        assert order.look() and not desk.valuations()[-1].refit  # as if it had never been said


def drawn_standing(worth: float) -> Standing:
    """Return the same wave by 700 draws of what is believed."""
    known, rng = standing(worth), np.random.default_rng(5)
    arrays = known.arrays()
    across = arrays["across"].reshape(8, 2)
    whole = np.block([[arrays["covariance"], across], [across.T, np.diag([float(arrays["spread"][0]), 0.0])]])
    draws = rng.multivariate_normal(np.zeros(10), whole, size=700, check_valid="ignore")
    answers = known._answers
    made = DrawnAnswers(answers.decision, answers.questions, draws[:, :8], 0.5 + draws[:, None, 8:], np.zeros(700), 3)
    return Standing(known.requests, known.bundles, made, worth)
