"""Looking through items: filters, pages, texts in which no sign is special, who is at work, and the audit's filter."""

from dataclasses import replace

import pytest

from rrm.core.annotation import Item, ItemRow, ItemText
from rrm.core.desk import Desk
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Comparison, Passage, Rating, Request, Shown
from rrm.queue import SqlDesk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import VIEW, claimed, known, raters, request, submit, work


def saying(number: int, *, instruction: str = "Judge.", passage: str = "", context: str = "", output: str = "") -> Item:
    """An item of rating that says these texts."""
    view = replace(
        VIEW, instruction=instruction, passages=(Passage(passage, "a-node", "an-output", 0.5),), context=context
    )
    return Item(Request(f"text-node-{number}", "source-2", Place(), "rating", view, (Shown(f"text-{number}", output),)))


def nodes(rows: list[ItemRow]) -> list[str]:
    return [row.node for row in rows]


def test_a_desk_of_a_record_can_be_looked_through(either_desk: SqlDesk) -> None:
    assert isinstance(either_desk, Desk)
    either_desk.add_items([*work(1, 2, wanted=2), Item(request(3, "rating", outputs=1, level=1)), *known("gold", 4)])
    found = either_desk.search_items()
    assert [row.seq for row in found] == sorted(row.seq for row in found)
    assert [
        (row.id, row.place, row.kind, row.purpose, row.state, row.wanted, row.answers, row.held) for row in found
    ] == [
        (request(1).id, Place(), "comparison", "work", "open", 2, 0, 0),
        (request(2).id, Place(), "comparison", "work", "open", 2, 0, 0),
        (request(3, "rating", outputs=1, level=1).id, Place(level=1), "rating", "work", "open", 1, 0, 0),
        (request(4).id, Place(), "comparison", "gold", "open", 1, 0, 0),
    ]
    assert {(row.instruction, row.output) for row in found} == {("Judge how well it sums up.", "A")}


def test_an_item_without_outputs_has_an_empty_beginning(either_desk: SqlDesk) -> None:
    either_desk.add_items([Item(request(1, "demonstration", outputs=0))])
    assert [row.output for row in either_desk.search_items()] == [""]


def test_every_filter_narrows_and_all_of_them_hold_at_once(either_desk: SqlDesk) -> None:
    items = [*work(1, 2, 11), Item(request(5, "rating", outputs=1)), *work(6, level=1)]
    either_desk.add_items(items)
    (person,) = raters(either_desk, 1)
    lease = claimed(either_desk, person)
    submit(either_desk, lease, None if lease.first.request.kind == "comparison" else Rating(3))
    assert nodes(either_desk.search_items(place=Place(level=1))) == ["node-6"]
    assert nodes(either_desk.search_items(kind="rating")) == ["node-5"]
    assert nodes(either_desk.search_items(node="node-1")) == ["node-1", "node-11"]
    assert nodes(either_desk.search_items(node="node-1", kind="rating")) == []
    assert nodes(either_desk.search_items(state="complete")) == [lease.first.request.node]
    assert len(either_desk.search_items(state="open")) == 4
    either_desk.freeze(Place(level=1), "test")
    assert nodes(either_desk.search_items(state="frozen")) == ["node-6"]
    assert "node-6" not in nodes(either_desk.search_items(state="open"))


def test_answers_and_holders_are_counted_for_work_and_for_checks(either_desk: SqlDesk) -> None:
    either_desk.change_settings({"gold_every": 2, "practice_items": 0}, "test")
    either_desk.add_items([*work(1, 2, 3, 4, 5, 6, wanted=2), *known("gold", 7)])
    one, two = raters(either_desk, 2)
    answered = 0
    while (lease := either_desk.claim(one)) is not None and lease.first.purpose != "gold":
        submit(either_desk, lease)
        answered += 1
    assert lease is not None, "a gold item comes once in two items"
    rows = {row.purpose: row for row in either_desk.search_items(node="node-7")}
    assert (rows["gold"].answers, rows["gold"].held) == (0, 1)
    submit(either_desk, lease)
    rows = {row.purpose: row for row in either_desk.search_items(node="node-7")}
    assert (rows["gold"].answers, rows["gold"].held) == (1, 0)
    assert sum(row.answers for row in either_desk.search_items() if row.purpose == "work") == answered
    held = claimed(either_desk, two)
    assert [row.held for row in either_desk.search_items() if row.id == held.first.request.id] == [1]


def test_pages_follow_one_another_without_gap_or_double(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(*range(25)))
    seen: list[str] = []
    after = 0
    while page := either_desk.search_items(after=after, limit=4):
        seen += nodes(page)
        after = page[-1].seq
    assert seen == [f"node-{number}" for number in range(25)]


def test_a_search_looks_no_further_than_it_is_told(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(*range(10)))
    numbers = [row.seq for row in either_desk.search_items()]
    assert nodes(either_desk.search_items(after=numbers[2], up_to=numbers[5])) == ["node-3", "node-4", "node-5"]
    assert either_desk.search_items(text="Judge", up_to=numbers[0] - 1) == []


