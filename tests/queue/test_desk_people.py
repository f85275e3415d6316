"""People join by links that count once, under pseudonyms that tell nothing, and no usable secret is on the disk."""

import re
import sqlite3
from base64 import urlsafe_b64decode
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from rrm.core.annotation import ROLES, Person
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.queue import people
from rrm.store.location import FILE
from tests.queue.desk_house import Clock, House, open_house

HOUR, DAY = 3_600.0, 86_400.0
PASSWORD = "correct horse battery"


def admin(house: House) -> Person:
    added = house.add_person("Ada", "admin", by="system")
    house.set_password(added.id, PASSWORD, "system")
    return added


def dump(directory: Path) -> str:
    with closing(sqlite3.connect(directory / FILE)) as raw:
        return "\n".join(raw.iterdump())


# ---- who there is ----


def test_a_person_is_known_by_a_random_pseudonym(either: House, clock: Clock) -> None:
    ada = either.add_person("Ada", participant="x-1", by="system")
    assert re.fullmatch("p-[0-9a-f]{8}", ada.id)
    assert ada == Person(ada.id, "Ada", "annotator", "person", "active", "x-1", clock.now)
    assert either.person(ada.id) == ada
    assert either.persons() == [ada]


def test_equal_names_in_two_records_have_different_pseudonyms(tmp_path: Path, clock: Clock) -> None:
    houses = [open_house(tmp_path / name, clock) for name in "ab"]
    first, second = (each.add_person("Ada", by="system").id for each in houses)
    for each in houses:
        each.close()
    assert first != second


def test_only_annotators_of_either_kind_start_with_practice(house: House) -> None:
    states = {role: house.add_person(role, role, by="system").state for role in ROLES}
    assert states == {"annotator": "active", "adjudicator": "active", "admin": "active", "reader": "active"}
    assert house.add_person("A model", kind="assistant", by="system").state == "active"  # there is no practice


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 81, "two\nlines", "NUL \0", "half \ud800", "turned \u202e round", "zero\u200bwidth", None, 5],
)
def test_a_name_that_is_not_80_printable_characters_is_refused(house: House, name: Any) -> None:
    with pytest.raises(InputError, match="a name has 1 to 80 printable characters"):
        house.add_person(name, by="system")


def test_a_name_of_80_characters_in_any_script_is_kept(house: House) -> None:
    name = "Ж漢é🦊" * 20
    assert house.person(house.add_person(name, by="system").id).name == name


def test_a_name_is_given_once_however_it_is_written(house: House) -> None:
    house.add_person("Zoë", by="system")
    for name in ("Zoë", " Zoe\u0308 "):  # the second is made of e and a combining diaeresis
        with pytest.raises(InputError, match="has this name already; choose another"):
            house.add_person(name, by="system")
    with pytest.raises(InputError, match="has this name already, but for capitals: Zoë; choose another"):
        house.add_person("zoË", by="system")
    with pytest.raises(
        InputError, match="ada: somebody has this name already, but for capitals: Ada; nobody was added"
    ):
        house.add_persons([("Ada", "annotator", ""), ("ada", "annotator", "")], by="system")
    assert [person.name for person in house.persons()] == ["Zoë"]


@pytest.mark.parametrize(("role", "kind"), [("owner", "person"), ("annotator", "robot"), (None, "person")])
def test_there_are_no_roles_and_kinds_but_the_known_ones(house: House, role: Any, kind: str) -> None:
    with pytest.raises(InputError, match=r"there is no role|is of kind person or assistant"):
        house.add_person("Ada", role, kind=kind, by="system")


def test_a_state_is_changed_to_known_ones_only(house: House) -> None:
    ada = house.add_person("Ada", by="system").id
    house.set_state(ada, "paused", "system")
    assert house.person(ada).state == "paused"
    with pytest.raises(InputError, match="no state 'asleep'"):
        house.set_state(ada, "asleep", "system")  # type: ignore[arg-type]


