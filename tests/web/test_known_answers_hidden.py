"""Known-answer items cannot be told from work by anything that a rater's page shows or its traffic holds."""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import replace
from itertools import count
from math import log, log2, sqrt
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from sqlalchemy import Engine, event

from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.values import Comparison, Passage, Request, Shown, View
from rrm.interchange.items import items_from
from tests.web.stations import House, house_in, new_key, submission_for
from tests.web.undoing import Prober

NUMBER, EVERY = 500, 8


def of_the_run(number: int) -> Item:
    """Work as a run lays it: above the leaves, with parts that have outputs and scores."""
    words = Random(number)
    parts = tuple(Passage(f"Part {words.random()}", f"n-{i}", f"o-{i}", words.random()) for i in range(2))
    view = View("Summarise the parts.", parts, max_tokens=60)
    shown = tuple(Shown(f"o-{number}-{i}", f"Output {words.random()}") for i in range(2))
    return Item(Request(f"n-{number}", "tale", Place(1, "answer", 2), "comparison", view, shown), wanted=1)


def on_sheets(number: int) -> list[Item]:
    """The same on a sheet: compare, then rate each output, one of them by a criterion, and write a better one."""
    first = of_the_run(number).request
    a, b = first.shown
    asked = [
        first,
        replace(first, kind="rating", shown=(a,)),
        replace(first, kind="rating", shown=(b,)),
        replace(first, kind="rating", shown=(b,), criterion="accuracy"),
        replace(first, kind="correction", shown=(a,)),
    ]
    return [Item(each, wanted=1, sheet=str(number)) for each in asked]


def from_a_file(folder: Path, number: int) -> list[Item]:
    """Known answers as somebody writes them: no budget, no level, parts with scores alone."""
    words = Random(-1)
    rows = [
        f'{{"instruction": "Summarise the parts.", "kind": "comparison", "outputs": ["Output {words.random()}", '
        f'"Output {words.random()}"], "passages": [{{"text": "Part {words.random()}", "score": {words.random()}}}, '
        f'{{"text": "Part {words.random()}", "score": {words.random()}}}], '
        '"expected": {"kind": "comparison", "better": 0}}\n'
        for _ in range(number)
    ]
    (folder / "gold.jsonl").write_text("".join(rows))
    return list(items_from(folder / "gold.jsonl", 1, "gold"))


