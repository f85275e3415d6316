"""The desk's people: their pseudonyms, invitations and sessions, of which only hashes are kept.

A token is 256 random bits, kept as its SHA-256; a password as an Argon2id hash.
"""

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, get_args
from unicodedata import normalize

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from rrm.core.annotation import (
    OPEN,
    PASSWORD_LENGTH,
    ROLES,
    SHORTEST_PIN,
    Panel,
    PanelRules,
    Person,
    PersonState,
    Role,
    shortest_password,
)
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.queue.audit import record_audit
from rrm.queue.base import Base
from rrm.queue.consents import record_consent
from rrm.queue.groups import group_name
from rrm.queue.guidelines import latest_guideline
from rrm.queue.panels import (
    PANEL,
    as_panel,
    check_first_time,
    check_participant,
    checked_rules,
    find_panel,
    insert_panel,
    participant_id,
    proofs,
    remember_arrival,
    take_place,
)
from rrm.queue.practice import groups_with_practice
from rrm.store.tables import table

if TYPE_CHECKING:
    from pwdlib import PasswordHash

IDLE_SECONDS = 12 * 3600.0
LONGEST_SECONDS = 7 * 86_400.0
KEPT_IDLE_SECONDS = 30 * 86_400.0
KEPT_LONGEST_SECONDS = 90 * 86_400.0
"""The same of a session that somebody asked to keep, on a device of their own."""

SEEN_SECONDS = 60.0
"""How often it is written down that a session is in use."""

NAME_LENGTH = 80
MOST_HOURS = 8_784.0

_PERSON, _INVITATION, _SESSION = (table(name) for name in ("person", "invitation", "session"))
_STATES: tuple[PersonState, ...] = get_args(PersonState)

_SHORT, _LONG = (IDLE_SECONDS, LONGEST_SECONDS), (KEPT_IDLE_SECONDS, KEPT_LONGEST_SECONDS)
_AGAIN_SECONDS = 900.0
"""How long the page that used an invitation may use it again, should the reply have been lost."""

_IN_ORDER = "01234567890 abcdefghijklmnopqrstuvwxyz"
_AT_ONCE = BoundedSemaphore(2)
"""How many passwords are hashed at a time, each with 64 MiB of memory."""

_BY_ID = select(_PERSON).where(_PERSON.c.id == bindparam("one"))
_BY_TOKEN = (
    select(*_PERSON.c, _SESSION.c.token, _SESSION.c.created.label("began"), _SESSION.c.seen, _SESSION.c.kept)
    .join_from(_SESSION, _PERSON, _PERSON.c.id == _SESSION.c.person)
    .where(_SESSION.c.token == bindparam("hashed"))
)


