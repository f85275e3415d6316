"""A desk with a wave of chosen questions whose worth is known by hand, for tests of their order.

Four views have two outputs each, whose rewards are plus and minus one of three unknown numbers: the first two views
read nearly the same number, of sd 2, the third another of sd 1.6, the fourth one of sd 0.3. The better of two root
candidates hangs on their sum. So once the first view is answered the second tells hardly anything more, and the third
comes before it. Each view has a bundle of a comparison and a label; two labels were drawn at random beside these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rrm.api.reordering import keep_standing
from rrm.ask.bundles import Answers, Decision, Questions
from rrm.ask.standing import Standing
from rrm.core.annotation import Item
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked
from rrm.core.place import Place
from rrm.core.values import Passage, Request, Shown, View
from rrm.queue import SqlDesk
from rrm.store.record import open_store
from tests.web.stations import desk_in

POOL = "pool-made-up"
_LOADS = np.array([[2.0, 0, 0, 0], [1.95, 0, 0, 0.2], [0, 1.6, 0, 0], [0, 0, 0.3, 0]])  # views by unknown numbers
_RISE = 0.05  # acceptance that the first candidate gains by one of an unknown number


def request(view: int, kind: str, *outputs: int) -> Request:
    """Return a question about outputs 0 and 1 of a view; views of odd number are a level higher."""
    shown = tuple(Shown(f"output-{view}-{each}", f"Output {each} of view {view}.") for each in outputs)
    read = View(f"Summarise the passage ({view}).", (Passage(f"Here stands passage {view}."),), 60)
    return Request(f"node-{view}", "tale", Place(1, level=view % 2), kind, read, shown)


def bundle(view: int) -> list[Request]:
    return [request(view, "comparison", 0, 1), request(view, "label", 0)]


DRAWN = [request(2, "label", 1), request(3, "label", 1)]


def standing(worth: float = 0.0) -> Standing:
    """Return what is believed before any answer."""
    requests = [*(each for view in range(4) for each in bundle(view)), *DRAWN]
    along = np.concatenate([np.stack([load, -load]) for load in _LOADS])
    covariance, toward = along @ along.T, along[:, :3].sum(axis=1) * _RISE
    across = np.stack([toward, np.zeros(8)], axis=1)[:, None, :]
    spread = 3 * _RISE**2
    decision = Decision(np.array([[0.5, 0.5]]), np.ones((1, 2), dtype=bool), np.array([spread]), np.ones(1))
    first = [2 * int(each.node[-1]) + int(each.shown[0].output[-1]) for each in requests]
    second = [2 * int(each.node[-1]) + 1 if each.kind == "comparison" else -1 for each in requests]
    q = len(requests)
    questions = Questions(
        np.array(first),
        np.array(second),
        np.ones(q, dtype=bool),
        np.full(q, 1.7),
        np.array([2 * int(each.node[-1]) for each in requests]),
        np.full(q, 1.0),
        np.full(q, 0.25),
    )
    answers = Answers(decision, questions, np.zeros(8), covariance, across, 3)
    return Standing([each.id for each in requests], np.array([0, 0, 1, 1, 2, 2, 3, 3, -1, -1]), answers, worth)


class Chosen(NamedTuple):
    """A desk with the wave's questions, in its folder."""

    desk: SqlDesk
    folder: Path


@contextmanager
def chosen(folder: Path, worth: float = 0.0) -> Iterator[Chosen]:
    """Lay the wave before raters, in the order in which it was chosen."""
    known = standing(worth)
    values = known.next_sheets(known.requests).values
    asked = [
        Asked(
            each, BY_VALUE if number >= 0 else AT_RANDOM, POOL, 1.0, values[each] if number >= 0 else 0.0, int(number)
        )
        for each, number in zip(known.requests, known.bundles, strict=True)
    ]
    items = [
        Item(each, value=values[each.id], sheet=f"{POOL} {view}") for view in range(4) for each in bundle(view)
    ] + [Item(each, value=values[each.id]) for each in DRAWN]
    with desk_in(folder, items, gold_every=0, attention_every=0, strategy="valuable") as desk:
        with open_store(folder, "append") as store:
            store.append(asked)
        keep_standing(folder, POOL, known.arrays())
        yield Chosen(desk, folder)
