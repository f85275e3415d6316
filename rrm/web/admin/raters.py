"""People: their figures, and letting them in or keeping them out."""

from dataclasses import asdict, replace
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from rrm.agreement.raters import rater_stats
from rrm.core.annotation import Person, PersonState, Role
from rrm.core.desk import PeopleControl, Rules
from rrm.core.errors import ConflictError
from rrm.web.access import Id, allow, invitation
from rrm.web.admin.viewing import computed
from rrm.web.fields import Body, Nothing
from rrm.web.figures import Computed, Figures, stats_json
from rrm.web.station import Gate


class Adding(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: Role = "annotator"


class Changing(Body):
    state: PersonState


class Panel(Body):
    """A recruitment panel's name and for how many of its participants the link is good."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    limit: Annotated[int, Field(ge=1, le=100_000)]


class Password(Body):
    password: Annotated[str, Field(min_length=1, max_length=2_000)]


def router(gate: Gate, people: PeopleControl, rules: Rules, figures: Figures) -> APIRouter:
    """Return the routes that show people's work, and let them in or keep them out."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]
    Admin: TypeAlias = Annotated[Person, Depends(allow(gate, "admin"))]

    @routes.get("/raters")
    def raters(viewer: Viewer) -> dict[str, Any]:
        found = figures.judged.latest()
        rows = [_rater(each, figures_of=found, named=viewer.role == "admin") for each in people.persons()]
        return {"computed": computed(found), "raters": rows}

    @routes.post("/raters")
    def add(body: Adding, admin: Admin, request: Request) -> dict[str, Any]:
        person = people.add_person(body.name, body.role, by=admin.id)
        return {"person": _person(person), "link": invitation(gate, request, people.invite(person.id, admin.id))}

    @routes.post("/raters/{id}/invite")
    def invite(id: Id, admin: Admin, _: Nothing, request: Request) -> dict[str, Any]:
        return {"link": invitation(gate, request, people.invite(id, admin.id))}

    @routes.post("/raters/{id}/reset")
    def reset(id: Id, admin: Admin, _: Nothing, request: Request) -> dict[str, Any]:
        if id == admin.id:
            raise ConflictError("you cannot reset your own password: set another one under Settings")
        people.reset_password(id, admin.id)
        return {"link": invitation(gate, request, people.invite(id, admin.id))}

    @routes.post("/raters/{id}/state")
    def state(id: Id, admin: Admin, body: Changing) -> dict[str, Any]:
        people.set_state(id, body.state, admin.id)
        return {}

    @routes.post("/raters/{id}/requeue")
    def requeue(id: Id, admin: Admin, _: Nothing) -> dict[str, Any]:
        return {"answers": people.requeue(id, admin.id)}

    @routes.post("/raters/{id}/forget")
    def forget(id: Id, admin: Admin, _: Nothing) -> dict[str, Any]:
        if id == admin.id:
            raise ConflictError("you cannot forget yourself, or nobody might get in any more: ask another admin")
        people.forget(id, admin.id)
        return {}

    @routes.post("/panels")
    def panel(body: Panel, admin: Admin, request: Request) -> dict[str, Any]:
        link = invitation(gate, request, people.open_panel(body.name, body.limit, admin.id))
        parameter = rules.settings().participant_parameter
        # panels put the participant's id in the place of what stands in double braces
        return {"link": link.replace("/join#", f"/join?{parameter}={{{{%{parameter}%}}}}#", 1)}

    @routes.post("/password")
    def password(body: Password, admin: Admin) -> dict[str, Any]:
        people.set_password(admin.id, body.password, admin.id)
        return {}

    return routes


def _rater(person: Person, figures_of: Computed[Any] | None, named: bool) -> dict[str, Any]:
    judged = figures_of.value if figures_of is not None else None
    found = judged.stats.get(person.id) if judged is not None else None
    if found is None:
        found = rater_stats([replace(person, role="annotator")], (), ())[0]
    last = judged.last.get(person.id) if judged is not None else None
    about = _person(person if named else replace(person, name=None, participant=None))
    return {**about, "last": last, **stats_json(found)}


def _person(person: Person) -> dict[str, Any]:
    return {name: value for name, value in asdict(person).items() if name != "has_password"}