class People(Base):
    """The part of the desk that knows who is who."""

    # ---- who there is ----

    def add_person(
        self,
        name: str,
        role: Role = "annotator",
        *,
        kind: str = "person",
        participant: str | None = None,
        group: str = "",
        by: str,
    ) -> Person:
        """Return a new person under a random pseudonym; an annotator starts with practice.

        Raises InputError for a name that is not 1 to 80 printable characters or that somebody has, capitals or not, or
        a group's that is none.
        """
        called, group = _name(name), group_name(group)
        if role not in ROLES:
            raise InputError(f"there is no role {role!r:.40}; there are {', '.join(ROLES)}")
        if kind not in ("person", "assistant"):
            raise InputError(f"a rater is of kind person or assistant, got {kind!r:.40}")
        known_as = None if participant is None else participant_id(participant)

        def add(connection: Connection) -> Person:
            if (taken := _names(connection).get(called.casefold())) is not None:
                raise InputError(_taken(called, taken, "choose another"))
            if known_as is not None and _is_there(connection, _PERSON.c.participant, known_as):
                raise InputError("somebody has this participant id already: choose another")
            person = _insert_person(connection, called, role, kind, known_as, self.clock(), group)
            self._note(connection, by, "add person", person.id, new=_public(person))
            return _as_there_is(connection, person)

        return self._do(add)

    def add_persons(self, several: Sequence[tuple[str, Role, str]], *, by: str) -> list[Person]:
        """Add people by name, role and group: all, or none; InputError naming the first who cannot be added."""

        def add(connection: Connection) -> list[Person]:
            added, names = [], _names(connection)
            for name, role, group in several:
                called = _name(name)
                if role not in ROLES:
                    raise InputError(f"{called}: there is no role {role!r:.40}; there are {', '.join(ROLES)}")
                if (taken := names.get(called.casefold())) is not None:
                    raise InputError(f"{called}: {_taken(called, taken, 'nobody was added')}")
                names[called.casefold()] = called
                person = _insert_person(connection, called, role, "person", None, self.clock(), group_name(group))
                self._note(connection, by, "add person", person.id, new=_public(person))
                added.append(_as_there_is(connection, person))
            return added

        return self._do(add)

    def person(self, id: str) -> Person:
        with self._read() as connection:
            return _as_there_is(connection, find_person(connection, id))

    def persons(self) -> list[Person]:
        """Return everybody, the forgotten too, in the order in which they came."""
        with self._read() as connection:
            rows = connection.execute(select(_PERSON).order_by(_PERSON.c.created, _PERSON.c.id)).all()
            practice = groups_with_practice(connection)
        return [_with_practice(person, practice) for person in map(_person, rows)]

    def set_group(self, person: str, group: str, by: str) -> None:
        """Put a person into a group, or into none (""); what they have in hand or have answered stays."""
        name = group_name(group)

        def change(connection: Connection) -> None:
            old = find_person(connection, person).group
            connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(group=name))
            self._note(connection, by, "change group", person, old, name)

        self._do(change)

    def set_state(self, person: str, state: PersonState, by: str) -> None:
        """Change a person's state; somebody who is paused and made active goes back to what they were."""
        if state not in _STATES:
            raise InputError(f"there is no state {state!r:.40}; there are {', '.join(_STATES)}")

        def change(connection: Connection) -> None:
            old = connection.execute(select(_PERSON.c.state, _PERSON.c.resumes).where(_PERSON.c.id == person)).first()
            back = state == "active" and old is not None and old.state == "paused" and old.resumes
            new: PersonState = old.resumes if old is not None and back else state
            was = change_state(connection, person, new)
            if state == "paused" and was != "paused":
                connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(resumes=was))
            self._note(connection, by, "change state", person, was, new)

        self._do(change)

    def forget(self, person: str, by: str) -> None:
        """Erase a person's name, participant id and password and end their sessions; their answers stay.

        The pseudonym stays too, paused, so that what it did keeps adding up.
        """

        def erase(connection: Connection) -> None:
            find_person(connection, person)
            if connection.dialect.name == "sqlite":  # which else leaves what was erased in the file
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            erased = {"name": None, "participant": None, "password": None, "device": None, "state": "paused"}
            connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(erased))
            for tokens in (_SESSION, _INVITATION):
                connection.execute(delete(tokens).where(tokens.c.person == person))
            self._note(connection, by, "forget person", person)

        self._do(erase)

    # ---- invitations ----

    def invite(self, person: str, by: str, hours: float = 168.0) -> str:
        """Return a new one-use token; only its hash is kept. The person's earlier ones no longer count."""
        token, valid = _new_token(), _seconds(hours)

        def add(connection: Connection) -> None:
            _known_by_name(connection, person)
            now, mine = self.clock(), _INVITATION.c.person == person
            connection.execute(delete(_INVITATION).where(mine, _INVITATION.c.used.is_(None)))
            row = {"token": _hash(token), "person": person, "expires": now + valid, "used": None, "key": None}
            connection.execute(insert(_INVITATION), [row])
            self._note(connection, by, "invite person", person, new={"hours": hours})

        self._do(add)
        return token

    def open_panel(self, name: str, limit: int, by: str, hours: float = 720.0, rules: PanelRules = OPEN) -> str:
        """Return a token with which up to `limit` participants of a panel join, each under the own participant id."""
        called, token, valid = _name(name), _new_token(), _seconds(hours)
        kept = checked_rules(limit, rules)

        def add(connection: Connection) -> None:
            panel = free_id(connection, PANEL.c.id, "panel")
            about = {"token": _hash(token), "name": called, "places": limit, "expires": self.clock() + valid}
            insert_panel(connection, panel, about, kept, _new_token())
            listed = None if kept.allowed is None else len(kept.allowed)
            told = {"quota": kept.quota, "listed": listed, "signed": kept.signed}
            self._note(connection, by, "open panel", panel, new={"places": limit, "hours": hours, **told})

        self._do(add)
        return token

    def panels(self) -> list[Panel]:
        """Return the panels, in the order in which they end."""
        with self._read() as connection:
            return [as_panel(row) for row in connection.execute(select(PANEL).order_by(PANEL.c.expires, PANEL.c.id))]

    def proofs(self, token: str, participants: Sequence[str]) -> dict[str, str]:
        """Return, by participant id, the proof that a signed link of this panel carries beside the id."""
        with self._read() as connection:
            return proofs(find_panel(connection, _hash(token), self.clock()), participants)

    def join(
        self,
        token: str,
        participant: str | None = None,
        *,
        keep: bool = False,
        proof: str | None = None,
        device: str | None = None,
        agreed: str | None = None,
        key: str | None = None,
    ) -> str:
        """Use a token up and return a new session token; AccessError for one that is unknown, used or expired.

        With the `key` that a token was used with it is good for 15 more minutes, since the reply to the first use may
        have been lost.
        A panel's participant who has joined before gets another session, even if all places are taken; `proof`
        comes with a signed link, and `device` names the browser, on which nobody gets fresh practice after a
        participant of the same panel has failed it. With `keep` the session is a long one, see `who`. `agreed`
        is the id of the consent text that was agreed to, which goes on record.
        """
        hashed, session = _hash(token), _new_token()

        def enter(connection: Connection) -> None:
            now = self.clock()
            person = _invited(connection, hashed, key, now)
            if person is None:
                panel = find_panel(connection, hashed, now)
                person = _participating(connection, panel, check_participant(panel, participant, proof), device, now)
            _open_session(connection, session, person, now, keep)
            self._note(connection, person, "join", person)
            if agreed is not None:
                record_consent(connection, person, agreed, now)

        self._do(enter)
        return session

    # ---- passwords ----

    def set_password(self, person: str, password: str, by: str) -> None:
        """Keep a password as an Argon2id hash; with another one before, the person's sessions end.

        Raises InputError unless it has 12 to 1,024 characters, an annotator's from 6 on (a PIN), and for a
        PIN that is guessed first.
        """
        self._keep_password(person, password, by, again=True)

    def choose_password(self, person: str, password: str) -> None:
        """Keep the password that somebody without one chose for coming back; ConflictError where there is one."""
        self._keep_password(person, password, person, again=False)

    def _keep_password(self, person: str, password: str, by: str, *, again: bool) -> None:
        _check_password(password, self.person(person).role)
        hashed = _hashed(password)

        def keep(connection: Connection) -> None:
            if _known_by_name(connection, person).has_password:
                if not again:
                    raise ConflictError("you have a password already: whoever invited you can reset it")
                connection.execute(delete(_SESSION).where(_SESSION.c.person == person))
            connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(password=hashed))
            self._note(connection, by, "set password", person)

        self._do(keep)

    def reset_password(self, person: str, by: str) -> None:
        """Drop a password that was forgotten or seen by others, and end the person's sessions."""

        def drop(connection: Connection) -> None:
            _known_by_name(connection, person)
            connection.execute(delete(_SESSION).where(_SESSION.c.person == person))
            connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(password=None))
            self._note(connection, by, "reset password", person)

        self._do(drop)

    def log_in(self, name: str, password: str, *, keep: bool = False) -> str:
        """Return a new session token; AccessError, after as long a check, also for unknown persons."""
        refused = AccessError("the name or the password is wrong")
        if not _may_be_password(password, SHORTEST_PIN):
            raise refused  # before any hashing, known person or not
        with self._read() as connection:
            called = _PERSON.c.name == (_name_or_none(name) or "")
            found = connection.execute(select(_PERSON.c.id, _PERSON.c.password).where(called)).one_or_none()
        person, kept = (None, None) if found is None else found
        nobodys = _nobodys()  # is made by the first call, whoever that is for
        with _AT_ONCE:
            right = _hashing().verify(password, kept or nobodys)
        if person is None or kept is None or not right:
            raise refused
        session = _new_token()

        def enter(connection: Connection) -> None:
            same = select(_PERSON.c.password).where(_PERSON.c.id == person)
            if connection.execute(same).scalar() != kept:
                raise refused  # it was changed in the meantime
            _open_session(connection, session, person, self.clock(), keep)
            self._note(connection, person, "log in", person)

        self._do(enter)
        return session

    # ---- sessions ----

    def who(self, session: str) -> Person | None:
        """Return whose live session this is, or None.

        One ends after 12 hours idle and 7 days at most, one that is kept after 30 days idle and 90 at most.
        """
        hashed, now = _hash(session), self.clock()
        with self._read() as connection:
            found = connection.execute(_BY_TOKEN, {"hashed": hashed}).one_or_none()
            person = None if found is None else _as_there_is(connection, _person(found))
        if found is None or not hmac.compare_digest(found.token, hashed):
            return None
        idle, longest = _LONG if found.kept else _SHORT
        if now - found.seen >= idle or now - found.began >= longest:
            return None
        if now - found.seen >= SEEN_SECONDS:
            self._do(lambda connection: _touch(connection, hashed, now), durable=False)
        return person

    def log_out(self, session: str) -> None:
        """End a session; one that has ended already is fine."""
        mine = _SESSION.c.token == _hash(session)

        def end(connection: Connection) -> None:
            person = connection.execute(select(_SESSION.c.person).where(mine)).scalar()
            if person is not None:
                connection.execute(delete(_SESSION).where(mine))
                self._note(connection, person, "log out", person)

        self._do(end)

    def _note(self, connection: Connection, by: str, what: str, subject: str, old: Any = None, new: Any = None) -> None:
        record_audit(connection, self.clock(), by, what, subject, old, new, latest_guideline(connection))