def test_a_text_is_found_wherever_the_item_shows_it_and_nowhere_else(either_desk: SqlDesk) -> None:
    either_desk.add_items(
        [
            saying(1, instruction="Find the Lantern."),
            saying(2, passage="There was a lantern in it."),
            saying(3, context="LANTERN of old"),
            saying(4, output='He said "a lantern\nor two" and left'),
            saying(5, instruction="nothing of it"),
        ]
    )
    assert nodes(either_desk.search_items(text="lantern")) == [f"text-node-{number}" for number in (1, 2, 3, 4)]
    assert nodes(either_desk.search_items(text='"a lantern\nor')) == ["text-node-4"]
    # the names of fields, ids and signs of JSON stand in the record, not on the page
    for not_shown in ("passages", '"text"', '{"text":', "an-output", "a-node", "null", "\\n", "0.5", "text-4"):
        assert nodes(either_desk.search_items(text=not_shown)) == [], not_shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", ["text-node-2"]),
        ("_", ["text-node-3"]),
        ("\\", ["text-node-4"]),
        ("100 %", ["text-node-2"]),
        ("1%0", []),
        ("a_c", ["text-node-3"]),
        ("' OR 1=1--", []),
        ("'; DROP TABLE item; --", []),
        ("it's", ["text-node-5"]),
        ("O'Hara", ["text-node-5"]),
        ('"', ["text-node-6"]),
        ("😀", ["text-node-7"]),
        ("/", ["text-node-8"]),
        ("%' ESCAPE '/", []),
        ("{{7*7}}", []),
        ("$.text", []),
    ],
)
def test_no_sign_is_special_in_a_text(either_desk: SqlDesk, text: str, found: list[str]) -> None:
    texts = ("plain", "100 % of it", "a_c", "back\\slash", "it's O'Hara", 'a "quote"', "smile 😀", "and/or", "1x0 abc")
    for place in ("instruction", "passage", "output"):
        either_desk.add_items([saying(number, **{place: each}) for number, each in enumerate(texts, start=1)])
    assert nodes(either_desk.search_items(text=text, limit=100)) == 3 * found


@pytest.mark.parametrize("node", ["%", "_", "node_1", "' OR 1=1--", "\\"])
def test_no_sign_is_special_in_a_node(either_desk: SqlDesk, node: str) -> None:
    either_desk.add_items(work(1, 2))
    assert either_desk.search_items(node=node) == []


def test_what_nobody_can_mean_is_refused_with_a_sentence(desk: SqlDesk) -> None:
    with pytest.raises(InputError, match="there is no state 'done'; there are open, complete, frozen"):
        desk.search_items(state="done")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there is no kind 'poll'"):
        desk.search_items(kind="poll")
    with pytest.raises(InputError, match="1 to 500 items, got 0"):
        desk.search_items(limit=0)
    with pytest.raises(InputError, match="may have 200 letters, got 201"):
        desk.search_items(text="x" * 201)


def test_many_requests_are_looked_up_at_once(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(*range(1200)))
    ids = [request(number).id for number in range(1200)]
    found = either_desk.requests([*ids, "request-nobody-has"])
    assert found == {request(number).id: request(number) for number in range(1200)}
    assert either_desk.requests([]) == {}


def test_what_rows_tell_of_requests_comes_without_their_views(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(*range(600)))
    ids = [request(number).id for number in range(600)]
    found = either_desk.asked([*ids, "request-nobody-has"])
    assert found == {id_: ItemText("source-1", ("A", "B"), "overall") for id_ in ids}
    assert either_desk.asked([]) == {}


def test_who_holds_an_item_or_answered_lately_is_at_work(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(*range(10), wanted=3))
    one, two, three = raters(either_desk, 3)
    submit(either_desk, claimed(either_desk, three))
    clock.now += 1000
    lease = claimed(either_desk, one)
    begun = clock.now
    clock.now += 50
    submit(either_desk, claimed(either_desk, two))
    found = either_desk.at_work(clock.now - 600)
    assert [(each.person, each.item, each.since, each.last) for each in found] == [
        (two, None, None, clock.now),
        (one, lease.first.request.id, begun, None),
    ]
    clock.now += 3600  # the lease has run out, and nobody has answered for an hour
    assert either_desk.at_work(clock.now - 600) == []


def test_a_note_is_one_entry_of_the_audit_under_the_guidelines_of_the_day(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.set_guideline("Be fair.", "test")
    either_desk.note("p-1", "start run", "run")
    (latest, *rest) = either_desk.audit()
    assert (latest.by, latest.what, latest.subject, latest.guideline, latest.at) == (
        "p-1",
        "start run",
        "run",
        1,
        clock.now,
    )
    assert [entry.what for entry in rest] == ["change guidelines"]


def test_the_audit_leaves_out_what_is_not_asked_for(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, 2, 3))
    (person,) = raters(either_desk, 1)
    for _ in range(3):
        submit(either_desk, claimed(either_desk, person), Comparison(0))
    every = [entry.what for entry in either_desk.audit()]
    assert every.count("answer") == 3
    assert [entry.what for entry in either_desk.audit(without=("answer",))] == [
        each for each in every if each != "answer"
    ]
    (second,) = either_desk.audit(
        limit=1, before=either_desk.audit(limit=1, without=("answer",))[0].number, without=("answer",)
    )
    assert second.what == [each for each in every if each != "answer"][1]
