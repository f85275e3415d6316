"""Recruitment panels: who of their participants may join, how much each is asked, and where they go at the end.

All that stands here happens inside a transaction of the desk's.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, bindparam, insert, select, update

from rrm.core.annotation import ANYBODY, Exit, Panel, PanelRules
from rrm.core.errors import AccessError, InputError
from rrm.queue.groups import group_name, is_whole
from rrm.store.kinds import to_json
from rrm.store.tables import table

PANEL = table("panel")
_PERSON = table("person")
_PANEL_OF = (
    select(*PANEL.c).join_from(_PERSON, PANEL, _PERSON.c.panel == PANEL.c.id).where(_PERSON.c.id == bindparam("me"))
)

PARTICIPANT_LENGTH, CODE_LENGTH, URL_LENGTH, PATTERN_LENGTH = 128, 100, 2_000, 200
MOST_PLACES, MOST_QUOTA = 100_000, 1_000_000

_BLANKS = frozenset("{}[]<>%$")  # stand around what a link's builder was to fill in
_EXAMPLES = frozenset({"id", "participant", "participant_id", "participantid", "prolific_pid", "workerid", "worker_id"})


def checked_rules(places: int, rules: PanelRules) -> PanelRules:
    """Return a panel's rules; raise InputError for those that cannot be kept."""
    if not (is_whole(places) and 1 <= places <= MOST_PLACES):
        raise InputError(f"a panel has 1 to {MOST_PLACES:,} places, got {places!r:.40}")
    if not (is_whole(rules.quota) and 0 <= rules.quota <= MOST_QUOTA):
        raise InputError(f"a participant's quota is 0 (none) to {MOST_QUOTA:,} answers, got {rules.quota!r:.40}")
    for way in (rules.completion, rules.screen_out):
        _check_exit(way)
    if rules.allowed is not None and not rules.allowed:
        raise InputError("nobody may join a panel whose list of participant ids is empty")
    _check_pattern(rules.id_pattern)
    group_name(rules.group)
    for each in rules.allowed or ():
        check_pattern(rules.id_pattern, participant_id(each))
    return rules


def insert_panel(connection: Connection, id: str, about: dict[str, Any], rules: PanelRules, secret: str) -> None:
    """Record a panel; `about` has its token's hash, name, places and expiry."""
    row = {
        **about,
        "id": id,
        "joined": 0,
        "quota": rules.quota,
        "completion": to_json(rules.completion),
        "screen_out": to_json(rules.screen_out),
        "allowed": to_json(None if rules.allowed is None else sorted(map(_hash, rules.allowed))),
        "secret": secret if rules.signed else "",
        "id_pattern": rules.id_pattern,
        "group": rules.group,
    }
    connection.execute(insert(PANEL), [row])


def find_panel(connection: Connection, hashed: str, now: float) -> Any:
    """Return the panel of a token's hash; raise AccessError where there is none, or its time is over."""
    found = connection.execute(select(PANEL).where(PANEL.c.token == hashed)).one_or_none()
    if found is None or not hmac.compare_digest(found.token, hashed) or found.expires <= now:
        raise AccessError("this link was used already, has expired or is not whole: ask for a new one")
    return found


def check_participant(panel: Any, participant: str | None, proof: str | None) -> str:
    """Return the id that a participant is known by; raise for one whom the panel does not admit.

    InputError for an id that is none, such as the link's blank; AccessError where it is not on the panel's list
    or not signed by it.
    """
    if participant is None:
        raise InputError("this link is a panel's and needs the participant id: open it from the panel's page")
    known_as = participant_id(participant)
    check_pattern(panel.id_pattern, known_as)
    if panel.secret and not hmac.compare_digest(proof_of(panel.secret, known_as), proof or ""):
        raise AccessError("this participant id was not given out with this link: open your own link")
    if panel.allowed is not None and _hash(known_as) not in panel.allowed:
        raise AccessError("this participant id is not on the panel's list: tell the panel's people")
    return known_as


def check_first_time(connection: Connection, panel: Any, device: str | None) -> None:
    """Raise AccessError for somebody new on a device with which another of the panel's participants came already."""
    if device is None:
        return
    there = (_PERSON.c.panel == panel.id, _PERSON.c.device == _hash(device))
    if connection.execute(select(_PERSON.c.id).where(*there)).first():
        raise AccessError(
            "somebody has taken part from this device already, under another participant id: open your own link again"
        )


