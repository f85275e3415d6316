"""People: their figures, and letting them in or keeping them out."""

from dataclasses import asdict, replace
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from rrm.agreement.raters import rater_stats
from rrm.core.annotation import Exit, PanelLinks, PanelRules, Person, PersonState, Role
from rrm.core.desk import PeopleControl, Rules
from rrm.core.errors import ConflictError, InputError
from rrm.web.access import Id, allow, invitation
from rrm.web.admin.viewing import computed
from rrm.web.fields import Body, Nothing
from rrm.web.figures import Computed, Figures, stats_json
from rrm.web.station import Gate

Group = Annotated[str, Field(max_length=100)]


class Adding(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: Role = "annotator"
    group: Group = ""


class AddingSeveral(Body):
    names: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=1_000)]
    role: Role = "annotator"
    group: Group = ""


class Changing(Body):
    state: PersonState


class Grouping(Body):
    group: Group


Participants = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=1_000)]


class Panel(Body):
    """A recruitment panel's name, for how many of its participants the link is good, and what each is asked.

    Codes and URLs are those of completion and of screen-out. `participants` are the ids that may join, None for
    any; with `signed` each of them gets a link of its own. `id_pattern` is a regular expression that ids fit.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    limit: Annotated[int, Field(ge=1, le=100_000)]
    quota: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    completion_code: Annotated[str, Field(max_length=200)] = ""
    completion_url: Annotated[str, Field(max_length=2_000)] = ""
    screen_out_code: Annotated[str, Field(max_length=200)] = ""
    screen_out_url: Annotated[str, Field(max_length=2_000)] = ""
    participants: Participants | None = None
    signed: bool = False
    id_pattern: Annotated[str, Field(max_length=200)] = ""
    group: Group = ""


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
        person = people.add_person(body.name, body.role, group=body.group, by=admin.id)
        return {"person": _person(person), "link": invitation(gate, request, people.invite(person.id, admin.id))}

    @routes.post("/raters/several")
    def several(body: AddingSeveral, admin: Admin, request: Request) -> dict[str, Any]:
        added = people.add_persons([(name, body.role, body.group) for name in body.names], by=admin.id)
        invited = [(each, invitation(gate, request, people.invite(each.id, admin.id))) for each in added]
        return {"rows": [{"name": each.name, "id": each.id, "link": link} for each, link in invited]}

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

    @routes.post("/raters/{id}/group")
    def group(id: Id, admin: Admin, body: Grouping) -> dict[str, Any]:
        people.set_group(id, body.group, admin.id)
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
        token = people.open_panel(body.name, body.limit, admin.id, rules=_panel_rules(body))
        links = PanelLinks(invitation(gate, request, token), rules.settings().participant_parameter)
        signed = people.proofs(token, body.participants or []) if body.signed else {}
        return {"link": links.blank(), "links": links.signed(signed)}

    @routes.get("/panels")
    def panels(_: Viewer) -> list[dict[str, Any]]:
        return [asdict(each) for each in people.panels()]

    @routes.get("/consents")
    def consents(_: Viewer) -> list[dict[str, Any]]:
        return [{"person": person, "text": text, "at": at} for person, text, at in people.consents()]

    @routes.post("/password")
    def password(body: Password, admin: Admin) -> dict[str, Any]:
        people.set_password(admin.id, body.password, admin.id)
        return {}

    return routes


def _panel_rules(body: Panel) -> PanelRules:
    if body.signed and not body.participants:
        raise InputError("links are signed for participants whose ids are known: list the ids")
    ways = (Exit(body.completion_code, body.completion_url), Exit(body.screen_out_code, body.screen_out_url))
    allowed = None if body.participants is None else tuple(body.participants)
    return PanelRules(body.quota, *ways, allowed, body.signed, body.id_pattern, body.group)


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
