"""Rating day by day: counts by hand."""

from datetime import UTC, date, datetime
from typing import Any

from rrm.agreement.days import days
from rrm.agreement.estimates import wilson
from rrm.core.annotation import Annotation
from rrm.core.place import Place
from rrm.core.values import Label

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
NEXT = NOON + 86_400


def answer(person: str, item: str, good: bool, at: float = NOON, **more: Any) -> Annotation:
    made = Annotation(
        *("a", item, person, Label(good), (0,), 1, "s", at, 10.0, 12.0, None, {}),
        *("live", "work", Place(), "n", "label"),
    )
    return made._replace(**more)


def test_each_day_has_its_own_counts_and_a_pair_falls_on_the_day_of_its_later_answer() -> None:
    first, second = days(
        [
            answer("ann", "i", True),
            answer("bob", "i", False, seconds=20.0),
            answer("ann", "g", True, purpose="gold", right=True),
            answer("bob", "g", False, purpose="gold", right=False, seconds=None),
            answer("ann", "p", True, purpose="practice", right=True),
            answer("ann", "j", True, state="undone"),
            answer("cid", "i", True, NEXT, seconds=30.0),
            answer("cid", "k", True, NEXT, state="requeued"),
            answer("ann", "k", True, NEXT),
            answer("judge", "i", True, NEXT, adjudication=True),
        ],
        UTC,
    )
    assert (first.day, first.answers, first.raters, first.median_seconds) == (date(2026, 3, 1), 4, 2, 10.0)
    assert first.gold == wilson(1, 2)
    assert first.agreement == wilson(0, 1)
    assert (second.day, second.answers, second.raters, second.median_seconds) == (date(2026, 3, 2), 3, 2, 10.0)
    assert second.gold.value is None
    assert second.agreement == wilson(1, 2)  # with ann, not with bob
