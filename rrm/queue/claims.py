"""Who holds which sheet: claiming one at a time, keeping it, and giving it back.

What comes next is chosen in `returned`, `hidden` and `next_work`, in this order; `handing_out` makes leases of it.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from rrm.core.annotation import Lease
from rrm.core.errors import ConflictError, InputError
from rrm.queue.audit import record_audit
from rrm.queue.drafts import DRAFT, draft_json, draft_of, forget_drafts, is_older, put_draft
from rrm.queue.ended import ENDED, check_live
from rrm.queue.guidelines import storable
from rrm.queue.handing_out import HandingOut
from rrm.queue.hidden import HiddenChecks
from rrm.queue.items import LEASE, item_rows
from rrm.queue.keys import check_same, checked_key
from rrm.queue.leases import end_lease, own_lease
from rrm.queue.left import Left
from rrm.queue.next_work import Chosen, choose_work, with_sheets
from rrm.queue.practice import next_practice_state, practice_items, practice_state
from rrm.queue.returned import drafted, returned
from rrm.queue.rights import after_practice, may_answer, who_asks
from rrm.queue.turns import Turn, Turns
from rrm.store.database import Opened
from rrm.store.tables import table

_FLAG, _SKIP = table("flag"), table("skip")

MOST_CHARACTERS = 20_000
"""Characters that a reason or the text of a flag may have."""

_RENEW = update(LEASE).where(LEASE.c.first == bindparam("one")).values(expires=bindparam("until"))


class Claims(Turns, HiddenChecks, HandingOut):
    """The part of the desk that knows who holds which sheet."""

    def __init__(self, opened: Opened, clock: Callable[[], float], random: Random) -> None:
        super().__init__(opened, clock, random)
        self._left = Left(self.random)

    # ---- getting an item ----

    def claim(self, person: str) -> Lease | None:
        """Return the person's live lease, or lease the next sheet; None when there is none for this person.

        Never more leases and live answers than an item wants; never an item whose question the person has
        answered, skipped or holds: of a sheet, only those that are neither; none once a panel's quota or the setting
        `rater_share` is reached.
        Practice comes first; an own draft comes before other items; gold and attention checks are mixed in while
        there is work. AccessError for somebody who gets no items.
        """
        lease = self._do_together(self._claim, person, durable=False)
        self._left.handed_out(person, lease)
        return lease

    def _claim(self, connection: Connection, persons: Sequence[str]) -> "list[Lease | None]":
        """Claim for everybody who waits: what all need is asked for once."""
        turn = self._turn(connection)
        leases: dict[str, Lease | None] = {}
        chosen: dict[str, list[Chosen]] = {}
        full: set[str] = set()  # who may answer no more
        for person, who in who_asks(connection, persons).items():
            leases[person] = None
            if who.id is not None:
                leases[person] = self._as_lease(connection, own_lease(connection, person, who.id))
            elif practice := self._practice(connection, person, turn) if who.person_state == "practising" else None:
                chosen |= with_sheets(connection, {person: practice})
            elif may_answer(connection, person, who.quota, turn.settings) == 0:
                full.add(person)
            elif some := self._choose(connection, person, who, turn):
                chosen[person] = some
        without = [each for each in leases if leases[each] is None and each not in chosen and each not in full]
        chosen |= choose_work(connection, without, turn.settings.strategy)
        leases |= self._hand_out(connection, chosen, turn)
        return [leases[person] for person in persons]

    def _choose(self, connection: Connection, person: str, who: Any, turn: Turn) -> list[Chosen]:
        """Choose what somebody who holds nothing gets before other work, and take places of it."""
        begun = drafted(connection, person) if who.drafts else []
        if begun or not ("gold" in turn.checks or "attention" in turn.checks):
            return begun
        return returned(connection, person, turn.settings.strategy) or self._checked(connection, person, turn)

    def _practice(self, connection: Connection, person: str, turn: Turn) -> Chosen | None:
        """Return a practice item; None where there are none, and then nobody need practise."""
        if not ("practice" in turn.checks and turn.settings.practice_items):
            return None
        attempt = next_practice_state(practice_state(connection, person, turn.settings)).attempt
        left = practice_items(connection, person, attempt)
        if not left:
            return None
        drafts = set(connection.execute(select(DRAFT.c.sheet).where(DRAFT.c.person == person)).scalars())
        begun = [each for each in left if each.sheet in drafts]
        return Chosen(*self.random.choice(begun or left), "practice", attempt)

    # ---- keeping it ----

    def lease(self, person: str, lease: str) -> Lease:
        """Return a live lease of this person; ConflictError if it expired or was answered."""
        with self._read() as connection:
            rows = own_lease(connection, person, lease)
            check_live(connection, rows, self.clock())
            return self._as_lease(connection, rows)

    def renew(self, person: str, lease: str) -> float:
        """Put off a live lease's expiry; return the new one. ConflictError once it ran out, taken or not."""

        def put_off(connection: Connection) -> float:
            now = self.clock()
            check_live(connection, own_lease(connection, person, lease), now)
            until = now + self._turn(connection).settings.lease_seconds
            connection.execute(_RENEW, {"one": lease, "until": until})
            return until

        return self._do(put_off, durable=False)

    def save_draft(self, person: str, lease: str, draft: Mapping[str, Any]) -> None:
        """Keep what the rater has so far, even if the lease has expired.

        A draft that was written before the one that is kept, as the number `at` in both tells, changes nothing.
        """
        content = draft_json(draft)

        def save(connection: Connection) -> None:
            [row, *_] = own_lease(connection, person, lease)
            if row.state not in ("live", "expired"):
                raise ConflictError(ENDED[row.state])
            if not is_older(draft, draft_of(connection, row.person, row.sheet)):
                put_draft(connection, row, content, self.clock())

        self._do(save, durable=False)

    # ---- giving it back ----

    def skip(self, person: str, lease: str, reason: str, key: str) -> None:
        """Pass a sheet on: it comes back to others, never to this person. The same `key` again changes nothing."""
        kept, key = storable(reason, "a reason", MOST_CHARACTERS), checked_key(key)

        def pass_on(connection: Connection) -> None:
            mine = (_SKIP.c.person == person, _SKIP.c.key == key, _SKIP.c.position == 0)
            there = connection.execute(select(_SKIP.c.lease).where(*mine)).scalar()
            if there is not None:
                check_same(there, lease)
                return
            rows = own_lease(connection, person, lease)
            [row, *_] = rows
            check_live(connection, rows, self.clock())
            places = {id_: item.place for id_, item in item_rows(connection, [each.item for each in rows]).items()}
            about = {"key": key, "person": person, "reason": kept, "at": self.clock()}
            each_about = [
                {"lease": each.id, "position": each.position, "item": each.item, "place": places[each.item]}
                for each in rows
            ]
            connection.execute(insert(_SKIP), [about | each for each in each_about])
            end_lease(connection, lease, "skipped")
            forget_drafts(connection, [lease])
            changed = after_practice(connection, row)
            new = {"reason": kept, **changed}
            record_audit(connection, self.clock(), person, "skip", row.item, None, new, row.guideline)

        self._do(pass_on)

    def flag(self, person: str, lease: str, text: str) -> None:
        """Keep what somebody found odd in an item that they have or had."""
        kept = storable(text, "a flag", MOST_CHARACTERS)
        if not kept.strip():
            raise InputError("a flag says what is odd: it is empty")

        def raise_flag(connection: Connection) -> None:
            [row, *_] = own_lease(connection, person, lease)
            now = self.clock()
            connection.execute(insert(_FLAG), [{"item": row.item, "person": person, "text": kept, "at": now}])
            record_audit(connection, now, person, "flag", row.item, None, None, row.guideline)

        self._do(raise_flag)
