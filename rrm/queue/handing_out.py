"""Leases made of what was chosen, and made again of their rows: what a page shows, in which order."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from rrm.core.annotation import Lease, Posed, shown_hash
from rrm.core.ids import seed_for
from rrm.core.values import Request, Shown
from rrm.queue.base import Base
from rrm.queue.drafts import draft_of, drafts_of
from rrm.queue.items import LEASE, ME
from rrm.queue.next_work import Chosen
from rrm.queue.turns import Turn
from rrm.store.kinds import to_json

_ORDERS = select(LEASE.c.person, LEASE.c.item, LEASE.c.order, LEASE.c.at).where(
    LEASE.c.person.in_(bindparam("us", expanding=True)), LEASE.c.item.in_(bindparam("items", expanding=True))
)
_SINCE = select(func.min(LEASE.c.at)).where(LEASE.c.person == ME, LEASE.c.item == bindparam("one"))
_NEW_LEASE = insert(LEASE).returning(LEASE.c.id)  # which makes it one statement for many rows


class HandingOut(Base):
    """The part of the desk that makes leases."""

    def _hand_out(self, connection: Connection, chosen: Mapping[str, Sequence[Chosen]], turn: Turn) -> dict[str, Lease]:
        """Lease each person's items, places of which are taken already, in the order in which they were seen before."""
        if not chosen:
            return {}
        requests = self._requests(connection, [each.item for some in chosen.values() for each in some])
        again = [person for person, some in chosen.items() if not some[0].fresh]
        items = [each.item for person in again for each in chosen[person]]
        held = connection.execute(_ORDERS, {"us": again, "items": items}).all() if again else []
        drafts = drafts_of(connection, again, [chosen[person][0].sheet for person in again]) if again else {}
        chance = Random(self.random.getrandbits(64))
        leases, rows = {}, []
        for person, some in chosen.items():
            before = [row for row in held if row.person == person and row.item == some[0].item]
            asked = [requests[each.item] for each in some]
            alone = _shuffled(len(asked[0].shown), chance) if not before else tuple(before[-1].order)
            outputs = _on_page(person, some[0].sheet, asked, alone)
            orders = [alone] if some[0].is_alone else [_order(request, outputs) for request in asked]
            points = turn.settings.rating_points
            posed = tuple(
                Posed(request, each.purpose, order, shown_hash(request, order, turn.guideline, points, outputs))
                for each, request, order in zip(some, asked, orders, strict=True)
            )
            leases[person] = Lease(
                self._new_id("lease"),
                person,
                posed,
                outputs,
                turn.guideline,
                turn.now + turn.settings.lease_seconds,
                drafts.get((person, some[0].sheet)),
                points,
                min([turn.now, *(row.at for row in before)]),
            )
            rows += self._new_rows(leases[person], some, turn.now)
        connection.execute(_NEW_LEASE, rows)
        return leases

    def _new_rows(self, lease: Lease, chosen: Sequence[Chosen], now: float) -> list[dict[str, Any]]:
        beside = next((each.item for each in chosen if each.purpose == "work"), None)  # whose fate its sheet shares
        return [
            {
                "id": self._new_id("lease") if position else lease.id,
                "first": lease.id,
                "position": position,
                "item": each.item,
                "sheet": each.sheet,
                "question": each.question,
                "person": lease.person,
                "purpose": each.purpose,
                "attempt": each.attempt,
                "order": to_json(posed.order),
                "guideline": lease.guideline,
                "points": lease.points,
                "shown": posed.shown,
                "at": now,
                "expires": lease.expires,
                "state": "live",
                "stands_for": None if each.purpose == "work" else each.stands_for or beside,
            }
            for position, (each, posed) in enumerate(zip(chosen, lease.questions, strict=True))
        ]

    def _as_lease(self, connection: Connection, rows: Sequence[Any]) -> Lease:
        """Make the value of a lease's rows, with the draft."""
        first = rows[0]
        requests = self._requests(connection, [row.item for row in rows])
        draft = draft_of(connection, first.person, first.sheet)
        since = connection.execute(_SINCE, {"me": first.person, "one": first.item}).scalar_one()
        posed = tuple(Posed(requests[row.item], row.purpose, tuple(row.order), row.shown) for row in rows)
        outputs = _on_page(first.person, first.sheet, [each.request for each in posed], tuple(first.order))
        return Lease(
            first.first, first.person, posed, outputs, first.guideline, first.expires, draft, first.points, since
        )


def _on_page(person: str, sheet: str, requests: Sequence[Request], alone: Sequence[int]) -> tuple[Shown, ...]:
    """Return what a page shows: the outputs of an item `alone` in this order, or all those of a sheet, each once.

    The order of a sheet is drawn for it and the person, so that it is the same each time, whichever of its
    questions are left.
    """
    if sheet == requests[0].id:
        return tuple(requests[0].shown[place] for place in alone)

    def drawn(shown: Shown) -> int:
        return seed_for("order on sheet", sheet, person, shown.output, shown.text)

    return tuple(sorted({shown for request in requests for shown in request.shown}, key=drawn))


def _order(request: Request, page: Sequence[Shown]) -> tuple[int, ...]:
    """Return the places of what a request shows in the order in which a page has it."""
    return tuple(sorted(range(len(request.shown)), key=lambda place: page.index(request.shown[place])))


def _shuffled(count: int, chance: Random) -> tuple[int, ...]:
    order = list(range(count))
    chance.shuffle(order)
    return tuple(order)