# ---- for the desk's other parts, inside their transactions ----


def find_person(connection: Connection, id: str) -> Person:
    """Return a person; raise MissingError if there is none."""
    found = connection.execute(_BY_ID, {"one": id}).one_or_none()
    if found is None:
        raise MissingError(f"there is no person {id!r:.40}")
    return _person(found)


def change_state(connection: Connection, person: str, state: PersonState) -> PersonState:
    """Change a person's state and return the old one; the caller writes the audit."""
    old = find_person(connection, person).state
    connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(state=state))
    return old


# ---- rows ----


def _as_there_is(connection: Connection, person: Person) -> Person:
    """Return a person whose state follows what there is: where nothing is to be practised nobody practises."""
    return _with_practice(person, groups_with_practice(connection)) if person.state == "practising" else person


def _with_practice(person: Person, groups: Collection[str]) -> Person:
    """Return a person who practises only where there is practice for all, or for the person's group."""
    idle = person.state == "practising" and not {"", person.group} & set(groups)
    return replace(person, state="active") if idle else person


def _person(row: Any) -> Person:
    known = (row.id, row.name, row.role, row.kind, row.state, row.participant, row.created)
    return Person(*known, has_password=row.password is not None, panel=row.panel, group=row.group)


def _public(person: Person) -> dict[str, str]:
    """Return what the audit may keep of a person for ever."""
    group = {"group": person.group} if person.group else {}
    return {"role": person.role, "kind": person.kind, "state": person.state, **group}