def test_whoever_is_unknown_is_missing(house: House) -> None:
    for ask in (
        lambda: house.person("p-0"),
        lambda: house.set_state("p-0", "active", "system"),
        lambda: house.forget("p-0", "system"),
        lambda: house.invite("p-0", "system"),
        lambda: house.set_password("p-0", PASSWORD, "system"),
    ):
        with pytest.raises(MissingError, match="no person 'p-0'"):
            ask()
    assert house.audit() == []


# ---- to be forgotten ----


def test_who_is_forgotten_stays_as_a_pseudonym_that_cannot_come_in(either: House) -> None:
    ada = admin(either)
    session, open_ = either.log_in("Ada", PASSWORD), either.invite(ada.id, "system")
    either.forget(ada.id, "system")
    assert either.person(ada.id) == Person(ada.id, None, "admin", "person", "paused", None, ada.created, False)
    assert either.who(session) is None
    with pytest.raises(AccessError):
        either.join(open_)
    with pytest.raises(AccessError):
        either.log_in("Ada", PASSWORD)
    for ask in (lambda: either.invite(ada.id, "s"), lambda: either.set_password(ada.id, PASSWORD, "s")):
        with pytest.raises(ConflictError, match="was forgotten"):
            ask()


def test_the_name_of_who_was_forgotten_is_free_again(either: House) -> None:
    first, second = either.add_person("Ada", by="system").id, either.add_person("Bob", by="system").id
    either.forget(first, "system")
    either.forget(second, "system")  # two without a name do not stand in each other's way
    assert either.add_person("Ada", by="system").id != first


def test_nothing_of_who_was_forgotten_is_left_in_the_file(tmp_path: Path, clock: Clock) -> None:
    house = open_house(tmp_path, clock)
    ids = [house.add_person(f"Forgettable {n}", participant=f"prolific-{n}", by="system").id for n in range(50)]
    house.close()
    assert b"Forgettable" in (tmp_path / FILE).read_bytes()
    house = open_house(tmp_path, clock)
    for each in ids:
        house.forget(each, "system")
    house.close()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert not re.search(b"Forgettable|prolific", left)


# ---- invitations ----


def test_an_invitation_opens_a_session_once(house: House) -> None:
    ada = house.add_person("Ada", by="system")
    token = house.invite(ada.id, "system")
    session = house.join(token)
    assert house.who(session) == ada
    for again in (token, token[:-1], token + "A", session, "", "half \ud800", "x" * 1_000_000):
        with pytest.raises(AccessError, match="used already, has expired or is not whole"):
            house.join(again)


def test_an_invitation_is_good_again_for_a_while_for_the_key_that_used_it(house: House, clock: Clock) -> None:
    ada = house.add_person("Ada", by="system")
    token = house.invite(ada.id, "system", hours=1.0)
    first = house.join(token, key="of Ada's page")
    clock.now += 899.0
    again = house.join(token, key="of Ada's page")
    assert first != again
    assert house.who(again) == ada
    for key in ("of another page", "", None):
        with pytest.raises(AccessError, match="used already"):
            house.join(token, key=key)
    clock.now += 2.0
    with pytest.raises(AccessError, match="used already"):
        house.join(token, key="of Ada's page")


def test_an_invitation_used_without_a_key_is_spent(house: House) -> None:
    token = house.invite(house.add_person("Ada", by="system").id, "system")
    house.join(token)
    with pytest.raises(AccessError, match="used already"):
        house.join(token, key="made up later")


def test_tokens_are_256_bits_and_never_come_twice(house: House) -> None:
    ada = house.add_person("Ada", by="system")
    tokens = {house.invite(ada.id, "system") for _ in range(20)}
    assert len(tokens) == 20
    assert {len(urlsafe_b64decode(token + "=")) for token in tokens} == {32}


