"""Guidelines, settings and the audit."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from rrm.core.annotation import AuditEntry, Person
from rrm.core.desk import AuditLog, Roster, RuleControl, Rules
from rrm.core.errors import ConflictError
from rrm.web.access import allow
from rrm.web.admin.viewing import Whole, names_for
from rrm.web.fields import Body
from rrm.web.guidelines import guideline_html
from rrm.web.station import Gate

EVERYDAY = ("answer", "skip", "undo", "flag", "log in", "log out")
"""What raters do all day, which would bury in the audit what one looks for there."""


class Writing(Body):
    """Guidelines in Markdown; `based_on` is the version that was edited, if it matters that nobody else was quicker."""

    text: Annotated[str, Field(max_length=20_000)]
    based_on: Annotated[int, Field(ge=0)] | None = None


class Settings(Body):
    changes: Annotated[dict[str, Any], Field(max_length=100)]


def router(gate: Gate, rules: RuleControl, people: Roster, audits: AuditLog) -> APIRouter:
    """Return the routes of the guidelines, the settings and the audit."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]
    Admin: TypeAlias = Annotated[Person, Depends(allow(gate, "admin"))]

    @routes.get("/guidelines")
    def guidelines(viewer: Viewer) -> dict[str, Any]:
        return _guideline(rules, people, viewer, None)

    @routes.get("/guidelines/{version}")
    def version(version: Whole, viewer: Viewer) -> dict[str, Any]:
        return _guideline(rules, people, viewer, version)

    @routes.post("/guidelines")
    def write(body: Writing, admin: Admin) -> dict[str, Any]:
        if body.based_on is not None and body.based_on != (latest := rules.guideline().version):
            raise ConflictError(
                f"version {latest} was saved while you edited version {body.based_on}: "
                "copy your text, load the page again and put your changes into theirs"
            )
        return {"version": rules.set_guideline(body.text, admin.id).version}

    @routes.post("/guidelines/preview")
    def preview(body: Writing, _: Admin) -> dict[str, Any]:
        return {"html": guideline_html(body.text)}

    @routes.get("/settings")
    def settings(_: Viewer) -> dict[str, Any]:
        return asdict(rules.settings())

    @routes.put("/settings")
    def change(body: Settings, admin: Admin) -> dict[str, Any]:
        return asdict(rules.change_settings(body.changes, admin.id))

    @routes.get("/audit")
    def audit(
        viewer: Viewer,
        before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        everyday: bool = False,
    ) -> dict[str, Any]:
        names = names_for(people, viewer)
        found = audits.audit(limit, before, () if everyday else EVERYDAY)
        following = found[-1].number if len(found) == limit else None
        return {"entries": [_entry(each, names) for each in found], "next": following}

    return routes


def _guideline(rules: Rules, people: Roster, viewer: Person, version: int | None) -> dict[str, Any]:
    found = rules.guideline(version)
    names = names_for(people, viewer)
    return {**asdict(found), "name": names.get(found.by), "html": guideline_html(found.text)}


def _entry(entry: AuditEntry, names: Mapping[str, str]) -> dict[str, Any]:
    return {**asdict(entry), "name": names.get(entry.by), "subject_name": names.get(entry.subject)}
