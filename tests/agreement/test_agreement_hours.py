"""Hours by rater and day: sums by hand, whatever became of the answers."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rrm.agreement.hours import Worked, hours, time_zone
from rrm.core.annotation import Annotation, Skipped
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Label

EVENING = datetime(2026, 3, 1, 22, 30, tzinfo=UTC).timestamp()


def answer(person: str, at: float, seconds: float | None, wall: float, **more: Any) -> Annotation:
    shown = Annotation(
        *("a", "i", person, Label(True), (0,), 1, "s", at, seconds, wall, None, {}),
        *("live", "work", Place(), "n", "label"),
    )
    return shown._replace(**more)


def test_days_add_up_by_rater_in_the_time_zone_asked_for() -> None:
    answers = [
        answer("ann", EVENING, 20.0, 30.0),
        answer("ann", EVENING + 600, 5.0, 6.0, purpose="practice"),
        answer("ann", EVENING + 3_600, None, 40.0, state="undone"),
        answer("bob", EVENING, 7.0, 7.5, state="requeued"),
        answer("bob", EVENING, None, 0.0, adjudication=True),
    ]
    skips = [Skipped("i", "bob", "too hard", EVENING + 7_200, Place(), 12.0)]
    first, second = date(2026, 3, 1), date(2026, 3, 2)
    assert hours(answers, skips, UTC) == [
        Worked("ann", first, 2, 1, 0, 25.0, 76.0, 1),
        Worked("bob", first, 1, 0, 0, 7.0, 7.5, 0),
        Worked("bob", second, 0, 0, 1, 0.0, 12.0, 0),
    ]
    assert hours(answers, skips, ZoneInfo("Europe/Berlin")) == [  # an hour ahead: the third answer falls on the morrow
        Worked("ann", first, 1, 1, 0, 25.0, 36.0, 0),
        Worked("bob", first, 1, 0, 0, 7.0, 7.5, 0),
        Worked("ann", second, 1, 0, 0, 0.0, 40.0, 1),
        Worked("bob", second, 0, 0, 1, 0.0, 12.0, 0),
    ]


def test_the_answers_of_one_sheet_share_its_wall_time() -> None:
    answers = [answer("ann", EVENING, active, 60.0) for active in (30.0, 10.0, None)]
    answers += [answer("bob", EVENING, 5.0, 60.0), answer("ann", EVENING + 50, 20.0, 45.0)]
    ann, bob = hours(answers, [], UTC)
    assert (ann.answers, ann.active_seconds, ann.wall_seconds, ann.unmeasured) == (4, 60.0, 105.0, 1)
    assert (bob.active_seconds, bob.wall_seconds) == (5.0, 60.0)


def test_a_row_says_hours_beside_the_seconds() -> None:
    row = Worked("ann", date(2026, 3, 1), 2, active_seconds=1_800.0, wall_seconds=5_400.0).row()
    assert (row["day"], row["active_hours"], row["wall_hours"]) == ("2026-03-01", 0.5, 1.5)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "\0", "x" * 300])
def test_a_time_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no time zone"):
        time_zone(name)