@pytest.fixture(params=[0.0, 2.0], ids=["quick", "slow"])
def station(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """A station whose clock goes on by so many seconds whenever it is asked."""
    work = [of_the_run(number) for number in range(NUMBER)]
    known = {item.request.id for item in work}

    def wider(request: str) -> tuple[str, str, str] | None:
        return ("before", "source", "after") if request in known else None

    changes = {"gold_every": EVERY, "attention_every": 0, "practice_items": 0}
    items = [*work, *from_a_file(tmp_path, 120)]
    assert isinstance(items[-1].expected, Comparison)
    with house_in(tmp_path / "run", items, {"wider": wider}, **changes) as house:
        ticks = count(house.desk.clock(), request.param)
        house.desk.clock = lambda: next(ticks)
        yield house


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What the record is asked from now on, one after the other."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


def seen_of(client: Any, number: int = NUMBER) -> Iterator[tuple[str, dict[str, Hashable]]]:
    """Yield each item's id with all that a script could note of it, besides the texts themselves."""
    before: dict[str, Any] = {}
    sent = client.post("/api/claim", json={})
    following = sent.json()
    for turn in range(number):
        lease, progress = following["lease"], following["progress"]
        me = client.get("/api/me").json()["progress"]
        noted: dict[str, Hashable] = {
            **shown_in(lease),
            "wider tells": client.get(f"/api/leases/{lease['id']}/wider").status_code,
            "left": progress["left"] - before.get("left", progress["left"] + 1),
            "sum": progress["left"] + progress["done"] - before.get("left", 0) - before.get("done", 0) if before else 0,
            "me": me["left"] - progress["left"],
            "undoable": progress["undoable"] == min(10, turn),
            **traffic_of(sent, lease),
        }
        yield lease["item"], noted
        before = progress
        sent = client.post(f"/api/leases/{lease['id']}/answer", json=submission_for(lease, key=new_key()))
        assert set(sent.json()) == {"id", "practice", "next"} and sent.json()["practice"] is None
        if turn % 50 == 7:  # undo tells nothing either
            again = client.post("/api/undo", json={}).json()["lease"]
            assert client.get("/api/me").json()["progress"]["done"] == turn
            sent = client.post(f"/api/leases/{again['id']}/answer", json=submission_for(again, key=new_key()))
            before = {}
        following = sent.json()["next"]


def shown_in(lease: dict[str, Any]) -> dict[str, Hashable]:
    """Return what a page holds of a lease besides the texts themselves, ids, and the seconds that are left."""
    aside = ("id", "item", "questions", "passages", "outputs", "expires_in", "draft")
    return {
        "keys": tuple(sorted(lease)),
        "labels": tuple((each["label"], each["score"] is None) for each in lease["passages"]),
        **{name: str(lease[name]) for name in lease if name not in aside},
        "questions": str(
            [{**each, "shown": len(each["shown"]), "item": len(each["item"])} for each in lease["questions"]]
        ),
        "drafted": str(lease["draft"] is not None),
    }


def traffic_of(sent: Any, lease: dict[str, Any]) -> dict[str, Hashable]:
    """What can be seen of the reply that brought an item from outside: headers, size but for texts, time.

    Sizes and times are told apart as coarsely as chance lets one learn from 500 items.
    """
    varying = [*lease["passages"], *lease["outputs"]]
    size = len(sent.content) - len(json.dumps(varying)) - len(str(lease["expires_in"]))
    size -= sum(len(json.dumps(each["score"])) for each in lease["passages"])
    return {
        "headers": tuple(sorted(sent.headers)),
        "size": round(size / 8),
        "milliseconds": round(4 * log2(1_000 * sent.elapsed.total_seconds())),
    }


def is_at_chance(seen: list[tuple[bool, dict[str, Hashable]]], capsys: pytest.CaptureFixture[str]) -> None:
    """Fail if a script ranks checks in front: it is told the purpose of the items but for the last 500, its guesses.

    It ranks them by naive Bayes over all that it noted.
    """
    told, guessed = seen[:-NUMBER], seen[-NUMBER:]
    learned = {truth: [noted for gold, noted in told if gold is truth] for truth in (True, False)}

    def share(truth: bool, name: str, value: Hashable) -> float:
        those = learned[truth]
        return (sum(each.get(name) == value for each in those) + 0.5) / (len(those) + 1)

    def evidence(noted: dict[str, Hashable]) -> float:
        return sum(log(share(True, name, value) / share(False, name, value)) for name, value in noted.items())

    ranked = [(evidence(noted), gold) for gold, noted in guessed]
    golds, others = ([score for score, gold in ranked if gold is truth] for truth in (True, False))
    area = sum((a > b) + 0.5 * (a == b) for a in golds for b in others) / (len(golds) * len(others))
    error = sqrt((len(golds) + len(others) + 1) / (12 * len(golds) * len(others)))  # of Mann and Whitney's U, at chance
    with capsys.disabled():
        low, high = area - 1.96 * error, area + 1.96 * error
        found = f"area under the curve {area:.3f} ({low:.3f} to {high:.3f})"
        print(f"\n{NUMBER} guesses, {len(golds)} of them at checks: {found}")
    assert len(golds) > 30
    assert area - 3.29 * error <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("sheets", [False, True], ids=["alone", "sheets"])
def test_five_hundred_guesses_from_page_and_traffic_are_at_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sheets: bool
) -> None:
    """A script learns from 500 items whose purpose it is told, by naive Bayes over all that it sees, and ranks 500.

    Known answers are to comparisons alone, also where the work is on sheets of five questions.
    """
    work = [item for at in range(2 * NUMBER) for item in (on_sheets(at) if sheets else [of_the_run(at)])]
    items = [*work, *from_a_file(tmp_path, 250)]
    changes = {"gold_every": EVERY, "attention_every": 0, "practice_items": 0}
    with house_in(tmp_path / "run", items, **changes) as house:
        client = house.add("anna")
        seen = [(house.desk.item(item).purpose == "gold", noted) for item, noted in seen_of(client, 2 * NUMBER)]
    is_at_chance(seen, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("sheets", [False, True], ids=["alone", "sheets"])
@pytest.mark.timeout(1_200)
def test_five_hundred_guesses_from_undo_drafts_lapses_and_frozen_rounds_are_at_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sheets: bool
) -> None:
    """The script tries what moves an item: it takes answers back, leaves drafts, lets leases run out, answers late.

    Rounds of eight are closed under its hands, and another rater works beside it.
    """
    changes = {"gold_every": EVERY, "attention_every": 0, "practice_items": 0}
    with house_in(tmp_path / "run", from_a_file(tmp_path, 300), **changes) as house:
        prober = Prober(house, shown_in, Random(0))
        for round_ in count():
            work = [
                item
                for at in range(8)
                for item in (on_sheets(8 * round_ + at) if sheets else [of_the_run(8 * round_ + at)])
            ]
            prober.play([in_round(item, round_) for item in work])
            if len(prober.noted) >= 2 * NUMBER:
                break
        seen = [(house.desk.item(item).purpose == "gold", noted) for item, noted in prober.noted.items()]
    is_at_chance(seen, capsys)


