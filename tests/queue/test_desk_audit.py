"""The audit only grows, and holds neither names nor secrets."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rrm.core.errors import ConfigError, InputError
from rrm.store.location import FILE
from tests.queue.desk_house import Clock, House


def test_every_change_by_somebody_writes_exactly_one_entry_with_before_and_after(either: House) -> None:
    ada = either.add_person("Ada", "admin", by="command line").id
    token = either.invite(ada, "command line")
    panel = either.open_panel("Panel", 2, ada)
    session = either.join(token)
    guest = either.who(either.join(panel, "guest"))
    assert guest is not None
    changes: list[tuple[Callable[[], object], str, str, str, object, object]] = [
        (lambda: either.set_state(guest.id, "paused", ada), ada, "change state", guest.id, "practising", "paused"),
        (lambda: either.set_password(ada, "a long enough one", ada), ada, "set password", ada, None, None),
        (lambda: either.log_in("Ada", "a long enough one"), ada, "log in", ada, None, None),
        (lambda: either.set_guideline("Be fair.", ada), ada, "change guidelines", "guidelines", 0, 1),
        (
            lambda: either.change_settings({"overlap": 3, "strategy": "least-done"}, ada),
            ada,
            "change settings",
            "settings",
            {"overlap": 1},
            {"overlap": 3},
        ),
        (lambda: either.log_out(session), ada, "log out", ada, None, None),
        (lambda: either.forget(guest.id, ada), ada, "forget person", guest.id, None, None),
    ]
    for change, *expected in changes:
        before = len(either.audit())
        change()
        entries = either.audit()
        assert len(entries) == before + 1
        assert [entries[0].by, entries[0].what, entries[0].subject, entries[0].old, entries[0].new] == expected
    first = [(entry.what, entry.new) for entry in reversed(either.audit())][:5]
    assert first == [
        ("add person", {"role": "admin", "kind": "person", "state": "active"}),
        ("invite person", {"hours": 168.0}),
        ("open panel", {"places": 2, "hours": 720.0, "quota": 0, "listed": None, "signed": False}),
        ("join", None),
        ("join", None),
    ]


def test_what_was_refused_leaves_no_entry(either: House) -> None:
    either.add_person("Ada", by="system")
    with pytest.raises(InputError):
        either.add_person("Ada", by="system")
    with pytest.raises(ConfigError):
        either.change_settings({"overlap": 2, "nothing": 1}, "system")
    assert [entry.what for entry in either.audit()] == ["add person"]


def test_an_entry_bears_the_guideline_version_and_the_time_of_the_change(house: House, clock: Clock) -> None:
    house.set_guideline("One.", "system")
    clock.now += 5
    house.set_guideline("Two.", "system")
    house.add_person("Ada", by="system")
    assert [(entry.what, entry.guideline, entry.at) for entry in house.audit()] == [
        ("add person", 2, 1_000_005.0),
        ("change guidelines", 2, 1_000_005.0),
        ("change guidelines", 1, 1_000_000.0),
    ]


def test_the_audit_is_read_page_by_page_the_latest_first(either: House) -> None:
    for number in range(7):
        either.add_person(f"Person {number}", by="system")
    pages, before = [], None
    while page := either.audit(limit=3, before=before):
        pages.append([entry.number for entry in page])
        before = page[-1].number
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]


def test_no_entry_and_no_version_of_the_guidelines_can_be_changed_or_removed(house: House, tmp_path: Path) -> None:
    house.set_guideline("Be fair.", "system")
    with sqlite3.connect(tmp_path / FILE) as raw:
        for table in ("audit", "guideline"):
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET at = 0"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    raw.execute(change)


def test_the_audit_holds_no_name_participant_or_panel(house: House, tmp_path: Path) -> None:
    ada = house.add_person("Ada Lovelace", "admin", by="command line").id
    house.join(house.invite(ada, ada))
    house.join(house.open_panel("Spring panel", 5, ada), "participant-77")
    house.forget(ada, ada)
    with sqlite3.connect(tmp_path / FILE) as raw:
        text = repr(raw.execute("SELECT * FROM audit").fetchall())
    assert ada in text
    assert not any(word in text for word in ("Ada", "Lovelace", "Spring", "participant-77"))