def _insert_person(
    connection: Connection, name: str, role: Role, kind: str, participant: str | None, now: float, group: str = ""
) -> Person:
    state: PersonState = "practising" if role == "annotator" else "active"
    id = free_id(connection, _PERSON.c.id, "p")
    about = {"id": id, "name": name, "role": role, "kind": kind, "state": state, "participant": participant}
    connection.execute(insert(_PERSON), [{**about, "password": None, "created": now, "group": group}])
    return Person(id, name, role, kind, state, participant, now, group=group)


def _participating(connection: Connection, panel: Any, known_as: str, device: str | None, now: float) -> str:
    """Return who joins a panel under this participant id, somebody new if need be."""
    known = connection.execute(select(_PERSON).where(_PERSON.c.participant == known_as)).one_or_none()
    if known is not None:
        if known.role != "annotator":  # a panel's link, which many have, must not lead into the house
            raise AccessError("a panel's link is for annotators only: use the own invitation")
        return str(known.id)
    check_first_time(connection, panel, device)
    name, names = f"{panel.name} {take_place(connection, panel)}", _names(connection)
    while name.casefold() in names:
        name += "+"
    person = _insert_person(connection, name, "annotator", "person", known_as, now, panel.group).id
    remember_arrival(connection, person, panel, device)
    return person


def _known_by_name(connection: Connection, person: str) -> Person:
    found = find_person(connection, person)
    if found.name is None:
        raise ConflictError(f"{person} was forgotten: add the person anew")
    return found


def _names(connection: Connection) -> dict[str, str]:
    """Return everybody's name by what it is without regard to capitals, which nobody tells apart by ear."""
    names = connection.execute(select(_PERSON.c.name).where(_PERSON.c.name.is_not(None))).scalars()
    return {name.casefold(): name for name in names}


