"""The admin's side: progress, raters, agreement, items, guidelines, settings, the audit, settling and exports."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import chain
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from rrm.agreement.raters import rater_stats
from rrm.core import values
from rrm.core.annotation import (
    Annotation,
    AuditEntry,
    ItemState,
    Lease,
    Person,
    PersonState,
    Role,
    Submission,
    shown_hash,
)
from rrm.core.desk import (
    Adjudication,
    AuditLog,
    DeskReader,
    PeopleControl,
    PlaceControl,
    Roster,
    RuleControl,
    Rules,
)
from rrm.core.errors import AccessError, ConflictError, LockedError, MissingError
from rrm.core.place import Place, Subject
from rrm.web.access import Id, allow, invitation
from rrm.web.figures import Computed, Figures, agreed, stats_json
from rrm.web.guidelines import guideline_html
from rrm.web.kinds import AnswerBody, Body, Question, answer_json, lease_json, summary, to_answer
from rrm.web.places import Wording
from rrm.web.station import Gate, RunControl, Station
from rrm.web.work import Detail, Key, Nothing

RECENT_SECONDS = 600.0
"""Who answered within so long counts as at work."""

EVERYDAY = ("answer", "skip", "undo", "flag", "log in", "log out")
"""What raters do all day, which would bury in the audit what one looks for there."""

SEARCHED_AT_ONCE = 2_500
"""In how many items one request looks for a text; with `next` the page goes on, and nobody waits for a rare one."""

_MOST_DISPUTED = 100
_MOST_FLAGS = 200

Whole = Annotated[int, Path(ge=0, le=2**31 - 1)]
Number = Annotated[int, Query(ge=0, le=2**53)]
Form = Literal["jsonl", "csv", "parquet", "trl"]


def _here(round: Whole, subject: Subject, level: Whole) -> Place:
    """Return the place that a path names as its text does: round/subject/level."""
    return Place(round, subject, level)


Here: TypeAlias = Annotated[Place, Depends(_here)]


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


class Writing(Body):
    """Guidelines in Markdown; `based_on` is the version that was edited, if it matters that nobody else was quicker."""

    text: Annotated[str, Field(max_length=20_000)]
    based_on: Annotated[int, Field(ge=0)] | None = None


class Settings(Body):
    changes: Annotated[dict[str, Any], Field(max_length=100)]


class Deciding(Body):
    """A decision on a disputed item, places in the request's own order; the same `key` again means the same one."""

    key: Key
    answer: AnswerBody
    detail: Detail = Field(default_factory=dict)


class Undoing(Body):
    decision: Annotated[str, Field(min_length=1, max_length=100)]


def router(station: Station) -> APIRouter:
    """Return the admin's and the adjudicator's routes."""
    routes = APIRouter(prefix="/api")
    gate, desk = station.gate, station.desk
    figures = Figures(desk)
    for part in (
        _looking(gate, desk, figures, station.clock),
        _steering(gate, desk, desk, station.run),
        _raters(gate, desk, desk, figures),
        _items(gate, desk),
        _ruling(gate, desk, desk, desk),
    ):
        routes.include_router(part, prefix="/admin")
    routes.include_router(_settling(gate, desk, desk, station.count))
    routes.include_router(_exports(gate, desk, desk), prefix="/admin/export")
    return routes


# ---- how it goes ----


