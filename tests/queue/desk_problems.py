"""Items, raters and answers that the tests of the desk's working side share."""

from pathlib import Path
from random import Random

from rrm.core.annotation import Annotation, Item, Lease, Purpose, Submission
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Consequence, Passage, Rating, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store import open_store
from tests.queue.desk_house import Clock

VIEW = View("Judge how well it sums up.", (Passage("The source."),), 100)


def request(number: int, kind: str = "comparison", *, outputs: int = 2, level: int = 0, copy: int = 0) -> Request:
    """A question that differs from those with other numbers; its outputs are called A, B, C, ..."""
    came = Consequence("It was read.", 0.5, 4, 1) if kind == "hindsight" else None
    shown = tuple(Shown(f"output-{number}-{place}", "ABCDEFGH"[place], (), came) for place in range(outputs))
    return Request(f"node-{number}", "source-1", Place(level=level), kind, VIEW, shown, copy=copy)


def work(*numbers: int, wanted: int = 1, value: float = 0.0, level: int = 0) -> list[Item]:
    return [Item(request(number, level=level), wanted=wanted, value=value) for number in numbers]


def known(purpose: Purpose, *numbers: int, better: int = 0) -> list[Item]:
    """Items on which the output `better` is known to be the better one."""
    return [Item(request(number), purpose, expected=Comparison(better), explanation="see?") for number in numbers]


def new_desk(directory: Path, clock: Clock, url: str | None = None, seed: int = 0) -> SqlDesk:
    open_store(directory, "run", url=url).close()
    return open_desk(directory, clock=clock, random=Random(seed))


def raters(desk: SqlDesk, count: int) -> list[str]:
    return [desk.add_person(f"Rater {number}", by="test").id for number in range(count)]


def choosing(lease: Lease, better: int | None) -> Comparison:
    """The answer, with places as shown, that the output at this place of the request is the better one."""
    return Comparison(None if better is None else lease.first.order.index(better))


def claimed(desk: SqlDesk, person: str) -> Lease:
    lease = desk.claim(person)
    assert lease is not None
    return lease


def submit(desk: SqlDesk, lease: Lease, answer: Answer | None = None, key: str | None = None) -> Annotation:
    """Answer a lease, as though the page had sent it: that output A is the better one, where nothing else is said."""
    given = choosing(lease, 0) if answer is None else answer
    key = f"key of {lease.id}" if key is None else key
    [annotation] = desk.submit(lease.person, lease.id, [Submission(given, lease.first.shown, 2.0)], key)
    return annotation


def answer_all(desk: SqlDesk, person: str, answer: Answer | None = None) -> int:
    """Answer items until there are none for this person, and return how many."""
    count = 0
    while (lease := desk.claim(person)) is not None:
        submit(desk, lease, answer)
        count += 1
    return count


def rate(desk: SqlDesk, person: str, values: dict[str, int]) -> None:
    """Give items of ratings these values, by node, until there are none for this person."""
    while (lease := desk.claim(person)) is not None:
        submit(desk, lease, Rating(values[lease.first.request.node]))
