"""People's open questions in the order of what they are worth, found anew as answers come in."""

import io
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.ask.bundles import Site
from rrm.ask.standing import Standing
from rrm.core.annotation import Annotation, Valuation
from rrm.core.asking import Asked
from rrm.core.draws import first_chosen
from rrm.core.errors import RrmError
from rrm.files.whole import durable
from rrm.queue import SqlDesk

ASKING = "asking"
"""The folder, in a run's, of what samplers keep of their waves."""

PAUSE_SECONDS = 0.1
"""How long after one look at the answers the next one follows; an order that took longer is left as long again."""

TOGETHER_EVERY = 20
"""After so many new answers all are taken in together again, once what is open stands in its order."""

BY_ITSELF = "asking by value"
"""Who retires what is not worth a minute any more, in the audit."""

_log = logging.getLogger("rrm.asking")


def keep_standing(folder: Path, pool: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep what a sampler made of the questions that it chose of a pool, in a run's folder."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dict(arrays))
    (folder / ASKING).mkdir(exist_ok=True)
    durable(folder / ASKING / f"{pool}.npz", file.getvalue())


class _Taken(NamedTuple):
    """An answer that was taken in: what was said to which item, what that told, its minutes measured and predicted."""

    item: str
    first: bool | None
    site: Site | None
    minutes: float | None
    predicted: float


class Reordering:
    """Orders a desk's open questions by value whenever an answer, a lease or an undone answer has changed it.

    What a rater holds stays as it is: it counts as asked, and the others are ordered around it. Where the best of
    what is open gains less than `worth` a minute, the rest is retired, and the run goes on with what there is. Answers
    are taken in as they come; now and then, between two orders, all of them together, so that it does not matter when
    each of them came.
    """

    def __init__(self, desk: SqlDesk, directory: Path) -> None:
        self._desk, self._directory = desk, directory
        self._seen: object = None
        self._pool = ""
        self._standing: Standing | None = None
        self._answers: dict[str, _Taken] = {}
        self._read, self._changes, self._since = 0, 0, 0
        self._refit = False

    def look(self) -> bool:
        """Order what is open anew if anything has changed; return whether it was ordered."""
        changes, held = self._desk.answer_count(), self._desk.held_items()
        now = changes, frozenset(held)
        if now == self._seen:
            return False
        self._seen = now
        open_ = self._desk.open_items()
        standing = self._of_open({each.id for each in open_})
        if standing is None:
            return False
        self._take_in(standing, changes)
        order = standing.next_sheets([each.id for each in open_], held)
        if not order.sheets:
            return False
        stopped = order.told and standing.worth > 0 and order.gain < standing.worth
        values = order.values
        changed = {each.id: values[each.id] for each in open_ if each.id in values and each.value != values[each.id]}
        timed = [each for each in self._answers.values() if each.minutes is not None]
        self._desk.revalue(
            changed,
            Valuation(
                at=self._desk.clock(),
                answers=changes,
                open=len(open_),
                minutes=sum(each.minutes or 0.0 for each in timed),
                predicted=sum(each.predicted for each in timed),
                expected=order.expected,
                gain=order.gain,
                stopped=stopped,
                refit=order.refit,
            ),
        )
        if order.refit and not self._refit:
            _log.info("few draws have what was answered as it was: models are fitted anew once this wave is answered")
        self._refit = order.refit
        if stopped:
            left = sorted(set(values) - set(held))
            _log.info("the best open question gains %.2g a minute: %d are retired", order.gain, len(left))
            self._desk.retire(left, BY_ITSELF)
        if self._since >= TOGETHER_EVERY:
            self._take_together(standing)
        return True

    def _take_together(self, standing: Standing) -> None:
        """Take all answers in anew, and have what is open ordered by that at the next look."""
        sites = standing.learn_together([(each.item, each.first) for each in self._answers.values()])
        known = zip(self._answers.items(), sites, strict=True)
        self._answers = {id_: each._replace(site=site) for (id_, each), site in known}
        self._since, self._seen = 0, None

    def _of_open(self, open_: set[str]) -> Standing | None:
        """Return what is believed of the wave that is open; None where nothing is, or nothing was kept of it."""
        if self._standing is not None and open_ & self._standing.known:
            return self._standing
        chosen: list[Asked] = [each for request, each in self._desk.why().items() if request in open_]
        pools = {each.pool for each in chosen} - {self._pool}
        for pool in pools:
            path = self._directory / ASKING / f"{pool}.npz"
            if path.exists():
                with np.load(path, allow_pickle=False) as arrays:
                    self._standing = Standing.of(dict(arrays))
                self._pool, self._answers, self._read, self._changes, self._since = pool, {}, 0, 0, 0
                return self._standing
        return None

    def _take_in(self, standing: Standing, changes: int) -> None:
        """Learn from answers that are new, and forget what was taken back."""
        new = list(self._desk.answers(after=self._read))
        self._read += len(new)
        if changes - self._changes > len(new):  # some were taken back, or count again
            new = list(self._desk.answers())
            live = {each.id for each in new if each.state == "live"}
            for gone in [id_ for id_ in self._answers if id_ not in live]:
                taken = self._answers.pop(gone)
                if taken.site is not None:
                    standing.forget(taken.site)
        self._changes = changes
        for each in new:
            if each.state == "live" and each.purpose == "work" and each.id not in self._answers:
                self._answers[each.id] = _taken(standing, each)
                self._since += 1


def _taken(standing: Standing, given: Annotation) -> _Taken:
    first = first_chosen(given.answer)
    minutes = None if given.seconds is None else given.seconds / 60
    return _Taken(given.item, first, standing.learn(given.item, first), minutes, standing.minutes(given.item))


@contextmanager
def reordering(desk: SqlDesk, directory: Path) -> Iterator[None]:
    """Keep a desk's open questions in their order, in a thread of its own, until the block ends."""
    ended = threading.Event()
    worker = Reordering(desk, directory)

    def work() -> None:
        said = ""
        while not ended.is_set():
            began = time.monotonic()
            try:
                worker.look()
                said = ""
            except RrmError as error:  # the record cannot be read just now: raters go on in the order there was
                if str(error) != said:
                    _log.warning("open questions keep their order: %s", error)
                said = str(error)
            ended.wait(max(PAUSE_SECONDS, time.monotonic() - began))

    thread = threading.Thread(target=work, name="rrm reordering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