def _looking(gate: Gate, desk: DeskReader, figures: Figures, clock: Callable[[], float]) -> APIRouter:
    """Return the routes of the overview and the agreement."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/places")
    def places(viewer: Viewer) -> dict[str, Any]:
        found = figures.progress.latest()
        names, worded = _names(desk, viewer), Wording(desk)
        here = desk.at_work(clock() - RECENT_SECONDS)
        return {
            "computed": _computed(found),
            "places": [{**asdict(each), **worded(each.place)} for each in found.value] if found is not None else [],
            "at_work": [{**asdict(each), "name": names.get(each.person)} for each in here],
            "alerts": _alerts(figures, names),
        }

    @routes.get("/agreement")
    def agreement(_: Viewer) -> dict[str, Any]:
        found = figures.judged.latest()
        worded, judged = Wording(desk), found.value.agreement if found is not None else []
        rows = [{**worded(each.place), **agreed(each)} for each in judged]
        return {"computed": _computed(found), "places": rows}

    @routes.get("/flags")
    def flags(viewer: Viewer) -> list[dict[str, Any]]:
        names = _names(desk, viewer)
        newest = sorted(desk.flags(), key=lambda each: -each.at)[:_MOST_FLAGS]
        return [{**asdict(each), "name": names.get(each.person)} for each in newest]

    return routes


def _steering(gate: Gate, places: PlaceControl, audit: AuditLog, control: RunControl | None) -> APIRouter:
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

    @routes.post("/places/{round}/{subject}/{level}/freeze")
    def freeze(place: Here, admin: Admin, _: Nothing) -> dict[str, Any]:
        return {"answers": places.freeze(place, admin.id)}

    @routes.post("/places/{round}/{subject}/{level}/reopen")
    def reopen(place: Here, admin: Admin, _: Nothing) -> dict[str, Any]:
        places.reopen(place, admin.id)
        return {}

    return routes


def _computed(found: Computed[Any] | None) -> dict[str, Any] | None:
    return {"at": found.at, "current": found.current} if found is not None else None


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


def _names(people: Roster, viewer: Person) -> dict[str, str]:
    """Return who is behind the pseudonyms, to those who may know."""
    if viewer.role != "admin":
        return {}
    return {each.id: each.name for each in people.persons() if each.name is not None}


# ---- raters ----


def _raters(gate: Gate, people: PeopleControl, rules: Rules, figures: Figures) -> APIRouter:
    """Return the routes that show people's work, and let them in or keep them out."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]
    Admin: TypeAlias = Annotated[Person, Depends(allow(gate, "admin"))]

    @routes.get("/raters")
    def raters(viewer: Viewer) -> dict[str, Any]:
        found = figures.judged.latest()
        rows = [_rater(each, figures_of=found, named=viewer.role == "admin") for each in people.persons()]
        return {"computed": _computed(found), "raters": rows}

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


# ---- items ----


def _items(gate: Gate, desk: DeskReader) -> APIRouter:
    """Return the routes that look through the items."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/items")
    def items(
        _: Viewer,
        place: Annotated[str | None, Query(max_length=40)] = None,
        state: ItemState | None = None,
        kind: Annotated[str | None, Query(max_length=40)] = None,
        node: Annotated[str | None, Query(max_length=100)] = None,
        text: Annotated[str | None, Query(max_length=200)] = None,
        after: Number = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        up_to = after + SEARCHED_AT_ONCE if text else None
        at = Place.parse(place) if place is not None else None
        conditions: dict[str, Any] = {"place": at, "state": state, "kind": kind, "node": node, "text": text}
        found = desk.search_items(**conditions, after=after, up_to=up_to, limit=limit + 1)
        following = None
        if len(found) > limit:
            following = found[limit - 1].seq
        elif up_to is not None and desk.search_items(after=up_to, limit=1):
            following = up_to
        worded = Wording(desk)
        rows = [{**asdict(each), **worded(each.place)} for each in found[:limit]]
        return {"items": rows, "next": following, "places": [worded(each) for each in worded.places]}

    @routes.get("/items/{item}")
    def item(item: Id, viewer: Viewer) -> dict[str, Any]:
        found = desk.item(item)
        order = range(len(found.request.shown))
        expected = answer_json(found.expected, order) if found.expected is not None else None
        return {
            **_shown(desk, found.request),
            "purpose": found.purpose,
            "wanted": found.wanted,
            "value": found.value,
            "expected": expected,
            "explanation": found.explanation,
            "given": _given(desk, viewer, item),
        }

    return routes


def _shown(desk: DeskReader, request: values.Request) -> dict[str, Any]:
    """Return what a rater's page shows of an item, but outputs in the request's own order."""
    order = tuple(range(len(request.shown)))
    points = desk.settings().rating_points
    shown = Lease("", "", request, "work", order, guideline=0, shown="", expires=0.0, points=points)
    budget = {"max_tokens": request.view.max_tokens}
    return {**lease_json(shown, 0.0, wider=False), **budget, **Wording(desk)(request.place), "node": request.node}


def _given(desk: DeskReader, viewer: Person, item: str) -> list[dict[str, Any]]:
    """Return the answers to an item, of every state, with places in the request's own order."""
    names = _names(desk, viewer)
    return [_answer(each, names) for each in desk.item_answers(item)]


def _answer(annotation: Annotation, names: Mapping[str, str]) -> dict[str, Any]:
    order = range(len(annotation.order))
    return {
        "id": annotation.id,
        "person": annotation.person,
        "name": names.get(annotation.person),
        "answer": answer_json(annotation.answer, order, annotation.detail),
        "summary": summary(annotation.answer, order),
        "order": list(annotation.order),
        "state": annotation.state,
        "at": annotation.at,
        "seconds": annotation.seconds,
        "confidence": annotation.confidence,
        "guideline": annotation.guideline,
        "right": annotation.right,
        "adjudication": annotation.adjudication,
    }


# ---- guidelines, settings, audit ----


