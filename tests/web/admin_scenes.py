"""A desk after a morning's work by people of different care: what the admin's pages show when they are in use.

Texts and answers are made up here; nothing is a figure about real raters.
"""

import time
from pathlib import Path
from random import Random

from rrm.core.annotation import Item, Submission
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Critique, Label, Passage, Rating, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store.record import open_store

PLACES = ("the mill", "the harbour", "the old quarry", "the station", "the orchard", "the ferry", "the chapel")
PEOPLE = ("Edda", "Mr Quill", "the miller", "her brother", "the stranger", "Old Tam", "the ferryman")
DEEDS = ("lost the letter", "sold the boat", "heard the bell", "hid the lantern", "mended the roof", "broke the seal")
ENDS = ("and told nobody", "before the rain came", "as the church clock struck", "and was seen by the children")

GUIDELINES = """# How to judge

Read the **whole passage** first, then both summaries.

1. Prefer the summary that says what *happened*, not what was said about it.
2. A wrong fact weighs more than a missing one.
3. Length does not matter within the limit.

| Case | What to do |
|---|---|
| both miss the main event | both bad |
| both are equally good | tie |
"""

RATERS = ("Amara Obi", "Ben Castellan", "Chidi Eze", "Dana Whitlock", "Eun-ji Park", "Farid Nasser")


class Clock:
    """Seconds since 1970 that a test moves on."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def passage(random: Random, sentences: int) -> str:
    said = [
        f"{random.choice(PEOPLE)} went to {random.choice(PLACES)} and {random.choice(DEEDS)} {random.choice(ENDS)}."
        for _ in range(sentences)
    ]
    return " ".join(each[0].upper() + each[1:] for each in said)


def requests() -> dict[str, list[Request]]:
    """Items of four kinds on two levels."""
    random = Random(7)
    found: dict[str, list[Request]] = {"comparison": [], "rating": [], "label": [], "critique": []}
    for kind, level, count in (("comparison", 0, 40), ("rating", 0, 24), ("label", 1, 16), ("critique", 1, 4)):
        for number in range(count):
            texts = [passage(random, 1) for _ in range(2 if kind == "comparison" else 1)]
            passages = (Passage(passage(random, 6)),)
            if level:
                parts = [passage(random, 1) for _ in range(3)]
                passages = tuple(
                    Passage(each, f"n{i}", f"o{i}", round(random.random(), 2)) for i, each in enumerate(parts)
                )
            view = View("Summarise this part of the chapter in one sentence.", passages, max_tokens=60)
            shown = tuple(Shown(f"{kind}-{number}-{i}", text) for i, text in enumerate(texts))
            found[kind].append(Request(f"node-{level}-{number:03d}", "book-1", Place(level=level), kind, view, shown))
    return found


def true_answer(random: Random, request: Request) -> Answer:
    """What a careful rater would say, by the request's own order."""
    if request.kind == "comparison":
        return Comparison(random.randrange(2), random.choice([0.0, 0.5, 1.0]))
    if request.kind == "rating":
        return Rating(random.choice([2, 3, 4, 5, 5, 6]))
    if request.kind == "label":
        return Label(random.random() < 0.7)
    return Critique("It leaves out who did it.", ((0, 12),))


def fill(desk: SqlDesk, clock: Clock, end: float) -> None:
    """A morning: practice off, gold in between, one rater in a hurry who always takes the first shown."""
    random = Random(11)
    made = requests()
    items = [Item(each, wanted=3 if each.place.level == 0 else 2) for some in made.values() for each in some]
    gold = made["comparison"][:6]
    truth = {each.request.id: true_answer(random, each.request) for each in items}
    known = [Item(_again(each), "gold", expected=truth[each.id]) for each in gold]
    truth |= {each.request.id: each.expected for each in known if each.expected is not None}
    desk.change_settings({"overlap": 3, "gold_every": 8, "attention_every": 0}, "command line")
    desk.set_guideline("# How to judge\n\nRead the whole passage, then prefer the better summary.", "command line")
    desk.set_guideline(GUIDELINES, "command line")
    desk.add_items(items + known)
    people = [desk.add_person(name, by="command line") for name in RATERS]
    people.append(desk.add_person("assistant-small", kind="assistant", by="command line"))
    for person in people:
        desk.set_state(person.id, "active", "command line")
    desk.add_person("Greta Lindqvist", by="command line")
    desk.add_person("Judge Okafor", "adjudicator", by="command line")
    clock.now = end - 3 * 3600
    for turn in range(215):
        person = people[turn % len(people)]
        hasty = person.name == "Farid Nasser"
        lease = desk.claim(person.id)
        if lease is None:
            continue
        seconds = 1.1 if hasty else 6 + 40 * random.random()
        clock.now = min(end - 90, clock.now + 49)
        if random.random() < 0.04 and not hasty:
            desk.skip(person.id, lease.id, "I do not know enough about this", f"skip-{turn:05d}")
            continue
        if random.random() < 0.015:
            desk.flag(person.id, lease.id, "The guidelines do not say what to do when both name the wrong person.")
        answer = _shown(random, truth[lease.first.request.id], lease.first.order, hasty)
        sure = random.choice([0.5, 0.75, 1.0]) if isinstance(answer, Rating) else None
        desk.submit(person.id, lease.id, [Submission(answer, lease.first.shown, seconds, sure)], f"answer-{turn:05d}")
    desk.claim(people[0].id)
    clock.now = end


def _again(request: Request) -> Request:
    view = View(request.view.instruction, request.view.passages, request.view.max_tokens, context="From the same book.")
    return Request(request.node, request.source, request.place, request.kind, view, request.shown)


def _shown(random: Random, truth: Answer, order: tuple[int, ...], hasty: bool) -> Answer:
    """The answer with places as shown; a careful rater errs in one of six, a hasty one takes the first."""
    if isinstance(truth, Comparison):
        right = order.index(truth.better) if truth.better is not None else 0
        return Comparison(
            0 if hasty and random.random() < 0.95 else right if random.random() > 1 / 6 else 1 - right, truth.strength
        )
    if isinstance(truth, Rating):
        return Rating(4 if hasty else min(7, max(1, truth.value + random.choice([-1, 0, 0, 0, 1]))))
    if isinstance(truth, Label):
        return Label(True if hasty else truth.good if random.random() > 1 / 6 else not truth.good)
    return truth


def make_busy(directory: Path) -> None:
    """Make a run's folder as it is after that morning, which ends now."""
    open_store(directory).close()
    end = time.time()
    clock = Clock(end - 4 * 3600)
    with open_desk(directory, clock=clock, random=Random(3)) as desk:
        fill(desk, clock, end)