def test_an_invitation_expires_on_time(house: House, clock: Clock) -> None:
    ada = house.add_person("Ada", by="system")
    late, early = house.invite(ada.id, "system", hours=1.5), house.add_person("Bob", by="system")
    soon = house.invite(early.id, "system", hours=1.5)
    clock.now += 1.5 * HOUR - 1
    house.join(soon)
    clock.now += 1
    with pytest.raises(AccessError):
        house.join(late)


def test_a_new_invitation_takes_the_place_of_the_last(house: House) -> None:
    ada = house.add_person("Ada", by="system")
    first, second = house.invite(ada.id, "system"), house.invite(ada.id, "system")
    with pytest.raises(AccessError):
        house.join(first)
    assert house.who(house.join(second)) == ada


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf"), "24", True, None])
def test_a_link_is_good_for_a_sensible_time(house: House, hours: Any) -> None:
    ada = house.add_person("Ada", by="system")
    for ask in (lambda: house.invite(ada.id, "system", hours), lambda: house.open_panel("P", 1, "system", hours)):
        with pytest.raises(InputError, match="hours"):
            ask()


def at_once(count: int, call: Any) -> tuple[list[Any], list[Exception]]:
    """Call from so many threads at the same moment; return the results and what was raised."""
    results: list[Any] = []
    raised: list[Exception] = []
    ready = Barrier(count)

    def work(number: int) -> None:
        ready.wait()
        try:
            results.append(call(number))
        except Exception as error:
            raised.append(error)

    threads = [Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, raised


def test_of_many_who_use_an_invitation_at_once_one_comes_in(either: House) -> None:
    ada = either.add_person("Ada", by="system")
    for _ in range(5):
        token = either.invite(ada.id, "system")
        sessions, refused = at_once(16, lambda _, token=token: either.join(token))
        assert len(sessions) == 1
        assert either.who(sessions[0]) == ada
        assert [type(error) for error in refused] == [AccessError] * 15


def test_two_processes_that_use_an_invitation_at_once_let_one_in(tmp_path: Path, either: House, clock: Clock) -> None:
    other = open_house(tmp_path, clock, "append")  # as another process opens it
    ada = either.add_person("Ada", by="system")
    for _ in range(5):
        token = either.invite(ada.id, "system")
        sessions, refused = at_once(8, lambda number, token=token: (either, other)[number % 2].join(token))
        assert (len(sessions), len(refused)) == (1, 7)
    other.close()


# ---- panels ----


def test_a_participant_joins_a_panel_as_a_new_annotator_under_the_own_id(house: House) -> None:
    token = house.open_panel("Spring", 2, "system")
    joined = house.who(house.join(token, "5f3c"))
    assert joined is not None
    assert (joined.role, joined.state, joined.participant, joined.name) == (
        "annotator",
        "active",
        "5f3c",
        "Spring 1",
    )
    assert "5f3c" not in joined.id


def test_the_same_participant_is_the_same_person_in_another_session(either: House) -> None:
    first, later = (either.open_panel(name, 1, "system") for name in ("Spring", "Summer"))
    sessions = [either.join(first, "5f3c"), either.join(first, "5f3c"), either.join(later, "5f3c")]
    assert len(set(sessions)) == 3
    assert len({either.who(session) for session in sessions}) == 1
    assert len(either.persons()) == 1


def test_a_panel_takes_no_more_than_its_places_even_at_once(either: House) -> None:
    token = either.open_panel("Spring", 5, "system")
    sessions, refused = at_once(12, lambda number: either.join(token, f"participant {number}"))
    assert len(sessions) == len(either.persons()) == 5
    assert all("all places" in str(error) for error in refused)
    back = either.who(sessions[0])
    assert back is not None
    assert back.participant is not None
    assert either.who(either.join(token, back.participant)) == back


def test_one_participant_who_opens_the_link_many_times_at_once_is_one_person(either: House) -> None:
    token = either.open_panel("Spring", 5, "system")
    sessions, refused = at_once(12, lambda _: either.join(token, "5f3c"))
    assert (len(sessions), refused, len(either.persons())) == (12, [], 1)


def test_a_panel_expires(house: House, clock: Clock) -> None:
    token = house.open_panel("Spring", 5, "system", hours=1)
    clock.now += HOUR
    with pytest.raises(AccessError):
        house.join(token, "5f3c")


@pytest.mark.parametrize(
    "participant", ["", " ", "x" * 129, "a\nb", "a\0b", "half \ud800", "\u200b", "{{%PROLIFIC_PID%}}", 5]
)
def test_a_participant_id_that_cannot_be_one_is_refused(house: House, participant: Any) -> None:
    token = house.open_panel("Spring", 5, "system")
    with pytest.raises(InputError, match=r"participant id|was not filled in"):
        house.join(token, participant)
    assert house.persons() == []
    house.join(token, "x" * 128)


def test_a_panels_link_needs_a_participant_id(house: House) -> None:
    with pytest.raises(InputError, match="needs the participant id"):
        house.join(house.open_panel("Spring", 5, "system"))


def test_a_panels_link_leads_to_no_admin_whose_participant_id_somebody_knows(house: House) -> None:
    house.add_person("Ada", "admin", participant="5f3c", by="system")
    with pytest.raises(AccessError, match="annotators only"):
        house.join(house.open_panel("Spring", 5, "system"), "5f3c")


def test_a_name_that_a_participant_would_get_may_be_taken(house: House) -> None:
    house.add_person("Spring 1", by="system")
    joined = house.who(house.join(house.open_panel("Spring", 5, "system"), "5f3c"))
    assert joined is not None
    assert joined.name == "Spring 1+"


@pytest.mark.parametrize("places", [0, -1, 100_001, 2.0, True, "5"])
def test_a_panel_has_a_whole_number_of_places(house: House, places: Any) -> None:
    with pytest.raises(InputError, match="places"):
        house.open_panel("Spring", places, "system")


# ---- sessions ----


def test_a_session_ends_after_twelve_idle_hours(either: House, clock: Clock) -> None:
    ada = either.add_person("Ada", by="system")
    session = either.join(either.invite(ada.id, "system"))
    clock.now += 12 * HOUR - 1
    assert either.who(session) == ada  # and begins the twelve hours anew
    clock.now += 12 * HOUR - 1
    assert either.who(session) == ada
    clock.now += 12 * HOUR
    assert either.who(session) is None


def test_a_session_ends_after_seven_days_however_busy(house: House, clock: Clock) -> None:
    ada = house.add_person("Ada", by="system")
    began = clock.now
    session = house.join(house.invite(ada.id, "system"))
    while clock.now + HOUR < began + 7 * DAY:
        clock.now += HOUR
        assert house.who(session) == ada
    clock.now = began + 7 * DAY
    assert house.who(session) is None


def test_that_a_session_is_in_use_is_written_down_once_a_minute(
    house: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = house.add_person("Ada", by="system")
    session = house.join(house.invite(ada.id, "system"))
    written = []
    do = house._do
    monkeypatch.setattr(house, "_do", lambda operation, durable=True: written.append(durable) or do(operation, durable))
    for _ in range(180):  # seconds
        clock.now += 1
        house.who(session)
    assert written == [False] * 3


def test_who_logs_out_ends_this_session_alone(either: House) -> None:
    ada = either.add_person("Ada", by="system")
    here, there = (either.join(either.invite(ada.id, "system")) for _ in range(2))
    either.log_out(here)
    either.log_out(here)
    assert either.who(here) is None
    assert either.who(there) == ada


def test_a_pause_ends_no_session(house: House) -> None:
    ada = house.add_person("Ada", by="system")
    session = house.join(house.invite(ada.id, "system"))
    house.set_state(ada.id, "paused", "system")
    found = house.who(session)
    assert found is not None
    assert found.state == "paused"


@pytest.mark.parametrize("session", ["", "x", "half \ud800", "\0", "' OR 1=1--", "x" * 1_000_000])
def test_a_session_that_nobody_opened_is_nobodys(house: House, session: str) -> None:
    admin(house)
    house.log_in("Ada", PASSWORD)
    assert house.who(session) is None


def test_the_session_of_another_record_is_nobodys_here(house: House, tmp_path: Path, clock: Clock) -> None:
    other = open_house(tmp_path / "other", clock)
    session = other.join(other.invite(other.add_person("Ada", by="system").id, "system"))
    other.close()
    house.add_person("Ada", by="system")
    assert house.who(session) is None


def test_sessions_that_ended_are_swept_away(house: House, clock: Clock, tmp_path: Path) -> None:
    ada = house.add_person("Ada", by="system")
    for _ in range(3):
        house.join(house.invite(ada.id, "system"))
        clock.now += DAY
    with closing(sqlite3.connect(tmp_path / FILE)) as raw:
        assert raw.execute("SELECT count(*) FROM session").fetchone() == (1,)


# ---- passwords ----


def test_an_admin_logs_in_by_password_into_a_new_session_each_time(either: House) -> None:
    ada = admin(either)
    sessions = {either.log_in("Ada", PASSWORD) for _ in range(3)}
    assert len(sessions) == 3
    assert {each and each.id for each in map(either.who, sessions)} == {ada.id}
    assert either.person(ada.id).has_password


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Ada", PASSWORD + "."),
        ("Ada", PASSWORD.upper()),
        ("Ada", ""),
        ("Ada", "x" * 1_000_000),
        ("Ada", "half \ud800 of a character"),
        ("ada", PASSWORD),
        ("Bob", PASSWORD),
        ("Nobody", PASSWORD),
        ("", PASSWORD),
        ("half \ud800", PASSWORD),
        ("x" * 1_000_000, PASSWORD),
        (None, PASSWORD),
        ("Ada", None),
    ],
)
def test_whatever_is_wrong_is_refused_in_the_same_words(house: House, name: Any, password: Any) -> None:
    admin(house)
    house.add_person("Bob", "admin", by="system")  # has no password
    with pytest.raises(AccessError, match=r"^the name or the password is wrong$"):
        house.log_in(name, password)


