"""People who rate: items on the desk, two raters' answers, their agreement, and feedback to learn from.

`rrm annotate DIR` serves the same desk as web pages; here two functions stand in for the people.
"""

import tempfile
from pathlib import Path

from rrm.agreement.places import place_agreement
from rrm.core.annotation import Item, Lease, Submission
from rrm.core.place import Place
from rrm.core.values import Comparison, Passage, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store import open_store

STORIES = {
    "harbour": ("Mara sails at dawn, and a storm breaks the mast.", "A storm breaks Mara's mast.", "Mara sleeps."),
    "orchard": ("Bren plants forty trees; one survives.", "Trees die.", "Of Bren's forty trees one survives."),
    "letter": ("Tove finds a letter that names a thief.", "Tove finds a letter about a thief.", "Tove writes."),
}


def item(name: str, story: str, *outputs: str) -> Item:
    """A comparison of two summaries, wanted of two raters."""
    view = View("Which summary says what happens?", (Passage(story),), max_tokens=20)
    shown = tuple(Shown(f"{name}-{place}", text) for place, text in enumerate(outputs))
    return Item(Request(name, name, Place(), "comparison", view, shown), wanted=2)


def prefers_long(lease: Lease) -> Comparison:
    """Judge what the page shows, in the order in which it shows it."""
    first, second = (lease.first.request.shown[place].text for place in lease.first.order)
    return Comparison(0 if len(first) > len(second) else 1, strength=0.5)


def rate_all(desk: SqlDesk, name: str) -> None:
    """What a person does on the page: take an item, decide, take the next."""
    person = desk.add_person(name, by="example")
    while (lease := desk.claim(person.id)) is not None:
        answer = Submission(prefers_long(lease), lease.first.shown, seconds=4.0)
        desk.submit(person.id, lease.id, [answer], key=lease.id)


with tempfile.TemporaryDirectory() as folder:
    open_store(Path(folder)).close()  # an empty record; a run makes its own
    with open_desk(folder) as desk:
        desk.add_items([item(name, *texts) for name, texts in STORIES.items()])
        for name in ("anna", "ben"):
            rate_all(desk, name)
        for agreed in place_agreement(desk.answers()):
            alpha = agreed.alpha["nominal"]
            words = agreed.place.words(several=False)
            print(f"{words}: {agreed.answers} answers, alpha {alpha.value if not alpha.why else alpha.why}")
        desk.freeze(Place(), by="example")
        print(f"{desk.take_up(Place())} answers are feedback now, each to the request as its rater saw it")