def in_round(item: Item, number: int) -> Item:
    return replace(item, request=replace(item.request, place=Place(number, "answer", 2)))


def test_a_script_that_guesses_from_all_that_it_is_told_is_at_chance(station: House) -> None:
    client = station.add("anna")
    seen = [(station.desk.item(item).purpose == "gold", noted) for item, noted in seen_of(client)]
    share = sum(gold for gold, _ in seen) / NUMBER
    assert 0.5 / EVERY < share < 2 / EVERY  # there was something to guess
    half = NUMBER // 2
    for name in seen[0][1].keys() - {"milliseconds"}:  # which hang on the machine
        learned: dict[Hashable, list[bool]] = defaultdict(list)
        for gold, noted in seen[:half]:
            learned[noted[name]].append(gold)
        said = {value for value, golds in learned.items() if sum(golds) / len(golds) > 2 * share}
        guessed = [gold for gold, noted in seen[half:] if noted[name] in said]
        expected, spread = share * len(guessed), sqrt(share * (1 - share) * len(guessed))
        assert sum(guessed) <= expected + 3 * spread + 1, (name, sum(guessed), len(guessed))


@pytest.mark.parametrize("station", [0.0], indirect=True)
def test_checks_take_as_long_as_work_counted_in_what_the_record_is_asked_for(
    station: House, statements: list[str]
) -> None:
    """Both when they come and when they are answered; of the 76 for work a clock does not tell one or two.

    Medians, for now and then an answer is taken back, which takes more.
    """
    coming, afterwards = defaultdict(list), defaultdict(list)
    before = None
    for item, _ in seen_of(station.add("anna"), 160):
        gold = station.desk.item(item).purpose == "gold"
        if before is not None:
            coming[gold].append(len(statements))
            afterwards[before].append(len(statements))
        before = gold
        statements.clear()
    for counts in (coming, afterwards):
        assert len(counts[True]) > 10
        assert median(counts[False]) > 50
        assert median(counts[True]) == pytest.approx(median(counts[False]), rel=0.05)


def test_a_check_without_wider_context_hides_it_from_all_items_and_one_with_it_from_none(tmp_path: Path) -> None:
    items = [of_the_run(0), *from_a_file(tmp_path, 1)]
    for blank in (frozenset(), frozenset({items[1].request.id})):
        around = {item.request.id: ("a", "b", "c") for item in items if item.request.id not in blank}
        with house_in(tmp_path / f"run{len(blank)}", items, {"wider": around.get}, practice_items=0) as house:
            lease = house.add("anna").post("/api/claim", json={}).json()["lease"]
            assert lease["wider"] is not bool(blank)
