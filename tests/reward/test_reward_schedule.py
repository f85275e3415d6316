"""The schedule of a joint training: its learning rate by hand, and where it goes on."""

import pytest

from rrm.reward.schedule import Schedule, rate_share

EPOCHS = [[[(0, 1)], [(2,)]], [[(2, 0)], [(1,)]], [[(1, 2, 0)]]]


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    shares = [rate_share(step, 20, 0.1) for step in (0, 1, 2, 8, 11, 14)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25], abs=1e-15)  # cosines of 60, 90, 120 degrees
    assert rate_share(0, 20, 0.0) == 1.0


def test_updates_are_counted_from_one_and_say_which_epoch_they_end() -> None:
    found = list(Schedule(EPOCHS, 0.0).after(0))
    assert [(update.step, update.rows, update.epoch) for update in found] == [
        (1, 2, None), (2, 1, 1), (3, 2, None), (4, 1, 2), (5, 3, 3),
    ]  # fmt: skip
    assert [update.blocks for update in found] == [blocks for epoch in EPOCHS for blocks in epoch]


def test_what_is_left_after_a_step_is_the_rest_of_the_same_schedule() -> None:
    schedule = Schedule(EPOCHS, 0.25)
    assert schedule.total == 5
    for step in range(6):
        assert list(schedule.after(step)) == list(schedule.after(0))[step:]
