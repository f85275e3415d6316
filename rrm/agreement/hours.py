"""Hours by rater and day, as they are paid: what answers and skipped items took, whatever became of them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rrm.core.annotation import Annotation, Skipped
from rrm.core.errors import InputError


@dataclass(frozen=True)
class Worked:
    """What somebody did on one day.

    `answers` and `practice` count answers of every state, `skipped` items passed on. `active_seconds` is what the
    page measured, bounded by the server's clock; `unmeasured` answers have none. `wall_seconds` runs from when an
    item was handed out to its answer or skip, by the server's clock; an item that was never answered adds nothing.
    Work over midnight counts on the day on which it ended.
    """

    person: str
    day: date
    answers: int = 0
    practice: int = 0
    skipped: int = 0
    active_seconds: float = 0.0
    wall_seconds: float = 0.0
    unmeasured: int = 0

    def row(self) -> dict[str, Any]:
        """Return the day as a row of a table, hours beside the seconds."""
        of_hours = {"active_hours": self.active_seconds / 3600, "wall_hours": self.wall_seconds / 3600}
        return {**asdict(self), "day": self.day.isoformat(), **{name: round(n, 4) for name, n in of_hours.items()}}


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name such as Europe/Berlin; raise InputError for one that is not known."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"there is no time zone {name!r:.60}: give its name, such as Europe/Berlin or UTC") from error


def hours(answers: Iterable[Annotation], skips: Iterable[Skipped], zone: tzinfo) -> list[Worked]:
    """Return what everybody did, by day in this time zone and then by person.

    Answers that were taken back count: the time was spent. The answers of one sheet came in at one moment, and
    share its wall time. Decisions of adjudicators have no times, and are left out.

    `answers` stand in the order in which they were recorded.
    """
    sums: dict[tuple[date, str], _Sum] = defaultdict(_Sum)
    before: dict[str, float] = {}  # when each person answered last
    for each in answers:
        if not each.adjudication:
            shared = before.get(each.person) == each.at
            sums[_day(each.at, zone), each.person].add(each, 0.0 if shared else each.wall_seconds)
            before[each.person] = each.at
    for skip in skips:
        of = sums[_day(skip.at, zone), skip.person]
        of.skipped += 1
        of.wall += skip.wall_seconds
    return [
        Worked(person, day, of.answers, of.practice, of.skipped, of.active, of.wall, of.unmeasured)
        for (day, person), of in sorted(sums.items())
    ]


class _Sum:
    """What is added up of one person's day."""

    def __init__(self) -> None:
        self.answers = self.practice = self.skipped = self.unmeasured = 0
        self.active = self.wall = 0.0

    def add(self, answer: Annotation, wall: float) -> None:
        if answer.purpose == "practice":
            self.practice += 1
        else:
            self.answers += 1
        self.wall += wall
        if answer.seconds is None:
            self.unmeasured += 1
        else:
            self.active += answer.seconds


def _day(at: float, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at, zone).date()
