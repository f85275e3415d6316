"""Figures that take seconds over many answers: kept as they are, and computed anew in the background."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rrm.agreement.answer_table import tabulate_answers
from rrm.agreement.estimates import Estimate, Share
from rrm.agreement.places import PlaceAgreement, place_agreement
from rrm.agreement.raters import RaterStats, rater_stats
from rrm.core.annotation import Annotation
from rrm.core.desk import DeskReader

T = TypeVar("T")

REST = 4.0
"""After a computation the thread rests this many times as long as it took, so that raters are not slowed down."""

_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Computed(Generic[T]):
    """A value, when its computation began (seconds since 1970), and whether nothing has changed since."""

    value: T
    at: float
    current: bool


class Kept(Generic[T]):
    """The last value of a slow function. Any thread may ask; one thread computes, and only when somebody asks.

    `version` is quick and tells whether anything changed; a value older than `most_seconds` is computed anew
    even so. Whoever asks gets the new value if it comes within `wait` seconds, else the one before, marked
    as not current; where the last computation took longer than that, nobody waits at all. What the function
    raises is raised once, in the next call, and then it is tried again.
    """

    def __init__(
        self, compute: Callable[[], T], version: Callable[[], object], most_seconds: float = 60.0, wait: float = 0.03
    ) -> None:
        self._compute, self._version = compute, version
        self._most_seconds, self._wait = most_seconds, wait
        self._changed = threading.Condition()
        self._running = False
        self._held: list[tuple[T, object, float]] = []  # one at most: the value, its version, when
        self._error: Exception | None = None
        self._took = 0.0  # seconds of the last computation
        self._rested = 0.0  # of the monotonic clock: when the next computation may begin

    def latest(self) -> Computed[T] | None:
        """Return the newest value there is; None before the first one is done."""
        version = self._version()
        with self._changed:
            if not self._running and self._due(version):
                self._running = True
                threading.Thread(target=self._work, args=(version,), name="figures", daemon=True).start()
            if self._running and (not self._held or self._took <= self._wait):
                self._changed.wait_for(lambda: not self._running, self._wait)
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            for value, of, at in self._held:
                return Computed(value, at, of == version)
        return None

    def _due(self, version: object) -> bool:
        if time.monotonic() < self._rested:
            return False
        return not any(of == version and time.time() - at <= self._most_seconds for _, of, at in self._held)

    def _work(self, version: object) -> None:
        began, at = time.monotonic(), time.time()
        held: list[tuple[T, object, float]] = []
        error: Exception | None = None
        try:
            held = [(self._compute(), version, at)]
        except Exception as raised:  # raised in the next call: this thread has no caller
            error = raised
        with self._changed:
            self._held, self._error, self._running = held or self._held, error, False
            self._took = time.monotonic() - began
            self._rested = time.monotonic() + REST * self._took
            self._changed.notify_all()


# ---- what is kept of a desk ----


@dataclass(frozen=True)
class Judged:
    """What all answers together say: raters' statistics by id, when each answered last, agreement by place and kind."""

    stats: Mapping[str, RaterStats]
    last: Mapping[str, float]
    agreement: list[PlaceAgreement]


class Figures:
    """A desk's progress, seconds old at most, and what its answers say of raters and places."""

    def __init__(self, desk: DeskReader) -> None:
        self._desk = desk
        self.progress = Kept(desk.progress, lambda: (desk.answer_count(), frozenset(desk.frozen())), most_seconds=2.0)
        self.idle_checks = Kept(desk.idle_checks, lambda: frozenset(desk.frozen()))
        self.judged = Kept(self._judge, desk.answer_count)

    def _judge(self) -> Judged:
        last: dict[str, float] = {}
        with _giving_way():
            table = tabulate_answers(_noting(self._desk.answers(), last))
            stats = rater_stats(self._desk.persons(), table, self._desk.skips())
            return Judged({each.person.id: each for each in stats}, last, place_agreement(table))


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let other threads in at once while something long is computed.

    A request takes the interpreter back after each of its queries, and by default waits 5 ms for it each time.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _noting(answers: Iterable[Annotation], last: dict[str, float]) -> Iterable[Annotation]:
    """Pass answers on, noting when each person answered last."""
    for annotation in answers:
        last[annotation.person] = max(annotation.at, last.get(annotation.person, 0.0))
        yield annotation


def agreed(found: PlaceAgreement) -> dict[str, Any]:
    """Return how far raters agree on a place's items of one kind, but for which place it is."""
    measures = [{"name": f"alpha, {metric}", **estimate(each)} for metric, each in found.alpha.items()]
    return {
        "kind": found.kind,
        "criterion": found.criterion,
        "items": found.items,
        "answers": found.answers,
        "raters": found.raters,
        "measures": [*measures, {"name": found.kappa_name, **estimate(found.kappa)}],
        "unanimous": share(found.unanimous, found.kappa.why),
        "note": found.note,
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """Return an estimate with `n`, the items that it is of; why it has none stands in `why`."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.units,
        "raters": found.raters,
        "why": found.why,
    }


def share(found: Share, otherwise: str) -> dict[str, Any]:
    """Return a share with `count` of `n`; `otherwise` says why there is none of nothing."""
    value, low, high = found.value, found.low, found.high
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": found.total,
        "count": found.count,
        "why": "" if value is not None else otherwise,
    }


def stats_json(found: RaterStats) -> dict[str, Any]:
    """Return how a rater works; each figure that has no value says why in `why`."""
    side, agreement = found.side, found.agreement
    alone = "undefined: no item shared with another rater"
    return {
        "done": found.done,
        "skipped": found.skipped,
        "skip_rate": found.skip_rate,
        "median_seconds": found.median_seconds,
        "accuracy": share(found.accuracy, "undefined: no item with a known answer yet"),
        "attention": share(found.attention, "undefined: no attention check yet"),
        "agreement": {
            "value": agreement.share,
            "beyond_chance": agreement.beyond_chance,
            "items": agreement.items,
            "n": agreement.pairs,
            "why": alone if agreement.share is None else "",
        },
        "side": {
            "value": side.share,
            "low": side.low,
            "high": side.high,
            "p": side.p,
            "n": side.decided,
            "why": "undefined: no comparison decided yet" if side.share is None else "",
        },
        "alerts": [each._asdict() for each in found.alerts],
    }