@pytest.mark.parametrize(("role", "shortest"), [("annotator", 6), ("adjudicator", 12), ("reader", 12), ("admin", 12)])
def test_everybody_chooses_a_password_once_to_come_back_in_with(house: House, role: Any, shortest: int) -> None:
    added = house.add_person("Bob", role, by="system")
    chosen = "3141592653589"[:shortest]
    with pytest.raises(InputError, match=f"{shortest} to 1,024 characters"):
        house.choose_password(added.id, chosen[1:])
    house.choose_password(added.id, chosen)
    assert house.who(house.log_in("Bob", chosen)) == house.person(added.id)
    with pytest.raises(ConflictError, match="a password already"):
        house.choose_password(added.id, "another " + chosen)
    assert house.log_in("Bob", chosen)


@pytest.mark.parametrize("pin", ["123456", "987654", "111111", "121212", "abcdef", "aaabbb"])
def test_a_pin_that_is_guessed_first_is_refused(house: House, pin: str) -> None:
    added = house.add_person("Bob", by="system")
    with pytest.raises(InputError, match="guessed first"):
        house.choose_password(added.id, pin)


def test_a_password_that_was_reset_leads_in_no_more_and_another_can_be_chosen(either: House) -> None:
    bob = either.add_person("Bob", by="system")
    either.choose_password(bob.id, "314159")
    session = either.log_in("Bob", "314159")
    either.reset_password(bob.id, "system")
    assert either.who(session) is None
    with pytest.raises(AccessError):
        either.log_in("Bob", "314159")
    assert "reset password" in {each.what for each in either.audit()}
    either.choose_password(bob.id, "271828")
    assert either.log_in("Bob", "271828")


