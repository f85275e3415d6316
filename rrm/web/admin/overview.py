"""How it goes: progress, who is at work, flags, agreement."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Path, Query

from rrm.agreement.days import days
from rrm.agreement.hours import hours, time_zone
from rrm.core.annotation import Person
from rrm.core.desk import Announcer, DeskReader
from rrm.web.access import allow
from rrm.web.admin.viewing import computed, names_for
from rrm.web.fields import Body, Reason
from rrm.web.figures import Figures, agreed, share
from rrm.web.places import Wording
from rrm.web.station import Gate

RECENT_SECONDS = 600.0
"""Who answered within so long counts as at work."""

_MOST_FLAGS = 200
_MOST_POINTS = 200


class Announcing(Body):
    text: Reason


def router(
    gate: Gate, desk: DeskReader, announcer: Announcer, figures: Figures, clock: Callable[[], float]
) -> APIRouter:
    """Return the routes of the overview, the agreement, hours and messages."""
    routes = APIRouter()
    Admin: TypeAlias = Annotated[Person, Depends(allow(gate, "admin"))]
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/places")
    def places(viewer: Viewer) -> dict[str, Any]:
        found = figures.progress.latest()
        names, worded = names_for(desk, viewer), Wording(desk)
        here = desk.at_work(clock() - RECENT_SECONDS)
        return {
            "computed": computed(found),
            "places": [{**asdict(each), **worded(each.place)} for each in found.value] if found is not None else [],
            "at_work": [{**asdict(each), "name": names.get(each.person)} for each in here],
            "alerts": _alerts(figures, names),
            "idle_checks": idle.value if (idle := figures.idle_checks.latest()) is not None else 0,
        }

    @routes.get("/asking")
    def asking(_: Viewer) -> dict[str, Any]:
        stood, worded = desk.valuations(), Wording(desk)
        last = {**asdict(stood[-1]), "behind": desk.answer_count() - stood[-1].answers} if stood else None
        step = -(-len(stood) // _MOST_POINTS) or 1
        return {
            "standing": last,
            "gains": [[each.minutes, each.expected] for each in stood[::-step][::-1]],
            "next": [{**asdict(each), **worded(each.place)} for each in desk.next_items()],
        }

    @routes.get("/agreement")
    def agreement(_: Viewer) -> dict[str, Any]:
        found = figures.judged.latest()
        worded, judged = Wording(desk), found.value.agreement if found is not None else []
        rows = [{**worded(each.place), **agreed(each)} for each in judged]
        return {"computed": computed(found), "places": rows}

    @routes.get("/flags")
    def flags(viewer: Viewer) -> list[dict[str, Any]]:
        names = names_for(desk, viewer)
        newest = sorted(desk.flags(), key=lambda each: -each.at)[:_MOST_FLAGS]
        return [{**asdict(each), "name": names.get(each.person)} for each in newest]

    @routes.get("/hours")
    def worked(viewer: Viewer, zone: Annotated[str, Query(max_length=60)] = "UTC") -> list[dict[str, Any]]:
        names = names_for(desk, viewer)
        found = hours(desk.answers(), desk.skips(), time_zone(zone))
        return [{**each.row(), "name": names.get(each.person)} for each in found]

    @routes.get("/days")
    def by_day(_: Viewer, zone: Annotated[str, Query(max_length=60)] = "UTC") -> list[dict[str, Any]]:
        return [
            {
                "day": each.day.isoformat(),
                "answers": each.answers,
                "raters": each.raters,
                "median_seconds": each.median_seconds,
                "gold": share(each.gold, "no known answer"),
                "agreement": share(each.agreement, "no second answer"),
            }
            for each in days(desk.answers(), time_zone(zone))
        ]

    @routes.get("/messages")
    def messages(_: Viewer) -> list[dict[str, Any]]:
        return [asdict(each) for each in announcer.messages()]

    @routes.post("/messages")
    def announce(admin: Admin, body: Announcing) -> dict[str, Any]:
        return {"number": announcer.announce(body.text, admin.id)}

    @routes.post("/flags/{number}/reply")
    def reply(number: Annotated[int, Path(ge=1, le=2**31 - 1)], admin: Admin, body: Announcing) -> dict[str, Any]:
        return {"number": announcer.reply(number, body.text, admin.id)}

    return routes


def _alerts(figures: Figures, names: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Return what to look at, None as long as nobody has looked."""
    found = figures.judged.latest()
    if found is None:
        return None
    return [
        {"person": id, "name": names.get(id), "alert": alert.name, "why": alert.why}
        for id, each in found.value.stats.items()
        for alert in each.alerts
    ]
