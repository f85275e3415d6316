"""How rating goes day by day: how much is done, how well known answers are met, how far raters agree."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from statistics import median

from rrm.agreement.answer_table import meaning
from rrm.agreement.estimates import Share, wilson
from rrm.core.annotation import Annotation


@dataclass(frozen=True)
class Day:
    """One day's answers, practice, decisions and those taken back aside.

    `gold` is the share of gold items and attention checks that were right. `agreement` is the share of pairs of
    raters who said the same of an item, each pair counted on the day of its later answer; both with Wilson's 95 %
    interval, which takes pairs for independent, though some share a rater or an item. Texts agree with nothing.
    """

    day: date
    answers: int
    raters: int
    median_seconds: float | None
    gold: Share
    agreement: Share


def days(answers: Iterable[Annotation], zone: tzinfo) -> list[Day]:
    """Return the days on which there were answers; `answers` stand in the order in which they were recorded."""
    found: dict[date, _Day] = defaultdict(_Day)
    given: dict[str, list[tuple[str, Hashable]]] = defaultdict(list)
    for each in answers:
        if each.adjudication or each.state == "undone" or each.purpose == "practice":
            continue
        day = found[datetime.fromtimestamp(each.at, zone).date()]
        day.add(each)
        said = meaning(each)
        if each.purpose == "work" and each.state != "requeued" and said is not None:
            others = [other for person, other in given[each.item] if person != each.person]
            day.pairs += len(others)
            day.agreed += sum(other == said for other in others)
            given[each.item].append((each.person, said))
    return [found[day].finished(day) for day in sorted(found)]


class _Day:
    """What is counted of one day."""

    def __init__(self) -> None:
        self.answers = self.checks = self.right = self.pairs = self.agreed = 0
        self.raters: set[str] = set()
        self.seconds: list[float] = []

    def add(self, answer: Annotation) -> None:
        self.answers += 1
        self.raters.add(answer.person)
        if answer.seconds is not None:
            self.seconds.append(answer.seconds)
        if answer.purpose != "work" and answer.right is not None:
            self.checks += 1
            self.right += answer.right

    def finished(self, day: date) -> Day:
        spent = median(self.seconds) if self.seconds else None
        gold, agreement = wilson(self.right, self.checks), wilson(self.agreed, self.pairs)
        return Day(day, self.answers, len(self.raters), spent, gold, agreement)