def test_a_session_that_is_kept_lasts_thirty_idle_days_and_ninety_at_most(house: House, clock: Clock) -> None:
    bob, start = house.add_person("Bob", by="system"), clock.now
    kept, short = (house.join(house.invite(bob.id, "system"), keep=keep) for keep in (True, False))
    clock.now = start + 29 * DAY
    house.choose_password(bob.id, "314159")
    assert house.log_in("Bob", "314159")  # which sweeps away what has ended
    assert house.who(kept) and house.who(short) is None
    for day in (58, 87):
        clock.now = start + day * DAY
        assert house.who(kept)
    clock.now = start + 90 * DAY
    assert house.who(kept) is None
    again = house.log_in("Bob", "314159", keep=True)
    clock.now += 30 * DAY
    assert house.who(again) is None


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 1_025, "x" * 1_000_000, "half \ud800 of a character", None])
def test_a_password_of_a_false_length_is_refused_before_any_hashing(
    house: House, monkeypatch: pytest.MonkeyPatch, password: Any
) -> None:
    ada = admin(house)
    monkeypatch.setattr(people, "_hashing", lambda: pytest.fail("it was hashed"))
    with pytest.raises(InputError, match="12 to 1,024 characters"):
        house.set_password(ada.id, password, "system")
    if password != "x" * 11:  # which might be an annotator's
        with pytest.raises(AccessError):
            house.log_in("Ada", password)


