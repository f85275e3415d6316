"""Closing and opening places, and having the run go on."""

from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends
from pydantic import Field

from rrm.core.annotation import MOST_WANTED, Person
from rrm.core.desk import AuditLog, PlaceControl
from rrm.core.errors import ConflictError, LockedError, MissingError
from rrm.core.place import Place, Subject
from rrm.web.access import Id, allow
from rrm.web.admin.viewing import Whole
from rrm.web.fields import Body, Nothing
from rrm.web.station import Gate, RunControl


def _here(round: Whole, subject: Subject, level: Whole) -> Place:
    """Return the place that a path names as its text does: round/subject/level."""
    return Place(round, subject, level)


Here: TypeAlias = Annotated[Place, Depends(_here)]


class Wanting(Body):
    """How many answers items are to want: those of one place, or all; with `disputed` where raters differ."""

    answers: Annotated[int, Field(ge=1, le=MOST_WANTED)]
    place: Annotated[str, Field(max_length=40)] | None = None
    disputed: bool = False


def router(gate: Gate, places: PlaceControl, audit: AuditLog, control: RunControl | None) -> APIRouter:
    """Return the routes that close and open places, and have the run go on."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]
    Admin: TypeAlias = Annotated[Person, Depends(allow(gate, "admin"))]

    @routes.get("/run")
    def run(_: Viewer) -> dict[str, Any]:
        return control.status() if control is not None else {"state": "none", "lines": []}

    @routes.post("/train")
    def train(admin: Admin, _: Nothing) -> dict[str, Any]:
        if control is None:
            raise MissingError("there is no run beside this station: nothing can be trained")
        try:
            control.train()
        except LockedError as error:
            raise ConflictError(str(error)) from error
        audit.note(admin.id, "start run", "run")
        return control.status()

    @routes.post("/want")
    def want(admin: Admin, body: Wanting) -> dict[str, Any]:
        place = Place.parse(body.place) if body.place is not None else None
        return {"items": places.want(body.answers, admin.id, place=place, disputed=body.disputed)}

    @routes.post("/items/{item}/retire")
    def retire(item: Id, admin: Admin, _: Nothing) -> dict[str, Any]:
        return {"items": places.retire([item], admin.id)}

    @routes.post("/places/{round}/{subject}/{level}/freeze")
    def freeze(place: Here, admin: Admin, _: Nothing) -> dict[str, Any]:
        return {"answers": places.freeze(place, admin.id)}

    @routes.post("/places/{round}/{subject}/{level}/reopen")
    def reopen(place: Here, admin: Admin, _: Nothing) -> dict[str, Any]:
        places.reopen(place, admin.id)
        return {}

    return routes