def take_place(connection: Connection, panel: Any) -> int:
    """Use a place of a panel up, and return which it is, from 1; raise AccessError if there is none."""
    if panel.joined >= panel.places:
        raise AccessError("all places of this panel are taken: tell the panel's people")
    connection.execute(update(PANEL).where(PANEL.c.id == panel.id).values(joined=panel.joined + 1))
    return int(panel.joined) + 1


def remember_arrival(connection: Connection, person: str, panel: Any, device: str | None) -> None:
    """Note by which panel and with which device somebody came."""
    came = {"panel": panel.id, "device": None if device is None else _hash(device)}
    connection.execute(update(_PERSON).where(_PERSON.c.id == person).values(came))


def panel_of(connection: Connection, person: str) -> Panel | None:
    """Return the panel that somebody came by."""
    found = connection.execute(_PANEL_OF, {"me": person}).one_or_none()
    return None if found is None else as_panel(found)


def as_panel(row: Any) -> Panel:
    """Return a panel as it is looked at: who may join, but not their ids."""
    admits = "signed" if row.secret else "listed" if row.allowed is not None else ANYBODY
    ways = (Exit(**row.completion), Exit(**row.screen_out))
    return Panel(row.id, row.name, row.places, row.joined, row.quota, *ways, admits, row.expires, row.group)


def proof_of(secret: str, participant: str) -> str:
    """Return what a signed link carries beside the id: HMAC-SHA256 (RFC 2104), its first 128 bits."""
    return hmac.new(secret.encode(), participant.encode("utf-8"), "sha256").hexdigest()[:32]


def proofs(panel: Any, participants: Iterable[str]) -> dict[str, str]:
    """Return the proofs of these participants by id; raise InputError for a panel that signs no links."""
    if not panel.secret:
        raise InputError("this panel's links are not signed: open one that signs them")
    return {each: proof_of(panel.secret, participant_id(each)) for each in participants}


def participant_id(text: str) -> str:
    """Return a participant id; raise InputError for what is none, or stands where one should have been filled in."""
    known = isinstance(text, str) and 1 <= len(text) <= PARTICIPANT_LENGTH and text.isprintable() and text.strip()
    if not known:
        raise InputError(f"a participant id has 1 to {PARTICIPANT_LENGTH} printable characters, got {text!r:.100}")
    if _BLANKS & set(text) or text.strip().casefold() in _EXAMPLES:  # else all of the panel would be one person
        raise InputError(
            f"the panel's link holds a blank that was not filled in, {text!r:.100}:"
            " put the sign for the participant's id of your panel in its place"
        )
    return text


def check_pattern(pattern: str, participant: str) -> None:
    """Raise InputError for a participant id that is not of the panel's form."""
    if pattern and not re.fullmatch(pattern, participant):
        raise InputError(f"{participant!r:.100} is no participant id of this panel: open your own link again")


def _check_pattern(pattern: str) -> None:
    if not (isinstance(pattern, str) and len(pattern) <= PATTERN_LENGTH):
        raise InputError(f"a pattern of ids has up to {PATTERN_LENGTH} characters, got {pattern!r:.60}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(f"the pattern of ids {pattern!r:.60} is no regular expression: {error}") from error


def _check_exit(way: Exit) -> None:
    code, url = way.code, way.url
    if not (isinstance(code, str) and len(code) <= CODE_LENGTH and (code.isprintable() or not code)):
        raise InputError(f"a panel's code is one line of up to {CODE_LENGTH} printable characters, got {code!r:.60}")
    if url and not _is_safe(url):
        raise InputError(
            f"the address {url!r:.100} to send participants to must be https://host/…, in full, as plain text"
        )


def _is_safe(url: str) -> bool:
    """Whether a participant may be sent to an address: https, a host, nobody's name and password in it."""
    if not (isinstance(url, str) and len(url) <= URL_LENGTH and url.isascii() and url.isprintable()):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    whole = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and (port is None or port > 0)
    return bool(whole) and not any(each in " <>\"'\\`" for each in url)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