@pytest.mark.parametrize("length", [12, 1_024])
def test_the_shortest_and_the_longest_password_count_to_their_last_character(house: House, length: int) -> None:
    ada = admin(house)
    house.set_password(ada.id, "é" * length, "system")
    assert house.who(house.log_in("Ada", "é" * length))
    if length == 1_024:
        with pytest.raises(AccessError):
            house.log_in("Ada", "é" * 1_023 + "e")


def test_another_password_ends_the_sessions_and_the_first_one_none(house: House) -> None:
    ada = house.add_person("Ada", "admin", by="system")
    session = house.join(house.invite(ada.id, "system"))
    house.set_password(ada.id, PASSWORD, "system")
    assert house.who(session)
    house.set_password(ada.id, PASSWORD + " staple", "system")
    assert house.who(session) is None
    with pytest.raises(AccessError):
        house.log_in("Ada", PASSWORD)


def test_the_check_hashes_once_whether_or_not_somebody_has_the_name(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin(house)
    house.add_person("Bob", "admin", by="system")
    people._nobodys()
    checked: list[str] = []
    real = people._hashing()

    class Counting:
        def verify(self, password: str, kept: str) -> bool:
            checked.append(kept)
            return real.verify(password, kept)

    monkeypatch.setattr(people, "_hashing", Counting)
    for name in ("Ada", "Bob", "Nobody", "\ud800"):
        with pytest.raises(AccessError):
            house.log_in(name, "a false password")
    parameters = {kept.rpartition("$")[0].rpartition("$")[0] for kept in checked}
    assert len(checked) == 4
    assert parameters == {"$argon2id$v=19$m=65536,t=3,p=4"}


# ---- what is on the disk ----


def test_no_usable_token_or_password_stands_in_the_record(house: House, tmp_path: Path) -> None:
    ada = admin(house)
    used, unused = house.invite(ada.id, "system"), house.add_person("Bob", by="system")
    tokens = [used, house.join(used), house.invite(unused.id, "system"), house.log_in("Ada", PASSWORD)]
    panel = house.open_panel("Spring", 5, "system")
    tokens += [panel, house.join(panel, "5f3c")]
    text = dump(tmp_path)
    assert PASSWORD not in text
    assert not any(token in text for token in tokens)
    assert not any(urlsafe_b64decode(token + "=").hex() in text.lower() for token in tokens)
    for token in tokens:  # what stands there is the hash, and the hash opens nothing
        hashed = sha256(token.encode()).hexdigest()
        assert hashed in text
        assert house.who(hashed) is None
        with pytest.raises(AccessError):
            house.join(hashed)
    assert "$argon2id$" in text