def _taken(name: str, taken: str, so: str) -> str:
    told = "" if name == taken else f", but for capitals: {taken}"
    return f"somebody has this name already{told}; {so}"


def _is_there(connection: Connection, column: Any, value: str) -> bool:
    return connection.execute(select(column).where(column == value)).first() is not None


def free_id(connection: Connection, column: Any, kind: str) -> str:
    """Return a random id that nobody has: derived from nothing, it tells nothing."""
    while _is_there(connection, column, id := f"{kind}-{secrets.token_hex(4)}"):
        pass
    return id


# ---- tokens ----


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _invited(connection: Connection, hashed: str, key: str | None, now: float) -> str | None:
    """Use an invitation up and return whose it is, None if there is none to use."""
    found = connection.execute(select(_INVITATION).where(_INVITATION.c.token == hashed)).one_or_none()
    if found is None or not hmac.compare_digest(found.token, hashed):
        return None
    if found.used is not None:
        return str(found.person) if _asks_again(found, key, now) else None
    if found.expires <= now:
        return None
    used = {"used": now, "key": None if key is None else _hash(key)}
    connection.execute(update(_INVITATION).where(_INVITATION.c.token == hashed).values(used))
    return str(found.person)


def _asks_again(used: Any, key: str | None, now: float) -> bool:
    """Whether a used invitation comes from the page that used it, which missed the reply."""
    if key is None or used.key is None or now - used.used > _AGAIN_SECONDS:
        return False
    return hmac.compare_digest(used.key, _hash(key))


def _open_session(connection: Connection, token: str, person: str, now: float, kept: bool) -> None:
    """Begin a session, and sweep away those that have ended by themselves."""
    for length, (idle, longest) in ((False, _SHORT), (True, _LONG)):
        over = (_SESSION.c.seen <= now - idle) | (_SESSION.c.created <= now - longest)
        connection.execute(delete(_SESSION).where(_SESSION.c.kept == length, over))
    row = {"token": _hash(token), "person": person, "created": now, "seen": now, "kept": kept}
    connection.execute(insert(_SESSION), [row])


def _touch(connection: Connection, hashed: str, now: float) -> None:
    connection.execute(update(_SESSION).where(_SESSION.c.token == hashed).values(seen=now))


def _seconds(hours: float) -> float:
    known = isinstance(hours, int | float) and not isinstance(hours, bool)
    if not (known and 0 < hours <= MOST_HOURS):
        raise InputError(f"a link is good for more than 0 and up to {MOST_HOURS:g} hours, got {hours!r:.40}")
    return hours * 3600.0


# ---- what people may be called, and passwords ----


def _name(name: str) -> str:
    called = _name_or_none(name)
    if called is None:
        raise InputError(f"a name has 1 to {NAME_LENGTH} printable characters, got {name!r:.100}")
    return called


def _name_or_none(name: str) -> str | None:
    """Return a name as it is kept, so that what looks alike is alike; None for one that cannot be."""
    if not isinstance(name, str) or len(name) > 10 * NAME_LENGTH:
        return None
    return _line(normalize("NFC", name).strip(), NAME_LENGTH)


def _line(text: str, most: int) -> str | None:
    return text if 1 <= len(text) <= most and text.isprintable() else None


def _check_password(password: str, role: Role) -> None:
    low, high = shortest_password(role), PASSWORD_LENGTH[1]
    if not _may_be_password(password, low):
        raise InputError(f"a password has {low} to {high:,} characters, as whole text")
    if len(password) < PASSWORD_LENGTH[0] and _is_guessed_first(password):
        raise InputError("this password is guessed first: take one with more different characters, in no order")


def _is_guessed_first(pin: str) -> bool:
    return len(set(pin)) < 4 or pin in _IN_ORDER or pin[::-1] in _IN_ORDER


def _may_be_password(password: str, low: int) -> bool:
    return isinstance(password, str) and low <= len(password) <= PASSWORD_LENGTH[1] and _is_whole(password)


def _hashed(password: str) -> str:
    with _AT_ONCE:
        return _hashing().hash(password)


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@cache
def _hashing() -> "PasswordHash":
    from pwdlib import PasswordHash  # slow to import, and seldom needed
    from pwdlib.hashers.argon2 import Argon2Hasher

    return PasswordHash((Argon2Hasher(),))


@cache
def _nobodys() -> str:
    """Return the hash of a password that nobody knows, to check against where there is none."""
    return _hashing().hash(_new_token())