def _ruling(gate: Gate, rules: RuleControl, people: Roster, audits: AuditLog) -> APIRouter:
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
        names = _names(people, viewer)
        found = audits.audit(limit, before, () if everyday else EVERYDAY)
        following = found[-1].number if len(found) == limit else None
        return {"entries": [_entry(each, names) for each in found], "next": following}

    return routes


def _guideline(rules: Rules, people: Roster, viewer: Person, version: int | None) -> dict[str, Any]:
    found = rules.guideline(version)
    names = _names(people, viewer)
    return {**asdict(found), "name": names.get(found.by), "html": guideline_html(found.text)}


def _entry(entry: AuditEntry, names: Mapping[str, str]) -> dict[str, Any]:
    return {**asdict(entry), "name": names.get(entry.by), "subject_name": names.get(entry.subject)}


# ---- settling what raters disagree on ----


def _settling(gate: Gate, desk: DeskReader, disputes: Adjudication, count: Callable[[str], int] | None) -> APIRouter:
    """Return the adjudicator's routes."""
    routes = APIRouter(prefix="/disputed")
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "adjudicator", "admin", "reader"))]
    Judge: TypeAlias = Annotated[Person, Depends(allow(gate, "adjudicator", "admin"))]

    @routes.get("")
    def disputed(viewer: Viewer) -> dict[str, Any]:
        found = disputes.disputed(_MOST_DISPUTED)
        requests, worded = desk.requests([id for id, _ in found]), Wording(desk)
        own = disputes.rated_by(viewer.id, list(requests))
        items = [
            {
                "item": id,
                "disagreement": value,
                **worded(requests[id].place),
                "kind": requests[id].kind,
                "own": id in own,
            }
            for id, value in sorted(found, key=lambda row: row[0] in own)  # others' first
        ]
        return {"items": items, "total": disputes.disputed_count()}

    @routes.get("/{item}")
    def one(item: Id, viewer: Viewer) -> dict[str, Any]:
        found = desk.item(item)
        if found.purpose != "work":
            raise MissingError(f"there is no item {item!r:.60} to settle")
        return {**_shown(desk, found.request), "given": _given(desk, viewer, item)}

    @routes.post("/{item}/decide")
    def decide(item: Id, judge: Judge, body: Deciding) -> dict[str, Any]:
        request, points = desk.item(item).request, desk.settings().rating_points
        texts = [each.text for each in request.shown]
        made = to_answer(body.answer, Question(request, texts, points, count))
        shown = shown_hash(request, range(len(texts)), desk.guideline().version, points)
        submission = Submission(made.answer, shown, detail={**body.detail, **made.detail})
        return {"id": disputes.adjudicate(judge.id, item, submission, body.key).id}

    @routes.post("/{item}/undo")
    def undo(item: Id, judge: Judge, body: Undoing) -> dict[str, Any]:
        if body.decision not in {each.id for each in desk.item_answers(item)}:
            raise MissingError("there is no such decision on this item")
        disputes.undo_decision(judge.id, body.decision)
        return {}

    return routes


# ---- exports ----


def _exports(gate: Gate, desk: DeskReader, audit: AuditLog) -> APIRouter:
    """Return the route that streams what came in, under names that the server makes."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/{form}")
    def export(
        form: Form, viewer: Viewer, answers: Literal["live", "all"] = "live", names: bool = False
    ) -> StreamingResponse:
        if names and viewer.role != "admin":
            raise AccessError("only an admin may take names along: leave them out")
        chunks = _chunks(desk, form, answers == "all", _names(desk, viewer) if names else None)
        first = next(chunks, b"")  # so that what fails at once fails with a sentence, not half way through a file
        if names:
            audit.note(viewer.id, "export names", f"answers.{form}")
        kind, ending = _FILES[form]
        name = f"{'preferences' if form == 'trl' else 'answers'}-{time.strftime('%Y-%m-%d', time.gmtime())}.{ending}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(chain([first], chunks), media_type=kind, headers=headers)

    return routes


_FILES: dict[Form, tuple[str, str]] = {
    "jsonl": ("application/x-ndjson", "jsonl"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "trl": ("application/x-ndjson", "jsonl"),
}


def _chunks(desk: DeskReader, form: Form, every: bool, names: Mapping[str, str] | None) -> Iterator[bytes]:
    """Yield the file; "trl" holds what counts as feedback, whatever is asked for."""
    from rrm.interchange import annotations  # knows Parquet and rows of other trainers: only who exports needs it

    if form == "trl":
        return annotations.jsonl(annotations.trl(annotations.rated(desk.answers(), desk.requests)))
    answers = (each for each in desk.answers() if every or each.state == "live")
    write = {"jsonl": annotations.jsonl, "csv": annotations.csv, "parquet": annotations.parquet}[form]
    return write(annotations.rows(answers, desk.asked, names))
